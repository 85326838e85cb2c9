//! Formulas: a second evaluator, which walks a tree, agrees with the flat code over random expressions and inputs.

mod random;
mod second;
mod texts;
mod time;

use std::sync::Arc;

use opcell::testing::formula::{
    Compiled, Enumeration, Fault, Found, Inputs, Lookup, Memory, Moments, Names, Outcome, Stack, Type, Want, compile,
    fuzz,
};
use opcell::value::{BuiltIn, Moment, Sample, UaTime, Value};
use opcua::StatusCode;

#[test]
fn random_bytes_are_no_trouble() {
    let mut random = random::Random(88_172_645_463_325_252);
    let pieces = [
        "J",
        "I",
        "h",
        "K",
        "N",
        "D",
        "1",
        "2.5",
        "'a'",
        "+",
        "-",
        "*",
        "/",
        "%",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        " and ",
        " or ",
        " not ",
        "==",
        "<",
        "if(",
        "default(",
        "mean(",
        "total(",
        "prev()",
        "min(",
        "text(",
        "null",
        "true",
        "{",
        "}",
        "`",
        "\u{e4}",
        "5s",
        "bit(",
        "age(",
        "on_delay(",
        "0x",
        "\0",
    ];
    for _ in 0..20_000 {
        let text: String = (0..random.below(24)).map(|_| random.word(&pieces)).collect();
        let mut bytes = text.into_bytes();
        bytes.extend((0..random.below(40)).map(|_| u8::try_from(random.below(256)).expect("a byte")));
        fuzz(&bytes);
    }
}

/// A tag of the tests.
#[derive(Debug, Clone)]
pub struct Tag {
    pub name: &'static str,
    pub of: Type,
    pub sample: Sample,
    pub wraps_at: Option<f64>,
    pub is_sloped: bool,
}

impl Tag {
    pub fn new(name: &'static str, of: Type, value: Value) -> Tag {
        let sample = Sample { value, status: StatusCode::Good, source_time: UaTime(1_000), server_time: UaTime(1_000) };
        Tag { name, of, sample, wraps_at: None, is_sloped: false }
    }
}

/// The tags of a test, as names and as inputs.
pub struct Tags(pub Vec<Tag>);

impl Names for Tags {
    fn find(&mut self, _: bool, names: &[&str]) -> Lookup {
        match self.0.iter().position(|tag| tag.name == names[0]) {
            Some(at) => Lookup::Tag(Found {
                key: u32::try_from(at).expect("few"),
                of: self.0[at].of.clone(),
                used: 1,
                wraps_at: self.0[at].wraps_at,
                is_sloped: self.0[at].is_sloped,
            }),
            None => Lookup::Absent(String::new()),
        }
    }

    fn argument(&mut self, _: &str) -> Option<Found> {
        None
    }
}

/// The inputs of a program in the order that it has them.
struct Wired<'a>(&'a Tags, &'a [u32]);

impl Inputs for Wired<'_> {
    fn sample(&self, at: u16) -> Sample {
        self.0.0[self.1[usize::from(at)] as usize].sample.clone()
    }
}

pub fn state() -> Arc<Enumeration> {
    let values = vec![(0, vec!["Stopped".to_owned()]), (1, vec!["Running".to_owned()]), (-7, vec!["Not ready".into()])];
    Arc::new(Enumeration { name: "State".into(), values })
}

pub fn want(of: Type) -> Want {
    let built_in = match of {
        Type::Boolean => BuiltIn::Boolean,
        Type::Integer => BuiltIn::Int64,
        Type::Text => BuiltIn::String,
        Type::DateTime => BuiltIn::DateTime,
        Type::Enumeration(_) => BuiltIn::Int32,
        _ => BuiltIn::Double,
    };
    Want::Tag { name: format!("{built_in:?}"), of, built_in }
}

pub fn compiled(text: &str, tags: &mut Tags, of: Type) -> Result<Compiled, Vec<Fault>> {
    compile(text, tags, &want(of))
}

/// A formula that runs again and again.
pub struct Running {
    compiled: Compiled,
    pub memory: Memory,
    stack: Stack,
}

impl Running {
    pub fn new(text: &str, tags: &mut Tags, of: Type) -> Running {
        let compiled = compiled(text, tags, of).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        Running { memory: Memory::of(&compiled.program), compiled, stack: Stack::default() }
    }

    pub fn run(&mut self, tags: &Tags, now: Moment) -> Outcome {
        let inputs = Wired(tags, &self.compiled.inputs);
        let at = Moments { now, by_clock: false, zone: |_| 3_600 };
        self.compiled.program.run(&inputs, &mut self.memory, at, &mut self.stack)
    }

    pub fn explain(&self, outcome: &Outcome) -> String {
        outcome.cause.map(|cause| self.compiled.program.explain(cause)).unwrap_or_default()
    }
}
