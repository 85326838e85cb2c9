//! An OPC UA server for machine data that one YAML file a manufacturing cell configures.
//!
//! `docs/architecture.md` is the map; each room says at its head what it is for.

pub mod cli;
pub mod config;
pub mod drivers;
pub mod health;
pub mod model;
pub mod pki;
pub mod stack;
pub mod tags;
pub mod value;
