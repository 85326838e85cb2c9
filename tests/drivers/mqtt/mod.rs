//! The driver of MQTT: against mosquitto, and against brokers with faults.

pub(crate) mod bench;
pub(crate) mod fake;
mod faults;
mod measure;
mod probe;
mod reload;
mod tls;
mod values;
