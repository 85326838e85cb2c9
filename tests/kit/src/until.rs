//! Waiting for something to become true, with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for what comes at once on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The result of an attempt: a value, or the reason why there is none yet.
pub trait Outcome {
    type Value;
    fn found(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();
    fn found(self) -> Result<(), String> {
        if self { Ok(()) } else { Err(String::new()) }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;
    fn found(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

impl<T> Outcome for Result<T, String> {
    type Value = T;
    fn found(self) -> Result<T, String> {
        self
    }
}

/// Tries until it is true, some or good; panics with `what` and the last reason after `DEADLINE`.
pub fn until<O: Outcome>(what: &str, attempt: impl FnMut() -> O) -> O::Value {
    until_within(DEADLINE, what, attempt)
}

pub fn until_within<O: Outcome>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> O) -> O::Value {
    let began = Instant::now();
    loop {
        let reason = match attempt().found() {
            Ok(found) => return found,
            Err(reason) => reason,
        };
        assert!(began.elapsed() < deadline, "never: {what} {reason}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// As `until`, on a runtime whose clock may be paused.
pub async fn until_async<O: Outcome>(what: &str, mut attempt: impl FnMut() -> O) -> O::Value {
    let wait = async {
        loop {
            if let Ok(found) = attempt().found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}
