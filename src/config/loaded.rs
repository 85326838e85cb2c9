//! The files of a server as they were read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{Ix, Source};

/// One cell file with the files that it includes, itself first.
#[derive(Debug)]
pub(crate) struct CellSource {
    pub path: PathBuf,
    pub roots: Vec<(PathBuf, Ix)>,
}

/// The files that decide what a configuration says, as they were just before they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The first file, cells, includes, CSV files, texts of `${file:}`. Names as given: links are not followed.
    pub files: Vec<NamedFile>,
    /// Patterns of `cells` and `include`, and those of a folder that is served as a whole.
    pub patterns: Vec<NamedPattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    pub path: PathBuf,
    /// `None`: there was none.
    pub stamp: Option<Stamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPattern {
    pub pattern: PathBuf,
    pub found: Vec<PathBuf>,
}

/// State of a file, by which a change shows: that of the file at the end of its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub device: u64,
    pub inode: u64,
    pub length: u64,
    /// Nanoseconds since 1970 of the last change of the content, and of the file's entry.
    pub modified: i128,
    pub changed: i128,
}

impl Named {
    pub(super) fn file(&mut self, path: &Path, stamp: impl FnOnce() -> Option<Stamp>) {
        if !self.files.iter().any(|known| known.path == path) {
            self.files.push(NamedFile { path: path.to_owned(), stamp: stamp() });
        }
    }

    pub(super) fn pattern(&mut self, pattern: &Path, found: &[PathBuf]) {
        if !self.patterns.iter().any(|known| known.pattern == pattern) {
            self.patterns.push(NamedPattern { pattern: pattern.to_owned(), found: found.to_vec() });
        }
    }
}

/// The content of a file that a connection names.
#[derive(Clone)]
pub(crate) struct Content {
    pub bytes: Arc<[u8]>,
    /// A text file, in which findings have places.
    pub file: Option<u16>,
}

/// It may be a private key.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub source: Source,
    pub server: Option<(PathBuf, Ix)>,
    pub cells: Vec<CellSource>,
    /// CSV files by path.
    pub csv: HashMap<PathBuf, u16>,
    /// Files that connections name, by the value of the key.
    pub contents: HashMap<Ix, Content>,
    pub named: Named,
}
