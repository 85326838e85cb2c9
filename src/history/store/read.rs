//! Pages, scans and single samples.

use super::rows::Rows;
use super::shared::Shared;
use super::visible::Sight;
use crate::history::{ArchiveId, Cursor, Direction, Fault, Page, Point, Span, Visitor};
use crate::value::{Sample, UaTime};

/// Points that a visitor gets at once.
const POINTS: usize = 256;

pub fn page(
    shared: &Shared,
    archive: ArchiveId,
    mut span: Span,
    direction: Direction,
    limit: usize,
    resume: Option<Cursor>,
) -> Result<Page, Fault> {
    let as_of = shared.pinned(archive, resume)?;
    match (resume, direction) {
        (Some(cursor), Direction::Forward) => span.first = UaTime(cursor.time.0.saturating_add(1)),
        (Some(cursor), Direction::Backward) => span.last = UaTime(cursor.time.0.saturating_sub(1)),
        (None, _) => {}
    }
    let rows = visible(shared, archive, span, as_of);
    let count = if limit == 0 { rows.len() } else { limit.min(rows.len()) };
    let samples: Vec<Sample> = match direction {
        Direction::Forward => (0..count).map(|at| rows.sample(at)).collect(),
        Direction::Backward => (rows.len() - count..rows.len()).rev().map(|at| rows.sample(at)).collect(),
    };
    let last = samples.last().filter(|_| count < rows.len());
    let resume = last.map(|last| Cursor { time: last.source_time, as_of, same: 1 });
    Ok(Page { samples, resume })
}

pub fn scan(shared: &Shared, archive: ArchiveId, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault> {
    let as_of = shared.pinned(archive, None)?;
    let rows = visible(shared, archive, span, as_of);
    let points: Vec<Point> = (0..rows.len()).map(|at| rows.point(at)).collect();
    points.chunks(POINTS).for_each(|points| visitor.points(points));
    Ok(())
}

pub fn at(shared: &Shared, archive: ArchiveId, time: UaTime) -> Result<Option<Sample>, Fault> {
    let found = page(shared, archive, Span { first: time, last: time }, Direction::Forward, 1, None)?;
    Ok(found.samples.into_iter().next())
}

fn visible(shared: &Shared, archive: ArchiveId, span: Span, as_of: u64) -> Rows {
    let mut tombstones = Vec::new();
    let mut rows = Rows::empty();
    shared.head_rows(archive, span, &mut tombstones).iter().for_each(|part| rows.append(part));
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|at| rows.times[*at]);
    rows = rows.picked(&order);
    Sight { as_of, tombstones: &tombstones }.settle(&mut rows);
    rows
}
