//! The command line: one file a verb, each from arguments to text and an exit code.

mod audit;
mod browse;
mod check;
mod history;
mod pki;
mod probe;
mod read;
mod reload;
mod run;
mod schema;
mod status;
mod text;
mod tree;
mod user;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

pub use crate::config::EXIT_CODES;
use crate::config::{self, Compiled, Options, Shown};
use crate::model::ServerPlan;

/// An OPC UA server for machine data, configured by one YAML file for each manufacturing cell.
#[derive(Debug, Parser)]
#[command(name = "opcell", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Arguments that every verb takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Put a simulator in place of every driver
    #[arg(long, global = true)]
    pub simulate: bool,
    /// Listen on this address, not on those of the server file; may be repeated
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Folder for state, history and audit
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Folder of certificates
    #[arg(long, global = true, value_name = "DIR")]
    pub pki_dir: Option<PathBuf>,
    /// Log level: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<log::LevelFilter>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve a cell file, a server file or a folder; this is the default command
    Run(run::RunArgs),
    /// Check a cell file, a server file or a folder; prints findings, then the poll plan
    Check(check::CheckArgs),
    /// Print the address space as text
    Tree(tree::TreeArgs),
    /// Print the JSON Schema of cell or server files, for editors
    Schema(schema::SchemaArgs),
    /// Manage certificates: list, trust, revoke, request, install
    Pki(pki::PkiArgs),
    /// Manage users: add, remove, list, change a password
    User(user::UserArgs),
    /// Read one address of a device and show it in all types and orders
    Probe(probe::ProbeArgs),
    /// List what a device has, as nodes to paste into a cell file
    Browse(browse::BrowseArgs),
    /// Read tags of devices once, without a server: raw value, value and status
    Read(read::ReadArgs),
    /// Inspect, verify, export and import recorded history
    History(history::HistoryArgs),
    /// Verify and print the audit trail
    Audit(audit::AuditArgs),
    /// Show the state of a running server: sessions, subscriptions, links
    Status(status::StatusArgs),
    /// Let a running server read its files again: what did not change goes on without a break
    Reload(reload::ReloadArgs),
}

/// Answer of a verb: text for the terminal, and the exit code (0 ok, 1 failed, 2 bad configuration).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub out: String,
    pub err: String,
    pub code: u8,
}

impl Answer {
    /// A failure: the error and its remedy.
    pub fn failed(error: &str) -> Answer {
        Answer { err: format!("error: {error}\n"), code: 1, ..Answer::default() }
    }
}

impl Global {
    pub fn options(&self) -> Options {
        Options {
            simulate: self.simulate,
            listen: (!self.listen.is_empty()).then(|| self.listen.clone()),
            state_dir: self.state_dir.clone(),
            pki_dir: self.pki_dir.clone(),
            log: self.log,
            mirrors: None,
        }
    }
}

/// The given path, or `./address-space`.
pub fn path_or_default(path: Option<&Path>) -> Result<PathBuf, Answer> {
    if let Some(path) = path {
        return Ok(path.to_owned());
    }
    let default = PathBuf::from("address-space");
    if default.is_dir() {
        return Ok(default);
    }
    let err = "error: no path given, and there is no folder ./address-space here\n  \
               start a cell by its file: opcell run press.yaml\n"
        .to_owned();
    Err(Answer { err, code: 2, ..Answer::default() })
}

/// Compiles the files at a path. Findings end the verb; `instead` is the argument that works without the files.
fn compiled(path: Option<&Path>, global: &Global, instead: &str) -> Result<Compiled, Answer> {
    let hint = if instead.is_empty() { String::new() } else { format!("  or give {instead}\n") };
    let path = path_or_default(path).map_err(|answer| Answer { err: answer.err + &hint, ..answer })?;
    let (compiled, report) = config::load(&path, &global.options());
    let findings = || format!("{}{hint}", findings_text(&report, Shown::Some));
    compiled.ok_or_else(|| Answer { err: findings(), code: 2, ..Answer::default() })
}

fn server_plan(path: Option<&Path>, global: &Global, instead: &str) -> Result<ServerPlan, Answer> {
    compiled(path, global, instead).map(|compiled| compiled.server)
}

/// The state folder of a server, even when its files have mistakes.
fn state_dir(path: Option<&Path>, global: &Global) -> Result<PathBuf, Answer> {
    match &global.state_dir {
        Some(dir) => Ok(dir.clone()),
        None => Ok(config::state_dir(&path_or_default(path)?, &global.options())),
    }
}

/// Findings as they go to the terminal, with a last line that counts them; empty when there are none.
pub fn findings_text(report: &config::Report, shown: config::Shown) -> String {
    if report.is_empty() {
        return String::new();
    }
    format!("{}{}\n", report.render(shown), report.summary())
}

/// Runs a verb; `print` takes what a server says while it runs.
pub fn answer(cli: &Cli, print: &mut dyn FnMut(&str)) -> Answer {
    match &cli.verb {
        Some(Verb::Run(args)) => run::run(args, &cli.global, print),
        None => run::run(&run::RunArgs::default(), &cli.global, print),
        Some(Verb::Check(args)) => check::check(args, &cli.global),
        Some(Verb::Tree(args)) => tree::tree(args, &cli.global),
        Some(Verb::Schema(args)) => schema::schema(args),
        Some(Verb::Pki(args)) => pki::pki(args, &cli.global),
        Some(Verb::User(args)) => user::user(args, &cli.global),
        Some(Verb::Probe(args)) => probe::probe(args, &cli.global),
        Some(Verb::Browse(args)) => browse::browse(args, &cli.global),
        Some(Verb::Read(args)) => read::read(args, &cli.global),
        Some(Verb::History(args)) => history::history(args, &cli.global),
        Some(Verb::Audit(args)) => audit::audit(args, &cli.global),
        Some(Verb::Status(args)) => status::status(args, &cli.global),
        Some(Verb::Reload(args)) => reload::reload(args, &cli.global),
    }
}
