//! Keys that are right in another mapping: where they belong, and what to write there.

use super::docs::{DOCS, Key};
use super::source::{Ix, Source};

/// A struct of the schema and how a person calls the place that it is read at.
type Home = (&'static str, &'static str);

const TAG: Home = ("NodeSpec", "at the tag itself, next to `source`");
const NODE: Home = ("NodeSpec", "at a node");
const SOURCE: Home = ("SourceSpec", "`source`");
const SCALE: Home = ("Scale", "`scale`");
const CONNECTION: &str = "at the connection, under `connections`";
const DEFAULTS: Home = ("Defaults", "in `defaults` of the cell file, or at a node");
const CELL: Home = ("CellFile", "at the top of a cell file");
const CLASS: Home = ("HistoryClass", "in a class under `history` of a cell file");
const SERVER: Home = ("ServerFile", "at the top of the server file");
const SECURITY: Home = ("Security", "in `security` of the server file");
const CERTIFICATE: Home = ("Certificate", "in `security.certificate` of the server file");
const LIMITS: Home = ("ServerLimits", "in `limits` of the server file");
const STORE: Home = ("HistoryStore", "in `history` of the server file");
const AUDIT: Home = ("Audit", "in `audit` of the server file");
const USER: Home = ("User", "at a user, under `users` of the server file");
const TYPE: Home = ("ObjectType", "at a type, under `types.objects`");
const SERVERS: [Home; 7] = [SERVER, SECURITY, LIMITS, CERTIFICATE, STORE, AUDIT, USER];

/// The structs that read a source's keys of some driver.
fn points() -> impl Iterator<Item = Home> {
    DOCS.drivers().iter().filter_map(|of| Some((of.source.as_deref()?, "`source`")))
}

/// The structs that read a connection.
fn connections() -> impl Iterator<Item = Home> {
    std::iter::once(("Connection", CONNECTION))
        .chain(DOCS.drivers().iter().map(|of| (of.connection.as_str(), CONNECTION)))
}

fn is_point(owner: &str) -> bool {
    points().any(|(name, _)| name == owner)
}

fn is_connection(owner: &str) -> bool {
    connections().any(|(name, _)| name == owner)
}

/// Where a key of this struct's mapping may be meant, the nearest place first.
fn homes(owner: &str) -> Vec<Home> {
    let mut homes = match owner {
        "NodeSpec" => std::iter::once(SOURCE).chain(points()).chain([SCALE]).collect(),
        "SourceSpec" => vec![TAG, SCALE],
        "Scale" => std::iter::once(TAG).chain(points()).chain([SOURCE]).collect(),
        owner if is_point(owner) => vec![TAG, SCALE],
        owner if is_connection(owner) => [DEFAULTS, SOURCE].into_iter().chain(points()).chain([NODE, SCALE]).collect(),
        "Defaults" => vec![NODE, CELL],
        "Access" | "Param" => vec![NODE],
        "HistoryClass" => vec![NODE, STORE],
        "ObjectType" => vec![NODE, SOURCE],
        "CellFile" | "IncludedFile" => vec![DEFAULTS, CELL],
        "Types" => vec![CELL],
        "ServerFile" => vec![SECURITY, LIMITS, CERTIFICATE, STORE, AUDIT, ("Application", "in `application`")],
        "Security" => vec![CERTIFICATE],
        "HistoryStore" => vec![CLASS],
        _ => Vec::new(),
    };
    let is_of_server = SERVERS.iter().any(|(name, _)| *name == owner) || matches!(owner, "Application" | "OwnRole");
    if is_of_server {
        homes.extend(SERVERS);
        homes.extend([CELL, DEFAULTS]);
        homes.extend(connections());
    } else {
        homes.extend(connections());
        homes.extend([TYPE, CELL, CLASS]);
        homes.extend(SERVERS);
    }
    if matches!(owner, "CellFile" | "IncludedFile") {
        homes.extend([NODE, SOURCE]);
        homes.extend(points());
    }
    homes.retain(|(name, _)| *name != owner);
    homes
}

/// Where a key that its mapping doesn't know belongs: the message and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misplaced {
    pub message: String,
    pub help: String,
}

/// One end of a pair, with the key of the pair and the struct that has it.
#[rustfmt::skip]
const ENDS: [(&[&str], &str, Home, bool); 6] = [
    (&["min", "minimum", "low", "lo", "lower", "eu_low", "low_limit", "range_min"], "range", TAG, false),
    (&["max", "maximum", "high", "hi", "upper", "eu_high", "high_limit", "range_max"], "range", TAG, true),
    (&["raw_min", "raw_low", "raw_lo", "min_raw"], "raw", SCALE, false), (&["raw_max", "raw_high", "raw_hi", "max_raw"], "raw", SCALE, true),
    (&["eu_min", "scaled_low", "scaled_min", "eng_low"], "eu", SCALE, false), (&["eu_max", "scaled_high", "scaled_max", "eng_high"], "eu", SCALE, true),
];

/// A key that its mapping doesn't know, and its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stray<'a> {
    /// The struct that reads the mapping.
    pub owner: &'a str,
    pub mapping: Ix,
    pub word: &'a str,
    pub value: Ix,
}

/// The exact key of another mapping.
pub(crate) fn exact(source: &Source, stray: Stray<'_>) -> Option<Misplaced> {
    let Stray { owner, mapping, word, .. } = stray;
    if let Some(ends) = ends(source, owner, mapping, word) {
        return Some(ends);
    }
    homes(owner).into_iter().find_map(|home| {
        let key = DOCS.key(home.0, word)?;
        Some(belongs(source, stray, home, key))
    })
}

/// Another product's word for a key of another mapping.
pub(crate) fn foreign(source: &Source, stray: Stray<'_>) -> Option<Misplaced> {
    let lower = stray.word.to_lowercase();
    homes(stray.owner).into_iter().find_map(|home| {
        let key = DOCS.keys(home.0).iter().find(|key| key.also.contains(&lower) || key.name == lower)?;
        Some(belongs(source, stray, home, key))
    })
}

fn belongs(source: &Source, stray: Stray<'_>, home: Home, key: &Key) -> Misplaced {
    let Stray { owner, mapping, word, value } = stray;
    let name = key.name.as_str();
    if let (Some(driver), true) = (driver_of(home.0), is_connection(owner)) {
        let help = format!("`{name}` is a key of `{driver}`; delete it here, or change `driver`");
        return Misplaced { message: format!("`{word}` does not belong here"), help };
    }
    let message = format!("`{word}` does not belong here");
    let shown = if source.is_scalar(value) { source.shown(value) } else { "…" };
    let help = match home {
        (name_of_home, _) if home == SOURCE || is_point(name_of_home) => {
            let address = source.get(mapping, "source").filter(|at| source.is_scalar(*at));
            let address = address.map_or("…", |at| source.shown(at));
            let first = if name == "address" { String::new() } else { format!("address: {address}, ") };
            format!("`{name}` belongs in `source`: write `source: {{ {first}{name}: {shown} }}`")
        }
        SCALE => format!("`{name}` belongs in `scale`: write `scale: {{ {name}: {shown} }}`"),
        (_, place) => format!("write `{name}: {shown}` {place}"),
    };
    Misplaced { message, help }
}

/// The driver whose connections this struct reads.
fn driver_of(name: &str) -> Option<&'static str> {
    DOCS.drivers().iter().find(|of| of.connection == name).map(|of| of.driver)
}

/// `min` and `max` are the two ends of one key.
fn ends(source: &Source, owner: &str, mapping: Ix, word: &str) -> Option<Misplaced> {
    if !matches!(owner, "NodeSpec" | "SourceSpec" | "Scale") && !is_point(owner) {
        return None;
    }
    let (_, key, home, _) = ENDS.iter().find(|(words, ..)| words.contains(&word.to_lowercase().as_str()))?;
    let end = |is_high: bool| {
        let words =
            ENDS.iter().filter(|(_, other, _, high)| other == key && *high == is_high).flat_map(|(words, ..)| *words);
        let given = words.filter_map(|word| source.get(mapping, word)).find(|at| source.is_scalar(*at));
        given.map_or(if is_high { "high" } else { "low" }, |at| source.shown(at))
    };
    let pair = format!("{key}: [{}, {}]", end(false), end(true));
    let help = match (owner == home.0, home.0) {
        (true, _) => format!("write `{pair}`"),
        (_, "Scale") => format!("write `scale: {{ {pair} }}`"),
        _ => format!("write `{pair}` {}", home.1),
    };
    Some(Misplaced { message: format!("`{word}` is one end of `{key}`"), help })
}
