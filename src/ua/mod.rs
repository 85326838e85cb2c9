//! The OPC UA server: services of Part 4 over the address space and the tags.

pub mod audit;
pub mod connection;
pub mod continuation;
pub mod diagnostics;
pub mod disk_pool;
pub mod events;
pub mod facts;
pub mod history;
pub mod items;
pub mod limits;
mod outbox;
mod role_set;
pub mod server;
pub mod services;
pub mod session;
pub mod space;
pub mod subscription;
pub mod users;
