//! The real server on a free port of 127.0.0.1, from the text of a cell file; its folders go with it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opcell::testing::app::{self, Answer, Assembly, Reloader, Running, Source};
use opcell::testing::config::{self, Options, Shown};
use opcell::testing::stack::transport;
use opcell::testing::ua::limits::Limits;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

/// A cell without hardware that has something of everything.
pub const CELL: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
connections:
  sim: { driver: simulator, allow_write: true }
types:
  enums:
    State: { 0: Stopped, 1: Running, 2: Faulted }
nodes:
  Pump:
    description: { en: The pump, de: Die Pumpe }
    children:
      Speed:    { type: Double, unit: rpm, range: [0, 3000], source: "sine(mean=1500, amp=500, period=10s)", poll: 100ms }
      Count:    { type: UInt32, source: "counter(start=0, step=1, every=50ms)", poll: 50ms }
      State:    { type: State, value: Stopped, write: true }
      Setpoint: { type: Double, unit: rpm, range: [0, 3000], value: 100.0, write: true }
      Number:   { type: Int32, value: 5, write: true }
      Name:     { type: String, length: 20, value: press, write: true }
      Curve:    { type: Float, array: 5, value: [1, 2, 3, 4, 5], write: true }
      Fixed:    { type: String, value: FC3 }
"#;

/// A running server, stopped when it is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    pub server: Arc<opcell::testing::ua::server::Server>,
    /// The server's alone: it holds the lock of the state folder.
    reloader: Weak<Reloader>,
    runtime: Handle,
    dir: TempDir,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Not one that the system chooses: an outgoing connection could get its port before a restart.
fn free_address() -> String {
    format!("127.0.0.1:{}", crate::peers::free_port())
}

impl TestServer {
    pub fn start(cell: &str) -> TestServer {
        TestServer::with(cell, None, |_, _| {})
    }

    /// `server` is the text of a server file that names `cell.yaml`; without one the lone cell's open defaults hold.
    pub fn with(
        cell: &str,
        server: Option<&str>,
        shrink: impl FnOnce(&mut Limits, &mut transport::Limits),
    ) -> TestServer {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("cell.yaml"), cell).expect("written");
        if let Some(server) = server {
            std::fs::write(dir.path().join("server.yaml"), server).expect("written");
        }
        TestServer::start_in(dir, &free_address(), shrink)
    }

    /// Starts in a folder that was filled before: `cell.yaml`, `server.yaml`, `pki`.
    pub fn start_with(dir: TempDir) -> TestServer {
        TestServer::start_in(dir, &free_address(), |_, _| {})
    }

    /// The same, where a test says.
    pub fn start_at(dir: TempDir, listen: &str) -> TestServer {
        TestServer::start_in(dir, listen, |_, _| {})
    }

    pub fn start_shrunk(dir: TempDir, shrink: impl FnOnce(&mut Limits, &mut transport::Limits)) -> TestServer {
        TestServer::start_in(dir, &free_address(), shrink)
    }

    /// Starts with the folders of an earlier run and on its port.
    pub fn restart(mut self) -> TestServer {
        let address = self.address.to_string();
        self.finish();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().expect("a folder"));
        TestServer::start_in(dir, &address, |_, _| {})
    }

    fn start_in(dir: TempDir, listen: &str, shrink: impl FnOnce(&mut Limits, &mut transport::Limits)) -> TestServer {
        let mut assembly = assemble(dir.path(), listen);
        let (limits, wire) = assembly.limits_mut();
        shrink(limits, wire);
        let (end, ended) = oneshot::channel::<()>();
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let mut running: Running = assembly.start().await.expect("the server starts");
                let parts = (running.addresses[0], Arc::clone(&running.server), Arc::downgrade(running.reloader()));
                started.send((parts, Handle::current())).expect("the test waits");
                running.run_until(async { drop(ended.await) }).await;
                running.stop("the test is over").await;
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        let (parts, runtime) = start.recv_timeout(Duration::from_secs(30)).expect("the server listens");
        let (address, server, reloader) = parts;
        TestServer { address, server, reloader, runtime, dir, end: Some(end), thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.address)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes another cell file and reloads.
    pub fn reload(&self, cell: &str) -> Answer {
        std::fs::write(self.dir.path().join("cell.yaml"), cell).expect("written");
        self.reload_files()
    }

    fn reloader(&self) -> Arc<Reloader> {
        self.reloader.upgrade().expect("the server runs")
    }

    /// Reloads the files as they are.
    pub fn reload_files(&self) -> Answer {
        self.runtime.block_on(self.reloader().reload()).expect("the files can be asked for")
    }

    /// Says what a reload of the files as they are would change.
    pub fn dry_run(&self) -> Answer {
        self.runtime.block_on(self.reloader().dry_run()).expect("the files can be asked for")
    }

    /// Asks the server to stop, and does not wait.
    pub fn begin_stop(&mut self) {
        drop(self.end.take());
    }

    pub fn finish(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread ends");
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_stop();
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        assert!(!panicked || std::thread::panicking(), "the server's thread panicked");
    }
}

fn assemble(dir: &Path, listen: &str) -> Assembly {
    let server = dir.join("server.yaml");
    let path = if server.exists() { server } else { dir.join("cell.yaml") };
    let options = Options { listen: Some(vec![listen.parse().expect("an address")]), ..Options::default() };
    let options = app::with_mirrors(&path, options);
    let (compiled, report) = config::load(&path, &options);
    let findings = report.render(Shown::Some);
    let compiled = compiled.unwrap_or_else(|| panic!("the cell is good, but:\n{findings}"));
    app::assemble(compiled).reloadable(Source { path, options })
}
