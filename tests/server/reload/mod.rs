//! Reload: what a change of the files does to nodes, monitored items, values and clients (Part 3 §9.33, Part 4 §5.8.4, 1.05).

mod accounts;
mod bench;
mod cells;
mod events;
mod history;
mod items;
mod load;
mod model;
mod nodes;
mod numbers;
mod property;
mod roles;
mod server_file;
mod values;
mod watching;
