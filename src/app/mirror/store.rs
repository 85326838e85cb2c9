//! Listings of each folder as they were kept: in memory, and in the folder `mirror` of the state folder.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::file::{self, MOST_BYTES};
use crate::config::{self, Options};
use crate::drivers::{Folder, Found, Kept, Listing, Mirrors, Start, free_of, with_names};
use crate::state;

/// Files that are read at a start.
const MOST_FILES: usize = 10_000;

/// The mirrored nodes of all folders.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    folders: Mutex<BTreeMap<Folder, Arc<Kept>>>,
}

/// A folder of a connection that lists now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lister<'a> {
    pub folder: &'a Folder,
    pub driver: &'static str,
    pub start: &'a Start,
}

/// The difference that a listing makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Taken {
    pub added: usize,
    pub changed: usize,
    pub gone: usize,
    /// Values with names or addresses that no node can have.
    pub left_out: usize,
    /// Addresses whose values mean something else now.
    pub redescribed: Vec<String>,
    /// The count of descriptions with which they are taken.
    pub descriptions: u64,
}

impl Taken {
    pub(super) fn is_change(&self) -> bool {
        self.added + self.changed + self.gone > 0
    }
}

/// The options with the mirrored nodes of the state folder, for a server that will run. A simulated one mirrors nothing.
#[must_use]
pub fn with_mirrors(path: &Path, options: Options) -> Options {
    if options.simulate {
        return options;
    }
    let store = Store::open(&config::state_dir(path, &options));
    Options { mirrors: Some(Arc::new(store)), ..options }
}

impl Store {
    /// The store that `with_mirrors` made.
    pub(crate) fn of(options: &Options) -> Option<Arc<Store>> {
        Arc::clone(options.mirrors.as_ref()?).own().downcast().ok()
    }

    /// Reads what was kept. A file that is damaged is set aside, with a line in the log.
    pub(crate) fn open(state_dir: &Path) -> Store {
        let dir = state_dir.join("mirror");
        let mut folders = BTreeMap::new();
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_mirror = |path: &PathBuf| path.extension().is_some_and(|of| of == "mirror");
        for path in entries.filter(is_mirror).take(MOST_FILES) {
            match read(&path) {
                Ok(read) => drop(folders.insert(read.folder, Arc::new(read.kept))),
                Err(why) => set_aside(&path, &why),
            }
        }
        Store { dir, folders: Mutex::new(folders) }
    }

    /// Takes a listing; the nodes that it no longer has remain until the next start.
    pub(super) fn take(&self, of: Lister<'_>, listing: Listing) -> Taken {
        let Lister { folder, driver, start } = of;
        let from = start.from.clone().unwrap_or_default();
        let before = self.folders.lock().get(folder).cloned();
        let is_same = |kept: &Arc<Kept>| kept.driver == driver && kept.from == from;
        let before = before.filter(is_same).unwrap_or_default();
        let known: HashMap<&str, &[String]> =
            before.values.iter().chain(&before.gone).map(|found| (&*found.address, &found.path[..])).collect();
        // Values about which this listing says nothing are as they were; one that was cut says nothing of those that it lacks.
        let others = before.values.iter().filter(|found| listing.is_cut || !listing.covers(&found.address));
        let mut found: Vec<Found> = others.cloned().collect();
        let listed: HashSet<String> = listing.found.iter().map(|found| found.address.clone()).collect();
        found.retain(|other| !listed.contains(&other.address));
        found.extend(listing.found);
        let named = with_names(found, &known);
        let mut values = named.all;
        let old: HashMap<&str, &Found> = before.values.iter().map(|found| (&*found.address, found)).collect();
        if values.len() > start.most {
            // A device that lists in another order must not change what is there.
            values.sort_by_key(|found| !old.contains_key(&*found.address));
            values.truncate(start.most);
        }
        values.sort_by(|a, b| a.path.cmp(&b.path));
        let mut taken = Taken { left_out: named.left_out, ..Taken::default() };
        for found in &values {
            match old.get(&*found.address) {
                None => taken.added += 1,
                Some(old) => {
                    taken.changed += usize::from(*old != found);
                    if !old.means_the_same(found) {
                        taken.redescribed.push(found.address.clone());
                    }
                }
            }
        }
        taken.descriptions = before.descriptions + u64::from(!taken.redescribed.is_empty());
        let there: HashSet<&str> = values.iter().map(|found| &*found.address).collect();
        let is_gone = |found: &&Found| !there.contains(&*found.address);
        let gone = before.values.iter().filter(is_gone);
        taken.gone = gone.clone().count();
        if !taken.is_change() {
            return taken;
        }
        // The newest that have gone, at most as many as there may be nodes.
        let gone = gone.chain(before.gone.iter().filter(is_gone)).cloned();
        let mut gone = free_of(&values, gone);
        gone.truncate(start.most);
        let kept = Arc::new(Kept { driver: driver.to_owned(), from, values, gone, descriptions: taken.descriptions });
        if let Err(error) = self.write(folder, &kept) {
            log::warn!(
                "mirror {}: not kept in {} ({error}); its nodes are missing after a restart until the device is there",
                folder.path,
                self.dir.display()
            );
        }
        self.folders.lock().insert(folder.clone(), kept);
        taken
    }

    /// Removes the files of folders that no longer mirror.
    pub(super) fn keep_only(&self, wanted: &HashSet<Folder>) {
        let mut folders = self.folders.lock();
        let gone: Vec<Folder> = folders.keys().filter(|folder| !wanted.contains(folder)).cloned().collect();
        for folder in gone {
            folders.remove(&folder);
            let path = self.dir.join(file::name(&folder));
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                log::warn!("{}: {error}", path.display());
            }
        }
    }

    fn write(&self, folder: &Folder, kept: &Kept) -> io::Result<()> {
        let bytes = file::write(folder, kept);
        if bytes.len() > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it would be larger than 512 MiB"));
        }
        fs::create_dir_all(&self.dir)?;
        state::replace_bytes(&self.dir.join(file::name(folder)), &bytes)
    }
}

impl Mirrors for Store {
    fn kept(&self, folder: &Folder) -> Option<Arc<Kept>> {
        self.folders.lock().get(folder).cloned()
    }

    fn own(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

fn read(path: &Path) -> Result<file::Read, String> {
    let mut bytes = Vec::new();
    let most = MOST_BYTES as u64;
    let opened = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    opened.map_err(|error| error.to_string())?;
    if bytes.len() > MOST_BYTES {
        return Err("it is larger than 512 MiB".to_owned());
    }
    let read = file::read(&bytes)?;
    let is_its_own = path.file_name().is_some_and(|name| name == std::ffi::OsStr::new(&file::name(&read.folder)));
    if is_its_own { Ok(read) } else { Err("it is the file of another folder".to_owned()) }
}

/// Keeps a damaged file for a look at it.
fn set_aside(path: &Path, why: &str) {
    let aside = path.with_extension("damaged");
    let shown = path.display();
    match fs::rename(path, &aside) {
        Ok(()) => log::warn!(
            "{shown} cannot be used ({why}) and is now {}; the nodes come when the device is there",
            aside.display()
        ),
        Err(error) => log::warn!("{shown} cannot be used ({why}), and cannot be set aside: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, address: &str, data_type: &str) -> Found {
        let path = name.split('.').map(str::to_owned).collect();
        Found { path, address: address.to_owned(), data_type: data_type.to_owned(), ..Found::default() }
    }

    fn folder() -> Folder {
        Folder { namespace: "urn:a".into(), path: "Press.Machine".into() }
    }

    fn take(store: &Store, all: Vec<Found>, covers: &[&str]) -> Taken {
        let start = Start { from: Some("/Machine".into()), depth: 10, most: 100 };
        let covers = covers.iter().map(|start| (*start).to_owned()).collect();
        let listing = Listing { found: all, covers, ..Listing::default() };
        store.take(Lister { folder: &folder(), driver: "opcua", start: &start }, listing)
    }

    fn paths(kept: &[Found]) -> Vec<String> {
        kept.iter().map(|found| format!("{}={}", found.path.join("."), found.address)).collect()
    }

    #[test]
    fn a_listing_is_kept_over_restarts_and_what_has_gone_until_the_next_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path());
        let all = || vec![found("A", "1", "Int32"), found("B", "2", "Int32"), found("A", "3", "Int32")];
        assert_eq!(take(&store, all(), &[]).added, 3);
        assert!(!take(&store, all(), &[]).is_change());
        let changed =
            Taken { added: 1, changed: 1, gone: 2, left_out: 0, redescribed: vec!["2".to_owned()], descriptions: 1 };
        assert_eq!(take(&store, vec![found("B", "2", "Double"), found("C", "4", "Int32")], &[]), changed);
        let kept = store.kept(&folder()).expect("kept");
        assert_eq!(paths(&kept.values), ["B=2", "C=4"]);
        assert_eq!(paths(&kept.gone), ["A=1", "A_2=3"]);
        // One that returns has its own name, whatever took its place in the listing.
        take(&store, vec![found("A", "3", "Int32"), found("A", "5", "Int32"), found("B", "2", "Double")], &[]);
        let kept = store.kept(&folder()).expect("kept");
        assert_eq!(paths(&kept.values), ["A=5", "A_2=3", "B=2"]);
        assert_eq!(paths(&kept.gone), ["C=4"], "a name that is taken again has not gone");
        // A folder in the place of a value, and the other way round.
        take(&store, vec![found("C.D", "6", "Int32"), found("A", "5", "Int32")], &[]);
        assert_eq!(paths(&store.kept(&folder()).expect("kept").gone), ["A_2=3", "B=2"]);
        take(&store, vec![found("A", "3", "Int32"), found("A", "5", "Int32"), found("B", "2", "Double")], &[]);
        let again = Store::open(dir.path());
        let kept = again.kept(&folder()).expect("kept");
        assert_eq!((paths(&kept.values).len(), kept.gone.len()), (3, 0));
        again.keep_only(&HashSet::new());
        assert_eq!(Store::open(dir.path()).kept(&folder()), None);
    }

    #[test]
    fn a_listing_of_a_part_leaves_the_others_as_they_were() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path());
        take(&store, vec![found("A", "g/n:A", "Int32"), found("B", "g/n/d:B", "Int32")], &["g/n:", "g/n/d:"]);
        let taken = take(&store, vec![found("C", "g/n:C", "Int32")], &["g/n:"]);
        assert_eq!((taken.added, taken.gone), (1, 1));
        assert_eq!(paths(&store.kept(&folder()).expect("kept").values), ["B=g/n/d:B", "C=g/n:C"]);
    }

    #[test]
    fn a_listing_that_was_cut_says_nothing_of_what_it_lacks() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path());
        let start = Start { from: Some("/Machine".into()), depth: 10, most: 2 };
        let take = |names: &[&str]| {
            let found = names.iter().map(|name| found(name, name, "Int32")).collect();
            let listing = Listing { found, is_cut: true, ..Listing::default() };
            store.take(Lister { folder: &folder(), driver: "opcua", start: &start }, listing)
        };
        assert_eq!(take(&["A", "B"]).added, 2);
        assert!(!take(&["C", "B"]).is_change() && !take(&["C", "D"]).is_change());
        assert_eq!(paths(&store.kept(&folder()).expect("kept").values), ["A=A", "B=B"]);
    }

    #[test]
    fn a_value_with_another_unit_is_described_otherwise_and_one_with_another_description_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path());
        let first = found("A", "1", "Double");
        take(&store, vec![first.clone()], &[]);
        let other = Found { description: "The level".to_owned(), may_write: true, ..first.clone() };
        assert_eq!(take(&store, vec![other], &[]).redescribed, [""; 0]);
        let cases = [
            Found { unit: "bar".to_owned(), ..first.clone() },
            Found { range: Some((0.0, 1.0)), ..first.clone() },
            Found {
                texts: Some(crate::drivers::Texts { name: "State".into(), values: vec![(0, "Off".into())] }),
                ..first.clone()
            },
            Found { data_type: "Float".to_owned(), ..first.clone() },
            Found { dimensions: vec![3], ..first.clone() },
        ];
        for (turn, case) in (1..).zip(cases) {
            let taken = take(&store, vec![case], &[]);
            assert_eq!((taken.redescribed.len(), taken.descriptions), (1, turn * 2 - 1));
            assert_eq!(
                take(&store, vec![first.clone()], &[]).descriptions,
                turn * 2,
                "it is as it was: that is a change too"
            );
        }
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_never_used() {
        let dir = tempfile::tempdir().expect("a folder");
        take(&Store::open(dir.path()), vec![found("A", "1", "Int32")], &[]);
        let file = dir.path().join("mirror").join(file::name(&folder()));
        let good = fs::read(&file).expect("kept");
        for cut in 0..good.len() {
            fs::write(&file, &good[..cut]).expect("written");
            assert_eq!(Store::open(dir.path()).kept(&folder()), None, "cut at {cut}");
            assert!(!file.exists() && file.with_extension("damaged").exists());
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).expect("written");
            assert_eq!(Store::open(dir.path()).kept(&folder()), None, "a bit at {at}");
        }
        // The file of another folder under this name.
        let other = Folder { path: "Other".into(), ..folder() };
        fs::write(&file, file::write(&other, &Kept::default())).expect("written");
        assert_eq!(Store::open(dir.path()).kept(&other), None);
        fs::write(&file, &good).expect("written");
        assert!(Store::open(dir.path()).kept(&folder()).is_some());
    }

    #[test]
    fn a_folder_that_lists_another_place_begins_from_scratch() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path());
        take(&store, vec![found("A", "1", "Int32")], &[]);
        let start = Start { from: Some("/Other".into()), depth: 10, most: 100 };
        let listing = Listing { found: vec![found("B", "2", "Int32")], ..Listing::default() };
        let taken = store.take(Lister { folder: &folder(), driver: "opcua", start: &start }, listing);
        assert_eq!((taken.added, taken.gone), (1, 0));
        assert_eq!(paths(&store.kept(&folder()).expect("kept").values), ["B=2"]);
    }
}
