//! Old data goes: by the age that its class keeps, then by the bytes that the store may take.
//!
//! A clock that jumps ahead must not empty the store: ages count only once it has run steadily for an hour.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fetch;
use super::house::remove;
use super::settings::OnFull;
use super::shared::Shared;
use super::shelf::Volume;
use super::trouble::sql_fault;
use crate::history::{ArchiveId, Fault};
use crate::logging;
use crate::value::UaTime;

/// For so long the clock must have run as a stopwatch does.
const STEADY: Duration = Duration::from_secs(3600);
/// What a clock may be set by.
const JUMP: i64 = 60 * 10_000_000;

/// Compares the wall clock with a stopwatch.
#[derive(Debug, Default)]
pub struct Steadiness {
    began: Option<(Instant, UaTime)>,
    before: Option<(Instant, UaTime)>,
}

impl Steadiness {
    /// Trusts the clock at once: for whoever knows the time.
    pub fn trust(&mut self, at: Instant, now: UaTime) {
        self.began = at.checked_sub(STEADY).map(|then| (then, now));
        self.before = Some((at, now));
    }

    /// The clock has run steadily for an hour.
    pub fn is_steady(&mut self, at: Instant, now: UaTime) -> bool {
        let jumped = self.before.is_none_or(|(then, clock)| {
            let passed = i64::try_from((at - then).as_nanos() / 100).unwrap_or(i64::MAX);
            (now.0 - clock.0 - passed).abs() > JUMP
        });
        if jumped {
            self.began = Some((at, now));
        }
        self.before = Some((at, now));
        self.began.is_some_and(|(then, _)| at - then >= STEADY)
    }
}

/// Lets go what is too old, when the clock can be trusted, and what is too much.
pub fn retire(shared: &Shared, now: UaTime, is_steady: bool) -> Result<(), Fault> {
    if is_steady {
        by_age(shared, now)?;
        single_archives(shared, now)?;
        let floors = shared.floors.read();
        shared.meta.lock().retire(|archive| floors.floor(archive, now))?;
    }
    by_class(shared)?;
    by_size(shared)
}

/// Files of which all is older than anything keeps.
fn by_age(shared: &Shared, now: UaTime) -> Result<(), Fault> {
    let Some(longest) = shared.longest_keep() else { return Ok(()) };
    let floor = now.0.saturating_sub(longest);
    for volume in shared.shelf.volumes() {
        if volume.key().end() < floor {
            let line = format_args!("{}: older than anything is kept", volume.path.display());
            logging::limited(log::Level::Info, "history removed", None, line);
            let_go(shared, &volume)?;
        }
    }
    Ok(())
}

/// Archives that keep less than others which share their files.
fn single_archives(shared: &Shared, now: UaTime) -> Result<(), Fault> {
    let longest = shared.longest_keep().unwrap_or(0);
    let mut by_keep: BTreeMap<i64, Vec<ArchiveId>> = BTreeMap::new();
    for (archive, keep) in shared.floors.read().all().filter(|(_, keep)| *keep < longest) {
        by_keep.entry(keep).or_default().push(archive);
    }
    for (keep, archives) in by_keep {
        for volume in shared.shelf.volumes() {
            let is_over = volume.key().end() < now.0.saturating_sub(keep);
            if is_over && !volume.name.is_damaged && shared.thinned.lock().insert((volume.name, keep)) {
                thin(shared, &volume, &archives)?;
            }
        }
    }
    Ok(())
}

/// Takes archives out of a file.
fn thin(shared: &Shared, volume: &Volume, archives: &[ArchiveId]) -> Result<(), Fault> {
    let at = sql_fault(&volume.path);
    let mut book = shared.book(volume.name)?;
    let mut change = book.change()?;
    for archive in archives {
        let list = fetch::list(change.connection(), volume.key(), *archive).map_err(&at)?;
        for row in &list.blocks {
            change.delete_block(row).map_err(&at)?;
        }
    }
    let orphans = "DELETE FROM times WHERE NOT EXISTS (SELECT 1 FROM block WHERE block.times = times.id)";
    change.connection().execute(orphans, []).map_err(&at)?;
    change.commit()?;
    shared.keep_book(volume.name, book);
    Ok(())
}

/// Classes that take more than they may give up the oldest partitions that they have a part in.
fn by_class(shared: &Shared) -> Result<(), Fault> {
    let archives = shared.archives();
    let mut classes: BTreeMap<&str, (u64, HashSet<ArchiveId>)> = BTreeMap::new();
    for (id, spec) in &archives {
        if let Some(most) = spec.max_size {
            let class = classes.entry(&spec.class).or_insert((most, HashSet::new()));
            class.0 = most;
            class.1.insert(*id);
        }
    }
    if classes.is_empty() {
        return Ok(());
    }
    let mut volumes: Vec<(Arc<Volume>, HashMap<ArchiveId, u64>)> = Vec::new();
    for volume in shared.shelf.volumes().into_iter().filter(|volume| !volume.name.is_damaged) {
        let bytes = content(shared, &volume)?;
        volumes.push((volume, bytes));
    }
    volumes.sort_by_key(|(volume, _)| volume.key().end());
    for (name, (most, members)) in classes {
        let of_class = |bytes: &HashMap<ArchiveId, u64>| -> u64 {
            bytes.iter().filter(|(id, _)| members.contains(id)).map(|(_, bytes)| bytes).sum()
        };
        let mut total: u64 = volumes.iter().map(|(_, bytes)| of_class(bytes)).sum();
        for (volume, bytes) in &volumes {
            let here = of_class(bytes);
            if total <= most {
                break;
            }
            if here > 0 {
                let path = volume.path.display();
                let line = format_args!("{path}: class `{name}` takes more than it may and gives this up");
                logging::limited(log::Level::Info, "history removed", None, line);
                thin(shared, volume, &members.iter().copied().collect::<Vec<_>>())?;
                total -= here;
            }
        }
    }
    Ok(())
}

/// Bytes of the blocks of each archive in a file.
fn content(shared: &Shared, volume: &Volume) -> Result<HashMap<ArchiveId, u64>, Fault> {
    let at = sql_fault(&volume.path);
    let book = shared.book(volume.name)?;
    let query = "SELECT archive, sum(length(frames) + length(data)) FROM block GROUP BY archive";
    let read = || -> Result<HashMap<ArchiveId, u64>, rusqlite::Error> {
        let mut statement = book.connection.prepare_cached(query)?;
        let mut rows = statement.query([])?;
        let mut bytes = HashMap::new();
        while let Some(row) = rows.next()? {
            let archive = u32::try_from(row.get::<_, i64>(0)?).unwrap_or(u32::MAX);
            bytes.insert(ArchiveId(archive), row.get::<_, i64>(1)?.max(0).cast_unsigned());
        }
        Ok(bytes)
    };
    let bytes = read().map_err(&at)?;
    shared.keep_book(volume.name, book);
    Ok(bytes)
}

/// The oldest files, until the rest fits.
pub fn by_size(shared: &Shared) -> Result<(), Fault> {
    shared.measure();
    let mut volumes = shared.shelf.volumes();
    let mut bytes: u64 = volumes.iter().map(|volume| size(&volume.path)).sum();
    if shared.settings.on_full == OnFull::Stop {
        shared.is_full.store(bytes > shared.settings.max_size, Ordering::Release);
        return Ok(());
    }
    volumes.sort_by_key(|volume| volume.key().end());
    // The newest is being written: letting it go would empty the store.
    volumes.pop();
    for volume in volumes {
        if bytes <= shared.settings.max_size {
            break;
        }
        let line = format_args!("{}: let go because the history takes more than it may", volume.path.display());
        logging::limited(log::Level::Info, "history removed", None, line);
        bytes -= size(&volume.path);
        let_go(shared, &volume)?;
    }
    Ok(())
}

/// Bytes of a partition with its log. The journal does not count: letting partitions go would not make it smaller.
fn size(path: &Path) -> u64 {
    let log = path.with_extension("db-wal");
    [path, &log].iter().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

fn let_go(shared: &Shared, volume: &Arc<Volume>) -> Result<(), Fault> {
    shared.forget_book(volume.name);
    shared.shelf.replace(volume, None);
    shared.retired.fetch_max(volume.key().end(), Ordering::AcqRel);
    remove(&volume.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_is_trusted_again_after_an_hour() {
        let (start, clock) = (Instant::now(), UaTime(134_081_568_000_000_000));
        let mut steadiness = Steadiness::default();
        // Minutes of the stopwatch, minutes that the clock is ahead, trusted.
        for (minute, ahead, trusted) in [
            (0u64, 0i64, false),
            (30, 0, false),
            (61, 0, true),
            (62, 500_000, false),
            (120, 500_000, false),
            (122, 500_000, true),
            (123, 0, false),
        ] {
            let at = start + Duration::from_secs(minute * 60);
            let now = UaTime(clock.0 + (minute.cast_signed() + ahead) * 600_000_000);
            assert_eq!(steadiness.is_steady(at, now), trusted, "minute {minute}");
        }
    }
}
