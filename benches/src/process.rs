//! A server as a child process, and the CPU time that its threads took, in nanoseconds.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct ServerProcess {
    child: Child,
    pub address: SocketAddr,
    /// From the process's start to its first line, which it prints when it listens.
    pub start: Duration,
}

impl ServerProcess {
    /// Starts a program of the folder that this one is in; it must print `endpoint … opc.tcp://ADDRESS`.
    pub fn start(program: &str, arguments: &[&str], folder: &Path) -> ServerProcess {
        let began = Instant::now();
        let mut command = Command::new(sibling(program));
        command.args(arguments).current_dir(folder).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; cargo build --release"));
        let output = child.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(output).lines();
        let found = lines.find_map(|line| line.ok()?.split("opc.tcp://").nth(1).map(str::to_owned));
        let address = found.expect("the server says where it listens").trim().parse().expect("an address");
        // The rest of its output is of no interest, but must be read.
        std::thread::spawn(move || lines.for_each(drop));
        ServerProcess { child, address, start: began.elapsed() }
    }

    /// CPU time of all threads so far.
    pub fn cpu(&self) -> Duration {
        let folder = format!("/proc/{}/task", self.child.id());
        let tasks = std::fs::read_dir(folder).expect("the server runs");
        let nanoseconds = |task: std::fs::DirEntry| -> u64 {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
        };
        Duration::from_nanos(tasks.flatten().map(nanoseconds).sum())
    }

    /// Resident memory now and at its peak, in KiB.
    pub fn memory(&self) -> (u64, u64) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

/// CPU time of the thread that asks. The kernel adds it up when the thread pauses, so it does.
pub fn own_cpu() -> Duration {
    std::thread::sleep(Duration::from_micros(1));
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this thread runs");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds come first"))
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn sibling(program: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    own.parent().expect("and a folder").join(program)
}
