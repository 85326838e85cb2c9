//! Listings for commissioning: the devices that there are, and one look at an address.

use std::path::Path;

use super::address::{Address, Class, Content};
use super::device::{Device, Order, devices};
use super::file::Folder;
use crate::drivers::listing::Found;
use crate::drivers::payload::Want;
use crate::drivers::reading::ProbeLine;
use crate::value::BuiltIn;

/// Everything that the devices measure, for addresses that begin like this.
pub(super) fn all(root: &Path, from: &str) -> Result<Vec<Found>, String> {
    let root = Folder::root(root).map_err(|trouble| format!("{}: {}", root.display(), trouble.text))?;
    let mut found = Vec::new();
    for class in Class::ALL {
        let listed = devices(&root, class);
        for (at, device) in listed.iter().enumerate() {
            let nth = 1 + listed[..at].iter().filter(|other| other.name == device.name).count();
            let name = if nth == 1 { device.name.clone() } else { format!("{}#{nth}", device.name) };
            let base = format!("{}/{name}", class.word());
            for channel in channels(class, &root.entries(&device.path)) {
                let address = if channel.is_empty() { base.clone() } else { format!("{base}/{channel}") };
                // A name that an address cannot have is left out.
                let Ok(parsed) = Address::parse(&address) else { continue };
                if !address.starts_with(from) {
                    continue;
                }
                let label = root.read(&format!("{}/{channel}_label", device.path)).ok();
                let label = label.and_then(|label| String::from_utf8(label).ok()).unwrap_or_default();
                let leaf = if channel.is_empty() { "temp".to_owned() } else { channel };
                found.push(Found {
                    path: vec![class.word().to_owned(), name.clone(), leaf],
                    address,
                    data_type: "Double".to_owned(),
                    unit: parsed.content.unit().to_owned(),
                    description: label,
                    ..Found::default()
                });
            }
        }
    }
    Ok(found)
}

/// The channels that the files of a device make; empty texts for a device that is one.
fn channels(class: Class, files: &[String]) -> Vec<String> {
    let mut found: Vec<String> = match class {
        Class::Thermal => files.iter().filter(|file| *file == "temp").map(|_| String::new()).collect(),
        Class::Hwmon => files.iter().filter_map(|file| file.strip_suffix("_input")).map(str::to_owned).collect(),
        Class::Iio => files
            .iter()
            .filter(|file| file.starts_with("in_") || file.starts_with("out_"))
            .filter_map(|file| file.strip_suffix("_raw").or_else(|| file.strip_suffix("_input")))
            .map(str::to_owned)
            .collect(),
    };
    found.sort();
    found.dedup();
    found
}

/// The value of an address, and the text of its file.
pub(super) fn probe(path: &Path, address: &Address) -> Result<Vec<ProbeLine>, String> {
    let root = Folder::root(path).map_err(|trouble| format!("{}: {}", path.display(), trouble.text))?;
    let kind = if matches!(address.content, Content::Plain { .. }) { BuiltIn::String } else { BuiltIn::Double };
    let want = Want { kind, elements: None, length: None, has_scale: false, enumeration: None };
    let mut device = Device::new(address.place.clone(), Order::default());
    let read = device.read(&root, std::iter::once((address, &want)));
    let value = read.into_iter().next().ok_or("nothing was read")?.map_err(|trouble| trouble.text)?;
    let unit = address.content.unit();
    let keys = if kind == BuiltIn::String { "text".to_owned() } else { "type: Double".to_owned() };
    Ok(vec![ProbeLine { keys, value: format!("{} {unit}", value.shown()).trim_end().to_owned() }])
}
