//! Random bytes as a formula and its inputs, for the fuzzer.

use std::time::Duration;

use opcua::StatusCode;

use super::{Dimensions, Found, Inputs, Lookup, Memory, Moments, Names, Stack, Type, Want, compile};
use crate::value::{BuiltIn, Elements, Moment, Sample, UaTime, Value};

/// Each letter is a tag; its place among these is its type.
const TYPES: [Type; 6] =
    [Type::Boolean, Type::Integer, Type::Double, Type::Text, Type::DateTime, Type::Other("ByteString")];

struct Letters;

/// A tag by the first letter of its name.
fn key_of(name: &str) -> u32 {
    name.bytes().next().map_or(0, u32::from)
}

fn type_of(key: u32) -> Type {
    match key as usize % 8 {
        6 => Type::Array(Box::new(Type::Double), Dimensions(1)),
        7 => Type::Array(Box::new(Type::Integer), Dimensions(2)),
        at => TYPES[at].clone(),
    }
}

impl Names for Letters {
    fn find(&mut self, _: bool, names: &[&str]) -> Lookup {
        let key = names.first().map_or(0, |name| key_of(name));
        let wraps_at = key.is_multiple_of(3).then_some(256.0);
        Lookup::Tag(Found { key, of: type_of(key), used: names.len(), wraps_at, is_sloped: key.is_multiple_of(2) })
    }

    fn argument(&mut self, name: &str) -> Option<Found> {
        Some(Found { key: key_of(name), of: type_of(key_of(name)), used: 1, wraps_at: None, is_sloped: false })
    }
}

/// Values made of the bytes after the text.
struct Bytes<'a> {
    bytes: &'a [u8],
    keys: &'a [u32],
    turn: u8,
}

impl Inputs for Bytes<'_> {
    fn sample(&self, at: u16) -> Sample {
        let place = usize::from(at) * 8 + usize::from(self.turn);
        let byte = |offset: usize| self.bytes.get((place + offset) % self.bytes.len().max(1)).copied().unwrap_or(0);
        let bits = u64::from_le_bytes(std::array::from_fn(byte));
        let value = match type_of(self.keys[usize::from(at)]) {
            Type::Boolean => Value::Boolean(bits & 1 == 1),
            Type::Integer if bits & 1 == 1 => Value::UInt64(bits),
            Type::Integer => Value::Int64(bits.cast_signed()),
            Type::Double => Value::Double(f64::from_bits(bits)),
            Type::Text => Value::text(&String::from_utf8_lossy(&bits.to_le_bytes())),
            Type::DateTime => Value::DateTime(UaTime(bits.cast_signed())),
            Type::Array(of, _) if *of == Type::Double => Value::array(Elements::Double(vec![f64::from_bits(bits); 3])),
            _ => Value::array(Elements::Int64(vec![bits.cast_signed(), 1, 2])),
        };
        let (value, status) = match byte(9) % 8 {
            0 => (Value::Null, StatusCode::BadTimeout),
            1 => (Value::Null, StatusCode::Good),
            2 => (value, StatusCode::UncertainLastUsableValue),
            _ => (value, StatusCode::Good),
        };
        Sample { value, status, source_time: UaTime(bits.cast_signed()), server_time: UaTime(1) }
    }
}

/// The bytes up to the first 0 are a formula, the rest its inputs. A result is a value, or Bad without one.
pub fn fuzz(bytes: &[u8]) {
    let (text, inputs) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let text = String::from_utf8_lossy(text);
    for (of, built_in) in
        [(Type::Double, BuiltIn::Float), (Type::Boolean, BuiltIn::Boolean), (Type::Text, BuiltIn::String)]
    {
        let want = Want::Tag { of, built_in, name: "a type".to_owned() };
        let compiled = match compile(&text, &mut Letters, &want) {
            Ok(compiled) => compiled,
            Err(faults) => {
                let is_inside = faults.iter().all(|fault| text.get(fault.span.clone()).is_some());
                assert!(is_inside && !faults.is_empty(), "{text:?}: {faults:?}");
                continue;
            }
        };
        let (mut memory, mut stack) = (Memory::of(&compiled.program), Stack::default());
        let start = Moment::now();
        for turn in 0..4u8 {
            let mono = start.mono + Duration::from_millis(700) * u32::from(turn);
            let at = Moments { now: Moment { mono, wall: start.wall }, by_clock: turn == 3, zone: |_| -3_600 };
            let inputs = Bytes { bytes: inputs, keys: &compiled.inputs, turn };
            let outcome = compiled.program.run(&inputs, &mut memory, at, &mut stack);
            assert_eq!(outcome.status.is_bad(), outcome.value.is_null(), "{text:?}: {outcome:?}");
            assert_eq!(outcome.status.is_good(), outcome.cause.is_none(), "{text:?}: {outcome:?}");
            assert!(outcome.value.as_f64().is_none_or(f64::is_finite), "{text:?}: {outcome:?}");
            outcome.cause.into_iter().for_each(|cause| drop(compiled.program.explain(cause)));
        }
        let kept = memory.kept();
        memory.restore(&kept);
    }
}
