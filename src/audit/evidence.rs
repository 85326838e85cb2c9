//! Refusals, folded: the first record of each kind, network, user and status in a minute is written whole, and what
//! repeats is counted and written at the end of the minute.
//!
//! Nothing is left out without a count. A refusal that has no place in the table is folded with others of its kind and
//! network, and beyond that with others of its kind.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::budget::{Budget, Most, Place, network};
use super::record::{Kind, Record, Who};
use super::text::{bounded, time_text};
use crate::value::UaTime;

/// Refusals that are written whole: room for ten guesses a minute at other names, for an hour.
const MOST: Most = Most { a_minute: 600, an_hour: 600, all_an_hour: 2_000, first: 2 };
/// Refusals of one minute that are counted apart; the last of these places are for addresses that had no record yet in
/// their hour.
const EXACT: usize = 900;
const ORDINARY: usize = 600;
/// Kinds and networks of one minute that are counted apart.
const OF_ADDRESS: usize = 100;

/// By what refusals are folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Exact { kind: Kind, network: Option<IpAddr>, user: Box<str>, status: u32 },
    Address { kind: Kind, network: Option<IpAddr> },
    Kind(Kind),
}

/// The refusals of one key in this minute.
#[derive(Debug)]
struct Fold {
    /// Kind, status and origin of the record at the end of the minute.
    first: Record,
    /// Refusals without a record of their own.
    more: u32,
    last: UaTime,
}

#[derive(Debug)]
pub(crate) struct Evidence {
    folds: HashMap<Key, Fold>,
    /// Of them, those of an address.
    of_address: usize,
    budget: Budget,
}

impl Default for Evidence {
    fn default() -> Evidence {
        Evidence { folds: HashMap::new(), of_address: 0, budget: Budget::new(MOST) }
    }
}

impl Evidence {
    /// Whether this refusal is written whole; else it is counted.
    pub(crate) fn admits(&mut self, record: &Record, now: Instant) -> bool {
        let (kind, network) = (record.kind, record.who.peer.map(network));
        let user = bounded(&record.who.user).into_owned().into_boxed_str();
        let exact = Key::Exact { kind, network, user, status: record.status.bits() };
        if let Some(fold) = self.folds.get_mut(&exact) {
            fold.count(record);
            return false;
        }
        let used = self.folds.len() - self.of_address;
        let place = if used < EXACT { self.budget.take(network, now) } else { None };
        if place == Some(Place::First) || place.is_some() && used < ORDINARY {
            self.folds.insert(exact, Fold::of(record, 0));
            return true;
        }
        let address = Key::Address { kind, network };
        let is_there = self.folds.contains_key(&address);
        let key = if is_there || self.of_address < OF_ADDRESS { address } else { Key::Kind(kind) };
        if let Some(fold) = self.folds.get_mut(&key) {
            fold.count(record);
            return false;
        }
        self.of_address += usize::from(matches!(key, Key::Address { .. }));
        self.folds.insert(key, Fold::of(record, record.more.saturating_add(1)));
        false
    }

    /// The records of what was counted in this minute; the next one begins.
    pub(crate) fn take(&mut self) -> Vec<Record> {
        self.of_address = 0;
        let folds = std::mem::take(&mut self.folds).into_iter().filter(|(_, fold)| fold.more > 0);
        let mut records: Vec<Record> = folds.map(|(key, fold)| fold.record(&key)).collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.more));
        records
    }
}

impl Fold {
    fn of(record: &Record, more: u32) -> Fold {
        let who = Who { session: 0, channel: 0, port: 0, certificate: None, ..record.who.clone() };
        let first = Record { who, message: "".into(), ..record.clone() };
        Fold { first, more, last: record.time }
    }

    fn count(&mut self, record: &Record) {
        self.more = self.more.saturating_add(record.more).saturating_add(1);
        self.last = record.time;
    }

    fn record(self, key: &Key) -> Record {
        let Fold { first, more, last } = self;
        let last = time_text(last);
        let (who, message) = match key {
            Key::Exact { .. } => (first.who, format!("{more} more like this within a minute, the last at {last}")),
            Key::Address { .. } => {
                let who = Who { peer: first.who.peer, ..Who::default() };
                (who, format!("{more} more from this address, of several users or statuses, the last at {last}"))
            }
            Key::Kind(_) => (Who::default(), format!("{more} more from several addresses, the last at {last}")),
        };
        Record { more, ..Record::new(first.kind, first.status, who) }.with(message)
    }
}
