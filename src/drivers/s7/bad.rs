//! Why a value of a reply is none.

use std::borrow::Cow;

use opcua::StatusCode;

/// The status of a value that is none, and the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub status: StatusCode,
    pub why: Cow<'static, str>,
}

impl Bad {
    pub(crate) fn encoding(why: String) -> Bad {
        Bad { status: StatusCode::BadDataEncodingInvalid, why: why.into() }
    }

    /// Fewer bytes than the value has; replies are compared with their requests before.
    pub(crate) fn short() -> Bad {
        Bad { status: StatusCode::BadDecodingError, why: "the reply is too short".into() }
    }
}
