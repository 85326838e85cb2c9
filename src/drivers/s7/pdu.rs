//! PDUs of the S7 protocol: set-up, Read Var and Write Var, and their replies. Pure.
//!
//! The vendor has published no specification; the fields are those that snap7's client and server exchange.

use std::ops::Range;

use super::address::Area;

/// Items of one request, at most.
pub(crate) const MOST_ITEMS: usize = 20;
/// Bytes of a reply to a read before its items, and of an item before its data.
const READ_REPLY: usize = 14;
const ITEM_HEAD: usize = 4;
/// Bytes of a request before its items, and of an item.
const REQUEST: usize = 12;
const ITEM: usize = 12;

const PROTOCOL: u8 = 0x32;
const JOB: u8 = 1;
const ACK: u8 = 2;
const ACK_DATA: u8 = 3;

const SETUP: u8 = 0xf0;
const READ: u8 = 4;
const WRITE: u8 = 5;

const DONE: u8 = 0xff;

/// Data in an item of a request: bytes, or timers or counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub area: Area,
    pub db: u16,
    /// Byte, or number of the timer or counter.
    pub start: u32,
    /// Bytes, or timers or counters.
    pub count: u16,
}

impl Place {
    /// Bytes of its data.
    pub(crate) fn bytes(&self) -> usize {
        usize::from(self.count) * if self.area.has_elements() { 2 } else { 1 }
    }
}

/// An item of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put<'a> {
    Bit(bool),
    Bytes(&'a [u8]),
}

impl Put<'_> {
    fn len(&self) -> usize {
        match self {
            Put::Bit(_) => 1,
            Put::Bytes(bytes) => bytes.len(),
        }
    }
}

/// Longest data of one item that is read, and of one that is written.
pub(crate) fn longest_read(pdu: u16) -> usize {
    usize::from(pdu).saturating_sub(READ_REPLY + ITEM_HEAD)
}

pub(crate) fn longest_write(pdu: u16) -> usize {
    usize::from(pdu).saturating_sub(REQUEST + ITEM + ITEM_HEAD)
}

/// Room of a request and its reply while items are added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    items: usize,
    reply: usize,
}

impl Room {
    pub(crate) const EMPTY: Room = Room { items: 0, reply: READ_REPLY };

    /// Adds an item with these bytes of data, if request and reply take it.
    pub(crate) fn takes(&mut self, bytes: usize, pdu: u16) -> bool {
        let pdu = usize::from(pdu);
        // Each item but the last begins at an even byte.
        let reply = self.reply.next_multiple_of(2) + ITEM_HEAD + bytes;
        let fits = self.items < MOST_ITEMS && REQUEST + (self.items + 1) * ITEM <= pdu && reply <= pdu;
        if fits {
            *self = Room { items: self.items + 1, reply };
        }
        fits
    }
}

/// Bytes that an item of a write needs in its request.
pub(crate) fn write_size(bytes: usize) -> usize {
    ITEM + ITEM_HEAD + bytes.next_multiple_of(2)
}

/// Room for the items of a write.
pub(crate) fn write_room(pdu: u16) -> usize {
    usize::from(pdu).saturating_sub(REQUEST)
}

/// The head of a request; `finish` fills in its lengths.
fn begin(out: &mut Vec<u8>, reference: u16, function: u8) -> usize {
    let start = out.len();
    out.extend([PROTOCOL, JOB, 0, 0]);
    out.extend(reference.to_be_bytes());
    out.extend([0; 4]);
    out.push(function);
    start
}

fn finish(out: &mut [u8], start: usize, data: usize) {
    let parameters = data - start - 10;
    for (at, length) in [(6, parameters), (8, out.len() - data)] {
        let length = u16::try_from(length).expect("a PDU has at most 960 bytes");
        out[start + at..start + at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

/// Asks for the longest PDU, with one request under way.
pub(crate) fn setup(out: &mut Vec<u8>, reference: u16, pdu: u16) {
    let start = begin(out, reference, SETUP);
    out.extend([0, 0, 1, 0, 1]);
    out.extend(pdu.to_be_bytes());
    let end = out.len();
    finish(out, start, end);
}

pub(crate) fn read(out: &mut Vec<u8>, reference: u16, places: &[Place]) {
    let start = begin(out, reference, READ);
    out.push(u8::try_from(places.len()).expect("at most 20 items"));
    for place in places {
        // BYTE; timers and counters have a number of their own.
        let size = if place.area.has_elements() { place.area.number() } else { 2 };
        item(out, place, Item { size, bit: 0 });
    }
    let end = out.len();
    finish(out, start, end);
}

pub(crate) fn write(out: &mut Vec<u8>, reference: u16, items: &[Write<'_>]) {
    let start = begin(out, reference, WRITE);
    out.push(u8::try_from(items.len()).expect("at most 20 items"));
    for Write { place, bit, put } in items {
        let size = if matches!(put, Put::Bit(_)) { 1 } else { 2 };
        item(out, place, Item { size, bit: *bit });
    }
    let data = out.len();
    for Write { put, .. } in items {
        if (out.len() - data) % 2 == 1 {
            out.push(0);
        }
        let length = u16::try_from(put.len()).expect("a PDU has at most 960 bytes");
        match put {
            // One bit, one byte long.
            Put::Bit(on) => out.extend([0, 3, 0, 1, u8::from(*on)]),
            Put::Bytes(bytes) => {
                out.extend([0, 4]);
                out.extend((length * 8).to_be_bytes());
                out.extend_from_slice(bytes);
            }
        }
    }
    finish(out, start, data);
}

/// One item of a write, and its bit where it is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Write<'a> {
    pub place: Place,
    pub bit: u8,
    pub put: Put<'a>,
}

struct Item {
    size: u8,
    bit: u8,
}

fn item(out: &mut Vec<u8>, place: &Place, item: Item) {
    out.extend([0x12, 10, 0x10, item.size]);
    out.extend(place.count.to_be_bytes());
    out.extend(place.db.to_be_bytes());
    out.push(place.area.number());
    let address = if place.area.has_elements() { place.start } else { place.start << 3 | u32::from(item.bit) };
    out.extend(&address.to_be_bytes()[1..]);
}

/// A reply, as far as all of them are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// 0, or the reason why the request was refused as a whole.
    pub error: u16,
    pub parameters: Range<usize>,
    pub data: Range<usize>,
}

/// A whole PDU, seen by one that waits for the reply to `reference`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Reply(Reply),
    /// Of another request, or nothing that was asked for.
    Other,
    /// No PDU of S7.
    Broken,
}

pub(crate) fn see(pdu: &[u8], reference: u16) -> Seen {
    let &[PROTOCOL, kind, _, _, r0, r1, p0, p1, d0, d1, ..] = pdu else { return Seen::Broken };
    if !matches!(kind, ACK | ACK_DATA) || u16::from_be_bytes([r0, r1]) != reference {
        return Seen::Other;
    }
    let &[_, _, _, _, _, _, _, _, _, _, class, code, ..] = pdu else { return Seen::Broken };
    let parameters = 12..12 + usize::from(u16::from_be_bytes([p0, p1]));
    let data = parameters.end..parameters.end + usize::from(u16::from_be_bytes([d0, d1]));
    if data.end != pdu.len() {
        return Seen::Broken;
    }
    Seen::Reply(Reply { error: u16::from_be_bytes([class, code]), parameters, data })
}

/// The length of a PDU that the PLC gives.
pub(crate) fn negotiated(parameters: &[u8]) -> Option<u16> {
    match parameters {
        &[SETUP, _, _, _, _, _, high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

/// The PLC's answer to one item of a read: the place of its data in the reply, or its code.
pub(crate) type ItemReply = Result<Range<usize>, u8>;

/// The items of a reply to a read of these places. `None`: it does not fit the request.
pub(crate) fn read_items(pdu: &[u8], reply: &Reply, places: &[Place], out: &mut Vec<ItemReply>) -> Option<()> {
    out.clear();
    let count = u8::try_from(places.len()).ok()?;
    if pdu.get(reply.parameters.clone())? != [READ, count] {
        return None;
    }
    let mut at = reply.data.start;
    for place in places {
        if (at - reply.data.start) % 2 == 1 {
            at += 1;
        }
        let &[code, size, l0, l1] = pdu.get(at..at + ITEM_HEAD).filter(|_| at + ITEM_HEAD <= reply.data.end)? else {
            return None;
        };
        at += ITEM_HEAD;
        if code != DONE {
            out.push(Err(code));
            continue;
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        // Sizes 3, 4 and 5 count bits, the others bytes.
        let length = if matches!(size, 3..=5) { length.div_ceil(8) } else { length };
        let data = at..at + length;
        if length != place.bytes() || data.end > reply.data.end {
            return None;
        }
        at = data.end;
        out.push(Ok(data));
    }
    // Some fill the last item up to an even number of bytes.
    (at == reply.data.end || at + 1 == reply.data.end).then_some(())
}

/// The codes of a reply to a write of this number of items; the first that is not "done" counts. `None`: it does not fit the request.
pub(crate) fn write_code(pdu: &[u8], reply: &Reply, count: usize) -> Option<Result<(), u8>> {
    let count = u8::try_from(count).ok()?;
    let codes = pdu.get(reply.data.clone())?;
    if pdu.get(reply.parameters.clone())? != [WRITE, count] || codes.len() != usize::from(count) {
        return None;
    }
    Some(codes.iter().find(|code| **code != DONE).map_or(Ok(()), |code| Err(*code)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(start: u32, count: u16) -> Place {
        Place { area: Area::Db, db: 10, start, count }
    }

    #[test]
    fn requests_are_as_on_the_wire() {
        let mut out = Vec::new();
        setup(&mut out, 1, 960);
        assert_eq!(out, [0x32, 1, 0, 0, 0, 1, 0, 8, 0, 0, 0xf0, 0, 0, 1, 0, 1, 3, 0xc0]);
        out.clear();
        read(&mut out, 2, &[place(4, 8)]);
        let item = [0x12, 10, 0x10, 2, 0, 8, 0, 10, 0x84, 0, 0, 32];
        assert_eq!(out, [&[0x32, 1, 0, 0, 0, 2, 0, 14, 0, 0, 4, 1], &item[..]].concat());
        out.clear();
        let bit = Write { place: place(4, 1), bit: 3, put: Put::Bit(true) };
        let word = Write { place: place(6, 2), bit: 0, put: Put::Bytes(&[1, 2]) };
        write(&mut out, 3, &[bit, word]);
        let head = [0x32, 1, 0, 0, 0, 3, 0, 26, 0, 12, 5, 2];
        let items = [0x12, 10, 0x10, 1, 0, 1, 0, 10, 0x84, 0, 0, 35, 0x12, 10, 0x10, 2, 0, 2, 0, 10, 0x84, 0, 0, 48];
        assert_eq!(out, [&head[..], &items, &[0, 3, 0, 1, 1, 0, 0, 4, 0, 16, 1, 2]].concat());
    }

    #[test]
    fn a_reply_is_taken_for_its_own_request_alone() {
        let good = [0x32, 3, 0, 0, 0, 7, 0, 2, 0, 11, 0, 0, 4, 2, 0xff, 4, 0, 8, 9, 0, 0xff, 4, 0, 8, 8];
        let Seen::Reply(reply) = see(&good, 7) else { panic!("its own") };
        let mut items = Vec::new();
        assert_eq!(read_items(&good, &reply, &[place(0, 1), place(5, 1)], &mut items), Some(()));
        assert_eq!(items, [Ok(18..19), Ok(24..25)]);
        for places in [&[place(0, 1)][..], &[place(0, 2), place(5, 1)], &[place(0, 1), place(5, 2)]] {
            assert_eq!(read_items(&good, &reply, places, &mut items), None, "{places:?}");
        }
        assert_eq!(see(&good, 8), Seen::Other);
        assert_eq!(see(&good[..20], 7), Seen::Broken, "cut off");
        let refused = [0x32, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0x81, 4];
        assert!(matches!(see(&refused, 7), Seen::Reply(Reply { error: 0x8104, .. })));
        let one_bad = [0x32, 3, 0, 0, 0, 7, 0, 2, 0, 10, 0, 0, 4, 2, 0x0a, 0, 0, 0, 0xff, 4, 0, 16, 8, 9];
        let Seen::Reply(reply) = see(&one_bad, 7) else { panic!("its own") };
        assert_eq!(read_items(&one_bad, &reply, &[place(0, 9), place(5, 2)], &mut items), Some(()));
        assert_eq!(items, [Err(0x0a), Ok(22..24)]);
        let written = [0x32, 3, 0, 0, 0, 7, 0, 2, 0, 2, 0, 0, 5, 2, 0xff, 5];
        let Seen::Reply(reply) = see(&written, 7) else { panic!("its own") };
        assert_eq!(write_code(&written, &reply, 2), Some(Err(5)));
        assert_eq!(write_code(&written, &reply, 1), None);
    }

    proptest! {
        #[test]
        fn items_lie_inside_of_the_reply(
            mut pdu in prop::collection::vec(any::<u8>(), 12..80), count in 0_usize..4, bytes in 0_u16..20
        ) {
            pdu[..6].copy_from_slice(&[0x32, 3, 0, 0, 0, 7]);
            let data = u8::try_from(pdu.len().saturating_sub(14)).expect("short");
            pdu[6..10].copy_from_slice(&[0, 2, 0, data]);
            let places = vec![place(0, bytes); count];
            let mut items = Vec::new();
            if let Seen::Reply(reply) = see(&pdu, 7)
                && read_items(&pdu, &reply, &places, &mut items).is_some()
            {
                prop_assert_eq!(items.len(), count);
                for item in items.into_iter().flatten() {
                    prop_assert!(item.end <= pdu.len() && item.len() == usize::from(bytes));
                }
            }
        }
    }
}
