//! Status of a value by a flag in its message.

use opcua::{StatusCode, SubStatusCode};

/// The bit of a StatusCode that says Bad, and the one that says Uncertain (Part 4 §7.39).
const BAD: u32 = 1 << 31;
const UNCERTAIN: u32 = 1 << 30;

/// The status that a flag means; the text is without JSON's quotes.
pub(super) fn status_of(flag: &str) -> StatusCode {
    let flag = flag.trim();
    if let Some(number) = number_of(flag) {
        return of_number(number);
    }
    if let Some(status) = named(flag) {
        return status;
    }
    let begins = |word: &str| flag.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    match () {
        () if begins("bad") || flag.eq_ignore_ascii_case("false") || flag == "null" => StatusCode::BadSensorFailure,
        () if begins("uncertain") => StatusCode::Uncertain,
        () => StatusCode::Good,
    }
}

/// The number that a flag is, decimal or hexadecimal; NaN for a hexadecimal one that 32 bits do not hold.
fn number_of(flag: &str) -> Option<f64> {
    let (sign, digits) = flag.strip_prefix('-').map_or((1.0, flag), |digits| (-1.0, digits));
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => Some(u32::from_str_radix(hex, 16).map_or(f64::NAN, |number| sign * f64::from(number))),
        None => flag.parse().ok(),
    }
}

/// Small numbers are qualities of one byte; others with a bit of severity are StatusCodes of a device that has OPC UA.
fn of_number(number: f64) -> StatusCode {
    match number {
        _ if number < 0.0 => {
            let code = as_code(number + 4_294_967_296.0).filter(|code| code.is_bad());
            code.unwrap_or(StatusCode::BadSensorFailure)
        }
        _ if number < 64.0 => StatusCode::BadSensorFailure,
        _ if number < 192.0 => StatusCode::Uncertain,
        // NaN, and what 32 bits do not hold.
        _ => as_code(number).unwrap_or(StatusCode::Uncertain),
    }
}

/// The StatusCode of a number of 32 bits: by its severity where no such code is known.
fn as_code(number: f64) -> Option<StatusCode> {
    // A fraction is no part of a code.
    let bits = number.trunc().to_string().parse::<u32>().ok()?;
    let known = || SubStatusCode::from_value(bits & 0xffff_0000).map(|code| StatusCode::from(code as u32));
    Some(match bits {
        _ if bits & BAD != 0 => known().filter(|code| code.is_bad()).unwrap_or(StatusCode::BadSensorFailure),
        _ if bits & UNCERTAIN != 0 => known().unwrap_or(StatusCode::Uncertain),
        _ => StatusCode::Good,
    })
}

/// The code of this name, as Part 6 has it.
fn named(name: &str) -> Option<StatusCode> {
    let code = name.parse::<SubStatusCode>().ok()?;
    Some(StatusCode::from(code as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_with_the_bits_of_a_bad_code_is_never_good() {
        let (bad, uncertain, good) = (StatusCode::BadSensorFailure, StatusCode::Uncertain, StatusCode::Good);
        for (flag, status) in [
            // Qualities of one byte.
            ("0", bad),
            ("-0", bad),
            ("63", bad),
            ("63.9", bad),
            ("64", uncertain),
            ("191", uncertain),
            ("192", good),
            ("255", good),
            ("0x0", bad),
            ("0x3F", bad),
            ("0x40", uncertain),
            ("0XC0", good),
            // Other numbers without a bit of severity.
            ("256", good),
            ("1e3", good),
            ("1073741823", good),
            // Bit 30.
            ("1073741824", uncertain),
            ("0x40000001", uncertain),
            ("1083179008", StatusCode::UncertainLastUsableValue),
            ("0x40900000", StatusCode::UncertainLastUsableValue),
            // Bit 31.
            ("2147483648", StatusCode::Bad),
            ("2150891520", StatusCode::BadNodeIdUnknown),
            ("2150891520.5", StatusCode::BadNodeIdUnknown),
            ("0x80000000", StatusCode::Bad),
            ("0x80340000", StatusCode::BadNodeIdUnknown),
            ("0X80340480", StatusCode::BadNodeIdUnknown),
            ("0x9fff0000", bad),
            ("3221225472", bad),
            ("4294967295", bad),
            ("0xffffffff", bad),
            // The same bits, read with a sign; and everything else below nothing.
            ("-2147483648", StatusCode::Bad),
            ("-2144075776", StatusCode::BadNodeIdUnknown),
            ("-0x1", bad),
            ("-1", bad),
            ("-0.5", bad),
            ("-3221225472", bad),
            ("-4294967000", bad),
            ("-1e300", bad),
            ("-inf", bad),
            // No number that means anything.
            ("nan", uncertain),
            ("-nan", uncertain),
            ("inf", uncertain),
            ("Infinity", uncertain),
            ("1e999", uncertain),
            ("4294967296", uncertain),
            ("18446744073709551615", uncertain),
            ("0x180340000", uncertain),
            ("0x", uncertain),
            ("0xbad", good),
            ("0xgood", uncertain),
            // Words.
            ("Good", good),
            ("true", good),
            ("", good),
            ("Bad", StatusCode::Bad),
            ("BadNodeIdUnknown", StatusCode::BadNodeIdUnknown),
            ("bad wire", bad),
            ("FALSE", bad),
            ("null", bad),
            ("uncertain?", uncertain),
        ] {
            assert_eq!(status_of(flag), status, "{flag}");
        }
    }
}
