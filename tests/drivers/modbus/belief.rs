//! Which replies are believed: lines that echo or repeat, ids that are nothing, replies in a reply, torn exponents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opcell::testing::drivers::Settings;
use opcell::testing::drivers::modbus::{self, Framing, RawType, TcpFraming, TcpSettings};
use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{BuiltIn, Elements, Moment, Sample, Value};
use opcua::StatusCode;
use parking_lot::Mutex;
use testkit::device::{device, now};
use testkit::plant::{Bench, Line, Point, point, tcp};
use testkit::slave::{Slave, mark, wrap};
use testkit::until::until_async;
use testkit::{device, slave};

const FRAMINGS: [(TcpFraming, Framing); 2] = [(TcpFraming::Rtu, Framing::Rtu), (TcpFraming::Ascii, Framing::Ascii)];

fn link(port: u16, framing: TcpFraming, points: Vec<Point>) -> Line {
    let settings = Settings::of::<modbus::Tcp>(TcpSettings { framing, max_gap: 8, ..tcp(port) });
    Line { timeout: Duration::from_millis(150), retries: 1, ..Line::new(settings, points) }
}

/// Every value that was Good.
#[derive(Default)]
struct Diary(Mutex<Vec<Value>>);

impl Watcher for Diary {
    fn offer(&self, _: u32, sample: &Sample, _: Moment) {
        if sample.status.is_good() {
            self.0.lock().push(sample.value.clone());
        }
    }
}

fn diary(bench: &Bench, tag: u32) -> Arc<Diary> {
    let diary: Arc<Diary> = Arc::default();
    let watcher: Arc<dyn Watcher> = diary.clone();
    bench.tags.watch(TagId(tag), Watch { watcher, key: tag, every: true });
    diary
}

/// The device refuses writes or never sees them, and the line echoes: nothing of that may look like a reply.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_line_that_echoes_no_write_is_good_that_the_device_did_not_do() {
    for (framing, over) in FRAMINGS {
        for has_read in [true, false] {
            let slave = Slave::new();
            let mood = Arc::new(AtomicU32::new(0));
            let of_device = Arc::clone(&mood);
            let device = device(over, &slave, move |heard| {
                let is_write = matches!(heard.pdu[0], 5 | 6);
                let refusal = wrap(over, &heard.head, heard.unit, &[heard.pdu[0] | 0x80, 2]);
                let wait = Duration::from_millis(3);
                match of_device.load(Ordering::Relaxed) {
                    1 if is_write => vec![now(heard.bytes.clone()), (wait, refusal)],
                    2 => vec![now(heard.bytes.clone())],
                    _ => vec![now(heard.bytes.clone()), (wait, heard.reply.clone())],
                }
            })
            .await;
            let mut points = vec![point("coil/1", BuiltIn::Boolean), point("holding/1", BuiltIn::UInt16)];
            points.iter_mut().for_each(|point| point.read = has_read);
            let bench = Bench::start(vec![link(device.port, framing, points)]);
            let name = format!("{over:?}, reads {has_read}");
            // The device obeys: the echo of the line is learned by then.
            until_async(&name, || bench.links[0].snapshot().state == opcell::testing::health::State::Connected).await;
            for (tag, value) in [(0, Value::Boolean(true)), (1, Value::UInt16(7))] {
                assert_eq!(bench.write(tag, &value).await, StatusCode::Good, "{name}");
            }
            assert!(slave.bits.lock().expect("lock")[1] && slave.words.lock().expect("lock")[1] == 7, "{name}");
            for mood_now in [1, 2] {
                mood.store(mood_now, Ordering::Relaxed);
                for (tag, value) in [(0, Value::Boolean(false)), (1, Value::UInt16(9))] {
                    let status = bench.write(tag, &value).await;
                    assert!(status.is_bad(), "{name}: {status}, mood {mood_now}");
                }
            }
            bench.stop().await;
        }
    }
}

/// The echo of "17 coils at 768" is itself a right reply: byte count 3 is the high byte of 768.
#[tokio::test(flavor = "multi_thread")]
async fn an_echo_is_never_read_as_coils() {
    for (framing, over) in FRAMINGS {
        let slave = Slave::new();
        let device = device(over, &slave, |heard| {
            vec![now(heard.bytes.clone()), (Duration::from_millis(3), heard.reply.clone())]
        })
        .await;
        let bench = Bench::start(vec![link(device.port, framing, vec![point("coil/768", BuiltIn::Boolean).array(17)])]);
        let diary = diary(&bench, 0);
        until_async("20 reads", || diary.0.lock().len() >= 20).await;
        let off = Value::array(Elements::Boolean(vec![false; 17]));
        assert!(diary.0.lock().iter().all(|value| *value == off), "{over:?}");
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_comes_twice_shifts_no_value() {
    for (framing, over) in FRAMINGS {
        for (gap, every, may_read_more) in [(8, 1, true), (8, 3, true), (0, 1, true), (8, 1, false)] {
            let slave = Slave::new();
            if !may_read_more {
                *slave.longest.lock().expect("lock") = 1;
            }
            let count = AtomicUsize::new(0);
            let device = device(over, &slave, move |heard| {
                let mut says = vec![now(heard.reply.clone())];
                if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(every) {
                    says.push((Duration::from_millis(4), heard.reply.clone()));
                }
                says
            })
            .await;
            let points = [0u16, 100, 200].map(|at| point(&format!("holding/{at}"), BuiltIn::UInt16)).to_vec();
            let mut line = link(device.port, framing, points);
            let settings = line.settings.get::<modbus::Tcp>().expect("a TCP line").clone();
            line.settings = Settings::of::<modbus::Tcp>(TcpSettings { max_gap: gap, ..settings });
            let bench = Bench::start(vec![line]);
            let diaries = [0, 1, 2].map(|tag| diary(&bench, tag));
            until_async("30 reads of each", || diaries.iter().all(|diary| diary.0.lock().len() >= 30)).await;
            for (diary, at) in diaries.iter().zip([0u16, 100, 200]) {
                let right = Value::UInt16(mark(at));
                let seen = diary.0.lock();
                let wrong = seen.iter().filter(|value| **value != right).count();
                assert_eq!(wrong, 0, "{over:?}, gap {gap}, each {every}: {} reads of {at}", seen.len());
            }
            let now = bench.links[0].snapshot();
            assert_eq!(now.timeouts, 0, "{over:?}, gap {gap}: {now:?}");
            bench.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_reply_is_repeated_on_the_same_connection() {
    for (framing, over) in FRAMINGS.into_iter().chain([(TcpFraming::Tcp, Framing::Tcp)]) {
        let slave = Slave::new();
        let count = AtomicUsize::new(0);
        let device = device(over, &slave, move |heard| {
            let mut reply = heard.reply.clone();
            if count.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
                // A wrong sum, and in Modbus TCP another function.
                let at = if over == Framing::Tcp { 7 } else { reply.len() - 3 };
                reply[at] ^= 1;
            }
            vec![now(reply)]
        })
        .await;
        let line = Line {
            stale_after: Duration::from_secs(20),
            ..link(device.port, framing, vec![point("holding/8", BuiltIn::UInt16)])
        };
        let bench = Bench::start(vec![line]);
        bench.until_status(0, StatusCode::Good).await;
        until_async("4 bad replies", || {
            assert_eq!(bench.sample(0).status, StatusCode::Good, "{over:?}");
            bench.links[0].snapshot().errors >= 4
        })
        .await;
        assert_eq!(device.opened.load(Ordering::Relaxed), 1, "{over:?}");
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_with_id_0_is_taken_where_one_request_can_be_meant() {
    for (transaction, unit) in [(true, false), (false, true), (true, true)] {
        let slave = Slave::new();
        let lost = Arc::new(AtomicUsize::new(0));
        let to_lose = Arc::clone(&lost);
        let device = device(Framing::Tcp, &slave, move |heard| {
            let mut reply = heard.reply.clone();
            if transaction {
                reply[..2].fill(0);
            }
            if unit {
                reply[6] = 0;
            }
            if to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                return vec![];
            }
            // Twice, so that only what belongs to its request may be taken.
            vec![now(reply.clone()), (Duration::from_millis(2), reply)]
        })
        .await;
        let points = [0u16, 100, 200].map(|at| point(&format!("holding/{at}"), BuiltIn::UInt16)).to_vec();
        let bench = Bench::start(vec![link(device.port, TcpFraming::Tcp, points)]);
        let diaries = [0, 1, 2].map(|tag| diary(&bench, tag));
        for round in 1..4 {
            until_async("10 reads more", || diaries.iter().all(|diary| diary.0.lock().len() >= 10 * round)).await;
            lost.store(1, Ordering::Relaxed);
        }
        for (diary, at) in diaries.iter().zip([0u16, 100, 200]) {
            assert!(diary.0.lock().iter().all(|value| *value == Value::UInt16(mark(at))), "{transaction} {unit} {at}");
        }
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_with_another_id_is_dropped_and_the_difference_is_named() {
    for (at, text) in [
        (1, "answers with transaction id"),
        (6, "answers with unit id 9, asked with 1"),
        (7, "answers with function 9, asked with 3"),
    ] {
        let slave = Slave::new();
        let device = device(Framing::Tcp, &slave, move |heard| {
            let mut reply = heard.reply.clone();
            reply[at] = if at == 1 { reply[at].wrapping_add(100) } else { 9 };
            vec![now(reply)]
        })
        .await;
        let bench = Bench::start(vec![link(device.port, TcpFraming::Tcp, vec![point("holding/0", BuiltIn::UInt16)])]);
        bench.until_status(0, StatusCode::BadCommunicationError).await;
        let error = bench.links[0].snapshot().last_error;
        assert!(error.starts_with(text), "{error}");
        bench.stop().await;
    }
}

/// A gateway writes a stale reply into the middle of the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_inside_a_reply_is_not_believed() {
    let slave = Slave::new();
    let (count, last) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let device = device(Framing::Tcp, &slave, move |heard| {
        let stale = std::mem::replace(&mut *last.lock(), heard.reply.clone());
        if count.fetch_add(1, Ordering::Relaxed) % 5 < 4 || stale.is_empty() {
            return vec![now(heard.reply.clone())];
        }
        let (head, tail) = heard.reply.split_at(12);
        vec![now([head, &stale, tail].concat())]
    })
    .await;
    let points = [0u16, 100, 200].map(|at| point(&format!("holding/{at}"), BuiltIn::UInt64)).to_vec();
    let bench = Bench::start(vec![link(device.port, TcpFraming::Tcp, points)]);
    let diaries = [0, 1, 2].map(|tag| diary(&bench, tag));
    until_async("20 reads of each", || diaries.iter().all(|diary| diary.0.lock().len() >= 20)).await;
    for (diary, at) in diaries.iter().zip([0u16, 100, 200]) {
        let number = (0..4).fold(0_u64, |number, word| number << 16 | u64::from(mark(at + word)));
        assert!(diary.0.lock().iter().all(|value| *value == Value::UInt64(number)), "{at}");
    }
    assert!(device.opened.load(Ordering::Relaxed) > 1, "the link was given up");
    bench.stop().await;
}

/// The device changes between (1000, -1) and (100, 0): the value is 100 at each moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_and_its_exponent_are_of_one_moment() {
    for (exponent, every) in [("holding/110", 1), ("holding/600", 3), ("holding/600", 4), ("holding/600", 2)] {
        let slave = Slave::new();
        let (count, words) = (AtomicUsize::new(0), Arc::clone(&slave));
        let device = device(Framing::Tcp, &slave, move |heard| {
            let n = count.fetch_add(1, Ordering::Relaxed);
            let (value, power) = if n / every % 2 == 0 { (1_000, 0xffff) } else { (100, 0) };
            let mut words = words.words.lock().expect("lock");
            (words[10], words[110], words[600]) = (value, power, power);
            vec![now(heard.reply.clone())]
        })
        .await;
        let value = point("holding/10", BuiltIn::Double).raw(RawType::Int16).exponent(exponent);
        let bench = Bench::start(vec![link(device.port, TcpFraming::Tcp, vec![value])]);
        let (diary, began) = (diary(&bench, 0), Instant::now());
        while diary.0.lock().len() < 20 && began.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seen = diary.0.lock().clone();
        let wrong: Vec<&Value> = seen.iter().filter(|value| **value != Value::Double(100.0)).collect();
        // The first reply of the run is of the device as it was before.
        assert!(wrong.len() <= 1 && !wrong.contains(&&Value::Double(10.0)), "{exponent} {every}: {wrong:?}");
        match every {
            2 => assert_eq!(bench.sample(0).status, StatusCode::BadCommunicationError),
            _ => assert!(seen.len() >= 10, "{exponent} {every}: {} values", seen.len()),
        }
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_by_two_names_is_one_link() {
    let slave = Slave::new();
    let listening = slave.listen(Framing::Tcp, slave::Faults::none()).await;
    let line = |host: &str| {
        let settings = TcpSettings { host: host.to_owned(), ..tcp(listening.port) };
        Line::new(Settings::of::<modbus::Tcp>(settings), vec![point("holding/1", BuiltIn::UInt16)])
    };
    let bench = Bench::start(vec![line("127.0.0.1"), line("localhost"), line("LOCALHOST")]);
    assert_eq!(bench.links.len(), 1);
    bench.until_status(2, StatusCode::Good).await;
    bench.stop().await;
}

/// Its writes need no echo to be learned from a read that it never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_answers_no_read_can_be_written() {
    let slave = Slave::new();
    let device = device(Framing::Tcp, &slave, |heard| match heard.pdu[0] {
        5 | 6 => vec![now(heard.reply.clone())],
        _ => vec![],
    })
    .await;
    let mut points = vec![point("coil/1", BuiltIn::Boolean), point("holding/1", BuiltIn::UInt16)];
    points.iter_mut().for_each(|point| point.read = false);
    let bench = Bench::start(vec![link(device.port, TcpFraming::Tcp, points)]);
    until_async("a link", || bench.links[0].snapshot().state == opcell::testing::health::State::Connected).await;
    for (tag, value) in [(0, Value::Boolean(true)), (1, Value::UInt16(7))] {
        assert_eq!(bench.write(tag, &value).await, StatusCode::Good);
    }
    assert!(slave.bits.lock().expect("lock")[1] && slave.words.lock().expect("lock")[1] == 7);
    bench.stop().await;
}

/// A serial server that closes the connection after each reply.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_closes_after_each_reply_is_read_and_written() {
    for (framing, over) in FRAMINGS.into_iter().chain([(TcpFraming::Tcp, Framing::Tcp)]) {
        let slave = Slave::new();
        let device = device(over, &slave, |heard| vec![now(heard.reply.clone()), now(device::CLOSE.to_vec())]).await;
        let points = vec![point("coil/1", BuiltIn::Boolean), point("holding/1", BuiltIn::UInt16)];
        let bench = Bench::start(vec![link(device.port, framing, points)]);
        bench.until_status(0, StatusCode::Good).await;
        bench.until_status(1, StatusCode::Good).await;
        until_async("both scans twice", || bench.links[0].snapshot().requests > 8).await;
        for round in 1..10 {
            for (tag, value) in [(0, Value::Boolean(round % 2 == 1)), (1, Value::UInt16(round))] {
                assert_eq!(bench.write(tag, &value).await, StatusCode::Good, "{over:?}, round {round}");
            }
            assert_eq!(slave.words.lock().expect("lock")[1], round, "{over:?}");
        }
        assert_eq!(bench.links[0].snapshot().errors, 0, "{over:?}");
        bench.stop().await;
    }
}
