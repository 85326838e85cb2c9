//! Values that are written and read again.

use opcua::StatusCode;
use proptest::prelude::*;

use super::super::keys::{ByteOrder, Keys, RawType};
use super::super::{Body, Format, Outcome};
use super::{json, plan, read};
use crate::drivers::plan::PointPlan;
use crate::value::{BuiltIn, Elements, UaTime, Value};

fn written() -> impl Strategy<Value = (BuiltIn, Value)> {
    let finite = any::<f64>().prop_filter("a number of JSON", |number| number.is_finite());
    let single = any::<f32>().prop_filter("a number of JSON", |number| number.is_finite());
    prop_oneof![
        any::<bool>().prop_map(|on| (BuiltIn::Boolean, Value::Boolean(on))),
        any::<i64>().prop_map(|number| (BuiltIn::Int64, Value::Int64(number))),
        any::<u64>().prop_map(|number| (BuiltIn::UInt64, Value::UInt64(number))),
        single.prop_map(|number| (BuiltIn::Float, Value::Float(number))),
        finite.prop_map(|number| (BuiltIn::Double, Value::Double(number))),
        ".{1,20}".prop_map(|text| (BuiltIn::String, Value::text(&text))),
        (1i64..200_000_000_000_000_000)
            .prop_map(|ticks| (BuiltIn::DateTime, Value::DateTime(UaTime(ticks + 116_444_736_000_000_000)))),
        proptest::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| (BuiltIn::ByteString, Value::ByteString(bytes.into()))),
    ]
}

proptest! {
    #[test]
    fn a_value_that_is_written_as_json_is_read_as_the_same((kind, value) in written()) {
        let keys = Keys { body: Some("{\"v\": {value}}".into()), ..json("/v") };
        let plan = PointPlan { write: true, ..plan(kind) };
        let format = Format::new(&keys, &plan).expect("right keys");
        let body = Body::of(&keys, &plan, &format).expect("right keys").expect("a body");
        let sent = body.bytes(&value, UaTime(0)).expect("it can be written");
        let Outcome::Found(found) = read(&keys, &plan, &sent) else { panic!("nothing found") };
        prop_assert_eq!(found.status, StatusCode::Good);
        let same = match (value.as_integer(), value.as_f64()) {
            (Some(number), _) => found.value.as_integer() == Some(number),
            (None, Some(number)) => found.value.as_f64() == Some(number),
            _ => found.value == value,
        };
        prop_assert!(same, "{value:?} came back as {:?}", found.value);
    }

    #[test]
    fn any_bytes_give_a_value_or_a_reason(message in proptest::collection::vec(any::<u8>(), 0..60)) {
        crate::drivers::payload::fuzz(&message);
    }

    #[test]
    fn numbers_survive_raw_bytes_in_both_orders(number in any::<i32>(), is_low in any::<bool>()) {
        let order = if is_low { ByteOrder::LowFirst } else { ByteOrder::HighFirst };
        let keys = Keys { raw_type: Some(RawType::Int32), byte_order: Some(order), ..Keys::default() };
        let plan = PointPlan { write: true, ..plan(BuiltIn::Int32) };
        let format = Format::new(&keys, &plan).expect("right keys");
        let body = Body::of(&keys, &plan, &format).expect("right keys").expect("a body");
        let sent = body.bytes(&Value::Int32(number), UaTime(0)).expect("it fits");
        let Outcome::Found(found) = read(&keys, &plan, &sent) else { panic!("nothing found") };
        prop_assert_eq!(found.value, Value::Int32(number));
    }
}

#[test]
fn an_array_is_written_whole_or_not() {
    let keys = json("/v");
    let plan = PointPlan { write: true, elements: 2, is_array: true, ..plan(BuiltIn::Int32) };
    let format = Format::new(&keys, &plan).expect("right keys");
    let body = Body::of(&keys, &plan, &format).expect("right keys").expect("a body");
    let array = |numbers: &[i32]| Value::array(Elements::Int32(numbers.to_vec()));
    assert_eq!(body.bytes(&array(&[1, -2]), UaTime(0)), Ok(b"[1,-2]".to_vec()));
    assert_eq!(body.bytes(&array(&[1]), UaTime(0)), Err(StatusCode::BadWriteNotSupported));
}
