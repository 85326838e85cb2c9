//! Tests that run inside of the machine, on simulated chips and sensors of its kernel.

use std::fs;
use std::path::Path;
use std::time::Duration;

use opcell::testing::model::TagId;
use opcell::value::{UaTime, Value};
use opcua::StatusCode;
use testkit::plant::Bench;

use super::sim::Sim;

fn cell(connection: &str, nodes: &str) -> String {
    let nodes: String = nodes.trim().lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!(
        "schema: 1
cell: board
connections:
  pins: {{ {connection}, timeout: 2s, reconnect_max: 100ms, allow_write: true }}
defaults: {{ connection: pins }}
nodes:
{nodes}"
    )
}

fn gpio(chip: &str, nodes: &str) -> String {
    cell(&format!("driver: gpio, chip: {chip}"), nodes)
}

fn reason(bench: &Bench, name: &str) -> String {
    bench.tags.reason(TagId(bench.tag(name))).map_or(String::new(), |why| why.to_string())
}

async fn reads(bench: &Bench, name: &str, wanted: &Value) -> opcell::value::Sample {
    bench
        .until(bench.tag(name), &format!("{wanted:?}"), |sample| sample.status.is_good() && sample.value == *wanted)
        .await
}

async fn is_bad(bench: &Bench, name: &str, status: StatusCode, why: &str) {
    bench.until_status(bench.tag(name), status).await;
    let said = reason(bench, name);
    assert!(said.contains(why), "{name}: {said}");
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn levels_names_and_edges_with_the_time_of_the_kernel() {
    let sim = Sim::new("pins", &[(3, "ESTOP"), (4, "17"), (6, "DOOR")]);
    sim.pull(3, true);
    let bench = Bench::of_cell(&gpio(
        "pins",
        "Plain: { type: Boolean, source: line/1 }
        Stop: { type: Boolean, source: { address: line/ESTOP, active: low } }
        Digits: { type: Boolean, source: line/name=17 }
        Door: { type: Byte, source: { address: line/DOOR, bias: up } }
        Rises: { type: UInt32, source: { address: line/1, count: rising } }
        Falls: { type: UInt32, source: { address: line/1, count: falling } }
        Both: { type: UInt64, source: { address: line/1, count: both } }",
    ));
    reads(&bench, "Plain", &Value::Boolean(false)).await;
    reads(&bench, "Stop", &Value::Boolean(false)).await;
    reads(&bench, "Digits", &Value::Boolean(false)).await;
    reads(&bench, "Door", &Value::Byte(1)).await;
    reads(&bench, "Rises", &Value::UInt32(0)).await;
    for _ in 0..3 {
        let before = UaTime::now();
        sim.pull(1, true);
        let after = UaTime::now();
        let sample = reads(&bench, "Plain", &Value::Boolean(true)).await;
        let time = sample.source_time;
        let slack = 200_000;
        assert!(time.0 >= before.0 - slack && time.0 <= after.0 + slack, "{before:?} {time:?} {after:?}");
        sim.pull(1, false);
        reads(&bench, "Plain", &Value::Boolean(false)).await;
    }
    reads(&bench, "Rises", &Value::UInt32(3)).await;
    reads(&bench, "Falls", &Value::UInt32(3)).await;
    reads(&bench, "Both", &Value::UInt64(6)).await;
    sim.pull(3, false);
    reads(&bench, "Stop", &Value::Boolean(true)).await;
    bench.stop().await;
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn outputs_are_written_read_back_and_left_in_their_safe_state() {
    let sim = Sim::new("pins", &[]);
    sim.pull(4, true);
    let bench = Bench::of_cell(&gpio(
        "pins",
        "Valve: { type: Boolean, source: { address: line/1, write: true, on_start: true, on_stop: false } }
        Low: { type: Boolean, source: { address: line/2, write: true, active: low, on_start: false } }
        Lamp: { type: Byte, source: { address: line/3, write: true } }
        Held: { type: Boolean, source: { address: line/4, write: true } }
        Seen: { type: Boolean, source: line/1 }
        Blind: { type: Boolean, source: { address: line/5, read: false, write: true } }",
    ));
    reads(&bench, "Valve", &Value::Boolean(true)).await;
    assert!(sim.level(1) && sim.level(2), "levels at the start");
    reads(&bench, "Low", &Value::Boolean(false)).await;
    reads(&bench, "Lamp", &Value::Byte(0)).await;
    reads(&bench, "Held", &Value::Boolean(true)).await;
    assert!(sim.level(4), "without on_start the level stays");
    reads(&bench, "Seen", &Value::Boolean(true)).await;
    assert_eq!(bench.write(bench.tag("Valve"), &Value::Boolean(false)).await, StatusCode::Good);
    assert!(!sim.level(1));
    reads(&bench, "Valve", &Value::Boolean(false)).await;
    reads(&bench, "Seen", &Value::Boolean(false)).await;
    assert_eq!(bench.write(bench.tag("Low"), &Value::Boolean(true)).await, StatusCode::Good);
    assert!(!sim.level(2));
    assert_eq!(bench.write(bench.tag("Lamp"), &Value::Byte(1)).await, StatusCode::Good);
    assert!(sim.level(3));
    assert_eq!(bench.write(bench.tag("Lamp"), &Value::Byte(2)).await, StatusCode::BadOutOfRange);
    assert_eq!(bench.write(bench.tag("Blind"), &Value::Boolean(true)).await, StatusCode::Good);
    assert!(sim.level(5));
    assert_eq!(bench.write(bench.tag("Valve"), &Value::Boolean(true)).await, StatusCode::Good);
    assert!(sim.level(1));
    let outputs = bench.stop().await;
    assert!(matches!(&outputs[..], [one] if one.result.is_ok()), "{outputs:?}");
    assert!(!sim.level(1), "the safe state");
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn the_example_serves_the_lines_of_a_chip() {
    let sim = Sim::new("pins", &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("address-space/drivers/gpio.yaml");
    let text = fs::read_to_string(path).expect("the example").replace("gpiochip0", &sim.device());
    let bench = Bench::of_cell(&text);
    reads(&bench, "Inputs.EmergencyStop", &Value::Boolean(false)).await;
    sim.pull(3, false);
    reads(&bench, "Inputs.EmergencyStop", &Value::Boolean(true)).await;
    sim.pull(5, true);
    reads(&bench, "Inputs.Litres", &Value::UInt32(1)).await;
    assert_eq!(bench.write(bench.tag("Outputs.Pump"), &Value::Boolean(true)).await, StatusCode::Good);
    assert!(sim.level(6));
    drop(bench.stop().await);
    assert!(!sim.level(6), "the safe state");
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn a_line_that_cannot_be_had_is_bad_alone_and_says_why() {
    let sim = Sim::new("pins", &[(2, "PUMP"), (7, "PUMP"), (3, "ESTOP"), (5, "!panel-led")]);
    let nodes = "Good: { type: Boolean, source: line/1 }
        Twice: { type: Boolean, source: line/PUMP }
        Name: { type: Boolean, source: line/ESTOPP }
        Beyond: { type: Boolean, source: line/16 }
        Taken: { type: Boolean, source: line/5 }
        Shared: { type: Boolean, source: { address: line/ESTOP, write: true } }
        Other: { type: Boolean, source: { address: line/3, active: low } }";
    let bench = Bench::of_cell(&gpio("pins", nodes));
    let twice = format!("{} has this name at the lines 2 and 7", sim.device());
    for (name, status, why) in [
        ("Twice", StatusCode::BadConfigurationError, twice.as_str()),
        ("Name", StatusCode::BadConfigurationError, "has no line of this name; is `ESTOP` meant?"),
        ("Beyond", StatusCode::BadConfigurationError, "has the lines 0 to 15"),
        ("Taken", StatusCode::BadResourceUnavailable, "line/5: `panel-led` has this line"),
        ("Other", StatusCode::BadConfigurationError, "another tag has line 3 with another `active`"),
    ] {
        is_bad(&bench, name, status, why).await;
    }
    reads(&bench, "Good", &Value::Boolean(false)).await;
    // A second program: it gets the line when the first one has released it.
    let second = Bench::of_cell(&gpio("pins", "Good: { type: Boolean, source: line/1 }"));
    is_bad(&second, "Good", StatusCode::BadResourceUnavailable, "line/1: `opcell` has this line").await;
    bench.stop().await;
    reads(&second, "Good", &Value::Boolean(false)).await;
    second.stop().await;
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn a_chip_is_absent_comes_goes_and_comes_back() {
    let bench = Bench::of_cell(&gpio(
        "pins",
        "In: { type: Boolean, source: line/1 }
        Out: { type: Boolean, source: { address: line/2, write: true, on_start: true } }",
    ));
    bench.until_status(bench.tag("In"), StatusCode::BadNotConnected).await;
    assert_eq!(bench.write(bench.tag("Out"), &Value::Boolean(true)).await, StatusCode::BadNotConnected);
    let mut sim = Sim::new("pins", &[]);
    reads(&bench, "In", &Value::Boolean(false)).await;
    reads(&bench, "Out", &Value::Boolean(true)).await;
    for _ in 0..2 {
        sim.live(false);
        bench.until_status(bench.tag("In"), StatusCode::BadNoCommunication).await;
        bench.until_status(bench.tag("Out"), StatusCode::BadNoCommunication).await;
        assert!(bench.write(bench.tag("Out"), &Value::Boolean(true)).await.is_bad());
        sim.live(true);
        reads(&bench, "In", &Value::Boolean(false)).await;
        reads(&bench, "Out", &Value::Boolean(true)).await;
        sim.pull(1, true);
        reads(&bench, "In", &Value::Boolean(true)).await;
        sim.pull(1, false);
        reads(&bench, "In", &Value::Boolean(false)).await;
    }
    bench.stop().await;
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn a_reload_of_one_tag_leaves_the_other_lines_alone() {
    let sim = Sim::new("pins", &[]);
    let nodes = |line: u32| {
        format!(
            "Moved: {{ type: Boolean, source: line/{line} }}
            Count: {{ type: UInt32, source: {{ address: line/1, count: both }} }}
            Out: {{ type: Boolean, source: {{ address: line/2, write: true, on_start: false }} }}"
        )
    };
    let mut bench = Bench::of_cell(&gpio("pins", &nodes(3)));
    reads(&bench, "Count", &Value::UInt32(0)).await;
    reads(&bench, "Out", &Value::Boolean(false)).await;
    assert_eq!(bench.write(bench.tag("Out"), &Value::Boolean(true)).await, StatusCode::Good);
    sim.pull(4, true);
    for n in 1..=20_u32 {
        let (line, moved) = if n.is_multiple_of(2) { (3, false) } else { (4, true) };
        // An edge comes while the link follows.
        sim.pull(1, true);
        bench.change_cell(&gpio("pins", &nodes(line)), n + 1);
        reads(&bench, "Count", &Value::UInt32(2 * n - 1)).await;
        sim.pull(1, false);
        reads(&bench, "Moved", &Value::Boolean(moved)).await;
        reads(&bench, "Count", &Value::UInt32(2 * n)).await;
        assert!(sim.level(2), "the output keeps its level");
    }
    reads(&bench, "Out", &Value::Boolean(true)).await;
    assert_eq!(bench.links[0].snapshot().reconnects, 0, "the chip stayed open");
    bench.stop().await;
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn edges_that_the_kernel_dropped_are_counted() {
    let sim = Sim::new("pins", &[]);
    let bench = Bench::of_cell(&gpio("pins", "Count: { type: UInt32, source: { address: line/1, count: rising } }"));
    reads(&bench, "Count", &Value::UInt32(0)).await;
    // The link shares this thread, so nobody takes the edges meanwhile: more than the kernel keeps. It passes one on in each of its
    // ticks of 10 ms.
    for _ in 0..140 {
        sim.pull(1, true);
        std::thread::sleep(Duration::from_millis(21));
        sim.pull(1, false);
    }
    reads(&bench, "Count", &Value::UInt32(140)).await;
    assert_eq!(bench.links[0].snapshot().reconnects, 0);
    bench.stop().await;
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn a_debounced_line_ignores_short_pulses() {
    let sim = Sim::new("pins", &[]);
    let bench = Bench::of_cell(&gpio(
        "pins",
        "Level: { type: Boolean, source: { address: line/1, debounce: 100ms } }
        Count: { type: UInt32, source: { address: line/1, debounce: 100ms, count: both } }",
    ));
    reads(&bench, "Count", &Value::UInt32(0)).await;
    for _ in 0..20 {
        sim.pull(1, true);
        sim.pull(1, false);
    }
    sim.pull(1, true);
    reads(&bench, "Level", &Value::Boolean(true)).await;
    reads(&bench, "Count", &Value::UInt32(1)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the machine"]
async fn a_long_run_of_edges_loses_none_and_shows_no_wrong_level() {
    let edges = std::env::var("OPCELL_EXCHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_u32);
    let sim = Sim::new("pins", &[]);
    let nodes: String = (0..8)
        .map(|line| {
            format!(
                "L{line}: {{ type: Boolean, source: line/{line} }}\nC{line}: {{ type: UInt32, source: {{ address: line/{line}, count: both }} }}\n"
            )
        })
        .collect();
    let bench = Bench::of_cell(&gpio("pins", &nodes));
    for line in 0..8 {
        reads(&bench, &format!("L{line}"), &Value::Boolean(false)).await;
    }
    let (mut levels, mut counts) = ([false; 8], [0_u32; 8]);
    for _ in 0..edges / 8 {
        // The kernel's simulator passes on one edge of a line in each of its ticks.
        for line in 0..8 {
            if fastrand::u8(..4) > 0 {
                levels[line] = !levels[line];
                counts[line] += 1;
                sim.pull(u32::try_from(line).expect("small"), levels[line]);
            }
        }
        for (line, (level, count)) in levels.iter().zip(counts).enumerate() {
            reads(&bench, &format!("C{line}"), &Value::UInt32(count)).await;
            let sample = bench.sample(bench.tag(&format!("L{line}")));
            assert_eq!((sample.value, sample.status), (Value::Boolean(*level), StatusCode::Good), "line {line}");
        }
    }
    bench.stop().await;
}

#[tokio::test]
#[ignore = "needs the machine"]
async fn channels_of_iio_are_calculated_and_followed() {
    let device = Path::new("/sys/kernel/config/iio/devices/dummy/adc");
    fs::create_dir(device).expect("made");
    let text = cell(
        "driver: sysfs",
        "Volts: { type: Double, poll: 50ms, source: iio/adc/in_voltage0 }
        Raw: { type: Int16, poll: 50ms, source: iio/adc/in_voltage0_raw }
        Differential: { type: Double, poll: 50ms, source: iio/adc/in_voltage1-voltage2 }
        Accel: { type: Int16, poll: 50ms, source: iio/adc/in_accel_x_raw }
        Unscaled: { type: Double, poll: 50ms, source: iio/adc/in_accel_x }
        Steps: { type: UInt32, poll: 50ms, source: { address: iio/adc/in_steps_input, write: true } }
        Dac: { type: Int32, poll: 50ms, source: { address: iio/adc/out_voltage0_raw, write: true } }
        Name: { type: String, length: 20, poll: 50ms, source: \"file/bus/iio/devices/iio:device0/name\" }
        Absent: { type: Double, poll: 50ms, source: iio/adc/in_voltage9 }
        Scale: { type: Double, poll: 50ms, source: { address: iio/adc/in_voltage0_scale, write: true } }",
    );
    let bench = Bench::of_cell(&text);
    reads(&bench, "Volts", &Value::Double((73.0 + 7.0) * 0.001_333)).await;
    reads(&bench, "Raw", &Value::Int16(73)).await;
    reads(&bench, "Differential", &Value::Double(33.0 * 0.000_001_344)).await;
    reads(&bench, "Accel", &Value::Int16(34)).await;
    is_bad(&bench, "Unscaled", StatusCode::BadConfigurationError, "there is no scale for in_accel_x_raw").await;
    reads(&bench, "Name", &Value::text("adc")).await;
    is_bad(&bench, "Absent", StatusCode::BadConfigurationError, "there is no in_voltage9_raw").await;
    reads(&bench, "Steps", &Value::UInt32(47)).await;
    assert_eq!(bench.write(bench.tag("Steps"), &Value::UInt32(99)).await, StatusCode::Good);
    reads(&bench, "Steps", &Value::UInt32(99)).await;
    assert_eq!(bench.write(bench.tag("Dac"), &Value::Int32(12)).await, StatusCode::Good);
    reads(&bench, "Dac", &Value::Int32(12)).await;
    // The device's own answer: this scale cannot be set.
    assert!(bench.write(bench.tag("Scale"), &Value::Double(2.0)).await.is_bad());
    fs::remove_dir(device).expect("removed");
    is_bad(&bench, "Volts", StatusCode::BadConfigurationError, "there is no device `adc`").await;
    fs::create_dir(device).expect("made");
    reads(&bench, "Volts", &Value::Double((73.0 + 7.0) * 0.001_333)).await;
    bench.stop().await;
    fs::remove_dir(device).expect("removed");
}
