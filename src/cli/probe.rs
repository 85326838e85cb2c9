//! `opcell probe`: one look at a device, in all types and orders, before the cell file says which.

use std::path::PathBuf;

use clap::Args;

use super::{Answer, Global, compiled};
use crate::config::{self, Compiled};
use crate::drivers::{self, ConnectionPlan, ProbeLine};

#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Connection of the cell: CONNECTION or CELL/CONNECTION
    pub connection: String,
    /// Address, as in a tag: holding/70, 40071, coil/3
    pub address: String,
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
}

pub(crate) fn probe(args: &ProbeArgs, global: &Global) -> Answer {
    let compiled = match compiled(args.path.as_deref(), global, "") {
        Ok(compiled) => compiled,
        Err(answer) => return answer,
    };
    let connection = match select(&compiled, &args.connection) {
        Ok(connection) => connection,
        Err(error) => return Answer::failed(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Answer::failed(&format!("cannot start: {error}")),
    };
    match runtime.block_on(drivers::probe(connection, &args.address)) {
        Ok(lines) => Answer { out: table(&lines), ..Answer::default() },
        Err(error) => Answer::failed(&error.to_string()),
    }
}

pub(super) fn select<'a>(compiled: &'a Compiled, wanted: &str) -> Result<&'a ConnectionPlan, String> {
    let full_name = |plan: &ConnectionPlan| {
        let connection = &compiled.plant.connections[plan.ix];
        format!("{}/{}", compiled.plant.cells[usize::from(connection.cell)].name, plan.name)
    };
    let is_meant = |plan: &&ConnectionPlan| plan.name == wanted || full_name(plan) == wanted;
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

fn table(lines: &[ProbeLine]) -> String {
    let width = lines.iter().map(|line| line.keys.chars().count()).max().unwrap_or(0);
    lines.iter().map(|line| format!("{:width$}  {}\n", line.keys, line.value)).collect()
}
