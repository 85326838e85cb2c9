//! From the journal into the head: samples that no block holds yet, at the start and after a failed write.

use super::batch::EditRecord;
use super::files;
use super::flush::flush_alone;
use super::head::Head;
use super::journal::{self, Journal, Replay, Replayed};
use super::partition::Key;
use super::settings::Partition;
use super::shared::Shared;
use super::trouble::tells_of_damage;
use crate::history::{ArchiveId, Fault};
use crate::value::UaTime;

impl Shared {
    /// Opens the journal and takes what it holds into the head. A damaged one gives what can be read of it into
    /// blocks, and a new one takes its place.
    pub(crate) fn open_journal(&self) -> Result<(Journal, Replay), Fault> {
        let folder = &self.settings.path;
        let opened = Journal::open(folder).and_then(|journal| Ok((self.replay(&journal)?, journal)));
        let (replay, what) = match opened {
            Ok((replay, journal)) if replay.damaged.is_empty() => return Ok((journal, replay)),
            Ok((replay, _)) => {
                let first = replay.damaged.first().map_or(String::new(), |(seq, what)| format!("commit {seq}: {what}"));
                (replay, first)
            }
            Err(fault) if tells_of_damage(&fault) => {
                self.condition.count_damage(1);
                let last = self.commits.found().max(self.commits.visible());
                (Replay { last, ..Replay::default() }, fault.to_string())
            }
            Err(fault) => return Err(fault),
        };
        log::error!("history in {}: the journal is damaged ({what}); it is set aside", folder.display());
        {
            let _writes = self.block_writes.lock();
            flush_alone(self)?;
        }
        let aside = format!("journal.{}.damaged", UaTime::now().unix_seconds());
        files::rename(&folder.join(journal::FILE), &folder.join(aside))?;
        Ok((Journal::open(folder)?, replay))
    }

    /// Builds the head from the journal's samples that no block holds yet.
    pub(crate) fn replay(&self, journal: &Journal) -> Result<Replay, Fault> {
        let _writes = self.block_writes.lock();
        let frozen = self.heads.read().frozen.as_ref().map_or(0, |head| head.last);
        let mut marks = Marks { shared: self, families: Vec::new(), held: Vec::new() };
        let mut head = Head::default();
        let mut edits = Vec::new();
        let replay = journal.replay(&mut |seq, replayed| {
            // The head counts commits from its first.
            if head.is_empty() {
                head = Head::after(seq.saturating_sub(1).max(frozen));
            }
            match replayed {
                Replayed::Samples(rows) => {
                    for row in rows {
                        if seq > frozen && marks.of(row.archive, row.sample.source_time).is_some_and(|mark| seq > mark)
                        {
                            head.push(row.archive, row.sample, seq);
                        }
                    }
                }
                Replayed::Edit(edit) => {
                    if seq > frozen && self.archives.knows(edit.archive) {
                        head.apply(&marks.rest(&edit, seq), seq);
                    }
                    edits.push((seq, edit));
                }
                Replayed::Damaged(what) => {
                    log::error!("{}: commit {seq} is lost: {what}", journal.path().display());
                }
            }
        })?;
        let mut replay = Replay { last: replay.last.max(self.commits.found()), ..replay };
        journal.find_lost(replay.last, &mut replay);
        self.condition.count_damage(replay.damaged.len());
        head.last = head.last.max(replay.last);
        let mut meta = self.meta.lock();
        if !self.is_reader() {
            edits.iter().try_for_each(|(seq, edit)| meta.log_edit(edit, *seq))?;
        }
        self.heads.write().active = head;
        Ok(replay)
    }
}

/// Up to which commit each partition has everything.
struct Marks<'s> {
    shared: &'s Shared,
    families: Vec<Option<Partition>>,
    held: Vec<Held>,
}

/// The mark of a partition.
#[derive(Clone, Copy)]
struct Held {
    family: Partition,
    first: i64,
    last: i64,
    seq: u64,
}

impl Marks<'_> {
    /// `None` for an archive that there never was: nothing is allocated for its number.
    fn of(&mut self, archive: ArchiveId, time: UaTime) -> Option<u64> {
        // Nearly all samples of a replay are of one day and one month.
        let family = self.family(archive)?;
        let held = self.held.iter().find(|held| held.family == family && held.first <= time.0 && time.0 <= held.last);
        if let Some(held) = held {
            return Some(held.seq);
        }
        let key = Key::of(family, time.0);
        let held = Held { family, first: key.start(), last: key.end(), seq: self.shared.mark(key) };
        self.held.truncate(3);
        self.held.insert(0, held);
        Some(held.seq)
    }

    fn family(&mut self, archive: ArchiveId) -> Option<Partition> {
        let at = archive.0 as usize;
        if let Some(Some(family)) = self.families.get(at) {
            return Some(*family);
        }
        if !self.shared.archives.knows(archive) {
            return None;
        }
        let family = self.shared.archives.family(archive);
        self.families.resize(self.families.len().max(at + 1), None);
        self.families[at] = Some(family);
        Some(family)
    }

    /// The part of an edit that no block holds.
    fn rest(&mut self, edit: &EditRecord, seq: u64) -> EditRecord {
        let put = edit
            .put
            .iter()
            .filter(|sample| self.of(edit.archive, sample.source_time).is_some_and(|mark| seq > mark))
            .cloned()
            .collect();
        // What is cleared twice stays cleared: later samples have later commits.
        EditRecord { put, cleared: edit.cleared.clone(), ..EditRecord::new(edit.archive) }
    }
}
