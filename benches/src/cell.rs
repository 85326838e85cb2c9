//! The cells that are measured, as YAML.

use std::fmt::Write as _;

pub const FOLDER: usize = 1000;

/// The path of tag `n`: folders of 1,000.
pub fn tag(n: usize) -> String {
    format!("Folder{}.Tag{:04}", n / FOLDER, n % FOLDER)
}

/// Memory tags of type Double, writable.
pub fn memory(count: usize) -> String {
    cell(count, "", |_| "{ type: Double, value: 1.0, write: true }".to_owned())
}

/// Memory tags of type UInt32, writable, that start at 0.
pub fn written(count: usize) -> String {
    cell(count, "", |_| "{ type: UInt32, value: 0, write: true }".to_owned())
}

/// Simulated counters that change ten times a second.
pub fn counters(count: usize) -> String {
    let head = "connections:\n  sim: { driver: simulator }\n";
    cell(count, head, |_| "{ type: UInt32, source: \"counter(start=0, step=1, every=100ms)\", poll: 100ms }".to_owned())
}

fn cell(count: usize, head: &str, tag: impl Fn(usize) -> String) -> String {
    let mut text = format!("schema: 1\ncell: bench\n{head}nodes:\n");
    for n in 0..count {
        if n % FOLDER == 0 {
            writeln!(text, "  Folder{}:\n    children:", n / FOLDER).expect("a String takes all");
        }
        writeln!(text, "      Tag{:04}: {}", n % FOLDER, tag(n)).expect("a String takes all");
    }
    text
}
