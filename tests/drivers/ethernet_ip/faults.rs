//! Thousands of exchanges with faults: no value is wrong and Good, and no old one comes back.
//!
//! `OPCELL_EXCHANGES` says how many; without it a few thousand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{Moment, Sample, Value};
use testkit::logix::{Logix, mark};
use testkit::plant::Bench;
use testkit::plc::Faults;

/// Holds each Good value against the one that its tag has.
#[derive(Default)]
struct Judge {
    good: AtomicU64,
    wrong: parking_lot::Mutex<Vec<String>>,
    last_count: AtomicI32,
}

/// Tags: one counts, the others have marks.
const WIDE: u32 = 400;

impl Watcher for Judge {
    fn offer(&self, tag: u32, sample: &Sample, _: Moment) {
        if !sample.status.is_good() {
            return;
        }
        self.good.fetch_add(1, Ordering::Relaxed);
        let is_right = match (tag, &sample.value) {
            (0, Value::Int32(count)) => self.last_count.swap(*count, Ordering::Relaxed) < *count,
            (0, _) => false,
            (tag, value) => *value == Value::Int32(mark(tag)),
        };
        if !is_right {
            self.wrong.lock().push(format!("tag {tag}: {:?}", sample.value));
        }
    }
}

async fn no_value_is_wrong(largest: u16) {
    let wanted: u64 = std::env::var("OPCELL_EXCHANGES").ok().map_or(2_000, |text| text.parse().expect("a number"));
    let plc = Logix::new(WIDE);
    *plc.largest.lock().expect("lock") = largest;
    let timeout = Duration::from_millis(40);
    let listening = plc.listen(Faults::some(7, 60, timeout)).await;
    let nodes: String = (0..WIDE)
        .map(|tag| {
            let address = if tag == 0 { "Count".to_owned() } else { format!("T{tag}") };
            format!("  T{tag}: {{ type: Int32, source: {address} }}\n")
        })
        .collect();
    let bench = Bench::of_cell(&format!(
        "schema: 1
cell: press
connections:
  plc: {{ driver: ethernet-ip, host: 127.0.0.1, port: {}, timeout: 40ms, retries: 1, reconnect_max: 50ms }}
defaults: {{ connection: plc, poll: 10ms, stale_after: 200ms }}
nodes:
{nodes}",
        listening.port
    ));
    let judge: Arc<Judge> = Arc::default();
    for tag in 0..WIDE {
        let watcher: Arc<dyn Watcher> = judge.clone();
        bench.tags.watch(TagId(tag), Watch { watcher, key: tag, every: true });
    }
    let deadline = Duration::from_secs(30 + wanted / 20);
    let enough = async {
        while plc.requests.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(deadline, enough).await.expect("the exchanges go on");
    let wrong = std::mem::take(&mut *judge.wrong.lock());
    assert!(wrong.is_empty(), "wrong and Good: {wrong:?}");
    let good = judge.good.load(Ordering::Relaxed);
    assert!(good > wanted, "{good} Good samples in {wanted} exchanges");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_is_wrong_and_good() {
    no_value_is_wrong(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_a_connection_of_cip_is_wrong_and_good() {
    no_value_is_wrong(500).await;
}
