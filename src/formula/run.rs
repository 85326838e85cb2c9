//! One run of a program over the samples of its inputs.

use opcua::StatusCode;

use super::Memory;
use super::program::{Binary, Cause, Comparison, Op, Program};
use crate::value::{BuiltIn, Moment, Sample, UaTime, Value};

/// The samples of a program's inputs, by their number. A run asks for those alone that it uses.
pub trait Inputs {
    fn sample(&self, at: u16) -> Sample;
}

/// When a run happens, and why.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    pub now: Moment,
    /// The clock causes this run, and no change of an input.
    pub by_clock: bool,
}

/// Result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Null with a Bad status.
    pub value: Value,
    pub status: StatusCode,
    /// The newest of the inputs that were used; the time of the run where there was none, or where the clock caused it.
    pub source_time: UaTime,
    /// Why the status is not Good.
    pub cause: Option<Cause>,
}

/// Room for the values of a run, which is used again by the next one.
#[derive(Debug, Default)]
pub struct Stack {
    values: Vec<Value>,
    tries: Vec<Attempt>,
}

/// The state at a `Try`.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    otherwise: u16,
    depth: usize,
    quality: Quality,
}

/// The worst status of the inputs used so far. Bad ends a run, so it is Good or Uncertain.
#[derive(Debug, Clone, Copy)]
struct Quality {
    status: StatusCode,
    cause: Option<Cause>,
}

/// A Bad end of a run, or of the part inside a `Try`.
#[derive(Debug, Clone, Copy)]
struct Fault {
    code: StatusCode,
    cause: Cause,
}

const TOO_LARGE: Fault = Fault { code: StatusCode::BadOutOfRange, cause: Cause::TooLarge };

impl Program {
    /// Runs once. Only Texts and arrays that it makes are allocated.
    pub fn run(&self, inputs: &impl Inputs, memory: &mut Memory, at: Moments, stack: &mut Stack) -> Outcome {
        stack.values.clear();
        stack.tries.clear();
        let mut run = Run {
            program: self,
            inputs,
            memory,
            at,
            stack,
            quality: Quality { status: StatusCode::Good, cause: None },
            newest: UaTime::NULL,
        };
        let result = run.all();
        let Run { quality, newest, .. } = run;
        let source_time = if at.by_clock || newest == UaTime::NULL { at.now.wall } else { newest };
        match result {
            Ok(Value::Null) => {
                Outcome { value: Value::Null, status: StatusCode::BadNoData, source_time, cause: Some(Cause::Null) }
            }
            Ok(value) => Outcome { value, status: quality.status, source_time, cause: quality.cause },
            Err(Fault { code, cause }) => Outcome { value: Value::Null, status: code, source_time, cause: Some(cause) },
        }
    }
}

struct Run<'a, I> {
    program: &'a Program,
    inputs: &'a I,
    #[expect(dead_code, reason = "functions with memory")]
    memory: &'a mut Memory,
    at: Moments,
    stack: &'a mut Stack,
    quality: Quality,
    newest: UaTime,
}

impl<I: Inputs> Run<'_, I> {
    fn all(&mut self) -> Result<Value, Fault> {
        let code = &self.program.code;
        let mut next = 0;
        while let Some(op) = code.get(next) {
            next = match self.step(*op, next + 1) {
                Ok(next) => next,
                Err(fault) => {
                    let attempt = self.stack.tries.pop().ok_or(fault)?;
                    self.stack.values.truncate(attempt.depth);
                    self.quality = attempt.quality;
                    self.substitute(fault.cause);
                    attempt.otherwise.into()
                }
            };
        }
        Ok(self.pop())
    }

    /// Does one step; gives the place of the next one.
    fn step(&mut self, op: Op, next: usize) -> Result<usize, Fault> {
        match op {
            Op::Constant(at) => self.push(self.program.constants[usize::from(at)].clone()),
            Op::Input(at) => {
                let value = self.input(at)?;
                self.push(value);
            }
            Op::ToDouble => {
                let value = self.pop();
                self.push(to_double(value));
            }
            Op::Negate => {
                let value = match self.pop() {
                    Value::Int64(number) => Value::Int64(number.checked_neg().ok_or(TOO_LARGE)?),
                    Value::Double(number) => Value::Double(-number),
                    value => value,
                };
                self.push(value);
            }
            Op::Not => {
                let value = match self.pop() {
                    Value::Boolean(on) => Value::Boolean(!on),
                    value => value,
                };
                self.push(value);
            }
            Op::Binary(op) => {
                let (right, left) = (self.pop(), self.pop());
                self.push(binary(op, left, right)?);
            }
            Op::Compare(op) => {
                let (right, left) = (self.pop(), self.pop());
                self.push(compare(op, &left, &right));
            }
            Op::IsNull => {
                let value = self.pop();
                self.push(Value::Boolean(value.is_null()));
            }
            Op::AndThen(end) => return Ok(if *self.top() == Value::Boolean(false) { end.into() } else { next }),
            Op::OrElse(end) => return Ok(if *self.top() == Value::Boolean(true) { end.into() } else { next }),
            Op::And => {
                let (right, left) = (self.pop(), self.pop());
                // The left one is true or null.
                self.push(if right == Value::Boolean(true) { left } else { right });
            }
            Op::Or => {
                let (right, left) = (self.pop(), self.pop());
                self.push(if right == Value::Boolean(false) { left } else { right });
            }
            Op::Branch(otherwise, end) => match self.pop() {
                Value::Boolean(true) => {}
                Value::Boolean(false) => return Ok(otherwise.into()),
                _ => {
                    self.push(Value::Null);
                    return Ok(end.into());
                }
            },
            Op::Jump(to) => return Ok(to.into()),
            Op::Try(otherwise) => {
                let depth = self.stack.values.len();
                self.stack.tries.push(Attempt { otherwise, depth, quality: self.quality });
            }
            Op::Tried(end) => {
                let attempt = self.stack.tries.pop();
                if !self.top().is_null() {
                    return Ok(end.into());
                }
                self.pop();
                self.quality = attempt.map_or(self.quality, |attempt| attempt.quality);
                self.substitute(Cause::Null);
            }
            Op::Become(kind) => {
                let value = self.pop();
                self.push(as_written(kind, value)?);
            }
        }
        Ok(next)
    }

    fn push(&mut self, value: Value) {
        self.stack.values.push(value);
    }

    fn pop(&mut self) -> Value {
        self.stack.values.pop().unwrap_or_default()
    }

    fn top(&self) -> &Value {
        self.stack.values.last().unwrap_or(&Value::Null)
    }

    fn input(&mut self, at: u16) -> Result<Value, Fault> {
        let sample = self.inputs.sample(at);
        self.newest = self.newest.max(sample.source_time);
        if sample.status.is_bad() {
            return Err(Fault { code: sample.status, cause: Cause::Input(at, sample.status) });
        }
        let fault = |cause| Fault { code: StatusCode::BadOutOfRange, cause };
        let value = calculable(sample.value).map_err(|beyond| match beyond {
            Beyond::Integer => fault(Cause::Beyond(at)),
            Beyond::Finite => fault(Cause::NotFinite(at)),
        })?;
        if sample.status.is_uncertain() {
            self.worsen(sample.status, Cause::Input(at, sample.status));
        }
        Ok(value)
    }

    /// Of equals the first counts.
    fn worsen(&mut self, status: StatusCode, cause: Cause) {
        if self.quality.status.is_good() {
            self.quality = Quality { status, cause: Some(cause) };
        }
    }

    fn substitute(&mut self, cause: Cause) {
        self.worsen(StatusCode::UncertainSubstituteValue, cause);
    }
}

/// A value that no formula calculates with.
enum Beyond {
    /// Above the greatest Integer.
    Integer,
    /// NaN, or infinite.
    Finite,
}

/// The value of a tag as formulas have it: Boolean, Int64, Double, String, DateTime, or an array.
fn calculable(value: Value) -> Result<Value, Beyond> {
    Ok(match value {
        Value::SByte(number) => Value::Int64(number.into()),
        Value::Byte(number) => Value::Int64(number.into()),
        Value::Int16(number) => Value::Int64(number.into()),
        Value::UInt16(number) => Value::Int64(number.into()),
        Value::Int32(number) => Value::Int64(number.into()),
        Value::UInt32(number) => Value::Int64(number.into()),
        Value::UInt64(number) => Value::Int64(number.try_into().map_err(|_| Beyond::Integer)?),
        Value::Float(number) if number.is_finite() => Value::Double(number.into()),
        Value::Double(number) if number.is_finite() => Value::Double(number),
        Value::Float(_) | Value::Double(_) => return Err(Beyond::Finite),
        value => value,
    })
}

#[expect(clippy::cast_precision_loss, reason = "the contract: an Integer next to a Double is the nearest Double")]
fn to_double(value: Value) -> Value {
    match value {
        Value::Int64(number) => Value::Double(number as f64),
        value => value,
    }
}

fn finite(number: f64) -> Result<Value, Fault> {
    if number.is_finite() { Ok(Value::Double(number)) } else { Err(TOO_LARGE) }
}

fn binary(op: Binary, left: Value, right: Value) -> Result<Value, Fault> {
    const BY_ZERO: Fault = Fault { code: StatusCode::BadOutOfRange, cause: Cause::DivisionByZero };
    match (left, right) {
        (Value::Int64(left), Value::Int64(right)) => {
            let number = match op {
                Binary::Add => left.checked_add(right),
                Binary::Subtract => left.checked_sub(right),
                Binary::Multiply => left.checked_mul(right),
                Binary::Remainder if right == 0 => return Err(BY_ZERO),
                // The only one that overflows is -2^63 % -1, which is 0.
                Binary::Remainder => Some(left.checked_rem(right).unwrap_or(0)),
                Binary::Divide | Binary::Join => None,
            };
            number.map(Value::Int64).ok_or(TOO_LARGE)
        }
        (Value::Double(left), Value::Double(right)) => match op {
            Binary::Add => finite(left + right),
            Binary::Subtract => finite(left - right),
            Binary::Multiply => finite(left * right),
            Binary::Divide | Binary::Remainder if right == 0.0 => Err(BY_ZERO),
            Binary::Divide => finite(left / right),
            Binary::Remainder => finite(left % right),
            Binary::Join => Err(TOO_LARGE),
        },
        (Value::String(left), Value::String(right)) => Ok(Value::String([&*left, &*right].concat().into())),
        _ => Ok(Value::Null),
    }
}

fn compare(op: Comparison, left: &Value, right: &Value) -> Value {
    let order = match (left, right) {
        (Value::Int64(left), Value::Int64(right)) => left.partial_cmp(right),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) => left.partial_cmp(right),
        (Value::String(left), Value::String(right)) => left.partial_cmp(right),
        (Value::DateTime(left), Value::DateTime(right)) => left.partial_cmp(right),
        _ => return Value::Null,
    };
    order.map_or(Value::Null, |order| {
        Value::Boolean(match op {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::AtMost => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
        })
    })
}

/// The value of a tag of this type, as a write would make it: to nearest, half away from zero.
fn as_written(kind: BuiltIn, value: Value) -> Result<Value, Fault> {
    let fits = |value: &Value| value.as_f64().is_none_or(f64::is_finite);
    match value {
        Value::Int64(number) => Value::from_integer(kind, number.into()).filter(fits).ok_or(TOO_LARGE),
        Value::Double(number) => Value::from_f64(kind, number).filter(fits).ok_or(TOO_LARGE),
        value => Ok(value),
    }
}
