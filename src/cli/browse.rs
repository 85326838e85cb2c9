//! `opcell browse`: what a device has, as nodes that can be pasted into a cell file.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::probe::{select, way_in};
use super::{Answer, Global, compiled};
use crate::app;
use crate::config;
use crate::drivers::{self, Found, Start};
use crate::model::count;

#[derive(Debug, Args)]
pub struct BrowseArgs {
    /// Connection of the cell: CONNECTION, CELL:CONNECTION or CELL/CONNECTION
    pub connection: String,
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
    /// Begin at this address of the device
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Levels below the beginning, at most 30: a cell file has no place for more
    #[arg(long, value_name = "LEVELS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=30))]
    pub depth: u16,
    /// Values, at most
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_nodes: u32,
}

pub(crate) fn browse(args: &BrowseArgs, global: &Global) -> Answer {
    let compiled = match compiled(args.path.as_deref(), global, "") {
        Ok(compiled) => compiled,
        Err(answer) => return answer,
    };
    let connection = match select(&compiled, &args.connection) {
        Ok(connection) => connection.scan(),
        Err(error) => return Answer::failed(&error),
    };
    let client = way_in(&compiled, &connection);
    let start = Start { from: args.from.clone(), depth: args.depth.into(), most: args.max_nodes as usize };
    let look = app::once(client.as_ref(), async |application| drivers::browse(&connection, application, &start).await);
    let listing = match look {
        Ok(Ok(listing)) => listing,
        Ok(Err(error)) => return Answer::failed(&error.to_string()),
        Err(error) => return Answer::failed(&format!("cannot start: {error}")),
    };
    let is_cut = listing.is_cut;
    let untyped = listing.untyped;
    let named = drivers::with_names(listing.found, &HashMap::new());
    let mut err = String::new();
    let mut note = |text: String| err.push_str(&format!("note: {text}\n"));
    if untyped > 0 {
        note(format!("{} left out: no tag has their type", count(untyped, "value")));
    }
    if named.left_out > 0 {
        note(format!(
            "{} left out: their names are too long, or they were listed twice",
            count(named.left_out, "value")
        ));
    }
    if is_cut {
        note(format!("there are more than {} values: begin at one with --from, or raise --max-nodes", args.max_nodes));
    }
    if named.all.is_empty() {
        return Answer { err: format!("{err}error: the device lists nothing there\n"), code: 1, ..Answer::default() };
    }
    Answer { out: nodes(&connection.name, named.all), err, ..Answer::default() }
}

/// A folder of the listing, or a value.
#[derive(Default)]
struct Branch {
    value: Option<Found>,
    children: BTreeMap<String, Branch>,
}

/// The values as `nodes:` of a cell file, with the enumerations that they are of.
fn nodes(connection: &str, found: Vec<Found>) -> String {
    let mut out = format!("defaults: {{ connection: {} }}\n", text(connection));
    let mut root = Branch::default();
    let mut enumerations: BTreeMap<String, Vec<(i32, String)>> = BTreeMap::new();
    for mut one in found {
        if let Some(texts) = &one.texts {
            one.data_type = enumeration(&mut enumerations, &texts.name, &texts.values);
        }
        let (last, folders) = one.path.split_last().expect("a value has a name");
        let place = folders.iter().fold(&mut root, |at, name| at.children.entry(name.clone()).or_default());
        let place = place.children.entry(last.clone()).or_default();
        place.value = Some(one);
    }
    if !enumerations.is_empty() {
        out.push_str("types:\n  enums:\n");
        for (name, values) in &enumerations {
            let values: Vec<String> = values.iter().map(|(number, said)| format!("{number}: {}", text(said))).collect();
            writeln!(out, "    {}: {{ {} }}", text(name), values.join(", ")).expect("a String takes all");
        }
    }
    out.push_str("nodes:\n");
    write_children(&mut out, &root, 1);
    out
}

/// The name of an enumeration with these values.
fn enumeration(known: &mut BTreeMap<String, Vec<(i32, String)>>, name: &str, values: &[(i32, String)]) -> String {
    let mut names = std::iter::once(name.to_owned()).chain((2..).map(|number: usize| format!("{name}_{number}")));
    let is_right =
        |name: &String| !config::is_data_type(name) && known.get(name).is_none_or(|known| known.as_slice() == values);
    let name = names.find(is_right).expect("there is no end of numbers");
    known.entry(name.clone()).or_insert_with(|| values.to_vec());
    name
}

fn write_children(out: &mut String, branch: &Branch, depth: usize) {
    let indent = "  ".repeat(depth);
    for (name, child) in &branch.children {
        let name = text(name);
        if let Some(value) = &child.value {
            writeln!(out, "{indent}{name}: {}", node(value)).expect("a String takes all");
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
    match value.dimensions[..] {
        [] => {}
        [elements] => keys.push(format!("array: {elements}")),
        ref several => keys.push(format!("array: {several:?}")),
    }
    if let Some((low, high)) = value.range {
        keys.push(format!("range: [{low}, {high}]"));
    }
    let texts = [("unit", &value.unit), ("description", &value.description), ("source", &value.address)];
    keys.extend(texts.iter().filter(|(_, said)| !said.is_empty()).map(|(key, said)| format!("{key}: {}", text(said))));
    format!("{{ {} }}", keys.join(", "))
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
    use crate::drivers::Texts;

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
        let state = Texts { name: "State".into(), values: vec![(0, "Off".into()), (1, "On: full".into())] };
        let all = vec![
            found(&["Machine", "Speed"], "Double", "rpm"),
            Found { range: Some((0.0, 27.5)), dimensions: vec![2, 3], ..found(&["Machine", "Heads"], "Int16", "") },
            Found { texts: Some(state), ..found(&["State"], "Int32", "") },
            found(&["No"], "String", ""),
        ];
        let out = nodes("plc", all);
        let wanted = "defaults: { connection: plc }\ntypes:\n  enums:\n    State: { 0: \"Off\", 1: \"On: full\" }\nnodes:\n  \
            Machine:\n    children:\n      Heads: { type: Int16, array: [2, 3], range: [0, 27.5], source: Machine/Heads }\n      \
            Speed: { type: Double, unit: rpm, source: Machine/Speed }\n  \
            \"No\": { type: String, source: \"No\" }\n  State: { type: State, source: State }\n";
        assert_eq!(out, wanted);
    }

    #[test]
    fn enumerations_of_one_name_and_other_values_get_a_number() {
        let mut known = BTreeMap::new();
        let values = |text: &str| vec![(0, text.to_owned())];
        for (name, text, wanted) in [
            ("State", "Off", "State"),
            ("State", "Aus", "State_2"),
            ("State", "Aus", "State_2"),
            ("State", "Off", "State"),
            ("Double", "x", "Double_2"),
        ] {
            assert_eq!(enumeration(&mut known, name, &values(text)), wanted);
        }
    }
}
