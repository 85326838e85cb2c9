//! Status of a value by a flag in its message.

use opcua::{StatusCode, SubStatusCode};

/// The status that a flag means; the text is without JSON's quotes.
pub(super) fn status_of(flag: &str) -> StatusCode {
    let flag = flag.trim();
    if let Ok(number) = flag.parse::<f64>() {
        return match number {
            number if (0.0..64.0).contains(&number) => StatusCode::BadSensorFailure,
            number if (64.0..192.0).contains(&number) => StatusCode::Uncertain,
            _ => StatusCode::Good,
        };
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

/// The code of this name, as Part 6 has it.
fn named(name: &str) -> Option<StatusCode> {
    let code = name.parse::<SubStatusCode>().ok()?;
    Some(StatusCode::from(code as u32))
}
