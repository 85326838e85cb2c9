//! Plans that change while a link runs: one TCP connection, right values, and no value of another register.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opcell::testing::drivers::Settings;
use opcell::testing::drivers::modbus::{self, Framing, MaskWrite, RawType, TcpSettings};
use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher, Written};
use opcell::value::{BuiltIn, Moment, Sample, UaTime, Value};
use opcua::StatusCode;
use testkit::plant::{Bench, Line, Point, point, tcp};
use testkit::slave::{Does, Faults, Slave, marked};
use testkit::until::until_async;

/// Tags that stay, in the first registers.
const STAY: u16 = 60;
/// Tags that come, change and go, after those.
const MORE: u16 = 20;

/// Every sample of the watched tags.
#[derive(Default)]
struct Seen(std::sync::Mutex<Vec<(u32, Sample)>>);

impl Watcher for Seen {
    fn offer(&self, key: u32, sample: &Sample, _: Moment) {
        self.0.lock().expect("lock").push((key, sample.clone()));
    }
}

fn at(address: u16) -> Point {
    point(&format!("holding/{address}"), BuiltIn::UInt32)
}

/// The tags that stay, and more of them whose addresses depend on the turn.
fn points(turn: u16) -> Vec<Point> {
    let changing = (0..turn % MORE).map(|n| at(400 + n * 2 + (turn % 7) * 100));
    (0..STAY).map(|tag| at(tag * 2)).chain(changing).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_changes_under_load_keep_one_connection_and_mix_no_registers() {
    let slave = Slave::new();
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let line = |points| Line {
        poll: Duration::from_millis(20),
        stale_after: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        ..Line::new(Settings::of::<modbus::Tcp>(tcp(listening.port)), points)
    };
    // The store has a slot for each tag that comes later.
    let mut bench = Bench::start(vec![line(points(MORE * 2 - 1))]);
    bench.until_status(0, StatusCode::Good).await;
    bench.until_status(u32::from(STAY), StatusCode::Good).await;
    let seen = Arc::new(Seen::default());
    for tag in 0..u32::from(STAY) {
        let watcher = Arc::clone(&seen) as Arc<dyn Watcher>;
        bench.tags.watch(TagId(tag), Watch { watcher, key: tag, every: true });
    }
    for turn in 0..100_u16 {
        bench.change(vec![line(points(turn))], u32::from(turn) + 1);
        let written = bench.write(3, &Value::UInt32(marked(6))).await;
        assert_eq!(written, StatusCode::Good, "in turn {turn}");
        for (n, tag) in (0..turn % MORE).zip(u32::from(STAY)..) {
            let wanted = Value::UInt32(marked(400 + n * 2 + (turn % 7) * 100));
            bench.until(tag, "of its new register", |sample| sample.value == wanted).await;
        }
        // A poll later no value of another register has come.
        tokio::time::sleep(Duration::from_millis(u64::from(turn % 3) * 11)).await;
        for (n, tag) in (0..turn % MORE).zip(u32::from(STAY)..) {
            let sample = bench.sample(tag);
            let wanted = Value::UInt32(marked(400 + n * 2 + (turn % 7) * 100));
            assert_eq!((sample.status, sample.value), (StatusCode::Good, wanted), "tag {tag} in turn {turn}");
        }
    }
    let seen = std::mem::take(&mut *seen.0.lock().expect("lock"));
    assert!(seen.len() > 100 * usize::from(STAY), "{}", seen.len());
    let mut last = vec![None; usize::from(STAY)];
    for (tag, sample) in seen {
        let address = u16::try_from(tag * 2).expect("few");
        assert_eq!((sample.status, &sample.value), (StatusCode::Good, &Value::UInt32(marked(address))), "tag {tag}");
        let before = last[tag as usize].replace(sample.source_time);
        assert!(before.is_none_or(|before| before <= sample.source_time), "tag {tag} goes back in time");
    }
    assert_eq!(slave.connections.load(Ordering::Relaxed), 1);
    let now = bench.links[0].snapshot();
    assert_eq!((now.errors, now.reconnects), (0, 0));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_keeps_the_habits_that_were_learned_and_a_held_value_is_written_again() {
    let slave = Slave::new();
    slave.lacks.lock().expect("lock").extend([6, 22]);
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let settings = |mask_write| Settings::of::<modbus::Tcp>(TcpSettings { mask_write, ..tcp(listening.port) });
    let line = |points| Line { poll: Duration::from_secs(3_600), ..Line::new(settings(MaskWrite::Auto), points) };
    let mut setpoint = point("holding/10", BuiltIn::UInt16).raw(RawType::Uint16);
    setpoint.read = false;
    setpoint.write_every = Some(Duration::from_secs(1));
    let all = [setpoint, point("holding/20.3", BuiltIn::Boolean), at(30)];
    let mut bench = Bench::start(vec![line(all.to_vec())]);
    bench.until_status(2, StatusCode::Good).await;
    assert_eq!(bench.write(0, &Value::UInt16(7)).await, StatusCode::Good);
    assert_eq!(bench.write(1, &Value::Boolean(true)).await, StatusCode::Good);
    let asked = |function: u8| slave.asked.lock().expect("lock").iter().filter(|(_, of)| *of == function).count();
    assert_eq!((asked(6), asked(22)), (1, 1), "each was tried once");
    slave.words.lock().expect("lock")[10] = 0;
    bench.change(vec![line(all[..2].to_vec())], 1);
    until_async("the held value is written again", || Some(()).filter(|()| slave.words.lock().expect("lock")[10] == 7))
        .await;
    assert_eq!(bench.write(1, &Value::Boolean(false)).await, StatusCode::Good);
    assert_eq!((asked(6), asked(22)), (1, 1), "and not again after the change");
    assert_eq!(slave.connections.load(Ordering::Relaxed), 1);
    // Other settings: another connection, and the last one is closed before.
    let line = Line { poll: Duration::from_secs(3_600), ..Line::new(settings(MaskWrite::Never), all.to_vec()) };
    bench.change(vec![line], 2);
    until_async("it is opened again", || Some(()).filter(|()| slave.connections.load(Ordering::Relaxed) == 2)).await;
    assert_eq!(bench.write(1, &Value::Boolean(true)).await, StatusCode::Good);
    assert_eq!(slave.connections.load(Ordering::Relaxed), 2);
    bench.stop().await;
}

/// A link to one register, with attempts that are repeated.
fn register(port: u16, address: u16) -> Line {
    Line {
        timeout: Duration::from_secs(1),
        retries: 3,
        stale_after: Duration::from_secs(60),
        ..Line::new(
            Settings::of::<modbus::Tcp>(tcp(port)),
            vec![point(&format!("holding/{address}"), BuiltIn::UInt16).raw(RawType::Uint16)],
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_the_new_plan_never_goes_to_the_old_address() {
    let slave = Slave::new();
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let mut bench = Bench::start(vec![register(listening.port, 10)]);
    bench.until_status(0, StatusCode::Good).await;
    let is_quiet = Arc::new(AtomicBool::new(true));
    let quiet = Arc::clone(&is_quiet);
    *slave.script.lock().expect("lock") = Some(Box::new(move |pdu, _| match pdu[0] {
        3 if quiet.load(Ordering::Relaxed) => Does::Nothing,
        _ => Does::Answer,
    }));
    // A read is under way and gets no answer, so that it is asked again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let words = || [10, 20].map(|at: usize| slave.words.lock().expect("lock")[at]);
    let before = words()[0];
    bench.change(vec![register(listening.port, 20)], 1);
    let status = bench.write(0, &Value::UInt16(777)).await;
    assert_eq!((status, words()), (StatusCode::Good, [before, 777]));
    is_quiet.store(false, Ordering::Relaxed);
    bench.until(0, "of the new register", |sample| sample.value == Value::UInt16(777)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_the_new_plan_goes_to_the_new_address_when_the_link_ends() {
    let slave = Slave::new();
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let mut bench = Bench::start(vec![register(listening.port, 10)]);
    bench.until_status(0, StatusCode::Good).await;
    let words = || [10, 20].map(|at: usize| slave.words.lock().expect("lock")[at]);
    let before = words()[0];
    *slave.script.lock().expect("lock") = Some(Box::new(|pdu, _| {
        if pdu[0] == 3 {
            std::thread::sleep(Duration::from_millis(300));
        }
        Does::Answer
    }));
    // A read is under way, and its answer comes after the stop.
    tokio::time::sleep(Duration::from_millis(300)).await;
    bench.change(vec![register(listening.port, 20)], 1);
    let value = Value::UInt16(777);
    let Written::Device { connection, write } =
        bench.tags.write_now(&bench.plant, TagId(0), &value, None, UaTime::now())
    else {
        panic!("it is a tag of a device")
    };
    let answer = bench.tags.enqueue(connection, vec![write], Duration::from_secs(2)).expect("a place");
    bench.stop().await;
    assert_eq!((answer.await.expect("an answer"), words()), (vec![StatusCode::Good], [before, 777]));
}
