//! The second evaluator: a tree with its types, walked as the page on formulas says. It shares no code with the first.

use opcell::value::{Sample, UaTime};
use opcua::StatusCode;

use crate::{Tags, state};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum T {
    Bool,
    Int,
    Dbl,
    Text,
    State,
}

#[derive(Debug, Clone, PartialEq)]
pub enum V {
    Null,
    Bool(bool),
    Int(i64),
    Dbl(f64),
    Text(String),
}

/// An expression and its type.
#[derive(Debug, Clone)]
pub struct X {
    pub of: T,
    pub is: E,
}

#[derive(Debug, Clone)]
pub enum E {
    Const(V),
    /// The word `null`.
    Null,
    Tag(usize),
    /// A value of the enumeration, by its name.
    Name(&'static str),
    Negate(Box<X>),
    Not(Box<X>),
    Arithmetic(char, Box<X>, Box<X>),
    Compare(&'static str, Box<X>, Box<X>),
    And(Box<X>, Box<X>),
    Or(Box<X>, Box<X>),
    IsNull(bool, Box<X>),
    If(Box<X>, Box<X>, Box<X>),
    Default(Box<X>, Box<X>),
    Call(&'static str, Vec<X>),
    OfTag(&'static str, usize),
}

/// What the inputs that were used say.
pub struct Used<'a> {
    pub tags: &'a Tags,
    pub status: StatusCode,
    pub newest: UaTime,
}

type Answer = Result<V, StatusCode>;

const RANGE: StatusCode = StatusCode::BadOutOfRange;

fn checked(number: f64) -> Answer {
    if number.is_nan() || number.is_infinite() { Err(RANGE) } else { Ok(V::Dbl(number)) }
}

fn whole(number: f64) -> Answer {
    if number >= 2f64.powi(63) || number < -(2f64.powi(63)) { Err(RANGE) } else { Ok(V::Int(number as i64)) }
}

fn as_double(value: V) -> V {
    match value {
        V::Int(number) => V::Dbl(number as f64),
        value => value,
    }
}

impl Used<'_> {
    fn sample(&mut self, tag: usize) -> Sample {
        let sample = self.tags.0[tag].sample.clone();
        if sample.source_time.0 > self.newest.0 {
            self.newest = sample.source_time;
        }
        sample
    }

    fn note(&mut self, status: StatusCode) {
        if self.status.is_good() {
            self.status = status;
        }
    }

    pub fn eval(&mut self, x: &X) -> Answer {
        let value = self.inner(x)?;
        Ok(if x.of == T::Dbl { as_double(value) } else { value })
    }

    fn inner(&mut self, x: &X) -> Answer {
        Ok(match &x.is {
            E::Const(value) => value.clone(),
            E::Null => V::Null,
            E::Name(name) => {
                let state = state();
                let found = state.values.iter().find(|(_, texts)| texts[0] == *name).expect("a name of it");
                V::Int(found.0.into())
            }
            E::Tag(tag) => self.tag(*tag)?,
            E::Negate(x) => match self.eval(x)? {
                V::Int(i64::MIN) => return Err(RANGE),
                V::Int(number) => V::Int(-number),
                V::Dbl(number) => V::Dbl(-number),
                other => other,
            },
            E::Not(x) => match self.eval(x)? {
                V::Bool(on) => V::Bool(!on),
                other => other,
            },
            E::And(a, b) => {
                let a = self.eval(a)?;
                if a == V::Bool(false) {
                    return Ok(a);
                }
                match (a, self.eval(b)?) {
                    (_, V::Bool(false)) => V::Bool(false),
                    (V::Bool(true), V::Bool(true)) => V::Bool(true),
                    _ => V::Null,
                }
            }
            E::Or(a, b) => {
                let a = self.eval(a)?;
                if a == V::Bool(true) {
                    return Ok(a);
                }
                match (a, self.eval(b)?) {
                    (_, V::Bool(true)) => V::Bool(true),
                    (V::Bool(false), V::Bool(false)) => V::Bool(false),
                    _ => V::Null,
                }
            }
            E::IsNull(is, x) => V::Bool((self.eval(x)? == V::Null) == *is),
            E::If(condition, a, b) => match self.eval(condition)? {
                V::Bool(true) => self.eval(a)?,
                V::Bool(false) => self.eval(b)?,
                _ => V::Null,
            },
            E::Default(a, b) => {
                let before = self.status;
                match self.eval(a) {
                    Ok(value) if value != V::Null => value,
                    _ => {
                        self.status = before;
                        self.note(StatusCode::UncertainSubstituteValue);
                        self.eval(b)?
                    }
                }
            }
            E::OfTag(function, tag) => {
                let status = self.sample(*tag).status;
                match *function {
                    "good" => V::Bool(status.is_good()),
                    "bad" => V::Bool(status.is_bad()),
                    "uncertain" => V::Bool(status.is_uncertain()),
                    _ => V::Text(format!("{status}")),
                }
            }
            E::Arithmetic(sign, a, b) => {
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                arithmetic(*sign, x.of, a, b)?
            }
            E::Compare(sign, a, b) => {
                let is_double = a.of == T::Dbl || b.of == T::Dbl;
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                let (a, b) = if is_double { (as_double(a), as_double(b)) } else { (a, b) };
                compare(sign, &a, &b)
            }
            E::Call(name, arguments) => {
                let is_double = arguments.iter().any(|argument| argument.of == T::Dbl);
                let values: Result<Vec<V>, StatusCode> = arguments.iter().map(|argument| self.eval(argument)).collect();
                let mut values = values?;
                if values.contains(&V::Null) {
                    return Ok(V::Null);
                }
                if is_double && !matches!(*name, "round" | "text") || x.of == T::Dbl && *name != "round" {
                    values = values.into_iter().map(as_double).collect();
                }
                call(name, &values)?
            }
        })
    }

    fn tag(&mut self, tag: usize) -> Answer {
        use opcell::value::Value;
        let sample = self.sample(tag);
        if sample.status.is_bad() {
            return Err(sample.status);
        }
        let value = match sample.value {
            Value::Null => V::Null,
            Value::Boolean(on) => V::Bool(on),
            Value::Int16(number) => V::Int(number.into()),
            Value::Int32(number) => V::Int(number.into()),
            Value::Int64(number) => V::Int(number),
            Value::UInt64(number) if number > i64::MAX as u64 => return Err(RANGE),
            Value::UInt64(number) => V::Int(number as i64),
            Value::Float(number) if number.is_finite() => V::Dbl(number.into()),
            Value::Double(number) if number.is_finite() => V::Dbl(number),
            Value::Float(_) | Value::Double(_) => return Err(RANGE),
            Value::String(text) => V::Text(text.to_string()),
            other => panic!("no tag has {other:?}"),
        };
        if sample.status.is_uncertain() {
            self.note(sample.status);
        }
        Ok(value)
    }
}

fn arithmetic(sign: char, of: T, a: V, b: V) -> Answer {
    if let (V::Text(a), V::Text(b)) = (&a, &b) {
        return Ok(V::Text(format!("{a}{b}")));
    }
    let (a, b) = if of == T::Dbl { (as_double(a), as_double(b)) } else { (a, b) };
    match (a, b) {
        (V::Int(a), V::Int(b)) => {
            let (a, b) = (i128::from(a), i128::from(b));
            let result = match sign {
                '+' => a + b,
                '-' => a - b,
                '*' => a * b,
                _ if b == 0 => return Err(RANGE),
                // The sign of the left side.
                _ => a.abs() % b.abs() * a.signum(),
            };
            i64::try_from(result).map(V::Int).map_err(|_| RANGE)
        }
        (V::Dbl(a), V::Dbl(b)) => checked(match sign {
            '+' => a + b,
            '-' => a - b,
            '*' => a * b,
            '/' => a / b,
            _ => a % b,
        }),
        _ => Ok(V::Null),
    }
}

fn compare(sign: &str, a: &V, b: &V) -> V {
    let (less, equal) = match (a, b) {
        (V::Int(a), V::Int(b)) => (a < b, a == b),
        (V::Dbl(a), V::Dbl(b)) => (a < b, a == b),
        (V::Bool(a), V::Bool(b)) => (!a & b, a == b),
        (V::Text(a), V::Text(b)) => (a < b, a == b),
        _ => return V::Null,
    };
    V::Bool(match sign {
        "==" => equal,
        "!=" => !equal,
        "<" => less,
        "<=" => less || equal,
        ">" => !less && !equal,
        _ => !less,
    })
}

fn call(name: &str, values: &[V]) -> Answer {
    use V::{Bool, Dbl, Int, Text};
    Ok(match (name, values) {
        ("abs", [Int(i64::MIN)]) => return Err(RANGE),
        ("abs", [Int(x)]) => Int(x.abs()),
        ("abs", [Dbl(x)]) => Dbl(x.abs()),
        ("sign", [Int(x)]) => Int((*x > 0) as i64 - (*x < 0) as i64),
        ("sign", [Dbl(x)]) => Int((*x > 0.0) as i64 - (*x < 0.0) as i64),
        ("floor" | "ceil" | "trunc" | "round", [Int(x)]) => Int(*x),
        ("floor", [Dbl(x)]) => whole(x.floor())?,
        ("ceil", [Dbl(x)]) => whole(x.ceil())?,
        ("trunc", [Dbl(x)]) => whole(x.trunc())?,
        ("round", [Dbl(x)]) => {
            let part = x.trunc();
            let is_far = (x - part).abs() >= 0.5;
            whole(if is_far { part + x.signum() } else { part })?
        }
        ("sqrt", [Dbl(x)]) => checked(x.sqrt())?,
        ("exp", [Dbl(x)]) => checked(x.exp())?,
        ("ln", [Dbl(x)]) => checked(x.ln())?,
        ("sin", [Dbl(x)]) => checked(x.sin())?,
        ("pow", [Dbl(x), Dbl(y)]) => checked(x.powf(*y))?,
        ("atan2", [Dbl(y), Dbl(x)]) => checked(y.atan2(*x))?,
        ("div", [Int(_), Int(0)]) => return Err(RANGE),
        ("div", [Int(a), Int(b)]) => {
            let result = i128::from(*a) / i128::from(*b);
            Int(i64::try_from(result).map_err(|_| RANGE)?)
        }
        ("clamp", [Int(x), Int(low), Int(high)]) if low <= high => Int(if x < low { *low } else { *x.min(high) }),
        ("clamp", [Dbl(x), Dbl(low), Dbl(high)]) if low <= high => Dbl(if x < low {
            *low
        } else if x > high {
            *high
        } else {
            *x
        }),
        ("clamp", _) => return Err(RANGE),
        ("min", [Int(_), ..]) => Int(values.iter().map(int).min().expect("one")),
        ("max", [Int(_), ..]) => Int(values.iter().map(int).max().expect("one")),
        ("sum", [Int(_), ..]) => {
            let mut sum = 0i64;
            for value in values {
                sum = sum.checked_add(int(value)).ok_or(RANGE)?;
            }
            Int(sum)
        }
        ("min", _) => Dbl(values.iter().map(dbl).fold(f64::INFINITY, f64::min)),
        ("max", _) => Dbl(values.iter().map(dbl).fold(f64::NEG_INFINITY, f64::max)),
        ("sum", _) => added(values)?,
        ("avg", _) => match added(values)? {
            Dbl(sum) => checked(sum / values.len() as f64)?,
            other => other,
        },
        ("bit", [Int(x), Int(n @ 0..=63)]) => Bool((*x as u64 >> n) % 2 == 1),
        ("shr", [Int(x), Int(n @ 0..=63)]) => Int((*x as u64 >> n) as i64),
        ("shl", [Int(x), Int(n @ 0..=63)]) => {
            let result = i128::from(*x) * (1i128 << n);
            Int(i64::try_from(result).map_err(|_| RANGE)?)
        }
        ("bit" | "shl" | "shr", _) => return Err(RANGE),
        ("band", [Int(x), Int(y)]) => Int(x & y),
        ("bor", [Int(x), Int(y)]) => Int(x | y),
        ("bxor", [Int(x), Int(y)]) => Int(x ^ y),
        ("text", [Int(x)]) => Text(x.to_string()),
        ("text", [Dbl(x)]) => Text(x.to_string()),
        ("text", [Bool(on)]) => Text(on.to_string()),
        ("text", [Text(x)]) => Text(x.clone()),
        ("number", [Text(x)]) => match x.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Dbl(number),
            _ => return Err(StatusCode::BadTypeMismatch),
        },
        ("len", [Text(x)]) => Int(x.chars().count() as i64),
        ("upper", [Text(x)]) => Text(x.to_uppercase()),
        ("lower", [Text(x)]) => Text(x.to_lowercase()),
        ("trim", [Text(x)]) => Text(x.trim().to_owned()),
        ("contains", [Text(x), Text(y)]) => Bool(x.contains(y.as_str())),
        ("starts", [Text(x), Text(y)]) => Bool(x.starts_with(y.as_str())),
        ("part", [Text(x), Int(from @ 0..), Int(count @ 0..)]) => {
            Text(x.chars().skip(*from as usize).take(*count as usize).collect())
        }
        ("part", _) => return Err(RANGE),
        other => panic!("no such call: {other:?}"),
    })
}

fn int(value: &V) -> i64 {
    match value {
        V::Int(number) => *number,
        other => panic!("no Integer: {other:?}"),
    }
}

fn dbl(value: &V) -> f64 {
    match value {
        V::Dbl(number) => *number,
        other => panic!("no Double: {other:?}"),
    }
}

/// From the left, each sum within a Double.
fn added(values: &[V]) -> Answer {
    let mut sum = dbl(&values[0]);
    for value in &values[1..] {
        sum += dbl(value);
        checked(sum)?;
    }
    checked(sum)
}
