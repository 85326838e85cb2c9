//! A login that is refused, and texts that a client gives of itself.

use opcua::StatusCode;

use crate::ua::users::NoLogin;
use crate::value::is_plain;

/// Texts that a client gives of itself are cut to this many characters.
const MAX_TEXT: usize = 1024;

/// A text that a client gave, cut, and without what could break a line of the log.
pub(crate) fn kept(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// A refused login: the client learns the status, the operator the reason.
#[derive(Debug)]
pub struct LoginRefused {
    pub status: StatusCode,
    /// The user that the token names; empty where it names none.
    pub name: String,
    pub why: Option<NoLogin>,
}

impl From<StatusCode> for LoginRefused {
    fn from(status: StatusCode) -> LoginRefused {
        LoginRefused { status, name: String::new(), why: None }
    }
}

impl LoginRefused {
    pub fn because(name: &str, why: NoLogin) -> LoginRefused {
        LoginRefused { status: StatusCode::BadIdentityTokenRejected, name: kept(name), why: Some(why) }
    }
}
