//! Numbers in texts.

use crate::value::{Value, whole_part};

/// Whether the text is one decimal number, as JSON has it or with a plus sign, and nothing else.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(power) = rest.strip_prefix(['e', 'E']) {
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        let count = digits(power);
        return count > 0 && count == power.len();
    }
    rest.is_empty()
}

/// The number of a text: whole ones exactly, others as the nearest Double. `None` for a text that is no number, for one
/// beyond every float, and for one whose whole part a Double would round.
pub(super) fn number(text: &str) -> Option<Value> {
    whole(text).or_else(|| {
        let number = text.parse::<f64>().ok().filter(|number| is_number(text) && number.is_finite())?;
        (!is_rounded(text, number)).then_some(Value::Double(number))
    })
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and such a number is not compared")]
fn is_rounded(text: &str, number: f64) -> bool {
    let whole = text.split_once('.').map(|(whole, _)| whole.parse::<i128>());
    !text.contains(['e', 'E']) && whole.is_some_and(|whole| whole.is_ok_and(|whole| number as i128 != whole))
}

/// The same for a Float; one that no Float holds is a Double.
pub(super) fn single(text: &str) -> Option<Value> {
    let single = || text.parse::<f32>().ok().filter(|number| is_number(text) && number.is_finite());
    whole(text).or_else(|| single().map(Value::Float)).or_else(|| number(text))
}

/// A whole number, also one with a fraction of zeros, which no Double holds beyond 2^53.
fn whole(text: &str) -> Option<Value> {
    let digits = whole_part(text)?;
    if !is_number(text) || digits.contains(['e', 'E']) {
        return None;
    }
    digits.parse().map(Value::Int64).or_else(|_| digits.parse().map(Value::UInt64)).ok()
}
