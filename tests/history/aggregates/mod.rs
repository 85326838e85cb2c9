//! The aggregates of Part 13.

mod examples;
mod memory;
mod properties;
mod published;
mod running;
mod store;
