//! Bytes of a PLC to raw values. Pure.
//!
//! The PLC tells its type with each reply, so a value is never read as another type than it has.

use std::borrow::Cow;

use opcua::StatusCode;

use super::plc_type::{HANDLE_OF_STRING, PlcType};
use super::point::Variable;
use crate::drivers::number::Number;
use crate::value::{BuiltIn, Elements, Value, boolean_from_text, number_from_text};

/// The status of a value that is none, and the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub status: StatusCode,
    pub why: Cow<'static, str>,
}

/// Where in a value's bytes its elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Layout {
    #[default]
    Plain,
    /// Bits of DWORDs, from this bit of the first one on.
    Packed { first: u8 },
    /// Structures with LEN and DATA.
    Text { capacity: usize },
}

/// Letters of a STRING of Logix.
const LETTERS: usize = 82;
/// LEN is a DINT.
pub(crate) const TEXT_HEAD: usize = 4;

impl Bad {
    pub(crate) fn encoding(why: String) -> Bad {
        Bad { status: StatusCode::BadDataEncodingInvalid, why: why.into() }
    }

    pub(crate) fn kind(why: String) -> Bad {
        Bad { status: StatusCode::BadConfigurationError, why: why.into() }
    }

    fn short() -> Bad {
        Bad { status: StatusCode::BadDecodingError, why: "the reply has another length than the value".into() }
    }
}

impl Layout {
    /// That of the STRING of each PLC.
    pub(crate) fn of_handle(handle: u16, size: usize) -> Option<Layout> {
        (handle == HANDLE_OF_STRING && size == 88).then_some(Layout::Text { capacity: LETTERS })
    }
}

impl Variable {
    /// The value in these bytes, which have no type in front.
    pub(crate) fn decode(&self, of: PlcType, layout: Layout, data: &[u8]) -> Result<Value, Bad> {
        self.check_type(of)?;
        let count = usize::from(self.elements);
        if let Layout::Packed { first } = layout {
            let bit = |at: usize| data.get(at / 8).map(|byte| byte >> (at % 8) & 1 == 1).ok_or_else(Bad::short);
            let bits = (0..count).map(|at| bit(usize::from(first) + at).map(Value::Boolean));
            return self.shape(BuiltIn::Boolean, bits);
        }
        match of {
            PlcType::ShortString | PlcType::String => {
                let mut rest = data;
                let texts = (0..count).map(|_| text_of_cip(of, &mut rest).and_then(|text| self.meaning_of(&text)));
                let texts: Vec<Value> = texts.collect::<Result<_, Bad>>()?;
                let kind = texts.first().and_then(Value::built_in).unwrap_or(BuiltIn::String);
                self.shape(kind, texts.into_iter().map(Ok))
            }
            PlcType::Structure(_) => {
                let Layout::Text { capacity } = layout else { return Err(self.wrong_type(of)) };
                let size = data.len() / count.max(1);
                let texts: Vec<Value> = data
                    .chunks_exact(size.max(1))
                    .take(count)
                    .map(|one| text_of_logix(one, capacity).and_then(|text| self.meaning_of(&text)))
                    .collect::<Result<_, Bad>>()?;
                let kind = texts.first().and_then(Value::built_in).unwrap_or(BuiltIn::String);
                self.shape(kind, texts.into_iter().map(Ok))
            }
            _ => self.numbers(of, data),
        }
    }

    fn numbers(&self, of: PlcType, data: &[u8]) -> Result<Value, Bad> {
        let (Some(size), number) = (of.size(), number_of(of)) else { return Err(self.wrong_type(of)) };
        let wanted = size * usize::from(self.elements);
        // One byte may follow to make the next reply begin at an even place.
        let is_whole = data.len() == wanted || (!wanted.is_multiple_of(2) && data.len() == wanted + 1);
        if !is_whole {
            return Err(Bad::short());
        }
        let bits = |one: &[u8]| one.iter().rev().fold(0, |all: u64, byte| all << 8 | u64::from(*byte));
        let values = data[..wanted].chunks_exact(size).map(|one| match (self.address.bit, number) {
            (Some(bit), _) => Ok(Value::Boolean(bits(one) >> bit & 1 == 1)),
            (None, None) => Ok(Value::Boolean(bits(one) != 0)),
            (None, Some(number)) => match number.float(bits(one)).filter(|real| !real.is_finite()) {
                Some(real) => {
                    Err(Bad { status: StatusCode::BadSensorFailure, why: format!("the value is {real}").into() })
                }
                None => number.value(bits(one)).map_err(|status| Bad { status, why: "no number".into() }),
            },
        });
        let kind = match (self.address.bit, number) {
            (None, Some(number)) => number.value(0).ok().and_then(|zero| zero.built_in()).unwrap_or(BuiltIn::Int32),
            _ => BuiltIn::Boolean,
        };
        self.shape(kind, values)
    }

    /// One value, or the array of them.
    fn shape(&self, kind: BuiltIn, mut values: impl Iterator<Item = Result<Value, Bad>>) -> Result<Value, Bad> {
        if !self.is_array {
            return values.next().ok_or_else(Bad::short)?;
        }
        let values: Vec<Value> = values.collect::<Result<_, Bad>>()?;
        if values.len() != usize::from(self.elements) {
            return Err(Bad::short());
        }
        Elements::collect(kind, values.into_iter()).map(Value::array).ok_or_else(Bad::short)
    }

    /// Whether a tag of this kind can be made of the PLC's type.
    pub(crate) fn check_type(&self, of: PlcType) -> Result<(), Bad> {
        let is_text = matches!(of, PlcType::ShortString | PlcType::String | PlcType::Structure(_));
        match (of, self.address.bit) {
            (PlcType::Other(_), _) => Err(self.wrong_type(of)),
            (_, Some(bit)) => match number_of(of).map(Number::bits) {
                Some(bits) if !is_float(of) && u32::from(bit) < bits => Ok(()),
                Some(bits) if !is_float(of) => {
                    Err(Bad::kind(format!("bit {bit}: the PLC has {} there, with bits 0 to {}", of.name(), bits - 1)))
                }
                _ => Err(Bad::kind(format!("the PLC has {} there, which has no bits", of.name()))),
            },
            (PlcType::Dword, None) if self.kind != BuiltIn::Boolean && self.names_element() => {
                Err(Bad::kind("the PLC has an array of BOOL there; write `type: Boolean`".to_owned()))
            }
            (PlcType::Dword, None) if self.kind == BuiltIn::Boolean && !self.names_element() => {
                Err(Bad::kind("the PLC has an array of BOOL there; name an element".to_owned()))
            }
            _ if self.kind == BuiltIn::String && !is_text => Err(self.wrong_type(of)),
            _ => Ok(()),
        }
    }

    fn names_element(&self) -> bool {
        self.is_array || self.address.last_element().is_some()
    }

    pub(crate) fn wrong_type(&self, of: PlcType) -> Bad {
        let help = match of {
            PlcType::Structure(_) => "; name one of its members",
            _ => "",
        };
        Bad::kind(format!("the PLC has {} there, which makes no {:?}{help}", of.name(), self.kind))
    }

    /// The value that a text of the PLC means.
    fn meaning_of(&self, text: &str) -> Result<Value, Bad> {
        let none = || Bad::encoding(format!("`{}` is no {:?}", shown(text), self.kind));
        if self.kind == BuiltIn::String {
            let is_long = self.length.is_some_and(|length| text.len() > length as usize);
            return match is_long {
                true => Err(Bad::encoding(format!("the text has {} bytes, more than `length`", text.len()))),
                false => Ok(Value::text(text)),
            };
        }
        if self.kind == BuiltIn::Boolean {
            return boolean_from_text(text).map(Value::Boolean).ok_or_else(none);
        }
        let of_enumeration = self.enumeration.as_ref().and_then(|of| of.value_of(text)).map(Value::Int32);
        let value = of_enumeration.or_else(|| number_from_text(text)).ok_or_else(none)?;
        value.as_f64().filter(|number| number.is_finite()).map(|_| value).ok_or_else(none)
    }
}

/// The first letters of a text, without signs that a log must not have.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(40).collect()
}

pub(crate) fn number_of(of: PlcType) -> Option<Number> {
    match of {
        PlcType::Number(number) => Some(number),
        PlcType::Dword => Some(Number::Uint32),
        _ => None,
    }
}

fn is_float(of: PlcType) -> bool {
    number_of(of).is_some_and(Number::is_float)
}

/// The next text of CIP with its length in front.
fn text_of_cip(of: PlcType, rest: &mut &[u8]) -> Result<String, Bad> {
    let head = if of == PlcType::String { 2 } else { 1 };
    let length = rest.get(..head).ok_or_else(Bad::short)?;
    let length = length.iter().rev().fold(0, |all: usize, byte| all << 8 | usize::from(*byte));
    let letters = rest.get(head..head + length).ok_or_else(Bad::short)?;
    *rest = &rest[head + length..];
    Ok(narrow(letters))
}

/// LEN and DATA of a structure.
fn text_of_logix(data: &[u8], capacity: usize) -> Result<String, Bad> {
    let [a, b, c, d, letters @ ..] = data else { return Err(Bad::short()) };
    let length = i32::from_le_bytes([*a, *b, *c, *d]);
    let known = usize::try_from(length).ok().filter(|length| *length <= capacity);
    let Some(count) = known else {
        return Err(Bad::encoding(format!("LEN is {length}, and DATA has {capacity} letters")));
    };
    letters.get(..count).map(narrow).ok_or_else(Bad::short)
}

/// Latin-1 unless the bytes are valid UTF-8.
pub(crate) fn narrow(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Decodes bytes as values of every kind, type first; for fuzzing.
pub(super) fn fuzz(bytes: &[u8]) {
    let Some(typed) = super::plc_type::PlcType::read(bytes) else { return };
    let kinds = [BuiltIn::Boolean, BuiltIn::Int16, BuiltIn::Int32, BuiltIn::Double, BuiltIn::String];
    for kind in kinds {
        for (text, elements) in [("A", 1), ("A.5", 1), ("A[3]", 1), ("A[3]", 5)] {
            let Some(variable) = Variable::of_any(text, kind, elements) else { continue };
            for layout in [Layout::Plain, Layout::Packed { first: 3 }, Layout::Text { capacity: 3 }] {
                if let Ok(Value::Array(array)) = variable.decode(typed.of, layout, typed.data) {
                    assert_eq!(array.elements.len(), usize::from(elements), "all elements or none");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drivers::ethernet_ip::change::{Change, Form};

    const DINT: PlcType = PlcType::Number(Number::Int32);

    fn variable(text: &str, kind: BuiltIn, elements: u16) -> Variable {
        Variable::of_any(text, kind, elements).expect(text)
    }

    #[test]
    fn a_value_has_the_type_that_the_plc_tells() {
        let bools = |bits: &[u8]| Value::array(Elements::Boolean(bits.iter().map(|bit| *bit == 1).collect()));
        let dints = |numbers: &[i32]| Value::array(Elements::Int32(numbers.to_vec()));
        let text = |letters: &[u8], length: u8| [&[length, 0, 0, 0][..], letters].concat();
        for (address, kind, elements, code, layout, data, wanted) in [
            ("A", BuiltIn::Int32, 1, 0xc4, Layout::Plain, vec![254, 255, 255, 255], Value::Int32(-2)),
            ("A", BuiltIn::Double, 1, 0xc3, Layout::Plain, vec![254, 255], Value::Int16(-2)),
            ("A", BuiltIn::Byte, 1, 0xc2, Layout::Plain, vec![254, 0], Value::SByte(-2)),
            ("A", BuiltIn::Float, 1, 0xca, Layout::Plain, vec![0, 0, 0x46, 0x41], Value::Float(12.375)),
            ("A", BuiltIn::Boolean, 1, 0xc1, Layout::Plain, vec![255], Value::Boolean(true)),
            ("A", BuiltIn::Boolean, 1, 0x3c1, Layout::Plain, vec![1], Value::Boolean(true)),
            ("A.9", BuiltIn::Boolean, 1, 0xc3, Layout::Plain, vec![0, 2], Value::Boolean(true)),
            ("A.8", BuiltIn::Boolean, 1, 0xc3, Layout::Plain, vec![0, 2], Value::Boolean(false)),
            ("A.63", BuiltIn::Boolean, 1, 0xc5, Layout::Plain, vec![0, 0, 0, 0, 0, 0, 0, 128], Value::Boolean(true)),
            ("A[3]", BuiltIn::Boolean, 1, 0xd3, Layout::Packed { first: 3 }, vec![8, 0, 0, 0], Value::Boolean(true)),
            (
                "A[30]",
                BuiltIn::Boolean,
                4,
                0xd3,
                Layout::Packed { first: 30 },
                vec![0, 0, 0, 128, 1, 0, 0, 0],
                bools(&[0, 1, 1, 0]),
            ),
            ("A", BuiltIn::Int32, 2, 0xc4, Layout::Plain, vec![1, 0, 0, 0, 2, 0, 0, 0], dints(&[1, 2])),
            ("A", BuiltIn::String, 1, 0xda, Layout::Plain, b"\x03ab\xe4".to_vec(), Value::text("abä")),
            ("A", BuiltIn::String, 1, 0xd0, Layout::Plain, b"\x02\0ab".to_vec(), Value::text("ab")),
            ("A", BuiltIn::Double, 1, 0xda, Layout::Plain, b"\x05 1.5 ".to_vec(), Value::Double(1.5)),
            ("A", BuiltIn::Boolean, 1, 0xda, Layout::Plain, b"\x02On".to_vec(), Value::Boolean(true)),
        ] {
            let value = variable(address, kind, elements).decode(PlcType::of(code), layout, &data);
            assert_eq!(value, Ok(wanted), "{address} {kind:?} {code:#x}");
        }
        let string = variable("A", BuiltIn::String, 1);
        let layout = Layout::Text { capacity: 4 };
        for (data, wanted) in [
            (text(b"abcd", 3), Ok(Value::text("abc"))),
            (text(b"abcd", 0), Ok(Value::text(""))),
            (text(b"abcd", 5), Err("LEN is 5, and DATA has 4 letters".to_owned())),
            (vec![255, 255, 255, 255, 1, 2, 3, 4], Err("LEN is -1, and DATA has 4 letters".to_owned())),
        ] {
            let value = string.decode(PlcType::Structure(1), layout, &data).map_err(|bad| bad.why.into_owned());
            assert_eq!(value, wanted);
        }
    }

    #[test]
    fn what_the_plc_has_and_the_tag_cannot_be_is_bad() {
        let config = StatusCode::BadConfigurationError;
        for (address, kind, elements, code, data, status, words) in [
            ("A", BuiltIn::String, 1, 0xc4, vec![1, 0, 0, 0], config, "the PLC has DINT there, which makes no String"),
            (
                "A.32",
                BuiltIn::Boolean,
                1,
                0xc4,
                vec![0; 4],
                config,
                "bit 32: the PLC has DINT there, with bits 0 to 31",
            ),
            ("A.5", BuiltIn::Boolean, 1, 0xca, vec![0; 4], config, "the PLC has REAL there, which has no bits"),
            ("A.0", BuiltIn::Boolean, 1, 0xc1, vec![1], config, "the PLC has BOOL there, which has no bits"),
            (
                "A[1]",
                BuiltIn::Int32,
                1,
                0xd3,
                vec![0; 4],
                config,
                "the PLC has an array of BOOL there; write `type: Boolean`",
            ),
            ("A", BuiltIn::Boolean, 1, 0xd3, vec![0; 4], config, "the PLC has an array of BOOL there; name an element"),
            ("A", BuiltIn::Int32, 1, 0xdb, vec![0; 4], config, "the PLC has type 0x00db there, which makes no Int32"),
            ("A", BuiltIn::Float, 1, 0xca, vec![0, 0, 0xc0, 0x7f], StatusCode::BadSensorFailure, "the value is NaN"),
            (
                "A",
                BuiltIn::Double,
                1,
                0xcb,
                vec![0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
                StatusCode::BadSensorFailure,
                "the value is inf",
            ),
            ("A", BuiltIn::Int32, 1, 0xda, b"\x02ab".to_vec(), StatusCode::BadDataEncodingInvalid, "`ab` is no Int32"),
            (
                "A",
                BuiltIn::Int32,
                1,
                0xc4,
                vec![0; 3],
                StatusCode::BadDecodingError,
                "the reply has another length than the value",
            ),
            (
                "A",
                BuiltIn::Int32,
                1,
                0xc4,
                vec![0; 5],
                StatusCode::BadDecodingError,
                "the reply has another length than the value",
            ),
            (
                "A",
                BuiltIn::Int32,
                2,
                0xc4,
                vec![0; 4],
                StatusCode::BadDecodingError,
                "the reply has another length than the value",
            ),
        ] {
            let bad =
                variable(address, kind, elements).decode(PlcType::of(code), Layout::Plain, &data).expect_err(words);
            assert_eq!((bad.status, &*bad.why), (status, words), "{address} {kind:?}");
        }
        let bad =
            variable("A", BuiltIn::Int32, 1).decode(PlcType::Structure(7), Layout::Plain, &[0; 8]).expect_err("none");
        assert_eq!(bad.why, "the PLC has a structure there, which makes no Int32; name one of its members");
    }

    #[test]
    fn a_write_changes_its_own_bits_and_elements() {
        let form = |of, layout| Form { of, layout, size: 8 };
        let bits = |of, address: &str, value: &Value, first| {
            let variable = variable(address, BuiltIn::Boolean, value_count(value));
            let layout =
                variable.packed().filter(|_| of == PlcType::Dword).map_or(Layout::Plain, |packed| packed.layout);
            variable.encode(form(of, layout), value, first).expect("changes")
        };
        let change = |path: &[u8], size, set, keep| Change::Bits { path: path.to_vec(), size, set, keep };
        assert_eq!(bits(DINT, "A.5", &Value::Boolean(true), 0), [change(b"\x91\x01A\0", 4, 32, u64::MAX)]);
        assert_eq!(bits(DINT, "A.5", &Value::Boolean(false), 0), [change(b"\x91\x01A\0", 4, 0, !32)]);
        let three = Value::array(Elements::Boolean(vec![true, false, true]));
        assert_eq!(
            bits(PlcType::Dword, "A[63]", &three, 0),
            [change(b"\x91\x01A\0\x28\x01", 4, 1 << 31, u64::MAX), change(b"\x91\x01A\0\x28\x02", 4, 2, !1),]
        );
        let whole = variable("A[4]", BuiltIn::Int32, 3);
        let part = whole.encode(form(DINT, Layout::Plain), &Value::array(Elements::Int32(vec![7])), 2);
        let elements = |path: &[u8], count, data: &[u8], offset| {
            Ok(vec![Change::Elements { path: path.to_vec(), count, data: data.to_vec(), offset }])
        };
        assert_eq!(part, elements(b"\x91\x01A\0\x28\x06", 1, &[7, 0, 0, 0], 0));
        let matrix = variable("A[1,2]", BuiltIn::Int32, 3);
        let part = matrix.encode(form(DINT, Layout::Plain), &Value::array(Elements::Int32(vec![7])), 2);
        assert_eq!(part, elements(b"\x91\x01A\0\x28\x01\x28\x02", 3, &[7, 0, 0, 0], 8));
        assert_eq!(whole.encode(form(DINT, Layout::Plain), &Value::Int32(1), 3), Err(StatusCode::BadIndexRangeNoData));
    }

    fn value_count(value: &Value) -> u16 {
        match value {
            Value::Array(array) => u16::try_from(array.elements.len()).expect("few"),
            _ => 1,
        }
    }

    #[test]
    fn a_value_that_would_be_read_back_as_another_one_is_refused() {
        let out = Err(StatusCode::BadOutOfRange);
        let form = |of| Form { of, layout: Layout::Text { capacity: 4 }, size: 8 };
        let number = variable("A", BuiltIn::Int32, 1);
        for (of, value) in [
            (PlcType::Number(Number::Int8), Value::Int32(128)),
            (PlcType::Number(Number::Uint16), Value::Int32(-1)),
            (PlcType::Number(Number::Float32), Value::Int32(16_777_217)),
            (PlcType::Number(Number::Float64), Value::Double(f64::NAN)),
            (PlcType::Bool, Value::Int32(2)),
        ] {
            assert_eq!(number.encode(form(of), &value, 0), out, "{of:?} {value:?}");
        }
        let text = variable("A", BuiltIn::String, 1);
        for value in ["abcde", "€", "Ã¤"] {
            assert_eq!(text.encode(form(PlcType::Structure(1)), &Value::text(value), 0), out, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number: i64, letters in "[ -~äöü]{0,4}", of in 0..9_usize) {
            let all = [Number::Int8, Number::Uint8, Number::Int16, Number::Uint16, Number::Int32, Number::Uint32,
                Number::Int64, Number::Uint64, Number::Float64];
            let of = PlcType::Number(all[of]);
            let form = Form { of, layout: Layout::Plain, size: 8 };
            let point = variable("A", BuiltIn::Int64, 1);
            if let Ok(changes) = point.encode(form, &Value::Int64(number), 0) {
                let [Change::Elements { data, .. }] = &changes[..] else { panic!("one change") };
                let back = point.decode(of, Layout::Plain, data).expect("a value");
                prop_assert_eq!(back.as_integer().or_else(|| back.as_f64().map(|real| real as i128)), Some(number.into()));
            }
            let text = variable("A", BuiltIn::String, 1);
            let layout = Layout::Text { capacity: 4 };
            let form = Form { of: PlcType::Structure(1), layout, size: 8 };
            if let Ok(changes) = text.encode(form, &Value::text(&letters), 0) {
                let [Change::Elements { data, .. }] = &changes[..] else { panic!("one change") };
                prop_assert_eq!(text.decode(form.of, layout, data), Ok(Value::text(&letters)));
            }
        }

        #[test]
        fn bytes_from_outside_never_end_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            fuzz(&bytes);
        }
    }
}
