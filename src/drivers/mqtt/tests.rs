//! Writes of a link, without a server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::driver::{Mqtt, options};
use super::listener::Listener;
use super::settings::MqttPoint;
use super::table::Table;
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
        stream.read(&mut bytes).expect("CONNECT");
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
        let mut listener = Listener::new(options(of(&plan)), Table::new(&[of(&plan)]));
        listener.connect().await.expect("let in");
        // More than sockets hold.
        let command = Value::text(&"x".repeat(32 << 20));
        let written = listener.write(0, &command, 0, &Feed::new(1)).await;
        assert_eq!(written, Err(LinkError::Timeout { waited_ms: 300, usable }), "the broker takes data: {takes_data}");
    }
}
