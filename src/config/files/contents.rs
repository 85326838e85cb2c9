//! Files that keys of connections name: recordings, certificates, keys.

use std::path::Path;
use std::sync::Arc;

use super::reach::Purpose;
use super::{Loader, RELATIVE, beside};
use crate::config::loaded::Content;
use crate::config::outside;
use crate::config::source::Ix;

/// Bytes of a file of certificates or of a key.
const MOST_CERTIFICATE: usize = 1 << 20;

impl Loader<'_> {
    /// Reads the files that keys of connections name.
    pub(super) fn contents(&mut self, path: &Path, root: Ix) {
        for outside::NamedBy { at, holds } in outside::files(&self.loaded.source, root) {
            let named = beside(path, self.loaded.source.text(at));
            let content = match holds {
                outside::Holds::Csv => self.table(&named, at),
                outside::Holds::Pem | outside::Holds::Key => self.certificate(&named, at, holds),
            };
            self.loaded.contents.extend(content.map(|content| (at, content)));
        }
    }

    fn table(&mut self, path: &Path, at: Ix) -> Option<Content> {
        let known = self.loaded.csv.get(path).copied();
        let file = known.or_else(|| self.read(path, Some((at, Purpose::Rows))))?;
        self.loaded.csv.insert(path.to_owned(), file);
        let source = &self.loaded.source;
        let copy = || source.files[usize::from(file)].text.as_bytes().into();
        // One copy for all connections that name the file.
        let bytes = Arc::clone(self.tables.entry(file).or_insert_with(copy));
        (!self.findings.has_errors_in_file(file)).then_some(Content { bytes, file: Some(file) })
    }

    fn certificate(&mut self, path: &Path, at: Ix, holds: outside::Holds) -> Option<Content> {
        self.name(path);
        let name = self.loaded.source.text(at).to_owned();
        let checked = self.reach.check(self.files, path, &name, Purpose::Secret);
        let read = checked.and_then(|real| {
            let bytes = self.files.read(&real).map_err(|error| (format!("cannot read {name}: {error}"), RELATIVE))?;
            if bytes.len() > MOST_CERTIFICATE {
                return Err((format!("{name} is larger than 1 MiB"), "name a file of certificates or of a key"));
            }
            Ok((real, bytes))
        });
        let source = &self.loaded.source;
        let (real, bytes) = match read {
            Ok(read) => read,
            Err((message, help)) => {
                self.findings.error(source, at, message).help(if help.is_empty() { RELATIVE } else { help });
                return None;
            }
        };
        if holds == outside::Holds::Key && self.files.is_open(&real) {
            let finding = self.findings.warning(source, at, format!("others may read {name}"));
            finding.help(format!("run: chmod 600 {name}"));
        }
        Some(Content { bytes: bytes.into(), file: None })
    }
}
