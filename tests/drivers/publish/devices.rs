//! Devices of an edge node that die and return, old values and commands, as an independent host sees them.

use std::time::{Duration, Instant};

use opcell::value::Value;
use serde_json::{Value as Json, json};
use testkit::broker::Broker;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{count, sample, until_state, write};
use super::host::{Host, metric, metrics};

/// An edge node whose device `Line` has two tags that messages of the broker give.
fn cell(port: u16, keys: &str) -> String {
    format!(
        "schema: 1\ncell: cell3\nconnections:\n  mq: {{ driver: mqtt, url: \"mqtt://127.0.0.1:{port}\", reconnect_max: 200ms }}\n\
         publish:\n  up: {{ connection: mq, format: sparkplug, group: Plant, min_interval: 0ms{keys} }}\nnodes:\n  \
         Own: {{ type: Double, value: 1, write: true }}\n  \
         Tank: {{ children: {{ Level: {{ type: Double, range: [0, 10], value: 2, write: true }}, Count: {{ type: Int32, value: 0, write: true, history: fast }}, \
         Fixed: {{ type: Double, value: 3 }}, On: {{ type: Boolean, value: false, write: true }}, Name: {{ type: String, value: a, write: true }} }} }}\n  \
         Line: {{ children: {{ Speed: {{ type: Double, connection: mq, source: {{ address: in/speed, json: /v }} }}, \
         Torque: {{ type: Double, connection: mq, source: {{ address: in/torque, json: /v }} }}, Set: {{ type: Double, value: 0, write: true }} }} }}\n"
    )
}

/// The values of a message: the name of each metric, or that which its alias has in the births, with its value.
fn values(message: &Json, births: &Json) -> Json {
    let name = |metric: &Json| match metric["name"].as_str() {
        Some(name) => name.to_owned(),
        None => {
            metrics(births).iter().find(|of| of["alias"] == metric["alias"]).expect("an alias of the birth")["name"]
                .as_str()
                .expect("its name")
                .to_owned()
        }
    };
    let value = |metric: &Json| if metric["null"] == true { Json::Null } else { metric["value"].clone() };
    Json::Object(metrics(message).iter().map(|metric| (name(metric), value(metric))).collect())
}

#[test]
fn a_device_dies_with_its_last_source_and_is_born_with_the_first_that_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut host) = Host::start(broker.port) else { return };
    let server = TestServer::start(&cell(broker.port, ", nodes: [Own, Line]"));
    // Without a value it is not born at all.
    let birth = host.expect("NBIRTH", "");
    let mut seq = birth["seq"].as_u64().expect("a number");
    let mut births = Json::Null;
    let full = |speed: Json, torque: Json, set: f64| json!({ "Speed": speed, "Torque": torque, "Set": set });
    let (none, number) = (Json::Null, |number: f64| json!(number));
    for (topic, payload, kind, wanted) in [
        ("in/speed", "{\"v\":1.5}", "DBIRTH", full(number(1.5), none.clone(), 0.0)),
        ("in/torque", "{\"v\":7}", "DDATA", json!({ "Torque": 7.0 })),
        // One that is lost is no death of the device.
        ("in/speed", "{\"v\":null}", "DDATA", json!({ "Speed": null })),
        ("in/torque", "{\"v\":null}", "DDEATH", json!({})),
        // A dead device has no data.
        ("set", "5", "", json!({})),
        ("in/torque", "{\"v\":8}", "DBIRTH", full(none.clone(), number(8.0), 5.0)),
        ("set", "6", "DDATA", json!({ "Set": 6.0 })),
        ("in/torque", "{\"v\":null}", "DDEATH", json!({})),
        ("in/speed", "{\"v\":9}", "DBIRTH", full(number(9.0), none, 6.0)),
    ] {
        match topic {
            "set" => write(&server, "Line.Set", Value::Double(payload.parse().expect("a number"))),
            topic => broker.publish(topic, payload, &[]),
        }
        if kind.is_empty() {
            continue;
        }
        let message = host.expect(kind, "Line");
        if kind == "DBIRTH" {
            births = message.clone();
        }
        assert_eq!(values(&message, &births), wanted, "{topic} {payload}");
        seq = (seq + 1) % 256;
        assert_eq!(message["seq"], seq, "{message}");
        let is_right = |metric: &Json| {
            metric["quality"] == if metric["null"] == true { json!(0) } else { metric["quality"].clone() }
        };
        assert!(metrics(&message).iter().all(is_right), "a value that is none is Bad: {message}");
    }
}

#[test]
fn values_of_the_buffer_are_historical_and_come_after_the_births_the_oldest_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut host) = Host::start(broker.port) else { return };
    let state = |online: bool, time: u64| {
        broker.retain("spBv1.0/STATE/scada", &format!("{{\"online\":{online},\"timestamp\":{time}}}"));
    };
    for (round, aliases) in [(1, true), (2, false)] {
        state(false, round * 10);
        let server = TestServer::start(&cell(broker.port, &format!(", primary_host: scada, aliases: {aliases}")));
        until_state(&server, "Silent");
        for n in 1..=30 {
            write(&server, "Tank.Count", Value::Int32(n));
        }
        // A device that was there for a moment.
        broker.publish("in/speed", "{\"v\":1.5}", &[]);
        until("it is read", || sample(&server, "Line.Speed").status.is_good());
        until("it is kept", || count(&server, "buffered") > 31);
        broker.publish("in/speed", "{\"v\":null}", &[]);
        until("it is lost", || sample(&server, "Line.Speed").status.is_bad());
        let before = count(&server, "buffered");
        until("that is kept", || count(&server, "buffered") >= before);
        state(true, round * 10 + 1);
        host.expect("NBIRTH", "");
        let tank = host.expect("DBIRTH", "Tank");
        assert_eq!(
            (&metric(&tank, "Count")["value"], &metric(&tank, "Count")["historical"]),
            (&json!(30), &json!(false))
        );
        let (mut counts, mut times, mut speeds, mut line) = (Vec::new(), Vec::new(), Vec::new(), Json::Null);
        let mut kinds = Vec::new();
        while kinds.last() != Some(&"DDEATH".to_owned()) {
            let message = host.next();
            let kind = message["kind"].as_str().expect("a kind").to_owned();
            if kind == "DBIRTH" {
                assert_eq!(message["device"], "Line", "born for its old values alone");
                line = message.clone();
            }
            if kind.ends_with("DATA") {
                let all = metrics(&message);
                assert!(
                    all.iter().all(|metric| metric["historical"] == true && (metric["name"] == Json::Null) == aliases),
                    "{message}"
                );
                let births =
                    [("Tank", &tank), ("Line", &line)].into_iter().find(|(name, _)| message["device"] == *name);
                for one in all.iter().filter(|_| births.is_some()) {
                    let found = values(&json!({ "metrics": [one] }), births.expect("it is one").1);
                    if let Some(number) = found.get("Count") {
                        counts.push(number.as_i64().expect("a number"));
                        times.push(one["time"].as_u64().expect("a time"));
                    }
                    speeds.extend(found.get("Speed").cloned());
                }
            }
            kinds.push(kind);
        }
        assert_eq!(counts, (0..=30).collect::<Vec<_>>(), "the value of the start, and all since then");
        assert!(times.is_sorted(), "{times:?}");
        assert!(speeds.contains(&json!(1.5)), "{speeds:?}");
        until("the buffer is empty", || count(&server, "buffered") == 0);
        write(&server, "Tank.Count", Value::Int32(31));
        let live = host.expect("DDATA", "Tank");
        assert_eq!((values(&live, &tank), &metrics(&live)[0]["historical"]), (json!({ "Count": 31 }), &json!(false)));
        assert_eq!(
            (count(&server, "dropped"), count(&server, "acknowledged")),
            (0, 0),
            "nothing is acknowledged at QoS 0"
        );
        let with_values = kinds.iter().filter(|kind| kind.ends_with("DATA")).count() as u64 + 1;
        assert_eq!(count(&server, "sent"), with_values, "messages with values, and no births");
        drop(server);
        while host.next()["kind"] != "NDEATH" {}
    }
}

#[test]
fn commands_write_what_a_client_could_write_and_all_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut host) = Host::start(broker.port) else { return };
    let server = TestServer::start(&cell(broker.port, ", nodes: [Own, Tank], allow_write: true"));
    let node = host.expect("NBIRTH", "");
    let tank = host.expect("DBIRTH", "Tank");
    let [level, count_of] = ["Level", "Count"].map(|name| metric(&tank, name)["alias"].clone());
    let own = metric(&node, "Own")["alias"].clone();
    let (of_node, of_tank) = (json!(["cell3"]), json!(["cell3", "Tank"]));
    let level_is = |number: f64| ("Tank.Level", Value::Double(number));
    for (to, metrics, counts, (path, wanted)) in [
        (&of_tank, json!([{ "alias": level, "datatype": 10, "double_value": 7.5 }]), (1, 0), level_is(7.5)),
        (&of_tank, json!([{ "name": "Level", "datatype": 10, "double_value": 6.5 }]), (1, 0), level_is(6.5)),
        // Its type is known by the birth.
        (&of_tank, json!([{ "alias": level, "double_value": 6.0 }]), (1, 0), level_is(6.0)),
        (&of_tank, json!([{ "alias": level, "datatype": 3, "int_value": 4 }]), (1, 0), level_is(4.0)),
        (
            &of_node,
            json!([{ "name": "Own", "datatype": 10, "double_value": -1.0 }]),
            (1, 0),
            ("Own", Value::Double(-1.0)),
        ),
        (
            &of_tank,
            json!([{ "name": "On", "datatype": 11, "boolean_value": true }]),
            (1, 0),
            ("Tank.On", Value::Boolean(true)),
        ),
        (
            &of_tank,
            json!([{ "name": "Name", "datatype": 12, "string_value": "ä" }]),
            (1, 0),
            ("Tank.Name", Value::text("ä")),
        ),
        (
            &of_tank,
            json!([{ "alias": count_of, "datatype": 3, "int_value": 4_294_967_295u32 }]),
            (1, 0),
            ("Tank.Count", Value::Int32(-1)),
        ),
        (
            &of_tank,
            json!([{ "name": "Level", "datatype": 10, "double_value": 3.0 }, { "name": "Nothing", "datatype": 10, "double_value": 3.0 }]),
            (1, 1),
            level_is(3.0),
        ),
        // Beyond its range, no value, of another type, of another device, not writable, not there.
        (&of_tank, json!([{ "alias": level, "datatype": 10, "double_value": 11.0 }]), (0, 1), level_is(3.0)),
        (&of_tank, json!([{ "alias": level, "datatype": 10, "is_null": true }]), (0, 1), level_is(3.0)),
        (&of_tank, json!([{ "alias": level, "datatype": 10 }]), (0, 1), level_is(3.0)),
        (&of_tank, json!([{ "alias": level, "datatype": 12, "string_value": "5" }]), (0, 1), level_is(3.0)),
        (&of_tank, json!([{ "name": "On", "datatype": 3, "int_value": 0 }]), (0, 1), ("Tank.On", Value::Boolean(true))),
        (
            &of_tank,
            json!([{ "name": "Count", "datatype": 10, "double_value": 1.5 }]),
            (0, 1),
            ("Tank.Count", Value::Int32(-1)),
        ),
        (
            &of_tank,
            json!([{ "alias": own, "datatype": 10, "double_value": 5.0 }]),
            (0, 1),
            ("Own", Value::Double(-1.0)),
        ),
        (&of_node, json!([{ "alias": level, "datatype": 10, "double_value": 5.0 }]), (0, 1), level_is(3.0)),
        (&of_node, json!([{ "name": "Level", "datatype": 10, "double_value": 5.0 }]), (0, 1), level_is(3.0)),
        (
            &of_tank,
            json!([{ "name": "Fixed", "datatype": 10, "double_value": 5.0 }]),
            (0, 1),
            ("Tank.Fixed", Value::Double(3.0)),
        ),
        (
            &json!(["cell3", "Line"]),
            json!([{ "name": "Set", "datatype": 10, "double_value": 5.0 }]),
            (0, 1),
            ("Line.Set", Value::Double(0.0)),
        ),
        (
            &json!(["cell3", "Nowhere"]),
            json!([{ "alias": level, "datatype": 10, "double_value": 5.0 }]),
            (0, 1),
            level_is(3.0),
        ),
    ] {
        let before = (count(&server, "written"), count(&server, "not_written"));
        host.order(format_args!("{}", json!({ "to": to, "metrics": metrics })));
        let after = (before.0 + counts.0, before.1 + counts.1);
        until(&metrics.to_string(), || {
            let now = (count(&server, "written"), count(&server, "not_written"));
            if now == after { Ok(()) } else { Err(format!("{now:?}, not {after:?}")) }
        });
        assert_eq!(sample(&server, path).value, wanted, "{metrics}");
    }
}

#[test]
fn a_command_that_is_no_payload_or_is_retained_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut host) = Host::start(broker.port) else { return };
    let of_tank = json!(["cell3", "Tank"]);
    let server = TestServer::start(&cell(broker.port, ", nodes: [Own, Tank], allow_write: true"));
    host.expect("NBIRTH", "");
    host.expect("DBIRTH", "Tank");
    host.order(format_args!("{}", json!({ "to": of_tank, "raw": "ffff" })));
    until("garbage is refused", || count(&server, "not_written") == 1);
    let old = json!({ "to": of_tank, "metrics": [{ "name": "Level", "datatype": 3, "int_value": 1 }], "retain": true });
    drop(server);
    let mut listening = broker.listen(&["spBv1.0/Plant/DCMD/#"]);
    host.order(format_args!("{old}"));
    assert!(listening.message().starts_with("spBv1.0/Plant/DCMD/cell3/Tank"), "the broker has it");
    let server = TestServer::start(&cell(broker.port, ", allow_write: true"));
    until("an old command is refused", || count(&server, "not_written") == 1);
    assert_eq!((count(&server, "written"), sample(&server, "Tank.Level").value), (0, Value::Double(2.0)));
}

#[test]
fn a_command_without_permission_or_before_a_birth_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut host) = Host::start(broker.port) else { return };
    for (keys, state) in [("", "Connected"), (", allow_write: true, primary_host: away", "Silent")] {
        let server = TestServer::start(&cell(broker.port, keys));
        until_state(&server, state);
        let order = json!({ "to": ["cell3"], "metrics": [{ "name": "Own", "datatype": 10, "double_value": 5.0 }] });
        // The subscription has no other sign: it is sent until it is heard.
        until("refused", || {
            host.order(format_args!("{order}"));
            count(&server, "not_written") >= 1
        });
        assert_eq!((count(&server, "written"), sample(&server, "Own").value), (0, Value::Double(1.0)), "{keys}");
    }
}

#[test]
fn a_live_value_after_a_birth_is_not_older_than_the_birth() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut host) = Host::start(broker.port) else { return };
    // Of the second one every sample goes out.
    for (tag, datatype, is_every) in [("Own", 10, false), ("Tank.Count", 3, true)] {
        let server = TestServer::start(&cell(broker.port, &format!(", nodes: [{tag}]")));
        host.expect("NBIRTH", "");
        let began = Instant::now();
        // It is born again 2 s after the first birth, among changes that wait to be sent.
        host.order(format_args!("rebirth cell3"));
        std::thread::sleep(Duration::from_millis(1_900));
        let mut n = 1;
        while began.elapsed() < Duration::from_millis(2_100) {
            n += 1;
            write(&server, tag, if is_every { Value::Int32(n) } else { Value::Double(f64::from(n)) });
        }
        let (mut newest, mut births, mut seen) = (0.0, 0, std::collections::BTreeSet::new());
        while newest < f64::from(n) || (is_every && seen.len() < (n - 1) as usize) {
            let message = host.next();
            births += u64::from(message["kind"] == "NBIRTH");
            for metric in metrics(&message).iter().filter(|metric| metric["type"] == datatype) {
                let Some(value) = metric["value"].as_f64() else { continue };
                if metric["historical"] == false {
                    assert!(value >= newest, "{value} after {newest}, {births} births");
                    newest = value;
                }
                if message["kind"] == "DDATA" {
                    assert!(seen.insert(value as i32), "{value} came twice");
                }
            }
        }
        assert_eq!(births, 1);
        drop(server);
        while host.next()["kind"] != "NDEATH" {}
    }
}
