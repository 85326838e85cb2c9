//! The Subscription service set.

mod model;
mod transfer;
