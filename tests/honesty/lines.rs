//! No wrong value is ever Good, whatever happens between driver and device.
//!
//! `OPCELL_EXCHANGES` says how many exchanges each framing gets; a few hundred are the default.

#![expect(clippy::print_stderr, reason = "the counts are the result, and a missing peer must be printed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opcell::testing::drivers::Settings;
use opcell::testing::drivers::modbus::{self, Framing, TcpFraming, TcpSettings};
use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{BuiltIn, Moment, Sample, Value};
use tokio_serial::SerialPortBuilderExt;

use testkit::plant::{Bench, Line, point, tcp};
use testkit::slave::{Faults, Slave, marked};
use testkit::{bad_line, peers, plant, slave};

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
    fn offer(&self, key: u32, sample: &Sample, _: Moment) {
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
    Settings::of::<modbus::Tcp>(TcpSettings { framing, max_registers: 8, max_gap: 0, ..tcp(port) })
}

fn line(settings: Settings) -> Line {
    let points = (0..40).map(|at| point(&format!("holding/{}", at * 20), BuiltIn::UInt32)).collect();
    hasty(settings, points)
}

/// Polls as fast as it can, and gives up a request soon.
fn hasty(settings: Settings, points: Vec<plant::Point>) -> Line {
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
        let bench = Bench::start(vec![line(Settings::of::<modbus::Rtu>(settings))]);
        run(bench, &slave, &format!("{framing:?} on a serial line")).await;
        task.abort();
        drop(task.await);
    }
}

/// Registers and coils whose values never change, in the order of the tags, with what a Good tag must show.
fn fixed_points(slave: &Slave) -> Vec<(plant::Point, Value)> {
    let mut points: Vec<(plant::Point, Value)> = Vec::new();
    for at in 0..12u16 {
        points.push((point(&format!("holding/{}", at * 20), BuiltIn::UInt16), Value::UInt16(slave::mark(at * 20))));
        points.push((point(&format!("input/{}", at * 40), BuiltIn::UInt32), Value::UInt32(marked(at * 40))));
    }
    for (address, count) in [(768, 17), (800, 20), (1_200, 3)] {
        let bits: Vec<bool> = (0..count).map(|at| at % 3 == 1).collect();
        slave.bits.lock().expect("lock")[address..address + count].copy_from_slice(&bits);
        let count = u32::try_from(count).expect("few");
        let coils = point(&format!("coil/{address}"), BuiltIn::Boolean).array(count);
        points.push((coils, Value::array(opcell::value::Elements::Boolean(bits))));
    }
    points
}

/// Tags that a client writes, and what the device holds of each.
fn written_points() -> Vec<plant::Point> {
    vec![
        point("coil/3000", BuiltIn::Boolean),
        point("holding/4000", BuiltIn::UInt16),
        point("holding/4010", BuiltIn::UInt32),
        point("holding/4020.3", BuiltIn::Boolean),
    ]
}

fn holds(slave: &Slave, at: usize, value: &Value) -> bool {
    let words = slave.words.lock().expect("lock");
    match (at, value) {
        (0, Value::Boolean(on)) => slave.bits.lock().expect("lock")[3_000] == *on,
        (1, Value::UInt16(word)) => words[4_000] == *word,
        (2, Value::UInt32(number)) => u32::from(words[4_010]) << 16 | u32::from(words[4_011]) == *number,
        (3, Value::Boolean(on)) => (words[4_020] >> 3 & 1 == 1) == *on,
        _ => unreachable!("no such tag"),
    }
}

/// Compares each Good sample with what its tag must show.
struct Expected {
    values: Vec<Value>,
    good: AtomicU64,
    wrong: parking_lot::Mutex<Option<String>>,
}

impl Watcher for Expected {
    fn offer(&self, key: u32, sample: &Sample, _: Moment) {
        if sample.status.is_good() {
            self.good.fetch_add(1, Ordering::Relaxed);
            if sample.value != self.values[key as usize] {
                self.wrong.lock().get_or_insert(format!("tag {key} is Good {:?}", sample.value));
            }
        }
    }
}

/// Polls and writes over a bad line until it has seen enough requests; gives the Good samples and writes.
async fn endure(settings: Settings, slave: &Arc<Slave>, requests: &AtomicU64, name: &str) {
    let fixed = fixed_points(slave);
    let (points, values): (Vec<plant::Point>, Vec<Value>) = fixed.into_iter().unzip();
    let first_written = u32::try_from(points.len()).expect("few");
    let points = points.into_iter().chain(written_points()).collect();
    let bench = Bench::start(vec![hasty(settings, points)]);
    let judge = Arc::new(Expected { values, good: AtomicU64::new(0), wrong: parking_lot::Mutex::default() });
    for tag in 0..first_written {
        let watcher: Arc<dyn Watcher> = judge.clone();
        bench.tags.watch(TagId(tag), Watch { watcher, key: tag, every: true });
    }
    let (began, mut counts) = (Instant::now(), [0_u64; 2]);
    let slow = Duration::from_secs(20) + TIMEOUT * u32::try_from(exchanges() / 2).unwrap_or(u32::MAX) * 2;
    for n in 1_u32.. {
        if requests.load(Ordering::Relaxed) >= exchanges() / 2 {
            break;
        }
        assert!(began.elapsed() < slow, "{name} hangs at {}", requests.load(Ordering::Relaxed));
        let at = n as usize % 4;
        let value = match at {
            1 => Value::UInt16(u16::try_from(n % 60_000).expect("below")),
            2 => Value::UInt32(n << 8 | 1),
            _ => Value::Boolean(n / 4 % 2 == 0),
        };
        // A coil that already has the value would prove nothing.
        if matches!(value, Value::Boolean(_)) && holds(slave, at, &value) {
            continue;
        }
        let status = bench.write(first_written + u32::try_from(at).expect("small"), &value).await;
        counts[usize::from(!status.is_good())] += 1;
        assert!(
            !status.is_good() || holds(slave, at, &value),
            "{name}: {value:?} of {at} is answered Good and not held"
        );
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let health = bench.links[0].snapshot();
    let good = judge.good.load(Ordering::Relaxed);
    eprintln!(
        "{name}: {} requests in {:?}: {good} good samples, {} writes Good, {} not, {} errors, {} time-outs, {} reconnects",
        requests.load(Ordering::Relaxed),
        began.elapsed(),
        counts[0],
        counts[1],
        health.errors,
        health.timeouts,
        health.reconnects
    );
    bench.stop().await;
    assert_eq!(*judge.wrong.lock(), None, "{name}");
    // A busy machine makes most of the short time-outs run out; the link must come back all the same.
    assert!(good > exchanges() / 40 && counts[0] > 0, "{name}: only {good} good samples, {counts:?} writes");
}

/// Half of the exchanges on a line that echoes, half on one that does not.
async fn endure_over_tcp(framing: TcpFraming, over: Framing) {
    for echo in [true, false] {
        let slave = Slave::new();
        let line = bad_line::Line { echo, ..bad_line::Line::new(over, TIMEOUT) };
        let requests = Arc::clone(&line.requests);
        let (port, task) = line.listen(Arc::clone(&slave), fastrand::u64(..)).await;
        let settings = Settings::of::<modbus::Tcp>(TcpSettings { framing, max_gap: 8, ..tcp(port) });
        endure(settings, &slave, &requests, &format!("{over:?} over TCP, echo {echo}")).await;
        task.abort();
    }
}

async fn endure_on_a_serial_line(framing: Framing, more: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_line) = peers::serial_pair(folder.path()) else { return };
    for echo in [true, false] {
        let slave = Slave::new();
        let far = folder.path().join("b").display().to_string();
        let port = tokio_serial::new(&far, 115_200).open_native_async().expect("the far end opens");
        let line = bad_line::Line { resets: false, echo, ..bad_line::Line::new(framing, TIMEOUT) };
        let requests = Arc::clone(&line.requests);
        let task = tokio::spawn(line.on(port, Arc::clone(&slave), fastrand::u64(..)));
        let near = folder.path().join("a").display().to_string();
        let settings = Settings::of::<modbus::Rtu>(plant::serial(&near, more));
        endure(settings, &slave, &requests, &format!("{framing:?} on a serial line, echo {echo}")).await;
        task.abort();
        drop(task.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_is_good_over_a_bad_line_with_modbus_tcp() {
    endure_over_tcp(TcpFraming::Tcp, Framing::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_is_good_over_a_bad_line_with_rtu_over_tcp() {
    endure_over_tcp(TcpFraming::Rtu, Framing::Rtu).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_is_good_over_a_bad_line_with_ascii_over_tcp() {
    endure_over_tcp(TcpFraming::Ascii, Framing::Ascii).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_is_good_on_a_bad_serial_line_with_rtu() {
    endure_on_a_serial_line(Framing::Rtu, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_is_good_on_a_bad_serial_line_with_ascii() {
    endure_on_a_serial_line(Framing::Ascii, ", \"framing\": \"ascii\", \"data_bits\": 8").await;
}
