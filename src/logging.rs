//! Log lines that a client or a full disk can cause: a number of each kind a minute, the others counted.
//!
//! Each kind of line has a budget, and each address has a smaller one of it, so that a client that floods the log hides
//! neither other kinds nor, up to the budget, other clients. At the end of the minute one line says how many more came.
//! All lines are there at level debug.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use log::Level;
use parking_lot::Mutex;

/// Lines of one kind in a minute, and those of one address among them.
const LINES: u32 = 30;
const OF_ADDRESS: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// All of this process: there is one log.
static LOG: RateLimitedLog = RateLimitedLog::new();

/// Logs a line that a client or a full disk can cause. `kind` is a constant of the place that logs, as `login refused`;
/// `peer` is the address that causes the line.
pub(crate) fn limited(level: Level, kind: &'static str, peer: Option<IpAddr>, line: fmt::Arguments<'_>) {
    let target = if peer.is_some() { "client" } else { "opcell" };
    LOG.write(Entry { level, target, kind, peer }, line, Instant::now());
}

/// A line of the audit, for people.
pub(crate) fn limited_audit(level: Level, kind: &'static str, line: fmt::Arguments<'_>) {
    LOG.write(Entry { level, target: "audit", kind, peer: None }, line, Instant::now());
}

/// Sets the level of the log, now and until the next call.
pub(crate) fn set_level(level: log::LevelFilter) {
    log::set_max_level(level);
}

/// Sets the level that the server file names, unless RUST_LOG names one.
pub(crate) fn set_file_level(level: log::LevelFilter) {
    if std::env::var_os("RUST_LOG").is_none() {
        set_level(level);
    }
}

/// A change of the log's level by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    More,
    Less,
}

/// Makes the log more or less detailed, from `error` to `trace`, and says so.
pub(crate) fn step(cause: &str, step: Step) {
    let levels = [
        log::LevelFilter::Error,
        log::LevelFilter::Warn,
        log::LevelFilter::Info,
        log::LevelFilter::Debug,
        log::LevelFilter::Trace,
    ];
    let now = levels.iter().position(|level| *level == log::max_level()).unwrap_or(2);
    let next = match step {
        Step::More => (now + 1).min(levels.len() - 1),
        Step::Less => now.saturating_sub(1),
    };
    set_level(levels[next]);
    log::error!(target: "opcell", "{cause}: the log level is {} now", levels[next].as_str().to_lowercase());
}

/// Logs the counts of minutes that are over; to be called each second. `is_last` logs all that is left.
pub(crate) fn flush(is_last: bool) {
    LOG.flush(Instant::now(), is_last);
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    level: Level,
    target: &'static str,
    kind: &'static str,
    peer: Option<IpAddr>,
}

#[derive(Debug)]
struct RateLimitedLog {
    /// By target and kind.
    kinds: Mutex<Option<HashMap<(&'static str, &'static str), Kind>>>,
}

/// The lines of one kind in this minute.
#[derive(Debug)]
struct Kind {
    since: Instant,
    level: Level,
    lines: u32,
    /// Bounded by `lines`: an address without a line is not here.
    of_address: HashMap<IpAddr, u32>,
    more: u32,
    /// The first of those that were only counted.
    example: String,
}

impl Kind {
    fn new(level: Level, since: Instant) -> Kind {
        Kind { since, level, lines: 0, of_address: HashMap::new(), more: 0, example: String::new() }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= MINUTE
    }

    /// Whether this line is one of the budget.
    fn takes(&mut self, peer: Option<IpAddr>) -> bool {
        let of_address = peer.map_or(0, |peer| self.of_address.get(&peer).copied().unwrap_or(0));
        if self.lines >= LINES || of_address >= OF_ADDRESS {
            return false;
        }
        self.lines += 1;
        if let Some(peer) = peer {
            self.of_address.insert(peer, of_address + 1);
        }
        true
    }

    /// The line at the end of the minute.
    fn summary(&self) -> Option<String> {
        let Kind { more, example, .. } = self;
        (*more > 0).then(|| format!("{more} more like this in the last minute: {example}"))
    }
}

impl RateLimitedLog {
    const fn new() -> RateLimitedLog {
        RateLimitedLog { kinds: Mutex::new(None) }
    }

    fn write(&self, entry: Entry, line: fmt::Arguments<'_>, now: Instant) {
        let Entry { level, target, kind, .. } = entry;
        if !log::log_enabled!(target: target, level) {
            return;
        }
        let (before, is_taken) = self.take(entry, line, now);
        if let Some(before) = before {
            log::log!(target: target, level, "{kind}: {before}");
        }
        match is_taken {
            true => log::log!(target: target, level, "{line}"),
            false => log::debug!(target: target, "{line}"),
        }
    }

    /// The count of the minute before, if this line begins another, and whether this line is in the budget.
    fn take(&self, entry: Entry, line: fmt::Arguments<'_>, now: Instant) -> (Option<String>, bool) {
        let mut kinds = self.kinds.lock();
        let kinds = kinds.get_or_insert_default();
        let kind = kinds.entry((entry.target, entry.kind)).or_insert_with(|| Kind::new(entry.level, now));
        let mut before = None;
        if kind.is_over(now) {
            before = kind.summary();
            *kind = Kind::new(entry.level, now);
        }
        let is_taken = kind.takes(entry.peer);
        if !is_taken {
            if kind.more == 0 {
                kind.example = line.to_string();
            }
            kind.more = kind.more.saturating_add(1);
        }
        (before, is_taken)
    }

    fn flush(&self, now: Instant, is_last: bool) {
        for ((target, kind), of) in self.take_over(now, is_last) {
            if let Some(summary) = of.summary() {
                log::log!(target: target, of.level, "{kind}: {summary}");
            }
        }
    }

    /// The kinds whose minute is over.
    fn take_over(&self, now: Instant, is_last: bool) -> Vec<((&'static str, &'static str), Kind)> {
        let mut kinds = self.kinds.lock();
        let Some(kinds) = kinds.as_mut() else { return Vec::new() };
        kinds.extract_if(|_, kind| is_last || kind.is_over(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &'static str, last: u8) -> Entry {
        Entry { level: Level::Warn, target: "client", kind, peer: Some(IpAddr::from([10, 0, 0, last])) }
    }

    #[test]
    fn a_kind_has_its_lines_a_minute_and_an_address_a_part_of_them() {
        let log = RateLimitedLog::new();
        let start = Instant::now();
        let written = |kind, last, at| {
            (0..100).filter(|n| log.take(entry(kind, last), format_args!("line {n} of {last}"), at).1).count()
        };
        let of: Vec<usize> = (1..=5).map(|last| written("refused", last, start)).collect();
        assert_eq!(of, [10, 10, 10, 0, 0]);
        assert_eq!(written("cut", 1, start), 10, "another kind");
        assert!(log.take_over(start + MINUTE / 2, false).is_empty());
        let mut over = log.take_over(start + MINUTE, false);
        over.sort_by_key(|(key, _)| *key);
        let summaries: Vec<_> = over.iter().map(|((_, kind), of)| (*kind, of.summary())).collect();
        let summary = |count: u32, line: &str| Some(format!("{count} more like this in the last minute: {line}"));
        assert_eq!(summaries, [("cut", summary(90, "line 10 of 1")), ("refused", summary(470, "line 10 of 1"))]);
        assert!(log.take_over(start + MINUTE * 9, true).is_empty(), "each count is logged once");
    }

    #[test]
    fn a_line_after_the_minute_logs_the_count_before_it() {
        let log = RateLimitedLog::new();
        let start = Instant::now();
        (0..12).for_each(|n| drop(log.take(entry("refused", 1), format_args!("line {n}"), start)));
        let (before, is_taken) = log.take(entry("refused", 1), format_args!("later"), start + MINUTE);
        assert_eq!((before.as_deref(), is_taken), (Some("2 more like this in the last minute: line 10"), true));
        assert!(log.take_over(start + MINUTE, true)[0].1.summary().is_none());
    }
}
