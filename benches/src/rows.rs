//! The rows of the table.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcell::testing::pki::{OwnCertificate, OwnRequest};
use opcell::testing::stack::channel::{ClientSettings, Peer};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::{Identity, MessageSecurityMode, Policy};
use opcell::value::Value;
use opcua::AttributeId;
use tempfile::TempDir;

use crate::cell;
use crate::process::ServerProcess;
use testkit::request::{self, text_id};
use testkit::steps::HIERARCHICAL;
use testkit::ua::{self, Session};

const IN_FLIGHT: usize = 8;
const TAGS: usize = 10_000;
pub const POLICY: Policy = Policy::Basic256Sha256;

struct Row {
    name: &'static str,
    run: fn(&mut Table),
}

const ROWS: &[Row] = &[
    Row { name: "read", run: read },
    Row { name: "write", run: write },
    Row { name: "browse", run: browse },
    Row { name: "secure", run: secure },
    Row { name: "session", run: crate::sessions::run },
    Row { name: "handshakes", run: crate::handshakes::run },
    Row { name: "start", run: start },
    Row { name: "reload", run: crate::reload::run },
    Row { name: "drivers", run: crate::drivers::run },
    Row { name: "formulas", run: crate::formulas::run },
    Row { name: "items", run: items },
    Row { name: "lossless", run: lossless },
    Row { name: "create", run: create },
    Row { name: "audit", run: crate::audit::writes },
    Row { name: "timing", run: crate::timing::run },
    Row { name: "history", run: crate::history::run },
    Row { name: "history-ingest", run: crate::ingest::ingest },
    Row { name: "history-read", run: crate::wire::read },
    Row { name: "history-year", run: crate::wire::year },
];

/// Prints lines as they come.
#[derive(Default)]
pub struct Table;

impl Table {
    pub fn line(&mut self, work: &str, figure: &str) {
        println!("{work:56} {figure}");
    }

    pub fn per(&mut self, work: &str, cpu: Duration, count: usize, unit: &str) {
        let each = cpu.as_secs_f64() * 1e6 / count as f64;
        self.line(work, &format!("{each:9.3} µs/{unit}"));
    }
}

pub fn run(only: &[String]) {
    let mut table = Table;
    for row in ROWS {
        if only.is_empty() || only.iter().any(|name| name == row.name) {
            println!("-- {}", row.name);
            (row.run)(&mut table);
        }
    }
}

pub fn server(text: &str) -> (TempDir, ServerProcess) {
    server_in(tempfile::tempdir().expect("a folder"), text)
}

/// A server whose cell is in this folder.
pub fn server_in(dir: TempDir, text: &str) -> (TempDir, ServerProcess) {
    std::fs::write(dir.path().join("cell.yaml"), text).expect("written");
    let process =
        ServerProcess::start("opcell", &["run", "cell.yaml", "--listen", "127.0.0.1:0", "--log", "error"], dir.path());
    (dir, process)
}

/// Sends `requests` requests, eight in flight, and tells the server's CPU time.
pub fn pipelined(
    process: &ServerProcess,
    session: &mut Session,
    requests: usize,
    send: impl Fn(&mut Session),
) -> Duration {
    let mut run = |count: usize| {
        for _ in 0..IN_FLIGHT.min(count) {
            send(session);
        }
        session.client.flush().expect("sent");
        let mut sent = IN_FLIGHT.min(count);
        for _ in 0..count {
            session.client.receive(|_, body| assert!(body.len() > 20)).expect("an answer");
            if sent < count {
                send(session);
                session.client.flush().expect("sent");
                sent += 1;
            }
        }
    };
    run(requests / 10);
    let before = process.cpu();
    run(requests);
    process.cpu() - before
}

fn send_read(session: &mut Session, ids: &[String]) {
    let nodes: Vec<_> = ids.iter().map(|id| (text_id(id), AttributeId::Value as u32)).collect();
    session.send(request::read(&nodes)).expect("sent");
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|n| cell::tag(n * 7 % TAGS)).collect()
}

fn read(table: &mut Table) {
    let (_dir, ours) = server(&cell::memory(TAGS));
    let bare = ServerProcess::start("bench", &["floor-bare"], Path::new("."));
    let canned = ServerProcess::start("bench", &["floor-canned"], Path::new("."));
    for (count, requests) in [(1, 200_000), (100, 20_000), (1000, 4_000)] {
        let ids = ids(count);
        for (name, process, is_ours) in [("ours", &ours, true), ("bare", &bare, false), ("canned", &canned, false)] {
            let mut session = if is_ours {
                Session::open(process.address)
            } else {
                Session::connect(process.address, ua::unsecured()).expect("a channel")
            };
            let cpu = pipelined(process, &mut session, requests, |session| send_read(session, &ids));
            table.per(&format!("Read {count} a request, 8 in flight, {name}"), cpu, requests * count, "value");
        }
    }
}

fn write(table: &mut Table) {
    let (_dir, ours) = server(&cell::memory(TAGS));
    let mut session = Session::open(ours.address);
    let (ids, requests) = (ids(100), 10_000);
    let cpu = pipelined(&ours, &mut session, requests, |session| {
        let value = Value::Double(2.0);
        session
            .send(request::write(&ids.iter().map(|id| (text_id(id), None, &value)).collect::<Vec<_>>()))
            .expect("sent");
    });
    table.per("Write 100 a request, 8 in flight", cpu, requests * ids.len(), "value");
}

fn browse(table: &mut Table) {
    let (_dir, ours) = server(&cell::memory(TAGS));
    let mut session = Session::open(ours.address);
    let requests = 1_000;
    let cpu = pipelined(&ours, &mut session, requests, |session| {
        session.send(request::browse(&[text_id("Folder3")], HIERARCHICAL, 0)).expect("sent");
    });
    table.per("Browse 1,000 children", cpu, requests * cell::FOLDER, "reference");
}

/// A client's own certificate, trusted by the server of that folder.
pub fn client_identity(dir: &Path) -> Arc<Identity> {
    let identity = new_identity(&dir.join("client"));
    std::fs::write(dir.join("pki/trusted/bench.der"), identity.leaf()).expect("written");
    // The folder is watched; the first connection may come a little early.
    identity
}

pub fn new_identity(dir: &Path) -> Arc<Identity> {
    let request = OwnRequest {
        application_uri: "urn:opcell:bench".to_owned(),
        application_name: "bench".to_owned(),
        names: vec!["localhost".to_owned()],
        auto_names: false,
        key_bits: 2048,
        valid_for: Duration::from_secs(86_400),
        renew_before: Duration::from_secs(3_600),
    };
    OwnCertificate::load_or_make(dir, &request).expect("a certificate").identity
}

pub fn secure_settings(dir: &Path, identity: &Arc<Identity>) -> ClientSettings {
    let der = std::fs::read(dir.join("pki/own/certificate.der")).expect("the server's certificate");
    let peer = Arc::new(Peer::from_chain(POLICY, &der).expect("a certificate"));
    ua::secured(POLICY, MessageSecurityMode::SignAndEncrypt, identity, &peer)
}

fn open_secured(address: std::net::SocketAddr, dir: &Path, identity: &Arc<Identity>) -> Session {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut session = loop {
        match Session::connect(address, secure_settings(dir, identity)) {
            Ok(session) => break session,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        // The folder is watched; each attempt counts against the pace of this address.
        std::thread::sleep(Duration::from_millis(50));
    };
    session.create("urn:opcell:bench", identity.chain()).good();
    activate(&mut session, dir, identity);
    session
}

pub fn activate(session: &mut Session, dir: &Path, identity: &Arc<Identity>) {
    let der = std::fs::read(dir.join("pki/own/certificate.der")).expect("the server's certificate");
    let nonce = session.server_nonce.clone();
    let signature = identity.key().sign(POLICY, &[&der, &nonce]);
    let algorithm = POLICY.signature_uri().expect("a policy that signs");
    session.activate(Some((algorithm, &signature)), request::anonymous()).good();
}

fn secure(table: &mut Table) {
    let (dir, ours) = server(&cell::memory(TAGS));
    let identity = client_identity(dir.path());
    let mut session = open_secured(ours.address, dir.path(), &identity);
    let (ids, requests) = (ids(100), 10_000);
    let cpu = pipelined(&ours, &mut session, requests, |session| send_read(session, &ids));
    table.per("Read 100, Basic256Sha256 SignAndEncrypt", cpu, requests * ids.len(), "value");
}

fn start(table: &mut Table) {
    let (_dir, ours) = server(&cell::memory(100_000));
    let (now, peak) = ours.memory();
    table.line(
        "start with 100,000 variables, from the YAML file",
        &format!("{:9.0} ms", ours.start.as_secs_f64() * 1e3),
    );
    table.line("  CPU of it", &format!("{:9.0} ms", ours.cpu().as_secs_f64() * 1e3));
    table.line(
        "memory with 100,000 variables",
        &format!("{:9.1} MB ({:.1} MB at the peak)", now as f64 / 1024.0, peak as f64 / 1024.0),
    );
}

/// The tag that an item of this client handle watches.
fn names(count: usize) -> Vec<String> {
    (0..count).map(cell::tag).collect()
}

fn monitor(session: &mut Session, count: usize, queue: u32) -> u32 {
    let names = names(count);
    let subscription = session.subscribe(100.0, 1000, 100);
    for (at, part) in names.chunks(10_000).enumerate() {
        let items: Vec<(NodeIdRef<'_>, u32)> = part
            .iter()
            .zip(0u32..)
            .map(|(name, n)| (NodeIdRef::string(2, name), n + u32::try_from(at * 10_000).expect("few items")))
            .collect();
        let made = session.monitor(subscription, &items, 0.0, queue);
        assert!(made.iter().all(|(status, _)| status.is_good()), "every item is made");
    }
    subscription
}

/// How long the rows with subscriptions run, from BENCH_SECONDS (60).
fn seconds() -> Duration {
    Duration::from_secs(std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60))
}

/// What a subscriber saw of counters.
#[derive(Default)]
struct Seen {
    values: usize,
    lost: usize,
    last: Vec<Option<u32>>,
    /// KiB of the server, once a second.
    memory: Vec<u64>,
}

impl Seen {
    /// Publishes and acknowledges until the time is over.
    fn collect(
        process: &ServerProcess,
        session: &mut Session,
        subscription: u32,
        count: usize,
        until: Instant,
    ) -> Seen {
        let mut seen = Seen { last: vec![None; count], ..Seen::default() };
        let begun = Instant::now();
        for _ in 0..4 {
            session.ask_publish(&[]);
        }
        while Instant::now() < until {
            let publication = session.published().expect("a message");
            publication.data.iter().for_each(|(handle, value)| seen.note(*handle, value.value.as_ref()));
            session.ask_publish(&[(subscription, publication.sequence)]);
            if seen.memory.len() < begun.elapsed().as_secs() as usize {
                seen.memory.push(process.memory().0);
            }
        }
        seen
    }

    /// Counters go up by one: what is missing between two of them was lost.
    fn note(&mut self, handle: u32, value: Option<&Value>) {
        let Some(Value::UInt32(now)) = value else { panic!("{value:?} is no counter") };
        let slot = &mut self.last[handle as usize];
        self.lost += slot.map_or(0, |before| now.wrapping_sub(before).saturating_sub(1) as usize);
        *slot = Some(*now);
        self.values += 1;
    }

    fn print(&self, table: &mut Table, work: &str, cpu: Duration) {
        table.line(work, &format!("{} values in {:.0} s", self.values, seconds().as_secs_f64()));
        table.per("  a notification", cpu, self.values, "value");
        let (first, end) =
            (self.memory.get(self.memory.len() / 4).copied().unwrap_or(0), self.memory.last().copied().unwrap_or(0));
        table.line("  memory after a quarter of the time, at its end", &format!("{first} KiB, {end} KiB"));
    }
}

/// 10,000 simulated tags, polled ten times a second, to one client.
fn items(table: &mut Table) {
    let count = 10_000;
    let (_dir, ours) = server(&cell::counters(count));
    let idle = ours.cpu();
    std::thread::sleep(Duration::from_secs(5));
    let device = (ours.cpu() - idle) / 5;
    let mut session = Session::open(ours.address);
    let subscription = monitor(&mut session, count, 10);
    let before = ours.cpu();
    let seen = Seen::collect(&ours, &mut session, subscription, count, Instant::now() + seconds());
    let cpu = ours.cpu() - before;
    seen.print(table, "10,000 simulated items x 10/s", cpu);
    let without = cpu.saturating_sub(device.mul_f64(seconds().as_secs_f64()));
    table.per("  a notification, the device's own CPU taken off", without, seen.values, "value");
}

/// 10,000 tags that another client writes ten times a second: every single value must arrive.
fn lossless(table: &mut Table) {
    let count = 10_000;
    let (_dir, ours) = server(&cell::written(count));
    let mut session = Session::open(ours.address);
    let subscription = monitor(&mut session, count, 100);
    let until = Instant::now() + seconds();
    let address = ours.address;
    let writer = std::thread::spawn(move || write_counters(address, count, until));
    let before = ours.cpu();
    let mut seen = Seen::collect(&ours, &mut session, subscription, count, until);
    let written = writer.join().expect("the writer ends");
    // What was written last is still on its way.
    let deadline = Instant::now() + Duration::from_secs(10);
    while seen.last.iter().any(|last| *last != Some(written)) && Instant::now() < deadline {
        let publication = session.published().expect("a message");
        publication.data.iter().for_each(|(handle, value)| seen.note(*handle, value.value.as_ref()));
        session.ask_publish(&[(subscription, publication.sequence)]);
    }
    let cpu = ours.cpu() - before;
    seen.print(table, "10,000 items written 10/s by another client", cpu);
    let behind = seen.last.iter().filter(|last| **last != Some(written)).count();
    table.line("  lost", &format!("{} of {} written, {behind} items behind", seen.lost, written as usize * count));
    assert!(seen.lost == 0 && behind == 0, "values were lost");
}

/// Writes 1, 2, 3 … to all tags, ten times a second; tells the last number.
fn write_counters(address: std::net::SocketAddr, count: usize, until: Instant) -> u32 {
    let mut session = Session::open(address);
    let names = names(count);
    let mut number = 0;
    let mut next = Instant::now();
    while next < until {
        number += 1;
        for part in names.chunks(1000) {
            let value = Value::UInt32(number);
            let values: Vec<_> = part.iter().map(|name| (text_id(name), None, &value)).collect();
            let response = session.call(request::write(&values));
            assert!(response.result.is_good(), "{:?}", response.result);
        }
        next += Duration::from_millis(100);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    number
}

fn create(table: &mut Table) {
    let (_dir, ours) = server(&cell::memory(100_000));
    let mut session = Session::open(ours.address);
    let (begun, before) = (Instant::now(), ours.cpu());
    monitor(&mut session, 100_000, 1);
    let (wall, cpu) = (begun.elapsed(), ours.cpu() - before);
    table.line(
        "create 100,000 monitored items",
        &format!("{:9.0} ms CPU, {:.0} ms in all", cpu.as_secs_f64() * 1e3, wall.as_secs_f64() * 1e3),
    );
}
