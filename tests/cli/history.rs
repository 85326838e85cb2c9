//! `opcell history` next to a running server and alone: the real program, on the folders of a real server.

use std::path::Path;
use std::process::Command;

use testkit::server::TestServer;
use testkit::until;

const CELL: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
connections:
  sim: { driver: simulator }
defaults: { history: fast, poll: 20ms }
types:
  enums:
    State: { 0: Stopped, 1: Running }
nodes:
  Pump:
    children:
      Speed: { type: Double, range: [0, 100], source: "sine(mean=50, amp=40, period=1s)" }
      Count: { type: UInt64, source: "counter(start=9007199254740992, step=1, every=20ms)" }
      State: { type: State, value: Running, write: true }
      Name:  { type: String, length: 20, value: "a, \"b\"", write: true }
  Curve: { type: Float, array: 3, value: [1, 2.5, -3], write: true }
"#;

#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: i32,
}

fn opcell(folder: &Path, arguments: &[&str]) -> Said {
    let output =
        Command::new(env!("CARGO_BIN_EXE_opcell")).args(arguments).current_dir(folder).output().expect("opcell runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code().expect("a code") }
}

/// Runs it until it prints what is wanted.
fn until_said(folder: &Path, arguments: &[&str], wanted: impl Fn(&Said) -> bool) -> Said {
    until(&arguments.join(" "), || Some(opcell(folder, arguments)).filter(&wanted))
}

fn rows(csv: &str) -> Vec<&str> {
    csv.lines().skip(1).collect()
}

#[test]
fn history_is_listed_checked_exported_and_imported_with_and_without_a_server() {
    let mut server = TestServer::start(CELL);
    let dir = server.dir().to_owned();
    let here = |arguments: &[&str]| opcell(&dir, &[&["history"], arguments, &["cell.yaml"]].concat());

    let said = until_said(&dir, &["history", "stats", "cell.yaml"], |said| {
        said.out.contains("s=Pump.Speed  Double      press/fast keeps 90d  2")
    });
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.contains("5 tags"), "{}", said.out);
    let live =
        until_said(&dir, &["history", "export", "--tag", "Pump.Speed", "cell.yaml"], |said| rows(&said.out).len() > 20);
    assert!(live.out.starts_with("namespace,identifier,type,source_time,server_time,status,value\n"));
    assert_eq!(here(&["verify"]).code, 0);
    assert!(here(&["compact"]).out.contains("bytes before"), "the running server does it");
    let status = opcell(&dir, &["status", "cell.yaml"]);
    assert!(status.out.contains("\nhistory      5 tags, "), "{}", status.out);

    server.finish();
    let all = here(&["export"]);
    assert_eq!(all.code, 0, "{all:?}");
    assert!(all.out.contains("\"a, \"\"b\"\"\""), "a text is quoted");
    assert!(all.out.contains("\"[\"\"1\"\",\"\"2.5\"\",\"\"-3\"\"]\""), "an array is a list");
    let lost = rows(&all.out).into_iter().filter(|row| row.contains(",BadDataLost,")).count();
    assert_eq!(lost, 5, "each tag's history says where it ended");
    let whole = here(&["verify"]);
    assert!(whole.out.starts_with("whole: "), "{whole:?}");

    // Into a store that knows the tags but not the samples.
    std::fs::write(dir.join("all.csv"), &all.out).expect("written");
    std::fs::remove_dir_all(dir.join("state/history")).expect("removed");
    let fresh = server.restart();
    let dir = fresh.dir().to_owned();
    until_said(&dir, &["history", "stats", "cell.yaml"], |said| said.out.contains("s=Pump.Speed"));
    let again = opcell(&dir, &["history", "import", "all.csv", "cell.yaml"]);
    let count = rows(&all.out).len();
    assert!(again.out.starts_with(&format!("{count} samples inserted, 0 were there already")), "{again:?}");
    let twice = opcell(&dir, &["history", "import", "all.csv", "cell.yaml"]);
    assert!(twice.out.starts_with(&format!("0 samples inserted, {count} were there already")), "{twice:?}");
    let exported = opcell(&dir, &["history", "export", "cell.yaml"]).out;
    for row in rows(&all.out) {
        assert!(exported.contains(row), "{row} came back otherwise");
    }
}

#[test]
fn parquet_holds_the_same_samples_as_csv() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let mut server = TestServer::start(CELL);
    let dir = server.dir().to_owned();
    until_said(&dir, &["history", "export", "--tag", "Pump.Count", "cell.yaml"], |said| rows(&said.out).len() > 20);
    server.finish();
    let csv = opcell(&dir, &["history", "export", "cell.yaml"]);
    let written = opcell(&dir, &["history", "export", "--out", "all.parquet", "cell.yaml"]);
    assert_eq!(written.code, 0, "{written:?}");
    let over = opcell(&dir, &["history", "export", "--out", "all.parquet", "cell.yaml"]);
    assert!(over.code == 1 && over.err.contains("cannot make all.parquet"), "a file is never overwritten: {over:?}");

    let file = std::fs::File::open(dir.join("all.parquet")).expect("the file");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let mut count = 0;
    let mut exact = 0;
    for row in reader.get_row_iter(None).expect("rows") {
        let row = row.expect("a row");
        count += 1;
        let identifier = row.get_string(1).expect("a text");
        let is_good = row.get_uint(4).is_ok_and(|status| status == 0);
        if identifier == "s=Pump.Count" && is_good {
            let text = row.get_string(6).expect("what a double does not hold is text too");
            assert!(text.parse::<u64>().expect("a number") >= 9_007_199_254_740_992);
            exact += 1;
        }
    }
    assert_eq!(count, rows(&csv.out).len());
    assert!(exact > 10);
}

#[test]
fn mistakes_are_named_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("cell.yaml"), CELL).expect("written");
    for (arguments, wanted) in [
        (&["stats", "cell.yaml"][..], "there is no history in"),
        (&["export", "--folder", "no-such"], "there is no history in no-such"),
        (&["export", "--from", "yesterday", "cell.yaml"], "`yesterday` is no time; write 2026-11-21T10:00:00Z"),
        (&["import", "no-such.csv", "cell.yaml"], "cannot read no-such.csv"),
    ] {
        let said = opcell(dir.path(), &[&["history"], arguments].concat());
        assert!(said.code == 1 && said.err.contains(wanted), "{arguments:?}: {said:?}");
    }

    let mut server = TestServer::start_with(dir);
    let dir = server.dir().to_owned();
    until_said(&dir, &["history", "stats", "cell.yaml"], |said| said.out.contains("5 tags"));
    server.finish();
    for (csv, wanted) in [
        ("a,b\n1,2\n", "line 1: the columns are not those of a history export"),
        (
            "namespace,identifier,type,source_time,server_time,status,value\nurn:x,s=A,Double,,,Good,1\n",
            "line 2: there is no archive s=A of type Double in urn:x",
        ),
        (
            "namespace,identifier,type,source_time,server_time,status,value\n\
             urn:test:press,s=Pump.Speed,Double,2026-11-21T10:00:00Z,2026-11-21T10:00:00Z,Good,fast\n",
            "line 2: `fast` is no value; write a Double",
        ),
        (
            "namespace,identifier,type,source_time,server_time,status,value\n\
             urn:test:press,s=Pump.Speed,Double,noon,2026-11-21T10:00:00Z,Good,1\n",
            "line 2: `noon` is no source_time; write 2026-11-21T10:00:00.5Z",
        ),
    ] {
        std::fs::write(dir.join("bad.csv"), csv).expect("written");
        let said = opcell(&dir, &["history", "import", "bad.csv", "cell.yaml"]);
        assert!(said.code == 1 && said.err.contains(wanted), "{said:?}");
    }
    let none = opcell(&dir, &["history", "export", "--tag", "Nothing.*", "cell.yaml"]);
    assert!(none.code == 1 && none.err.contains("none of the 5 tags fits"), "{none:?}");
}

#[test]
fn a_folder_without_a_history_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    for verb in ["stats", "verify", "export", "compact"] {
        let said = opcell(dir.path(), &["history", verb, "--folder", "."]);
        assert!(said.code == 1 && said.err.contains("there is no history in ."), "{verb}: {said:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
}

#[test]
fn an_import_leaves_no_trace_of_an_edit_and_refuses_values_that_no_file_holds() {
    let mut server = TestServer::start(CELL);
    let dir = server.dir().to_owned();
    until_said(&dir, &["history", "stats", "cell.yaml"], |said| said.out.contains("s=Pump.Speed"));
    server.finish();
    let head = "namespace,identifier,type,source_time,server_time,status,value\n";
    let now = opcell::value::time_to_text(opcell::value::UaTime::now());
    let row = |time: &str| format!("urn:test:press,s=Pump.Speed,Double,{time},{time},Good,1.5\n");
    let (end, old) = (i64::MAX.to_string(), "1990-01-01T00:00:00Z");
    let csv = [head.to_owned(), row(&now), row(&now), row(&end), row(old)].concat();
    std::fs::write(dir.join("some.csv"), csv).expect("written");
    let said = opcell(&dir, &["history", "import", "some.csv", "cell.yaml"]);
    assert!(said.out.starts_with("1 sample inserted, 1 was there already, 2 are older"), "{said:?}");
    let exported = opcell(&dir, &["history", "export", "--tag", "Pump.Speed", "cell.yaml"]).out;
    assert!(exported.contains(row(&now).trim_end()), "it is plain Good, as it was in the file: {exported}");
}
