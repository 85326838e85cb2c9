//! Structures in the answers of a web server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opcell::value::Value;
use opcua::StatusCode;
use testkit::plant::Bench;

use super::cell;

const TYPES: &str = r#"types:
  enums: { Mode: { 0: "Off", 1: Auto } }
  structs:
    Pos: { X: Float, Y: { type: Float, at: /y-axis } }
    Batch: { Id: String, Mode: Mode, Pos: { type: Pos, at: /place }, Weights: { type: Int32, array: 2 }, Deep: { type: UInt16, at: /more/deep } }
"#;

const BATCH: &str = "Batch: { type: Batch, source: { address: /batch, json: /b, write: true, publish: PUT /batch, body: '{\"b\": {value}}' } }";

/// A server that gives what it has, and keeps what it is sent.
fn serve(content: &Arc<Mutex<String>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let content = Arc::clone(content);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let content = Arc::clone(&content);
            std::thread::spawn(move || answer(stream, &content));
        }
    });
    port
}

fn answer(mut stream: TcpStream, content: &Mutex<String>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if let Some((name, value)) =
                header.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                assert_eq!(name.len(), 14);
                length = value.trim().parse().ok()?;
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if line.starts_with("PUT") {
            *content.lock().ok()? = String::from_utf8(body).ok()?;
        }
        let now = content.lock().ok()?.clone();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{now}", now.len()).ok()?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_a_structure_and_a_member_that_is_missing_is_no_value() {
    let whole = r#"{"b": {"Id": "a", "Mode": "Auto", "place": {"X": 1.5, "y-axis": 2}, "Weights": [3, 4], "more": {"deep": 5}}}"#;
    let content = Arc::new(Mutex::new(whole.to_owned()));
    let port = serve(&content);
    let bench = Bench::of_cell(&cell(port, "", BATCH).replace("nodes:\n", &format!("{TYPES}nodes:\n")));
    let of = |path: &str| bench.sample(bench.tag(path));
    let read = bench.until_status(bench.tag("Batch"), StatusCode::Good).await;
    assert_eq!(read.value.shown(), r#"{ Id: "a", Mode: 1, Pos: { X: 1.5, Y: 2 }, Weights: [3, 4], Deep: 5 }"#);
    for (message, status, id, deep) in [
        (
            r#"{"b": {"Id": "b", "Mode": 0, "place": {"X": 1, "y-axis": 2}, "Weights": [3, 4]}}"#,
            StatusCode::BadNoData,
            Ok("b"),
            Err(StatusCode::BadNoData),
        ),
        (
            r#"{"b": {"Id": null, "Mode": 0, "place": {"X": 1, "y-axis": 2}, "Weights": [3, 4], "more": {"deep": 6}}}"#,
            StatusCode::BadSensorFailure,
            Err(StatusCode::BadSensorFailure),
            Ok(6),
        ),
        (
            r#"{"b": {"Id": "c", "Mode": 7, "place": {"X": 1, "y-axis": 2}, "Weights": [3, 4], "more": {"deep": 6}}}"#,
            StatusCode::BadDataEncodingInvalid,
            Ok("c"),
            Ok(6),
        ),
        (
            r#"{"b": [1]}"#,
            StatusCode::BadDataEncodingInvalid,
            Err(StatusCode::BadDataEncodingInvalid),
            Err(StatusCode::BadDataEncodingInvalid),
        ),
    ] {
        message.clone_into(&mut content.lock().expect("lock"));
        bench.until_status(bench.tag("Batch"), status).await;
        let result = |sample: &opcell::value::Sample| {
            if sample.status.is_bad() { Err(sample.status) } else { Ok(sample.value.clone()) }
        };
        let id = id.map(Value::text);
        bench.until(bench.tag("Batch.Id"), message, |sample| result(sample) == id).await;
        assert_eq!(result(&of("Batch.Deep")), deep.map(Value::UInt16), "{message}");
    }
    whole.clone_into(&mut content.lock().expect("lock"));
    bench.until_status(bench.tag("Batch"), StatusCode::Good).await;
    assert_eq!(bench.write(bench.tag("Batch.Deep"), &Value::UInt16(1)).await, StatusCode::BadNotWritable);
    let Value::Struct(value) = of("Batch").value else { panic!("a structure") };
    let changed = value.with_part(6, Value::UInt16(77)).expect("Deep");
    assert_eq!(bench.write(bench.tag("Batch"), &Value::Struct(Arc::new(changed))).await, StatusCode::Good);
    assert_eq!(
        *content.lock().expect("lock"),
        r#"{"b": {"Id":"a","Mode":1,"place":{"X":1.5,"y-axis":2},"Weights":[3,4],"more":{"deep":77}}}"#
    );
    bench.until(bench.tag("Batch.Deep"), "77", |sample| sample.value == Value::UInt16(77)).await;
    bench.stop().await;
}
