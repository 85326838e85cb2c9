//! Structures in a PLC, packed as a standard data block.

use std::sync::Arc;

use opcell::value::{Struct, Value};
use opcua::StatusCode;
use testkit::plant::Bench;
use testkit::plc::{Faults, Plc};

use super::cell;

const TYPES: &str = r#"types:
  enums: { Mode: { 0: "Off", 1: Auto } }
  structs:
    Pos: { X: Float, On: Boolean }
    Batch:
      A: Boolean
      B: Boolean
      Count: Byte
      Small: Byte
      Speed: Int16
      Name: { type: String, length: 3 }
      Mode: Mode
      Pos: Pos
      Way: { type: Pos, array: 2 }
      Flags: { type: Boolean, array: 3 }
      Late: { type: UInt16, at: 60 }
      Bit: { type: Boolean, at: 60.3 }
"#;

/// 0.0 A, 0.1 B; 1 Count; 2 Small; 4 Speed; 6 Name (2 + 3, up to 11); 12 Mode; 14 Pos.X, 18.0 Pos.On, up to 19;
/// 20 Way[0], 26 Way[1], up to 31; 32.0 to 32.2 Flags, up to 33; 60 Late, and bit 3 of its first byte.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 62];
    bytes[0] = 0b10;
    bytes[1..3].copy_from_slice(&[7, 9]);
    bytes[4..6].copy_from_slice(&(-5_i16).to_be_bytes());
    bytes[6..11].copy_from_slice(b"\x03\x02ab\0");
    bytes[12..14].copy_from_slice(&1_i16.to_be_bytes());
    for (at, x) in [(14, 1.5_f32), (20, 2.5), (26, 3.5)] {
        bytes[at..at + 4].copy_from_slice(&x.to_be_bytes());
    }
    (bytes[18], bytes[30]) = (1, 1);
    bytes[32] = 0b101;
    bytes[60..62].copy_from_slice(&0x0801_u16.to_be_bytes());
    bytes
}

async fn started() -> (Arc<Plc>, Bench, testkit::plc::Listening) {
    let plc = Plc::new();
    plc.set(10, 100, &image());
    let listening = plc.listen(Faults::none()).await;
    let text = cell(listening.port, "", "Batch: { type: Batch, source: { address: DB10.DBB100, write: true } }");
    let bench = Bench::of_cell(&text.replace("nodes:\n", &format!("{TYPES}nodes:\n")));
    bench.until_status(bench.tag("Batch"), StatusCode::Good).await;
    (plc, bench, listening)
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_lie_where_a_standard_data_block_has_them() {
    let (_plc, bench, _listening) = started().await;
    for (path, value) in [
        ("Batch.A", Value::Boolean(false)),
        ("Batch.B", Value::Boolean(true)),
        ("Batch.Count", Value::Byte(7)),
        ("Batch.Small", Value::Byte(9)),
        ("Batch.Speed", Value::Int16(-5)),
        ("Batch.Name", Value::text("ab")),
        ("Batch.Mode", Value::Int32(1)),
        ("Batch.Pos.X", Value::Float(1.5)),
        ("Batch.Pos.On", Value::Boolean(true)),
        ("Batch.Late", Value::UInt16(0x0801)),
        ("Batch.Bit", Value::Boolean(true)),
    ] {
        assert_eq!(bench.sample(bench.tag(path)).value, value, "{path}");
    }
    let way = bench.sample(bench.tag("Batch.Way")).value.shown();
    assert_eq!(way, "[{ X: 2.5, On: false }, { X: 3.5, On: true }]");
    assert_eq!(bench.sample(bench.tag("Batch.Flags")).value.shown(), "[true, false, true]");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_touches_its_own_bytes_and_the_whole_goes_out_at_once() {
    let (plc, bench, _listening) = started().await;
    let mut wanted = image();
    for (path, value, at, bytes) in [
        ("Batch.A", Value::Boolean(true), 0, &[0b11_u8][..]),
        ("Batch.Name", Value::text("xyz"), 7, b"\x03xyz"),
        ("Batch.Pos.X", Value::Float(-2.0), 14, &[0xc0, 0, 0, 0]),
        ("Batch.Mode", Value::Int32(0), 12, &[0, 0]),
    ] {
        assert_eq!(bench.write(bench.tag(path), &value).await, StatusCode::Good, "{path}");
        wanted[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(plc.bytes(10, 100, 62), wanted, "{path}");
    }
    bench.until(bench.tag("Batch.Mode"), "Off", |sample| sample.value == Value::Int32(0)).await;
    let Value::Struct(pos) = bench.sample(bench.tag("Batch.Pos")).value else { panic!("a structure") };
    let moved = Struct::new(Arc::clone(&pos.kind), vec![Value::Float(4.0), Value::Boolean(false)]);
    assert_eq!(bench.write(bench.tag("Batch.Pos"), &Value::Struct(Arc::new(moved))).await, StatusCode::Good);
    wanted[14..19].copy_from_slice(&[0x40, 0x80, 0, 0, 0]);
    assert_eq!(plc.bytes(10, 100, 62), wanted);
    bench.until(bench.tag("Batch.Pos.X"), "4", |sample| sample.value == Value::Float(4.0)).await;
    let Value::Struct(whole) = bench.sample(bench.tag("Batch")).value else { panic!("a structure") };
    let changed = whole.with_part(4, Value::Int16(77)).expect("Speed");
    assert_eq!(bench.write(bench.tag("Batch"), &Value::Struct(Arc::new(changed))).await, StatusCode::Good);
    wanted[4..6].copy_from_slice(&77_i16.to_be_bytes());
    assert_eq!(plc.bytes(10, 100, 62), wanted, "and nothing between the fields");
    bench.stop().await;
}
