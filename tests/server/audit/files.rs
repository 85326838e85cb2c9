//! The audit's files: what was done to them is found, what a crash left is put in order, and nobody fills the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use opcell::cli::{self, Answer, Cli};
use opcell::testing::audit::{
    Audit, Content, Filter, Kind, Names, Node, Record, Scribe, Who, Write, Writes, show, verify,
};
use opcell::testing::model::{AuditLog, AuditPlan};
use opcell::value::{UaTime, Value};
use opcua::StatusCode;
use proptest::prelude::*;

const MAX_FILE: u64 = 2_000;

fn plan() -> AuditPlan {
    AuditPlan { log: AuditLog::Off, max_file: MAX_FILE, ..AuditPlan::default() }
}

fn open(dir: &Path) -> (Audit, Scribe) {
    let (audit, scribe) = Audit::start(&plan(), dir).expect("it starts");
    (audit, scribe.expect("a thread"))
}

fn who() -> Who {
    Who { user: "opal".to_owned(), session: 7, channel: 9, peer: Some([10, 0, 0, 1].into()), ..Who::default() }
}

fn record(n: u64) -> Record {
    Record::new(Kind::SessionActivated, StatusCode::Good, who()).with(format!("number {n}"))
}

/// A run of the server with `count` records, a batch each so that files are changed between them.
fn run(dir: &Path, count: u64) {
    for n in 0..count {
        let (audit, scribe) = open(dir);
        audit.tell(record(n));
        drop(scribe);
    }
}

fn opcell(arguments: &[&str]) -> Answer {
    let all = ["opcell"].iter().chain(arguments);
    cli::answer(&Cli::try_parse_from(all).expect("good arguments"), &mut |_| {})
}

fn verified(dir: &Path) -> Answer {
    opcell(&["audit", "verify", "--state-dir", dir.to_str().expect("text")])
}

fn shown(dir: &Path) -> String {
    opcell(&["audit", "show", "--state-dir", dir.to_str().expect("text")]).out
}

fn file(dir: &Path, number: u32) -> std::path::PathBuf {
    dir.join(format!("audit/audit-{number:06}.jsonl"))
}

fn lines(dir: &Path, number: u32) -> Vec<String> {
    fs::read_to_string(file(dir, number)).expect("a file").lines().map(str::to_owned).collect()
}

fn put(dir: &Path, number: u32, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(file(dir, number), text).expect("written");
}

/// Changes a file's lines.
fn change(dir: &Path, number: u32, change: impl FnOnce(&mut Vec<String>)) {
    let mut all = lines(dir, number);
    change(&mut all);
    put(dir, number, &all);
}

/// A chain of its own over the bodies of these lines, as a person without the key would make it.
fn rechained(lines: &[String], mut before: [u8; 32]) -> Vec<String> {
    let mut made = Vec::new();
    for line in lines {
        let body = &line[..line.len() - 76];
        before = opcell::testing::stack::crypto::sha256(&[&before, body.as_bytes()]);
        let hex: String = before.iter().map(|byte| format!("{byte:02x}")).collect();
        made.push(format!("{body},\"chain\":\"{hex}\"}}"));
    }
    made
}

type Attack = fn(&Path);

/// A modification of a folder of three files, and the finding that it must give.
const ATTACKS: [(&str, Attack, &str); 16] = [
    ("nothing", |_| {}, ""),
    ("a removed line", |dir| change(dir, 1, |all| drop(all.remove(2))), "audit-000001.jsonl, line 3: removed line"),
    (
        "a changed line",
        |dir| change(dir, 1, |all| all[2] = all[2].replace("opal", "eva")),
        "audit-000001.jsonl, line 3: changed line",
    ),
    (
        "a changed status",
        |dir| change(dir, 2, |all| all[0] = all[0].replace("Good", "BadX")),
        "audit-000002.jsonl, line 1: changed line",
    ),
    (
        "no line at all",
        |dir| change(dir, 2, |all| all[1] = "{}".to_owned()),
        "audit-000002.jsonl, line 2: changed line",
    ),
    ("swapped lines", |dir| change(dir, 1, |all| all.swap(1, 2)), "audit-000001.jsonl, line 2: moved line"),
    (
        "a doubled line",
        |dir| change(dir, 1, |all| all.insert(2, all[1].clone())),
        "audit-000001.jsonl, line 3: inserted line",
    ),
    (
        "a forged line between",
        |dir| change(dir, 1, |all| all.insert(2, all[2].replace("opal", "eva"))),
        "audit-000001.jsonl, line 3: inserted line",
    ),
    (
        "the first line gone",
        |dir| change(dir, 1, |all| drop(all.remove(0))),
        "audit-000001.jsonl, line 1: removed line",
    ),
    ("the last line gone", |dir| change(dir, 3, |all| drop(all.pop())), "audit-000003.jsonl: cut tail"),
    ("an emptied file", |dir| put(dir, 3, &[]), "audit-000003.jsonl: cut tail"),
    ("a missing file", |dir| fs::remove_file(file(dir, 2)).expect("removed"), "audit-000002.jsonl: missing file"),
    (
        "the last file missing",
        |dir| fs::remove_file(file(dir, 3)).expect("removed"),
        "audit-000003.jsonl: missing file",
    ),
    (
        "a whole chain made again",
        |dir| {
            let all: Vec<String> = (1..=3).flat_map(|number| lines(dir, number)).collect();
            let forged: Vec<String> = all.iter().map(|line| line.replace("opal", "eva")).collect();
            let forged = rechained(&forged, [0; 32]);
            let first = lines(dir, 1).len();
            let second = lines(dir, 2).len();
            put(dir, 1, &forged[..first]);
            put(dir, 2, &forged[first..first + second]);
            put(dir, 3, &forged[first + second..]);
        },
        "rewritten chain",
    ),
    (
        "a replaced head",
        |dir| {
            let other = tempfile::tempdir().expect("a folder");
            run(other.path(), 3);
            fs::copy(other.path().join("audit.head"), dir.join("audit.head")).expect("copied");
        },
        "replaced head: the head was not written with this key",
    ),
    ("no head", |dir| fs::remove_file(dir.join("audit.head")).expect("removed"), "replaced head"),
];

#[test]
fn every_modification_of_the_files_is_found_and_named() {
    let whole = tempfile::tempdir().expect("a folder");
    run(whole.path(), 20);
    assert!((1..=3).all(|number| lines(whole.path(), number).len() >= 3) && !file(whole.path(), 4).exists());
    for (name, attack, found) in ATTACKS {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("audit")).expect("made");
        for part in [
            "audit.head",
            "audit-writes.head",
            "audit.key",
            "audit/writes-000001.jsonl",
            "audit/audit-000001.jsonl",
            "audit/audit-000002.jsonl",
            "audit/audit-000003.jsonl",
        ] {
            fs::copy(whole.path().join(part), dir.path().join(part)).expect("copied");
        }
        attack(dir.path());
        let answer = verified(dir.path());
        assert_eq!(answer.code, u8::from(!found.is_empty()), "{name}: {answer:?}");
        assert!(answer.err.contains(found), "{name}: {}", answer.err);
        assert_eq!(answer.out.contains("whole: 20 records in 3 files"), found.is_empty(), "{name}: {}", answer.out);
        let json = opcell(&["audit", "verify", "--json", "--state-dir", dir.path().to_str().expect("text")]);
        let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!(json["ok"], found.is_empty(), "{name}");
        // The next start leaves the evidence alone, and continues after a gap where the end has changed.
        let before: Vec<Vec<u8>> =
            (1..=3).map(|number| fs::read(file(dir.path(), number)).unwrap_or_default()).collect();
        run(dir.path(), 1);
        for (number, before) in (1..=3).zip(before) {
            let after = fs::read(file(dir.path(), number)).unwrap_or_default();
            assert!(after.starts_with(&before), "{name}: {number}");
        }
        assert_eq!(verified(dir.path()).code, u8::from(!found.is_empty()), "{name}: it stays found");
    }
}

#[test]
fn a_torn_line_is_cut_off_and_records_after_the_head_are_taken_over() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 2);
    let head = fs::read(dir.path().join("audit.head")).expect("a head");
    run(dir.path(), 2);
    let torn = lines(dir.path(), 1)[3][..50].to_owned();
    let mut text = fs::read_to_string(file(dir.path(), 1)).expect("a file");
    text.push_str(&torn);
    fs::write(file(dir.path(), 1), text).expect("written");
    fs::write(dir.path().join("audit.head"), head).expect("written");
    let answer = verified(dir.path());
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.contains("the last 2 are not confirmed"), "{}", answer.out);
    run(dir.path(), 1);
    let answer = verified(dir.path());
    let out = answer.out.split(" since ").next().expect("a text");
    assert_eq!((answer.code, out), (0, "whole: 6 records in 1 file\nsecurity: 6 records"), "{}", answer.err);
    let told = shown(dir.path());
    let recovered = told.lines().find(|line| line.contains("audit.recovered")).expect("it is logged");
    assert!(recovered.contains("2 records after the head were taken over; the last 50 bytes"), "{recovered}");
}

#[test]
fn broken_evidence_is_kept_and_a_new_file_begins() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 3);
    change(dir.path(), 1, |all| drop(all.pop()));
    let broken = fs::read(file(dir.path(), 1)).expect("a file");
    run(dir.path(), 2);
    assert_eq!(fs::read(file(dir.path(), 1)).expect("a file"), broken);
    let told = lines(dir.path(), 2);
    assert!(told[0].contains("\"n\":4,") && told[0].contains("audit.gap"), "{}", told[0]);
    assert_eq!(told.len(), 3);
    let answer = verified(dir.path());
    assert!(
        answer.err.contains("audit-000001.jsonl: cut tail: the last record is 2, and the head knew 3"),
        "{answer:?}"
    );
    // Behind the gap all is watched as before.
    change(dir.path(), 2, |all| drop(all.remove(1)));
    let answer = verified(dir.path());
    assert!(answer.err.contains("audit-000002.jsonl, line 2: removed line"), "{answer:?}");
}

#[test]
fn the_oldest_files_are_removed_and_the_rest_is_still_proved() {
    let dir = tempfile::tempdir().expect("a folder");
    let plan = AuditPlan { max_size: 3 * MAX_FILE, ..plan() };
    let run = |count: u64| {
        for n in 0..count {
            let (audit, scribe) = Audit::start(&plan, dir.path()).expect("it starts");
            audit.tell(record(n));
            drop(scribe);
        }
    };
    run(60);
    let kept: Vec<_> = fs::read_dir(dir.path().join("audit")).expect("a folder").collect();
    assert!(kept.len() <= 4, "{} files", kept.len());
    assert!(!file(dir.path(), 1).exists());
    let answer = verified(dir.path());
    assert_eq!(answer.code, 0, "{answer:?}");
    let bytes: u64 = kept.iter().map(|entry| entry.as_ref().expect("an entry").metadata().expect("data").len()).sum();
    assert!(bytes <= 3 * MAX_FILE, "{bytes} bytes");
    // The oldest that is left can't be taken away unseen.
    let oldest = (1..).find(|number| file(dir.path(), *number).exists()).expect("a file");
    fs::remove_file(file(dir.path(), oldest)).expect("removed");
    assert!(verified(dir.path()).err.contains("missing file"));
}

#[test]
fn files_that_are_too_old_are_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 20);
    let plan = AuditPlan { keep: Duration::ZERO, ..plan() };
    std::thread::sleep(Duration::from_millis(1_100));
    drop(Audit::start(&plan, dir.path()).expect("it starts"));
    assert!(!file(dir.path(), 1).exists() && !file(dir.path(), 2).exists() && file(dir.path(), 3).exists());
    assert_eq!(verified(dir.path()).code, 0);
}

#[test]
fn files_and_key_are_for_the_service_alone_and_an_open_key_starts_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 1);
    let mode = |part: &str| fs::metadata(dir.path().join(part)).expect("it is there").permissions().mode() & 0o777;
    let modes = ["audit", "audit/audit-000001.jsonl", "audit.head", "audit.key"].map(mode);
    assert_eq!(modes, [0o700, 0o600, 0o600, 0o600]);
    fs::set_permissions(dir.path().join("audit.key"), fs::Permissions::from_mode(0o644)).expect("changed");
    let error = Audit::start(&plan(), dir.path()).expect_err("others can read it").to_string();
    assert!(error.contains("run: chmod 600"), "{error}");
    assert!(verified(dir.path()).err.contains("run: chmod 600"));
}

#[test]
fn a_disk_that_refuses_writes_stops_no_service_and_its_end_is_logged() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), 1);
    let (audit, scribe) = open(dir.path());
    // The head cannot be replaced in a folder that is not there: what a failing disk does to it.
    let (away, folder) = (dir.path().join("away"), dir.path().join("audit.head.new"));
    fs::create_dir(&folder).expect("in the way");
    audit.tell(record(1));
    let began = Instant::now();
    while audit.trouble().is_none() {
        assert!(began.elapsed() < Duration::from_secs(10), "the trouble is logged");
        std::thread::yield_now();
    }
    for n in 0..2_000 {
        audit.tell(record(n));
    }
    assert!(began.elapsed() < Duration::from_secs(10), "nobody waits");
    fs::rename(&folder, &away).expect("out of the way");
    while audit.trouble().is_some() {
        assert!(began.elapsed() < Duration::from_secs(20), "it resumes");
        std::thread::yield_now();
    }
    drop(scribe);
    let verdict = verify(dir.path()).expect("it can be read");
    assert_eq!((verdict.findings, verdict.records), (vec![], 2_002));
}

#[test]
fn records_that_a_disk_refused_are_written_later_in_their_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let (audit, scribe) = open(dir.path());
    // The next file cannot be made: what a full disk does to it.
    let folder = file(dir.path(), 2);
    fs::create_dir(&folder).expect("in the way");
    let began = Instant::now();
    for n in 0..100 {
        audit.tell(record(n));
        while n == 20 && audit.trouble().is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "the trouble is logged");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(if n < 20 { 60 } else { 0 }));
    }
    fs::remove_dir(&folder).expect("out of the way");
    drop(scribe);
    let mut messages = Vec::new();
    show(dir.path(), &Filter::default(), &mut |record, _| messages.extend(record.field("message").map(str::to_owned)))
        .expect("it can be read");
    assert_eq!(messages, (0..100).map(|n| format!("number {n}")).collect::<Vec<_>>());
    assert_eq!(verified(dir.path()).code, 0);
}

struct Plain;
impl Names for Plain {
    fn node(&self, number: u32) -> String {
        format!("ns=2;s=T{number}")
    }
}

fn writes(count: usize) -> Writes {
    let write = Write {
        node: Node::Known(3),
        attribute: 13,
        range: None,
        old: Content::of(Value::Double(1.5)),
        new: Content::of(Value::text("a\n\"b\"")),
        status: StatusCode::BadOutOfRange,
    };
    Writes { time: UaTime::now(), who: who(), names: Arc::new(Plain), writes: vec![write; count], held: 0 }
}

#[test]
fn a_flood_of_writes_is_counted_and_security_still_gets_through() {
    let dir = tempfile::tempdir().expect("a folder");
    let (audit, scribe) = Audit::start(&AuditPlan { max_file: 1 << 30, ..plan() }, dir.path()).expect("it starts");
    fs::create_dir(dir.path().join("audit.head.new")).expect("in the way");
    (0..150).for_each(|_| audit.tell_writes(writes(1_000)));
    (0..100).for_each(|n| audit.tell(record(n)));
    fs::remove_dir(dir.path().join("audit.head.new")).expect("out of the way");
    drop(scribe);
    let (mut activated, mut written, mut lost) = (0, 0u64, 0u64);
    let filter = Filter::default();
    let damaged = show(dir.path(), &filter, &mut |record, _| match record.field("kind") {
        Some("session.activated") => activated += 1,
        Some("write") => written += 1,
        // On a busy machine there is more than one of them.
        Some("audit.lost") => {
            let count = record.field("message").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
            lost += count.expect("a number");
        }
        _ => {}
    });
    assert_eq!((damaged.expect("it can be read"), activated), (0, 100));
    assert_eq!(written + lost, 150_000);
    assert_eq!(verified(dir.path()).code, 0);
}

#[test]
fn records_read_as_they_were_meant_by_time_and_kind() {
    let dir = tempfile::tempdir().expect("a folder");
    let (audit, scribe) = open(dir.path());
    audit.tell(record(1));
    audit.tell_writes(writes(1));
    drop(scribe);
    let state = dir.path().to_str().expect("text");
    let show = |more: &[&str]| opcell(&[&["audit", "show", "--state-dir", state], more].concat()).out;
    let write = show(&["--kind", "write"]);
    let (_, text) = write.trim_end().split_once(' ').expect("a time");
    let node = r#"write status=BadOutOfRange user=opal session=7 channel=9 peer=10.0.0.1 node="ns=2;s=T3" old=1.5 new="a\n\"b\"""#;
    assert_eq!(text, node);
    assert_eq!(show(&["--kind", "session"]).lines().count(), 1);
    assert_eq!(show(&["--kind", "sess"]), "");
    assert_eq!(show(&["--since", "1h"]).lines().count(), 2);
    assert_eq!(show(&["--since", "2100-01-01T00:00:00Z"]), "");
    let json: serde_json::Value = serde_json::from_str(show(&["--kind", "write", "--json"]).trim()).expect("JSON");
    assert_eq!((&json["n"], &json["new"]), (&serde_json::json!(1), &serde_json::json!("a\n\"b\"")));
}

#[test]
fn a_flood_of_connections_fills_no_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let (audit, scribe) = open(dir.path());
    let stranger = Who { user: String::new(), ..who() };
    let record = Record::new(Kind::ChannelOpened, StatusCode::Good, stranger);
    assert_eq!((0..100_000).filter(|_| audit.admit(&record, Instant::now()).is_some()).count(), 20);
    drop(scribe);
    let told = shown(dir.path());
    let wanted = r#"message="sessions without login from this address: 99980 channel.opened" more=99980"#;
    assert!(told.contains("audit.limited status=Good peer=10.0.0.1") && told.contains(wanted), "{told}");
}

#[test]
fn verify_reads_while_a_server_writes_and_removes_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let plan = AuditPlan { max_size: 4 * MAX_FILE, ..plan() };
    let (audit, scribe) = Audit::start(&plan, dir.path()).expect("it starts");
    let writer = audit.clone();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut n = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            writer.tell(record(n));
            n += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    for _ in 0..10 {
        let answer = verified(dir.path());
        assert_eq!(answer.code, 0, "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    thread.join().expect("it ends");
    drop(scribe);
    let verdict = verify(dir.path()).expect("it can be read");
    assert_eq!((verdict.findings, verdict.unconfirmed), (vec![], 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever texts a client sends, a line stays one line, and says what was sent.
    #[test]
    fn any_text_is_one_line_and_comes_back(user in ".*", message in "(?s).*") {
        let dir = tempfile::tempdir().expect("a folder");
        let (audit, scribe) = open(dir.path());
        let who = Who { user: user.clone(), ..Who::default() };
        audit.tell(Record::new(Kind::SessionActivated, StatusCode::Good, who).with(message.clone()));
        drop(scribe);
        let mut seen = Vec::new();
        show(dir.path(), &Filter::default(), &mut |record, line| {
            seen.push((record.field("user").unwrap_or_default().to_owned(), record.field("message").unwrap_or_default().to_owned(), line.chars().any(char::is_control)));
        }).expect("it can be read");
        prop_assert_eq!(seen.len(), 1);
        let cut = |text: &str| text.chars().take(256).collect::<String>();
        prop_assert_eq!((cut(&seen[0].0), cut(&seen[0].1), seen[0].2), (cut(&user), cut(&message), false));
        prop_assert_eq!(verify(dir.path()).expect("it can be read").findings, vec![]);
    }
}
