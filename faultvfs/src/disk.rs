//! What the disk remembers: which calls are to fail, and what a power cut would take back.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Read,
    Write,
    Sync,
    Open,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    Full,
    /// The device answers with an error.
    Broken,
    /// Only half of a write is done, then the device answers with an error.
    Torn,
}

/// After `after` more calls that work, `times` calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub after: u64,
    pub times: u64,
    pub fault: Fault,
}

#[derive(Default)]
struct Disk {
    rules: HashMap<Operation, Rule>,
    calls: HashMap<Operation, u64>,
    files: HashMap<PathBuf, Unsynced>,
    is_off: bool,
}

/// What a file held before each change since its last sync, oldest first.
#[derive(Default)]
struct Unsynced {
    /// The file that it is about: another one may come to have its name.
    inode: u64,
    changes: Vec<Change>,
    /// Changes whose sync failed: lost at a power cut, unless they were written and synced again.
    doomed: Vec<Change>,
}

struct Change {
    offset: u64,
    /// Shorter than what was written when the file grew.
    old: Vec<u8>,
    /// Which of the bytes written were written again since.
    again: Vec<bool>,
    /// Length of the file before.
    length: u64,
}

static DISK: Mutex<Option<Disk>> = Mutex::new(None);

fn with<R>(act: impl FnOnce(&mut Disk) -> R) -> R {
    act(DISK.lock().get_or_insert_with(Disk::default))
}

/// Makes calls fail, or work again.
pub fn set(operation: Operation, rule: Option<Rule>) {
    with(|disk| match rule {
        Some(rule) => drop(disk.rules.insert(operation, rule)),
        None => drop(disk.rules.remove(&operation)),
    });
}

/// Every call works again.
pub fn clear() {
    with(|disk| disk.rules.clear());
}

/// Calls so far.
pub fn calls(operation: Operation) -> u64 {
    with(|disk| disk.calls.get(&operation).copied().unwrap_or(0))
}

/// Takes back what was not synced in the files below a folder; every call fails until `power_on`.
pub fn power_cut(folder: &Path) -> std::io::Result<()> {
    with(|disk| {
        disk.is_off = true;
        for (path, unsynced) in disk.files.iter_mut().filter(|(path, _)| path.starts_with(folder)) {
            let Unsynced { inode, changes, doomed } = std::mem::take(unsynced);
            let Ok(file) = File::options().write(true).read(true).open(path) else { continue };
            if file.metadata()?.ino() != inode {
                continue;
            }
            for change in changes.iter().rev() {
                file.write_all_at(&change.old, change.offset)?;
                if file.metadata()?.len() > change.length {
                    file.set_len(change.length)?;
                }
            }
            for change in doomed.iter().rev() {
                restore(&file, change)?;
            }
        }
        Ok(())
    })
}

/// Bytes whose sync failed are as before; where the file was shorter then, and is longer now, they are zero.
fn restore(file: &File, change: &Change) -> std::io::Result<()> {
    let room = usize::try_from(file.metadata()?.len().saturating_sub(change.offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; change.again.len().min(room)];
    file.read_exact_at(&mut bytes, change.offset)?;
    let old = change.old.iter().copied().chain(std::iter::repeat(0));
    for (byte, (old, again)) in bytes.iter_mut().zip(old.zip(&change.again)) {
        if !again {
            *byte = old;
        }
    }
    file.write_all_at(&bytes, change.offset)
}

/// The machine is on again, with an empty memory.
pub fn power_on() {
    with(|disk| {
        disk.is_off = false;
        disk.rules.clear();
    });
}

/// Counts a call, and answers how it fails.
pub(crate) fn call(operation: Operation) -> Option<Fault> {
    with(|disk| {
        *disk.calls.entry(operation).or_default() += 1;
        if disk.is_off {
            return Some(Fault::Broken);
        }
        let rule = disk.rules.get_mut(&operation)?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        if rule.times == 0 {
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    })
}

/// A change is about to be made; `old` is what stands there now.
pub(crate) fn changing(path: &Path, offset: u64, old: Vec<u8>, written: u64, length: u64) {
    with(|disk| {
        let inode = std::fs::metadata(path).map_or(0, |data| data.ino());
        let unsynced = disk.files.entry(path.to_owned()).or_default();
        if unsynced.inode != inode {
            *unsynced = Unsynced { inode, ..Unsynced::default() };
        }
        for change in &mut unsynced.doomed {
            for (at, again) in (change.offset..).zip(&mut change.again) {
                *again |= (offset..offset + written).contains(&at);
            }
        }
        let again = vec![false; usize::try_from(written).unwrap_or(0)];
        unsynced.changes.push(Change { offset, old, again, length });
    });
}

pub(crate) fn synced(path: &Path, is_good: bool) {
    with(|disk| {
        let Some(unsynced) = disk.files.get_mut(path) else { return };
        let changes = std::mem::take(&mut unsynced.changes);
        if !is_good {
            unsynced.doomed.extend(changes);
        }
    });
}

pub(crate) fn deleted(path: &Path) {
    with(|disk| drop(disk.files.remove(path)));
}
