//! Checks of a connection and its points without a chip.

use std::collections::HashMap;
use std::time::Duration;

use super::address::Address;
use super::settings::{GpioPoint, GpioSettings};
use super::wiring::Wiring;
use crate::drivers::driver::{ConnectionOf, Driver, PointOf};
use crate::drivers::reading::{Part, PointError, Reading, Remark, RemarkPlace, SettingsError};
use crate::value::BuiltIn;

/// The kernel counts in microseconds, with 32 bits.
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(3_600);

pub(super) fn settings(settings: &GpioSettings) -> Vec<SettingsError> {
    let error = |message: String, help: &str| {
        vec![SettingsError { key: "chip", in_file: None, message, help: help.to_owned() }]
    };
    let chip = &settings.chip;
    let is_path = chip.contains('/') && chip.strip_prefix("/dev/").is_none_or(|name| name.contains('/'));
    match () {
        () if chip.trim().is_empty() || chip.chars().any(char::is_control) => {
            error(format!("`{chip}` is no chip"), "write gpiochip0, or the label of a chip")
        }
        () if is_path => {
            error(format!("`{chip}` is no device of a chip"), "write gpiochip0, /dev/gpiochip0 or a label")
        }
        () => Vec::new(),
    }
}

pub(super) fn point(point: PointOf<'_, GpioPoint>) -> Result<Reading, PointError> {
    Address::parse(&point.address)?;
    if let Some(second) = point.words.get(1) {
        let message = format!("a tag has one line, and `{second}` is a second one");
        let error = PointError::new(0..0, message, "write one line");
        return Err(PointError { part: Part::Entry("address", 1), ..error });
    }
    if let Some(exponent) = &point.exponent {
        let error = PointError::new(0..exponent.len(), "lines have no exponent".to_owned(), "delete `exponent`");
        return Err(PointError { part: Part::Exponent, ..error });
    }
    let whole = 0..point.address.len();
    if point.is_array {
        return Err(PointError::new(
            whole,
            "a line has one level".to_owned(),
            "delete `array`, or write a tag for each line",
        ));
    }
    keys(point)?;
    let is_whole = point.kind.is_integer() || point.has_scale && point.kind.is_number();
    let is_unsigned = matches!(point.kind, BuiltIn::Byte | BuiltIn::UInt16 | BuiltIn::UInt32 | BuiltIn::UInt64);
    match point.keys.count {
        Some(_) if !(is_unsigned && point.enumeration.is_none() || point.has_scale && is_whole) => {
            let message = format!("`count` needs an unsigned integer `type`, and no {:?}", point.kind);
            Err(PointError::key("count", message, "write `type: UInt32`, or delete `count` for the level"))
        }
        None if point.kind != BuiltIn::Boolean && !is_whole => {
            let message = format!("a line is true or false, and no {:?}", point.kind);
            Err(PointError::new(whole, message, "write `type: Boolean`, an integer, or an enumeration of 0 and 1"))
        }
        _ => Ok(Reading::default()),
    }
}

fn keys(point: PointOf<'_, GpioPoint>) -> Result<(), PointError> {
    let keys = point.keys;
    let only = |key: &'static str| {
        let message = format!("`{key}` is only for outputs");
        Err(PointError::key(key, message, &format!("add `write: true`, or delete `{key}`")))
    };
    if keys.drive.is_some() && !point.write {
        return only("drive");
    }
    if keys.on_start.is_some() && !point.write {
        return only("on_start");
    }
    if keys.count.is_some() && point.write {
        let help = "delete `count` or `write: true`: edges are counted at inputs";
        return Err(PointError::key("count", "an output has no edges to count".to_owned(), help));
    }
    if keys.debounce.is_some() && point.write {
        let help = "delete `debounce` or `write: true`";
        return Err(PointError::key("debounce", "an output has no edges to ignore".to_owned(), help));
    }
    if keys.debounce() > LONGEST_DEBOUNCE {
        let message = "`debounce` is longer than 1h".to_owned();
        return Err(PointError::key("debounce", message, "write the time for which a contact bounces, as 10ms"));
    }
    Ok(())
}

/// Tags of one line agree about how it is wired.
pub(super) fn together<D>(connection: ConnectionOf<'_, D>) -> Vec<Remark>
where
    D: Driver<Settings = GpioSettings, Point = GpioPoint>,
{
    let mut first: HashMap<Address, Wiring> = HashMap::new();
    let mut remarks = Vec::new();
    for (at, of) in connection.points().enumerate() {
        let Ok(address) = point(of).and_then(|_| Address::parse(&of.address)) else { continue };
        let wiring = Wiring::of(of);
        let known = first.entry(address).or_insert_with(|| wiring.clone());
        match known.merged(&wiring) {
            Ok(both) => *known = both,
            Err(key) => remarks.push(Remark {
                place: RemarkPlace::Point(at),
                is_warning: false,
                message: format!("another tag of `{}` has another `{key}`", of.address),
                help: "write the same keys at both tags: a line is wired once".to_owned(),
            }),
        }
    }
    remarks
}
