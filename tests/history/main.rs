//! The embedded history below the services: its store, what is recorded, and the aggregates.

mod aggregates;
mod gather;
mod store;
