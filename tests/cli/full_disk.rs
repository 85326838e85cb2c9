//! The program on a disk that is full: it serves, says so once, and writes what waited when there is room again. What
//! makes the disk full is RLIMIT_FSIZE, which a process bears without being root.

use std::fs;

use opcell::testing::audit::{Filter, show, verify};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use testkit::program::{Serving, folder};
use testkit::ua::Session;
use testkit::until;

const CELL: &str = "schema: 1\ncell: press\nnodes:\n  Speed: { type: Double, value: 0, write: true }\n";
const SERVER: &str =
    "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer, Operator]\nsecurity: { allow_unsecured: true }\n";

fn largest_file(serving: &Serving, bytes: Option<u64>) {
    let process = Pid::from_raw(serving.process().parse().expect("a number")).expect("not 0");
    prlimit(Some(process), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("it is ours");
}

fn write(session: &mut Session, values: std::ops::Range<u32>) {
    for value in values {
        let answer = session.write(NodeIdRef::string(2, "Speed"), &Value::Double(value.into()));
        assert_eq!(answer, StatusCode::Good, "{value}");
    }
}

#[test]
fn a_full_disk_stops_no_service_is_logged_once_and_loses_no_record() {
    const TOLD: &str = "audit: nothing is written to its files of writes";
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::on_a_small_disk(folder.path(), "info");
    let state = folder.path().join("state");
    let file = state.join("audit/writes-000001.jsonl");
    let mut session = Session::open(serving.address);
    write(&mut session, 0..20);
    until("the first writes are durable", || {
        verify(&state).ok().filter(|verdict| verdict.unconfirmed == 0 && verdict.records >= 20)
    });
    // Room for three more records, and a part of one.
    largest_file(&serving, Some(fs::metadata(&file).expect("a file").len() + 1_000));
    write(&mut session, 20..220);
    until("it is logged", || serving.log().contains(TOLD).then_some(()));
    write(&mut session, 220..300);
    assert_eq!(verify(&state).expect("it can be read").findings, vec![], "while it is full");
    largest_file(&serving, None);
    until("it resumes", || serving.log().contains("the files of writes are written again").then_some(()));
    session.close();
    let log = serving.end();
    assert_eq!(log.matches(TOLD).count(), 1, "{log}");
    assert!(!log.contains("panicked"), "{log}");
    let mut written = Vec::new();
    show(&state, &Filter { kind: Some("write".to_owned()), since: None }, &mut |record, _| {
        written.extend(record.field("new").map(str::to_owned));
    })
    .expect("it can be read");
    assert_eq!(written, (0..300).map(|value| value.to_string()).collect::<Vec<_>>());
    let verdict = verify(&state).expect("it can be read");
    assert_eq!((verdict.findings, verdict.unconfirmed), (vec![], 0));
}
