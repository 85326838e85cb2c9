//! A historian in memory, with honest summaries of small frames.

use opcell::testing::history::*;
use opcell::value::{Sample, UaTime};
use opcua::StatusCode;

pub(super) struct Memory {
    pub samples: Vec<Sample>,
    pub annotations: Vec<Annotation>,
    /// Samples a frame; 0 gives points only.
    pub frame: usize,
}

impl Memory {
    pub(super) fn new(samples: Vec<Sample>, frame: usize) -> Memory {
        Memory { samples, annotations: Vec::new(), frame }
    }

    fn inside(&self, span: Span) -> &[Sample] {
        let before = self.samples.partition_point(|sample| sample.source_time < span.first);
        let until = self.samples.partition_point(|sample| sample.source_time <= span.last);
        self.samples.get(before..until).unwrap_or(&[])
    }
}

fn point(sample: &Sample) -> Point {
    let number = sample.value.as_f64().unwrap_or(f64::NAN);
    Point { time: sample.source_time, status: sample.status, number }
}

fn extreme(points: &[Point], better: fn(f64, f64) -> bool) -> Extreme {
    let best = points.iter().fold(points[0], |best, p| if better(p.number, best.number) { *p } else { best });
    let repeats = points.iter().filter(|p| p.number == best.number).count() > 1;
    Extreme { number: best.number, time: best.time, repeats }
}

/// The summary of a frame of Good numbers.
pub(super) fn summary(points: &[Point]) -> Option<Summary> {
    if !points.iter().all(|p| p.status.bits() == 0 && p.number.is_finite()) {
        return None;
    }
    let (first, last) = (*points.first()?, *points.last()?);
    let sum: f64 = points.iter().map(|p| p.number).sum();
    let mean = sum / points.len() as f64;
    let seconds = |pair: &[Point]| (pair[1].time.0 - pair[0].time.0) as f64 / 1e7;
    let held_at_zero = points.windows(2).filter(|pair| pair[0].number == 0.0);
    Some(Summary {
        count: points.len() as u32,
        first,
        last,
        min: extreme(points, |a, b| a < b),
        max: extreme(points, |a, b| a > b),
        sum,
        deviation: points.iter().map(|p| (p.number - mean).powi(2)).sum(),
        stepped: points.windows(2).map(|pair| pair[0].number * seconds(pair)).sum(),
        sloped: points.windows(2).map(|pair| (pair[0].number + pair[1].number) / 2.0 * seconds(pair)).sum(),
        transitions: points.windows(2).filter(|pair| pair[0].number != pair[1].number).count() as u32,
        zero: held_at_zero.map(|pair| pair[1].time.0 - pair[0].time.0).sum(),
    })
}

impl Historian for Memory {
    fn page(
        &self,
        _: ArchiveId,
        span: Span,
        direction: Direction,
        limit: usize,
        _: Option<Cursor>,
    ) -> Result<Page, Fault> {
        let inside = self.inside(span).iter().cloned();
        let limit = if limit == 0 { usize::MAX } else { limit };
        let samples = match direction {
            Direction::Forward => inside.take(limit).collect(),
            Direction::Backward => inside.rev().take(limit).collect(),
        };
        Ok(Page { samples, resume: None })
    }

    fn scan(&self, _: ArchiveId, span: Span, visitor: &mut dyn Visitor) -> Result<(), Fault> {
        let points: Vec<Point> = self.samples.iter().map(point).collect();
        let size = if self.frame == 0 { usize::MAX } else { self.frame };
        for frame in points.chunks(size.min(points.len().max(1))) {
            let inside: Vec<Point> = frame.iter().filter(|p| span.holds(p.time)).copied().collect();
            let whole = if self.frame > 0 && inside.len() == frame.len() { summary(frame) } else { None };
            if whole.is_some_and(|summary| visitor.frame(&summary)) {
                continue;
            }
            if !inside.is_empty() {
                visitor.points(&inside);
            }
        }
        Ok(())
    }

    fn at(&self, _: ArchiveId, times: &[UaTime]) -> Result<Vec<Option<Sample>>, Fault> {
        Ok(times.iter().map(|time| self.inside(Span { first: *time, last: *time }).first().cloned()).collect())
    }

    fn annotations(&self, _: ArchiveId, span: Span) -> Result<Vec<Annotation>, Fault> {
        Ok(self.annotations.iter().filter(|annotation| span.holds(annotation.at)).cloned().collect())
    }

    fn extent(&self, _: ArchiveId) -> Result<Option<(UaTime, UaTime)>, Fault> {
        Ok(self.samples.first().zip(self.samples.last()).map(|(a, b)| (a.source_time, b.source_time)))
    }

    fn register(&self, _: &[ArchiveSpec]) -> Result<Vec<ArchiveId>, Fault> {
        unimplemented_here()
    }

    fn append(&self, _: &mut Vec<Row>) {}

    fn commit(&self) -> Result<(), Fault> {
        unimplemented_here()
    }

    fn modified(
        &self,
        _: ArchiveId,
        _: Span,
        _: Direction,
        _: usize,
        _: Option<Cursor>,
    ) -> Result<ModifiedPage, Fault> {
        unimplemented_here()
    }

    fn edit(&self, _: ArchiveId, _: &Edit, _: &Who) -> Result<Vec<StatusCode>, Fault> {
        unimplemented_here()
    }

    fn annotate(&self, _: ArchiveId, _: &AnnotationEdit, _: &Who) -> Result<Vec<StatusCode>, Fault> {
        unimplemented_here()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

fn unimplemented_here<T>() -> Result<T, Fault> {
    Err(Fault::Closed)
}
