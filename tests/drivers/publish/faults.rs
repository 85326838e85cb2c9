//! Brokers that are away, freeze, are cut off, and restart.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use opcell::value::Value;
use testkit::broker::{Broker, Listening};
use testkit::relay::Relay;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{cell, count, status, until_state, value_of, write};

const ALL: &str = "nodes:\n  All: { type: Int32, value: 0, write: true, history: fast }\n";
const NEWEST: &str = "nodes:\n  Level: { type: Int32, value: 0, write: true }\n";

fn write_all(server: &TestServer, numbers: std::ops::RangeInclusive<i32>) {
    numbers.for_each(|n| write(server, "All", Value::Int32(n)));
}

/// A server whose broker was never there; its port is free.
struct Away {
    broker: Broker,
    server: TestServer,
    _folder: tempfile::TempDir,
}

fn away(keys: &str, nodes: &str) -> Option<Away> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = Broker::open(folder.path())?;
    broker.stop();
    let server = TestServer::start(&cell(broker.port, "", keys, nodes));
    until_state(&server, "Waiting");
    Some(Away { broker, server, _folder: folder })
}

/// Numbers up to the last one; each may come again, and none is missing.
fn take_until(listening: &mut Listening, last: i32) -> Vec<i64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&i64::from(last)) {
        let line = listening.message();
        seen.push(value_of(&line).as_i64().unwrap_or_else(|| panic!("no number: {line}")));
    }
    seen
}

#[test]
fn values_from_before_the_broker_was_there_come_late_and_in_their_order() {
    let Some(Away { mut broker, server, _folder }) = away("", ALL) else { return };
    assert_ne!(status(&server)["last_error"], "");
    write_all(&server, 1..=500);
    until("all are on disk", || count(&server, "buffered") >= 501);
    assert!(broker.start());
    let mut listening = broker.listen(&["cell3/All"]);
    let first = listening.message();
    let mut seen = BTreeSet::from([value_of(&first).as_i64().expect("a number")]);
    if first.contains("\"late\":true") {
        seen.extend(take_until(&mut listening, 500));
    }
    until("the buffer is empty", || count(&server, "buffered") == 0);
    write_all(&server, 501..=501);
    take_until(&mut listening, 501);
    assert_eq!(count(&server, "dropped"), 0);
}

#[test]
fn a_restart_of_the_broker_loses_nothing_and_the_newest_value_is_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut broker) = Broker::open(folder.path()) else { return };
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], broker.port)));
    let server = TestServer::start(&cell(relay.address.port(), "", "", ALL));
    let mut next = 1;
    for _ in 0..3 {
        until_state(&server, "Connected");
        broker.stop();
        until_state(&server, "Waiting");
        write_all(&server, next..=next + 199);
        until("all are on disk", || count(&server, "buffered") >= 200);
        assert!(broker.start());
        until("the buffer is empty", || count(&server, "buffered") == 0);
        next += 200;
        let mut listening = broker.listen(&["cell3/All"]);
        let line = listening.message();
        assert_eq!(value_of(&line), next - 1, "retained: {line}");
    }
    assert_eq!(count(&server, "dropped"), 0);
}

#[test]
fn a_broker_that_freezes_gets_all_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut listening = broker.listen(&["cell3/All"]);
    let server = TestServer::start(&cell(broker.port, ", keep_alive: 1s", "", ALL));
    assert_eq!(value_of(&listening.message()), 0);
    broker.signal("-STOP");
    write_all(&server, 1..=2_000);
    until("messages are kept on disk", || count(&server, "buffered") > 1_000);
    broker.signal("-CONT");
    let seen = take_until(&mut listening, 2_000);
    let all: BTreeSet<i64> = seen.iter().copied().collect();
    assert!((1..=2_000).all(|n| all.contains(&n)), "{} of 2,000", all.len());
    until("the buffer is empty", || count(&server, "buffered") == 0);
    assert_eq!(count(&server, "dropped"), 0);
}

/// Numbers of a run with cuts; 100,000 with OPCELL_EXCHANGES=100000.
fn exchanges() -> i32 {
    std::env::var("OPCELL_EXCHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

#[test]
fn cuts_lose_no_value_and_the_order_of_first_arrivals_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], broker.port)));
    let mut listening = broker.listen(&["cell3/All"]);
    let server = TestServer::start(&cell(relay.address.port(), "", "", ALL));
    assert_eq!(value_of(&listening.message()), 0);
    let last = exchanges();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=last {
                write(&server, "All", Value::Int32(n));
                if n % 50 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                if n % 397 == 0 {
                    relay.cut();
                }
                if n % 1_201 == 0 {
                    relay.mute();
                }
            }
            // Also where the last fault was a silence: nothing else ends it.
            relay.cut();
        });
        let mut newest = 0;
        let mut seen = BTreeSet::new();
        while newest < i64::from(last) {
            let number = value_of(&listening.message()).as_i64().expect("a number");
            // What comes for the first time is newer than all before.
            assert!(!seen.insert(number) || number == newest + 1, "{number} after {newest}");
            newest = newest.max(number);
        }
    });
    assert_eq!(count(&server, "dropped"), 0);
}

#[test]
fn the_newest_value_arrives_after_cuts() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    for keys in ["", ", buffer: 0MiB", ", qos: 0"] {
        let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], broker.port)));
        let server = TestServer::start(&cell(relay.address.port(), "", keys, NEWEST));
        let mut listening = broker.listen(&["cell3/Level"]);
        for n in 1..=300 {
            write(&server, "Level", Value::Int32(n));
            if n % 50 == 0 {
                relay.cut();
            }
        }
        take_until(&mut listening, 300);
        drop(server);
        broker.publish("cell3/Level", "", &["-r"]);
    }
}

#[test]
fn a_tag_that_is_removed_while_the_broker_is_away_leaves_no_value() {
    const ONE: &str = "nodes:\n  A: { type: Int32, value: 1, write: true }\n";
    let both = format!("{ONE}  B: {{ type: Int32, value: 1, write: true }}\n");
    let Some(Away { mut broker, server, _folder }) = away("", &both) else { return };
    write(&server, "B", Value::Int32(7));
    until("both are on disk", || count(&server, "buffered") >= 3);
    server.reload(&cell(broker.port, "", "", ONE));
    assert!(broker.start());
    until_state(&server, "Connected");
    until("the buffer is empty", || count(&server, "buffered") == 0);
    write(&server, "A", Value::Int32(2));
    until("all is acknowledged", || {
        let mut later = broker.listen(&["cell3/B", "cell3/A"]);
        let first = later.message();
        assert!(!first.starts_with("cell3/B"), "it is retained: {first}");
        value_of(&first) == 2
    });
}

#[test]
fn a_buffer_of_an_edge_node_does_not_stop_a_publisher_of_json() {
    let Some(Away { mut broker, server, _folder }) = away(", format: sparkplug, group: Plant1", NEWEST) else { return };
    write(&server, "Level", Value::Int32(7));
    until("it is on disk", || count(&server, "buffered") >= 1);
    server.reload(&cell(broker.port, "", "", NEWEST));
    assert!(broker.start());
    let mut listening = broker.listen(&["cell3/Level"]);
    write(&server, "Level", Value::Int32(8));
    take_until(&mut listening, 8);
    until("the old one is gone", || count(&server, "buffered") == 0 && count(&server, "dropped") > 0);
    assert_eq!(count(&server, "reconnects"), 0, "{}", status(&server));
}

#[test]
fn without_a_buffer_values_are_lost_and_counted() {
    let Some(Away { mut broker, server, _folder }) = away(", buffer: 0MiB", ALL) else { return };
    write_all(&server, 1..=100);
    until("they are counted", || count(&server, "dropped") >= 100);
    assert_eq!(count(&server, "buffered"), 0);
    assert!(broker.start());
    until_state(&server, "Connected");
    let mut listening = broker.listen(&["cell3/All"]);
    take_until(&mut listening, 100);
}

#[test]
fn a_small_buffer_drops_the_oldest_and_counts_them() {
    let Some(Away { mut broker, server, _folder }) = away(", buffer: 64KiB", ALL) else { return };
    write_all(&server, 1..=3_000);
    until("the oldest are dropped", || count(&server, "dropped") > 1_000 && count(&server, "buffered") > 100);
    let folder_size: u64 = walk(&server.dir().join("state/publish"));
    assert!(folder_size <= 64 << 10, "{folder_size} bytes");
    assert!(broker.start());
    until("the buffer is empty", || count(&server, "buffered") == 0);
    assert!(count(&server, "dropped") < 3_000);
    let mut listening = broker.listen(&["cell3/All"]);
    take_until(&mut listening, 3_000);
}

fn walk(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries
        .map(
            |entry| if entry.path().is_dir() { walk(&entry.path()) } else { entry.metadata().map_or(0, |of| of.len()) },
        )
        .sum()
}

#[test]
fn what_is_on_disk_comes_after_a_restart_of_the_server() {
    let Some(Away { mut broker, server, _folder }) = away("", ALL) else { return };
    write_all(&server, 1..=300);
    until("all are on disk", || count(&server, "buffered") >= 300);
    let server = server.restart();
    until("they are still there", || count(&server, "buffered") >= 300);
    assert!(broker.start());
    until("the buffer is empty", || count(&server, "buffered") == 0);
    assert!(count(&server, "acknowledged") >= 300);
    assert_eq!(count(&server, "dropped"), 0);
}
