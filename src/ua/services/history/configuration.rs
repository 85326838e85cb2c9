//! What an HA Configuration says of its tag (Part 11 §5.2.2, 1.05).
//!
//! Where an archive starts is known to the disk alone: a Read that asks for it goes through the pool, and what was
//! found is remembered for a while.

use std::collections::HashMap;
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::refused;
use crate::history::Archives;
use crate::history::aggregate::Configuration;
use crate::model::{HistoryClass, HistoryDeadband, TagId};
use crate::ua::services::Context;
use crate::ua::space::Part;
use crate::value::{Sample, UaTime, Value};

/// Archives grow at their start only when old data is dropped.
const FRESH: Duration = Duration::from_secs(10);
/// More than one Read can ask for.
const MOST: usize = 20_000;
/// ExceptionDeviationFormat (Part 11 §5.2.2, 1.05).
const ABSOLUTE_VALUE: i32 = 0;
const PERCENT_OF_EU_RANGE: i32 = 3;

/// The time of the first value of an archive; `None` for an empty one.
type Start = Result<Option<UaTime>, StatusCode>;

#[derive(Debug, Default)]
pub struct Starts {
    known: Mutex<HashMap<TagId, (Instant, Start)>>,
}

impl Starts {
    fn get(&self, tag: TagId, now: Instant) -> Option<Start> {
        let known = self.known.lock();
        let (at, start) = known.get(&tag)?;
        (now.saturating_duration_since(*at) < FRESH).then_some(*start)
    }

    /// Looks them up. Runs in the pool.
    pub fn find(&self, archives: &Archives, tags: &[TagId]) {
        for tag in tags {
            let Some(archive) = archives.of(*tag) else { continue };
            let start = archives.historian.extent(archive).map_err(|fault| refused(&fault));
            let start = start.map(|extent| extent.map(|(first, _)| first));
            let mut known = self.known.lock();
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(*tag, (Instant::now(), start));
        }
    }
}

/// The value of a part; what is not known yet is put on the list of what the request wants.
pub fn sample(context: &Context<'_>, tag: TagId, part: Part) -> Result<Sample, StatusCode> {
    let class = context.plant().history_of(tag).ok_or(StatusCode::BadNotReadable)?;
    let now = UaTime::now();
    let value = match part {
        Part::StartOfArchive | Part::StartOfOnlineArchive => match context.server.starts.get(tag, context.now) {
            // Before this moment nothing is in an empty archive either.
            Some(start) => Value::DateTime(start?.unwrap_or(now)),
            None => {
                context.wanted.borrow_mut().push(tag);
                return Err(StatusCode::BadWaitingForInitialData);
            }
        },
        _ => constant(context, class, tag, part).ok_or(StatusCode::BadNotReadable)?,
    };
    Ok(Sample { value, status: StatusCode::Good, source_time: UaTime::NULL, server_time: now })
}

fn constant(context: &Context<'_>, class: &HistoryClass, tag: TagId, part: Part) -> Option<Value> {
    let millis = |span: Duration| Value::Double(span.as_secs_f64() * 1000.0);
    let defaults = Configuration::default();
    Some(match part {
        Part::Stepped => Value::Boolean(context.plant().is_stepped(tag)),
        Part::MaxTimeInterval => millis(class.max_interval),
        Part::ExceptionDeviation => match class.deadband {
            HistoryDeadband::Absolute(band) | HistoryDeadband::Percent(band) => Value::Double(band),
        },
        Part::ExceptionDeviationFormat => Value::Int32(match class.deadband {
            HistoryDeadband::Absolute(_) => ABSOLUTE_VALUE,
            HistoryDeadband::Percent(_) => PERCENT_OF_EU_RANGE,
        }),
        Part::ServerTimestampSupported => Value::Boolean(true),
        Part::MaxTimeStoredValues => millis(class.keep),
        Part::TreatUncertainAsBad => Value::Boolean(defaults.treat_uncertain_as_bad),
        Part::PercentDataBad => Value::Byte(defaults.percent_data_bad),
        Part::PercentDataGood => Value::Byte(defaults.percent_data_good),
        Part::UseSlopedExtrapolation => Value::Boolean(defaults.use_sloped_extrapolation),
        Part::Configuration
        | Part::StartOfArchive
        | Part::StartOfOnlineArchive
        | Part::AggregateConfiguration
        | Part::AggregateFunctions
        | Part::Annotations => return None,
    })
}
