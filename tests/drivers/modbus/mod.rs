//! The Modbus driver.

mod belief;
mod change;
mod link;
mod peers;
mod server;
mod structures;
mod values;
