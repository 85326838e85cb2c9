//! The state folder of a server whose files may have mistakes: found by the server file alone, with as much of it as can be
//! read.

use std::path::{Path, PathBuf};

use super::files::{Files, beside};
use super::options::Options;
use super::report::Findings;
use super::source::Source;
use crate::model::SIMULATE_FOLDER;

/// Where a server with this configuration keeps its state. Mistakes in cells and in other keys don't matter.
pub(crate) fn state_dir(files: &dyn Files, path: &Path, options: &Options) -> PathBuf {
    let file = if files.is_dir(path) { path.join("server.yaml") } else { path.to_owned() };
    let named = || {
        let text = String::from_utf8(files.read(&file).ok()?).ok()?;
        let (mut source, mut findings) = (Source::default(), Findings::default());
        let file = source.add_file(String::new(), text)?;
        let root = source.parse(file, &mut findings)?;
        let given = source.get(root, "state_dir")?;
        source.is_scalar(given).then(|| source.text(given).to_owned())
    };
    let mut folder = match &options.state_dir {
        Some(folder) => folder.clone(),
        None => beside(&file, &named().unwrap_or_else(|| "state".to_owned())),
    };
    if options.simulate {
        folder.push(SIMULATE_FOLDER);
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;

    #[test]
    fn mistakes_do_not_hide_the_folder() {
        for (server, wanted) in [
            ("schema: 1\ncells: [a.yaml]\nstate_dir: var\n", "etc/var"),
            ("schema: 1\ncells: [a.yaml]\nstate_dir: var\nnonsense: [\n", "etc/state"),
            ("schema: 9\nstate_dir: var\nno_key: 1\n", "etc/var"),
            ("schema: 1\ncells: [a.yaml]\n", "etc/state"),
        ] {
            let mut files = Memory::default();
            files.files.insert("etc/server.yaml".into(), server.as_bytes().to_vec());
            for path in ["etc", "etc/server.yaml"] {
                let found = state_dir(&files, Path::new(path), &Options::default());
                assert_eq!(found, PathBuf::from(wanted), "{server}");
            }
        }
        let own = Options { state_dir: Some("/tmp/x".into()), simulate: true, ..Options::default() };
        assert_eq!(state_dir(&Memory::default(), Path::new("nothing"), &own), PathBuf::from("/tmp/x/simulate"));
    }
}
