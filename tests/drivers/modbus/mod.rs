//! The Modbus driver.

mod belief;
mod faults;
mod link;
mod peers;
mod server;
mod values;
