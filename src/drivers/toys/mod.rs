//! Two drivers for tests, each in one file: all that a driver needs beside it is its line in the list.

mod gauge;
mod ticker;

pub(crate) use gauge::Gauge;
pub(crate) use ticker::Ticker;
