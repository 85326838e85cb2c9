//! Structures of memory tags as clients meet them: the whole, its fields, and one sample for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::{NodeIdRef, Writer};
use opcell::value::{Elements, Value};
use opcua::{AttributeId, StatusCode};
use testkit::server::TestServer;
use testkit::ua::Session;

const CELL: &str = r#"
schema: 1
cell: press
types:
  structs:
    Pos: { X: { type: Float, range: [0, 1000] }, Y: { type: Float, scale: { factor: 0.5 } } }
    Batch: { Id: { type: String, length: 4 }, Count: UInt32, Twice: UInt32, Pos: Pos }
nodes:
  A: { type: Batch, write: true, value: { Id: a, Count: 1, Twice: 2, Pos: { X: 1, Y: 2 } } }
  Flat: { type: Pos, fields: false, value: { X: 1, Y: 2 } }
  Way: { type: Pos, array: [2, 2], write: true, value: [[{ X: 1, Y: 2 }, { X: 3, Y: 4 }], [{ X: 5, Y: 6 }, { X: 7, Y: 8 }]] }
  Cube: { type: Int32, array: [2, 2, 2], write: true, value: [[[1, 2], [3, 4]], [[5, 6], [7, 8]]] }
"#;

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

/// The value of `A` as it goes over the wire, with another count.
fn batch(encoding: u32, id: &str, count: u32, x: f32) -> Value {
    let mut w = Writer::new();
    w.u8(22);
    w.node_id(NodeIdRef::numeric(2, encoding));
    w.u8(1);
    let mut body = Writer::new();
    body.text(id);
    body.u32(count);
    body.u32(count.wrapping_mul(2));
    body.f32(x);
    body.f32(0.5);
    w.bytes(Some(&body.buf));
    Value::Wire(w.buf.into())
}

/// The id of the encoding, as the value itself has it.
fn encoding_of(client: &mut Session, path: &str) -> u32 {
    let Some(Value::Wire(bytes)) = client.read_value(tag(path)).value else { panic!("a structure") };
    // Variant, then a numeric NodeId of four bytes after the index.
    u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"))
}

#[test]
fn the_whole_is_written_or_nothing_of_it() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let encoding = encoding_of(&mut client, "A");
    let pos = encoding_of(&mut client, "A.Pos");
    for (case, value, status) in [
        ("fits", batch(encoding, "b", 7, 3.5), StatusCode::Good),
        ("another encoding", batch(pos, "b", 8, 3.5), StatusCode::BadTypeMismatch),
        ("a text too long", batch(encoding, "bbbbb", 8, 3.5), StatusCode::BadOutOfRange),
        ("outside its range", batch(encoding, "b", 8, 1000.5), StatusCode::BadOutOfRange),
        ("another type", Value::UInt32(8), StatusCode::BadTypeMismatch),
        ("no value", Value::Null, StatusCode::BadTypeMismatch),
    ] {
        assert_eq!(client.write(tag("A"), &value), status, "{case}");
        assert_eq!(client.read_value(tag("A.Count")).value, Some(Value::UInt32(7)), "{case}");
    }
    assert_eq!(client.read_value(tag("A")).value, Some(batch(encoding, "b", 7, 3.5)));
    for (path, value, status) in [
        ("A.Pos.X", Value::Float(9.5), StatusCode::Good),
        ("A.Pos.X", Value::Float(1000.5), StatusCode::BadOutOfRange),
        ("A.Pos.X", Value::Double(9.5), StatusCode::BadTypeMismatch),
        ("A.Id", Value::text("ccccc"), StatusCode::BadOutOfRange),
        ("A.Nothing", Value::UInt32(1), StatusCode::BadNodeIdUnknown),
        ("Flat.X", Value::Float(1.0), StatusCode::BadNodeIdUnknown),
    ] {
        assert_eq!(client.write(tag(path), &value), status, "{path}");
    }
    assert_eq!(client.read_value(tag("A")).value, Some(batch(encoding, "b", 7, 9.5)));
}

#[test]
fn value_and_times_of_all_parts_are_of_one_sample_within_a_read() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let encoding = encoding_of(&mut client, "A");
    let (address, is_done) = (server.address, Arc::new(AtomicBool::new(false)));
    let writer = std::thread::spawn({
        let is_done = Arc::clone(&is_done);
        move || {
            let mut client = Session::open(address);
            let mut count = 0;
            while !is_done.load(Ordering::Relaxed) {
                count += 1;
                assert_eq!(client.write(tag("A"), &batch(encoding, "w", count, 1.0)), StatusCode::Good);
            }
            count
        }
    });
    let value = AttributeId::Value as u32;
    let nodes = [(tag("A.Twice"), value), (tag("A"), value), (tag("A.Count"), value), (tag("A.Pos"), value)];
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 300 {
        let read = client.read(&nodes);
        let (Some(Value::UInt32(twice)), Some(Value::UInt32(count))) = (&read[0].value, &read[2].value) else {
            panic!("{read:?}")
        };
        if *count > 1 {
            assert_eq!(read[1].value, Some(batch(encoding, "w", *count, 1.0)));
        }
        assert_eq!(*twice, count * 2);
        assert!(read.iter().all(|one| one.source_time == read[0].source_time && one.status.is_none()), "{read:?}");
        seen.insert(*count);
    }
    is_done.store(true, Ordering::Relaxed);
    assert!(writer.join().expect("no panic") > 300);
}

#[test]
fn an_item_of_a_field_hears_its_changes_alone() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(20.0, 1_000, 10);
    let items = [(tag("A"), 0), (tag("A.Pos.X"), 1), (tag("A.Count"), 2)];
    client.monitor(subscription, &items, 0.0, 10);
    assert_eq!(client.next_data().data.len(), 3);
    assert_eq!(client.write(tag("A.Pos.X"), &Value::Float(5.0)), StatusCode::Good);
    let heard: Vec<u32> = client.next_data().data.iter().map(|(handle, _)| *handle).collect();
    assert_eq!(heard, [0, 1]);
    let encoding = encoding_of(&mut client, "A");
    assert_eq!(client.write(tag("A"), &batch(encoding, "z", 50, 5.0)), StatusCode::Good);
    let data = client.next_data().data;
    let heard: Vec<u32> = data.iter().map(|(handle, _)| *handle).collect();
    assert_eq!(heard, [0, 2]);
    assert!(data.iter().all(|(_, one)| one.source_time == data[0].1.source_time));
}

#[test]
fn blocks_of_arrays_of_any_rank_are_read_and_written() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let block = Value::Array(Arc::new(opcell::value::Array {
        elements: Elements::Int32(vec![60, 80]),
        dimensions: vec![1, 2, 1],
    }));
    assert_eq!(client.write_range(tag("Cube"), Some("1,0:1,1"), &block), StatusCode::Good);
    let Some(Value::Array(cube)) = client.read_value(tag("Cube")).value else { panic!("a cube") };
    assert_eq!(cube.elements, Elements::Int32(vec![1, 2, 3, 4, 5, 60, 7, 80]));
    assert_eq!(cube.dimensions, [2, 2, 2]);
    for range in ["2,0,0", "0:1,0", "0,0,0,0"] {
        assert_eq!(client.write_range(tag("Cube"), Some(range), &block), StatusCode::BadIndexRangeNoData, "{range}");
    }
    let flat = Value::array(Elements::Int32(vec![0; 8]));
    assert_eq!(client.write(tag("Cube"), &flat), StatusCode::BadTypeMismatch, "it has other dimensions");
    // An element of a matrix of structures.
    let one = encoding_of(&mut client, "A.Pos");
    let mut w = Writer::new();
    w.u8(22);
    w.node_id(NodeIdRef::numeric(2, one));
    w.u8(1);
    w.bytes(Some(&[70_f32.to_le_bytes(), 80_f32.to_le_bytes()].concat()));
    assert_eq!(client.write_range(tag("Way"), Some("1,1"), &Value::Wire(w.buf.into())), StatusCode::Good);
    let Some(Value::Wire(way)) = client.read_value(tag("Way")).value else { panic!("structures") };
    let wanted = [5_f32, 6.0, 70.0, 80.0].map(f32::to_le_bytes);
    let bodies: Vec<&[u8]> = way.windows(8).collect();
    assert!(bodies.contains(&&wanted[..2].concat()[..]) && bodies.contains(&&wanted[2..].concat()[..]));
}

#[test]
fn a_structure_outlives_a_restart_and_another_layout_begins_again() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let encoding = encoding_of(&mut client, "A");
    assert_eq!(client.write(tag("A.Count"), &Value::UInt32(77)), StatusCode::Good);
    client.close();
    let server = server.restart();
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(tag("A.Count")).value, Some(Value::UInt32(77)));
    assert_eq!(encoding_of(&mut client, "A"), encoding, "it is pinned");
    let subscription = client.subscribe(20.0, 1_000, 10);
    client.monitor(subscription, &[(tag("A.Count"), 0), (tag("A.Twice"), 1)], 0.0, 10);
    client.next_data();
    // A field more, before the others: their places are others now.
    let more = CELL
        .replace("{ Id: {", "{ New: Byte, Id: {")
        .replace("{ Id: a", "{ New: 3, Id: a")
        .replace(", Twice: UInt32", "");
    let more = more.replace(", Twice: 2", "");
    let answer = server.reload(&more);
    assert_eq!(answer.report.result, ReloadResult::Applied, "{}", answer.text);
    assert_ne!(encoding_of(&mut client, "A"), encoding, "an old decoder must not read it");
    assert_eq!(client.read_value(tag("A.New")).value, Some(Value::Byte(3)));
    assert_eq!(client.read_value(tag("A.Count")).value, Some(Value::UInt32(1)));
    let mut heard = std::collections::HashMap::new();
    while heard.len() < 2 {
        heard.extend(client.next_data().data);
    }
    assert_eq!(heard[&0].value, Some(Value::UInt32(1)));
    assert_eq!(heard[&1].status, Some(StatusCode::BadNodeIdUnknown));
    assert_eq!(client.write(tag("A"), &batch(encoding, "b", 7, 3.5)), StatusCode::BadTypeMismatch);
}

#[test]
fn another_range_of_a_field_leaves_the_value_of_a_memory_tag() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    assert_eq!(client.write(tag("A.Pos.Y"), &Value::Float(8.0)), StatusCode::Good);
    let answer = server.reload(&CELL.replace("[0, 1000]", "[0, 2000]"));
    assert_eq!(answer.report.result, ReloadResult::Applied, "{}", answer.text);
    assert_eq!(client.read_value(tag("A.Pos.Y")).value, Some(Value::Float(8.0)), "no scale touches it");
    assert_eq!(client.write(tag("A.Pos.X"), &Value::Float(1_500.0)), StatusCode::Good);
}
