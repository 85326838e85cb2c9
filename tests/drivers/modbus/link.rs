//! A link as an operator sees it: what is read and written, and what the tags say when the device is in trouble.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use opcell::testing::drivers::Settings;
use opcell::testing::drivers::modbus::{self, Framing, RawType, TcpFraming, TcpSettings};
use opcell::testing::model::{Scale, TagId};
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{BuiltIn, Elements, Moment, Sample, Value};
use opcua::StatusCode;
use testkit::plant::{Bench, Line, Point, point, tcp, tcp_unit};
use testkit::slave;
use testkit::slave::{Faults, Slave, marked};
use testkit::until::until_async;

async fn started(slave: &Arc<Slave>, points: Vec<Point>) -> (Bench, slave::Listening) {
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let line = Line::new(Settings::of::<modbus::Tcp>(tcp(listening.port)), points);
    (Bench::start(vec![line]), listening)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_arrives_in_the_register_and_a_refused_one_gives_its_code() {
    let slave = Slave::new();
    let mut setpoint =
        point("holding/10", BuiltIn::Float).raw(RawType::Int16).scale(Scale::Factor { factor: 0.1, offset: 0.0 });
    setpoint.range = Some((0.0, 100.0));
    let points = vec![
        setpoint,
        point("coil/5", BuiltIn::Boolean),
        point("holding/20.3", BuiltIn::Boolean),
        point("holding/30", BuiltIn::Int16).array(4),
        point("holding/40", BuiltIn::Byte),
        point("input/1", BuiltIn::Int16),
        point("holding/50", BuiltIn::Int32),
    ];
    slave.words.lock().expect("lock")[20] = 0x8001;
    slave.words.lock().expect("lock")[40] = 0xABCD;
    let (bench, _listening) = started(&slave, points).await;
    bench.until_status(0, StatusCode::Good).await;
    let word = |at: usize| slave.words.lock().expect("lock")[at];

    assert_eq!(bench.write(0, &Value::Float(23.46)).await, StatusCode::Good);
    assert_eq!(word(10), 235, "rounded to nearest");
    assert_eq!(bench.write(0, &Value::Float(100.5)).await, StatusCode::BadOutOfRange);
    for wrong in [Value::Double(1.0), Value::text("1"), Value::Null, Value::array(Elements::Float(vec![1.0]))] {
        assert_eq!(bench.write(0, &wrong).await, StatusCode::BadTypeMismatch, "{wrong:?}");
    }
    assert_eq!(word(10), 235, "nothing of the refused arrived");
    assert_eq!(bench.write(1, &Value::Boolean(true)).await, StatusCode::Good);
    assert!(slave.bits.lock().expect("lock")[5]);
    assert_eq!(bench.write(2, &Value::Boolean(true)).await, StatusCode::Good);
    assert_eq!(word(20), 0x8009, "the other bits stay");
    assert_eq!(bench.write(3, &Value::array(Elements::Int16(vec![1, -2, 3, -4]))).await, StatusCode::Good);
    assert_eq!([word(30), word(31), word(32), word(33)], [1, 0xfffe, 3, 0xfffc]);
    assert_eq!(bench.write(4, &Value::Byte(0x12)).await, StatusCode::Good);
    assert_eq!(word(40), 0xAB12, "the other byte stays");
    assert_eq!(bench.write(5, &Value::Int16(1)).await, StatusCode::BadNotWritable);

    for (exception, status) in [
        (2, StatusCode::BadConfigurationError),
        (3, StatusCode::BadOutOfRange),
        (4, StatusCode::BadDeviceFailure),
        (6, StatusCode::BadResourceUnavailable),
        (11, StatusCode::BadTimeout),
    ] {
        *slave.exception.lock().expect("lock") = Some(exception);
        assert_eq!(bench.write(6, &Value::Int32(1)).await, status, "exception {exception}");
    }
    *slave.exception.lock().expect("lock") = None;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_a_device_lacks_is_replaced_and_that_is_remembered() {
    let slave = Slave::new();
    slave.lacks.lock().expect("lock").extend([5, 6, 22]);
    let points = vec![
        point("coil/1", BuiltIn::Boolean),
        point("holding/1", BuiltIn::Int16),
        point("holding/2.0", BuiltIn::Boolean),
    ];
    let (bench, _listening) = started(&slave, points).await;
    bench.until_status(1, StatusCode::Good).await;
    slave.words.lock().expect("lock")[2] = 0x00F0;
    for _ in 0..2 {
        assert_eq!(bench.write(0, &Value::Boolean(true)).await, StatusCode::Good);
        assert_eq!(bench.write(1, &Value::Int16(7)).await, StatusCode::Good);
        assert_eq!(bench.write(2, &Value::Boolean(true)).await, StatusCode::Good);
    }
    assert_eq!(slave.words.lock().expect("lock")[1..3], [7, 0x00F1]);
    let asked = slave.asked.lock().expect("lock").clone();
    let count = |function: u8| asked.iter().filter(|(_, asked)| *asked == function).count();
    assert_eq!((count(5) + count(6), count(22)), (1, 1), "the lacking functions are tried once");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_register_costs_its_neighbours_nothing() {
    let slave = Slave::new();
    slave.missing.lock().expect("lock").extend(20..22);
    *slave.longest.lock().expect("lock") = 10;
    let (bench, _listening) =
        started(&slave, (0..30).map(|at| point(&format!("holding/{}", at * 2), BuiltIn::UInt32)).collect()).await;
    for tag in 0..30 {
        match tag {
            10 => assert!(bench.until_status(tag, StatusCode::BadConfigurationError).await.value.is_null()),
            _ => {
                let sample = bench.until_status(tag, StatusCode::Good).await;
                assert_eq!(sample.value, Value::UInt32(marked(u16::try_from(tag * 2).expect("small"))));
            }
        }
    }
    let before = slave.requests.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let rate = slave.requests.load(Ordering::Relaxed) - before;
    assert!(rate < 11 * 12, "the cuts are remembered: {rate} requests in ten scans");
    bench.stop().await;
}

/// The samples of a tag, with their times.
#[derive(Default)]
struct Diary(parking_lot::Mutex<Vec<(Instant, Sample)>>);

impl Watcher for Diary {
    fn offer(&self, _: u32, sample: &Sample, _: Moment) {
        self.0.lock().push((Instant::now(), sample.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_device_turns_its_tags_bad_within_a_poll_after_stale_after_and_a_started_one_good() {
    for (mute, code) in [(false, StatusCode::BadNoCommunication), (true, StatusCode::BadTimeout)] {
        let slave = Slave::new();
        let listening = slave.listen(Framing::Tcp, Faults::none()).await;
        let port = listening.port;
        let points = (0..50).map(|at| point(&format!("holding/{}", at * 100), BuiltIn::UInt32)).collect();
        let line = Line {
            stale_after: Duration::from_millis(600),
            ..Line::new(Settings::of::<modbus::Tcp>(tcp(port)), points)
        };
        let bench = Bench::start(vec![line]);
        for tag in 0..50 {
            bench.until_status(tag, StatusCode::Good).await;
        }
        let diaries: Vec<Arc<Diary>> = (0..50).map(|_| Arc::default()).collect();
        for (tag, diary) in (0..).zip(&diaries) {
            let watcher: Arc<dyn Watcher> = diary.clone();
            bench.tags.watch(TagId(tag), Watch { watcher, key: tag, every: true });
        }
        let stopped = Instant::now();
        slave.mute.store(mute, Ordering::Relaxed);
        let listening = mute.then_some(listening);
        for tag in 0..50 {
            let sample = bench.until_status(tag, code).await;
            assert_eq!(sample.value, Value::Null, "Bad goes out without a value");
        }
        for diary in &diaries {
            let diary = diary.0.lock();
            let last_good = diary.iter().rposition(|(_, sample)| sample.status.is_good()).expect("it was good");
            assert!(diary[last_good].0 < stopped + Duration::from_millis(100), "Good after the stop");
            let bad = diary.iter().find(|(at, sample)| *at > stopped && sample.status.is_bad()).expect("it is bad");
            let took = bad.0 - diary[last_good].0;
            assert_eq!(bad.1.status, code, "straight to the table's code");
            assert!(took < Duration::from_millis(600 + 50 + 60), "bad after {took:?}");
            let uncertain = diary.iter().find(|(at, sample)| *at > stopped && sample.status.is_uncertain());
            let (_, uncertain) = uncertain.expect("uncertain in between");
            assert_eq!(uncertain.status, StatusCode::UncertainLastUsableValue);
            assert_eq!(uncertain.value, diary[last_good].1.value);
        }
        slave.mute.store(false, Ordering::Relaxed);
        let _again = match listening {
            Some(listening) => listening,
            None => slave.listen_on(port, Framing::Tcp, Faults::none()).await,
        };
        for tag in 0..50 {
            bench.until_status(tag, StatusCode::Good).await;
        }
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_never_there_is_not_connected() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address").port();
    let bench = Bench::start(vec![Line::new(
        Settings::of::<modbus::Tcp>(tcp(port)),
        vec![point("holding/0", BuiltIn::UInt16)],
    )]);
    let sample = bench.until_status(0, StatusCode::BadNotConnected).await;
    assert_eq!(sample.value, Value::Null);
    assert_eq!(bench.write(0, &Value::UInt16(1)).await, StatusCode::BadNotConnected);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_unit_behind_a_gateway_does_not_slow_the_others() {
    for (framing, over) in [(TcpFraming::Tcp, Framing::Tcp), (TcpFraming::Rtu, Framing::Rtu)] {
        for unreachable in [false, true] {
            let slave = Slave::new();
            let units = if unreachable { &slave.unreachable_units } else { &slave.silent_units };
            units.lock().expect("lock").extend([2, 3]);
            let listening = slave.listen(over, Faults::none()).await;
            let line = |unit| {
                let points = (0..3).map(|at| point(&format!("holding/{}", at * 200), BuiltIn::UInt32)).collect();
                Line::new(tcp_unit(listening.port, unit, framing), points)
            };
            let bench = Bench::start(vec![line(1), line(2), line(3)]);
            assert_eq!(bench.links.len(), 1, "they share one link");
            for tag in [3, 8] {
                bench.until_status(tag, StatusCode::BadTimeout).await;
            }
            until_async("the dead units are demoted", || bench.links[0].snapshot().demoted >= 2).await;
            let diary: Arc<Diary> = Arc::default();
            let watcher: Arc<dyn Watcher> = diary.clone();
            bench.until_status(0, StatusCode::Good).await;
            bench.tags.watch(TagId(0), Watch { watcher, key: 0, every: true });
            tokio::time::sleep(Duration::from_secs(1)).await;
            let diary = std::mem::take(&mut *diary.0.lock());
            assert!(diary.len() > 15, "{framing:?} {unreachable}: only {} of 20 polls", diary.len());
            assert!(diary.iter().all(|(_, sample)| sample.status.is_good()));
            bench.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exponent_register_scales_in_the_same_scan() {
    let slave = Slave::new();
    {
        let mut words = slave.words.lock().expect("lock");
        (words[0], words[1], words[500]) = (2345, 0xfffe, 0x8000);
    }
    let points = vec![
        point("holding/0", BuiltIn::Double).raw(RawType::Int16).exponent("holding/1"),
        point("holding/0", BuiltIn::Double).raw(RawType::Int16).exponent("holding/500"),
    ];
    let (bench, _listening) = started(&slave, points).await;
    assert_eq!(bench.until_status(0, StatusCode::Good).await.value, Value::Double(23.45));
    bench.until_status(1, StatusCode::BadSensorFailure).await;
    assert_eq!(bench.write(0, &Value::Double(12.0)).await, StatusCode::Good);
    assert_eq!(slave.words.lock().expect("lock")[0], 1200);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_stop_is_written_before_the_link_closes() {
    let slave = Slave::new();
    let mut beacon = point("coil/9", BuiltIn::Boolean);
    (beacon.read, beacon.on_stop) = (false, Some(Value::Boolean(false)));
    let (bench, _listening) = started(&slave, vec![beacon, point("holding/0", BuiltIn::UInt16)]).await;
    bench.until_status(1, StatusCode::Good).await;
    assert_eq!(bench.write(0, &Value::Boolean(true)).await, StatusCode::Good);
    let shown = bench.sample(0);
    assert_eq!((shown.value, shown.status), (Value::Boolean(true), StatusCode::UncertainLastUsableValue));
    assert!(slave.bits.lock().expect("lock")[9]);
    bench.stop().await;
    assert!(!slave.bits.lock().expect("lock")[9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_a_link_refuses_at_once_when_it_is_full() {
    let slave = Slave::new();
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let settings = Settings::of::<modbus::Tcp>(TcpSettings { unit_id: 1, ..tcp(listening.port) });
    let line =
        Line { timeout: Duration::from_secs(5), ..Line::new(settings, vec![point("holding/0", BuiltIn::UInt16)]) };
    let bench = Bench::start(vec![line]);
    bench.until_status(0, StatusCode::Good).await;
    slave.mute.store(true, Ordering::Relaxed);
    let write = || opcell::testing::tags::Write { tag: TagId(0), value: Value::UInt16(1), first: None, revision: 0 };
    let connection = opcell::testing::model::ConnectionIx(0);
    let mut places = Vec::new();
    let full = loop {
        match bench.tags.enqueue(connection, vec![write(); 10], Duration::from_secs(1)) {
            Ok(place) => places.push(place),
            Err(status) => break status,
        }
        assert!(places.len() < 300, "the queue has no end");
    };
    assert_eq!(full, StatusCode::BadResourceUnavailable);
    assert!(places.len() >= 256, "one place a request, whatever its length: {}", places.len());
    bench.stop().await;
}
