//! A running server says how its connections do: in nodes, in `opcell status` and in its log.

use std::time::Duration;

use opcell::testing::drivers::modbus::Framing;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::device::{CLOSE, Device, Heard, Says, device, now};
use testkit::program::{Serving, folder, opcell};
use testkit::slave;
use testkit::slave::Slave;
use testkit::ua::Session;
use testkit::until;

const SERVER: &str =
    "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer, Operator]\nsecurity: { allow_unsecured: true }\n";

fn slow(heard: &Heard) -> Says {
    vec![(Duration::from_millis(150), heard.reply.clone())]
}

fn mute(_: &Heard) -> Says {
    vec![]
}

fn odd(heard: &Heard) -> Says {
    let mut reply = heard.reply.clone();
    reply[7] = 9;
    vec![now(reply)]
}

/// Closes the connection after each reply.
fn quiet(heard: &Heard) -> Says {
    vec![now(heard.reply.clone()), now(CLOSE.to_vec())]
}

async fn devices() -> (Vec<Device>, std::sync::Arc<Slave>) {
    let slave = Slave::new();
    let mut devices = Vec::new();
    for says in [slow, mute, odd, quiet] {
        devices.push(device(Framing::Tcp, &slave, says).await);
    }
    (devices, slave)
}

fn cell(devices: &[Device]) -> String {
    let mut text = "schema: 1\ncell: a\nconnections:\n".to_owned();
    for (name, device) in ["slow", "mute", "odd", "quiet"].iter().zip(devices) {
        let more = "max_gap: 0, timeout: 300ms, allow_write: true, retries: 0";
        let port = device.port;
        text += &format!("  {name}: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port}, {more} }}\n");
    }
    text += "nodes:\n  Fast: { type: UInt16, poll: 200ms, source: { address: holding/0, connection: slow } }\n";
    for at in 1..31 {
        let address = at * 50;
        text += &format!(
            "  S{at}: {{ type: UInt16, poll: 2s, source: {{ address: holding/{address}, connection: slow }} }}\n"
        );
    }
    text += "  Mute: { type: UInt16, poll: 100ms, source: { address: holding/0, connection: mute } }\n";
    text += "  Odd: { type: UInt16, poll: 100ms, source: { address: holding/0, connection: odd } }\n";
    text += "  Quiet: { type: UInt16, poll: 100ms, source: { address: holding/8, connection: quiet, write: true, \
             on_stop: 5 } }\n";
    text
}

#[test]
fn connections_say_how_they_do_in_nodes_status_and_log() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (devices, slave) = runtime.block_on(devices());
    let folder = folder(&[("cell.yaml", &cell(&devices)), ("server.yaml", SERVER)]);
    let serving = Serving::logging(folder.path(), "info");
    let mut session = Session::open(serving.address);
    let mut read = |name: &str| session.read_value(NodeIdRef::string(2, name));

    assert_eq!(read("S30").status.unwrap_or_default(), StatusCode::BadWaitingForInitialData, "not asked yet");
    let state = |value: &Option<Value>, wanted: &str| *value == Some(Value::text(wanted));
    until("the mute device is silent", || state(&read("@connections.mute.State").value, "Silent").then_some(()));
    until("the plan of the slow one is judged", || match read("@connections.slow.PlanLoad").value {
        Some(Value::Double(load)) if load > 200.0 => Some(()),
        _ => None,
    });
    for _ in 0..100 {
        assert!(state(&read("@connections.mute.State").value, "Silent"), "until it answers");
    }
    assert!(state(&read("@connections.slow.State").value, "Connected"));
    assert_eq!(read("@connections.quiet.Errors").value, Some(Value::UInt64(0)));
    assert_eq!(read("@connections.quiet.LastError").value, Some(Value::text("")));
    assert_eq!(read("Quiet").value, Some(Value::UInt16(slave::mark(8))));
    assert_eq!(session.write(NodeIdRef::string(2, "Quiet"), &Value::UInt16(7)), StatusCode::Good);
    assert_eq!(slave.words.lock().expect("lock")[8], 7);
    until("what was written is read", || {
        (session.read_value(NodeIdRef::string(2, "Quiet")).value == Some(Value::UInt16(7))).then_some(())
    });

    let status = opcell(folder.path(), &["status", "server.yaml"], "");
    for wanted in ["a/mute Silent", "a/quiet Connected", ", 0 errors", "its poll plan needs 3"] {
        assert!(status.out.contains(wanted), "`{wanted}` in {}", status.out);
    }
    session.close();
    let log = serving.end();
    for wanted in
        ["a/slow: the poll plan needs 3", "a/odd: odd answers with function 9, asked with 3; the reply is dropped"]
    {
        assert_eq!(log.matches(wanted).count(), 1, "`{wanted}` once in {log}");
    }
    assert!(!log.contains("a/quiet: the peer"), "a quiet close is no news: {log}");
    assert_eq!(slave.words.lock().expect("lock")[8], 5, "on_stop, though the device had closed the connection");
}
