//! A thousand handshakes a second from one address, while another client holds a subscription: how late its messages
//! become, and what the server spends.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opcell::testing::stack::channel::{ClientChannel, ClientEvent, ClientSettings};
use opcell::testing::stack::codec::{NodeIdRef, Writer};
use opcell::testing::stack::crypto::Identity;
use opcell::testing::stack::transport::Input;

use crate::process::ServerProcess;
use crate::rows::{Table, client_identity, new_identity, secure_settings, server};
use crate::sessions::{Dialler, End};
use testkit::ua::Session;

const CELL: &str = "schema: 1\ncell: storm\nnamespace: urn:bench:storm\nconnections:\n  sim: { driver: simulator }\nnodes:\n  \
                    Count: { type: UInt32, source: \"counter(start=0, step=1, every=20ms)\", poll: 20ms }\n";
const INTERVAL: f64 = 50.0;
const STORMERS: usize = 4;
const PER_SECOND: u32 = 1_000;
/// Bytes of the server's first answer.
const ACKNOWLEDGE: usize = 28;
/// The storm's own address.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub fn run(table: &mut Table) {
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let (dir, ours) = server(CELL);
    let trusted = client_identity(dir.path());
    let stranger = new_identity(&dir.path().join("stranger"));
    let span = Duration::from_secs(seconds);
    let calm = watch(&ours, span);
    table.line("Publish interval, nobody else (50 ms asked)", &calm.0);
    for (name, identity) in [("refused by trust", &stranger), ("with a trusted certificate", &trusted)] {
        let messages = record(ours.address, dir.path(), identity);
        let (stop, tried) = (AtomicBool::new(false), AtomicU64::new(0));
        let (watched, attempts) = std::thread::scope(|scope| {
            for number in 0..STORMERS {
                let (messages, stop, tried) = (&messages, &stop, &tried);
                scope.spawn(move || storm(ours.address, messages, number, stop, tried));
            }
            let watched = watch(&ours, span);
            stop.store(true, Ordering::Relaxed);
            (watched, tried.load(Ordering::Relaxed))
        });
        let rate = attempts as f64 / span.as_secs_f64();
        table.line(&format!("  under {rate:.0} handshakes a second, {name}"), &watched.0);
        let later = watched.1.saturating_sub(calm.1);
        table.line("    the worst one later than without, at most 50 ms", &format!("{:9.1} ms", ms(later)));
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Text of the intervals between messages, and the longest.
fn watch(ours: &ServerProcess, span: Duration) -> (String, Duration) {
    let mut session = Session::open(ours.address);
    let subscription = session.subscribe(INTERVAL, 1_000, 100);
    assert!(session.monitor(subscription, &[(NodeIdRef::string(2, "Count"), 1)], 0.0, 10)[0].0.is_good());
    (0..5).for_each(|_| session.ask_publish(&[]));
    session.published().expect("the first values");
    session.ask_publish(&[]);
    let (begun, cpu) = (Instant::now(), ours.cpu());
    let (mut last, mut intervals) = (Instant::now(), Vec::new());
    while begun.elapsed() < span {
        session.published().expect("a message");
        session.ask_publish(&[]);
        intervals.push(last.elapsed());
        last = Instant::now();
    }
    let spent = (ours.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    intervals.sort_unstable();
    let worst = intervals.last().copied().unwrap_or_default();
    let [half, p99] = [50, 99].map(|part| intervals[(intervals.len() * part / 100).min(intervals.len() - 1)]);
    session.close();
    let text = format!("p50 {:.1}, p99 {:.1}, worst {:.1} ms; CPU {spent:.1} %", ms(half), ms(p99), ms(worst));
    (text, worst)
}

/// Hello and an open request, as they would be sent.
fn record(address: SocketAddr, dir: &Path, identity: &Arc<Identity>) -> Vec<u8> {
    let settings: ClientSettings = secure_settings(dir, identity);
    let (mut channel, mut input, mut out) = (ClientChannel::new(settings), Input::default(), Writer::new());
    channel.hello("opc.tcp://127.0.0.1:4840", &mut out);
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(&out.buf).expect("sent");
    while !matches!(channel.receive(Instant::now(), &mut input).expect("an answer"), Some(ClientEvent::Acknowledged)) {
        let mut bytes = [0; 8192];
        let count = stream.read(&mut bytes).expect("an answer");
        input.room().extend_from_slice(&bytes[..count]);
    }
    channel.open(&mut out).expect("it opens");
    out.buf
}

/// Its share of the attempts, each at its time; whoever is late goes on without a pause.
fn storm(to: SocketAddr, messages: &[u8], number: usize, stop: &AtomicBool, tried: &AtomicU64) {
    let dialler = Dialler::new(End::Abrupt);
    let step = Duration::from_secs(1) * u32::try_from(STORMERS).expect("few") / PER_SECOND;
    let begun = Instant::now() + step * u32::try_from(number).expect("few") / u32::try_from(STORMERS).expect("few");
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep((begun + step * round).saturating_duration_since(Instant::now()));
        let answered = dialler.dial(FROM, to).and_then(|mut socket| {
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            socket.write_all(messages)?;
            let (mut answer, mut heard) = ([0; 8192], 0);
            // The Acknowledge, then what comes of the handshake.
            while heard <= ACKNOWLEDGE {
                match socket.read(&mut answer)? {
                    0 => break,
                    count => heard += count,
                }
            }
            Ok(())
        });
        // Turned away is an answer too.
        drop(answered);
        tried.fetch_add(1, Ordering::Relaxed);
    }
}
