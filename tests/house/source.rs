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

    /// The text up to the unit tests, without comments and without the content of string literals.
    pub(crate) fn product_code(&self) -> String {
        let product = self.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        split(product).0
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

/// Takes Rust source apart: the code, and the prose (comments and the content of string literals). In each the other is
/// blank, and lines keep their numbers.
pub fn split(text: &str) -> (String, String) {
    let (mut code, mut prose) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
        let (before, inside, after) = if rest.starts_with(&['/', '/']) {
            (0, rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()), 0)
        } else if rest[0] == 'r' && rest.get(1 + hashes) == Some(&'"') {
            let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let body = &rest[hashes + 2..];
            let end = (0..body.len()).find(|at| body[*at..].starts_with(&close)).unwrap_or(body.len());
            (hashes + 2, end, close.len())
        } else if rest[0] == '"' {
            let mut end = 1;
            while end < rest.len() && rest[end] != '"' {
                end += if rest[end] == '\\' { 2 } else { 1 };
            }
            (1, end - 1, 1)
        } else if rest[0] == '\'' && (rest.get(2) == Some(&'\'') || rest.get(1) == Some(&'\\')) {
            (rest.iter().skip(2).position(|c| *c == '\'').map_or(1, |end| end + 3), 0, 0)
        } else {
            (1, 0, 0)
        };
        for (place, letter) in rest.iter().take(before + inside + after).enumerate() {
            let is_prose = before <= place && place < before + inside;
            let blank = if *letter == '\n' { '\n' } else { ' ' };
            code.push(if is_prose { blank } else { *letter });
            prose.push(if is_prose { *letter } else { blank });
        }
        at += before + inside + after;
    }
    (code, prose)
}

/// Lines of code.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(without_comment)
}
