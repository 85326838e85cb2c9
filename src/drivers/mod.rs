//! Drivers: protocols of devices, between a cell file and the tags.
//!
//! A driver is one type that implements `Driver`, in a folder of its own. This file names it twice: by the `mod` line of its
//! folder and in the list of drivers. No other file outside of the folder names it.
//!
//! A driver opens a link by one of two contracts: `Poll` asks for values, `Push` is sent values. The supervisor does retry,
//! back-off, staleness and health for both.

mod application;
mod batch;
pub(crate) mod broker;
mod contract;
mod driver;
pub(crate) mod ethernet_ip;
mod feed;
mod file_text;
mod gpio;
mod ground;
mod host;
mod http;
mod invalid;
mod keys;
mod link;
mod links;
mod listing;
pub(crate) mod modbus;
mod mqtt;
mod number;
pub(crate) mod opcua;
pub(crate) mod payload;
mod plan;
mod poll;
mod push;
mod reading;
mod registry;
mod replay;
pub(crate) mod s7;
mod schedule;
mod settings;
pub(crate) mod simulator;
pub(crate) mod sparkplug;
mod supervisor;
mod sysfs;
mod system;
pub(crate) mod tls;
#[cfg(test)]
mod toys;
mod way;
mod worker;

pub(crate) use crate::value::did_you_mean;
pub(crate) use application::{Application, Dialled};
pub(crate) use driver::{Delivery, Driver, Mirroring, NoKeys};
pub use links::{LinkChanges, Links, compare_links};
pub(crate) use listing::{BrowsePlan, Folder, Found, Kept, Listing, Mirrors, Start};
pub(crate) use listing::{Texts, free_of, with_names};
pub(crate) use plan::Enumeration;
pub use plan::{ConnectionPlan, PointPlan, PointSettings, Settings};
pub(crate) use plan::{Content, Field, Layout, PlaceError, StructPlan, Wanted};
pub(crate) use reading::{Claim, Part, PointError, ProbeLine, Reading, Remark, RemarkPlace, SettingsError};
pub(crate) use registry::{About, Visit};
pub use replay::fuzz as fuzz_recording;
pub use settings::probe;
pub(crate) use settings::{browse, needs_application, poll_plan, probe_way};
pub use supervisor::Output;
pub(crate) use supervisor::STOP_WITHIN;
pub use sysfs::fuzz as fuzz_sysfs;

registry::drivers![
    simulator::Simulator,
    modbus::Tcp,
    modbus::Rtu,
    replay::Replay,
    s7::S7,
    mqtt::Mqtt,
    sparkplug::Sparkplug,
    opcua::OpcUaClient,
    http::Http,
    ethernet_ip::EthernetIpDriver,
    gpio::Gpio,
    sysfs::Sysfs,
    #[cfg(test)]
    toys::Gauge,
    #[cfg(test)]
    toys::Ticker,
];
