//! Properties of packets of MQTT 5 (5.0 §2.2.2): those that matter here, and the lengths of all others.

use super::wire::{Bytes, Malformed};

/// Properties that change what is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Properties<'a> {
    /// The broker's own keep-alive in seconds, instead of ours.
    pub keep_alive: Option<u16>,
    /// Highest QoS that the broker takes; 2 without it.
    pub max_qos: Option<u8>,
    pub has_no_retain: bool,
    /// Largest packet that the broker takes.
    pub max_packet: Option<u32>,
    pub reason: Option<&'a str>,
    pub has_alias: bool,
}

impl<'a> Properties<'a> {
    pub(super) fn read(mut bytes: Bytes<'a>) -> Result<Properties<'a>, Malformed> {
        let mut found = Properties::default();
        while !bytes.0.is_empty() {
            match bytes.byte()? {
                0x13 => found.keep_alive = Some(bytes.word()?),
                0x1f => found.reason = Some(bytes.text()?),
                0x23 => found.has_alias = bytes.word()? > 0,
                0x24 => found.max_qos = Some(bytes.byte()?),
                0x25 => found.has_no_retain = bytes.byte()? == 0,
                0x27 => found.max_packet = Some(bytes.long()?),
                0x01 | 0x17 | 0x19 | 0x28 | 0x29 | 0x2a => drop(bytes.byte()?),
                0x21 | 0x22 => drop(bytes.word()?),
                0x02 | 0x11 | 0x18 => drop(bytes.long()?),
                0x03 | 0x08 | 0x12 | 0x15 | 0x1a | 0x1c => drop(bytes.text()?),
                0x09 | 0x16 => drop(bytes.binary()?),
                0x0b => drop(bytes.length()?),
                0x26 => drop((bytes.text()?, bytes.text()?)),
                _ => return Err(Malformed("a property is of no known type")),
            }
        }
        Ok(found)
    }
}
