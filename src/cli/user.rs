//! `opcell user`: people who log in with a password. Only its Argon2id hash is ever written or shown.

use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Answer, Global, compiled, path_or_default};
use crate::config::{self, NewUser, NotWritten, Options};
use crate::model::{ROLES, ServerPlan};
use crate::ua::users::hash_password;

#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    pub verb: UserVerb,
}

#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Add a person to the server file; the password is asked for
    Add(AddArgs),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name to log in with
    pub name: String,
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
    /// What the user may do: Observer, Operator, Engineer, Supervisor …; may be given again
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// Longest name and password, in bytes.
const MOST_BYTES: usize = 512;

pub fn user(args: &UserArgs, global: &Global) -> Answer {
    let UserVerb::Add(args) = &args.verb;
    add(args, global).unwrap_or_else(|answer| answer)
}

fn add(args: &AddArgs, global: &Global) -> Result<Answer, Answer> {
    let plan = compiled(args.path.as_deref(), global, "")?.server;
    let refuse = |error: String| Answer::failed(&error);
    check_name(&args.name).map_err(refuse)?;
    check_roles(&args.roles, &plan).map_err(refuse)?;
    let place = Place::of(args.path.as_deref(), &plan)?;
    if plan.accounts.users.contains_key(&args.name) {
        return Err(refuse(exists(&args.name, place.file())));
    }
    let password = if args.password_stdin { from_stdin() } else { from_terminal(&args.name) }.map_err(refuse)?;
    let hash = hash_password(password.as_bytes()).map_err(refuse)?;
    let user = NewUser { name: &args.name, roles: &args.roles, password_hash: &hash };
    match place.write(&user) {
        Ok(out) => Ok(Answer { out, ..Answer::default() }),
        Err(why) => Ok(to_paste(&user, place.file(), &why)),
    }
}

fn exists(name: &str, file: &Path) -> String {
    format!(
        "user `{name}` is in {} already; to give a new password, delete the entry there and add it again",
        file.display()
    )
}

fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.len() > MOST_BYTES || name.chars().any(char::is_control) {
        return Err(format!(
            "`{}` is no user name; give 1 to {MOST_BYTES} letters, digits or signs",
            name.escape_debug()
        ));
    }
    Ok(())
}

fn check_roles(roles: &[String], plan: &ServerPlan) -> Result<(), String> {
    let known = || ROLES.iter().copied().chain(plan.own_roles.iter().map(String::as_str));
    let Some(wrong) = roles.iter().find(|role| !known().any(|name| name == *role)) else { return Ok(()) };
    let hint = config::did_you_mean(wrong, known());
    let names: Vec<&str> = known().collect();
    let hint = if hint.is_empty() { format!("known: {}", names.join(", ")) } else { hint };
    Err(format!("no role `{wrong}`; {hint}"))
}

fn from_stdin() -> Result<String, String> {
    let mut line = String::new();
    let most = MOST_BYTES as u64 + 2;
    io::Read::take(io::stdin().lock(), most)
        .read_line(&mut line)
        .map_err(|error| format!("the password cannot be read from standard input: {error}"))?;
    check_password(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks twice, without showing it.
fn from_terminal(name: &str) -> Result<String, String> {
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt)
            .map_err(|error| format!("no password can be asked for here ({error}); give --password-stdin"))
    };
    let password = check_password(ask(format!("Password of {name}: "))?)?;
    if ask("Once more: ".to_owned())? != password {
        return Err("the two passwords differ; nothing was written".to_owned());
    }
    Ok(password)
}

fn check_password(password: String) -> Result<String, String> {
    match password.len() {
        0 => Err("the password is empty; nothing was written".to_owned()),
        1..=MOST_BYTES => Ok(password),
        _ => Err(format!("the password is longer than {MOST_BYTES} bytes; nothing was written")),
    }
}

/// The file that gets the user.
enum Place {
    Server(PathBuf),
    /// There is none yet: the file to make, and what it names under `cells`.
    New(PathBuf, String),
}

impl Place {
    fn of(path: Option<&Path>, plan: &ServerPlan) -> Result<Place, Answer> {
        if let Some(file) = &plan.file {
            return Ok(Place::Server(file.clone()));
        }
        let path = path_or_default(path)?;
        let (folder, cells) = match path.is_dir() {
            true => (path.clone(), "*.yaml".to_owned()),
            false => {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                (path.parent().unwrap_or(Path::new("")).to_owned(), name)
            }
        };
        let file = folder.join("server.yaml");
        if file.exists() {
            let file = file.display();
            return Err(Answer::failed(&format!("{file} is there already; name it: opcell user add NAME {file}")));
        }
        Ok(Place::New(file, cells))
    }

    fn file(&self) -> &Path {
        match self {
            Place::Server(file) | Place::New(file, _) => file,
        }
    }

    fn write(&self, user: &NewUser<'_>) -> Result<String, String> {
        let io = |error: io::Error| format!("{}: {error}", self.file().display());
        match self {
            Place::Server(file) => {
                let file = fs::canonicalize(file).map_err(io)?;
                let text = fs::read_to_string(&file).map_err(io)?;
                let written = config::add_user(&text, user).map_err(|why| match why {
                    NotWritten::Exists => exists(user.name, &file),
                    why => format!("{}: {why}", file.display()),
                })?;
                let mode = fs::metadata(&file).map_err(io)?.permissions().mode();
                replace(&file, &written, mode).map_err(io)?;
                Ok(format!("{}: `{}` may log in from the server's next start on\n", self.file().display(), user.name))
            }
            Place::New(file, cells) => {
                let cells = serde_json::Value::from(cells.as_str());
                let head = format!(
                    "schema: 1\ncells: [{cells}]\nlisten: [\"127.0.0.1:4840\"]   # 0.0.0.0:4840 lets other machines in\n"
                );
                let text = config::add_user(&head, user).map_err(|why| why.to_string())?;
                replace(file, &text, 0o600).map_err(io)?;
                self.check_new()?;
                let file = file.display();
                Ok(format!(
                    "{file}: new; `{}` may log in, and nobody without login or without encryption any more\n\
                     start the server with it: opcell run {file}\n",
                    user.name
                ))
            }
        }
    }

    /// A file that was made here must be read without a mistake, or it goes away again.
    fn check_new(&self) -> Result<(), String> {
        let (_, report) = config::load(self.file(), &Options::default());
        if !report.has_errors() {
            return Ok(());
        }
        let file = self.file().display();
        fs::remove_file(self.file()).map_err(|error| format!("{file}: {error}"))?;
        Err(format!("{file}: a server file for these cells has mistakes\n{}", report.render(config::Shown::Some)))
    }
}

/// The whole file at once: written beside it, synced, renamed.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = path.with_extension("yaml.new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(mode & 0o777).open(&beside)?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

fn to_paste(user: &NewUser<'_>, file: &Path, why: &str) -> Answer {
    let err = format!("error: {why}\n  nothing was written; put these lines into {} yourself\n", file.display());
    Answer { out: format!("users:\n  {}\n", user.line()), err, code: 1 }
}
