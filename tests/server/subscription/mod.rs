//! The Subscription service set.

mod lifetime;
mod model;
mod transfer;
