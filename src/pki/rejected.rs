//! The folder `rejected`: each refused certificate with a text file. Any host can be refused, so the folder is limited in
//! size and rate; an address that floods it fills its own share only, and refusals without a file are counted.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::certificate::Certificate;
use super::folders::certificates;
use super::text::{hex, printable, when};
use crate::stack::channel::neighbourhood;

/// Refused certificates that are kept; then the address that has the most loses the one longest not seen.
const MOST: usize = 100;
/// New certificates of one address that are written within a minute.
const PACE_OF_ONE: usize = 10;
/// And of all of them; the first of an address has the larger share.
const PACE: usize = 30;
const PACE_OF_FIRSTS: usize = 100;
/// Files written within a second for those that knock all the time.
const AGAIN: u32 = 10;
const MINUTE: i64 = 60;

#[derive(Debug)]
pub(super) struct Rejection {
    pub certificate: Arc<Certificate>,
    pub address: Option<SocketAddr>,
    pub rule: String,
    /// The command that lets it in.
    pub to_trust: String,
}

impl Rejection {
    pub(crate) fn from(&self) -> String {
        from(self.address)
    }
}

/// An address as text.
pub(super) fn from(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
}

pub(super) type Waiting = mpsc::Receiver<Rejection>;

pub(super) fn queue() -> (mpsc::Sender<Rejection>, Waiting) {
    mpsc::channel(64)
}

#[derive(Debug, Clone)]
struct Seen {
    /// The certificate; its text has the same name.
    file: PathBuf,
    first: i64,
    last: i64,
    count: u64,
    /// When its files were written.
    written: i64,
    from: Option<IpAddr>,
}

/// The files in the folder, and the times of the newest. A refusal above the rate costs no access to the disk.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    /// `None` until the first refusal.
    seen: Option<HashMap<[u8; 20], Seen>>,
    /// Of the last minute.
    newest: Vec<(i64, Option<IpAddr>)>,
    /// The second, and how many of those that are known were written in it.
    again: (i64, u32),
    /// Not written, and thrown out, since that was told.
    left_out: u64,
    thrown_out: u64,
    told: Option<i64>,
}

impl Rejected {
    /// Writes one refusal down, or leaves it when too many came.
    pub(crate) fn note(&mut self, folder: &Path, rejection: &Rejection, now: i64) -> io::Result<()> {
        let thumbprint = rejection.certificate.thumbprint;
        let from = rejection.address.map(|address| neighbourhood(address.ip()));
        let seen = self.seen.get_or_insert_with(|| read_folder(folder));
        let known = seen.get_mut(&thumbprint).map(|known| {
            (known.last, known.count, known.from) = (now, known.count + 1, from);
            known.clone()
        });
        let now_seen = match known {
            Some(known) => {
                // At most one write a second for a client that tries all the time, and a limit for all together.
                if known.written == now || !self.may_write_again(now) {
                    return Ok(());
                }
                known
            }
            None if !self.has_pace(from, now) => {
                self.left_out += 1;
                self.tell(folder, now);
                return Ok(());
            }
            None => {
                self.make_room()?;
                let file = stem(folder, &rejection.certificate).with_extension("der");
                Seen { file, first: now, last: now, count: 1, written: now, from }
            }
        };
        // The folder may have been removed since the start.
        fs::create_dir_all(folder)?;
        fs::write(&now_seen.file, &rejection.certificate.der)?;
        fs::write(now_seen.file.with_extension("txt"), text(rejection, &now_seen))?;
        if let Some(seen) = &mut self.seen {
            seen.insert(thumbprint, Seen { written: now, ..now_seen });
        }
        self.tell(folder, now);
        Ok(())
    }

    /// Refusals that did not even come this far.
    pub(crate) fn note_lost(&mut self, count: u64) {
        self.left_out += count;
    }

    #[cfg(test)]
    pub(crate) fn was_told(&self) -> bool {
        self.told.is_some()
    }

    fn may_write_again(&mut self, now: i64) -> bool {
        if self.again.0 != now {
            self.again = (now, 0);
        }
        self.again.1 += 1;
        self.again.1 <= AGAIN
    }

    fn has_pace(&mut self, from: Option<IpAddr>, now: i64) -> bool {
        self.newest.retain(|(time, _)| (0..MINUTE).contains(&(now - time)));
        let own = self.newest.iter().filter(|(_, other)| *other == from).count();
        let most = if own == 0 { PACE_OF_FIRSTS } else { PACE };
        let has_pace = own < PACE_OF_ONE && self.newest.len() < most;
        if has_pace {
            self.newest.push((now, from));
        }
        has_pace
    }

    /// Removes certificates until one more fits, of the address that has the most those longest not seen.
    fn make_room(&mut self) -> io::Result<()> {
        let seen = self.seen.get_or_insert_default();
        if seen.len() < MOST {
            return Ok(());
        }
        // The operator took some out.
        seen.retain(|_, seen| seen.file.exists());
        while seen.len() >= MOST {
            let mut shares: HashMap<Option<IpAddr>, usize> = HashMap::new();
            seen.values().for_each(|seen| *shares.entry(seen.from).or_default() += 1);
            let share = |seen: &Seen| shares.get(&seen.from).copied().unwrap_or_default();
            let oldest = seen.iter().max_by_key(|(_, seen)| (share(seen), std::cmp::Reverse(seen.last)));
            let Some(thumbprint) = oldest.map(|(thumbprint, _)| *thumbprint) else { break };
            let Some(out) = seen.remove(&thumbprint) else { break };
            self.thrown_out += 1;
            for file in [out.file.with_extension("txt"), out.file] {
                match fs::remove_file(file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Once a minute.
    fn tell(&mut self, folder: &Path, now: i64) {
        let is_told = self.told.is_some_and(|at| (0..MINUTE).contains(&(now - at)));
        if is_told || self.left_out + self.thrown_out == 0 {
            return;
        }
        log::warn!(
            "{}: {} refusals of new certificates were not written down and {} certificates were thrown out, for too many came; a client that is missing there is named in the log, and comes in by opcell pki trust FILE or opcell pki window 1min --from ADDRESS",
            folder.display(),
            self.left_out,
            self.thrown_out
        );
        (self.left_out, self.thrown_out, self.told) = (0, 0, Some(now));
    }
}

/// A file name without extension: the common name as far as it is plain, and the whole thumbprint.
pub(super) fn stem(folder: &Path, certificate: &Certificate) -> PathBuf {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let name: String = certificate.name().chars().take(40).map(plain).collect();
    folder.join(format!("{name} [{}]", hex(&certificate.thumbprint)))
}

fn text(rejection: &Rejection, seen: &Seen) -> String {
    let mut text = String::new();
    let certificate = &rejection.certificate;
    for (title, value) in [
        ("rule", rejection.rule.clone()),
        ("from", rejection.from()),
        ("first", format!("{} ({})", seen.first, when(seen.first))),
        ("last", format!("{} ({})", seen.last, when(seen.last))),
        ("count", seen.count.to_string()),
        ("name", printable(certificate.name())),
        ("to trust it", rejection.to_trust.clone()),
    ] {
        writeln!(text, "{title:16} {value}").expect("text takes every write");
    }
    text + "\n" + &certificate.describe()
}

/// Reads the files of an earlier run.
fn read_folder(folder: &Path) -> HashMap<[u8; 20], Seen> {
    let entries = certificates(folder).unwrap_or_else(|error| {
        log::warn!("{error}");
        Vec::new()
    });
    let seen = entries.into_iter().map(|entry| (entry.certificate.thumbprint, read_seen(entry.path)));
    seen.collect()
}

fn read_seen(file: PathBuf) -> Seen {
    let text = fs::read_to_string(file.with_extension("txt")).unwrap_or_default();
    let field = |title: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{title:16} ")))?;
        line[17..].split(' ').next()
    };
    let number = |title: &str| field(title).and_then(|number| number.parse::<i64>().ok()).unwrap_or_default();
    let from = field("from").and_then(|from| from.parse::<SocketAddr>().ok());
    Seen {
        first: number("first"),
        last: number("last"),
        count: number("count").unsigned_abs(),
        written: number("last"),
        from: from.map(|from| neighbourhood(from.ip())),
        file,
    }
}
