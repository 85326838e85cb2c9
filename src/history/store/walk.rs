//! Reads an archive in time order out of everything that holds a part of it: the head and the blocks of all files.
//!
//! Parts overlap where data came late or was edited; of several samples at one instant the one that came last wins. A
//! frame that overlaps nothing is offered by its summary first: who takes that spares its decoding. Files are opened and
//! blocks read only when the walk comes to them.
//!
//! Times are compared by `key`, which grows in the direction of the walk.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::block::{Data, Frame, Index, Times};
use super::fetch::Found;
use super::partition::BlockRow;
use super::partitions::{PartitionFile, Reader};
use super::rows::Rows;
use super::shared::Shared;
use super::tombstone::Tombstone;
use super::trouble::{Damage, tells_of_damage};
use super::visible::Sight;
use crate::history::{ArchiveId, Direction, Fault, Span, Summary};
use crate::value::UaTime;

/// The span and direction of a read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub archive: ArchiveId,
    pub span: Span,
    pub direction: Direction,
    pub as_of: u64,
}

impl Question {
    fn key(&self, time: i64) -> i64 {
        match self.direction {
            Direction::Forward => time,
            Direction::Backward => !time,
        }
    }

    /// The end of a stretch that the walk meets first, as a key.
    fn near(&self, first: i64, last: i64) -> i64 {
        match self.direction {
            Direction::Forward => first,
            Direction::Backward => !last,
        }
    }

    fn far(&self, first: i64, last: i64) -> i64 {
        match self.direction {
            Direction::Forward => last,
            Direction::Backward => !first,
        }
    }
}

/// A block that the walk has not come to.
struct Pending<'s> {
    near: i64,
    row: BlockRow,
    reader: Rc<Reader<'s>>,
}

/// A block under way.
struct Block<'s> {
    row: BlockRow,
    reader: Rc<Reader<'s>>,
    index: Index,
    index_bytes: Vec<u8>,
    content: Option<Content>,
    /// The frame that is next, counted in the direction of the walk.
    frame: usize,
}

struct Content {
    data_bytes: Vec<u8>,
    data: Data,
    times_bytes: Vec<u8>,
    times: Times,
}

/// A part of the archive under way: rows to be given, and the block that more come from.
struct Active<'s> {
    block: Option<Block<'s>>,
    rows: Rows,
    left: Range<usize>,
}

pub(crate) struct Walk<'s> {
    shared: &'s Shared,
    question: Question,
    /// Files to come, the next one last.
    partitions: Vec<(i64, Arc<PartitionFile>)>,
    /// Blocks to come, the next one last.
    pending: Vec<Pending<'s>>,
    active: Vec<Active<'s>>,
    tombstones: Vec<Tombstone>,
}

/// Rows to be taken, from the part of this number.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    part: usize,
    pub range: Range<usize>,
}

impl<'s> Walk<'s> {
    pub(crate) fn new(shared: &'s Shared, question: Question) -> Walk<'s> {
        let Span { first, last } = question.span;
        let mut walk = Walk {
            shared,
            question,
            partitions: Vec::new(),
            pending: Vec::new(),
            active: Vec::new(),
            tombstones: Vec::new(),
        };
        if last < first {
            return walk;
        }
        // The head comes first: what is flushed meanwhile is then met twice, and not missed.
        for rows in shared.heads.read().rows(question.archive, question.span, &mut walk.tombstones) {
            walk.active.push(Active { block: None, left: 0..rows.len(), rows });
        }
        for part in &mut walk.active {
            Sight { as_of: question.as_of, tombstones: &walk.tombstones }.settle(&mut part.rows);
            part.left = 0..part.rows.len();
        }
        let near = |partition: &PartitionFile| question.near(partition.key().start(), partition.key().end());
        let partitions = shared.partitions.within(first.0, last.0);
        walk.partitions = partitions.into_iter().map(|partition| (near(&partition), partition)).collect();
        walk.partitions.sort_by_key(|(near, _)| std::cmp::Reverse(*near));
        walk
    }

    pub(crate) fn rows(&self, run: &Run) -> &Rows {
        &self.active[run.part].rows
    }

    /// The next rows. Frames of which `take` takes the summary are passed over.
    pub(crate) fn next(&mut self, take: &mut dyn FnMut(&Summary) -> bool) -> Result<Option<Run>, Fault> {
        loop {
            self.feed()?;
            let Some((part, near)) = self.foremost() else { return Ok(None) };
            if self.active[part].left.is_empty() {
                if !self.skip(part, take) {
                    self.decode(part)?;
                }
                continue;
            }
            let range = self.uncontested(part);
            if !range.is_empty() {
                self.advance(part, range.len());
                return Ok(Some(Run { part, range }));
            }
            if let Some(run) = self.contest(near)? {
                return Ok(Some(run));
            }
        }
    }

    /// Opens files and blocks until nothing unopened can come before what is open.
    fn feed(&mut self) -> Result<(), Fault> {
        self.active.retain(|part| !part.left.is_empty() || part.block.as_ref().is_some_and(Block::has_more));
        loop {
            let front = self.foremost().map_or(i64::MAX, |(_, near)| near);
            let next_block = self.pending.last().map(|pending| pending.near);
            let next_volume = self.partitions.last().map(|(near, _)| *near);
            let is_needed = |near: Option<i64>| near.filter(|near| *near <= front || self.active.is_empty());
            match (is_needed(next_volume), is_needed(next_block)) {
                (Some(partition), block) if block.is_none_or(|block| partition <= block) => self.open_volume()?,
                (_, Some(_)) => self.open_block()?,
                (None, None) | (Some(_), None) => return Ok(()),
            }
        }
    }

    fn open_volume(&mut self) -> Result<(), Fault> {
        let Some((near, partition)) = self.partitions.pop() else { return Ok(()) };
        let reader = match self.shared.partitions.reader(&partition) {
            Err(fault) if tells_of_damage(&fault) => {
                self.shared.condition.note_damage(&partition.path, -1, &fault.to_string());
                self.lose(partition.key().start());
                return Ok(());
            }
            reader => reader?,
        };
        let Some(reader) = reader else {
            // It was rewritten or let go since.
            self.shared.partitions.look()?;
            if let Ok(other) = self.shared.partitions.current(partition.key())
                && other.name != partition.name
            {
                self.partitions.push((near, other));
            }
            return Ok(());
        };
        let list = reader.list(self.question.archive)?;
        self.tombstones.extend_from_slice(&list.tombstones);
        let (reader, question) = (Rc::new(reader), self.question);
        for loss in &list.losses {
            self.shared.condition.note_damage(&reader.partition.path, *loss, "a block is gone");
            self.lose(*loss);
        }
        let (first, last) = (question.span.first.0, question.span.last.0);
        let wanted = |row: &&BlockRow| row.first <= last && first <= row.last && row.oldest <= question.as_of;
        let pending = list.blocks.iter().filter(wanted).map(|row| Pending {
            near: question.near(row.first, row.last),
            row: *row,
            reader: Rc::clone(&reader),
        });
        self.pending.extend(pending);
        self.pending.sort_by_key(|pending| std::cmp::Reverse(pending.near));
        Ok(())
    }

    /// Shows that something is lost from here on.
    fn lose(&mut self, time: i64) {
        let span = self.question.span;
        let time = time.clamp(span.first.0, span.last.0);
        self.active.push(Active { block: None, rows: Rows::lost(time), left: 0..1 });
    }

    fn open_block(&mut self) -> Result<(), Fault> {
        let Some(Pending { row, reader, .. }) = self.pending.pop() else { return Ok(()) };
        let found = reader.frames(&row)?;
        let index = match &found {
            Found::Bytes(bytes) => Index::read(bytes, row.first, row.count).map_err(|damage| damage.0.to_owned()),
            Found::Lost(what) => Err(what.clone()),
        };
        match (index, found) {
            (Ok(index), Found::Bytes(index_bytes)) => {
                let mut block = Block { row, reader, index, index_bytes, content: None, frame: 0 };
                block.skip_outside(&self.question);
                self.active.push(Active { block: Some(block), rows: Rows::empty(), left: 0..0 });
            }
            (Err(what), _) | (Ok(_), Found::Lost(what)) => {
                self.shared.condition.note_damage(&reader.partition.path, row.id, &what);
                self.lose(row.first);
            }
        }
        Ok(())
    }

    /// The part whose next sample comes first, and the key of that.
    fn foremost(&self) -> Option<(usize, i64)> {
        let near = |part: &Active<'_>| part.near(&self.question);
        self.active.iter().enumerate().filter_map(|(at, part)| Some((at, near(part)?))).min_by_key(|(_, near)| *near)
    }

    /// The nearest key at which anything but this part has a sample.
    fn rival(&self, part: usize) -> i64 {
        let others = self.active.iter().enumerate().filter(|(at, _)| *at != part);
        let open = others.filter_map(|(_, part)| part.near(&self.question));
        let to_come = self.pending.last().map(|pending| pending.near).into_iter();
        let files = self.partitions.last().map(|(near, _)| *near).into_iter();
        open.chain(to_come).chain(files).min().unwrap_or(i64::MAX)
    }

    /// Offers the next frame of a part by its summary; true when it was taken.
    fn skip(&mut self, part: usize, take: &mut dyn FnMut(&Summary) -> bool) -> bool {
        let question = self.question;
        let Some(block) = &self.active[part].block else { return false };
        let Some((_, frame)) = block.next_frame(&question) else { return false };
        let span = question.span;
        let sight = Sight { as_of: question.as_of, tombstones: &self.tombstones };
        let is_whole = span.holds(UaTime(frame.first)) && span.holds(UaTime(frame.last));
        let is_alone = is_whole
            && block.row.newest <= question.as_of
            && !block.index.has_versions
            && !sight.is_touched(frame.first, frame.last)
            && question.far(frame.first, frame.last) < self.rival(part);
        if !is_alone {
            return false;
        }
        let Some(summary) = block.summary(&question) else { return false };
        let is_taken = take(&summary);
        if is_taken && let Some(block) = &mut self.active[part].block {
            block.frame += 1;
            block.skip_outside(&question);
        }
        is_taken
    }

    /// Decodes the next frame of a part.
    fn decode(&mut self, part: usize) -> Result<(), Fault> {
        let question = self.question;
        let active = &mut self.active[part];
        let Some(block) = &mut active.block else { return Ok(()) };
        let sight = Sight { as_of: question.as_of, tombstones: &self.tombstones };
        match block.decode(&question, &sight)? {
            Ok(mut rows) => {
                clip(&mut rows, question.span);
                sight.settle(&mut rows);
                active.left = 0..rows.len();
                active.rows = rows;
            }
            Err(what) => {
                let (path, id) = (block.reader.partition.path.clone(), block.row.id);
                let from = block.next_frame(&question).map_or(block.row.first, |(_, frame)| frame.first);
                active.block = None;
                self.shared.condition.note_damage(&path, id, &what);
                let first = self.active[part].block.as_ref().map_or(from, |block| block.row.first);
                self.lose(first);
            }
        }
        Ok(())
    }

    /// Rows of a part that come before all that others have.
    fn uncontested(&self, part: usize) -> Range<usize> {
        let rival = self.rival(part);
        let Active { rows, left, .. } = &self.active[part];
        let times = &rows.times[left.clone()];
        match self.question.direction {
            Direction::Forward => left.start..left.start + times.partition_point(|time| *time < rival),
            Direction::Backward => left.start + times.partition_point(|time| !*time >= rival)..left.end,
        }
    }

    fn advance(&mut self, part: usize, count: usize) {
        let left = &mut self.active[part].left;
        match self.question.direction {
            Direction::Forward => left.start += count,
            Direction::Backward => left.end -= count,
        }
    }

    /// Several parts have a sample at this key: the newest wins. `None` when a frame had to be decoded first.
    fn contest(&mut self, near: i64) -> Result<Option<Run>, Fault> {
        let question = self.question;
        let here: Vec<usize> =
            (0..self.active.len()).filter(|at| self.active[*at].near(&question) == Some(near)).collect();
        if let Some(unread) = here.iter().find(|at| self.active[**at].left.is_empty()) {
            self.decode(*unread)?;
            return Ok(None);
        }
        let at = |walk: &Walk<'_>, part: usize| match question.direction {
            Direction::Forward => walk.active[part].left.start,
            Direction::Backward => walk.active[part].left.end - 1,
        };
        let seq = |part: &usize| self.active[*part].rows.seq(at(self, *part));
        let Some(winner) = here.iter().copied().max_by_key(seq) else { return Ok(None) };
        let row = at(self, winner);
        here.into_iter().for_each(|part| self.advance(part, 1));
        Ok(Some(Run { part: winner, range: row..row + 1 }))
    }
}

fn clip(rows: &mut Rows, span: Span) {
    let (Some(first), Some(last)) = (rows.times.first(), rows.times.last()) else { return };
    if span.first.0 <= *first && *last <= span.last.0 {
        return;
    }
    let keep: Vec<bool> = rows.times.iter().map(|time| span.holds(UaTime(*time))).collect();
    rows.retain(&keep);
}

impl Active<'_> {
    /// Key of the next sample; of the frame's edge when it is not decoded.
    fn near(&self, question: &Question) -> Option<i64> {
        if self.left.is_empty() {
            let (_, frame) = self.block.as_ref()?.next_frame(question)?;
            return Some(question.near(frame.first, frame.last));
        }
        let at = match question.direction {
            Direction::Forward => self.left.start,
            Direction::Backward => self.left.end - 1,
        };
        Some(question.key(self.rows.times[at]))
    }
}

impl Block<'_> {
    /// A block in which an instant comes twice is read as one frame.
    fn frames(&self) -> usize {
        if self.index.has_versions { 1 } else { self.index.frames.len() }
    }

    fn has_more(&self) -> bool {
        self.frame < self.frames()
    }

    /// The next frame and its place in the block.
    fn next_frame(&self, question: &Question) -> Option<(usize, Frame)> {
        if !self.has_more() {
            return None;
        }
        let at = match question.direction {
            Direction::Forward => self.frame,
            Direction::Backward => self.frames() - 1 - self.frame,
        };
        let frame = self.index.frames.get(at).copied()?;
        if self.index.has_versions {
            return Some((at, frame.spanning(self.row.first, self.row.last)));
        }
        Some((at, frame))
    }

    /// Passes over frames that have nothing in the span.
    fn skip_outside(&mut self, question: &Question) {
        let span = question.span;
        while let Some((_, frame)) = self.next_frame(question) {
            if frame.first <= span.last.0 && span.first.0 <= frame.last {
                return;
            }
            self.frame += 1;
        }
    }

    fn summary(&self, question: &Question) -> Option<Summary> {
        let (at, _) = self.next_frame(question)?;
        // A summary that does not read is a damage that the decoding will not have: the frame is decoded.
        self.index.summary(&self.index_bytes, at).unwrap_or_default()
    }

    /// The rows of the next frame, or what is wrong with the block.
    fn decode(&mut self, question: &Question, sight: &Sight<'_>) -> Result<Result<Rows, String>, Fault> {
        if self.content.is_none() {
            match self.open()? {
                Ok(content) => self.content = Some(content),
                Err(what) => return Ok(Err(what)),
            }
        }
        let Some((at, _)) = self.next_frame(question) else { return Ok(Ok(Rows::empty())) };
        let frames = if self.index.has_versions { 0..self.index.frames.len() } else { at..at + 1 };
        let is_touched = sight.is_touched(self.row.first, self.row.last);
        let wants_seqs = self.row.newest > question.as_of || self.index.has_versions || is_touched;
        let mut all = Rows::empty();
        for frame in frames {
            let rows = match self.frame(frame, wants_seqs) {
                Ok(rows) => rows,
                Err(Damage(what)) => return Ok(Err(what.to_owned())),
            };
            if all.is_empty() {
                all = rows;
            } else {
                all.append(&rows);
            }
        }
        if self.row.newest > question.as_of && all.seqs.is_empty() {
            return Err(Fault::Expired);
        }
        self.frame += 1;
        self.skip_outside(question);
        Ok(Ok(all))
    }

    fn open(&self) -> Result<Result<Content, String>, Fault> {
        let count = self.row.count;
        let (data_bytes, times_bytes) = match (self.reader.data(&self.row)?, self.reader.times(self.row.times)?) {
            (Found::Bytes(data), Found::Bytes(times)) => (data, times),
            (Found::Lost(what), _) | (_, Found::Lost(what)) => return Ok(Err(what)),
        };
        let opened = Data::open(&data_bytes, count).and_then(|data| Ok((data, Times::open(&times_bytes, count)?)));
        Ok(match opened {
            Ok((data, times)) => Ok(Content { data_bytes, data, times_bytes, times }),
            Err(Damage(what)) => Err(what.to_owned()),
        })
    }

    fn frame(&mut self, frame: usize, wants_seqs: bool) -> Result<Rows, Damage> {
        let Some(content) = &mut self.content else { return Err(Damage("it is not open")) };
        let count = self.index.frames[frame].count;
        let mut times = Vec::with_capacity(count);
        content.times.frame(&content.times_bytes, frame, count, &mut times)?;
        let mut rows = content.data.frame(&content.data_bytes, frame, times)?;
        if wants_seqs {
            content.times.seqs(&content.times_bytes, frame, count, &mut rows.seqs)?;
        }
        rows.seq = self.row.newest;
        Ok(rows)
    }
}
