//! Recordings as live signals: a CSV file with a column a signal, or an export of the server's own history.
//!
//! Each row is played when its time has come, with the time of the recording moved to the present.

mod driver;
mod notes;
mod player;
mod settings;
mod table;

pub(crate) use driver::Replay;
pub use table::fuzz;
