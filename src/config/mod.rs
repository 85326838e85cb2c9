//! From YAML files to the compiled cell, with every mistake found in one run.
//!
//! `source` reads YAML into an arena with places, `de` turns entries into the structs of `spec`, `compile` checks
//! them against each other and builds the plant, `report` draws what was found. `files` alone touches the disk.

mod at;
mod compile;
mod csv;
mod de;
mod docs;
mod driver;
mod driver_keys;
mod files;
mod flow;
mod loaded;
mod options;
mod outside;
mod parse;
mod places;
mod reference;
mod report;
mod scalar_text;
mod schema;
mod source;
mod spec;
mod state_dir;
mod syntax;
mod template;
mod units;
mod writing;

use std::path::Path;

pub use compile::Compiled;
pub(crate) use compile::longest_chain;
pub(crate) use docs::did_you_mean;
pub use files::Memory;
pub(crate) use files::{Disk, Files};
pub(crate) use loaded::Named;
pub use options::Options;
pub use reference::{EXIT_CODES, reference};
pub use report::{Finding, Report, Severity, Shown};
pub use schema::{Which, schema};
pub(crate) use writing::{NewUser, NotWritten, add_user, remove_user, set_password};

/// Reads and compiles the configuration at `path`. The result is `None` when a finding is an error.
pub fn load(path: &Path, options: &Options) -> (Option<Compiled>, Report) {
    load_from(&Disk, path, options)
}

/// The same from any place that holds files.
pub fn load_from(files: &dyn Files, path: &Path, options: &Options) -> (Option<Compiled>, Report) {
    let mut findings = report::Findings::default();
    let loaded = files::load(files, path, options, &mut findings);
    let named = loaded.named.clone();
    let (compiled, source) = compile::compile(loaded, options, &mut findings);
    (compiled, findings.into_report(source, named))
}

/// Whether a name is that of a DataType of OPC UA that a tag may have.
pub(crate) fn is_data_type(name: &str) -> bool {
    compile::type_names().any(|known| known == name)
}

/// The files of a configuration as they are now.
pub(crate) fn look_again(named: &Named) -> Named {
    files::look_again(&Disk, named)
}

/// Where a server with the configuration at `path` keeps its state, even when its files have mistakes.
pub(crate) fn state_dir(path: &Path, options: &Options) -> std::path::PathBuf {
    state_dir::state_dir(&Disk, path, options)
}

/// Takes bytes as a cell file through everything; for the fuzzer, which looks for panics.
pub fn fuzz(bytes: &[u8]) {
    let mut files = Memory::default();
    files.files.insert("cell.yaml".into(), bytes.to_vec());
    let (_, report) = load_from(&files, Path::new("cell.yaml"), &Options::default());
    drop((report.render(Shown::Some), report.json()));
}

/// Keys and scalars of a YAML text in their order, as this reader sees them; `None` after a syntax error.
pub fn scalars(text: &str) -> Option<Vec<String>> {
    let mut source = source::Source::default();
    let mut findings = report::Findings::default();
    let file = source.add_file("text".into(), text.to_owned())?;
    let root = source.parse(file, &mut findings)?;
    let mut out = Vec::new();
    source.walk(root, &mut |source, at| match source.kind(at) {
        source::Kind::Mapping | source::Kind::Sequence => {}
        source::Kind::Null => out.push("~".to_owned()),
        _ => out.push(source.text(at).to_owned()),
    });
    Some(out)
}
