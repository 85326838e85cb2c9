//! A compiled formula: flat code over numbered inputs.
//!
//! Types are settled when it is made, so a run looks at no name and at no type but null.

use std::sync::Arc;

use opcua::StatusCode;

use crate::value::{BuiltIn, Value};

/// A compiled formula. Its inputs are numbers; the user of the formula knows which tags they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    pub(super) code: Box<[Op]>,
    pub(super) constants: Box<[Value]>,
    /// Paths of the inputs as the formula has them, for texts.
    pub(super) inputs: Box<[Arc<str>]>,
    /// What the functions with memory need, by place.
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
    /// A fault from here to `Tried` goes on at the place, with a substitute.
    Try(u16),
    /// Goes on at the place with the value, unless it is null.
    Tried(u16),
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

/// The place of a function with memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {}

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
}

impl Cause {
    /// The input that is the cause.
    pub fn input(self) -> Option<u16> {
        match self {
            Cause::Input(at, _) | Cause::NotFinite(at) | Cause::Beyond(at) => Some(at),
            Cause::DivisionByZero | Cause::TooLarge | Cause::Null => None,
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

    /// Whether a run depends on earlier runs.
    pub fn has_memory(&self) -> bool {
        !self.places.is_empty()
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
        Program { code: code.into(), constants: Box::default(), inputs, places: Box::default(), reads_clock: false }
    }
}
