//! The Modbus driver.

mod belief;
mod link;
mod peers;
mod server;
mod values;
