//! From a Modbus device to an OPC UA client and back: the Modbus example, the real server, other people's slaves.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use opcell::testing::stack::codec::{DataValue, NodeIdRef};
use opcell::value::{Elements, Value};
use opcua::StatusCode;

use testkit::peers;
use testkit::peers::Peer;
use testkit::request::delete_subscriptions;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

const POLL_MS: i64 = 200;
const STALE_MS: i64 = 1_000;
/// How late a busy machine may be.
const SLACK_MS: i64 = 400;

/// The registers of the slave.
const IMAGE: &[&str] = &[
    "c0=1", "d0=1", "d8=1", "d9=0", "d10=1", "d11=1", "d12=0", "d13=0", "d14=1", "d15=0", // bits
    "h0=8", "h108=8", "h109=0", "h1=80fe", "h2=8001", "h3=abcd", // short numbers
    "h4=edcb", "h5=a988", "h6=1234", "h7=5678", "h8=ffff", "h9=ffff", "h10=ffff", "h11=fffe", "h12=0102", "h13=0304",
    "h14=0506", "h15=0708", "h16=1234", "h18=9876", "h19=5432", "h20=2", // long ones, BCD, an enumeration
    "h30=4148", "h31=0", "h32=bfb9", "h33=9999", "h34=9999", "h35=999a", // floats
    "h36=3f80", "h37=0", "h38=c000", "h39=0", "h40=4060", "h41=0", // three of them
    "h50=1234", "h51=5678", "h52=5678", "h53=1234", "h54=3412", "h55=7856", "h56=7856", "h57=3412", // orders
    "h60=46c3", "h61=bc6c", "h62=6c65", "h63=7200", "h64=0", "h65=0", "h66=0", "h67=0", // text
    "h70=0102", "h71=03ff", "h72=0", "h73=8000", "i20=3600", "h80=00eb", "h82=0929", "h83=fffe", // bytes, analog
];

/// The values that a client reads of it.
fn wanted() -> Vec<(&'static str, Value)> {
    let inputs = vec![true, false, true, true, false, false, true, false];
    let bytes: std::sync::Arc<[u8]> = [1, 2, 3, 0xff, 0, 0, 0x80, 0][..].into();
    vec![
        ("Bits.Coil", Value::Boolean(true)),
        ("Bits.Input", Value::Boolean(true)),
        ("Bits.Inputs", Value::array(Elements::Boolean(inputs))),
        ("Bits.Flag", Value::Boolean(true)),
        ("Bits.HighFlag", Value::Boolean(true)),
        ("Integers.Int8", Value::SByte(-2)),
        ("Integers.UInt8", Value::Byte(0x80)),
        ("Integers.Int16", Value::Int16(-32_767)),
        ("Integers.UInt16", Value::UInt16(0xabcd)),
        ("Integers.Int32", Value::Int32(-0x1234_5678)),
        ("Integers.UInt32", Value::UInt32(0x1234_5678)),
        ("Integers.Int64", Value::Int64(-2)),
        ("Integers.UInt64", Value::UInt64(0x0102_0304_0506_0708)),
        ("Integers.Bcd16", Value::UInt16(1_234)),
        ("Integers.Bcd32", Value::UInt32(98_765_432)),
        ("Integers.Mode", Value::Int32(2)),
        ("Floats.Float", Value::Float(12.5)),
        ("Floats.Double", Value::Double(-0.1)),
        ("Floats.Three", Value::array(Elements::Float(vec![1.0, -2.0, 3.5]))),
        ("Orders.ABCD", Value::UInt32(0x1234_5678)),
        ("Orders.CDAB", Value::UInt32(0x1234_5678)),
        ("Orders.BADC", Value::UInt32(0x1234_5678)),
        ("Orders.DCBA", Value::UInt32(0x1234_5678)),
        ("Texts.Name", Value::text("Füller")),
        ("Texts.Bytes", Value::ByteString(bytes)),
        ("Analog.Level", Value::Double(50.0)),
        ("Analog.Setpoint", Value::Float(23.5)),
        ("Analog.Power", Value::Double(23.45)),
    ]
}

/// The example, at this slave, with a shorter patience and a few registers as they lie in the device.
fn cell(link: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("address-space/modbus.yaml");
    let text = std::fs::read_to_string(path).expect("the example");
    let mut text = text
        .replace("    driver: modbus-tcp\n    host: 127.0.0.1\n    port: 5020\n", link)
        .replace("{ poll: 500ms }", &format!("{{ poll: {POLL_MS}ms, stale_after: {STALE_MS}ms }}"));
    assert!(text.contains(link) && text.contains("stale_after"), "the example reads as this test knows it");
    text.push_str(
        "  Device:
    children:
      Setpoint: { type: UInt16, source: holding/80 }
      Mode:     { type: UInt16, source: holding/20 }
      Flags:    { type: UInt16, source: holding/0 }
      Beyond:   { type: UInt16, source: { address: holding/2000, read: false, write: true } }
",
    );
    text
}

fn over_tcp(port: u16) -> String {
    format!("    driver: modbus-tcp\n    host: 127.0.0.1\n    port: {port}\n")
}

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn status(value: &DataValue) -> StatusCode {
    value.status.unwrap_or(StatusCode::Good)
}

/// Reads until the claim holds.
fn until_read(client: &mut Session, path: &str, what: &str, claim: impl Fn(&DataValue) -> bool) -> DataValue {
    until(&format!("{path} is {what}"), || Some(client.read_value(tag(path))).filter(&claim))
}

fn reads_everything(client: &mut Session) {
    for (path, value) in wanted() {
        let read = until_read(client, path, "Good", |read| status(read).is_good());
        assert_eq!(read.value, Some(value), "{path}");
        assert!(read.source_time.is_some(), "{path}");
    }
}

fn writes(client: &mut Session) {
    for (path, value, place, word) in [
        ("Analog.Setpoint", Value::Float(45.6), "Device.Setpoint", 456),
        ("Integers.Mode", Value::Int32(1), "Device.Mode", 1),
        ("Bits.Flag", Value::Boolean(false), "Device.Flags", 0),
        ("Bits.Flag", Value::Boolean(true), "Device.Flags", 8),
    ] {
        assert_eq!(client.write(tag(path), &value), StatusCode::Good, "{path}");
        until_read(client, place, "what was written", |read| read.value == Some(Value::UInt16(word)));
        until_read(client, path, "what was written", |read| read.value == Some(value.clone()));
    }
    assert_eq!(client.write(tag("Bits.Coil"), &Value::Boolean(false)), StatusCode::Good);
    until_read(client, "Bits.Coil", "off", |read| read.value == Some(Value::Boolean(false)));
    for (path, value, code) in [
        ("Device.Beyond", Value::UInt16(1), StatusCode::BadConfigurationError),
        ("Analog.Setpoint", Value::Float(120.5), StatusCode::BadOutOfRange),
        ("Analog.Setpoint", Value::Double(1.0), StatusCode::BadTypeMismatch),
        ("Integers.Mode", Value::Int32(7), StatusCode::BadOutOfRange),
        ("Integers.Int16", Value::Int16(1), StatusCode::BadNotWritable),
    ] {
        assert_eq!(client.write(tag(path), &value), code, "{value:?} to {path}");
    }
    assert_eq!(client.read_value(tag("Device.Setpoint")).value, Some(Value::UInt16(456)), "nothing refused arrived");
    assert_eq!(client.write(tag("Bits.Coil"), &Value::Boolean(true)), StatusCode::Good);
    assert_eq!(client.write(tag("Integers.Mode"), &Value::Int32(2)), StatusCode::Good);
    assert_eq!(client.write(tag("Analog.Setpoint"), &Value::Float(23.5)), StatusCode::Good);
    until_read(client, "Analog.Setpoint", "what was written", |read| read.value == Some(Value::Float(23.5)));
}

/// The notifications of each tag while the slave is stopped: all Bad with the table's code, without a value, at
/// most one poll after `stale_after`; nothing Good after the first that is not.
fn falls(client: &mut Session, stop: impl FnOnce(), code: StatusCode) {
    let tags: Vec<&str> = wanted().into_iter().map(|(path, _)| path).collect();
    let subscription = client.subscribe(50.0, 1_000, 10);
    let items: Vec<(NodeIdRef<'_>, u32)> = tags.iter().copied().map(tag).zip(0..).collect();
    client.monitor(subscription, &items, 0.0, 100);
    let mut heard: BTreeMap<u32, Vec<DataValue>> = BTreeMap::new();
    while heard.len() < tags.len() {
        for (handle, value) in client.next_data().data {
            heard.entry(handle).or_default().push(value);
        }
    }
    let is_bad = |heard: &BTreeMap<u32, Vec<DataValue>>, handle: u32| {
        heard[&handle].last().is_some_and(|value| status(value) == code)
    };
    // The last good poll of each tag, as near as a client can know: more of them may come until the slave has stopped.
    let stopping = Instant::now();
    let good: Vec<i64> = tags.iter().map(|path| client.read_value(tag(path)).source_time.expect("a time").0).collect();
    stop();
    let stopping = i64::try_from(stopping.elapsed().as_millis()).expect("it stopped at once");
    let began = Instant::now();
    while !(0..).zip(&tags).all(|(handle, _)| is_bad(&heard, handle)) {
        assert!(began.elapsed() < Duration::from_secs(10), "not all are {code}: {heard:?}");
        for (handle, value) in client.next_data().data {
            heard.entry(handle).or_default().push(value);
        }
    }
    for (handle, path) in (0..).zip(&tags) {
        let seen = &heard[&handle];
        let first = seen.iter().position(|value| !status(value).is_good()).expect("it fell");
        for value in &seen[first..] {
            assert!(!status(value).is_good(), "{path} is Good again: {seen:?}");
            if status(value).is_bad() {
                assert!(value.value.as_ref().is_none_or(Value::is_null), "{path}: Bad with a value: {value:?}");
                assert_eq!(status(value), code, "{path}: {seen:?}");
            } else {
                assert_eq!(status(value), StatusCode::UncertainLastUsableValue, "{path}");
                assert_eq!(value.value, seen[0].value, "{path}: the last value stays");
            }
        }
        let bad = seen.iter().find(|value| status(value).is_bad()).expect("it is Bad");
        let took = (bad.source_time.expect("a time").0 - good[handle as usize]) / 10_000;
        let most = STALE_MS + 2 * POLL_MS + SLACK_MS + stopping;
        assert!(took <= most, "{path}: Bad after {took} ms, more than {most}");
    }
    client.ask(delete_subscriptions(&[subscription]));
}

/// One holding register, by a second master.
fn register(port: u16, at: u16) -> u16 {
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the slave");
    let [high, low] = at.to_be_bytes();
    socket.write_all(&[0, 1, 0, 0, 0, 6, 1, 3, high, low, 0, 1]).expect("sent");
    let mut reply = [0; 11];
    socket.read_exact(&mut reply).expect("a reply");
    u16::from_be_bytes([reply[9], reply[10]])
}

fn ready(peer: &mut Peer, word: &str) {
    peer.wait_for(word);
}

#[test]
fn the_example_serves_pymodbus_over_tcp_through_loss_and_return() {
    let port = peers::free_port();
    let port_text = port.to_string();
    let arguments = [&["tcp", &port_text], IMAGE].concat();
    let Some(mut peer) = peers::pymodbus(&arguments) else { return };
    ready(&mut peer, "ready");
    let server = TestServer::start(&cell(&over_tcp(port)));
    let mut client = Session::open(server.address);
    reads_everything(&mut client);
    writes(&mut client);
    assert_eq!(client.write(tag("Analog.Setpoint"), &Value::Float(77.7)), StatusCode::Good);
    assert_eq!(register(port, 80), 777, "as another master sees it");
    until_read(&mut client, "Analog.Setpoint", "what was written", |read| read.value == Some(Value::Float(77.7)));
    falls(&mut client, || drop(peer), StatusCode::BadNoCommunication);
    assert_eq!(client.write(tag("Bits.Coil"), &Value::Boolean(true)), StatusCode::BadNoCommunication);
    let Some(mut peer) = peers::pymodbus(&arguments) else { return };
    ready(&mut peer, "ready");
    reads_everything(&mut client);
    falls(&mut client, || peer.signal("-STOP"), StatusCode::BadTimeout);
    peer.signal("-CONT");
    reads_everything(&mut client);
    client.close();
}

#[test]
fn the_example_serves_pymodbus_on_a_serial_line_through_loss_and_return() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_cable) = peers::serial_pair(folder.path()) else { return };
    let far = folder.path().join("b").display().to_string();
    let arguments = [&["rtu", &far], IMAGE].concat();
    let Some(mut peer) = peers::pymodbus(&arguments) else { return };
    ready(&mut peer, "ready");
    let near = folder.path().join("a").display().to_string();
    let link = format!("    driver: modbus-rtu\n    serial: {near}\n    baud: 115200\n    parity: none\n");
    let server = TestServer::start(&cell(&link));
    let mut client = Session::open(server.address);
    reads_everything(&mut client);
    writes(&mut client);
    falls(&mut client, || drop(peer), StatusCode::BadTimeout);
    let Some(mut peer) = peers::pymodbus(&arguments) else { return };
    ready(&mut peer, "ready");
    reads_everything(&mut client);
    client.close();
}

#[test]
fn the_example_serves_libmodbus_through_loss_and_return() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = peers::free_port();
    let port_text = port.to_string();
    let arguments = [&[port_text.as_str()], IMAGE].concat();
    let Some(mut peer) = peers::libmodbus(folder.path(), &arguments) else { return };
    ready(&mut peer, "port");
    let server = TestServer::start(&cell(&over_tcp(port)));
    let mut client = Session::open(server.address);
    reads_everything(&mut client);
    writes(&mut client);
    falls(&mut client, || drop(peer), StatusCode::BadNoCommunication);
    let Some(mut peer) = peers::libmodbus(folder.path(), &arguments) else { return };
    ready(&mut peer, "port");
    reads_everything(&mut client);
    client.close();
}

#[test]
fn a_dead_unit_behind_a_gateway_does_not_slow_the_others() {
    let port = peers::free_port();
    let port_text = port.to_string();
    let Some(mut peer) = peers::pymodbus(&[&["tcp", &port_text], IMAGE].concat()) else { return };
    ready(&mut peer, "ready");
    let second = format!("  dead:\n    driver: modbus-tcp\n    host: 127.0.0.1\n    port: {port}\n    unit_id: 9\n");
    let mut text = cell(&over_tcp(port))
        .replace("\ndefaults: {", &format!("{second}    timeout: 300ms\n\ndefaults: {{ connection: plc1,"));
    text.push_str("  Dead: { type: UInt16, connection: dead, source: holding/1 }\n");
    let server = TestServer::start(&text);
    let mut client = Session::open(server.address);
    reads_everything(&mut client);
    until_read(&mut client, "Dead", "Bad", |read| status(read) == StatusCode::BadTimeout);
    let (began, mut oldest) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(3) {
        let read = client.read_value(tag("Integers.Int16"));
        assert_eq!(status(&read), StatusCode::Good);
        let age = opcell::value::UaTime::now().0 - read.source_time.expect("a time").0;
        oldest = oldest.max(age / 10_000);
    }
    assert!(oldest <= POLL_MS + 300 + SLACK_MS, "one time-out of the dead unit at most: {oldest} ms");
    assert_eq!(status(&client.read_value(tag("Dead"))), StatusCode::BadTimeout);
    client.close();
}
