//! Samples that are committed but not yet in blocks: rows of 32 bytes, a lane for each archive.
//!
//! Writing a row costs two cache misses (lane, tail of its rows), which is most of the cost of ingest for 100,000 tags;
//! separate columns would cost five.

use std::collections::BTreeSet;

use super::batch::EditRecord;
use super::partition::Key;
use super::rows::{Cells, Kind, NULL, OTHER, Rows, pack, unpack};
use super::settings::Partition;
use super::tombstone::Tombstone;
use crate::history::{ArchiveId, Span};
use crate::value::{Sample, UaTime, Value};

/// Commits that one head can tell apart.
pub(crate) const MOST_COMMITS: u64 = 1 << 27;
/// Rows that a lane makes room for before they come, at most.
const MOST_EXPECTED: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct HeadRow {
    time: i64,
    server: i64,
    /// The value, or its index in `others`.
    bits: u64,
    status: u32,
    /// Commits since the head's first, and the kind in the low five bits.
    tag: u32,
}

impl HeadRow {
    fn kind(&self) -> Kind {
        self.tag.to_le_bytes()[0] & 31
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    rows: Vec<HeadRow>,
    others: Vec<Value>,
    pub tombstones: Vec<Tombstone>,
    is_unsorted: bool,
    /// Rows that the lane of the head before had: as many are made room for at once.
    expected: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Head {
    /// By archive id.
    lanes: Vec<Lane>,
    /// Commits before the first of this head.
    base: u64,
    /// The newest commit.
    pub last: u64,
    pub samples: usize,
    pub longest_lane: usize,
    pub tombstones: usize,
}

impl Head {
    /// A head for the commits after `base`.
    pub(crate) fn after(base: u64) -> Head {
        Head { base, last: base, ..Head::default() }
    }

    /// The head that comes after this one.
    pub(crate) fn successor(&self) -> Head {
        let lane = |lane: &Lane| Lane { expected: lane.rows.len().min(MOST_EXPECTED), ..Lane::default() };
        Head { lanes: self.lanes.iter().map(lane).collect(), ..Head::after(self.last) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples == 0 && self.tombstones == 0
    }

    pub(crate) fn is_full_of_commits(&self) -> bool {
        self.last - self.base >= MOST_COMMITS - 1
    }

    fn lane(&mut self, archive: ArchiveId) -> &mut Lane {
        let at = archive.0 as usize;
        if at >= self.lanes.len() {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        &mut self.lanes[at]
    }

    /// Takes a sample of commit `seq`. A sample that says what the one before said is dropped; answers whether it was
    /// kept.
    pub(crate) fn push(&mut self, archive: ArchiveId, sample: Sample, seq: u64) -> bool {
        let commits = u32::try_from(seq.saturating_sub(self.base)).unwrap_or(u32::MAX).min((1 << 27) - 1);
        let lane = self.lane(archive);
        let kept = lane.push(sample, commits << 5);
        let length = lane.rows.len();
        self.longest_lane = self.longest_lane.max(length);
        self.samples += usize::from(kept);
        self.last = self.last.max(seq);
        kept
    }

    pub(crate) fn bury(&mut self, archive: ArchiveId, tombstone: Tombstone) {
        self.lane(archive).tombstones.push(tombstone);
        self.tombstones += 1;
        self.last = self.last.max(tombstone.seq);
    }

    /// Puts in and takes away what an edit says.
    pub(crate) fn apply(&mut self, edit: &EditRecord, seq: u64) {
        edit.tombstones(seq).for_each(|tombstone| self.bury(edit.archive, tombstone));
        for sample in &edit.put {
            self.push(edit.archive, sample.clone(), seq);
        }
        self.last = self.last.max(seq);
    }

    /// Archives that have anything here.
    pub(crate) fn archives(&self) -> impl Iterator<Item = ArchiveId> {
        let used = |lane: &Lane| !lane.rows.is_empty() || !lane.tombstones.is_empty();
        self.lanes.iter().zip(0..).filter(move |(lane, _)| used(lane)).map(|(_, id)| ArchiveId(id))
    }

    /// The partitions that an archive's samples belong to.
    pub(crate) fn keys(&self, archive: ArchiveId, family: Partition) -> BTreeSet<Key> {
        let Some(lane) = self.lanes.get(archive.0 as usize) else { return BTreeSet::new() };
        let mut keys = BTreeSet::new();
        let mut held: Option<(i64, i64)> = None;
        for row in &lane.rows {
            if held.is_none_or(|(start, end)| row.time < start || end < row.time) {
                let key = Key::of(family, row.time);
                held = Some((key.start(), key.end()));
                keys.insert(key);
            }
        }
        keys
    }

    /// The samples of a span, in time order.
    pub(crate) fn rows(&self, archive: ArchiveId, span: Span) -> Rows {
        match self.lanes.get(archive.0 as usize) {
            Some(lane) => lane.rows_of(span, self.base),
            None => Rows::empty(),
        }
    }

    pub(crate) fn tombstones(&self, archive: ArchiveId) -> &[Tombstone] {
        self.lanes.get(archive.0 as usize).map_or(&[], |lane| &lane.tombstones)
    }

    /// Times of all samples: first and last.
    pub(crate) fn extent(&self) -> Option<(i64, i64)> {
        let ends = |lane: &Lane| {
            if lane.is_unsorted {
                let times = lane.rows.iter().map(|row| row.time);
                Some((times.clone().min()?, times.max()?))
            } else {
                Some((lane.rows.first()?.time, lane.rows.last()?.time))
            }
        };
        self.lanes.iter().filter_map(ends).reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }
}

impl Lane {
    fn push(&mut self, sample: Sample, tag: u32) -> bool {
        let time = sample.source_time.0;
        let status = sample.status.bits();
        let packed = pack(&sample.value);
        if let Some(last) = self.rows.last() {
            let is_same = last.time == time && last.status == status && self.says(last, packed, &sample.value);
            if is_same && self.tombstones.is_empty() {
                return false;
            }
            self.is_unsorted |= last.time > time;
        }
        let (kind, bits) = packed.unwrap_or_else(|| {
            self.others.push(sample.value);
            (OTHER, self.others.len() as u64 - 1)
        });
        if self.rows.is_empty() {
            self.rows.reserve_exact(self.expected);
        }
        self.rows.push(HeadRow { time, server: sample.server_time.0, bits, status, tag: tag | u32::from(kind) });
        true
    }

    fn says(&self, row: &HeadRow, packed: Option<(Kind, u64)>, value: &Value) -> bool {
        match packed {
            Some(packed) => packed == (row.kind(), row.bits),
            None => row.kind() == OTHER && self.other(row.bits).is_some_and(|other| other.same_bits(value)),
        }
    }

    fn other(&self, index: u64) -> Option<&Value> {
        self.others.get(usize::try_from(index).ok()?)
    }

    fn value(&self, row: &HeadRow) -> Value {
        if row.kind() == OTHER {
            self.other(row.bits).cloned().unwrap_or_default()
        } else {
            unpack(row.kind(), row.bits)
        }
    }

    fn rows_of(&self, span: Span, base: u64) -> Rows {
        if span.last < span.first {
            return Rows::empty();
        }
        if !self.is_unsorted {
            let from = self.rows.partition_point(|row| row.time < span.first.0);
            let to = self.rows.partition_point(|row| row.time <= span.last.0);
            return self.columns(&self.rows[from..to], base);
        }
        let mut rows: Vec<HeadRow> = self.rows.iter().filter(|row| span.holds(UaTime(row.time))).copied().collect();
        rows.sort_by_key(|row| row.time);
        self.columns(&rows, base)
    }

    fn columns(&self, rows: &[HeadRow], base: u64) -> Rows {
        let is_good = rows.iter().all(|row| row.status == 0);
        Rows {
            times: rows.iter().map(|row| row.time).collect(),
            servers: rows.iter().map(|row| row.server).collect(),
            statuses: if is_good { Vec::new() } else { rows.iter().map(|row| row.status).collect() },
            seqs: rows.iter().map(|row| base + u64::from(row.tag >> 5)).collect(),
            seq: 0,
            cells: self.cells(rows),
        }
    }

    fn cells(&self, rows: &[HeadRow]) -> Cells {
        let kind = rows.iter().map(HeadRow::kind).find(|kind| *kind != NULL).unwrap_or(NULL);
        if kind == OTHER || rows.iter().any(|row| row.kind() != kind && row.kind() != NULL) {
            return Cells::Values(rows.iter().map(|row| self.value(row)).collect());
        }
        let has_gaps = kind != NULL && rows.iter().any(|row| row.kind() == NULL);
        let absent = match (kind, has_gaps) {
            (NULL, _) => vec![true; rows.len()],
            (_, true) => rows.iter().map(|row| row.kind() == NULL).collect(),
            (_, false) => Vec::new(),
        };
        Cells::Bits { kind, bits: rows.iter().map(|row| row.bits).collect(), absent }
    }
}
