//! Random expressions as trees and as texts, over random inputs.

use opcell::testing::formula::Type;
use opcell::value::{Moment, UaTime, Value};
use opcua::StatusCode;

use crate::second::{E, T, Used, V, X};
use crate::{Running, Tag, Tags, state};

/// Expressions in CI; `OPCELL_FORMULAS` for more.
const FORMULAS: u64 = 20_000;

pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("small")
    }

    fn of<'a, V>(&mut self, all: &'a [V]) -> &'a V {
        let at = self.index(all.len());
        &all[at]
    }

    pub fn word(&mut self, all: &[&'static str]) -> &'static str {
        all[self.index(all.len())]
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

const INTEGERS: [i64; 12] = [0, 1, 2, -1, 7, -13, 63, 64, 1_000_000_007, i64::MAX, i64::MIN + 1, 9_007_199_254_740_993];
const DOUBLES: [f64; 12] = [0.0, 0.5, -0.5, 1.5, 2.5, -3.25, 1e9, 1e-9, 1e300, 9.3e18, 0.1, 123.456];
const TEXTS: [&str; 6] = ["", "abc", "Ä it's", " 12.5 ", "-7", "x\"y"];
const STATES: [&str; 3] = ["Stopped", "Running", "Not ready"];
const BAD: [StatusCode; 3] = [StatusCode::BadTimeout, StatusCode::BadNoCommunication, StatusCode::BadOutOfRange];
const UNCERTAIN: [StatusCode; 2] = [StatusCode::UncertainLastUsableValue, StatusCode::UncertainSensorNotAccurate];

/// The tags: two of each type.
fn tags(random: &mut Random) -> Tags {
    let all = vec![
        Tag::new("B1", Type::Boolean, Value::Boolean(random.one_in(2))),
        Tag::new("B2", Type::Boolean, Value::Boolean(random.one_in(2))),
        Tag::new("I1", Type::Integer, Value::Int16(i16::try_from(random.below(200)).expect("small") - 100)),
        Tag::new("I2", Type::Integer, Value::Int64(*random.of(&INTEGERS))),
        Tag::new("I3", Type::Integer, Value::UInt64(*random.of(&[0, 5, u64::MAX, 1 << 63]))),
        Tag::new("D1", Type::Double, Value::Double(*random.of(&DOUBLES))),
        Tag::new("D2", Type::Double, Value::Float(*random.of(&[0.0, 1.25, -7.5, f32::MAX, f32::NAN]))),
        Tag::new("T1", Type::Text, Value::text(random.word(&TEXTS))),
        Tag::new("T2", Type::Text, Value::text(random.word(&TEXTS))),
        Tag::new("S1", Type::Enumeration(state()), Value::Int32(*random.of(&[0, 1, -7]))),
    ];
    let with_quality = |mut tag: Tag| {
        tag.sample.source_time = UaTime(i64::try_from(1 + random.below(1_000)).expect("small"));
        match random.below(12) {
            0 | 1 => {
                tag.sample.value = Value::Null;
                tag.sample.status = *random.of(&BAD);
            }
            2 => tag.sample.value = Value::Null,
            3 | 4 => tag.sample.status = *random.of(&UNCERTAIN),
            _ => {}
        }
        tag
    };
    Tags(all.into_iter().map(with_quality).collect())
}

fn is_of(tag: &Tag, of: T) -> bool {
    match of {
        T::Bool => tag.of == Type::Boolean,
        T::Int => tag.of == Type::Integer,
        T::Dbl => tag.of == Type::Double,
        T::Text => tag.of == Type::Text,
        T::State => matches!(tag.of, Type::Enumeration(_)),
    }
}

struct Maker<'a> {
    random: &'a mut Random,
    tags: &'a Tags,
}

impl Maker<'_> {
    fn tag(&mut self, of: T) -> usize {
        let fitting: Vec<usize> = (0..self.tags.0.len()).filter(|at| is_of(&self.tags.0[*at], of)).collect();
        *self.random.of(&fitting)
    }

    fn boxed(&mut self, of: T, depth: u32) -> Box<X> {
        Box::new(self.make(of, depth))
    }

    fn number(&mut self) -> T {
        if self.random.one_in(2) { T::Int } else { T::Dbl }
    }

    fn make(&mut self, of: T, depth: u32) -> X {
        let is = if depth == 0 || self.random.one_in(6) { self.leaf(of) } else { self.inner(of, depth - 1) };
        X { of, is }
    }

    fn leaf(&mut self, of: T) -> E {
        if !self.random.one_in(3) {
            return E::Tag(self.tag(of));
        }
        match of {
            T::Bool => E::Const(V::Bool(self.random.one_in(2))),
            T::Int => E::Const(V::Int(self.random.of(&INTEGERS[..]).saturating_abs())),
            T::Dbl => E::Const(V::Dbl(self.random.of(&DOUBLES).abs())),
            T::Text => E::Const(V::Text((*self.random.of(&TEXTS)).to_owned())),
            T::State => E::Tag(self.tag(of)),
        }
    }

    fn inner(&mut self, of: T, depth: u32) -> E {
        match self.random.below(6) {
            0 => {
                let condition = self.boxed(T::Bool, depth);
                let null = E::Null;
                return match self.random.below(8) {
                    0 => E::If(condition, Box::new(X { of, is: null }), self.boxed(of, depth)),
                    1 => E::If(condition, self.boxed(of, depth), Box::new(X { of, is: null })),
                    _ => E::If(condition, self.boxed(of, depth), self.boxed(of, depth)),
                };
            }
            1 => return E::Default(self.boxed(of, depth), self.boxed(of, depth)),
            _ => {}
        }
        match of {
            T::Bool => self.condition(depth),
            T::Int => self.integer(depth),
            T::Dbl => self.double(depth),
            T::Text => self.text(depth),
            T::State => E::Tag(self.tag(of)),
        }
    }

    fn condition(&mut self, depth: u32) -> E {
        match self.random.below(9) {
            0 => E::And(self.boxed(T::Bool, depth), self.boxed(T::Bool, depth)),
            1 => E::Or(self.boxed(T::Bool, depth), self.boxed(T::Bool, depth)),
            2 => E::Not(self.boxed(T::Bool, depth)),
            3 => {
                let of = *self.random.of(&[T::Bool, T::Int, T::Dbl, T::Text, T::State]);
                E::IsNull(self.random.one_in(2), self.boxed(of, depth))
            }
            4 => {
                let tag = self.random.index(self.tags.0.len());
                E::OfTag(["good", "bad", "uncertain"][self.random.index(3)], tag)
            }
            5 => {
                let name = *self.random.of(&STATES);
                let sign = *self.random.of(&["==", "!="]);
                let tag = X { of: T::State, is: E::Tag(self.tag(T::State)) };
                E::Compare(sign, Box::new(tag), Box::new(X { of: T::State, is: E::Name(name) }))
            }
            6 => {
                let sign = *self.random.of(&["==", "!="]);
                E::Compare(sign, self.boxed(T::Bool, depth), self.boxed(T::Bool, depth))
            }
            7 => {
                let (sign, name) = (*self.random.of(&["<", "==", ">="]), *self.random.of(&["contains", "starts"]));
                match self.random.one_in(2) {
                    true => E::Compare(sign, self.boxed(T::Text, depth), self.boxed(T::Text, depth)),
                    false => E::Call(name, vec![self.make(T::Text, depth), self.make(T::Text, depth)]),
                }
            }
            _ => {
                let sign = *self.random.of(&["==", "!=", "<", "<=", ">", ">="]);
                let (a, b) = (self.number(), self.number());
                E::Compare(sign, self.boxed(a, depth), self.boxed(b, depth))
            }
        }
    }

    fn many(&mut self, of: T, depth: u32) -> Vec<X> {
        let mut all = vec![self.make(of, depth)];
        for _ in 0..self.random.below(3) {
            let of = if of == T::Dbl { self.number() } else { of };
            all.push(self.make(of, depth));
        }
        all
    }

    fn integer(&mut self, depth: u32) -> E {
        let two = |name, maker: &mut Self| E::Call(name, vec![maker.make(T::Int, depth), maker.make(T::Int, depth)]);
        match self.random.below(9) {
            0..=2 => {
                let sign = *self.random.of(&['+', '-', '*', '%']);
                E::Arithmetic(sign, self.boxed(T::Int, depth), self.boxed(T::Int, depth))
            }
            3 => E::Negate(self.boxed(T::Int, depth)),
            4 => {
                let name = *self.random.of(&["floor", "ceil", "trunc", "round", "sign"]);
                let of = self.number();
                E::Call(name, vec![self.make(of, depth)])
            }
            5 => two(*self.random.of(&["div", "band", "bor", "bxor", "shl", "shr"]), self),
            6 => {
                let name = *self.random.of(&["min", "max", "sum"]);
                E::Call(name, self.many(T::Int, depth))
            }
            7 => E::Call("len", vec![self.make(T::Text, depth)]),
            _ => match self.random.one_in(2) {
                true => E::Call("abs", vec![self.make(T::Int, depth)]),
                false => {
                    let three = (0..3).map(|_| self.make(T::Int, depth)).collect();
                    E::Call("clamp", three)
                }
            },
        }
    }

    fn double(&mut self, depth: u32) -> E {
        match self.random.below(9) {
            0 | 1 => {
                let sign = *self.random.of(&['+', '-', '*', '%']);
                let other = self.number();
                match self.random.one_in(2) {
                    true => E::Arithmetic(sign, self.boxed(T::Dbl, depth), self.boxed(other, depth)),
                    false => E::Arithmetic(sign, self.boxed(other, depth), self.boxed(T::Dbl, depth)),
                }
            }
            2 => {
                let (a, b) = (self.number(), self.number());
                E::Arithmetic('/', self.boxed(a, depth), self.boxed(b, depth))
            }
            3 => E::Negate(self.boxed(T::Dbl, depth)),
            4 => {
                let name = *self.random.of(&["sqrt", "exp", "ln", "sin"]);
                let of = self.number();
                E::Call(name, vec![self.make(of, depth)])
            }
            5 => {
                let name = *self.random.of(&["pow", "atan2"]);
                let (a, b) = (self.number(), self.number());
                E::Call(name, vec![self.make(a, depth), self.make(b, depth)])
            }
            6 => {
                let name = *self.random.of(&["min", "max", "sum", "avg"]);
                E::Call(name, self.many(T::Dbl, depth))
            }
            7 => E::Call("number", vec![self.make(T::Text, depth)]),
            _ => match self.random.one_in(2) {
                true => E::Call("abs", vec![self.make(T::Dbl, depth)]),
                false => {
                    let (b, c) = (self.number(), self.number());
                    E::Call("clamp", vec![self.make(T::Dbl, depth), self.make(b, depth), self.make(c, depth)])
                }
            },
        }
    }

    fn text(&mut self, depth: u32) -> E {
        match self.random.below(5) {
            0 => E::Arithmetic('+', self.boxed(T::Text, depth), self.boxed(T::Text, depth)),
            1 => {
                let of = *self.random.of(&[T::Bool, T::Int, T::Dbl, T::Text]);
                E::Call("text", vec![self.make(of, depth)])
            }
            2 => E::Call(self.random.word(&["upper", "lower", "trim"]), vec![self.make(T::Text, depth)]),
            3 => {
                let three = vec![self.make(T::Text, depth), self.make(T::Int, depth), self.make(T::Int, depth)];
                E::Call("part", three)
            }
            _ => E::OfTag("status", self.random.index(self.tags.0.len())),
        }
    }
}

/// The text of an expression with as few brackets as the grammar needs; `outer` is the strength around it.
fn text(tags: &Tags, x: &X, outer: u8, out: &mut String) {
    let own = match &x.is {
        E::Or(..) => 1,
        E::And(..) => 2,
        E::Not(_) => 3,
        E::Compare(..) | E::IsNull(..) => 4,
        E::Arithmetic('+' | '-', ..) => 5,
        E::Arithmetic(..) => 6,
        E::Negate(_) => 7,
        _ => 8,
    };
    if own < outer {
        out.push('(');
    }
    let two = |sign: &str, a: &X, b: &X, left: u8, right: u8, out: &mut String| {
        text(tags, a, left, out);
        out.push_str(&format!(" {sign} "));
        text(tags, b, right, out);
    };
    match &x.is {
        E::Const(V::Text(text)) => out.push_str(&format!("'{}'", text.replace('\'', "''"))),
        E::Const(V::Bool(on)) => out.push_str(&on.to_string()),
        E::Const(V::Int(number)) => out.push_str(&number.to_string()),
        E::Const(V::Dbl(number)) => out.push_str(&format!("{number:?}")),
        E::Const(V::Null) | E::Null => out.push_str("null"),
        E::Tag(at) => out.push_str(tags.0[*at].name),
        E::Name(name) => out.push_str(&format!("`{name}`")),
        E::Negate(a) => {
            out.push('-');
            text(tags, a, 7, out);
        }
        E::Not(a) => {
            out.push_str("not ");
            text(tags, a, 3, out);
        }
        E::And(a, b) => two("and", a, b, 2, 3, out),
        E::Or(a, b) => two("or", a, b, 1, 2, out),
        E::Compare(sign, a, b) => two(sign, a, b, 5, 5, out),
        E::IsNull(is, a) => {
            text(tags, a, 5, out);
            out.push_str(if *is { " == null" } else { " != null" });
        }
        E::Arithmetic(sign, a, b) => two(&sign.to_string(), a, b, own, own + 1, out),
        E::If(a, b, c) => calls("if", &[a, b, c], tags, out),
        E::Default(a, b) => calls("default", &[a, b], tags, out),
        E::Call(name, arguments) => calls(name, &arguments.iter().collect::<Vec<_>>(), tags, out),
        E::OfTag(name, at) => out.push_str(&format!("{name}({})", tags.0[*at].name)),
    }
    if own < outer {
        out.push(')');
    }
}

fn calls(name: &str, arguments: &[&X], tags: &Tags, out: &mut String) {
    out.push_str(name);
    out.push('(');
    for (at, argument) in arguments.iter().enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        text(tags, argument, 0, out);
    }
    out.push(')');
}

fn same(value: &Value, other: &V) -> bool {
    match (value, other) {
        (Value::Null, V::Null) => true,
        (Value::Boolean(a), V::Bool(b)) => a == b,
        (Value::Int64(a), V::Int(b)) => a == b,
        (Value::Double(a), V::Dbl(b)) => a == b,
        (Value::String(a), V::Text(b)) => **a == **b,
        _ => false,
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the proportions are a figure of the report")]
fn two_evaluators_agree_over_random_expressions_and_inputs() {
    let count = std::env::var("OPCELL_FORMULAS").ok().and_then(|text| text.parse().ok()).unwrap_or(FORMULAS);
    let (mut good, mut uncertain, mut bad) = (0, 0, 0);
    for seed in 1..=count {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut tags = tags(&mut random);
        let of = *random.of(&[T::Bool, T::Int, T::Dbl, T::Text]);
        let depth = u32::try_from(random.below(5)).expect("small");
        let x = Maker { random: &mut random, tags: &tags }.make(of, depth);
        let mut formula = String::new();
        text(&tags, &x, 0, &mut formula);
        let wanted = match of {
            T::Bool => Type::Boolean,
            T::Int => Type::Integer,
            T::Dbl => Type::Double,
            _ => Type::Text,
        };
        let mut running = Running::new(&formula, &mut tags, wanted);
        let now = Moment { wall: UaTime(5_000), ..Moment::now() };
        let first = running.run(&tags, now);
        let mut used = Used { tags: &tags, status: StatusCode::Good, newest: UaTime::NULL };
        let second = used.eval(&x);
        let (value, status) = match second {
            Ok(V::Null) => (V::Null, StatusCode::BadNoData),
            Ok(value) => (value, used.status),
            Err(status) => (V::Null, status),
        };
        let newest = if used.newest == UaTime::NULL { now.wall } else { used.newest };
        assert!(
            same(&first.value, &value) && first.status == status && first.source_time == newest,
            "seed {seed}: {formula}\nfirst {first:?}\nsecond {value:?} {status} {newest:?}\n{:?}",
            tags.0
        );
        assert_eq!(first.cause.is_none(), status.is_good(), "seed {seed}: {formula}: {first:?}");
        match status {
            status if status.is_bad() => bad += 1,
            status if status.is_uncertain() => uncertain += 1,
            _ => good += 1,
        }
    }
    println!("{count} formulas: {good} Good, {uncertain} Uncertain, {bad} Bad");
    assert!(good > count / 5 && uncertain > count / 50 && bad > count / 5, "{good} {uncertain} {bad}");
}
