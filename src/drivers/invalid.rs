//! `invalid:`: raw values that mean "no value", as bit patterns of a type of number.

use serde::de::{Deserialize, Deserializer, Error};

use super::number::Number;

/// A raw value of `invalid:` as it is written: a number, or nan.
#[derive(Debug, Clone, PartialEq)]
pub struct RawNumber(pub String);

impl<'de> Deserialize<'de> for RawNumber {
    /// As a text, so that no digit is lost.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RawNumber, D::Error> {
        let text = String::deserialize(from)?;
        let number = RawNumber(text);
        match number.is_number() {
            true => Ok(number),
            false => {
                let text = &number.0;
                Err(D::Error::custom(format!(
                    "`{text}` is not a raw value | write a number, as 65535 or 0x8000, or nan"
                )))
            }
        }
    }
}

impl RawNumber {
    fn hex(&self) -> Option<u64> {
        self.0.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok())
    }

    fn is_nan(&self) -> bool {
        self.0.trim_start_matches('.').eq_ignore_ascii_case("nan")
    }

    fn is_number(&self) -> bool {
        self.hex().is_some() || self.is_nan() || self.0.parse::<f64>().is_ok()
    }

    /// The number as a float of this width, unless it is too large for it.
    fn float<F: std::str::FromStr + Copy + Into<f64>>(&self) -> Option<F> {
        let number: F = self.0.parse().ok()?;
        let says_infinity = self.0.contains(['i', 'I']);
        (number.into().is_finite() || says_infinity).then_some(number)
    }
}

impl schemars::JsonSchema for RawNumber {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "raw value".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"] })
    }
}

/// Bit patterns that mean "no value" in one raw type.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Invalid {
    patterns: Vec<u64>,
    /// Any NaN.
    nan: bool,
}

impl Invalid {
    /// Takes the number when the type can have it; says whether it can.
    pub(crate) fn add(&mut self, number: &RawNumber, raw: Number) -> bool {
        let is_float = raw.is_float();
        if number.is_nan() && is_float {
            self.nan = true;
            return true;
        }
        let pattern = match number.hex() {
            Some(pattern) => Some(pattern).filter(|pattern| pattern & !mask(raw) == 0),
            None => decimal(number, raw),
        };
        self.patterns.extend(pattern);
        // Zero has two patterns as a float.
        if is_float && number.hex().is_none() && pattern.is_some_and(|pattern| pattern << 1 & mask(raw) == 0) {
            self.patterns.extend([0, 1 << (raw.bits() - 1)]);
        }
        pattern.is_some()
    }

    /// The low bits of `pattern` are one of them.
    pub(crate) fn has(&self, raw: Number, pattern: u64) -> bool {
        let pattern = pattern & mask(raw);
        self.patterns.contains(&pattern) || self.nan && raw.float(pattern).is_some_and(f64::is_nan)
    }
}

fn mask(raw: Number) -> u64 {
    u64::MAX >> (64 - raw.bits())
}

fn decimal(number: &RawNumber, raw: Number) -> Option<u64> {
    match raw {
        Number::Float32 => number.float::<f32>().map(|number| u64::from(number.to_bits())),
        Number::Float64 => number.float::<f64>().map(f64::to_bits),
        raw => raw.bits_of_integer(number.0.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_in_the_raw_type_and_hexadecimal_is_the_pattern() {
        #[rustfmt::skip]
        let cases = [
            ("0x8000", Number::Int16, Some(0x8000)),
            ("-32768", Number::Int16, Some(0x8000)),
            ("32768", Number::Int16, None),
            ("0x18000", Number::Int16, None),
            ("0x80000000", Number::Int32, Some(0x8000_0000)),
            ("0x8000", Number::Int32, Some(0x8000)),
            ("-9999.9", Number::Int32, None),
            ("-9999.9", Number::Float32, Some(u64::from((-9999.9_f32).to_bits()))),
            ("-9999.9", Number::Float64, Some((-9999.9_f64).to_bits())),
            ("3.4028235e38", Number::Float32, Some(0x7F7F_FFFF)),
            ("0x7F7FFFFF", Number::Float32, Some(0x7F7F_FFFF)),
            ("1e39", Number::Float32, None),
            ("nan", Number::Float32, Some(0x7FC0_0001)),
            ("nan", Number::Int16, None),
            ("0", Number::Float32, Some(0x8000_0000)),
            ("18446744073709551615", Number::Uint64, Some(u64::MAX)),
            ("-1", Number::Uint64, None),
            ("0xFF", Number::Int8, Some(0xFF)),
            ("-1", Number::Int8, Some(0xFF)),
            ("9999", Number::Bcd16, Some(0x9999)),
            ("0xFFFF", Number::Bcd16, Some(0xFFFF)),
            ("65535", Number::Bcd16, None),
        ];
        for (text, raw, pattern) in cases {
            let mut invalid = Invalid::default();
            assert_eq!(invalid.add(&RawNumber(text.into()), raw), pattern.is_some(), "{text} as {raw:?}");
            if let Some(pattern) = pattern {
                assert!(invalid.has(raw, pattern), "{text} as {raw:?}");
                assert!(!invalid.has(raw, pattern ^ 2) || text == "nan", "{text} as {raw:?}");
            }
        }
    }
}
