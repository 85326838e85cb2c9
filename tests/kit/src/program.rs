//! The program as a child process: a verb that ends, and a server that runs until a signal ends it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The program, which cargo builds next to the folder of the test binaries.
pub fn path() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    test.ancestors().nth(2).expect("the folder of the profile").join("opcell")
}

/// The output of a verb, and its exit code.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

/// Runs a verb in a folder to its end.
pub fn opcell(folder: &Path, arguments: &[&str], input: &str) -> Said {
    let mut child = Command::new(path())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("opcell starts");
    // It may end without reading.
    drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code().expect("a code") }
}

/// A folder with these files.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

/// A server as a process, ended with the test.
pub struct Serving {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves `server.yaml` of that folder.
    pub fn start(folder: &Path) -> Serving {
        Serving::logging(folder, "debug")
    }

    pub fn logging(folder: &Path, level: &str) -> Serving {
        Serving::of(Command::new(path()), folder, level)
    }

    /// A server with this variable in its environment.
    pub fn with_variable(folder: &Path, level: &str, (name, value): (&str, &str)) -> Serving {
        let mut program = Command::new(path());
        program.env(name, value);
        Serving::of(program, folder, level)
    }

    /// A server that sees a file that may not grow (RLIMIT_FSIZE) as a full disk, instead of a signal that ends it.
    pub fn on_a_small_disk(folder: &Path, level: &str) -> Serving {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(path());
        Serving::of(shell, folder, level)
    }

    fn of(mut program: Command, folder: &Path, level: &str) -> Serving {
        let mut child = program
            .args(["run", "server.yaml", "--listen", "127.0.0.1:0", "--log", level])
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("opcell starts");
        let told = BufReader::new(child.stderr.take().expect("piped"));
        let log: Arc<Mutex<String>> = Arc::default();
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in told.lines() {
                let line = line.expect("text");
                let mut log = kept.lock().expect("no panic");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let endpoint = lines.find_map(|line| {
            let line = line.expect("a line");
            line.strip_prefix("endpoint").and_then(|rest| rest.trim().strip_prefix("opc.tcp://")?.parse().ok())
        });
        std::thread::spawn(move || lines.for_each(drop));
        Serving { child, address: endpoint.expect("it says where it listens"), log, reader: Some(reader) }
    }

    pub fn process(&self) -> String {
        self.child.id().to_string()
    }

    /// Ends it as `systemctl stop` does; gives its log.
    pub fn end(self) -> String {
        self.end_by("TERM")
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.process()]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Ends it by this signal, in order; gives its log.
    pub fn end_by(mut self, name: &str) -> String {
        self.signal(name);
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        self.reader.take().expect("joined once").join().expect("its log");
        self.log()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
