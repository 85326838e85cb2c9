//! The program as its users run it: its verbs, its log, its start and its end.

mod check;
mod commissioning;
mod connections;
mod full_disk;
mod history;
mod log_noise;
mod newcomer;
mod outputs;
mod reload;
mod secrets;
mod shutdown;
mod simulate;
mod verbs;
