//! Reads the files of a cell: the only place of this room that touches the disk or the environment.
//!
//! Everything that a cell names (includes, CSV files, `${env:}`, `${file:}`) is read here, before anything is
//! compiled.

mod contents;
mod reach;

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::loaded::{CellSource, Loaded, Named, NamedFile, NamedPattern, Stamp};
use super::options::Options;
use super::outside;
use super::report::Findings;
use super::source::{Ix, Kind, Source};
use super::syntax;
use reach::{Purpose, Reach, normal};

/// Access to files and variables: the disk, or files in memory for tests and fuzzing.
pub trait Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn is_dir(&self, path: &Path) -> bool;
    /// Whether it is a file, and no device or pipe.
    fn is_file(&self, path: &Path) -> bool;
    /// Where a path leads, all links followed; an error where nothing is.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
    /// Files that match, sorted by name.
    fn glob(&self, pattern: &Path) -> Vec<PathBuf>;
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether users other than its owner and group may read the file.
    fn is_open(&self, _path: &Path) -> bool {
        false
    }
    /// The state of a file; `None` where there is none, and where files never change.
    fn stamp(&self, _path: &Path) -> Option<Stamp> {
        None
    }
}

/// The file system and the environment of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // What has no size (a device, a pipe) ends here too.
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
        }
        Ok(bytes)
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path })
    }

    fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let paths = glob::glob(&pattern.to_string_lossy());
        let mut found: Vec<PathBuf> = paths.into_iter().flatten().filter_map(Result::ok).collect();
        found.retain(|path| path.is_file());
        found.sort();
        found
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn is_open(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|data| data.mode() & 0o007 != 0)
    }

    fn stamp(&self, path: &Path) -> Option<Stamp> {
        let data = std::fs::metadata(path).ok()?;
        let nanoseconds = |seconds: i64, part: i64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Some(Stamp {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: nanoseconds(data.mtime(), data.mtime_nsec()),
            changed: nanoseconds(data.ctime(), data.ctime_nsec()),
        })
    }
}

/// Files and variables in memory.
#[derive(Debug, Default)]
pub struct Memory {
    pub files: std::collections::BTreeMap<PathBuf, Vec<u8>>,
    pub variables: std::collections::BTreeMap<String, String>,
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.files.keys().any(|file| file != path && file.starts_with(path))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let path = normal(path);
        let is_there = self.is_file(&path) || path.as_os_str().is_empty() || self.is_dir(&path);
        is_there.then_some(path).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let Ok(pattern) = glob::Pattern::new(&pattern.to_string_lossy()) else { return Vec::new() };
        self.files.keys().filter(|path| pattern.matches_path(path)).cloned().collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

const MOST_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 1_000;
pub(super) const RELATIVE: &str = "write a path relative to the file that contains it";
const SMALLEST: &str =
    "the smallest cell is:\n  schema: 1\n  cell: press\n  nodes:\n    Speed: { type: Float, value: 0 }";

struct Loader<'a> {
    files: &'a dyn Files,
    loaded: Loaded,
    findings: &'a mut Findings,
    reach: Reach,
    /// Texts of CSV files that connections name.
    tables: HashMap<u16, Arc<[u8]>>,
}

/// Reads the configuration at `path`: a folder, a server file or a cell file.
pub(crate) fn load(files: &dyn Files, path: &Path, options: &Options, findings: &mut Findings) -> Loaded {
    let mut reach = Reach::default();
    options.state_dir.iter().chain(&options.pki_dir).for_each(|folder| reach.close(folder));
    let mut loader = Loader { files, loaded: Loaded::default(), findings, reach, tables: HashMap::new() };
    if files.is_dir(path) {
        loader.folder(path)
    } else {
        loader.any_file(path)
    }
    loader.loaded
}

/// The same files and patterns as they are now.
pub(crate) fn look_again(files: &dyn Files, named: &Named) -> Named {
    let file = |file: &NamedFile| NamedFile { path: file.path.clone(), stamp: files.stamp(&file.path) };
    let pattern = |of: &NamedPattern| NamedPattern { pattern: of.pattern.clone(), found: files.glob(&of.pattern) };
    Named { files: named.files.iter().map(file).collect(), patterns: named.patterns.iter().map(pattern).collect() }
}

impl Loader<'_> {
    fn name(&mut self, path: &Path) {
        let files = self.files;
        self.loaded.named.file(path, || files.stamp(path));
    }

    fn folder(&mut self, folder: &Path) {
        let server = folder.join("server.yaml");
        self.name(&server);
        if self.files.read(&server).is_ok() {
            return self.any_file(&server);
        }
        let mut paths = Vec::new();
        for pattern in ["*.yaml", "*.yml"].map(|pattern| folder.join(pattern)) {
            let found = self.files.glob(&pattern);
            self.loaded.named.pattern(&pattern, &found);
            paths.extend(found);
        }
        for path in paths {
            self.reach.cell(folder);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Err((message, help)) = self.reach.check(self.files, &path, &name, Purpose::Yaml) {
                self.findings.error_without_place(message).help(help);
                continue;
            }
            if let Some(root) = self.parse(&path, None)
                && self.loaded.source.get(root, "cell").is_some()
            {
                self.cell(path, root);
            }
        }
        if self.loaded.cells.is_empty() && !self.findings.has_errors() {
            let message = format!("{} contains no server.yaml and no cell file", folder.display());
            self.findings.error_without_place(message).help(SMALLEST);
        }
    }

    fn any_file(&mut self, path: &Path) {
        self.name(path);
        if let Err((message, help)) = Reach::check_first(self.files, path) {
            self.findings.error_without_place(message).help(help);
            return;
        }
        self.reach.cell(folder_of(path));
        let Some(root) = self.parse(path, None) else { return };
        let source = &self.loaded.source;
        if source.get(root, "cells").is_some() {
            self.loaded.server = Some((path.to_owned(), root));
            self.cells_of_server(path, root);
        } else if source.get(root, "cell").is_some() || looks_like_cell(source, root) {
            self.cell(path.to_owned(), root);
        } else {
            let finding = self.findings.error(source, root, "this is neither a cell file nor a server file");
            finding.help("a cell file has the key `cell`, a server file the key `cells`").help(SMALLEST);
        }
    }

    fn cells_of_server(&mut self, server: &Path, root: Ix) {
        for (at, path) in self.named_files(server, root, "cells") {
            self.reach.operator(folder_of(server));
            if self.loaded.cells.iter().any(|cell| cell.path == path) {
                let message = format!("{} is named twice", path.display());
                self.findings.error(&self.loaded.source, at, message).help("delete one of the two");
            } else if let Some(root) = self.parse(&path, Some(at)) {
                self.cell(path, root);
            }
        }
    }

    /// The files that the texts in list `key` of a file name, each with the node that names it.
    fn named_files(&mut self, from: &Path, root: Ix, key: &str) -> Vec<(Ix, PathBuf)> {
        let source = &self.loaded.source;
        let Some(list) = source.get(root, key) else { return Vec::new() };
        let mut found = Vec::new();
        for at in source.children(list).filter(|at| source.kind(list) == Kind::Sequence && source.is_scalar(*at)) {
            let text = source.text(at);
            let path = beside(from, text);
            if let Err((message, help)) = self.reach.check_text(&path, text, Purpose::Yaml) {
                self.findings.error(source, at, message).help(help);
                continue;
            }
            if text.contains(['*', '?', '[']) {
                let matches = self.files.glob(&path);
                self.loaded.named.pattern(&path, &matches);
                if matches.is_empty() {
                    self.findings
                        .error(source, at, format!("no file matches `{text}`"))
                        .help(format!("looked for {}", path.display()));
                }
                found.extend(matches.into_iter().filter(|path| path != from).map(|path| (at, path)));
            } else {
                found.push((at, path));
            }
        }
        found
    }

    fn cell(&mut self, path: PathBuf, root: Ix) {
        let at = self.loaded.cells.len();
        self.loaded.cells.push(CellSource { path: path.clone(), roots: vec![(path.clone(), root)] });
        self.includes(at, &path, root, &mut vec![path.clone()]);
    }

    fn includes(&mut self, cell: usize, from: &Path, root: Ix, chain: &mut Vec<PathBuf>) {
        for (at, path) in self.named_files(from, root, "include") {
            if chain.contains(&path) {
                let names: Vec<_> = chain.iter().chain([&path]).map(|path| path.display().to_string()).collect();
                let message = format!("files include each other: {}", names.join(" -> "));
                self.findings.error(&self.loaded.source, at, message).help("delete one `include`");
                continue;
            }
            if self.loaded.cells[cell].roots.iter().any(|(other, _)| *other == path) {
                let message = format!("{} is included twice", path.display());
                self.findings.error(&self.loaded.source, at, message).help("delete one of the two");
                continue;
            }
            let Some(root) = self.parse(&path, Some(at)) else { continue };
            self.loaded.cells[cell].roots.push((path.clone(), root));
            chain.push(path.clone());
            self.includes(cell, &path, root, chain);
            chain.pop();
        }
    }

    /// A file's root node, with everything read that it names; `named_by` is where a finding about it points.
    fn parse(&mut self, path: &Path, named_by: Option<Ix>) -> Option<Ix> {
        let file = self.read(path, named_by.map(|at| (at, Purpose::Yaml)))?;
        if self.reach.is_operator() {
            self.reach.cell(folder_of(path));
        }
        let mark = self.findings.len();
        if self.findings.has_errors_in_file(file) {
            return None;
        }
        let first = self.loaded.source.len();
        let root = self.loaded.source.parse(file, self.findings);
        let Some(root) = root else {
            if !self.findings.has_errors_since(mark) {
                let place = super::source::Place { file, start: 0, end: 0 };
                self.findings.error_at(place, "this file is empty").help(SMALLEST);
            }
            return None;
        };
        if self.loaded.source.kind(root) != Kind::Mapping {
            let finding = self.findings.error(&self.loaded.source, root, "expected `key: value` lines");
            finding.help(SMALLEST);
            return None;
        }
        let is_server = named_by.is_none() && self.loaded.source.get(root, "cells").is_some();
        if is_server {
            self.reach.server(path, &self.loaded.source, root);
        }
        self.follow(path, file, first, is_server);
        if !is_server {
            self.contents(path, root);
        }
        Some(root)
    }

    fn read(&mut self, path: &Path, named_by: Option<(Ix, Purpose)>) -> Option<u16> {
        self.name(path);
        let complain = |findings: &mut Findings, source: &Source, message: String, help: &str| {
            if let Some((at, _)) = named_by {
                findings.error(source, at, message).help(help);
            } else {
                findings.error_without_place(message);
            }
        };
        let real = match named_by {
            None => Ok(path.to_owned()),
            Some((at, purpose)) => self.reach.check(self.files, path, self.loaded.source.text(at), purpose),
        };
        let real = match real {
            Ok(real) => real,
            Err((message, help)) => {
                complain(self.findings, &self.loaded.source, message, help);
                return None;
            }
        };
        let bytes = match self.files.read(&real) {
            Ok(bytes) if bytes.len() as u64 <= MOST_BYTES => bytes,
            Ok(_) => {
                complain(self.findings, &self.loaded.source, format!("{} is larger than 64 MiB", path.display()), "");
                return None;
            }
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                complain(self.findings, &self.loaded.source, message, RELATIVE);
                return None;
            }
        };
        if self.loaded.source.files.len() >= MOST_FILES {
            complain(self.findings, &self.loaded.source, format!("more than {MOST_FILES} files"), "");
            return None;
        }
        let file = self.loaded.source.add_file(path.display().to_string(), String::new())?;
        let text = syntax::decode(bytes, file, self.findings);
        self.loaded.source.files[usize::from(file)].text = text;
        Some(file)
    }

    /// Replaces `${…}` and reads CSV files for the nodes from `first` on.
    fn follow(&mut self, path: &Path, file: u16, first: usize, is_server: bool) {
        let text = &self.loaded.source.files[usize::from(file)].text;
        let (has_texts, has_rows) = (text.contains("${"), text.contains("rows"));
        if !has_texts && !has_rows {
            return;
        }
        for at in self.loaded.source.values_from(first) {
            let source = &self.loaded.source;
            if has_texts && source.is_scalar(at) && source.text(at).contains("${") {
                self.substitute(path, at, is_server);
            }
            let source = &self.loaded.source;
            if has_rows && source.is_scalar(at) && source.key_of(at).is_some_and(|key| source.text(key) == "rows") {
                self.csv(path, at);
            }
        }
    }

    fn csv(&mut self, path: &Path, at: Ix) {
        let csv = beside(path, self.loaded.source.text(at));
        if self.loaded.csv.contains_key(&csv) {
            return;
        }
        if let Some(file) = self.read(&csv, Some((at, Purpose::Rows))) {
            self.loaded.csv.insert(csv, file);
        }
    }

    fn substitute(&mut self, path: &Path, at: Ix, is_server: bool) {
        let source = &self.loaded.source;
        let word = outside::word(source, at, is_server);
        if let Ok(outside::Placed { word: outside::Word::File(name), .. }) = word {
            let (file, files) = (beside(path, name), self.files);
            self.loaded.named.file(&file, || files.stamp(&file));
        }
        let found = word.and_then(|placed| {
            let text = self.look_up(path, placed.word)?;
            Ok(format!("{}{text}{}", placed.before, placed.after))
        });
        match found {
            Ok(text) => self.loaded.source.set_secret(at, &text),
            Err((message, help)) => {
                self.findings.error(&self.loaded.source, at, message).help(help);
                self.loaded.source.set_bad(at);
            }
        }
    }

    fn look_up(&self, path: &Path, word: outside::Word<'_>) -> Result<String, (String, String)> {
        let name = match word {
            outside::Word::Variable { name, fallback } => {
                let found = self.files.variable(name).or_else(|| fallback.map(str::to_owned));
                return found.ok_or_else(|| {
                    let help = "set it, or write ${env:NAME|fallback}".to_owned();
                    (format!("the environment has no variable `{name}`"), help)
                });
            }
            outside::Word::File(name) => name,
        };
        let real = self.reach.check(self.files, &beside(path, name), name, Purpose::Secret);
        let real = real.map_err(|(message, help)| (message, help.to_owned()))?;
        let bytes = self.files.read(&real).map_err(|error| (format!("cannot read {name}: {error}"), String::new()))?;
        let text = String::from_utf8(bytes).map_err(|_| (format!("{name} is not UTF-8 text"), String::new()))?;
        Ok(text.trim_end().to_owned())
    }
}

/// A cell file that lacks its `cell` key is better called that than unknown.
fn looks_like_cell(source: &Source, root: Ix) -> bool {
    ["nodes", "connections", "types", "defaults", "schema"].iter().any(|key| source.get(root, key).is_some())
}

/// `name`, relative to the folder of `file`.
pub(crate) fn beside(file: &Path, name: &str) -> PathBuf {
    folder_of(file).join(name)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
