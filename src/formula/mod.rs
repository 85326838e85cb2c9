//! Formulas: text to flat code, and its runs. Pure: a run is told the time and given its inputs.
//!
//! The room knows no tags. A formula has numbered inputs; its user gives their types when it is compiled and their
//! samples when it runs. So tags, alarms and methods use it alike.

mod calls;
mod check;
mod fault;
mod functions;
mod fuzz;
mod lexer;
mod memory;
mod operand;
mod parse;
mod place;
mod program;
mod run;
mod tree;
mod types;
mod window;

pub(crate) use check::syntax;
pub use check::{Compiled, compile};
pub use fault::Fault;
pub use fuzz::fuzz;
pub use memory::Memory;
pub use operand::Moments;
pub use program::{Cause, Program};
pub use run::{Inputs, Outcome, Stack};
pub use types::{Dimensions, Enumeration, Found, Lookup, Names, Type, Want};
