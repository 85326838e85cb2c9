//! Aggregates of one node, and its values at given times (Part 11 §6.5.4 and §6.5.5, 1.05).

use opcua::StatusCode;

use super::refused;
use super::values::Values;
use crate::history::Historian;
use crate::history::aggregate::{Bounding, Configuration, Request, Source, at_time, process};
use crate::model::Plant;
use crate::ua::history::{Processed, Progress, Target};
use crate::ua::subscription::aggregate;
use crate::value::UaTime;

/// Times that are looked up before the share of the response is asked for again.
const TIMES: usize = 1_000;

/// The archive that is read, and the tag that it belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub historian: &'a dyn Historian,
    pub plant: &'a Plant,
    pub target: Target,
}

impl Asked<'_> {
    fn source(self) -> Source {
        aggregate::source(self.plant, self.target.tag, self.target.archive)
    }
}

/// Writes as many intervals as fit; returns where to continue.
pub(crate) fn write(
    of: Asked<'_>,
    processed: &Processed,
    place: usize,
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, StatusCode> {
    let aggregate = processed.aggregates.get(place).copied().flatten();
    let request = Request {
        source: of.source(),
        aggregate: aggregate.ok_or(StatusCode::BadAggregateNotSupported)?,
        configuration: processed.configuration,
        start: processed.start,
        end: processed.end,
        interval: processed.interval,
    };
    let mut next = progress.given();
    let mut most = usize::MAX;
    loop {
        let wanted = values.wanted().min(most);
        if wanted == 0 {
            return Ok(Some(Progress::Given(next)));
        }
        let (samples, rest) = process(of.historian, &request, next, wanted).map_err(|fault| refused(&fault))?;
        if !values.push_all(&samples) {
            most = wanted / 2;
            continue;
        }
        match rest {
            Some(rest) => next = rest,
            None => return Ok(None),
        }
    }
}

/// One value for each time, in the order of the times.
pub(crate) fn write_at(
    of: Asked<'_>,
    times: &[UaTime],
    bounding: Bounding,
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, StatusCode> {
    let source = of.source();
    let configuration = Configuration::default();
    let mut given = usize::try_from(progress.given()).unwrap_or(usize::MAX).min(times.len());
    let mut most = TIMES;
    while given < times.len() {
        let wanted = values.wanted().min(most).min(times.len() - given);
        if wanted == 0 {
            return Ok(Some(Progress::Given(given as u64)));
        }
        let part = &times[given..given + wanted];
        let samples =
            at_time(of.historian, &source, &configuration, bounding, part).map_err(|fault| refused(&fault))?;
        if values.push_all(&samples) {
            given += wanted;
        } else {
            most = wanted / 2;
        }
    }
    Ok(None)
}
