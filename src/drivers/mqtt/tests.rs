//! Writes and refusals of a link, without a server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::driver::Mqtt;
use super::listener::Listener;
use super::settings::MqttPoint;
use super::table::{Table, Unserved};
use crate::drivers::contract::LinkError;
use crate::drivers::driver::ConnectionOf;
use crate::drivers::feed::Feed;
use crate::drivers::plan::{ConnectionPlan, PointPlan, PointSettings, Settings};
use crate::drivers::push::Push;
use crate::model::ConnectionIx;
use crate::value::{BuiltIn, Value};

fn connection(port: u16, points: Vec<PointPlan>) -> ConnectionPlan {
    let keys = json!({ "url": format!("mqtt://127.0.0.1:{port}") });
    ConnectionPlan {
        ix: ConnectionIx(0),
        name: "mq".to_owned(),
        cell: "c".to_owned(),
        settings: Settings::of::<Mqtt>(serde_json::from_value(keys).expect("keys")),
        timeout: Duration::from_millis(300),
        retries: 0,
        reconnect_max: Duration::from_secs(1),
        enabled: true,
        is_scan: false,
        browses: Default::default(),
        points: Arc::new(points),
    }
}

fn of(plan: &ConnectionPlan) -> ConnectionOf<'_, Mqtt> {
    ConnectionOf { plan, settings: plan.settings.get::<Mqtt>().expect("of mqtt"), application: None }
}

/// A broker that lets a client in, and then takes its data or not, without an answer.
fn broker(takes_data: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut bytes = vec![0; 1 << 16];
        assert!(stream.read(&mut bytes).expect("CONNECT") > 0);
        stream.write_all(&[0x20, 2, 0, 0]).expect("CONNACK");
        while takes_data && stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
        // Until the test ends.
        std::thread::park();
    });
    port
}

#[tokio::test]
async fn a_write_that_has_not_left_at_its_deadline_never_leaves() {
    let keys = MqttPoint { publish: Some("set".to_owned()), ..MqttPoint::default() };
    let point =
        PointPlan { kind: BuiltIn::String, read: false, settings: PointSettings::of(keys), ..PointPlan::sample(0) };
    for (takes_data, usable) in [(true, true), (false, false)] {
        let plan = connection(broker(takes_data), vec![point.clone()]);
        let mut listener = Listener::new(of(&plan).settings.session().options(&plan), Table::new(&[of(&plan)]));
        listener.connect().await.expect("let in");
        // More than sockets hold.
        let command = Value::text(&"x".repeat(32 << 20));
        let written = listener.write(0, &command, 0, &Feed::new(1)).await;
        assert_eq!(written, Err(LinkError::Timeout { waited_ms: 300, usable }), "the broker takes data: {takes_data}");
    }
}

#[test]
fn points_of_refused_filters_are_found_by_their_topic() {
    let point = |tag: u32, address: &str| PointPlan {
        address: address.to_owned(),
        settings: PointSettings::of(MqttPoint::default()),
        write: false,
        ..PointPlan::sample(tag)
    };
    let plan = connection(1, vec![point(0, "a/b"), point(1, "a/c"), point(2, "a/b"), point(3, "a/+"), point(4, "x")]);
    let table = Table::new(&[of(&plan)]);
    for (refused, wanted) in [
        (vec!["a/b"], vec![0, 2]),
        (vec!["a/+"], vec![0, 1, 2, 3]),
        (vec!["a/b", "x"], vec![0, 2, 4]),
        (vec!["none"], vec![]),
    ] {
        let mut found: Vec<u32> = table.points_of(&refused).iter().map(|Unserved { point, .. }| *point).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{refused:?}");
    }
    // `a/+` is asked for, too, but a point is fed by its own filter.
    assert!(!table.is_served(0, |filter| filter == "a/b"));
    assert!(table.is_served(4, |filter| filter == "a/b"));
}

#[test]
fn thousands_of_refused_topics_are_no_work() {
    let point = |tag: u32| PointPlan {
        address: format!("line/topic/{tag}"),
        settings: PointSettings::of(MqttPoint::default()),
        write: false,
        ..PointPlan::sample(tag)
    };
    let plan = connection(1, (0..20_000).map(point).collect());
    let table = Table::new(&[of(&plan)]);
    let start = std::time::Instant::now();
    let filters: Vec<&str> = table.filters.keys().map(String::as_str).collect();
    let found: usize = filters.chunks(8).map(|refused| table.points_of(refused).len()).sum();
    assert_eq!(found, 20_000);
    // A scan of all groups for each filter takes half a minute.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
