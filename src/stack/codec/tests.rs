//! Packets that brought other servers down, and properties over many random values.

use opcua::StatusCode;

use super::*;
use crate::value::{Elements, Value};

const LIMITS: StatusCode = StatusCode::BadEncodingLimitsExceeded;
const MALFORMED: StatusCode = StatusCode::BadDecodingError;

fn variant(bytes: &[u8]) -> Result<Value, StatusCode> {
    Reader::new(bytes).variant()
}

/// `levels` times `opening`, as a nest that never closes.
fn nest(opening: &[u8], levels: usize) -> Vec<u8> {
    opening.repeat(levels)
}

#[test]
fn nests_are_refused_at_their_limit_however_deep_they_claim_to_go() {
    let variant_in_array = [0x98, 1, 0, 0, 0];
    for (case, bytes, status) in [
        ("a Variant directly in a Variant", nest(&[24], 60_000), MALFORMED),
        ("a DataValue in a DataValue", nest(&[23, 1], 30_000), MALFORMED),
        ("an array of DataValues in a DataValue", nest(&[0x97, 1, 0, 0, 0, 1], 10_000), MALFORMED),
        ("arrays of Variants", nest(&variant_in_array, 12_000), LIMITS),
        ("DiagnosticInfo in a Variant", nest(&[25, 0x40], 100), MALFORMED),
        ("an array of DiagnosticInfo", vec![0x99, 1, 0, 0, 0, 0], MALFORMED),
    ] {
        assert_eq!(variant(&bytes), Err(status), "{case}");
        let as_data_value = [&[1], bytes.as_slice()].concat();
        assert!(Reader::new(&as_data_value).data_value().is_err(), "{case} in a DataValue");
    }
    for (levels, taken) in [(10, true), (11, false), (64_000, false)] {
        let bytes = [nest(&[0x40], levels - 1), vec![0]].concat();
        assert_eq!(Reader::new(&bytes).skip_diagnostic_info().is_ok(), taken, "{levels} of DiagnosticInfo");
    }
    for (levels, taken) in [(99, true), (101, false)] {
        let bytes = [nest(&variant_in_array, levels), vec![0]].concat();
        assert_eq!(variant(&bytes).is_ok(), taken, "{levels} arrays of Variants");
    }
}

#[test]
fn declared_lengths_that_the_message_cannot_hold_are_refused() {
    let least = |length: i32| length.to_le_bytes();
    for kind in (1..=25u8).map(|kind| kind | 0x80) {
        for length in [i32::MAX, 500_000_000, 1_000, -2, i32::MIN] {
            assert_eq!(
                variant(&[&[kind], least(length).as_slice(), &[0; 60]].concat()).err(),
                Some(MALFORMED),
                "{kind:02x}"
            );
        }
    }
    for length in [i32::MAX, 61, -2] {
        let text = [least(length).as_slice(), &[b'x'; 60]].concat();
        assert_eq!(Reader::new(&text).string(), Err(MALFORMED));
        assert_eq!(Reader::new(&text).bytes(), Err(MALFORMED));
        let object = [&[0, 0, 1], text.as_slice()].concat();
        assert!(Reader::new(&object).extension_object().is_err());
    }
}

#[test]
fn what_a_message_makes_us_own_is_bounded_by_its_size() {
    // A body that the crate would resize to its declared rank stays the bytes that it is.
    let mut out = Writer::new();
    out.u8(22);
    out.extension_object(298, |out| out.raw(&[0xff; 40]));
    assert!(matches!(variant(&out.buf), Ok(Value::Wire(bytes)) if bytes.len() == out.buf.len()));
    let mut reader = Reader::new(&[0; 100]);
    assert_eq!(reader.charge(8 * 100 + 64 * 1024), Ok(()));
    assert_eq!(reader.charge(1), Err(LIMITS));
    // Ten thousand empty texts are an honest request.
    let mut out = Writer::new();
    out.variant(&Value::array(Elements::String(vec!["".into(); 10_000])));
    assert!(variant(&out.buf).is_ok());
}

#[test]
fn matrices_must_have_as_many_elements_as_their_dimensions_say() {
    let matrix = |elements: i32, dimensions: &[i32]| {
        let mut out = Writer::new();
        out.u8(3 | 0xc0);
        out.i32(elements);
        out.raw(&vec![0; usize::try_from(elements).expect("not negative")]);
        out.count(dimensions.len());
        dimensions.iter().for_each(|size| out.i32(*size));
        variant(&out.buf).is_ok()
    };
    for (elements, dimensions, taken) in [
        (6, [2, 3].as_slice(), true),
        (6, &[3, 3], false),
        (6, &[6], true),
        (6, &[], false),
        (0, &[], true),
        (0, &[0, 4], true),
        (6, &[-2, -3], false),
        (6, &[i32::MAX, i32::MAX], false),
    ] {
        assert_eq!(matrix(elements, dimensions), taken, "{elements} in {dimensions:?}");
    }
}

#[test]
fn random_values_come_back_and_an_independent_decoder_agrees() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let mut out = Writer::new();
        let mut numbers = random.fork();
        random_value(&mut out, 4, &mut |below| numbers.usize(..below));
        assert!(variant(&out.buf).is_ok(), "{:02x?}", out.buf);
        fuzz_value(&out.buf);
        // And with a byte changed, or cut.
        let at = random.usize(..out.buf.len());
        out.buf[at] ^= 1 << random.u8(..8);
        fuzz_value(&out.buf);
        fuzz_value(&out.buf[..at]);
    }
}

#[test]
fn a_plain_data_value_is_written_as_any_other() {
    let times = [None, Some(crate::value::UaTime(7)), Some(crate::value::UaTime::NULL)];
    for value in [
        Value::Double(1.5),
        Value::Float(-2.5),
        Value::Int32(-3),
        Value::UInt32(4),
        Value::Int16(-5),
        Value::UInt16(6),
        Value::Boolean(true),
        Value::text("no number"),
        Value::Null,
    ] {
        for (source, server) in times.iter().flat_map(|source| times.iter().map(move |server| (*source, *server))) {
            let (mut plain, mut any) = (Writer::new(), Writer::new());
            let is_plain = plain.plain_data_value(&value, source, server);
            any.data_value(&value, StatusCode::Good, source, server);
            let expected = if is_plain { any.buf.as_slice() } else { &[] };
            assert_eq!(plain.buf, expected, "{value:?} {source:?} {server:?}");
        }
    }
}
