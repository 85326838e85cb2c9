//! Pages, scans and single samples.

use std::cell::RefCell;

use super::rows::Rows;
use super::shared::Shared;
use super::walk::{Question, Walk};
use crate::history::{ArchiveId, Cursor, Direction, Fault, Page, Point, Span, Visitor};
use crate::value::{Sample, UaTime};

pub(crate) fn page(
    shared: &Shared,
    archive: ArchiveId,
    mut span: Span,
    direction: Direction,
    limit: usize,
    resume: Option<Cursor>,
) -> Result<Page, Fault> {
    match (resume, direction) {
        (Some(cursor), Direction::Forward) => span.first = UaTime(cursor.time.0.saturating_add(1)),
        (Some(cursor), Direction::Backward) => span.last = UaTime(cursor.time.0.saturating_sub(1)),
        (None, _) => {}
    }
    loop {
        let as_of = shared.commits.pinned(archive, resume)?;
        let page = page_as_of(shared, Question { archive, span, direction, as_of }, limit);
        if !shared.commits.has_expired(as_of) {
            return page;
        }
        // A first page starts again; for a later one `pinned` returns `Expired`.
    }
}

fn page_as_of(shared: &Shared, question: Question, limit: usize) -> Result<Page, Fault> {
    let Question { direction, as_of, .. } = question;
    let mut walk = Walk::new(shared, question);
    let mut page = Page::default();
    let most = if limit == 0 { usize::MAX } else { limit };
    while let Some(run) = walk.next(&mut |_| false)? {
        let count = run.range.len().min(most - page.samples.len());
        let rows = walk.rows(&run);
        match direction {
            Direction::Forward => rows.add_samples(run.range.clone().take(count), &mut page.samples),
            Direction::Backward => rows.add_samples(run.range.clone().rev().take(count), &mut page.samples),
        }
        if count < run.range.len() {
            let last = page.samples.last().map(|sample| sample.source_time);
            page.resume = last.map(|time| Cursor { time, as_of, same: 1 });
            break;
        }
    }
    Ok(page)
}

pub(crate) fn scan(shared: &Shared, archive: ArchiveId, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault> {
    let as_of = shared.commits.pinned(archive, None)?;
    let mut walk = Walk::new(shared, Question { archive, span, direction: Direction::Forward, as_of });
    let visitor = RefCell::new(visitor);
    let mut points: Vec<Point> = Vec::new();
    while let Some(run) = walk.next(&mut |summary| visitor.borrow_mut().frame(summary))? {
        points.clear();
        let rows: &Rows = walk.rows(&run);
        points.extend(run.range.map(|at| rows.point(at)));
        visitor.borrow_mut().points(&points);
    }
    if shared.commits.has_expired(as_of) { Err(Fault::Expired) } else { Ok(()) }
}

pub(crate) fn at(shared: &Shared, archive: ArchiveId, time: UaTime) -> Result<Option<Sample>, Fault> {
    let found = page(shared, archive, Span { first: time, last: time }, Direction::Forward, 1, None)?;
    Ok(found.samples.into_iter().next())
}
