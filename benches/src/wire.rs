//! History over the wire: the server's CPU for raw reads out of closed files, and for a year of hourly aggregates.

use std::path::Path;
use std::time::Duration;

use opcell::testing::history::store::{Settings, Store};
use opcell::testing::history::{ArchiveId, ArchiveSpec, Historian, Row};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::{ExtensionObject, HistoryReadRequest, StatusCode};

use crate::process::ServerProcess;
use crate::rows::{Table, pipelined};
use testkit::history::{Asked, Processed, history_read, processed, raw};
use testkit::ua::Session;

const SECOND: i64 = 10_000_000;
const HOUR: i64 = 3_600 * SECOND;
const CELL: &str = "schema: 1\ncell: bench\nnodes:\n  A: { type: Double, value: 1.0, write: true, history: process }\n";

/// 1 Hz with a few milliseconds of jitter and a value that moves in steps of 0.1, ending an hour ago.
fn fill(folder: &Path, count: usize) -> i64 {
    let store = Store::open(Settings::new(folder.join("state/history"))).expect("a store");
    let spec = ArchiveSpec {
        namespace: "urn:opcell:bench".into(),
        identifier: "s=A".into(),
        kind: BuiltIn::Double,
        is_array: false,
        class: "bench/process".into(),
        keep: Duration::from_secs(400 * 86_400),
        max_size: None,
    };
    let archive: ArchiveId = store.register(&[spec]).expect("an archive")[0];
    let whole_hour = UaTime::now().0 / HOUR * HOUR;
    let start = whole_hour - HOUR - i64::try_from(count).expect("few") * SECOND;
    let mut random = fastrand::Rng::with_seed(7);
    let mut level = 500;
    let mut rows = Vec::new();
    for n in 0..count {
        level = (level + random.i32(-3..=3)).clamp(0, 1_000);
        let time = UaTime(start + i64::try_from(n).expect("few") * SECOND + random.i64(0..30_000));
        let sample = Sample {
            value: Value::Double(f64::from(level) / 10.0),
            status: StatusCode::Good,
            source_time: time,
            server_time: time,
        };
        rows.push(Row { archive, sample });
        if rows.len() == 400_000 {
            store.append(&mut rows);
            store.commit().expect("on disk");
        }
    }
    store.append(&mut rows);
    store.commit().expect("on disk");
    store.flush().expect("in blocks");
    store.compact().expect("merged");
    store.close();
    start
}

fn request(details: &ExtensionObject) -> HistoryReadRequest {
    history_read(details, &[Asked::of(NodeIdRef::string(2, "A"))])
}

fn server(folder: &Path) -> ServerProcess {
    std::fs::write(folder.join("cell.yaml"), CELL).expect("written");
    let arguments = ["run", "cell.yaml", "--listen", "127.0.0.1:0", "--log", "error"];
    ServerProcess::start("opcell", &arguments, folder)
}

/// 10,000 values a request, all in closed blocks.
pub fn read(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a folder");
    let count = 1_000_000;
    let start = fill(dir.path(), count);
    let ours = server(dir.path());
    table.line("start with 1,000,000 samples", &format!("{:9.0} ms", ours.start.as_secs_f64() * 1e3));
    let mut session = Session::open(ours.address);
    let windows = count / 10_000;
    let next = std::cell::Cell::new(0);
    let cpu = pipelined(&ours, &mut session, 400, |session| {
        let window = i64::try_from(next.get() % windows).expect("few");
        next.set(next.get() + 1);
        let from = start + window * 10_000 * SECOND;
        let details = raw(from, from + 10_000 * SECOND, 0, false);
        session.send(request(&details)).expect("sent");
    });
    table.per("HistoryRead raw, 10,000 values a request, from disk", cpu, 400 * 10_000, "value");
    let mut tail = || {
        let end = start + i64::try_from(count).expect("few") * SECOND;
        session.call(request(&raw(end - 300 * SECOND, end, 0, true))).good();
    };
    tail();
    let before = ours.cpu();
    (0..500).for_each(|_| tail());
    table.per("  the last 5 minutes, as a trend asks each second", ours.cpu() - before, 500, "request");
}

/// Aggregates and their NodeIds (Part 13 §4.2.1.1, 1.05).
const AGGREGATES: [(&str, u32); 14] = [
    ("Average", 2342),
    ("Minimum", 2346),
    ("Maximum", 2347),
    ("TimeAverage", 2343),
    ("Interpolative", 2341),
    ("Total", 2344),
    ("Count", 2352),
    ("Range", 2350),
    ("Start", 2357),
    ("Delta", 2359),
    ("DurationGood", 2360),
    ("NumberOfTransitions", 2355),
    ("StandardDeviationSample", 11426),
    ("TimeAverage2", 11285),
];

/// A year of 1 Hz data, hour by hour, in one request.
pub fn year(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a folder");
    let hours: usize = std::env::var("BENCH_HOURS").ok().and_then(|text| text.parse().ok()).unwrap_or(8_760);
    let start = fill(dir.path(), hours * 3_600);
    let ours = server(dir.path());
    table.line("start with the year", &format!("{:9.0} ms", ours.start.as_secs_f64() * 1e3));
    let mut session = Session::open(ours.address);
    let mut ask = |aggregate: u32| {
        let before = ours.cpu();
        let details = processed(Processed {
            start,
            end: start + i64::try_from(hours).expect("few") * HOUR,
            interval: 3_600_000.0,
            aggregates: &[aggregate],
            defaults: true,
            percent: (100, 100),
        });
        let response = session.call(request(&details));
        assert!(response.good().remaining() > hours * 8, "a value an hour");
        (ours.cpu() - before).as_secs_f64() * 1e3
    };
    for (at, (name, id)) in AGGREGATES.into_iter().enumerate() {
        if at == 0 {
            table.line("hourly Average, the files not yet open", &format!("{:9.1} ms", ask(id)));
        }
        let best = (0..3).map(|_| ask(id)).fold(f64::MAX, f64::min);
        table.line(&format!("hourly {name} of a year, best of 3"), &format!("{best:9.1} ms"));
    }
}
