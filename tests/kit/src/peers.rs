//! Other people's software that the tests talk to: pymodbus, libmodbus, snap7, cpppo, socat, node-opcua, the YAML language server.
//!
//! A missing peer is printed and skipped; with `PEERS=required` it is a failure.

#![allow(clippy::print_stderr, reason = "a missing peer must be printed")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::until;

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the kit is two folders below the repository")
}

/// A process that ends with the test.
pub struct Peer(pub Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Peer {
    /// Sends a signal to this very process.
    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().expect("kill runs");
        assert!(status.success(), "kill {name} {id}");
    }

    /// Waits for a line of the peer's output that begins like this and gives its rest.
    pub fn wait_for(&mut self, word: &str) -> String {
        let output = self.0.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(output).lines();
        let found = lines.find_map(|line| line.ok()?.strip_prefix(word).map(|rest| rest.trim().to_owned()));
        found.unwrap_or_else(|| panic!("the peer never said `{word}`"))
    }
}

pub(crate) fn without(peer: &str, remedy: &str) {
    assert!(std::env::var("PEERS").as_deref() != Ok("required"), "{peer} is missing; {remedy}");
    eprintln!("skipped: {peer} is missing; {remedy}");
}

/// `OPCELL_PEERS`, or `.peers` of the repository.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("OPCELL_PEERS").map_or_else(|| root().join(".peers"), PathBuf::from)
}

/// A script of `tests/peers` that python will run, if this package is there.
pub fn python(package: &str, script: &str) -> Option<Command> {
    python_of("venv", package, script)
}

/// The same with the packages of one of the venvs in `.peers`.
fn python_of(venv: &str, package: &str, script: &str) -> Option<Command> {
    let mut command = python_with(venv, package)?;
    command.arg(root().join("tests/peers").join(script));
    Some(command)
}

/// The python of a venv, if it has this package.
fn python_with(venv: &str, package: &str) -> Option<Command> {
    let python = folder().join(venv).join("bin/python");
    let has_package = std::fs::read_dir(folder().join(venv).join("lib")).is_ok_and(|versions| {
        versions.flatten().any(|version| version.path().join("site-packages").join(package).exists())
    });
    if !has_package {
        without(package, &format!("tests/run installs it into .peers/{venv}"));
        return None;
    }
    Some(Command::new(python))
}

/// A script of `tests/peers` that node will run with node-opcua.
pub fn node(script: &str) -> Option<Command> {
    node_with("node-opcua", script)
}

/// A script of `tests/peers` that node will run, if this package is there.
pub fn node_with(package: &str, script: &str) -> Option<Command> {
    let modules = folder().join("node/node_modules");
    if !modules.join(package).exists() {
        without(package, "tests/run installs it into .peers/node");
        return None;
    }
    let mut command = Command::new("node");
    command.arg(root().join("tests/peers").join(script)).env("NODE_PATH", modules);
    Some(command)
}

/// A program of the system, started; printed where it is missing.
pub fn spawned(command: &mut Command, name: &str, remedy: &str) -> Option<Child> {
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            without(name, remedy);
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// A python with pymodbus: `OPCELL_PEERS` or `.peers` of the repository hold `venv`.
pub fn pymodbus(arguments: &[&str]) -> Option<Peer> {
    let python = folder().join("venv/bin/python");
    if !python.exists() {
        without("pymodbus", "tests/run installs it into .peers/venv");
        return None;
    }
    let script = root().join("tests/peers/pymodbus_server.py");
    let child = Command::new(python).arg(script).args(arguments).stdout(Stdio::piped()).spawn();
    Some(Peer(child.expect("python starts")))
}

/// The two servers of S7 that have the name snap7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snap7 {
    /// The C library of python-snap7 2.0.2.
    C,
    /// python-snap7 3.3.0, which is written in Python.
    Python,
}

/// An S7 server that serves when this returns; the arguments say what its places hold.
pub fn snap7(kind: Snap7, port: u16, arguments: &[&str]) -> Option<Peer> {
    let venv = if kind == Snap7::C { "snap7" } else { "pure-snap7" };
    let mut command = python_of(venv, "snap7", "snap7_server.py")?;
    let child = command.arg(port.to_string()).args(arguments).stdout(Stdio::piped()).spawn();
    let mut peer = Peer(child.expect("python starts"));
    assert_eq!(peer.wait_for("ready"), "");
    Some(peer)
}

/// A server of EtherNet/IP with these tags, as `SCADA=DINT[1000]`; it serves when this returns.
pub fn cpppo(port: u16, tags: &[&str]) -> Option<Peer> {
    let mut command = python_with("cpppo", "cpppo")?;
    command.args(["-u", "-m", "cpppo.server.enip", "--no-udp", "--address-output", "-a"]);
    command.arg(format!("127.0.0.1:{port}")).args(tags);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut peer = Peer(child.expect("python starts"));
    peer.wait_for("Network TCP Server address");
    Some(peer)
}

/// Two serial devices `a` and `b` in the folder, joined by a cable.
pub fn serial_pair(folder: &Path) -> Option<Peer> {
    let end = |name: &str| format!("pty,raw,echo=0,link={}", folder.join(name).display());
    let child = Command::new("socat").args([end("a"), end("b")]).stderr(Stdio::null()).spawn();
    let Ok(child) = child else {
        without("socat", "apt-get install socat");
        return None;
    };
    let peer = Peer(child);
    until("socat makes both terminals", || folder.join("a").exists() && folder.join("b").exists());
    Some(peer)
}

/// The little server on libmodbus, compiled on the spot.
pub fn libmodbus(folder: &Path, arguments: &[&str]) -> Option<Peer> {
    let source = root().join("tests/peers/libmodbus_server.c");
    let program = folder.join("libmodbus_server");
    let built = Command::new("gcc").arg("-o").arg(&program).arg(&source).arg("-lmodbus").stderr(Stdio::null()).status();
    if !built.is_ok_and(|status| status.success()) {
        without("libmodbus", "apt-get install gcc libmodbus-dev");
        return None;
    }
    let child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn();
    Some(Peer(child.expect("the server starts")))
}

/// A port that is free, and that no other test of this program gets. It lies below those that systems give to outgoing connections
/// (Linux from 32768, others from 49152): one of those could be taken before the peer has it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id().wrapping_mul(97);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = (0..PORTS.len()).map(|_| {
        let at = own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + u16::try_from(at as usize % PORTS.len()).unwrap_or(0)
    });
    ports.find(is_free).expect("a free port")
}

const PORTS: std::ops::Range<u16> = 10_000..32_000;
