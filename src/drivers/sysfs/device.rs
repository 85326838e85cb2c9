//! One device, or one file: found by its name, opened once, and looked for again when its files are gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::address::{Address, Class, Content, Named, Place};
use super::file::Folder;
use super::places::{Identity, Places};
use super::trouble::Trouble;
use super::value;
use crate::drivers::payload::Want;
use crate::value::Value;

/// Shortest time between two searches for a device that is not there.
const SEARCH_EVERY: Duration = Duration::from_millis(500);

/// Attempts to read a channel whose scale changes meanwhile.
const ATTEMPTS: usize = 3;

/// Names of devices that a reason lists.
const MOST_NAMES: usize = 8;

/// The order of the devices of each name.
pub(super) type Order = Arc<Mutex<HashMap<Key, Places>>>;

/// A name in a class.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub class: Class,
    pub name: String,
}

/// A device that is there.
#[derive(Debug)]
pub(super) struct Listed {
    /// Path of the folder that has its files, below the root.
    pub path: String,
    pub name: String,
    hardware: String,
    /// Its folder in the class.
    folder: String,
    identity: Identity,
}

/// The place of a request with what is known about it.
#[derive(Debug)]
pub(super) struct Device {
    place: Place,
    order: Order,
    folder: Option<Folder>,
    channels: HashMap<String, Channel>,
    /// The last search that found nothing.
    missed: Option<Missed>,
}

#[derive(Debug)]
struct Missed {
    at: Instant,
    why: Trouble,
}

/// Files of a channel of IIO; the choice is made once a device.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Channel {
    raw: String,
    offset: Option<String>,
    scale: Option<String>,
}

impl Device {
    pub(super) fn new(place: Place, order: Order) -> Device {
        Device { place, order, folder: None, channels: HashMap::new(), missed: None }
    }

    /// The value of each address, all of this device.
    pub(super) fn read<'a>(
        &mut self,
        root: &Folder,
        wanted: impl Iterator<Item = (&'a Address, &'a Want)>,
    ) -> Vec<Result<Value, Trouble>> {
        wanted.map(|(address, want)| self.read_one(root, &address.content, want)).collect()
    }

    fn read_one(&mut self, root: &Folder, content: &Content, want: &Want) -> Result<Value, Trouble> {
        let first = self.attempt(root, content, want);
        let is_absent = first.as_ref().is_err_and(|trouble| trouble.is_absent);
        if is_absent && self.folder.take().is_some() {
            // The device may have come back with another number.
            self.channels.clear();
            return self.attempt(root, content, want);
        }
        first
    }

    fn attempt(&mut self, root: &Folder, content: &Content, want: &Want) -> Result<Value, Trouble> {
        self.find(root)?;
        let folder = self.folder.as_ref().unwrap_or(root);
        match content {
            Content::Plain { file, .. } => value::plain(&folder.read(file)?, want),
            Content::Divided { file, by, .. } => value::divided(&folder.read(file)?, *by),
            Content::Channel(name) => {
                let channel = match self.channels.get(name) {
                    Some(channel) => channel,
                    None => {
                        let found = Channel::find(folder, name)?;
                        // Files that are missing because the device goes must not be taken for files that it never had.
                        folder.read(Class::Iio.name_file())?;
                        self.channels.entry(name.clone()).or_insert(found)
                    }
                };
                channel.read(folder)
            }
        }
    }

    /// Opens the folder of a device.
    pub(super) fn find(&mut self, root: &Folder) -> Result<(), Trouble> {
        let Place::Device(named) = &self.place else { return Ok(()) };
        if self.folder.is_some() {
            return Ok(());
        }
        if let Some(missed) = self.missed.as_ref().filter(|missed| missed.at.elapsed() < SEARCH_EVERY) {
            return Err(missed.why.clone());
        }
        let found = search(root, named, &self.order);
        self.missed = found.as_ref().err().map(|why| Missed { at: Instant::now(), why: why.clone() });
        self.folder = Some(found?);
        Ok(())
    }

    /// Writes a text to the file of an address.
    pub(super) fn write(&mut self, root: &Folder, file: &str, text: &[u8]) -> Result<(), Trouble> {
        self.find(root)?;
        let first = self.folder.as_ref().unwrap_or(root).write(file, text);
        let is_absent = first.as_ref().is_err_and(|trouble| trouble.is_absent);
        if is_absent && self.folder.take().is_some() {
            // Nothing was written: the file was not there.
            self.channels.clear();
            self.find(root)?;
            return self.folder.as_ref().unwrap_or(root).write(file, text);
        }
        first
    }
}

fn search(root: &Folder, named: &Named, order: &Order) -> Result<Folder, Trouble> {
    let Named { class, name, nth } = named;
    let all = devices(root, *class);
    let own: Vec<&Listed> = all.iter().filter(|one| one.name == *name).collect();
    let present: Vec<Identity> = own.iter().map(|one| one.identity.clone()).collect();
    let (identity, count) = {
        let mut order = order.lock();
        let places = order.entry(Key { class: *class, name: name.clone() }).or_default();
        places.update(&present);
        (places.get(*nth).cloned(), places.count())
    };
    let found = own.iter().find(|one| Some(&one.identity) == identity.as_ref());
    let Some(found) = found else {
        let text = match own.len() {
            0 => format!("there is no device `{name}`; {}", known(*class, &all)),
            _ if identity.is_some() => format!("device {nth} of {count} with the name `{name}` has gone"),
            1 => format!("there is one device `{name}`, and no {nth}"),
            many => format!("there are {many} devices `{name}`, and no {nth}"),
        };
        return Err(Trouble::absent(text));
    };
    let folder = root.below(&found.path)?;
    // Its number may have gone to another device since the listing.
    match folder.read(class.name_file()) {
        Ok(said) if said == name.as_bytes() => Ok(folder),
        _ => Err(Trouble::absent(format!("device `{name}` comes or goes"))),
    }
}

fn known(class: Class, all: &[Listed]) -> String {
    let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    match names.is_empty() {
        true => format!("{} has none", class.folder()),
        false => format!("there are {}{more}", names.join(", ")),
    }
}

/// The devices of a class, in the order of their numbers.
pub(super) fn devices(root: &Folder, class: Class) -> Vec<Listed> {
    let mut folders: Vec<(u32, String)> =
        root.entries(class.folder()).into_iter().filter_map(|folder| Some((class.number(&folder)?, folder))).collect();
    folders.sort_unstable();
    let mut all: Vec<Listed> = Vec::new();
    for (_, folder) in folders {
        let base = format!("{}/{folder}", class.folder());
        // Drivers before Linux 3.16 have their files in the folder of the hardware.
        let paths = [base.clone(), format!("{base}/device")];
        let name = |path: &String| root.read(&format!("{path}/{}", class.name_file())).ok();
        let Some((path, name)) = paths.into_iter().find_map(|path| name(&path).map(|name| (path, name))) else {
            continue;
        };
        let Ok(name) = String::from_utf8(name) else { continue };
        let hardware = hardware(root, class, &base).unwrap_or_else(|| folder.clone());
        all.push(Listed { path, name, identity: hardware.clone(), hardware, folder });
    }
    // Devices of one hardware differ by their numbers alone. When one of two goes, the other is none of those that were seen: a
    // count over those that are left would make it the first.
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    all.iter().for_each(|one| *counts.entry((&one.name, &one.hardware)).or_default() += 1);
    let shared: Vec<bool> = all.iter().map(|one| counts[&(one.name.as_str(), one.hardware.as_str())] > 1).collect();
    for (one, is_shared) in all.iter_mut().zip(shared) {
        if is_shared {
            one.identity = format!("{} {}", one.hardware, one.folder);
        }
    }
    all
}

/// Path of the hardware that a device belongs to.
fn hardware(root: &Folder, class: Class, base: &str) -> Option<Identity> {
    match class {
        Class::Hwmon => root.path_of(&format!("{base}/device")),
        // The folder of the device itself has the number.
        Class::Iio => {
            let own = root.path_of(base)?;
            let above = own.rsplit_once('/')?.0;
            (!above.ends_with(class.folder())).then(|| above.to_owned())
        }
        Class::Thermal => None,
    }
}

/// Beginnings of the files that a channel may share with others, the nearest first: `in_voltage1_vbat` has those of `in_voltage1`,
/// of `in_voltage`, of all inputs, and of the device.
fn kinds_of(name: &str) -> impl Iterator<Item = String> {
    let digits = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let is_direction = |kind: &str| kind == "in" || kind == "out";
    let without = name.rsplit_once('_').map(|(kind, _)| kind.to_owned()).filter(|kind| !is_direction(kind));
    let differential = name.split_once('-').map(|(first, second)| format!("{}-{}", digits(first), digits(second)));
    let without_digits = without.as_deref().map(digits);
    let direction = name.split_once('_').map(|(direction, _)| direction.to_owned()).filter(|kind| is_direction(kind));
    let kinds = [Some(digits(name)), differential, without, without_digits, direction];
    kinds.into_iter().flatten().map(|kind| format!("{kind}_")).chain([String::new()])
}

impl Channel {
    fn find(folder: &Folder, name: &str) -> Result<Channel, Trouble> {
        let file = |suffix: &str| Some(format!("{name}_{suffix}")).filter(|file| folder.has(file));
        let shared = |suffix: &str| kinds_of(name).map(|kind| format!("{kind}{suffix}")).find(|file| folder.has(file));
        if let Some(raw) = file("raw") {
            let offset = file("offset").or_else(|| shared("offset"));
            let Some(scale) = file("scale").or_else(|| shared("scale")) else {
                return Err(Trouble::absent(format!(
                    "there is no scale for {raw}; its number alone is the address {raw}"
                )));
            };
            return Ok(Channel { raw, offset, scale: Some(scale) });
        }
        match file("input") {
            Some(raw) => Ok(Channel { raw, offset: None, scale: None }),
            None => Err(Trouble::absent(format!("there is no {name}_raw and no {name}_input"))),
        }
    }

    /// Reads scale and offset before and after the raw value: they belong to it if they are the same.
    fn read(&self, folder: &Folder) -> Result<Value, Trouble> {
        let factor = |file: &Option<String>, default: f64| match file {
            Some(file) => value::number(&folder.read(file)?).map_err(|trouble| named(file, trouble)),
            None => Ok(default),
        };
        let factors = || -> Result<[f64; 2], Trouble> { Ok([factor(&self.offset, 0.0)?, factor(&self.scale, 1.0)?]) };
        let mut before = factors()?;
        for _ in 0..ATTEMPTS {
            let raw = value::number(&folder.read(&self.raw)?)?;
            let after = factors()?;
            if before == after {
                return value::channel(raw, before[0], before[1]);
            }
            before = after;
        }
        Err(Trouble::new(opcua::StatusCode::BadDataEncodingInvalid, "its scale changes while it is read"))
    }
}

fn named(file: &str, trouble: Trouble) -> Trouble {
    Trouble { text: format!("{file}: {}", trouble.text), ..trouble }
}
