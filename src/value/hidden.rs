//! Values that no log may show.

use std::fmt;

/// A nonce, a password's hash, the token of a session: its `Debug` says only that it is there, so no log line, finding
/// or panic message can show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
