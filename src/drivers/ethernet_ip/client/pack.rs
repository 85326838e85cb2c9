//! Tags into batches: as many as request and reply have room for. Pure.

use crate::drivers::ethernet_ip::cip::{BATCH_HEAD, BATCH_REPLY_HEAD, ITEM_REPLY_HEAD, read_size};
use crate::drivers::ethernet_ip::wire::Room;

/// Bytes of a read and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub id: u32,
    /// Bytes of the read in a batch.
    pub request: usize,
    /// Bytes of the value, with its type.
    pub value: usize,
}

impl Item {
    pub(crate) fn new(id: u32, path: &[u8], value: usize) -> Item {
        Item { id, request: read_size(path), value: value.next_multiple_of(2) }
    }

    /// No reply takes the value whole.
    pub(crate) fn is_long(&self, room: Room) -> bool {
        ITEM_REPLY_HEAD + self.value > room.reply
    }
}

/// Items into batches, in their order. A value that no reply takes whole is alone.
pub(crate) fn pack(items: impl Iterator<Item = Item>, room: Room) -> Vec<Vec<Item>> {
    let mut batches: Vec<Vec<Item>> = Vec::new();
    let mut filled = Filled::default();
    let mut is_open = false;
    for item in items {
        if item.is_long(room) {
            batches.push(vec![item]);
            is_open = false;
            continue;
        }
        let next = filled.with(item);
        match batches.last_mut().filter(|_| is_open && next.fits(room)) {
            Some(batch) => {
                batch.push(item);
                filled = next;
            }
            None => {
                batches.push(vec![item]);
                filled = Filled::default().with(item);
                is_open = true;
            }
        }
    }
    batches
}

#[derive(Clone, Copy)]
struct Filled {
    request: usize,
    reply: usize,
}

impl Default for Filled {
    fn default() -> Filled {
        Filled { request: BATCH_HEAD, reply: BATCH_REPLY_HEAD }
    }
}

impl Filled {
    fn with(self, item: Item) -> Filled {
        Filled { request: self.request + item.request, reply: self.reply + ITEM_REPLY_HEAD + item.value }
    }

    fn fits(self, room: Room) -> bool {
        self.request <= room.request && self.reply <= room.reply
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drivers::ethernet_ip::cip;

    proptest! {
        #[test]
        fn each_tag_is_in_exactly_one_request_and_each_request_and_reply_fits(
            sizes in prop::collection::vec((1..120_usize, 1..200_usize), 0..300), most in prop::sample::select(vec![470_usize, 3_998])
        ) {
            let room = Room { request: most, reply: most };
            let paths: Vec<Vec<u8>> = sizes.iter().map(|(path, _)| vec![0x91; path * 2]).collect();
            let items = (0..).zip(&sizes).map(|(id, (_, value))| {
                let value = if id % 40 == 39 { value * 60 } else { *value };
                Item::new(id, &paths[id as usize], value)
            });
            let batches = pack(items, room);
            let ids: Vec<u32> = batches.iter().flatten().map(|item| item.id).collect();
            prop_assert_eq!(ids, (0..).take(sizes.len()).collect::<Vec<u32>>());
            for batch in &batches {
                if let [one] = &batch[..] && one.is_long(room) {
                    continue;
                }
                let services: Vec<Vec<u8>> = batch.iter().map(|item| {
                    let mut out = Vec::new();
                    cip::read(&mut out, &paths[item.id as usize], 1);
                    out
                }).collect();
                let mut packet = Vec::new();
                cip::batch(&mut packet, services.iter().map(|service| &service[..]));
                prop_assert!(packet.len() <= room.request, "{} in {room:?}", packet.len());
                let reply: usize = 6 + batch.iter().map(|item| 2 + 4 + item.value).sum::<usize>();
                prop_assert!(reply <= room.reply);
            }
            // No batch ends before it is full.
            for pair in batches.windows(2) {
                if pair[0].iter().chain(&pair[1]).any(|item| item.is_long(room)) {
                    continue;
                }
                let all = pair[0].iter().chain(pair[1].first()).fold(Filled::default(), |all, item| all.with(*item));
                prop_assert!(!all.fits(room));
            }
        }
    }
}
