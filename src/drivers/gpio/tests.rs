//! Addresses, the lines of points, and a link to a chip of the tests.

mod addresses;
mod chip;
mod link;
mod watch;
