//! Numbers and Booleans in texts.

use crate::value::Value;

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

/// The number of a text: whole ones exactly, others as the nearest Double. `None` for a text that is no number, or one
/// beyond every float.
pub(super) fn number(text: &str) -> Option<Value> {
    whole(text).or_else(|| {
        let number = text.parse::<f64>().ok().filter(|number| is_number(text) && number.is_finite());
        number.map(Value::Double)
    })
}

/// The same for a Float; one that no Float holds is a Double.
pub(super) fn single(text: &str) -> Option<Value> {
    let single = || text.parse::<f32>().ok().filter(|number| is_number(text) && number.is_finite());
    whole(text).or_else(|| single().map(Value::Float)).or_else(|| number(text))
}

fn whole(text: &str) -> Option<Value> {
    if !is_number(text) || text.contains(['.', 'e', 'E']) {
        return None;
    }
    text.parse().map(Value::Int64).or_else(|_| text.parse().map(Value::UInt64)).ok()
}

/// The Boolean of a text: true false 1 0 on off yes no, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match () {
        () if is(["true", "1", "on", "yes"]) => Some(true),
        () if is(["false", "0", "off", "no"]) => Some(false),
        () => None,
    }
}
