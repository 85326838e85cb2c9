//! A structure in a PLC, packed as a standard data block: Booleans share bytes, single bytes follow each other, and all else
//! begins at an even byte.

use std::sync::Arc;

use opcua::StatusCode;

use super::address::{Address, Letter};
use super::pdu::{longest_read, longest_write};
use super::point::Variable;
use super::raw_type::RawType;
use super::settings::{S7Point, S7Settings};
use super::value::Change;
use super::wire::LEAST_PDU;
use crate::drivers::driver::PointOf;
use crate::drivers::ground::{Ground, Room, place};
use crate::drivers::plan::{Leaf, PlaceError, PointPlan, PointSettings, StructPlan, Wanted};
use crate::drivers::reading::{PointError, Reading};
use crate::value::{BuiltIn, Value};

/// A checked structure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Structure {
    pub address: Address,
    /// Bytes from the first that a field has to the last.
    pub count: u32,
    pub fields: Vec<Variable>,
    plan: Arc<StructPlan>,
}

impl Structure {
    /// The structure of a point that has one.
    pub(crate) fn new(settings: &S7Settings, point: PointOf<'_, S7Point>) -> Result<Structure, PointError> {
        let plan = point.structure.as_ref().expect("asked for a structure only");
        let fields = plan.leaves.iter().map(|leaf| Variable::new(settings, PointOf::new(leaf)));
        let fields = fields.collect::<Result<Vec<Variable>, PointError>>()?;
        let ends = fields.iter().map(|field| field.start() + field.count());
        let (Some(start), Some(end)) = (fields.iter().map(Variable::start).min(), ends.max()) else {
            let whole = 0..point.address.len();
            return Err(PointError::new(whole, "this structure has no bytes".to_owned(), "give it fields"));
        };
        let address = Address { start, ..fields[0].address.with(Letter::Byte) };
        Ok(Structure { address, count: end - start, fields, plan: Arc::clone(plan) })
    }

    /// The value in the bytes of a reply, which are those of the whole structure.
    pub(crate) fn decode(&self, data: &[u8]) -> Value {
        let field = |field: &Variable| {
            let at = (field.start() - self.address.start) as usize;
            field.decode(data.get(at..).unwrap_or_default()).map_err(|bad| bad.status)
        };
        self.plan.assemble(self.fields.iter().map(field).collect())
    }

    /// The changes that write a value, from element `first` of an array on, each with the field that it is of.
    pub(crate) fn encode(&self, value: &Value, first: u32) -> Result<Vec<(usize, Change)>, StatusCode> {
        let elements = match value {
            Value::Array(array) => array.elements.len(),
            _ => 1,
        };
        let all = self.plan.dimensions.iter().map(|size| *size as usize).product::<usize>();
        let each = self.fields.len() / all.max(1);
        let from = first as usize * each;
        let fields = self.fields.get(from..from + elements * each).ok_or(StatusCode::BadIndexRangeNoData)?;
        let values = self.plan.values_of(value);
        if values.len() != fields.len() {
            return Err(StatusCode::BadTypeMismatch);
        }
        let mut changes = Vec::new();
        for (at, (field, value)) in (from..).zip(fields.iter().zip(&values)) {
            changes.extend(field.encode(value, 0)?.into_iter().map(|change| (at, change)));
        }
        Ok(changes)
    }

    pub(crate) fn reading(&self, settings: &S7Settings, point: &PointPlan) -> Reading {
        let last = self.address.start + self.count - 1;
        let least = settings.pdu.min(LEAST_PDU);
        let bytes = self.count as usize;
        let whole = || 0..point.address.len();
        let warning = if bytes > longest_read(least) {
            let message = format!(
                "a structure of {bytes} bytes does not fit a PDU of {least} (at most {}): its fields may be of two moments",
                longest_read(least)
            );
            Some(PointError::new(whole(), message, "make two structures of it"))
        } else if point.write && bytes > longest_write(least) {
            let writes = bytes.div_ceil(longest_write(least));
            let message = format!("a write of the whole structure goes out in {writes} writes with a PDU of {least}");
            Some(PointError::new(whole(), message, "write fields alone, or make two structures of it"))
        } else {
            None
        };
        Reading { spellings: format!("{}..{last}", self.address), warning, ..Reading::default() }
    }
}

/// Changes of bytes that lie side by side as one.
pub(super) fn joined(changes: Vec<Change>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    for change in changes {
        match (joined.last_mut(), change) {
            (Some(Change::Bytes { start, bytes }), Change::Bytes { start: next, bytes: more })
                if u64::from(*start) + bytes.len() as u64 == u64::from(next) =>
            {
                bytes.extend(more);
            }
            (_, change) => joined.push(change),
        }
    }
    joined
}

/// Places in bytes.
struct Bytes<'a> {
    settings: &'a S7Settings,
    base: Address,
}

impl Bytes<'_> {
    fn raw(&self, field: &PointPlan) -> Result<RawType, PointError> {
        let keys = field.settings.get::<S7Point>().expect("a field has the keys of its driver");
        if let Some(raw) = keys.raw_type {
            return Ok(raw);
        }
        if let Some((low, high)) = field.enumeration.as_ref().and_then(|of| of.ends()) {
            let fits = i16::try_from(low).is_ok() && i16::try_from(high).is_ok();
            return Ok(if fits { RawType::Int16 } else { RawType::Int32 });
        }
        Ok(match field.kind {
            BuiltIn::Boolean => RawType::Bool,
            BuiltIn::SByte => RawType::Int8,
            BuiltIn::Byte => RawType::Uint8,
            BuiltIn::Int16 => RawType::Int16,
            BuiltIn::UInt16 => RawType::Uint16,
            BuiltIn::Int32 => RawType::Int32,
            BuiltIn::UInt32 => RawType::Uint32,
            BuiltIn::Int64 => RawType::Int64,
            BuiltIn::UInt64 => RawType::Uint64,
            // What a scale is on cannot be guessed.
            BuiltIn::Float | BuiltIn::Double if field.has_scale => {
                let message = "`scale` without `raw_type`".to_owned();
                return Err(PointError::key("scale", message, "write `raw_type: int16`, or as the PLC has it"));
            }
            BuiltIn::Float => RawType::Float32,
            BuiltIn::Double => RawType::Float64,
            BuiltIn::String => RawType::String,
            BuiltIn::ByteString => RawType::Bytes,
            kind => {
                let help = "write `raw_type: dtl`, as the PLC has it";
                return Err(PointError::key("type", format!("a {kind:?} needs `raw_type`"), help));
            }
        })
    }
}

impl Ground for Bytes<'_> {
    const UNIT: u64 = 8;
    const STRUCTURE: u64 = 16;

    fn room(&self, field: &PointPlan) -> Result<Room, PointError> {
        let raw = self.raw(field)?;
        if raw == RawType::Bool {
            return Ok(match field.is_array {
                false => Room { size: 1, align: 1 },
                true => Room { size: (field.elements as u64).next_multiple_of(16), align: 16 },
            });
        }
        let variable = Variable::new(self.settings, PointOf::new(&self.point(field, 0, None)?))?;
        let size = u64::from(variable.count()) * 8;
        Ok(match size {
            8 if !field.is_array => Room { size, align: 8 },
            size => Room { size: size.next_multiple_of(16), align: 16 },
        })
    }

    fn point(&self, field: &PointPlan, unit: u64, bits: Option<&str>) -> Result<PointPlan, PointError> {
        let raw = self.raw(field)?;
        let wrong = |message: String, help: &str| PointError::key("at", message, help);
        let bit = match (raw, bits) {
            (RawType::Bool, None) => 0,
            (RawType::Bool, Some(bits)) => match bits.parse::<u8>().ok().filter(|bit| *bit < 8) {
                Some(bit) => bit,
                None => return Err(wrong(format!("`{bits}` is no bit of a byte"), "write `4.0` to `4.7`")),
            },
            (_, Some(_)) => {
                let message = format!("a {} does not begin at a bit", raw.iec());
                return Err(wrong(message, "write a whole number of bytes"));
            }
            (_, None) => 0,
        };
        let start = u64::from(self.base.start) + unit;
        let Ok(start) = u32::try_from(start) else {
            return Err(wrong(format!("byte {start} is beyond every data block"), "write a smaller number"));
        };
        let letter = match (raw, raw.size()) {
            (RawType::Bool, _) => Letter::Bit,
            (raw, _) if raw.is_date() => Letter::Byte,
            (_, Some(bytes)) => Letter::of_bytes(bytes),
            (_, None) => Letter::Byte,
        };
        let address = Address { letter, start, bit, ..self.base };
        let keys = field.settings.get::<S7Point>().expect("a field has the keys of its driver");
        let settings = PointSettings::of(S7Point { raw_type: Some(raw), ..keys.clone() });
        Ok(PointPlan { address: address.to_string(), settings, ..field.clone() })
    }
}

/// Gives each field its bytes.
pub(super) fn place_structure(
    settings: &S7Settings,
    point: PointOf<'_, S7Point>,
    wanted: Wanted<'_>,
) -> Result<Vec<Leaf>, PlaceError> {
    let base = Address::parse(&point.address).map_err(PlaceError::Tag)?;
    if base.area.has_elements() || base.letter != Letter::Byte || !point.words.is_empty() {
        let message = format!("`{}` is no place for a structure", point.address);
        let help = "write the byte where it begins: DB20.DBB0";
        return Err(PlaceError::Tag(PointError::new(0..point.address.len(), message, help)));
    }
    if !base.start.is_multiple_of(2) {
        let message = "a structure begins at an even byte".to_owned();
        let even = Address { start: base.start - 1, ..base };
        let help = format!("write {even}, or as the PLC has it");
        return Err(PlaceError::Tag(PointError::new(0..point.address.len(), message, &help)));
    }
    place(&Bytes { settings, base }, wanted)
}
