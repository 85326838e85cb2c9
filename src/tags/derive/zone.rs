//! The time zone of the host.

use chrono::{Local, Offset, TimeZone};

use crate::value::UaTime;

/// Seconds that local time is ahead of UTC at this time.
pub(super) fn offset(time: UaTime) -> i32 {
    let utc = chrono::DateTime::from_timestamp(time.unix_seconds(), 0).unwrap_or_default().naive_utc();
    Local.offset_from_utc_datetime(&utc).fix().local_minus_utc()
}
