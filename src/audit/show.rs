//! Records read back for people.

use std::path::Path;

use super::AuditError;
use super::head::Places;
use super::line::{Field, Line, push_field};

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Seconds since 1970.
    pub since: Option<i64>,
    /// A kind, or the beginning of several: `session`, `certificate.untrusted`.
    pub kind: Option<String>,
}

/// One record as it stands in a file.
#[derive(Debug, Clone)]
pub struct Shown {
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Shown {
    /// `None` for what is no record.
    pub fn parse(line: &[u8]) -> Option<Shown> {
        Line::parse(line)?;
        serde_json::from_slice(line).ok().map(|fields| Shown { fields })
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// `2026-11-21T20:15:03.123456Z write status=Good user=eva node=… old=1 new=2`.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for name in ["time", "kind"] {
            // Whoever forged the file must not forge the terminal.
            let text: String = self.field(name).unwrap_or("?").chars().filter(|c| c.is_ascii_graphic()).collect();
            out.push_str(&text);
            out.push(' ');
        }
        out.pop();
        for (name, value) in &self.fields {
            if matches!(name.as_str(), "n" | "time" | "kind" | "chain") || !name.bytes().all(|b| b.is_ascii_lowercase())
            {
                continue;
            }
            match value {
                serde_json::Value::String(text) => push_field(&mut out, name, Field::Text(text)),
                other => push_field(&mut out, name, Field::Text(&other.to_string())),
            }
        }
        out
    }

    fn fits(&self, filter: &Filter) -> bool {
        let kind = self.field("kind").unwrap_or_default();
        let is_kind = filter.kind.as_deref().is_none_or(|wanted| {
            kind.strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.ends_with('.'))
        });
        let time = || {
            let time = self.field("time")?;
            let time = time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).ok()?;
            Some(time.unix_timestamp())
        };
        is_kind && filter.since.is_none_or(|since| time().is_some_and(|time| time >= since))
    }
}

/// Gives each record that fits, in the order of the files, with its line; what is damaged is stepped over and counted.
pub fn show(state_dir: &Path, filter: &Filter, take: &mut dyn FnMut(&Shown, &str)) -> Result<u64, AuditError> {
    let places = Places::of(state_dir);
    let files = places.files()?;
    if files.is_empty() {
        return Err(AuditError::None { path: places.folder });
    }
    let mut damaged = 0;
    for number in files {
        let path = places.file(number);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            // The oldest may go meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            // `verify` tells why it can't be read.
            Err(_) => {
                damaged += 1;
                continue;
            }
        };
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match Shown::parse(line) {
                Some(shown) if shown.fits(filter) => take(&shown, &String::from_utf8_lossy(line)),
                Some(_) => {}
                None => damaged += 1,
            }
        }
    }
    Ok(damaged)
}
