//! Two drivers for tests, each in one file. Outside of it a driver needs only its lines in `drivers`.

mod gauge;
mod ticker;

pub(crate) use gauge::Gauge;
pub(crate) use ticker::Ticker;
