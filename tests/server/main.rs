//! The server as its clients meet it: a module for each service set or subject.

mod alarms;
mod attribute;
mod audit;
mod events;
mod formulas;
mod history;
mod hostile;
mod interop;
mod limits;
mod maintenance;
mod method;
mod monitored_item;
mod permissions;
mod reload;
mod security;
mod server_object;
mod session;
mod structures;
mod subscription;
mod transport;
mod view;
