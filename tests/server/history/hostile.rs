//! Requests for history that nobody sends in good faith: times at the ends of the calendar, counts that lie, bodies cut
//! short. The server answers each with a status, and remains available.

use opcell::testing::stack::codec::{NodeIdRef, Writer};
use opcell::value::{UaTime, Value};
use opcua::{ObjectId, StatusCode};
use testkit::by_hand::{
    annotation, at_time, delete_at, delete_span, processed, raw_or_modified, update_data, update_structure,
};
use testkit::history::{Asked, Processed, history_read, node, sample};
use testkit::request::{close_session, encode, raw_structure};
use testkit::server::TestServer;
use testkit::ua::Session;

const CELL: &str = "
schema: 1
cell: press
namespace: urn:test:press
defaults: { access: { edit_history: [Operator] } }
nodes:
  Tank:
    children:
      Level:  { type: Double, value: 1.0, write: true, history: process }
      Recipe: { type: String, value: none, write: true, history: process }
";
const UPDATE: ObjectId = ObjectId::HistoryUpdateRequest_Encoding_DefaultBinary;
/// Where arithmetic breaks.
const TIMES: [i64; 10] = [
    i64::MIN,
    i64::MIN + 1,
    -1,
    0,
    1,
    116_444_736_000_000_000,
    134_000_000_000_000_000,
    2_650_467_743_990_000_000,
    i64::MAX - 1,
    i64::MAX,
];

fn is_alive(session: &mut Session) {
    let state = session.read_value(NodeIdRef::numeric(0, 2259));
    assert_eq!(state.value, Some(Value::Int32(0)));
}

#[test]
fn times_at_the_ends_of_the_calendar_are_only_times() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let now = UaTime::now().0;
    let values: Vec<_> = (0..20).map(|n| sample(UaTime(now - n * 10_000_000), Value::Double(n as f64))).collect();
    session.history_update(update_data(node("Tank.Level"), 1, &values));
    let refused = StatusCode::BadInternalError;
    for start in TIMES {
        for end in TIMES {
            for (is_modified, bounds, count) in
                [(false, false, 0), (false, true, 3), (true, false, 1), (false, true, u32::MAX)]
            {
                let details = raw_or_modified(is_modified, start, end, count, bounds);
                let read = session.history("Tank.Level", &details);
                assert_ne!(read.status, refused, "raw {start} {end} {is_modified} {bounds} {count}");
                session.history("Tank.Level.Annotations", &details);
            }
            for interval in [0.0, 1e-300, 1.0, 1e300, f64::INFINITY, f64::NAN, -0.0, -1.0] {
                let aggregates = [2341, 2342, 2343, 11_285, 2352, 2347, 2361];
                let details = processed(Processed {
                    start,
                    end,
                    interval,
                    aggregates: &aggregates,
                    defaults: true,
                    percent: (0, 0),
                });
                // A page of a billion intervals is as long as any other.
                let nodes = vec![Asked::of(node("Tank.Level")); aggregates.len()];
                let response = session.call(history_read(&details, &nodes));
                assert_ne!(response.result, refused, "{start} {end} {interval}");
            }
        }
        for bounds in [false, true] {
            session.history("Tank.Level", &at_time(&TIMES, bounds));
        }
    }
    is_alive(&mut session);
}

#[test]
fn edits_at_the_ends_of_the_calendar_do_no_harm() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    for start in TIMES {
        for perform in [1, 2, 3] {
            let value = sample(UaTime(start), Value::Double(1.0));
            session.history_update(update_data(node("Tank.Level"), perform, &[value]));
            let note = sample(UaTime(start), annotation("odd", "erika", start));
            session.history_update(update_structure(node("Tank.Level.Annotations"), perform, &[note]));
        }
        session.history_update(delete_at(node("Tank.Level"), &[start]));
        for end in TIMES {
            for is_modified in [false, true] {
                session.history_update(delete_span(node("Tank.Level"), is_modified, start, end));
            }
        }
    }
    is_alive(&mut session);
    drop(session);
    let server = server.restart();
    is_alive(&mut Session::open(server.address));
}

/// A body of each kind of details, as long as it should be.
fn bodies() -> Vec<(ObjectId, Vec<u8>)> {
    let body = |write: &dyn Fn(&mut Writer)| {
        let mut w = Writer::new();
        write(&mut w);
        w.buf
    };
    vec![
        (ObjectId::ReadRawModifiedDetails_Encoding_DefaultBinary, body(&|w| w.raw(&[1; 22]))),
        (
            ObjectId::ReadProcessedDetails_Encoding_DefaultBinary,
            body(&|w| {
                w.raw(&[1; 24]);
                w.count(1);
                w.node_id(NodeIdRef::numeric(0, 2342));
                w.raw(&[1; 5]);
            }),
        ),
        (
            ObjectId::ReadAtTimeDetails_Encoding_DefaultBinary,
            body(&|w| {
                w.count(2);
                w.raw(&[1; 17]);
            }),
        ),
        (
            ObjectId::ReadAnnotationDataDetails_Encoding_DefaultBinary,
            body(&|w| {
                w.count(2);
                w.raw(&[1; 16]);
            }),
        ),
    ]
}

#[test]
fn bodies_that_end_too_soon_or_lie_about_their_length_are_refused() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let mut ask = |encoding: ObjectId, body: &[u8]| {
        let details = raw_structure(encoding, |w| w.raw(body));
        session.call(history_read(&details, &[Asked::of(node("Tank.Level"))])).result
    };
    for (kind, body) in bodies() {
        assert!(ask(kind, &body).is_good(), "{kind:?}");
        for length in 0..body.len() {
            assert_eq!(ask(kind, &body[..length]), StatusCode::BadDecodingError, "{kind:?} cut to {length}");
        }
        for at in 0..body.len().saturating_sub(3) {
            for lie in [u32::MAX - 1, i32::MAX.unsigned_abs(), 0x00ff_ffff, 10_001] {
                let mut body = body.clone();
                body[at..at + 4].copy_from_slice(&lie.to_le_bytes());
                ask(kind, &body);
            }
        }
    }
    is_alive(&mut session);
}

#[test]
fn updates_that_lie_or_are_cut_short_change_nothing() {
    let server = TestServer::start(CELL);
    let mut session = Session::open(server.address);
    let now = UaTime::now().0 - 36_000_000_000;
    let values: Vec<_> = (0..3).map(|n| sample(UaTime(now + n), Value::text("cheese"))).collect();
    let mut whole = Vec::new();
    encode(&update_data(node("Tank.Recipe"), 1, &values), &mut whole);
    for length in 0..whole.len() {
        let response = session.call_raw(UPDATE, |w| {
            w.count(1);
            w.raw(&whole[..length]);
        });
        assert_eq!(response.result, StatusCode::BadDecodingError, "cut to {length}");
    }
    for at in 0..whole.len() - 4 {
        let mut lying = whole.clone();
        lying[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        session.call_raw(UPDATE, |w| {
            w.count(1);
            w.raw(&lying);
        });
    }
    is_alive(&mut session);
    let read = session.history("Tank.Recipe", &raw_or_modified(false, now, now + 3, 0, false));
    assert!(read.values.len() <= 3, "{} values", read.values.len());
}

#[test]
fn a_session_that_closes_amid_its_reads_takes_them_along() {
    let server = TestServer::start(CELL);
    for _ in 0..20 {
        let mut session = Session::open(server.address);
        let details = raw_or_modified(false, 1, i64::MAX, 0, true);
        let nodes = vec![Asked::of(node("Tank.Level")); 100];
        for _ in 0..5 {
            session.send(history_read(&details, &nodes)).expect("sent");
        }
        session.send(close_session(true)).expect("sent");
        session.client.flush().expect("sent");
        // Each request has an answer: its history, or that the session is closed.
        for _ in 0..6 {
            session.receive().expect("an answer");
        }
    }
    is_alive(&mut Session::open(server.address));
}
