//! A device that counts its polls, seen through sockets: no count is missing without an overflow bit, whatever the
//! sampling interval, and what the server says of its sampling is true.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;

use testkit::server::TestServer;
use testkit::ua::Session;

const OVERFLOW: u32 = 0x480;
/// Poll periods of the tags `Count0`, `Count1` …, in milliseconds; each lies far from the others.
const POLLS: [u64; 4] = [50, 100, 250, 500];

/// A Modbus device in which every register says how often a read began where this one did.
fn counting_device() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || count_polls(stream));
        }
    });
    port
}

fn count_polls(mut stream: TcpStream) {
    let mut counts: HashMap<u16, u16> = HashMap::new();
    let mut request = [0; 12];
    while stream.read_exact(&mut request).is_ok() {
        let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let count = counts.entry(word(8)).or_default();
        *count += 1;
        let data = u8::try_from(word(10) * 2).expect("a short read");
        let mut reply = request[..4].to_vec();
        reply.extend([0, data + 3, request[6], request[7], data]);
        (0..word(10)).for_each(|_| reply.extend(count.to_be_bytes()));
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}

fn cell(port: u16) -> String {
    let mut text = format!(
        "schema: 1\ncell: press\nconnections:\n  plc: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port} }}\nnodes:\n"
    );
    for (n, poll) in POLLS.iter().enumerate() {
        text += &format!("  Count{n}: {{ type: UInt16, source: holding/{}, poll: {poll}ms }}\n", n * 1000);
    }
    text + "  Memory: { type: UInt16, value: 1, write: true }\n"
}

struct Item {
    name: String,
    poll: u64,
    sampling: f64,
    queue: u32,
    publishing: u64,
    seen: Vec<(u16, bool)>,
}

impl Item {
    /// Polls that one notification may represent, when the queue did not overflow.
    fn polls_a_notification(&self) -> u64 {
        let newest_only = if self.queue == 1 { self.publishing } else { 0 };
        let sampling = if self.sampling < 0.0 { self.publishing } else { self.sampling as u64 };
        let longest = sampling.max(newest_only).max(self.poll);
        longest.div_ceil(self.poll) + u64::from(longest > self.poll || self.queue == 1)
    }

    fn check(&self) {
        assert!(self.seen.len() >= 2, "{}: {:?}", self.name, self.seen);
        for pair in self.seen.windows(2) {
            let ((before, _), (after, overflow)) = (pair[0], pair[1]);
            let step = u64::from(after.checked_sub(before).unwrap_or_else(|| panic!("{}: {:?}", self.name, self.seen)));
            // A machine that stops for a moment makes a queue of one, or a long sampling interval, skip more.
            let is_exact = self.polls_a_notification() == 1;
            let most = if is_exact { 1 } else { 10 * self.polls_a_notification() };
            assert!(step >= 1 && (overflow || step <= most), "{}: {before} then {after}: {:?}", self.name, self.seen);
        }
    }
}

#[test]
fn every_poll_reaches_a_client_that_samples_no_slower() {
    let server = TestServer::start(&cell(counting_device()));
    let mut client = Session::open(server.address);
    let mut items: Vec<Item> = Vec::new();
    for publishing in [50, 100, 500] {
        let subscription = client.subscribe(publishing as f64, 1000, 10);
        for (n, poll) in POLLS.iter().enumerate() {
            for (sampling, queue) in [0.0, -1.0, 50.0, *poll as f64, 2.0 * *poll as f64]
                .into_iter()
                .flat_map(|sampling| [(sampling, 1), (sampling, 10)])
            {
                let handle = u32::try_from(items.len()).expect("few");
                let path = format!("Count{n}");
                let node = NodeIdRef::string(2, &path);
                let made = client.monitor_revised(subscription, &[(node, handle)], sampling, queue);
                let asked = if sampling < 0.0 { publishing as f64 } else { sampling };
                let name = format!("poll {poll}, sampling {sampling}, publishing {publishing}, queue {queue}");
                assert_eq!((made[0].0, made[0].2), (StatusCode::Good, asked.max(*poll as f64)), "{name}");
                items.push(Item { name, poll: *poll, sampling, queue, publishing, seen: Vec::new() });
            }
        }
    }
    (0..8).for_each(|_| client.ask_publish(&[]));
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        let publication = client.published().expect("a message");
        client.ask_publish(&[(publication.subscription, publication.sequence)]);
        for (handle, value) in publication.data {
            let status = value.status.unwrap_or(StatusCode::Good);
            if let (Some(Value::UInt16(count)), false) = (value.value, status.is_bad()) {
                items[handle as usize].seen.push((count, status.bits() & OVERFLOW == OVERFLOW));
            }
        }
    }
    items.iter().for_each(Item::check);
}

#[test]
fn minimum_sampling_interval_is_the_poll_period() {
    let server = TestServer::start(&cell(counting_device()));
    let mut client = Session::open(server.address);
    let interval = |client: &mut Session, node: NodeIdRef<'_>| client.read(&[(node, 19)])[0].value.clone();
    for (n, poll) in POLLS.iter().enumerate() {
        let path = format!("Count{n}");
        assert_eq!(interval(&mut client, NodeIdRef::string(2, &path)), Some(Value::Double(*poll as f64)), "{path}");
    }
    assert_eq!(interval(&mut client, NodeIdRef::string(2, "Memory")), Some(Value::Double(0.0)));
    // CurrentTime of ServerStatus.
    assert_eq!(interval(&mut client, NodeIdRef::numeric(0, 2258)), Some(Value::Double(50.0)));
    let subscription = client.subscribe(100.0, 1000, 10);
    let memory = NodeIdRef::string(2, "Memory");
    for asked in [0.0, 10.0, 250.0] {
        assert_eq!(client.monitor_revised(subscription, &[(memory, 1)], asked, 10)[0].2, asked);
    }
}
