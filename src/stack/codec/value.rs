//! Variants and DataValues to and from `Value`.

use std::sync::Arc;

use opcua::StatusCode;

use super::reader::{Decode, Reader};
use super::skip::{ARRAY, DIMENSIONS, least_size, variant_type};
use super::writer::Writer;
use crate::value::{Array, BuiltIn, Elements, UaTime, Value};

/// Memory of a shared text or byte string in addition to its bytes; an empty one takes none.
const SHARED: usize = 16;

/// A DataValue as a client wrote it: what it did not say is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataValue {
    pub value: Option<Value>,
    pub status: Option<StatusCode>,
    pub source_time: Option<UaTime>,
    pub server_time: Option<UaTime>,
}

/// TimestampsToReturn (Part 4 §7.40, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timestamps {
    Source,
    Server,
    Both,
    Neither,
}

impl Timestamps {
    pub fn from_wire(number: i32) -> Option<Timestamps> {
        Some(match number {
            0 => Timestamps::Source,
            1 => Timestamps::Server,
            2 => Timestamps::Both,
            3 => Timestamps::Neither,
            _ => return None,
        })
    }

    pub fn source(self) -> bool {
        matches!(self, Timestamps::Source | Timestamps::Both)
    }

    pub fn server(self) -> bool {
        matches!(self, Timestamps::Server | Timestamps::Both)
    }
}

/// Decodes `count` elements of one type.
macro_rules! elements {
    ($reader:ident, $count:ident, $variant:ident, $size:expr, $read:expr) => {{
        $reader.charge($count * $size)?;
        let mut values = Vec::with_capacity($count);
        for _ in 0..$count {
            values.push($read($reader)?);
        }
        Elements::$variant(values)
    }};
}

impl Reader<'_> {
    pub fn variant(&mut self) -> Decode<Value> {
        self.variant_in(false)
    }

    fn variant_in(&mut self, in_data_value: bool) -> Decode<Value> {
        let start = self.position();
        let encoding = self.u8()?;
        if encoding == 0 {
            return Ok(Value::Null);
        }
        let kind = variant_type(encoding, in_data_value)?;
        if !has_own_form(kind) {
            self.skip_variant_of(encoding, in_data_value)?;
            let bytes = self.since(start);
            self.charge(bytes.len())?;
            return Ok(Value::Wire(bytes.into()));
        }
        if encoding & ARRAY == 0 { self.scalar(kind) } else { self.array(kind, encoding & DIMENSIONS != 0) }
    }

    pub(super) fn scalar(&mut self, kind: BuiltIn) -> Decode<Value> {
        Ok(match kind {
            BuiltIn::Boolean => Value::Boolean(self.bool()?),
            BuiltIn::SByte => Value::SByte(self.i8()?),
            BuiltIn::Byte => Value::Byte(self.u8()?),
            BuiltIn::Int16 => Value::Int16(self.i16()?),
            BuiltIn::UInt16 => Value::UInt16(self.u16()?),
            BuiltIn::Int32 => Value::Int32(self.i32()?),
            BuiltIn::UInt32 => Value::UInt32(self.u32()?),
            BuiltIn::Int64 => Value::Int64(self.i64()?),
            BuiltIn::UInt64 => Value::UInt64(self.u64()?),
            BuiltIn::Float => Value::Float(self.f32()?),
            BuiltIn::Double => Value::Double(self.f64()?),
            BuiltIn::DateTime => Value::DateTime(self.time()?),
            BuiltIn::String => Value::String(self.owned_text()?),
            BuiltIn::ByteString => Value::ByteString(self.owned_bytes()?),
            _ => return Err(StatusCode::BadDecodingError),
        })
    }

    fn owned_text(&mut self) -> Decode<Arc<str>> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(Arc::default());
        }
        self.charge(SHARED + text.len())?;
        Ok(text.into())
    }

    fn owned_bytes(&mut self) -> Decode<Arc<[u8]>> {
        let bytes = self.bytes()?.unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Arc::default());
        }
        self.charge(SHARED + bytes.len())?;
        Ok(bytes.into())
    }

    /// Elements whose count is known.
    pub(super) fn some_elements(&mut self, kind: BuiltIn, count: usize) -> Decode<Elements> {
        if count > self.remaining() / least_size(kind) {
            return Err(StatusCode::BadDecodingError);
        }
        Ok(match kind {
            BuiltIn::Boolean => elements!(self, count, Boolean, 1, Reader::bool),
            BuiltIn::SByte => elements!(self, count, SByte, 1, Reader::i8),
            BuiltIn::Byte => elements!(self, count, Byte, 1, Reader::u8),
            BuiltIn::Int16 => elements!(self, count, Int16, 2, Reader::i16),
            BuiltIn::UInt16 => elements!(self, count, UInt16, 2, Reader::u16),
            BuiltIn::Int32 => elements!(self, count, Int32, 4, Reader::i32),
            BuiltIn::UInt32 => elements!(self, count, UInt32, 4, Reader::u32),
            BuiltIn::Int64 => elements!(self, count, Int64, 8, Reader::i64),
            BuiltIn::UInt64 => elements!(self, count, UInt64, 8, Reader::u64),
            BuiltIn::Float => elements!(self, count, Float, 4, Reader::f32),
            BuiltIn::Double => elements!(self, count, Double, 8, Reader::f64),
            BuiltIn::DateTime => elements!(self, count, DateTime, 8, Reader::time),
            BuiltIn::String => elements!(self, count, String, 16, Reader::owned_text),
            BuiltIn::ByteString => elements!(self, count, ByteString, 16, Reader::owned_bytes),
            _ => return Err(StatusCode::BadDecodingError),
        })
    }

    fn array(&mut self, kind: BuiltIn, has_dimensions: bool) -> Decode<Value> {
        let count = self.count(least_size(kind))?;
        let elements = self.some_elements(kind, count)?;
        let dimensions = if has_dimensions { self.dimensions(count)? } else { Vec::new() };
        Ok(Value::Array(Arc::new(Array { elements, dimensions })))
    }

    pub(super) fn dimensions(&mut self, elements: usize) -> Decode<Vec<u32>> {
        let count = self.count(4)?;
        self.charge(count * 4)?;
        let sizes = (0..count)
            .map(|_| u32::try_from(self.i32()?).map_err(|_| StatusCode::BadDecodingError))
            .collect::<Decode<Vec<u32>>>()?;
        let product = sizes.iter().fold(1usize, |product, size| product.saturating_mul(*size as usize));
        let is_consistent = if count == 0 { elements == 0 } else { product == elements };
        if !is_consistent {
            return Err(StatusCode::BadDecodingError);
        }
        Ok(if count > 1 { sizes } else { Vec::new() })
    }

    pub fn data_value(&mut self) -> Decode<DataValue> {
        let mask = self.u8()?;
        if mask & 0xc0 != 0 {
            return Err(StatusCode::BadDecodingError);
        }
        let value = if mask & 0x01 != 0 { Some(self.deeper(|reader| reader.variant_in(true))?) } else { None };
        let status = if mask & 0x02 != 0 { Some(self.status()?) } else { None };
        let source_time = if mask & 0x04 != 0 { Some(self.time()?) } else { None };
        if mask & 0x10 != 0 {
            self.u16()?;
        }
        let server_time = if mask & 0x08 != 0 { Some(self.time()?) } else { None };
        if mask & 0x20 != 0 {
            self.u16()?;
        }
        Ok(DataValue { value, status, source_time, server_time })
    }
}

/// The types that `Value` holds itself; the others stay as bytes.
fn has_own_form(kind: BuiltIn) -> bool {
    kind <= BuiltIn::DateTime || kind == BuiltIn::ByteString
}

impl Writer {
    pub fn variant(&mut self, value: &Value) {
        match value {
            Value::Null => self.u8(0),
            Value::Wire(bytes) => self.raw(bytes),
            Value::Array(array) => self.variant_array(array),
            // Of a structure that is not whole its tag is Bad, and has no value.
            Value::Struct(of) if of.fault().is_some() => self.u8(0),
            scalar => {
                self.u8(scalar.built_in().map_or(0, |kind| kind as u8));
                self.scalar(scalar);
            }
        }
    }

    pub(super) fn scalar(&mut self, value: &Value) {
        match value {
            Value::Struct(of) => self.structure(of),
            Value::Null | Value::Array(_) | Value::Wire(_) => {}
            Value::Boolean(v) => self.bool(*v),
            Value::SByte(v) => self.u8(v.cast_unsigned()),
            Value::Byte(v) => self.u8(*v),
            Value::Int16(v) => self.u16(v.cast_unsigned()),
            Value::UInt16(v) => self.u16(*v),
            Value::Int32(v) => self.i32(*v),
            Value::UInt32(v) => self.u32(*v),
            Value::Int64(v) => self.i64(*v),
            Value::UInt64(v) => self.u64(*v),
            Value::Float(v) => self.f32(*v),
            Value::Double(v) => self.f64(*v),
            Value::DateTime(v) => self.time(*v),
            Value::String(v) => self.text(v),
            Value::ByteString(v) => self.bytes(Some(v)),
        }
    }

    fn variant_array(&mut self, array: &Array) {
        let has_dimensions = array.dimensions.len() > 1;
        self.u8(array.elements.built_in() as u8 | ARRAY | if has_dimensions { DIMENSIONS } else { 0 });
        self.elements(&array.elements);
        if has_dimensions {
            self.count(array.dimensions.len());
            for size in &array.dimensions {
                self.u32(*size);
            }
        }
    }

    /// The elements as an array that knows its type from elsewhere: a count, then each of them.
    pub fn elements(&mut self, elements: &Elements) {
        self.count(elements.len());
        self.bare_elements(elements);
    }

    /// The elements alone.
    pub(super) fn bare_elements(&mut self, elements: &Elements) {
        match elements {
            Elements::Struct(all) => all.iter().for_each(|of| self.structure(of)),
            Elements::Boolean(v) => v.iter().for_each(|v| self.bool(*v)),
            Elements::SByte(v) => v.iter().for_each(|v| self.u8(v.cast_unsigned())),
            Elements::Byte(v) => self.raw(v),
            Elements::Int16(v) => v.iter().for_each(|v| self.u16(v.cast_unsigned())),
            Elements::UInt16(v) => v.iter().for_each(|v| self.u16(*v)),
            Elements::Int32(v) => v.iter().for_each(|v| self.i32(*v)),
            Elements::UInt32(v) => v.iter().for_each(|v| self.u32(*v)),
            Elements::Int64(v) => v.iter().for_each(|v| self.i64(*v)),
            Elements::UInt64(v) => v.iter().for_each(|v| self.u64(*v)),
            Elements::Float(v) => v.iter().for_each(|v| self.f32(*v)),
            Elements::Double(v) => v.iter().for_each(|v| self.f64(*v)),
            Elements::DateTime(v) => v.iter().for_each(|v| self.time(*v)),
            Elements::String(v) => v.iter().for_each(|v| self.text(v)),
            Elements::ByteString(v) => v.iter().for_each(|v| self.bytes(Some(v))),
        }
    }

    /// A Good DataValue of a number with the times that are given, in one piece; false, and nothing written, when the
    /// value or a time is of another kind. History writes millions of them.
    #[inline]
    pub fn plain_data_value(&mut self, value: &Value, source: Option<UaTime>, server: Option<UaTime>) -> bool {
        /// Mask, encoding byte, value, times; the length is known to the compiler.
        macro_rules! put {
            ($bytes:expr, $size:literal) => {{
                let kind = value.built_in().map_or(0, |kind| kind as u8);
                match (source, server) {
                    (Some(source), Some(server)) => {
                        let mut all = [0; $size + 18];
                        (all[0], all[1]) = (0x0d, kind);
                        all[2..$size + 2].copy_from_slice(&$bytes);
                        all[$size + 2..$size + 10].copy_from_slice(&source.0.to_le_bytes());
                        all[$size + 10..].copy_from_slice(&server.0.to_le_bytes());
                        self.raw(&all);
                    }
                    (Some(source), None) => {
                        let mut all = [0; $size + 10];
                        (all[0], all[1]) = (0x05, kind);
                        all[2..$size + 2].copy_from_slice(&$bytes);
                        all[$size + 2..].copy_from_slice(&source.0.to_le_bytes());
                        self.raw(&all);
                    }
                    (None, _) => return false,
                }
            }};
        }
        if source == Some(UaTime::NULL) || server == Some(UaTime::NULL) {
            return false;
        }
        match value {
            Value::Double(v) => put!(v.to_le_bytes(), 8),
            Value::Float(v) => put!(v.to_le_bytes(), 4),
            Value::Int32(v) => put!(v.to_le_bytes(), 4),
            Value::UInt32(v) => put!(v.to_le_bytes(), 4),
            Value::Int16(v) => put!(v.to_le_bytes(), 2),
            Value::UInt16(v) => put!(v.to_le_bytes(), 2),
            Value::Boolean(v) => put!([u8::from(*v)], 1),
            _ => return false,
        }
        true
    }

    /// A DataValue. Bad goes out without a value (Part 4 §7.11.1, 1.05); Good is left out, as it is the default;
    /// picoseconds are never sent.
    #[inline]
    pub fn data_value(&mut self, value: &Value, status: StatusCode, source: Option<UaTime>, server: Option<UaTime>) {
        let has_value = !value.is_null() && !status.is_bad();
        let source = source.filter(|time| *time != UaTime::NULL);
        let server = server.filter(|time| *time != UaTime::NULL);
        let mask = u8::from(has_value)
            | u8::from(status.bits() != 0) << 1
            | u8::from(source.is_some()) << 2
            | u8::from(server.is_some()) << 3;
        self.u8(mask);
        if has_value {
            self.variant(value);
        }
        if status.bits() != 0 {
            self.status(status);
        }
        if let Some(time) = source {
            self.time(time);
        }
        if let Some(time) = server {
            self.time(time);
        }
    }
}
