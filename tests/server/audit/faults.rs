//! The audit under what crashes, hands and disks do to its files: each moment of a start and of a change of files,
//! files touched while they are written, leftovers, and a disk that is full.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use opcell::testing::audit::{Audit, Fault, Filter, Kind, Record, Scribe, Verdict, Who, show, verify};
use opcell::testing::model::{AuditLog, AuditPlan};
use opcell::testing::stack::crypto::MacKey;
use opcua::StatusCode;
use testkit::until;

const MAX_FILE: u64 = 2_000;

fn plan() -> AuditPlan {
    AuditPlan { log: AuditLog::Off, max_file: MAX_FILE, ..AuditPlan::default() }
}

fn open(dir: &Path) -> (Audit, Scribe) {
    let (audit, scribe) = Audit::start(&plan(), dir).expect("it starts");
    (audit, scribe.expect("a thread"))
}

fn record(n: u64) -> Record {
    let who = Who { user: "opal".to_owned(), session: 7, ..Who::default() };
    Record::new(Kind::SessionActivated, StatusCode::Good, who).with(format!("number {n}"))
}

/// So many runs of one record.
fn run(dir: &Path, count: u64) {
    for n in 0..count {
        let (audit, scribe) = open(dir);
        audit.tell(record(n));
        drop(scribe);
    }
}

fn file(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("audit/audit-{number:06}.jsonl"))
}

fn verdict(dir: &Path) -> Verdict {
    verify(dir).expect("it can be read")
}

fn faults(dir: &Path) -> Vec<Fault> {
    verdict(dir).findings.iter().map(|finding| finding.fault).collect()
}

fn kinds(dir: &Path) -> Vec<String> {
    let mut kinds = Vec::new();
    show(dir, &Filter::default(), &mut |record, _| kinds.extend(record.field("kind").map(str::to_owned)))
        .expect("it can be read");
    kinds
}

/// The record is in its file and the head knows it.
fn until_durable(dir: &Path, number: u64) {
    let is_so = || verify(dir).is_ok_and(|verdict| verdict.records >= number && verdict.unconfirmed == 0);
    until("it is durable", is_so);
}

/// The chain of writes is made after the one of security.
fn without_writes(dir: &Path) {
    for part in ["audit-writes.head", "audit/writes-000001.jsonl"] {
        fs::remove_file(dir.join(part)).expect("removed");
    }
}

/// The head of security as it is before it names the chain of writes.
fn forget_writes(dir: &Path) {
    let key = MacKey::new(&fs::read(dir.join("audit.key")).expect("a key"));
    let signed: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("audit.head")).expect("a head")).expect("JSON");
    let zero = "0".repeat(64);
    assert_eq!(signed["head"]["number"], 0, "before the first record");
    let start = format!(r#"{{"file":1,"number":1,"chain":"{zero}"}}"#);
    let head = format!(r#"{{"version":1,"number":0,"chain":"{zero}","current":{start},"oldest":{start},"gaps":[]}}"#);
    let mac: String = key.sign(head.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(dir.join("audit.head"), format!(r#"{{"head":{head},"mac":"{mac}"}}"#)).expect("written");
}

#[test]
fn a_crash_at_any_moment_of_the_first_start_leaves_nothing_to_be_found() {
    type Undo = fn(&Path);
    let moments: [(&str, Undo); 8] = [
        ("a chain of writes without a head", |dir| {
            fs::remove_file(dir.join("audit-writes.head")).expect("removed");
            forget_writes(dir);
        }),
        ("no chain of writes", |dir| {
            without_writes(dir);
            forget_writes(dir);
        }),
        ("a key without its name", |dir| {
            without_writes(dir);
            fs::rename(dir.join("audit.key"), dir.join("audit.key.new")).expect("renamed");
            fs::remove_file(dir.join("audit.head")).expect("removed");
            fs::remove_file(file(dir, 1)).expect("removed");
        }),
        ("a half key", |dir| {
            without_writes(dir);
            fs::rename(dir.join("audit.key"), dir.join("audit.key.new")).expect("renamed");
            fs::write(dir.join("audit.key.new"), b"half").expect("written");
            fs::remove_file(dir.join("audit.head")).expect("removed");
            fs::remove_file(file(dir, 1)).expect("removed");
        }),
        ("a head before its key", |dir| {
            without_writes(dir);
            fs::rename(dir.join("audit.key"), dir.join("audit.key.new")).expect("renamed");
            fs::remove_file(file(dir, 1)).expect("removed");
        }),
        ("a key and a head", |dir| fs::remove_file(file(dir, 1)).expect("removed")),
        ("an empty file", |_| {}),
        ("half a head next to it", |dir| fs::write(dir.join("audit.head.new"), b"{\"head\":").expect("written")),
    ];
    for (name, undo) in moments {
        let dir = tempfile::tempdir().expect("a folder");
        drop(open(dir.path()));
        undo(dir.path());
        run(dir.path(), 2);
        assert_eq!((verdict(dir.path()).findings, kinds(dir.path()).len()), (vec![], 2), "{name}");
    }
}

#[test]
fn removed_files_and_head_are_found_by_the_key() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 3);
    fs::remove_file(file(dir.path(), 1)).expect("removed");
    fs::remove_file(dir.path().join("audit.head")).expect("removed");
    run(dir.path(), 2);
    assert_eq!(faults(dir.path()), [Fault::ReplacedHead]);
    assert_eq!(kinds(dir.path())[0], "audit.gap");
}

#[test]
fn a_crash_between_a_new_file_and_its_head_leaves_nothing_to_be_found() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 3);
    File::create_new(file(dir.path(), 2)).expect("what a crash left");
    run(dir.path(), 12);
    assert!(file(dir.path(), 2).metadata().expect("it is there").len() > 0, "a second file was begun");
    assert_eq!((verdict(dir.path()).findings, kinds(dir.path()).len()), (vec![], 15));
}

#[test]
fn a_file_modified_while_it_is_written_is_kept_and_reported_at_once() {
    type Attack = fn(&Path);
    let attacks: [(&str, Attack, &[Fault]); 6] = [
        ("removed", |dir| fs::remove_file(file(dir, 1)).expect("removed"), &[Fault::MissingFile]),
        ("renamed", |dir| fs::rename(file(dir, 1), dir.join("away")).expect("renamed"), &[Fault::MissingFile]),
        (
            "emptied",
            |dir| File::options().write(true).open(file(dir, 1)).and_then(|file| file.set_len(0)).expect("emptied"),
            &[Fault::CutTail],
        ),
        (
            "cut in a line",
            |dir| File::options().write(true).open(file(dir, 1)).and_then(|file| file.set_len(300)).expect("cut"),
            &[Fault::Torn],
        ),
        (
            "replaced",
            |dir| {
                let text = fs::read_to_string(file(dir, 1)).expect("a file").replace("opal", "evan");
                fs::write(dir.join("new"), text).expect("written");
                fs::rename(dir.join("new"), file(dir, 1)).expect("renamed");
            },
            &[Fault::Changed],
        ),
        ("its folder removed", |dir| fs::remove_dir_all(dir.join("audit")).expect("removed"), &[Fault::MissingFile]),
    ];
    for (name, attack, found) in attacks {
        let dir = tempfile::tempdir().expect("a folder");
        let (audit, scribe) = open(dir.path());
        (0..3).for_each(|n| audit.tell(record(n)));
        until_durable(dir.path(), 3);
        attack(dir.path());
        let left = fs::read(file(dir.path(), 1)).ok();
        audit.tell(record(3));
        drop(scribe);
        assert_eq!(fs::read(file(dir.path(), 1)).ok(), left, "{name}: the evidence stays");
        assert_eq!(faults(dir.path()), found, "{name}");
        let next = fs::read_to_string(file(dir.path(), 2)).expect("the next file");
        assert!(next.contains("\"n\":4,") && next.contains("audit.gap") && next.contains("number 3"), "{name}: {next}");
        run(dir.path(), 1);
        assert_eq!(faults(dir.path()), found, "{name}: it stays found");
    }
}

#[test]
fn evidence_that_comes_back_is_whole_again() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 3);
    fs::rename(file(dir.path(), 1), dir.path().join("away")).expect("renamed");
    run(dir.path(), 2);
    assert_eq!(faults(dir.path()), [Fault::MissingFile]);
    fs::rename(dir.path().join("away"), file(dir.path(), 1)).expect("renamed");
    assert_eq!(faults(dir.path()), []);
}

#[test]
fn a_file_that_the_disk_does_not_give_is_found_and_keeps_no_server_from_starting() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 3);
    fs::remove_file(file(dir.path(), 1)).expect("removed");
    fs::create_dir(file(dir.path(), 1)).expect("made");
    assert_eq!(faults(dir.path()), [Fault::Unreadable]);
    run(dir.path(), 2);
    assert_eq!(faults(dir.path()), [Fault::Unreadable]);
    assert_eq!(kinds(dir.path())[0], "audit.gap");
}

#[test]
fn files_that_retention_left_are_removed_later_and_damage_after_a_gap_delays_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 3);
    let first = fs::read(file(dir.path(), 1)).expect("a file");
    // A damaged end: the next start begins a second file behind a gap.
    fs::write(file(dir.path(), 1), [&first[..], b"no record\n"].concat()).expect("written");
    run(dir.path(), 2);
    assert!(!faults(dir.path()).is_empty());
    let small = AuditPlan { max_size: 1, ..plan() };
    drop(Audit::start(&small, dir.path()).expect("it starts"));
    assert!(!file(dir.path(), 1).exists(), "the damaged file was the oldest");
    assert_eq!(faults(dir.path()), []);
    // A crash between the head and the removal.
    fs::write(file(dir.path(), 1), &first).expect("written");
    drop(Audit::start(&small, dir.path()).expect("it starts"));
    assert!(!file(dir.path(), 1).exists());
    assert_eq!(faults(dir.path()), []);
}
