//! Limits for audit records that a client without a login can cause. A refusal is evidence: the first one is written
//! whole, the next ones are counted. Sessions without a login that begin and end are routine: a limited number is written.
//! Evidence and routine have separate room.
//!
//! ```text
//! refusal  ──► Evidence: first of its key whole ──► the channel's records before it, from `Context`
//! routine  ──► Budget: within it whole, else counted by address, and kept in `Context` for a while
//! each minute: one record for each count
//! ```

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::budget::{Budget, Most, network};
use super::evidence::Evidence;
use super::record::{Kind, Record, Weight, Who};

/// Routine of strangers: five records for a session without login.
const ROUTINE: Most = Most { a_minute: 20, an_hour: 100, all_an_hour: 1_200, first: 4 };
/// Addresses whose routine is counted apart.
const ADDRESSES: usize = 1_000;
/// Records a minute of routine that was left out; the rest is one record.
const LIMITED: usize = 10;
/// Channels whose first records are kept in case a refusal follows, and records of each.
const CHANNELS: usize = 1_000;
const OF_CHANNEL: usize = 3;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Limiter {
    evidence: Evidence,
    routine: Budget,
    left_out: HashMap<Option<IpAddr>, LeftOut>,
    context: Context,
    /// The beginning of this minute.
    since: Option<Instant>,
}

/// Routine of one address that was left out.
#[derive(Debug, Default)]
struct LeftOut {
    peer: Option<IpAddr>,
    counts: Vec<(Kind, u32)>,
}

impl Default for Limiter {
    fn default() -> Limiter {
        Limiter {
            evidence: Evidence::default(),
            routine: Budget::new(ROUTINE),
            left_out: HashMap::new(),
            context: Context::default(),
            since: None,
        }
    }
}

impl Limiter {
    /// `None`: this record is counted, not written. Else the records to be written before it: how the channel of a
    /// refusal began, where that was left out.
    pub(crate) fn admit(&mut self, record: &Record, now: Instant) -> Option<Vec<Record>> {
        match record.weight() {
            Weight::Own => Some(Vec::new()),
            Weight::Evidence => {
                self.since.get_or_insert(now);
                let is_whole = self.evidence.admits(record, now);
                is_whole.then(|| self.context_of(record))
            }
            Weight::Routine => {
                self.since.get_or_insert(now);
                if self.routine.take(record.who.peer.map(network), now).is_some() {
                    return Some(Vec::new());
                }
                self.context.note(record);
                *self.count_of(record) += 1;
                None
            }
        }
    }

    fn context_of(&mut self, record: &Record) -> Vec<Record> {
        let records = self.context.take(record.who.channel);
        for record in &records {
            let count = self.count_of(record);
            *count = count.saturating_sub(1);
        }
        records
    }

    fn count_of(&mut self, record: &Record) -> &mut u32 {
        let mut key = record.who.peer.map(network);
        if self.left_out.len() >= ADDRESSES && !self.left_out.contains_key(&key) {
            key = None;
        }
        let peer = if key.is_some() { record.who.peer } else { None };
        let counts = &mut self.left_out.entry(key).or_insert(LeftOut { peer, counts: Vec::new() }).counts;
        let at = counts.iter().position(|(kind, _)| *kind == record.kind).unwrap_or_else(|| {
            counts.push((record.kind, 0));
            counts.len() - 1
        });
        &mut counts[at].1
    }

    /// The records of what was counted, once a minute, or all that is left where it is the `last` time.
    pub(crate) fn take_folded(&mut self, now: Instant, is_last: bool) -> Vec<Record> {
        let is_due = self.since.is_some_and(|since| is_last || now.saturating_duration_since(since) >= MINUTE);
        if !is_due {
            return Vec::new();
        }
        self.since = None;
        let mut records = self.evidence.take();
        let mut left_out: Vec<LeftOut> = std::mem::take(&mut self.left_out).into_values().collect();
        left_out.retain(|of| of.sum() > 0);
        left_out.sort_by_key(|of| std::cmp::Reverse(of.sum()));
        let rest = left_out.split_off(left_out.len().min(LIMITED));
        records.extend(left_out.iter().map(LeftOut::record));
        if !rest.is_empty() {
            let sum = rest.iter().map(LeftOut::sum).sum();
            let message = format!("{sum} records of sessions without login from {} other addresses", rest.len());
            records.push(limited(None, sum, message));
        }
        records
    }
}

impl LeftOut {
    fn sum(&self) -> u32 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    fn record(&self) -> Record {
        let counts = self.counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(kind, count)| format!("{count} {}", kind.name())).collect();
        let from = if self.peer.is_some() { "this address" } else { "several addresses" };
        limited(self.peer, self.sum(), format!("sessions without login from {from}: {}", counts.join(", ")))
    }
}

fn limited(peer: Option<IpAddr>, more: u32, message: String) -> Record {
    let who = Who { peer, ..Who::default() };
    Record { more, ..Record::new(Kind::AuditLimited, StatusCode::Good, who) }.with(message)
}

/// Records that were left out and say how a channel began, for the refusal that may follow on it.
#[derive(Debug, Default)]
struct Context {
    of: HashMap<u32, Vec<Record>>,
    order: VecDeque<u32>,
}

impl Context {
    fn note(&mut self, record: &Record) {
        let channel = record.who.channel;
        match record.kind {
            Kind::ChannelClosed => drop(self.take(channel)),
            Kind::ChannelOpened | Kind::SessionCreated | Kind::SessionActivated if channel != 0 => {
                if !self.of.contains_key(&channel) {
                    self.order.push_back(channel);
                }
                let records = self.of.entry(channel).or_default();
                if records.len() < OF_CHANNEL {
                    records.push(record.clone());
                }
                if self.order.len() > CHANNELS
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.of.remove(&oldest);
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, channel: u32) -> Vec<Record> {
        let Some(records) = self.of.remove(&channel) else { return Vec::new() };
        self.order.retain(|other| *other != channel);
        records
    }
}
