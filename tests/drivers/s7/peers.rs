//! The driver against other people's servers: the C library snap7, and python-snap7's own in Python.

use std::time::Duration;

use opcell::value::{BuiltIn, Elements, UaTime, Value};
use opcua::StatusCode;
use testkit::peers;
use testkit::peers::Snap7;
use testkit::plant::Bench;

use super::{cell, start};

/// The bytes that the server holds.
const IMAGE: &[&str] = &[
    "db1.0=05",                         // bits 0 and 2
    "db1.4=41460000",                   // 12.375
    "db1.8=c028c00000000000",           // -12.375
    "db1.16=fffe",                      // -2
    "db1.18=abcd",                      //
    "db1.20=edcba988",                  // -0x12345678
    "db1.24=12345678",                  //
    "db1.28=fffffffffffffffe",          // -2
    "db1.36=fe80",                      // -2, 0x80
    "db1.40=140346d66c",                // STRING[20] "FÖl"
    "db1.62=000a000220ac006c",          // WSTRING[10] "€l"
    "db1.90=4142432020000000",          // CHAR[8] "ABC"
    "db1.100=07ea0b1d0117080f0754d4c0", // DTL 2026-11-29 23:08:15.123
    "db1.112=fffffc18",                 // TIME -1 s
    "db1.116=01020304",                 // TIME_OF_DAY
    "db1.120=3f800000c000000040600000", // REAL 1, -2, 3.5
    "db1.140=2611292308151231",         // DATE_AND_TIME of the same moment
    "db1.148=0000000000000064",         // LDT: 100 ns
    "db1.156=0001",                     // DATE 1990-01-02
    "db1.158=1127",                     // S5TIME 12.7 s
    "db1.160=0d0f",                     // bits 0, 2, 3 and four of the next
    "db1.170=1234",                     // BCD
    "db1.172=98765432",                 //
    "db1.176=7fc00000",                 // NaN
    "mk.10=08",                         //
    "mk.20=0102",                       //
    "pe.64=3600",                       //
    "pa.0=02",                          //
    "tm.2=1127",                        // T5: the C server takes half of the number for the byte
    "ct.1=0123",                        // C3
];

const NODES: &str = "
    Bit:     { type: Boolean, source: { address: DB1.DBX0.2, write: true } }
    Bits:    { type: Boolean, array: 12, source: { address: DB1.DBX160.0, write: true } }
    Real:    { type: Float, source: { address: DB1.DBD4, write: true } }
    Wide:    { type: Double, source: DB1.DBD4 }
    LReal:   { type: Double, source: { address: DB1.DBL8, write: true } }
    Int:     { type: Int16, source: { address: DB1.DBW16, write: true } }
    Word:    { type: UInt16, source: { address: DB1.DBW18, write: true } }
    DInt:    { type: Int32, source: { address: DB1.DBD20, write: true } }
    DWord:   { type: UInt32, source: { address: DB1.DBD24, write: true } }
    LInt:    { type: Int64, source: { address: DB1.DBL28, write: true } }
    SInt:    { type: SByte, source: { address: DB1.DBB36, write: true } }
    Byte:    { type: Byte, source: { address: DB1.DBB37, write: true } }
    Name:    { type: String, length: 20, source: { address: DB1.DBB40, write: true } }
    Wname:   { type: String, length: 10, source: { address: DB1.DBB62, raw_type: wstring, write: true } }
    Chars:   { type: String, length: 8, source: { address: DB1.DBB90, raw_type: text, write: true } }
    Dtl:     { type: DateTime, source: { address: DB1.DBB100, raw_type: dtl, write: true } }
    Time:    { type: Int32, source: { address: DB1.DBD112, raw_type: time, write: true } }
    Tod:     { type: UInt32, source: { address: DB1.DBD116, raw_type: tod, write: true } }
    Three:   { type: Float, array: 3, source: { address: DB1.DBD120, write: true } }
    Dt:      { type: DateTime, source: { address: DB1.DBB140, raw_type: dt, write: true } }
    Ldt:     { type: DateTime, source: { address: DB1.DBL148, raw_type: ldt, write: true } }
    Date:    { type: DateTime, source: { address: DB1.DBW156, raw_type: date, write: true } }
    S5:      { type: UInt32, source: { address: DB1.DBW158, raw_type: s5time, write: true } }
    Bcd16:   { type: UInt16, source: { address: DB1.DBW170, raw_type: bcd16, write: true } }
    Bcd32:   { type: UInt32, source: { address: DB1.DBD172, raw_type: bcd32, write: true } }
    Bytes:   { type: ByteString, length: 4, source: { address: DB1.DBB200, write: true } }
    Memory:  { type: Boolean, source: { address: M10.3, write: true } }
    MemoryW: { type: UInt16, source: { address: MW20, write: true } }
    Input:   { type: Int16, source: IW64 }
    Output:  { type: Boolean, source: { address: Q0.1, write: true } }
    V:       { type: Boolean, source: V0.0 }
";

/// Tags with the value of the image that a client reads first, and the value that it writes after that.
fn values() -> Vec<(&'static str, Value, Option<Value>)> {
    let bits = |bits: [u8; 12]| Value::array(Elements::Boolean(bits.iter().map(|bit| *bit == 1).collect()));
    let at = |ms: u64| Value::DateTime(UaTime::from_unix(Duration::from_millis(ms)));
    let bytes = |bytes: &[u8]| Value::ByteString(bytes.into());
    let float = |numbers: &[f32]| Value::array(Elements::Float(numbers.to_vec()));
    // 2026-11-29T23:08:15.123Z
    let moment = 1_795_993_695_123;
    vec![
        ("Bit", Value::Boolean(true), Some(Value::Boolean(false))),
        ("Bits", bits([1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]), Some(bits([0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]))),
        ("Real", Value::Float(12.375), Some(Value::Float(-1.5))),
        ("LReal", Value::Double(-12.375), Some(Value::Double(0.1))),
        ("Int", Value::Int16(-2), Some(Value::Int16(-32_768))),
        ("Word", Value::UInt16(0xabcd), Some(Value::UInt16(65_535))),
        ("DInt", Value::Int32(-0x1234_5678), Some(Value::Int32(7))),
        ("DWord", Value::UInt32(0x1234_5678), Some(Value::UInt32(u32::MAX))),
        ("LInt", Value::Int64(-2), Some(Value::Int64(i64::MIN))),
        ("SInt", Value::SByte(-2), Some(Value::SByte(-128))),
        ("Byte", Value::Byte(0x80), Some(Value::Byte(1))),
        ("Name", Value::text("FÖl"), Some(Value::text("Füller 3"))),
        ("Wname", Value::text("€l"), Some(Value::text("Öl € 12"))),
        ("Chars", Value::text("ABC"), Some(Value::text("Zwölf"))),
        ("Dtl", at(moment), Some(at(1_700_000_000_987))),
        ("Time", Value::Int32(-1_000), Some(Value::Int32(86_400_000))),
        ("Tod", Value::UInt32(0x0102_0304), Some(Value::UInt32(86_399_999))),
        ("Three", float(&[1.0, -2.0, 3.5]), Some(float(&[9.0, 8.0, 7.0]))),
        ("Dt", at(moment), Some(at(1_700_000_000_987))),
        ("Ldt", Value::DateTime(UaTime::from_unix(Duration::from_nanos(100))), Some(at(moment))),
        ("Date", at(631_152_000_000 + 86_400_000), Some(at(1_699_920_000_000))),
        ("S5", Value::UInt32(12_700), Some(Value::UInt32(9_990))),
        ("Bcd16", Value::UInt16(1_234), Some(Value::UInt16(9_999))),
        ("Bcd32", Value::UInt32(98_765_432), Some(Value::UInt32(1))),
        ("Bytes", bytes(&[200, 201, 202, 203]), Some(bytes(&[0, 255, 1, 2]))),
        ("Memory", Value::Boolean(true), Some(Value::Boolean(false))),
        ("MemoryW", Value::UInt16(0x0102), Some(Value::UInt16(3))),
        ("Input", Value::Int16(0x3600), None),
        ("Output", Value::Boolean(true), Some(Value::Boolean(false))),
        ("V", Value::Boolean(true), None),
    ]
}

async fn reads_and_writes_every_type(kind: Snap7) {
    let port = peers::free_port();
    let Some(_peer) = peers::snap7(kind, port, IMAGE) else { return };
    let bench = start(port, NODES);
    for (name, wanted, _) in values() {
        let sample = bench.until(bench.tag(name), &format!("{name} Good"), |sample| sample.status.is_good()).await;
        assert_eq!(sample.value, wanted, "{kind:?} {name}");
    }
    assert_eq!(bench.sample(bench.tag("Wide")).value, Value::Double(12.375));
    for (name, _, next) in values() {
        let Some(next) = next else { continue };
        // The server in Python writes a whole byte for a bit.
        if kind == Snap7::Python && next.built_in() == Some(BuiltIn::Boolean) {
            continue;
        }
        assert_eq!(bench.write(bench.tag(name), &next).await, StatusCode::Good, "{kind:?} {name}");
        bench.until(bench.tag(name), &format!("{name}: {next:?}"), |sample| sample.value == next).await;
    }
    // Nothing but the written bits and bytes has changed.
    for (name, wanted) in [("Wide", Value::Double(-1.5)), ("V", Value::Boolean(true))] {
        assert_eq!(bench.sample(bench.tag(name)).value, wanted, "{kind:?} {name}");
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_server_gives_and_takes_every_type() {
    reads_and_writes_every_type(Snap7::C).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_server_gives_and_takes_every_type() {
    reads_and_writes_every_type(Snap7::Python).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_that_tags_alone() {
    for kind in [Snap7::C, Snap7::Python] {
        let port = peers::free_port();
        let Some(_peer) = peers::snap7(kind, port, IMAGE) else { return };
        let bench = start(
            port,
            "
            A:      { type: UInt16, source: DB2.DBW0 }
            Beyond: { type: UInt16, source: { address: DB2.DBW10, write: true } }
            B:      { type: UInt16, source: DB2.DBW8 }
            Absent: { type: UInt16, source: { address: DB77.DBW0, write: true } }
            Real:   { type: Float, source: DB1.DBD4 }
            ",
        );
        for (name, value) in [("A", Value::UInt16(1)), ("B", Value::UInt16(0x0809)), ("Real", Value::Float(12.375))] {
            assert_eq!(bench.until_status(bench.tag(name), StatusCode::Good).await.value, value, "{kind:?} {name}");
        }
        for name in ["Beyond", "Absent"] {
            bench.until_status(bench.tag(name), StatusCode::BadConfigurationError).await;
            let why = bench.tags.reason(opcell::testing::model::TagId(bench.tag(name)));
            let why = why.expect("a reason");
            assert!(why.contains("is absent, shorter, or has optimised access"), "{kind:?} {why}");
        }
        let refused = StatusCode::BadConfigurationError;
        assert_eq!(bench.write(bench.tag("Absent"), &Value::UInt16(1)).await, refused, "{kind:?}");
        bench.until_status(bench.tag("A"), StatusCode::Good).await;
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_and_counters_of_the_c_server() {
    let port = peers::free_port();
    let Some(_peer) = peers::snap7(Snap7::C, port, IMAGE) else { return };
    let bench = start(port, "Timer: { type: UInt32, source: T5 }\nCounter: { type: UInt16, source: C3 }");
    assert_eq!(bench.until_status(bench.tag("Timer"), StatusCode::Good).await.value, Value::UInt32(12_700));
    assert_eq!(bench.until_status(bench.tag("Counter"), StatusCode::Good).await.value, Value::UInt16(123));
    bench.stop().await;
}

/// A thousand tags of one DB.
fn thousand() -> String {
    (0..1_000).map(|at| format!("T{at}: {{ type: UInt16, source: DB10.DBW{} }}\n", at * 2)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_turns_a_thousand_tags_bad_and_a_started_one_good() {
    for kind in [Snap7::C, Snap7::Python] {
        let port = peers::free_port();
        let bench = Bench::of_cell(&cell(port, "", &thousand()));
        bench.until_status(0, StatusCode::BadNotConnected).await;
        assert_eq!(bench.write(0, &Value::UInt16(1)).await, StatusCode::BadNotWritable);
        let Some(peer) = peers::snap7(kind, port, &[]) else { return };
        let are_good = async || {
            for tag in 0..1_000_u32 {
                let at = tag * 2;
                let wanted = Value::UInt16(u16::try_from((at & 255) << 8 | (at + 1) & 255).expect("16 bits"));
                assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, wanted, "{kind:?} {tag}");
            }
        };
        are_good().await;
        drop(peer);
        for tag in 0..1_000 {
            assert_eq!(bench.until_status(tag, StatusCode::BadNoCommunication).await.value, Value::Null);
        }
        let Some(peer) = peers::snap7(kind, port, &[]) else { return };
        are_good().await;
        // Stopped in its tracks it keeps the connection and is silent.
        peer.signal("-STOP");
        for tag in 0..1_000 {
            bench.until_status(tag, StatusCode::BadTimeout).await;
        }
        peer.signal("-CONT");
        are_good().await;
        bench.stop().await;
    }
}
