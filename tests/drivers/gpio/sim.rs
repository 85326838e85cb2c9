//! A simulated chip of the kernel (gpio-sim), made by configfs and moved by sysfs.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::until;

const CONFIG: &str = "/sys/kernel/config/gpio-sim";

pub(super) struct Sim {
    name: &'static str,
    lines: Vec<u32>,
    is_live: bool,
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

impl Sim {
    /// A chip of 16 lines with this label; lines have names, and one that begins with `!` is taken by a driver of that name.
    pub(super) fn new(name: &'static str, lines: &[(u32, &str)]) -> Sim {
        let bank = Path::new(CONFIG).join(name).join("bank");
        fs::create_dir_all(&bank).expect("made");
        put(&bank.join("num_lines"), "16");
        put(&bank.join("label"), name);
        for (offset, text) in lines {
            let line = bank.join(format!("line{offset}"));
            fs::create_dir(&line).expect("made");
            match text.strip_prefix('!') {
                None => put(&line.join("name"), text),
                Some(consumer) => {
                    fs::create_dir(line.join("hog")).expect("made");
                    put(&line.join("hog/name"), consumer);
                    put(&line.join("hog/direction"), "input");
                }
            }
        }
        let mut sim = Sim { name, lines: lines.iter().map(|(offset, _)| *offset).collect(), is_live: false };
        sim.live(true);
        sim
    }

    fn at(&self, path: &str) -> PathBuf {
        Path::new(CONFIG).join(self.name).join(path)
    }

    /// Makes the chip come or go.
    pub(super) fn live(&mut self, is_live: bool) {
        put(&self.at("live"), if is_live { "1" } else { "0" });
        self.is_live = is_live;
        let device = || Path::new("/dev").join(self.device());
        until("the device is there", || !is_live || device().exists());
    }

    /// Its device, as `gpiochip0`.
    pub(super) fn device(&self) -> String {
        fs::read_to_string(self.at("bank/chip_name")).expect("its name").trim().to_owned()
    }

    fn line(&self, offset: u32) -> PathBuf {
        let device = fs::read_to_string(self.at("dev_name")).expect("its device");
        Path::new("/sys/devices/platform").join(device.trim()).join(self.device()).join(format!("sim_gpio{offset}"))
    }

    /// Pulls an input up or down.
    pub(super) fn pull(&self, offset: u32, is_up: bool) {
        put(&self.line(offset).join("pull"), if is_up { "pull-up" } else { "pull-down" });
    }

    /// The level of a line.
    pub(super) fn level(&self, offset: u32) -> bool {
        fs::read_to_string(self.line(offset).join("value")).expect("its level").trim() == "1"
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if self.is_live {
            self.live(false);
        }
        for offset in &self.lines {
            // Only lines of a driver have one.
            drop(fs::remove_dir(self.at(&format!("bank/line{offset}/hog"))));
            fs::remove_dir(self.at(&format!("bank/line{offset}"))).expect("removed");
        }
        fs::remove_dir(self.at("bank")).expect("removed");
        fs::remove_dir(self.at("")).expect("removed");
    }
}
