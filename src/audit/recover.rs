//! Opens the trail at the start: there is nothing yet, or files that end where the head says, or the remains of a crash,
//! or broken evidence, which is left as it is while a new file begins.

use std::fs::{self, File};
use std::path::Path;

use opcua::StatusCode;

use super::AuditError;
use super::head::{Class, Found, Gap, Head, Places, Start};
use super::record::{Kind, Record, Who};
use super::trail::{Bounds, Trail, create, create_folder};
use super::walk::{Fault, Link, walk};
use crate::stack::crypto::MacKey;

/// The trail, and the records that report on the start.
#[derive(Debug)]
pub(crate) struct Opened {
    pub trail: Trail,
    pub told: Vec<Record>,
}

/// How the file that was written last ends.
enum Ending {
    /// As the head says.
    Whole(u64),
    /// A crash came between a batch and its head, or amid a batch.
    Crashed {
        link: Link,
        length: u64,
        what: String,
    },
    Broken(String),
}

impl Trail {
    /// Opens both chains, each with its own bounds.
    pub(crate) fn open(state_dir: &Path, bounds: Bounds) -> Result<[Opened; 2], AuditError> {
        let mut security = Trail::find(Places::of(state_dir, Class::Security), bounds, true)?;
        let is_known = security.trail.head.has_writes;
        let mut writes = Trail::find(Places::of(state_dir, Class::Writes), bounds, is_known)?;
        writes.trail.try_confirm();
        // The head of security names the other chain only once that one has a head of its own.
        security.trail.is_unconfirmed |= !is_known;
        security.trail.head.has_writes = true;
        security.trail.try_confirm();
        Ok([security, writes])
    }

    fn try_confirm(&mut self) {
        if let Err(error) = self.confirm() {
            log::error!("audit: {}: {error}; it is tried again", self.places.head.display());
        }
    }

    /// `is_known`: this chain was there before, so that no head means a head that was taken away.
    fn find(places: Places, bounds: Bounds, is_known: bool) -> Result<Opened, AuditError> {
        create_folder(&places)?;
        let files = places.files()?;
        let known = places.read_key()?;
        let has_key = known.is_some();
        if !has_key && files.is_empty() && places.is_half_made() {
            places.forget_head()?;
        }
        let key = known.map_or_else(|| places.make_key(), Ok)?;
        let (head, broken) = match Head::read(&places.head, &key)? {
            // A new key brings a head of its own where there was none.
            Found::Good(head) if has_key || files.is_empty() => (head, None),
            Found::Good(_) => (Head::new(), Some("key and head are gone, although there are files".to_owned())),
            Found::None if !is_known && is_empty(&places, &files) => (Head::new(), None),
            Found::None => (Head::new(), Some("the head is gone".to_owned())),
            Found::Wrong(_) if !has_key => (Head::new(), Some("the key is gone".to_owned())),
            Found::Wrong(what) => (Head::new(), Some(what)),
        };
        if let Some(what) = broken {
            return start_over(places, key, bounds, Remains { head, files: &files, expected: 0 }, &what);
        }
        if head.number == 0 && head.current.file == 1 && !files.contains(&1) {
            let file = create(&places, 1).map_err(AuditError::io(&places.folder))?;
            let trail = Trail {
                places,
                key,
                head,
                file,
                length: 0,
                is_unconfirmed: true,
                bounds,
                is_rotated: false,
                told: None,
            };
            return Ok(Opened { trail, told: Vec::new() });
        }
        let expected = head.number;
        match ending(&places, &head) {
            Ending::Broken(what) => start_over(places, key, bounds, Remains { head, files: &files, expected }, &what),
            Ending::Whole(length) => {
                let mut opened = reopen(places, key, bounds, head, length)?;
                // A crash before the first head left an empty file.
                opened.trail.is_unconfirmed = expected == 0;
                Ok(opened)
            }
            Ending::Crashed { link, length, what } => {
                let head = Head { number: link.number, chain: link.chain, ..head };
                let mut opened = reopen(places, key, bounds, head, length)?;
                log::warn!("audit: {what}");
                opened.trail.is_unconfirmed = true;
                opened.told.push(Record::new(Kind::AuditRecovered, StatusCode::Good, Who::default()).with(what));
                Ok(opened)
            }
        }
    }
}

/// Whether no file holds anything.
fn is_empty(places: &Places, files: &[u32]) -> bool {
    files.iter().all(|number| fs::metadata(places.file(*number)).is_ok_and(|data| data.is_file() && data.len() == 0))
}

fn ending(places: &Places, head: &Head) -> Ending {
    let path = places.file(head.current.file);
    let before = Link { number: head.current.number - 1, chain: head.current.chain };
    let mut known = (before.number == head.number).then_some(before.chain);
    let mut note = |link: Link, _: &[u8]| {
        if link.number == head.number {
            known = Some(link.chain);
        }
    };
    let name = path.display();
    let walked = match walk(&path, before, &mut note) {
        Ok(walked) => walked,
        // A disk that no longer gives old evidence keeps nobody from making new.
        Err(error) => return Ending::Broken(format!("{name}: {error}")),
    };
    if let Some(broken) = walked.broken.as_ref().filter(|broken| broken.fault != Fault::Torn) {
        return Ending::Broken(format!("{name}, line {}: {}: {}", broken.line, broken.fault, broken.what));
    }
    match known {
        None => {
            let (last, number) = (walked.last.number, head.number);
            Ending::Broken(format!("{name} ends with record {last}, and the head knows {number}"))
        }
        Some(chain) if chain != head.chain => {
            Ending::Broken(format!("{name}: record {} is not the one that the head knows", head.number))
        }
        Some(_) if walked.broken.is_none() && walked.last.number == head.number => Ending::Whole(walked.good_bytes),
        Some(_) => {
            let more = walked.last.number - head.number;
            let torn = walked.broken.map_or_else(String::new, |broken| format!("; {} and were cut off", broken.what));
            let what =
                format!("the last run ended without a stop: {more} records after the head were taken over{torn}");
            Ending::Crashed { link: walked.last, length: walked.good_bytes, what }
        }
    }
}

/// Continues in the file that the head names, and cuts off all bytes after `length`.
fn reopen(places: Places, key: MacKey, bounds: Bounds, head: Head, length: u64) -> Result<Opened, AuditError> {
    let path = places.file(head.current.file);
    let open = || {
        let file = File::options().read(true).write(true).open(&path)?;
        if file.metadata()?.len() != length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        Ok(file)
    };
    let file = open().map_err(AuditError::io(&path))?;
    Ok(Opened {
        trail: Trail { places, key, head, file, length, is_unconfirmed: false, bounds, is_rotated: false, told: None },
        told: Vec::new(),
    })
}

/// The remains of broken evidence.
struct Remains<'a> {
    head: Head,
    files: &'a [u32],
    /// The number of its last record.
    expected: u64,
}

/// Leaves the evidence as it is and begins a new file.
fn start_over(
    places: Places,
    key: MacKey,
    bounds: Bounds,
    remains: Remains<'_>,
    what: &str,
) -> Result<Opened, AuditError> {
    let Remains { mut head, files, expected } = remains;
    let newest = files.last().copied().unwrap_or(0).max(head.current.file);
    let file = newest.checked_add(1).ok_or_else(|| AuditError::Full { path: places.folder.clone() })?;
    log::error!(
        "audit: the evidence is broken: {what}; it stays as it is in {}, and {} begins; see: opcell audit verify",
        places.folder.display(),
        places.file_name(file)
    );
    let last = newest_number(&places, files).max(head.number);
    head.number = last;
    let start = Start { file, number: last + 1, chain: head.chain };
    if expected == 0 && head.gaps.is_empty() {
        // Without a head nothing says where the files began.
        head.oldest = Start { file: files.first().copied().unwrap_or(file), ..Head::new().oldest };
    }
    head.current = start;
    head.add_gap(Gap { start, expected });
    let opened = create(&places, file).map_err(AuditError::io(&places.file(file)))?;
    let message = format!("{}: {what}", places.class.name());
    let record = Record::new(Kind::AuditGap, StatusCode::BadDataLost, Who::default()).with(message);
    let trail = Trail {
        places,
        key,
        head,
        file: opened,
        length: 0,
        is_unconfirmed: true,
        bounds,
        is_rotated: false,
        told: None,
    };
    Ok(Opened { trail, told: vec![record] })
}

/// The highest number that a record of the newest file claims, so that no number comes twice.
fn newest_number(places: &Places, files: &[u32]) -> u64 {
    let Some(newest) = files.last() else { return 0 };
    let text = fs::read(places.file(*newest)).unwrap_or_default();
    let numbers = text.split(|byte| *byte == b'\n').filter_map(super::line::Line::parse).map(|line| line.number);
    // A forged number must not use them up.
    numbers.filter(|number| *number < u64::MAX / 2).max().unwrap_or(0)
}
