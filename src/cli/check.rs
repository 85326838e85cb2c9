//! `opcell check`: findings first, then what would be polled and how each Modbus address reads.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Answer, Global, findings_text, path_or_default};
use crate::config::{self, Compiled, Shown};
use crate::drivers::{self, PointSettings};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
    /// Show every finding and every address
    #[arg(long)]
    pub all: bool,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// Addresses that are shown without `--all`.
const MOST_ADDRESSES: usize = 40;

pub fn check(args: &CheckArgs, global: &Global) -> Answer {
    let path = match path_or_default(args.path.as_deref()) {
        Ok(path) => path,
        Err(answer) => return answer,
    };
    let (compiled, report) = config::load(&path, &global.options());
    let code = if report.has_errors() { 2 } else { 0 };
    if args.json {
        return Answer { out: format!("{:#}\n", report.json()), code, ..Answer::default() };
    }
    let shown = if args.all { Shown::All } else { Shown::Some };
    let mut out = findings_text(&report, shown);
    if let Some(compiled) = &compiled {
        out.push_str(&plan_text(compiled));
        out.push_str(&addresses(compiled, shown));
    }
    Answer { out, code, ..Answer::default() }
}

/// `412 tags -> 9 requests, worst scan 480 ms on plc1`, a line a connection.
fn plan_text(compiled: &Compiled) -> String {
    let mut out = String::new();
    for cell in &compiled.plant.cells {
        out.push_str(&format!("{}: {} nodes\n", cell.name, cell.nodes.len() - 1));
    }
    for plan in drivers::poll_plan(&compiled.drivers) {
        let connection = &compiled.plant.connections[plan.connection.0 as usize];
        let tags = if plan.tags == 1 { "1 tag".to_owned() } else { format!("{} tags", plan.tags) };
        if plan.requests == 0 {
            out.push_str(&format!("{tags} on {}, without requests\n", connection.name));
            continue;
        }
        let requests = if plan.requests == 1 { "1 request".to_owned() } else { format!("{} requests", plan.requests) };
        let late = if plan.load > 1.0 { "; too much for the poll periods, scans will come late" } else { "" };
        let scan = millis(plan.worst_scan);
        out.push_str(&format!("{tags} -> {requests}, worst scan {scan} ms on {}{late}\n", connection.name));
    }
    out
}

fn millis(span: Duration) -> u128 {
    span.as_micros().div_ceil(1_000)
}

/// Both readings of each Modbus address.
fn addresses(compiled: &Compiled, shown: Shown) -> String {
    let points = compiled.drivers.iter().flat_map(|connection| {
        let modbus = connection.points.iter().filter(|point| matches!(point.settings, PointSettings::Modbus(_)));
        modbus.map(move |point| (connection, point))
    });
    let most = if shown == Shown::All { usize::MAX } else { MOST_ADDRESSES };
    let mut out = String::new();
    let mut count = 0;
    for (connection, point) in points {
        count += 1;
        if count > most {
            continue;
        }
        if let Ok(reading) = drivers::check_point(&connection.settings, point) {
            let name = compiled.plant.tag_name(point.tag);
            out.push_str(&format!("  {name}  {}  {}\n", connection.name, reading.spellings));
        }
    }
    if count > most {
        out.push_str(&format!("  and {} more; `--all` shows each\n", count - most));
    }
    out
}
