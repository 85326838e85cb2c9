//! The drivers against devices: our own with faults, and other people's.

mod ethernet_ip;
mod gpio;
mod http;
mod modbus;
mod mqtt;
mod opcua;
mod publish;
mod replay;
mod s7;
mod sparkplug;
mod sysfs;
mod tutorial;
