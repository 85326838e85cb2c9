//! `journal.mark`: the number of the last commit that was synced. It is not synced itself, so after a power cut it may be
//! older than the journal; it is never newer. A journal that ends before it has lost commits.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::bytes::crc;

const FILE: &str = "journal.mark";
const BYTES: usize = 12;

/// The mark, open for writing.
#[derive(Debug)]
pub(crate) struct Mark(File);

impl Mark {
    pub(crate) fn open(folder: &Path) -> io::Result<Mark> {
        OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(FILE)).map(Mark)
    }

    /// Called when a commit has been synced.
    pub(crate) fn set(&self, seq: u64) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&seq.to_le_bytes());
        bytes[8..].copy_from_slice(&sum(seq).to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }
}

/// The last commit that was synced; `None` where nothing can be said.
pub(crate) fn read(folder: &Path) -> Option<u64> {
    let bytes: [u8; BYTES] = fs::read(folder.join(FILE)).ok()?.try_into().ok()?;
    let seq = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    (bytes[8..] == sum(seq).to_le_bytes()).then_some(seq)
}

fn sum(seq: u64) -> u32 {
    crc(&[seq.cast_signed()], &[])
}
