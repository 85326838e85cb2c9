//! Samples in columns: what the head hands to readers and blocks, and what blocks decode to.
//!
//! A value that fits in eight bytes is kept as its bits under a `Kind`, so that neither pages nor calculations build a
//! `Value` before they must.

use opcua::StatusCode;

use crate::history::Point;
use crate::value::{BuiltIn, Sample, UaTime, Value};

/// Built-in type number of a value that is kept as bits; 0 is no value.
pub(crate) type Kind = u8;

pub(crate) const NULL: Kind = 0;
/// Text, arrays and all else that does not fit in eight bytes.
pub(crate) const OTHER: Kind = 31;

/// Kind and bits; `None` for what does not fit.
pub(crate) fn pack(value: &Value) -> Option<(Kind, u64)> {
    let bits = match *value {
        Value::Null => return Some((NULL, 0)),
        Value::Boolean(v) => u64::from(v),
        Value::SByte(v) => i64::from(v).cast_unsigned(),
        Value::Byte(v) => u64::from(v),
        Value::Int16(v) => i64::from(v).cast_unsigned(),
        Value::UInt16(v) => u64::from(v),
        Value::Int32(v) => i64::from(v).cast_unsigned(),
        Value::UInt32(v) => u64::from(v),
        Value::Int64(v) => v.cast_unsigned(),
        Value::UInt64(v) => v,
        Value::Float(v) => u64::from(v.to_bits()),
        Value::Double(v) => v.to_bits(),
        Value::DateTime(v) => v.0.cast_unsigned(),
        _ => return None,
    };
    Some((value.built_in().map_or(NULL, |kind| kind as u8), bits))
}

/// The value of a kind that `pack` gave.
#[expect(clippy::cast_possible_truncation, reason = "the bits were widened from these types")]
#[inline]
pub(crate) fn unpack(kind: Kind, bits: u64) -> Value {
    match kind {
        1 => Value::Boolean(bits != 0),
        2 => Value::SByte(bits as i8),
        3 => Value::Byte(bits as u8),
        4 => Value::Int16(bits as i16),
        5 => Value::UInt16(bits as u16),
        6 => Value::Int32(bits as i32),
        7 => Value::UInt32(bits as u32),
        8 => Value::Int64(bits.cast_signed()),
        9 => Value::UInt64(bits),
        10 => Value::Float(f32::from_bits(bits as u32)),
        11 => Value::Double(f64::from_bits(bits)),
        13 => Value::DateTime(UaTime(bits.cast_signed())),
        _ => Value::Null,
    }
}

/// As a number for calculation; NaN for what is none.
#[expect(clippy::cast_precision_loss, reason = "64-bit integers round to the nearest double, as `Value::as_f64`")]
#[expect(clippy::cast_possible_truncation, reason = "the bits were widened from an f32")]
#[inline]
pub(crate) fn number(kind: Kind, bits: u64) -> f64 {
    match kind {
        11 => f64::from_bits(bits),
        10 => f64::from(f32::from_bits(bits as u32)),
        2 | 4 | 6 | 8 => bits.cast_signed() as f64,
        1 | 3 | 5 | 7 | 9 => bits as f64,
        _ => f64::NAN,
    }
}

/// Bytes of a kind in a journal batch; `None` for kinds that have no bits.
pub(crate) fn width(kind: Kind) -> Option<usize> {
    match kind {
        NULL => Some(0),
        1..=11 | 13 => BuiltIn::from_byte(kind)?.fixed_size(),
        _ => None,
    }
}

/// The values of samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells {
    /// All of one kind; where `absent` says so (it is empty when none is), there is no value.
    Bits {
        kind: Kind,
        bits: Vec<u64>,
        absent: Vec<bool>,
    },
    Values(Vec<Value>),
}

/// Samples in time order; those of one instant in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    pub times: Vec<i64>,
    /// Server times.
    pub servers: Vec<i64>,
    /// Empty when all are Good.
    pub statuses: Vec<u32>,
    /// The commit that each came with; empty when it is `seq` for all.
    pub seqs: Vec<u64>,
    pub seq: u64,
    pub cells: Cells,
}

impl Rows {
    pub(crate) fn empty() -> Rows {
        Rows {
            times: Vec::new(),
            servers: Vec::new(),
            statuses: Vec::new(),
            seqs: Vec::new(),
            seq: 0,
            cells: Cells::Values(Vec::new()),
        }
    }

    /// One sample BadDataLost in place of a span that cannot be read.
    pub(crate) fn lost(time: i64) -> Rows {
        Rows {
            times: vec![time],
            servers: vec![time],
            statuses: vec![StatusCode::BadDataLost.bits()],
            cells: Cells::Values(vec![Value::Null]),
            ..Rows::empty()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    #[inline]
    pub(crate) fn status(&self, at: usize) -> u32 {
        self.statuses.get(at).copied().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn seq(&self, at: usize) -> u64 {
        self.seqs.get(at).copied().unwrap_or(self.seq)
    }

    pub(crate) fn value(&self, at: usize) -> Value {
        match &self.cells {
            Cells::Bits { kind, bits, absent } => {
                if absent.get(at).copied().unwrap_or(false) {
                    Value::Null
                } else {
                    unpack(*kind, bits[at])
                }
            }
            Cells::Values(values) => values[at].clone(),
        }
    }

    pub(crate) fn sample(&self, at: usize) -> Sample {
        Sample {
            value: self.value(at),
            status: StatusCode::from(self.status(at)),
            source_time: UaTime(self.times[at]),
            server_time: UaTime(self.servers[at]),
        }
    }

    /// Adds these rows as samples.
    pub(crate) fn add_samples(&self, rows: impl Iterator<Item = usize>, samples: &mut Vec<Sample>) {
        samples.extend(rows.map(|at| self.sample(at)));
    }

    #[inline]
    pub(crate) fn point(&self, at: usize) -> Point {
        let number = match &self.cells {
            Cells::Bits { kind, bits, absent } if !absent.get(at).copied().unwrap_or(false) => number(*kind, bits[at]),
            Cells::Bits { .. } => f64::NAN,
            Cells::Values(values) => values[at].as_f64().unwrap_or(f64::NAN),
        };
        Point { time: UaTime(self.times[at]), status: StatusCode::from(self.status(at)), number }
    }

    /// Keeps the rows for which `keep` says so.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        retain(&mut self.times, keep);
        retain(&mut self.servers, keep);
        retain(&mut self.statuses, keep);
        retain(&mut self.seqs, keep);
        match &mut self.cells {
            Cells::Bits { bits, absent, .. } => {
                retain(bits, keep);
                retain(absent, keep);
            }
            Cells::Values(values) => retain(values, keep),
        }
    }

    /// The rows in this order, which names each at most once.
    pub(crate) fn picked(&self, order: &[usize]) -> Rows {
        let cells = match &self.cells {
            Cells::Bits { kind, bits, absent } => {
                Cells::Bits { kind: *kind, bits: pick(bits, order), absent: pick(absent, order) }
            }
            Cells::Values(values) => Cells::Values(pick(values, order)),
        };
        Rows {
            times: pick(&self.times, order),
            servers: pick(&self.servers, order),
            statuses: pick(&self.statuses, order),
            seqs: pick(&self.seqs, order),
            seq: self.seq,
            cells,
        }
    }

    /// The rows from `from` up to, without, `to`.
    pub(crate) fn part(&self, from: usize, to: usize) -> Rows {
        let cells = match &self.cells {
            Cells::Bits { kind, bits, absent } => {
                Cells::Bits { kind: *kind, bits: bits[from..to].to_vec(), absent: cut(absent, from, to) }
            }
            Cells::Values(values) => Cells::Values(values[from..to].to_vec()),
        };
        Rows {
            times: self.times[from..to].to_vec(),
            servers: self.servers[from..to].to_vec(),
            statuses: cut(&self.statuses, from, to),
            seqs: cut(&self.seqs, from, to),
            seq: self.seq,
            cells,
        }
    }

    /// Two rows that say the same, whenever they came.
    #[cfg(test)]
    pub(crate) fn same(&self, at: usize, other: &Rows, there: usize) -> bool {
        self.times[at] == other.times[there]
            && self.status(at) == other.status(there)
            && self.value(at).same_bits(&other.value(there))
    }

    /// Adds all rows of another.
    pub(crate) fn append(&mut self, other: &Rows) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        if !(self.statuses.is_empty() && other.statuses.is_empty()) {
            self.statuses.resize(self.times.len(), 0);
            self.statuses.extend((0..other.len()).map(|at| other.status(at)));
        }
        if !(self.seqs.is_empty() && other.seqs.is_empty() && self.seq == other.seq) {
            self.seqs.resize(self.times.len(), self.seq);
            self.seqs.extend((0..other.len()).map(|at| other.seq(at)));
        }
        self.append_cells(other);
        self.times.extend_from_slice(&other.times);
        self.servers.extend_from_slice(&other.servers);
    }

    fn append_cells(&mut self, other: &Rows) {
        let here = self.times.len();
        match (&mut self.cells, &other.cells) {
            (Cells::Bits { kind, bits, absent }, Cells::Bits { kind: other_kind, bits: more, absent: more_absent })
                if kind == other_kind || *kind == NULL || *other_kind == NULL =>
            {
                // A column without any value takes the kind of the other.
                if *kind != *other_kind || !(absent.is_empty() && more_absent.is_empty()) {
                    absent.resize(here, *kind == NULL);
                    let fill = *other_kind == NULL;
                    absent.extend((0..more.len()).map(|at| fill || more_absent.get(at).copied().unwrap_or(false)));
                }
                *kind = (*kind).max(*other_kind);
                bits.extend_from_slice(more);
            }
            (Cells::Values(values), _) => values.extend((0..other.len()).map(|at| other.value(at))),
            (Cells::Bits { .. }, _) => {
                let mut values: Vec<Value> = (0..here).map(|at| self.value(at)).collect();
                values.extend((0..other.len()).map(|at| other.value(at)));
                self.cells = Cells::Values(values);
            }
        }
    }
}

fn cut<T: Clone>(column: &[T], from: usize, to: usize) -> Vec<T> {
    column.get(from..to).unwrap_or_default().to_vec()
}

fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
    if !column.is_empty() {
        let mut keep = keep.iter();
        column.retain(|_| keep.next().copied().unwrap_or(false));
    }
}

fn pick<T: Clone>(column: &[T], order: &[usize]) -> Vec<T> {
    if column.is_empty() { Vec::new() } else { order.iter().map(|at| column[*at].clone()).collect() }
}
