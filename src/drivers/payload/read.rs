//! Messages to samples.

use std::borrow::Cow;
use std::sync::Arc;

use opcua::StatusCode;
use serde_json::value::RawValue;

use super::fault::{Fault, null, reason, start_of};
use super::format::{Fields, Form, Format};
use super::json::{Members, Tree, names};
use super::quality::status_of;
use super::time::time_of;
use super::value::unquoted;
use crate::tags::RawSample;
use crate::value::{UaTime, Value};

/// The formats of all points that a message feeds.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    points: Vec<Reading>,
    tree: Tree,
    has_json: bool,
}

#[derive(Debug)]
struct Reading {
    point: u32,
    format: Format,
    value: usize,
    time: Option<usize>,
    quality: Option<usize>,
    /// Of the fields of a structure.
    fields: Vec<usize>,
}

/// A message's answer for one point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome<'r> {
    Found(Found),
    /// The message has no member of this path, and so says nothing about the tag. `why_missing` has the words.
    Missing(&'r str),
}

/// A value, or the reason why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub value: Value,
    pub status: StatusCode,
    pub time: Option<UaTime>,
    /// Why the status is Bad.
    pub why: Option<Arc<str>>,
}

impl Found {
    fn bad(code: StatusCode, why: Arc<str>) -> Found {
        Found { value: Value::Null, status: code, time: None, why: Some(why) }
    }

    /// The sample, with the device's time if it gave one.
    pub(crate) fn sample(self) -> RawSample {
        let sample = RawSample::new(self.value, self.status);
        let sample = match &self.why {
            Some(why) => sample.because(why),
            None => sample,
        };
        match self.time {
            Some(time) => sample.at(time),
            None => sample,
        }
    }
}

/// One message, and the name of its place for reasons.
struct Message<'m> {
    place: &'m str,
    bytes: &'m [u8],
    /// `None` where it is no UTF-8.
    text: Option<&'m str>,
    /// `None` where it is no JSON.
    members: Option<Members<'m>>,
}

impl Reader {
    pub(crate) fn add(&mut self, point: u32, format: Format) {
        let is_json = format.form == Form::Json;
        self.has_json |= is_json;
        let value = if is_json { self.tree.slot(&format.json) } else { 0 };
        let time = format.time.as_ref().map(|time| self.tree.slot(time));
        let quality = format.quality.as_ref().map(|quality| self.tree.slot(quality));
        let of_fields = format.fields.as_ref().map_or(&[][..], |fields| &fields.formats);
        let fields = of_fields.iter().map(|field| self.tree.slot(&field.json)).collect();
        self.points.push(Reading { point, format, value, time, quality, fields });
    }

    /// The points that messages feed.
    pub(crate) fn points(&self) -> impl Iterator<Item = u32> {
        self.points.iter().map(|reading| reading.point)
    }

    /// Reads a message for each of the points; `place` names it in reasons, as "cell3/tank".
    pub(crate) fn read(&self, place: &str, bytes: &[u8], mut say: impl FnMut(u32, Outcome<'_>)) {
        let text = std::str::from_utf8(bytes).ok();
        let json = text.filter(|_| self.has_json && !bytes.is_empty());
        let members = json.and_then(|text| self.tree.find(text.trim_start_matches('\u{feff}')));
        let message = Message { place, bytes, text, members };
        for reading in &self.points {
            say(reading.point, message.read(reading));
        }
    }
}

/// The names that are in a message, for `why_missing`.
pub(crate) fn members_of(bytes: &[u8]) -> String {
    let there = names(&String::from_utf8_lossy(bytes));
    if there.is_empty() { "no members".to_owned() } else { there.join(", ") }
}

/// The reason for a path that no message ever had.
pub(crate) fn why_missing(path: &str, place: &str, there: &str) -> String {
    format!("no message on {place} has had {path}; it has {there}")
}

impl<'m> Message<'m> {
    fn read<'r>(&self, reading: &'r Reading) -> Outcome<'r> {
        let format = &reading.format;
        if self.bytes.is_empty() {
            let why = format!("the message on {} is empty", self.place);
            return Outcome::Found(Found::bad(StatusCode::BadNoData, why.into()));
        }
        if format.form != Form::Json {
            return Outcome::Found(self.found(format, self.plain(format), Marks::default()));
        }
        let Some(members) = &self.members else {
            let fault = Fault::of_message(format!("is no JSON: `{}`", self.start()));
            return Outcome::Found(self.found(format, Err(fault), Marks::default()));
        };
        let member = |slot: usize| members[slot].map(RawValue::get);
        let marks = match Marks::of(reading, member) {
            Ok(marks) => marks,
            Err(fault) => return Outcome::Found(self.found(format, Err(fault), Marks::default())),
        };
        match member(reading.value) {
            // A device that leaves the value out and says that it is bad has said all.
            None if marks.status.is_bad() => Outcome::Found(self.found(format, Ok(Value::Null), marks)),
            None => Outcome::Missing(format.path()),
            Some(json) => {
                let value = match &format.fields {
                    None => of_member(format, json),
                    Some(fields) => of_object(reading, fields, json, member),
                };
                Outcome::Found(self.found(format, value, marks))
            }
        }
    }

    fn found(&self, format: &Format, value: Result<Value, Fault>, marks: Marks) -> Found {
        match value {
            Ok(_) if marks.status.is_bad() => {
                let path = format.quality.as_ref().map_or("", |quality| &quality.text);
                let why = format!(
                    "the device calls its value bad: {path} of the message on {} is `{}`",
                    self.place, marks.flag
                );
                Found { time: marks.time, ..Found::bad(marks.status, why.into()) }
            }
            Ok(value) => Found { value, status: marks.status, time: marks.time, why: None },
            Err(fault) => {
                let why = reason(self.place, format.path(), &fault);
                Found { time: marks.time, ..Found::bad(fault.code, why) }
            }
        }
    }

    fn start(&self) -> String {
        start_of(&String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(256)]))
    }

    /// The value of a message that is no JSON.
    fn plain(&self, format: &Format) -> Result<Value, Fault> {
        let text = || self.text.ok_or_else(|| Fault::unreadable(format!("is no text: `{}`", self.start())));
        match (&format.form, format.encoding, format.raw) {
            (Form::Raw, _, Some(raw)) => raw.read(&format.want, self.bytes),
            (Form::Text, None, _) if format.want.kind == crate::value::BuiltIn::ByteString => {
                format.want.bytes(self.bytes)
            }
            (Form::Csv(column), ..) => of_text(format, &column_of(text()?, *column)?),
            _ => of_text(format, text()?),
        }
    }
}

/// Status and time that a message gives next to the value.
struct Marks {
    status: StatusCode,
    time: Option<UaTime>,
    /// The flag of the quality, for the reason.
    flag: String,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks { status: StatusCode::Good, time: None, flag: String::new() }
    }
}

impl Marks {
    fn of<'m>(reading: &Reading, member: impl Fn(usize) -> Option<&'m str>) -> Result<Marks, Fault> {
        let mut marks = Marks::default();
        if let Some(slot) = reading.quality {
            match member(slot) {
                // Without the flag the value is believed a little less: its path may be misspelt.
                None => marks.status = StatusCode::Uncertain,
                Some(flag) => {
                    marks.status = status_of(&text_of(flag)?);
                    if marks.status.is_bad() {
                        marks.flag = start_of(flag);
                    }
                }
            }
        }
        if let Some(time) = reading.time.and_then(member).filter(|time| *time != "null") {
            let known = time_of(&text_of(time)?);
            let path = reading.format.time.as_ref().map_or("", |time| &time.text);
            let fault = || Fault::of_message(format!("has a time at {path} that is none: `{}`", start_of(time)));
            marks.time = Some(known.ok_or_else(fault)?);
        }
        Ok(marks)
    }
}

/// A JSON scalar as text, without its quotes.
fn text_of(json: &str) -> Result<Cow<'_, str>, Fault> {
    if json.starts_with('"') { unquoted(json) } else { Ok(Cow::Borrowed(json)) }
}

fn of_member(format: &Format, json: &str) -> Result<Value, Fault> {
    let (Some(encoding), Some(raw)) = (format.encoding, format.raw) else { return format.want.of_json(json) };
    if json == "null" {
        return Err(null());
    }
    if !json.starts_with('"') {
        return Err(Fault::unreadable(format!("is no text: `{}`", start_of(json))));
    }
    raw.read(&format.want, &encoding.decode(&unquoted(json)?)?)
}

/// A structure: each member as the value of its field, or as the reason why it has none.
fn of_object<'m>(
    reading: &Reading,
    fields: &Fields,
    json: &str,
    member: impl Fn(usize) -> Option<&'m str>,
) -> Result<Value, Fault> {
    if json == "null" {
        return Err(null());
    }
    if !json.starts_with('{') {
        return Err(Fault::unreadable(format!("is no object: `{}`", start_of(json))));
    }
    let value = |(slot, format): (&usize, &Format)| {
        let json = member(*slot).ok_or(StatusCode::BadNoData)?;
        of_member(format, json).map_err(|fault| fault.code)
    };
    Ok(fields.plan.assemble(reading.fields.iter().zip(&fields.formats).map(value).collect()))
}

fn of_text(format: &Format, text: &str) -> Result<Value, Fault> {
    match (format.encoding, format.raw) {
        (Some(encoding), Some(raw)) => raw.read(&format.want, &encoding.decode(text)?),
        _ => format.want.of_text(text),
    }
}

/// A column of the last line that is not empty. Quotes are as RFC 4180 has them.
fn column_of(text: &str, column: usize) -> Result<Cow<'_, str>, Fault> {
    let text = text.trim_end_matches(['\r', '\n']);
    let mut start = 0;
    let mut is_quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => start = at + 1,
            _ => {}
        }
    }
    let line = &text[start..];
    let (mut cells, mut from) = (Vec::new(), 0);
    is_quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                cells.push(&line[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    cells.push(&line[from..]);
    if is_quoted {
        return Err(Fault::unreadable(format!("has an open quote: `{}`", start_of(line))));
    }
    let Some(cell) = cells.get(column - 1).map(|cell| cell.trim()) else {
        let (count, shown) = (cells.len(), start_of(line));
        let noun = if count == 1 { "column" } else { "columns" };
        return Err(Fault::unreadable(format!("has {count} {noun}, the value is in {column}: `{shown}`")));
    };
    if cell.is_empty() {
        return Err(Fault::absent(StatusCode::BadNoData, format!("has nothing in column {column}")));
    }
    let inner = cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"'));
    Ok(inner.map_or(Cow::Borrowed(cell), |inner| Cow::Owned(inner.replace("\"\"", "\""))))
}
