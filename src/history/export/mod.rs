//! History out to files that other programs read, and in from them.
//!
//! CSV is exact and comes back in: `namespace,identifier,type,source_time,server_time,status,value`, one sample a
//! line. Parquet is for analysis: numbers as doubles, everything else as the text of the CSV.

mod csv;
mod parquet;
mod text;

pub(crate) use self::csv::{Imported, export_csv, import_csv};
pub(crate) use self::parquet::export_parquet;

use std::io;

use super::{ArchiveId, ArchiveSpec, Cursor, Direction, Fault, Historian, Span};
use crate::value::Sample;

/// Samples that are read at once.
const PAGE: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    History(#[from] Fault),
    #[error("cannot write the export: {0}")]
    Io(#[from] io::Error),
    #[error("cannot write the export: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    #[error("cannot read it: {0}")]
    Read(io::Error),
    #[error("line {line}: {what}; {remedy}")]
    Line { line: u64, what: String, remedy: String },
}

impl From<::csv::Error> for ExportError {
    fn from(error: ::csv::Error) -> ExportError {
        let line = error.position().map(::csv::Position::line);
        match (error.into_kind(), line) {
            (::csv::ErrorKind::Io(error), _) => ExportError::Io(error),
            (_, line) => ExportError::Line {
                line: line.unwrap_or(0),
                what: "this is no CSV of seven columns in UTF-8".into(),
                remedy: "compare it with what `opcell history export` writes".into(),
            },
        }
    }
}

/// Each archive's samples of a span, a page at a time.
fn each_page(
    historian: &dyn Historian,
    archive: ArchiveId,
    span: Span,
    take: &mut dyn FnMut(&[Sample]) -> Result<(), ExportError>,
) -> Result<u64, ExportError> {
    let mut count = 0;
    let mut resume: Option<Cursor> = None;
    loop {
        let page = historian.page(archive, span, Direction::Forward, PAGE, resume)?;
        count += page.samples.len() as u64;
        take(&page.samples)?;
        match page.resume {
            Some(cursor) => resume = Some(cursor),
            None => return Ok(count),
        }
    }
}

/// Name of an archive's data type: `Double`, `Float[]`.
fn type_name(spec: &ArchiveSpec) -> String {
    format!("{:?}{}", spec.kind, if spec.is_array { "[]" } else { "" })
}
