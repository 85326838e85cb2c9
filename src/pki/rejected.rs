//! The folder `rejected`: each refused certificate with a text beside it. Anybody can be refused, so the folder is
//! bounded in size and in pace.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::certificate::{Certificate, hex, printable, when};

/// Refused certificates that are kept; then the one longest not seen goes.
const MOST: usize = 100;
/// New certificates written within a minute.
const PACE: usize = 20;
const MINUTE: i64 = 60;

#[derive(Debug)]
pub(super) struct Rejection {
    pub certificate: Arc<Certificate>,
    pub from: String,
    pub rule: String,
}

pub(super) type Waiting = mpsc::Receiver<Rejection>;

pub(super) fn queue() -> (mpsc::Sender<Rejection>, Waiting) {
    mpsc::channel(64)
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    first: i64,
    last: i64,
    count: u64,
}

/// What is written down, and when the last new ones came.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    seen: HashMap<[u8; 20], Seen>,
    newest: Vec<i64>,
}

impl Rejected {
    /// Writes one refusal down, or leaves it when too many came.
    pub fn note(&mut self, folder: &Path, rejection: &Rejection, now: i64) -> io::Result<()> {
        let thumbprint = rejection.certificate.thumbprint;
        // Somebody may have tidied it away since the start.
        fs::create_dir_all(folder)?;
        let stem = stem(folder, &rejection.certificate);
        let known = self.seen.get(&thumbprint).copied().or_else(|| read_seen(&stem.with_extension("txt")));
        match known {
            // Not more than a write a second for who knocks all the time.
            Some(seen) if seen.last == now => {
                self.seen.insert(thumbprint, Seen { count: seen.count + 1, ..seen });
                return Ok(());
            }
            Some(_) => {}
            None if !self.has_pace(now) => return Ok(()),
            None => make_room(folder)?,
        }
        let seen = known.map_or(Seen { first: now, last: now, count: 1 }, |seen| Seen {
            last: now,
            count: seen.count + 1,
            ..seen
        });
        if self.seen.len() >= 2 * MOST {
            self.seen.clear();
        }
        self.seen.insert(thumbprint, seen);
        fs::write(stem.with_extension("der"), &rejection.certificate.der)?;
        fs::write(stem.with_extension("txt"), text(rejection, seen))
    }

    fn has_pace(&mut self, now: i64) -> bool {
        self.newest.retain(|time| now - time < MINUTE);
        let has_pace = self.newest.len() < PACE;
        if has_pace {
            self.newest.push(now);
        }
        has_pace
    }
}

/// A file name without extension: the common name as far as it is plain, and the whole thumbprint.
pub(super) fn stem(folder: &Path, certificate: &Certificate) -> PathBuf {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let name: String = certificate.name().chars().take(40).map(plain).collect();
    folder.join(format!("{name} [{}]", hex(&certificate.thumbprint)))
}

fn text(rejection: &Rejection, seen: Seen) -> String {
    let mut text = String::new();
    let certificate = &rejection.certificate;
    for (title, value) in [
        ("rule", rejection.rule.clone()),
        ("from", rejection.from.clone()),
        ("first", format!("{} ({})", seen.first, when(seen.first))),
        ("last", format!("{} ({})", seen.last, when(seen.last))),
        ("count", seen.count.to_string()),
        ("name", printable(certificate.name())),
        ("to trust it", format!("opcell pki trust {}", certificate.short())),
    ] {
        writeln!(text, "{title:16} {value}").expect("text takes every write");
    }
    text + "\n" + &certificate.describe()
}

/// What an earlier run wrote.
fn read_seen(path: &Path) -> Option<Seen> {
    let text = fs::read_to_string(path).ok()?;
    let number = |title: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{title:16} ")))?;
        line[17..].split(' ').next()?.parse::<i64>().ok()
    };
    Some(Seen { first: number("first")?, last: number("last")?, count: number("count")?.unsigned_abs() })
}

/// Removes those longest not seen until one more fits.
fn make_room(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "der") {
            let seen = read_seen(&path.with_extension("txt")).map_or(0, |seen| seen.last);
            files.push((seen, path));
        }
    }
    files.sort();
    for (_, path) in files.iter().take((files.len() + 1).saturating_sub(MOST)) {
        fs::remove_file(path)?;
        let text = path.with_extension("txt");
        if text.exists() {
            fs::remove_file(text)?;
        }
    }
    Ok(())
}
