//! Reasons why a message gives no value, in words.

use std::sync::Arc;

use opcua::StatusCode;

/// The reason why a message gives no value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub code: StatusCode,
    /// The reason after the name of the place, as "is no number: `x`".
    pub text: String,
    /// It is about the message as a whole, and not about a member.
    pub is_whole: bool,
}

impl Fault {
    pub(crate) fn unreadable(text: String) -> Fault {
        Fault { code: StatusCode::BadDataEncodingInvalid, text, is_whole: false }
    }

    pub(crate) fn of_message(text: String) -> Fault {
        Fault { is_whole: true, ..Fault::unreadable(text) }
    }

    pub(crate) fn absent(code: StatusCode, text: String) -> Fault {
        Fault { code, ..Fault::unreadable(text) }
    }
}

/// The beginning of a text from outside, for a sentence.
pub(super) fn start_of(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

pub(super) fn null() -> Fault {
    Fault::absent(StatusCode::BadSensorFailure, "is null: the device has no value".to_owned())
}

/// Text of a reason, shared by samples.
pub(super) fn reason(place: &str, path: &str, fault: &Fault) -> Arc<str> {
    let at = if path.is_empty() || fault.is_whole { String::new() } else { format!("{path} of ") };
    format!("{at}the message on {place} {}", fault.text).into()
}
