//! Mistakes in a formula, with the part of the text that they are in.

use std::ops::Range;

/// A mistake, or something that is probably one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Bytes of the text.
    pub span: Range<usize>,
    pub message: String,
    /// The remedy; may be empty.
    pub help: String,
    /// The formula means something, and probably not this.
    pub is_warning: bool,
    /// The text ends where more of it is expected.
    pub is_cut: bool,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { span, message: message.into(), help: help.into(), is_warning: false, is_cut: false }
    }

    pub(super) fn cut(self) -> Fault {
        Fault { is_cut: true, ..self }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { is_warning: true, ..Fault::new(span, message, help) }
    }
}
