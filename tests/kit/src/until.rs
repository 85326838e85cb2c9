//! Waiting for something to become true, with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for what comes at once on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The result of an attempt: nothing yet, or a value.
pub trait Outcome {
    type Value;
    fn found(self) -> Option<Self::Value>;
}

impl Outcome for bool {
    type Value = ();
    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;
    fn found(self) -> Option<T> {
        self
    }
}

/// Tries until it is true, or some; panics with `what` after `DEADLINE`.
pub fn until<O: Outcome>(what: &str, attempt: impl FnMut() -> O) -> O::Value {
    until_within(DEADLINE, what, attempt)
}

pub fn until_within<O: Outcome>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> O) -> O::Value {
    let began = Instant::now();
    loop {
        if let Some(found) = attempt().found() {
            return found;
        }
        assert!(began.elapsed() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// As `until`, on a runtime whose clock may be paused.
pub async fn until_async<O: Outcome>(what: &str, mut attempt: impl FnMut() -> O) -> O::Value {
    let wait = async {
        loop {
            if let Some(found) = attempt().found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}
