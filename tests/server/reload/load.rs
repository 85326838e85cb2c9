//! Reloads under load: a device that counts its connections and numbers its replies, and a client that takes every sample.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use opcell::testing::drivers::modbus::Framing;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::server::TestServer;
use testkit::slave::{Does, Faults, Slave};
use testkit::ua::Session;
use tokio::runtime::Runtime;

/// Registers that stay, the period of their polls in milliseconds, and reloads, in CI; `OPCELL_ITEMS`, `OPCELL_POLL` and
/// `OPCELL_RELOADS` for more.
const ITEMS: usize = 300;
const POLL: usize = 50;
const RELOADS: usize = 100;
/// Registers of one request.
const BLOCK: usize = 100;

fn wanted(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Numbers its replies: each read of a block shows the next number in every register of it.
fn numbering(slave: &Arc<Slave>) {
    let count = |pdu: &[u8], words: &mut Vec<u16>| {
        let (start, many) = (u16::from_be_bytes([pdu[1], pdu[2]]), u16::from_be_bytes([pdu[3], pdu[4]]));
        for word in &mut words[usize::from(start)..usize::from(start) + usize::from(many)] {
            *word = word.wrapping_add(1);
        }
        Does::Answer
    };
    *slave.words.lock().expect("lock") = vec![0; 65_536];
    *slave.script.lock().expect("lock") = Some(Box::new(count));
}

/// The registers that stay, one that comes and goes, and a memory tag that changes each time.
fn cell(port: u16, items: usize, poll: usize, turn: usize) -> String {
    let mut text = format!(
        "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n  plc: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port}, \
         max_registers: {BLOCK}, max_gap: 0, timeout: 5s }}\ndefaults: {{ poll: {poll}ms, stale_after: 20s }}\nnodes:\n  \
         Turn: {{ type: Int32, value: {turn} }}\n"
    );
    if turn % 2 == 1 {
        writeln!(text, "  Comes{turn}: {{ type: UInt16, source: holding/{} }}", 60_000 + turn % 7 * 20)
            .expect("a String takes all");
    }
    for n in 0..items {
        // A gap after each block, so that blocks are the same in each plan.
        let register = n / BLOCK * (BLOCK + 1) + n % BLOCK;
        writeln!(text, "  T{n}: {{ type: UInt16, source: holding/{register} }}").expect("a String takes all");
    }
    text
}

/// What a client heard: the last number of each item, and the longest time between two messages.
struct Heard {
    last: Vec<Option<u16>>,
    samples: usize,
    longest: Duration,
    at: Instant,
}

impl Heard {
    fn take(&mut self, client: &mut Session) {
        let publication = client.publish(&[]).expect("a message");
        self.longest = self.longest.max(self.at.elapsed());
        self.at = Instant::now();
        for (handle, value) in publication.data {
            let status = value.status.unwrap_or(StatusCode::Good);
            let last = &mut self.last[handle as usize];
            let Some(Value::UInt16(number)) = value.value else {
                assert_eq!((status, *last), (StatusCode::BadWaitingForInitialData, None), "item {handle}");
                continue;
            };
            assert_eq!(status, StatusCode::Good, "item {handle}");
            let next = last.map_or(number, |last| last.wrapping_add(1));
            assert_eq!(number, next, "item {handle} misses a sample, or has one twice");
            *last = Some(number);
            self.samples += 1;
        }
    }
}

#[expect(clippy::print_stdout, reason = "figures of a measurement")]
#[test]
fn untouched_tags_lose_no_sample_over_a_hundred_reloads() {
    let (items, poll, reloads) =
        (wanted("OPCELL_ITEMS", ITEMS), wanted("OPCELL_POLL", POLL), wanted("OPCELL_RELOADS", RELOADS));
    let runtime = Runtime::new().expect("a runtime");
    let slave = Slave::new();
    numbering(&slave);
    let listening = runtime.block_on(slave.listen(Framing::Tcp, Faults::none()));
    let server = TestServer::start(&cell(listening.port, items, poll, 0));
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(20.0, 1_000, 100);
    let paths: Vec<String> = (0..items).map(|n| format!("T{n}")).collect();
    let nodes: Vec<(NodeIdRef<'_>, u32)> = (0..).zip(&paths).map(|(n, path)| (NodeIdRef::string(2, path), n)).collect();
    let made: Vec<_> = nodes.chunks(1_000).flat_map(|part| client.monitor(subscription, part, 0.0, 1_000)).collect();
    assert!(made.iter().all(|(status, _)| status.is_good()));
    let mut heard = Heard { last: vec![None; items], samples: 0, longest: Duration::ZERO, at: Instant::now() };
    while heard.last.iter().any(Option::is_none) {
        heard.take(&mut client);
    }
    let (mut slowest, before) = (0, heard.samples);
    std::thread::scope(|scope| {
        let reloading = scope.spawn(|| {
            let applied = (1..=reloads).map(|turn| {
                let report = server.reload(&cell(listening.port, items, poll, turn)).report;
                assert_eq!(report.connections.kept, ["press:plc"], "{report:?}");
                assert_eq!(report.nodes.untouched, items, "{report:?}");
                report.apply_ms
            });
            applied.max().unwrap_or_default()
        });
        while !reloading.is_finished() {
            heard.take(&mut client);
        }
        slowest = reloading.join().expect("all reloads are applied");
    });
    assert!(heard.samples > before + items, "{} samples", heard.samples);
    assert_eq!(slave.connections.load(Ordering::Relaxed), 1);
    let (samples, longest) = (heard.samples, heard.longest.as_millis());
    let figures = format!("slowest swap {slowest} ms, longest wait of the client {longest} ms");
    println!("{items} items, {samples} samples, {reloads} reloads: {figures}");
    client.close();
}
