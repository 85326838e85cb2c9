//! Rules of this repository: the layers of the source, and a README whose commands work.

mod architecture;
mod imports;
mod readme;
mod shape;
mod source;
mod words;
