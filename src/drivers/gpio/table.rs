//! The lines that points need. Pure.

use std::collections::BTreeMap;

use opcua::StatusCode;

use super::address::Address;
use super::kernel::{Fault, Info};
use super::wiring::Wiring;
use crate::value::nearest;

/// A point before its line is known.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub point: u32,
    pub address: Address,
    pub wiring: Wiring,
}

/// A line that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed {
    pub wiring: Wiring,
    pub points: Vec<u32>,
}

/// The lines of points.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub lines: BTreeMap<u32, Needed>,
    pub faults: Vec<(u32, Fault)>,
}

/// Finds the line of each point among those of a chip.
pub(super) fn resolve(wishes: &[Wish], chip: &str, infos: &[Info]) -> Resolved {
    let mut resolved = Resolved::default();
    for wish in wishes {
        let offset = match offset_of(&wish.address, chip, infos) {
            Ok(offset) => offset,
            Err(fault) => {
                resolved.faults.push((wish.point, fault));
                continue;
            }
        };
        match resolved.lines.get_mut(&offset) {
            None => {
                let needed = Needed { wiring: wish.wiring.clone(), points: vec![wish.point] };
                resolved.lines.insert(offset, needed);
            }
            Some(needed) => match needed.wiring.merged(&wish.wiring) {
                Ok(wiring) => {
                    needed.wiring = wiring;
                    needed.points.push(wish.point);
                }
                Err(key) => {
                    let text = format!("another tag has line {offset} with another `{key}`");
                    resolved.faults.push((wish.point, Fault::line(StatusCode::BadConfigurationError, text)));
                }
            },
        }
    }
    resolved
}

fn offset_of(address: &Address, chip: &str, infos: &[Info]) -> Result<u32, Fault> {
    let wrong = |text: String| Err(Fault::line(StatusCode::BadConfigurationError, text));
    match address {
        Address::Offset(offset) if infos.iter().any(|info| info.offset == *offset) => Ok(*offset),
        Address::Offset(_) => match infos.last() {
            Some(last) => wrong(format!("{chip} has the lines 0 to {}", last.offset)),
            None => wrong(format!("{chip} has no lines")),
        },
        Address::Name(name) => {
            let found: Vec<u32> = infos.iter().filter(|info| info.name == *name).map(|info| info.offset).collect();
            match found[..] {
                [one] => Ok(one),
                [] => {
                    let names = infos.iter().map(|info| info.name.as_str()).filter(|known| !known.is_empty());
                    let hint = nearest(name, names).map(|near| format!("; is `{near}` meant?")).unwrap_or_default();
                    wrong(format!("{chip} has no line of this name{hint}"))
                }
                [ref others @ .., last] => {
                    let others: Vec<String> = others.iter().map(u32::to_string).collect();
                    wrong(format!("{chip} has this name at the lines {} and {last}", others.join(", ")))
                }
            }
        }
    }
}
