//! Decodes one entry, again and again, until each of its mistakes is found.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use serde::de::Deserialize;

use super::NodeDe;
use super::error::Error;
use crate::config::docs::DOCS;
use crate::config::report::Findings;
use crate::config::source::{Ix, Kind, Source};

/// Whose keys an entry has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keys<'a> {
    /// The driver that the entry's structs belong to.
    driver: Option<&'a str>,
    /// Name in `DOCS` of the outermost struct, where that is not its own.
    owner: Option<&'static str>,
    /// Structs that read other keys of the outermost mapping.
    pub other: &'a [&'a str],
}

impl<'a> Keys<'a> {
    /// The keys of the struct alone.
    pub(crate) const OWN: Keys<'static> = Keys { driver: None, owner: None, other: &[] };

    /// The struct's keys, next to those of others.
    pub(crate) fn beside(other: &'a [&'a str]) -> Keys<'a> {
        Keys { other, ..Keys::OWN }
    }

    /// The keys of a driver's struct, next to those that all drivers share.
    pub(crate) fn of_driver(driver: &'a str, owner: &'static str, other: &'a [&'a str]) -> Keys<'a> {
        Keys { driver: Some(driver), owner: Some(owner), other }
    }
}

/// Whether an entry with this finding is worth further checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It is clear what was meant, and it was read so.
    GoOn,
    Stop,
}

/// Decodes the entry at `ix`; `None` when it had findings that leave its meaning open.
pub(crate) fn decode<'a, T: Deserialize<'a>>(
    source: &'a Source,
    ix: Ix,
    keys: Keys<'a>,
    findings: &mut Findings,
) -> Option<T> {
    let (value, wrong) = decode_noting(source, ix, keys, findings);
    value.filter(|_| wrong.is_none())
}

/// Faults of an entry: the nodes whose text doesn't fit, none of them where only keys are unknown or missing.
pub(crate) type Wrong = Option<Vec<Ix>>;

/// The value with neutral parts in place of the wrong ones, and what was wrong.
fn decode_noting<'a, T: Deserialize<'a>>(
    source: &'a Source,
    ix: Ix,
    keys: Keys<'a>,
    findings: &mut Findings,
) -> (Option<T>, Wrong) {
    let shared = Shared {
        source,
        root: ix,
        keys,
        holes: RefCell::default(),
        missing: RefCell::default(),
        noted: RefCell::default(),
        is_clear: Cell::new(true),
        findings: RefCell::new(findings),
    };
    loop {
        let error = match T::deserialize(NodeDe { shared: &shared, ix, limits: None, field: None }) {
            Ok(value) => return (Some(value), shared.wrong()),
            Err(error) => error,
        };
        let at = error.at.unwrap_or(ix);
        shared.is_clear.set(false);
        if error.missing.is_some() {
            shared.record(at, &error);
            // The neutral value in its place may not fit either: reported already.
            shared.noted.borrow_mut().insert(at);
            continue;
        }
        if source.kind(at) != Kind::Bad && shared.noted.borrow_mut().insert(at) {
            shared.record(at, &error);
        }
        if !shared.holes.borrow_mut().insert(at) {
            return (None, Some(shared.holes.take().into_iter().collect()));
        }
    }
}

pub(crate) struct Shared<'a, 'f> {
    pub source: &'a Source,
    pub root: Ix,
    pub keys: Keys<'a>,
    pub holes: RefCell<HashSet<Ix>>,
    /// Required keys that their mapping lacks.
    pub missing: RefCell<HashSet<(Ix, &'static str)>>,
    /// Nodes that have their finding.
    noted: RefCell<HashSet<Ix>>,
    is_clear: Cell<bool>,
    findings: RefCell<&'f mut Findings>,
}

/// Decodes the entry at `ix` with every part that was wrong left out, so that later checks see the rest in the same
/// run. Also, whether nothing was wrong, so that what is not there was not written.
pub(crate) fn decode_entry<T: for<'a> Deserialize<'a>>(
    source: &mut Source,
    ix: Ix,
    keys: Keys<'_>,
    findings: &mut Findings,
) -> (Option<T>, bool) {
    let (value, wrong) = decode_noting::<T>(source, ix, keys, findings);
    let Some(wrong) = wrong else { return (value, true) };
    for at in wrong {
        // The innermost key whose value holds the fault is as if it were not there.
        let mut here = at;
        while here != ix && source.key_of(here).is_none() {
            let Some(parent) = source.parent(here) else { break };
            here = parent;
        }
        if here != ix {
            source.set_bad(here);
        }
    }
    let value = decode_noting::<T>(source, ix, keys, &mut Findings::default()).0;
    (value, false)
}

impl Shared<'_, '_> {
    /// Name in `DOCS` of the struct that reads the mapping at `ix`.
    pub(crate) fn name_of(&self, ix: Ix, name: &'static str) -> &'static str {
        match self.keys.driver {
            _ if ix == self.root => self.keys.owner.unwrap_or(name),
            Some(driver) => DOCS.nested(driver, name),
            None => name,
        }
    }

    fn wrong(&self) -> Wrong {
        (!self.is_clear.get()).then(|| self.holes.take().into_iter().collect())
    }

    fn record(&self, at: Ix, error: &Error) {
        let mut findings = self.findings.borrow_mut();
        let finding = findings.error(self.source, at, error.message.clone());
        if !self.source.is_secret(at) {
            finding.help(error.help.clone());
        }
        finding.help(error.doc.clone());
    }

    /// Records what to write instead, unless a later step finds that this would be wrong, too.
    pub(crate) fn note_tentative(&self, at: Ix, message: String, help: String) {
        if self.noted.borrow_mut().insert(at) {
            let mut findings = self.findings.borrow_mut();
            findings.error(self.source, at, message).tentative_help(help);
        }
    }

    /// Records a finding next to the value, once for its node.
    pub(crate) fn note(&self, at: Ix, message: String, help: String, after: After) {
        if after == After::Stop {
            self.is_clear.set(false);
        }
        if self.noted.borrow_mut().insert(at) {
            self.record(at, &Error { at: Some(at), message, help, ..Error::default() });
        }
    }
}
