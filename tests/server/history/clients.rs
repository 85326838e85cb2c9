//! How real clients use history (clients.md's sources: vendors' documents, source code, issue threads), replayed
//! against the whole server with its store.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use opcell::testing::history::{Archives, Row};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{UaTime, Value};
use opcua::{PerformUpdateType, StatusCode};
use testkit::history;
use testkit::history::{Asked, Processed, Read, node, processed, raw, results, sample};
use testkit::server::TestServer;
use testkit::ua::Session;

const SECOND: i64 = 10_000_000;
const HOUR: i64 = 3600 * SECOND;

fn cell(tags: usize) -> String {
    let mut cell =
        "schema: 1\ncell: press\nnamespace: urn:test:press\ndefaults: { access: { edit_history: [Operator] } }\nconnections:\n  sim: { driver: simulator }\nnodes:\n  \
         Live: { type: Double, source: \"counter(start=0, step=1, every=20ms)\", poll: 20ms, history: process }\n"
            .to_owned();
    for n in 0..tags {
        writeln!(cell, "  Tag{n}: {{ type: Double, value: 0.0, history: process }}").expect("a String takes all");
    }
    cell
}

/// Puts one value a second into the archive of a tag, from `from` on.
fn fill(server: &TestServer, name: &str, from: i64, count: i64) {
    let world = server.server.world();
    let archives: &Archives = world.archives.as_ref().expect("archives");
    let space = &server.server.world().space;
    let tag = space.historical_tag(space.find(node(name)).expect("a node")).expect("history");
    let archive = archives.of(tag).expect("an archive");
    let row = |n: i64| Row { archive, sample: sample(UaTime(from + n * SECOND), Value::Double(n as f64)) };
    archives.historian.append(&mut (0..count).map(row).collect());
    archives.historian.commit().expect("on disk");
}

fn good(read: &[Read]) -> bool {
    read.iter().all(|read| read.status.is_good())
}

/// "History Trend", cyclic: the last five minutes, each second; first the nodes that say how to draw the line.
#[test]
fn uaexpert_draws_a_cyclic_trend() {
    let server = TestServer::start(&cell(0));
    let mut session = Session::open(server.address);
    let live = node("Live");
    let read = session.read(&[(live, 17), (live, 18), (live, 20)]);
    let bit = |n: usize| matches!(read[n].value, Some(Value::Byte(level)) if level & 4 == 4);
    assert!(bit(0) && bit(1) && read[2].value == Some(Value::Boolean(true)), "{read:?}");
    let stepped = session.read_value(node("Live.HA Configuration.Stepped"));
    assert_eq!(stepped.value, Some(Value::Boolean(false)));
    let (mut newest, mut cycles) = (0.0, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while cycles < 5 {
        assert!(Instant::now() < deadline, "the trend does not advance");
        let now = UaTime::now().0;
        let trend = session.history("Live", &raw(now - 300 * SECOND, now, 0, true));
        assert!(trend.status.is_good() && trend.continuation.is_none(), "{}", trend.status);
        assert!(trend.times().is_sorted());
        let last = trend.values.iter().rev().find_map(|value| value.value.as_ref()?.as_f64()).unwrap_or(0.0);
        cycles += usize::from(last > newest);
        newest = newest.max(last);
    }
}

/// An extractor: who is historized, then everything since 1970 in chunks, later only what is new; backwards too.
#[test]
fn cognite_extracts_everything_in_chunks() {
    let server = TestServer::start(&cell(30));
    let begin = UaTime::now().0 / SECOND * SECOND - 2 * HOUR;
    (0..30).for_each(|n| fill(&server, &format!("Tag{n}"), begin, 2_500));
    let mut session = Session::open(server.address);
    let names: Vec<String> = (0..30).map(|n| format!("Tag{n}")).collect();
    let asked: Vec<(NodeIdRef<'_>, u32)> = names.iter().map(|name| (node(name), 20)).collect();
    assert!(session.read(&asked).iter().all(|read| read.value == Some(Value::Boolean(true))));
    let epoch = 116_444_736_000_000_000;
    let ahead = UaTime::now().0 + 10 * 24 * HOUR;
    for (start, end) in [(epoch, ahead), (begin + 2_500 * SECOND, epoch)] {
        let details = raw(start, end, 1_000, false);
        let mut open: Vec<(usize, Option<Vec<u8>>)> = (0..30).map(|n| (n, None)).collect();
        let mut counts = [0; 30];
        while !open.is_empty() {
            let asked: Vec<Asked<'_>> = open
                .iter()
                .map(|(n, point)| Asked { continuation: point.clone(), ..Asked::of(node(&names[*n])) })
                .collect();
            let read = session.history_read(&details, &asked);
            assert!(good(&read));
            let mut next = Vec::new();
            for ((n, _), read) in open.iter().zip(read) {
                assert!(read.values.len() <= 1_000, "no more than the chunk");
                // What the server recorded itself, at its start, comes after the samples of the test.
                counts[*n] += read.times().iter().filter(|time| **time < begin + 2_500 * SECOND).count();
                next.extend(read.continuation.map(|point| (*n, Some(point))));
            }
            open = next;
        }
        assert_eq!(counts, [2_500; 30]);
    }
    let behind = raw(begin + 2_499 * SECOND + 1, begin + 2_500 * SECOND, 1_000, false);
    assert_eq!(session.history("Tag0", &behind).status, StatusCode::GoodNoData, "nothing new");
}

/// node-red-contrib-opcua: the last hour raw, and Minimum, Maximum, Average and Interpolative of it.
#[test]
fn node_red_asks_for_the_last_hour_and_its_aggregates() {
    let server = TestServer::start(&cell(1));
    let end = UaTime::now().0 / SECOND * SECOND - HOUR;
    fill(&server, "Tag0", end - HOUR, 3_600);
    let mut session = Session::open(server.address);
    let read = session.history("Tag0", &raw(end - HOUR, end, 0, true));
    assert_eq!(read.values.len(), 3_601, "an hour, and the bound after it");
    for (aggregate, value) in [([2346], 0.0), ([2347], 3_599.0), ([2342], 1_799.5), ([2341], 0.0)] {
        // Its library sends a configuration of zeros (node-opcua#1098).
        let details = processed(Processed {
            start: end - HOUR,
            end,
            interval: 3_600_000.0,
            aggregates: &aggregate,
            defaults: false,
            percent: (0, 0),
        });
        let read = session.history("Tag0", &details);
        let numbers: Vec<_> = read.values.iter().filter_map(|value| value.value.as_ref()?.as_f64()).collect();
        assert_eq!((read.status, numbers), (StatusCode::Good, vec![value]), "{aggregate:?}");
    }
}

/// The AVEVA adapter reads history ten nodes a call; Milo reads the limits first and keeps its sessions alive
/// meanwhile.
#[test]
fn aveva_and_ignition_read_blocks_of_nodes_while_the_state_is_probed() {
    let server = TestServer::start(&cell(10));
    let begin = UaTime::now().0 / SECOND * SECOND - 2 * HOUR;
    (0..10).for_each(|n| fill(&server, &format!("Tag{n}"), begin, 3_600));
    let (mut reader, mut probe) = (Session::open(server.address), Session::open(server.address));
    let limits: Vec<_> = [12_165, 12_166, 12_167, 12_168].map(|n| (NodeIdRef::numeric(0, n), 13)).to_vec();
    for read in reader.read(&limits) {
        assert!(matches!(read.value, Some(Value::UInt32(1..))), "{read:?}: 0 or nothing would mean no limit");
    }
    let names: Vec<String> = (0..10).map(|n| format!("Tag{n}")).collect();
    let nodes: Vec<Asked<'_>> = names.iter().map(|name| Asked::of(node(name))).collect();
    let details = raw(begin, begin + HOUR, 0, false);
    for _ in 0..3 {
        reader.send(history::history_read(&details, &nodes)).expect("sent");
    }
    reader.client.flush().expect("sent");
    let began = Instant::now();
    assert_eq!(probe.read_value(NodeIdRef::numeric(0, 2259)).value, Some(Value::Int32(0)));
    assert!(began.elapsed() < Duration::from_secs(1), "the probe is answered at once");
    for _ in 0..3 {
        let read = results(&reader.receive().expect("an answer"));
        assert!(good(&read) && read.iter().all(|read| read.values.len() == 3_600));
    }
}

/// UaExpert shows the historian bits: what was edited or annotated is marked, in the store as in memory.
#[test]
fn values_with_more_to_know_are_marked_in_the_store_too() {
    let server = TestServer::start(&cell(1));
    let begin = UaTime::now().0 / SECOND * SECOND - HOUR;
    fill(&server, "Tag0", begin, 10);
    let mut session = Session::open(server.address);
    let at = |n: i64| UaTime(begin + n * SECOND);
    let edit = [sample(at(2), Value::Double(22.0)), sample(at(20), Value::Double(20.0))];
    session.history_update(history::update_data(node("Tag0"), PerformUpdateType::Update, &edit));
    let note = [sample(at(5), history::annotation("odd", "erika", begin))];
    session.history_update(history::update_structure(node("Tag0.Annotations"), PerformUpdateType::Insert, &note));
    session.history_update(history::delete_at(node("Tag0"), &[at(7).0]));
    for (start, end) in [(at(0), at(30)), (at(30), at(-1))] {
        let read = session.history("Tag0", &raw(start.0, end.0, 0, false));
        let is_marked =
            |value: &&opcell::testing::stack::codec::DataValue| value.status.unwrap_or_default().bits() == 0x408;
        let marked: Vec<i64> =
            read.values.iter().filter(is_marked).map(|v| v.source_time.unwrap_or_default().0).collect();
        let mut expected = vec![at(2).0, at(5).0, at(20).0];
        if start > end {
            expected.reverse();
        }
        assert_eq!((marked, read.values.len()), (expected, 10));
    }
}

/// Every value of a long read comes exactly once, however small the pages. `OPCELL_LONG=1`: a million of them.
#[test]
fn a_long_read_gives_every_value_once_while_more_arrives() {
    let count: i64 = if std::env::var_os("OPCELL_LONG").is_some() { 1_000_000 } else { 50_000 };
    let server = TestServer::start(&cell(1));
    let begin = UaTime::now().0 / SECOND * SECOND - (count + 7_200) * SECOND;
    for part in 0..count / 50_000 {
        fill(&server, "Tag0", begin + part * 50_000 * SECOND, 50_000);
    }
    let mut session = Session::open(server.address);
    let details = raw(begin, begin + count * SECOND, 0, false);
    let mut page = session.history("Tag0", &details);
    let (mut next, mut pages) = (0, 0);
    loop {
        for time in page.times() {
            assert_eq!(time, begin + next * SECOND, "in order, none twice, none left out");
            next += 1;
        }
        pages += 1;
        let Some(point) = page.continuation.take() else { break };
        // Late data between those that are still to come.
        fill(&server, "Tag0", begin + (count - pages) * SECOND + SECOND / 2, 1);
        page = session.continue_history("Tag0", &details, &point);
        assert!(page.status.is_good(), "{}", page.status);
    }
    assert_eq!(next, count);
}
