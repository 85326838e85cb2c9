//! Thousands of exchanges with faults: no value is wrong and Good, and no old one comes back.
//!
//! `OPCELL_EXCHANGES` says how many; without it a few thousand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{Moment, Sample, Value};
use testkit::plant::Bench;
use testkit::plc::{Faults, Plc, marked};

/// Holds each Good value against the one that its address has.
#[derive(Default)]
struct Judge {
    good: AtomicU64,
    wrong: parking_lot::Mutex<Vec<String>>,
    last_count: AtomicU32,
}

/// Tags: one counts, the others have the marks of DB 1 and DB 10.
const WIDE: u32 = 60;

fn place(tag: u32) -> Option<(u16, u32)> {
    match tag {
        0 => None,
        tag if tag % 2 == 0 => Some((1, tag * 24)),
        tag => Some((10, tag * 100)),
    }
}

impl Watcher for Judge {
    fn offer(&self, tag: u32, sample: &Sample, _: Moment) {
        if !sample.status.is_good() {
            return;
        }
        self.good.fetch_add(1, Ordering::Relaxed);
        let is_right = match (place(tag), &sample.value) {
            (Some((db, at)), value) => *value == Value::UInt32(marked(db, at)),
            (None, Value::UInt32(count)) => self.last_count.swap(*count, Ordering::Relaxed) < *count,
            (None, _) => false,
        };
        if !is_right {
            self.wrong.lock().push(format!("tag {tag}: {:?}", sample.value));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_is_wrong_and_good() {
    let wanted: u64 = std::env::var("OPCELL_EXCHANGES").ok().map_or(3_000, |text| text.parse().expect("a number"));
    let plc = Plc::new();
    *plc.pdu.lock().expect("lock") = 240;
    let timeout = Duration::from_millis(40);
    let listening = plc.listen(Faults::some(7, 60, timeout)).await;
    let nodes: String = (0..WIDE)
        .map(|tag| {
            let (db, at) = place(tag).unwrap_or((9, 0));
            format!("  T{tag}: {{ type: UInt32, source: DB{db}.DBD{at} }}\n")
        })
        .collect();
    let bench = Bench::of_cell(&format!(
        "schema: 1
cell: press
connections:
  plc: {{ driver: s7, host: 127.0.0.1, port: {}, timeout: 40ms, retries: 1, reconnect_max: 50ms }}
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
    let deadline = Duration::from_secs(30 + wanted / 50);
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
