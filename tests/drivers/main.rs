//! The drivers against devices: our own slave with faults, and other people's.

mod modbus;
