//! The error of the deserializer: what is wrong at which node, and what to write instead.

use std::fmt;

use serde::de;

use crate::config::docs::{did_you_mean, list};
use crate::config::source::Ix;

#[derive(Debug, Default)]
pub(crate) struct Error {
    pub at: Option<Ix>,
    pub message: String,
    pub help: String,
    /// The doc line of the key.
    pub doc: String,
    pub missing: Option<&'static str>,
}

impl Error {
    pub(crate) fn at(at: Ix, message: impl Into<String>, help: impl Into<String>) -> Error {
        Error { at: Some(at), message: message.into(), help: help.into(), ..Error::default() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    /// `what is wrong | what to write`.
    fn custom<T: fmt::Display>(text: T) -> Error {
        let text = text.to_string();
        let (message, help) = text.split_once(" | ").unwrap_or((&text, ""));
        Error { message: message.into(), help: help.into(), ..Error::default() }
    }

    fn missing_field(field: &'static str) -> Error {
        Error { missing: Some(field), message: format!("`{field}` is missing"), ..Error::default() }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Error {
        let hint = did_you_mean(variant, expected.iter().copied());
        let help = if hint.is_empty() { format!("write one of {}", list(expected.iter().copied(), 12)) } else { hint };
        Error { message: format!("`{variant}` is not allowed here"), help, ..Error::default() }
    }
}
