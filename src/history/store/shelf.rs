//! The partitions of a folder, and their readers.
//!
//! Readers are connections of their own, each in a read transaction while it is out: a flush or merge never disturbs
//! who reads. A bounded number stays open.

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
pub struct Volume {
    pub name: Name,
    pub path: PathBuf,
    /// What the last change left.
    pub facts: Mutex<Mark>,
    idle: Mutex<Vec<Connection>>,
    is_gone: AtomicBool,
}

impl Volume {
    pub fn key(&self) -> Key {
        self.name.key
    }
}

#[derive(Default)]
struct Lists {
    known: HashMap<(PathBuf, ArchiveId), (u64, Arc<List>)>,
    rows: usize,
}

pub struct Shelf {
    folder: PathBuf,
    volumes: RwLock<BTreeMap<Order, Arc<Volume>>>,
    idle: AtomicUsize,
    lists: Mutex<Lists>,
}

impl Shelf {
    /// Finds the partitions of a folder.
    pub fn open(folder: &Path) -> Result<Shelf, Fault> {
        let shelf = Shelf {
            folder: folder.to_owned(),
            volumes: RwLock::default(),
            idle: AtomicUsize::new(0),
            lists: Mutex::default(),
        };
        shelf.look()?;
        Ok(shelf)
    }

    /// Looks for files that were made since.
    pub fn look(&self) -> Result<(), Fault> {
        let mut volumes = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).map_err(io_fault(&self.folder))? {
            let entry = entry.map_err(io_fault(&self.folder))?;
            if let Some(name) = entry.file_name().to_str().and_then(Name::parse) {
                volumes.insert(order(name), self.volume(name));
            }
        }
        let mut here = self.volumes.write();
        volumes.retain(|order, _| !here.contains_key(order));
        here.extend(volumes);
        Ok(())
    }

    fn volume(&self, name: Name) -> Arc<Volume> {
        let path = self.folder.join(name.file());
        Arc::new(Volume {
            name,
            path,
            facts: Mutex::default(),
            idle: Mutex::default(),
            is_gone: AtomicBool::new(false),
        })
    }

    /// All files, by time.
    pub fn volumes(&self) -> Vec<Arc<Volume>> {
        self.volumes.read().values().cloned().collect()
    }

    /// The files that may hold samples from `first` to `last`.
    pub fn within(&self, first: i64, last: i64) -> Vec<Arc<Volume>> {
        let holds = |volume: &&Arc<Volume>| volume.key().start() <= last && first <= volume.key().end();
        self.volumes.read().values().filter(holds).cloned().collect()
    }

    /// The file that takes new blocks of a partition; its name when there is none yet.
    pub fn current(&self, key: Key) -> Result<Arc<Volume>, Name> {
        let volumes = self.volumes.read();
        let of_key = || volumes.values().filter(|volume| volume.key() == key);
        let current = of_key().filter(|volume| !volume.name.is_damaged).max_by_key(|volume| volume.name.generation);
        let next = of_key().map(|volume| volume.name.generation + 1).max().unwrap_or(0);
        current.cloned().ok_or(Name::new(key, next))
    }

    /// Remembers what a file says of itself.
    pub fn note(&self, name: Name, mark: Mark) {
        if let Some(volume) = self.volumes.read().get(&order(name)) {
            *volume.facts.lock() = mark;
        }
    }

    pub fn path(&self, name: Name) -> PathBuf {
        self.folder.join(name.file())
    }

    pub fn add(&self, name: Name) -> Arc<Volume> {
        let volume = self.volume(name);
        self.volumes.write().insert(order(name), Arc::clone(&volume));
        volume
    }

    /// Takes a file out, and puts another in its place, for readers in one step.
    pub fn replace(&self, old: &Volume, new: Option<Name>) {
        {
            let mut volumes = self.volumes.write();
            volumes.remove(&order(old.name));
            if let Some(name) = new {
                volumes.insert(order(name), self.volume(name));
            }
        }
        old.is_gone.store(true, Ordering::Release);
        let closed = std::mem::take(&mut *old.idle.lock()).len();
        self.idle.fetch_sub(closed, Ordering::Relaxed);
    }

    /// A reader on a file as it is now. `None` when the file was let go meanwhile.
    pub fn reader<'s>(&'s self, volume: &Arc<Volume>) -> Result<Option<Reader<'s>>, Fault> {
        let idle = volume.idle.lock().pop();
        let connection = match idle {
            Some(connection) => {
                self.idle.fetch_sub(1, Ordering::Relaxed);
                connection
            }
            None if !volume.path.exists() => return Ok(None),
            None => match files::open_to_read(&volume.path) {
                Err(_) if !volume.path.exists() => return Ok(None),
                opened => {
                    let connection = opened?;
                    if files::is_unborn(&connection).map_err(sql_fault(&volume.path))? {
                        return Ok(None);
                    }
                    connection
                }
            },
        };
        let at = sql_fault(&volume.path);
        connection.execute_batch("BEGIN").map_err(&at)?;
        let mark = Mark::read(&connection).map_err(&at)?;
        // Without its mark a list cannot be known to be fresh: it is never remembered.
        let version = mark.map_or(u64::MAX, |mark| mark.version);
        Ok(Some(Reader { shelf: self, volume: Arc::clone(volume), connection: Some(connection), version }))
    }

    fn give_back(&self, volume: &Volume, connection: Connection) {
        let is_over = connection.execute_batch("COMMIT").is_ok();
        let is_of_use = is_over && !volume.is_gone.load(Ordering::Acquire);
        if is_of_use && self.idle.fetch_add(1, Ordering::Relaxed) < MOST_IDLE {
            volume.idle.lock().push(connection);
        } else if is_of_use {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            self.make_room();
        }
    }

    /// Closes the idle readers of the oldest files.
    fn make_room(&self) {
        for volume in self.volumes().iter().take(MOST_IDLE) {
            let closed = std::mem::take(&mut *volume.idle.lock()).len();
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
pub struct Reader<'s> {
    shelf: &'s Shelf,
    pub volume: Arc<Volume>,
    connection: Option<Connection>,
    version: u64,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shelf.give_back(&self.volume, connection);
        }
    }
}

impl Reader<'_> {
    pub fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("it is taken only at the end")
    }

    /// The blocks of an archive.
    pub fn list(&self, archive: ArchiveId) -> Result<Arc<List>, Fault> {
        let key = (self.volume.path.clone(), archive);
        if let Some((version, list)) = self.shelf.lists.lock().known.get(&key)
            && *version == self.version
        {
            return Ok(Arc::clone(list));
        }
        let list = match fetch::list(self.connection(), self.volume.key(), archive) {
            Ok(list) => Arc::new(list),
            Err(error) if is_damage(&error) => {
                let losses = vec![self.volume.key().start()];
                return Ok(Arc::new(List { losses, ..List::default() }));
            }
            Err(error) => return Err(sql_fault(&self.volume.path)(error)),
        };
        if self.version != u64::MAX {
            let mut lists = self.shelf.lists.lock();
            if lists.rows > MOST_LISTED {
                *lists = Lists::default();
            }
            lists.rows += list.blocks.len() + 1;
            lists.known.insert(key, (self.version, Arc::clone(&list)));
        }
        Ok(list)
    }

    pub fn frames(&self, row: &BlockRow) -> Result<Found, Fault> {
        fetch::frames(self.connection(), row).map_err(sql_fault(&self.volume.path))
    }

    pub fn data(&self, row: &BlockRow) -> Result<Found, Fault> {
        fetch::data(self.connection(), row).map_err(sql_fault(&self.volume.path))
    }

    pub fn times(&self, id: i64) -> Result<Found, Fault> {
        fetch::times(self.connection(), id).map_err(sql_fault(&self.volume.path))
    }
}
