//! The archives of a store: their settings, how long each keeps its samples, and what they refuse.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

use super::partition::has_day;
use super::settings::Partition;
use crate::history::{ArchiveId, ArchiveSpec, Row};
use crate::value::UaTime;

/// Archives that keep longer than 90 days, in ticks, have a partition a month.
const LONG: i64 = 90 * 24 * 3600 * 10_000_000;

/// How long each archive keeps its samples, by id, in ticks of 100 ns.
#[derive(Default)]
pub(crate) struct Retention {
    keep: Vec<Option<i64>>,
}

impl Retention {
    fn keep(&self, archive: ArchiveId) -> Option<i64> {
        self.keep.get(archive.0 as usize).copied().flatten()
    }

    /// The oldest time that is kept.
    pub(crate) fn floor(&self, archive: ArchiveId, now: UaTime) -> UaTime {
        UaTime(now.0.saturating_sub(self.keep(archive).unwrap_or(0)))
    }

    /// Each archive and how long it keeps, in ticks.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ArchiveId, i64)> {
        self.keep.iter().zip(0..).filter_map(|(keep, id)| Some((ArchiveId(id), (*keep)?)))
    }

    /// The longest time that any archive keeps, in ticks.
    pub(crate) fn longest(&self) -> Option<i64> {
        self.keep.iter().flatten().copied().max()
    }

    fn set(&mut self, archive: ArchiveId, spec: &ArchiveSpec) {
        let at = archive.0 as usize;
        if at >= self.keep.len() {
            self.keep.resize(at + 1, None);
        }
        self.keep[at] = Some(i64::try_from(spec.keep.as_nanos() / 100).unwrap_or(i64::MAX));
    }
}

pub(crate) struct Archives {
    retention: RwLock<Retention>,
    specs: RwLock<BTreeMap<ArchiveId, ArchiveSpec>>,
    /// The kind of partition for all archives, where the settings name one.
    partition: RwLock<Option<Partition>>,
    /// Samples that were older than their archive keeps.
    too_old: AtomicU64,
    /// Samples of archives that do not exist.
    unknown: AtomicU64,
}

impl Archives {
    pub(crate) fn new(partition: Option<Partition>) -> Archives {
        Archives {
            retention: RwLock::default(),
            specs: RwLock::default(),
            partition: RwLock::new(partition),
            too_old: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        }
    }

    pub(crate) fn note(&self, archives: impl Iterator<Item = (ArchiveId, ArchiveSpec)>) {
        let (mut retention, mut specs) = (self.retention.write(), self.specs.write());
        for (id, spec) in archives {
            retention.set(id, &spec);
            specs.insert(id, spec);
        }
    }

    pub(crate) fn knows(&self, archive: ArchiveId) -> bool {
        self.retention.read().keep(archive).is_some()
    }

    pub(crate) fn retention(&self) -> RwLockReadGuard<'_, Retention> {
        self.retention.read()
    }

    pub(crate) fn specs(&self) -> Vec<(ArchiveId, ArchiveSpec)> {
        self.specs.read().iter().map(|(id, spec)| (*id, spec.clone())).collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.specs.read().len() as u64
    }

    /// Not to be called while blocks are written.
    pub(crate) fn set_partition(&self, partition: Option<Partition>) {
        *self.partition.write() = partition;
    }

    /// The kind of partition that takes an archive's samples.
    pub(crate) fn family(&self, archive: ArchiveId) -> Partition {
        let by_age = || {
            let keeps_long = self.retention.read().keep(archive).is_some_and(|keep| keep > LONG);
            if keeps_long { Partition::Month } else { Partition::Day }
        };
        self.partition.read().unwrap_or_else(by_age)
    }

    /// Takes out and counts the samples that are older than their archive keeps, and those of no archive.
    pub(crate) fn refuse(&self, batches: &mut VecDeque<Vec<Row>>, now: UaTime) {
        let retention = self.retention.read();
        let keeps = |row: &Row| {
            let time = row.sample.source_time.0;
            has_day(time) && retention.keep(row.archive).is_some_and(|keep| time >= now.0.saturating_sub(keep))
        };
        for rows in batches {
            if rows.iter().all(keeps) {
                continue;
            }
            let unknown = rows.iter().filter(|row| retention.keep(row.archive).is_none()).count();
            let before = rows.len();
            rows.retain(keeps);
            self.unknown.fetch_add(unknown as u64, Ordering::Relaxed);
            self.too_old.fetch_add((before - rows.len() - unknown) as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn too_old(&self) -> u64 {
        self.too_old.load(Ordering::Relaxed)
    }

    pub(crate) fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }
}
