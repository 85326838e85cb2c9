//! Reload: what a change of the cell file does to nodes, monitored items and values (Part 3 §9.33, Part 4 §5.8.4, 1.05).

mod cells;
mod load;
mod model;
mod nodes;
mod property;
