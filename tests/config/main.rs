//! Configuration files: findings, plans, schemas, and what a file may reach.

mod cases;
mod files;
mod many;
mod plans;
mod reach;
mod schema;
mod server_keys;
