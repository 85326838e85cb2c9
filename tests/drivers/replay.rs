//! Recordings on the real server: the example, and an export of the server's own history that is played and recorded again.

use std::collections::HashSet;
use std::path::Path;

use opcell::testing::stack::codec::NodeIdRef;
use testkit::program::opcell;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;
use time::format_description::well_known::Rfc3339;

const LIVE: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
connections:
  sim: { driver: simulator }
defaults: { history: events, poll: 20ms, connection: sim }
nodes:
  Speed: { type: Double, source: "sine(mean=50, amp=40, period=1s)" }
  Count: { type: UInt64, source: "counter(start=9007199254740992, step=1, every=20ms)" }
  Name:  { type: String, length: 20, source: "text([a b, c], every=100ms)" }
"#;

const PLAYED: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
connections:
  tape: { driver: replay, file: tape.csv, at_end: hold, speed: 4 }
defaults: { history: events, connection: tape }
nodes:
  Speed: { type: Double, source: "s=Speed" }
  Count: { type: UInt64, source: Count }
  Name:  { type: String, length: 20, source: Name }
"#;

/// A sample of an export: identifier, type, time in ticks of 100 ns, status and value.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    of: String,
    time: i64,
    said: String,
}

fn export(dir: &Path) -> String {
    let said = opcell(dir, &["history", "export", "cell.yaml"], "");
    assert_eq!(said.code, 0, "{}", said.err);
    said.out
}

fn rows(csv: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.expect("a row");
        let time = time::OffsetDateTime::parse(&record[3], &Rfc3339).expect("a time");
        let time = i64::try_from(time.unix_timestamp_nanos() / 100).expect("a time of today");
        Row { of: record[1].to_owned(), time, said: [&record[2], &record[5], &record[6]].join(" ") }
    };
    reader.records().map(row).collect()
}

#[test]
fn an_export_that_is_played_gives_the_same_history_again() {
    let mut live = TestServer::start(LIVE);
    let dir = live.dir().to_owned();
    until("samples", || (export(&dir).lines().count() > 60).then_some(()));
    live.finish();
    let tape = export(&dir);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cell.yaml"), PLAYED).expect("written");
    std::fs::write(folder.path().join("tape.csv"), &tape).expect("written");
    let before: Vec<Row> = rows(&tape).into_iter().filter(|row| row.said.contains(" Good ")).collect();
    let mut played = TestServer::start_with(folder);
    let dir = played.dir().to_owned();
    let good = |csv: &str| rows(csv).into_iter().filter(|row| row.said.contains(" Good ")).collect::<Vec<_>>();
    until("all samples again", || (good(&export(&dir)).len() >= before.len()).then_some(()));
    played.finish();
    let after = good(&export(&dir));
    let signals: HashSet<&str> = before.iter().map(|row| row.of.as_str()).collect();
    assert_eq!(signals.len(), 3);
    let said = |rows: &[Row]| rows.iter().map(|row| (row.of.clone(), row.said.clone())).collect::<Vec<_>>();
    assert_eq!(said(&before), said(&after));
    let first = |rows: &[Row]| rows.iter().map(|row| row.time).min().expect("a row");
    let (was, is) = (first(&before), first(&after));
    for (before, after) in before.iter().zip(&after) {
        let late = (before.time - was) / 4 - (after.time - is);
        assert!(late.abs() <= 10, "{before:?} {after:?}: {late} ticks");
    }
}

#[test]
fn the_example_plays_its_tank() {
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to) in [("replay.yaml", "cell.yaml"), ("tank.csv", "tank.csv")] {
        std::fs::copy(Path::new("address-space/drivers").join(from), folder.path().join(to)).expect("copied");
    }
    let server = TestServer::start_with(folder);
    let mut session = Session::open(server.address);
    let mut seen = HashSet::new();
    let tag = |path: &'static str| NodeIdRef::string(2, path);
    until("each mode, the fault and a level after it", || {
        let [mode, level] = ["Tank.Mode", "Tank.Level"].map(|path| session.read_value(tag(path)));
        seen.insert(format!("{:?}", mode.value));
        seen.insert(level.status.map_or_else(|| format!("{:?}", level.value), |status| status.to_string()));
        let wanted = ["Some(Int32(0))", "Some(Int32(1))", "Some(Int32(2))", "BadSensorFailure", "Some(Double(77.9))"];
        wanted.iter().all(|one| seen.contains(*one))
    });
}
