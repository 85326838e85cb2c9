//! A file that a key of the settings names, with its content. Config reads it: drivers read no files of a cell.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// A path in a cell file, relative to it, and what the file holds. The schema marks the key `x-file` with what it is: `csv`,
/// `pem` (PEM or DER), or `key`, which nobody else should be able to read. Another content is another value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FileText {
    path: String,
    bytes: Arc<[u8]>,
}

impl FileText {
    /// The path as the cell file has it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Empty until config has read the file, and for an empty file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content as text, empty until config has read the file; config has checked that a CSV file is UTF-8.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    pub(super) fn fill(&mut self, bytes: Arc<[u8]>) {
        self.bytes = bytes;
    }
}

/// The content may be a private key.
impl fmt::Debug for FileText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileText({:?})", self.path)
    }
}

impl<'de> Deserialize<'de> for FileText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileText, D::Error> {
        Ok(FileText { path: String::deserialize(deserializer)?, bytes: Arc::default() })
    }
}

impl JsonSchema for FileText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// A file of the settings, by its key.
#[derive(Debug)]
pub struct FileKey<'a> {
    pub(crate) key: &'static str,
    pub(crate) file: &'a mut FileText,
}
