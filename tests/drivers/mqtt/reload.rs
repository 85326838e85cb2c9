//! Reloads of a cell while the link is open.

use std::sync::atomic::Ordering;

use opcell::value::Value;
use opcua::StatusCode;
use testkit::broker::Broker;

use super::bench::{Seen, cell, good, listening, write_cell};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tag_is_subscribed_and_the_connection_stays() {
    for filter in ["", ", subscribe: [\"#\"]"] {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(broker) = Broker::open(folder.path()) else { return };
        let ready = "  Ready: { type: String, source: ready }\n";
        let a = "  A: { type: Double, source: { address: a, json: /v } }\n";
        let elsewhere = "  B: { type: Double, source: none/b }\n  C: { type: Double, source: none/c }\n";
        let mut bench = cell(folder.path(), broker.port, filter, &format!("nodes:\n{ready}{a}{elsewhere}"));
        listening(&broker, &bench, 0, "ready", "yes").await;
        broker.retain("a", r#"{"v": 1, "w": 2}"#);
        good(&bench, 1, Value::Double(1.0)).await;
        broker.retain("b", "5");
        // One on the topic of another tag, and one on a topic of its own.
        let more = "  B: { type: Double, source: { address: a, json: /w } }\n  C: { type: Double, source: b }\n";
        let file = write_cell(folder.path(), broker.port, filter, &format!("nodes:\n{ready}{a}{more}"));
        bench.change_file(&file, 1);
        for (tag, value) in [(2, 2.0), (3, 5.0)] {
            let sample = bench.until_status(tag, StatusCode::UncertainLastUsableValue).await;
            assert_eq!(sample.value, Value::Double(value));
        }
        assert_eq!(bench.sample(1).status, StatusCode::Good, "its value came live, and is no older now");
        for n in 0..20 {
            broker.publish("a", &format!("{{\"v\": {n}, \"w\": {}}}", n * 2), &[]);
            good(&bench, 1, Value::Double(n.into())).await;
            good(&bench, 2, Value::Double((n * 2).into())).await;
        }
        assert_eq!(bench.links[0].reconnects.load(Ordering::Relaxed), 0);
        // A topic that is left is no longer subscribed to; the others are.
        let file = write_cell(folder.path(), broker.port, filter, &format!("nodes:\n{ready}{a}{elsewhere}"));
        bench.change_file(&file, 2);
        broker.publish("a", r#"{"v": 77}"#, &[]);
        good(&bench, 1, Value::Double(77.0)).await;
        assert_eq!(bench.links[0].reconnects.load(Ordering::Relaxed), 0);
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_by_a_reload() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let ready = "  Ready: { type: String, source: ready }\n  Count: { type: Int32, source: count }\n";
    let first = "  X: { type: Double, source: x }\n";
    let mut bench = cell(folder.path(), broker.port, "", &format!("nodes:\n{ready}{first}"));
    listening(&broker, &bench, 0, "ready", "yes").await;
    let seen = Seen::of(&bench, 1);
    let mut lines = String::new();
    (1..=2_000).for_each(|n| lines.push_str(&format!("{n}\n")));
    let sending = broker.publish_lines("count", &lines);
    for revision in 1..=10 {
        let more = format!("  X: {{ type: Double, source: x{revision} }}\n");
        let file = write_cell(folder.path(), broker.port, "", &format!("nodes:\n{ready}{more}"));
        bench.change_file(&file, revision);
        tokio::task::yield_now().await;
    }
    sending.join().expect("all was sent");
    good(&bench, 1, Value::Int32(2_000)).await;
    assert_eq!(seen.good(), 2_000, "each message became a sample");
    assert_eq!(bench.links[0].reconnects.load(Ordering::Relaxed), 0);
    bench.stop().await;
}
