//! TPKT and COTP: how PDUs of S7 travel over TCP (RFC 1006, ISO 8073 class 0). Pure.

use std::ops::Range;

use super::tsap::Tsap;

/// The next packet in the bytes received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// Not whole yet.
    More,
    /// A part of a PDU, and whether it is the last one.
    Data { payload: Range<usize>, is_last: bool, used: usize },
    /// The connection is confirmed; `size` is the longest packet that the peer takes, without its TPKT header.
    Confirmed { size: Option<usize>, used: usize },
    /// The peer ends or refuses the connection.
    Refused { used: usize },
    /// The stream is out of step: this is no TPKT, or no packet of COTP.
    Broken,
}

const VERSION: u8 = 3;
const HEADER: usize = 4;
/// Longest TPKT that is taken: a PDU of 960 bytes and its headers have far less.
const LONGEST: usize = 8_192;

const REQUEST: u8 = 0xe0;
const CONFIRM: u8 = 0xd0;
const DISCONNECT: u8 = 0x80;
const DATA: u8 = 0xf0;
const ERROR: u8 = 0x70;

const SIZE: u8 = 0xc0;
const CALLING: u8 = 0xc1;
const CALLED: u8 = 0xc2;
/// The longest packet asked for: 2 to this power.
const SIZE_ASKED: u8 = 10;

/// Bytes before the PDU in a packet of data.
pub(crate) const DATA_HEADER: [u8; 7] = [VERSION, 0, 0, 0, 2, DATA, 0x80];

/// The packet that asks for a connection.
pub(crate) fn connect(local: Tsap, remote: Tsap) -> Vec<u8> {
    let ([la, lb], [ra, rb]) = (local.0.to_be_bytes(), remote.0.to_be_bytes());
    let body = [
        17, REQUEST, 0, 0, 0, 1, 0, // class 0
        SIZE, 1, SIZE_ASKED, CALLING, 2, la, lb, CALLED, 2, ra, rb,
    ];
    let mut packet = vec![VERSION, 0, 0, 22];
    packet.extend(body);
    packet
}

/// Puts the length into a packet of data that begins with `DATA_HEADER`.
pub(crate) fn finish(packet: &mut [u8]) {
    let length = u16::try_from(packet.len()).expect("a PDU has at most 960 bytes");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
}

/// Looks at the packet at the beginning of these bytes.
pub(crate) fn next(bytes: &[u8]) -> Packet {
    let starts_well = bytes.first().is_none_or(|byte| *byte == VERSION) && bytes.get(1).is_none_or(|byte| *byte == 0);
    if !starts_well {
        return Packet::Broken;
    }
    let Some(header) = bytes.get(..HEADER) else { return Packet::More };
    let used = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if !(HEADER + 3..=LONGEST).contains(&used) {
        return Packet::Broken;
    }
    let Some(body) = bytes.get(HEADER..used) else { return Packet::More };
    let header = usize::from(body[0]);
    let Some(fields) = body.get(1..=header).filter(|fields| !fields.is_empty()) else { return Packet::Broken };
    match fields[0] & 0xf0 {
        DATA if header >= 2 => {
            Packet::Data { payload: HEADER + 1 + header..used, is_last: fields[1] & 0x80 != 0, used }
        }
        CONFIRM if header >= 6 => Packet::Confirmed { size: size_of(&fields[6..]), used },
        DISCONNECT | ERROR => Packet::Refused { used },
        _ => Packet::Broken,
    }
}

/// The parameter that limits the packets.
fn size_of(mut parameters: &[u8]) -> Option<usize> {
    while let [code, length, rest @ ..] = parameters {
        let value = rest.get(..usize::from(*length))?;
        if let (SIZE, [power @ 7..=13]) = (*code, value) {
            return Some(1 << power);
        }
        parameters = &rest[value.len()..];
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_told_apart() {
        let confirm = [3, 0, 0, 22, 17, 0xd0, 0, 1, 0, 2, 0, 0xc1, 2, 1, 0, 0xc2, 2, 2, 1, 0xc0, 1, 9];
        for (bytes, packet) in [
            (&[][..], Packet::More),
            (&[3], Packet::More),
            (&[3, 0, 0, 8, 2, 0xf0, 0x80], Packet::More),
            (&[3, 0, 0, 8, 2, 0xf0, 0x80, 9], Packet::Data { payload: 7..8, is_last: true, used: 8 }),
            (&[3, 0, 0, 8, 2, 0xf0, 0x00, 9], Packet::Data { payload: 7..8, is_last: false, used: 8 }),
            (&[3, 0, 0, 7, 2, 0xf0, 0x80], Packet::Data { payload: 7..7, is_last: true, used: 7 }),
            (&confirm, Packet::Confirmed { size: Some(512), used: 22 }),
            (&[3, 0, 0, 11, 6, 0x80, 0, 1, 0, 2, 0], Packet::Refused { used: 11 }),
            (&[4], Packet::Broken),
            (&[3, 1], Packet::Broken),
            (&[3, 0, 0, 6, 1, 2], Packet::Broken),
            (&[3, 0, 0xff, 0xff], Packet::Broken),
            (&[3, 0, 0, 8, 9, 0xf0, 0x80, 9], Packet::Broken),
            (&[3, 0, 0, 8, 0, 0xf0, 0x80, 9], Packet::Broken),
            (&[3, 0, 0, 8, 1, 0xf0, 0x80, 9], Packet::Broken),
            (&[3, 0, 0, 8, 2, 0x10, 0x80, 9], Packet::Broken),
        ] {
            assert_eq!(next(bytes), packet, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn a_packet_lies_inside_of_its_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..64), length in 0_u8..70) {
            for (at, byte) in [3, 0, 0, length].into_iter().enumerate() {
                if let Some(place) = bytes.get_mut(at) { *place = byte; }
            }
            match next(&bytes) {
                Packet::Data { payload, used, .. } => {
                    prop_assert!(payload.start <= payload.end && payload.end == used && used <= bytes.len());
                }
                Packet::Confirmed { used, .. } | Packet::Refused { used } => prop_assert!(used <= bytes.len()),
                Packet::More | Packet::Broken => {}
            }
        }
    }
}
