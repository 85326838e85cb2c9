//! From files to an OPC UA client and back: the example and the real server.

use std::path::Path;

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::program::opcell;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

use super::tree::Tree;

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("address-space/drivers/sysfs.yaml");
    std::fs::read_to_string(path).expect("the example")
}

fn board() -> Tree {
    let tree = Tree::new();
    let files = [
        ("name", "nct6775\n"),
        ("temp1_input", "45500\n"),
        ("temp1_label", "SYSTIN\n"),
        ("fan1_input", "1450\n"),
        ("pwm1", "255\n"),
    ];
    tree.hwmon("platform/nct6775.656", 2, &files);
    tree.device(
        "bus/iio/devices/iio:device0",
        &[("name", "ads1015\n"), ("in_voltage0_raw", "1000\n"), ("in_voltage0_scale", "2\n")],
    );
    tree.device("class/thermal/thermal_zone0", &[("type", "cpu-thermal\n"), ("temp", "63500\n")]);
    tree.put("class/leds/run/brightness", "0\n");
    tree
}

#[test]
fn the_example_serves_a_board() {
    let tree = board();
    let root = format!("driver: sysfs, root: {}", tree.path().display());
    let server = TestServer::start(&example().replace("driver: sysfs", &root).replace("poll: 1s", "poll: 50ms"));
    let mut client = Session::open(server.address);
    for (path, wanted) in [
        ("Board.Temperature", Value::Double(45.5)),
        ("Board.Fan", Value::UInt16(1_450)),
        ("Board.Processor", Value::Double(63.5)),
        ("Board.Pressure", Value::Double(5.0)),
    ] {
        until(path, || client.read_value(tag(path)).value == Some(wanted.clone()));
    }
    assert_eq!(client.write(tag("Board.RunLamp"), &Value::Boolean(true)), StatusCode::Good);
    until("the lamp is on", || client.read_value(tag("Board.RunLamp")).value == Some(Value::Boolean(true)));
    assert_eq!(client.write(tag("Board.FanPower"), &Value::Double(40.0)), StatusCode::Good);
    let pwm = std::fs::read_to_string(tree.at("class/hwmon/hwmon2/pwm1")).expect("a file");
    assert_eq!(pwm, "102\n");
    client.close();
}

#[test]
fn a_listing_and_a_look_need_no_server() {
    let tree = board();
    let root = format!("driver: sysfs, root: {}", tree.path().display());
    let folder = testkit::program::folder(&[("cell.yaml", &example().replace("driver: sysfs", &root))]);
    let said = opcell(folder.path(), &["browse", "board", "cell.yaml"], "");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for line in [
        "temp1: { type: Double, unit: \"°C\", description: SYSTIN, source: hwmon/nct6775/temp1 }",
        "in_voltage0: { type: Double, source: iio/ads1015/in_voltage0 }",
        "temp: { type: Double, unit: \"°C\", source: thermal/cpu-thermal }",
    ] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
    let said = opcell(folder.path(), &["probe", "board", "hwmon/nct6775/temp1", "cell.yaml"], "");
    assert_eq!((said.code, said.out.as_str()), (0, "type: Double  45.5 °C\n"), "{}", said.err);
    let said = opcell(folder.path(), &["probe", "board", "hwmon/none/temp1", "cell.yaml"], "");
    assert!(said.code != 0 && said.err.contains("there is no device `none`; there are nct6775"), "{}", said.err);
}
