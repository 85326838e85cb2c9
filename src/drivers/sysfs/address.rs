//! Addresses: `hwmon/NAME/temp1`, `iio/NAME/in_voltage0`, `thermal/TYPE`, `file/PATH`.
//!
//! A device is named by what it says about itself; `NAME#2` is the second one of that name.

use crate::drivers::reading::PointError;

/// A kind of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    Hwmon,
    Iio,
    Thermal,
}

/// The device of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Named {
    pub class: Class,
    pub name: String,
    /// 1 for the first of the name.
    pub nth: usize,
}

/// The place of files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    Device(Named),
    /// A path below the root.
    File(String),
}

/// Way from files to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The text as it is. Some files hold whole numbers alone.
    Plain { file: String, is_whole: bool },
    /// A whole number in thousandths or millionths of the unit.
    Divided { file: String, by: u32, unit: &'static str },
    /// A channel of IIO: (raw + offset) * scale.
    Channel(String),
}

/// A value below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub place: Place,
    pub content: Content,
}

/// A channel of hwmon that has a unit: its first letters, the divisor of its file, the unit, and the number of the first.
struct Measured {
    prefix: &'static str,
    by: u32,
    unit: &'static str,
    first: u32,
}

/// Documentation/hwmon/sysfs-interface of the kernel.
const MEASURED: [Measured; 8] = [
    Measured { prefix: "temp", by: 1_000, unit: "°C", first: 1 },
    Measured { prefix: "in", by: 1_000, unit: "V", first: 0 },
    Measured { prefix: "curr", by: 1_000, unit: "A", first: 1 },
    Measured { prefix: "power", by: 1_000_000, unit: "W", first: 1 },
    Measured { prefix: "energy", by: 1_000_000, unit: "J", first: 1 },
    Measured { prefix: "humidity", by: 1_000, unit: "%", first: 1 },
    Measured { prefix: "fan", by: 1, unit: "rpm", first: 1 },
    Measured { prefix: "freq", by: 1, unit: "Hz", first: 1 },
];

/// Last words of the names of IIO's files; a name without one is a channel.
const ATTRIBUTES: [&str; 25] = [
    "raw",
    "input",
    "scale",
    "offset",
    "label",
    "available",
    "calibbias",
    "calibscale",
    "en",
    "frequency",
    "hardwaregain",
    "index",
    "type",
    "powerdown",
    "mode",
    "period",
    "value",
    "time",
    "ratio",
    "hysteresis",
    "current",
    "name",
    "count",
    "mean",
    "peak",
];

const FORMS: &str = "write hwmon/NAME/temp1, iio/NAME/in_voltage0, thermal/TYPE or file/PATH";

impl Class {
    pub(super) const ALL: [Class; 3] = [Class::Hwmon, Class::Iio, Class::Thermal];

    /// The first part of its addresses.
    pub(super) fn word(self) -> &'static str {
        match self {
            Class::Hwmon => "hwmon",
            Class::Iio => "iio",
            Class::Thermal => "thermal",
        }
    }

    /// Folder of its devices below the root.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Class::Hwmon => "class/hwmon",
            Class::Iio => "bus/iio/devices",
            Class::Thermal => "class/thermal",
        }
    }

    /// Name of a device's folder without its number.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Class::Hwmon => "hwmon",
            Class::Iio => "iio:device",
            Class::Thermal => "thermal_zone",
        }
    }

    /// The file that holds the device's name.
    pub(super) fn name_file(self) -> &'static str {
        match self {
            Class::Hwmon | Class::Iio => "name",
            Class::Thermal => "type",
        }
    }

    /// The number of a device's folder.
    pub(super) fn number(self, folder: &str) -> Option<u32> {
        let digits = folder.strip_prefix(self.prefix())?;
        digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Address, PointError> {
        let whole = 0..text.len();
        if let Some(at) = text.find(|c: char| c.is_control()) {
            let message = "an address has no control characters".to_owned();
            return Err(PointError::new(at..text.len(), message, FORMS));
        }
        if let Some(path) = text.strip_prefix('/') {
            let path = path.strip_prefix("sys/").unwrap_or(path);
            let help = format!("write `file/{path}`, a path below `root`");
            return Err(PointError::new(0..1, "an address is no absolute path".to_owned(), &help));
        }
        let (word, rest) = text.split_once('/').unwrap_or((text, ""));
        if word == "file" {
            return file(text, rest);
        }
        let Some(class) = Class::ALL.into_iter().find(|class| class.word() == word) else {
            return Err(PointError::new(whole, format!("`{text}` is no address of sysfs"), FORMS));
        };
        let (name, channel) = match (class, rest.rsplit_once('/')) {
            (Class::Thermal, _) => (rest, ""),
            (_, Some((name, channel))) => (name, channel),
            (_, None) => (rest, ""),
        };
        let place = Place::Device(named(class, name, word.len() + 1)?);
        let at = (text.len() - channel.len())..text.len();
        let content = match class {
            Class::Thermal => Content::Divided { file: "temp".to_owned(), by: 1_000, unit: "°C" },
            Class::Hwmon if channel.is_empty() => {
                let help = format!("write hwmon/{name}/temp1, in0, curr1, power1 or fan1");
                return Err(PointError::new(whole, "the channel is missing".to_owned(), &help));
            }
            Class::Hwmon => hwmon(channel).map_err(|message| {
                PointError::new(at, message, "the files of a device are in /sys/class/hwmon/hwmon*/")
            })?,
            Class::Iio if channel.is_empty() => {
                let help = format!("write iio/{name}/in_voltage0");
                return Err(PointError::new(whole, "the channel is missing".to_owned(), &help));
            }
            Class::Iio => iio(channel),
        };
        Ok(Address { place, content })
    }
}

fn named(class: Class, text: &str, start: usize) -> Result<Named, PointError> {
    let at = start..start + text.len();
    let error = |message: String, help: &str| Err(PointError::new(at.clone(), message, help));
    let file = format!("/sys/{}/{}*/{}", class.folder(), class.prefix(), class.name_file());
    let (name, nth) = match text.rsplit_once('#') {
        Some((name, number)) => match number.parse::<u16>() {
            Ok(nth) if nth > 0 => (name, usize::from(nth)),
            _ => return error(format!("`#{number}` is no number"), "write NAME#2 for the second device of a name"),
        },
        None => (text, 1),
    };
    if name.is_empty() {
        return error("the name of the device is missing".to_owned(), &format!("names are in {file}"));
    }
    if name.contains('/') {
        return error(format!("`{name}` is no name of a device"), &format!("names are in {file}"));
    }
    if class.number(name).is_some() {
        let message = format!("`{name}` is a number, which may change with each start");
        return error(
            message,
            &format!("write the name that is in {}", file.replace(&format!("{}*", class.prefix()), name)),
        );
    }
    Ok(Named { class, name: name.to_owned(), nth })
}

fn hwmon(channel: &str) -> Result<Content, String> {
    let digits = channel.trim_start_matches(|c: char| !c.is_ascii_digit());
    let prefix = &channel[..channel.len() - digits.len()];
    let measured = MEASURED.iter().find(|measured| measured.prefix == prefix);
    match measured {
        Some(measured) if digits.is_empty() => {
            Err(format!("`{channel}` needs its number: {channel}{}", measured.first))
        }
        Some(measured) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Content::Divided { file: format!("{channel}_input"), by: measured.by, unit: measured.unit })
        }
        _ => {
            let is_text = channel.ends_with("_label") || channel == "name";
            Ok(Content::Plain { file: channel.to_owned(), is_whole: !is_text })
        }
    }
}

fn iio(channel: &str) -> Content {
    let last = channel.rsplit('_').next().unwrap_or_default();
    let is_channel = channel.starts_with("in_") || channel.starts_with("out_");
    if is_channel && !ATTRIBUTES.contains(&last) {
        return Content::Channel(channel.to_owned());
    }
    Content::Plain { file: channel.to_owned(), is_whole: last == "raw" }
}

fn file(text: &str, path: &str) -> Result<Address, PointError> {
    let start = text.len() - path.len();
    if path.is_empty() {
        let help = "write file/devices/system/cpu/online";
        return Err(PointError::new(0..text.len(), "the path is missing".to_owned(), help));
    }
    let mut at = start;
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            let message = if part == ".." {
                "a path does not leave `root`".to_owned()
            } else {
                "a path has no empty parts".to_owned()
            };
            return Err(PointError::new(at..at + part.len(), message, "write the path below `root`, without `..`"));
        }
        at += part.len() + 1;
    }
    let content = Content::Plain { file: path.to_owned(), is_whole: false };
    Ok(Address { place: Place::File(path.to_owned()), content })
}

impl Content {
    /// The unit that the value has, for a listing.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Content::Divided { unit, .. } => unit,
            Content::Plain { .. } | Content::Channel(_) => "",
        }
    }
}
