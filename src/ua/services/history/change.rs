//! A change of one node's history, and how it is made.

use opcua::StatusCode;

use crate::history::{Annotation, AnnotationEdit, ArchiveId, Edit, Fault, Historian, Span, Who};
use crate::ua::disk_pool::refused;
use crate::ua::history::Target;
use crate::value::{Sample, UaTime};

/// PerformUpdateType (Part 11 §6.9.2, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Perform {
    Insert = 1,
    Replace = 2,
    Update = 3,
    Remove = 4,
}

impl Perform {
    pub(crate) fn from_wire(number: i32) -> Result<Perform, StatusCode> {
        Ok(match number {
            1 => Perform::Insert,
            2 => Perform::Replace,
            3 => Perform::Update,
            4 => Perform::Remove,
            _ => return Err(StatusCode::BadInvalidArgument),
        })
    }
}

/// A change of one node's history.
#[derive(Debug)]
pub(crate) enum Change {
    Values(Perform, Entries<Sample>),
    Annotations(Perform, Entries<Annotation>),
    DeleteAt(Entries<UaTime>),
    DeleteSpan { is_modified: bool, start: UaTime, end: UaTime },
}

/// The entries that passed their checks, and the status of each that was given.
#[derive(Debug)]
pub(crate) struct Entries<T> {
    pub good: Vec<T>,
    statuses: Vec<StatusCode>,
}

impl<T> Entries<T> {
    pub(crate) fn check<I>(given: Vec<I>, check: impl Fn(I) -> Result<T, StatusCode>) -> Entries<T> {
        let mut entries = Entries { good: Vec::with_capacity(given.len()), statuses: Vec::with_capacity(given.len()) };
        for entry in given {
            let checked = check(entry);
            entries.statuses.push(checked.as_ref().err().copied().unwrap_or(StatusCode::Good));
            entries.good.extend(checked.ok());
        }
        entries
    }

    /// The statuses in the order of the request, with those of the good entries filled in.
    fn merge(self, done: Vec<StatusCode>) -> Vec<StatusCode> {
        let mut done = done.into_iter();
        let merge = |status: StatusCode| if status.is_bad() { status } else { done.next().unwrap_or(status) };
        self.statuses.into_iter().map(merge).collect()
    }
}

/// The status of the node, and of each of its entries.
pub(crate) type Outcome = Result<(StatusCode, Vec<StatusCode>), StatusCode>;

impl Change {
    pub(crate) fn run(self, historian: &dyn Historian, target: Target, who: &Who) -> Outcome {
        let archive = target.archive;
        let edit = |edit: Edit| historian.edit(archive, &edit, who).map_err(|fault: Fault| refused(&fault));
        let annotate =
            |edit: AnnotationEdit| historian.annotate(archive, &edit, who).map_err(|fault: Fault| refused(&fault));
        Ok(match self {
            Change::Values(perform, mut entries) => {
                let good = std::mem::take(&mut entries.good);
                let done = match perform {
                    _ if good.is_empty() => Vec::new(),
                    Perform::Insert => edit(Edit::Insert(good))?,
                    Perform::Replace => edit(Edit::Replace(good))?,
                    Perform::Update | Perform::Remove => edit(Edit::Update(good))?,
                };
                (StatusCode::Good, entries.merge(done))
            }
            Change::Annotations(perform, mut entries) => {
                let good = std::mem::take(&mut entries.good);
                let done = match perform {
                    _ if good.is_empty() => Vec::new(),
                    Perform::Insert => annotate(AnnotationEdit::Insert(good))?,
                    Perform::Replace => annotate(AnnotationEdit::Replace(good))?,
                    Perform::Update => annotate(AnnotationEdit::Update(good))?,
                    Perform::Remove => annotate(AnnotationEdit::Remove(good))?,
                };
                (StatusCode::Good, entries.merge(done))
            }
            Change::DeleteAt(mut entries) => {
                let good = std::mem::take(&mut entries.good);
                let done = if good.is_empty() { Vec::new() } else { edit(Edit::DeleteAt(good.clone()))? };
                let deleted = good.into_iter().zip(&done).filter(|(_, status)| status.is_good()).map(|(time, _)| time);
                purge(historian, archive, deleted.collect(), who).map_err(|fault| refused(&fault))?;
                (StatusCode::Good, entries.merge(done))
            }
            Change::DeleteSpan { is_modified, start, end } => {
                let end = if end == start { UaTime(end.0.saturating_add(1)) } else { end };
                let edited = match is_modified {
                    false => edit(Edit::DeleteRaw { start, end })?,
                    true => edit(Edit::DeleteModified { start, end })?,
                };
                (edited.first().copied().unwrap_or(StatusCode::Good), Vec::new())
            }
        })
    }
}

/// Takes away modified values and annotations of times whose values were deleted (Part 11 §6.9.6.2, 1.05: nothing of
/// them stays). Neighbouring times go in one edit.
fn purge(historian: &dyn Historian, archive: ArchiveId, mut deleted: Vec<UaTime>, who: &Who) -> Result<(), Fault> {
    deleted.sort_unstable();
    let (Some(first), Some(last)) = (deleted.first(), deleted.last()) else { return Ok(()) };
    let span = Span { first: *first, last: *last };
    let is_deleted = |time: &UaTime| deleted.binary_search(time).is_ok();
    let mut notes = historian.annotations(archive, span)?;
    notes.retain(|note| is_deleted(&note.at));
    if !notes.is_empty() {
        historian.annotate(archive, &AnnotationEdit::Remove(notes), who)?;
    }
    let noted = historian.noted(archive, span)?;
    for run in noted.chunk_by(|a, b| is_deleted(a) == is_deleted(b)) {
        if let [start, .., end] | [start @ end] = run
            && is_deleted(start)
        {
            let end = UaTime(end.0.saturating_add(1));
            historian.edit(archive, &Edit::DeleteModified { start: *start, end }, who)?;
        }
    }
    Ok(())
}
