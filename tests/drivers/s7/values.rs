//! Values in a PLC: those that turn a tag Bad, and the bytes that each write changes.

use std::time::Duration;

use opcell::testing::model::TagId;
use opcell::value::{Elements, UaTime, Value};
use opcua::StatusCode;
use testkit::plant::Bench;
use testkit::plc::{Faults, Plc};

use super::{cell, start};

fn why(bench: &Bench, name: &str) -> String {
    bench.tags.reason(TagId(bench.tag(name))).map_or(String::new(), |why| why.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_value_are_bad_with_their_reason() {
    let plc = Plc::new();
    plc.set(1, 0, &[0x7f, 0xc0, 0, 0]);
    plc.set(1, 4, &[0x12, 0x3a]);
    plc.set(1, 6, &[0x80, 0x00]);
    plc.set(1, 10, &[5, 9, b'a', b'b', b'c']);
    plc.set(1, 40, &[0; 12]);
    plc.set(1, 60, &[0, 7]);
    plc.set(1, 70, &[0x1a, 0x27]);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(
        listening.port,
        "
        Nan:     { type: Float, source: DB1.DBD0 }
        Allowed: { type: Float, source: { address: DB1.DBD0, nan: true } }
        Bcd:     { type: UInt16, source: { address: DB1.DBW4, raw_type: bcd16 } }
        None:    { type: Int16, source: { address: DB1.DBW6, invalid: [0x8000] } }
        Name:    { type: String, length: 5, source: DB1.DBB10 }
        Dtl:     { type: DateTime, source: { address: DB1.DBB40, raw_type: dtl } }
        Narrow:  { type: Byte, source: DB1.DBW6 }
        Timer:   { type: UInt32, source: { address: DB1.DBW70, raw_type: s5time } }
        ",
    );
    let encoding = StatusCode::BadDataEncodingInvalid;
    for (name, status, words) in [
        ("Nan", StatusCode::BadSensorFailure, "DB1.DBD0: the value is NaN"),
        ("Bcd", encoding, "DB1.DBW4: 0x123a has a digit above 9"),
        ("None", StatusCode::BadSensorFailure, "DB1.DBW6: the value means that there is none, by `invalid`"),
        ("Name", encoding, "DB1.DBB10: the header of the STRING says 9 characters, at most 5"),
        ("Dtl", encoding, "DB1.DBB40: 00 00 00 00 00 00 00 00 00 00 00 00 is no date"),
        ("Narrow", encoding, "the device sends 32768, which its type cannot hold"),
        ("Timer", encoding, "DB1.DBW70: 0x1a27 is no S5TIME"),
    ] {
        let sample = bench.until_status(bench.tag(name), status).await;
        assert!(sample.value.is_null(), "{name}");
        assert_eq!(why(&bench, name), words, "{name}");
    }
    let allowed = bench.until_status(bench.tag("Allowed"), StatusCode::Good).await;
    assert!(matches!(allowed.value, Value::Float(number) if number.is_nan()));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_changes_its_own_bits_and_bytes_alone() {
    let plc = Plc::new();
    plc.set(1, 0, &[0xff; 64]);
    plc.set(1, 100, &[10, 3, b'a', b'b', b'c', 9, 9, 9, 9, 9, 9, 9, 0xee, 0xee]);
    plc.set(1, 120, &[0; 24]);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(
        listening.port,
        "
        Bit:    { type: Boolean, source: { address: DB1.DBX2.5, write: true } }
        Bits:   { type: Boolean, array: 20, source: { address: DB1.DBX4.6, write: true } }
        Name:   { type: String, length: 20, source: { address: DB1.DBB100, write: true } }
        Fresh:  { type: String, length: 20, source: { address: DB1.DBB120, write: true } }
        Three:  { type: Int16, array: 3, source: { address: DB1.DBW20, write: true } }
        Only:   { type: Int16, source: { address: PQW4, read: false, write: true } }
        ",
    );
    bench.until_status(bench.tag("Three"), StatusCode::Good).await;
    assert_eq!(bench.write(bench.tag("Bit"), &Value::Boolean(false)).await, StatusCode::Good);
    assert_eq!(plc.bytes(1, 1, 3), [0xff, 0xdf, 0xff]);
    let bits = Value::array(Elements::Boolean(vec![false; 20]));
    assert_eq!(bench.write(bench.tag("Bits"), &bits).await, StatusCode::Good);
    assert_eq!(plc.bytes(1, 3, 5), [0xff, 0x3f, 0, 0, 0xfc], "bits 6.. of byte 4 to 1 of byte 7");
    // The PLC's own longest length holds, whatever the cell says: after it comes another variable.
    assert_eq!(bench.write(bench.tag("Name"), &Value::text("0123456789A")).await, StatusCode::BadOutOfRange);
    assert_eq!(bench.write(bench.tag("Name"), &Value::text("01234")).await, StatusCode::Good);
    assert_eq!(plc.bytes(1, 100, 14), [10, 5, 48, 49, 50, 51, 52, 9, 9, 9, 9, 9, 0xee, 0xee]);
    assert_eq!(bench.write(bench.tag("Name"), &Value::text("€")).await, StatusCode::BadOutOfRange);
    assert_eq!(bench.write(bench.tag("Fresh"), &Value::text("abc")).await, StatusCode::Good);
    assert_eq!(plc.bytes(1, 120, 5), [20, 3, b'a', b'b', b'c'], "a header that was never set");
    let three = Value::array(Elements::Int16(vec![1, -2, 3]));
    assert_eq!(bench.write(bench.tag("Three"), &three).await, StatusCode::Good);
    assert_eq!(plc.bytes(1, 18, 10), [0xff, 0xff, 0, 1, 0xff, 0xfe, 0, 3, 0xff, 0xff]);
    assert_eq!(bench.write(bench.tag("Only"), &Value::Int16(258)).await, StatusCode::Good);
    assert_eq!(plc.memory.lock().expect("lock")[&(0x80, 0)][4..6], [1, 2]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_longer_than_the_pdu_is_read_and_written_in_parts() {
    let plc = Plc::new();
    *plc.pdu.lock().expect("lock") = 240;
    plc.set(1, 2_000, &[254, 0]);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(
        listening.port,
        "
        Curve: { type: UInt16, array: 500, source: { address: DB1.DBW0, write: true } }
        Long:  { type: String, length: 254, source: { address: DB1.DBB2000, write: true } }
        Near:  { type: UInt16, source: DB1.DBW1000 }
        ",
    );
    let of = |at: u16| {
        u16::from_be_bytes([testkit::plc::mark(1, u32::from(at) * 2), testkit::plc::mark(1, u32::from(at) * 2 + 1)])
    };
    let wanted = Value::array(Elements::UInt16((0..500).map(of).collect()));
    assert_eq!(bench.until_status(bench.tag("Curve"), StatusCode::Good).await.value, wanted);
    let next = Value::array(Elements::UInt16((0..500).collect()));
    assert_eq!(bench.write(bench.tag("Curve"), &next).await, StatusCode::Good);
    bench.until(bench.tag("Curve"), "written", |sample| sample.value == next).await;
    let text = Value::text(&"abcdefghij".repeat(25));
    plc.take_asked();
    assert_eq!(bench.write(bench.tag("Long"), &text).await, StatusCode::Good);
    let addresses: Vec<u32> = plc
        .take_asked()
        .iter()
        .flatten()
        .filter(|item| item.count > 2 && item.address >= 16_000)
        .map(|item| item.address / 8)
        .take(2)
        .collect();
    assert_eq!(addresses, [2_001 + 212, 2_001], "the header with the new length is written last");
    bench.until(bench.tag("Long"), "written", |sample| sample.value == text).await;
    bench.until_status(bench.tag("Near"), StatusCode::Good).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_in_local_time_is_the_zone_of_the_server() {
    let plc = Plc::new();
    plc.set(1, 0, &[0x07, 0xea, 7, 1, 4, 12, 0, 0, 0, 0, 0, 0]);
    let listening = plc.listen(Faults::none()).await;
    let nodes = "Dtl: { type: DateTime, source: { address: DB1.DBB0, raw_type: dtl, write: true } }";
    let mut seen = Vec::new();
    for clock in ["utc", "local"] {
        let bench = Bench::of_cell(&cell(listening.port, &format!(", clock: {clock}"), nodes));
        let Value::DateTime(time) = bench.until_status(0, StatusCode::Good).await.value else { panic!("a time") };
        assert_eq!(bench.write(0, &Value::DateTime(time)).await, StatusCode::Good);
        assert_eq!(plc.bytes(1, 0, 12), [0x07, 0xea, 7, 1, 4, 12, 0, 0, 0, 0, 0, 0], "{clock}");
        seen.push(time);
        bench.stop().await;
    }
    // 2026-07-01T12:00:00Z
    let noon = UaTime::from_unix(Duration::from_secs(1_782_907_200));
    assert_eq!(seen[0], noon);
    let zone =
        std::process::Command::new("date").args(["-d", "2026-07-01 12:00:00", "+%s"]).output().expect("date runs");
    let local: u64 = String::from_utf8_lossy(&zone.stdout).trim().parse().expect("seconds");
    assert_eq!(seen[1], UaTime::from_unix(Duration::from_secs(local)));
}
