//! `opcell probe`: one look at the way to a device, or at one address in all types and orders, before the cell file says which.

use std::path::{Path, PathBuf};

use clap::Args;

use super::text::shown_within;
use super::{Answer, Global, compiled};
use crate::app::{self, AsClient};
use crate::config::{self, Compiled};
use crate::drivers::{self, ConnectionPlan, ProbeLine};

#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Connection of the cell: CONNECTION, CELL:CONNECTION or CELL/CONNECTION
    pub connection: String,
    /// Address, as in a tag: holding/70, 40071, coil/3. Drivers mqtt, sparkplug, http and opcua need none: they show each step of
    /// the way to the device
    pub address: Option<String>,
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
}

impl ProbeArgs {
    /// The address and the path: an argument alone may be either.
    fn taken(&self) -> Taken<'_> {
        match (&self.address, &self.path) {
            (Some(only), None) if is_path(Path::new(only)) => Taken { address: None, path: Some(Path::new(only)) },
            (address, path) => Taken { address: address.as_deref(), path: path.as_deref() },
        }
    }
}

struct Taken<'a> {
    address: Option<&'a str>,
    path: Option<&'a Path>,
}

/// Whether a text names a YAML file or a folder with one, and so no address.
fn is_path(path: &Path) -> bool {
    let is_yaml = |path: &Path| path.extension().is_some_and(|of| of == "yaml" || of == "yml");
    if path.is_dir() {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        return files.into_iter().any(|file| is_yaml(&file.path()));
    }
    is_yaml(path)
}

pub(crate) fn probe(args: &ProbeArgs, global: &Global) -> Answer {
    let Taken { address, path } = args.taken();
    let compiled = match compiled(path, global, "") {
        Ok(compiled) => compiled,
        Err(answer) => return answer,
    };
    let connection = match select(&compiled, &args.connection) {
        Ok(connection) => connection.scan(),
        Err(error) => return Answer::failed(&error),
    };
    let answer = match address {
        Some(address) => {
            app::once(None, async |_| drivers::probe(&connection, address).await).map(|probed| match probed {
                Ok(lines) => Answer { out: table(&lines), ..Answer::default() },
                Err(error) => Answer::failed(&error.to_string()),
            })
        }
        None => {
            let client = way_in(&compiled, &connection);
            let look =
                app::once(client.as_ref(), async |application| drivers::probe_way(&connection, application).await);
            look.map(|probed| match probed {
                Ok(way) => {
                    let failed = way.failure.map(|why| Answer::failed(&shown_within(&why, MOST_LETTERS)));
                    let failed = failed.unwrap_or_default();
                    Answer { out: table(&way.steps), ..failed }
                }
                Err(error) => Answer::failed(&error.to_string()),
            })
        }
    };
    answer.unwrap_or_else(|error| Answer::failed(&format!("cannot start: {error}")))
}

/// This server as a client of other servers, for a connection to one.
pub(super) fn way_in(compiled: &Compiled, connection: &ConnectionPlan) -> Option<AsClient> {
    drivers::needs_application(connection).then(|| AsClient::new(&compiled.server)).flatten()
}

pub(super) fn select<'a>(compiled: &'a Compiled, wanted: &str) -> Result<&'a ConnectionPlan, String> {
    let full_name = |plan: &ConnectionPlan| {
        let connection = &compiled.plant.connections[plan.ix];
        format!("{}/{}", compiled.plant.cells[usize::from(connection.cell)].name, plan.name)
    };
    let is_meant = |plan: &&ConnectionPlan| {
        let full = full_name(plan);
        plan.name == wanted || full == wanted || full.replacen('/', ":", 1) == wanted
    };
    let found: Vec<&ConnectionPlan> = compiled.drivers.iter().filter(is_meant).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let names: Vec<String> = compiled.drivers.iter().map(|plan| plan.name.clone()).collect();
            let hint = config::did_you_mean(wanted, names.iter().map(String::as_str));
            let known =
                if names.is_empty() { "there is none".to_owned() } else { format!("known: {}", names.join(", ")) };
            Err(format!("no connection `{wanted}`; {}", if hint.is_empty() { known } else { hint }))
        }
        _ => {
            let names: Vec<String> = found.iter().map(|plan| full_name(plan)).collect();
            Err(format!("several cells have a connection `{wanted}`; give one of {}", names.join(", ")))
        }
    }
}

/// Characters of one line.
const MOST_LETTERS: usize = 2_000;

fn table(lines: &[ProbeLine]) -> String {
    let width = lines.iter().map(|line| line.keys.chars().count()).max().unwrap_or(0);
    // A device chose some of these words.
    let said = |line: &ProbeLine| shown_within(&line.value, MOST_LETTERS);
    lines.iter().map(|line| format!("{:width$}  {}\n", line.keys, said(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_device_forge_no_line() {
        let line = |value: &str| ProbeLine { keys: "server".to_owned(), value: value.to_owned() };
        assert_eq!(table(&[line("a\n\u{1b}[2Jtrusted\u{202e}b")]), "server  a??[2Jtrusted?b\n");
        assert!(table(&[line(&"x".repeat(100_000))]).len() < 3_000);
    }
}
