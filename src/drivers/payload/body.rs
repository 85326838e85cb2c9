//! Messages that a write sends.

use std::sync::Arc;

use opcua::StatusCode;

use super::bytes::Raw;
use super::format::{Fields, Form, Format};
use super::keys::{Encoding, Keys};
use super::value::Want;
use crate::drivers::plan::{PointPlan, StructPlan};
use crate::drivers::reading::PointError;
use crate::value::{BuiltIn, UaTime, Value, time_to_text};

/// The message of a write, by its template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Body {
    parts: Vec<Part>,
    form: Form,
    raw: Option<Raw>,
    encoding: Option<Encoding>,
    want: Want,
    object: Option<Box<Object>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Value,
    Time,
}

/// Parts of a template; braces that are no `{value}` and no `{time}` are text.
fn parts_of(template: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = template;
    loop {
        let found = [("{value}", Part::Value), ("{time}", Part::Time)]
            .into_iter()
            .filter_map(|(word, part)| Some((rest.find(word)?, word, part)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, word, part)) = found else {
            parts.push(Part::Text(rest.to_owned()));
            break;
        };
        parts.extend([Part::Text(rest[..at].to_owned()), part]);
        rest = &rest[at + word.len()..];
    }
    parts.retain(|part| *part != Part::Text(String::new()));
    parts
}

impl Body {
    /// The messages of a point that is written; `None` for one that is only read.
    pub(crate) fn of(keys: &Keys, plan: &PointPlan, format: &Format) -> Result<Option<Body>, PointError> {
        if plan.write {
            return Body::new(keys, format).map(Some);
        }
        match keys.body {
            Some(_) => {
                let message = "`body` is for writes".to_owned();
                Err(PointError::key("body", message, "add `write: true`, or delete it"))
            }
            None => Ok(None),
        }
    }

    fn new(keys: &Keys, format: &Format) -> Result<Body, PointError> {
        let parts = parts_of(keys.body.as_deref().unwrap_or("{value}"));
        let is_alone = parts == [Part::Value];
        if format.form == Form::Raw && !is_alone {
            let message = "raw bytes have no `body`";
            return Err(PointError::key("body", message.to_owned(), "delete `body`: the bytes of the value are sent"));
        }
        if format.raw.is_some_and(|raw| raw.byte > 0) {
            let message = "a value inside other bytes cannot be written";
            let help = "delete `byte` or `write: true`: a write sends the bytes of the value alone";
            return Err(PointError::key("byte", message.to_owned(), help));
        }
        Ok(Body { parts, ..Body::alone(format) })
    }

    /// The value alone.
    fn alone(format: &Format) -> Body {
        let Format { form, raw, encoding, want, .. } = format.clone();
        let object = format.fields.as_ref().map(|fields| Box::new(Object::of(fields, format.path())));
        Body { parts: vec![Part::Value], form, raw, encoding, want, object }
    }

    /// The bytes to send; a status where the value cannot be written.
    pub(crate) fn bytes(&self, value: &Value, now: UaTime) -> Result<Vec<u8>, StatusCode> {
        if self.want.elements.is_some_and(|count| count != elements(value)) {
            return Err(StatusCode::BadWriteNotSupported);
        }
        let written = self.value(value).ok_or(StatusCode::BadOutOfRange)?;
        let mut body = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => body.extend_from_slice(text.as_bytes()),
                Part::Value => body.extend_from_slice(&written),
                Part::Time => body.extend_from_slice(time_to_text(now).as_bytes()),
            }
        }
        Ok(body)
    }

    fn value(&self, value: &Value) -> Option<Vec<u8>> {
        if let Some(object) = &self.object {
            return object.json(value).map(String::into_bytes);
        }
        if let Some(raw) = &self.raw {
            let bytes = raw.write(&self.fitted(value))?;
            let Some(encoding) = self.encoding else { return Some(bytes) };
            let text = encoding.encode(&bytes);
            let is_json = self.form == Form::Json;
            return Some(if is_json { format!("\"{text}\"").into_bytes() } else { text.into_bytes() });
        }
        if self.form == Form::Json {
            return json(value).map(String::into_bytes);
        }
        match value {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            Value::ByteString(bytes) => Some(bytes.to_vec()),
            Value::DateTime(time) => Some(time_to_text(*time).into_bytes()),
            value => json(value).map(String::into_bytes),
        }
    }

    /// A number that is written as text.
    fn fitted(&self, value: &Value) -> Value {
        let is_text = self.raw.is_some_and(|raw| raw.raw == super::keys::RawType::Text);
        match value {
            Value::String(_) | Value::ByteString(_) => value.clone(),
            Value::Array(_) => value.clone(),
            value if is_text => json(value).map_or(Value::Null, |text| Value::text(text.trim_matches('"'))),
            value => value.clone(),
        }
    }
}

fn elements(value: &Value) -> usize {
    match value {
        Value::Array(array) => array.elements.len(),
        _ => 1,
    }
}

/// A value as JSON; `None` for one that JSON does not have.
fn json(value: &Value) -> Option<String> {
    Some(match value {
        Value::Boolean(on) => on.to_string(),
        // The shortest digits of a large float are another whole number: with an exponent they are read as a float.
        Value::Float(number) if number.is_finite() && number.abs() < 16_777_216.0 => shortest(number.to_string()),
        Value::Float(number) if number.is_finite() => format!("{number:e}"),
        Value::Double(number) if number.is_finite() && number.abs() < 9_007_199_254_740_992.0 => {
            shortest(number.to_string())
        }
        Value::Double(number) if number.is_finite() => format!("{number:e}"),
        Value::String(text) => serde_json::to_string(&**text).ok()?,
        Value::ByteString(bytes) => format!("\"{}\"", Encoding::Base64.encode(bytes)),
        Value::DateTime(time) => format!("\"{}\"", time_to_text(*time)),
        Value::Array(array) => {
            let all = (0..array.elements.len()).map(|at| json(&array.elements.get(at)?));
            format!("[{}]", all.collect::<Option<Vec<_>>>()?.join(","))
        }
        value if value.built_in().is_some_and(BuiltIn::is_integer) => value.as_integer()?.to_string(),
        _ => return None,
    })
}

/// A number without an exponent, unless it is very long.
fn shortest(plain: String) -> String {
    const LONGEST: usize = 24;
    match plain.parse::<f64>() {
        Ok(number) if plain.len() > LONGEST => format!("{number:e}"),
        _ => plain,
    }
}

/// The object that a write of a structure sends.
#[derive(Debug, Clone, PartialEq)]
struct Object {
    plan: Arc<StructPlan>,
    members: Vec<(Vec<String>, Body)>,
}

/// A member of an object that is being made.
enum Member {
    Value(String),
    Object(Vec<(String, Member)>),
}

impl Object {
    fn of(fields: &Fields, base: &str) -> Object {
        let member = |format: &Format| {
            let below = format.path().strip_prefix(base).unwrap_or_default();
            let names = below.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
            (names, Body::alone(format))
        };
        Object { plan: Arc::clone(&fields.plan), members: fields.formats.iter().map(member).collect() }
    }

    /// The value as JSON; `None` for one that JSON does not have.
    fn json(&self, value: &Value) -> Option<String> {
        let values = self.plan.values_of(value);
        if values.len() != self.members.len() {
            return None;
        }
        let mut all = Vec::new();
        for ((names, body), value) in self.members.iter().zip(&values) {
            put(&mut all, names, String::from_utf8(body.value(value)?).ok()?)?;
        }
        let mut out = String::new();
        write(&mut out, &all)?;
        Some(out)
    }
}

fn put(all: &mut Vec<(String, Member)>, names: &[String], json: String) -> Option<()> {
    let (name, rest) = names.split_first()?;
    if rest.is_empty() {
        all.push((name.clone(), Member::Value(json)));
        return Some(());
    }
    let known = all.iter().position(|(known, _)| known == name);
    let at = known.unwrap_or_else(|| {
        all.push((name.clone(), Member::Object(Vec::new())));
        all.len() - 1
    });
    match &mut all[at].1 {
        Member::Object(inner) => put(inner, rest, json),
        Member::Value(_) => None,
    }
}

fn write(out: &mut String, all: &[(String, Member)]) -> Option<()> {
    out.push('{');
    for (at, (name, member)) in all.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(name).ok()?);
        out.push(':');
        match member {
            Member::Value(json) => out.push_str(json),
            Member::Object(inner) => write(out, inner)?,
        }
    }
    out.push('}');
    Some(())
}
