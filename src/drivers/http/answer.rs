//! Statuses of answers as those of tags and of writes.

use hyper::StatusCode as Status;
use opcua::StatusCode;

/// A refusal in words, and the status that it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub code: StatusCode,
    pub why: String,
}

/// The meaning of a status for the tags of a request; `None`: the answer has values.
pub(super) fn refusal(status: Status, what: &str) -> Option<Refused> {
    if status.is_success() {
        return None;
    }
    let number = status.as_u16();
    let (code, says) = match number {
        401 | 403 => (StatusCode::BadUserAccessDenied, "the server does not let this user have it"),
        404 | 410 => (StatusCode::BadConfigurationError, "there is no such path"),
        408 | 425 | 429 => (StatusCode::BadResourceUnavailable, "the server is asked too often, or is busy"),
        301 | 302 | 303 | 307 | 308 => (StatusCode::BadConfigurationError, "the server sends this request elsewhere"),
        400..=499 => (StatusCode::BadConfigurationError, "the server does not take this request"),
        500..=599 => (StatusCode::BadDeviceFailure, "the server has failed"),
        _ => (StatusCode::BadCommunicationError, "this answer has no meaning here"),
    };
    let name = status.canonical_reason().map_or_else(String::new, |name| format!(" {name}"));
    Some(Refused { code, why: format!("{what}: {says} (HTTP {number}{name})") })
}

/// The status of a write.
pub(super) fn of_write(status: Status) -> StatusCode {
    match status.as_u16() {
        200..=299 => StatusCode::Good,
        401 | 403 => StatusCode::BadUserAccessDenied,
        429 => StatusCode::BadResourceUnavailable,
        400..=499 => StatusCode::BadConfigurationError,
        _ => StatusCode::BadDeviceFailure,
    }
}
