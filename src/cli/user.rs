//! `opcell user`: the people who log in, with a password or a certificate. Of a password only its Argon2id hash is
//! ever written or shown.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Answer, Global, compiled, path_or_default};
use crate::config::{self, NewUser, NotWritten, Options};
use crate::control::{self, AskError, Request, Response};
use crate::model::{ROLES, Role, Roles, ServerPlan};
use crate::pki;
use crate::ua::users::hash_password;

#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    pub verb: UserVerb,
}

/// A running server applies each change at once.
#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Add a user to the server file; asks for the password
    Add(AddArgs),
    /// Change a user's password; sessions with the old one end
    Passwd(PasswdArgs),
    /// Remove a user from the server file; the user's sessions end
    Remove(One),
    /// List the users with their logins and roles
    List(Place),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    pub one: One,
    /// Role of the user: Observer, Operator, Engineer, Supervisor …; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// The certificate (DER or PEM) that the user logs in with instead of a password
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Args)]
pub struct PasswdArgs {
    #[command(flatten)]
    pub one: One,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Args)]
pub struct One {
    /// Name to log in with
    pub name: String,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Place {
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
}

/// Longest name and password, in bytes.
const MOST_BYTES: usize = 512;
const LEAST_CHARACTERS: usize = 8;

pub(crate) fn user(args: &UserArgs, global: &Global) -> Answer {
    let done = match &args.verb {
        UserVerb::Add(args) => add(args, global),
        UserVerb::Passwd(args) => passwd(args, global),
        UserVerb::Remove(one) => remove(one, global),
        UserVerb::List(place) => list(place, global),
    };
    done.unwrap_or_else(|answer| answer)
}

fn refuse(error: String) -> Answer {
    Answer::failed(&error)
}

fn add(args: &AddArgs, global: &Global) -> Result<Answer, Answer> {
    let One { name, place } = &args.one;
    let plan = compiled(place.path.as_deref(), global, "")?.server;
    check_name(name).map_err(refuse)?;
    check_roles(&args.roles, &plan).map_err(refuse)?;
    let target = Target::of(place.path.as_deref(), &plan)?;
    if plan.accounts.users.contains_key(name) {
        return Err(refuse(exists(name, target.file())));
    }
    let needs_password = args.certificate.is_none() || args.password_stdin;
    let hash = if needs_password { Some(ask_hash(name, args.password_stdin).map_err(refuse)?) } else { None };
    let certificate = args.certificate.as_ref().map(|file| pki::add_user(&plan.pki_dir, name, file)).transpose();
    let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
    let user =
        NewUser { name, roles: &args.roles, password_hash: hash.as_deref(), certificate: certificate.as_deref() };
    match target.add(&user) {
        Ok(out) => Ok(told(out, &target, &plan)),
        Err(why) => Ok(to_paste(&user, target.file(), &why)),
    }
}

fn passwd(args: &PasswdArgs, global: &Global) -> Result<Answer, Answer> {
    let One { name, place } = &args.one;
    let (plan, target) = known(name, place, global)?;
    let hash = ask_hash(name, args.password_stdin).map_err(refuse)?;
    edit(target.file(), |text| config::set_password(text, name, &hash)).map_err(refuse)?;
    Ok(told(format!("{}: `{name}` has another password\n", target.file().display()), &target, &plan))
}

fn remove(one: &One, global: &Global) -> Result<Answer, Answer> {
    let One { name, place } = one;
    let (plan, target) = known(name, place, global)?;
    let file = target.file();
    if let Some(rule) = plan.accounts.role_rules.iter().find(|rule| rule.users.contains(name)) {
        let role = role_name(&plan, rule.role);
        let error =
            format!("`{name}` is listed in {} under `roles.{role}.users`; remove it there first", file.display());
        return Err(refuse(error));
    }
    edit(file, |text| config::remove_user(text, name)).map_err(refuse)?;
    let mut out = format!("{}: `{name}` is out\n", file.display());
    let certificate = plan.accounts.users.get(name).and_then(|user| user.certificate.as_ref());
    if let Some(certificate) = certificate.map(|certificate| plan.pki_dir.join("users").join(certificate)) {
        writeln!(out, "their certificate still lies in {}; nobody logs in with it", certificate.display())
            .expect("text takes every write");
    }
    Ok(told(out, &target, &plan))
}

/// A user that is in the server file.
fn known(name: &str, place: &Place, global: &Global) -> Result<(ServerPlan, Target), Answer> {
    let plan = compiled(place.path.as_deref(), global, "")?.server;
    let Some(file) = plan.file.clone() else {
        return Err(refuse("without a server file there are no users; add one: opcell user add NAME".to_owned()));
    };
    if !plan.accounts.users.contains_key(name) {
        let hint = config::did_you_mean(name, plan.accounts.users.keys().map(String::as_str));
        let hint = if hint.is_empty() { "see: opcell user list".to_owned() } else { hint };
        return Err(refuse(format!("no user `{}` in {}; {hint}", name.escape_debug(), file.display())));
    }
    Ok((plan, Target::Server(file)))
}

fn list(place: &Place, global: &Global) -> Result<Answer, Answer> {
    let plan = compiled(place.path.as_deref(), global, "")?.server;
    let accounts = &plan.accounts;
    let mut out = String::new();
    for (name, user) in &accounts.users {
        let ruled = accounts.role_rules.iter().filter(|rule| rule.users.contains(name)).map(|rule| rule.role);
        let roles = role_names(&plan, ruled.fold(user.roles, Roles::with));
        let mut with = Vec::from_iter(user.password_hash.as_ref().map(|_| "password".to_owned()));
        with.extend(user.certificate.as_ref().map(|file| format!("certificate {file}")));
        writeln!(out, "{name:24} {:32} {roles}", with.join(", ")).expect("text takes every write");
    }
    if accounts.anonymous != Roles::NONE {
        let roles = role_names(&plan, accounts.anonymous);
        writeln!(out, "{:24} {:32} {roles}", "(anybody)", "no login").expect("text takes every write");
    }
    if out.is_empty() {
        out = "there are no users; add one: opcell user add NAME --role Operator\n".to_owned();
    }
    Ok(Answer { out, ..Answer::default() })
}

fn role_names(plan: &ServerPlan, roles: Roles) -> String {
    let all = (0..).map(Role).take(ROLES.len()).chain(plan.own_roles.keys().copied());
    let names: Vec<&str> = all.filter(|role| roles.contains(*role)).map(|role| role_name(plan, role)).collect();
    if names.is_empty() { "no role".to_owned() } else { names.join(", ") }
}

fn role_name(plan: &ServerPlan, role: Role) -> &str {
    let at = usize::from(role.0);
    ROLES.get(at).copied().or_else(|| plan.own_roles.get(&role).map(String::as_str)).unwrap_or("?")
}

/// The outcome, with a line on whether the running server has applied it.
fn told(mut out: String, target: &Target, plan: &ServerPlan) -> Answer {
    if matches!(target, Target::New(..)) {
        return Answer { out, ..Answer::default() };
    }
    match control::ask(&plan.state_dir, &Request::Accounts) {
        Ok(Response::Done(text)) => {
            writeln!(out, "{text}").expect("text takes every write");
            Answer { out, ..Answer::default() }
        }
        Err(AskError::NoServer(_)) => {
            out.push_str("no server runs here; it counts from the next start on\n");
            Answer { out, ..Answer::default() }
        }
        Ok(_) => Answer { out, ..refuse("the running server did not take it; restart it".to_owned()) },
        Err(error) => Answer { out, ..refuse(format!("the running server did not take it: {error}")) },
    }
}

fn exists(name: &str, file: &Path) -> String {
    format!("user `{name}` is in {} already; for a new password: opcell user passwd {name}", file.display())
}

fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.len() > MOST_BYTES || !name.chars().all(crate::value::is_plain) {
        return Err(format!(
            "`{}` is no user name; give 1 to {MOST_BYTES} letters, digits or signs",
            name.escape_debug()
        ));
    }
    Ok(())
}

fn check_roles(roles: &[String], plan: &ServerPlan) -> Result<(), String> {
    // It follows from the channel: a server file that gives it to a user is refused.
    let standard = || ROLES.iter().copied().filter(|role| Role::well_known(role) != Some(Role::TRUSTED_APPLICATION));
    let known = || standard().chain(plan.own_roles.values().map(String::as_str));
    let Some(wrong) = roles.iter().find(|role| !known().any(|name| name == *role)) else { return Ok(()) };
    let hint = config::did_you_mean(wrong, known());
    let names: Vec<&str> = known().collect();
    let hint = if hint.is_empty() { format!("known: {}", names.join(", ")) } else { hint };
    Err(format!("no role `{wrong}`; {hint}"))
}

fn ask_hash(name: &str, from_input: bool) -> Result<String, String> {
    let password = if from_input { from_stdin() } else { from_terminal(name) }?;
    hash_password(password.as_bytes())
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
        _ if password.chars().count() < LEAST_CHARACTERS => {
            Err(format!("the password is shorter than {LEAST_CHARACTERS} characters; nothing was written"))
        }
        1..=MOST_BYTES => Ok(password),
        _ => Err(format!("the password is longer than {MOST_BYTES} bytes; nothing was written")),
    }
}

/// The file that gets the user.
enum Target {
    Server(PathBuf),
    /// There is none yet: the file to make, and its entry under `cells`.
    New(PathBuf, String),
}

impl Target {
    fn of(path: Option<&Path>, plan: &ServerPlan) -> Result<Target, Answer> {
        if let Some(file) = &plan.file {
            return Ok(Target::Server(file.clone()));
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
        Ok(Target::New(file, cells))
    }

    fn file(&self) -> &Path {
        match self {
            Target::Server(file) | Target::New(file, _) => file,
        }
    }

    fn add(&self, user: &NewUser<'_>) -> Result<String, String> {
        match self {
            Target::Server(file) => {
                edit(file, |text| config::add_user(text, user)).map_err(|why| {
                    if why.ends_with(&NotWritten::Exists.to_string()) { exists(user.name, file) } else { why }
                })?;
                Ok(format!("{}: `{}` may log in\n", file.display(), user.name))
            }
            Target::New(file, cells) => {
                let cells = serde_json::Value::from(cells.as_str());
                let head = format!(
                    "schema: 1\ncells: [{cells}]\nlisten: [\"127.0.0.1:4840\"]   # 0.0.0.0:4840 lets other machines in\n"
                );
                let text = config::add_user(&head, user).map_err(|why| why.to_string())?;
                let io = |error: io::Error| format!("{}: {error}", file.display());
                let folder = locked(file).map_err(io)?;
                if file.exists() {
                    return Err(format!("another program has just made {}; try again", file.display()));
                }
                replace(file, &text, None).map_err(io)?;
                self.check_new()?;
                drop(folder);
                let file = file.display();
                Ok(format!(
                    "{file}: new; `{}` may log in, and nobody without login or without encryption any more\n\
                     start the server with it: opcell run {file}\n",
                    user.name
                ))
            }
        }
    }

    /// A new file must compile without findings; otherwise it is removed again.
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

/// The folder of a file: while the lock is held, no other verb changes its files.
fn locked(file: &Path) -> io::Result<fs::File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::File::open(folder)?;
    folder.lock()?;
    Ok(folder)
}

/// Changes the file in one step, while no other verb does.
fn edit(file: &Path, change: impl FnOnce(&str) -> Result<String, NotWritten>) -> Result<(), String> {
    let io = |error: io::Error| format!("{}: {error}", file.display());
    let target = fs::canonicalize(file).map_err(io)?;
    let _folder = locked(&target).map_err(io)?;
    let text = fs::read_to_string(&target).map_err(io)?;
    let written = change(&text).map_err(|why| format!("{}: {why}", file.display()))?;
    replace(&target, &written, Some(&fs::metadata(&target).map_err(io)?)).map_err(io)
}

/// Replaces the whole file at once: writes a new one, syncs it, renames it. Mode and owner stay, so that the server can
/// still read a file that an administrator changed.
fn replace(path: &Path, text: &str, old: Option<&fs::Metadata>) -> io::Result<()> {
    let beside = path.with_extension("yaml.new");
    let mode = old.map_or(0o600, |old| old.permissions().mode() & 0o777);
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    let new = file.metadata()?;
    if let Some(old) = old.filter(|old| (old.uid(), old.gid()) != (new.uid(), new.gid())) {
        std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
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
