//! Digital inputs and outputs of this computer, by the character devices of the Linux kernel.
//!
//! Edges come with the kernel's own time, and each second the level is read again, so that a missed edge is found.

mod address;
mod browse;
mod cdev;
mod check;
mod driver;
mod kernel;
mod listener;
mod notes;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod watch;
mod wiring;

pub(crate) use driver::Gpio;
