//! The audit: its files, its chains of hashes, and its events over the wire.

mod chains;
mod devices;
mod events;
mod evidence;
mod faults;
mod files;
