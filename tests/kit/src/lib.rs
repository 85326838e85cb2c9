//! Code that tests and benchmarks share: servers on free ports, a raw client, devices with faults, and other
//! people's software.

pub mod bad_line;
pub mod broker;
pub mod by_hand;
pub mod changes;
pub mod device;
pub mod historian;
pub mod history;
pub mod interop;
pub mod login;
pub mod logix;
pub mod logix_wire;
pub mod machine;
pub mod peers;
pub mod plant;
pub mod plc;
pub mod program;
pub mod publication;
pub mod relay;
pub mod request;
pub mod server;
pub mod slave;
pub mod steps;
pub mod target;
pub mod ua;
pub mod until;

pub use until::until;
