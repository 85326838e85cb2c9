//! The files of a server as they were read.

use std::collections::HashMap;
use std::path::PathBuf;

use super::source::{Ix, Source};

/// One cell file with the files that it includes, itself first.
#[derive(Debug)]
pub(crate) struct CellSource {
    pub path: PathBuf,
    pub roots: Vec<(PathBuf, Ix)>,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub source: Source,
    pub server: Option<(PathBuf, Ix)>,
    pub cells: Vec<CellSource>,
    /// CSV files by path.
    pub csv: HashMap<PathBuf, u16>,
    /// Paths of all files that were read.
    pub read: Vec<PathBuf>,
}
