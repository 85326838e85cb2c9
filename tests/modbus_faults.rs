//! No wrong value is ever Good, whatever happens between driver and device.
//!
//! `OPCELL_EXCHANGES` says how many exchanges each framing gets; a few hundred are the default.

#![expect(clippy::print_stderr, reason = "the counts are the result, and a missing peer must be told")]

#[path = "support/peers.rs"]
mod peers;
#[path = "support/plant.rs"]
mod plant;
#[path = "support/slave.rs"]
mod slave;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opcell::drivers::Settings;
use opcell::drivers::modbus::{Framing, TcpFraming, TcpSettings};
use opcell::model::TagId;
use opcell::tags::{Watch, Watcher};
use opcell::value::{BuiltIn, Sample, Value};
use tokio_serial::SerialPortBuilderExt;

use plant::{Bench, Line, point, tcp};
use slave::{Faults, Slave, marked};

const TIMEOUT: Duration = Duration::from_millis(20);

fn exchanges() -> u64 {
    std::env::var("OPCELL_EXCHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}

/// Counts what it is offered and remembers the first wrong value that was Good.
#[derive(Default)]
struct Judge {
    good: AtomicU64,
    bad: AtomicU64,
    wrong: parking_lot::Mutex<Option<String>>,
}

impl Watcher for Judge {
    fn offer(&self, key: u32, sample: &Sample, _now: tokio::time::Instant) {
        if !sample.status.is_good() {
            self.bad.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.good.fetch_add(1, Ordering::Relaxed);
        let address = u16::try_from(key).expect("an address");
        if sample.value != Value::UInt32(marked(address)) {
            self.wrong.lock().get_or_insert(format!("holding/{address} is Good {:?}", sample.value));
        }
    }
}

/// Blocks of one length at many places, so that a reply to another request would fit.
fn settings(port: u16, framing: TcpFraming) -> Settings {
    Settings::ModbusTcp(TcpSettings { framing, max_registers: 8, max_gap: 0, ..tcp(port) })
}

fn line(settings: Settings) -> Line {
    let points = (0..40).map(|at| point(&format!("holding/{}", at * 20), BuiltIn::UInt32)).collect();
    let short = Duration::from_millis(1);
    Line {
        timeout: TIMEOUT,
        retries: 1,
        poll: short,
        stale_after: TIMEOUT * 3,
        reconnect_max: short,
        ..Line::new(settings, points)
    }
}

fn judge(bench: &Bench) -> Arc<Judge> {
    let judge = Arc::new(Judge::default());
    for tag in 0..40 {
        let watcher: Arc<dyn Watcher> = judge.clone();
        bench.tags.watch(TagId(tag), Watch { watcher, key: tag * 20, every: true });
    }
    judge
}

async fn run(bench: Bench, slave: &Slave, name: &str) {
    let judge = judge(&bench);
    let began = Instant::now();
    while slave.requests.load(Ordering::Relaxed) < exchanges() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let slow = Duration::from_secs(20) + TIMEOUT * u32::try_from(exchanges()).unwrap_or(u32::MAX);
        assert!(began.elapsed() < slow, "{name} hangs at {}", slave.requests.load(Ordering::Relaxed));
    }
    let (good, bad) = (judge.good.load(Ordering::Relaxed), judge.bad.load(Ordering::Relaxed));
    let count = slave.requests.load(Ordering::Relaxed);
    let health = bench.links[0].snapshot();
    eprintln!(
        "{name}: {count} exchanges in {:?}: {good} good samples, {bad} others, {} errors, {} time-outs, {} reconnects",
        began.elapsed(),
        health.errors,
        health.timeouts,
        health.reconnects
    );
    bench.stop().await;
    assert_eq!(*judge.wrong.lock(), None, "{name}");
    assert!(good > count / 4, "{name}: only {good} good of {count}");
    assert!(health.errors > 0, "{name}: the faults are not seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wrong_value_is_good_whatever_happens_to_the_replies() {
    for (framing, over) in
        [(TcpFraming::Tcp, Framing::Tcp), (TcpFraming::Rtu, Framing::Rtu), (TcpFraming::Ascii, Framing::Ascii)]
    {
        let slave = Slave::new();
        let listening = slave.listen(over, Faults::some(7, 100, TIMEOUT)).await;
        let bench = Bench::start(vec![line(settings(listening.port, framing))]);
        run(bench, &slave, &format!("{over:?} over TCP")).await;
    }
}

/// The same on a serial line: two ends of a pseudo terminal, joined by socat.
#[tokio::test(flavor = "multi_thread")]
async fn no_wrong_value_is_good_whatever_happens_on_a_serial_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_line) = peers::serial_pair(folder.path()) else { return };
    for (framing, more) in [(Framing::Rtu, ""), (Framing::Ascii, ", \"framing\": \"ascii\", \"data_bits\": 8")] {
        let slave = Slave::new();
        let far = folder.path().join("b").display().to_string();
        let port = tokio_serial::new(&far, 115_200).open_native_async().expect("the far end opens");
        let faults = Faults { resets: false, ..Faults::some(7, 100, TIMEOUT) };
        let served = slave::behind(port, Arc::clone(&slave), framing, faults);
        let task = tokio::spawn(served);
        let near = folder.path().join("a").display().to_string();
        let mut settings = plant::serial(&near, more);
        (settings.max_registers, settings.max_gap) = (8, 0);
        let bench = Bench::start(vec![line(Settings::ModbusRtu(settings))]);
        run(bench, &slave, &format!("{framing:?} on a serial line")).await;
        task.abort();
        drop(task.await);
    }
}
