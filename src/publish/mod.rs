//! Publishers: tags go out to an MQTT broker.
//!
//! Each publisher is one task with a session of its own. A collector watches its tags; the task gathers the changes, sends them,
//! and keeps them on disk while the broker is away. Nothing here waits in a commit.
//!
//! ```text
//! tags ──► collector ──► pending ──► session ⇄ broker
//!                           │           ▲
//!                           └── spool ──┘  (the oldest first)
//! ```

mod collector;
mod command;
mod edge;
mod fingerprint;
mod flight;
mod json;
mod metric;
mod sender;
mod spool;
mod status;
mod store;
mod table;
mod writing;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use tokio::sync::watch;

pub(crate) use command::{Command, Commands};
pub(crate) use status::{Status, Trouble};

use crate::drivers::ConnectionPlan;
use crate::model::{Plant, Publish};
use crate::tags::TagStore;
use collector::Collector;
use fingerprint::Fingerprint;
use sender::{Order, Sender};
use store::Store;
use table::{Entry, Table};

/// Starts a task with this name.
pub(crate) type Spawn<'a> = dyn FnMut(String, BoxFuture<'static, ()>) + 'a;

/// The states of all publishers, for those who show them.
pub(crate) type Board = Arc<RwLock<Vec<Arc<Status>>>>;

/// First part of the names of the tasks.
pub(crate) const TASK: &str = "publish ";

/// All publishers of a server.
pub(crate) struct Publishers {
    tags: Arc<TagStore>,
    /// The folder of the buffers.
    folder: PathBuf,
    commands: Arc<dyn Commands>,
    running: Vec<Running>,
    board: Board,
}

/// A publisher whose task runs.
struct Running {
    cell: String,
    name: String,
    orders: watch::Sender<Order>,
    collector: Arc<Collector>,
    entries: HashMap<u32, Arc<Entry>>,
    /// A key is never used for another tag: changes of the old one may be under way.
    next_key: u32,
    status: Arc<Status>,
}

impl Publishers {
    pub(crate) fn new(tags: &Arc<TagStore>, state_dir: &Path, commands: Arc<dyn Commands>) -> Publishers {
        let folder = state_dir.join("publish");
        Publishers { tags: Arc::clone(tags), folder, commands, running: Vec::new(), board: Board::default() }
    }

    pub(crate) fn board(&self) -> Board {
        Arc::clone(&self.board)
    }

    /// Brings the publishers to this plant. It waits for nothing: each task follows by itself.
    pub(crate) fn apply(&mut self, plant: &Arc<Plant>, plans: &[ConnectionPlan], spawn: &mut Spawn<'_>) {
        let mut before = std::mem::take(&mut self.running);
        for publish in &plant.publishers {
            let cell = plant.cells.get(usize::from(publish.cell)).map_or("", |cell| cell.name.as_str());
            let at = before.iter().position(|running| running.cell == cell && running.name == publish.name);
            let known = at.map(|at| before.swap_remove(at));
            match known {
                Some(mut running) => match running.follow(plant, plans, publish) {
                    true => self.running.push(running),
                    false => running.end(),
                },
                None => self.running.extend(self.start(cell, plant, plans, publish, spawn)),
            }
        }
        before.into_iter().for_each(Running::end);
        *self.board.write() = self.running.iter().map(|running| Arc::clone(&running.status)).collect();
    }

    fn start(
        &self,
        cell: &str,
        plant: &Arc<Plant>,
        plans: &[ConnectionPlan],
        publish: &Publish,
        spawn: &mut Spawn<'_>,
    ) -> Option<Running> {
        let collector = Collector::new(&self.tags);
        let status = Arc::new(Status::new(format!("{cell}/@publish.{}", publish.name)));
        let mut running = Running {
            cell: cell.to_owned(),
            name: publish.name.clone(),
            orders: watch::Sender::new(None),
            collector: Arc::clone(&collector),
            entries: HashMap::new(),
            next_key: 0,
            status: Arc::clone(&status),
        };
        // Under the simulator there is no broker: values that are made up do not go out.
        if !running.follow(plant, plans, publish) {
            return None;
        }
        let orders = running.orders.subscribe();
        let table = orders.borrow().clone()?;
        let folder = self.folder.join(file_name(cell)).join(file_name(&publish.name));
        let store = Store::new(folder, publish.buffer, Arc::clone(&status));
        let sender = Sender::new(table, orders, collector, store, status, Arc::clone(&self.commands));
        spawn(format!("{TASK}{cell}/{}", publish.name), Box::pin(sender.run()));
        Some(running)
    }

    /// Tells all publishers to send what they have and to end.
    pub(crate) fn stop(&mut self) {
        self.running.iter().for_each(|running| drop(running.orders.send_replace(None)));
    }

    /// Watches nothing any more; to be called when the tasks have ended.
    pub(crate) fn end(&mut self) {
        std::mem::take(&mut self.running).into_iter().for_each(Running::end);
    }
}

impl Running {
    /// Takes another plan; false where there is no broker for it.
    fn follow(&mut self, plant: &Arc<Plant>, plans: &[ConnectionPlan], publish: &Publish) -> bool {
        let wanted = Table::entries(plant, publish);
        let keys: HashMap<_, u32> = self.entries.iter().map(|(key, entry)| (entry.tag, *key)).collect();
        let (mut entries, mut new) = (HashMap::new(), Vec::new());
        for entry in wanted {
            let known = keys.get(&entry.tag).filter(|key| *self.entries[key] == entry);
            let key = known.copied().unwrap_or_else(|| {
                self.next_key += 1;
                self.next_key - 1
            });
            let entry = match self.entries.remove(&key) {
                Some(entry) => entry,
                None => {
                    let entry = Arc::new(entry);
                    new.push((key, Arc::clone(&entry)));
                    entry
                }
            };
            entries.insert(key, entry);
        }
        let Some(table) = Table::new(plant, plans, publish, entries.clone()) else {
            self.entries.extend(entries);
            return false;
        };
        self.collector.grow(self.next_key);
        // Before the first sample of a new tag, so that the task knows its key.
        self.orders.send_replace(Some(Arc::new(table)));
        for (key, entry) in std::mem::replace(&mut self.entries, entries) {
            self.collector.unwatch(entry.tag, key, entry.every);
        }
        for (key, entry) in new {
            self.collector.watch(entry.tag, key, entry.every);
        }
        true
    }

    fn end(self) {
        self.orders.send_replace(None);
        for (key, entry) in &self.entries {
            self.collector.unwatch(entry.tag, *key, entry.every);
        }
    }
}

/// Bytes of a name that is a file's name as a whole; no file system takes more.
const LONGEST_NAME: usize = 80;
/// Bytes of a longer one, which a hash follows. Together they are more than `LONGEST_NAME`, so no short name reads the same.
const BEGIN_OF_NAME: usize = 70;

/// A name as a file can have it: other signs than letters, digits and `-` are numbers. No two names give the same.
fn file_name(name: &str) -> String {
    let sign = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        byte => format!("_{byte:02x}"),
    };
    let mut out = String::from("_");
    if name.len() <= LONGEST_NAME {
        out.extend(name.bytes().map(sign));
    } else {
        out.extend(name.bytes().take(BEGIN_OF_NAME).map(sign));
        let hash = Fingerprint::of(&[name]).0;
        out.push_str(&format!("-{hash:016x}"));
    }
    out
}

/// Reads bytes as a file of the buffer, and as a command; for fuzzing.
pub fn fuzz(bytes: &[u8]) {
    spool::fuzz(bytes);
    command::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_file_name_of_its_own_and_a_short_one_keeps_it() {
        for (name, wanted) in [("up", "_up"), ("cell 3", "_cell_203"), ("ä_-", "__c3_a4_5f-")] {
            assert_eq!(file_name(name), wanted);
        }
        let long = |count: usize, end: &str| format!("{}{end}", "x".repeat(count));
        let mut names: Vec<String> = ["", "a", "b"].iter().flat_map(|end| [79, 80, 81].map(|n| long(n, end))).collect();
        names.extend(["ä".repeat(40), "ä".repeat(41), "ä".repeat(42), "ä".repeat(500)]);
        // The file name of a long one is no other's.
        names.push(file_name(&long(81, "a"))[1..].to_owned());
        names.sort();
        names.dedup();
        let files: std::collections::HashSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|file| file.len() <= 255 && file.is_ascii()), "{files:?}");
        assert_eq!(file_name(&long(80, "")), format!("_{}", long(80, "")));
    }
}
