//! Texts that several verbs print.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::value::is_plain;

/// Names come from clients: a line break, an escape sequence or a turn of the direction must not forge lines on a terminal.
pub(super) fn shown(text: &str) -> String {
    shown_within(text, 100)
}

/// The same with up to this many characters.
pub(super) fn shown_within(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if is_plain(c) { c } else { '?' }).collect()
}

/// A time in seconds since 1970 as RFC 3339.
pub(super) fn when(unix: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| format!("{unix} s after 1970"))
}
