//! The source files of the crate, for rules that read them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of `src`.
pub(crate) struct Source {
    /// Path below `src`, such as `ua/space/mod.rs`.
    pub path: String,
    /// Its first part, without `.rs`.
    pub room: String,
    pub text: String,
}

impl Source {
    /// The file and its folder hold tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// The text up to the unit tests, without comments.
    pub(crate) fn product_code(&self) -> String {
        let product = self.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        product.lines().map(without_comment).collect::<Vec<_>>().join("\n")
    }
}

/// All files of `src`, sorted by path.
pub(crate) fn sources() -> Vec<Source> {
    let root = root().join("src");
    let read = |path: PathBuf| {
        let below = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        let room = below.split('/').next().expect("a first part").trim_end_matches(".rs").to_owned();
        Source { room, path: below, text: fs::read_to_string(&path).expect("a readable file") }
    };
    files(&root, "rs").into_iter().map(read).collect()
}

/// The folder of the package.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder with this extension, sorted.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A line up to its comment. Two slashes inside a string literal count as a comment too; no rule minds.
pub(crate) fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Lines of code.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(without_comment)
}
