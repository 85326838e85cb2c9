//! Blocks that the PLC refuses: they are halved until only the point that is wrong has no value, in the same read. The
//! cut is remembered until the points change.
//!
//! A block of which no part can be read is asked for as a whole, so that it costs one item and is back with the first
//! answer, as after a download into the PLC. Now and then it is halved again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{Client, From, Request, Whole};
use crate::drivers::batch::{self, Block};
use crate::drivers::contract::{LinkError, Samples};
use crate::drivers::s7::pdu::{Room, longest_read};

/// A block that was refused to its last part is halved again after this time.
const AGAIN: Duration = Duration::from_secs(10);
/// Requests of one read, so that a write does not wait for long. The rest is halved by the next read.
const MOST_REQUESTS: usize = 40;

#[derive(Default)]
pub(super) struct Cuts {
    blocks: HashMap<Key, Cut>,
}

/// A block by its first point and its place: a point is in one block.
type Key = (u32, u32, u32);

#[derive(Clone)]
enum Cut {
    /// No part of it can be read.
    Whole { code: u8, until: Instant },
    /// Its parts, and whether each was refused.
    Parts(Vec<(Block, bool)>),
}

/// A block, or a part of one, that is to be read.
struct Piece {
    /// The block of the request.
    of: usize,
    block: Block,
    was_bad: bool,
    /// It is not halved now.
    is_kept: bool,
}

/// The end of a piece.
struct Leaf {
    of: usize,
    block: Block,
    code: Option<u8>,
    is_healed: bool,
    /// It was refused, and is to be halved by the next read.
    is_unfinished: bool,
}

fn key(block: &Block) -> Key {
    (block.spans.first().map_or(0, |span| span.id), block.start, block.count)
}

impl Cuts {
    pub(super) fn knows(&self, request: &Request) -> bool {
        !self.blocks.is_empty() && request.blocks.iter().any(|block| self.blocks.contains_key(&key(block)))
    }

    fn pieces(&self, of: usize, block: &Block, now: Instant) -> Vec<Piece> {
        let piece = |block: &Block, was_bad, is_kept| Piece { of, block: block.clone(), was_bad, is_kept };
        match self.blocks.get(&key(block)) {
            None => vec![piece(block, false, false)],
            Some(Cut::Whole { until, .. }) => vec![piece(block, true, now < *until)],
            Some(Cut::Parts(parts)) => parts.iter().map(|(part, is_bad)| piece(part, *is_bad, false)).collect(),
        }
    }

    /// A block of which nothing can be read has another reason than before.
    fn has_another_code(&self, block: &Block, code: u8) -> bool {
        matches!(self.blocks.get(&key(block)), Some(Cut::Whole { code: known, .. }) if *known != code)
    }

    /// Takes what a read has shown about a block.
    fn learn(&mut self, block: &Block, leaves: Vec<Leaf>, now: Instant) {
        let key = key(block);
        let first = leaves.first().and_then(|leaf| leaf.code);
        let is_one = leaves.len() == 1;
        match first {
            Some(code) if leaves.iter().all(|leaf| leaf.code.is_some() && !leaf.is_unfinished) => {
                if is_one && batch::halves(block).is_none() {
                    self.blocks.remove(&key);
                    return;
                }
                let before = match self.blocks.get(&key) {
                    Some(Cut::Whole { until, .. }) if is_one && now < *until => Some(*until),
                    _ => None,
                };
                self.blocks.insert(key, Cut::Whole { code, until: before.unwrap_or(now + AGAIN) });
            }
            // Whole again, or a part that was refused has come back: the next read asks for the whole.
            _ if is_one || leaves.iter().any(|leaf| leaf.is_healed) => {
                self.blocks.remove(&key);
            }
            _ => {
                let parts =
                    leaves.into_iter().map(|leaf| (leaf.block, leaf.code.is_some() && !leaf.is_unfinished)).collect();
                self.blocks.insert(key, Cut::Parts(parts));
            }
        }
    }
}

impl Client {
    /// Reads a request of which no block was ever refused. Returns the error of a request that is refused as a whole.
    pub(super) async fn read_whole(&mut self, request: &Request, out: &mut Samples) -> Result<Option<u16>, LinkError> {
        let pdu = self.wire.pdu();
        let mut room = Room::EMPTY;
        let fits = request.blocks.iter().all(|block| room.takes(super::pack::bytes_of(block), pdu));
        if !fits {
            return self.read_cut(request, out).await;
        }
        if let Whole::Refused(error) = self.ask(request.device(), request.blocks.iter()).await? {
            return Ok(Some(error));
        }
        if self.items.iter().any(Result::is_err) {
            return self.read_rest(request, out).await;
        }
        for (at, block) in request.blocks.iter().enumerate() {
            self.take(block, From::Item(at), out);
        }
        Ok(None)
    }

    /// The last reply has items that the PLC refuses.
    async fn read_rest(&mut self, request: &Request, out: &mut Samples) -> Result<Option<u16>, LinkError> {
        let mut queue = VecDeque::new();
        let mut leaves = Vec::new();
        for (at, block) in request.blocks.iter().enumerate() {
            let piece = Piece { of: at, block: block.clone(), was_bad: false, is_kept: false };
            self.settle(piece, at, &mut queue, &mut leaves, out);
        }
        self.read_pieces(request, queue, leaves, out).await
    }

    /// Reads a request in the parts that are known.
    pub(super) async fn read_cut(&mut self, request: &Request, out: &mut Samples) -> Result<Option<u16>, LinkError> {
        let now = Instant::now();
        let pieces = request.blocks.iter().enumerate().flat_map(|(at, block)| self.cuts.pieces(at, block, now));
        let queue = pieces.collect();
        self.read_pieces(request, queue, Vec::new(), out).await
    }

    async fn read_pieces(
        &mut self,
        request: &Request,
        mut queue: VecDeque<Piece>,
        mut leaves: Vec<Leaf>,
        out: &mut Samples,
    ) -> Result<Option<u16>, LinkError> {
        let (device, pdu) = (request.device(), self.wire.pdu());
        let mut asked = 0;
        while let Some(first) = queue.front() {
            asked += 1;
            if super::pack::bytes_of(&first.block) > longest_read(pdu) {
                let Some(piece) = queue.pop_front() else { break };
                let code = match self.ask_long(device, &piece.block).await? {
                    Ok(code) => code,
                    Err(error) => return Ok(Some(error)),
                };
                match code {
                    None => self.take(&piece.block, From::Long, out),
                    Some(code) => self.spoil(&piece.block, code, out),
                }
                leaves.push(piece.leaf(code));
                continue;
            }
            let mut room = Room::EMPTY;
            let takes = |piece: &&Piece| room.takes(super::pack::bytes_of(&piece.block), pdu);
            let count = queue.iter().take_while(takes).count();
            let pieces: Vec<Piece> = queue.drain(..count).collect();
            if let Whole::Refused(error) = self.ask(device, pieces.iter().map(|piece| &piece.block)).await? {
                return Ok(Some(error));
            }
            for (at, mut piece) in pieces.into_iter().enumerate() {
                piece.is_kept |= asked >= MOST_REQUESTS;
                self.settle(piece, at, &mut queue, &mut leaves, out);
            }
        }
        self.learn(request, leaves);
        Ok(None)
    }

    /// Takes the item of a piece; one that is refused comes back in halves.
    fn settle(
        &mut self,
        piece: Piece,
        item: usize,
        queue: &mut VecDeque<Piece>,
        leaves: &mut Vec<Leaf>,
        out: &mut Samples,
    ) {
        let code = self.items.get(item).and_then(|item| item.as_ref().err().copied());
        let Some(code) = code else {
            self.take(&piece.block, From::Item(item), out);
            return leaves.push(piece.leaf(None));
        };
        let is_kept = piece.is_kept && !self.cuts.has_another_code(&piece.block, code);
        match batch::halves(&piece.block).filter(|_| !is_kept) {
            Some((low, high)) => queue.extend([low, high].map(|block| Piece { block, ..piece })),
            None => {
                self.spoil(&piece.block, code, out);
                let is_unfinished = is_kept && !piece.was_bad && batch::halves(&piece.block).is_some();
                leaves.push(Leaf { is_unfinished, ..piece.leaf(Some(code)) });
            }
        }
    }

    fn learn(&mut self, request: &Request, leaves: Vec<Leaf>) {
        let now = Instant::now();
        let mut of: Vec<Vec<Leaf>> = request.blocks.iter().map(|_| Vec::new()).collect();
        for leaf in leaves {
            of[leaf.of].push(leaf);
        }
        for (block, leaves) in request.blocks.iter().zip(of) {
            self.cuts.learn(block, leaves, now);
        }
    }
}

impl Piece {
    fn leaf(self, code: Option<u8>) -> Leaf {
        Leaf { of: self.of, is_healed: self.was_bad && code.is_none(), block: self.block, code, is_unfinished: false }
    }
}
