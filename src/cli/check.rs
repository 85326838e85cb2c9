//! `opcell check`: findings first, then what would be polled and how each address reads.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Answer, Global, findings_text, path_or_default};
use crate::config::{self, Compiled, Shown};
use crate::drivers;
use crate::model::{Period, count};

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

/// Requests that are shown without `--all`.
const MOST_REQUESTS: usize = 40;

pub(crate) fn check(args: &CheckArgs, global: &Global) -> Answer {
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
        out.push_str(&plan_text(compiled, shown));
        out.push_str(&mirrors(compiled));
        out.push_str(&formulas(compiled, shown));
        out.push_str(&addresses(compiled, shown));
    }
    Answer { out, code, ..Answer::default() }
}

/// `412 tags -> 9 requests, worst scan 480 ms on plc1`, a line a connection, and below it a line a request.
fn plan_text(compiled: &Compiled, shown: Shown) -> String {
    let mut out = String::new();
    for cell in &compiled.plant.cells {
        out.push_str(&format!("{}: {}\n", cell.name, count(cell.nodes.len() - 1, "node")));
    }
    let mut left = if shown == Shown::All { usize::MAX } else { MOST_REQUESTS };
    for plan in drivers::poll_plan(&compiled.drivers) {
        let connection = &compiled.plant.connections[plan.connection];
        let tags = count(plan.tags, "tag");
        if plan.requests.is_empty() {
            out.push_str(&format!("{tags} on {}, without requests\n", connection.name));
            continue;
        }
        let requests = count(plan.requests.len(), "request");
        let late = if plan.load > 1.0 { "; too much for the poll periods, scans will come late" } else { "" };
        let scan = millis(plan.worst_scan);
        let basis = if plan.basis.is_empty() { String::new() } else { format!(" ({})", plan.basis) };
        out.push_str(&format!("{tags} -> {requests}{basis}, worst scan {scan} ms on {}{late}\n", connection.name));
        let width = plan.requests.iter().map(|request| request.place.len()).max().unwrap_or(0);
        for request in plan.requests.iter().take(left) {
            let (place, tags, period) = (&request.place, count(request.tags, "tag"), Period(request.period));
            out.push_str(&format!("  {}  {place:width$}  {tags}, every {period}\n", connection.name));
        }
        if left < plan.requests.len() {
            out.push_str(&format!("  and {}; `--all` shows each\n", count(plan.requests.len() - left, "more request")));
        }
        left = left.saturating_sub(plan.requests.len());
    }
    out
}

/// `press:Machine mirrors /Machine of plc1`, a line a folder.
fn mirrors(compiled: &Compiled) -> String {
    let mut out = String::new();
    for plan in &compiled.drivers {
        for browse in plan.browses.iter() {
            let (from, path) = (browse.start.from.as_deref().unwrap_or_default(), &browse.folder.path);
            let (cell, name) = (&plan.cell, &plan.name);
            out.push_str(&format!(
                "{cell}:{path} mirrors {from} of {name}: its nodes are known once the device has been there\n"
            ));
        }
    }
    out
}

/// `3 formulas, the longest chain has 2`, and below it those that run by the clock.
fn formulas(compiled: &Compiled, shown: Shown) -> String {
    let plant = &compiled.plant;
    if plant.derived.is_empty() {
        return String::new();
    }
    let (all, chain) = (count(plant.derived.len(), "formula"), config::longest_chain(plant));
    let mut out = format!("{all}, the longest chain has {chain}\n");
    let clocked: Vec<_> = plant.derived.iter().filter(|id| plant.tag(**id).reads_clock()).collect();
    let most = if shown == Shown::All { usize::MAX } else { MOST_ADDRESSES };
    for id in clocked.iter().take(most) {
        out.push_str(&format!("  {}  by the clock, every {}\n", plant.tag_name(**id), Period(plant.tag(**id).poll)));
    }
    if clocked.len() > most {
        out.push_str(&format!("  and {}; `--all` shows each\n", count(clocked.len() - most, "more formula")));
    }
    out
}

fn millis(span: Duration) -> u128 {
    span.as_micros().div_ceil(1_000)
}

/// Each address that may be written in several ways, in all of them.
fn addresses(compiled: &Compiled, shown: Shown) -> String {
    let points = compiled.drivers.iter().flat_map(|plan| plan.points.iter().map(move |point| (plan, point)));
    let spelled = points.filter_map(|(plan, point)| {
        let reading = plan.settings.check_point(point).ok()?;
        Some((plan, point.tag, reading.spellings)).filter(|(.., spellings)| !spellings.is_empty())
    });
    let most = if shown == Shown::All { usize::MAX } else { MOST_ADDRESSES };
    let mut out = String::new();
    let mut seen = 0;
    for (plan, tag, spellings) in spelled {
        seen += 1;
        if seen <= most {
            out.push_str(&format!("  {}  {}  {spellings}\n", compiled.plant.tag_name(tag), plan.name));
        }
    }
    if seen > most {
        out.push_str(&format!("  and {}; `--all` shows each\n", count(seen - most, "more tag")));
    }
    out
}
