//! Requests and replies of CIP (Volume 1, and the manufacturer's description of data access in Logix). Pure.

use std::ops::Range;

use super::frame::{double, word};
use super::path;

/// Services.
pub(crate) const ATTRIBUTES: u8 = 0x03;
pub(crate) const BATCH: u8 = 0x0a;
pub(crate) const READ: u8 = 0x4c;
pub(crate) const WRITE: u8 = 0x4d;
/// Changes single bits; of the Connection Manager: Forward Close.
pub(crate) const CHANGE_BITS: u8 = 0x4e;
pub(crate) const CLOSE: u8 = 0x4e;
/// Read Tag Fragmented; of the Connection Manager: Unconnected Send.
pub(crate) const READ_PART: u8 = 0x52;
pub(crate) const SEND: u8 = 0x52;
pub(crate) const WRITE_PART: u8 = 0x53;
pub(crate) const OPEN: u8 = 0x54;
pub(crate) const LIST: u8 = 0x55;
pub(crate) const OPEN_LARGE: u8 = 0x5b;

const REPLY: u8 = 0x80;

/// General statuses.
pub(crate) const DONE: u8 = 0;
pub(crate) const NO_CONNECTION: u8 = 0x01;
pub(crate) const PARTIAL: u8 = 0x06;
pub(crate) const NO_SERVICE: u8 = 0x08;
pub(crate) const TOO_LARGE: u8 = 0x11;
/// One of the services of a batch failed; their replies are there.
const OF_ONE: u8 = 0x1e;

/// The outcome of a request, in the PLC's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Code {
    pub general: u8,
    pub extended: u16,
}

/// A reply to one service; the range is that of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub service: u8,
    pub code: Code,
    pub data: Range<usize>,
}

impl Code {
    /// The way to the CPU failed, and not the CPU itself: a slot or network of the route is not there.
    pub(crate) fn is_of_route(self) -> bool {
        self.general == NO_CONNECTION && matches!(self.extended, 0x0204 | 0x0205 | 0x0311..=0x031f)
    }
}

/// Adds a service and its path.
pub(crate) fn begin(out: &mut Vec<u8>, service: u8, path: &[u8]) {
    out.push(service);
    out.push(u8::try_from(path.len() / 2).unwrap_or(u8::MAX));
    out.extend(path);
}

/// Reads elements from a tag on.
pub(crate) fn read(out: &mut Vec<u8>, path: &[u8], elements: u16) {
    begin(out, READ, path);
    out.extend(elements.to_le_bytes());
}

/// Reads a value from a byte on.
pub(crate) fn read_part(out: &mut Vec<u8>, path: &[u8], elements: u16, offset: u32) {
    begin(out, READ_PART, path);
    out.extend(elements.to_le_bytes());
    out.extend(offset.to_le_bytes());
}

/// Bytes of a read in a batch, with its offset there.
pub(crate) fn read_size(path: &[u8]) -> usize {
    2 + 2 + path.len() + 2
}

/// Bytes of a batch before its offsets.
pub(crate) const BATCH_HEAD: usize = 8;
/// Bytes of the reply to a batch before its offsets, and of each reply in it with its offset.
pub(crate) const BATCH_REPLY_HEAD: usize = 6;
pub(crate) const ITEM_REPLY_HEAD: usize = 2 + 4;

/// Several services in one request (Multiple Service Packet).
pub(crate) fn batch<'a>(out: &mut Vec<u8>, services: impl Iterator<Item = &'a [u8]> + Clone) {
    begin(out, BATCH, path::ROUTER);
    let count = u16::try_from(services.clone().count()).unwrap_or(u16::MAX);
    out.extend(count.to_le_bytes());
    let mut offset = 2 + count * 2;
    for service in services.clone() {
        out.extend(offset.to_le_bytes());
        offset = offset.saturating_add(u16::try_from(service.len()).unwrap_or(u16::MAX));
    }
    services.for_each(|service| out.extend(service));
}

/// A request that a router passes on (Unconnected Send).
pub(crate) fn send_by(out: &mut Vec<u8>, route: &[u8], build: impl FnOnce(&mut Vec<u8>)) {
    begin(out, SEND, path::MANAGER);
    out.extend(ROUTER_WAITS);
    let at = out.len();
    out.extend([0, 0]);
    build(out);
    let length = out.len() - at - 2;
    out[at..at + 2].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    if !length.is_multiple_of(2) {
        out.push(0);
    }
    out.push(u8::try_from(route.len() / 2).unwrap_or(u8::MAX));
    out.push(0);
    out.extend(route);
}

/// The router's limit: 155 ticks of 32 ms, about 5 s. The client's own is shorter.
const ROUTER_WAITS: [u8; 2] = [5, 155];

/// Bytes that the router's envelope adds to a request.
pub(crate) fn envelope(route: &[u8]) -> usize {
    6 + 2 + 2 + 1 + 2 + route.len()
}

/// A connection to the CPU, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The number that the PLC's messages carry.
    pub own: u32,
    pub serial: u16,
    pub originator: u32,
    /// Bytes of a message with its sequence count.
    pub size: u16,
}

/// An assigned vendor number is needed for devices, and not for clients.
const VENDOR: [u8; 2] = [0xff, 0xff];
/// 2 s between packets, in microseconds, times 512: a PLC keeps a connection without requests for a quarter of an hour.
const INTERVAL: u32 = 2_000_000;
const TIMES_512: u8 = 7;
/// Class 3, by application, server.
const TRANSPORT: u8 = 0xa3;
/// Point to point, of any length up to the size.
const PARAMETERS: u16 = 0x4200;

/// Opens a connection; with large sizes where they need more than 9 bits.
pub(crate) fn open(out: &mut Vec<u8>, of: Opening, route: &[u8]) {
    let is_large = of.size > 511;
    begin(out, if is_large { OPEN_LARGE } else { OPEN }, path::MANAGER);
    out.extend(ROUTER_WAITS);
    // The PLC chooses the number of its end.
    out.extend([0; 4]);
    out.extend(of.own.to_le_bytes());
    out.extend(of.serial.to_le_bytes());
    out.extend(VENDOR);
    out.extend(of.originator.to_le_bytes());
    out.extend([TIMES_512, 0, 0, 0]);
    for _ in 0..2 {
        out.extend(INTERVAL.to_le_bytes());
        match is_large {
            true => out.extend((u32::from(PARAMETERS) << 16 | u32::from(of.size)).to_le_bytes()),
            false => out.extend((PARAMETERS | of.size).to_le_bytes()),
        }
    }
    out.push(TRANSPORT);
    put_connection_path(out, route, &[]);
}

/// Closes a connection.
pub(crate) fn close(out: &mut Vec<u8>, of: Opening, route: &[u8]) {
    begin(out, CLOSE, path::MANAGER);
    out.extend(ROUTER_WAITS);
    out.extend(of.serial.to_le_bytes());
    out.extend(VENDOR);
    out.extend(of.originator.to_le_bytes());
    put_connection_path(out, route, &[0]);
}

fn put_connection_path(out: &mut Vec<u8>, route: &[u8], reserved: &[u8]) {
    out.push(u8::try_from((route.len() + path::ROUTER.len()) / 2).unwrap_or(u8::MAX));
    out.extend(reserved);
    out.extend(route);
    out.extend(path::ROUTER);
}

/// The PLC's number of a connection that was opened.
pub(crate) fn opened(data: &[u8], of: Opening) -> Option<u32> {
    let is_ours = double(data, 4)? == of.own && word(data, 8)? == of.serial;
    double(data, 0).filter(|_| is_ours)
}

/// The reply in these bytes; `None` when they are none.
pub(crate) fn reply(bytes: &[u8], at: Range<usize>) -> Option<Reply> {
    let own = bytes.get(at.clone())?;
    let [service, _, general, words, ..] = *own else { return None };
    let start = 4 + usize::from(words) * 2;
    if service & REPLY == 0 || start > own.len() {
        return None;
    }
    let extended = if words > 0 { word(own, 4)? } else { 0 };
    Some(Reply { service: service & !REPLY, code: Code { general, extended }, data: at.start + start..at.end })
}

/// The replies to the services of a batch; `None` when their number is another one.
pub(crate) fn replies(bytes: &[u8], of: &Reply, count: usize, into: &mut Vec<Reply>) -> Option<()> {
    into.clear();
    let data = bytes.get(of.data.clone())?;
    if usize::from(word(data, 0)?) != count {
        return None;
    }
    let offset = |at: usize| if at < count { word(data, 2 + at * 2).map(usize::from) } else { Some(data.len()) };
    let mut least = 2 + count * 2;
    for at in 0..count {
        let (start, end) = (offset(at)?, offset(at + 1)?);
        if start < least || end < start || end > data.len() {
            return None;
        }
        into.push(reply(bytes, of.data.start + start..of.data.start + end)?);
        least = end;
    }
    Some(())
}

/// Whether the reply to a batch has one for each of its services.
pub(crate) fn has_replies(of: &Reply) -> bool {
    matches!(of.code.general, DONE | OF_ONE) && !of.data.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch_reply(items: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![BATCH | REPLY, 0, 0, 0];
        out.extend(u16::try_from(items.len()).expect("few").to_le_bytes());
        let mut offset = 2 + items.len() * 2;
        for item in items {
            out.extend(u16::try_from(offset).expect("short").to_le_bytes());
            offset += item.len();
        }
        out.extend(items.concat());
        out
    }

    proptest! {
        #[test]
        fn replies_of_a_batch_are_taken_apart_or_refused(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..9), count in 0..10_usize
        ) {
            let items: Vec<Vec<u8>> = items.into_iter().map(|data| [&[READ | REPLY, 0, 0, 0][..], &data].concat()).collect();
            let bytes = batch_reply(&items);
            let whole = reply(&bytes, 0..bytes.len()).expect("a reply");
            let mut into = Vec::new();
            prop_assert_eq!(replies(&bytes, &whole, count, &mut into).is_some(), count == items.len());
            if count == items.len() {
                for (reply, item) in into.iter().zip(&items) {
                    prop_assert_eq!(&bytes[reply.data.clone()], &item[4..]);
                }
            }
        }

        #[test]
        fn bytes_from_outside_never_end_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0..9_usize) {
            if let Some(whole) = reply(&bytes, 0..bytes.len()) {
                let mut into = Vec::new();
                if replies(&bytes, &whole, count, &mut into).is_some() {
                    prop_assert!(into.iter().all(|one| one.data.end <= bytes.len() && one.data.start <= one.data.end));
                }
            }
        }
    }

    #[test]
    fn requests_have_the_bytes_that_the_manufacturer_shows() {
        let mut out = Vec::new();
        read(&mut out, b"\x91\x05parts\0", 1);
        assert_eq!(out, b"\x4c\x04\x91\x05parts\0\x01\0");
        let services: [&[u8]; 2] = [&out.clone(), b"\x4c\x02\x91\x02ab\x02\0"];
        let mut packet = Vec::new();
        batch(&mut packet, services.into_iter());
        assert_eq!(packet[..12], [0x0a, 2, 0x20, 2, 0x24, 1, 2, 0, 6, 0, 18, 0]);
        assert_eq!(packet.len(), BATCH_HEAD + read_size(b"\x91\x05parts\0") + read_size(b"\x91\x02ab"));
        let mut sent = Vec::new();
        send_by(&mut sent, &[1, 0], |out| out.extend(&services[0][..11]));
        assert_eq!(
            sent,
            [&[0x52, 2, 0x20, 6, 0x24, 1, 5, 155, 11, 0][..], &services[0][..11], &[0, 1, 0, 1, 0]].concat()
        );
        assert!(sent.len() <= 11 + envelope(&[1, 0]));
    }

    #[test]
    fn an_error_of_the_route_is_told_from_one_of_the_cpu() {
        let code = |general, extended| Code { general, extended };
        assert!(code(1, 0x0312).is_of_route() && code(1, 0x0204).is_of_route());
        assert!(!code(1, 0x0109).is_of_route() && !code(5, 0x0312).is_of_route());
    }
}
