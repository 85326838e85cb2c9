//! Well-formed requests for history: each kind of details, and one of each edit.

use opcell::testing::stack::codec::{NodeIdRef, QualifiedNameRef, Writer};
use opcell::value::{UaTime, Value};
use opcua::StatusCode;

use crate::seeds_service::{one, tag};

const HOUR: i64 = 36_000_000_000;
const NODES: [&str; 4] = ["Pump.Setpoint", "Pump.Curve", "Pump.Name", "Pump.Setpoint.Annotations"];

fn details(w: &mut Writer, kind: u32, now: i64) {
    w.extension_object(kind, |w| match kind {
        649 => {
            w.bool(false);
            w.i64(now - HOUR);
            w.i64(now);
            w.u32(2);
            w.bool(true);
        }
        652 => {
            w.i64(now - HOUR);
            w.i64(now);
            w.f64(600_000.0);
            w.count(NODES.len());
            [2342, 2341, 2352, 11_285].iter().for_each(|number| w.node_id(NodeIdRef::numeric(0, *number)));
            w.raw(&[1, 0, 100, 100, 0]);
        }
        _ => {
            w.count(2);
            w.i64(now - HOUR);
            w.i64(now);
            if kind == 655 {
                w.bool(true);
            }
        }
    });
}

fn read(kind: u32, now: i64) -> Vec<u8> {
    one(664, |w| {
        details(w, kind, now);
        w.i32(2);
        w.bool(false);
        w.count(NODES.len());
        for name in NODES {
            w.node_id(tag(name));
            w.string(None);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
            w.bytes(None);
        }
    })
}

fn update(now: i64) -> Vec<u8> {
    one(700, |w| {
        w.count(4);
        w.extension_object(682, |w| {
            w.node_id(tag("Pump.Setpoint"));
            w.i32(3);
            w.count(2);
            for n in [1, 2] {
                w.data_value(&Value::Double(2.0), StatusCode::Good, Some(UaTime(now - n * 1_000_000)), None);
            }
        });
        w.extension_object(11_300, |w| {
            w.node_id(tag("Pump.Setpoint.Annotations"));
            w.i32(1);
            w.count(1);
            w.u8(5); // a value and its time
            w.u8(22);
            w.extension_object(893, |w| {
                w.text("odd");
                w.text("erika");
                w.i64(now);
            });
            w.i64(now - 1_000_000);
        });
        w.extension_object(691, |w| {
            w.node_id(tag("Pump.Setpoint"));
            w.count(1);
            w.i64(now - 1_000_000);
        });
        w.extension_object(688, |w| {
            w.node_id(tag("Pump.Setpoint"));
            w.bool(false);
            w.i64(now - HOUR);
            w.i64(now - HOUR / 2);
        });
    })
}

/// Edits, and then each way of reading.
pub(crate) fn history() -> Vec<Vec<u8>> {
    let now = UaTime::now().0;
    let mut all = vec![update(now)];
    all.extend([649, 652, 655, 23_500, 646].map(|kind| read(kind, now)));
    all
}
