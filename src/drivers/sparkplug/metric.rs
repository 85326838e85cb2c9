//! Values of metrics as samples of tags.

use std::sync::Arc;

use opcua::StatusCode;

use super::value::is_no_number;
use crate::drivers::payload::Want;
use crate::drivers::plan::PointPlan;
use crate::tags::RawSample;
use crate::value::Value;

/// A point with the form that its tag wants.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub point: u32,
    want: Arc<Want>,
}

impl Bound {
    pub(super) fn new(point: u32, plan: &PointPlan) -> Bound {
        Bound { point, want: Arc::new(Want::of(plan)) }
    }
}

/// Qualities of Sparkplug and of Ignition, as OPC UA has them.
fn status_of(quality: Option<u64>) -> StatusCode {
    match quality {
        None | Some(192) => StatusCode::Good,
        Some(500) => StatusCode::UncertainLastUsableValue,
        Some(0) => StatusCode::BadSensorFailure,
        // Ignition sends codes of 32 bits, a negative one with its sign extended.
        Some(code) if code & 1 << 31 != 0 => StatusCode::BadSensorFailure,
        Some(_) => StatusCode::Uncertain,
    }
}

/// The sample of a value; `None` is a null, an error the reason why there is none.
pub(super) fn sample_of(
    bound: &Bound,
    place: &str,
    value: Option<Result<Value, String>>,
    quality: Option<u64>,
) -> RawSample {
    let bad = |code: StatusCode, why: String| RawSample::from(Err(code)).because(&why);
    let status = status_of(quality);
    if status.is_bad() {
        return bad(status, format!("the edge node calls {place} bad"));
    }
    let value = match value {
        None => return bad(StatusCode::BadSensorFailure, format!("{place} is null: the device has no value")),
        Some(Err(why)) => return bad(StatusCode::BadDataEncodingInvalid, format!("{place} {why}")),
        Some(Ok(value)) => value,
    };
    if is_no_number(&value) {
        return bad(StatusCode::BadSensorFailure, format!("{place} is {}", value.shown()));
    }
    let fitting = match &value {
        Value::Array(array) if bound.want.elements == Some(array.elements.len()) => Ok(value),
        Value::Array(array) => {
            let wanted = bound.want.elements.map_or("one value".to_owned(), |count| format!("{count} values"));
            Err(format!("is an array of {} values, the tag has {wanted}", array.elements.len()))
        }
        _ if bound.want.elements.is_some() => Err("is one value, and the tag an array".to_owned()),
        Value::String(text) if bound.want.kind != crate::value::BuiltIn::ByteString => {
            bound.want.of_text(text).map_err(|fault| fault.text)
        }
        _ => bound.want.of_number(value).map_err(|fault| fault.text),
    };
    match fitting {
        Ok(value) => RawSample::new(value, status),
        Err(why) => bad(StatusCode::BadDataEncodingInvalid, format!("{place} {why}")),
    }
}
