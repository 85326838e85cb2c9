//! Types of formulas, and how a formula meets the tags of its user.

use std::fmt;
use std::sync::Arc;

use crate::value::BuiltIn;

/// A type, settled before a formula runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Of the word `null`: it is of each type.
    Null,
    Boolean,
    /// 64 bits, signed.
    Integer,
    Double,
    Text,
    DateTime,
    Enumeration(Arc<Enumeration>),
    Array(Box<Type>, Dimensions),
    /// A type that formulas do not calculate with, by its name.
    Other(&'static str),
    /// Of something that was reported: it fits everywhere.
    Unknown,
}

/// Number of dimensions of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions(pub usize);

/// An enumeration as formulas know it. In a run its values are Integers.
#[derive(Debug, PartialEq, Eq)]
pub struct Enumeration {
    pub name: String,
    /// Each value with its texts, one a language.
    pub values: Vec<(i32, Vec<String>)>,
}

/// A tag that a formula names.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The user's number for it.
    pub key: u32,
    pub of: Type,
    /// Names of the path that lead to it; the rest are fields.
    pub used: usize,
    /// A counter that is 0 again where it would reach this.
    pub wraps_at: Option<f64>,
    /// Between two values it goes in a straight line, as its history has it.
    pub is_sloped: bool,
}

/// Result of looking a path up.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    Tag(Found),
    /// A folder or an instance, which has no value.
    NoTag,
    /// Nothing has the name; with help.
    Absent(String),
    /// The user reports it.
    Reported,
}

/// The names of a formula's surroundings.
pub trait Names {
    /// The innermost node of this path, or with `from_cell` that of the cell.
    fn find(&mut self, from_cell: bool, names: &[&str]) -> Lookup;

    /// Type of an argument of the method that the formula is in, and its key as an input.
    fn argument(&mut self, name: &str) -> Option<Found>;
}

/// Purpose of a formula.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// The value of a tag: its type in formulas, the type of its values, and its name.
    Tag { of: Type, built_in: BuiltIn, name: String },
    /// A condition.
    Condition,
    /// A number, such as a limit.
    Number,
}

impl Type {
    /// The type that a tag's values have in formulas.
    pub fn of(kind: BuiltIn) -> Type {
        match kind {
            BuiltIn::Boolean => Type::Boolean,
            BuiltIn::Float | BuiltIn::Double => Type::Double,
            BuiltIn::String => Type::Text,
            BuiltIn::DateTime => Type::DateTime,
            BuiltIn::ByteString => Type::Other("ByteString"),
            kind if kind.is_integer() => Type::Integer,
            _ => Type::Other("of a type without calculations"),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Type::Integer | Type::Double)
    }

    /// It fits everywhere, so nothing more is reported about it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Type::Null | Type::Unknown)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Null => f.write_str("null"),
            Type::Boolean => f.write_str("Boolean"),
            Type::Integer => f.write_str("Integer"),
            Type::Double => f.write_str("Double"),
            Type::Text => f.write_str("Text"),
            Type::DateTime => f.write_str("DateTime"),
            Type::Enumeration(of) => f.write_str(&of.name),
            Type::Array(of, _) => write!(f, "an array of {of}"),
            Type::Other(name) => f.write_str(name),
            Type::Unknown => f.write_str("unknown"),
        }
    }
}

impl Enumeration {
    /// The value of a text, in any language.
    pub(super) fn value(&self, text: &str) -> Option<i32> {
        self.values.iter().find(|(_, texts)| texts.iter().any(|known| known == text)).map(|(value, _)| *value)
    }

    /// The first text of a value.
    pub(super) fn text(&self, value: i64) -> Option<&str> {
        let texts = &self.values.iter().find(|(known, _)| i64::from(*known) == value)?.1;
        texts.first().map(String::as_str)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.values.iter().flat_map(|(_, texts)| texts.iter().map(String::as_str))
    }
}
