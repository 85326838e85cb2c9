//! The command line's part in a cell.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::drivers::Mirrors;

/// Options of the command line for a cell.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A simulator in place of every driver.
    pub simulate: bool,
    /// Instead of the server file's `listen`.
    pub listen: Option<Vec<SocketAddr>>,
    pub state_dir: Option<PathBuf>,
    pub pki_dir: Option<PathBuf>,
    pub log: Option<log::LevelFilter>,
    /// Mirrored nodes, for folders with `browse`; without them these are empty.
    pub mirrors: Option<Arc<dyn Mirrors>>,
}
