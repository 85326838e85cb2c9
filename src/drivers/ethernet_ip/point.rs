//! One tag of a cell, checked: its path, and how many elements of which kind it wants.

use std::sync::Arc;

use super::address::{Address, LAST_BIT_OF_DINT, bits};
use super::path;
use crate::drivers::driver::{NoKeys, PointOf};
use crate::drivers::plan::{Enumeration, PointPlan};
use crate::drivers::reading::{Part, PointError};
use crate::value::BuiltIn;

/// A checked point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub address: Address,
    pub kind: BuiltIn,
    pub elements: u16,
    pub is_array: bool,
    /// Encoding of the tag: whole numbers only.
    pub is_integer: bool,
    /// Longest text in bytes.
    pub length: Option<u32>,
    pub enumeration: Option<Arc<Enumeration>>,
    /// The path of a request.
    pub path: Vec<u8>,
    /// The path of the array of which the address names an element, or the same.
    pub array_path: Vec<u8>,
}

/// Bytes of a STRING of Logix, with its length and its filling.
const STRING: usize = 88;

impl Variable {
    pub(crate) fn new(point: PointOf<'_, NoKeys>) -> Result<Variable, PointError> {
        let point = point.plan;
        refuse_parts(point)?;
        let address = Address::parse(&point.address)?;
        check_kind(point, &address)?;
        let whole = 0..point.address.len();
        let too_many = || {
            let message = format!("{} elements: a request reads at most {}", point.elements, u16::MAX);
            PointError::new(whole.clone(), message, "make several tags, as Curve[0] and Curve[1000]")
        };
        let too_long = || PointError::new(whole.clone(), "the address is too long".to_owned(), "read an alias of it");
        Ok(Variable {
            kind: point.kind,
            elements: u16::try_from(point.elements).map_err(|_| too_many())?,
            is_array: point.is_array,
            is_integer: point.kind.is_integer(),
            length: point.length,
            enumeration: point.enumeration.clone(),
            path: path::of(&address.parts).ok_or_else(too_long)?,
            array_path: path::of(address.array_parts()).ok_or_else(too_long)?,
            address,
        })
    }

    /// A point without a cell, for tests and fuzzing; `None` for a wrong address.
    pub(super) fn of_any(text: &str, kind: BuiltIn, elements: u16) -> Option<Variable> {
        let address = Address::parse(text).ok()?;
        let (path, array_path) = (path::of(&address.parts)?, path::of(address.array_parts())?);
        let (is_array, is_integer) = (elements > 1, kind.is_integer());
        Some(Variable {
            address,
            kind,
            elements,
            is_array,
            is_integer,
            length: None,
            enumeration: None,
            path,
            array_path,
        })
    }

    /// Bytes of the value in a reply, as far as the tag's own type says it: the PLC's is not known before the first read.
    pub(crate) fn likely_size(&self) -> usize {
        let one = match self.kind {
            BuiltIn::Boolean if self.is_array => 1,
            BuiltIn::String => STRING,
            BuiltIn::Int64 | BuiltIn::UInt64 | BuiltIn::Double => 8,
            _ => 4,
        };
        // The type and its handle come first.
        4 + one * usize::from(self.elements)
    }

    /// Whether the way to the value depends on the type: arrays of BOOL are packed in some PLCs, and their elements then have
    /// no paths.
    pub(crate) fn may_be_packed(&self) -> bool {
        self.kind == BuiltIn::Boolean
            && self.address.bit.is_none()
            && (self.is_array || self.address.last_element().is_some())
    }

    /// A bit beyond those of most integers.
    pub(crate) fn doubt(&self) -> Option<PointError> {
        self.address.bit.filter(|bit| *bit > LAST_BIT_OF_DINT).map(|_| bits(self.address.bit_at()))
    }
}

/// A value of CIP lies in one place, and nothing else scales it.
fn refuse_parts(point: &PointPlan) -> Result<(), PointError> {
    if !point.words.is_empty() {
        let error = PointError::new(0..0, "a tag of a PLC has one address".to_owned(), "name the tag");
        return Err(PointError { part: Part::Entry("address", 1), ..error });
    }
    if let Some(exponent) = &point.exponent {
        let message = "driver `ethernet-ip` has no `exponent`".to_owned();
        let error = PointError::new(0..exponent.len(), message, "write `factor` or `raw` and `eu`");
        return Err(PointError { part: Part::Exponent, ..error });
    }
    Ok(())
}

fn check_kind(point: &PointPlan, address: &Address) -> Result<(), PointError> {
    let kind = point.kind;
    let whole = 0..point.address.len();
    if address.bit.is_some() {
        if kind != BuiltIn::Boolean {
            let message = format!("a bit is no {kind:?}");
            return Err(PointError::new(address.bit_at(), message, "write `type: Boolean`, or leave the bit out"));
        }
        if point.is_array {
            let help = "read the integer, or make a tag for each bit";
            return Err(PointError::new(address.bit_at(), "a bit is no array".to_owned(), help));
        }
    }
    if kind.is_number() || matches!(kind, BuiltIn::Boolean | BuiltIn::String) {
        return Ok(());
    }
    let help = match kind {
        BuiltIn::DateTime => "a LINT of microseconds is an Int64; a PLC's own DateTime is in its OPC UA server",
        BuiltIn::ByteString => "an array of SINT is `type: Byte` with `array`",
        _ => "write a number type, Boolean or String",
    };
    Err(PointError::new(whole, format!("a PLC's tag is no {kind:?}"), help))
}
