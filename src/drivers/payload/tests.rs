//! Values of messages, as tables.

use std::sync::Arc;

use opcua::StatusCode;

mod written;

use super::keys::{ByteOrder, Encoding, Keys, PayloadKind, RawType};
use super::read::Found;
use super::{Body, Format, Outcome, Reader, members_of, why_missing};
use crate::drivers::plan::{Enumeration, PointPlan};
use crate::value::{BuiltIn, UaTime, Value};

fn plan(kind: BuiltIn) -> PointPlan {
    PointPlan { kind, write: false, ..PointPlan::sample(0) }
}

fn read(keys: &Keys, plan: &PointPlan, message: &[u8]) -> Outcome<'static> {
    let mut reader = Reader::default();
    reader.add(7, Format::new(keys, plan).expect("right keys"));
    let mut all = Vec::new();
    reader.read("t", message, |point, outcome| {
        let outcome = match outcome {
            Outcome::Found(found) => Outcome::Found(found),
            Outcome::Missing(_) => Outcome::Missing(""),
        };
        all.push((point, outcome));
    });
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0, 7);
    all.remove(0).1
}

fn found(keys: &Keys, plan: &PointPlan, message: &str) -> Found {
    match read(keys, plan, message.as_bytes()) {
        Outcome::Found(found) => found,
        Outcome::Missing(_) => panic!("{message}: nothing found"),
    }
}

fn json(path: &str) -> Keys {
    Keys { json: Some(path.to_owned()), ..Keys::default() }
}

fn text() -> Keys {
    Keys::default()
}

/// The value as the tag store would make it, or the code.
fn shown(found: &Found) -> String {
    if found.status.is_bad() { found.status.to_string() } else { found.value.shown() }
}

#[test]
fn texts_become_values_of_the_kind_of_the_tag() {
    use BuiltIn::{Boolean, ByteString, DateTime, Double, Float, Int32, String, UInt64};
    let bad = "BadDataEncodingInvalid";
    for (kind, message, wanted) in [
        (Double, "21.5", "21.5"),
        (Double, "  21.5\r\n", "21.5"),
        (Double, "-3", "-3"),
        (Double, "+3e2", "300"),
        (Double, "21,5", bad),
        (Double, "21.5 °C", bad),
        (Double, "0x10", bad),
        (Double, ".5", bad),
        (Double, "5.", bad),
        (Double, "1e", bad),
        (Double, "NaN", bad),
        (Double, "Infinity", bad),
        (Double, "inf", bad),
        (Double, "1e999", bad),
        (Double, "1 2", bad),
        (Double, "on", bad),
        (Float, "0.1", "0.1"),
        (Int32, "12", "12"),
        (UInt64, "18446744073709551615", "18446744073709551615"),
        (Boolean, "ON", "true"),
        (Boolean, " no ", "false"),
        (Boolean, "1", "true"),
        (Boolean, "2", bad),
        (Boolean, "", "BadNoData"),
        (String, " hello ", "\" hello \""),
        (String, "", "BadNoData"),
        (DateTime, "2026-11-29T09:00:00.5Z", "DateTime(UaTime(134404164005000000))"),
        (DateTime, "yesterday", bad),
        (ByteString, "ab", "ByteString([97, 98])"),
    ] {
        assert_eq!(shown(&found(&text(), &plan(kind), message)), wanted, "{kind:?} of `{message}`");
    }
}

#[test]
fn members_of_json_become_values_of_the_kind_of_the_tag() {
    use BuiltIn::{Boolean, ByteString, Double, Int32, Int64, String};
    let bad = "BadDataEncodingInvalid";
    for (kind, member, wanted) in [
        (Double, "21.5", "21.5"),
        (Double, "\"21.5\"", "21.5"),
        (Double, "1e2", "100"),
        (Double, "true", "1"),
        (Double, "null", "BadSensorFailure"),
        (Double, "\"null\"", bad),
        (Double, "\"\"", bad),
        (Double, "{}", bad),
        (Double, "[1]", bad),
        (Int64, "9007199254740993", "9007199254740993"),
        (Int64, "9007199254740993.0", "9007199254740993"),
        (Double, "9007199254740992.5", "9007199254740992"),
        (Double, "9007199254740993.5", bad),
        (Double, "9007199254740993e0", "9007199254740992"),
        (Int32, "\"12\"", "12"),
        (Boolean, "true", "true"),
        (Boolean, "\"off\"", "false"),
        (Boolean, "0", "false"),
        (Boolean, "2", bad),
        (String, "\"a\\n\\u00e9\"", "\"a\\né\""),
        (String, "21.50", "\"21.50\""),
        (String, "true", "\"true\""),
        (ByteString, "\"/wA=\"", "ByteString([255, 0])"),
        (ByteString, "\"/wA\"", "ByteString([255, 0])"),
        (ByteString, "\"?\"", bad),
    ] {
        let message = format!("{{\"x\": [1, {{\"y\": 2}}], \"v\": {member}}}");
        assert_eq!(shown(&found(&json("/v"), &plan(kind), &message)), wanted, "{kind:?} of {member}");
    }
}

#[test]
fn pointers_find_members_and_a_message_without_one_says_nothing() {
    let message = r#"{"a/b": 1, "m~n": 2, "": 3, "list": [10, [20, 21]], "o": {"p": {"q": 4}}, "s": "x"}"#;
    for (path, wanted) in [
        ("/a~1b", Some("1")),
        ("/m~0n", Some("2")),
        ("/", Some("3")),
        ("/list/0", Some("10")),
        ("/list/1/1", Some("21")),
        ("/list/01", None),
        ("/list/-", None),
        ("/list/2", None),
        ("/o/p/q", Some("4")),
        ("/o/p/q/r", None),
        ("/s/0", None),
        ("/nix", None),
    ] {
        let outcome = read(&json(path), &plan(BuiltIn::Double), message.as_bytes());
        let value = match outcome {
            Outcome::Found(found) => Some(shown(&found)),
            Outcome::Missing(_) => None,
        };
        assert_eq!(value.as_deref(), wanted, "{path}");
    }
    let why = why_missing("/nix", "cell3/tank", &members_of(br#"{"ok": 1, "n": 2}"#));
    assert_eq!(why, "no message on cell3/tank has had /nix; it has /n, /ok");
}

#[test]
fn many_points_of_one_message_are_found_in_one_walk() {
    let mut reader = Reader::default();
    for (point, path) in (0..).zip(["/a", "/a/b", "/a", "/c/1", ""]) {
        let kind = if matches!(path, "" | "/a") { BuiltIn::String } else { BuiltIn::Double };
        reader.add(point, Format::new(&json(path), &plan(kind)).expect("right"));
    }
    let mut all = Vec::new();
    reader.read("t", br#"{"c": [1, 2], "a": {"b": 5}}"#, |point, outcome| {
        let Outcome::Found(found) = outcome else { panic!("point {point} found nothing") };
        all.push((point, shown(&found)));
    });
    let wanted = [r#""{\"b\": 5}""#, "5", r#""{\"b\": 5}""#, "2", r#""{\"c\": [1, 2], \"a\": {\"b\": 5}}""#];
    assert_eq!(all, (0..).zip(wanted.map(str::to_owned)).collect::<Vec<_>>());
}

#[test]
fn a_message_that_is_broken_or_ambiguous_gives_no_value_and_says_why() {
    let long = format!("{{\"v\": {}", "9".repeat(80));
    for (message, why) in [
        ("{\"v\": 1", "the message on t is no JSON: `{\"v\": 1`"),
        ("{\"v\": 1} x", "the message on t is no JSON: `{\"v\": 1} x`"),
        ("{\"v\": 1, \"v\": 2}", "the message on t is no JSON: `{\"v\": 1, \"v\": 2}`"),
        ("{'v': 1}", "the message on t is no JSON: `{'v': 1}`"),
        (&long, "the message on t is no JSON: `{\"v\": 999999999999999999999999999999999999999999999999999999…`"),
    ] {
        let found = found(&json("/v"), &plan(BuiltIn::Double), message);
        assert_eq!((found.status, found.why.as_deref()), (StatusCode::BadDataEncodingInvalid, Some(why)), "{message}");
    }
    let Outcome::Found(found) = read(&json("/v"), &plan(BuiltIn::Double), b"{\"v\": \"\xff\"}") else { panic!("none") };
    assert_eq!(found.status, StatusCode::BadDataEncodingInvalid);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&json("/0/0/0"), &plan(BuiltIn::Double), deep.as_bytes()), {
        let Outcome::Found(found) = read(&json("/0/0/0"), &plan(BuiltIn::Double), deep.as_bytes()) else {
            panic!("none")
        };
        assert!(found.status.is_bad());
        Outcome::Found(found)
    });
}

#[test]
fn a_quality_turns_the_status() {
    let keys = Keys { quality: Some("/q".into()), time: Some("/t".into()), ..json("/v") };
    for (flag, status) in [
        ("\"Good\"", StatusCode::Good),
        ("\"ok\"", StatusCode::Good),
        ("true", StatusCode::Good),
        ("192", StatusCode::Good),
        ("1000", StatusCode::Good),
        ("64", StatusCode::Uncertain),
        ("191", StatusCode::Uncertain),
        ("\"uncertain: old\"", StatusCode::Uncertain),
        ("\"UncertainLastUsableValue\"", StatusCode::UncertainLastUsableValue),
        ("\"BadDeviceFailure\"", StatusCode::BadDeviceFailure),
        ("\"BAD\"", StatusCode::BadSensorFailure),
        ("\"bad sensor\"", StatusCode::BadSensorFailure),
        ("false", StatusCode::BadSensorFailure),
        ("\"false\"", StatusCode::BadSensorFailure),
        ("null", StatusCode::BadSensorFailure),
        ("0", StatusCode::BadSensorFailure),
        ("63", StatusCode::BadSensorFailure),
        ("\"0\"", StatusCode::BadSensorFailure),
    ] {
        let found = found(&keys, &plan(BuiltIn::Double), &format!("{{\"v\": 1, \"q\": {flag}, \"t\": 1000}}"));
        assert_eq!(found.status, status, "{flag}");
        assert_eq!(found.value.is_null(), status.is_bad());
        assert_eq!(found.time, Some(UaTime::from_unix(std::time::Duration::from_secs(1000))));
    }
    // A flag that is missing may be a misspelt path; one without a value has said all.
    assert_eq!(found(&keys, &plan(BuiltIn::Double), "{\"v\": 1}").status, StatusCode::Uncertain);
    assert_eq!(found(&keys, &plan(BuiltIn::Double), "{\"q\": false}").status, StatusCode::BadSensorFailure);
    assert_eq!(read(&keys, &plan(BuiltIn::Double), b"{\"q\": true}"), Outcome::Missing(""));
}

#[test]
fn a_time_is_rfc_3339_or_a_number_of_any_size() {
    let keys = Keys { time: Some("/t".into()), ..json("/v") };
    let instant = |nanos| Some(UaTime::from_unix(std::time::Duration::from_nanos(nanos)));
    for (time, wanted) in [
        ("\"2026-01-02T03:04:05Z\"", instant(1_767_323_045_000_000_000)),
        ("\"2026-01-02T04:04:05.25+01:00\"", instant(1_767_323_045_250_000_000)),
        ("1767323045", instant(1_767_323_045_000_000_000)),
        ("\"1767323045\"", instant(1_767_323_045_000_000_000)),
        ("1767323045.5", instant(1_767_323_045_500_000_000)),
        ("1767323045123", instant(1_767_323_045_123_000_000)),
        ("1767323045123456", instant(1_767_323_045_123_456_000)),
        ("1767323045123456789", instant(1_767_323_045_123_456_789)),
        ("null", None),
    ] {
        let found = found(&keys, &plan(BuiltIn::Double), &format!("{{\"v\": 1, \"t\": {time}}}"));
        assert_eq!((found.time, found.status), (wanted, StatusCode::Good), "{time}");
    }
    for time in ["\"soon\"", "-5", "true", "{}", "99999999999999999999999"] {
        let found = found(&keys, &plan(BuiltIn::Double), &format!("{{\"v\": 1, \"t\": {time}}}"));
        assert_eq!((found.time, found.status), (None, StatusCode::BadDataEncodingInvalid), "{time}");
    }
}

#[test]
fn an_enumeration_takes_its_numbers_and_its_texts() {
    let values = vec![(0, "Off".to_owned()), (0, "Aus".to_owned()), (5, "Heat".to_owned()), (7, "1".to_owned())];
    let plan = PointPlan { enumeration: Some(Arc::new(Enumeration { values })), ..plan(BuiltIn::Int32) };
    let bad = "BadDataEncodingInvalid";
    for (message, wanted) in [
        ("Heat", "5"),
        ("Aus", "0"),
        ("5", "5"),
        ("5.0", "5"),
        ("1", "7"),
        ("heat", bad),
        ("3", bad),
        ("5.5", bad),
        ("99999999999", bad),
        ("true", bad),
    ] {
        assert_eq!(shown(&found(&text(), &plan, message)), wanted, "{message}");
        let quoted = format!("{{\"v\": \"{message}\"}}");
        assert_eq!(shown(&found(&json("/v"), &plan, &quoted)), wanted, "{quoted}");
    }
    assert_eq!(shown(&found(&json("/v"), &plan, "{\"v\": 5}")), "5");
    let raw = Keys { raw_type: Some(RawType::Uint8), ..Keys::default() };
    let of = |byte| match read(&raw, &plan, &[byte]) {
        Outcome::Found(found) => shown(&found),
        Outcome::Missing(_) => "missing".to_owned(),
    };
    assert_eq!((of(5).as_str(), of(6).as_str()), ("5", bad));
}

#[test]
fn lists_fill_arrays_of_exactly_their_size() {
    let array = |kind| PointPlan { elements: 3, is_array: true, ..plan(kind) };
    for (kind, message, wanted) in [
        (BuiltIn::Float, "[1, 2.5, \"3\"]", "[1, 2.5, 3]"),
        (BuiltIn::Int32, "[1, 2, 3]", "[1, 2, 3]"),
        (BuiltIn::Int32, "[[1, 2], [3]]", "[1, 2, 3]"),
        (BuiltIn::Int32, "[1, 2]", "BadDataEncodingInvalid"),
        (BuiltIn::Int32, "[1, 2, 3, 4]", "BadDataEncodingInvalid"),
        (BuiltIn::Int32, "1", "BadDataEncodingInvalid"),
        (BuiltIn::Int32, "[1, null, 3]", "BadSensorFailure"),
        (BuiltIn::Boolean, "[true, 0, \"on\"]", "[true, false, true]"),
        (BuiltIn::String, "[\"a\", \"b\", \"c\"]", "[\"a\", \"b\", \"c\"]"),
    ] {
        assert_eq!(shown(&found(&json(""), &array(kind), message)), wanted, "{kind:?} {message}");
    }
}

#[test]
fn raw_bytes_have_a_place_an_order_and_no_nan() {
    let keys = |raw_type, byte| Keys { raw_type: Some(raw_type), byte: Some(byte), ..Keys::default() };
    let low = |keys: Keys| Keys { byte_order: Some(ByteOrder::LowFirst), ..keys };
    let message = [0, 1, 2, 3, 0xff, 0xfe, 0x7f, 0xc0, 0, 0, b'a', b'b', 0, b'c'];
    let of = |keys: &Keys, kind| match read(keys, &plan(kind), &message) {
        Outcome::Found(found) => shown(&found),
        Outcome::Missing(_) => "missing".to_owned(),
    };
    assert_eq!(of(&keys(RawType::Int16, 0), BuiltIn::Double), "1");
    assert_eq!(of(&low(keys(RawType::Int16, 0)), BuiltIn::Double), "256");
    assert_eq!(of(&keys(RawType::Int32, 0), BuiltIn::Double), "66051");
    assert_eq!(of(&keys(RawType::Int8, 4), BuiltIn::Double), "-1");
    assert_eq!(of(&keys(RawType::Uint8, 1), BuiltIn::Boolean), "true");
    assert_eq!(of(&keys(RawType::Uint8, 2), BuiltIn::Boolean), "BadDataEncodingInvalid");
    assert_eq!(of(&keys(RawType::Float32, 6), BuiltIn::Float), "BadSensorFailure");
    assert_eq!(of(&Keys { nan: true, ..keys(RawType::Float32, 6) }, BuiltIn::Float), "NaN");
    assert_eq!(of(&keys(RawType::Uint32, 12), BuiltIn::Double), "BadDataEncodingInvalid");
    assert_eq!(of(&keys(RawType::Text, 10), BuiltIn::String), "\"ab\"");
    assert_eq!(of(&keys(RawType::Bytes, 12), BuiltIn::ByteString), "ByteString([0, 99])");
    let two = PointPlan { elements: 2, is_array: true, ..plan(BuiltIn::UInt16) };
    let Outcome::Found(found) = read(&keys(RawType::Uint16, 1), &two, &message) else { panic!("none") };
    assert_eq!(shown(&found), "[258, 1023]");
}

#[test]
fn bytes_lie_in_texts_too() {
    let keys = |encoding| Keys { raw_type: Some(RawType::Uint16), encoding: Some(encoding), ..json("/d") };
    let of = |keys: &Keys, message: &str| shown(&found(keys, &plan(BuiltIn::UInt16), message));
    assert_eq!(of(&keys(Encoding::Base64), "{\"d\": \"AQI=\"}"), "258");
    assert_eq!(of(&keys(Encoding::Hex), "{\"d\": \"0102\"}"), "258");
    assert_eq!(of(&keys(Encoding::Hex), "{\"d\": \"010\"}"), "BadDataEncodingInvalid");
    assert_eq!(of(&keys(Encoding::Hex), "{\"d\": 102}"), "BadDataEncodingInvalid");
    let plain = Keys { raw_type: Some(RawType::Uint16), encoding: Some(Encoding::Hex), ..Keys::default() };
    assert_eq!(of(&plain, " 0aFF\n"), "2815");
}

#[test]
fn a_column_of_the_last_line_is_the_value() {
    let keys = |column| Keys { payload: Some(PayloadKind::Csv), column: Some(column), ..Keys::default() };
    let of = |column, kind, message: &str| shown(&found(&keys(column), &plan(kind), message));
    assert_eq!(of(3, BuiltIn::Double, "a,b,1\nc,d, 2 \r\n"), "2");
    assert_eq!(of(1, BuiltIn::String, "\"a,\"\"b\"\"\nc\",2\n"), "\"a,\"b\"\\nc\"".replace("\"b\"", "\\\"b\\\""));
    assert_eq!(of(4, BuiltIn::Double, "1,2,3"), "BadDataEncodingInvalid");
    assert_eq!(of(2, BuiltIn::Double, "1,,3"), "BadNoData");
    assert_eq!(of(1, BuiltIn::Double, "\"1,2"), "BadDataEncodingInvalid");
}

#[test]
fn what_a_write_sends_is_what_a_read_takes() {
    let writes = |keys: Keys, kind, value: Value| {
        let plan = PointPlan { write: true, ..plan(kind) };
        let format = Format::new(&keys, &plan).expect("right keys");
        let body = Body::of(&keys, &plan, &format).expect("right keys").expect("a body");
        body.bytes(&value, UaTime(134_404_164_005_000_000)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let body = |text: &str| Keys { body: Some(text.to_owned()), ..json("/v") };
    let sent = |text: &str| Ok(text.to_owned());
    assert_eq!(writes(json("/v"), BuiltIn::Boolean, Value::Boolean(true)), sent("true"));
    assert_eq!(writes(body(r#"{"open":{value}}"#), BuiltIn::Boolean, Value::Boolean(true)), sent(r#"{"open":true}"#));
    assert_eq!(
        writes(body("{x} {value} {time}"), BuiltIn::Double, Value::Double(50.0)),
        sent("{x} 50 2026-11-29T09:00:00.5Z")
    );
    assert_eq!(writes(json("/v"), BuiltIn::String, Value::text("a\"b")), sent(r#""a\"b""#));
    assert_eq!(writes(text(), BuiltIn::String, Value::text("a\"b")), sent("a\"b"));
    assert_eq!(writes(text(), BuiltIn::Float, Value::Float(0.1)), sent("0.1"));
    assert_eq!(writes(text(), BuiltIn::Double, Value::Double(1e300)), sent("1e300"));
    assert_eq!(writes(text(), BuiltIn::Double, Value::Double(f64::NAN)), Err(StatusCode::BadOutOfRange));
    let raw = Keys { raw_type: Some(RawType::Int16), byte_order: Some(ByteOrder::LowFirst), ..Keys::default() };
    assert_eq!(writes(raw.clone(), BuiltIn::Int16, Value::Int16(0x4142)), sent("BA"));
    assert_eq!(writes(raw.clone(), BuiltIn::Double, Value::Double(16706.4)), sent("BA"));
    assert_eq!(writes(raw, BuiltIn::Double, Value::Double(40_000.0)), Err(StatusCode::BadOutOfRange));
    let hex = Keys { raw_type: Some(RawType::Int16), encoding: Some(Encoding::Hex), ..json("/v") };
    assert_eq!(writes(hex, BuiltIn::Int16, Value::Int16(-2)), sent("\"fffe\""));
}

#[test]
fn keys_that_do_not_go_together_are_refused_at_the_wrong_one() {
    let k = Keys::default;
    let double = || plan(BuiltIn::Double);
    let write = || PointPlan { write: true, ..double() };
    let array = || PointPlan { elements: 2, is_array: true, ..double() };
    let cases: Vec<(&str, Keys, PointPlan, &str)> = vec![
        ("json", json("temp"), double(), "write `/temp`"),
        ("json", json("$.temp.v"), double(), "write `/temp/v`"),
        ("json", json("$['temp'][0]"), double(), "write `/temp/0`"),
        ("json", json("/a~"), double(), "write `~0` for `~`, and `~1` for `/` in a name"),
        ("time", Keys { time: Some("ts".into()), ..k() }, double(), "write `/ts`"),
        (
            "json",
            Keys { payload: Some(PayloadKind::Text), ..json("/v") },
            double(),
            "write `payload: json`, or delete `json`",
        ),
        (
            "payload",
            Keys { payload: Some(PayloadKind::Raw), ..k() },
            double(),
            "add `raw_type: int16`, or another type",
        ),
        (
            "payload",
            Keys { payload: Some(PayloadKind::Csv), ..k() },
            double(),
            "write `column: 1` for the first column",
        ),
        ("column", Keys { column: Some(2), ..k() }, double(), "add `payload: csv`, or delete `column`"),
        (
            "encoding",
            Keys { encoding: Some(Encoding::Hex), ..k() },
            double(),
            "add `raw_type`: the type of the value in the bytes",
        ),
        ("byte", Keys { byte: Some(2), ..k() }, double(), "add `raw_type`, or delete `byte`"),
        ("nan", Keys { nan: true, raw_type: Some(RawType::Int8), ..k() }, double(), "`nan` is for float32 and float64"),
        (
            "raw_type",
            Keys { raw_type: Some(RawType::Int8), ..json("/v") },
            double(),
            "write `payload: raw`, or `encoding: hex` or `base64` where the bytes are written as a text",
        ),
        ("raw_type", Keys { raw_type: Some(RawType::Bytes), ..k() }, double(), "a number is int8 to float64, or text"),
        (
            "payload",
            Keys { payload: Some(PayloadKind::Text), ..k() },
            array(),
            "write `payload: json`, or `raw_type` for bytes",
        ),
        ("body", Keys { body: Some("{value}".into()), ..k() }, double(), "add `write: true`, or delete it"),
        (
            "body",
            Keys { body: Some("x{value}".into()), raw_type: Some(RawType::Int8), ..k() },
            write(),
            "delete `body`: the bytes of the value are sent",
        ),
        (
            "byte",
            Keys { byte: Some(2), raw_type: Some(RawType::Int8), ..k() },
            write(),
            "delete `byte` or `write: true`: a write sends the bytes of the value alone",
        ),
        ("type", k(), plan(BuiltIn::Guid), "make the tag a Boolean, a number, a String, a DateTime or a ByteString"),
    ];
    for (key, keys, plan, help) in cases {
        let checked = Format::new(&keys, &plan).and_then(|format| Body::of(&keys, &plan, &format));
        let error = checked.expect_err(help);
        assert_eq!((error.part, error.help.as_str()), (crate::drivers::reading::Part::Key(key), help));
    }
    assert!(Format::doubt(&Keys { body: Some("go".into()), ..k() }).is_some());
}
