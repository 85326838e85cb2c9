//! A link as an operator sees it: lost, frozen and late PLCs, garbage, the plan of requests, and newer cells.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{Moment, Sample, Value};
use opcua::StatusCode;
use testkit::peers;
use testkit::plant::Bench;
use testkit::plc::{Faults, Plc, mark};
use testkit::relay::Relay;
use testkit::until::until_async;

use super::{cell, start};

fn word(db: u16, at: u32) -> Value {
    Value::UInt16(u16::from_be_bytes([mark(db, at), mark(db, at + 1)]))
}

/// A thousand tags, as cells have them: in three DBs with holes, and bit memory.
fn thousand() -> String {
    let words = |db: u16, count: u32| {
        (0..count).map(move |at| format!("W{db}_{at}: {{ type: UInt16, source: DB{db}.DBW{} }}\n", at * 6))
    };
    let bits = (0..100).map(|at| format!("M{at}: {{ type: Boolean, source: M{}.{} }}\n", at / 8, at % 8));
    words(1, 300).chain(words(9, 300)).chain(words(10, 300)).chain(bits).collect()
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
    let plc = Plc::new();
    let listening = plc.listen(Faults::none()).await;
    let bench = start(listening.port, &thousand());
    for (at, db) in [(0, 1), (300, 9), (600, 10)] {
        for tag in 0..300 {
            let sample = bench.until_status(at + tag, StatusCode::Good).await;
            if (db, tag) != (9, 0) {
                assert_eq!(sample.value, word(db, tag * 6), "DB{db} {tag}");
            }
        }
    }
    until_async("the PDU of 480 is used", || plc.take_asked().iter().flatten().any(|item| item.count > 240)).await;
    plc.take_asked();
    let before = plc.requests.load(Ordering::Relaxed);
    until_async("some scans", || plc.requests.load(Ordering::Relaxed) > before + 100).await;
    // Three times 1,796 bytes and 13 more, 462 a request.
    let bytes: usize = plc
        .take_asked()
        .iter()
        .map(|items| items.iter().map(|item| usize::from(item.count)).sum::<usize>())
        .max()
        .expect("requests");
    assert!(bytes > 400, "requests are full: {bytes}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_in_parts_make_a_pdu() {
    let plc = Plc::new();
    *plc.packet.lock().expect("lock") = 9;
    let listening = plc.listen(Faults::none()).await;
    let bench = start(listening.port, "A: { type: UInt16, source: DB1.DBW0 }\nB: { type: UInt16, source: DB10.DBW20 }");
    assert_eq!(bench.until_status(0, StatusCode::Good).await.value, word(1, 0));
    assert_eq!(bench.until_status(1, StatusCode::Good).await.value, word(10, 20));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_silent_plc_turns_its_tags_bad_in_time_and_comes_back() {
    for (mute, code) in [(false, StatusCode::BadNoCommunication), (true, StatusCode::BadTimeout)] {
        let plc = Plc::new();
        let listening = plc.listen(Faults::none()).await;
        let port = listening.port;
        let bench = start(port, "A: { type: UInt16, source: DB1.DBW0 }\nB: { type: UInt16, source: DB10.DBW2000 }");
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
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_an_answer_is_a_time_out_and_is_sent_once() {
    let plc = Plc::new();
    let listening = plc.listen(Faults::none()).await;
    let relay = Relay::to(([127, 0, 0, 1], listening.port).into());
    let nodes = "A: { type: UInt16, source: { address: DB1.DBW0, write: true } }";
    let bench = start(relay.address.port(), nodes);
    bench.until_status(0, StatusCode::Good).await;
    relay.mute();
    assert_eq!(bench.write(0, &Value::UInt16(7)).await, StatusCode::BadTimeout);
    let writes = plc.take_asked().iter().flatten().filter(|item| item.count == 2 && item.address == 0).count();
    assert_eq!(plc.bytes(1, 0, 2), [0, 7], "it has arrived; the client is not told so");
    assert!(writes >= 1);
    relay.cut();
    bench.until(0, "the PLC's own value", |sample| sample.value == Value::UInt16(7)).await;
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
    let bench = start(port, "A: { type: UInt16, source: DB1.DBW0 }");
    bench.until_status(0, StatusCode::BadNotConnected).await;
    let words = "does not speak S7 (ISO on TCP); check `host` and `port`";
    until_async("it is named", || bench.links[0].snapshot().last_error.contains(words)).await;
    talk.abort();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_cell_keeps_the_connection_and_every_sample() {
    let plc = Plc::new();
    let listening = plc.listen(Faults::none()).await;
    let nodes = |address: &str| {
        format!("Count: {{ type: UInt32, source: DB9.DBD0 }}\nOther: {{ type: UInt16, source: {address} }}")
    };
    let mut bench = start(listening.port, &nodes("DB1.DBW0"));
    bench.until_status(1, StatusCode::Good).await;
    let diary = watch(&bench, 0);
    for (revision, at) in (1..).zip([100_u32, 200, 300, 400]) {
        bench.change_cell(&cell(listening.port, "", &nodes(&format!("DB10.DBW{at}"))), revision);
        bench.until(1, "the new place", |sample| sample.value == word(10, at)).await;
    }
    let seen = std::mem::take(&mut *diary.0.lock());
    let counts: Vec<u32> = seen
        .iter()
        .map(|(_, sample)| match sample.value {
            Value::UInt32(count) if sample.status.is_good() => count,
            ref other => panic!("{other:?} {}", sample.status),
        })
        .collect();
    assert!(counts.windows(2).all(|pair| pair[1] == pair[0] + 1), "no sample is lost: {counts:?}");
    assert_eq!(plc.connections.load(Ordering::Relaxed), 1, "the connection stays");
    // Another zone of the clock is not another connection; another slot is.
    bench.change_cell(&cell(listening.port, ", slot: 2", &nodes("DB10.DBW400")), 9);
    until_async("a new connection", || plc.connections.load(Ordering::Relaxed) == 2).await;
    bench.until_status(1, StatusCode::Good).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_one_cpu_share_a_link() {
    let plc = Plc::new();
    let listening = plc.listen(Faults::none()).await;
    let port = listening.port;
    let text = format!(
        "schema: 1
cell: press
connections:
  fast: {{ driver: s7, host: 127.0.0.1, port: {port} }}
  slow: {{ driver: s7, host: localhost, port: {port}, max_gap: 0 }}
  other: {{ driver: s7, host: 127.0.0.1, port: {port}, slot: 2 }}
defaults: {{ poll: 100ms }}
nodes:
  A: {{ type: UInt16, source: {{ address: DB1.DBW0, connection: fast }} }}
  B: {{ type: UInt16, source: {{ address: DB10.DBW2, connection: slow }} }}
  C: {{ type: UInt16, source: {{ address: DB10.DBW4, connection: other }} }}
"
    );
    let bench = Bench::of_cell(&text);
    for (tag, value) in [(0, word(1, 0)), (1, word(10, 2)), (2, word(10, 4))] {
        assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, value);
    }
    assert_eq!(bench.links.len(), 2);
    assert_eq!(plc.connections.load(Ordering::Relaxed), 2);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_with_write_every_is_written_again_as_it_is() {
    let plc = Plc::new();
    let listening = plc.listen(Faults::none()).await;
    let nodes = "A: { type: Int16, source: { address: DB1.DBW0, write: true, write_every: 1s } }";
    let bench = start(listening.port, nodes);
    bench.until_status(0, StatusCode::Good).await;
    plc.set(1, 0, &[1, 2]);
    let is_write = |items: &Vec<testkit::plc::Item>| items.len() == 1 && items[0].count == 2 && items[0].address == 0;
    let before = plc.requests.load(Ordering::Relaxed);
    until_async("it is written again", || plc.take_asked().iter().filter(|items| is_write(items)).count() > 0).await;
    until_async("more", || plc.requests.load(Ordering::Relaxed) > before + 30).await;
    assert_eq!(plc.bytes(1, 0, 2), [1, 2], "as it was last read");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_stop_is_written_before_the_link_closes() {
    let plc = Plc::new();
    plc.set(1, 0, &[0xff]);
    let listening = plc.listen(Faults::none()).await;
    let bench =
        start(listening.port, "A: { type: Boolean, source: { address: DB1.DBX0.4, write: true, on_stop: false } }");
    bench.until_status(0, StatusCode::Good).await;
    bench.stop().await;
    assert_eq!(plc.bytes(1, 0, 1), [0xef]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plc_that_was_never_there_is_not_connected_and_then_comes() {
    let port = peers::free_port();
    let bench = start(port, "A: { type: UInt16, source: { address: DB1.DBW0, write: true } }");
    assert_eq!(bench.until_status(0, StatusCode::BadNotConnected).await.value, Value::Null);
    assert_eq!(bench.write(0, &Value::UInt16(1)).await, StatusCode::BadNotConnected);
    let plc = Plc::new();
    let began = Instant::now();
    let _listening = plc.listen_on(port, Faults::none()).await;
    bench.until_status(0, StatusCode::Good).await;
    assert!(began.elapsed() < Duration::from_secs(1), "within `reconnect_max` and a request");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_shows_an_address_in_all_types() {
    let plc = Plc::new();
    plc.set(1, 7_990, &[0x41, 0x46, 0, 0]);
    let listening = plc.listen(Faults::none()).await;
    let folder =
        testkit::program::folder(&[("cell.yaml", &cell(listening.port, "", "A: { type: UInt16, source: DB1.DBW0 }"))]);
    let probe = |address: &'static str| {
        let folder = folder.path().to_owned();
        tokio::task::spawn_blocking(move || {
            testkit::program::opcell(&folder, &["probe", "plc", address, "cell.yaml"], "")
        })
    };
    let said = probe("DB1.DBD7990").await.expect("it ends");
    assert_eq!(said.code, 0, "{}", said.err);
    for line in [
        "address",
        "PDU",
        "480 bytes",
        "DB1.DBD7990, raw_type: float32",
        "12.375",
        "DB1.DBW7990, raw_type: int16",
        "16710",
    ] {
        assert!(said.out.contains(line), "{line} in\n{}", said.out);
    }
    let said = probe("DB77.DBW0").await.expect("it ends");
    assert!(said.err.contains("DB77 is absent, shorter, or has optimised access"), "{}", said.err);
    let said = probe("DB1,REAL4").await.expect("it ends");
    assert!(said.err.contains("write `DB1.DBD4`"), "{}", said.err);
}
