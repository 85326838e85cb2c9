//! `opcell browse`: what a device has, as nodes that can be pasted into a cell file.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::probe::select;
use super::{Answer, Global, compiled};
use crate::drivers::{self, Found};

#[derive(Debug, Args)]
pub struct BrowseArgs {
    /// Connection of the cell: CONNECTION, CELL:CONNECTION or CELL/CONNECTION
    pub connection: String,
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
    /// Begin at this address of the device
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
}

pub(crate) fn browse(args: &BrowseArgs, global: &Global) -> Answer {
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
    match runtime.block_on(drivers::browse(connection, args.from.as_deref())) {
        Ok(found) if found.is_empty() => Answer::failed("the device lists nothing there"),
        Ok(found) => Answer { out: nodes(&connection.name, found), ..Answer::default() },
        Err(error) => Answer::failed(&error.to_string()),
    }
}

/// A folder of the listing, or a value.
#[derive(Default)]
struct Branch {
    value: Option<Found>,
    children: BTreeMap<String, Branch>,
}

/// The values as `nodes:` of a cell file.
fn nodes(connection: &str, found: Vec<Found>) -> String {
    let mut root = Branch::default();
    let mut taken: HashMap<String, usize> = HashMap::new();
    for one in found {
        let mut names: Vec<String> = one.path.iter().map(|name| plain(name)).collect();
        let Some(last) = names.pop() else { continue };
        // A second one of a name gets a number.
        let count = taken.entry(format!("{}.{last}", names.join("."))).or_default();
        *count += 1;
        let name = if *count == 1 { last } else { format!("{last}_{count}") };
        let place = names.into_iter().fold(&mut root, |at, name| at.children.entry(name).or_default());
        place.children.entry(name).or_default().value = Some(one);
    }
    let mut out = format!("defaults: {{ connection: {} }}\nnodes:\n", text(connection));
    write_children(&mut out, &root, 1);
    out
}

fn write_children(out: &mut String, branch: &Branch, depth: usize) {
    let indent = "  ".repeat(depth);
    for (name, child) in &branch.children {
        let mut name = text(name);
        if let Some(value) = &child.value {
            writeln!(out, "{indent}{name}: {}", node(value)).expect("a String takes all");
            name = text(&format!("{name}_parts"));
        }
        if !child.children.is_empty() {
            writeln!(out, "{indent}{name}:\n{indent}  children:").expect("a String takes all");
            write_children(out, child, depth + 2);
        }
    }
}

fn node(value: &Found) -> String {
    let mut keys = Vec::new();
    let data_type = if value.data_type.is_empty() { "Double" } else { &value.data_type };
    // A name of the device is a text like any other.
    keys.push(format!("type: {}", text(data_type)));
    if data_type == "String" || data_type == "ByteString" {
        keys.push("length: 80".to_owned());
    }
    keys.extend(value.elements.map(|elements| format!("array: {elements}")));
    let texts = [("unit", &value.unit), ("description", &value.description), ("source", &value.address)];
    keys.extend(texts.iter().filter(|(_, said)| !said.is_empty()).map(|(key, said)| format!("{key}: {}", text(said))));
    format!("{{ {} }}", keys.join(", "))
}

/// A name that a node of a cell may have.
fn plain(name: &str) -> String {
    let sign = |c: char| if c == '.' || c == '/' || c.is_control() { '_' } else { c };
    let name: String = name.chars().map(sign).collect();
    let name = name.trim_matches(|c: char| c.is_whitespace() || c == '@');
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}

/// A text in YAML: with quotes where it could be read as something else.
fn text(said: &str) -> String {
    let is_plain = said.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && said.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&said.to_ascii_lowercase().as_str());
    if is_plain { said.to_owned() } else { serde_json::Value::from(said).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &[&str], data_type: &str, unit: &str) -> Found {
        Found {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            address: path.join("/"),
            data_type: data_type.to_owned(),
            unit: unit.to_owned(),
            ..Found::default()
        }
    }

    #[test]
    fn a_listing_can_be_pasted() {
        let all = vec![
            found(&["Machine", "Speed"], "Double", "rpm"),
            found(&["Machine", "Speed"], "Int16", ""),
            found(&["Machine", "On/Off"], "Boolean", ""),
            found(&["No"], "String", ""),
        ];
        let out = nodes("plc", all);
        let wanted = "defaults: { connection: plc }\nnodes:\n  Machine:\n    children:\n      On_Off: { type: Boolean, source: Machine/On/Off }\n      \
            Speed: { type: Double, unit: rpm, source: Machine/Speed }\n      Speed_2: { type: Int16, source: Machine/Speed }\n  \
            \"No\": { type: String, length: 80, source: \"No\" }\n";
        assert_eq!(out, wanted);
    }
}
