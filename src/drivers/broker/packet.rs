//! Packets that a broker sends, read where they lie (MQTT 3.1.1 and 5.0, section 3 of both).

use super::properties::Properties;
use super::wire::{Bytes, Malformed};

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Version {
    #[default]
    V311,
    V5,
}

/// Whether the code of a filter or a message is a refusal.
pub(crate) fn is_refusal(code: u8) -> bool {
    code >= 0x80
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub topic: &'a str,
    /// 0 at QoS 0.
    pub id: u16,
    pub qos: u8,
    pub retained: bool,
    pub payload: &'a [u8],
}

/// The answer to a packet of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    ConnAck { code: u8, properties: Properties<'a> },
    Publish(Publish<'a>),
    PubAck { id: u16, code: u8 },
    PubRec { id: u16, code: u8 },
    PubRel { id: u16 },
    PubComp { id: u16, code: u8 },
    SubAck { id: u16, codes: &'a [u8] },
    UnsubAck { id: u16 },
    PingResp,
    Disconnect { code: u8, properties: Properties<'a> },
}

/// The properties of version 5, where the packet has them.
fn properties<'a>(bytes: &mut Bytes<'a>, version: Version) -> Result<Properties<'a>, Malformed> {
    if version == Version::V311 || bytes.0.is_empty() {
        return Ok(Properties::default());
    }
    let length = bytes.length()?;
    Properties::read(Bytes(bytes.take(length)?))
}

/// An acknowledgement: its id, and its reason code; 0 where there is none.
struct Acknowledged {
    id: u16,
    code: u8,
}

fn acknowledged(mut bytes: Bytes<'_>) -> Result<Acknowledged, Malformed> {
    let id = bytes.id()?;
    Ok(Acknowledged { id, code: if bytes.0.is_empty() { 0 } else { bytes.byte()? } })
}

impl<'a> Packet<'a> {
    /// Reads a whole packet: its first byte, and all after the length.
    pub(crate) fn read(first: u8, body: &'a [u8], version: Version) -> Result<Packet<'a>, Malformed> {
        let mut bytes = Bytes(body);
        Ok(match first >> 4 {
            2 => {
                bytes.byte()?;
                Packet::ConnAck { code: bytes.byte()?, properties: properties(&mut bytes, version)? }
            }
            3 => Packet::Publish(publish(first, bytes, version)?),
            4 => acknowledged(bytes).map(|Acknowledged { id, code }| Packet::PubAck { id, code })?,
            5 => acknowledged(bytes).map(|Acknowledged { id, code }| Packet::PubRec { id, code })?,
            6 => Packet::PubRel { id: bytes.id()? },
            7 => acknowledged(bytes).map(|Acknowledged { id, code }| Packet::PubComp { id, code })?,
            9 => {
                let id = bytes.id()?;
                if version == Version::V5 {
                    properties(&mut bytes, version)?;
                }
                Packet::SubAck { id, codes: bytes.0 }
            }
            11 => Packet::UnsubAck { id: bytes.id()? },
            13 => Packet::PingResp,
            14 if version == Version::V5 => {
                let code = if body.is_empty() { 0 } else { bytes.byte()? };
                Packet::Disconnect { code, properties: properties(&mut bytes, version)? }
            }
            _ => return Err(Malformed("a packet is of a type that no broker sends")),
        })
    }
}

fn publish(first: u8, mut bytes: Bytes<'_>, version: Version) -> Result<Publish<'_>, Malformed> {
    let qos = first >> 1 & 3;
    if qos == 3 {
        return Err(Malformed("a message has QoS 3"));
    }
    let topic = bytes.text()?;
    let id = if qos > 0 { bytes.id()? } else { 0 };
    let known = properties(&mut bytes, version)?;
    // No alias was offered to the broker (5.0 §3.1.2.11.5), so an empty topic is none.
    if known.has_alias || topic.is_empty() {
        return Err(Malformed("a message has no topic"));
    }
    Ok(Publish { topic, id, qos, retained: first & 1 == 1, payload: bytes.0 })
}
