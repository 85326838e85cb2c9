//! Values of every type, packed arrays, texts and bits, and what a write changes in the PLC.

use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::logix::{BOOL, DINT, DWORD, INT, LINT, LREAL, Logix, MOTOR, Of, PAIR, REAL, SINT, STRING, STRING_20};
use testkit::plc::Faults;

use super::{cell, start, why};
use testkit::plant::Bench;

fn text(letters: &[u8], count: u8) -> Vec<u8> {
    [&[count, 0, 0, 0], letters].concat()
}

/// A PLC with a tag of each type.
fn plc() -> std::sync::Arc<Logix> {
    let plc = Logix::new(0);
    let float = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    plc.set("Running", BOOL, &[1], &[0xff]);
    plc.set("Small", SINT, &[1], &[0xfe]);
    plc.set("Int", INT, &[1], &[0xfe, 0xff]);
    plc.set("Long", DINT, &[1], &0x1234_5678_u32.to_le_bytes());
    plc.set("Longer", LINT, &[1], &(-2_i64).to_le_bytes());
    plc.set("Usint", Of::Atom(0xc6), &[1], &[200]);
    plc.set("Uint", Of::Atom(0xc7), &[1], &[0xfe, 0xff]);
    plc.set("Udint", Of::Atom(0xc8), &[1], &[0xff, 0xff, 0xff, 0xff]);
    plc.set("Ulint", Of::Atom(0xc9), &[1], &[0xff; 8]);
    plc.set("Word", Of::Atom(0xd2), &[1], &[1, 2]);
    plc.set("Real", REAL, &[1], &12.375_f32.to_le_bytes());
    plc.set("LReal", LREAL, &[1], &(-0.1_f64).to_le_bytes());
    plc.set("Status", DINT, &[1], &[0x20, 0, 0, 0x80]);
    plc.set("Words", INT, &[4], &[0, 0, 0, 0, 0, 0x80, 0, 0]);
    plc.set("Matrix", DINT, &[3, 4], &(0..12_i32).flat_map(i32::to_le_bytes).collect::<Vec<u8>>());
    plc.set("Curve", REAL, &[5], &float(&[1.0, 2.0, 3.0, 4.0, 5.0]));
    plc.set("Heads", DWORD, &[3], &[0x08, 0, 0, 0x80, 0x01, 0, 0, 0, 0xff, 0, 0, 0]);
    plc.set("Name", STRING, &[1], &text(b"F\xd6l", 3));
    plc.set("Short", STRING_20, &[1], &text(b"abc", 3));
    plc.set("Names", STRING_20, &[3], &text(b"one", 3));
    plc.set("Program:Main.Speed", REAL, &[1], &1.5_f32.to_le_bytes());
    let mut motors = vec![0; 48 * 4];
    motors[48 * 3..48 * 3 + 4].copy_from_slice(&7.5_f32.to_le_bytes());
    motors[48 * 3 + 4..48 * 3 + 8].copy_from_slice(&17_i32.to_le_bytes());
    motors[48 * 3 + 12] = 2;
    motors[48 * 3 + 16..48 * 3 + 22].copy_from_slice(&text(b"M3", 2));
    plc.set("Motors", MOTOR, &[4], &motors);
    plc.set("Local:1:I", MOTOR, &[1], &[0; 4]);
    plc
}

const NODES: &str = "
    Running: { type: Boolean, source: { address: Running, write: true } }
    Small:   { type: SByte, source: { address: Small, write: true } }
    Int:     { type: Int16, source: { address: INT, write: true } }
    Long:    { type: Int32, source: { address: Long, write: true } }
    Longer:  { type: Int64, source: { address: Longer, write: true } }
    Usint:   { type: Byte, source: { address: Usint, write: true } }
    Uint:    { type: UInt16, source: { address: Uint, write: true } }
    Udint:   { type: UInt32, source: { address: Udint, write: true } }
    Ulint:   { type: UInt64, source: { address: Ulint, write: true } }
    Word:    { type: UInt16, source: { address: Word, write: true } }
    Real:    { type: Float, source: { address: Real, write: true } }
    LReal:   { type: Double, source: { address: LReal, write: true } }
    Wide:    { type: Double, source: Int }
    Bit:     { type: Boolean, source: { address: Status.5, write: true } }
    Last:    { type: Boolean, source: { address: Status.31, write: true } }
    Sign:    { type: Boolean, source: { address: 'Words[2].15', write: true } }
    Cell:    { type: Int32, source: { address: 'Matrix[1,2]', write: true } }
    Rest:    { type: Int32, array: 5, source: { address: 'Matrix[1,2]', write: true } }
    Curve:   { type: Float, array: 5, source: { address: Curve, write: true } }
    Part:    { type: Float, array: 2, source: { address: 'Curve[3]', write: true } }
    Head:    { type: Boolean, source: { address: 'Heads[31]', write: true } }
    Heads:   { type: Boolean, array: 24, source: { address: Heads, write: true } }
    Middle:  { type: Boolean, array: 40, source: { address: 'Heads[30]', write: true } }
    Name:    { type: String, source: { address: Name, write: true } }
    Short:   { type: String, source: { address: Short, write: true } }
    Names:   { type: String, array: 3, source: { address: Names, write: true } }
    Second:  { type: String, source: 'Names[0]' }
    Program: { type: Float, source: { address: 'Program:Main.Speed', write: true } }
    Motor:   { type: Float, source: { address: 'Motors[3].Speed', write: true } }
    Starts:  { type: Int32, source: 'Motors[3].Starts' }
    Flag:    { type: Boolean, source: { address: 'Motors[3].Flags[33]', write: true } }
    MName:   { type: String, source: { address: 'Motors[3].Name', write: true } }
    Module:  { type: Float, source: 'Local:1:I.Speed' }
";

fn bools(bits: impl Iterator<Item = bool>) -> Value {
    Value::array(Elements::Boolean(bits.collect()))
}

/// Tags with the value that a client reads first, and the value that it writes after that.
fn values() -> Vec<(&'static str, Value, Option<Value>)> {
    let texts = |all: [&str; 3]| Value::array(Elements::String(all.map(Into::into).into()));
    let floats = |all: &[f32]| Value::array(Elements::Float(all.to_vec()));
    let dints = |all: &[i32]| Value::array(Elements::Int32(all.to_vec()));
    vec![
        ("Running", Value::Boolean(true), Some(Value::Boolean(false))),
        ("Small", Value::SByte(-2), Some(Value::SByte(-128))),
        ("Int", Value::Int16(-2), Some(Value::Int16(-32_768))),
        ("Long", Value::Int32(0x1234_5678), Some(Value::Int32(-7))),
        ("Longer", Value::Int64(-2), Some(Value::Int64(i64::MIN))),
        ("Usint", Value::Byte(200), Some(Value::Byte(255))),
        ("Uint", Value::UInt16(65_534), Some(Value::UInt16(1))),
        ("Udint", Value::UInt32(u32::MAX), Some(Value::UInt32(7))),
        ("Ulint", Value::UInt64(u64::MAX), Some(Value::UInt64(9))),
        ("Word", Value::UInt16(0x201), Some(Value::UInt16(0xabcd))),
        ("Real", Value::Float(12.375), Some(Value::Float(-1.5))),
        ("LReal", Value::Double(-0.1), Some(Value::Double(0.25))),
        ("Bit", Value::Boolean(true), Some(Value::Boolean(false))),
        ("Last", Value::Boolean(true), Some(Value::Boolean(false))),
        ("Sign", Value::Boolean(true), Some(Value::Boolean(false))),
        ("Cell", Value::Int32(6), Some(Value::Int32(66))),
        ("Rest", dints(&[6, 7, 8, 9, 10]), Some(dints(&[1, 2, 3, 4, 5]))),
        ("Curve", floats(&[1.0, 2.0, 3.0, 4.0, 5.0]), Some(floats(&[9.0, 8.0, 7.0, 6.0, 5.5]))),
        ("Part", floats(&[4.0, 5.0]), Some(floats(&[0.5, 0.25]))),
        ("Head", Value::Boolean(true), Some(Value::Boolean(false))),
        ("Heads", bools((0..24).map(|at| at == 3)), Some(bools((0..24).map(|at| at % 2 == 0)))),
        (
            "Middle",
            bools((30..70).map(|at| [31, 32, 64, 65, 66, 67, 68, 69].contains(&at))),
            Some(bools((0..40).map(|at| at % 3 == 0))),
        ),
        ("Name", Value::text("FÖl"), Some(Value::text("Füller 3"))),
        ("Short", Value::text("abc"), Some(Value::text("123456789012345678901"))),
        ("Names", texts(["one", "", ""]), Some(texts(["a", "bb", "ccc"]))),
        ("Program", Value::Float(1.5), Some(Value::Float(2.5))),
        ("Motor", Value::Float(7.5), Some(Value::Float(8.5))),
        ("Starts", Value::Int32(17), None),
        ("Flag", Value::Boolean(true), Some(Value::Boolean(false))),
        ("MName", Value::text("M3"), Some(Value::text("Motor drei"))),
        ("Module", Value::Float(0.0), None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_is_read_and_written_with_and_without_a_connection_of_cip() {
    for (largest, more) in [(4_000, ""), (500, ", slot: 2"), (0, ", path: '2,10.0.0.5,1,3'"), (0, ", path: none")] {
        let plc = plc();
        *plc.largest.lock().expect("lock") = largest;
        let listening = plc.listen(Faults::none()).await;
        let bench = Bench::of_cell(&cell(listening.port, more, NODES));
        for (name, wanted, _) in values() {
            let sample = bench.until(bench.tag(name), &format!("{name} Good"), |sample| sample.status.is_good()).await;
            assert_eq!(sample.value, wanted, "{name}{more}");
        }
        assert_eq!(bench.sample(bench.tag("Wide")).value, Value::Double(-2.0));
        for (name, before, next) in values() {
            let Some(next) = next else { continue };
            // Some tags are parts of others.
            if ["Middle", "Curve", "Cell", "Heads"].contains(&name) {
                continue;
            }
            assert_eq!(bench.write(bench.tag(name), &next).await, StatusCode::Good, "{name}{more}");
            bench.until(bench.tag(name), &format!("{name}: {next:?}"), |sample| sample.value == next).await;
            assert_eq!(bench.write(bench.tag(name), &before).await, StatusCode::Good, "{name}{more}");
            bench.until(bench.tag(name), &format!("{name}: {before:?}"), |sample| sample.value == before).await;
        }
        for name in ["Middle", "Curve", "Cell", "Heads"] {
            let next =
                values().into_iter().find(|(one, ..)| *one == name).and_then(|(.., next)| next).expect("a value");
            assert_eq!(bench.write(bench.tag(name), &next).await, StatusCode::Good, "{name}{more}");
            bench.until(bench.tag(name), &format!("{name}: {next:?}"), |sample| sample.value == next).await;
        }
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_changes_its_own_bits_and_bytes_alone() {
    let plc = plc();
    plc.set("Heads", DWORD, &[3], &[0xff; 12]);
    plc.set("Status", DINT, &[1], &[0xff; 4]);
    plc.set("Wide", LINT, &[1], &[0; 8]);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(
        listening.port,
        "
        Bit:    { type: Boolean, source: { address: Status.9, write: true } }
        Wide:   { type: Boolean, source: { address: Wide.40, write: true } }
        Heads:  { type: Boolean, array: 5, source: { address: 'Heads[30]', write: true } }
        Name:   { type: String, source: { address: Name, write: true } }
        Only:   { type: Int16, source: { address: Int, read: false, write: true } }
        Full:   { type: Int32, source: { address: Small, write: true } }
        ",
    );
    bench.until_status(bench.tag("Bit"), StatusCode::Good).await;
    assert_eq!(bench.write(bench.tag("Only"), &Value::Int16(258)).await, StatusCode::Good, "it reads the type first");
    assert_eq!(plc.bytes("Int"), [2, 1]);
    assert_eq!(bench.write(bench.tag("Bit"), &Value::Boolean(false)).await, StatusCode::Good);
    assert_eq!(plc.bytes("Status"), [0xff, 0xfd, 0xff, 0xff]);
    assert_eq!(bench.write(bench.tag("Wide"), &Value::Boolean(true)).await, StatusCode::Good);
    assert_eq!(plc.bytes("Wide"), [0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(bench.write(bench.tag("Heads"), &bools([false; 5].into_iter())).await, StatusCode::Good);
    assert_eq!(plc.bytes("Heads"), [0xff, 0xff, 0xff, 0x3f, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(bench.write(bench.tag("Name"), &Value::text(&"x".repeat(83))).await, StatusCode::BadOutOfRange);
    assert_eq!(bench.write(bench.tag("Name"), &Value::text("€")).await, StatusCode::BadOutOfRange);
    assert_eq!(bench.write(bench.tag("Full"), &Value::Int32(128)).await, StatusCode::BadOutOfRange);
    plc.lacks.lock().expect("lock").push(0x4e);
    assert_eq!(bench.write(bench.tag("Bit"), &Value::Boolean(true)).await, StatusCode::BadNotWritable);
    assert_eq!(plc.bytes("Status"), [0xff, 0xfd, 0xff, 0xff], "a bit is never written with its neighbours");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_value_is_bad_with_its_reason() {
    let plc = plc();
    plc.set("Nan", REAL, &[1], &f32::NAN.to_le_bytes());
    plc.set("Wrong", STRING, &[1], &text(b"abc", 83));
    plc.set("Digits", STRING, &[1], &text(b" 12.5", 5));
    plc.set("Pair", PAIR, &[1], &[3, 0, 0, 0, 65, 66, 67, 0]);
    let listening = plc.listen(Faults::none()).await;
    let bench = start(
        listening.port,
        "
        Nan:    { type: Float, source: Nan }
        Narrow: { type: SByte, source: Uint }
        Whole:  { type: Int32, source: Real }
        Bool:   { type: Boolean, source: Long }
        Text:   { type: String, source: Long }
        Motor:  { type: Float, source: 'Motors[0]' }
        Pair:   { type: String, source: Pair }
        Len:    { type: String, source: Wrong }
        Letters: { type: Double, source: Name }
        Digits: { type: Double, source: Digits }
        Bit:    { type: Boolean, source: Int.16 }
        Packed: { type: Int32, source: 'Heads[1]' }
        Beyond: { type: Boolean, source: 'Heads[96]' }
        ",
    );
    let (encoding, config) = (StatusCode::BadDataEncodingInvalid, StatusCode::BadConfigurationError);
    for (name, status, words) in [
        ("Nan", StatusCode::BadSensorFailure, "Nan: the value is NaN"),
        ("Narrow", encoding, "the device sends 65534, which its type cannot hold"),
        ("Whole", encoding, "the device sends 12.375, which its type cannot hold"),
        ("Bool", encoding, "the device sends 305419896, which its type cannot hold"),
        ("Text", config, "Long: the PLC has DINT there, which makes no String"),
        ("Motor", config, "Motors[0]: the PLC has a structure there, which makes no Float; name one of its members"),
        ("Pair", config, "Pair: the PLC has a structure there, which makes no String; name one of its members"),
        ("Len", encoding, "Wrong: LEN is 83, and DATA has 82 letters"),
        ("Letters", encoding, "Name: `FÖl` is no Double"),
        ("Bit", config, "Int.16: bit 16: the PLC has INT there, with bits 0 to 15"),
        ("Packed", config, "Heads[1]: the PLC has an array of BOOL there; write `type: Boolean`"),
        ("Beyond", config, "Heads[96]: the array ends before; no such element (status 0xff/0x2105)"),
    ] {
        let sample = bench.until_status(bench.tag(name), status).await;
        assert!(sample.value.is_null(), "{name}");
        assert_eq!(why(&bench, bench.tag(name)), words, "{name}");
    }
    assert_eq!(bench.until_status(bench.tag("Digits"), StatusCode::Good).await.value, Value::Double(12.5));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_longer_than_a_packet_is_read_and_written_in_parts() {
    for largest in [0, 500, 4_000] {
        let plc = plc();
        *plc.largest.lock().expect("lock") = largest;
        let wanted: Vec<i32> = (0..3_000).map(|at: u32| testkit::logix::mark(at)).collect();
        plc.set("Long", DINT, &[3_000], &wanted.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>());
        plc.set("Many", STRING_20, &[200], &text(b"first", 5));
        let listening = plc.listen(Faults::none()).await;
        let bench = start(
            listening.port,
            "
            Long: { type: Int32, array: 3000, source: { address: Long, write: true } }
            Near: { type: Float, source: Real }
            Many: { type: String, array: 200, source: { address: Many, write: true } }
            ",
        );
        let sample = bench.until(0, "Good", |sample| sample.status.is_good()).await;
        assert_eq!(sample.value, Value::array(Elements::Int32(wanted)), "{largest}");
        let next = Value::array(Elements::Int32((0..3_000).collect()));
        assert_eq!(bench.write(0, &next).await, StatusCode::Good);
        bench.until(0, "written", |sample| sample.value == next).await;
        let texts = Value::array(Elements::String((0..200).map(|at| format!("text {at}").into()).collect()));
        bench.until(2, "Good", |sample| sample.status.is_good()).await;
        assert_eq!(bench.write(2, &texts).await, StatusCode::Good);
        bench.until(2, "written", |sample| sample.value == texts).await;
        bench.until_status(1, StatusCode::Good).await;
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_after_a_download_is_followed() {
    let plc = plc();
    let listening = plc.listen(Faults::none()).await;
    let bench = start(
        listening.port,
        "
        A: { type: Int32, source: { address: Long, write: true } }
        B: { type: Boolean, source: { address: 'Heads[33]', write: true } }
        ",
    );
    bench.until_status(0, StatusCode::Good).await;
    bench.until(1, "off", |sample| sample.value == Value::Boolean(false)).await;
    plc.set("Long", INT, &[1], &[5, 0]);
    plc.set("Heads", BOOL, &[40], &[[0; 33].to_vec(), vec![1]].concat());
    bench.until(0, "five", |sample| sample.value == Value::Int32(5)).await;
    bench.until(1, "on", |sample| sample.value == Value::Boolean(true)).await;
    assert_eq!(bench.write(0, &Value::Int32(6)).await, StatusCode::Good);
    assert_eq!(plc.bytes("Long"), [6, 0]);
    bench.stop().await;
}
