//! Times in messages: RFC 3339, or a number whose size tells its unit.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::value::UaTime;

/// Seconds end here (year 5138), then come milliseconds, microseconds and nanoseconds, each a thousand times further.
const MOST_SECONDS: u128 = 100_000_000_000;

/// The time of a text; `None` for a text that is none.
pub(super) fn time_of(text: &str) -> Option<UaTime> {
    let text = text.trim();
    let first = text.bytes().next()?;
    if !first.is_ascii_digit() {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+')) {
        return number(text);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let ticks = i64::try_from(time.unix_timestamp_nanos().div_euclid(100)).ok()?;
    // 1601 begins at 0, which is no time.
    UaTime::from_unix(Duration::ZERO).0.checked_add(ticks).filter(|ticks| *ticks > 0).map(UaTime)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, positive and bounded")]
fn number(text: &str) -> Option<UaTime> {
    let (whole, fraction) = match text.parse::<u128>() {
        Ok(whole) => (whole, 0.0),
        Err(_) => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number < 1e30)?;
            // A Double of seconds with a fraction keeps microseconds.
            (number.trunc() as u128, number.fract())
        }
    };
    let unit: u128 = match whole {
        whole if whole < MOST_SECONDS => 1_000_000_000,
        whole if whole < MOST_SECONDS * 1_000 => 1_000_000,
        whole if whole < MOST_SECONDS * 1_000_000 => 1_000,
        _ => 1,
    };
    let nanos = whole.checked_mul(unit)?.checked_add((fraction * unit as f64) as u128)?;
    Some(UaTime::from_unix(Duration::from_nanos(u64::try_from(nanos).ok()?)))
}
