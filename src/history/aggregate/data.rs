//! The data of a calculation: an archive, or the samples that a monitored item holds in memory.

use super::status::Rules;
use crate::history::{Annotation, ArchiveId, Direction, Fault, Historian, Point, Span, Visitor};
use crate::value::{Sample, UaTime};

/// Samples that a search for one that isn't Bad looks at. Part 13 §3.1.8 (1.05) leaves the limit to the server.
const REACH: usize = 100_000;
const FIRST_LOOK: usize = 8;
const WIDEST_LOOK: usize = 4096;

pub(super) trait Data {
    /// Times of the first and the last sample.
    fn extent(&self) -> Result<Option<(UaTime, UaTime)>, Fault>;

    /// At most `limit` samples of the span.
    fn page(&self, span: Span, direction: Direction, limit: usize) -> Result<Vec<Sample>, Fault>;

    fn scan(&self, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault>;

    fn at(&self, times: &[UaTime]) -> Result<Vec<Option<Sample>>, Fault>;

    fn annotations(&self, span: Span) -> Result<Vec<Annotation>, Fault>;
}

pub(super) struct Archive<'a> {
    pub historian: &'a dyn Historian,
    pub id: ArchiveId,
}

impl Data for Archive<'_> {
    fn extent(&self) -> Result<Option<(UaTime, UaTime)>, Fault> {
        self.historian.extent(self.id)
    }

    fn page(&self, span: Span, direction: Direction, limit: usize) -> Result<Vec<Sample>, Fault> {
        Ok(self.historian.page(self.id, span, direction, limit, None)?.samples)
    }

    fn scan(&self, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault> {
        self.historian.scan(self.id, span, visitor)
    }

    fn at(&self, times: &[UaTime]) -> Result<Vec<Option<Sample>>, Fault> {
        self.historian.at(self.id, times)
    }

    fn annotations(&self, span: Span) -> Result<Vec<Annotation>, Fault> {
        self.historian.annotations(self.id, span)
    }
}

pub(super) fn point(sample: &Sample) -> Point {
    Point { time: sample.source_time, status: sample.status, number: sample.value.as_f64().unwrap_or(f64::NAN) }
}

/// The nearest usable sample, and whether others were passed over on the way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Nearest {
    pub point: Option<Point>,
    /// The earliest sample that was passed over.
    pub skipped: Option<UaTime>,
}

/// The last sample before the time.
pub(super) fn before(data: &dyn Data, time: UaTime) -> Result<Option<Point>, Fault> {
    let span = Span { first: UaTime(i64::MIN), last: UaTime(time.0.saturating_sub(1)) };
    Ok(data.page(span, Direction::Backward, 1)?.first().map(point))
}

/// The first sample at or after the time.
pub(super) fn from(data: &dyn Data, time: UaTime) -> Result<Option<Point>, Fault> {
    let span = Span { first: time, last: UaTime(i64::MAX) };
    Ok(data.page(span, Direction::Forward, 1)?.first().map(point))
}

/// The last usable sample before the time.
pub(super) fn usable_before(data: &dyn Data, time: UaTime, rules: &Rules) -> Result<Nearest, Fault> {
    let span = Span { first: UaTime(i64::MIN), last: UaTime(time.0.saturating_sub(1)) };
    nearest(data, span, Direction::Backward, rules)
}

/// The first usable sample at or after the time.
pub(super) fn usable_from(data: &dyn Data, time: UaTime, rules: &Rules) -> Result<Nearest, Fault> {
    nearest(data, Span { first: time, last: UaTime(i64::MAX) }, Direction::Forward, rules)
}

fn nearest(data: &dyn Data, mut span: Span, direction: Direction, rules: &Rules) -> Result<Nearest, Fault> {
    let mut found = Nearest::default();
    let (mut seen, mut look) = (0, FIRST_LOOK);
    while seen < REACH {
        let samples = data.page(span, direction, look)?;
        for sample in &samples {
            let point = point(sample);
            if rules.usable(rules.class(&point)) {
                found.point = Some(point);
                return Ok(found);
            }
            found.skipped = Some(found.skipped.map_or(point.time, |earliest| earliest.min(point.time)));
        }
        let Some(last) = samples.last().filter(|_| samples.len() == look) else { break };
        match direction {
            Direction::Forward => span.first = UaTime(last.source_time.0 + 1),
            Direction::Backward => span.last = UaTime(last.source_time.0 - 1),
        }
        seen += samples.len();
        look = (look * 4).min(WIDEST_LOOK);
    }
    Ok(found)
}
