//! A disk for SQLite that fails when it is told to: full, failed writes, syncs and reads, and a power cut that takes
//! back whatever was not synced. It stands before the system's own VFS as the default one of the process.
//!
//! A sync that succeeds is not passed on: what counts here is which bytes a power cut would take. After a sync that
//! failed, the bytes that it should have saved stay readable and are lost at the power cut, as on Linux.

mod disk;
mod shim;

pub use disk::{Fault, Operation, Rule, calls, clear, power_cut, power_on, set};
pub use shim::install;
