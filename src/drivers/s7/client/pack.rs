//! Requests of the plan: blocks that one PDU reads. Pure.

use crate::drivers::batch::{self, Block};
use crate::drivers::poll::Ask;
use crate::drivers::s7::pdu::{Room, longest_read};

/// Blocks of one connection that one PDU reads, or one block that is longer than a PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub blocks: Vec<Block>,
}

/// Requests that still have room and are looked at for the next block.
const OPEN: usize = 32;

impl Request {
    /// The points that get their value from it.
    pub(crate) fn points(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().flat_map(|block| block.spans.iter().map(|span| span.id))
    }

    pub(super) fn device(&self) -> usize {
        super::device_of(self.blocks.first().map_or(0, |block| block.space))
    }

    pub(super) fn ask(self) -> Ask<Request> {
        Ask { device: self.device(), points: self.points().collect(), request: self }
    }

    /// Half of the blocks each, or of the one block.
    pub(super) fn halves(&self) -> Option<[Request; 2]> {
        if let [block] = &self.blocks[..] {
            let (low, high) = batch::halves(block)?;
            return Some([Request { blocks: vec![low] }, Request { blocks: vec![high] }]);
        }
        let (low, high) = self.blocks.split_at(self.blocks.len() / 2);
        Some([Request { blocks: low.to_vec() }, Request { blocks: high.to_vec() }])
    }
}

/// Bytes of a block's data.
pub(crate) fn bytes_of(block: &Block) -> usize {
    block.count as usize * if super::area_of(block.space).has_elements() { 2 } else { 1 }
}

/// Puts blocks into as few requests as the longest-first rule finds; the same each time.
pub(super) fn pack(mut blocks: Vec<Block>, pdu: u16) -> Vec<Request> {
    blocks.sort_by_key(|block| (super::device_of(block.space), std::cmp::Reverse(bytes_of(block))));
    let mut done: Vec<Request> = Vec::new();
    let mut open: Vec<(Room, Request)> = Vec::new();
    for block in blocks {
        let bytes = bytes_of(&block);
        if bytes > longest_read(pdu) {
            done.push(Request { blocks: vec![block] });
            continue;
        }
        let device = super::device_of(block.space);
        let place = open
            .iter_mut()
            .find_map(|(room, request)| (request.device() == device && room.takes(bytes, pdu)).then_some(request));
        match place {
            Some(request) => request.blocks.push(block),
            None => {
                if open.len() == OPEN {
                    done.push(open.remove(0).1);
                }
                let mut room = Room::EMPTY;
                room.takes(bytes, pdu);
                open.push((room, Request { blocks: vec![block] }));
            }
        }
    }
    done.extend(open.into_iter().map(|(_, request)| request));
    for request in &mut done {
        request.blocks.sort_by_key(|block| (block.space, block.start));
    }
    done.sort_by_key(|request| request.blocks.first().map(|block| (block.space, block.start)));
    done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drivers::batch::{Limits, Span};
    use crate::drivers::s7::pdu::{MOST_ITEMS, Place, read};

    /// Areas of two connections: DBs, bit memory, timers.
    const SPACES: [u32; 5] = [1, 10, 1 << 16, 6 << 16, 1 << 24 | 10];

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0..SPACES.len(), 0..4_000_u32, 1..40_u32), 0..300).prop_map(|all| {
            let span = |(id, (space, start, count)): (u32, (usize, u32, u32))| {
                let count = if id % 50 == 0 { count * 30 } else { count };
                Span { space: SPACES[space], start, count, id }
            };
            (0..).zip(all).map(span).collect()
        })
    }

    proptest! {
        #[test]
        fn each_point_is_in_exactly_one_request_and_each_request_fits_its_pdu(
            spans in spans(), pdu in prop::sample::select(vec![112_u16, 240, 480, 960]), gap in 0..40_u32
        ) {
            let all: Vec<u32> = (0..).take(spans.len()).collect();
            let max = u32::try_from(longest_read(pdu)).expect("small");
            let limits = |space: u32| if space == 6 << 16 { Limits { max: max / 2, gap } } else { Limits { max, gap } };
            let requests = pack(batch::plan(spans, limits), pdu);
            let mut points: Vec<u32> = requests.iter().flat_map(Request::points).collect();
            points.sort_unstable();
            prop_assert_eq!(points, all);
            for request in &requests {
                let places: Vec<Place> = request.blocks.iter().map(super::super::place_of).collect();
                prop_assert!(request.blocks.iter().all(|block| super::super::device_of(block.space) == request.device()));
                if let [block] = &request.blocks[..] && bytes_of(block) > longest_read(pdu) {
                    prop_assert!(block.spans.iter().any(|span| span.count == block.count), "one long value");
                    continue;
                }
                let mut out = Vec::new();
                read(&mut out, 1, &places);
                let last = places.last().map_or(0, Place::bytes);
                let reply: usize = places.iter().map(|place| 4 + place.bytes().next_multiple_of(2)).sum();
                prop_assert!(out.len() <= usize::from(pdu) && places.len() <= MOST_ITEMS);
                prop_assert!(14 + reply - last % 2 <= usize::from(pdu));
            }
        }

        #[test]
        fn halving_ends_at_single_places_and_loses_no_point(spans in spans()) {
            let all: Vec<u32> = (0..).take(spans.len()).collect();
            let mut requests = pack(batch::plan(spans, |_| Limits { max: 222, gap: 16 }), 240);
            while let Some((at, halves)) = requests.iter().enumerate().find_map(|(at, one)| Some((at, one.halves()?))) {
                requests.splice(at..=at, halves);
            }
            let mut points: Vec<u32> = requests.iter().flat_map(Request::points).collect();
            points.sort_unstable();
            prop_assert_eq!(points, all);
        }
    }

    #[test]
    fn small_blocks_fill_the_room_that_longer_ones_leave() {
        let block = |start: u32, count: u32| {
            let span = Span { space: 1, start, count, id: start };
            Block { space: 1, start, count, spans: vec![span] }
        };
        let blocks = vec![block(0, 4), block(100, 200), block(400, 150), block(600, 4), block(700, 60)];
        let requests = pack(blocks, 240);
        let places: Vec<Vec<u32>> =
            requests.iter().map(|one| one.blocks.iter().map(|block| block.start).collect()).collect();
        assert_eq!(places, [vec![0, 100, 600], vec![400, 700]]);
    }
}
