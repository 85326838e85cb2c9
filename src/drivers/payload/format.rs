//! Checks of the keys of a point, and how its value lies in a message by them.

use std::sync::Arc;

use super::bytes::Raw;
use super::json::Pointer;
use super::keys::{Encoding, Keys, PayloadKind, RawType};
use super::value::Want;
use crate::drivers::plan::{PointPlan, StructPlan};
use crate::drivers::reading::PointError;
use crate::value::BuiltIn;

/// Form of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    Json,
    Text,
    Raw,
    /// Counted from 1.
    Csv(usize),
}

/// Place of one tag's value in messages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Format {
    pub(super) form: Form,
    pub(super) json: Pointer,
    pub(super) time: Option<Pointer>,
    pub(super) quality: Option<Pointer>,
    pub(super) raw: Option<Raw>,
    pub(super) encoding: Option<Encoding>,
    pub(super) want: Want,
    /// The fields of a structure, which is an object of JSON.
    pub(super) fields: Option<Fields>,
}

/// The fields of a structure in messages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fields {
    pub(super) plan: Arc<StructPlan>,
    pub(super) formats: Vec<Format>,
}

fn error(key: &'static str, message: impl Into<String>, help: &str) -> PointError {
    PointError::key(key, message.into(), help)
}

impl Format {
    pub(crate) fn new(keys: &Keys, plan: &PointPlan) -> Result<Format, PointError> {
        let want = Want::of(plan);
        check_type(&want)?;
        let (json, time, quality) = pointers(keys)?;
        let form = form_of(keys, &want)?;
        let raw = raw_of(keys, &form)?;
        check_raw_type(raw, &want)?;
        if want.elements.is_some() && !matches!(form, Form::Json | Form::Raw) && raw.is_none() {
            let message = "a text holds one value, not an array";
            return Err(error("payload", message, "write `payload: json`, or `raw_type` for bytes"));
        }
        let json = json.unwrap_or(Pointer::parse("").expect("the empty pointer is right"));
        Ok(Format { form, json, time, quality, raw, encoding: keys.encoding, want, fields: None })
    }

    /// The path of the value in the message, where there is one.
    pub(crate) fn path(&self) -> &str {
        &self.json.text
    }

    /// A doubt about the keys: something that is allowed and seldom intended.
    pub(crate) fn doubt(keys: &Keys) -> Option<PointError> {
        let body = keys.body.as_ref().filter(|body| !body.contains("{value}"))?;
        let message = format!("`body` holds no {{value}}: each write sends `{body}`");
        Some(error("body", message, "write `{value}` where the value belongs"))
    }
}

fn check_type(want: &Want) -> Result<(), PointError> {
    let is_known = want.kind.is_number()
        || matches!(want.kind, BuiltIn::Boolean | BuiltIn::String | BuiltIn::DateTime | BuiltIn::ByteString);
    let help = "make the tag a Boolean, a number, a String, a DateTime or a ByteString";
    match is_known {
        true => Ok(()),
        false => Err(error("type", format!("messages give no {:?}", want.kind), help)),
    }
}

/// The pointers of value, time and quality.
type Pointers = (Option<Pointer>, Option<Pointer>, Option<Pointer>);

fn pointers(keys: &Keys) -> Result<Pointers, PointError> {
    let parse = |key: &'static str, text: &Option<String>| {
        let Some(text) = text else { return Ok(None) };
        Pointer::parse(text).map(Some).map_err(|no| error(key, no.message, &no.help))
    };
    Ok((parse("json", &keys.json)?, parse("time", &keys.time)?, parse("quality", &keys.quality)?))
}

fn form_of(keys: &Keys, want: &Want) -> Result<Form, PointError> {
    let pointer = [("json", &keys.json), ("time", &keys.time), ("quality", &keys.quality)];
    let pointer = pointer.into_iter().find(|(_, text)| text.is_some()).map(|(key, _)| key);
    let is_list = want.elements.is_some() && keys.raw_type.is_none();
    let kind = keys.payload.unwrap_or(match pointer {
        Some(_) => PayloadKind::Json,
        None if keys.raw_type.is_some() && keys.encoding.is_none() => PayloadKind::Raw,
        None if is_list => PayloadKind::Json,
        None => PayloadKind::Text,
    });
    if let (Some(key), PayloadKind::Text | PayloadKind::Raw | PayloadKind::Csv) = (pointer, kind) {
        let name = name_of(kind);
        let message = format!("`{key}` with `payload: {name}`");
        return Err(error(key, message, &format!("write `payload: json`, or delete `{key}`")));
    }
    match (kind, keys.column) {
        (PayloadKind::Csv, None) => {
            Err(error("payload", "`payload: csv` needs `column`", "write `column: 1` for the first column"))
        }
        (PayloadKind::Csv, Some(column)) => Ok(Form::Csv(column.into())),
        (_, Some(_)) => Err(error("column", "only with `payload: csv`", "add `payload: csv`, or delete `column`")),
        (PayloadKind::Json, None) => Ok(Form::Json),
        (PayloadKind::Text, None) => Ok(Form::Text),
        (PayloadKind::Raw, None) => Ok(Form::Raw),
    }
}

fn name_of(kind: PayloadKind) -> &'static str {
    match kind {
        PayloadKind::Json => "json",
        PayloadKind::Text => "text",
        PayloadKind::Raw => "raw",
        PayloadKind::Csv => "csv",
    }
}

fn raw_of(keys: &Keys, form: &Form) -> Result<Option<Raw>, PointError> {
    let is_raw = *form == Form::Raw;
    let Some(raw) = keys.raw_type else {
        if is_raw {
            return Err(error("payload", "`payload: raw` needs `raw_type`", "add `raw_type: int16`, or another type"));
        }
        if keys.encoding.is_some() {
            let help = "add `raw_type`: the type of the value in the bytes";
            return Err(error("encoding", "`encoding` needs `raw_type`", help));
        }
        let set = [("byte", keys.byte.is_some()), ("byte_order", keys.byte_order.is_some()), ("nan", keys.nan)];
        return match set.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => Err(error(key, "only with `raw_type`", &format!("add `raw_type`, or delete `{key}`"))),
            None => Ok(None),
        };
    };
    match (is_raw, keys.encoding) {
        (true, Some(_)) => {
            let help = "delete `encoding`, or write `payload: json` or `payload: text`";
            return Err(error("encoding", "raw bytes are no text", help));
        }
        (false, None) => {
            let message = "`raw_type` needs `payload: raw` or `encoding`";
            let help = "write `payload: raw`, or `encoding: hex` or `base64` where the bytes are written as a text";
            return Err(error("raw_type", message, help));
        }
        _ => {}
    }
    if keys.nan && !raw.is_float() {
        return Err(error("nan", "only a float can be NaN", "`nan` is for float32 and float64"));
    }
    let order = keys.byte_order.unwrap_or_default();
    Ok(Some(Raw { raw, byte: keys.byte.unwrap_or(0).into(), order, nan: keys.nan }))
}

fn check_raw_type(raw: Option<Raw>, want: &Want) -> Result<(), PointError> {
    let Some(Raw { raw, .. }) = raw else { return Ok(()) };
    let is_number = want.kind.is_number() || want.kind == BuiltIn::Boolean;
    let fits = match raw {
        RawType::Text => want.kind != BuiltIn::ByteString && want.elements.is_none(),
        RawType::Bytes => want.kind == BuiltIn::ByteString && want.elements.is_none(),
        _ => is_number,
    };
    if fits {
        return Ok(());
    }
    let help = match want.kind {
        BuiltIn::String => "a String is `raw_type: text`",
        BuiltIn::ByteString => "a ByteString is `raw_type: bytes`",
        _ if want.elements.is_some() => "an array is of numbers: int8 to float64",
        _ => "a number is int8 to float64, or text",
    };
    Err(error("raw_type", format!("this raw_type gives no {:?}", want.kind), help))
}
