//! One run of a program over the samples of its inputs.

use opcua::StatusCode;

use super::Memory;
use super::calls::call;
use super::functions::Function;
use super::memory::Beyond;
use super::operand::{
    Fault, Moments, TOO_LARGE, Uncalculable, as_written, binary, calculable, compare, doubles, element, text, to_double,
};
use super::place::Place;
use super::program::{Cause, Op, Program};
use crate::value::{Sample, UaTime, Value};

/// The samples of a program's inputs, by their number. A run asks for those alone that it uses.
pub trait Inputs {
    fn sample(&self, at: u16) -> Sample;
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
    #[expect(clippy::too_many_lines, reason = "an arm for each step")]
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
                // Most formulas are of Doubles; these are written where they lie.
                if let [.., Value::Double(left), Value::Double(right)] = &mut self.stack.values[..] {
                    *left = doubles(op, *left, *right)?;
                    self.stack.values.pop();
                    return Ok(next);
                }
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
                        text(known.unwrap_or(&number.to_string()))?
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
