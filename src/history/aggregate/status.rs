//! Which samples count as Good, and the status of a result (Part 13 §5.3 and §5.4.3.2, 1.05).

use opcua::StatusCode;

use super::{Aggregate, Configuration};
use crate::history::Point;

/// Info bits of a status whose InfoType is DataValue (Part 4 §7.39.1, 1.05).
pub(super) const CALCULATED: u32 = 0x01;
pub(super) const INTERPOLATED: u32 = 0x02;
pub(super) const PARTIAL: u32 = 0x04;
pub(super) const MULTIPLE_VALUES: u32 = 0x10;
const INFO_TYPE_DATA_VALUE: u32 = 0x400;
const CODE: u32 = 0xffff_0000;

/// The status with these info bits; none of them leaves it as it is.
pub(super) fn marked(status: StatusCode, bits: u32) -> StatusCode {
    if bits == 0 { status } else { StatusCode::from(status.bits() | INFO_TYPE_DATA_VALUE | bits) }
}

/// The code alone, as WorstQuality gives it.
pub(super) fn code(status: StatusCode) -> StatusCode {
    StatusCode::from(status.bits() & CODE)
}

/// Good or Uncertain_DataSubNormal.
pub(super) fn good_if(good: bool) -> StatusCode {
    if good { StatusCode::Good } else { StatusCode::UncertainDataSubNormal }
}

/// From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Good,
    Uncertain,
    Bad,
}

/// How one aggregate classifies samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    treat_uncertain_as_bad: bool,
    percent_data_bad: u8,
    percent_data_good: u8,
    /// A value that is no finite number is Bad.
    needs_numbers: bool,
}

impl Rules {
    pub(crate) fn new(aggregate: Aggregate, configuration: &Configuration) -> Rules {
        // "The server shall ignore the TreatUncertainAsBad for this aggregate": §5.4.3.35 and §5.4.3.36.
        let ignores = matches!(aggregate, Aggregate::WorstQuality | Aggregate::WorstQuality2);
        Rules {
            treat_uncertain_as_bad: configuration.treat_uncertain_as_bad && !ignores,
            percent_data_bad: configuration.percent_data_bad,
            percent_data_good: configuration.percent_data_good,
            needs_numbers: !aggregate.takes_anything(),
        }
    }

    pub(crate) fn class(&self, point: &Point) -> Class {
        let severity = point.status.bits() >> 30;
        if self.needs_numbers && !point.number.is_finite() {
            Class::Bad
        } else if severity == 0 {
            Class::Good
        } else if severity == 1 {
            Class::Uncertain
        } else {
            Class::Bad
        }
    }

    /// Whether a sample serves for calculation; Good ones always do.
    pub(crate) fn usable(&self, class: Class) -> bool {
        match class {
            Class::Good => true,
            Class::Uncertain => !self.treat_uncertain_as_bad,
            Class::Bad => false,
        }
    }

    /// PercentTime: ticks of each class. Uncertain time goes with the Good or the Bad.
    pub(crate) fn by_time(&self, good: i64, uncertain: i64, bad: i64) -> StatusCode {
        if self.treat_uncertain_as_bad {
            self.by_share(good, uncertain + bad, good + uncertain + bad)
        } else {
            self.by_share(good + uncertain, bad, good + uncertain + bad)
        }
    }

    /// PercentValues: samples of each class. Uncertain ones go with the Bad, or with neither: what is calculated is
    /// calculated of the Good ones alone.
    pub(crate) fn by_values(&self, good: u64, uncertain: u64, bad: u64) -> StatusCode {
        let ticks = |count: u64| i64::try_from(count).unwrap_or(i64::MAX / 4);
        let bad = if self.treat_uncertain_as_bad { bad + uncertain } else { bad };
        let total = if self.treat_uncertain_as_bad { good + bad } else { good + uncertain + bad };
        self.by_share(ticks(good), ticks(bad), ticks(total))
    }

    /// Where PercentDataGood is 100 - PercentDataBad, only PercentDataGood decides (Part 13 §4.2.1.2, 1.05).
    fn by_share(&self, good: i64, bad: i64, total: i64) -> StatusCode {
        let asks_good_alone = self.percent_data_good + self.percent_data_bad == 100;
        let reaches = |part: i64, percent: u8| i128::from(part) * 100 >= i128::from(total) * i128::from(percent);
        if reaches(good, self.percent_data_good) {
            StatusCode::Good
        } else if !asks_good_alone && reaches(bad, self.percent_data_bad) {
            StatusCode::Bad
        } else {
            StatusCode::UncertainDataSubNormal
        }
    }
}
