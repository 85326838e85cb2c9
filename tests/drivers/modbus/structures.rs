//! Structures in registers: read as one, written as one, and each field alone.

use std::sync::Arc;

use opcell::testing::drivers::modbus::Framing;
use opcell::testing::model::TagId;
use opcell::value::{Elements, Struct, Value};
use opcua::StatusCode;
use testkit::plant::Bench;
use testkit::slave::{Faults, Slave};

const TYPES: &str = r#"
schema: 1
cell: press
defaults: { poll: 20ms }
types:
  enums: { Mode: { 0: "Off", 1: Auto } }
  flags: { Alarm: { 0: Heat, 15: Door } }
  structs:
    Pos: { X: { type: Float, word_order: low-first }, Y: { type: Float, raw_type: int16, scale: { factor: 0.1 } } }
    Batch:
      Id: { type: String, length: 5 }
      Recipe: UInt16
      Mode: Mode
      Runs: Boolean
      Alarms: Alarm
      Pos: Pos
      Way: { type: Pos, array: 2 }
      Weights: { type: Int32, array: [2, 2], range: [-10, 1000] }
"#;

/// The registers of one batch: each of them, in the packed order.
const IMAGE: [u16; 24] = [
    0x4142, 0x4300, 0, // Id: ABC
    7, 1, 3, 0x8001, // Recipe, Mode, Runs (not 0), Alarms
    0, 0x3fc0, 25, // Pos: 1.5 and 2.5
    0, 0x4000, 30, 0, 0x4040, 40, // Way: 2 and 3, 3 and 4
    0, 1, 0, 2, 0, 3, 0, 4, // Weights
];

fn cell(port: u16, nodes: &str) -> String {
    let connection =
        format!("connections: {{ plc: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port}, allow_write: true }} }}\n");
    format!("{}{connection}nodes:\n{nodes}", TYPES.trim_start())
}

async fn started(nodes: &str) -> (Arc<Slave>, Bench, testkit::slave::Listening) {
    let slave = Slave::new();
    slave.words.lock().expect("lock")[100..124].copy_from_slice(&IMAGE);
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    (Arc::clone(&slave), Bench::of_cell(&cell(listening.port, nodes)), listening)
}

fn asked(slave: &Slave) -> Vec<u8> {
    std::mem::take(&mut *slave.asked.lock().expect("lock")).into_iter().map(|(_, function)| function).collect()
}

const BATCH: &str = "  Batch: { type: Batch, source: { address: holding/100, write: true } }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_structure_and_its_fields_are_of_one_reply() {
    let (slave, bench, _listening) = started(BATCH).await;
    let of = |path: &str| bench.sample(bench.tag(path));
    bench.until_status(bench.tag("Batch"), StatusCode::Good).await;
    let whole = of("Batch");
    let Value::Struct(value) = &whole.value else { panic!("{whole:?}") };
    assert_eq!(value.fields[0], Value::text("ABC"));
    for (path, value) in [
        ("Batch.Id", Value::text("ABC")),
        ("Batch.Recipe", Value::UInt16(7)),
        ("Batch.Mode", Value::Int32(1)),
        ("Batch.Runs", Value::Boolean(true)),
        ("Batch.Alarms", Value::UInt16(0x8001)),
        ("Batch.Pos.X", Value::Float(1.5)),
        ("Batch.Pos.Y", Value::Float(2.5)),
    ] {
        assert_eq!(of(path).value, value, "{path}");
    }
    let Value::Array(weights) = of("Batch.Weights").value else { panic!("a matrix") };
    assert_eq!((&weights.elements, &weights.dimensions[..]), (&Elements::Int32(vec![1, 2, 3, 4]), &[2, 2][..]));
    assert_eq!(asked(&slave).iter().filter(|function| **function != 3).count(), 0);
    // A field that cannot be is Bad, as is the whole; the others have their values.
    slave.words.lock().expect("lock")[104] = 9;
    bench.until_status(bench.tag("Batch"), StatusCode::BadDataEncodingInvalid).await;
    let (mode, recipe) = (of("Batch.Mode"), of("Batch.Recipe"));
    assert_eq!((mode.value, mode.status), (Value::Null, StatusCode::BadDataEncodingInvalid));
    assert_eq!((recipe.value, recipe.status), (Value::UInt16(7), StatusCode::Good));
    let reason = bench.tags.reason(TagId(bench.tag("Batch")));
    assert_eq!(reason.as_deref(), Some("field Mode (BadDataEncodingInvalid) has no value"));
    slave.words.lock().expect("lock")[104] = 0;
    bench.until_status(bench.tag("Batch"), StatusCode::Good).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structure_is_written_by_one_request_and_a_field_touches_its_own_registers() {
    let (slave, bench, _listening) = started(BATCH).await;
    bench.until_status(bench.tag("Batch"), StatusCode::Good).await;
    let Value::Struct(value) = bench.sample(bench.tag("Batch")).value else { panic!("a structure") };
    let changed = value.with_part(1, Value::UInt16(99)).expect("a part");
    asked(&slave);
    assert_eq!(bench.write(bench.tag("Batch"), &Value::Struct(Arc::new(changed))).await, StatusCode::Good);
    let functions = asked(&slave);
    assert_eq!(functions.iter().filter(|function| **function == 16).count(), 1, "{functions:?}");
    let mut wanted = IMAGE;
    (wanted[3], wanted[5]) = (99, 1);
    assert_eq!(slave.words.lock().expect("lock")[100..124], wanted);
    // The device changes another field: a write of one leaves it.
    slave.words.lock().expect("lock")[104] = 0;
    for (path, value, at, words) in [
        ("Batch.Pos.Y", Value::Float(-1.2), 9, &[0xfff4_u16][..]),
        ("Batch.Pos.X", Value::Float(2.0), 7, &[0, 0x4000]),
        ("Batch.Id", Value::text("XY"), 0, &[0x5859, 0, 0]),
        ("Batch.Runs", Value::Boolean(false), 5, &[0]),
    ] {
        assert_eq!(bench.write(bench.tag(path), &value).await, StatusCode::Good, "{path}");
        wanted[at..at + words.len()].copy_from_slice(words);
        wanted[4] = 0;
        assert_eq!(slave.words.lock().expect("lock")[100..124], wanted, "{path}");
    }
    bench.until(bench.tag("Batch.Id"), "XY", |sample| sample.value == Value::text("XY")).await;
    let pos = bench.sample(bench.tag("Batch.Pos")).value;
    let Value::Struct(pos) = &pos else { panic!("{pos:?}") };
    let moved = Struct::new(Arc::clone(&pos.kind), vec![Value::Float(3.0), Value::Float(0.0)]);
    asked(&slave);
    assert_eq!(bench.write(bench.tag("Batch.Pos"), &Value::Struct(Arc::new(moved))).await, StatusCode::Good);
    assert_eq!(asked(&slave).iter().filter(|function| **function == 16).count(), 1);
    wanted[7..10].copy_from_slice(&[0, 0x4040, 0]);
    assert_eq!(slave.words.lock().expect("lock")[100..124], wanted);
    assert_eq!(bench.write(bench.tag("Batch.Mode"), &Value::Int32(5)).await, StatusCode::BadOutOfRange);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs() {
    let slave = Slave::new();
    #[rustfmt::skip]
    let image = [
        0x4231, 0, 0, 0, 7, 1, 0x8009, 125, 0x4148, 0, 0, 0, 3, 0, 1, 2, 3,
    ];
    slave.words.lock().expect("lock")[..17].copy_from_slice(&image);
    slave.words.lock().expect("lock")[100..114].copy_from_slice(&[0x4000, 0, 0, 0, 9, 9, 9, 9, 9, 9, 0x4040, 0, 0, 0]);
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("address-space/structures.yaml");
    let text = std::fs::read_to_string(path).expect("the example").replace("5021", &listening.port.to_string());
    let bench = Bench::of_cell(&text);
    for (path, value) in [
        ("Batch.Id", Value::text("B1")),
        ("Batch.Mode", Value::Int32(1)),
        ("Batch.Alarms", Value::UInt16(0x8009)),
        ("Batch.Weight", Value::Double(12.5)),
        ("Batch.Home.X", Value::Float(12.5)),
        ("Batch.Cycle", Value::UInt32(3)),
        ("Batch.Counts", Value::array(Elements::UInt16(vec![1, 2, 3]))),
        ("Order.Y", Value::Float(12.5)),
    ] {
        bench.until(bench.tag(path), path, |sample| sample.value == value).await;
    }
    let stations = bench.until_status(bench.tag("Stations"), StatusCode::Good).await;
    assert_eq!(stations.value.shown(), "[{ X: 2, Y: 0 }, { X: 3, Y: 0 }]");
    let text = Value::Double(-1.0);
    assert_eq!(bench.write(bench.tag("Batch.Weight"), &text).await, StatusCode::Good);
    assert_eq!(slave.words.lock().expect("lock")[7], 0xfff6);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_a_matrix_touches_its_own_registers() {
    let nodes = "  Grid: { type: UInt16, array: [2, 3], source: { address: holding/100, write: true } }\n";
    let (slave, bench, _listening) = started(nodes).await;
    let sample = bench.until_status(bench.tag("Grid"), StatusCode::Good).await;
    let Value::Array(grid) = &sample.value else { panic!("a matrix") };
    assert_eq!((grid.elements.len(), &grid.dimensions[..]), (6, &[2, 3][..]));
    let write = |range: &str, values: &[u16]| {
        let range = opcell::value::IndexRange::parse(range).expect("a range");
        let value = Value::array(Elements::UInt16(values.to_vec()));
        let now = opcell::value::UaTime::now();
        bench.tags.write_now(&bench.plant, TagId(bench.tag("Grid")), &value, range.as_ref(), now)
    };
    use opcell::testing::tags::Written;
    let Written::Device { connection, write: part } = write("1,1:2", &[50, 60]) else { panic!("it is sent") };
    let answer = bench.tags.enqueue(connection, vec![part], std::time::Duration::from_secs(2)).expect("a place");
    assert_eq!(answer.await.expect("an answer"), [StatusCode::Good]);
    let mut wanted = IMAGE;
    wanted[4..6].copy_from_slice(&[50, 60]);
    assert_eq!(slave.words.lock().expect("lock")[100..124], wanted);
    for (range, values, status) in [
        ("0:1,1", &[1_u16, 2][..], StatusCode::BadWriteNotSupported),
        ("1,2:3", &[1, 2], StatusCode::BadIndexRangeNoData),
        ("1,1:2", &[1], StatusCode::BadIndexRangeDataMismatch),
    ] {
        assert_eq!(write(range, values), Written::Done(status), "{range}");
    }
    bench.stop().await;
}
