//! Two drivers for tests, each in one file: all that a driver needs beside it is its line in the list.

mod gauge;
mod ticker;

pub use gauge::Gauge;
pub use ticker::Ticker;
