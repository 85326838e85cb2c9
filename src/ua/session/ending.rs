//! The reasons for which a session ends, and how the audit words them.

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// CloseSession, with the client's name for it.
    Client(String),
    /// Silent for too long.
    Timeout,
    TrustLost,
    /// It was not activated yet, and another session needed its place.
    Evicted,
    /// All places were taken, and it was without a connection for the longest time.
    Alone,
    /// Used before it was activated.
    Misused,
    /// Its address is no longer in the networks of the server file.
    NetworkClosed,
    /// The policy or the mode of its channel is no longer offered.
    SecurityChanged,
    /// The user, or the user's way to log in, has changed.
    UserChanged,
    Shutdown,
}

/// A reason in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndingText {
    /// SourceName of the audit event (Part 5 §6.4.7, 1.05).
    pub source_name: &'static str,
    pub message: &'static str,
}

impl Ending {
    pub fn text(&self) -> EndingText {
        let terminated = |message| EndingText { source_name: "Session/Terminated", message };
        match self {
            Ending::Client(_) => EndingText { source_name: "Session/CloseSession", message: "closed by the client" },
            Ending::Timeout => EndingText { source_name: "Session/Timeout", message: "no request within its timeout" },
            Ending::TrustLost => terminated("a certificate is no longer trusted"),
            Ending::Evicted => terminated("closed for another session before it was activated"),
            Ending::Alone => terminated("closed for another session while it had no connection"),
            Ending::Misused => terminated("used before it was activated"),
            Ending::UserChanged => terminated("its user may no longer log in in this way"),
            Ending::NetworkClosed => terminated("its address is no longer in `networks` of the server file"),
            Ending::SecurityChanged => terminated("the security of its channel is no longer offered"),
            Ending::Shutdown => terminated("the server stops"),
        }
    }
}
