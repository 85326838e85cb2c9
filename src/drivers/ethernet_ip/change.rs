//! Values to bytes of a PLC, for writes. Pure.

use opcua::StatusCode;

use super::path::{self, Part};
use super::plc_type::PlcType;
use super::point::Variable;
use super::value::{Layout, TEXT_HEAD, narrow, number_of};
use crate::drivers::number::{Takes, whole};
use crate::value::Value;

const OUT: StatusCode = StatusCode::BadOutOfRange;

/// A change in the PLC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Bits of one integer: those to set, and those to keep or set.
    Bits {
        path: Vec<u8>,
        /// Bytes of the integer.
        size: usize,
        set: u64,
        keep: u64,
    },
    Elements {
        path: Vec<u8>,
        count: u16,
        data: Vec<u8>,
        /// The data begins at this byte of the elements.
        offset: usize,
    },
}

/// A value's type and layout, as last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub of: PlcType,
    pub layout: Layout,
    /// Bytes of one structure.
    pub size: usize,
}

impl Variable {
    /// The changes that write `value`, from element `first` on. A value that would be read back as another one is
    /// BadOutOfRange.
    pub(crate) fn encode(&self, form: Form, value: &Value, first: u32) -> Result<Vec<Change>, StatusCode> {
        self.check_type(form.of).map_err(|bad| bad.status)?;
        let elements: Vec<Value> = match value {
            Value::Array(array) => (0..array.elements.len()).filter_map(|at| array.elements.get(at)).collect(),
            value => vec![value.clone()],
        };
        let count = u16::try_from(elements.len()).map_err(|_| StatusCode::BadIndexRangeNoData)?;
        let is_inside = first.checked_add(count.into()).is_some_and(|end| end <= self.elements.into());
        if !is_inside || count == 0 {
            return Err(StatusCode::BadIndexRangeNoData);
        }
        if let Some(bit) = self.address.bit {
            return self.one_bit(form, bit, value);
        }
        if let Layout::Packed { first: bit } = form.layout {
            return self.packed_bits(&elements, u32::from(bit) + first);
        }
        let mut data = Vec::new();
        for element in &elements {
            self.put(form, element, &mut data)?;
        }
        let size = data.len() / usize::from(count);
        let is_of_cip = matches!(form.of, PlcType::ShortString | PlcType::String);
        if is_of_cip && count != self.elements {
            // Texts of any length have no places of their own.
            return Err(StatusCode::BadWriteNotSupported);
        }
        let change = match self.element_path(first) {
            Some(path) => Change::Elements { path, count, data, offset: 0 },
            None => {
                Change::Elements { path: self.path.clone(), count: self.elements, data, offset: size * first as usize }
            }
        };
        Ok(vec![change])
    }

    /// The path of the value from an element on; `None` where a byte offset must say it.
    fn element_path(&self, first: u32) -> Option<Vec<u8>> {
        if first == 0 {
            return Some(self.path.clone());
        }
        let start = match self.address.last_element() {
            None => 0,
            Some([start]) => *start,
            Some(_) => return None,
        };
        let mut path = self.array_path.clone();
        path::element(&mut path, start.checked_add(first)?);
        Some(path)
    }

    fn one_bit(&self, form: Form, bit: u8, value: &Value) -> Result<Vec<Change>, StatusCode> {
        let size = form.of.size().ok_or(StatusCode::BadConfigurationError)?;
        let (set, keep) = masks(u32::from(bit), boolean(value)?);
        Ok(vec![Change::Bits { path: self.path.clone(), size, set, keep }])
    }

    /// Bits of a packed array, one change a DWORD. `start` counts from the DWORD that the address begins in.
    fn packed_bits(&self, elements: &[Value], start: u32) -> Result<Vec<Change>, StatusCode> {
        let word = self.first_word();
        let mut changes: Vec<Change> = Vec::new();
        let mut current = None;
        for (place, element) in (start..).zip(elements) {
            let (one, all) = masks(place % 32, boolean(element)?);
            match changes.last_mut() {
                Some(Change::Bits { set, keep, .. }) if current == Some(place / 32) => {
                    *set |= one;
                    *keep &= all;
                }
                _ => {
                    let mut path = self.array_path.clone();
                    path::element(&mut path, word + place / 32);
                    changes.push(Change::Bits { path, size: 4, set: one, keep: all });
                }
            }
            current = Some(place / 32);
        }
        Ok(changes)
    }

    /// The DWORD of a packed array in which the value begins.
    fn first_word(&self) -> u32 {
        match self.address.last_element() {
            Some([index]) => index / 32,
            _ => 0,
        }
    }

    /// The path of a packed array's DWORDs, their number, and the layout; `None` for several dimensions.
    pub(crate) fn packed(&self) -> Option<Packed> {
        let index = match self.address.last_element() {
            None => 0,
            Some([index]) => *index,
            Some(_) => return None,
        };
        let first = u8::try_from(index % 32).ok()?;
        let mut path = self.array_path.clone();
        if self.first_word() > 0 || matches!(self.address.parts.last(), Some(Part::Element(_))) {
            path::element(&mut path, self.first_word());
        }
        let words = u16::try_from((u32::from(first) + u32::from(self.elements)).div_ceil(32)).ok()?;
        Some(Packed { path, words, layout: Layout::Packed { first } })
    }

    fn put(&self, form: Form, value: &Value, data: &mut Vec<u8>) -> Result<(), StatusCode> {
        match form.of {
            PlcType::Bool => data.push(u8::from(boolean(value)?)),
            PlcType::ShortString => {
                let letters = self.letters(value)?;
                data.push(u8::try_from(letters.len()).map_err(|_| OUT)?);
                data.extend(letters);
            }
            PlcType::String => {
                let letters = self.letters(value)?;
                data.extend(u16::try_from(letters.len()).map_err(|_| OUT)?.to_le_bytes());
                data.extend(letters);
            }
            PlcType::Structure(_) => {
                let Layout::Text { capacity } = form.layout else { return Err(StatusCode::BadConfigurationError) };
                let letters = self.letters(value)?;
                let end = data.len() + form.size;
                if letters.len() > capacity || TEXT_HEAD + capacity > form.size {
                    return Err(OUT);
                }
                data.extend(u32::try_from(letters.len()).map_err(|_| OUT)?.to_le_bytes());
                data.extend(letters);
                data.resize(end, 0);
            }
            of => {
                let number = number_of(of).ok_or(StatusCode::BadConfigurationError)?;
                let takes = Takes { nan: false, is_integer: self.is_integer };
                let bits = match value {
                    Value::Boolean(on) => number.bits_of(&Value::Int32(i32::from(*on)), takes)?,
                    value => number.bits_of(value, takes)?,
                };
                data.extend(&bits.to_le_bytes()[..number.bits() as usize / 8]);
            }
        }
        Ok(())
    }

    /// The letters of a text, or of a number where the PLC has a text.
    fn letters(&self, value: &Value) -> Result<Vec<u8>, StatusCode> {
        let text = match value {
            Value::String(text) => text.to_string(),
            Value::Boolean(on) => u8::from(*on).to_string(),
            value => match value.as_integer() {
                Some(number) => number.to_string(),
                None => value.as_f64().filter(|number| number.is_finite()).ok_or(OUT)?.to_string(),
            },
        };
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        bytes.ok().filter(|bytes| narrow(bytes) == text).ok_or(OUT)
    }
}

/// How a packed array of BOOL is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    pub path: Vec<u8>,
    pub words: u16,
    pub layout: Layout,
}

fn boolean(value: &Value) -> Result<bool, StatusCode> {
    match value {
        Value::Boolean(on) => Ok(*on),
        value => match whole(value)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(OUT),
        },
    }
}

/// Bits to set, and bits to keep or set.
fn masks(bit: u32, on: bool) -> (u64, u64) {
    let bit = 1_u64 << bit;
    if on { (bit, u64::MAX) } else { (0, !bit) }
}
