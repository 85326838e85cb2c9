//! Reasons why values do not come, and what tags fall to.

use opcua::StatusCode;

/// Reason why a poll returned no value. Until `stale_after` the last value remains, Uncertain; then the tag gets the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// The link was never up: BadNotConnected.
    NeverConnected,
    /// The link is down: BadNoCommunication.
    LinkDown,
    /// The link is up and this device is silent, or its gateway says so: BadTimeout.
    Silent,
    /// Answers that make no sense: BadCommunicationError.
    Garbage,
    /// The device is busy: BadResourceUnavailable.
    Busy,
    /// The peer refuses the credentials: BadUserAccessDenied.
    Denied,
    /// The driver's code broke: BadInternalError at once, its last values are not trusted.
    Panicked,
}

impl Miss {
    pub fn code(self) -> StatusCode {
        match self {
            Miss::NeverConnected => StatusCode::BadNotConnected,
            Miss::LinkDown => StatusCode::BadNoCommunication,
            Miss::Silent => StatusCode::BadTimeout,
            Miss::Garbage => StatusCode::BadCommunicationError,
            Miss::Busy => StatusCode::BadResourceUnavailable,
            Miss::Denied => StatusCode::BadUserAccessDenied,
            Miss::Panicked => StatusCode::BadInternalError,
        }
    }
}

/// Quality that a tag falls to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// The last value remains, Uncertain.
    Uncertain,
    /// The value is null, and the status gives the reason.
    Bad,
}
