//! The two chains of the audit: a flood of writes removes no record of security, each chain is proved on its own, and a
//! folder of an earlier version, with one chain for all records, is still read.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opcell::testing::audit::{
    Audit, Content, Fault, Filter, Kind, Names, Node, Record, Who, Write, Writes, show, verify,
};
use opcell::testing::model::{AuditLog, AuditPlan};
use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::{MessageSecurityMode, Policy};
use opcell::testing::ua::users::hash_password;
use opcell::value::{UaTime, Value};
use opcua::StatusCode;

use testkit::program::{Serving, folder, opcell};
use testkit::request::user_name;
use testkit::request::write;
use testkit::until;
use testkit::{interop, ua};

const MAX_FILE: u64 = 20_000;

struct Plain;
impl Names for Plain {
    fn node(&self, number: u32) -> String {
        format!("ns=2;s=T{number}")
    }
}

fn plan() -> AuditPlan {
    AuditPlan { log: AuditLog::Off, max_file: MAX_FILE, max_size: 8 * MAX_FILE, ..AuditPlan::default() }
}

fn who() -> Who {
    Who { user: "opal".to_owned(), session: 7, channel: 9, ..Who::default() }
}

fn writes(count: usize) -> Writes {
    let write = Write {
        node: Node::Known(3),
        attribute: 13,
        range: None,
        old: Content::of(Value::Double(1.5)),
        new: Content::of(Value::Double(2.5)),
        status: StatusCode::Good,
    };
    Writes { time: UaTime::now(), who: who(), names: Arc::new(Plain), writes: vec![write; count], held: 0 }
}

fn record(kind: Kind) -> Record {
    Record::new(kind, StatusCode::BadIdentityTokenRejected, who())
}

/// A run of the server that audits this.
fn run(dir: &Path, acts: impl FnOnce(&Audit)) {
    let (audit, scribe) = Audit::start(&plan(), dir).expect("it starts");
    acts(&audit);
    drop(scribe);
}

fn kinds(dir: &Path) -> Vec<String> {
    let mut kinds = Vec::new();
    show(dir, &Filter::default(), &mut |record, _| kinds.extend(record.field("kind").map(str::to_owned)))
        .expect("it can be read");
    kinds
}

fn bytes(dir: &Path, prefix: &str) -> u64 {
    let entries = fs::read_dir(dir.join("audit")).expect("a folder").map(|entry| entry.expect("an entry"));
    let of_chain = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    of_chain.map(|entry| entry.metadata().expect("data").len()).sum()
}

#[test]
fn a_flood_of_writes_and_of_edits_removes_no_record_of_security() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), |audit| audit.tell(record(Kind::SessionActivationRefused)));
    for _ in 0..40 {
        run(dir.path(), |audit| {
            audit.tell_writes(writes(50));
            (0..20).for_each(|_| audit.tell(record(Kind::HistoryUpdate)));
        });
    }
    let kinds = kinds(dir.path());
    assert_eq!(kinds[0], "session.activation-refused");
    assert!(bytes(dir.path(), "writes-") <= 5 * MAX_FILE && bytes(dir.path(), "audit-") < 1_000);
    let verdict = verify(dir.path()).expect("it can be read");
    assert_eq!(verdict.findings, vec![]);
    let [security, writes] = &verdict.kept[..] else { panic!("two classes: {verdict:?}") };
    assert_eq!((security.class, security.records, security.removed_files), ("security", 1, 0));
    assert_eq!((writes.class, writes.records + writes.removed_records), ("writes", 40 * 70));
    assert!(writes.removed_files > 2 && writes.since > Some(0) && writes.removed_until <= writes.since);
    let count = |wanted: &str| kinds.iter().filter(|kind| *kind == wanted).count() as u64;
    assert_eq!(count("write") + count("history.update"), writes.records);
}

#[test]
fn records_of_both_chains_are_shown_in_the_order_of_their_times() {
    let dir = tempfile::tempdir().expect("a folder");
    run(dir.path(), |audit| {
        for n in 0..40 {
            let time = UaTime(UaTime::now().0 + n * 10_000_000);
            match n % 3 {
                0 => audit.tell_writes(Writes { time, ..writes(1) }),
                _ => audit.tell(Record { time, ..record(Kind::SessionCreated) }),
            }
        }
    });
    let mut times = Vec::new();
    show(dir.path(), &Filter::default(), &mut |record, _| times.extend(record.field("time").map(str::to_owned)))
        .expect("it can be read");
    assert!(times.len() == 40 && times.is_sorted(), "{times:#?}");
}

type Attack = fn(&Path);

#[test]
fn the_chain_of_writes_is_proved_as_the_one_of_security_is() {
    let attacks: [(&str, Attack, &[Fault]); 6] = [
        ("nothing", |_| {}, &[]),
        (
            "a changed write",
            |dir| {
                let file = dir.join("audit/writes-000001.jsonl");
                let text = fs::read_to_string(&file).expect("a file").replacen("2.5", "3.5", 1);
                fs::write(file, text).expect("written");
            },
            &[Fault::Changed],
        ),
        (
            "no file",
            |dir| fs::remove_file(dir.join("audit/writes-000001.jsonl")).expect("removed"),
            &[Fault::MissingFile],
        ),
        ("no head", |dir| fs::remove_file(dir.join("audit-writes.head")).expect("removed"), &[Fault::ReplacedHead]),
        (
            "neither head nor files",
            |dir| {
                fs::remove_file(dir.join("audit-writes.head")).expect("removed");
                fs::remove_file(dir.join("audit/writes-000001.jsonl")).expect("removed");
            },
            &[Fault::ReplacedHead],
        ),
        (
            "the chain of security in its place",
            |dir| {
                fs::copy(dir.join("audit.head"), dir.join("audit-writes.head")).expect("copied");
                fs::copy(dir.join("audit/audit-000001.jsonl"), dir.join("audit/writes-000001.jsonl")).expect("copied");
            },
            &[Fault::ReplacedHead],
        ),
    ];
    for (name, attack, found) in attacks {
        let dir = tempfile::tempdir().expect("a folder");
        run(dir.path(), |audit| {
            audit.tell(record(Kind::SessionActivated));
            audit.tell_writes(writes(5));
        });
        attack(dir.path());
        let faults = || {
            let findings = verify(dir.path()).expect("it can be read").findings;
            findings.iter().map(|finding| finding.fault).collect::<Vec<_>>()
        };
        assert_eq!(faults(), found, "{name}");
        run(dir.path(), |audit| audit.tell_writes(writes(5)));
        assert_eq!(faults(), found, "{name}: it stays found");
        let gaps = kinds(dir.path()).iter().filter(|kind| *kind == "audit.gap").count();
        assert_eq!(gaps, found.len(), "{name}");
    }
}

#[test]
fn a_folder_with_one_chain_for_all_records_is_read_and_continued() {
    let dir = tempfile::tempdir().expect("a folder");
    let old = Path::new("tests/cases/audit/one-chain");
    fs::create_dir(dir.path().join("audit")).expect("made");
    fs::copy(old.join("audit-000001.jsonl"), dir.path().join("audit/audit-000001.jsonl")).expect("copied");
    fs::copy(old.join("audit.head"), dir.path().join("audit.head")).expect("copied");
    let digits = fs::read_to_string(old.join("key.hex")).expect("the key");
    let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    fs::write(dir.path().join("audit.key"), (0..32).map(|at| digit(2 * at)).collect::<Vec<_>>()).expect("written");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(dir.path().join("audit.key"), closed).expect("closed");
    let verdict = verify(dir.path()).expect("it can be read");
    assert_eq!((verdict.findings.len(), verdict.records, verdict.kept.len()), (0, 15, 1));
    run(dir.path(), |audit| {
        audit.tell(record(Kind::SessionActivated));
        audit.tell_writes(writes(2));
    });
    let verdict = verify(dir.path()).expect("it can be read");
    assert_eq!((verdict.findings, verdict.records), (vec![], 18));
    let kinds = kinds(dir.path());
    assert_eq!(kinds.iter().filter(|kind| *kind == "write").count(), 5);
    assert!(!kinds.iter().any(|kind| kind == "audit.gap"), "{kinds:?}");
}

const CELL: &str = "schema: 1\ncell: press\nnodes:\n  Speed: { type: Double, value: 0, write: true }\n";
/// Two files of writes, and two of all else.
const SERVER: &str = "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer, Operator]\n\
    security: { allow_unsecured: true }\naudit: { log: off, max_size: 4MiB, max_file: 1MiB }\n\
    users: { eva: { password_hash: HASH, roles: [Observer] } }\n";
const PER_REQUEST: usize = 1_000;

/// How long the flood lasts at least; CI has a few seconds, a longer run sets OPCELL_FLOOD_SECONDS.
fn flood_time() -> Duration {
    let given = std::env::var("OPCELL_FLOOD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(3))
}

/// Writes as fast as the server answers; gives the number of values.
fn flood(address: std::net::SocketAddr, stop: &AtomicBool) -> u64 {
    let mut session = ua::Session::open(address);
    let values: Vec<Value> = (0..PER_REQUEST).map(|n| Value::Double(n as f64)).collect();
    let parts: Vec<_> = values.iter().map(|value| (NodeIdRef::string(2, "Speed"), None, value)).collect();
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        session.ask(write(&parts));
        written += PER_REQUEST as u64;
    }
    session.close();
    written
}

#[test]
fn a_failed_login_a_refused_certificate_and_a_change_of_users_outlast_writing_at_full_speed() {
    let hash = hash_password(b"correct horse 7").expect("a hash");
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", &SERVER.replace("HASH", &format!("\"{hash}\"")))]);
    let serving = Serving::logging(folder.path(), "info");
    let state = folder.path().join("state");
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| flood(serving.address, &stop));
        until("writes reach the files", || {
            fs::metadata(state.join("audit/writes-000001.jsonl")).ok().filter(|data| data.len() > 0)
        });
        let mut guest = ua::Session::connect(serving.address, ua::unsecured()).expect("a channel");
        guest.create("urn:test:guest", &[]).good();
        let refused = guest.activate(None, user_name("mallory", b"guess", None));
        assert!(refused.result.is_bad());
        let der = fs::read(folder.path().join("pki/own/certificate.der")).expect("a certificate");
        let peer = Arc::new(Peer::from_chain(Policy::Basic256Sha256, &der).expect("a certificate"));
        let stranger = interop::Holder::of("urn:test:stranger");
        let settings =
            ua::secured(Policy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt, &stranger.identity, &peer);
        assert!(ua::Session::connect(serving.address, settings).is_err());
        let said = opcell(folder.path(), &["user", "remove", "eva", "server.yaml"], "");
        assert_eq!(said.code, 0, "{said:?}");
        std::thread::sleep(flood_time().saturating_sub(began.elapsed()));
        // At least twice what the share of writes holds.
        until("retention removes writes", || {
            let kept = verify(&state).ok()?.kept;
            kept.iter().find(|kept| kept.class == "writes" && kept.removed_files > 2).map(drop)
        });
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("it ends")
    });
    let log = serving.end();
    let verdict = verify(&state).expect("it can be read");
    assert_eq!(verdict.findings, vec![], "{log}");
    let shown = opcell(folder.path(), &["audit", "show", "server.yaml"], "").out;
    for wanted in
        ["session.activation-refused status=BadIdentityToken", "certificate.untrusted status=", "users.changed status="]
    {
        assert!(shown.contains(wanted), "{wanted} after {written} writes");
    }
    assert!(shown.contains("user=mallory") && shown.contains("removed: eva"), "after {written} writes");
    let kept = &verdict.kept[1];
    assert!(kept.removed_records > kept.records, "{written} writes: {kept:?}");
}
