//! The Session service set.

mod defects;
mod places;
