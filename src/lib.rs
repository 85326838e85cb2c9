//! An OPC UA server for machine data that one YAML file a manufacturing cell configures.
//!
//! `docs/architecture.md` is the map; each room says at its head what it is for.

pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
pub mod control;
pub mod drivers;
pub mod health;
pub mod history;
mod logging;
pub mod model;
pub mod pki;
pub mod stack;
pub mod state;
pub mod tags;
pub mod ua;
pub mod value;
