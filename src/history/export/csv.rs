//! CSV: the whole of a sample, and back.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::rc::Rc;

use super::text::value_from_text;
use super::{ExportError, each_page, type_name};
use crate::history::{ArchiveId, ArchiveSpec, Historian, Row, Span};
use crate::value::{
    Sample, UaTime, Value, status_from_text, status_to_text, time_from_text, time_to_text, value_to_text,
};

const HEADER: [&str; 7] = ["namespace", "identifier", "type", "source_time", "server_time", "status", "value"];

/// Rows that are made durable together.
const BATCH: usize = 10_000;

/// The years that the store has files for: 1601 to 9999.
const FIRST: UaTime = UaTime(1);
const LAST: UaTime = UaTime(2_650_467_743_999_999_999);

/// Bytes of a line, at most.
const LONGEST: usize = 64 << 20;

/// Writes a header and each archive's samples of a span; answers their number.
pub(crate) fn export_csv(
    historian: &dyn Historian,
    archives: &[(ArchiveId, ArchiveSpec)],
    span: Span,
    out: impl Write,
) -> Result<u64, ExportError> {
    let mut out = ::csv::Writer::from_writer(out);
    out.write_record(HEADER)?;
    let mut count = 0;
    for (archive, spec) in archives {
        let kind = type_name(spec);
        count += each_page(historian, *archive, span, &mut |samples| {
            for sample in samples {
                out.write_record([
                    spec.namespace.as_str(),
                    &spec.identifier,
                    &kind,
                    &time_to_text(sample.source_time),
                    &time_to_text(sample.server_time),
                    &status_to_text(sample.status),
                    &value_to_text(&sample.value),
                ])?;
            }
            Ok(())
        })?;
    }
    out.flush()?;
    Ok(count)
}

/// The result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Imported {
    pub inserted: u64,
    /// There was a sample at the time; it was left as it is.
    pub present: u64,
    /// Older than the archive keeps, or not taken for another reason.
    pub refused: u64,
}

/// Puts the rows of a CSV file into archives that exist, as samples that come late. What is there already stays. Each 10,000 rows are durable
/// before the next are read, so an import that ended early can be run again.
pub(crate) fn import_csv(
    historian: &dyn Historian,
    archives: &[(ArchiveId, ArchiveSpec)],
    input: impl Read,
) -> Result<Imported, ExportError> {
    let known: HashMap<(&str, &str, String), (ArchiveId, &ArchiveSpec)> = archives
        .iter()
        .map(|(archive, spec)| ((spec.namespace.as_str(), spec.identifier.as_str(), type_name(spec)), (*archive, spec)))
        .collect();
    let read = Rc::new(Cell::new(0));
    let mut input = ::csv::Reader::from_reader(Bounded { input, read: Rc::clone(&read) });
    let header = input.headers().map_err(reading)?;
    if header != HEADER.as_slice() {
        return Err(ExportError::Line {
            line: 1,
            what: "the columns are not those of a history export".into(),
            remedy: format!("the first line must be {}", HEADER.join(",")),
        });
    }
    let mut done = Imported::default();
    let mut batch: Vec<Sample> = Vec::new();
    let mut target: Option<(ArchiveId, &ArchiveSpec)> = None;
    let mut record = ::csv::StringRecord::new();
    while input.read_record(&mut record).map_err(reading)? {
        read.set(0);
        let line = record.position().map_or(0, ::csv::Position::line);
        let field = |at: usize| record.get(at).unwrap_or_default();
        let found = known.get(&(field(0), field(1), field(2).to_owned()));
        let Some((archive, spec)) = found else {
            return Err(ExportError::Line {
                line,
                what: format!("there is no archive {} of type {} in {}", field(1), field(2), field(0)),
                remedy: "give the tag a history class and start the server once, then import".into(),
            });
        };
        if target.is_some_and(|(target, _)| target != *archive) || batch.len() >= BATCH {
            insert(historian, target, &mut batch, &mut done)?;
        }
        target = Some((*archive, *spec));
        batch.push(sample(spec, line, &field)?);
    }
    insert(historian, target, &mut batch, &mut done)?;
    Ok(done)
}

/// Reads until a line gets too long: what is no CSV at all may have no end of line.
struct Bounded<R> {
    input: R,
    /// Bytes since the last line, about.
    read: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > LONGEST {
            return Err(io::Error::other(format!("a line is longer than {} MiB", LONGEST >> 20)));
        }
        let count = self.input.read(into)?;
        self.read.set(self.read.get() + count);
        Ok(count)
    }
}

fn reading(error: ::csv::Error) -> ExportError {
    match ExportError::from(error) {
        ExportError::Io(error) => ExportError::Read(error),
        other => other,
    }
}

fn sample<'r>(spec: &ArchiveSpec, line: u64, field: &impl Fn(usize) -> &'r str) -> Result<Sample, ExportError> {
    let wrong = |column: usize, remedy: &str| ExportError::Line {
        line,
        what: format!("`{}` is no {} ", field(column), HEADER[column]).trim_end().to_owned(),
        remedy: remedy.to_owned(),
    };
    let time = |column| time_from_text(field(column)).ok_or_else(|| wrong(column, "write 2026-11-21T10:00:00.5Z"));
    let status = status_from_text(field(5)).ok_or_else(|| wrong(5, "write Good, or a number as 0x80000000"))?;
    let is_text = spec.kind == crate::value::BuiltIn::String && !spec.is_array;
    let value = match field(6) {
        "" if !is_text || status.is_bad() => Value::Null,
        text => value_from_text(spec.kind, spec.is_array, text)
            .ok_or_else(|| wrong(6, &format!("write a {}", type_name(spec))))?,
    };
    Ok(Sample { value, status, source_time: time(3)?, server_time: time(4)? })
}

/// Appends what is not there yet, like samples that come late; an import leaves no trace of an edit.
fn insert(
    historian: &dyn Historian,
    target: Option<(ArchiveId, &ArchiveSpec)>,
    batch: &mut Vec<Sample>,
    done: &mut Imported,
) -> Result<(), ExportError> {
    let Some((archive, spec)) = target.filter(|_| !batch.is_empty()) else { return Ok(()) };
    let now = UaTime::now();
    let oldest = UaTime(now.0.saturating_sub(i64::try_from(spec.keep.as_nanos() / 100).unwrap_or(i64::MAX)));
    let read = batch.len();
    batch.retain(|sample| (oldest.max(FIRST)..=LAST).contains(&sample.source_time));
    done.refused += (read - batch.len()) as u64;
    let times = batch.iter().map(|sample| sample.source_time);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return Ok(()) };
    let wanted: HashSet<UaTime> = batch.iter().map(|sample| sample.source_time).collect();
    let mut known: HashSet<UaTime> = HashSet::new();
    each_page(historian, archive, Span { first, last }, &mut |samples| {
        known.extend(samples.iter().map(|sample| sample.source_time).filter(|time| wanted.contains(time)));
        Ok(())
    })?;
    let mut rows = Vec::with_capacity(batch.len());
    for sample in batch.drain(..) {
        // The same time twice in the file: the first one counts.
        if known.insert(sample.source_time) {
            rows.push(Row { archive, sample });
        } else {
            done.present += 1;
        }
    }
    done.inserted += rows.len() as u64;
    historian.append(&mut rows);
    Ok(historian.commit()?)
}
