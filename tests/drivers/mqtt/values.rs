//! Values of every kind by way of mosquitto, and writes.

use std::time::Duration;

use opcell::value::{Elements, UaTime, Value};
use opcua::StatusCode;
use testkit::broker::Broker;

use super::bench::{bad, cell, good, listening};

const NODES: &str = r#"
types: { enums: { Mode: { 0: Off, 1: Heat } } }
nodes:
  Ready:   { type: String, source: ready }
  Temp:    { type: Double, source: cell3/tank/temp }
  Value:   { type: Double, source: { address: cell3/tank, json: /temp/value, time: /ts, quality: /ok } }
  Alarm:   { type: String, source: { address: plc/+/alarm, json: /text } }
  Raw:     { type: Int32, source: { address: scale/raw, raw_type: int32, byte: 4, byte_order: low-first } }
  Lora:    { type: UInt16, source: { address: lora/up, json: /data, encoding: base64, raw_type: uint16 } }
  Column:  { type: Double, source: { address: logger/line, payload: csv, column: 3 } }
  Vector:  { type: Float, array: 3, source: { address: xyz, json: /v } }
  Mode:    { type: Mode, source: mode }
  Scaled:  { type: Double, source: scaled, scale: { factor: 0.1 } }
  Missing: { type: Double, source: { address: cell3/tank, json: /nix } }
  Small:   { type: Byte, source: cell3/tank/temp }
  System:  { type: String, source: $SYS/broker/version }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_message_gives_its_value() {
    for version in ["3.1.1", "5"] {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(broker) = Broker::open(folder.path()) else { return };
        let bench = cell(folder.path(), broker.port, &format!(", version: {version}"), NODES);
        listening(&broker, &bench, 0, "ready", "yes").await;
        broker.publish("cell3/tank/temp", "21.5", &[]);
        good(&bench, 1, Value::Double(21.5)).await;
        let why = bad(&bench, 11, StatusCode::BadDataEncodingInvalid).await;
        assert_eq!(why, "the device sends 21.5, which its type cannot hold");
        broker.publish("cell3/tank/temp", "200", &[]);
        good(&bench, 11, Value::Byte(200)).await;
        broker.publish("cell3/tank", r#"{"temp": {"value": 3}, "ts": 1767323045, "ok": 192}"#, &[]);
        good(&bench, 2, Value::Double(3.0)).await;
        assert_eq!(bench.sample(2).source_time, UaTime::from_unix(Duration::from_secs(1_767_323_045)));
        let why = bad(&bench, 10, StatusCode::BadConfigurationError).await;
        assert_eq!(why, "no message on cell3/tank has had /nix; it has /ok, /temp, /ts");
        broker.publish("cell3/tank", r#"{"temp": {"value": 3}, "ok": false}"#, &[]);
        bad(&bench, 2, StatusCode::BadSensorFailure).await;
        broker.publish("cell3/tank", r#"{"nix": 7}"#, &[]);
        good(&bench, 10, Value::Double(7.0)).await;
        assert_eq!(bench.sample(2).status, StatusCode::BadSensorFailure, "a message without the member says nothing");
        broker.publish("plc/7/alarm", r#"{"text": "door"}"#, &[]);
        good(&bench, 3, Value::text("door")).await;
        let file = folder.path().join("raw");
        std::fs::write(&file, [9, 9, 9, 9, 0xfe, 0xff, 0xff, 0xff, 9]).expect("written");
        broker.publish_file("scale/raw", &file);
        good(&bench, 4, Value::Int32(-2)).await;
        broker.publish("lora/up", r#"{"data": "AQI="}"#, &[]);
        good(&bench, 5, Value::UInt16(258)).await;
        broker.publish("logger/line", "1,2,3\n4,5,6\n", &[]);
        good(&bench, 6, Value::Double(6.0)).await;
        broker.publish("xyz", r#"{"v": [1, 2.5, -3]}"#, &[]);
        good(&bench, 7, Value::array(Elements::Float(vec![1.0, 2.5, -3.0]))).await;
        broker.publish("mode", "Heat", &[]);
        good(&bench, 8, Value::Int32(1)).await;
        broker.publish("mode", "Cool", &[]);
        let why = bad(&bench, 8, StatusCode::BadDataEncodingInvalid).await;
        assert_eq!(why, "the message on mode is no value of the enumeration: `Cool`");
        broker.publish("scaled", "234", &[]);
        good(&bench, 9, Value::Double(23.4)).await;
        bench
            .until(
                12,
                "mosquitto",
                |sample| matches!(&sample.value, Value::String(text) if text.starts_with("mosquitto version")),
            )
            .await;
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_value_turns_the_tag_bad_and_the_next_value_heals_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let nodes = "nodes:\n  Ready: { type: String, source: ready }\n  A: { type: Double, source: a }\n  B: { type: Double, source: { address: b, json: /v } }\n";
    let bench = cell(folder.path(), broker.port, "", nodes);
    listening(&broker, &bench, 0, "ready", "yes").await;
    assert_eq!(bench.sample(1).status, StatusCode::BadWaitingForInitialData);
    for (tag, topic, message, status, why) in [
        (1, "a", "21,5", StatusCode::BadDataEncodingInvalid, "the message on a is no number: `21,5`"),
        (1, "a", "", StatusCode::BadNoData, "the message on a is empty"),
        (2, "b", "{\"v\": nul", StatusCode::BadDataEncodingInvalid, "the message on b is no JSON: `{\"v\": nul`"),
        (
            2,
            "b",
            "{\"v\": null}",
            StatusCode::BadSensorFailure,
            "/v of the message on b is null: the device has no value",
        ),
        (2, "b", "{\"v\": \"x\"}", StatusCode::BadDataEncodingInvalid, "/v of the message on b is no number: `x`"),
    ] {
        broker.publish(topic, message, &[]);
        assert_eq!(bad(&bench, tag, status).await, why);
        assert_eq!(bench.sample(tag).value, Value::Null);
        broker.publish(topic, if tag == 1 { "5" } else { "{\"v\": 5}" }, &[]);
        good(&bench, tag, Value::Double(5.0)).await;
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_message_without_a_time_is_uncertain_until_a_live_one_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    broker.retain("a", "1");
    broker.retain("b", r#"{"v": 2, "t": 1767323045}"#);
    broker.retain("c", "x");
    let nodes = "nodes:\n  A: { type: Double, source: a }\n  B: { type: Double, source: { address: b, json: /v, time: /t } }\n  C: { type: Double, source: c }\n";
    let bench = cell(folder.path(), broker.port, "", nodes);
    let sample = bench.until_status(0, StatusCode::UncertainLastUsableValue).await;
    assert_eq!(sample.value, Value::Double(1.0));
    good(&bench, 1, Value::Double(2.0)).await;
    bad(&bench, 2, StatusCode::BadDataEncodingInvalid).await;
    broker.publish("a", "1", &[]);
    good(&bench, 0, Value::Double(1.0)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_out_by_the_template_and_the_broker_answers() {
    for (qos, version, answer) in [
        (1, "3.1.1", StatusCode::Good),
        (2, "3.1.1", StatusCode::Good),
        (1, "5", StatusCode::Good),
        (2, "5", StatusCode::Good),
        (0, "3.1.1", StatusCode::GoodCompletesAsynchronously),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(broker) = Broker::open(folder.path()) else { return };
        let nodes = r#"
nodes:
  Ready:  { type: String, source: ready }
  Open:   { type: Boolean, source: { address: valve/state, json: /open, write: true, publish: valve/set, body: '{"open":{value}}' } }
  Speed:  { type: Double, source: { address: speed, write: true, publish: speed/set }, scale: { factor: 0.1 } }
  Start:  { type: String, source: { address: none, read: false, write: true, publish: start, retain: true } }
  Bytes:  { type: Int16, source: { address: raw, raw_type: int16, write: true, publish: raw/set } }
"#;
        let bench = cell(folder.path(), broker.port, &format!(", qos: {qos}, version: {version}"), nodes);
        let mut device = broker.listen(&["+/set", "start"]);
        listening(&broker, &bench, 0, "ready", "yes").await;
        assert_eq!(bench.write(1, &Value::Boolean(true)).await, answer, "qos {qos} version {version}");
        assert_eq!(device.message(), r#"valve/set {"open":true}"#);
        assert_eq!(bench.sample(1).status, StatusCode::BadWaitingForInitialData, "the device has not reported it");
        assert_eq!(bench.write(2, &Value::Double(5.0)).await, answer);
        assert_eq!(device.message(), "speed/set 50");
        assert_eq!(bench.write(3, &Value::text("go")).await, answer);
        assert_eq!(device.message(), "start go");
        let shown = bench.until(3, "shown", |sample| sample.value == Value::text("go")).await;
        assert!(shown.status.is_uncertain(), "{}", shown.status);
        assert_eq!(bench.write(4, &Value::Int16(0x4142)).await, answer);
        assert_eq!(device.message(), "raw/set AB");
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_says_offline_turns_its_tags_bad_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    broker.retain("line/state", "offline");
    let nodes = "nodes:\n  A: { type: Double, source: a }\n  B: { type: Double, source: { address: b, online: b/state } }\n  C: { type: Double, source: c }\n";
    let bench = cell(folder.path(), broker.port, ", online: line/state", nodes);
    let why = bad(&bench, 0, StatusCode::BadNoCommunication).await;
    assert_eq!(why, "the device says on line/state that it is offline");
    broker.publish("b", "2", &[]);
    good(&bench, 1, Value::Double(2.0)).await;
    broker.publish("a", "1", &[]);
    broker.publish("b", "3", &[]);
    good(&bench, 1, Value::Double(3.0)).await;
    assert_eq!(bench.sample(0).status, StatusCode::BadNoCommunication);
    broker.publish("line/state", "online", &[]);
    // The value came after the word `offline`, so it is new.
    good(&bench, 0, Value::Double(1.0)).await;
    assert_eq!(bench.sample(2).status, StatusCode::BadWaitingForInitialData);
    broker.publish("line/state", r#"{"state":"offline"}"#, &[]);
    bad(&bench, 0, StatusCode::BadNoCommunication).await;
    broker.publish("line/state", r#"{"state":"online"}"#, &[]);
    let back = bench.until_status(0, StatusCode::UncertainLastUsableValue).await;
    assert_eq!(back.value, Value::Double(1.0), "the value is from before");
    broker.publish("b/state", "0", &[]);
    bad(&bench, 1, StatusCode::BadNoCommunication).await;
    assert_eq!(bench.sample(0).status, StatusCode::UncertainLastUsableValue);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_tags_on_one_filter() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let nodes = "nodes:\n  Ready: { type: String, source: line/ready }\n  \"T{i}\": { repeat: { i: 1..9999 }, type: Int32, source: \"line/{i}/v\" }\n";
    let bench = cell(folder.path(), broker.port, ", subscribe: [\"line/#\"]", nodes);
    listening(&broker, &bench, 0, "line/ready", "yes").await;
    for tag in [1, 77, 9_999] {
        broker.publish(&format!("line/{tag}/v"), &tag.to_string(), &[]);
        good(&bench, tag, Value::Int32(i32::try_from(tag).expect("small"))).await;
    }
    bench.stop().await;
}
