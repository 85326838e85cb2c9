//! Messages of the edge node as other people's Protocol Buffers read them, over mosquitto.

use opcell::value::Value;
use serde_json::{Value as Json, json};
use testkit::broker::Broker;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{sample, write};
use super::host::{Host, metric, metrics};

const NODES: &str = "  Own: { type: Double, value: 1, write: true }
  Tank:
    children:
      Level: { type: Double, unit: bar, range: [0, 10], description: Filling, value: 2, write: true }
      Deep: { children: { Count: { type: Int32, value: 3, write: true } } }
  Line: { children: { Speed: { type: Double, connection: plc, source: holding/1 }, Fixed: { type: Double, value: 1 } } }
";

#[test]
fn births_data_and_deaths_are_as_the_specification_has_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let Some(mut host) = Host::start(broker.port) else { return };
    let cell = format!(
        "schema: 1\ncell: cell3\nconnections:\n  mq: {{ driver: mqtt, url: \"mqtt://127.0.0.1:{}\" }}\n  \
         plc: {{ driver: modbus-tcp, host: 127.0.0.1, port: 1 }}\n\
         publish:\n  up: {{ connection: mq, format: sparkplug, group: Plant, allow_write: true, min_interval: 0ms }}\nnodes:\n{NODES}",
        broker.port
    );
    let server = TestServer::start(&cell);
    let birth = host.next();
    assert_eq!((&birth["kind"], &birth["seq"], &birth["retained"]), (&json!("NBIRTH"), &json!(0), &json!(0)));
    let bd_seq = metric(&birth, "bdSeq").clone();
    assert_eq!((&bd_seq["type"], &bd_seq["alias"]), (&json!(4), &Json::Null));
    let rebirth = metric(&birth, "Node Control/Rebirth");
    assert_eq!((&rebirth["type"], &rebirth["value"], &rebirth["alias"]), (&json!(11), &json!(false), &Json::Null));
    let own = metric(&birth, "Own");
    assert_eq!((&own["value"], &own["quality"], &own["null"]), (&json!(1.0), &json!(192), &json!(false)));
    // Line is dead: its only tag with a source is Bad.
    let tank = host.next();
    assert_eq!((&tank["kind"], &tank["device"], &tank["seq"]), (&json!("DBIRTH"), &json!("Tank"), &json!(1)));
    let level = metric(&tank, "Level");
    assert_eq!((&level["unit"], &level["high"], &level["about"]), (&json!("bar"), &json!(10.0), &json!("Filling")));
    assert_eq!((&level["type"], &level["value"]), (&json!(10), &json!(2.0)));
    let count = metric(&tank, "Deep/Count");
    assert_eq!((&count["type"], &count["value"]), (&json!(3), &json!(3)));
    let (level, count) = (level["alias"].clone(), count["alias"].clone());
    // Data has aliases alone, and numbers that count over all messages, up to 255 and on from 0.
    let mut seq = 1;
    for n in 0..300 {
        write(&server, "Tank.Deep.Count", Value::Int32(-n - 1));
        let data = host.next();
        seq = (seq + 1) % 256;
        assert_eq!((&data["kind"], &data["seq"]), (&json!("DDATA"), &json!(seq)), "{data}");
        let [one] = &metrics(&data)[..] else { panic!("one metric: {data}") };
        let number = i64::from(-n - 1) & 0xffff_ffff;
        assert_eq!((&one["name"], &one["alias"], &one["value"]), (&Json::Null, &count, &json!(number)));
    }
    // A command, by its alias.
    host.order(format_args!("set cell3 Tank {level} 7.5"));
    let data = host.next();
    assert_eq!((&data["kind"], &metrics(&data)[0]["value"]), (&json!("DDATA"), &json!(7.5)));
    until("written", || sample(&server, "Tank.Level").value == Value::Double(7.5));
    // Births on request: the same session, from number 0; not more than one in 2 s.
    (0..3).for_each(|_| host.order(format_args!("rebirth cell3")));
    let again = host.next();
    assert_eq!((&again["kind"], &again["seq"]), (&json!("NBIRTH"), &json!(0)));
    assert_eq!(metric(&again, "bdSeq")["value"], bd_seq["value"]);
    assert_eq!(host.next()["kind"], "DBIRTH");
    write(&server, "Own", Value::Double(2.0));
    let data = host.next();
    assert_eq!((&data["kind"], &data["seq"]), (&json!("NDATA"), &json!(2)));
    // The end is the death of this session.
    drop(server);
    let mut death = host.next();
    while death["kind"] != "NDEATH" {
        death = host.next();
    }
    assert_eq!(metric(&death, "bdSeq")["value"], bd_seq["value"]);
    assert_eq!((&death["seq"], &death["qos"]), (&Json::Null, &json!(1)));
}
