//! Partitions that are open for writing.
//!
//! A writer is leased for one change. A lease that is dropped without `keep` leaves its partition as a suspect: after a
//! failed write or sync nobody knows what of the file is on the disk, so the file is written from scratch before
//! anything else is.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

use parking_lot::Mutex;

use super::partition::{Name, PartitionWriter};
use super::partitions::Partitions;
use crate::history::Fault;

/// Writers that stay open.
const MOST_OPEN: usize = 4;

#[derive(Default)]
pub(crate) struct Writers {
    open: Mutex<Vec<(Name, PartitionWriter)>>,
    suspects: Mutex<BTreeSet<Name>>,
}

impl Writers {
    /// Opens a partition for one change; its file is made when there is none.
    pub(crate) fn lease<'a>(&'a self, partitions: &'a Partitions, name: Name) -> Result<Lease<'a>, Fault> {
        let mut open = self.open.lock();
        let known = open.iter().position(|(known, _)| *known == name).map(|at| open.swap_remove(at).1);
        drop(open);
        let mut writer = match known {
            Some(writer) => writer,
            None => PartitionWriter::open(partitions.path(name))?,
        };
        writer.is_sound = false;
        self.suspects.lock().insert(name);
        Ok(Lease { writers: self, partitions, name, writer })
    }

    /// Partitions to which a change has failed.
    pub(crate) fn suspects(&self) -> Vec<Name> {
        self.suspects.lock().iter().copied().collect()
    }

    /// Closes a partition's writer; the partition is no suspect any more.
    pub(crate) fn forget(&self, name: Name) {
        self.suspects.lock().remove(&name);
        self.open.lock().retain(|(known, _)| *known != name);
    }
}

/// A writer for one change.
pub(crate) struct Lease<'a> {
    writers: &'a Writers,
    partitions: &'a Partitions,
    name: Name,
    writer: PartitionWriter,
}

impl Lease<'_> {
    /// Ends the lease after a change that succeeded, and keeps the writer open for the next one.
    pub(crate) fn keep(self) {
        let Lease { writers, partitions, name, mut writer } = self;
        writer.is_sound = true;
        writers.suspects.lock().remove(&name);
        if let Ok(Some(mark)) = writer.mark() {
            partitions.note(name, mark);
        }
        let mut open = writers.open.lock();
        open.push((name, writer));
        if open.len() > MOST_OPEN {
            open.remove(0);
        }
    }
}

impl Deref for Lease<'_> {
    type Target = PartitionWriter;

    fn deref(&self) -> &PartitionWriter {
        &self.writer
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut PartitionWriter {
        &mut self.writer
    }
}
