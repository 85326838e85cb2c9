//! Damage of a write-ahead log, which SQLite does not report: it takes the first frame that is not as it was written
//! for the end.
//!
//! After a crash that is right: the last frames may be torn. But where commits of the same run follow a broken frame, the
//! log was damaged, and they are lost. This holds for the journal alone: it is written from scratch after a write or a
//! sync that failed, so no frame in it belongs to a commit that failed. Here the frames are looked at before SQLite opens the file (the format is
//! described in "WAL-mode File Format", sqlite.org/walformat.html).

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::files::beside;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number is this, or one more where checksums count words with the highest byte first.
const MAGIC: u32 = 0x377f_0682;
/// Page sizes that SQLite knows.
const PAGES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// Damage of the write-ahead log of a database; `None` when it is whole, or when there is none.
pub(crate) fn damage(database: &Path) -> io::Result<Option<String>> {
    let file = match File::open(beside(database, "-wal")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Log::read(BufReader::new(file))
}

/// The same while another program writes: a frame that is half written now is complete at the second look.
pub(crate) fn damage_for_sure(database: &Path) -> io::Result<Option<String>> {
    match damage(database)? {
        Some(_) => damage(database),
        None => Ok(None),
    }
}

/// Keeps a copy of a damaged log before SQLite takes what is left of it for the whole, and says what is wrong.
pub(crate) fn keep_damaged(database: &Path, now: i64) -> io::Result<Option<String>> {
    let Some(what) = damage(database)? else { return Ok(None) };
    let copy = beside(database, &format!("-wal.{now}.damaged"));
    std::fs::copy(beside(database, "-wal"), &copy)?;
    log::error!("{}: its write-ahead log is damaged: {what}; a copy is kept in {}", database.display(), copy.display());
    Ok(Some(what))
}

/// The checksum of SQLite's write-ahead log: two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum(u32, u32);

struct Log {
    big: bool,
    page: usize,
    salts: [u8; 8],
}

impl Log {
    fn read(mut from: impl Read) -> io::Result<Option<String>> {
        let mut header = [0; HEADER];
        if !fill(&mut from, &mut header)? {
            // Begun, and nothing committed yet.
            return Ok(None);
        }
        let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let (magic, page) = (word(0), word(8));
        let log =
            Log { big: magic & 1 == 1, page: page as usize, salts: header[16..24].try_into().expect("eight bytes") };
        let is_known = magic & !1 == MAGIC && PAGES.contains(&page) && page.is_power_of_two();
        let sum = log.sum(Sum::default(), &header[..24]);
        if !is_known || sum != Sum(word(24), word(28)) {
            // A log that was taken over into the database begins with zeros or with its old header, which is right.
            let is_empty = header.iter().all(|byte| *byte == 0);
            return Ok((!is_empty).then(|| "its header is damaged: all commits in it are lost".to_owned()));
        }
        log.frames(from, sum)
    }

    fn frames(&self, mut from: impl Read, mut sum: Sum) -> io::Result<Option<String>> {
        let mut frame = vec![0; FRAME_HEADER + self.page];
        let mut broken = None;
        let mut number = 0u64;
        while fill(&mut from, &mut frame)? {
            number += 1;
            let stored = Sum(be(&frame[16..20]), be(&frame[20..24]));
            let is_of_run = frame[8..16] == self.salts;
            let is_next = is_of_run && self.sum(self.sum(sum, &frame[..8]), &frame[FRAME_HEADER..]) == stored;
            sum = stored;
            match broken {
                // Right after a broken frame a right one can't be told: its sum goes on from the broken one's.
                None if !is_next => broken = Some(number),
                // A transaction that was rolled back leaves frames after the last commit, but none that commits.
                Some(first) if is_next && commits(&frame) => {
                    return Ok(Some(format!("frame {first} is damaged, and the commits after it are lost")));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Continues a checksum over pairs of words.
    fn sum(&self, sum: Sum, bytes: &[u8]) -> Sum {
        let Sum(mut a, mut b) = sum;
        for pair in bytes.chunks_exact(8) {
            let word = |bytes: &[u8]| {
                let bytes: [u8; 4] = bytes.try_into().expect("four bytes");
                if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            };
            a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
            b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
        }
        Sum(a, b)
    }
}

/// The last frame of a transaction holds the size of the database after it.
fn commits(frame: &[u8]) -> bool {
    be(&frame[4..8]) != 0
}

fn be(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

/// Fills the buffer; false when the file ends before.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;

    /// A database whose log holds some commits, as a crash leaves it.
    fn crashed(folder: &Path) -> std::path::PathBuf {
        let live = folder.join("live.db");
        let connection = Connection::open(&live).expect("it opens");
        connection
            .execute_batch(
                "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(n, b);",
            )
            .expect("made");
        for n in 0..20 {
            connection.execute("INSERT INTO t VALUES(?, zeroblob(3000))", [n]).expect("written");
        }
        let copy = folder.join("crashed.db");
        fs::copy(&live, &copy).expect("copied");
        fs::copy(beside(&live, "-wal"), beside(&copy, "-wal")).expect("copied");
        copy
    }

    fn count(path: &Path) -> i64 {
        let connection = Connection::open(path).expect("it opens");
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap_or(0)
    }

    #[test]
    fn what_a_crash_leaves_is_no_damage() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = crashed(dir.path());
        let wal = beside(&path, "-wal");
        let bytes = fs::read(&wal).expect("a log");
        assert_eq!(damage(&path).expect("it is read"), None);
        // A torn tail, and an old run after the present one.
        for length in [0, 10, 32, 40, 32 + 8216, 32 + 8216 + 100, bytes.len() - 1] {
            fs::write(&wal, &bytes[..length]).expect("written");
            assert_eq!(damage(&path).expect("it is read"), None, "{length} bytes");
        }
        let mut old = bytes.clone();
        let at = 32 + 10 * 8216;
        for frame in old[at..].chunks_mut(8216) {
            frame[8] ^= 0x55;
        }
        fs::write(&wal, old).expect("written");
        assert_eq!(damage(&path).expect("it is read"), None, "frames of an earlier run");
        assert_eq!(damage(&dir.path().join("no.db")).expect("it is read"), None, "no log");
    }

    #[test]
    fn a_flipped_bit_that_costs_commits_is_damage() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = crashed(dir.path());
        let wal = beside(&path, "-wal");
        let bytes = fs::read(&wal).expect("a log");
        let last = bytes.len() - 3 * 8216;
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            let at = random.usize(0..last);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << random.u8(0..8);
            fs::write(&wal, &damaged).expect("written");
            let told = damage(&path).expect("it is read");
            let left = dir.path().join("left.db");
            fs::copy(&path, &left).expect("copied");
            fs::copy(&wal, beside(&left, "-wal")).expect("copied");
            let lost = count(&left) < 20;
            assert!(!lost || told.is_some(), "a bit of byte {at}: commits are lost and nothing is said");
            for suffix in ["", "-wal", "-shm"] {
                drop(fs::remove_file(beside(&left, suffix)));
            }
        }
    }
}
