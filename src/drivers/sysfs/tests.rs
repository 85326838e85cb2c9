//! Addresses, texts and requests.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::Sysfs;
use super::address::{Address, Content, Place};
use super::poller::Poller;
use super::settings::Settings;
use super::value::{channel, divided, fuzz, plain, text_of};
use crate::drivers::driver::ConnectionOf;
use crate::drivers::payload::Want;
use crate::drivers::plan::{self, ConnectionPlan, PointPlan};
use crate::drivers::poll::Poll;
use crate::model::ConnectionIx;
use crate::value::{BuiltIn, Value};

/// The place and the content of an address in words.
fn said(address: &Address) -> String {
    let place = match &address.place {
        Place::Device(named) => format!("{} {} {}", named.class.word(), named.name, named.nth),
        Place::File(path) => format!("file {path}"),
    };
    let content = match &address.content {
        Content::Plain { file, is_whole } => format!("{file}{}", if *is_whole { " whole" } else { "" }),
        Content::Divided { file, by, unit } => format!("{file} / {by} {unit}"),
        Content::Channel(name) => format!("channel {name}"),
    };
    format!("{place}: {content}")
}

#[test]
fn addresses_are_taken_apart() {
    for (text, wanted) in [
        ("hwmon/nct6775/temp1", "hwmon nct6775 1: temp1_input / 1000 °C"),
        ("hwmon/nct6775#2/in0", "hwmon nct6775 2: in0_input / 1000 V"),
        ("hwmon/a b/curr10", "hwmon a b 1: curr10_input / 1000 A"),
        ("hwmon/x/power1", "hwmon x 1: power1_input / 1000000 W"),
        ("hwmon/x/fan2", "hwmon x 1: fan2_input / 1 rpm"),
        ("hwmon/x/temp1_input", "hwmon x 1: temp1_input whole"),
        ("hwmon/x/temp1_label", "hwmon x 1: temp1_label"),
        ("hwmon/x/pwm1", "hwmon x 1: pwm1 whole"),
        ("iio/adc/in_voltage0", "iio adc 1: channel in_voltage0"),
        ("iio/adc/in_accel_x", "iio adc 1: channel in_accel_x"),
        ("iio/adc/in_voltage0_raw", "iio adc 1: in_voltage0_raw whole"),
        ("iio/adc/in_voltage_scale", "iio adc 1: in_voltage_scale"),
        ("iio/adc/sampling_frequency", "iio adc 1: sampling_frequency"),
        ("thermal/x86_pkg_temp", "thermal x86_pkg_temp 1: temp / 1000 °C"),
        ("file/class/leds/a:b/brightness", "file class/leds/a:b/brightness: class/leds/a:b/brightness"),
    ] {
        assert_eq!(Address::parse(text).map(|address| said(&address)), Ok(wanted.to_owned()), "{text}");
    }
    for (text, message, at) in [
        ("temp1", "`temp1` is no address of sysfs", 0..5),
        ("/sys/class/hwmon", "an address is no absolute path", 0..1),
        ("hwmon/hwmon3/temp1", "`hwmon3` is a number, which may change with each start", 6..12),
        ("iio/iio:device0/in_voltage0", "`iio:device0` is a number, which may change with each start", 4..15),
        ("thermal/thermal_zone0", "`thermal_zone0` is a number, which may change with each start", 8..21),
        ("hwmon/x", "the channel is missing", 0..7),
        ("hwmon/x/temp", "`temp` needs its number: temp1", 8..12),
        ("hwmon/x/in", "`in` needs its number: in0", 8..10),
        ("hwmon/x#0/temp1", "`#0` is no number", 6..9),
        ("hwmon/x#a/temp1", "`#a` is no number", 6..9),
        ("hwmon//temp1", "the name of the device is missing", 6..6),
        ("iio/adc", "the channel is missing", 0..7),
        ("thermal/a/b", "`a/b` is no name of a device", 8..11),
        ("file", "the path is missing", 0..4),
        ("file/a/../b", "a path does not leave `root`", 7..9),
        ("file/a//b", "a path has no empty parts", 7..7),
        ("file/a\nb", "an address has no control characters", 6..8),
    ] {
        let error = Address::parse(text).expect_err(text);
        assert_eq!((error.message.as_str(), error.at), (message, at), "{text}");
    }
}

fn want(kind: BuiltIn) -> Want {
    Want { kind, elements: None, length: None, has_scale: false, enumeration: None }
}

#[test]
fn texts_are_values_or_bad() {
    for (text, by, wanted) in [
        ("45000", 1_000, Some(Value::Int64(45))),
        ("45500", 1_000, Some(Value::Double(45.5))),
        ("-1", 1_000, Some(Value::Double(-0.001))),
        ("0", 1_000_000, Some(Value::Int64(0))),
        ("1e3", 1_000, None),
        ("45.5", 1_000, None),
        ("18446744073709551615", 1_000, None),
        ("", 1_000, None),
        ("nan", 1_000, None),
        ("12 34", 1, None),
    ] {
        assert_eq!(divided(text.as_bytes(), by).ok(), wanted, "{text}");
    }
    assert_eq!(channel(73.0, 7.0, 0.001_333), Ok(Value::Double(80.0 * 0.001_333)));
    assert!(channel(1e300, 0.0, 1e300).is_err());
    assert_eq!(plain(b"on", &want(BuiltIn::Boolean)), Ok(Value::Boolean(true)));
    assert_eq!(plain(b"a b", &want(BuiltIn::String)), Ok(Value::text("a b")));
    assert!(plain(b"\xff", &want(BuiltIn::String)).is_err());
    assert!(plain(b"5 mA", &want(BuiltIn::Double)).is_err());
}

#[test]
fn a_write_is_one_line() {
    for (value, is_whole, wanted) in [
        (Value::Boolean(true), false, Some("1\n")),
        (Value::Byte(255), false, Some("255\n")),
        (Value::Double(127.5), true, Some("128\n")),
        (Value::Double(127.5), false, Some("127.5\n")),
        (Value::Double(-0.4), true, Some("0\n")),
        (Value::Float(1_234_567_890.0), false, Some("1234567936\n")),
        (Value::Float(1.2), false, Some("1.2\n")),
        (Value::Double(f64::NAN), false, None),
        (Value::text("none"), false, Some("none\n")),
        (Value::text("a\nb"), false, None),
        (Value::text(""), false, None),
    ] {
        let text = text_of(&value, is_whole).ok().map(|text| String::from_utf8(text).expect("text"));
        assert_eq!(text.as_deref(), wanted, "{value:?}");
    }
}

fn connection(addresses: &[&str]) -> ConnectionPlan {
    let point = |(tag, address): (u32, &&str)| PointPlan {
        address: (*address).to_owned(),
        write: false,
        ..PointPlan::sample(tag)
    };
    ConnectionPlan {
        ix: ConnectionIx(0),
        name: "board".to_owned(),
        cell: "c".to_owned(),
        settings: plan::Settings::of::<Sysfs>(Settings::default()),
        timeout: Duration::from_secs(1),
        retries: 0,
        reconnect_max: Duration::from_secs(1),
        enabled: true,
        is_scan: false,
        browses: Arc::default(),
        points: Arc::new((0..).zip(addresses).map(point).collect()),
    }
}

proptest! {
    #[test]
    fn each_point_is_in_exactly_one_request_with_all_others_of_its_device(
        picks in prop::collection::vec(0..6_usize, 0..60),
    ) {
        let known = ["hwmon/a/temp1", "hwmon/a/in0_input", "hwmon/a#2/temp1", "file/a/temp1", "file/b", "wrong"];
        let of_device = |pick: usize| if pick == 1 { 0 } else { pick };
        let addresses: Vec<&str> = picks.iter().map(|pick| known[*pick]).collect();
        let plan = connection(&addresses);
        let settings = plan.settings.get::<Sysfs>().expect("of this driver");
        let poller = Poller::new(ConnectionOf::<Sysfs> { plan: &plan, settings, application: None });
        let points: Vec<u32> = (0..).take(addresses.len()).collect();
        let asks = poller.plan(&points);
        let mut asked: Vec<u32> = asks.iter().flat_map(|ask| ask.points.iter().copied()).collect();
        asked.sort_unstable();
        let wanted: Vec<u32> = points.iter().copied().filter(|at| picks[*at as usize] < 5).collect();
        prop_assert_eq!(asked, wanted);
        for ask in &asks {
            let devices: HashSet<usize> = ask.points.iter().map(|at| of_device(picks[*at as usize])).collect();
            prop_assert_eq!(devices.len(), 1);
        }
        let all: HashSet<usize> = picks.iter().filter(|pick| **pick < 5).map(|pick| of_device(*pick)).collect();
        prop_assert_eq!(asks.len(), all.len());
    }

    #[test]
    fn bytes_of_a_file_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        fuzz(&bytes);
    }

    #[test]
    fn texts_of_numbers_are_read_back(text in "-?[0-9]{1,19}(\\.[0-9]{1,6})?(e[0-9])?|on|off|7") {
        fuzz(text.as_bytes());
    }
}
