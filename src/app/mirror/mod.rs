//! Mirrors of devices: folders with `browse`, what was listed for them, and how a running server takes a new listing.
//!
//! ```text
//! driver lists ──► store (memory and state folder) ──► reload of the same files with the new nodes
//! ```

mod file;
mod keeper;
mod listings;
mod store;

pub use file::fuzz as fuzz_mirror;
pub(super) use keeper::{Keeper, run};
pub(super) use listings::Listings;
pub(super) use store::Store;
pub use store::with_mirrors;
