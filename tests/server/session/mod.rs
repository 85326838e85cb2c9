//! The Session service set.

mod cancel;
mod identity;
mod places;
