//! The hot paths allocate for a request, never for a value in it: counted on the real connection, without a socket.
//!
//! A process of its own, because it counts the allocations of the whole process.

use std::fmt::Write as _;
use std::sync::Arc;

use opcell::testing::app;
use opcell::testing::audit::{Audit, Scribe};
use opcell::testing::config::{self, Options};
use opcell::testing::model::AuditPlan;
use opcell::testing::stack::codec::{NodeIdRef, QualifiedNameRef, Writer};
use opcell::testing::stack::crypto::PoolThreads;
use opcell::testing::ua::connection::loopback::LoopbackClient;
use opcell::testing::ua::server::Server;
use opcell::value::Value;
use opcua::StatusCode;

const TAGS: usize = 1_000;
/// Allocations that a request of a thousand operations may make beyond those of one with a single operation.
const HANDFUL: u64 = 8;

/// With an audit that records every write, in memory: its thread writes no file.
fn server() -> (Arc<Server>, PoolThreads, Option<Scribe>) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut cell = "schema: 1\ncell: many\nnamespace: urn:test:many\nnodes:\n  All:\n    children:\n".to_owned();
    for n in 0..TAGS {
        writeln!(cell, "      T{n}: {{ type: Double, value: 1.5, write: true }}").expect("a String takes all");
    }
    let path = dir.path().join("cell.yaml");
    std::fs::write(&path, cell).expect("written");
    let loopback = "127.0.0.1:4840".parse().expect("an address");
    let (compiled, _) = config::load(&path, &Options { listen: Some(vec![loopback]), ..Options::default() });
    let plan = AuditPlan { file: false, ..AuditPlan::default() };
    let (audit, scribe) = Audit::start(&plan, dir.path()).expect("an audit");
    let (server, threads) = app::assemble(compiled.expect("a good cell")).bare_audited(None, audit).expect("it starts");
    (server, threads, scribe)
}

fn names() -> Vec<String> {
    (0..TAGS).map(|n| format!("All.T{n}")).collect()
}

/// Allocations while the server serves one request, once its buffers have grown.
fn served(talk: &mut LoopbackClient, type_id: u32, body: impl Fn(&mut Writer, usize), count: usize) -> u64 {
    let mut counted = 0;
    for _ in 0..3 {
        talk.prepare(type_id, |w| body(w, count));
        let mut waiting = 0;
        counted = allocation_counter::measure(|| waiting = talk.serve()).count_total;
        let answers = talk.take_answers();
        assert_eq!(answers.len(), 1, "an answer of {waiting} bytes");
        assert!(answers[0].len() >= 4 * count, "{} bytes for {count} operations", answers[0].len());
    }
    counted
}

fn check(name: &str, talk: &mut LoopbackClient, type_id: u32, body: impl Fn(&mut Writer, usize)) {
    let counts = allocation_counter::measure(|| drop(std::hint::black_box(vec![1u8; 100]))).count_total;
    assert_eq!(counts, 1, "allocations are counted");
    let one = served(talk, type_id, &body, 1);
    let thousand = served(talk, type_id, &body, TAGS);
    assert!(thousand <= one + HANDFUL, "{name}: {one} allocations for 1, {thousand} for {TAGS}");
}

fn read_value_id(w: &mut Writer, name: &str) {
    w.node_id(NodeIdRef::string(2, name));
    w.u32(13);
    w.string(None);
    w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
}

#[test]
fn read_write_and_browse_allocate_nothing_a_value() {
    let (server, _threads, _scribe) = server();
    let mut talk = LoopbackClient::open(&server);
    let names = names();
    check("Read", &mut talk, 631, |w, count| {
        w.f64(0.0);
        w.i32(2);
        w.count(count);
        names[..count].iter().for_each(|name| read_value_id(w, name));
    });
    check("Write", &mut talk, 673, |w, count| {
        w.count(count);
        for name in &names[..count] {
            w.node_id(NodeIdRef::string(2, name));
            w.u32(13);
            w.string(None);
            w.data_value(&Value::Double(2.5), StatusCode::Good, None, None);
        }
    });
    check("Browse", &mut talk, 527, |w, count| {
        w.node_id(NodeIdRef::NULL);
        w.i64(0);
        w.u32(0);
        w.u32(0);
        w.count(count);
        for name in &names[..count] {
            w.node_id(NodeIdRef::string(2, name));
            w.i32(2);
            w.node_id(NodeIdRef::NULL);
            w.bool(true);
            w.u32(0);
            w.u32(63);
        }
    });
    check("Browse of one wide node", &mut talk, 527, |w, count| {
        w.node_id(NodeIdRef::NULL);
        w.i64(0);
        w.u32(0);
        w.u32(0);
        w.count(1);
        w.node_id(NodeIdRef::string(2, if count == 1 { "All.T1" } else { "All" }));
        w.i32(2);
        w.node_id(NodeIdRef::NULL);
        w.bool(true);
        w.u32(0);
        w.u32(63);
    });
}

/// Every tag is watched ten times; all change between two messages.
#[test]
fn publishing_ten_thousand_changes_allocates_nothing_a_value() {
    let (server, _threads, _scribe) = server();
    let mut talk = LoopbackClient::open(&server);
    let (names, subscription) = (names(), talk.subscription());
    for _ in 0..10 {
        talk.ask(751, |w| {
            w.u32(subscription);
            w.i32(2);
            w.count(TAGS);
            for (name, n) in names.iter().zip(0..) {
                read_value_id(w, name);
                w.i32(2);
                w.u32(n);
                w.f64(0.0);
                w.null_extension_object();
                w.u32(1);
                w.bool(true);
            }
        })
        .expect("an answer");
    }
    let mut counted = 0;
    for round in 0..4u32 {
        talk.ask(673, |w| {
            w.count(TAGS);
            for name in &names {
                w.node_id(NodeIdRef::string(2, name));
                w.u32(13);
                w.string(None);
                w.data_value(&Value::Double(f64::from(round)), StatusCode::Good, None, None);
            }
        })
        .expect("an answer");
        talk.tick();
        talk.prepare(826, |w| {
            w.count(1);
            w.u32(subscription);
            w.u32(round);
        });
        let mut waiting = 0;
        counted = allocation_counter::measure(|| waiting = talk.serve()).count_total;
        let answers = talk.take_answers();
        assert_eq!(answers.len(), 1, "an answer of {waiting} bytes");
        assert!(answers[0].len() > 10 * TAGS * 20, "{} bytes", answers[0].len());
    }
    assert!(counted < 40, "{counted} allocations for {} changes", 10 * TAGS);
}
