//! The embedded store when the process is killed, files are cut and bits rot: what `commit` confirmed is there, once
//! and unaltered; what a disk lost is reported.
//!
//! `OPCELL_KILLS=200 cargo test --release --test history store::crash` is the long run, `OPCELL_SEED` another one. The
//! process that is killed is this test's own program, started again with `OPCELL_CRASH_CHILD`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use opcell::testing::history::store::{Partition, Settings, Store};
use opcell::testing::history::{ArchiveId, ArchiveSpec, Direction, Historian, Row, Span};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::StatusCode;

const SECOND: i64 = 10_000_000;
const ARCHIVES: usize = 20;
/// Samples come a minute apart, so that a run fills several days.
const STEP: i64 = 60 * SECOND;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn settings(dir: &Path) -> Settings {
    Settings {
        commit: Duration::from_millis(5),
        min_free: 0,
        head_samples: 4000,
        pin: Duration::ZERO,
        partition: Some(Partition::Day),
        ..Settings::new(dir)
    }
}

fn spec(at: usize) -> ArchiveSpec {
    ArchiveSpec {
        namespace: "urn:crash".to_owned(),
        identifier: format!("i={at}"),
        kind: if at % 4 == 3 { BuiltIn::String } else { BuiltIn::Double },
        is_array: false,
        class: "process".to_owned(),
        keep: Duration::from_secs(400 * 86_400),
        max_size: None,
    }
}

/// The `n`th sample of an archive; all of them follow from `start`.
fn sample(archive: usize, n: i64, start: i64) -> Sample {
    let value = match archive % 4 {
        0 => Value::Double(n as f64 / 10.0),
        1 => Value::Double((n * 7919 % 1000) as f64),
        2 => Value::Double(1.0),
        _ => Value::text(["idle", "running", "fault"][(n / 5 % 3) as usize]),
    };
    let time = start + n * STEP;
    Sample { value, status: StatusCode::Good, source_time: UaTime(time), server_time: UaTime(time + 3) }
}

fn ids(store: &Store) -> Vec<ArchiveId> {
    store.register(&(0..ARCHIVES).map(spec).collect::<Vec<_>>()).expect("archives")
}

/// Writes until it is killed: says what is durable after each commit, and tidies all the while.
#[test]
fn child() {
    let Ok(dir) = std::env::var("OPCELL_CRASH_CHILD") else { return };
    let start = number("OPCELL_CRASH_START", 0).cast_signed();
    let mut n = number("OPCELL_CRASH_FROM", 0).cast_signed();
    let mut random = Rng::with_seed(number("OPCELL_CRASH_SEED", 0));
    let store = Store::open(settings(Path::new(&dir))).expect("a store");
    let ids = ids(&store);
    let tidying = Arc::clone(&store);
    std::thread::spawn(move || {
        loop {
            tidying.tidy(UaTime::now()).expect("tidied");
        }
    });
    let mut out = std::io::stdout();
    loop {
        let count = random.i64(1..60);
        for n in n..n + count {
            let row = |at: usize| Row { archive: ids[at], sample: sample(at, n, start) };
            store.append(&mut (0..ARCHIVES).map(row).collect());
        }
        n += count;
        store.commit().expect("committed");
        writeln!(out, "durable {n}").and_then(|()| out.flush()).expect("said");
    }
}

/// A child that runs for a while and is killed; returns up to where it reported samples as durable.
fn run_and_kill(dir: &Path, start: i64, from: i64, random: &mut Rng) -> i64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["store::crash::child", "--exact", "--nocapture"])
        .env("OPCELL_CRASH_CHILD", dir)
        .env("OPCELL_CRASH_START", start.to_string())
        .env("OPCELL_CRASH_FROM", from.to_string())
        .env("OPCELL_CRASH_SEED", random.u64(..).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let until = Instant::now() + Duration::from_millis(random.u64(100..700));
    let mut durable = from;
    let mut hear = |line: &str| {
        if let Some((_, number)) = line.split_once("durable ") {
            durable = number.trim().parse().unwrap_or(durable);
        }
    };
    while Instant::now() < until {
        let Some(Ok(line)) = lines.next() else { break };
        hear(&line);
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    // What it said before it died counts too.
    lines.map_while(Result::ok).for_each(|line| hear(&line));
    durable
}

/// The content of a store: how many of the first samples of each archive, and whether every archive has its own.
struct Held {
    /// Samples of each archive, without those that mark a loss.
    counts: Vec<i64>,
    /// Samples that should be there by what came after them.
    missing: i64,
    losses: usize,
}

fn held(store: &Store, ids: &[ArchiveId], start: i64) -> Held {
    let mut held = Held { counts: Vec::new(), missing: 0, losses: 0 };
    for (at, id) in ids.iter().enumerate() {
        let samples = store.page(*id, Span::ALL, Direction::Forward, 0, None).expect("a page").samples;
        let (mut count, mut next) = (0, 0);
        for found in samples {
            if found.status == StatusCode::BadDataLost {
                held.losses += 1;
                continue;
            }
            let n = (found.source_time.0 - start) / STEP;
            assert_eq!(found, sample(at, n, start), "altered");
            assert!(n >= next, "sample {n} of archive {at} comes twice");
            held.missing += n - next;
            next = n + 1;
            count += 1;
        }
        held.counts.push(count);
    }
    held
}

#[test]
fn durable_samples_survive_every_kill() {
    let mut random = Rng::with_seed(number("OPCELL_SEED", 1));
    let dir = tempfile::tempdir().expect("a folder");
    let start = UaTime::now().0 - 300 * 86_400 * SECOND;
    let mut from = 0;
    for kill in 0..number("OPCELL_KILLS", 8) {
        let durable = run_and_kill(dir.path(), start, from, &mut random);
        let store = Store::open(settings(dir.path())).expect("a store");
        let held = held(&store, &ids(&store), start);
        assert_eq!((held.missing, held.losses), (0, 0), "kill {kill}");
        let least = held.counts.iter().copied().min().unwrap_or(0);
        assert!(least >= durable, "kill {kill}: {least} of {durable} durable samples");
        assert_eq!(store.stats().damaged_blocks, 0);
        from = held.counts.iter().copied().max().unwrap_or(0);
    }
}

/// The files of a store, but its lock.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
        .filter(|path| path.metadata().is_ok_and(|data| data.len() > 0))
        .collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copied");
    }
}

/// Opens what is left, reads it, and records more; returns what was lost, and whether the store reported it.
fn judge(dir: &Path, start: i64, whole: &[i64], what: &str) {
    let store = match Store::open(settings(dir)) {
        Ok(store) => store,
        Err(fault) => {
            // A catalogue that cannot be read is reported as an error.
            assert!(what.contains("meta.db"), "{what}: {fault}");
            return;
        }
    };
    let ids = ids(&store);
    let held = held(&store, &ids, start);
    let is_less = held.counts.iter().zip(whole).any(|(count, whole)| count < whole);
    let is_log = what.contains("-wal");
    let told = held.losses > 0 || store.stats().damaged_blocks > 0 || !store.verify().is_empty();
    // The end of a log that is cut off is as if it had never been written; the store cannot know.
    assert!(!is_less || told || is_log, "{what}: {:?} of {whole:?} and nothing is reported", held.counts);
    let last = Sample { source_time: UaTime(start - STEP), ..sample(0, 0, start) };
    store.append(&mut vec![Row { archive: ids[0], sample: last.clone() }]);
    store.commit().unwrap_or_else(|fault| panic!("{what}: {fault}"));
    assert_eq!(store.at(ids[0], &[last.source_time]).expect("a sample").len(), 1);
}

#[test]
fn files_that_are_cut_lose_the_part_that_was_cut_and_alter_nothing() {
    let mut random = Rng::with_seed(number("OPCELL_SEED", 1));
    let start = UaTime::now().0 - 300 * 86_400 * SECOND;
    let dir = tempfile::tempdir().expect("a folder");
    run_and_kill(dir.path(), start, 0, &mut random);
    let whole = {
        let again = tempfile::tempdir().expect("a folder");
        copy(dir.path(), again.path());
        let store = Store::open(settings(again.path())).expect("a store");
        held(&store, &ids(&store), start).counts
    };
    for _ in 0..number("OPCELL_KILLS", 8) {
        let torn = tempfile::tempdir().expect("a folder");
        copy(dir.path(), torn.path());
        let files: Vec<PathBuf> =
            files(torn.path()).into_iter().filter(|path| !path.to_string_lossy().ends_with("-shm")).collect();
        let file = &files[random.usize(0..files.len())];
        let length = file.metadata().expect("a file").len();
        let cut = random.u64(0..length);
        let handle = std::fs::File::options().write(true).open(file).expect("a file");
        handle.set_len(cut).expect("cut");
        judge(torn.path(), start, &whole, &format!("{} cut at {cut} of {length}", file.display()));
    }
}

#[test]
fn damaged_bytes_are_reported_and_alter_nothing() {
    let mut random = Rng::with_seed(number("OPCELL_SEED", 1));
    let start = UaTime::now().0 - 300 * 86_400 * SECOND;
    let dir = tempfile::tempdir().expect("a folder");
    run_and_kill(dir.path(), start, 0, &mut random);
    let whole = {
        let store = Store::open(settings(dir.path())).expect("a store");
        held(&store, &ids(&store), start).counts
    };
    for _ in 0..number("OPCELL_KILLS", 8) {
        let rotten = tempfile::tempdir().expect("a folder");
        copy(dir.path(), rotten.path());
        let files = files(rotten.path());
        let file = &files[random.usize(0..files.len())];
        let mut bytes = std::fs::read(file).expect("a file");
        let at = random.usize(0..bytes.len());
        bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = random.u8(..));
        std::fs::write(file, &bytes).expect("written");
        judge(rotten.path(), start, &whole, &format!("{} rotten at {at} of {}", file.display(), bytes.len()));
    }
}

/// SQLite takes the first frame of its log that is not as it was written for the end, and says nothing.
#[test]
fn damage_of_the_journals_log_is_named() {
    let mut random = Rng::with_seed(number("OPCELL_SEED", 1));
    let start = UaTime::now().0 - 300 * 86_400 * SECOND;
    let dir = tempfile::tempdir().expect("a folder");
    run_and_kill(dir.path(), start, 0, &mut random);
    let log = |dir: &Path| files(dir).into_iter().find(|path| path.to_string_lossy().ends_with("journal.db-wal"));
    let whole = {
        let copied = tempfile::tempdir().expect("a folder");
        copy(dir.path(), copied.path());
        let store = Store::open(settings(copied.path())).expect("a store");
        held(&store, &ids(&store), start).counts
    };
    let bytes = std::fs::read(log(dir.path()).expect("a log after a kill")).expect("a log");
    let mut named = 0;
    for round in 0..number("OPCELL_KILLS", 8) * 4 {
        let rotten = tempfile::tempdir().expect("a folder");
        copy(dir.path(), rotten.path());
        let path = log(rotten.path()).expect("copied");
        let mut damaged = bytes.clone();
        let at = random.usize(0..bytes.len());
        match round % 4 {
            0 => damaged[at] ^= 1 << random.u8(0..8),
            1 => damaged.iter_mut().skip(at).take(64).for_each(|byte| *byte = random.u8(..)),
            2 => damaged.iter_mut().skip(at).take(512).for_each(|byte| *byte = 0),
            _ => damaged.truncate(at),
        }
        std::fs::write(&path, &damaged).expect("written");
        // Asked before a server opens it, and after. One that can't even be read says so as an error.
        let verify = |store: &Store| !store.verify().is_empty();
        let before = Store::open_to_read(rotten.path()).map(|store| verify(&store));
        let store = Store::open(settings(rotten.path())).expect("a store");
        let left = held(&store, &ids(&store), start).counts;
        let is_lost = left.iter().zip(&whole).any(|(left, whole)| left < whole);
        if is_lost {
            named += 1;
            assert!(before.unwrap_or(true), "round {round}, byte {at}: {left:?} of {whole:?}, and verify says whole");
            assert!(verify(&store), "round {round}, byte {at}: and whole after the start");
        }
        store.close();
    }
    assert!(named > 0, "no damage cost anything");
}
