//! Rates, CPU time and memory of the driver alone; run by hand, in a release build (docs/measuring.md).

#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::time::{Duration, Instant};

use opcell::value::Value;
use testkit::until::until_async;

use super::bench::cell;
use super::fake::{Fake, message, right};

const TAGS: usize = 10_000;
const MESSAGES: usize = 500_000;

/// CPU time of the threads of the runtime; the broker's thread is another.
fn worker_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    let ticks = |stat: String| {
        let after = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let fields: Vec<u64> =
            after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        fields.iter().sum::<u64>()
    };
    let of_worker = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        stat.contains("(tokio-rt-worker)").then(|| ticks(stat))
    });
    Duration::from_millis(of_worker.sum::<u64>() * 10)
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tags_on_one_filter() {
    for (form, keys) in [("text", ""), ("JSON", ", json: /v, time: /t")] {
        let fake = Fake::start(right);
        let folder = tempfile::tempdir().expect("a folder");
        let source = format!("{{ address: \"line/{{i}}/v\"{keys} }}");
        let nodes = format!("nodes:\n  \"T{{i}}\": {{ repeat: {{ i: 1..{TAGS} }}, type: Double, source: {source} }}\n");
        let before = memory_kib();
        let bench = cell(folder.path(), fake.port, ", subscribe: [\"line/#\"]", &nodes);
        until_async("a subscription", || (fake.subscriptions() > 0).then_some(())).await;
        let payload = |n: usize| match form {
            "text" => format!("{n}"),
            _ => format!("{{\"n\": \"a\", \"v\": {n}.5, \"t\": {}, \"x\": [1, 2, 3]}}", 1_767_323_045_000 + n),
        };
        let stream: Vec<u8> =
            (0..MESSAGES).flat_map(|n| message(&format!("line/{}/v", n % TAGS + 1), payload(n).as_bytes())).collect();
        let (began, used) = (Instant::now(), worker_time());
        let last = MESSAGES - 1;
        let sending = std::thread::scope(|scope| scope.spawn(|| fake.send(&stream)).join());
        sending.expect("sent");
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let wanted = if form == "text" { last as f64 } else { last as f64 + 0.5 };
        let tag = u32::try_from(last % TAGS).expect("small");
        bench.until(tag, "the last", |sample| sample.value == Value::Double(wanted)).await;
        let (wall, cpu) = (began.elapsed(), worker_time() - used);
        let count = u32::try_from(MESSAGES).expect("small");
        println!(
            "{form}: {:.0} messages/s, {:?} CPU a message, {} MiB more memory, {} dropped",
            f64::from(count) / wall.as_secs_f64(),
            cpu / count,
            (memory_kib() - before) / 1024,
            bench.links[0].snapshot().dropped
        );
        let used = worker_time();
        tokio::time::sleep(Duration::from_secs(5)).await;
        println!("{form}: idle {:?} CPU in 5 s", worker_time() - used);
        bench.stop().await;
    }
}
