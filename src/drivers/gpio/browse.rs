//! Listings for commissioning: the lines of a chip, and one look at a line.

use super::address::Address;
use super::kernel::{Chip, Fault, Info, Line};
use super::table::{Resolved, Wish, resolve};
use super::wiring::Wiring;
use crate::drivers::listing::Found;
use crate::drivers::reading::ProbeLine;

/// The lines whose addresses begin like this.
pub(super) fn all<C: Chip>(chip: &C, from: &str) -> Result<Vec<Found>, Fault> {
    let infos = chip.list()?;
    let found = infos.iter().map(|info| {
        // A name that several lines have does not find one.
        let is_unique = infos.iter().filter(|other| other.name == info.name).count() == 1;
        let name = Some(info.name.as_str()).filter(|name| is_unique && !name.is_empty());
        let address = name.map(address_of).filter(|text| Address::parse(text) == Ok(Address::Name(info.name.clone())));
        Found {
            path: vec![if info.name.is_empty() { format!("Line{}", info.offset) } else { info.name.clone() }],
            address: address.unwrap_or_else(|| format!("line/{}", info.offset)),
            data_type: "Boolean".to_owned(),
            description: said(info),
            ..Found::default()
        }
    });
    Ok(found.filter(|found| found.address.starts_with(from)).collect())
}

fn address_of(name: &str) -> String {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) || name.starts_with("name=");
    if is_number { format!("line/name={name}") } else { format!("line/{name}") }
}

fn said(info: &Info) -> String {
    let direction = if info.is_output { "output" } else { "input" };
    let used = match (info.is_used, info.consumer.is_empty()) {
        (false, _) => String::new(),
        (true, true) => ", in use".to_owned(),
        (true, false) => format!(", in use by {}", info.consumer),
    };
    format!("line {}, {direction}{used}", info.offset)
}

/// The state of a line. Its direction stays; a line that a program has is not read.
pub(super) fn probe<C: Chip>(chip: &C, address: &Address) -> Result<Vec<ProbeLine>, Fault> {
    let infos = chip.list()?;
    let wiring = Wiring { is_as_is: true, ..Wiring::default() };
    let wish = Wish { point: 0, address: address.clone(), wiring: wiring.clone() };
    let Resolved { lines, faults } = resolve(&[wish], &chip.device(), &infos);
    if let Some((_, fault)) = faults.into_iter().next() {
        return Err(fault);
    }
    let mut out = Vec::new();
    for info in infos.iter().filter(|info| lines.contains_key(&info.offset)) {
        out.push(ProbeLine { keys: format!("{} of {}", address_of_info(info), chip.device()), value: said(info) });
        let level = match info.is_used {
            true => "not read: a program has it".to_owned(),
            false => chip.request(info.offset, &wiring)?.level()?.to_string(),
        };
        out.push(ProbeLine { keys: "type: Boolean".to_owned(), value: level });
    }
    Ok(out)
}

fn address_of_info(info: &Info) -> String {
    if info.name.is_empty() { format!("line/{}", info.offset) } else { address_of(&info.name) }
}
