//! Subscriptions: those that are wanted, asked for, and there.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::session::{Answer, Session};

/// Filters in one packet: some brokers take no more.
const IN_PACKET: usize = 8;
/// Packets without an answer.
const UNDER_WAY: usize = 16;

/// The filters of a session.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    /// With their QoS.
    wanted: BTreeMap<String, u8>,
    /// Filters that are to be asked for, and then those that are to end.
    to_ask: VecDeque<String>,
    to_end: VecDeque<String>,
    /// Filters of each packet without an answer.
    under_way: HashMap<u16, Vec<String>>,
}

/// The broker's answer about one filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub filter: String,
    pub code: u8,
}

impl Filters {
    /// Begins with these filters on a new connection.
    pub(crate) fn begin(&mut self, wanted: BTreeMap<String, u8>) {
        self.to_ask = wanted.keys().cloned().collect();
        self.to_end.clear();
        self.under_way.clear();
        self.wanted = wanted;
    }

    /// Changes to other filters on the same connection. Those in `again` are asked for once more.
    pub(crate) fn change(&mut self, wanted: BTreeMap<String, u8>, again: impl Fn(&str) -> bool) {
        let is_new = |(filter, qos): &(&String, &u8)| self.wanted.get(*filter) != Some(*qos) || again(filter);
        let new: Vec<String> = wanted.iter().filter(is_new).map(|(filter, _)| filter.clone()).collect();
        let gone: Vec<String> = self.wanted.keys().filter(|filter| !wanted.contains_key(*filter)).cloned().collect();
        self.to_ask.retain(|filter| wanted.contains_key(filter));
        self.to_end.retain(|filter| !wanted.contains_key(filter));
        for filter in new {
            if !self.to_ask.contains(&filter) {
                self.to_ask.push_back(filter);
            }
        }
        self.to_end.extend(gone);
        self.wanted = wanted;
    }

    /// Sends what may be sent now.
    pub(crate) fn send(&mut self, session: &mut Session) {
        while self.under_way.len() < UNDER_WAY && !(self.to_ask.is_empty() && self.to_end.is_empty()) {
            // Ends first: a filter that comes back must not be ended by its own past.
            let is_end = !self.to_end.is_empty();
            let from = if is_end { &mut self.to_end } else { &mut self.to_ask };
            let count = from.len().min(IN_PACKET);
            let filters: Vec<String> = from.drain(..count).collect();
            let id = match is_end {
                true => session.unsubscribe(filters.iter().map(String::as_str)),
                false => {
                    let qos = |filter: &String| self.wanted.get(filter).copied().unwrap_or(0);
                    session.subscribe(filters.iter().map(|filter| (filter.as_str(), qos(filter))))
                }
            };
            self.under_way.insert(id, if is_end { Vec::new() } else { filters });
        }
    }

    /// Takes an answer, and gives the code of each filter that it is about. `None`: it answers something else.
    pub(crate) fn answered(&mut self, answer: &Answer<'_>) -> Option<Vec<Subscribed>> {
        let filters = self.under_way.remove(&answer.id)?;
        let subscribed = |(filter, code)| Subscribed { filter, code };
        // A broker that leaves out a code has not subscribed.
        let codes = answer.codes.iter().copied().chain(std::iter::repeat(0x80));
        Some(filters.into_iter().zip(codes).map(subscribed).collect())
    }
}
