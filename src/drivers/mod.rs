//! Drivers: protocols of devices, between a cell file and the tags.
//!
//! A driver is one type that implements `Driver`, in a folder of its own, and one line in `registry`. It opens a link by
//! one of two contracts: `Poll` asks, `Push` is sent values. The supervisor owns retry, back-off, staleness and health
//! for both.

mod batch;
mod contract;
mod driver;
mod feed;
mod link;
pub mod modbus;
mod plan;
mod poll;
mod push;
mod reading;
mod registry;
mod schedule;
mod settings;
pub mod simulator;
mod supervisor;
#[cfg(test)]
mod toys;

pub use contract::{Answer, Exponent, LinkError, Refusal, Samples};
pub use driver::{ConnectionOf, Delivery, Driver, Keys, NoKeys, PointOf};
pub use feed::Feed;
pub use link::Link;
pub use plan::{ConnectionPlan, PointPlan, PointSettings, Settings};
pub use poll::{Ask, Poll, Round};
pub use push::Push;
pub use reading::{
    Claim, Doubt, LinkKey, Part, PlannedRequest, PointError, PollPlan, ProbeError, ProbeLine, Reading, SettingsError,
};
pub use registry::{About, DRIVERS, Visit, driver, each, named};
pub use settings::{poll_plan, probe};
pub use supervisor::{Output, STOP_WITHIN, Spawn, start};
