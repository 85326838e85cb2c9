//! A structure in registers: read by one request, written by as few as its fields allow.
//!
//! A Boolean takes a whole register, and any number but 0 is true; bits are named by `at: 4.3`.

use std::sync::Arc;

use opcua::StatusCode;

use super::address::{Address, Area};
use super::point::{MAX_READ_REGISTERS, MAX_WRITE_REGISTERS, Register};
use super::raw::Change;
use super::raw_type::RawType;
use super::settings::{Defaults, RegisterPoint};
use crate::drivers::driver::PointOf;
use crate::drivers::ground::{Ground, Room, place};
use crate::drivers::plan::{Leaf, PlaceError, PointPlan, PointSettings, StructPlan, Wanted};
use crate::drivers::reading::{PointError, Reading};
use crate::value::{BuiltIn, Elements, Value};

/// A checked structure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Structure {
    pub address: Address,
    /// Registers from the first that a field has to the last.
    pub count: u16,
    fields: Vec<Field>,
    plan: Arc<StructPlan>,
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    register: Register,
    /// A whole register that is false where it is 0, else true.
    is_truth: bool,
}

impl Field {
    fn decode(&self, data: &[u8], base: u16) -> Result<Value, StatusCode> {
        let value = self.register.decode(data, base)?;
        if !self.is_truth {
            return Ok(value);
        }
        let truth = |value: &Value| value.as_integer().map(|number| Value::Boolean(number != 0));
        match &value {
            Value::Array(array) => {
                let all = (0..array.elements.len()).filter_map(|at| truth(&array.elements.get(at)?));
                Elements::collect(BuiltIn::Boolean, all).map(Value::array).ok_or(StatusCode::BadDecodingError)
            }
            value => truth(value).ok_or(StatusCode::BadDecodingError),
        }
    }
}

impl Structure {
    /// The structure of a point that has one.
    pub(crate) fn new(defaults: &Defaults, point: PointOf<'_, RegisterPoint>) -> Result<Structure, PointError> {
        let plan = point.structure.as_ref().expect("asked for a structure only");
        let mut fields = Vec::with_capacity(plan.leaves.len());
        for leaf in &plan.leaves {
            let register = Register::new(defaults, PointOf::new(leaf))?;
            let is_truth = is_truth(leaf, &register);
            fields.push(Field { register, is_truth });
        }
        let whole = 0..point.address.len();
        let starts = fields.iter().map(|field| field.register.address.start);
        let ends = fields.iter().map(|field| {
            let register = &field.register;
            u32::from(register.address.start) + u32::from(register.count())
        });
        let (Some(start), Some(end)) = (starts.min(), ends.max()) else {
            return Err(PointError::new(whole, "this structure has no registers".to_owned(), "give it fields"));
        };
        let count = end - u32::from(start);
        let most = defaults.max_registers.min(MAX_READ_REGISTERS);
        if count > most.into() {
            let message = format!("a structure of {count} registers does not fit one request of at most {most}");
            let help = "all fields of one value come in one reply: make two structures of it";
            return Err(PointError::new(whole, message, help));
        }
        let address = Address { start, ..fields[0].register.address };
        let count = u16::try_from(count).expect("it fits a request");
        Ok(Structure { address, count, fields, plan: Arc::clone(plan) })
    }

    /// The value in the reply's data, whose first register has the address `base`.
    pub(crate) fn decode(&self, data: &[u8], base: u16) -> Value {
        self.plan.assemble(self.fields.iter().map(|field| field.decode(data, base)).collect())
    }

    /// The changes that write a value, from element `first` of an array on.
    pub(crate) fn encode(&self, value: &Value, first: u32) -> Result<Vec<Change>, StatusCode> {
        let mut values = Vec::new();
        let elements = match value {
            Value::Array(array) => array.elements.len(),
            _ => 1,
        };
        let all = self.plan.dimensions.iter().map(|size| *size as usize).product::<usize>();
        let each = self.fields.len() / all.max(1);
        values.extend(self.plan.values_of(value));
        let from = first as usize * each;
        let fields = self.fields.get(from..from + elements * each).ok_or(StatusCode::BadIndexRangeNoData)?;
        if values.len() != fields.len() {
            return Err(StatusCode::BadTypeMismatch);
        }
        let mut changes = Vec::new();
        for (field, value) in fields.iter().zip(&values) {
            changes.extend(field.register.encode(value, 0)?);
        }
        Ok(joined(changes))
    }

    /// The register whose keys say how the structure is written.
    pub(crate) fn register(&self) -> &Register {
        &self.fields[0].register
    }

    /// Requests of one write.
    fn writes(&self) -> usize {
        let words = |field: &Field| match field.register.address.bits {
            Some(_) => Change::Mask { at: field.register.address.start, and: 0, or: 0 },
            None => Change::Words {
                start: field.register.address.start,
                words: vec![0; usize::from(field.register.count())],
            },
        };
        joined(self.fields.iter().map(words).collect()).len()
    }

    pub(crate) fn reading(&self, point: &PointPlan) -> Reading {
        let last = u32::from(self.address.start) + u32::from(self.count) - 1;
        let writes = self.writes();
        let warning = (point.write && writes > 1).then(|| {
            let message = format!("a write of the whole structure goes out in {writes} writes");
            let help = "another master may write in between: close the gaps between the fields, or write fields alone";
            PointError::new(0..point.address.len(), message, help)
        });
        let first = Address { bits: None, ..self.address };
        Reading { spellings: format!("{first}..{last} = {}", first.modicon()), warning, ..Reading::default() }
    }
}

fn is_truth(point: &PointPlan, register: &Register) -> bool {
    point.kind == BuiltIn::Boolean && register.address.bits.is_none() && register.raw.bits() > 1
}

/// Changes of registers that lie side by side as one, and those of bits in one register as one.
fn joined(changes: Vec<Change>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    let mut masks: Vec<Change> = Vec::new();
    let mut all: Vec<(u16, Vec<u16>)> = Vec::new();
    for change in changes {
        match change {
            Change::Words { start, words } => all.push((start, words)),
            Change::Mask { at, and, or } => match masks.iter_mut().find_map(|known| match known {
                Change::Mask { at: place, and, or } if *place == at => Some((and, or)),
                _ => None,
            }) {
                Some((known_and, known_or)) => {
                    *known_or = *known_or & and | or & !and;
                    *known_and &= and;
                }
                None => masks.push(Change::Mask { at, and, or }),
            },
            other @ Change::Bits { .. } => joined.push(other),
        }
    }
    all.sort_by_key(|(start, _)| *start);
    for (at, words) in all {
        match joined.last_mut() {
            Some(Change::Words { start, words: row })
                if usize::from(*start) + row.len() == usize::from(at)
                    && row.len() + words.len() <= usize::from(MAX_WRITE_REGISTERS) =>
            {
                row.extend(words);
            }
            _ => joined.push(Change::Words { start: at, words }),
        }
    }
    joined.extend(masks);
    joined
}

/// Places in registers.
struct Registers<'a> {
    defaults: &'a Defaults,
    base: Address,
}

impl Ground for Registers<'_> {
    const UNIT: u64 = 16;
    const STRUCTURE: u64 = 16;

    fn room(&self, field: &PointPlan) -> Result<Room, PointError> {
        let point = self.point(field, 0, None)?;
        let register = Register::new(self.defaults, PointOf::new(&point))?;
        Ok(Room { size: u64::from(register.count()) * 16, align: 16 })
    }

    fn point(&self, field: &PointPlan, unit: u64, bits: Option<&str>) -> Result<PointPlan, PointError> {
        let start = u64::from(self.base.start) + unit;
        let Ok(start) = u16::try_from(start) else {
            let message = format!("register {start} is beyond 65535");
            return Err(PointError::key("at", message, "start lower, or make the structure shorter"));
        };
        let bits = bits.map_or(String::new(), |bits| format!(".{bits}"));
        let mut point = PointPlan { address: format!("{}/{start}{bits}", self.base.area.name()), ..field.clone() };
        let keys = point.settings.get::<RegisterPoint>().expect("a field has the keys of its driver");
        if point.kind == BuiltIn::Boolean && bits.is_empty() && keys.raw_type.is_none() {
            point.settings = PointSettings::of(RegisterPoint { raw_type: Some(RawType::Uint16), ..keys.clone() });
        }
        Ok(point)
    }
}

/// Gives each field its registers.
pub(crate) fn place_structure(
    defaults: &Defaults,
    point: PointOf<'_, RegisterPoint>,
    wanted: Wanted<'_>,
) -> Result<Vec<Leaf>, PlaceError> {
    let base = Address::parse(&point.address).map_err(PlaceError::Tag)?;
    let whole = 0..point.address.len();
    if !point.words.is_empty() {
        let error = PointError::new(whole, "a list holds one value, not a structure".to_owned(), "write one address");
        return Err(PlaceError::Tag(error));
    }
    if base.bits.is_some() || !matches!(base.area, Area::Holding | Area::Input) {
        let message = format!("`{}` is no place for a structure", point.address);
        let help = "a structure lies in whole registers: write holding/N or input/N";
        return Err(PlaceError::Tag(PointError::new(whole, message, help)));
    }
    if point.keys.split == Some(true) {
        let help = "delete it: all fields of one value come in one reply";
        let error = PointError::key("split", "a structure cannot have `split`".to_owned(), help);
        return Err(PlaceError::Tag(error));
    }
    place(&Registers { defaults, base }, wanted)
}
