//! Texts that several verbs print.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Names come from clients: a line break or an escape sequence must not forge lines on a terminal.
pub(super) fn shown(text: &str) -> String {
    shown_within(text, 100)
}

/// The same with up to this many characters.
pub(super) fn shown_within(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A time in seconds since 1970 as RFC 3339.
pub(super) fn when(unix: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| format!("{unix} s after 1970"))
}
