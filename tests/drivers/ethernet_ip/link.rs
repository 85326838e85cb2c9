//! A link as an operator sees it: lost, frozen and late PLCs, garbage, the plan of requests, and newer cells.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{Moment, Sample, Value};
use opcua::StatusCode;
use testkit::logix::{DINT, Logix, mark};
use testkit::peers;
use testkit::plant::Bench;
use testkit::plc::Faults;
use testkit::relay::Relay;
use testkit::until::until_async;

use super::{cell, start};

/// A thousand tags.
fn thousand() -> String {
    (0..1_000).map(|at| format!("T{at}: {{ type: Int32, source: T{at} }}\n")).collect()
}

/// The samples of a tag, with their times.
#[derive(Default)]
struct Diary(parking_lot::Mutex<Vec<(Instant, Sample)>>);

impl Watcher for Diary {
    fn offer(&self, _: u32, sample: &Sample, _: Moment) {
        self.0.lock().push((Instant::now(), sample.clone()));
    }
}

fn watch(bench: &Bench, tag: u32) -> Arc<Diary> {
    let diary: Arc<Diary> = Arc::default();
    let watcher: Arc<dyn Watcher> = diary.clone();
    bench.tags.watch(TagId(tag), Watch { watcher, key: tag, every: true });
    diary
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tags_need_few_requests_and_are_right() {
    // In a message: the largest one, tags by their names of 4 letters in 12 bytes each, replies of 12 bytes.
    for (largest, requests) in [(4_000, 4), (500, 29), (0, 30)] {
        let plc = Logix::new(1_000);
        *plc.largest.lock().expect("lock") = largest;
        let listening = plc.listen(Faults::none()).await;
        let bench = start(listening.port, &thousand());
        for tag in 0..1_000 {
            assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, Value::Int32(mark(tag)), "{tag}");
        }
        plc.take_asked();
        let before = plc.requests.load(Ordering::Relaxed);
        until_async("some scans", || plc.requests.load(Ordering::Relaxed) > before + 120).await;
        let asked = plc.take_asked();
        let begins = |service: &Vec<u8>| service.windows(4).any(|four| four == b"\x91\x02T0");
        let places: Vec<usize> = (0..asked.len()).filter(|at| begins(&asked[*at])).collect();
        let scan = places[1] - places[0];
        assert!(scan <= requests, "{scan} requests a scan at {largest}");
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_silent_plc_turns_its_tags_bad_in_time_and_comes_back() {
    for (mute, code) in [(false, StatusCode::BadNoCommunication), (true, StatusCode::BadTimeout)] {
        for largest in [0, 4_000] {
            let plc = Logix::new(2);
            *plc.largest.lock().expect("lock") = largest;
            let listening = plc.listen(Faults::none()).await;
            let port = listening.port;
            let bench = start(port, "A: { type: Int32, source: T0 }\nB: { type: Int32, source: T1 }");
            bench.until_status(0, StatusCode::Good).await;
            let diary = watch(&bench, 0);
            let stopped = Instant::now();
            plc.mute.store(mute, Ordering::Relaxed);
            let listening = mute.then_some(listening);
            for tag in [0, 1] {
                assert_eq!(bench.until_status(tag, code).await.value, Value::Null);
            }
            let seen = std::mem::take(&mut *diary.0.lock());
            let last_good = seen.iter().rfind(|(_, sample)| sample.status.is_good()).map_or(stopped, |(at, _)| *at);
            let bad = seen.iter().find(|(at, sample)| *at > last_good && sample.status.is_bad()).expect("bad");
            assert!(bad.0 - last_good < Duration::from_millis(300 + 50 + 100), "bad after {:?}", bad.0 - last_good);
            assert!(last_good < stopped + Duration::from_millis(100), "Good after the stop");
            plc.mute.store(false, Ordering::Relaxed);
            let _again = match listening {
                Some(listening) => listening,
                None => plc.listen_on(port, Faults::none()).await,
            };
            for tag in [0, 1] {
                bench.until_status(tag, StatusCode::Good).await;
            }
            // A silent PLC keeps its session.
            assert_eq!(plc.connections.load(Ordering::Relaxed), if mute { 1 } else { 2 });
            bench.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_an_answer_is_a_time_out_and_is_sent_once() {
    let plc = Logix::new(1);
    let listening = plc.listen(Faults::none()).await;
    let relay = Relay::to(([127, 0, 0, 1], listening.port).into());
    let bench = start(relay.address.port(), "A: { type: Int32, source: { address: T0, write: true } }");
    bench.until_status(0, StatusCode::Good).await;
    relay.mute();
    assert_eq!(bench.write(0, &Value::Int32(7)).await, StatusCode::BadTimeout);
    assert_eq!(plc.bytes("T0"), [7, 0, 0, 0], "it has arrived; the client is not told so");
    let writes = plc.take_asked().iter().filter(|service| service[0] == 0x4d).count();
    assert_eq!(writes, 1);
    relay.cut();
    bench.until(0, "the PLC's own value", |sample| sample.value == Value::Int32(7)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_no_plc_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let talk = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
            let mut bytes = [0; 64];
            drop(tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await);
        }
    });
    let bench = start(port, "A: { type: Int32, source: T0 }");
    bench.until_status(0, StatusCode::BadNotConnected).await;
    let words = "does not speak EtherNet/IP; check `host` and `port`";
    until_async("it is named", || bench.links[0].snapshot().last_error.contains(words)).await;
    talk.abort();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plc_that_never_answers_an_opening_is_asked_without_a_connection_of_cip() {
    let plc = Logix::new(1);
    plc.ignores_open.store(true, Ordering::Relaxed);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(listening.port, "A: { type: Int32, source: T0 }");
    assert_eq!(bench.until_status(0, StatusCode::Good).await.value, Value::Int32(mark(0)));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_cell_keeps_the_connection_and_every_sample() {
    for largest in [0, 4_000] {
        let plc = Logix::new(10);
        *plc.largest.lock().expect("lock") = largest;
        let listening = plc.listen(Faults::none()).await;
        let nodes = |address: &str| {
            format!("Count: {{ type: Int32, source: Count }}\nOther: {{ type: Int32, source: {address} }}")
        };
        let mut bench = start(listening.port, &nodes("T0"));
        bench.until_status(1, StatusCode::Good).await;
        let diary = watch(&bench, 0);
        for (revision, at) in (1..).zip([1, 2, 3, 4]) {
            bench.change_cell(&cell(listening.port, "", &nodes(&format!("T{at}"))), revision);
            bench.until(1, "the new place", |sample| sample.value == Value::Int32(mark(at))).await;
        }
        let seen = std::mem::take(&mut *diary.0.lock());
        let counts: Vec<i32> = seen
            .iter()
            .map(|(_, sample)| match sample.value {
                Value::Int32(count) if sample.status.is_good() => count,
                ref other => panic!("{other:?} {}", sample.status),
            })
            .collect();
        assert!(counts.windows(2).all(|pair| pair[1] == pair[0] + 1), "no sample is lost: {counts:?}");
        assert_eq!(plc.connections.load(Ordering::Relaxed), 1, "the connection stays");
        bench.change_cell(&cell(listening.port, ", slot: 2", &nodes("T4")), 9);
        until_async("a new connection", || plc.connections.load(Ordering::Relaxed) == 2).await;
        bench.until_status(1, StatusCode::Good).await;
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_one_cpu_share_a_link() {
    let plc = Logix::new(3);
    let listening = plc.listen(Faults::none()).await;
    let port = listening.port;
    let text = format!(
        "schema: 1
cell: press
connections:
  fast: {{ driver: ethernet-ip, host: 127.0.0.1, port: {port} }}
  slow: {{ driver: ethernet-ip, host: localhost, port: {port}, path: '1,0' }}
  other: {{ driver: ethernet-ip, host: 127.0.0.1, port: {port}, slot: 2 }}
defaults: {{ poll: 100ms }}
nodes:
  A: {{ type: Int32, source: {{ address: T0, connection: fast }} }}
  B: {{ type: Int32, source: {{ address: T1, connection: slow }} }}
  C: {{ type: Int32, source: {{ address: T2, connection: other }} }}
"
    );
    let bench = Bench::of_cell(&text);
    for tag in 0..3 {
        assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, Value::Int32(mark(tag)));
    }
    assert_eq!(bench.links.len(), 2);
    assert_eq!(plc.connections.load(Ordering::Relaxed), 2);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_with_write_every_is_written_again_as_it_is() {
    let plc = Logix::new(1);
    let listening = plc.listen(Faults::none()).await;
    let nodes = "A: { type: Int32, source: { address: T0, write: true, write_every: 1s } }";
    let bench = start(listening.port, nodes);
    bench.until_status(0, StatusCode::Good).await;
    plc.set("T0", DINT, &[1], &[1, 2, 3, 4]);
    let is_write = |service: &Vec<u8>| service[0] == 0x4d;
    let before = plc.requests.load(Ordering::Relaxed);
    until_async("it is written again", || plc.take_asked().iter().any(is_write)).await;
    until_async("more", || plc.requests.load(Ordering::Relaxed) > before + 30).await;
    assert_eq!(plc.bytes("T0"), [1, 2, 3, 4], "as it was last read");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_stop_is_written_before_the_link_closes() {
    let plc = Logix::new(1);
    plc.set("T0", DINT, &[1], &[0xff, 0, 0, 0]);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(listening.port, "A: { type: Boolean, source: { address: T0.4, write: true, on_stop: false } }");
    bench.until_status(0, StatusCode::Good).await;
    bench.stop().await;
    assert_eq!(plc.bytes("T0"), [0xef, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plc_that_was_never_there_is_not_connected_and_then_comes() {
    let port = peers::free_port();
    let bench = start(port, "A: { type: Int32, source: { address: T0, write: true } }");
    assert_eq!(bench.until_status(0, StatusCode::BadNotConnected).await.value, Value::Null);
    assert_eq!(bench.write(0, &Value::Int32(1)).await, StatusCode::BadNotConnected);
    let plc = Logix::new(1);
    let began = Instant::now();
    let _listening = plc.listen_on(port, Faults::none()).await;
    bench.until_status(0, StatusCode::Good).await;
    assert!(began.elapsed() < Duration::from_secs(1), "within `reconnect_max` and a request");
    bench.stop().await;
}
