//! Which files a cell file may name: those below its own folder, and never keys or state.
//!
//! A cell file may come from a stranger. What it can name with `include`, `rows` and `${file:}` is checked by its text
//! first and then by where links lead, before anything is read.

use std::path::{Component, Path, PathBuf};

use super::Files;
use crate::config::source::{Ix, Source};

/// Purpose for which a file is named; it decides how the name must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A cell file or a part of one.
    Yaml,
    Rows,
    /// `${file:}`.
    Secret,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Yaml => "YAML",
            Purpose::Rows => "CSV",
            Purpose::Secret => "text",
        }
    }
}

/// Why a file is not read, and what to write.
pub(super) type Refused = (String, &'static str);

/// Rules for the paths that the loaded files may name.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Folder of the cell file; `None` for the server file, which is the operator's own and may name any place.
    folder: Option<PathBuf>,
    /// Folder of the cell or server file.
    base: PathBuf,
    /// Folders of certificates, state and history.
    closed: Vec<PathBuf>,
}

const BELOW: &str = "move the file into the folder of the cell file or below it";
const CLOSED: &str = "name another file: a cell file cannot read keys, certificates, state or history";

impl Reach {
    /// Begins with a cell file in this folder.
    pub(crate) fn cell(&mut self, folder: &Path) {
        self.close_defaults(folder);
        self.base = normal(folder);
        self.folder = Some(normal(folder));
    }

    /// Begins with a server file, whose keys say where certificates, state and history are.
    pub(crate) fn server(&mut self, file: &Path, source: &Source, root: Ix) {
        let folder = file.parent().unwrap_or(Path::new(""));
        self.operator(folder);
        self.close_defaults(folder);
        let keys: [&[&str]; 3] = [&["state_dir"], &["security", "pki_dir"], &["history", "path"]];
        for keys in keys {
            let found = keys.iter().try_fold(root, |at, key| source.get(at, key));
            if let Some(at) = found.filter(|at| source.is_scalar(*at)) {
                self.close(&folder.join(source.text(at)));
            }
        }
    }

    /// Continues with the files that the server file in this folder names.
    pub(crate) fn operator(&mut self, folder: &Path) {
        self.base = normal(folder);
        self.folder = None;
    }

    /// Whether the server file names what is read next.
    pub(crate) fn is_operator(&self) -> bool {
        self.folder.is_none()
    }

    pub(crate) fn close(&mut self, folder: &Path) {
        self.closed.push(normal(folder));
    }

    fn close_defaults(&mut self, folder: &Path) {
        for name in ["pki", "state"] {
            self.close(&folder.join(name));
        }
    }

    /// Judges a name, or a pattern of names, by its text alone.
    pub(crate) fn check_text(&self, path: &Path, text: &str, purpose: Purpose) -> Result<(), Refused> {
        if self.closed.iter().any(|closed| lies_in(&normal(path), closed) && !self.is_own(path, closed, purpose)) {
            return Err((format!("`{text}` is in a folder of keys, state or history"), CLOSED));
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        if Path::new(text).is_absolute() {
            return Err((format!("`{text}` is an absolute path"), BELOW));
        }
        let path = normal(path);
        if path != *folder && lies_in(&path, folder) {
            return Ok(());
        }
        Err((format!("`{text}` is outside the folder of the cell file"), BELOW))
    }

    /// With `state_dir: .` the cells themselves are in a closed folder: YAML and CSV files are read from there all the same.
    fn is_own(&self, path: &Path, closed: &Path, purpose: Purpose) -> bool {
        let is_within = purpose != Purpose::Secret && lies_in(&self.base, closed);
        is_within || self.is_named_within(path, closed, purpose)
    }

    /// A cell file that the server file names there by its path.
    fn is_named_within(&self, path: &Path, closed: &Path, purpose: Purpose) -> bool {
        self.folder.is_none() && purpose == Purpose::Yaml && lies_in(&normal(path), closed)
    }

    /// Judges a file that the command line names, where it is one and no pipe.
    pub(crate) fn check_first(files: &dyn Files, path: &Path) -> Result<(), Refused> {
        let real = files.resolve(path).unwrap_or_else(|_| path.to_owned());
        if files.is_file(&real) { check_ending(&real, Purpose::Yaml) } else { Ok(()) }
    }

    /// Judges a file by its name and by where its links lead; the path to read.
    pub(crate) fn check(
        &self,
        files: &dyn Files,
        path: &Path,
        text: &str,
        purpose: Purpose,
    ) -> Result<PathBuf, Refused> {
        self.check_text(path, text, purpose)?;
        check_ending(path, purpose)?;
        let is_pattern = text.contains(['*', '?', '[']);
        let text = if is_pattern { &*path.file_name().unwrap_or_default().to_string_lossy() } else { text };
        let (name, help) = match purpose {
            Purpose::Secret => (text.to_owned(), ""),
            Purpose::Yaml | Purpose::Rows => (path.display().to_string(), super::RELATIVE),
        };
        let cannot = |error: std::io::Error| (format!("cannot read {name}: {error}"), help);
        let real = files.resolve(path).map_err(cannot)?;
        let is_in = |path: &Path, folder: &Path| files.resolve(folder).is_ok_and(|folder| path.starts_with(folder));
        let base = files.resolve(&self.base).map_err(cannot)?;
        let is_own = |closed: &Path| {
            self.is_named_within(path, closed, purpose) || is_in(&base, closed) && purpose != Purpose::Secret
        };
        if self.closed.iter().any(|closed| is_in(&real, closed) && !is_own(closed)) {
            return Err((format!("`{text}` is a link into a folder of keys, state or history"), CLOSED));
        }
        if self.folder.as_ref().is_some_and(|folder| !is_in(&real, folder)) {
            return Err((format!("`{text}` is a link to a place outside the folder of the cell file"), BELOW));
        }
        check_ending(&real, purpose)?;
        if !files.is_file(&real) {
            return Err((format!("cannot read {name}: it is not a file"), ""));
        }
        Ok(real)
    }
}

fn check_ending(path: &Path, purpose: Purpose) -> Result<(), Refused> {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    let (is_right, help) = match purpose {
        Purpose::Yaml => (ending == "yaml" || ending == "yml", "name a file that ends in .yaml or .yml"),
        Purpose::Rows => (ending == "csv", "name a file that ends in .csv"),
        Purpose::Secret => (true, ""),
    };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if is_right { Ok(()) } else { Err((format!("`{name}` is not a {} file", purpose.name()), help)) }
}

/// Whether a path is a folder or below it, by their texts; both without what a `..` takes back.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let is_same_kind = path.is_absolute() == folder.is_absolute();
    let below = path.strip_prefix(folder).ok().filter(|_| is_same_kind);
    below.is_some_and(|below| below.components().next() != Some(Component::ParentDir))
}

/// A path without `.` and without what a `..` takes back; no link is followed.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_by_its_text() {
        for (text, wanted) in [
            ("a/./b", "a/b"),
            ("./a", "a"),
            ("a/../b", "b"),
            ("a/../../b", "../b"),
            ("../../a", "../../a"),
            ("/../a", "/a"),
            ("/a/../../b", "/b"),
            ("", ""),
        ] {
            assert_eq!(normal(Path::new(text)), Path::new(wanted), "{text}");
        }
    }

    #[test]
    fn a_cell_names_only_what_lies_below_its_folder() {
        for (folder, from, text, is_good) in [
            ("", "", "a.yaml", true),
            ("", "", "parts/a.yaml", true),
            ("", "parts", "../a.yaml", true),
            ("", "parts", "../../a.yaml", false),
            ("", "", "../a.yaml", false),
            ("", "", "*/../../a.yaml", false),
            ("", "", "/etc/a.yaml", false),
            ("", "", "pki/own/key.pem", false),
            ("", "", "x/../state/a.yaml", false),
            ("", "", "statement/a.yaml", true),
            ("", "", "", false),
            ("cells", "cells", "../cells/a.yaml", true),
            ("cells", "cells", "../cells2/a.yaml", false),
            ("..", "..", "a.yaml", true),
            ("..", "..", "../a.yaml", false),
            ("/etc/cells", "/etc/cells", "a.yaml", true),
            ("/etc/cells", "/etc/cells", "/etc/cells/a.yaml", false),
        ] {
            let mut reach = Reach::default();
            reach.cell(Path::new(folder));
            let path = Path::new(from).join(text);
            assert_eq!(reach.check_text(&path, text, Purpose::Yaml).is_ok(), is_good, "{folder} {from} {text}");
        }
    }
}
