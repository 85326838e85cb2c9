//! A read of history as a client asks for it, and how far it has come: data that a session may keep.

mod details;
mod point;

pub(crate) use details::{Details, Domain, Nearest, Processed, Raw};
pub(crate) use point::{Point, Progress, Subject, Target};
