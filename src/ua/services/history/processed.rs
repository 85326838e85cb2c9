//! Aggregates of one node, and its values at given times (Part 11 §6.5.4 and §6.5.5, 1.05).

use opcua::StatusCode;

use super::point::{Progress, Target};
use super::refused;
use super::values::Values;
use crate::history::Historian;
use crate::history::aggregate::{Aggregate, Bounding, Configuration, Request, at_time, process};
use crate::model::Plant;
use crate::stack::codec::Reader;
use crate::ua::subscription::aggregate;
use crate::value::UaTime;

/// Times that are looked up before the share of the response is asked for again.
const TIMES: usize = 1_000;

/// ReadProcessedDetails (Part 11 §6.5.4.1, 1.05).
#[derive(Debug, Clone, PartialEq)]
pub struct Processed {
    pub start: UaTime,
    pub end: UaTime,
    /// ProcessingInterval in milliseconds.
    pub interval: f64,
    /// One a node; `None` for what is no aggregate that we know.
    pub aggregates: Vec<Option<Aggregate>>,
    pub configuration: Configuration,
}

impl Processed {
    pub fn read(body: &mut Reader<'_>, most: usize) -> Result<Processed, StatusCode> {
        let (start, end, interval) = (body.time()?, body.time()?, body.f64()?);
        let count = body.count(2)?;
        if count > most {
            return Err(StatusCode::BadTooManyOperations);
        }
        let aggregates = (0..count)
            .map(|_| Ok(Aggregate::from_node_id(&body.node_id()?.to_owned())))
            .collect::<Result<Vec<_>, StatusCode>>()?;
        let configuration = aggregate::read_configuration(body)?;
        Ok(Processed { start, end, interval, aggregates, configuration })
    }
}

/// Writes as many intervals as have room; returns where to go on.
pub fn write(
    historian: &dyn Historian,
    (plant, target): (&Plant, Target),
    (processed, place): (&Processed, usize),
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, StatusCode> {
    let aggregate = processed.aggregates.get(place).copied().flatten();
    let request = Request {
        source: aggregate::source(plant, target.tag, target.archive),
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
        let (samples, rest) = process(historian, &request, next, wanted).map_err(|fault| refused(&fault))?;
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
pub fn write_at(
    historian: &dyn Historian,
    (plant, target): (&Plant, Target),
    (times, simple_bounds): (&[UaTime], bool),
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, StatusCode> {
    let source = aggregate::source(plant, target.tag, target.archive);
    let bounding = if simple_bounds { Bounding::Simple } else { Bounding::Interpolated };
    let configuration = Configuration::default();
    let mut given = usize::try_from(progress.given()).unwrap_or(usize::MAX).min(times.len());
    let mut most = TIMES;
    while given < times.len() {
        let wanted = values.wanted().min(most).min(times.len() - given);
        if wanted == 0 {
            return Ok(Some(Progress::Given(given as u64)));
        }
        let part = &times[given..given + wanted];
        let samples = at_time(historian, &source, &configuration, bounding, part).map_err(|fault| refused(&fault))?;
        if values.push_all(&samples) {
            given += wanted;
        } else {
            most = wanted / 2;
        }
    }
    Ok(None)
}
