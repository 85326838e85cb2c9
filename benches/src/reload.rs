//! Reload of a large cell: how long it takes, what a client notices of it, and memory.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opcell::testing::control::{Request, Response, ask};
use testkit::request::text_id;
use testkit::ua::Session;

use crate::cell;
use crate::process::sibling;
use crate::rows::{Table, server};

const TAGS: usize = 100_000;
const RELOADS: usize = 10;
/// Between two reads of the client that waits for each answer.
const PAUSE: Duration = Duration::from_micros(200);

/// Time from a request to its answer, for all requests until `is_over`.
fn waits(session: &mut Session, is_over: &AtomicBool) -> Vec<Duration> {
    let id = text_id(&cell::tag(77));
    let mut all = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        session.read_value(id.clone());
        all.push(began.elapsed());
        std::thread::sleep(PAUSE);
    }
    all.sort_unstable();
    all
}

fn shown(waits: &[Duration]) -> String {
    let at = |part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
        let place = ((waits.len() - 1) as f64 * part) as usize;
        waits[place].as_secs_f64() * 1e3
    };
    format!("{:6.2} ms half, {:6.2} ms 99.9 %, {:6.2} ms longest of {}", at(0.5), at(0.999), at(1.0), waits.len())
}

/// One changed tag of 100,000, and all of them.
pub fn run(table: &mut Table) {
    let text = cell::memory(TAGS);
    let (dir, ours) = server(&text);
    let path = dir.path().join("cell.yaml");
    let checked = || {
        let began = Instant::now();
        let done = Command::new(sibling("opcell")).args(["check", "cell.yaml"]).current_dir(dir.path()).output();
        assert!(done.expect("it runs").status.success());
        began.elapsed()
    };
    let check = (0..3).map(|_| checked()).min().expect("three");
    table.line("opcell check, 100,000 tags", &format!("{:9.0} ms", check.as_secs_f64() * 1e3));
    let reload = |text: &str| {
        std::fs::write(&path, text).expect("written");
        let began = Instant::now();
        let asked = ask(&dir.path().join("state"), &Request::Reload { dry_run: false }).expect("an answer");
        let Response::Reloaded { report, .. } = asked else { panic!("{asked:?}") };
        (report, began.elapsed())
    };
    let one = |round: usize| text.replacen("value: 1.0", &format!("value: {}.5", round + 2), 1);
    let (before, _) = ours.memory();
    let mut session = Session::open(ours.address);
    let is_over = AtomicBool::new(false);
    let quiet = std::thread::scope(|scope| {
        let probe = scope.spawn(|| waits(&mut session, &is_over));
        std::thread::sleep(Duration::from_secs(10));
        is_over.store(true, Ordering::Relaxed);
        probe.join().expect("it ends")
    });
    is_over.store(false, Ordering::Relaxed);
    let (mut apply, mut whole) = (0, Vec::new());
    let busy = std::thread::scope(|scope| {
        let probe = scope.spawn(|| waits(&mut session, &is_over));
        for round in 0..RELOADS {
            let (report, took) = reload(&one(round));
            assert_eq!(report.nodes.changed, 1, "{report:?}");
            apply = apply.max(report.apply_ms);
            whole.push(took);
        }
        is_over.store(true, Ordering::Relaxed);
        probe.join().expect("it ends")
    });
    whole.sort_unstable();
    let (half, longest) = (whole[RELOADS / 2].as_secs_f64() * 1e3, whole[RELOADS - 1].as_secs_f64() * 1e3);
    table
        .line("reload, 1 tag of 100,000 changed", &format!("{half:9.0} ms half, {longest:.0} ms longest of {RELOADS}"));
    table.line("  its swap (apply_ms)", &format!("{apply:9} ms longest"));
    table.line("  a Read meanwhile", &shown(&busy));
    table.line("  a Read without a reload", &shown(&quiet));
    let (after, peak) = ours.memory();
    table.line("  memory before, at the peak, after", &format!("{before} {peak} {after} KiB"));
    let (report, took) = reload(&text.replace("value: 1.0", "value: 9.0"));
    assert_eq!(report.nodes.changed, TAGS);
    let figure = format!("{:9.0} ms, its swap {} ms", took.as_secs_f64() * 1e3, report.apply_ms);
    table.line("reload, all of 100,000 tags changed", &figure);
    table.line("start", &format!("{:9.0} ms", ours.start.as_secs_f64() * 1e3));
}
