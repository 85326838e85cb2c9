//! A machine with simulated GPIO chips and IIO devices: User-Mode-Linux, a kernel that runs as a process. The file system of the host is
//! its own, read-only, so that a test program runs inside unchanged.

#![allow(clippy::print_stderr, reason = "a missing machine must be printed")]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::peers::{Peer, folder, without};
use crate::until::until_within;

const STARTED: &str = "the machine runs";
const ENDED: &str = "the program ended with ";

/// Folder in the machine in which files can be made.
pub const SCRATCH: &str = "/dev/scratch";

/// Runs a program in the machine, with its start at most this long. Its output, and whether it ended well; `None` without a machine.
pub fn run(program: &Path, arguments: &[&str], limit: Duration) -> Option<(String, bool)> {
    let kernel = folder().join("uml/linux");
    if !kernel.exists() {
        without("the User-Mode-Linux kernel", "tests/install builds it into .peers/uml");
        return None;
    }
    let outside = tempfile::tempdir().expect("a folder");
    let script = outside.path().join("init");
    let arguments = arguments.join(" ");
    let program = program.display();
    let text = format!(
        "#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR={SCRATCH} RUST_BACKTRACE=0
mount -t proc none /proc && mount -t sysfs none /sys && mount -t devtmpfs none /dev
mount -t configfs none /sys/kernel/config && mkdir {SCRATCH} && mount -t tmpfs none {SCRATCH} && echo {STARTED}
cd {SCRATCH} && {program} {arguments} 2>&1
echo {ENDED}$?
echo o > /proc/sysrq-trigger
sleep 9
"
    );
    std::fs::write(&script, text).expect("written");
    let is_made = Command::new("chmod").arg("755").arg(&script).status().is_ok_and(|status| status.success());
    assert!(is_made, "chmod runs");
    let child = Command::new(kernel)
        .args(["mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"])
        .args(["con=null", "con0=null,fd:1"])
        .arg(format!("init={}", script.display()))
        .env("TMPDIR", outside.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut peer = Peer(child.expect("the kernel starts"));
    let mut output = peer.0.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A machine that is ended may leave the pipe broken.
        drop(output.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).replace('\r', "")
    });
    until_within(limit, "the machine halts", || peer.0.try_wait().expect("its state").is_some());
    let said = reader.join().expect("its output");
    if !said.contains(STARTED) {
        eprintln!("{said}");
        without("a host that runs User-Mode-Linux", "it needs ptrace and memory that may be executed");
        return None;
    }
    let ended = said.lines().find_map(|line| line.strip_prefix(ENDED));
    let is_good = ended == Some("0");
    assert!(ended.is_some(), "the machine ended before its program:\n{said}");
    Some((said, is_good))
}
