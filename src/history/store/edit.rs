//! Edits by clients (Part 11 §6.9, 1.05): what they find decides what they do and what each entry is told.

use std::collections::BTreeMap;

use opcua::StatusCode;

use super::batch::EditRecord;
use super::partition::has_day;
use crate::history::{ArchiveId, Edit, Fault, Modification, Span, UpdateKind, Who};
use crate::value::{Sample, UaTime};

/// The outcome of planning an edit: the record for the journal, and a status for each entry.
pub(crate) struct Outcome {
    pub record: EditRecord,
    pub statuses: Vec<StatusCode>,
}

/// The present content of the archive, for planning.
pub(crate) trait Present {
    fn at(&self, time: UaTime) -> Result<Option<Sample>, Fault>;
    fn within(&self, span: Span) -> Result<Vec<Sample>, Fault>;
    fn has_modified(&self, span: Span) -> Result<bool, Fault>;
}

struct Plan<'a> {
    present: &'a dyn Present,
    /// Older samples are not kept.
    floor: UaTime,
    who: &'a Who,
    record: EditRecord,
    /// The content after the earlier entries of the same edit.
    changed: BTreeMap<UaTime, Option<Sample>>,
    statuses: Vec<StatusCode>,
}

pub(crate) fn plan(
    archive: ArchiveId,
    edit: &Edit,
    who: &Who,
    floor: UaTime,
    present: &dyn Present,
) -> Result<Outcome, Fault> {
    let record = EditRecord::new(archive);
    let mut plan = Plan { present, floor, who, record, changed: BTreeMap::new(), statuses: Vec::new() };
    match edit {
        Edit::Insert(samples) => samples.iter().try_for_each(|sample| plan.put(sample, UpdateKind::Insert))?,
        Edit::Replace(samples) => samples.iter().try_for_each(|sample| plan.put(sample, UpdateKind::Replace))?,
        Edit::Update(samples) => samples.iter().try_for_each(|sample| plan.put(sample, UpdateKind::Update))?,
        Edit::Remove(times) | Edit::DeleteAt(times) => times.iter().try_for_each(|time| plan.delete(*time))?,
        Edit::DeleteRaw { start, end } => plan.delete_span(*start, *end)?,
        Edit::DeleteModified { start, end } => plan.forget(*start, *end)?,
    }
    Ok(plan.finish())
}

impl Plan<'_> {
    fn present(&self, time: UaTime) -> Result<Option<Sample>, Fault> {
        match self.changed.get(&time) {
            Some(left) => Ok(left.clone()),
            None => self.present.at(time),
        }
    }

    /// Part 11 §6.9.2 (1.05): an insert needs a free place, a replacement a taken one; a time that cannot be stored
    /// is out of range.
    fn put(&mut self, sample: &Sample, kind: UpdateKind) -> Result<(), Fault> {
        let time = sample.source_time;
        if time < self.floor || !has_day(time.0) {
            self.statuses.push(StatusCode::BadOutOfRange);
            return Ok(());
        }
        let status = match (self.present(time)?, kind) {
            (Some(_), UpdateKind::Insert) => StatusCode::BadEntryExists,
            (None, UpdateKind::Replace) => StatusCode::BadNoEntryExists,
            (Some(old), _) => {
                self.log(old, kind);
                StatusCode::GoodEntryReplaced
            }
            (None, _) => {
                self.log(sample.clone(), kind);
                StatusCode::GoodEntryInserted
            }
        };
        if status.is_good() {
            self.changed.insert(time, Some(sample.clone()));
        }
        self.statuses.push(status);
        Ok(())
    }

    fn delete(&mut self, time: UaTime) -> Result<(), Fault> {
        let status = match self.present(time)? {
            None => StatusCode::BadNoEntryExists,
            Some(old) => {
                self.log(old, UpdateKind::Delete);
                self.changed.insert(time, None);
                StatusCode::Good
            }
        };
        self.statuses.push(status);
        Ok(())
    }

    fn delete_span(&mut self, start: UaTime, end: UaTime) -> Result<(), Fault> {
        let span = Span { first: start, last: UaTime(end.0.saturating_sub(1)) };
        let gone = if span.last < span.first { Vec::new() } else { self.present.within(span)? };
        if gone.is_empty() {
            self.statuses.push(StatusCode::BadNoData);
            return Ok(());
        }
        gone.into_iter().for_each(|old| self.log(old, UpdateKind::Delete));
        self.record.cleared.push((span.first.0, span.last.0));
        self.statuses.push(StatusCode::Good);
        Ok(())
    }

    fn forget(&mut self, start: UaTime, end: UaTime) -> Result<(), Fault> {
        let span = Span { first: start, last: UaTime(end.0.saturating_sub(1)) };
        if span.last < span.first || !self.present.has_modified(span)? {
            self.statuses.push(StatusCode::BadNoData);
            return Ok(());
        }
        self.record.forget = Some(span);
        self.statuses.push(StatusCode::Good);
        Ok(())
    }

    fn log(&mut self, sample: Sample, kind: UpdateKind) {
        let entry = Modification { sample, time: self.who.time, kind, user: self.who.user.clone() };
        self.record.log.push(entry);
    }

    fn finish(mut self) -> Outcome {
        for (time, left) in self.changed {
            match left {
                Some(sample) => self.record.put.push(sample),
                None => self.record.cleared.push((time.0, time.0)),
            }
        }
        Outcome { record: self.record, statuses: self.statuses }
    }
}
