//! Log lines about a link that would otherwise come with every reply: one a kind and minute, with the count of the rest.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);
/// More kinds than this share one line.
const MOST_KINDS: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// When a kind was logged last, and how many lines were left out since.
    logged: HashMap<String, (Instant, u64)>,
    once: HashSet<String>,
}

impl Notes {
    /// The line to log for this text now: none when its kind was logged within the last minute.
    pub(crate) fn limited(&mut self, text: &str, now: Instant) -> Option<String> {
        let mut kind = kind_of(text);
        if self.logged.len() >= MOST_KINDS && !self.logged.contains_key(&kind) {
            kind.clear();
        }
        let Some((at, left_out)) = self.logged.get_mut(&kind) else {
            self.logged.insert(kind, (now, 0));
            return Some(text.to_owned());
        };
        if now.saturating_duration_since(*at) < EVERY {
            *left_out += 1;
            return None;
        }
        let count = std::mem::take(left_out);
        *at = now;
        Some(match count {
            0 => text.to_owned(),
            count => format!("{text} ({count} more like this since the last line)"),
        })
    }

    /// Whether this kind of text is new to the link.
    pub(crate) fn is_first(&mut self, text: &str) -> bool {
        self.once.len() < MOST_KINDS && self.once.insert(kind_of(text))
    }
}

/// Numbers change with each reply, the kind of trouble does not.
fn kind_of(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_logged_once_a_minute_with_the_count_of_the_rest() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        let text = |n| format!("answers with transaction id 0, asked with {n}");
        assert_eq!(notes.limited(&text(1), now), Some(text(1)));
        assert_eq!(notes.limited("answers with unit id 0", now).as_deref(), Some("answers with unit id 0"));
        for n in 2..10 {
            assert_eq!(notes.limited(&text(n), now + EVERY / 2), None);
        }
        let later = notes.limited(&text(10), now + EVERY).expect("a minute is over");
        assert_eq!(later, format!("{} (8 more like this since the last line)", text(10)));
        for n in 0..1_000u32 {
            let letters: String = n.to_string().chars().map(|c| char::from(c as u8 + 40)).collect();
            notes.limited(&letters, now);
        }
        assert!(notes.logged.len() <= MOST_KINDS + 1);
    }
}
