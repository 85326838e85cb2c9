//! A line that cuts, delays, repeats, loses and changes bytes: not one wrong value is Good.
//!
//! `OPCELL_EXCHANGES` sets the number of values that must arrive in spite of it (default 2,000).

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{Moment, Sample, Value};
use parking_lot::Mutex;
use testkit::request::text_id;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

use super::{Follower, cell};

const TAGS: u32 = 20;
/// Faults that happen at least.
const FAULTS: usize = 15;

/// Every Good value of a tag must be one that its node had, and none may come before an older one.
#[derive(Default)]
struct Judge {
    last: Mutex<Vec<u32>>,
    good: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Watcher for Judge {
    fn offer(&self, tag: u32, sample: &Sample, _: Moment) {
        if !sample.status.is_good() {
            return;
        }
        self.good.fetch_add(1, Ordering::Relaxed);
        let Value::UInt32(number) = sample.value else {
            self.wrong.lock().push(format!("{tag}: {sample:?}"));
            return;
        };
        let mut last = self.last.lock();
        if number % TAGS != tag || number < last[tag as usize] {
            self.wrong.lock().push(format!("{tag}: {number} after {}", last[tag as usize]));
        }
        last[tag as usize] = number;
    }
}

/// A relay whose connections fail in every way, unless it is quiet.
struct Storm {
    address: SocketAddr,
    is_quiet: Arc<AtomicBool>,
    faults: Arc<AtomicUsize>,
}

impl Storm {
    fn to(server: SocketAddr, seed: u64) -> Storm {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (is_quiet, faults) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let storm = Storm { address, is_quiet: Arc::clone(&is_quiet), faults: Arc::clone(&faults) };
        std::thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                    let (is_quiet, faults) = (Arc::clone(&is_quiet), Arc::clone(&faults));
                    let random = random.fork();
                    std::thread::spawn(move || forward(from, to, random, &is_quiet, &faults));
                }
            }
        });
        storm
    }
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    mut random: fastrand::Rng,
    is_quiet: &AtomicBool,
    faults: &AtomicUsize,
) {
    let mut buffer = [0; 4096];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let mut bytes = buffer[..count].to_vec();
        if !is_quiet.load(Ordering::Relaxed) && random.u32(..15) == 0 {
            faults.fetch_add(1, Ordering::Relaxed);
            match random.u32(..6) {
                0 => break,
                1 => std::thread::sleep(Duration::from_millis(random.u64(..300))),
                2 => bytes.extend_from_slice(&buffer[..count]),
                3 => bytes.truncate(random.usize(..count)),
                4 => bytes[random.usize(..count)] ^= 1 << random.u32(..8),
                // Half open: this side hears nothing any more.
                _ => {
                    std::thread::sleep(Duration::from_millis(1_000));
                    break;
                }
            }
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    drop((to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both)));
}

#[test]
fn a_line_with_every_fault_makes_no_wrong_value_good() {
    let wanted = std::env::var("OPCELL_EXCHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let nodes: String = (0..TAGS).map(|n| format!("  T{n}: {{ type: UInt32, value: {n}, write: true }}\n")).collect();
    let source = "schema: 1\ncells: [cell.yaml]\napplication: { name: Source, uri: \"urn:test:source\" }\n\
                  security: { allow_unsecured: true }\nanonymous: [Observer, Operator]\n";
    let source = TestServer::with(
        &format!("schema: 1\ncell: press\nnamespace: urn:test:press\nnodes:\n{nodes}"),
        Some(source),
        |limits, wire| {
            // Sessions whose activation was lost stay until their timeout.
            limits.configured.max_sessions = 1_000;
            wire.handshakes.per_second = 10_000;
        },
    );
    let storm = Storm::to(source.address, 7);
    let nodes: String = (0..TAGS)
        .map(|n| format!("  T{n}: {{ type: UInt32, source: {{ address: \"nsu=urn:test:press;s=T{n}\" }} }}\n"))
        .collect();
    // Signed, since what changes bytes on the way is an attacker: TCP has a checksum.
    let url = format!("opc.tcp://{}", storm.address);
    let mut follower = Follower::start(&cell(&url, "timeout: 2s", &nodes));
    follower.until_error("to trust it");
    let own = |server: &TestServer| server.dir().join("pki/own/certificate.der").display().to_string();
    for (server, other) in [(&follower.server, &source), (&source, &follower.server)] {
        opcell::testing::pki::trust(&server.dir().join("pki"), &own(other)).expect("trusted");
    }
    follower.until_is("T3", &Value::UInt32(3));
    let judge = Arc::new(Judge { last: Mutex::new(vec![0; TAGS as usize]), ..Judge::default() });
    let world = follower.server.server.world();
    for tag in 0..TAGS {
        let watcher: Arc<dyn Watcher> = judge.clone();
        let id = world.plant.tags.iter().nth(tag as usize).expect("a tag").0;
        follower.server.server.tags.watch(id, Watch { watcher, key: tag, every: true });
    }
    storm.is_quiet.store(false, Ordering::Relaxed);
    let mut writer = Session::open(source.address);
    let mut round = 0;
    while judge.good.load(Ordering::Relaxed) < wanted || storm.faults.load(Ordering::Relaxed) < FAULTS {
        round += 1;
        for tag in 0..TAGS {
            let value = Value::UInt32(round * TAGS + tag);
            assert_eq!(writer.write(text_id(&format!("T{tag}")), &value), opcua::StatusCode::Good);
        }
        std::thread::sleep(Duration::from_millis(5));
        // A session that is silent for a minute ends; a long run needs it afterwards.
        follower.status("T0");
        assert!(judge.wrong.lock().is_empty(), "{:?}", judge.wrong.lock());
    }
    storm.is_quiet.store(true, Ordering::Relaxed);
    for tag in 0..TAGS {
        follower.until_is(&format!("T{tag}"), &Value::UInt32(round * TAGS + tag));
    }
    until("no value is wrong", || judge.wrong.lock().is_empty());
}
