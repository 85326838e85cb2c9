//! A compiled formula: flat code over numbered inputs.
//!
//! Types are settled when it is made, so a run looks at no name and at no type but null.

use std::sync::Arc;

use super::functions::Function;
use super::place::Place;
use super::types::Enumeration;
use opcua::StatusCode;

use crate::value::{BuiltIn, Value};

/// A compiled formula. Its inputs are numbers; the user of the formula knows which tags they are. The default one waits for tags
/// that are not known yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    pub(super) code: Box<[Op]>,
    pub(super) constants: Box<[Value]>,
    /// Paths of the inputs as the formula has them, for texts.
    pub(super) inputs: Box<[Arc<str>]>,
    pub(super) enumerations: Box<[Arc<Enumeration>]>,
    /// The functions with memory.
    pub(super) places: Box<[Place]>,
    pub(super) reads_clock: bool,
}

/// One step. Values are taken from a stack and put back there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Constant(u16),
    /// The value of an input; a Bad one ends the run.
    Input(u16),
    /// Integer to Double.
    ToDouble,
    Negate,
    Not,
    Binary(Binary),
    Compare(Comparison),
    /// Whether the value is null.
    IsNull,
    /// Leaves `false` and goes on at the place, or takes the next value for `And`.
    AndThen(u16),
    And,
    /// Leaves `true` and goes on at the place, or takes the next value for `Or`.
    OrElse(u16),
    Or,
    /// Takes a condition: false goes on at the first place, null leaves null and goes on at the second.
    Branch(u16, u16),
    Jump(u16),
    /// A fault from here to `Tried` or `TriedAny` goes on at the place.
    Try(u16),
    /// Goes on at the place with the value, unless it is null.
    Tried(u16),
    /// Goes on at the next step with the value.
    TriedAny,
    /// Calls a function with this number of arguments.
    Call(Function, u8),
    /// Calls a function of the tag that is this input.
    OfTag(Function, u16),
    /// Calls a function with memory, which has this place.
    Recall(u16),
    /// A fault in the argument of the function at this place ends here.
    Missed(u16),
    /// Takes the indices and the array, and leaves the element.
    Element(u8),
    /// The text of an enumeration's value.
    Named(u16),
    /// Notes that a fault was replaced.
    Substitute,
    /// Becomes the value of a tag of this type.
    Become(BuiltIn),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    /// Of two Texts.
    Join,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Binary {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Binary::Add | Binary::Join => "+",
            Binary::Subtract => "-",
            Binary::Multiply => "*",
            Binary::Divide => "/",
            Binary::Remainder => "%",
        }
    }
}

impl Comparison {
    pub(super) const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::Unequal,
        Comparison::Less,
        Comparison::AtMost,
        Comparison::Greater,
        Comparison::AtLeast,
    ];

    pub(super) fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Greater => ">",
            Comparison::AtLeast => ">=",
        }
    }
}

/// Why a run gives no value, or no Good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An input with this number is not Good.
    Input(u16, StatusCode),
    /// An input is NaN or infinite.
    NotFinite(u16),
    /// An input is above the greatest Integer.
    Beyond(u16),
    DivisionByZero,
    /// The result, or a part of it, is beyond its type.
    TooLarge,
    /// The result is null.
    Null,
    /// A function has no result for its arguments.
    NoResult,
    NoSuchElement,
    /// `number` of a Text that is none.
    NoNumber,
    TextTooLong,
    /// A tag of the formula is not known yet.
    Unknown,
    /// A `total` without a part of its time.
    Incomplete,
}

impl Cause {
    /// The input that is the cause.
    pub fn input(self) -> Option<u16> {
        match self {
            Cause::Input(at, _) | Cause::NotFinite(at) | Cause::Beyond(at) => Some(at),
            _ => None,
        }
    }
}

impl Program {
    /// Number of its inputs.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// Whether the result may change without a change of an input.
    pub fn reads_clock(&self) -> bool {
        self.reads_clock
    }

    /// Whether it remembers something that outlives it.
    pub fn keeps(&self) -> bool {
        let is_kept =
            |place: &Place| matches!(place, Place::Previous | Place::Total { .. } | Place::Rises | Place::OnTime);
        self.places.iter().any(is_kept)
    }

    /// Its input, if it has one alone and remembers nothing.
    pub fn only_input(&self) -> bool {
        self.inputs.len() == 1 && self.places.is_empty() && !self.reads_clock
    }

    /// The cause in words.
    pub fn explain(&self, cause: Cause) -> String {
        let name = |at: u16| self.inputs.get(usize::from(at)).map_or("", |name| &**name);
        match cause {
            Cause::Input(at, status) => format!("its input `{}` is {status}", name(at)),
            Cause::NotFinite(at) => format!("its input `{}` is NaN or infinite", name(at)),
            Cause::Beyond(at) => format!("its input `{}` is above the greatest Integer", name(at)),
            Cause::DivisionByZero => "the formula divides by zero".to_owned(),
            Cause::TooLarge => "the formula gives a value beyond the type".to_owned(),
            Cause::Null => "the formula gives no value".to_owned(),
            Cause::NoResult => "a function of the formula has no result for its arguments".to_owned(),
            Cause::NoSuchElement => "the formula takes an element that the array does not have".to_owned(),
            Cause::NoNumber => "the formula takes the number of a text that is none".to_owned(),
            Cause::TextTooLong => "the formula gives too long a text".to_owned(),
            Cause::Unknown => "a tag of the formula is not known yet: its folder mirrors a device".to_owned(),
            Cause::Incomplete => "a part of the time is missing, because an input was Bad".to_owned(),
        }
    }
}

#[cfg(test)]
impl Program {
    /// The sum of Integers, each an input of its own, as an Int32.
    pub(crate) fn sum(count: u16) -> Program {
        let mut code = vec![Op::Input(0)];
        code.extend((1..count).flat_map(|at| [Op::Input(at), Op::Binary(Binary::Add)]));
        code.push(Op::Become(BuiltIn::Int32));
        let inputs = (0..count).map(|at| format!("in{at}").into()).collect();
        Program {
            code: code.into(),
            constants: Box::default(),
            inputs,
            enumerations: Box::default(),
            places: Box::default(),
            reads_clock: false,
        }
    }
}
