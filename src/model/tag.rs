//! Tags: the Variables that carry live values.

use std::sync::Arc;
use std::time::Duration;

use super::{AccessIx, ConnectionIx, Derivation, EnumIx, FlagsIx, HistoryIx, NodeIx, StructIx, TagId};
use crate::value::{BuiltIn, Value};

/// The DataType that clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    BuiltIn(BuiltIn),
    /// An enumeration of the cell; Int32 on the wire.
    Enum(EnumIx),
    /// An option set of the cell; its base is an unsigned integer.
    Flags(FlagsIx, BuiltIn),
    /// A structure of the cell; an ExtensionObject on the wire.
    Struct(StructIx),
}

impl DataType {
    /// The built-in type in messages.
    pub fn wire(self) -> BuiltIn {
        match self {
            DataType::BuiltIn(kind) | DataType::Flags(_, kind) => kind,
            DataType::Enum(_) => BuiltIn::Int32,
            DataType::Struct(_) => BuiltIn::ExtensionObject,
        }
    }

    /// Whether its values calculate: neither the values of an enumeration nor the bits of an option set do.
    pub fn is_number(self) -> bool {
        matches!(self, DataType::BuiltIn(kind) if kind.is_number())
    }
}

/// An engineering unit as EUInformation says it (Part 8 §5.6.4.3, 1.05).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The UNECE code as a number, -1 for a unit that is not in the table.
    pub id: i32,
    pub symbol: String,
    pub name: String,
}

/// Shape of a Variable's value, also of one that is only declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub data_type: DataType,
    /// ArrayDimensions; empty for a scalar.
    pub dimensions: Vec<u32>,
    /// MaxStringLength, in bytes.
    pub length: Option<u32>,
    pub unit: Option<Arc<Unit>>,
    /// EURange.
    pub range: Option<(f64, f64)>,
}

impl Shape {
    /// Number of elements: 1 for a scalar.
    pub fn element_count(&self) -> usize {
        self.dimensions.iter().map(|n| *n as usize).product()
    }

    /// Whether an index range can mean anything.
    pub(crate) fn has_parts(&self) -> bool {
        let is_text = matches!(self.data_type, DataType::BuiltIn(BuiltIn::String | BuiltIn::ByteString));
        is_text || !self.is_scalar()
    }

    pub fn is_scalar(&self) -> bool {
        self.dimensions.is_empty()
    }
}

#[derive(Debug, Clone)]
pub struct Tag {
    pub cell: u16,
    pub node: NodeIx,
    pub shape: Shape,
    pub origin: Origin,
    pub scale: Option<Scale>,
    /// Changes up to this, in the tag's unit, are not reported; 0 reports each change.
    pub deadband: f64,
    /// A counter that starts again at 0 when it is full.
    pub wraps: bool,
    /// Zero where the device sends by itself.
    pub poll: Duration,
    /// `Duration::MAX`: the tag never gets old.
    pub stale_after: Duration,
    /// Off: no polling, BadOutOfService.
    pub enabled: bool,
    pub access: AccessIx,
    /// History class of the tag; `None` keeps no history.
    pub history: Option<HistoryIx>,
}

/// Where the value comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    Device {
        connection: ConnectionIx,
        /// False: only written; the tag shows the last value written, Uncertain.
        read: bool,
        write: bool,
        /// Written when the server stops, in the tag's unit.
        on_stop: Option<Value>,
    },
    /// A constant, or with `write` a memory tag that starts with this value.
    Memory { initial: Value, write: bool },
    /// A part of the value of a structure tag, by its place among the parts of the layout. It has no value of its own.
    Part { of: TagId, part: u16, write: bool },
    /// Calculated from other tags whenever one of them changes; `Plant::derived` has the order.
    Derived(Arc<Derivation>),
}

/// Raw to engineering units; a write is converted back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    Factor {
        factor: f64,
        offset: f64,
    },
    /// A linear range map, as on a transmitter's nameplate; `clamp` holds values outside at the ends.
    Range {
        raw: (f64, f64),
        eu: (f64, f64),
        clamp: bool,
    },
}

impl Tag {
    pub fn connection(&self) -> Option<ConnectionIx> {
        match self.origin {
            Origin::Device { connection, .. } => Some(connection),
            Origin::Memory { .. } | Origin::Derived(_) | Origin::Part { .. } => None,
        }
    }

    /// Poll period; zero where no device is polled, or where the device sends by itself.
    pub fn poll_period(&self) -> Duration {
        match self.origin {
            Origin::Device { read: true, .. } => self.poll,
            // That of the structure.
            Origin::Part { .. } => self.poll,
            Origin::Device { .. } | Origin::Memory { .. } | Origin::Derived(_) => Duration::ZERO,
        }
    }

    /// Whether it may be Bad without its own fault: StatusReason says why.
    pub(crate) fn has_reason(&self) -> bool {
        matches!(self.origin, Origin::Device { .. } | Origin::Derived(_))
    }

    /// Whether it is calculated by the clock, too.
    pub(crate) fn reads_clock(&self) -> bool {
        match &self.origin {
            Origin::Derived(derivation) => match &**derivation {
                Derivation::Formula(formula) => formula.program.reads_clock(),
            },
            Origin::Device { .. } | Origin::Memory { .. } | Origin::Part { .. } => false,
        }
    }

    pub fn is_writable(&self) -> bool {
        match self.origin {
            Origin::Device { write, .. } | Origin::Memory { write, .. } | Origin::Part { write, .. } => write,
            Origin::Derived(_) => false,
        }
    }
}
