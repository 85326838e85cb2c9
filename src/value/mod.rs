//! Live values, as all modules use them. Cloning one never allocates: text and arrays are shared.
//!
//! `opcua::Variant` owns its text, so each hand-over of a string would allocate; that is why this type exists
//! in addition to it. The wire form of both is the same (Part 6 §5.2.2.16, 1.05).

mod cells;
mod hidden;
mod hint;
mod moment;
mod plain;
mod range;
mod structure;
mod text;

pub(crate) use cells::{Cell, row, separator};
pub use hidden::Hidden;
pub(crate) use hint::{did_you_mean, list, nearest};
pub use moment::Moment;
pub use plain::is_plain;
pub use range::{IndexRange, Indices, Run};
pub use structure::{FieldKind, FieldType, MOST_NESTED, Part, Struct, StructKind};
pub use text::time_to_text;
pub(crate) use text::{
    UNIX_EPOCH_NANOS, boolean_from_text, from_hex, number_from_text, status_from_text, status_to_text, time_from_text,
    value_from_text, value_to_text, whole_part,
};

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ticks of 100 ns between 1601-01-01 and 1970-01-01 (Part 6 §5.2.2.5, 1.05).
const UNIX_EPOCH_TICKS: i64 = 116_444_736_000_000_000;

/// A point in time in ticks of 100 ns since 1601-01-01 UTC, as a `DateTime` is sent; 0 is "no time".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UaTime(pub i64);

impl UaTime {
    pub const NULL: UaTime = UaTime(0);

    /// The wall clock. This is the only place that reads it.
    pub fn now() -> UaTime {
        SystemTime::now().into()
    }

    pub fn from_unix(since_epoch: Duration) -> UaTime {
        let ticks = i64::try_from(since_epoch.as_nanos() / 100).unwrap_or(i64::MAX - UNIX_EPOCH_TICKS);
        UaTime(ticks.saturating_add(UNIX_EPOCH_TICKS))
    }

    /// Seconds since 1970-01-01, rounded down; negative before it.
    pub fn unix_seconds(self) -> i64 {
        (self.0 - UNIX_EPOCH_TICKS).div_euclid(10_000_000)
    }

    pub fn plus(self, span: Duration) -> UaTime {
        UaTime(self.0.saturating_add(i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX)))
    }
}

impl From<SystemTime> for UaTime {
    fn from(time: SystemTime) -> UaTime {
        UaTime::from_unix(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// Built-in types of Part 6 §5.1.2, Table 1 (1.05); the number is the encoding byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum BuiltIn {
    Boolean = 1,
    SByte = 2,
    Byte = 3,
    Int16 = 4,
    UInt16 = 5,
    Int32 = 6,
    UInt32 = 7,
    Int64 = 8,
    UInt64 = 9,
    Float = 10,
    Double = 11,
    String = 12,
    DateTime = 13,
    Guid = 14,
    ByteString = 15,
    XmlElement = 16,
    NodeId = 17,
    ExpandedNodeId = 18,
    StatusCode = 19,
    QualifiedName = 20,
    LocalizedText = 21,
    ExtensionObject = 22,
    DataValue = 23,
    Variant = 24,
    DiagnosticInfo = 25,
}

impl BuiltIn {
    pub const ALL: [BuiltIn; 25] = [
        BuiltIn::Boolean,
        BuiltIn::SByte,
        BuiltIn::Byte,
        BuiltIn::Int16,
        BuiltIn::UInt16,
        BuiltIn::Int32,
        BuiltIn::UInt32,
        BuiltIn::Int64,
        BuiltIn::UInt64,
        BuiltIn::Float,
        BuiltIn::Double,
        BuiltIn::String,
        BuiltIn::DateTime,
        BuiltIn::Guid,
        BuiltIn::ByteString,
        BuiltIn::XmlElement,
        BuiltIn::NodeId,
        BuiltIn::ExpandedNodeId,
        BuiltIn::StatusCode,
        BuiltIn::QualifiedName,
        BuiltIn::LocalizedText,
        BuiltIn::ExtensionObject,
        BuiltIn::DataValue,
        BuiltIn::Variant,
        BuiltIn::DiagnosticInfo,
    ];

    pub fn from_byte(byte: u8) -> Option<BuiltIn> {
        BuiltIn::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }

    /// Bytes of one value on the wire where that is fixed.
    pub fn fixed_size(self) -> Option<usize> {
        match self {
            BuiltIn::Boolean | BuiltIn::SByte | BuiltIn::Byte => Some(1),
            BuiltIn::Int16 | BuiltIn::UInt16 => Some(2),
            BuiltIn::Int32 | BuiltIn::UInt32 | BuiltIn::Float | BuiltIn::StatusCode => Some(4),
            BuiltIn::Int64 | BuiltIn::UInt64 | BuiltIn::Double | BuiltIn::DateTime => Some(8),
            BuiltIn::Guid => Some(16),
            _ => None,
        }
    }

    /// The types that calculate: integers, Float and Double.
    pub fn is_number(self) -> bool {
        (BuiltIn::SByte..=BuiltIn::Double).contains(&self)
    }

    /// Lowest and highest value of a number; as near as a `f64` comes for 64 bits.
    #[expect(
        clippy::cast_precision_loss,
        reason = "ends of a range are compared, and the nearest double is what they are"
    )]
    pub fn limits(self) -> Option<(f64, f64)> {
        Some(match self {
            BuiltIn::SByte => (i8::MIN.into(), i8::MAX.into()),
            BuiltIn::Byte => (u8::MIN.into(), u8::MAX.into()),
            BuiltIn::Int16 => (i16::MIN.into(), i16::MAX.into()),
            BuiltIn::UInt16 => (u16::MIN.into(), u16::MAX.into()),
            BuiltIn::Int32 => (i32::MIN.into(), i32::MAX.into()),
            BuiltIn::UInt32 => (u32::MIN.into(), u32::MAX.into()),
            BuiltIn::Int64 => (i64::MIN as f64, i64::MAX as f64),
            BuiltIn::UInt64 => (0.0, u64::MAX as f64),
            BuiltIn::Float => (f32::MIN.into(), f32::MAX.into()),
            BuiltIn::Double => (f64::MIN, f64::MAX),
            _ => return None,
        })
    }

    pub fn is_integer(self) -> bool {
        (BuiltIn::SByte..=BuiltIn::UInt64).contains(&self)
    }
}

/// One value. `Null` is "no value", with a Bad status.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    SByte(i8),
    Byte(u8),
    Int16(i16),
    UInt16(u16),
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    Float(f32),
    Double(f64),
    DateTime(UaTime),
    String(Arc<str>),
    ByteString(Arc<[u8]>),
    Array(Arc<Array>),
    /// A structure of a cell; an ExtensionObject on the wire.
    Struct(Arc<Struct>),
    /// Any other built-in type, as the bytes of a whole encoded Variant (its encoding byte first).
    Wire(Arc<[u8]>),
}

/// An array value; `dimensions` is empty for one dimension, else its product is the number of elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub elements: Elements,
    pub dimensions: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    Boolean(Vec<bool>),
    SByte(Vec<i8>),
    Byte(Vec<u8>),
    Int16(Vec<i16>),
    UInt16(Vec<u16>),
    Int32(Vec<i32>),
    UInt32(Vec<u32>),
    Int64(Vec<i64>),
    UInt64(Vec<u64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    DateTime(Vec<UaTime>),
    String(Vec<Arc<str>>),
    ByteString(Vec<Arc<[u8]>>),
    Struct(Vec<Arc<Struct>>),
}

/// Runs `$body` with `$v` bound to the vector, whatever its element type.
#[macro_export]
macro_rules! each_elements {
    ($elements:expr, $v:ident => $body:expr) => {
        match $elements {
            $crate::value::Elements::Boolean($v) => $body,
            $crate::value::Elements::SByte($v) => $body,
            $crate::value::Elements::Byte($v) => $body,
            $crate::value::Elements::Int16($v) => $body,
            $crate::value::Elements::UInt16($v) => $body,
            $crate::value::Elements::Int32($v) => $body,
            $crate::value::Elements::UInt32($v) => $body,
            $crate::value::Elements::Int64($v) => $body,
            $crate::value::Elements::UInt64($v) => $body,
            $crate::value::Elements::Float($v) => $body,
            $crate::value::Elements::Double($v) => $body,
            $crate::value::Elements::DateTime($v) => $body,
            $crate::value::Elements::String($v) => $body,
            $crate::value::Elements::ByteString($v) => $body,
            $crate::value::Elements::Struct($v) => $body,
        }
    };
}

impl Elements {
    pub fn len(&self) -> usize {
        each_elements!(self, v => v.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn built_in(&self) -> BuiltIn {
        match self {
            Elements::Boolean(_) => BuiltIn::Boolean,
            Elements::SByte(_) => BuiltIn::SByte,
            Elements::Byte(_) => BuiltIn::Byte,
            Elements::Int16(_) => BuiltIn::Int16,
            Elements::UInt16(_) => BuiltIn::UInt16,
            Elements::Int32(_) => BuiltIn::Int32,
            Elements::UInt32(_) => BuiltIn::UInt32,
            Elements::Int64(_) => BuiltIn::Int64,
            Elements::UInt64(_) => BuiltIn::UInt64,
            Elements::Float(_) => BuiltIn::Float,
            Elements::Double(_) => BuiltIn::Double,
            Elements::DateTime(_) => BuiltIn::DateTime,
            Elements::String(_) => BuiltIn::String,
            Elements::ByteString(_) => BuiltIn::ByteString,
            Elements::Struct(_) => BuiltIn::ExtensionObject,
        }
    }

    /// Element `at` as a value of its own.
    pub fn get(&self, at: usize) -> Option<Value> {
        Some(match self {
            Elements::Boolean(v) => Value::Boolean(*v.get(at)?),
            Elements::SByte(v) => Value::SByte(*v.get(at)?),
            Elements::Byte(v) => Value::Byte(*v.get(at)?),
            Elements::Int16(v) => Value::Int16(*v.get(at)?),
            Elements::UInt16(v) => Value::UInt16(*v.get(at)?),
            Elements::Int32(v) => Value::Int32(*v.get(at)?),
            Elements::UInt32(v) => Value::UInt32(*v.get(at)?),
            Elements::Int64(v) => Value::Int64(*v.get(at)?),
            Elements::UInt64(v) => Value::UInt64(*v.get(at)?),
            Elements::Float(v) => Value::Float(*v.get(at)?),
            Elements::Double(v) => Value::Double(*v.get(at)?),
            Elements::DateTime(v) => Value::DateTime(*v.get(at)?),
            Elements::String(v) => Value::String(v.get(at)?.clone()),
            Elements::ByteString(v) => Value::ByteString(v.get(at)?.clone()),
            Elements::Struct(v) => Value::Struct(v.get(at)?.clone()),
        })
    }
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    pub fn array(elements: Elements) -> Value {
        Value::Array(Arc::new(Array { elements, dimensions: Vec::new() }))
    }

    /// Compares as the wire would: NaN equals the same NaN, so a sensor that remains NaN is not a change.
    pub fn same_bits(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Array(a), Value::Array(b)) => match (&a.elements, &b.elements) {
                (Elements::Float(x), Elements::Float(y)) => {
                    x.iter().map(|v| v.to_bits()).eq(y.iter().map(|v| v.to_bits()))
                }
                (Elements::Double(x), Elements::Double(y)) => {
                    x.iter().map(|v| v.to_bits()).eq(y.iter().map(|v| v.to_bits()))
                }
                (Elements::Struct(x), Elements::Struct(y)) => {
                    let is_same = x.len() == y.len() && a.dimensions == b.dimensions;
                    is_same && x.iter().zip(y).all(|(one, two)| one.same_bits(two))
                }
                _ => a == b,
            },
            (Value::Struct(a), Value::Struct(b)) => Arc::ptr_eq(a, b) || a.same_bits(b),
            _ => self == other,
        }
    }

    /// The built-in type of the value or of its elements; `None` for `Null`.
    pub fn built_in(&self) -> Option<BuiltIn> {
        Some(match self {
            Value::Null => return None,
            Value::Boolean(_) => BuiltIn::Boolean,
            Value::SByte(_) => BuiltIn::SByte,
            Value::Byte(_) => BuiltIn::Byte,
            Value::Int16(_) => BuiltIn::Int16,
            Value::UInt16(_) => BuiltIn::UInt16,
            Value::Int32(_) => BuiltIn::Int32,
            Value::UInt32(_) => BuiltIn::UInt32,
            Value::Int64(_) => BuiltIn::Int64,
            Value::UInt64(_) => BuiltIn::UInt64,
            Value::Float(_) => BuiltIn::Float,
            Value::Double(_) => BuiltIn::Double,
            Value::DateTime(_) => BuiltIn::DateTime,
            Value::String(_) => BuiltIn::String,
            Value::ByteString(_) => BuiltIn::ByteString,
            Value::Array(array) => array.elements.built_in(),
            Value::Struct(_) => BuiltIn::ExtensionObject,
            Value::Wire(bytes) => return BuiltIn::from_byte(bytes.first()? & 0x3f),
        })
    }

    /// A number or Boolean as f64; 64-bit integers round to the nearest double.
    #[expect(clippy::cast_precision_loss, reason = "documented: nearest double")]
    pub fn as_f64(&self) -> Option<f64> {
        Some(match *self {
            Value::Boolean(v) => f64::from(u8::from(v)),
            Value::SByte(v) => f64::from(v),
            Value::Byte(v) => f64::from(v),
            Value::Int16(v) => f64::from(v),
            Value::UInt16(v) => f64::from(v),
            Value::Int32(v) => f64::from(v),
            Value::UInt32(v) => f64::from(v),
            Value::Int64(v) => v as f64,
            Value::UInt64(v) => v as f64,
            Value::Float(v) => f64::from(v),
            Value::Double(v) => v,
            _ => return None,
        })
    }

    /// The value for a log line: a number or text as people write it.
    pub fn shown(&self) -> String {
        match self {
            Value::String(text) => format!("{text:?}"),
            Value::Float(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
            Value::Boolean(on) => on.to_string(),
            Value::Array(array) => {
                let elements = (0..array.elements.len()).filter_map(|at| array.elements.get(at));
                format!("[{}]", elements.map(|element| element.shown()).collect::<Vec<_>>().join(", "))
            }
            Value::Struct(of) => {
                let fields = of.kind.fields.iter().zip(&of.fields);
                let one = |(kind, value): (&FieldKind, &Value)| format!("{}: {}", kind.name, value.shown());
                format!("{{ {} }}", fields.map(one).collect::<Vec<_>>().join(", "))
            }
            value => value.as_integer().map_or_else(|| format!("{value:?}"), |number| number.to_string()),
        }
    }

    /// An integer or Boolean, exactly.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Value::Boolean(v) => i128::from(v),
            Value::SByte(v) => i128::from(v),
            Value::Byte(v) => i128::from(v),
            Value::Int16(v) => i128::from(v),
            Value::UInt16(v) => i128::from(v),
            Value::Int32(v) => i128::from(v),
            Value::UInt32(v) => i128::from(v),
            Value::Int64(v) => i128::from(v),
            Value::UInt64(v) => i128::from(v),
            _ => return None,
        })
    }

    /// The integer as a value of `kind` if it fits; floats take every integer, Boolean takes 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "a float tag of an integer register holds the nearest float")]
    pub fn from_integer(kind: BuiltIn, number: i128) -> Option<Value> {
        Some(match kind {
            BuiltIn::Boolean => Value::Boolean(match number {
                0 => false,
                1 => true,
                _ => return None,
            }),
            BuiltIn::SByte => Value::SByte(number.try_into().ok()?),
            BuiltIn::Byte => Value::Byte(number.try_into().ok()?),
            BuiltIn::Int16 => Value::Int16(number.try_into().ok()?),
            BuiltIn::UInt16 => Value::UInt16(number.try_into().ok()?),
            BuiltIn::Int32 => Value::Int32(number.try_into().ok()?),
            BuiltIn::UInt32 => Value::UInt32(number.try_into().ok()?),
            BuiltIn::Int64 => Value::Int64(number.try_into().ok()?),
            BuiltIn::UInt64 => Value::UInt64(number.try_into().ok()?),
            BuiltIn::Float => Value::Float(number as f32),
            BuiltIn::Double => Value::Double(number as f64),
            _ => return None,
        })
    }

    /// The number as a value of `kind`: integers round to nearest, half away from zero; `None` when it does not fit.
    #[expect(clippy::cast_possible_truncation, reason = "bounds are checked by `from_integer`; Float rounds")]
    pub fn from_f64(kind: BuiltIn, number: f64) -> Option<Value> {
        match kind {
            BuiltIn::Double => Some(Value::Double(number)),
            BuiltIn::Float => Some(Value::Float(number as f32)),
            _ if number.is_finite() => Value::from_integer(kind, number.round() as i128),
            _ => None,
        }
    }
}

/// A value with its status and times, as watchers of a tag get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub value: Value,
    pub status: opcua::StatusCode,
    pub source_time: UaTime,
    pub server_time: UaTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_tag_values_or_are_refused_when_they_do_not_fit() {
        for (kind, number, value) in [
            (BuiltIn::Int16, 2.5, Some(Value::Int16(3))),
            (BuiltIn::Int16, -2.5, Some(Value::Int16(-3))),
            (BuiltIn::Int16, 32768.0, None),
            (BuiltIn::Byte, -0.4, Some(Value::Byte(0))),
            (BuiltIn::UInt32, f64::NAN, None),
            (BuiltIn::Boolean, 1.0, Some(Value::Boolean(true))),
            (BuiltIn::Boolean, 2.0, None),
            (BuiltIn::Double, f64::INFINITY, Some(Value::Double(f64::INFINITY))),
            (BuiltIn::String, 1.0, None),
        ] {
            assert_eq!(Value::from_f64(kind, number), value, "{number} as {kind:?}");
        }
    }

    #[test]
    fn a_value_stays_small_enough_to_copy() {
        assert!(std::mem::size_of::<Value>() <= 24);
    }
}
