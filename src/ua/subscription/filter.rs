//! DataChangeFilter: which changes of a value enter an item's queue.

use opcua::StatusCode;

use crate::stack::codec::{ExtensionRef, Reader};
use crate::tags::leaves_deadband;
use crate::ua::filter_types::{AGGREGATE_FILTER, DATA_CHANGE_FILTER, EVENT_FILTER};
use crate::value::Sample;

/// DataChangeTrigger (Part 4 §7.10, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trigger {
    Status,
    #[default]
    StatusValue,
    StatusValueTimestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DataFilter {
    pub trigger: Trigger,
    /// Absolute, in the tag's unit; 0 for none. A percent deadband is turned into this.
    pub deadband: f64,
    /// The deadband is this part of EURange, in percent.
    pub percent: Option<f64>,
}

/// Properties of the Variable that a filter is checked against.
#[derive(Debug, Clone, Copy)]
pub struct FilterSubject {
    pub is_number: bool,
    pub range: Option<(f64, f64)>,
}

impl DataFilter {
    /// A filter as the client sent it; no filter is STATUS_VALUE without deadband.
    pub fn read(filter: ExtensionRef<'_>, subject: FilterSubject) -> Result<DataFilter, StatusCode> {
        let Some(kind) = filter.type_id.standard() else { return Err(StatusCode::BadMonitoredItemFilterInvalid) };
        if filter.type_id.is_null() {
            return Ok(DataFilter::default());
        }
        match (kind, filter.body) {
            (DATA_CHANGE_FILTER, Some(body)) => Self::read_body(&mut Reader::new(body), subject),
            (EVENT_FILTER, _) => Err(StatusCode::BadFilterNotAllowed),
            (AGGREGATE_FILTER, _) => Err(StatusCode::BadMonitoredItemFilterUnsupported),
            _ => Err(StatusCode::BadMonitoredItemFilterInvalid),
        }
    }

    fn read_body(body: &mut Reader<'_>, subject: FilterSubject) -> Result<DataFilter, StatusCode> {
        let invalid = |_| StatusCode::BadMonitoredItemFilterInvalid;
        let trigger = match body.i32().map_err(invalid)? {
            0 => Trigger::Status,
            1 => Trigger::StatusValue,
            2 => Trigger::StatusValueTimestamp,
            _ => return Err(StatusCode::BadMonitoredItemFilterInvalid),
        };
        let kind = body.u32().map_err(invalid)?;
        let amount = body.f64().map_err(invalid)?;
        let percent = Some(amount).filter(|_| kind == 2);
        let deadband = match kind {
            0 => 0.0,
            _ if !subject.is_number => return Err(StatusCode::BadFilterNotAllowed),
            1 if amount.is_finite() && amount >= 0.0 => amount,
            2 => match subject.range {
                None => return Err(StatusCode::BadMonitoredItemFilterUnsupported),
                Some((low, high)) if (0.0..=100.0).contains(&amount) => part_of(high - low, amount),
                Some(_) => return Err(StatusCode::BadDeadbandFilterInvalid),
            },
            1 => return Err(StatusCode::BadDeadbandFilterInvalid),
            _ => return Err(StatusCode::BadMonitoredItemFilterUnsupported),
        };
        Ok(DataFilter { trigger, deadband, percent })
    }

    /// Holds the filter against its Variable after a reload: a percent deadband is counted again, from the new range.
    pub(crate) fn renew(&mut self, subject: FilterSubject) -> Result<(), StatusCode> {
        if self.deadband != 0.0 && !subject.is_number {
            return Err(StatusCode::BadMonitoredItemFilterUnsupported);
        }
        if let Some(percent) = self.percent {
            let (low, high) = subject.range.ok_or(StatusCode::BadMonitoredItemFilterUnsupported)?;
            self.deadband = part_of(high - low, percent);
        }
        Ok(())
    }

    /// Whether `new` differs from `last`, the last sample that entered the queue.
    pub fn passes(&self, last: &Sample, new: &Sample) -> bool {
        if last.status.bits() & !0xffff != new.status.bits() & !0xffff {
            return true;
        }
        match self.trigger {
            Trigger::Status => false,
            Trigger::StatusValue => leaves_deadband(&last.value, &new.value, self.deadband),
            Trigger::StatusValueTimestamp => {
                last.source_time != new.source_time || leaves_deadband(&last.value, &new.value, self.deadband)
            }
        }
    }
}

fn part_of(span: f64, percent: f64) -> f64 {
    span * percent / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::codec::Writer;
    use crate::value::{UaTime, Value};

    fn filter(trigger: i32, kind: u32, amount: f64, subject: FilterSubject) -> Result<DataFilter, StatusCode> {
        let mut w = Writer::new();
        w.i32(trigger);
        w.u32(kind);
        w.f64(amount);
        DataFilter::read_body(&mut Reader::new(&w.buf), subject)
    }

    #[test]
    fn a_deadband_needs_a_number_and_a_percent_deadband_a_range() {
        let number = FilterSubject { is_number: true, range: None };
        let ranged = FilterSubject { is_number: true, range: Some((-20.0, 180.0)) };
        let text = FilterSubject { is_number: false, range: None };
        for (kind, amount, subject, deadband) in [
            (1, 0.5, number, Ok(0.5)),
            (2, 1.0, ranged, Ok(2.0)),
            (2, 1.0, number, Err(StatusCode::BadMonitoredItemFilterUnsupported)),
            (2, 101.0, ranged, Err(StatusCode::BadDeadbandFilterInvalid)),
            (1, -1.0, number, Err(StatusCode::BadDeadbandFilterInvalid)),
            (1, f64::NAN, number, Err(StatusCode::BadDeadbandFilterInvalid)),
            (1, 0.5, text, Err(StatusCode::BadFilterNotAllowed)),
            (0, 0.5, text, Ok(0.0)),
            (7, 0.5, number, Err(StatusCode::BadMonitoredItemFilterUnsupported)),
        ] {
            assert_eq!(filter(1, kind, amount, subject).map(|f| f.deadband), deadband, "kind {kind} {amount}");
        }
    }

    #[test]
    fn a_change_of_status_alone_is_news() {
        let sample = |value: f64, status: StatusCode, time: i64| Sample {
            value: Value::Double(value),
            status,
            source_time: UaTime(time),
            server_time: UaTime(time),
        };
        let good = |value, time| sample(value, StatusCode::Good, time);
        let bad = |value, time| sample(value, StatusCode::BadNoCommunication, time);
        use Trigger::{Status, StatusValue, StatusValueTimestamp};
        for (trigger, deadband, last, new, news) in [
            (StatusValue, 0.0, good(1.0, 1), bad(1.0, 1), true),
            (Status, 0.0, good(1.0, 1), bad(1.0, 1), true),
            (Status, 0.0, good(1.0, 1), good(2.0, 2), false),
            (StatusValue, 0.0, good(1.0, 1), good(1.0, 2), false),
            (StatusValueTimestamp, 0.0, good(1.0, 1), good(1.0, 2), true),
            (StatusValue, 0.5, good(10.0, 1), good(10.5, 2), false),
            (StatusValue, 0.5, good(10.0, 1), good(10.6, 2), true),
            (StatusValue, 0.5, good(10.0, 1), good(f64::NAN, 2), true),
            (StatusValue, 0.5, good(f64::NAN, 1), good(f64::NAN, 2), false),
        ] {
            let filter = DataFilter { trigger, deadband, percent: None };
            assert_eq!(filter.passes(&last, &new), news, "{trigger:?} {deadband} {last:?} -> {new:?}");
        }
    }
}
