//! A cell over a broker.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{Moment, Sample, Value};
use opcua::StatusCode;
use testkit::broker::Broker;
use testkit::plant::Bench;

/// A cell file with this connection and these nodes.
pub(crate) fn write_cell(folder: &Path, port: u16, keys: &str, nodes: &str) -> std::path::PathBuf {
    let file = folder.join("cell.yaml");
    let connection = format!(
        "mq: {{ driver: mqtt, url: \"mqtt://127.0.0.1:{port}\", allow_write: true, reconnect_max: 200ms{keys} }}"
    );
    let text = format!("schema: 1\ncell: press\nconnections:\n  {connection}\ndefaults: {{ connection: mq }}\n{nodes}");
    std::fs::write(&file, text).expect("written");
    file
}

pub(crate) fn cell(folder: &Path, port: u16, keys: &str, nodes: &str) -> Bench {
    Bench::of_file(&write_cell(folder, port, keys, nodes))
}

/// Waits for a Good value.
pub(crate) async fn good(bench: &Bench, tag: u32, value: Value) {
    let what = format!("{value:?}");
    bench.until(tag, &what, |sample| sample.status == StatusCode::Good && sample.value == value).await;
}

pub(crate) async fn bad(bench: &Bench, tag: u32, status: StatusCode) -> String {
    bench.until_status(tag, status).await;
    bench.tags.reason(TagId(tag)).map(|why| why.to_string()).unwrap_or_default()
}

/// Waits until the link listens: a message that is retained has come, live or by the subscription.
pub(crate) async fn listening(broker: &Broker, bench: &Bench, tag: u32, topic: &str, message: &str) {
    broker.retain(topic, message);
    let value = Value::text(message);
    bench.until(tag, "there", |sample| sample.value == value).await;
}

/// Samples of one tag, counted.
pub(crate) struct Seen(Arc<Counter>);

struct Counter(AtomicUsize);

impl Watcher for Counter {
    fn offer(&self, _: u32, sample: &Sample, _: Moment) {
        if sample.status.is_good() {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Seen {
    pub(crate) fn of(bench: &Bench, tag: u32) -> Seen {
        let counter = Arc::new(Counter(AtomicUsize::new(0)));
        let watcher: Arc<dyn Watcher> = Arc::clone(&counter) as Arc<dyn Watcher>;
        bench.tags.watch(TagId(tag), Watch { watcher, key: 0, every: true });
        Seen(counter)
    }

    pub(crate) fn good(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }
}
