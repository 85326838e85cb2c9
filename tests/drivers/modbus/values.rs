//! Keys for devices that are not like others: words that lie apart, values in several requests, bits as numbers, one
//! function for writes, and values that are written again and again.

use std::sync::Arc;
use std::time::Duration;

use opcell::testing::drivers::Settings;
use opcell::testing::drivers::modbus::{
    self, Charset, Framing, MaskWrite, RawType, TcpFraming, TcpSettings, WriteFunction,
};
use opcell::testing::model::Scale;
use opcell::value::{BuiltIn, Value};
use opcua::StatusCode;
use testkit::plant::{Bench, Line, Point, point, tcp, tcp_unit};
use testkit::slave;
use testkit::slave::{Does, Faults, Slave};
use testkit::until::until_async;

async fn started(slave: &Arc<Slave>, settings: TcpSettings, points: Vec<Point>) -> (Bench, slave::Listening) {
    let framing = if settings.framing == TcpFraming::Rtu { Framing::Rtu } else { Framing::Tcp };
    let listening = slave.listen(framing, Faults::none()).await;
    let settings = TcpSettings { port: listening.port, ..settings };
    let timeout = Duration::from_millis(200);
    (Bench::start(vec![Line { timeout, ..Line::new(Settings::of::<modbus::Tcp>(settings), points) }]), listening)
}

fn set(slave: &Slave, at: usize, words: &[u16]) {
    slave.words.lock().expect("lock")[at..at + words.len()].copy_from_slice(words);
}

fn get<const N: usize>(slave: &Slave, at: usize) -> [u16; N] {
    slave.words.lock().expect("lock")[at..at + N].try_into().expect("registers")
}

fn asked(slave: &Slave) -> Vec<u8> {
    std::mem::take(&mut *slave.asked.lock().expect("lock")).into_iter().map(|(_, function)| function).collect()
}

/// How a device says that it has no such function: an exception, or silence.
const NO: [Option<u8>; 7] = [Some(1), Some(2), Some(3), Some(4), Some(10), Some(11), None];

#[tokio::test(flavor = "multi_thread")]
async fn however_a_device_refuses_a_function_the_other_one_is_tried_once_and_remembered() {
    for no in NO {
        for (lacking, works, at, value) in [
            (5, 15, "coil/1", Value::Boolean(true)),
            (6, 16, "holding/1", Value::UInt16(7)),
            (22, 6, "holding/2.4..7", Value::UInt16(9)),
        ] {
            let slave = Slave::new();
            slave.refuses.lock().expect("lock").insert(lacking, no);
            let kind = if lacking == 5 { BuiltIn::Boolean } else { BuiltIn::UInt16 };
            let (bench, _listening) =
                started(&slave, tcp(0), vec![point(at, kind), point("input/9", BuiltIn::UInt16)]).await;
            bench.until_status(0, StatusCode::Good).await;
            set(&slave, 2, &[0xF50F]);
            asked(&slave);
            for round in 0..3 {
                assert_eq!(bench.write(0, &value).await, StatusCode::Good, "{at} {no:?} {round}");
            }
            let asked = asked(&slave);
            let count = |function: u8| asked.iter().filter(|asked| **asked == function).count();
            assert_eq!((count(lacking), count(works)), (1, 3), "{at} {no:?}: {asked:?}");
            match lacking {
                5 => assert!(slave.bits.lock().expect("lock")[1]),
                6 => assert_eq!(get(&slave, 1), [7]),
                _ => assert_eq!(get(&slave, 2), [0xF59F], "the other bits stay"),
            }
            bench.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_both_functions_refuse_gives_the_devices_answer_and_one_that_works_is_never_doubted() {
    let slave = Slave::new();
    let (bench, _listening) = started(&slave, tcp(0), vec![point("holding/1", BuiltIn::UInt16)]).await;
    bench.until_status(0, StatusCode::Good).await;
    for (single, multiple, status) in [
        (3, 3, StatusCode::BadOutOfRange),
        (3, 1, StatusCode::BadOutOfRange),
        (1, 2, StatusCode::BadConfigurationError),
        (1, 1, StatusCode::BadNotSupported),
    ] {
        slave.refuses.lock().expect("lock").extend([(6, Some(single)), (16, Some(multiple))]);
        assert_eq!(bench.write(0, &Value::UInt16(1)).await, status, "{single} {multiple}");
    }
    slave.refuses.lock().expect("lock").clear();
    assert_eq!(bench.write(0, &Value::UInt16(2)).await, StatusCode::Good);
    slave.refuses.lock().expect("lock").insert(6, Some(3));
    asked(&slave);
    assert_eq!(bench.write(0, &Value::UInt16(3)).await, StatusCode::BadOutOfRange, "FC 6 has worked");
    assert!(!asked(&slave).contains(&16));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_link_without_ids_the_other_function_is_tried_after_silence_at_the_latest_with_the_next_write() {
    let slave = Slave::new();
    slave.refuses.lock().expect("lock").insert(6, None);
    let settings = TcpSettings { framing: TcpFraming::Rtu, ..tcp(0) };
    let (bench, _listening) = started(&slave, settings, vec![point("holding/1", BuiltIn::UInt16)]).await;
    bench.until_status(0, StatusCode::Good).await;
    let first = bench.write(0, &Value::UInt16(7)).await;
    assert!([StatusCode::Good, StatusCode::BadTimeout].contains(&first), "{first}");
    bench.until_status(0, StatusCode::Good).await;
    assert_eq!(bench.write(0, &Value::UInt16(8)).await, StatusCode::Good);
    assert_eq!(get(&slave, 1), [8]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_said_is_the_only_one_used() {
    let slave = Slave::new();
    let said = |address: &str, kind, function| {
        let mut point = point(address, kind);
        point.register.write_function = Some(function);
        point
    };
    let mut flag = point("holding/5.0", BuiltIn::Boolean);
    flag.register.mask_write = Some(MaskWrite::Never);
    flag.register.write_function = Some(WriteFunction::Multiple);
    let points = vec![
        said("coil/1", BuiltIn::Boolean, WriteFunction::Multiple),
        said("holding/1", BuiltIn::UInt16, WriteFunction::Multiple),
        said("holding/2", BuiltIn::UInt32, WriteFunction::Single),
        flag,
        point("holding/6", BuiltIn::UInt16),
    ];
    let settings = TcpSettings { write_function: WriteFunction::Multiple, ..tcp(0) };
    let (bench, _listening) = started(&slave, settings, points).await;
    bench.until_status(4, StatusCode::Good).await;
    for (tag, value, functions) in [
        (0, Value::Boolean(true), &[15][..]),
        (1, Value::UInt16(7), &[16]),
        (2, Value::UInt32(0x0001_0002), &[6, 6]),
        (3, Value::Boolean(true), &[16]),
        (4, Value::UInt16(8), &[16]),
    ] {
        asked(&slave);
        assert_eq!(bench.write(tag, &value).await, StatusCode::Good, "{tag}");
        let writes: Vec<u8> = asked(&slave).into_iter().filter(|function| !(1..=4).contains(function)).collect();
        assert_eq!(writes, functions, "{tag}");
    }
    assert_eq!(get(&slave, 2), [1, 2]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_lie_apart_make_one_value_and_are_written_where_they_lie() {
    let slave = Slave::new();
    let list = |words: &[&str], kind| {
        let mut point = point(words[0], kind);
        point.words = words.iter().map(|word| (*word).to_owned()).collect();
        point
    };
    let mut swapped = list(&["holding/101", "holding/100"], BuiltIn::Float).raw(RawType::Float32);
    swapped.register.swap_bytes = Some(true);
    let points = vec![
        list(&["holding/690", "holding/625"], BuiltIn::Int32),
        list(&["holding/5", "holding/3000", "holding/10", "holding/20"], BuiltIn::UInt64),
        swapped,
        list(&["input/7", "holding/8"], BuiltIn::UInt32),
    ];
    set(&slave, 625, &[0x63c0]);
    set(&slave, 690, &[0xffff]);
    for (at, word) in [(5, 1), (3000, 2), (10, 3), (20, 4), (7, 0x11), (8, 0x22)] {
        set(&slave, at, &[word]);
    }
    // Of a device with the low word first: the list alone is the order.
    let settings = TcpSettings { word_order: opcell::testing::drivers::modbus::WordOrder::LowFirst, ..tcp(0) };
    set(&slave, 100, &[0, 0x4841]);
    let (bench, _listening) = started(&slave, settings, points).await;
    for (tag, value) in [
        (0, Value::Int32(-40_000)),
        (1, Value::UInt64(0x0001_0002_0003_0004)),
        (2, Value::Float(12.5)),
        (3, Value::UInt32(0x0011_0022)),
    ] {
        assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, value);
    }
    assert_eq!(bench.write(0, &Value::Int32(123_456)).await, StatusCode::Good);
    assert_eq!((get(&slave, 690), get(&slave, 625)), ([1], [0xE240]));
    asked(&slave);
    assert_eq!(bench.write(2, &Value::Float(-2.0)).await, StatusCode::Good);
    assert_eq!(get(&slave, 100), [0, 0x00c0]);
    assert_eq!(asked(&slave).iter().filter(|function| **function == 16).count(), 1, "neighbours go together");
    bench.until(0, "written", |sample| sample.value == Value::Int32(123_456)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_answers_one_register_at_a_time_gives_long_values_too() {
    // By the key, and found out by exception 3.
    for max_registers in [1, 125] {
        let slave = Slave::new();
        *slave.longest.lock().expect("lock") = 1;
        let mut long = point("holding/10", BuiltIn::UInt64);
        long.register.split = Some(true);
        let mut text = point("holding/20", BuiltIn::String).length(6);
        text.register.split = Some(true);
        text.register.charset = Some(Charset::Utf8);
        set(&slave, 10, &[1, 2, 3, 4]);
        set(&slave, 20, &[0x4142, 0x4344, 0]);
        let settings = TcpSettings { max_registers, ..tcp(0) };
        let (bench, _listening) = started(&slave, settings, vec![long, text]).await;
        assert_eq!(bench.until_status(0, StatusCode::Good).await.value, Value::UInt64(0x0001_0002_0003_0004));
        assert_eq!(bench.until_status(1, StatusCode::Good).await.value, Value::text("ABCD"));
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_with_write_every_is_written_again_while_it_is_good() {
    let slave = Slave::new();
    let mut setpoint = point("holding/1", BuiltIn::UInt16);
    setpoint.write_every = Some(Duration::from_millis(100));
    let mut command = point("holding/2", BuiltIn::UInt16);
    (command.read, command.write_every) = (false, Some(Duration::from_millis(100)));
    let mut silent = point("holding/3", BuiltIn::Float);
    silent.write_every = Some(Duration::from_millis(100));
    set(&slave, 1, &[50, 0, 0x7fc0]);
    let (bench, _listening) = started(&slave, tcp(0), vec![setpoint, command, silent]).await;
    bench.until_status(2, StatusCode::BadSensorFailure).await;
    let writes =
        |slave: &Slave| slave.asked.lock().expect("lock").iter().filter(|(_, function)| *function == 6).count();
    until_async("it is written again", || writes(&slave) >= 4).await;
    assert_eq!(get(&slave, 1), [50, 0, 0x7fc0], "a command that nobody gave is not written, nor is a Bad value");
    assert_eq!(bench.write(1, &Value::UInt16(9)).await, StatusCode::Good);
    set(&slave, 2, &[0]);
    until_async("the command is given again", || get(&slave, 2) == [9]).await;
    // A value that is set at the device itself stays. It is set just before the register is read: between the read and
    // the write it would be overwritten, once.
    let mut is_set = false;
    *slave.script.lock().expect("lock") = Some(Box::new(move |pdu, words| {
        let (first, count) = (u16::from_be_bytes([pdu[1], pdu[2]]), u16::from_be_bytes([pdu[3], pdu[4]]));
        if pdu[0] == 3 && first <= 1 && first + count > 1 && !is_set {
            words[1] = 60;
            is_set = true;
        }
        Does::Answer
    }));
    until_async("it is read", || bench.sample(0).value == Value::UInt16(60)).await;
    let before = writes(&slave);
    until_async("it is written again", || writes(&slave) >= before + 6).await;
    assert_eq!(get(&slave, 1), [60]);
    bench.stop().await;
}

fn list(words: &[&str], kind: BuiltIn) -> Point {
    let mut point = point(words[0], kind);
    point.words = words.iter().map(|word| (*word).to_owned()).collect();
    point
}

/// A counter in the registers 0 and 1000, changed before 0 is read.
fn count_up(pdu: &[u8], words: &mut [u16]) -> u16 {
    let start = u16::from_be_bytes([pdu[1], pdu[2]]);
    if pdu[0] == 3 && start == 0 {
        words[0] = words[0].wrapping_add(1);
        words[1000] = words[0];
    }
    start
}

/// Looks at the tag until it showed `count` different good values; gives each of them once.
async fn good_values(bench: &Bench, tag: u32, count: usize) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    let look = async {
        while seen.len() < count {
            let sample = bench.sample(tag);
            if sample.status == StatusCode::Good && seen.last() != Some(&sample.value) {
                seen.push(sample.value);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let is_done = tokio::time::timeout(Duration::from_secs(20), look).await.is_ok();
    assert!(is_done, "{count} values: {seen:?}");
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_in_parts_is_of_one_scan_also_when_replies_are_lost_and_neighbours_are_written() {
    let silence: fn(u16) -> Does = |_| Does::Nothing;
    let failure: fn(u16) -> Does = |_| Does::Exception(4);
    for (retries, trouble) in [(0, silence), (2, silence), (0, failure)] {
        let slave = Slave::new();
        set(&slave, 0, &[0]);
        let points =
            vec![list(&["holding/0", "holding/1000"], BuiltIn::UInt32), point("holding/1001", BuiltIn::UInt16)];
        let mut asked = 0;
        *slave.script.lock().expect("lock") = Some(Box::new(move |pdu, words| {
            let start = count_up(pdu, words);
            asked += usize::from(pdu[0] == 3);
            if pdu[0] == 3 && asked % 7 == 0 { trouble(start) } else { Does::Answer }
        }));
        let listening = slave.listen(Framing::Tcp, Faults::none()).await;
        let settings = Settings::of::<modbus::Tcp>(tcp(listening.port));
        let bench =
            Bench::start(vec![Line { timeout: Duration::from_millis(60), retries, ..Line::new(settings, points) }]);
        bench.until_status(0, StatusCode::Good).await;
        let writes = async {
            for round in 0..15 {
                bench.write(1, &Value::UInt16(round)).await;
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
        };
        let (seen, ()) = tokio::join!(good_values(&bench, 0, 20), writes);
        for value in seen {
            let Value::UInt32(number) = value else { panic!("{value:?}") };
            assert_eq!(number >> 16, number & 0xffff, "both parts of one scan, {retries} retries");
        }
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_fails_costs_a_value_in_parts_of_another_class_nothing() {
    let slave = Slave::new();
    set(&slave, 0, &[0]);
    let mut value = list(&["holding/0", "holding/1000"], BuiltIn::UInt32);
    value.poll = Some(Duration::from_millis(100));
    let mut failing = point("holding/2000", BuiltIn::UInt16);
    failing.poll = Some(Duration::from_millis(5));
    *slave.script.lock().expect("lock") = Some(Box::new(|pdu, words| {
        std::thread::sleep(Duration::from_millis(6));
        if count_up(pdu, words) == 2000 { Does::Exception(4) } else { Does::Answer }
    }));
    let (bench, _listening) = started(&slave, tcp(0), vec![value, failing]).await;
    good_values(&bench, 0, 5).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_value_in_parts_shows_at_once_and_is_never_mixed_with_the_old_one() {
    let slave = Slave::new();
    let mut split = point("holding/10", BuiltIn::UInt32);
    split.register.split = Some(true);
    let points = vec![
        list(&["holding/0", "holding/1000"], BuiltIn::UInt32),
        list(&["holding/1001", "holding/1"], BuiltIn::UInt32),
        split,
    ];
    set(&slave, 0, &[0, 0]);
    set(&slave, 1000, &[0, 0]);
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let settings = Settings::of::<modbus::Tcp>(TcpSettings { max_registers: 1, max_gap: 0, ..tcp(listening.port) });
    let minute = Duration::from_secs(60);
    let bench = Bench::start(vec![Line { poll: minute, stale_after: minute * 3, ..Line::new(settings, points) }]);
    for tag in 0..3 {
        bench.until_status(tag, StatusCode::Good).await;
        let value = Value::UInt32(0x0001_0002 + tag);
        assert_eq!(bench.write(tag, &value).await, StatusCode::Good);
        bench.until(tag, "written", |sample| sample.value == value).await;
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_every_repeats_the_registers_and_not_the_value_of_the_tag() {
    let factor = |factor| Scale::Factor { factor, offset: 0.0 };
    let mut points = vec![
        point("holding/0", BuiltIn::String).length(8),
        point("holding/10", BuiltIn::Float).raw(RawType::Int32).scale(factor(0.001)),
        point("holding/20", BuiltIn::Float).raw(RawType::Int16).scale(factor(1.0)),
        point("holding/30.4..7", BuiltIn::UInt16),
        point("coil/3", BuiltIn::Boolean),
        list(&["holding/41", "holding/40"], BuiltIn::UInt32),
        point("holding/50", BuiltIn::Float).raw(RawType::Int16).scale(Scale::Range {
            raw: (0.0, 1_000.0),
            eu: (0.0, 100.0),
            clamp: true,
        }),
    ];
    points[2].deadband = 5.0;
    points.iter_mut().for_each(|point| point.write_every = Some(Duration::from_millis(60)));
    let slave = Slave::new();
    let padded = [0x5055, 0x4d50, 0x2020, 0x2020];
    set(&slave, 0, &padded);
    set(&slave, 10, &[0x4996, 0x02d2]);
    for (at, words) in [(20, &[50][..]), (30, &[0xabcd]), (40, &[2, 1]), (50, &[1_500])] {
        set(&slave, at, words);
    }
    slave.bits.lock().expect("lock")[3] = true;
    let (bench, _listening) = started(&slave, tcp(0), points).await;
    for tag in 0..7 {
        bench.until_status(tag, StatusCode::Good).await;
    }
    assert_eq!(bench.write(2, &Value::Float(53.0)).await, StatusCode::Good);
    asked(&slave);
    let count = |function: u8| slave.asked.lock().expect("lock").iter().filter(|(_, of)| *of == function).count();
    until_async("all are written again", || [5, 6, 16, 22].iter().all(|function| count(*function) >= 6)).await;
    assert_eq!(get(&slave, 0), padded);
    assert_eq!(get(&slave, 10), [0x4996, 0x02d2], "a Float has fewer digits");
    assert_eq!(get(&slave, 20), [53], "the deadband hides it, and yet it is there");
    assert_eq!((get(&slave, 30), get(&slave, 40), get(&slave, 50)), ([0xabcd], [2, 1], [1_500]));
    assert!(slave.bits.lock().expect("lock")[3]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_again_to_a_silent_device_do_not_starve_its_neighbour() {
    for read in [false, true] {
        let slave = Slave::new();
        let listening = slave.listen(Framing::Tcp, Faults::none()).await;
        let again = |at: u16| {
            let mut point = point(&format!("holding/{at}"), BuiltIn::UInt16);
            (point.read, point.write_every) = (read, Some(Duration::from_millis(50)));
            point
        };
        let line = |unit, points| Line {
            timeout: Duration::from_millis(200),
            ..Line::new(tcp_unit(listening.port, unit, TcpFraming::Tcp), points)
        };
        let neighbour = line(2, vec![point("holding/100", BuiltIn::UInt16)]);
        let bench = Bench::start(vec![line(1, (0..5).map(again).collect()), neighbour]);
        bench.until_status(5, StatusCode::Good).await;
        for tag in 0..5 {
            assert_eq!(bench.write(tag, &Value::UInt16(7)).await, StatusCode::Good);
        }
        slave.silent_units.lock().expect("lock").insert(1);
        asked(&slave);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let reads = asked(&slave).len();
        assert!(reads >= 20, "{reads} reads of the neighbour in 3 s");
        slave.silent_units.lock().expect("lock").clear();
        set(&slave, 0, &[0; 5]);
        if !read {
            until_async("the device is back", || get(&slave, 0) == [7; 5]).await;
        }
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_uses_the_exponent_that_the_device_has_at_that_moment() {
    let slave = Slave::new();
    let points = vec![
        point("holding/10", BuiltIn::Double).raw(RawType::Int16).exponent("holding/11"),
        point("holding/20", BuiltIn::Double).raw(RawType::Int16).exponent("holding/3000"),
    ];
    set(&slave, 10, &[7, 0]);
    set(&slave, 20, &[7]);
    set(&slave, 3000, &[0]);
    let listening = slave.listen(Framing::Tcp, Faults::none()).await;
    let minute = Duration::from_secs(60);
    let settings = Settings::of::<modbus::Tcp>(tcp(listening.port));
    let bench = Bench::start(vec![Line { poll: minute, stale_after: minute * 3, ..Line::new(settings, points) }]);
    for (tag, at, exponent) in [(0, 10, 11), (1, 20, 3000)] {
        bench.until_status(tag, StatusCode::Good).await;
        set(&slave, exponent, &[1]);
        assert_eq!(bench.write(tag, &Value::Double(50.0)).await, StatusCode::Good);
        assert_eq!(get(&slave, at), [5]);
        bench.until(tag, "written", |sample| sample.value == Value::Double(50.0)).await;
        // No power of ten of any device: only zero is the same with each.
        set(&slave, exponent, &[0x8000]);
        assert!(bench.write(tag, &Value::Double(50.0)).await.is_bad());
        assert_eq!(get(&slave, at), [5]);
        assert_eq!(bench.write(tag, &Value::Double(0.0)).await, StatusCode::Good);
        assert_eq!(get(&slave, at), [0]);
    }
    bench.stop().await;
}
