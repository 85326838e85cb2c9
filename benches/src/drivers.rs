//! CPU time of the server for one tag update, by driver: 1,000 tags ten times a second, nobody subscribed.
//!
//! The devices run in this process, and their time does not count. `idle` is the same connection with one tag asked once a
//! minute: what a link costs that has nothing to do.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcell::testing::drivers::modbus::Framing;
use tempfile::TempDir;
use testkit::logix::Logix;
use testkit::plc::Plc;
use testkit::slave::Slave;
use testkit::{plc, slave};
use tokio::runtime::Runtime;

use crate::cell;
use crate::process::ServerProcess;
use crate::rows::{Table, server, server_in};

const TAGS: usize = 1_000;
const RUN: Duration = Duration::from_secs(10);

/// Lines of a cell: the connection's keys, and the source of tag `n`.
struct Plan<'a> {
    name: &'static str,
    connection: String,
    kind: &'static str,
    source: &'a dyn Fn(usize) -> String,
    /// Requests or messages that the device has seen so far.
    seen: &'a dyn Fn() -> u64,
    /// The content of the file that the connection names.
    file: &'a str,
}

impl Plan<'_> {
    fn cell(&self, tags: usize, poll: &str) -> String {
        let poll = if self.name == "replay" { String::new() } else { format!(", poll: {poll}") };
        let mut text = format!(
            "schema: 1\ncell: bench\nconnections:\n  it: {{ driver: {}, {} }}\ndefaults: {{ connection: it{poll} }}\nnodes:\n",
            self.name, self.connection
        );
        for n in 0..tags {
            let source = (self.source)(n);
            writeln!(text, "  T{n}: {{ type: {}, source: {source} }}", self.kind).expect("a String takes all");
        }
        text
    }

    fn start(&self, tags: usize, poll: &str) -> (TempDir, ServerProcess) {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("rows.csv"), self.file).expect("written");
        server_in(dir, &self.cell(tags, poll))
    }

    fn measure(&self, table: &mut Table) {
        let (_dir, process) = self.start(TAGS, "100ms");
        let (cpu, seen) = self.over(&process, RUN);
        let updates = TAGS as f64 * RUN.as_secs_f64() * 10.0;
        let each = cpu.as_secs_f64() * 1e6 / updates;
        let scan = seen as f64 / (RUN.as_secs_f64() * 10.0);
        drop(process);
        let (_dir, process) = self.start(1, "1min");
        let (idle, _) = self.over(&process, RUN);
        let idle = idle.as_secs_f64() * 1e3 / RUN.as_secs_f64();
        let figures = format!("{each:9.3} µs/update, {scan:.1} messages a scan, idle {idle:.2} ms/s");
        table.line(&format!("{}: 1,000 tags at 10 Hz", self.name), &figures);
    }

    /// CPU time of the server, and messages that its device saw.
    fn over(&self, process: &ServerProcess, span: Duration) -> (Duration, u64) {
        std::thread::sleep(Duration::from_secs(2));
        let (cpu, seen) = (process.cpu(), (self.seen)());
        std::thread::sleep(span);
        (process.cpu() - cpu, (self.seen)() - seen)
    }
}

pub fn run(table: &mut Table) {
    let runtime = Runtime::new().expect("a runtime");
    let none = || 0;
    let waves = |_: usize| "\"sine(mean=50, amp=50, period=10s)\"".to_owned();
    let plan =
        Plan { name: "simulator", connection: "seed: 1".into(), kind: "Double", source: &waves, seen: &none, file: "" };
    plan.measure(table);
    replay(table);
    modbus(table, &runtime);
    s7(table, &runtime);
    ethernet_ip(table, &runtime);
    http(table);
    opcua(table);
}

fn replay(table: &mut Table) {
    let heads: Vec<String> = (0..TAGS).map(|n| format!("c{n}")).collect();
    let mut text = format!("time,{}\n", heads.join(","));
    for row in 0..100 {
        let values: Vec<String> = (0..TAGS).map(|n| (row * n % 977).to_string()).collect();
        writeln!(text, "{:.1},{}", f64::from(u32::try_from(row).expect("few")) / 10.0, values.join(","))
            .expect("a String");
    }
    let connection = "file: rows.csv".to_owned();
    let column = |n: usize| format!("c{n}");
    Plan { name: "replay", connection, kind: "Double", source: &column, seen: &|| 0, file: &text }.measure(table);
}

fn modbus(table: &mut Table, runtime: &Runtime) {
    let device = Slave::new();
    let listening = runtime.block_on(device.listen(Framing::Tcp, slave::Faults::none()));
    let connection = format!("host: 127.0.0.1, port: {}", listening.port);
    let register = |n: usize| (40_001 + n).to_string();
    let seen = || device.requests.load(Ordering::Relaxed);
    Plan { name: "modbus-tcp", connection, kind: "UInt16", source: &register, seen: &seen, file: "" }.measure(table);
}

fn s7(table: &mut Table, runtime: &Runtime) {
    let device = Plc::new();
    let listening = runtime.block_on(device.listen(plc::Faults::none()));
    let connection = format!("host: 127.0.0.1, port: {}", listening.port);
    let word = |n: usize| format!("DB1.DBD{}", n * 4);
    let seen = || device.requests.load(Ordering::Relaxed);
    Plan { name: "s7", connection, kind: "UInt32", source: &word, seen: &seen, file: "" }.measure(table);
}

fn ethernet_ip(table: &mut Table, runtime: &Runtime) {
    let device = Logix::new(u32::try_from(TAGS).expect("few"));
    let listening = runtime.block_on(device.listen(plc::Faults::none()));
    let connection = format!("host: 127.0.0.1, port: {}", listening.port);
    let tag = |n: usize| format!("T{n}");
    let seen = || device.requests.load(Ordering::Relaxed);
    Plan { name: "ethernet-ip", connection, kind: "Int32", source: &tag, seen: &seen, file: "" }.measure(table);
}

/// A web server with one answer of 1,000 numbers.
fn http(table: &mut Table) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&counting);
            std::thread::spawn(move || answer(&stream, &count));
        }
    });
    let connection = format!("url: \"http://127.0.0.1:{port}\"");
    let member = |n: usize| format!("{{ address: /all, json: /v/{n} }}");
    let seen = || count.load(Ordering::Relaxed);
    Plan { name: "http", connection, kind: "Double", source: &member, seen: &seen, file: "" }.measure(table);
}

fn answer(stream: &TcpStream, count: &AtomicU64) {
    let mut lines = BufReader::new(stream.take(u64::MAX)).lines();
    while let Some(Ok(line)) = lines.next() {
        if !line.is_empty() {
            continue;
        }
        let round = count.fetch_add(1, Ordering::Relaxed);
        let values: Vec<String> = (0..TAGS as u64).map(|n| format!("{}.5", (round + n) % 1_000)).collect();
        let body = format!("{{\"v\":[{}]}}", values.join(","));
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut stream = stream;
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// This server behind itself.
fn opcua(table: &mut Table) {
    let (_dir, source) = server(&cell::counters(TAGS));
    let connection = format!(
        "url: \"opc.tcp://{}\", policy: None, allow_unsecured: true, publish_every: 100ms, namespaces: {{ b: \"urn:opcell:bench\" }}",
        source.address
    );
    let node = |n: usize| format!("\"b:s={}\"", cell::tag(n));
    Plan { name: "opcua", connection, kind: "UInt32", source: &node, seen: &|| 0, file: "" }.measure(table);
}
