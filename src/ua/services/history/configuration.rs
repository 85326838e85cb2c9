//! Values of a tag's HA Configuration (Part 11 §5.2.2, 1.05).

use std::time::Duration;

use opcua::StatusCode;

use crate::history::aggregate::Configuration;
use crate::model::{HistoryClass, HistoryDeadband, TagId};
use crate::ua::services::Context;
use crate::ua::space::HistoricalProperty;
use crate::value::{Sample, UaTime, Value};

/// ExceptionDeviationFormat (Part 11 §5.2.2, 1.05).
const ABSOLUTE_VALUE: i32 = 0;
const PERCENT_OF_EU_RANGE: i32 = 3;

/// The value of a part; what is not known yet is put on the list of what the request wants.
pub(crate) fn sample(context: &Context<'_>, tag: TagId, part: HistoricalProperty) -> Result<Sample, StatusCode> {
    let class = context.plant().history_of(tag).ok_or(StatusCode::BadNotReadable)?;
    let now = context.now.wall;
    let value = match part {
        HistoricalProperty::StartOfArchive | HistoricalProperty::StartOfOnlineArchive => {
            match context.server.history.starts.get(tag, context.now.mono) {
                // Before this moment nothing is in an empty archive either.
                Some(start) => Value::DateTime(start?.unwrap_or(now)),
                None => {
                    context.wanted.borrow_mut().push(tag);
                    return Err(StatusCode::BadWaitingForInitialData);
                }
            }
        }
        _ => constant(context, class, tag, part).ok_or(StatusCode::BadNotReadable)?,
    };
    Ok(Sample { value, status: StatusCode::Good, source_time: UaTime::NULL, server_time: now })
}

fn constant(context: &Context<'_>, class: &HistoryClass, tag: TagId, part: HistoricalProperty) -> Option<Value> {
    let millis = |span: Duration| Value::Double(span.as_secs_f64() * 1000.0);
    let defaults = Configuration::default();
    Some(match part {
        HistoricalProperty::Stepped => Value::Boolean(context.plant().is_stepped(tag)),
        HistoricalProperty::MaxTimeInterval => millis(class.max_interval),
        HistoricalProperty::ExceptionDeviation => match class.deadband {
            HistoryDeadband::Absolute(band) | HistoryDeadband::Percent(band) => Value::Double(band),
        },
        HistoricalProperty::ExceptionDeviationFormat => Value::Int32(match class.deadband {
            HistoryDeadband::Absolute(_) => ABSOLUTE_VALUE,
            HistoryDeadband::Percent(_) => PERCENT_OF_EU_RANGE,
        }),
        HistoricalProperty::ServerTimestampSupported => Value::Boolean(true),
        HistoricalProperty::MaxTimeStoredValues => millis(class.keep),
        HistoricalProperty::TreatUncertainAsBad => Value::Boolean(defaults.treat_uncertain_as_bad),
        HistoricalProperty::PercentDataBad => Value::Byte(defaults.percent_data_bad),
        HistoricalProperty::PercentDataGood => Value::Byte(defaults.percent_data_good),
        HistoricalProperty::UseSlopedExtrapolation => Value::Boolean(defaults.use_sloped_extrapolation),
        HistoricalProperty::Configuration
        | HistoricalProperty::StartOfArchive
        | HistoricalProperty::StartOfOnlineArchive
        | HistoricalProperty::AggregateConfiguration
        | HistoricalProperty::AggregateFunctions
        | HistoricalProperty::Annotations => return None,
    })
}
