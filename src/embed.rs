//! The front page of the crate: a cell that is loaded, and a server that runs. All else of the crate is its own affair.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::app::{self, Running, StartError};
use crate::config::{self, Compiled, Options, Shown};
use crate::value::Sample;

/// Settings that replace those of the server file.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Runs a simulator in place of every driver.
    pub simulate: bool,
    /// Addresses to listen on; port 0 lets the system choose.
    pub listen: Option<Vec<SocketAddr>>,
    /// Folder of state, history and audit.
    pub state_dir: Option<PathBuf>,
    /// Folder of certificates.
    pub pki_dir: Option<PathBuf>,
}

/// A cell file, server file or folder without mistakes. Nothing is opened yet.
#[derive(Debug)]
pub struct Cell {
    compiled: Compiled,
    warnings: String,
    source: app::Source,
}

/// The mistakes of a cell file, each with its place and the text to write instead.
#[derive(Debug)]
pub struct Findings(String);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Findings {}

impl Cell {
    /// Reads and checks a cell file, a server file or a folder.
    ///
    /// # Errors
    /// All mistakes of the files, in one text.
    pub fn load(path: &Path, options: LoadOptions) -> Result<Cell, Findings> {
        let LoadOptions { simulate, listen, state_dir, pki_dir } = options;
        let options = Options { simulate, listen, state_dir, pki_dir, ..Options::default() };
        let options = app::with_mirrors(path, options);
        let source = app::Source { path: path.to_owned(), options };
        let (compiled, report) = config::load(&source.path, &source.options);
        let text = if report.is_empty() { String::new() } else { report.render(Shown::All) };
        compiled.map(|compiled| Cell { compiled, warnings: text.clone(), source }).ok_or(Findings(text))
    }

    /// Warnings about the files; empty when there are none.
    #[must_use]
    pub fn warnings(&self) -> &str {
        &self.warnings
    }

    /// Opens state, history and links, and listens last of all. Needs a Tokio runtime with several threads.
    ///
    /// # Errors
    /// A folder, a port, a certificate or the history cannot be used; the text names it and the remedy.
    pub async fn start(self) -> Result<RunningServer, StartError> {
        Ok(RunningServer { running: app::assemble(self.compiled).reloadable(self.source).start().await? })
    }
}

/// A server that runs. End it by [`RunningServer::stop`]. A server that is dropped instead may leave outputs on, loses the
/// last second of history, and keeps its folders locked until the process ends.
pub struct RunningServer {
    running: Running,
}

impl RunningServer {
    /// The addresses that the server listens on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.running.addresses
    }

    /// The present value of a tag with its status and times; `None` when there is no such tag.
    ///
    /// `path` is the tag's path in its cell, such as `Filler.Tank.Level`. With several cells the first one that has
    /// the path counts.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<Sample> {
        let server = &self.running.server;
        let plant = &server.world().plant;
        let (id, _) = plant.tags.iter().find(|(_, tag)| plant.cells[usize::from(tag.cell)].path(tag.node) == path)?;
        Some(server.tags.with(id, Sample::clone))
    }

    /// Serves clients until `end` resolves, and saves memory tags meanwhile.
    pub async fn run_until(&mut self, end: impl Future<Output = ()>) {
        self.running.run_until(end).await;
    }

    /// Tells clients the end, writes `on_stop` values, closes links and connections, and saves: within 5 s, or as long
    /// as devices take for their outputs. `reason` is for clients and the audit.
    pub async fn stop(self, reason: &str) {
        self.running.stop(reason).await;
    }
}
