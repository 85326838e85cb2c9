//! The Attribute service set: Read and Write.

use opcell::testing::stack::codec::{NodeIdRef, QualifiedNameRef};
use opcell::value::{Elements, Value};
use opcua::{ObjectId, StatusCode};
use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

#[test]
fn a_value_is_read_written_and_reported() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(tag("Pump.Setpoint")).value, Some(Value::Double(100.0)));
    let subscription = client.subscribe(50.0, 100, 10);
    let made = client.monitor(subscription, &[(tag("Pump.Setpoint"), 1), (tag("Pump.Nothing"), 2)], 0.0, 10);
    assert_eq!(
        made.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
        [StatusCode::Good, StatusCode::BadNodeIdUnknown]
    );
    assert_eq!(client.next_data().data[0].1.value, Some(Value::Double(100.0)));
    assert_eq!(client.write(tag("Pump.Setpoint"), &Value::Double(250.0)), StatusCode::Good);
    let heard = client.next_data();
    assert_eq!((heard.data[0].0, heard.data[0].1.value.clone()), (1, Some(Value::Double(250.0))));
    client.close();
}

#[test]
fn a_write_of_another_type_or_outside_the_range_is_refused() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for (path, value, status) in [
        ("Pump.Number", Value::Int32(7), StatusCode::Good),
        ("Pump.Number", Value::text("7"), StatusCode::BadTypeMismatch),
        ("Pump.Number", Value::Double(7.0), StatusCode::BadTypeMismatch),
        ("Pump.Number", Value::array(Elements::Int32(vec![7])), StatusCode::BadTypeMismatch),
        ("Pump.Number", Value::Null, StatusCode::BadTypeMismatch),
        ("Pump.Setpoint", Value::Double(3001.0), StatusCode::BadOutOfRange),
        ("Pump.State", Value::Int32(2), StatusCode::Good),
        ("Pump.State", Value::Int32(9), StatusCode::BadOutOfRange),
        ("Pump.Fixed", Value::text("x"), StatusCode::BadNotWritable),
        ("Pump.Speed", Value::Double(1.0), StatusCode::BadNotWritable),
        ("Nobody", Value::Double(1.0), StatusCode::BadNodeIdUnknown),
    ] {
        assert_eq!(client.write(tag(path), &value), status, "{value:?} to {path}");
    }
}

#[test]
fn an_index_range_writes_a_part_of_an_array() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let part = Value::array(Elements::Float(vec![20.0, 30.0]));
    assert_eq!(client.write_range(tag("Pump.Curve"), Some("1:2"), &part), StatusCode::Good);
    let whole = Value::array(Elements::Float(vec![1.0, 20.0, 30.0, 4.0, 5.0]));
    assert_eq!(client.read_value(tag("Pump.Curve")).value, Some(whole));
    assert_eq!(client.write_range(tag("Pump.Curve"), Some("4:2"), &part), StatusCode::BadIndexRangeInvalid);
    assert_eq!(client.write_range(tag("Pump.Curve"), Some("4:5"), &part), StatusCode::BadIndexRangeNoData);
}

#[test]
fn ids_and_memory_tags_are_the_same_after_a_restart() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    assert_eq!(client.write(tag("Pump.Setpoint"), &Value::Double(321.0)), StatusCode::Good);
    let before = client.read_value(tag("Pump.Setpoint"));
    client.close();
    let certificate = std::fs::read(server.dir().join("pki/own/certificate.der")).expect("a certificate");
    let server = server.restart();
    let mut client = Session::open(server.address);
    let after = client.read_value(tag("Pump.Setpoint"));
    assert_eq!((after.value, after.source_time), (Some(Value::Double(321.0)), before.source_time));
    assert_eq!(std::fs::read(server.dir().join("pki/own/certificate.der")).expect("a certificate"), certificate);
}

/// A range that is no range, an attribute that does not exist and an unknown node fail their own operation alone.
/// `abc` is no NumericRange, so the request is written by hand.
#[test]
fn one_bad_operation_does_not_fault_the_request() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let cases: [(&str, u32, Option<&str>, &str, StatusCode); 9] = [
        ("Pump.Curve", 13, None, "", StatusCode::Good),
        ("Pump.Curve", 13, Some("abc"), "", StatusCode::BadIndexRangeInvalid),
        ("Pump.Curve", 13, Some("4:2"), "", StatusCode::BadIndexRangeInvalid),
        ("Pump.Curve", 13, Some("7:9"), "", StatusCode::BadIndexRangeNoData),
        ("Pump.Curve", 13, Some("1:2"), "", StatusCode::Good),
        ("Pump.Curve", 99, None, "", StatusCode::BadAttributeIdInvalid),
        ("Pump.Curve", 13, None, "Default XML", StatusCode::BadDataEncodingUnsupported),
        ("Pump.Curve", 4, None, "Default Binary", StatusCode::BadDataEncodingInvalid),
        ("Nobody", 13, None, "", StatusCode::BadNodeIdUnknown),
    ];
    let response = client.call_raw(ObjectId::ReadRequest_Encoding_DefaultBinary, |w| {
        w.f64(0.0);
        w.i32(2);
        w.count(cases.len());
        for (node, attribute, range, encoding, _) in cases {
            w.node_id(tag(node));
            w.u32(attribute);
            w.string(range);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: Some(encoding).filter(|name| !name.is_empty()) });
        }
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), cases.len());
    for (node, attribute, range, encoding, expected) in cases {
        let status = reader.data_value().expect("a DataValue").status.unwrap_or(StatusCode::Good);
        assert_eq!(status, expected, "{node} {attribute} {range:?} {encoding}");
    }
}
