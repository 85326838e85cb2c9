//! A made folder with the shape of /sys: devices by their hardware, and links to them by class.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use testkit::plant::Bench;

pub(super) struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let folder = tempfile::tempdir().expect("a folder");
        for class in ["class/hwmon", "class/thermal", "bus/iio/devices", "devices"] {
            fs::create_dir_all(folder.path().join(class)).expect("made");
        }
        Tree { folder }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file as one step, so that no reader sees a part of it.
    pub(super) fn put(&self, path: &str, text: &str) {
        let (to, half) = (self.at(path), self.at(".new"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::write(&half, text).expect("written");
        fs::rename(&half, &to).expect("moved");
    }

    /// A device of hwmon: the hardware, its number, its name and its files.
    pub(super) fn hwmon(&self, hardware: &str, number: u32, files: &[(&str, &str)]) {
        let device = format!("devices/{hardware}/hwmon/hwmon{number}");
        for (name, text) in files {
            self.put(&format!("{device}/{name}"), text);
        }
        symlink("../..", self.at(&device).join("device")).expect("linked");
        symlink(format!("../../{device}"), self.at(&format!("class/hwmon/hwmon{number}"))).expect("linked");
    }

    /// The driver of a device is unloaded.
    pub(super) fn unload(&self, hardware: &str, number: u32) {
        fs::remove_file(self.at(&format!("class/hwmon/hwmon{number}"))).expect("removed");
        fs::remove_dir_all(self.at(&format!("devices/{hardware}/hwmon/hwmon{number}"))).expect("removed");
    }

    /// A device of IIO or a thermal zone, in the folder of its class.
    pub(super) fn device(&self, folder: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.put(&format!("{folder}/{name}"), text);
        }
    }
}

/// A cell whose nodes these are; the poll period is 20 ms.
pub(super) fn cell(root: &Path, nodes: &str) -> String {
    let nodes: String = nodes.trim().lines().map(|line| format!("  {}\n", line.trim())).collect();
    let root = root.display();
    format!(
        "schema: 1
cell: board
connections:
  board: {{ driver: sysfs, root: {root}, timeout: 500ms, reconnect_max: 100ms, allow_write: true }}
defaults: {{ connection: board, poll: 20ms, stale_after: 200ms }}
nodes:
{nodes}"
    )
}

pub(super) fn start(tree: &Tree, nodes: &str) -> Bench {
    Bench::of_cell(&cell(tree.path(), nodes))
}
