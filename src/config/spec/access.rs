//! Roles that may use a node.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::at::At;

/// Roles that may read, write, call methods and edit history. A key that is left out is inherited from the node
/// above.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Access {
    /// Roles that may browse the node and read it and its history (default [AuthenticatedUser, Observer]).
    pub read: Option<Vec<At<String>>>,
    /// Roles that may write the value (default [Operator, Engineer]).
    pub write: Option<Vec<At<String>>>,
    /// Roles that may call methods (default [Operator, Engineer, Supervisor]).
    pub call: Option<Vec<At<String>>>,
    /// Roles that may insert, replace and delete history (default [Engineer]).
    pub edit_history: Option<Vec<At<String>>>,
    /// Whether values and history need an encrypted channel (SignAndEncrypt); browsing never does (default false).
    #[schemars(extend("x-also" = ["encryption", "encryption_required"]))]
    pub encrypted: Option<bool>,
}
