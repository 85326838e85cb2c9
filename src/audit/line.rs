//! A record as a line: text or JSON for the log, JSON for the file.
//!
//! ```text
//! {"n":7,"time":"2026-…Z","kind":"session.activated","status":"Good","user":"eva",…,"chain":"<64 hex digits>"}
//! └──────────────────────────── the body: what is hashed ─────────────────────────┘
//! ```

use std::fmt::Write as _;
use std::net::SocketAddr;

use opcua::StatusCode;

use super::record::{Kind, Node, Record, Who, Write, Writes};
use super::text::{bounded, hex, push_quoted, time_text};
use crate::value::UaTime;

/// Bytes of a line of the file at the most, the line break not counted: each of its texts is bounded.
pub(crate) const MOST: usize = 32 << 10;
const CHAIN: &str = ",\"chain\":\"";
const DIGITS: usize = 64;
const END: &str = "\"}";

/// A link of the chain.
pub(crate) type Hash = [u8; 32];

/// The hash before the very first record.
pub(crate) const BEGINNING: Hash = [0; 32];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Text(&'a str),
    Number(u64),
}

/// One record, whatever it is, as names and texts.
pub(crate) trait Fields {
    fn time(&self) -> UaTime;
    fn kind(&self) -> Kind;
    /// All but time and kind, in the order in which they are shown; empty texts are left out by the caller.
    fn each(&self, put: &mut dyn FnMut(&'static str, Field<'_>));
}

fn each_of_who(who: &Who, put: &mut dyn FnMut(&'static str, Field<'_>)) {
    put("user", Field::Text(&bounded(&who.user)));
    put("application", Field::Text(&bounded(&who.application)));
    for (name, number) in [("session", who.session), ("channel", who.channel)] {
        if number != 0 {
            put(name, Field::Number(number.into()));
        }
    }
    if let Some(peer) = who.peer {
        let text = if who.port == 0 { peer.to_string() } else { SocketAddr::new(peer, who.port).to_string() };
        put("peer", Field::Text(&text));
    }
    if let Some(thumbprint) = &who.thumbprint {
        put("thumbprint", Field::Text(&hex(thumbprint)));
    }
}

/// The name of a StatusCode, without what its other bits say.
fn status_name(status: StatusCode) -> String {
    StatusCode::from(status.bits() & 0xffff_0000).to_string()
}

impl Fields for Record {
    fn time(&self) -> UaTime {
        self.time
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn each(&self, put: &mut dyn FnMut(&'static str, Field<'_>)) {
        put("status", Field::Text(&status_name(self.status)));
        each_of_who(&self.who, put);
        put("node", Field::Text(&bounded(&self.node)));
        put("message", Field::Text(&bounded(&self.message)));
        if self.more != 0 {
            put("more", Field::Number(self.more.into()));
        }
    }
}

/// One write of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OneWrite<'a> {
    pub of: &'a Writes,
    pub write: &'a Write,
}

impl Fields for OneWrite<'_> {
    fn time(&self) -> UaTime {
        self.of.time
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    fn each(&self, put: &mut dyn FnMut(&'static str, Field<'_>)) {
        /// The Value attribute (Part 6 annex A, 1.05), which goes without saying.
        const VALUE: u32 = 13;
        let OneWrite { of, write } = self;
        put("status", Field::Text(&status_name(write.status)));
        each_of_who(&of.who, put);
        match &write.node {
            Node::Known(number) => put("node", Field::Text(&bounded(&of.names.node(*number)))),
            Node::Given(name) => put("node", Field::Text(&bounded(name))),
        }
        if write.attribute != VALUE {
            put("attribute", Field::Number(write.attribute.into()));
        }
        put("range", Field::Text(&bounded(write.range.as_deref().unwrap_or_default())));
        put("old", Field::Text(&write.old.text()));
        put("new", Field::Text(&write.new.text()));
    }
}

fn push_json(out: &mut String, fields: &dyn Fields) {
    out.push_str("\"time\":");
    push_quoted(out, &time_text(fields.time()));
    out.push_str(",\"kind\":");
    push_quoted(out, fields.kind().name());
    fields.each(&mut |name, field| match field {
        Field::Text("") => {}
        Field::Text(text) => {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            push_quoted(out, text);
        }
        Field::Number(number) => {
            write!(out, ",\"{name}\":{number}").expect("text takes every write");
        }
    });
}

/// `{"time":…}` on one line.
pub(crate) fn json(fields: &dyn Fields) -> String {
    let mut out = String::from("{");
    push_json(&mut out, fields);
    out.push('}');
    out
}

/// `session.activated status=Good user="eva" session=5` on one line.
pub(crate) fn text(fields: &dyn Fields) -> String {
    let mut out = fields.kind().name().to_owned();
    fields.each(&mut |name, field| push_field(&mut out, name, field));
    out
}

/// Words stand as they are, everything else in quotes.
pub(crate) fn push_field(out: &mut String, name: &str, field: Field<'_>) {
    match field {
        Field::Text("") => {}
        Field::Text(text) => {
            let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-:;[]/+".contains(c));
            out.push_str(&format!(" {name}="));
            if is_word { out.push_str(text) } else { push_quoted(out, text) }
        }
        Field::Number(number) => out.push_str(&format!(" {name}={number}")),
    }
}

/// Appends a line of the file, its break included; returns the next link of the chain.
pub(crate) fn push_chained(out: &mut String, number: u64, before: &Hash, fields: &dyn Fields) -> Hash {
    let start = out.len();
    write!(out, "{{\"n\":{number},").expect("text takes every write");
    push_json(out, fields);
    let link = link(before, &out.as_bytes()[start..]);
    out.push_str(CHAIN);
    out.push_str(&hex(&link));
    out.push_str(END);
    out.push('\n');
    link
}

/// The hash over the link before and a line's body.
pub(crate) fn link(before: &Hash, body: &[u8]) -> Hash {
    crate::stack::crypto::sha256(&[before, body])
}

/// A line of the file, taken apart; nothing of it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub number: u64,
    pub body: &'a [u8],
    pub chain: Hash,
}

impl<'a> Line<'a> {
    /// `None` for what is no line of ours.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        if line.len() > MOST {
            return None;
        }
        let rest = line.strip_suffix(END.as_bytes())?;
        let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        let body = rest.strip_suffix(CHAIN.as_bytes())?;
        let number = body.strip_prefix(b"{\"n\":")?;
        let end = number.iter().position(|byte| *byte == b',')?;
        let number = std::str::from_utf8(&number[..end]).ok()?;
        if number.len() > 1 && number.starts_with('0') || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Line { number: number.parse().ok()?, body, chain: from_hex(digits)? })
    }

    /// Whether it follows this link.
    pub(crate) fn follows(&self, before: &Hash) -> bool {
        link(before, self.body) == self.chain
    }
}

/// The time that a line states, in seconds since 1970.
pub(crate) fn time_of(line: &[u8]) -> Option<i64> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let nanoseconds = nanoseconds(value.get("time")?.as_str()?)?;
    i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()
}

/// The time of a record as it is written, in nanoseconds since 1970.
pub(crate) fn nanoseconds(text: &str) -> Option<i128> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos())
}

/// 64 lower-case digits.
pub(crate) fn from_hex(digits: &[u8]) -> Option<Hash> {
    let mut hash = BEGINNING;
    if digits.len() != DIGITS {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}
