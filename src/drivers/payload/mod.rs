//! Values in messages: JSON, text, raw bytes and CSV, read into samples and written by a template.
//!
//! Nothing here knows a protocol. A message that feeds several tags is walked once, and no tree of it is built: the members
//! that the tags name are found on the way, and all others are skipped.

mod body;
mod bytes;
mod encoding;
mod fault;
mod format;
mod fuzz;
mod json;
mod keys;
mod number;
mod quality;
mod read;
mod structure;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub(crate) use body::Body;
pub(crate) use format::Format;
pub use fuzz::fuzz;
pub(crate) use keys::{ByteOrder, Encoding, Keys, PayloadKind, RawType};
pub(crate) use read::{Found, Outcome, Reader, members_of, why_missing};
pub(crate) use structure::{PayloadPoint, place_structure};
pub(crate) use value::Want;
