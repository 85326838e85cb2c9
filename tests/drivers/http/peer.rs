//! Every kind of value, login and refusal, at a device on Python's own HTTP server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use opcell::testing::model::TagId;
use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::peers::Peer;
use testkit::plant::Bench;
use testkit::until::until_async;

use super::{cell, start};

/// The device, and the requests that it got.
struct Device {
    peer: Peer,
    port: u16,
    told: Arc<Mutex<Vec<String>>>,
}

impl Device {
    fn start(port: u16) -> Device {
        let mut child = Command::new("python3")
            .arg("tests/peers/http_server.py")
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port = lines.next().expect("a line").expect("text").parse().expect("a port");
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&told);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| kept.lock().expect("no panic").push(line));
        });
        Device { peer: Peer(child), port, told }
    }

    fn count(&self, request: &str) -> usize {
        self.told.lock().expect("no panic").iter().filter(|line| line.starts_with(request)).count()
    }
}

fn reason(bench: &Bench, name: &str) -> String {
    bench.tags.reason(TagId(bench.tag(name))).map_or(String::new(), |why| why.to_string())
}

#[tokio::test]
async fn values_of_each_form_are_read() {
    let device = Device::start(0);
    let bench = Bench::of_cell(&cell(
        device.port,
        ", requests: { port1: { path: /, body: '{\"code\":\"request\",\"cid\":1,\"adr\":\"/iolinkmaster/port[1]/iolinkdevice/pdin/getdata\"}' } }",
        "Temp: { type: Double, source: { address: /status, json: /temps/0, time: /ts, quality: /ok } }
        Temps: { type: Float, array: 3, source: { address: /status, json: /temps } }
        Name: { type: String, length: 20, source: { address: /status, json: /name } }
        Text: { type: Double, source: /text }
        Raw: { type: Int16, source: { address: /raw, raw_type: int16, byte: 2 } }
        Csv: { type: Double, source: { address: /csv, payload: csv, column: 3 } }
        Level: { type: Float, source: { address: port1, json: /data/value, encoding: hex, raw_type: int16 }, scale: { factor: 0.1 } }
        Here: { type: Double, source: /here }
        Query: { type: Double, source: { address: \"/status?unit=3\", json: /temps/1 } }",
    ));
    for (name, wanted) in [
        ("Temp", Value::Double(21.5)),
        ("Temps", Value::array(Elements::Float(vec![21.5, 22.25, 23.0]))),
        ("Name", Value::text("oven 7")),
        ("Text", Value::Double(42.5)),
        ("Raw", Value::Int16(-500)),
        ("Csv", Value::Double(3.5)),
        ("Level", Value::Float(23.5)),
        ("Here", Value::Double(42.5)),
        ("Query", Value::Double(22.25)),
    ] {
        let sample = bench.until(bench.tag(name), "Good", |sample| sample.status.is_good()).await;
        assert_eq!(sample.value, wanted, "{name}");
    }
    let asked = device.count("GET /status ");
    let texts = device.count("GET /text");
    assert!(asked <= texts, "three tags share one request: {asked} of {texts}");
    bench.stop().await;
}

#[tokio::test]
async fn refusals_are_about_the_tags_of_their_request() {
    let device = Device::start(0);
    let bench = start(
        device.port,
        "Good: { type: Double, source: /text }
        Absent: { type: Double, source: /absent }
        Member: { type: Double, source: { address: /status, json: /nix } }
        None: { type: Double, source: { address: /status, json: /none } }
        Word: { type: Double, source: { address: /status, json: /name } }
        Empty: { type: Double, source: /empty }
        Later: { type: Double, source: /later }
        Huge: { type: String, length: 9, source: /huge }
        Elsewhere: { type: Double, source: /elsewhere }
        Denied: { type: Double, source: /code/403 }
        Failed: { type: Double, source: /code/500 }",
    );
    for (name, status, why) in [
        ("Absent", StatusCode::BadConfigurationError, "/absent: there is no such path (HTTP 404 Not Found)"),
        ("Member", StatusCode::BadConfigurationError, "the answer of /status has no /nix; it has"),
        ("None", StatusCode::BadSensorFailure, "null"),
        ("Word", StatusCode::BadDataEncodingInvalid, "oven 7"),
        ("Empty", StatusCode::BadNoData, "empty"),
        ("Later", StatusCode::BadResourceUnavailable, "429"),
        ("Huge", StatusCode::BadDataEncodingInvalid, "longer than 4 MiB"),
        ("Elsewhere", StatusCode::BadConfigurationError, "the server sends this request elsewhere"),
        ("Denied", StatusCode::BadUserAccessDenied, "HTTP 403"),
        ("Failed", StatusCode::BadDeviceFailure, "HTTP 500"),
    ] {
        bench.until_status(bench.tag(name), status).await;
        let said = reason(&bench, name);
        assert!(said.contains(why), "{name}: {said}");
    }
    bench.until(bench.tag("Good"), "Good", |sample| sample.status.is_good()).await;
    let later = device.count("GET /later");
    let texts = device.count("GET /text ");
    until_async("more polls", || device.count("GET /text ") > texts + 5).await;
    assert_eq!(device.count("GET /later"), later, "Retry-After is kept");
    bench.stop().await;
}

#[tokio::test]
async fn writes_have_the_answer_of_the_server() {
    let device = Device::start(0);
    let bench = start(
        device.port,
        "Set: { type: Double, source: { address: /status, json: /set, write: true, publish: PUT /set, body: '{\"set\":{value}}' } }
        Open: { type: Boolean, source: { address: /status, json: /open, write: true, publish: PUT /open } }
        Fails: { type: Double, source: { address: /status, json: /set, write: true, publish: PUT /fails } }
        Absent: { type: Double, source: { address: /status, json: /set, write: true, publish: PUT /absent } }",
    );
    let tag = |name: &str| bench.tag(name);
    bench.until(tag("Set"), "Good", |sample| sample.status.is_good()).await;
    assert_eq!(bench.write(tag("Set"), &Value::Double(55.5)).await, StatusCode::Good);
    bench.until(tag("Set"), "what was written", |sample| sample.value == Value::Double(55.5)).await;
    assert_eq!(bench.write(tag("Open"), &Value::Boolean(true)).await, StatusCode::Good);
    bench.until(tag("Open"), "open", |sample| sample.value == Value::Boolean(true)).await;
    assert_eq!(bench.write(tag("Set"), &Value::Double(95.0)).await, StatusCode::BadConfigurationError);
    assert_eq!(bench.write(tag("Fails"), &Value::Double(1.0)).await, StatusCode::BadDeviceFailure);
    assert_eq!(bench.write(tag("Absent"), &Value::Double(1.0)).await, StatusCode::BadConfigurationError);
    assert_eq!(device.count("PUT /set {\"set\":55.5}"), 1, "{:?}", device.told.lock());
    bench.stop().await;
}

#[tokio::test]
async fn logins_etags_and_headers_are_those_of_the_server() {
    let device = Device::start(0);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "secret\n").expect("written");
    std::fs::write(folder.path().join("key"), "cret\n").expect("written");
    let text = cell(
        device.port,
        ", user: plant, password: \"${file:password}\", headers: { X-Key: \"s3${file:key}\" }",
        "Basic: { type: Int32, source: { address: /basic, json: /v } }
        Digest: { type: Int32, source: { address: /digest, json: /v } }
        Key: { type: Int32, source: { address: /key, json: /v } }
        Etag: { type: Int32, source: { address: /etag, json: /v } }",
    );
    let file = folder.path().join("cell.yaml");
    std::fs::write(&file, text.replace("Digest:", "#")).expect("written");
    let bench = Bench::of_file(&file);
    for (name, wanted) in [("Basic", 1), ("Key", 3), ("Etag", 7)] {
        let sample = bench.until(bench.tag(name), "Good", |sample| sample.status.is_good()).await;
        assert_eq!(sample.value, Value::Int32(wanted), "{name}");
    }
    let etags = device.count("GET /etag");
    until_async("more of them", || device.count("GET /etag") > etags + 5).await;
    assert_eq!(bench.sample(bench.tag("Etag")).value, Value::Int32(7), "not modified is a fresh answer");
    assert!(bench.sample(bench.tag("Etag")).status.is_good());
    bench.stop().await;
    std::fs::write(&file, text.replace("Basic:", "#")).expect("written");
    let bench = Bench::of_file(&file);
    let sample = bench.until(bench.tag("Digest"), "Good", |sample| sample.status.is_good()).await;
    assert_eq!(sample.value, Value::Int32(2));
    bench.stop().await;
}

#[tokio::test]
async fn a_server_comes_goes_and_comes_back() {
    let device = Device::start(0);
    let port = device.port;
    drop(device);
    let bench = start(port, "Text: { type: Double, source: /text }");
    let tag = bench.tag("Text");
    bench.until_status(tag, StatusCode::BadNotConnected).await;
    let device = Device::start(port);
    bench.until(tag, "Good", |sample| sample.status.is_good()).await;
    device.peer.signal("-STOP");
    let frozen = bench.until(tag, "Bad", |sample| sample.status.is_bad()).await;
    assert!([StatusCode::BadTimeout, StatusCode::BadNoCommunication].contains(&frozen.status), "{frozen:?}");
    device.peer.signal("-CONT");
    bench.until(tag, "Good", |sample| sample.status.is_good()).await;
    drop(device);
    bench.until_status(tag, StatusCode::BadNoCommunication).await;
    let _device = Device::start(port);
    bench.until(tag, "Good", |sample| sample.status.is_good()).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_thousand_tags_of_one_request_and_a_reload() {
    let device = Device::start(0);
    let nodes = |first: usize| {
        (0..1000)
            .map(|n| {
                let at = if n == 0 { first } else { n };
                format!("T{n}: {{ type: Int32, source: {{ address: /many, json: /v/{at} }} }}\n")
            })
            .collect::<String>()
    };
    let mut bench = start(device.port, &nodes(0));
    for n in [0, 500, 999] {
        let sample = bench.until(bench.tag(&format!("T{n}")), "Good", |sample| sample.status.is_good()).await;
        assert_eq!(sample.value, Value::Int32(n));
    }
    bench.change_cell(&cell(device.port, "", &nodes(7)), 2);
    let first = bench.tag("T0");
    bench.until(first, "another member", |sample| sample.value == Value::Int32(7)).await;
    assert_eq!(bench.links[0].snapshot().reconnects, 0, "the connection stayed open");
    bench.stop().await;
}
