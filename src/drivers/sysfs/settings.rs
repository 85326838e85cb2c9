//! The keys of a folder of sensors; their doc comments are the user's reference.

/// Sensors of this computer, as files.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Settings {
    /// Folder below which all files are, as an absolute path: another than /sys for tests and containers.
    #[serde(default = "default_root")]
    #[schemars(extend("x-also" = ["path", "folder", "base"]))]
    pub root: String,
}

fn default_root() -> String {
    "/sys".to_owned()
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { root: default_root() }
    }
}
