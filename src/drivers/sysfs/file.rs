//! Files below a folder: opened without waiting, bounded, and never outside of it.
//!
//! An opened folder stays the folder of its device. When the device goes, its files are gone, even if another device gets the number.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use opcua::StatusCode;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::trouble::Trouble;

/// Longest text of a file. The kernel's attributes have one page.
pub(super) const LONGEST: usize = 4_096;

/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 4_096;

/// Attempts to read a file that changes meanwhile.
const ATTEMPTS: usize = 3;

/// File systems whose reads give a whole value: sysfs, debugfs, configfs, tracefs, proc, cgroup.
const KERNEL: [u64; 7] = [0x6265_6572, 0x6462_6720, 0x6265_6570, 0x7472_6163, 0x9fa0, 0x27_e0eb, 0x6367_7270];

/// An opened folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder below which everything is.
    pub(super) fn root(path: &Path) -> Result<Folder, Trouble> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
        opened.map(Folder).map_err(|error| Trouble::of_read(&error.into()))
    }

    /// Whether the path leads to this folder now.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let there = rustix::fs::statat(CWD, path, AtFlags::empty());
        match (there, rustix::fs::fstat(&self.0)) {
            (Ok(there), Ok(own)) => (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino),
            _ => false,
        }
    }

    pub(super) fn below(&self, path: &str) -> Result<Folder, Trouble> {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY).map(Folder).map_err(|error| Trouble::of_read(&error.into()))
    }

    /// Opens a path whose links all stay below the folder.
    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut attempts = ATTEMPTS;
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), ResolveFlags::BENEATH) {
                // A folder on the way was moved meanwhile.
                Err(Errno::AGAIN) if attempts > 1 => attempts -= 1,
                opened => return opened,
            }
        }
    }

    /// Opens a regular file. Others are not even opened: that can wait for ever, or start a watchdog.
    fn regular(&self, path: &str, flags: OFlags, trouble: impl Fn(Errno) -> Trouble) -> Result<File, Trouble> {
        let looked_at = self.open(path, OFlags::PATH).map_err(&trouble)?;
        kind(&rustix::fs::fstat(&looked_at).map_err(&trouble)?)?;
        let opened = self.open(path, flags | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(&trouble)?;
        kind(&rustix::fs::fstat(&opened).map_err(&trouble)?)?;
        Ok(File::from(opened))
    }

    /// The bytes of a file, without the newline at the end.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, Trouble> {
        for _ in 0..ATTEMPTS {
            if let Some(bytes) = self.read_once(path)? {
                return Ok(bytes);
            }
        }
        Err(Trouble::new(StatusCode::BadDataEncodingInvalid, "it changes while it is read"))
    }

    /// `None`: it changed meanwhile.
    fn read_once(&self, path: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let no = |error: Errno| Trouble::of_read(&error.into());
        let mut file = self.regular(path, OFlags::RDONLY, no)?;
        let before = rustix::fs::fstat(&file).map_err(no)?;
        let mut bytes = vec![0; LONGEST + 1];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::of_read(&error)),
            }
        }
        bytes.truncate(filled);
        if filled > LONGEST {
            let text = format!("it is longer than {LONGEST} bytes");
            return Err(Trouble::new(StatusCode::BadDataEncodingInvalid, text));
        }
        let kind = rustix::fs::fstatfs(&file).map_err(no)?.f_type;
        let is_kernel = KERNEL.iter().any(|known| i128::from(*known) == i128::from(kind));
        if !is_kernel && version(&before) != version(&rustix::fs::fstat(&file).map_err(no)?) {
            return Ok(None);
        }
        match bytes.pop() {
            None => Err(Trouble::new(StatusCode::BadNoData, "it is empty")),
            Some(b'\n') => Ok(Some(bytes)),
            Some(last) if is_kernel => {
                bytes.push(last);
                Ok(Some(bytes))
            }
            Some(_) => {
                let text = "it has no newline at its end, so it may be half written";
                Err(Trouble::new(StatusCode::BadDataEncodingInvalid, text))
            }
        }
    }

    /// Writes a text by one call.
    pub(super) fn write(&self, path: &str, text: &[u8]) -> Result<(), Trouble> {
        let no = |error: Errno| Trouble::of_write(&error.into());
        let mut file = self.regular(path, OFlags::WRONLY | OFlags::TRUNC, no)?;
        match file.write(text) {
            Ok(count) if count == text.len() => Ok(()),
            Ok(count) => {
                let text = format!("it took {count} of {} bytes", text.len());
                Err(Trouble::new(StatusCode::BadDeviceFailure, text))
            }
            Err(error) => Err(Trouble::of_write(&error)),
        }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.open(path, OFlags::PATH).is_ok()
    }

    /// The path of what a path leads to, from the top of the system; also where that is outside of this folder.
    pub(super) fn path_of(&self, path: &str) -> Option<String> {
        let own = std::fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd())).ok()?;
        let full = std::fs::canonicalize(own.join(path)).ok()?;
        full.into_os_string().into_string().ok()
    }

    /// Names of the entries of a folder; empty where it is not there.
    pub(super) fn entries(&self, path: &str) -> Vec<String> {
        let Ok(folder) = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) else { return Vec::new() };
        let Ok(entries) = Dir::read_from(&folder) else { return Vec::new() };
        let name = |entry: rustix::fs::DirEntry| entry.file_name().to_str().ok().map(str::to_owned);
        let names = entries.take(MOST_ENTRIES).map_while(Result::ok).filter_map(name);
        names.filter(|name| name != "." && name != "..").collect()
    }
}

fn kind(stat: &Stat) -> Result<(), Trouble> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Trouble::new(StatusCode::BadConfigurationError, "it is a folder")),
        _ => Err(Trouble::new(StatusCode::BadConfigurationError, "it is no regular file")),
    }
}

/// Facts that differ after a write.
fn version(stat: &Stat) -> [i128; 4] {
    [stat.st_ino.into(), stat.st_size.into(), stat.st_mtime.into(), stat.st_mtime_nsec.into()]
}
