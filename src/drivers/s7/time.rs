//! Dates of a PLC: DATE, DATE_AND_TIME, DTL and LDT, and the times of timers. Pure, but for the zone of this host.

use chrono::{DateTime, Datelike, Local, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use opcua::StatusCode;

use super::bad::Bad;
use super::settings::Clock;
use crate::value::UaTime;

const OUT: StatusCode = StatusCode::BadOutOfRange;
/// Ticks of 100 ns in a second.
const SECOND: i64 = 10_000_000;

/// A DATE: days since 1990-01-01.
pub(crate) fn read_date(bytes: &[u8]) -> Result<UaTime, Bad> {
    let &[high, low] = bytes else { return Err(Bad::short()) };
    let days = u16::from_be_bytes([high, low]);
    let date = epoch_of_date() + TimeDelta::days(days.into());
    ticks(date.and_utc()).ok_or_else(|| no_date(bytes))
}

pub(crate) fn write_date(time: UaTime) -> Result<Vec<u8>, StatusCode> {
    let date = utc(time)?.naive_utc();
    let days = (date - epoch_of_date()).num_days();
    let is_whole = date.num_seconds_from_midnight() == 0 && date.nanosecond() == 0;
    let days = u16::try_from(days).ok().filter(|_| is_whole && date >= epoch_of_date()).ok_or(OUT)?;
    Ok(days.to_be_bytes().to_vec())
}

/// A DATE_AND_TIME: seven BCD bytes from the year to the ms, then the last digit of the ms and the day of the week.
pub(crate) fn read_dt(bytes: &[u8], clock: Clock) -> Result<UaTime, Bad> {
    let &[year, month, day, hour, minute, second, milli, last] = bytes else { return Err(Bad::short()) };
    let read = || {
        let year = bcd(year)?;
        let year = if year < 90 { 2000 + year } else { 1900 + year };
        let milli = bcd(milli)? * 10 + bcd(last >> 4)?;
        let date = NaiveDate::from_ymd_opt(year.cast_signed(), bcd(month)?, bcd(day)?)?;
        of_clock(date.and_hms_milli_opt(bcd(hour)?, bcd(minute)?, bcd(second)?, milli)?, clock)
    };
    read().ok_or_else(|| no_date(bytes))
}

pub(crate) fn write_dt(time: UaTime, clock: Clock) -> Result<Vec<u8>, StatusCode> {
    // The nearest ms.
    let time = on_clock(UaTime(time.0.saturating_add(5_000)), clock)?;
    let year = u32::try_from(time.year()).ok().filter(|year| (1990..2090).contains(year)).ok_or(OUT)? % 100;
    let milli = time.nanosecond() / 1_000_000;
    let digits = [year, time.month(), time.day(), time.hour(), time.minute(), time.second(), milli / 10];
    let mut bytes: Vec<u8> = digits.into_iter().map(to_bcd).collect();
    bytes.push(to_bcd(milli % 10) << 4 | weekday(time));
    Ok(bytes)
}

/// A DTL: year, month, day, day of the week, hour, minute, second and ns.
pub(crate) fn read_dtl(bytes: &[u8], clock: Clock) -> Result<UaTime, Bad> {
    let &[a, b, month, day, _, hour, minute, second, n0, n1, n2, n3] = bytes else { return Err(Bad::short()) };
    let read = || {
        let date = NaiveDate::from_ymd_opt(u16::from_be_bytes([a, b]).into(), month.into(), day.into())?;
        let nano = Some(u32::from_be_bytes([n0, n1, n2, n3])).filter(|nano| *nano < 1_000_000_000)?;
        of_clock(date.and_hms_nano_opt(hour.into(), minute.into(), second.into(), nano)?, clock)
    };
    read().ok_or_else(|| no_date(bytes))
}

pub(crate) fn write_dtl(time: UaTime, clock: Clock) -> Result<Vec<u8>, StatusCode> {
    let time = on_clock(time, clock)?;
    let year = u16::try_from(time.year()).ok().filter(|year| (1970..=2554).contains(year)).ok_or(OUT)?;
    let mut bytes = year.to_be_bytes().to_vec();
    for part in [time.month(), time.day(), weekday(time).into(), time.hour(), time.minute(), time.second()] {
        bytes.push(u8::try_from(part).map_err(|_| OUT)?);
    }
    bytes.extend(time.nanosecond().to_be_bytes());
    Ok(bytes)
}

/// An LDT: ns since 1970-01-01, UTC.
pub(crate) fn read_ldt(bytes: &[u8]) -> Result<UaTime, Bad> {
    let nanos: [u8; 8] = bytes.try_into().map_err(|_| Bad::short())?;
    let nanos = i64::from_be_bytes(nanos);
    (nanos >= 0).then(|| DateTime::from_timestamp_nanos(nanos)).and_then(ticks).ok_or_else(|| no_date(bytes))
}

pub(crate) fn write_ldt(time: UaTime) -> Result<Vec<u8>, StatusCode> {
    let nanos = utc(time)?.timestamp_nanos_opt().filter(|nanos| *nanos >= 0).ok_or(OUT)?;
    Ok(nanos.to_be_bytes().to_vec())
}

/// An S5TIME or a timer in ms: three decimal digits, and the base of time before them.
pub(crate) fn read_s5time(word: u16) -> Result<u32, Bad> {
    let base = [10, 100, 1_000, 10_000][usize::from(word >> 12 & 3)];
    let digits = word & 0x0fff;
    let digit = |shift: u16| Some(u32::from(digits >> shift & 15)).filter(|digit| *digit < 10);
    let count = || Some(digit(8)? * 100 + digit(4)? * 10 + digit(0)?);
    count().map(|count| count * base).ok_or_else(|| Bad::encoding(format!("{word:#06x} is no S5TIME")))
}

/// The smallest base that holds the time; a time that it cannot hold exactly is refused.
pub(crate) fn write_s5time(ms: i128) -> Result<u16, StatusCode> {
    let fits = |(_, base): &(u16, i128)| ms % base == 0 && (0..=999).contains(&(ms / base));
    let (base, unit) = [(0, 10), (1, 100), (2, 1_000), (3, 10_000)].into_iter().find(fits).ok_or(OUT)?;
    let count = u16::try_from(ms / unit).map_err(|_| OUT)?;
    let digits = [count / 100, count / 10 % 10, count % 10];
    Ok(digits.into_iter().fold(base, |word, digit| (word << 4) | digit))
}

/// A time for people.
pub(crate) fn shown(time: UaTime) -> String {
    utc(time).map_or_else(|_| "no time".to_owned(), |time| time.to_rfc3339())
}

fn epoch_of_date() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(1990, 1, 1).and_then(|date| date.and_hms_opt(0, 0, 0)).expect("a date")
}

fn no_date(bytes: &[u8]) -> Bad {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    Bad::encoding(format!("{} is no date", bytes.join(" ")))
}

/// The moment at which a clock of this zone shows this. An hour that it shows twice is the first of both; one that it
/// leaves out in spring is none.
fn of_clock(shown: NaiveDateTime, clock: Clock) -> Option<UaTime> {
    match clock {
        Clock::Utc => ticks(shown.and_utc()),
        Clock::Local => ticks(Local.from_local_datetime(&shown).earliest()?.to_utc()),
    }
}

/// The time that a clock of this zone shows at this moment. The second of two equal hours would be read back as the first one.
fn on_clock(time: UaTime, clock: Clock) -> Result<NaiveDateTime, StatusCode> {
    let utc = utc(time)?;
    match clock {
        Clock::Utc => Ok(utc.naive_utc()),
        Clock::Local => {
            let shown = utc.with_timezone(&Local).naive_local();
            let first = Local.from_local_datetime(&shown).earliest();
            if first.is_some_and(|first| first == utc) { Ok(shown) } else { Err(OUT) }
        }
    }
}

fn ticks(time: DateTime<Utc>) -> Option<UaTime> {
    let since = (time - DateTime::UNIX_EPOCH).to_std().ok()?;
    Some(UaTime::from_unix(since))
}

fn utc(time: UaTime) -> Result<DateTime<Utc>, StatusCode> {
    let nanos = u32::try_from(time.0.rem_euclid(SECOND) * 100).map_err(|_| OUT)?;
    DateTime::from_timestamp(time.unix_seconds(), nanos).ok_or(OUT)
}

/// 1 is Sunday.
fn weekday(time: NaiveDateTime) -> u8 {
    u8::try_from(time.weekday().number_from_sunday()).unwrap_or(1)
}

fn bcd(byte: u8) -> Option<u32> {
    let (high, low) = (u32::from(byte >> 4), u32::from(byte & 15));
    (high < 10 && low < 10).then_some(high * 10 + low)
}

fn to_bcd(number: u32) -> u8 {
    u8::try_from(number / 10 * 16 + number % 10).unwrap_or(0xff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> UaTime {
        ticks(text.parse::<DateTime<Utc>>().expect("a time")).expect("after 1970")
    }

    #[test]
    fn the_bytes_of_a_date_are_as_in_the_manual() {
        let moment = at("2026-11-29T23:08:15.123Z");
        let dt = [0x26, 0x11, 0x29, 0x23, 0x08, 0x15, 0x12, 0x31];
        let dtl = [0x07, 0xea, 11, 29, 1, 23, 8, 15, 0x07, 0x54, 0xd4, 0xc0];
        assert_eq!(read_dt(&dt, Clock::Utc).ok(), Some(moment));
        assert_eq!(write_dt(moment, Clock::Utc).as_deref(), Ok(&dt[..]));
        assert_eq!(read_dtl(&dtl, Clock::Utc).ok(), Some(moment));
        assert_eq!(write_dtl(moment, Clock::Utc).as_deref(), Ok(&dtl[..]));
        assert_eq!(read_dt(&[0x90, 1, 1, 0, 0, 0, 0, 0], Clock::Utc).ok(), Some(at("1990-01-01T00:00:00Z")));
        assert_eq!(read_date(&[0, 0]).ok(), Some(at("1990-01-01T00:00:00Z")));
        assert_eq!(read_date(&[0x34, 0x95]).ok(), Some(at("2026-11-09T00:00:00Z")));
        assert_eq!(read_ldt(&1_000_000_100_i64.to_be_bytes()).ok(), Some(at("1970-01-01T00:00:01.0000001Z")));
    }

    #[test]
    fn bytes_that_are_no_date_are_none() {
        for dt in [[0x26, 0x13, 1, 0, 0, 0, 0, 0], [0x26, 2, 0x30, 0, 0, 0, 0, 0], [0x2a, 1, 1, 0, 0, 0, 0, 0], [0; 8]]
        {
            assert_eq!(read_dt(&dt, Clock::Utc).map_err(|bad| bad.status), Err(StatusCode::BadDataEncodingInvalid));
        }
        assert!(read_dtl(&[0; 12], Clock::Utc).is_err(), "a DTL that was never set");
        assert!(read_dtl(&[7, 234, 11, 29, 1, 24, 0, 0, 0, 0, 0, 0], Clock::Utc).is_err());
        assert!(read_dtl(&[7, 234, 11, 29, 1, 1, 0, 0, 0xff, 0, 0, 0], Clock::Utc).is_err());
        assert!(read_ldt(&[0xff; 8]).is_err());
        for out in [at("1989-12-31T00:00:00Z"), at("2026-01-01T00:00:01Z"), at("2300-01-01T00:00:00Z")] {
            assert_eq!(write_date(out), Err(OUT));
        }
        assert_eq!(write_dt(at("2090-01-01T00:00:00Z"), Clock::Utc), Err(OUT));
        assert_eq!(write_ldt(at("2300-01-01T00:00:00Z")), Err(OUT));
    }

    #[test]
    fn the_time_of_a_timer_has_a_base() {
        for (word, ms) in [(0x0127, 1_270), (0x1127, 12_700), (0x2127, 127_000), (0x3999, 9_990_000), (0, 0)] {
            assert_eq!(read_s5time(word).ok(), Some(ms), "{word:x}");
            assert_eq!(write_s5time(ms.into()).and_then(|word| read_s5time(word).map_err(|_| OUT)), Ok(ms));
        }
        assert!(read_s5time(0x01a0).is_err());
        for out in [-10, 5, 9_995, 99_990_000, 9_990_001] {
            assert_eq!(write_s5time(out), Err(OUT), "{out}");
        }
    }

    proptest! {
        #[test]
        fn a_time_comes_back_as_it_was_written(seconds in 631_152_000_i64..3_786_912_000, milli in 0_u32..1_000) {
            let time = ticks(DateTime::from_timestamp(seconds, milli * 1_000_000).expect("a time")).expect("after 1970");
            for clock in [Clock::Utc, Clock::Local] {
                if let Ok(bytes) = write_dtl(time, clock) {
                    prop_assert_eq!(read_dtl(&bytes, clock).ok(), Some(time));
                }
                if let Ok(bytes) = write_dt(time, clock) {
                    prop_assert_eq!(read_dt(&bytes, clock).ok(), Some(time));
                }
            }
            prop_assert_eq!(write_ldt(time).ok().and_then(|bytes| read_ldt(&bytes).ok()), Some(time));
        }

        #[test]
        fn any_bytes_are_a_date_or_none(bytes in prop::collection::vec(any::<u8>(), 0..13)) {
            drop((read_dt(&bytes, Clock::Local), read_dtl(&bytes, Clock::Local), read_ldt(&bytes), read_date(&bytes)));
        }
    }
}
