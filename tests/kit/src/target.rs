//! The program as an attacker meets it, while a healthy client listens to a changing value.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opcell::testing::stack::codec::NodeIdRef;
use tempfile::TempDir;

use crate::peers::Peer;
use crate::program;
use crate::ua::{self, Session};

const CELL: &str = "
schema: 1
cell: target
namespace: urn:test:target
connections:
  sim: { driver: simulator }
nodes:
  Count: { type: UInt32, source: \"counter(start=0, step=1, every=50ms)\", poll: 50ms }
  Number: { type: Int32, value: 5, write: true }
";
/// KiB that the whole attack may add to the process.
const GROWTH_KIB: u64 = 64 * 1024;
pub struct Target {
    program: Peer,
    pub address: SocketAddr,
    before_kib: u64,
    is_over: Arc<AtomicBool>,
    healthy: Option<JoinHandle<Vec<Duration>>>,
    dir: TempDir,
}

impl Target {
    /// The program, and a client that listens to a changing value all the while.
    pub fn start() -> Target {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("cell.yaml"), CELL).expect("written");
        let mut command = Command::new(program::path());
        command.args(["run", "cell.yaml", "--listen", "127.0.0.1:0"]).current_dir(dir.path());
        // The C library gives back at once what is free, so that memory which is still there is memory in use.
        command.env("MALLOC_ARENA_MAX", "1");
        command.env("MALLOC_TRIM_THRESHOLD_", "65536").env("MALLOC_MMAP_THRESHOLD_", "65536");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = Peer(command.spawn().expect("the program starts"));
        let mut lines = BufReader::new(program.0.stdout.take().expect("piped")).lines();
        let url = lines.find_map(|line| line.expect("UTF-8").strip_prefix("endpoint").map(|url| url.trim().to_owned()));
        let url = url.expect("it prints its endpoint");
        let address = url.strip_prefix("opc.tcp://").expect("a URL").parse().expect("an address");
        std::thread::spawn(move || lines.for_each(drop));
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let healthy = std::thread::spawn(move || listen(address, &over, &ready));
        is_ready.recv_timeout(ua::TIMEOUT).expect("the healthy client hears something");
        let before_kib = memory_kib(&program, "VmRSS:");
        Target { program, address, before_kib, is_over, healthy: Some(healthy), dir }
    }

    /// Ends the healthy client; the pauses between its messages, shortest first.
    pub fn pauses(&mut self) -> Vec<Duration> {
        self.is_over.store(true, Ordering::Relaxed);
        let healthy = self.healthy.take().expect("it was started");
        let mut pauses = healthy.join().expect("the healthy client heard all");
        pauses.sort();
        pauses
    }

    pub fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// KiB in memory before the attack and now.
    pub fn memory(&self) -> (u64, u64) {
        (self.before_kib, memory_kib(&self.program, "VmRSS:"))
    }

    /// Ends the attack: the program runs, has not grown, and the healthy client missed nothing.
    pub fn judge(mut self) {
        let pause = self.pauses().last().copied().unwrap_or_default();
        let peak = memory_kib(&self.program, "VmHWM:");
        assert!(pause < Duration::from_secs(3), "the healthy client heard nothing for {pause:?}");
        assert!(peak < self.before_kib + GROWTH_KIB, "{} KiB became {peak} KiB", self.before_kib);
        Session::open(self.address).close();
        assert!(self.program.0.try_wait().expect("our child").is_none(), "it runs");
    }
}

/// Publishes until it is over; returns the pauses between messages with data. No message is missing.
fn listen(address: SocketAddr, is_over: &AtomicBool, ready: &std::sync::mpsc::Sender<()>) -> Vec<Duration> {
    let mut client = Session::open(address);
    let subscription = client.subscribe(100.0, 1_000, 10);
    client.monitor(subscription, &[(NodeIdRef::string(2, "Count"), 1)], 0.0, 100);
    let (mut last, mut pauses, mut sequence) = (Instant::now(), Vec::new(), None);
    while !is_over.load(Ordering::Relaxed) {
        let heard = client.next_data();
        let acknowledge = [(subscription, heard.sequence)];
        assert!(sequence.is_none_or(|before: u32| heard.sequence == before + 1), "a message is missing");
        sequence = Some(heard.sequence);
        let next = client.publish(&acknowledge).expect("a message");
        sequence = if next.data.is_empty() { sequence } else { Some(next.sequence) };
        pauses.push(last.elapsed());
        last = Instant::now();
        if pauses.len() == 1 {
            ready.send(()).expect("the test waits for the first message");
        }
    }
    pauses
}

fn memory_kib(program: &Peer, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.0.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux has this line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
