//! No wrong value is ever Good, and no write is Good that the device did not take: random registers, and random faults
//! of the line.
//!
//! A process of its own: these tests keep every core busy, and the tests of `drivers` hold time-outs of real devices.

mod lines;
mod map;
mod reckon;
mod registers;
