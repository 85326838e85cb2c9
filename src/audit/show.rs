//! Records read back for people.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::AuditError;
use super::head::{Class, Places};
use super::line::{Field, Line, MOST, nanoseconds, push_field};

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Seconds since 1970.
    pub since: Option<i64>,
    /// A kind, or the beginning of several: `session`, `certificate.untrusted`.
    pub kind: Option<String>,
}

/// One record as a file contains it.
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
            // A forged file must not send control sequences to the terminal.
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

/// Gives each record that fits, the chains merged by time, with its line. Damaged lines and files are left out and
/// counted.
pub fn show(state_dir: &Path, filter: &Filter, take: &mut dyn FnMut(&Shown, &str)) -> Result<u64, AuditError> {
    let mut chains = Vec::new();
    for class in Class::ALL {
        chains.push(Chain::of(Places::of(state_dir, class))?);
    }
    if chains.iter().all(|chain| chain.files.len() == 0) {
        return Err(AuditError::None { path: Places::of(state_dir, Class::Security).folder });
    }
    chains.iter_mut().for_each(Chain::advance);
    loop {
        let times = chains.iter().enumerate().filter_map(|(at, chain)| Some((chain.next.as_ref()?.time, at)));
        let Some((_, at)) = times.min() else { break };
        let chain = &mut chains[at];
        if let Some(next) = chain.next.take()
            && next.shown.fits(filter)
        {
            take(&next.shown, &next.line);
        }
        chain.advance();
    }
    Ok(chains.iter().map(|chain| chain.damaged).sum())
}

/// The records of one chain, read one after the other.
struct Chain {
    places: Places,
    /// Numbers of the files that are not opened yet.
    files: std::vec::IntoIter<u32>,
    reader: Option<BufReader<File>>,
    next: Option<Next>,
    /// Of the last record that was read.
    time: i128,
    damaged: u64,
}

struct Next {
    time: i128,
    shown: Shown,
    line: String,
}

impl Chain {
    fn of(places: Places) -> Result<Chain, AuditError> {
        let files = places.files()?.into_iter();
        Ok(Chain { places, files, reader: None, next: None, time: i128::MIN, damaged: 0 })
    }

    /// Reads on to the next record.
    fn advance(&mut self) {
        let mut bytes = Vec::new();
        self.next = None;
        while self.next.is_none() {
            let Some(reader) = &mut self.reader else {
                let Some(number) = self.files.next() else { return };
                self.reader = self.open(number);
                continue;
            };
            bytes.clear();
            match io::Read::take(&mut *reader, MOST as u64 + 2).read_until(b'\n', &mut bytes) {
                Ok(0) => self.reader = None,
                Ok(_) => self.read(bytes.strip_suffix(b"\n").unwrap_or(&bytes)),
                Err(_) => {
                    self.damaged += 1;
                    self.reader = None;
                }
            }
        }
    }

    fn open(&mut self, number: u32) -> Option<BufReader<File>> {
        let path = self.places.file(number);
        let file = File::open(&path).and_then(|file| match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("not a file")),
        });
        match file {
            Ok(file) => Some(BufReader::with_capacity(1 << 16, file)),
            // Retention may remove the oldest meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // `verify` says why it cannot be read.
            Err(_) => {
                self.damaged += 1;
                None
            }
        }
    }

    fn read(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let Some(shown) = Shown::parse(line) else {
            self.damaged += 1;
            return;
        };
        // A record without a time keeps its place in its chain.
        self.time = shown.field("time").and_then(nanoseconds).unwrap_or(self.time);
        self.next = Some(Next { time: self.time, shown, line: String::from_utf8_lossy(line).into_owned() });
    }
}
