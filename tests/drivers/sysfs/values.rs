//! Every kind of value and write, and devices that come, go and change their number.

use std::fs;

use opcell::testing::model::TagId;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::plant::Bench;

use super::tree::{Tree, cell, start};

fn reason(bench: &Bench, name: &str) -> String {
    bench.tags.reason(TagId(bench.tag(name))).map_or(String::new(), |why| why.to_string())
}

async fn reads(bench: &Bench, name: &str, wanted: &Value) {
    let sample =
        bench.until(bench.tag(name), "Good", |sample| sample.status.is_good() && sample.value == *wanted).await;
    assert_eq!(sample.value, *wanted, "{name}");
}

async fn is_bad(bench: &Bench, name: &str, status: StatusCode, why: &str) {
    bench.until_status(bench.tag(name), status).await;
    let said = reason(bench, name);
    assert!(said.contains(why), "{name}: {said}");
}

fn board() -> Tree {
    let tree = Tree::new();
    let files = [
        ("name", "nct6775\n"),
        ("temp1_input", "45500\n"),
        ("temp1_label", "SYSTIN\n"),
        ("temp2_input", "-12000\n"),
        ("in0_input", "1200\n"),
        ("curr1_input", "1500\n"),
        ("power1_input", "2500000\n"),
        ("fan1_input", "1450\n"),
        ("pwm1", "255\n"),
        ("temp1_alarm", "1\n"),
    ];
    tree.hwmon("platform/nct6775.656", 3, &files);
    tree.hwmon("platform/coretemp.0", 0, &[("name", "coretemp\n"), ("temp1_input", "61000\n")]);
    tree.hwmon("platform/coretemp.1", 1, &[("name", "coretemp\n"), ("temp1_input", "62000\n")]);
    tree.device(
        "bus/iio/devices/iio:device0",
        &[
            ("name", "adc\n"),
            ("in_voltage0_raw", "73\n"),
            ("in_voltage0_offset", "7\n"),
            ("in_voltage0_scale", "0.25\n"),
            ("in_voltage1_raw", "100\n"),
            ("in_voltage_scale", "0.5\n"),
            ("in_accel_x_raw", "-4\n"),
            ("in_accel_scale", "0.125\n"),
            ("in_temp_input", "21500\n"),
            ("out_voltage0_raw", "0\n"),
        ],
    );
    for (number, name, channel, scale) in [
        (1, "vbat", "in_voltage1_vbat_raw", ("in_voltage_scale", "0.25\n")),
        (2, "dir", "in_voltage0_raw", ("in_scale", "0.2625\n")),
        (3, "bare", "in_voltage0_raw", ("scale", "0.28125\n")),
    ] {
        let files = [("name", format!("{name}\n")), (channel, "200\n".to_owned()), (scale.0, scale.1.to_owned())];
        let files: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
        tree.device(&format!("bus/iio/devices/iio:device{number}"), &files);
    }
    tree.device("class/thermal/thermal_zone0", &[("type", "x86_pkg_temp\n"), ("temp", "63500\n")]);
    tree.put("class/leds/run/brightness", "0\n");
    tree.put("class/leds/run/trigger", "none\n");
    tree
}

#[tokio::test]
async fn values_of_each_kind_are_read_in_their_units() {
    let tree = board();
    let bench = start(
        &tree,
        "Temp: { type: Double, source: hwmon/nct6775/temp1 }
        Cold: { type: Int16, source: hwmon/nct6775/temp2 }
        Volt: { type: Float, source: hwmon/nct6775/in0 }
        Amps: { type: Double, source: hwmon/nct6775/curr1 }
        Watt: { type: Double, source: hwmon/nct6775/power1 }
        Fan: { type: UInt16, source: hwmon/nct6775/fan1 }
        Raw: { type: Int32, source: hwmon/nct6775/temp1_input }
        Label: { type: String, length: 20, source: hwmon/nct6775/temp1_label }
        Alarm: { type: Boolean, source: hwmon/nct6775/temp1_alarm }
        First: { type: Double, source: hwmon/coretemp/temp1 }
        Second: { type: Double, source: \"hwmon/coretemp#2/temp1\" }
        Pin: { type: Double, source: iio/adc/in_voltage0 }
        Shared: { type: Double, source: iio/adc/in_voltage1 }
        Accel: { type: Double, source: iio/adc/in_accel_x }
        Ready: { type: Double, source: iio/adc/in_temp }
        Vbat: { type: Double, source: iio/vbat/in_voltage1_vbat }
        All: { type: Double, source: iio/dir/in_voltage0 }
        Bare: { type: Double, source: iio/bare/in_voltage0 }
        Count: { type: Int16, source: iio/adc/in_voltage0_raw }
        Zone: { type: Double, source: thermal/x86_pkg_temp }
        Led: { type: Byte, source: file/class/leds/run/brightness }
        Scaled: { type: Double, source: file/class/leds/run/brightness, scale: { factor: 2, offset: 3 } }",
    );
    for (name, wanted) in [
        ("Temp", Value::Double(45.5)),
        ("Cold", Value::Int16(-12)),
        ("Volt", Value::Float(1.2)),
        ("Amps", Value::Double(1.5)),
        ("Watt", Value::Double(2.5)),
        ("Fan", Value::UInt16(1_450)),
        ("Raw", Value::Int32(45_500)),
        ("Label", Value::text("SYSTIN")),
        ("Alarm", Value::Boolean(true)),
        ("First", Value::Double(61.0)),
        ("Second", Value::Double(62.0)),
        ("Pin", Value::Double(20.0)),
        ("Shared", Value::Double(50.0)),
        ("Accel", Value::Double(-0.5)),
        ("Ready", Value::Double(21_500.0)),
        ("Vbat", Value::Double(50.0)),
        ("All", Value::Double(52.5)),
        ("Bare", Value::Double(56.25)),
        ("Count", Value::Int16(73)),
        ("Zone", Value::Double(63.5)),
        ("Led", Value::Byte(0)),
        ("Scaled", Value::Double(3.0)),
    ] {
        reads(&bench, name, &wanted).await;
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_number_without_a_scale_is_no_measured_value() {
    let tree = Tree::new();
    tree.device("bus/iio/devices/iio:device0", &[("name", "count\n"), ("in_count0_raw", "7\n")]);
    let bench = start(
        &tree,
        "Count: { type: Double, source: iio/count/in_count0 }
        Raw: { type: Double, source: iio/count/in_count0_raw }",
    );
    reads(&bench, "Raw", &Value::Double(7.0)).await;
    is_bad(&bench, "Count", StatusCode::BadConfigurationError, "there is no scale for in_count0_raw").await;
    bench.stop().await;
}

#[tokio::test]
async fn of_two_devices_that_differ_by_their_numbers_alone_none_is_taken_for_the_other() {
    let tree = Tree::new();
    for (number, value) in [(0, "20000\n"), (1, "90000\n")] {
        tree.hwmon("platform/twin", number, &[("name", "amb\n"), ("temp1_input", value)]);
    }
    let bench = start(
        &tree,
        "First: { type: Double, source: hwmon/amb/temp1 }
        Second: { type: Double, source: \"hwmon/amb#2/temp1\" }",
    );
    reads(&bench, "First", &Value::Double(20.0)).await;
    reads(&bench, "Second", &Value::Double(90.0)).await;
    tree.unload("platform/twin", 0);
    is_bad(&bench, "First", StatusCode::BadConfigurationError, "with the name `amb` has gone").await;
    tree.put("class/hwmon/hwmon1/temp1_input", "91000\n");
    reads(&bench, "Second", &Value::Double(91.0)).await;
    assert!(bench.sample(bench.tag("First")).status.is_bad());
    bench.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_bad_alone_and_says_why() {
    let tree = board();
    let status = std::process::Command::new("mkfifo").arg(tree.at("pipe")).status().expect("mkfifo runs");
    assert!(status.success());
    std::os::unix::fs::symlink("/etc/hostname", tree.at("out")).expect("linked");
    std::os::unix::fs::symlink("../../../..", tree.at("class/leds/up")).expect("linked");
    std::os::unix::fs::symlink("class/leds/run", tree.at("led")).expect("linked");
    std::os::unix::fs::symlink("/dev/zero", tree.at("device")).expect("linked");
    tree.put("empty", "");
    tree.put("half", "12");
    tree.put("words", "no number\n");
    tree.put("long", &"1".repeat(5_000));
    tree.put("edge", &format!("{}\n", "1".repeat(4_095)));
    tree.put("binary", "\u{1}\u{fffd}\n");
    let bench = start(
        &tree,
        "Good: { type: Double, source: hwmon/nct6775/temp1 }
        Name: { type: Double, source: hwmon/nct6776/temp1 }
        Channel: { type: Double, source: hwmon/nct6775/temp9 }
        Third: { type: Double, source: \"hwmon/coretemp#3/temp1\" }
        Iio: { type: Double, source: iio/adc/in_voltage7 }
        Zone: { type: Double, source: thermal/acpitz }
        File: { type: Double, source: file/nothing/here }
        Folder: { type: Double, source: file/class }
        Pipe: { type: Double, source: { address: file/pipe, write: true } }
        Out: { type: String, length: 80, source: { address: file/out, write: true } }
        Up: { type: String, length: 80, source: file/class/leds/up/etc/hostname }
        Device: { type: Byte, source: file/device }
        Linked: { type: Byte, source: file/led/brightness }
        Empty: { type: Double, source: file/empty }
        Half: { type: Double, source: file/half }
        Words: { type: Double, source: file/words }
        Long: { type: String, length: 9999, source: file/long }
        Edge: { type: String, length: 9999, source: file/edge }
        Binary: { type: Int16, source: file/binary }
        Fraction: { type: Int16, source: hwmon/nct6775/temp1 }
        Small: { type: Byte, source: hwmon/nct6775/temp1_input }",
    );
    for (name, status, why) in [
        ("Name", StatusCode::BadConfigurationError, "there is no device `nct6776`; there are coretemp, nct6775"),
        ("Channel", StatusCode::BadConfigurationError, "hwmon/nct6775/temp9: no such file or directory"),
        ("Third", StatusCode::BadConfigurationError, "there are 2 devices `coretemp`, and no 3"),
        ("Iio", StatusCode::BadConfigurationError, "there is no in_voltage7_raw and no in_voltage7_input"),
        ("Zone", StatusCode::BadConfigurationError, "there is no device `acpitz`; there are x86_pkg_temp"),
        ("File", StatusCode::BadConfigurationError, "file/nothing/here: no such file or directory"),
        ("Folder", StatusCode::BadConfigurationError, "it is a folder"),
        ("Pipe", StatusCode::BadConfigurationError, "it is no regular file"),
        ("Out", StatusCode::BadConfigurationError, "a link in its path leads out of `root`"),
        ("Up", StatusCode::BadConfigurationError, "a link in its path leads out of `root`"),
        ("Device", StatusCode::BadConfigurationError, "a link in its path leads out of `root`"),
        ("Empty", StatusCode::BadNoData, "it is empty"),
        ("Half", StatusCode::BadDataEncodingInvalid, "it may be half written"),
        ("Words", StatusCode::BadDataEncodingInvalid, "it is no number: `no number`"),
        ("Long", StatusCode::BadDataEncodingInvalid, "it is longer than 4096 bytes"),
        ("Binary", StatusCode::BadDataEncodingInvalid, "it is no number"),
        ("Fraction", StatusCode::BadDataEncodingInvalid, ""),
        ("Small", StatusCode::BadDataEncodingInvalid, ""),
    ] {
        is_bad(&bench, name, status, why).await;
    }
    reads(&bench, "Good", &Value::Double(45.5)).await;
    reads(&bench, "Linked", &Value::Byte(0)).await;
    reads(&bench, "Edge", &Value::text(&"1".repeat(4_095))).await;
    let hostname = fs::read("/etc/hostname").ok();
    assert_eq!(bench.write(bench.tag("Out"), &Value::text("x")).await, StatusCode::BadConfigurationError);
    assert_eq!(fs::read("/etc/hostname").ok(), hostname, "nothing outside of the root is written");
    assert_eq!(bench.write(bench.tag("Pipe"), &Value::Double(1.0)).await, StatusCode::BadConfigurationError);
    tree.put("nothing/here", "7.5\n");
    reads(&bench, "File", &Value::Double(7.5)).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_write_is_one_line_of_text() {
    let tree = board();
    let bench = start(
        &tree,
        "Led: { type: Byte, source: { address: file/class/leds/run/brightness, write: true } }
        On: { type: Boolean, source: { address: file/class/leds/run/brightness, write: true } }
        Mode: { type: String, length: 20, source: { address: file/class/leds/run/trigger, write: true } }
        Pwm: { type: Double, range: [0, 100], source: { address: hwmon/nct6775/pwm1, write: true }, scale: { raw: [0, 255], eu: [0, 100] } }
        Dac: { type: UInt16, source: { address: iio/adc/out_voltage0_raw, write: true } }
        Gone: { type: Byte, source: { address: file/class/leds/no/brightness, write: true } }",
    );
    let led = || fs::read_to_string(tree.at("class/leds/run/brightness")).expect("a file");
    reads(&bench, "Led", &Value::Byte(0)).await;
    assert_eq!(bench.write(bench.tag("Led"), &Value::Byte(128)).await, StatusCode::Good);
    assert_eq!(led(), "128\n");
    reads(&bench, "Led", &Value::Byte(128)).await;
    assert_eq!(bench.write(bench.tag("Led"), &Value::Byte(5)).await, StatusCode::Good);
    assert_eq!(led(), "5\n", "nothing of the longer text remains");
    assert_eq!(bench.write(bench.tag("On"), &Value::Boolean(true)).await, StatusCode::Good);
    assert_eq!(led(), "1\n");
    assert_eq!(bench.write(bench.tag("Mode"), &Value::text("timer")).await, StatusCode::Good);
    reads(&bench, "Mode", &Value::text("timer")).await;
    assert_eq!(bench.write(bench.tag("Mode"), &Value::text("a\nb")).await, StatusCode::BadOutOfRange);
    assert_eq!(bench.write(bench.tag("Pwm"), &Value::Double(50.0)).await, StatusCode::Good);
    let pwm = fs::read_to_string(tree.at("class/hwmon/hwmon3/pwm1")).expect("a file");
    assert_eq!(pwm, "128\n", "the device takes whole numbers");
    assert_eq!(bench.write(bench.tag("Dac"), &Value::UInt16(4_095)).await, StatusCode::Good);
    reads(&bench, "Dac", &Value::UInt16(4_095)).await;
    assert_eq!(bench.write(bench.tag("Gone"), &Value::Byte(1)).await, StatusCode::BadConfigurationError);
    assert!(!tree.at("class/leds/no").exists(), "no file is made");
    bench.stop().await;
}

#[tokio::test]
async fn a_device_is_found_by_name_when_its_number_changes_and_never_taken_for_another() {
    let tree = board();
    let bench = start(
        &tree,
        "Temp: { type: Double, source: hwmon/nct6775/temp1 }
        First: { type: Double, source: hwmon/coretemp/temp1 }
        Second: { type: Double, source: \"hwmon/coretemp#2/temp1\" }",
    );
    reads(&bench, "Temp", &Value::Double(45.5)).await;
    reads(&bench, "First", &Value::Double(61.0)).await;
    reads(&bench, "Second", &Value::Double(62.0)).await;
    // The driver is loaded again: hwmon3 becomes hwmon4, and its old number goes to another device.
    tree.unload("platform/nct6775.656", 3);
    is_bad(&bench, "Temp", StatusCode::BadConfigurationError, "there is no device `nct6775`").await;
    tree.hwmon("platform/nvme", 3, &[("name", "nvme\n"), ("temp1_input", "99000\n")]);
    tree.hwmon("platform/nct6775.656", 4, &[("name", "nct6775\n"), ("temp1_input", "46000\n")]);
    reads(&bench, "Temp", &Value::Double(46.0)).await;
    // The first of a name goes: the second is never taken for it.
    tree.unload("platform/coretemp.0", 0);
    is_bad(&bench, "First", StatusCode::BadConfigurationError, "device 1 of 2 with the name `coretemp` has gone").await;
    tree.put("class/hwmon/hwmon1/temp1_input", "63000\n");
    reads(&bench, "Second", &Value::Double(63.0)).await;
    assert!(bench.sample(bench.tag("First")).status.is_bad());
    tree.hwmon("platform/coretemp.0", 7, &[("name", "coretemp\n"), ("temp1_input", "64000\n")]);
    reads(&bench, "First", &Value::Double(64.0)).await;
    reads(&bench, "Second", &Value::Double(63.0)).await;
    assert_eq!(bench.links[0].snapshot().reconnects, 0, "the folder was always there");
    bench.stop().await;
}

#[tokio::test]
async fn the_folder_is_absent_comes_goes_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("sys");
    let bench = Bench::of_cell(&cell(&root, "Value: { type: Double, source: file/value }"));
    let tag = bench.tag("Value");
    bench.until_status(tag, StatusCode::BadNotConnected).await;
    fs::create_dir(&root).expect("made");
    is_bad(&bench, "Value", StatusCode::BadConfigurationError, "no such file").await;
    fs::write(root.join("value"), "1\n").expect("written");
    reads(&bench, "Value", &Value::Double(1.0)).await;
    fs::rename(&root, folder.path().join("away")).expect("moved");
    fs::remove_file(folder.path().join("away/value")).expect("removed");
    bench.until_status(tag, StatusCode::BadNoCommunication).await;
    assert_eq!(bench.write(tag, &Value::Double(1.0)).await, StatusCode::BadNotWritable);
    fs::create_dir(&root).expect("made");
    fs::write(root.join("value"), "2\n").expect("written");
    reads(&bench, "Value", &Value::Double(2.0)).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_thousand_tags_and_a_reload_of_one() {
    let tree = board();
    (0..1_000).for_each(|n| tree.put(&format!("many/{n}"), &format!("{n}\n")));
    let nodes = |first: usize| {
        let source = |n: usize| if n == 0 { first } else { n };
        let line = |n: usize| format!("T{n}: {{ type: Int32, source: file/many/{} }}\n", source(n));
        (0..1_000).map(line).collect::<String>() + "Temp: { type: Double, source: hwmon/nct6775/temp1 }"
    };
    let mut bench = start(&tree, &nodes(0));
    for n in 0..1_000 {
        reads(&bench, &format!("T{n}"), &Value::Int32(n)).await;
    }
    bench.change_cell(&cell(tree.path(), &nodes(7)), 2);
    reads(&bench, "T0", &Value::Int32(7)).await;
    reads(&bench, "Temp", &Value::Double(45.5)).await;
    assert_eq!(bench.links[0].snapshot().reconnects, 0, "the link stayed open");
    bench.stop().await;
}
