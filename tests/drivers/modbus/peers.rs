//! The driver against other people's slaves: pymodbus over TCP, RTU over TCP and a serial line, and libmodbus.

use std::time::Duration;

use opcell::testing::drivers::Settings;
use opcell::testing::drivers::modbus::{self, RawType, TcpFraming, WordOrder};
use opcell::value::{BuiltIn, Elements, Value};
use opcua::StatusCode;
use testkit::peers::Peer;
use testkit::plant::{Bench, Line, Point, point, serial, tcp, tcp_unit};
use testkit::{peers, plant};

/// Every raw type in every order: what is written comes back, and lies in the registers as the order says.
/// The registers are read once more as plain words.
fn types() -> Vec<(RawType, BuiltIn, Value, [u16; 4])> {
    let bytes: std::sync::Arc<[u8]> = [1, 2, 3, 4][..].into();
    vec![
        (RawType::Int16, BuiltIn::Int16, Value::Int16(-2), [0xfffe, 0, 0, 0]),
        (RawType::Uint16, BuiltIn::UInt16, Value::UInt16(0xabcd), [0xabcd, 0, 0, 0]),
        (RawType::Int32, BuiltIn::Int32, Value::Int32(-0x1234_5678), [0xedcb, 0xa988, 0, 0]),
        (RawType::Uint32, BuiltIn::UInt32, Value::UInt32(0x1234_5678), [0x1234, 0x5678, 0, 0]),
        (RawType::Int64, BuiltIn::Int64, Value::Int64(-2), [0xffff, 0xffff, 0xffff, 0xfffe]),
        (RawType::Uint64, BuiltIn::UInt64, Value::UInt64(0x0102_0304_0506_0708), [0x0102, 0x0304, 0x0506, 0x0708]),
        (RawType::Float32, BuiltIn::Float, Value::Float(12.5), [0x4148, 0, 0, 0]),
        (RawType::Float64, BuiltIn::Double, Value::Double(-0.1), [0xbfb9, 0x9999, 0x9999, 0x999a]),
        (RawType::Bcd16, BuiltIn::UInt16, Value::UInt16(1234), [0x1234, 0, 0, 0]),
        (RawType::Bcd32, BuiltIn::UInt32, Value::UInt32(98_765_432), [0x9876, 0x5432, 0, 0]),
        (RawType::Text, BuiltIn::String, Value::text("Füll"), [0x46c3, 0xbc6c, 0x6c00, 0]),
        (RawType::Bytes, BuiltIn::ByteString, Value::ByteString(bytes), [0x0102, 0x0304, 0, 0]),
    ]
}

/// The words as a device of this order holds them.
fn ordered(raw: RawType, words: [u16; 4], order: WordOrder, swap: bool) -> Vec<u16> {
    let count = match raw {
        RawType::Text => 3,
        RawType::Bytes => 2,
        raw => raw.bits().div_ceil(16) as usize,
    };
    let mut words = words[..count].to_vec();
    if order == WordOrder::LowFirst && !matches!(raw, RawType::Text | RawType::Bytes) {
        words.reverse();
    }
    words.iter().map(|word| if swap { word.swap_bytes() } else { *word }).collect()
}

fn length(raw: RawType) -> Option<u32> {
    match raw {
        RawType::Text => Some(6),
        RawType::Bytes => Some(4),
        _ => None,
    }
}

async fn every_type_and_order(settings: Settings) {
    let orders = [
        (WordOrder::HighFirst, false),
        (WordOrder::LowFirst, false),
        (WordOrder::HighFirst, true),
        (WordOrder::LowFirst, true),
    ];
    let mut points: Vec<Point> = Vec::new();
    let mut cases = Vec::new();
    for (order, swap) in orders {
        for (raw, kind, value, words) in types() {
            let at = 100 + cases.len() * 4;
            let mut typed = point(&format!("holding/{at}"), kind).raw(raw).order(order, swap);
            typed.length = length(raw);
            points.push(typed);
            let words = ordered(raw, words, order, swap);
            let plain = point(&format!("holding/{at}"), BuiltIn::UInt16);
            points.push(plain.array(u32::try_from(words.len()).expect("few")));
            cases.push((raw, order, swap, value, words));
        }
    }
    let line = Line {
        retries: 1,
        poll: Duration::from_millis(100),
        timeout: Duration::from_secs(1),
        stale_after: Duration::from_secs(5),
        ..Line::new(settings, points)
    };
    let bench = Bench::start(vec![line]);
    bench.until_status(1, StatusCode::Good).await;
    for (tag, (raw, order, swap, value, words)) in (0..).step_by(2).zip(&cases) {
        let name = format!("{raw:?} {order:?} swap {swap}");
        assert_eq!(bench.write(tag, value).await, StatusCode::Good, "{name}");
        let wanted = Value::array(Elements::UInt16(words.clone()));
        bench.until(tag + 1, &format!("{name}: {wanted:?}"), |sample| sample.value == wanted).await;
        bench.until(tag, &format!("{name}: {value:?}"), |sample| sample.value == *value).await;
    }
    bench.stop().await;
}

/// The registers of the peers at start: each register its own address.
/// Beyond its map libmodbus answers exception 2, pymodbus with fewer registers than asked.
async fn every_table(settings: Settings, bits: bool, beyond: StatusCode) {
    let mut points = vec![
        point("holding/70", BuiltIn::UInt16),
        point("40071", BuiltIn::UInt16),
        point("input/20", BuiltIn::Double).raw(RawType::Int16),
        point("holding/7.2", BuiltIn::Boolean),
        point("holding/990", BuiltIn::UInt16).array(10),
        point("holding/995", BuiltIn::UInt16).array(10),
        point("coil/10", BuiltIn::Boolean),
        point("input/21", BuiltIn::UInt16),
    ];
    points[2].scale = Some(opcell::testing::model::Scale::Range { raw: (0.0, 40.0), eu: (0.0, 100.0), clamp: true });
    if bits {
        points.push(point("coil/3", BuiltIn::Boolean));
        points.push(point("discrete/0", BuiltIn::Byte));
    }
    let line = Line {
        retries: 1,
        timeout: Duration::from_millis(500),
        stale_after: Duration::from_secs(2),
        ..Line::new(settings, points)
    };
    let bench = Bench::start(vec![line]);
    let good = async |tag: u32| bench.until_status(tag, StatusCode::Good).await.value;
    assert_eq!(good(0).await, Value::UInt16(70));
    assert_eq!(good(1).await, Value::UInt16(70));
    assert_eq!(good(2).await, Value::Double(50.0));
    assert_eq!(good(3).await, Value::Boolean(true));
    assert_eq!(good(4).await, Value::array(Elements::UInt16((990..1000).collect())));
    bench.until_status(5, beyond).await;
    assert_eq!(good(6).await, Value::Boolean(false));
    assert_eq!(bench.write(6, &Value::Boolean(true)).await, StatusCode::Good);
    bench.until(6, "on", |sample| sample.value == Value::Boolean(true)).await;
    assert_eq!(good(7).await, Value::UInt16(21));
    if bits {
        assert_eq!(good(8).await, Value::Boolean(true));
        assert_eq!(good(9).await, Value::Byte(0b0100_1001));
    }
    bench.stop().await;
}

fn ready(peer: &mut Peer) {
    assert_eq!(peer.wait_for("ready"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_over_tcp() {
    for (how, framing) in [("tcp", TcpFraming::Tcp), ("rtu-tcp", TcpFraming::Rtu)] {
        let port = peers::free_port();
        let Some(mut peer) = peers::pymodbus(&[how, &port.to_string()]) else { return };
        ready(&mut peer);
        every_table(tcp_unit(port, 1, framing), true, StatusCode::BadCommunicationError).await;
        every_type_and_order(tcp_unit(port, 2, framing)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_on_a_serial_line() {
    for (how, more) in [("rtu", ""), ("ascii", ", \"framing\": \"ascii\", \"data_bits\": 8")] {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(_cable) = peers::serial_pair(folder.path()) else { return };
        let far = folder.path().join("b").display().to_string();
        let Some(mut peer) = peers::pymodbus(&[how, &far]) else { return };
        ready(&mut peer);
        let near = folder.path().join("a").display().to_string();
        every_table(Settings::of::<modbus::Rtu>(serial(&near, more)), true, StatusCode::BadCommunicationError).await;
        every_type_and_order(Settings::of::<modbus::Rtu>(serial(&near, more))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn libmodbus_over_tcp() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut peer) = peers::libmodbus(folder.path(), &[]) else { return };
    let port: u16 = peer.wait_for("port").parse().expect("a port");
    every_table(Settings::of::<modbus::Tcp>(tcp(port)), false, StatusCode::BadConfigurationError).await;
    every_type_and_order(Settings::of::<modbus::Tcp>(tcp(port))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_pymodbus_turns_everything_bad_and_a_started_one_good() {
    let port = peers::free_port();
    let Some(mut peer) = peers::pymodbus(&["tcp", &port.to_string()]) else { return };
    ready(&mut peer);
    let points = (0..200).map(|at| point(&format!("holding/{}", at * 4), BuiltIn::UInt16)).collect();
    let bench = Bench::start(vec![Line {
        stale_after: Duration::from_secs(1),
        ..Line::new(Settings::of::<modbus::Tcp>(tcp(port)), points)
    }]);
    for tag in 0..200 {
        bench.until_status(tag, StatusCode::Good).await;
    }
    drop(peer);
    for tag in 0..200 {
        assert_eq!(bench.until_status(tag, StatusCode::BadNoCommunication).await.value, Value::Null);
    }
    let Some(mut peer) = peers::pymodbus(&["tcp", &port.to_string()]) else { return };
    ready(&mut peer);
    for tag in 0..200 {
        let wanted = u16::try_from(tag * 4).expect("small");
        assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, Value::UInt16(wanted));
    }
    // Stopped in its tracks it keeps the connection and is silent.
    peer.signal("-STOP");
    for tag in 0..200 {
        bench.until_status(tag, StatusCode::BadTimeout).await;
    }
    peer.signal("-CONT");
    for tag in 0..200 {
        bench.until_status(tag, StatusCode::Good).await;
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_shows_a_register_in_all_types_and_orders() {
    let port = peers::free_port();
    let Some(mut peer) = peers::pymodbus(&["tcp", &port.to_string()]) else { return };
    ready(&mut peer);
    let (_, plans) = plant::assemble(vec![Line::new(Settings::of::<modbus::Tcp>(tcp(port)), vec![])]);
    let lines = opcell::testing::drivers::probe(&plans[0], "40998").await.expect("an answer");
    let shown = |key: &str| lines.iter().find(|line| line.keys == key).map(|line| line.value.as_str());
    assert_eq!(shown("address"), Some("holding/997 = 40998"));
    assert_eq!(shown("registers"), Some("03E5 03E6"), "there are but three registers, two are taken");
    assert_eq!(shown("raw_type: uint16"), Some("997"));
    assert_eq!(shown("raw_type: uint16, swap_bytes: true"), Some("58627"));
    assert_eq!(shown("raw_type: uint32, word_order: low-first"), Some("65405925"));
    let error = opcell::testing::drivers::probe(&plans[0], "holding/2000").await.expect_err("no such register");
    assert_eq!(error.to_string(), "holding/2000: answers with 0 bytes of data, asked for 2");
}
