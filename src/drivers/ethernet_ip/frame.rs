//! The encapsulation of EtherNet/IP: how requests of CIP travel over TCP (Volume 2, chapter 2). Pure.
//!
//! All numbers are little-endian. The sender context is the client's own and comes back with the reply.

use std::ops::Range;

pub(crate) const REGISTER: u16 = 0x65;
pub(crate) const UNREGISTER: u16 = 0x66;
/// A request outside of a connection, and its reply.
pub(crate) const UNCONNECTED: u16 = 0x6f;
/// A request in a connection, and its reply.
pub(crate) const CONNECTED: u16 = 0x70;

pub(crate) const HEADER: usize = 24;
/// Longest frame that is taken; the longest reply that is asked for has about 4,100 bytes.
pub(crate) const LONGEST: usize = 8_192;

const NULL_ITEM: u16 = 0;
const CONNECTED_ADDRESS: u16 = 0xa1;
const CONNECTED_DATA: u16 = 0xb1;
const UNCONNECTED_DATA: u16 = 0xb2;

/// The next frame in the bytes received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Not whole yet.
    More,
    /// The stream is out of step, or the peer speaks another protocol.
    Broken,
    Whole {
        head: Head,
        payload: Range<usize>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub command: u16,
    pub session: u32,
    pub status: u32,
    pub context: u64,
}

/// The message of CIP in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The connection and the sequence count of a reply in a connection.
    pub connected: Option<Sequenced>,
    pub data: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequenced {
    pub connection: u32,
    pub sequence: u16,
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]))
}

pub(crate) fn double(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

/// Commands that a device may send.
fn is_known(command: u16) -> bool {
    matches!(command, 0 | 1 | 4 | 0x63 | 0x64 | REGISTER | UNREGISTER | UNCONNECTED | CONNECTED | 0x72 | 0x73)
}

pub(crate) fn next(bytes: &[u8]) -> Frame {
    let Some(command) = word(bytes, 0) else { return Frame::More };
    if !is_known(command) {
        return Frame::Broken;
    }
    let Some(length) = word(bytes, 2).map(usize::from) else { return Frame::More };
    if HEADER + length > LONGEST {
        return Frame::Broken;
    }
    let Some(whole) = bytes.get(..HEADER + length) else { return Frame::More };
    let (Some(session), Some(status), Some(context)) = (double(whole, 4), double(whole, 8), whole.get(12..20)) else {
        return Frame::Broken;
    };
    let context = context.iter().rev().fold(0, |all: u64, byte| all << 8 | u64::from(*byte));
    Frame::Whole { head: Head { command, session, status, context }, payload: HEADER..HEADER + length }
}

/// Begins a frame; `finish` fills in its length.
pub(crate) fn begin(out: &mut Vec<u8>, command: u16, session: u32, context: u64) {
    out.clear();
    out.extend(command.to_le_bytes());
    out.extend([0, 0]);
    out.extend(session.to_le_bytes());
    out.extend([0; 4]);
    out.extend(context.to_le_bytes());
    out.extend([0; 4]);
}

pub(crate) fn finish(out: &mut [u8]) {
    let length = u16::try_from(out.len() - HEADER).unwrap_or(u16::MAX);
    out[2..4].copy_from_slice(&length.to_le_bytes());
}

/// Interface handle and time limit of the router, which the client's own limit replaces.
const NO_LIMIT: [u8; 6] = [0; 6];

/// Adds a message outside of a connection.
pub(crate) fn put_unconnected(out: &mut Vec<u8>, build: impl FnOnce(&mut Vec<u8>)) {
    out.extend(NO_LIMIT);
    out.extend([2, 0]);
    out.extend(NULL_ITEM.to_le_bytes());
    out.extend([0, 0]);
    put_item(out, UNCONNECTED_DATA, build);
}

/// Adds a message in a connection.
pub(crate) fn put_connected(out: &mut Vec<u8>, of: Sequenced, build: impl FnOnce(&mut Vec<u8>)) {
    out.extend(NO_LIMIT);
    out.extend([2, 0]);
    put_item(out, CONNECTED_ADDRESS, |out| out.extend(of.connection.to_le_bytes()));
    put_item(out, CONNECTED_DATA, |out| {
        out.extend(of.sequence.to_le_bytes());
        build(out);
    });
}

fn put_item(out: &mut Vec<u8>, kind: u16, build: impl FnOnce(&mut Vec<u8>)) {
    out.extend(kind.to_le_bytes());
    let at = out.len();
    out.extend([0, 0]);
    build(out);
    let length = u16::try_from(out.len() - at - 2).unwrap_or(u16::MAX);
    out[at..at + 2].copy_from_slice(&length.to_le_bytes());
}

/// The message of CIP in the items of a frame; `None` when they are not those of a reply.
pub(crate) fn message(bytes: &[u8], payload: Range<usize>) -> Option<Message> {
    let end = payload.end;
    let bytes = bytes.get(..end)?;
    let mut at = payload.start + NO_LIMIT.len();
    let count = word(bytes, at)?;
    at += 2;
    let mut connection = None;
    for _ in 0..count.min(4) {
        let (kind, length) = (word(bytes, at)?, usize::from(word(bytes, at + 2)?));
        let data = at + 4..at + 4 + length;
        bytes.get(data.clone())?;
        at = data.end;
        match kind {
            CONNECTED_ADDRESS => connection = Some(double(bytes, data.start).filter(|_| length == 4)?),
            CONNECTED_DATA => {
                let sequence = word(bytes, data.start).filter(|_| length >= 2)?;
                let connected = Some(Sequenced { connection: connection?, sequence });
                return Some(Message { connected, data: data.start + 2..data.end });
            }
            UNCONNECTED_DATA => return Some(Message { connected: None, data }),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_comes_back_as_it_was_sent_and_not_before_it_is_whole(
            session: u32, context: u64, data in prop::collection::vec(any::<u8>(), 0..300), sequence: Option<u16>
        ) {
            let mut out = Vec::new();
            let sequenced = sequence.map(|sequence| Sequenced { connection: !session, sequence });
            let command = if sequenced.is_some() { CONNECTED } else { UNCONNECTED };
            begin(&mut out, command, session, context);
            match sequenced {
                Some(of) => put_connected(&mut out, of, |out| out.extend(&data)),
                None => put_unconnected(&mut out, |out| out.extend(&data)),
            }
            finish(&mut out);
            for end in 0..out.len() {
                prop_assert_eq!(next(&out[..end]), Frame::More);
            }
            let Frame::Whole { head, payload } = next(&out) else { panic!("whole") };
            prop_assert_eq!(head, Head { command, session, status: 0, context });
            let message = message(&out, payload).expect("a message");
            prop_assert_eq!(message.connected, sequenced);
            prop_assert_eq!(&out[message.data], &data[..]);
        }
    }

    #[test]
    fn another_protocol_and_endless_frames_are_broken() {
        assert_eq!(next(b"HTTP/1.1 400"), Frame::Broken);
        assert_eq!(next(&[0x6f, 0, 0xff, 0xff, 0, 0]), Frame::Broken);
    }
}
