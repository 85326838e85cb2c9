//! The partitions of a folder, and their readers.
//!
//! Readers are connections of their own, each in a read transaction while it is in use: a flush or merge never disturbs
//! a reader. A limited number of connections stays open.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;

use super::fetch::{self, Found, List};
use super::files;
use super::partition::{BlockRow, Key, Mark, Name};
use super::trouble::{io_fault, is_damage, sql_fault};
use crate::history::{ArchiveId, Fault};

/// Readers that stay open although nobody reads.
const MOST_IDLE: usize = 128;
/// Block rows that are remembered, in all lists.
const MOST_LISTED: usize = 1 << 18;

/// One file.
pub(crate) struct PartitionFile {
    pub name: Name,
    pub path: PathBuf,
    /// Its mark after the last change.
    pub facts: Mutex<Mark>,
    idle: Mutex<Vec<Connection>>,
    is_gone: AtomicBool,
}

impl PartitionFile {
    pub(crate) fn key(&self) -> Key {
        self.name.key
    }
}

#[derive(Default)]
struct Lists {
    known: HashMap<(PathBuf, ArchiveId), (u64, Arc<List>)>,
    rows: usize,
}

pub(crate) struct Partitions {
    folder: PathBuf,
    partitions: RwLock<BTreeMap<Order, Arc<PartitionFile>>>,
    idle: AtomicUsize,
    lists: Mutex<Lists>,
}

impl Partitions {
    /// Finds the partitions of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Partitions, Fault> {
        let partitions = Partitions {
            folder: folder.to_owned(),
            partitions: RwLock::default(),
            idle: AtomicUsize::new(0),
            lists: Mutex::default(),
        };
        partitions.look()?;
        Ok(partitions)
    }

    /// Looks for files that were made since.
    pub(crate) fn look(&self) -> Result<(), Fault> {
        let mut partitions = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).map_err(io_fault(&self.folder))? {
            let entry = entry.map_err(io_fault(&self.folder))?;
            if let Some(name) = entry.file_name().to_str().and_then(Name::parse) {
                partitions.insert(order(name), self.partition(name));
            }
        }
        let mut here = self.partitions.write();
        partitions.retain(|order, _| !here.contains_key(order));
        here.extend(partitions);
        Ok(())
    }

    fn partition(&self, name: Name) -> Arc<PartitionFile> {
        let path = self.folder.join(name.file());
        Arc::new(PartitionFile {
            name,
            path,
            facts: Mutex::default(),
            idle: Mutex::default(),
            is_gone: AtomicBool::new(false),
        })
    }

    /// All files, by time.
    pub(crate) fn all(&self) -> Vec<Arc<PartitionFile>> {
        self.partitions.read().values().cloned().collect()
    }

    /// The files that may hold samples from `first` to `last`.
    pub(crate) fn within(&self, first: i64, last: i64) -> Vec<Arc<PartitionFile>> {
        let holds = |partition: &&Arc<PartitionFile>| partition.key().start() <= last && first <= partition.key().end();
        self.partitions.read().values().filter(holds).cloned().collect()
    }

    /// The file that takes new blocks of a partition; its name when there is none yet.
    pub(crate) fn current(&self, key: Key) -> Result<Arc<PartitionFile>, Name> {
        let partitions = self.partitions.read();
        let of_key = || partitions.values().filter(|partition| partition.key() == key);
        let current =
            of_key().filter(|partition| !partition.name.is_damaged).max_by_key(|partition| partition.name.generation);
        let next = of_key().map(|partition| partition.name.generation + 1).max().unwrap_or(0);
        current.cloned().ok_or(Name::new(key, next))
    }

    /// Stores the new mark of a file.
    pub(crate) fn note(&self, name: Name, mark: Mark) {
        if let Some(partition) = self.partitions.read().get(&order(name)) {
            *partition.facts.lock() = mark;
        }
    }

    pub(crate) fn path(&self, name: Name) -> PathBuf {
        self.folder.join(name.file())
    }

    pub(crate) fn add(&self, name: Name) -> Arc<PartitionFile> {
        let partition = self.partition(name);
        self.partitions.write().insert(order(name), Arc::clone(&partition));
        partition
    }

    /// Takes a file out, and puts another in its place, for readers in one step.
    pub(crate) fn replace(&self, old: &PartitionFile, new: Option<Name>) {
        {
            let mut partitions = self.partitions.write();
            partitions.remove(&order(old.name));
            if let Some(name) = new {
                partitions.insert(order(name), self.partition(name));
            }
        }
        old.is_gone.store(true, Ordering::Release);
        let closed = std::mem::take(&mut *old.idle.lock()).len();
        self.idle.fetch_sub(closed, Ordering::Relaxed);
    }

    /// A reader of a file as it is now. `None` when the file was removed meanwhile.
    pub(crate) fn reader<'s>(&'s self, partition: &Arc<PartitionFile>) -> Result<Option<Reader<'s>>, Fault> {
        let idle = partition.idle.lock().pop();
        let connection = match idle {
            Some(connection) => {
                self.idle.fetch_sub(1, Ordering::Relaxed);
                connection
            }
            None if !partition.path.exists() => return Ok(None),
            None => match files::open_to_read(&partition.path) {
                Err(_) if !partition.path.exists() => return Ok(None),
                opened => {
                    let connection = opened?;
                    if files::is_unborn(&connection).map_err(sql_fault(&partition.path))? {
                        return Ok(None);
                    }
                    connection
                }
            },
        };
        let at = sql_fault(&partition.path);
        connection.execute_batch("BEGIN").map_err(&at)?;
        let mark = Mark::read(&connection).map_err(&at)?;
        // Without its mark a list cannot be known to be fresh: it is never remembered.
        let version = mark.map_or(u64::MAX, |mark| mark.version);
        Ok(Some(Reader { partitions: self, partition: Arc::clone(partition), connection: Some(connection), version }))
    }

    fn give_back(&self, partition: &PartitionFile, connection: Connection) {
        let is_over = connection.execute_batch("COMMIT").is_ok();
        let is_of_use = is_over && !partition.is_gone.load(Ordering::Acquire);
        if is_of_use && self.idle.fetch_add(1, Ordering::Relaxed) < MOST_IDLE {
            partition.idle.lock().push(connection);
        } else if is_of_use {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            self.make_room();
        }
    }

    /// Closes the idle readers of the oldest files.
    fn make_room(&self) {
        for partition in self.all().iter().take(MOST_IDLE) {
            let closed = std::mem::take(&mut *partition.idle.lock()).len();
            self.idle.fetch_sub(closed, Ordering::Relaxed);
            if closed > 0 {
                return;
            }
        }
    }
}

/// By time, then by age.
type Order = (i64, Key, u32, bool);

fn order(name: Name) -> Order {
    (name.key.start(), name.key, name.generation, name.is_damaged)
}

/// A file as it was when the reader was taken.
pub(crate) struct Reader<'s> {
    partitions: &'s Partitions,
    pub partition: Arc<PartitionFile>,
    connection: Option<Connection>,
    version: u64,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.partitions.give_back(&self.partition, connection);
        }
    }
}

impl Reader<'_> {
    pub(crate) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("it is taken only at the end")
    }

    /// The blocks of an archive.
    pub(crate) fn list(&self, archive: ArchiveId) -> Result<Arc<List>, Fault> {
        let key = (self.partition.path.clone(), archive);
        if let Some((version, list)) = self.partitions.lists.lock().known.get(&key)
            && *version == self.version
        {
            return Ok(Arc::clone(list));
        }
        let list = match fetch::list(self.connection(), self.partition.key(), archive) {
            Ok(list) => Arc::new(list),
            Err(error) if is_damage(&error) => {
                let losses = vec![self.partition.key().start()];
                return Ok(Arc::new(List { losses, ..List::default() }));
            }
            Err(error) => return Err(sql_fault(&self.partition.path)(error)),
        };
        if self.version != u64::MAX {
            let mut lists = self.partitions.lists.lock();
            if lists.rows > MOST_LISTED {
                *lists = Lists::default();
            }
            lists.rows += list.blocks.len() + 1;
            lists.known.insert(key, (self.version, Arc::clone(&list)));
        }
        Ok(list)
    }

    pub(crate) fn frames(&self, row: &BlockRow) -> Result<Found, Fault> {
        fetch::frames(self.connection(), row).map_err(sql_fault(&self.partition.path))
    }

    pub(crate) fn data(&self, row: &BlockRow) -> Result<Found, Fault> {
        fetch::data(self.connection(), row).map_err(sql_fault(&self.partition.path))
    }

    pub(crate) fn times(&self, id: i64) -> Result<Found, Fault> {
        fetch::times(self.connection(), id).map_err(sql_fault(&self.partition.path))
    }
}
