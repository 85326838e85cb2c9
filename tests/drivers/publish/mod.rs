//! Publishers: tags go out to mosquitto, and to brokers with faults.

mod bench;
mod commands;
mod devices;
mod example;
mod faults;
mod host;
mod json;
mod meaning;
mod measure;
mod peer;
mod reload;
mod sparkplug;
