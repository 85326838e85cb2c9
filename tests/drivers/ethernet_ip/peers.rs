//! The driver against other people's server: cpppo.

use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::peers;
use testkit::plant::Bench;

use super::{cell, start, why};

const TAGS: &[&str] = &[
    "SCADA=DINT[1000]",
    "Flag=BOOL",
    "Flags=BOOL[40]",
    "Small=SINT",
    "Int=INT",
    "Long=DINT",
    "Real=REAL",
    "Curve=REAL[400]",
    "Name=SSTRING",
    "Motor1.Speed=REAL",
];

const NODES: &str = "
    Flag:  { type: Boolean, source: { address: Flag, write: true } }
    Flags: { type: Boolean, array: 5, source: { address: 'Flags[3]', write: true } }
    One:   { type: Boolean, source: { address: 'Flags[20]', write: true } }
    Small: { type: SByte, source: { address: Small, write: true } }
    Int:   { type: Int16, source: { address: Int, write: true } }
    Long:  { type: Int32, source: { address: Long, write: true } }
    Wide:  { type: Double, source: Long }
    Real:  { type: Float, source: { address: Real, write: true } }
    Cell:  { type: Int32, source: { address: 'SCADA[999]', write: true } }
    Many:  { type: Int32, array: 800, source: { address: 'SCADA[100]', write: true } }
    Curve: { type: Float, array: 400, source: { address: Curve, write: true } }
    Name:  { type: String, source: { address: Name, write: true } }
    Motor: { type: Float, source: { address: Motor1.Speed, write: true } }
";

#[tokio::test(flavor = "multi_thread")]
async fn cpppo_gives_and_takes_every_type_that_it_has() {
    let port = peers::free_port();
    let Some(_peer) = peers::cpppo(port, TAGS) else { return };
    // The server takes a third of a second for a packet of 4,000 bytes.
    let text = cell(port, "", NODES)
        .replace("timeout: 300ms", "timeout: 5s")
        .replace("stale_after: 300ms", "stale_after: 10s");
    let bench = Bench::of_cell(&text);
    let floats = |count: u16| Value::array(Elements::Float((0..count).map(f32::from).collect()));
    for (name, next) in [
        ("Flag", Value::Boolean(true)),
        ("Flags", Value::array(Elements::Boolean(vec![true, false, true, true, false]))),
        ("One", Value::Boolean(true)),
        ("Small", Value::SByte(-5)),
        ("Int", Value::Int16(-300)),
        ("Long", Value::Int32(-70_000)),
        ("Real", Value::Float(12.375)),
        ("Cell", Value::Int32(i32::MIN)),
        ("Many", Value::array(Elements::Int32((0..800).map(|at| at * 77_777).collect()))),
        ("Curve", floats(400)),
        ("Name", Value::text("Filler 3")),
        ("Motor", Value::Float(-1.5)),
    ] {
        bench.until_status(bench.tag(name), StatusCode::Good).await;
        assert_eq!(bench.write(bench.tag(name), &next).await, StatusCode::Good, "{name}");
        bench.until(bench.tag(name), &format!("{name}: {next:?}"), |sample| sample.value == next).await;
    }
    assert_eq!(bench.sample(bench.tag("Wide")).value, Value::Double(-70_000.0));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_that_tags_alone() {
    let port = peers::free_port();
    let Some(_peer) = peers::cpppo(port, TAGS) else { return };
    let bench = start(
        port,
        "
        A:      { type: Int32, source: 'SCADA[1]' }
        Beyond: { type: Int32, source: { address: 'SCADA[1000]', write: true } }
        B:      { type: Int32, source: 'SCADA[2]' }
        Absent: { type: Int32, source: { address: Nowhere, write: true } }
        Bit:    { type: Boolean, source: { address: Long.3, write: true } }
        ",
    );
    for name in ["A", "B", "Bit"] {
        bench.until_status(bench.tag(name), StatusCode::Good).await;
    }
    for name in ["Beyond", "Absent"] {
        bench.until_status(bench.tag(name), StatusCode::BadConfigurationError).await;
        assert!(why(&bench, bench.tag(name)).contains("(status 0x"), "{}", why(&bench, bench.tag(name)));
    }
    assert_eq!(bench.write(bench.tag("Absent"), &Value::Int32(1)).await, StatusCode::BadConfigurationError);
    // It closes the connection at a service that it lacks, and a bit is never written in another way.
    assert!(bench.write(bench.tag("Bit"), &Value::Boolean(true)).await.is_bad());
    bench.until_status(bench.tag("A"), StatusCode::Good).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_turns_a_thousand_tags_bad_and_a_started_one_good() {
    let port = peers::free_port();
    let nodes: String = (0..1_000).map(|at| format!("T{at}: {{ type: Int32, source: 'SCADA[{at}]' }}\n")).collect();
    // The server is slow: half a second for all of them.
    let text = cell(port, "", &nodes).replace("poll: 50ms, stale_after: 300ms", "poll: 1s, stale_after: 5s");
    let bench = Bench::of_cell(&text.replace("timeout: 300ms", "timeout: 2s"));
    bench.until(0, "not there", |sample| sample.status.is_bad()).await;
    let Some(peer) = peers::cpppo(port, TAGS) else { return };
    let are_good = async || {
        for tag in 0..1_000_u32 {
            assert_eq!(bench.until_status(tag, StatusCode::Good).await.value, Value::Int32(0), "{tag}");
        }
    };
    are_good().await;
    drop(peer);
    for tag in 0..1_000 {
        assert_eq!(bench.until_status(tag, StatusCode::BadNoCommunication).await.value, Value::Null);
    }
    let Some(_peer) = peers::cpppo(port, TAGS) else { return };
    are_good().await;
    bench.stop().await;
}
