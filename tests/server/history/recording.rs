//! History through the whole server: what a device's tag did is there after a stop and after a crash, and the time
//! without the server is marked.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use opcell::testing::history::store::Store;
use opcell::testing::history::{ArchiveId, Direction, Historian, Span};
use opcell::value::{Sample, UaTime, time_to_text};
use opcua::StatusCode;
use testkit::server::TestServer;
use testkit::until;

const CELL: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
connections:
  sim: { driver: simulator }
nodes:
  Count: { type: UInt32, source: "counter(start=0, step=1, every=20ms)", poll: 20ms, history: events }
  Mode:  { type: Int32, value: 7, write: true, history: process }
  Free:  { type: Int32, value: 1, write: true }
"#;

fn archive(store: &Store, identifier: &str) -> ArchiveId {
    let found = store.archives().into_iter().find(|(_, spec)| spec.identifier == identifier);
    found.unwrap_or_else(|| panic!("no archive {identifier}")).0
}

fn all(store: &Store, identifier: &str) -> Vec<Sample> {
    let page = store.page(archive(store, identifier), Span::ALL, Direction::Forward, 0, None).expect("readable");
    assert!(page.resume.is_none());
    page.samples
}

fn read(dir: &Path) -> Arc<Store> {
    Store::open_to_read(&dir.join("state/history")).expect("the store")
}

/// Waits until the count has that number of samples on disk.
fn until_recorded(dir: &Path, count: usize) {
    let recorded = || {
        let store = Store::open_to_read(&dir.join("state/history")).ok()?;
        let (id, _) = store.archives().into_iter().find(|(_, spec)| spec.identifier == "s=Count")?;
        Some(store.page(id, Span::ALL, Direction::Forward, 0, None).ok()?.samples.len())
    };
    // A store that is just being made cannot be read yet.
    until("it is recorded", || recorded().is_some_and(|found| found >= count));
}

fn statuses(samples: &[Sample]) -> Vec<StatusCode> {
    let mut statuses: Vec<StatusCode> = samples.iter().map(|sample| sample.status).collect();
    statuses.dedup();
    statuses
}

#[test]
fn a_tag_with_a_class_is_recorded_over_a_restart_and_the_time_between_is_marked() {
    let mut server = TestServer::start(CELL);
    let dir = server.dir().to_owned();
    until_recorded(&dir, 10);
    server.finish();
    let first = all(&read(&dir), "s=Count");
    let good: Vec<f64> = first.iter().filter_map(|sample| sample.value.as_f64()).collect();
    assert!(good.is_sorted() && good.len() >= 10, "{good:?}");
    let [StatusCode::BadWaitingForInitialData, StatusCode::Good, StatusCode::BadDataLost] = statuses(&first)[..] else {
        panic!("{:?}", statuses(&first))
    };
    assert_eq!(read(&dir).archives().len(), 2, "a tag without a class has no archive");

    let mut server = server.restart();
    let dir = server.dir().to_owned();
    until_recorded(&dir, first.len() + 10);
    server.finish();
    let both = all(&read(&dir), "s=Count");
    assert_eq!(both[..first.len()], first[..], "what was there is there");
    let mode = all(&read(&dir), "s=Mode");
    assert_eq!(statuses(&mode), [StatusCode::Good, StatusCode::BadDataLost, StatusCode::Good, StatusCode::BadDataLost]);
}

#[test]
fn a_stop_that_finds_no_room_on_the_disk_is_not_taken_for_one_in_order() {
    let lone = "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer]\n";
    let server = TestServer::with(CELL, Some(lone), |_, _| {});
    let dir = server.dir().to_owned();
    until_recorded(&dir, 10);
    std::fs::write(dir.join("server.yaml"), format!("{lone}history: {{ min_free: 1000TiB }}\n")).expect("written");
    let mut server = server.restart();
    let dir = server.dir().to_owned();
    server.finish();
    assert!(!dir.join("state/history/closed").exists(), "its last samples are not on the disk");
    let before = all(&read(&dir), "s=Mode");

    std::fs::write(dir.join("server.yaml"), lone).expect("written");
    let mut server = server.restart();
    server.finish();
    let after = all(&read(server.dir()), "s=Mode");
    let since = statuses(&after[before.len() - 1..]);
    assert_eq!(since, [StatusCode::BadDataLost, StatusCode::Good, StatusCode::BadDataLost], "{after:?}");
    assert!(server.dir().join("state/history/closed").exists());
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

#[test]
fn after_a_crash_the_time_without_the_server_is_marked_behind_the_last_commit() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("cell.yaml"), CELL).expect("written");
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opcell"));
        command.args(["run", "cell.yaml", "--listen", "127.0.0.1:0"]).current_dir(dir.path());
        Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("opcell starts"))
    };
    let running = start();
    until_recorded(dir.path(), 30);
    drop(running);
    let before = all(&read(dir.path()), "s=Count");
    assert_eq!(statuses(&before), [StatusCode::BadWaitingForInitialData, StatusCode::Good]);

    let running = start();
    until_recorded(dir.path(), before.len() + 30);
    drop(running);
    let after = all(&read(dir.path()), "s=Count");
    assert_eq!(after[..before.len()], before[..], "no durable sample is lost or altered");
    let lost = &after[before.len()];
    assert_eq!(lost.status, StatusCode::BadDataLost);
    assert!(lost.source_time > before[before.len() - 1].source_time && lost.value.is_null());
    assert_eq!(after[before.len() + 1].status, StatusCode::BadWaitingForInitialData, "the first thing known");
}

#[test]
fn an_import_after_a_crash_does_not_hide_where_the_server_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("cell.yaml"), CELL).expect("written");
    let opcell = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opcell"));
        command.args(arguments).current_dir(dir.path()).stdout(Stdio::null());
        command
    };
    let running = opcell(&["run", "cell.yaml", "--listen", "127.0.0.1:0"]).stderr(Stdio::null()).spawn();
    let running = Killed(running.expect("opcell starts"));
    until_recorded(dir.path(), 30);
    drop(running);
    let store = read(dir.path());
    let (before, crashed) = (all(&store, "s=Count"), store.last_commit());
    drop(store);
    let header = "namespace,identifier,type,source_time,server_time,status,value";
    let (early, found) = (time_to_text(UaTime(before[0].source_time.0 - 10_000_000)), "Good,5");
    let line = format!("urn:test:press,s=Count,UInt32,{early},{early},{found}");
    std::fs::write(dir.path().join("early.csv"), format!("{header}\n{line}\n")).expect("written");
    for _ in 0..2 {
        let done = opcell(&["history", "import", "early.csv", "cell.yaml"]).status();
        assert!(done.expect("opcell runs").success());
        let after = all(&read(dir.path()), "s=Count");
        assert_eq!(after[1..=before.len()], before[..]);
        let ends: Vec<_> = after[before.len() + 1..].iter().map(|end| (Some(end.source_time), end.status)).collect();
        assert_eq!(ends, [(crashed.map(|at| UaTime(at.0 + 1)), StatusCode::BadDataLost)]);
    }
}

#[test]
fn a_second_server_on_one_folder_is_refused_with_the_process_id_of_the_first() {
    let server = TestServer::start(CELL);
    let other = tempfile::tempdir().expect("a folder");
    std::fs::write(other.path().join("cell.yaml"), CELL).expect("written");
    let history = server.dir().join("state/history");
    let file = format!(
        "schema: 1\ncells: [cell.yaml]\nlisten: [\"127.0.0.1:0\"]\nanonymous: [Observer]\nhistory: {{ path: {} }}\n",
        history.display()
    );
    std::fs::write(other.path().join("server.yaml"), file).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_opcell"))
        .args(["run", "server.yaml"])
        .current_dir(other.path())
        .output()
        .expect("opcell ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&std::process::id().to_string()), "{said}");
    assert!(said.contains(&*history.to_string_lossy()), "{said}");
}

#[test]
fn a_removed_tag_finds_its_archive_again_and_another_type_begins_a_new_one() {
    let count = |dir: &Path, kind: &str| {
        let store = read(dir);
        let found = store
            .archives()
            .into_iter()
            .find(|(_, spec)| spec.identifier == "s=Mode" && format!("{:?}", spec.kind) == kind);
        found.map(|(id, _)| {
            (id, store.page(id, Span::ALL, Direction::Forward, 0, None).expect("readable").samples.len())
        })
    };
    let rewrite = |dir: &Path, from: &str, to: &str| {
        let path = dir.join("cell.yaml");
        let text = std::fs::read_to_string(&path).expect("the cell");
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).expect("written");
    };
    let mut server = TestServer::start(CELL);
    until_recorded(server.dir(), 1);
    server.finish();
    let dir = server.dir().to_owned();
    let (id, first) = count(&dir, "Int32").expect("an archive");

    rewrite(&dir, "  Mode:", "  Renamed:");
    let mut server = server.restart();
    server.finish();
    assert_eq!(count(&dir, "Int32"), Some((id, first)), "kept while there is no tag");

    rewrite(&dir, "  Renamed:", "  Mode:");
    let mut server = server.restart();
    server.finish();
    let (again, more) = count(&dir, "Int32").expect("the same archive");
    assert!(again == id && more > first, "{first} then {more}");

    rewrite(&dir, "type: Int32, value: 7", "type: Double, value: 7");
    let mut server = server.restart();
    server.finish();
    assert_eq!(count(&dir, "Int32"), Some((id, more)), "the old values stay what they are");
    assert!(count(&dir, "Double").is_some_and(|(other, count)| other != id && count >= 2));

    rewrite(&dir, "history: process", "history: fast");
    let mut server = server.restart();
    server.finish();
    let store = read(&dir);
    let spec = store.archives().into_iter().find(|(_, spec)| format!("{:?}", spec.kind) == "Double").expect("there").1;
    assert_eq!(
        (spec.class.as_str(), spec.keep.as_secs() / 86_400),
        ("press/fast", 90),
        "a class that changes holds at once"
    );
}
