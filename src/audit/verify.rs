//! `opcell audit verify`: every line, the chain over all files, and the head. Works while a server writes: for records
//! after the head it waits for the next head, and files that are removed meanwhile are no finding.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::AuditError;
use super::head::{Class, Dropped, Found, Gap, Head, Places, Start};
use super::line::{Hash, time_of};
use super::walk::{Break, Fault, Link, walk};
use crate::stack::crypto::MacKey;

/// A running server confirms a batch within this time.
const PATIENCE: Duration = Duration::from_secs(3);
/// Attempts, when the oldest files go while they are read.
const ATTEMPTS: usize = 5;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Empty: it is about the head.
    pub file: String,
    /// From 1 on; 0 where no line is meant.
    pub line: u64,
    pub fault: Fault,
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The first thing that is wrong in each unbroken part; empty: all is as it was written.
    pub findings: Vec<Finding>,
    pub files: usize,
    pub records: u64,
    /// Good records that the head does not confirm yet: a server writes, or ended without a stop.
    pub unconfirmed: u64,
    /// How far back each class of records goes. A class without a good head is left out.
    pub kept: Vec<Kept>,
}

/// How far back one class of records goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// `security` or `writes`.
    pub class: &'static str,
    pub records: u64,
    /// Time of the oldest record that is kept, in seconds since 1970; `None`: there is no record.
    pub since: Option<i64>,
    /// Files and records that retention removed, and the time of the newest of these records.
    pub removed_files: u64,
    pub removed_records: u64,
    pub removed_until: Option<i64>,
}

/// Checks all chains of a state folder.
pub fn verify(state_dir: &Path) -> Result<Verdict, AuditError> {
    let places = Places::of(state_dir, Class::Security);
    if !places.folder.is_dir() && !places.head.exists() {
        return Err(AuditError::None { path: places.folder });
    }
    let Some(key) = places.read_key()? else {
        let what = format!("{} is gone, so the head proves nothing", places.key.display());
        return Ok(Verdict { findings: vec![of_head(what)], ..Verdict::default() });
    };
    let mut verdict = verify_chain(&places, &key)?;
    let writes = Places::of(state_dir, Class::Writes);
    // A folder of an earlier version has one chain for all records.
    let is_named = matches!(Head::read(&places.head, &key)?, Found::Good(head) if head.has_writes);
    if is_named || writes.head.exists() || !writes.files()?.is_empty() {
        let Some(key) = writes.read_key()? else { return Ok(verdict) };
        verdict.add(verify_chain(&writes, &key)?);
    }
    Ok(verdict)
}

fn verify_chain(places: &Places, key: &MacKey) -> Result<Verdict, AuditError> {
    let mut verdict = Verdict::default();
    for _ in 0..ATTEMPTS {
        let head = match Head::read(&places.head, key)? {
            Found::Good(head) => head,
            Found::None => {
                let finding = of_head(format!("{} is gone", places.head.display()));
                return Ok(Verdict { findings: vec![finding], ..Verdict::default() });
            }
            Found::Wrong(what) => return Ok(Verdict { findings: vec![of_head(what)], ..Verdict::default() }),
        };
        verdict = Walk { places, key, head: &head }.run()?;
        let is_still = matches!(Head::read(&places.head, key)?, Found::Good(now) if now.oldest == head.oldest);
        if verdict.findings.is_empty() || is_still {
            break;
        }
    }
    Ok(verdict)
}

impl Verdict {
    fn add(&mut self, other: Verdict) {
        self.findings.extend(other.findings);
        self.files += other.files;
        self.records += other.records;
        self.unconfirmed += other.unconfirmed;
        self.kept.extend(other.kept);
    }
}

fn of_head(what: String) -> Finding {
    Finding { file: String::new(), line: 0, fault: Fault::ReplacedHead, what }
}

struct Walk<'a> {
    places: &'a Places,
    key: &'a MacKey,
    head: &'a Head,
}

/// The end of a part of the chain.
struct Part {
    last: Link,
    finding: Option<Finding>,
    /// The last line of the last file has no end yet.
    is_torn: bool,
    /// The hash of the record that the head names.
    known: Option<Hash>,
}

impl Walk<'_> {
    fn of_file(&self, number: u32, line: u64, fault: Fault, what: String) -> Finding {
        Finding { file: self.places.file_name(number), line, fault, what }
    }

    fn unread(&self, number: u32, error: &io::Error) -> Finding {
        match error.kind() {
            io::ErrorKind::NotFound => self.of_file(number, 0, Fault::MissingFile, "this file is not there".to_owned()),
            _ => self.of_file(number, 0, Fault::Unreadable, error.to_string()),
        }
    }

    fn run(&self) -> Result<Verdict, AuditError> {
        let Dropped { files, records, newest } = self.head.dropped;
        let mut verdict = Verdict::default();
        verdict.kept.push(Kept {
            class: self.places.class.name(),
            records: 0,
            since: None,
            removed_files: files,
            removed_records: records,
            removed_until: (files > 0).then_some(newest),
        });
        let mut start = self.head.oldest;
        for gap in &self.head.gaps {
            if gap.start.file <= start.file {
                // Retention takes a gap out with the last file before it: here there was no file left to be found.
                let what = "what came before is gone, and the head with it".to_owned();
                verdict.findings.push(self.of_file(gap.start.file, 0, Fault::ReplacedHead, what));
                continue;
            }
            let part = self.part(start, gap.start.file - 1, &mut verdict);
            verdict.findings.extend(self.before_gap(gap, part));
            start = gap.start;
        }
        // A gap may be what the oldest file begins with.
        let part = self.part(start, self.head.current.file, &mut verdict);
        match part.finding {
            Some(finding) => verdict.findings.push(finding),
            None => verdict.findings.extend(self.compare(&part, &mut verdict.unconfirmed)?),
        }
        verdict.kept[0].records = verdict.records;
        Ok(verdict)
    }

    /// Follows the chain over files that belong together, up to the first thing that is wrong.
    fn part(&self, start: Start, end: u32, verdict: &mut Verdict) -> Part {
        let last = Link { number: start.number.saturating_sub(1), chain: start.chain };
        let known = (last.number == self.head.number).then_some(last.chain);
        let mut part = Part { last, finding: None, is_torn: false, known };
        let mut known = part.known;
        for number in start.file..=end {
            let path = self.places.file(number);
            let mut since = verdict.kept[0].since;
            let mut note = |link: Link, line: &[u8]| {
                since = since.or_else(|| time_of(line));
                if link.number == self.head.number {
                    known = Some(link.chain);
                }
            };
            let walked = match walk(&path, part.last, &mut note) {
                Ok(walked) => walked,
                // A file that was begun and got no record: nothing is missing without it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_empty(number) => break,
                Err(error) => {
                    part.finding = Some(self.unread(number, &error));
                    break;
                }
            };
            verdict.kept[0].since = since;
            verdict.files += usize::from(walked.lines > 0);
            verdict.records += walked.lines;
            part.last = walked.last;
            if let Some(Break { line, fault, what }) = walked.broken {
                part.is_torn = fault == Fault::Torn && number == self.head.current.file;
                if !part.is_torn {
                    part.finding = Some(self.of_file(number, line, fault, what));
                }
                break;
            }
        }
        part.known = known;
        part
    }

    /// Whether the head knows no record of this file, which is the one that is written.
    fn is_empty(&self, number: u32) -> bool {
        let current = self.head.current;
        number == current.file && self.head.number < current.number
    }

    /// Whether the files end as the head says.
    fn compare(&self, part: &Part, unconfirmed: &mut u64) -> Result<Option<Finding>, AuditError> {
        let (head, file) = (self.head, self.head.current.file);
        if part.last.number < head.number {
            let (last, number) = (part.last.number, head.number);
            let what = format!("the last record is {last}, and the head knows {number}: {} are cut off", number - last);
            return Ok(Some(self.of_file(file, 0, Fault::CutTail, what)));
        }
        if part.known != Some(head.chain) {
            let what =
                format!("the lines follow each other, but record {} is not the one that the head knows", head.number);
            return Ok(Some(self.of_file(file, 0, Fault::Rewritten, what)));
        }
        *unconfirmed = self.unconfirmed(part)?;
        Ok(None)
    }

    /// Waits until a running server has confirmed what was read; tells how much it did not.
    fn unconfirmed(&self, part: &Part) -> Result<u64, AuditError> {
        let (began, mut confirmed) = (Instant::now(), self.head.number);
        while confirmed < part.last.number {
            if let Found::Good(head) = Head::read(&self.places.head, self.key)? {
                confirmed = confirmed.max(head.number);
            }
            if began.elapsed() > PATIENCE {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(part.last.number.saturating_sub(confirmed))
    }

    /// The fault in the files before a gap: an earlier finding, a cut file or a replaced head. `None` if the missing
    /// records are there again.
    fn before_gap(&self, gap: &Gap, part: Part) -> Option<Finding> {
        let file = gap.start.file - 1;
        if part.finding.is_some() {
            return part.finding;
        }
        if gap.expected > part.last.number {
            let what = format!("the last record is {}, and the head knew {}", part.last.number, gap.expected);
            return Some(self.of_file(file, 0, Fault::CutTail, what));
        }
        if gap.expected > 0 && part.last == (Link { number: gap.expected, chain: gap.start.chain }) {
            return None;
        }
        let what = format!(
            "the records in {} and before it are not proved: the head was lost or replaced",
            self.places.file_name(file)
        );
        Some(self.of_file(file, 0, Fault::ReplacedHead, what))
    }
}
