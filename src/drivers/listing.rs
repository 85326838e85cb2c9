//! Listings of what devices have, in the form that all drivers share, and names for what is listed. Pure.
//!
//! `opcell browse` prints a listing, and a folder with `browse:` mirrors one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::is_plain;

/// Bytes of one name, and of all names of a value together.
const MOST_NAME: usize = 512;
const MOST_NAMES: usize = 2_048;
/// Bytes of a description, a unit or an address.
const MOST_TEXT: usize = 1_024;
/// Values of an enumeration.
const MOST_VALUES: usize = 4_096;
/// Values of a listing that waits, and parts about which it speaks.
const MOST_WAITING: usize = 1_000_000;
const MOST_PARTS: usize = 10_000;
/// Folders within folders.
const MOST_LEVELS: usize = 50;

/// A value that a device says it has, as a tag of a cell file would read it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Found {
    /// Names from where the listing began down to the value.
    pub path: Vec<String>,
    pub address: String,
    /// DataType of the tag; empty where the device does not tell.
    pub data_type: String,
    /// Elements in each dimension; empty for a scalar.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Lowest and highest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// The enumeration that the value is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
    /// The device lets this session write it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_write: bool,
}

impl Found {
    /// Whether a number of this value means the same by another listing.
    pub(crate) fn means_the_same(&self, other: &Found) -> bool {
        let of_type = self.data_type == other.data_type && self.dimensions == other.dimensions;
        of_type && self.unit == other.unit && self.range == other.range && self.texts == other.texts
    }
}

/// An enumeration as a device has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Texts {
    pub name: String,
    pub values: Vec<(i32, String)>,
}

/// Where a listing begins, and how far it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// An address of the device; `None` for all that it has.
    pub from: Option<String>,
    /// Levels.
    pub depth: usize,
    /// Values, at most.
    pub most: usize,
}

impl Start {
    /// Whether a value is no deeper than wanted.
    pub(crate) fn reaches(&self, path: &[String]) -> bool {
        path.len() <= self.depth
    }
}

/// Values that a device has.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    pub found: Vec<Found>,
    /// Values that were left out: no tag has their type.
    pub untyped: usize,
    /// There were more than were wanted; they were left out.
    pub is_cut: bool,
    /// Beginnings of the addresses about which this listing speaks; empty for all. Others are as they were.
    pub covers: Vec<String>,
}

impl Listing {
    /// Whether a value that it lacks is no longer there.
    pub(crate) fn covers(&self, address: &str) -> bool {
        self.covers.is_empty() || self.covers.iter().any(|start| address.starts_with(start))
    }

    /// Takes a later listing of the same device, which may speak of a part of it.
    pub(crate) fn absorb(&mut self, later: Listing) {
        if later.covers.is_empty() {
            *self = later;
            return;
        }
        self.found.retain(|found| !later.covers(&found.address));
        // Parts that come in any number stay bounded.
        let room = MOST_WAITING.saturating_sub(self.found.len());
        self.is_cut |= later.found.len() > room;
        self.found.extend(later.found.into_iter().take(room));
        self.untyped += later.untyped;
        self.is_cut |= later.is_cut;
        if !self.covers.is_empty() {
            let new = later.covers.into_iter().filter(|start| !self.covers.contains(start)).collect::<Vec<_>>();
            let room = MOST_PARTS.saturating_sub(self.covers.len());
            self.covers.extend(new.into_iter().take(room));
        }
    }

    /// A listing of these values, as far as they are wanted.
    pub(crate) fn of(start: &Start, all: impl IntoIterator<Item = Found>) -> Listing {
        let mut listing = Listing::default();
        all.into_iter().for_each(|found| listing.add(start, found));
        listing
    }

    /// Adds a value, unless there are enough.
    pub(crate) fn add(&mut self, start: &Start, found: Found) {
        if !start.reaches(&found.path) {
            return;
        }
        match self.found.len() < start.most {
            true => self.found.push(found),
            false => self.is_cut = true,
        }
    }
}

/// A folder of a cell that mirrors what a device has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Folder {
    /// Namespace of its cell.
    pub namespace: String,
    /// Path of the folder in its cell.
    pub path: String,
}

/// A folder with `browse`, as its connection knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowsePlan {
    pub folder: Folder,
    /// `from` is always there.
    pub start: Start,
    /// Tags that are mirrored now, and values that no tag could be made of.
    pub mirrored: usize,
    pub refused: usize,
    /// How often the device has described one of its values otherwise.
    pub descriptions: u64,
}

/// The nodes of a folder as they were listed last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kept {
    pub driver: String,
    /// Where the listing began.
    pub from: String,
    /// With paths that nodes of a cell may have, each once.
    pub values: Vec<Found>,
    /// Those that were there since the start, and no longer are.
    pub gone: Vec<Found>,
    /// How often a value was described otherwise since the start: two revisions that differ in it alone differ too.
    pub descriptions: u64,
}

/// The mirrored nodes of all folders, for the compilation of a cell.
pub trait Mirrors: std::fmt::Debug + Send + Sync {
    fn kept(&self, folder: &Folder) -> Option<Arc<Kept>>;

    /// Itself, for its owner.
    fn own(self: Arc<Self>) -> Arc<dyn std::any::Any + Send + Sync>;
}

/// A text of a device, without what no terminal and no client can show, and not too long.
pub(crate) fn readable(text: &str) -> String {
    let kept: String = text.chars().filter(|letter| is_plain(*letter)).collect();
    let end = (0..=MOST_TEXT.min(kept.len())).rev().find(|end| kept.is_char_boundary(*end)).unwrap_or(0);
    kept[..end].trim().to_owned()
}

/// A name that a node of a cell may have.
fn plain(name: &str) -> String {
    let sign = |letter: char| match letter {
        '.' | '/' | '{' | '}' => '_',
        letter if !is_plain(letter) => '_',
        letter => letter,
    };
    let name: String = name.chars().map(sign).collect();
    let name = name.trim_matches(|letter: char| letter.is_whitespace() || letter == '@');
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}

/// The values with names that nodes of a cell may have, each path once, and how many were left out: their names or addresses are too long,
/// or their addresses came before.
///
/// A value whose address is `known` keeps its path, whatever else is listed. Of equal paths the second gets `_2`. Below a value there
/// can be no other: those below it go into a folder of its name and `_parts`.
pub(crate) fn with_names(found: Vec<Found>, known: &HashMap<&str, &[String]>) -> Named {
    let mut names = Names::default();
    let mut left_out = 0;
    let mut seen = HashSet::new();
    let mut of_known = Vec::new();
    let mut of_others = Vec::new();
    for mut one in found {
        let is_long = |name: &String| name.len() > MOST_NAME;
        let length: usize = one.path.iter().map(|name| name.len() + 1).sum();
        let is_fit = !one.path.is_empty() && one.path.len() <= MOST_LEVELS && length <= MOST_NAMES;
        let is_bad = !is_fit || one.path.iter().any(is_long) || one.address.len() > 2 * MOST_TEXT + MOST_NAMES;
        if is_bad || !seen.insert(one.address.clone()) {
            left_out += 1;
            continue;
        }
        (one.unit, one.description) = (readable(&one.unit), readable(&one.description));
        one.texts = one.texts.and_then(checked);
        one.range = one.range.filter(|(low, high)| low.is_finite() && high.is_finite() && low < high);
        match known.get(one.address.as_str()) {
            Some(path) => {
                one.path = path.to_vec();
                of_known.push(one);
            }
            None => {
                one.path = one.path.iter().map(|name| plain(name)).collect();
                of_others.push(one);
            }
        }
    }
    // Values before what is below them.
    of_others.sort_by_key(|one| one.path.len());
    let mut all = Vec::with_capacity(of_known.len() + of_others.len());
    for one in of_known {
        match names.take(&one.path) {
            true => all.push(one),
            false => of_others.push(one),
        }
    }
    // Those of one name are told apart in the order of their addresses, which does not change as the device's own may.
    let mut order: Vec<usize> = (0..of_others.len()).collect();
    order.sort_by(|one, other| {
        let key = |at: usize| (of_others[at].path.len(), &of_others[at].address);
        key(*one).cmp(&key(*other))
    });
    for at in order {
        of_others[at].path = names.place(std::mem::take(&mut of_others[at].path));
    }
    all.extend(of_others);
    Named { all, left_out }
}

/// Those of `others` whose paths are free next to `values`, and to each other: the first come first.
pub(crate) fn free_of(values: &[Found], others: impl Iterator<Item = Found>) -> Vec<Found> {
    let mut names = Names::default();
    for value in values {
        names.take(&value.path);
    }
    others.filter(|other| names.take(&other.path)).collect()
}

/// Values with their names.
pub(crate) struct Named {
    pub all: Vec<Found>,
    pub left_out: usize,
}

/// Each number and each text once; `None` where nothing is left.
fn checked(texts: Texts) -> Option<Texts> {
    let (mut numbers, mut words) = (HashSet::new(), HashSet::new());
    let values: Vec<(i32, String)> = texts
        .values
        .into_iter()
        .map(|(number, text)| (number, readable(&text)))
        .map(|(number, text)| (number, if text.is_empty() { number.to_string() } else { text }))
        .map(|(number, text)| (number, if words.insert(text.clone()) { text } else { format!("{text} ({number})") }))
        .filter(|(number, _)| numbers.insert(*number))
        .take(MOST_VALUES)
        .collect();
    let name = plain(&readable(&texts.name));
    (!values.is_empty()).then_some(Texts { name, values })
}

/// Paths that are taken.
#[derive(Default)]
struct Names {
    values: HashSet<Vec<String>>,
    folders: HashSet<Vec<String>>,
    /// The number that was given last, by the path without one: those below it are taken.
    counts: HashMap<Vec<String>, usize>,
}

impl Names {
    /// Takes a path as it is; false where it is not free.
    fn take(&mut self, path: &[String]) -> bool {
        let is_free = !self.values.contains(path)
            && !self.folders.contains(path)
            && (1..path.len()).all(|length| !self.values.contains(&path[..length]));
        if is_free {
            self.values.insert(path.to_vec());
            self.folders.extend((1..path.len()).map(|length| path[..length].to_vec()));
        }
        is_free
    }

    /// Takes the free path that is nearest.
    fn place(&mut self, mut path: Vec<String>) -> Vec<String> {
        for at in 0..path.len().saturating_sub(1) {
            while self.values.contains(&path[..=at]) {
                path[at].push_str("_parts");
            }
        }
        let Some(last) = path.last().cloned() else { return path };
        if self.take(&path) {
            return path;
        }
        let begin = path.clone();
        let mut count = self.counts.get(&begin).copied().unwrap_or(1);
        while !self.take(&path) {
            count += 1;
            if let Some(name) = path.last_mut() {
                *name = format!("{last}_{count}");
            }
        }
        self.counts.insert(begin, count);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &[&str], address: &str) -> Found {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Found { path, address: address.to_owned(), ..Found::default() }
    }

    fn paths(named: &Named) -> Vec<String> {
        named.all.iter().map(|one| format!("{}={}", one.path.join("."), one.address)).collect()
    }

    #[test]
    fn each_value_gets_a_path_of_its_own_that_a_cell_may_have() {
        let long = "x".repeat(1 << 20);
        let all = vec![
            found(&["Speed", "Setpoint"], "1"),
            found(&["Speed"], "2"),
            found(&["Speed"], "3"),
            found(&["@x"], "4"),
            found(&[""], "5"),
            found(&["a\u{7}b", "c/d.e{f}"], "6"),
            found(&[&long], "7"),
            found(&["Speed"], "3"),
            found(&["Speed_2"], "8"),
            found(&vec!["deep"; 51], "9"),
            found(&[], "10"),
        ];
        let named = with_names(all, &HashMap::new());
        assert_eq!(
            paths(&named),
            ["Speed=2", "Speed_2=3", "x=4", "_=5", "Speed_2_2=8", "Speed_parts.Setpoint=1", "a_b.c_d_e_f_=6"]
        );
        assert_eq!(named.left_out, 4);
    }

    #[test]
    fn a_known_value_keeps_its_path_whatever_else_is_listed() {
        let speed = ["Speed_2".to_owned()];
        let known = HashMap::from([("b", &speed[..])]);
        let named = with_names(vec![found(&["Speed"], "c"), found(&["Speed"], "b"), found(&["Speed_2"], "a")], &known);
        assert_eq!(paths(&named), ["Speed_2=b", "Speed=c", "Speed_2_2=a"]);
    }

    #[test]
    fn the_devices_order_changes_no_name() {
        let all: Vec<Found> = (0..300).map(|n| found(&["Speed"], &format!("a{n:03}"))).collect();
        let names = |all: Vec<Found>| {
            let named = with_names(all, &HashMap::new()).all;
            let mut names: Vec<_> = named.into_iter().map(|one| (one.address, one.path)).collect();
            names.sort();
            names
        };
        let there = names(all.clone());
        assert_eq!(there[0].1, ["Speed"]);
        assert_eq!(there[299].1, ["Speed_300"]);
        assert_eq!(names(all.into_iter().rev().collect()), there);
    }

    #[test]
    fn texts_of_an_enumeration_are_each_there_once() {
        let of = |values: &[(i32, &str)]| {
            let values = values.iter().map(|(number, text)| (*number, (*text).to_owned())).collect();
            checked(Texts { name: "State".into(), values }).map(|texts| texts.values)
        };
        assert_eq!(of(&[]), None);
        let wanted = [(0, "Off"), (1, "On"), (2, "On (2)"), (3, "3")].map(|(number, text)| (number, text.to_owned()));
        assert_eq!(of(&[(0, "Off"), (1, "On"), (2, "On"), (0, "Twice"), (3, "")]), Some(wanted.to_vec()));
    }
}
