//! A historian that keeps everything in memory, and can be made to hesitate: what the wire says of an archive is shown
//! on it without a disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use opcell::testing::history::{
    Annotation, AnnotationEdit, ArchiveId, ArchiveSpec, Cursor, Direction, Edit, Fault, Historian, Modification,
    ModifiedPage, Page, Point, Row, Span, Stats, UpdateKind, Visitor, Who,
};
use opcell::value::{Sample, UaTime};
use opcua::StatusCode;

/// A sample, or its absence, since a change.
type Versions = Vec<(u64, Option<Sample>)>;

#[derive(Default)]
struct Archive {
    samples: BTreeMap<UaTime, Versions>,
    modified: Vec<(u64, Modification)>,
    annotations: Vec<Annotation>,
}

#[derive(Default)]
struct Held {
    specs: Vec<ArchiveSpec>,
    archives: Vec<Archive>,
    changes: u64,
}

#[derive(Default)]
pub struct InMemory {
    held: Mutex<Held>,
    hesitates: Mutex<bool>,
    goes_on: Condvar,
    /// Every read fails as of a broken disk.
    pub is_broken: AtomicBool,
}

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no panic under the lock")
    }

    /// Readers wait until `go_on`.
    pub fn hesitate(&self) {
        *self.hesitates.lock().expect("no panic") = true;
    }

    pub fn go_on(&self) {
        *self.hesitates.lock().expect("no panic") = false;
        self.goes_on.notify_all();
    }

    fn wait(&self) -> Result<(), Fault> {
        let mut hesitates = self.hesitates.lock().expect("no panic");
        while *hesitates {
            hesitates = self.goes_on.wait(hesitates).expect("no panic");
        }
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(Fault::Store { path: "memory".into(), what: "it is broken".into(), remedy: "mend it".into() });
        }
        Ok(())
    }

    pub fn put(&self, archive: ArchiveId, samples: impl IntoIterator<Item = Sample>) {
        let mut held = self.lock();
        for sample in samples {
            held.changes += 1;
            let change = held.changes;
            set(&mut held, archive, change, sample.source_time, Some(sample));
        }
    }
}

fn set(held: &mut Held, archive: ArchiveId, change: u64, at: UaTime, sample: Option<Sample>) {
    held.archives[archive.0 as usize].samples.entry(at).or_default().push((change, sample));
}

fn at(versions: &Versions, as_of: u64) -> Option<&Sample> {
    versions.iter().rev().find(|(change, _)| *change <= as_of)?.1.as_ref()
}

fn ordered<T>(mut all: Vec<T>, direction: Direction) -> Vec<T> {
    if direction == Direction::Backward {
        all.reverse();
    }
    all
}

/// Whether a time still lies ahead of the cursor.
fn is_ahead(time: UaTime, direction: Direction, cursor: UaTime) -> bool {
    match direction {
        Direction::Forward => time > cursor,
        Direction::Backward => time < cursor,
    }
}

impl Historian for InMemory {
    fn register(&self, specs: &[ArchiveSpec]) -> Result<Vec<ArchiveId>, Fault> {
        let mut held = self.lock();
        for spec in specs {
            held.specs.push(spec.clone());
            held.archives.push(Archive::default());
        }
        Ok((0..).take(specs.len()).map(ArchiveId).collect())
    }

    fn append(&self, rows: &mut Vec<Row>) {
        rows.drain(..).for_each(|row| self.put(row.archive, [row.sample]));
    }

    fn commit(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn page(
        &self,
        archive: ArchiveId,
        span: Span,
        direction: Direction,
        limit: usize,
        resume: Option<Cursor>,
    ) -> Result<Page, Fault> {
        self.wait()?;
        let held = self.lock();
        if span.first > span.last {
            return Ok(Page::default());
        }
        let as_of = resume.map_or(held.changes, |cursor| cursor.as_of);
        let inside = held.archives[archive.0 as usize].samples.range(span.first..=span.last);
        let inside: Box<dyn Iterator<Item = (&UaTime, &Versions)>> = match direction {
            Direction::Forward => Box::new(inside),
            Direction::Backward => Box::new(inside.rev()),
        };
        let most = if limit == 0 { usize::MAX } else { limit };
        // A page costs its own length, not the archive's: a thousand of them share one request.
        let mut samples: Vec<&Sample> = inside
            .filter_map(|(_, versions)| at(versions, as_of))
            .filter(|sample| resume.is_none_or(|cursor| is_ahead(sample.source_time, direction, cursor.time)))
            .take(most.saturating_add(1))
            .collect();
        let resume = (samples.len() > most).then(|| Cursor { time: samples[most - 1].source_time, as_of, same: 1 });
        samples.truncate(most);
        Ok(Page { samples: samples.into_iter().cloned().collect(), resume })
    }

    fn scan(&self, archive: ArchiveId, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault> {
        let page = self.page(archive, span, Direction::Forward, 0, None)?;
        let point = |sample: &Sample| Point {
            time: sample.source_time,
            status: sample.status,
            number: sample.value.as_f64().unwrap_or(f64::NAN),
        };
        visitor.points(&page.samples.iter().map(point).collect::<Vec<_>>());
        Ok(())
    }

    fn at(&self, archive: ArchiveId, times: &[UaTime]) -> Result<Vec<Option<Sample>>, Fault> {
        self.wait()?;
        let held = self.lock();
        let samples = &held.archives[archive.0 as usize].samples;
        Ok(times.iter().map(|time| at(samples.get(time)?, u64::MAX).cloned()).collect())
    }

    fn modified(
        &self,
        archive: ArchiveId,
        span: Span,
        direction: Direction,
        limit: usize,
        resume: Option<Cursor>,
    ) -> Result<ModifiedPage, Fault> {
        self.wait()?;
        let held = self.lock();
        let as_of = resume.map_or(held.changes, |cursor| cursor.as_of);
        let all = held.archives[archive.0 as usize].modified.iter();
        let mut inside: Vec<&Modification> = all
            .filter(|(change, entry)| *change <= as_of && span.holds(entry.sample.source_time))
            .map(|(_, entry)| entry)
            .collect();
        inside.sort_by_key(|entry| entry.sample.source_time);
        let inside = ordered(inside, direction);
        let given = resume.map_or(0, |cursor| cursor.same as usize);
        let most = if limit == 0 { inside.len() } else { limit };
        let entries: Vec<Modification> = inside.iter().skip(given).take(most).map(|entry| (*entry).clone()).collect();
        let given = given + entries.len();
        let same = u32::try_from(given).expect("few");
        let resume = (inside.len() > given).then_some(Cursor { time: UaTime::NULL, as_of, same });
        Ok(ModifiedPage { entries, resume })
    }

    fn edit(&self, archive: ArchiveId, edit: &Edit, who: &Who) -> Result<Vec<StatusCode>, Fault> {
        self.wait()?;
        let mut held = self.lock();
        let mut edits = Edits { held: &mut held, archive, who };
        Ok(match edit {
            Edit::Insert(samples) => samples.iter().map(|sample| edits.write(sample, UpdateKind::Insert)).collect(),
            Edit::Replace(samples) => samples.iter().map(|sample| edits.write(sample, UpdateKind::Replace)).collect(),
            Edit::Update(samples) => samples.iter().map(|sample| edits.write(sample, UpdateKind::Update)).collect(),
            Edit::Remove(times) | Edit::DeleteAt(times) => times.iter().map(|time| edits.delete(*time)).collect(),
            Edit::DeleteRaw { start, end } => vec![edits.delete_span(*start, *end)],
            Edit::DeleteModified { start, end } => {
                let modified = &mut edits.held.archives[archive.0 as usize].modified;
                let before = modified.len();
                modified.retain(|(_, entry)| !(*start..*end).contains(&entry.sample.source_time));
                vec![if modified.len() < before { StatusCode::Good } else { StatusCode::BadNoData }]
            }
        })
    }

    fn annotations(&self, archive: ArchiveId, span: Span) -> Result<Vec<Annotation>, Fault> {
        self.wait()?;
        let held = self.lock();
        let all = held.archives[archive.0 as usize].annotations.iter();
        let mut inside: Vec<Annotation> = all.filter(|annotation| span.holds(annotation.at)).cloned().collect();
        inside.sort_by_key(|annotation| (annotation.at, annotation.time));
        Ok(inside)
    }

    fn annotate(&self, archive: ArchiveId, edit: &AnnotationEdit, _: &Who) -> Result<Vec<StatusCode>, Fault> {
        self.wait()?;
        let mut held = self.lock();
        let all = &mut held.archives[archive.0 as usize].annotations;
        let (entries, (inserts, replaces)) = match edit {
            AnnotationEdit::Insert(entries) => (entries, (true, false)),
            AnnotationEdit::Replace(entries) => (entries, (false, true)),
            AnnotationEdit::Update(entries) => (entries, (true, true)),
            AnnotationEdit::Remove(entries) => (entries, (false, false)),
        };
        let mut annotate = |entry: &Annotation| {
            let is_it = |other: &Annotation| (other.at, other.time, &other.user) == (entry.at, entry.time, &entry.user);
            match all.iter().position(is_it) {
                Some(_) if inserts && !replaces => StatusCode::BadEntryExists,
                Some(place) if replaces => {
                    all[place] = entry.clone();
                    StatusCode::GoodEntryReplaced
                }
                Some(place) => {
                    all.remove(place);
                    StatusCode::Good
                }
                None if inserts => {
                    all.push(entry.clone());
                    StatusCode::GoodEntryInserted
                }
                None => StatusCode::BadNoEntryExists,
            }
        };
        Ok(entries.iter().map(&mut annotate).collect())
    }

    fn extent(&self, archive: ArchiveId) -> Result<Option<(UaTime, UaTime)>, Fault> {
        let page = self.page(archive, Span::ALL, Direction::Forward, 0, None)?;
        Ok(page.samples.first().zip(page.samples.last()).map(|(first, last)| (first.source_time, last.source_time)))
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// Edits of one archive by one user.
struct Edits<'a> {
    held: &'a mut Held,
    archive: ArchiveId,
    who: &'a Who,
}

impl Edits<'_> {
    fn current(&self, time: UaTime) -> Option<Sample> {
        at(self.held.archives[self.archive.0 as usize].samples.get(&time)?, u64::MAX).cloned()
    }

    fn write(&mut self, sample: &Sample, kind: UpdateKind) -> StatusCode {
        let old = self.current(sample.source_time);
        match (&old, kind) {
            (Some(_), UpdateKind::Insert) => return StatusCode::BadEntryExists,
            (None, UpdateKind::Replace) => return StatusCode::BadNoEntryExists,
            _ => {}
        }
        let status = if old.is_some() { StatusCode::GoodEntryReplaced } else { StatusCode::GoodEntryInserted };
        let kind = match (&old, kind) {
            (None, _) => UpdateKind::Insert,
            (Some(_), kind) => kind,
        };
        self.note(old.unwrap_or_else(|| sample.clone()), kind);
        let change = self.held.changes;
        set(self.held, self.archive, change, sample.source_time, Some(sample.clone()));
        status
    }

    fn delete(&mut self, time: UaTime) -> StatusCode {
        let Some(old) = self.current(time) else { return StatusCode::BadNoEntryExists };
        self.note(old, UpdateKind::Delete);
        let change = self.held.changes;
        set(self.held, self.archive, change, time, None);
        StatusCode::Good
    }

    fn delete_span(&mut self, start: UaTime, end: UaTime) -> StatusCode {
        let times = self.held.archives[self.archive.0 as usize].samples.range(start..end);
        let times: Vec<UaTime> = times.map(|(time, _)| *time).collect();
        let deleted = times.into_iter().filter(|time| self.delete(*time) == StatusCode::Good).count();
        if deleted > 0 { StatusCode::Good } else { StatusCode::BadNoData }
    }

    fn note(&mut self, sample: Sample, kind: UpdateKind) {
        self.held.changes += 1;
        let modification = Modification { sample, time: self.who.time, kind, user: self.who.user.clone() };
        let change = self.held.changes;
        self.held.archives[self.archive.0 as usize].modified.push((change, modification));
    }
}
