//! Who may do what with a node.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::at::At;

/// Roles that may do something; each key that is left out is inherited.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Access {
    /// Roles that may browse and read (default [AuthenticatedUser, Observer]).
    pub read: Option<Vec<At<String>>>,
    /// Roles that may write (default [Operator, Engineer]).
    pub write: Option<Vec<At<String>>>,
    /// Roles that may call methods (default [Operator, Engineer, Supervisor]).
    pub call: Option<Vec<At<String>>>,
    /// Roles that may insert, replace and delete history (default [Engineer]).
    pub edit_history: Option<Vec<At<String>>>,
    /// Values and history only over encrypted channels (SignAndEncrypt); browsing needs none (default false).
    #[schemars(extend("x-also" = ["encryption", "encryption_required"]))]
    pub encrypted: Option<bool>,
}
