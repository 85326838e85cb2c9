//! One run of a program over the samples of its inputs.

use opcua::StatusCode;

use super::Memory;
use super::calls::{self, call};
use super::functions::Function;
use super::memory::{Beyond, Place};
use super::program::{Binary, Cause, Comparison, Op, Program};
use crate::value::{Array, BuiltIn, Elements, Moment, Sample, UaTime, Value};

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
    /// Seconds that the host's time zone is ahead of UTC at a time.
    pub zone: fn(UaTime) -> i32,
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
    /// The last fault inside a `Try`.
    fault: Option<Fault>,
}

/// The state at a `Try`.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    otherwise: usize,
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
pub(super) struct Fault {
    pub code: StatusCode,
    pub cause: Cause,
}

pub(super) const TOO_LARGE: Fault = Fault { code: StatusCode::BadOutOfRange, cause: Cause::TooLarge };

impl Program {
    /// Runs once. Only Texts and arrays that it makes are allocated.
    pub fn run(&self, inputs: &impl Inputs, memory: &mut Memory, at: Moments, stack: &mut Stack) -> Outcome {
        if self.code.is_empty() {
            let (status, cause) = (StatusCode::BadWaitingForInitialData, Some(Cause::Unknown));
            return Outcome { value: Value::Null, status, source_time: at.now.wall, cause };
        }
        stack.values.clear();
        stack.tries.clear();
        stack.fault = None;
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
            Ok(value) => {
                memory.note_result(&value);
                Outcome { value, status: quality.status, source_time, cause: quality.cause }
            }
            Err(Fault { code, cause }) => Outcome { value: Value::Null, status: code, source_time, cause: Some(cause) },
        }
    }
}

struct Run<'a, I> {
    program: &'a Program,
    inputs: &'a I,
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
                    self.stack.fault = Some(fault);
                    attempt.otherwise
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
                self.push(binary(op, &left, &right)?);
            }
            Op::Compare(op) => {
                let (right, left) = (self.pop(), self.pop());
                self.push(compare(op, &left, &right));
            }
            Op::IsNull => {
                let value = self.pop();
                self.push(Value::Boolean(value.is_null()));
            }
            Op::AndThen(over) => return Ok(skip(next, over, *self.top() == Value::Boolean(false))),
            Op::OrElse(over) => return Ok(skip(next, over, *self.top() == Value::Boolean(true))),
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
                Value::Boolean(false) => return Ok(next + usize::from(otherwise)),
                _ => {
                    self.push(Value::Null);
                    return Ok(next + usize::from(end));
                }
            },
            Op::Jump(over) => return Ok(next + usize::from(over)),
            Op::Try(over) => {
                let depth = self.stack.values.len();
                let otherwise = next + usize::from(over);
                self.stack.tries.push(Attempt { otherwise, depth, quality: self.quality });
            }
            Op::Tried(over) => {
                let attempt = self.stack.tries.pop();
                if !self.top().is_null() {
                    return Ok(next + usize::from(over));
                }
                self.pop();
                self.quality = attempt.map_or(self.quality, |attempt| attempt.quality);
                self.stack.fault = None;
            }
            Op::TriedAny => {
                self.stack.tries.pop();
            }
            Op::Substitute => {
                let cause = self.stack.fault.take().map_or(Cause::Null, |fault| fault.cause);
                self.worsen(StatusCode::UncertainSubstituteValue, cause);
            }
            Op::Call(function, count) => {
                let from = self.stack.values.len() - usize::from(count);
                let result = call(function, &self.stack.values[from..], self.at);
                self.stack.values.truncate(from);
                self.push(result?);
            }
            Op::OfTag(function, at) => {
                let value = self.of_tag(function, at);
                self.push(value);
            }
            Op::Recall(at) => {
                let value = self.recall(at)?;
                self.push(value);
            }
            Op::Missed(at) => {
                let fault = self.stack.fault.take().unwrap_or(TOO_LARGE);
                let place = self.program.places[usize::from(at)];
                let total = self.memory.miss(place, at, self.at.now.mono).ok_or(fault)?;
                self.worsen(StatusCode::UncertainDataSubNormal, Cause::Incomplete);
                self.push(Value::Double(total));
            }
            Op::Element(count) => {
                let from = self.stack.values.len() - usize::from(count);
                let result = element(&self.stack.values[from - 1..]);
                self.stack.values.truncate(from - 1);
                self.push(result?);
            }
            Op::Named(at) => {
                let value = match self.pop() {
                    Value::Int64(number) => {
                        let known = self.program.enumerations[usize::from(at)].text(number);
                        calls::text(known.unwrap_or(&number.to_string()))?
                    }
                    value => value,
                };
                self.push(value);
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
            Uncalculable::Integer => fault(Cause::Beyond(at)),
            Uncalculable::Finite => fault(Cause::NotFinite(at)),
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

    /// The status of a tag, which does not become that of the result.
    fn of_tag(&mut self, function: Function, at: u16) -> Value {
        let Sample { status, source_time, .. } = self.inputs.sample(at);
        self.newest = self.newest.max(source_time);
        match function {
            Function::Good => Value::Boolean(status.is_good()),
            Function::Bad => Value::Boolean(status.is_bad()),
            Function::Uncertain => Value::Boolean(status.is_uncertain()),
            Function::Status => Value::text(status.sub_code().name()),
            _ => Value::Double(seconds_between(source_time, self.at.now.wall)),
        }
    }

    /// A function with memory.
    fn recall(&mut self, at: u16) -> Result<Value, Fault> {
        let place = self.program.places[usize::from(at)];
        let now = self.at.now.mono;
        let value = match place {
            Place::Previous => calculable(self.memory.previous(at)).map_err(|_| TOO_LARGE)?,
            Place::Age(input) => {
                let Sample { value, status, source_time, .. } = self.inputs.sample(input);
                self.newest = self.newest.max(source_time);
                let present = Some(&value).filter(|_| !status.is_bad());
                self.memory.age(at, present, now).map_or(Value::Null, Value::Double)
            }
            Place::Window(_) | Place::Total { .. } => match self.pop() {
                Value::Double(number) => {
                    let result = self.memory.over_time(place, at, number, now).map_err(|Beyond| TOO_LARGE)?;
                    result.map_or(Value::Null, Value::Double)
                }
                _ => {
                    self.memory.miss(place, at, now);
                    Value::Null
                }
            },
            Place::Rises => match self.pop() {
                Value::Boolean(on) => Value::Int64(self.memory.rises(at, on)),
                _ => Value::Null,
            },
            Place::OnTime => match self.pop() {
                Value::Boolean(on) => Value::Double(self.memory.on_time(at, on, now)),
                _ => {
                    self.memory.miss(place, at, now);
                    Value::Null
                }
            },
            Place::OnDelay | Place::OffDelay => match (self.pop(), self.pop()) {
                (Value::Double(delay), Value::Boolean(on)) => Value::Boolean(self.memory.delayed(at, on, delay, now)),
                _ => Value::Null,
            },
        };
        Ok(value)
    }
}

/// The next step, or the one after a distance.
fn skip(next: usize, over: u16, is_over: bool) -> usize {
    if is_over { next + usize::from(over) } else { next }
}

#[expect(clippy::cast_precision_loss, reason = "a time to the microsecond")]
fn seconds_between(from: UaTime, to: UaTime) -> f64 {
    (to.0.saturating_sub(from.0).max(0)) as f64 / 1e7
}

/// The element of an array, by the indices after it.
fn element(values: &[Value]) -> Result<Value, Fault> {
    const ABSENT: Fault = Fault { code: StatusCode::BadIndexRangeNoData, cause: Cause::NoSuchElement };
    let Some((Value::Array(array), indices)) = values.split_first() else { return Ok(Value::Null) };
    if indices.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let count = [u32::try_from(array.elements.len()).unwrap_or(u32::MAX)];
    let sizes: &[u32] = if array.dimensions.len() > 1 { &array.dimensions } else { &count };
    let mut at = 0usize;
    for (place, size) in sizes.iter().enumerate() {
        let Some(Value::Int64(index)) = indices.get(place) else { return Err(ABSENT) };
        let index = u32::try_from(*index).ok().filter(|index| index < size).ok_or(ABSENT)?;
        at = at * *size as usize + index as usize;
    }
    if indices.len() != sizes.len() {
        return Err(ABSENT);
    }
    let value = array.elements.get(at).ok_or(ABSENT)?;
    calculable(value).map_err(|_| TOO_LARGE)
}

/// A value that no formula calculates with.
pub(super) enum Uncalculable {
    /// Above the greatest Integer.
    Integer,
    /// NaN, or infinite.
    Finite,
}

/// The value of a tag as formulas have it: Boolean, Int64, Double, String, DateTime, or an array.
pub(super) fn calculable(value: Value) -> Result<Value, Uncalculable> {
    Ok(match value {
        Value::SByte(number) => Value::Int64(number.into()),
        Value::Byte(number) => Value::Int64(number.into()),
        Value::Int16(number) => Value::Int64(number.into()),
        Value::UInt16(number) => Value::Int64(number.into()),
        Value::Int32(number) => Value::Int64(number.into()),
        Value::UInt32(number) => Value::Int64(number.into()),
        Value::UInt64(number) => Value::Int64(number.try_into().map_err(|_| Uncalculable::Integer)?),
        Value::Float(number) if number.is_finite() => Value::Double(number.into()),
        Value::Double(number) if number.is_finite() => Value::Double(number),
        Value::Float(_) | Value::Double(_) => return Err(Uncalculable::Finite),
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

pub(super) fn finite(number: f64) -> Result<Value, Fault> {
    if number.is_finite() { Ok(Value::Double(number)) } else { Err(TOO_LARGE) }
}

fn binary(op: Binary, left: &Value, right: &Value) -> Result<Value, Fault> {
    const BY_ZERO: Fault = Fault { code: StatusCode::BadOutOfRange, cause: Cause::DivisionByZero };
    match (left, right) {
        (&Value::Int64(left), &Value::Int64(right)) => {
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
        (&Value::Double(left), &Value::Double(right)) => match op {
            Binary::Add => finite(left + right),
            Binary::Subtract => finite(left - right),
            Binary::Multiply => finite(left * right),
            Binary::Divide | Binary::Remainder if right == 0.0 => Err(BY_ZERO),
            Binary::Divide => finite(left / right),
            Binary::Remainder => finite(left % right),
            Binary::Join => Err(TOO_LARGE),
        },
        (Value::String(left), Value::String(right)) => calls::text(&[&**left, &**right].concat()),
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
        Value::Array(array) if array.elements.built_in() != kind => {
            let one = |at| {
                let value = array.elements.get(at).and_then(|value| calculable(value).ok()).ok_or(TOO_LARGE)?;
                as_written(kind, value)
            };
            let values: Result<Vec<Value>, Fault> = (0..array.elements.len()).map(one).collect();
            let elements = Elements::collect(kind, values?.into_iter()).ok_or(TOO_LARGE)?;
            Ok(Value::Array(Array { elements, dimensions: array.dimensions.clone() }.into()))
        }
        value => Ok(value),
    }
}
