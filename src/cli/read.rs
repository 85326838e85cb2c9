//! `opcell read`: one scan of devices without a server and without a client.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::text::shown_within;
use super::{Answer, Global, compiled};
use crate::app::{self, Scanned};
use crate::config::{self, Compiled};
use crate::control::{self, Request};
use crate::model::TagId;
use crate::value::{status_to_text, time_to_text};

const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
pub struct ReadArgs {
    /// Tags: PATH or CELL:PATH, with `*` for any characters; all tags where none is named. The last may be the cell file,
    /// server file or folder (default: ./address-space)
    pub tags: Vec<String>,
    /// Wait at most so long for a first value of each tag
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub wait: f64,
    /// Print JSON, an object for each tag
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn read(args: &ReadArgs, global: &Global) -> Answer {
    let (patterns, path) = split(&args.tags);
    let compiled = match compiled(path.as_deref(), global, "") {
        Ok(compiled) => compiled,
        Err(answer) => return answer,
    };
    let wanted = match select(&compiled, patterns) {
        Ok(wanted) => wanted,
        Err(error) => return Answer::failed(&error),
    };
    let wait = Duration::try_from_secs_f64(args.wait).ok().filter(|wait| *wait <= LONGEST_WAIT);
    let Some(wait) = wait else {
        return Answer::failed(&format!("--wait {} is out of range 0..3600 seconds", args.wait));
    };
    if control::ask(&compiled.server.state_dir, &Request::Status).is_ok() {
        // Many devices take one connection at a time, and a broker throws out the first of two equal clients.
        return Answer::failed("a server runs with these files: ask it with a client, or stop it first");
    }
    match app::scan(compiled, &wanted, wait) {
        Ok(all) => {
            let is_whole = all.iter().all(|one| !one.sample.status.is_bad());
            let out = if args.json { json_lines(&all) } else { table(&all) };
            Answer { out, code: u8::from(!is_whole), ..Answer::default() }
        }
        Err(error) => Answer::failed(&format!("cannot start: {error}")),
    }
}

/// The patterns, and the path where the last argument is one.
fn split(given: &[String]) -> (&[String], Option<PathBuf>) {
    match given.split_last() {
        Some((last, patterns)) if std::path::Path::new(last).exists() => (patterns, Some(last.into())),
        _ => (given, None),
    }
}

/// The tags that patterns name, in the order of the files; all without a pattern.
fn select(compiled: &Compiled, patterns: &[String]) -> Result<Vec<TagId>, String> {
    let plant = &compiled.plant;
    let names: Vec<(TagId, String, String)> = plant
        .tags
        .iter()
        .map(|(id, tag)| {
            let cell = &plant.cells[usize::from(tag.cell)];
            let path = cell.path(tag.node);
            (id, format!("{}:{path}", cell.name), path)
        })
        .collect();
    let mut is_wanted = vec![patterns.is_empty(); names.len()];
    for pattern in patterns {
        let mut count = 0;
        for (at, (_, full, path)) in names.iter().enumerate() {
            if matches(pattern, full) || matches(pattern, path) {
                is_wanted[at] = true;
                count += 1;
            }
        }
        if count == 0 {
            let hint = config::did_you_mean(pattern, names.iter().map(|(_, _, path)| path.as_str()));
            let hint = if hint.is_empty() { "`opcell tree` prints all tags".to_owned() } else { hint };
            return Err(format!("no tag `{pattern}`; {hint}"));
        }
    }
    Ok(names.iter().zip(is_wanted).filter(|(_, wanted)| *wanted).map(|((id, ..), _)| *id).collect())
}

/// Whether a name is that of the pattern, whose `*` are any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn table(all: &[Scanned]) -> String {
    let mut rows = vec![["TAG", "RAW", "VALUE", "STATUS", ""].map(str::to_owned)];
    for one in all {
        let value = |value: Option<&crate::value::Value>| value.map_or_else(|| "-".to_owned(), |value| value.shown());
        let has_value = !one.sample.status.is_bad();
        rows.push([
            one.tag.clone(),
            shown_within(&value(one.raw.as_ref()), 40),
            shown_within(&value(has_value.then_some(&one.sample.value)), 40),
            status_to_text(one.sample.status),
            shown_within(&one.why, 200),
        ]);
    }
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect::<String>();
        format!("{}\n", format!("{cells}{}", row[4]).trim_end())
    };
    rows.iter().map(line).collect()
}

fn json_lines(all: &[Scanned]) -> String {
    let line = |one: &Scanned| {
        let value = if one.sample.status.is_bad() { None } else { Some(one.sample.value.shown()) };
        let object = json!({
            "tag": one.tag,
            "raw": one.raw.as_ref().map(|raw| raw.shown()),
            "value": value,
            "status": status_to_text(one.sample.status),
            "time": time_to_text(one.sample.source_time),
            "why": one.why,
        });
        format!("{object}\n")
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, is_match) in [
            ("Pump.Speed", "Pump.Speed", true),
            ("Pump", "Pump.Speed", false),
            ("Pump.*", "Pump.Speed", true),
            ("*Speed", "press:Pump.Speed", true),
            ("press:*", "press:Pump.Speed", true),
            ("*.*d", "Pump.Speed", true),
            ("P*S*d", "Pump.Speed", true),
            ("P*S*x", "Pump.Speed", false),
            ("*", "", true),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
        }
    }
}
