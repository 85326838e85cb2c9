//! Continuation points of HistoryRead and the size of its responses; a slow or broken archive.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::ua::limits::HistoryQueue;
use opcell::value::{UaTime, Value};
use opcua::{ExtensionObject, StatusCode};
use testkit::history::{Asked, CELL, HistoryServer, history_read, modified, node, raw, results, sample};
use testkit::request::{cancel, read};
use testkit::ua::{Session, unsecured};

const SECOND: i64 = 10_000_000;
const INVALID: StatusCode = StatusCode::BadContinuationPointInvalid;

fn filled(count: u32, shrink: impl FnOnce(&mut opcell::testing::ua::limits::Limits)) -> HistoryServer {
    let server = HistoryServer::with(CELL, shrink);
    server.put("Tank.Count", (1..=count).map(|n| sample(UaTime(i64::from(n) * SECOND), Value::UInt32(n))));
    server
}

#[test]
fn a_point_is_good_once_for_its_node_its_details_and_its_session() {
    let server = filled(10, |_| {});
    let (mut session, mut other) = (Session::open(server.address), Session::open(server.address));
    let details = raw(1, 100 * SECOND, 3, false);
    let point = || session_point(server.address, &details);
    let (mut owner, name) = point();
    assert_eq!(other.continue_history("Tank.Count", &details, &name).status, INVALID, "another session");
    assert_eq!(owner.continue_history("Tank.Level", &details, &name).status, INVALID, "another node");
    let (mut owner, name) = point();
    assert_eq!(owner.continue_history("Tank.Count", &modified(1, 9, 3), &name).status, INVALID, "other details");
    let (mut owner, name) = point();
    let page = owner.continue_history("Tank.Count", &details, &name);
    assert_eq!((page.status, page.values.len()), (StatusCode::Good, 3));
    assert_eq!(owner.continue_history("Tank.Count", &details, &name).status, INVALID, "a second time");
    let next = page.continuation.expect("a point");
    assert_eq!(owner.release_history("Tank.Count", &details, &next), StatusCode::Good);
    assert_eq!(owner.continue_history("Tank.Count", &details, &next).status, INVALID, "after its release");
    assert_eq!(owner.release_history("Tank.Count", &details, &next), INVALID);
    for forged in [vec![0; 8], vec![255; 8], vec![7], vec![0; 4096]] {
        assert_eq!(session.continue_history("Tank.Count", &details, &forged).status, INVALID, "{forged:?}");
    }
    assert_eq!(session.release_history("Tank.Count", &details, &[]), INVALID, "nothing to release");
}

fn session_point(address: std::net::SocketAddr, details: &ExtensionObject) -> (Session, Vec<u8>) {
    let mut session = Session::open(address);
    let page = session.history("Tank.Count", details);
    (session, page.continuation.expect("a point"))
}

#[test]
fn points_of_earlier_requests_are_freed_but_not_those_of_the_same_request() {
    let server = filled(10, |limits| limits.history_continuation_points = 2);
    let mut session = Session::open(server.address);
    let details = raw(1, 100 * SECOND, 3, false);
    let nodes = vec![Asked::of(node("Tank.Count")); 3];
    let first = session.history_read(&details, &nodes);
    let none = StatusCode::BadNoContinuationPoints;
    assert_eq!(first.iter().map(|read| read.status).collect::<Vec<_>>(), [StatusCode::Good, StatusCode::Good, none]);
    assert_eq!((first[2].values.len(), &first[2].continuation), (0, &None), "nothing without a way on");
    let second = session.history("Tank.Count", &details);
    assert!(second.continuation.is_some(), "an earlier point gave way");
    let old = first[0].continuation.clone().expect("a point");
    assert_eq!(session.continue_history("Tank.Count", &details, &old).status, INVALID, "the oldest one");
    let kept = first[1].continuation.clone().expect("a point");
    assert_eq!(session.continue_history("Tank.Count", &details, &kept).values.len(), 3);
}

#[test]
fn a_response_stays_as_small_as_the_client_asks() {
    let server = filled(2_000, |_| {});
    server.put("Tank.Recipe", (1..=60).map(|n| sample(UaTime(n * SECOND), Value::text(&"x".repeat(900)))));
    for most in [8_192, 20_000, 100_000] {
        let mut session = Session::connect(server.address, unsecured()).expect("a channel");
        session.create_with("urn:test:client", b"", 60_000.0, most).good();
        session.activate_anonymous().good();
        for (name, total) in [("Tank.Count", 2_000), ("Tank.Recipe", 60)] {
            let details = raw(1, 10_000 * SECOND, 0, true);
            let mut values = 0;
            let mut asked = vec![Asked::of(node(name)); 4];
            while !asked.is_empty() {
                let response = session.call(history_read(&details, &asked));
                assert!(response.body.len() <= most as usize, "{} bytes for {most}", response.body.len());
                let read = results(&response);
                assert!(read.iter().any(|read| !read.values.is_empty()), "each response has values");
                values += read.iter().map(|read| read.values.len()).sum::<usize>();
                assert!(read.iter().all(|read| read.status == StatusCode::Good), "{:?}", read[0].status);
                let points = read.into_iter().filter_map(|read| read.continuation);
                asked = points.map(|point| Asked { continuation: Some(point), ..Asked::of(node(name)) }).collect();
            }
            assert_eq!(values, 4 * (total + 2), "{name} by {most}");
        }
    }
}

#[test]
fn a_value_that_no_response_can_hold_is_too_large() {
    let server = HistoryServer::start(CELL);
    server.put("Tank.Recipe", [sample(UaTime(SECOND), Value::text(&"x".repeat(20_000)))]);
    let mut session = Session::connect(server.address, unsecured()).expect("a channel");
    session.create_with("urn:test:client", b"", 60_000.0, 8_192).good();
    session.activate_anonymous().good();
    let read = session.history("Tank.Recipe", &raw(1, 9 * SECOND, 0, false));
    assert_eq!((read.status, read.continuation), (StatusCode::BadResponseTooLarge, None));
}

/// A thousand nodes, each with more than there is room for: every one gets something or a way on.
#[test]
fn a_thousand_long_reads_share_one_response() {
    let server = filled(20_000, |limits| limits.history_bytes = 1 << 20);
    let mut session = Session::open(server.address);
    let nodes = vec![Asked::of(node("Tank.Count")); 1_000];
    let read = session.history_read(&raw(1, i64::MAX, 0, false), &nodes);
    assert!(read.iter().all(|read| read.status == StatusCode::Good && read.continuation.is_some()));
    let values: usize = read.iter().map(|read| read.values.len()).sum();
    assert!(values > 20_000, "{values} values in a MiB");
}

#[test]
fn a_slow_archive_delays_only_requests_that_read_it() {
    let server = filled(10, |_| {});
    let (mut reader, mut other) = (Session::open(server.address), Session::open(server.address));
    server.historian.hesitate();
    let details = raw(1, 100 * SECOND, 0, false);
    let waiting = reader.send(history_read(&details, &[Asked::of(node("Tank.Count"))]));
    reader.client.flush().expect("sent");
    let state = NodeIdRef::numeric(0, 2259);
    assert_eq!(other.read_value(state).value, Some(Value::Int32(0)), "another client");
    let handle = reader.send(read(&[(state, 13)])).expect("sent");
    reader.client.flush().expect("sent");
    assert_eq!(reader.receive().expect("an answer").handle, handle, "the same client's other requests");
    server.historian.go_on();
    let response = reader.receive().expect("an answer");
    assert_eq!(response.handle, waiting.expect("sent"));
    assert_eq!(results(&response)[0].values.len(), 10);
}

#[test]
fn too_many_reads_at_once_are_refused_and_lose_nothing() {
    let server = filled(10, |limits| limits.history_requests = HistoryQueue { per_session: 3, total: 4 });
    server.historian.hesitate();
    let details = raw(1, 100 * SECOND, 0, false);
    let ask = |session: &mut Session| {
        session.send(history_read(&details, &[Asked::of(node("Tank.Count"))])).expect("sent");
        session.client.flush().expect("sent");
    };
    let (mut one, mut two) = (Session::open(server.address), Session::open(server.address));
    (0..4).for_each(|_| ask(&mut one));
    assert_eq!(one.receive().expect("an answer").result, StatusCode::BadTooManyOperations, "the fourth");
    (0..2).for_each(|_| ask(&mut two));
    assert_eq!(two.receive().expect("an answer").result, StatusCode::BadServerTooBusy, "the fifth of all");
    server.historian.go_on();
    for (session, count) in [(&mut one, 3), (&mut two, 1)] {
        for _ in 0..count {
            assert_eq!(results(&session.receive().expect("an answer"))[0].values.len(), 10);
        }
    }
}

#[test]
fn a_read_that_waits_can_be_cancelled() {
    let server = filled(10, |_| {});
    server.historian.hesitate();
    let details = raw(1, 100 * SECOND, 0, false);
    let mut session = Session::open(server.address);
    let mut ask = || session.send(history_read(&details, &[Asked::of(node("Tank.Count"))]));
    let (first, second) = (ask().expect("sent"), ask().expect("sent"));
    let cancelling = session.send(cancel(second)).expect("sent");
    session.client.flush().expect("sent");
    let mut answers: Vec<_> = (0..2).map(|_| session.receive().expect("an answer")).collect();
    answers.sort_by_key(|answer| answer.handle);
    let cancelled = StatusCode::BadRequestCancelledByClient;
    assert_eq!((answers[0].handle, answers[0].result), (second, cancelled));
    assert_eq!((answers[1].handle, answers[1].good().u32()), (cancelling, Ok(1)));
    server.historian.go_on();
    let answer = session.receive().expect("an answer");
    assert_eq!((answer.handle, results(&answer)[0].values.len()), (first, 10), "the other one is answered");
}

#[test]
fn requests_of_a_session_that_is_gone_are_dropped() {
    let server = filled(10, |_| {});
    server.historian.hesitate();
    let details = raw(1, 100 * SECOND, 0, false);
    let mut session = Session::open(server.address);
    let nodes = vec![Asked::of(node("Tank.Count")); 500];
    session.send(history_read(&details, &nodes)).expect("sent");
    session.client.flush().expect("sent");
    drop(session);
    let mut other = Session::open(server.address);
    server.historian.go_on();
    assert_eq!(other.history("Tank.Count", &details).values.len(), 10);
}

#[test]
fn a_read_out_of_time_returns_continuation_points_for_the_rest() {
    let server = filled(10, |_| {});
    let mut session = Session::open(server.address);
    let details = raw(1, 100 * SECOND, 0, false);
    server.historian.hesitate();
    let mut request = history_read(&details, &vec![Asked::of(node("Tank.Count")); 3]);
    request.request_header.timeout_hint = 5;
    session.send(request).expect("sent");
    session.client.flush().expect("sent");
    // The hint is over before the first node is read.
    let mut other = Session::open(server.address);
    let sent = Instant::now();
    while sent.elapsed() < Duration::from_millis(10) {
        other.read_value(NodeIdRef::numeric(0, 2258));
    }
    server.historian.go_on();
    let mut read = results(&session.receive().expect("an answer"));
    assert_eq!(read[0].values.len(), 10, "the node that was begun is given");
    for read in &mut read[1..] {
        assert_eq!((read.status, read.values.len()), (StatusCode::Good, 0));
        let point = read.continuation.take().expect("a way on");
        assert_eq!(session.continue_history("Tank.Count", &details, &point).values.len(), 10);
    }
}

#[test]
fn a_broken_disk_is_reported_for_each_node_and_the_server_keeps_running() {
    let server = filled(10, |_| {});
    let mut session = Session::open(server.address);
    let details = raw(1, 100 * SECOND, 0, false);
    server.historian.is_broken.store(true, Ordering::Relaxed);
    let read = session.history_read(&details, &[Asked::of(node("Tank.Count")), Asked::of(node("Tank.Forgotten"))]);
    let statuses: Vec<StatusCode> = read.iter().map(|read| read.status).collect();
    assert_eq!(statuses, [StatusCode::BadResourceUnavailable, StatusCode::BadHistoryOperationUnsupported]);
    server.historian.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(session.history("Tank.Count", &details).values.len(), 10);
}
