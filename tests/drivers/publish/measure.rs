//! CPU time of a published update, and the cost of a commit; run by hand, in a release build (docs/measuring.md).

#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::time::{Duration, Instant};

use opcell::testing::model::TagId;
use opcell::value::{UaTime, Value};
use testkit::server::TestServer;
use testkit::until;

use super::bench::{cell, count, tag};
use crate::mqtt::fake::{Fake, right};

const WRITES: u32 = 1_000_000;
const TAGS: u32 = 1_000;

/// CPU time of the threads of the runtime.
fn worker_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    let ticks = |stat: String| {
        let after = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let fields = after.split_whitespace().skip(11).take(2);
        fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
    };
    let of_worker = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        stat.contains("(tokio-rt-worker)").then(|| ticks(stat))
    });
    Duration::from_millis(of_worker.sum::<u64>() * 10)
}

fn write_all(server: &TestServer, first: TagId, count: u32) -> Duration {
    let world = server.server.world();
    let began = Instant::now();
    for n in 0..count {
        let id = TagId(first.0 + n % TAGS);
        drop(server.server.tags.write_now(&world.plant, id, &Value::Double(n.into()), None, UaTime::now()));
    }
    began.elapsed()
}

#[ignore = "a measurement"]
#[test]
fn updates_and_commits() {
    let nodes = format!(
        "nodes:\n  \"A{{i}}\": {{ repeat: {{ i: 1..{TAGS} }}, type: Double, value: 0, write: true }}\n  \
         Out: {{ children: {{ \"B{{i}}\": {{ repeat: {{ i: 1..{TAGS} }}, type: Double, value: 0, write: true }} }} }}\n"
    );
    let fake = Fake::start(right);
    for (what, interval) in [("every 100 ms", "100ms"), ("at once", "0ms")] {
        let text = cell(fake.port, "", ", nodes: [Out]", &nodes)
            .replace("min_interval: 0ms", &format!("min_interval: {interval}"));
        let server = TestServer::start(&text);
        until("all were sent", || count(&server, "acknowledged") >= u64::from(TAGS));
        let (plain, published) = (tag(&server, "A1"), tag(&server, "Out.B1"));
        let (mut without, mut with) = (Duration::MAX, Duration::MAX);
        for _ in 0..5 {
            without = without.min(write_all(&server, plain, WRITES));
            with = with.min(write_all(&server, published, WRITES));
        }
        println!("{what}: a commit {:?} without, {:?} with a publisher", without / WRITES, with / WRITES);
        let (sent, used, began) = (count(&server, "sent"), worker_time(), Instant::now());
        while began.elapsed() < Duration::from_secs(5) {
            write_all(&server, published, TAGS);
            std::thread::sleep(Duration::from_millis(10));
        }
        let (sent, used) = (count(&server, "sent") - sent, worker_time() - used);
        let each = used / u32::try_from(sent).expect("few");
        println!("{what}: {} messages/s, {each:?} CPU a message", sent / 5);
    }
}
