//! Checks of a connection and its points without a file.

use super::address::{Address, Content};
use super::settings::Settings;
use crate::drivers::driver::{NoKeys, PointOf};
use crate::drivers::reading::{Part, PointError, Reading, SettingsError};
use crate::value::BuiltIn;

pub(super) fn settings(settings: &Settings) -> Vec<SettingsError> {
    if settings.root.starts_with('/') && !settings.root.contains('\0') {
        return Vec::new();
    }
    let message = format!("`{}` is no absolute path", settings.root);
    let help = "write a path that begins with `/`, or delete `root` for /sys".to_owned();
    vec![SettingsError { key: "root", in_file: None, message, help }]
}

pub(super) fn point(point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
    let address = Address::parse(&point.address)?;
    if let Some(second) = point.words.get(1) {
        let message = format!("a tag has one address, and `{second}` is a second one");
        let error = PointError::new(0..0, message, "write one address");
        return Err(PointError { part: Part::Entry("address", 1), ..error });
    }
    if let Some(exponent) = &point.exponent {
        let error = PointError::new(0..exponent.len(), "files have no exponent".to_owned(), "delete `exponent`");
        return Err(PointError { part: Part::Exponent, ..error });
    }
    let whole = 0..point.address.len();
    if point.is_array {
        let help = "delete `array`, or write a tag for each file";
        return Err(PointError::new(whole, "a file has one value".to_owned(), help));
    }
    let is_number = point.kind.is_number() && point.enumeration.is_none();
    let file = match &address.content {
        Content::Plain { .. } => None,
        Content::Divided { file, .. } => Some(file.clone()),
        Content::Channel(channel) => Some(format!("{channel}_raw")),
    };
    if let Some(file) = &file {
        if !is_number {
            let message = format!("`{}` is a measured value, and no {:?}", point.address, point.kind);
            return Err(PointError::new(
                whole,
                message,
                &format!("write `type: Double`, or the file itself: `{file}`"),
            ));
        }
        if point.write {
            let message = format!("`{}` is calculated from files, and cannot be written", point.address);
            return Err(PointError::key(
                "write",
                message,
                "delete `write: true`, or write the file itself as the address",
            ));
        }
    }
    let is_text = matches!(point.kind, BuiltIn::Boolean | BuiltIn::String) || point.kind.is_number();
    if point.write && !is_text {
        let message = format!("a {:?} cannot be written to a file", point.kind);
        return Err(PointError::key("write", message, "delete `write: true`, or use a number, a Boolean or a String"));
    }
    Ok(Reading::default())
}
