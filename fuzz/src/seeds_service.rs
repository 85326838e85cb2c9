//! Well-formed requests of every service that the server has, and some of those that it has not.

use opcell::testing::stack::codec::{NodeIdRef, QualifiedNameRef, Writer};
use opcell::testing::ua::connection::loopback::SUBSCRIPTION;
use opcell::value::{UaTime, Value};
use opcua::StatusCode;

const NAMES: [&str; 6] = ["Pump.Setpoint", "Pump.Number", "Pump.Name", "Pump.Curve", "Pump.State", "Pump.Fixed"];

pub(crate) fn tag(name: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, name)
}

pub(crate) fn one(type_id: u16, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    body(&mut w);
    let length = u16::try_from(w.mark()).expect("a seed is small");
    [&type_id.to_le_bytes()[..], &length.to_le_bytes(), &w.buf].concat()
}

fn read_value_id(w: &mut Writer, node: NodeIdRef<'_>, attribute: u32) {
    w.node_id(node);
    w.u32(attribute);
    w.string(None);
    w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
}

fn field(w: &mut Writer, name: &str) {
    w.node_id(NodeIdRef::numeric(0, 2041));
    w.count(1);
    w.qualified_name(QualifiedNameRef { namespace: 0, name: Some(name) });
    w.u32(13);
    w.string(None);
}

fn event_filter(w: &mut Writer) {
    w.extension_object(727, |w| {
        w.count(3);
        ["EventId", "Message", "Severity"].iter().for_each(|name| field(w, name));
        w.count(3);
        w.i32(10); // And
        w.count(2);
        (1..=2).for_each(|n| w.extension_object(594, |w| w.u32(n)));
        w.i32(14); // OfType
        w.count(1);
        w.extension_object(597, |w| {
            w.u8(17);
            w.node_id(NodeIdRef::numeric(0, 2132));
        });
        w.i32(2); // GreaterThan
        w.count(2);
        w.extension_object(603, |w| field(w, "Severity"));
        w.extension_object(597, |w| w.variant(&Value::UInt16(100)));
    });
}

fn data_filter(w: &mut Writer, deadband: u32) {
    w.extension_object(724, |w| {
        w.i32(1);
        w.u32(deadband);
        w.f64(1.0);
    });
}

fn create_items() -> Vec<u8> {
    one(751, |w| {
        w.u32(SUBSCRIPTION);
        w.i32(2);
        w.count(NAMES.len() + 3);
        for (name, n) in NAMES.iter().zip(0..) {
            read_value_id(w, tag(name), 13);
            w.i32(2);
            w.u32(n);
            w.f64(0.0);
            if n < 2 {
                data_filter(w, n + 1)
            } else {
                w.null_extension_object()
            }
            w.u32(10);
            w.bool(n % 2 == 0);
        }
        for (node, attribute) in [(2253, 12), (2258, 13), (2253, 4)] {
            read_value_id(w, NodeIdRef::numeric(0, node), attribute);
            w.i32(2);
            w.u32(99);
            w.f64(-1.0);
            if attribute == 12 {
                event_filter(w)
            } else {
                w.null_extension_object()
            }
            w.u32(5);
            w.bool(true);
        }
    })
}

fn write() -> Vec<u8> {
    let values = [Value::Double(1500.0), Value::Int32(7), Value::text("seven")];
    one(673, |w| {
        w.count(values.len());
        for (name, value) in NAMES.iter().zip(&values) {
            w.node_id(tag(name));
            w.u32(13);
            w.string(None);
            w.data_value(value, StatusCode::Good, Some(UaTime(1)), None);
        }
    })
}

fn read() -> Vec<u8> {
    one(631, |w| {
        w.f64(0.0);
        w.i32(2);
        w.count(NAMES.len() + 8);
        NAMES.iter().for_each(|name| read_value_id(w, tag(name), 13));
        for (node, attribute) in [(2256, 13), (2290, 13), (3707, 13), (2275, 13), (84, 3), (58, 8), (68, 14), (12, 23)]
        {
            read_value_id(w, NodeIdRef::numeric(0, node), attribute);
        }
    })
}

fn browse() -> Vec<u8> {
    one(527, |w| {
        w.node_id(NodeIdRef::NULL);
        w.i64(0);
        w.u32(0);
        w.u32(2);
        w.count(3);
        for node in [NodeIdRef::numeric(0, 85), tag("Pump"), NodeIdRef::numeric(0, 2253)] {
            w.node_id(node);
            w.i32(2);
            w.node_id(NodeIdRef::numeric(0, 31));
            w.bool(true);
            w.u32(0);
            w.u32(63);
        }
    })
}

fn translate() -> Vec<u8> {
    one(554, |w| {
        w.count(1);
        w.node_id(NodeIdRef::numeric(0, 85));
        w.count(2);
        for (namespace, name) in [(0, "Server"), (0, "ServerStatus")] {
            w.node_id(NodeIdRef::NULL);
            w.bool(false);
            w.bool(true);
            w.qualified_name(QualifiedNameRef { namespace, name: Some(name) });
        }
    })
}

/// Every method, then calls that are wrong in one way each.
fn call() -> Vec<u8> {
    let id = Value::UInt32(SUBSCRIPTION);
    let own = std::slice::from_ref(&id);
    let state = [Value::Int32(4), Value::DateTime(UaTime(0)), Value::UInt32(0), Value::Null, Value::Boolean(false)];
    let calls: [(u32, u32, &[Value]); 10] = [
        (2253, 11_492, own),
        (2253, 12_873, own),
        (2253, 12_886, &state),
        (2782, 3_875, own),
        (2782, 12_912, &[id.clone(), Value::UInt32(7)]),
        (2253, 11_489, own),
        (2253, 11_492, &[]),
        (2253, 11_492, &[Value::text("1")]),
        (85, 11_492, own),
        (2256, 2253, own),
    ];
    one(712, |w| {
        w.count(calls.len());
        for (object, method, arguments) in &calls {
            w.node_id(NodeIdRef::numeric(0, *object));
            w.node_id(NodeIdRef::numeric(0, *method));
            w.count(arguments.len());
            arguments.iter().for_each(|value| w.variant(value));
        }
    })
}

fn numbers(type_id: u16, numbers: &[u32]) -> Vec<u8> {
    one(type_id, |w| numbers.iter().for_each(|number| w.u32(*number)))
}

fn modify_items() -> Vec<u8> {
    one(763, |w| {
        w.u32(SUBSCRIPTION);
        w.i32(0);
        w.count(1);
        w.u32(1);
        w.u32(5);
        w.f64(250.0);
        data_filter(w, 1);
        w.u32(100);
        w.bool(false);
    })
}

fn subscription(type_id: u16, id: Option<u32>) -> Vec<u8> {
    one(type_id, |w| {
        id.into_iter().for_each(|id| w.u32(id));
        w.f64(100.0);
        w.u32(30);
        w.u32(10);
        w.u32(5);
        if id.is_none() {
            w.bool(true);
        }
        w.u8(3);
    })
}

fn with_flag(type_id: u16, flag: bool, id: u32) -> Vec<u8> {
    one(type_id, |w| {
        w.bool(flag);
        w.count(1);
        w.u32(id);
    })
}

/// Each alone, and all in one session in an order that makes sense.
pub fn service() -> Vec<Vec<u8>> {
    let publish = || numbers(826, &[1, SUBSCRIPTION, 1]);
    let all = vec![
        read(),
        write(),
        browse(),
        with_flag(533, false, 8),
        translate(),
        one(560, |w| {
            w.count(1);
            w.node_id(tag("Pump"));
        }),
        create_items(),
        numbers(775, &[SUBSCRIPTION, 1, 2, 2, 3, 0]),
        publish(),
        write(),
        numbers(769, &[SUBSCRIPTION, 1, 2, 1, 2]),
        modify_items(),
        publish(),
        call(),
        publish(),
        numbers(769, &[SUBSCRIPTION, 2, 2, 1, 2]),
        subscription(787, None),
        subscription(793, Some(SUBSCRIPTION)),
        with_flag(799, true, SUBSCRIPTION),
        publish(),
        numbers(832, &[SUBSCRIPTION, 1]),
        numbers(479, &[1]),
        numbers(841, &[1, SUBSCRIPTION, 0]),
        numbers(781, &[SUBSCRIPTION, 2, 1, 3]),
        publish(),
        numbers(847, &[1, SUBSCRIPTION]),
        one(428, |w| {
            w.text("opc.tcp://plant:4840");
            w.null_array();
            w.null_array();
        }),
        one(473, |w| w.bool(true)),
        numbers(712, &[1, 0]),
        numbers(488, &[0, 0]),
    ];
    let history = crate::seeds_history::history();
    let mut seeds = vec![all.concat(), history.concat()];
    seeds.extend(history);
    // The middle of a life, for inputs that are short.
    seeds.push([create_items(), publish(), write(), publish()].concat());
    seeds.extend(all);
    seeds
}
