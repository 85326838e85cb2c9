//! Events and records of methods: calls that would change the server, and refused ones.

use opcell::value::UaTime;
use opcua::MethodId;
use testkit::request::{call, method};

use super::*;

const SERVER: NodeIdRef<'static> = NodeIdRef { namespace: 0, id: IdRef::Numeric(2253) };

fn status(found: &Fields) -> StatusCode {
    let Value::Wire(bytes) = &found["StatusCodeId"] else { panic!("a status") };
    Reader::new(&bytes[1..]).status().expect("a status")
}

/// The values of an array of BaseDataType.
fn values(value: &Value) -> Vec<Value> {
    let Value::Wire(bytes) = value else { panic!("{value:?}") };
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.u8(), Ok(24 | 0x80), "an array of Variants");
    (0..reader.count(1).expect("a count")).map(|_| reader.variant().expect("a value")).collect()
}

fn localized(text: &str) -> Value {
    let length = u32::try_from(text.len()).expect("short").to_le_bytes();
    Value::Wire([&[21, 2][..], &length, text.as_bytes()].concat().into())
}

fn records(state: &std::path::Path) -> Vec<String> {
    let mut texts = Vec::new();
    let filter = Filter { kind: Some("method.called".to_owned()), since: None };
    show(state, &filter, &mut |record, _| texts.push(record.text())).expect("it can be read");
    texts
}

/// Each call of a method that would change the server, and each call that is refused for want of rights, is a record and
/// an event (Part 4 §6.5.9 and Part 5 §6.4.27, 1.05); refusals of one request that are alike are one.
#[test]
fn calls_that_change_something_and_refused_calls_are_audited() {
    let mut watch = Watch::start();
    let mut otto = watch.otto();
    let foreign = Value::UInt32(watch.opal.subscribe(60_000.0, 100, 10));
    let own = Value::UInt32(otto.subscribe(60_000.0, 100, 10));
    let state_change = |reason: Value| {
        let arguments = [Value::Int32(4), Value::DateTime(UaTime(0)), Value::UInt32(9), reason, Value::Boolean(false)];
        method(SERVER, MethodId::Server_RequestServerStateChange, &arguments)
    };
    let resend = |id: &Value| method(SERVER, MethodId::Server_ResendData, std::slice::from_ref(id));
    let get = |id: &Value| method(SERVER, MethodId::Server_GetMonitoredItems, std::slice::from_ref(id));
    let of_otto = vec![
        resend(&own),
        get(&own),
        get(&Value::UInt32(0)),
        resend(&foreign),
        get(&foreign),
        resend(&foreign),
        state_change(localized("night")),
        resend(&foreign),
    ];
    call_with_entry(&mut otto, "shift 7", call(of_otto)).good();
    let text_of_a_megabyte = localized(&"x".repeat(1_000_000));
    let of_opal = call(vec![state_change(localized("moving house")), state_change(text_of_a_megabyte)]);
    watch.opal.ask(of_opal);

    let denied = StatusCode::BadUserAccessDenied;
    for (id, expected) in [
        (MethodId::Server_ResendData, vec![foreign.clone()]),
        (MethodId::Server_GetMonitoredItems, vec![foreign.clone()]),
        (MethodId::Server_RequestServerStateChange, vec![]),
    ] {
        let found = watch.event(2127, |found| number(&found["MethodId"]) == id as u32);
        assert_eq!((good(&found), status(&found)), (false, denied), "{id:?}");
        assert_eq!((number(&found["SourceNode"]), text(&found, "SourceName")), (2253, "Attribute/Call".to_owned()));
        assert_eq!(
            (text(&found, "ClientUserId"), text(&found, "ClientAuditEntryId")),
            ("otto".to_owned(), "shift 7".to_owned())
        );
        let arguments = values(&found["InputArguments"]);
        match expected.is_empty() {
            true => assert_eq!((&arguments[0], &arguments[3]), (&Value::Int32(4), &localized("night")), "{id:?}"),
            false => assert_eq!(arguments, expected, "{id:?}"),
        }
    }
    for reason in [Some(localized("moving house")), None] {
        let found = watch.event(2127, |_| true);
        assert_eq!((status(&found), text(&found, "ClientUserId")), (StatusCode::BadInvalidState, "opal".to_owned()));
        let arguments = values(&found["InputArguments"]);
        match reason {
            Some(reason) => assert_eq!(arguments[3], reason),
            None => assert!(matches!(&arguments[3], Value::String(text) if text.len() < 400), "{:?}", arguments[3]),
        }
    }
    assert!(!watch.found.iter().any(|found| number(&found["EventType"]) == 2127), "{:?}", watch.found);

    let state = watch.field.server().dir().join("state");
    until("they are written down", || records(&state).len() == 5);
    let texts = records(&state);
    for (text, parts) in texts.iter().zip([
        [
            "status=BadUserAccessDenied user=otto",
            r#"node="i=12873""#,
            "on i=2253; 2 more like this in the same request",
        ],
        ["status=BadUserAccessDenied user=otto", r#"node="i=11492""#, "GetMonitoredItems("],
        ["status=BadUserAccessDenied user=otto", r#"node="i=12886""#, ", 9, night, false) on i=2253"],
        ["status=BadInvalidState user=opal", r#"node="i=12886""#, ", 9, moving house, false) on i=2253"],
        ["status=BadInvalidState user=opal", r#"node="i=12886""#, "bytes in all"],
    ]) {
        assert!(parts.iter().all(|part| text.contains(part)), "{text}\n{parts:?}");
        assert!(text.len() < 1_000, "{text}");
    }
}
