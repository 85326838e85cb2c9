//! Sensors that the Linux kernel shows as files: hwmon, IIO, thermal zones, and any other file below a folder.
//!
//! Numbers of devices change when a driver is loaded again, so devices are found by name, and a folder that was opened once can never
//! show another device.

mod address;
mod browse;
mod check;
mod device;
mod driver;
mod file;
mod notes;
mod places;
mod poller;
mod settings;
#[cfg(test)]
mod tests;
mod trouble;
mod value;

pub(crate) use driver::Sysfs;
pub use value::fuzz;
