//! An OPC UA server for machine data. One YAML file describes a manufacturing cell.
//!
//! opcell is a program: `opcell run cell.yaml`. This crate lets another program run the same server: load a cell, start it,
//! read tags, stop it. There is no interface for own drivers or nodes; `docs/architecture.md` has the rooms inside.
//!
//! ```
//! use opcell::{Cell, LoadOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("press.yaml");
//! std::fs::write(&file, "
//! schema: 1
//! cell: press
//! connections:
//!   plc: { driver: simulator }
//! nodes:
//!   Pressure: { type: Double, unit: bar, range: [0, 10], source: sine, poll: 100ms }
//!   Target: { type: Double, unit: bar, value: 4.5, write: true }
//! ")?;
//! let options = LoadOptions {
//!     listen: Some(vec!["127.0.0.1:0".parse()?]),
//!     state_dir: Some(folder.path().join("state")),
//!     pki_dir: Some(folder.path().join("pki")),
//!     ..LoadOptions::default()
//! };
//! let cell = Cell::load(&file, options)?;
//! tokio::runtime::Runtime::new()?.block_on(async {
//!     let server = cell.start().await?;
//!     println!("clients connect to opc.tcp://{}", server.addresses()[0]);
//!     let target = server.read("Target").expect("the cell has this tag");
//!     assert_eq!(target.value, opcell::value::Value::Double(4.5));
//!     assert!(target.status.is_good());
//!     server.stop("the example ends").await;
//!     Ok::<(), opcell::StartError>(())
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! At the end the server tells its clients, writes the `on_stop` values of outputs, closes its links and saves its state.

#![deny(unreachable_pub)]

mod alarms;
mod app;
mod audit;
#[doc(hidden)]
pub mod cli;
mod config;
mod control;
mod drivers;
mod embed;
mod formula;
mod health;
mod history;
mod logging;
mod model;
mod pki;
mod publish;
mod stack;
mod state;
mod tags;
#[doc(hidden)]
pub mod testing;
mod ua;
pub mod value;

pub use app::StartError;
pub use embed::{Cell, Findings, LoadOptions, RunningServer};
