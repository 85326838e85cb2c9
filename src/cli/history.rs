//! `opcell history`: inspects, verifies, exports and imports recorded samples, also next to a running server.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::text::{shown, when};
use super::{Answer, Global, server_plan};
use crate::app::history::{compacted_text, finish, imported_text, settings, status_of};
use crate::control::{self, AskError, HistoryStatus, Request, Response};
use crate::history::export::{self, export_csv, export_parquet};
use crate::history::store::{Finding, META_FILE, Settings, Store};
use crate::history::{ArchiveId, ArchiveSpec, Historian, Span};
use crate::model::count as counted;
use crate::model::{Period, ServerPlan};
use crate::value::{UaTime, time_from_text, time_to_text};

#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(subcommand)]
    pub verb: HistoryVerb,
}

#[derive(Debug, Subcommand)]
pub enum HistoryVerb {
    /// Print the number of samples, their tags and their time span
    Stats(At),
    /// Read everything back and report damage
    Verify(At),
    /// Write samples as CSV or Parquet
    Export(ExportArgs),
    /// Insert the samples of a CSV file as `export` writes it; samples that exist are kept
    Import(ImportArgs),
    /// Merge small blocks and free unused disk space
    Compact(At),
}

#[derive(Debug, Args)]
pub struct At {
    /// Cell file, server file or folder of the history (default: ./address-space)
    pub path: Option<PathBuf>,
    /// Folder of the history itself, in place of a file
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    pub folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub at: At,
    /// Tags, by path: `Filler.Tank.Level`, `Filler.*`; may be given several times (default: all)
    #[arg(long, value_name = "PATTERN")]
    pub tag: Vec<String>,
    /// Start: a time (2026-11-21T10:00:00Z), or how long ago (8h, 7d)
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// End, in the same form
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Format (default: from the file's extension, else csv)
    #[arg(long)]
    pub format: Option<Format>,
    /// File to write; it must not exist yet (default: the terminal, csv only)
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Csv,
    Parquet,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// CSV file
    pub file: PathBuf,
    #[command(flatten)]
    pub at: At,
}

pub(crate) fn history(args: &HistoryArgs, global: &Global) -> Answer {
    let done = match &args.verb {
        HistoryVerb::Stats(at) => stats(at, global),
        HistoryVerb::Verify(at) => verify(at, global),
        HistoryVerb::Export(args) => export(args, global),
        HistoryVerb::Import(args) => import(args, global),
        HistoryVerb::Compact(at) => compact(at, global),
    };
    done.unwrap_or_else(|answer| answer)
}

/// The folder of the history, and the state folder of the server that may have it open.
struct Place {
    settings: Settings,
    state_dir: Option<PathBuf>,
}

fn place(at: &At, global: &Global) -> Result<Place, Answer> {
    if let Some(dir) = &at.folder {
        return Ok(Place { settings: Settings::new(dir), state_dir: None });
    }
    let plan: ServerPlan = server_plan(at.path.as_deref(), global, "--folder DIR")?;
    let settings = settings(&plan.history, &plan.state_dir);
    Ok(Place { settings, state_dir: Some(plan.state_dir) })
}

impl Place {
    /// Opens an existing store; never makes a new one.
    fn exists(&self) -> Result<(), Answer> {
        if self.settings.path.join(META_FILE).is_file() {
            return Ok(());
        }
        let path = self.settings.path.display();
        Err(Answer::failed(&format!("there is no history in {path}; a tag with a history class makes one: opcell run")))
    }

    fn read(&self) -> Result<Arc<Store>, Answer> {
        self.exists()?;
        Store::open_to_read(&self.settings.path).map_err(|error| Answer::failed(&error.to_string()))
    }

    /// Lets the running server make the change, or makes it here when none runs.
    fn change(&self, request: &Request, here: impl FnOnce(&Store) -> Result<String, String>) -> Result<Answer, Answer> {
        self.exists()?;
        let asked = self.state_dir.as_deref().map(|dir| control::ask(dir, request));
        let done = match asked {
            None | Some(Err(AskError::NoServer(_))) => {
                let store = Store::open(self.settings.clone()).map_err(|error| Answer::failed(&error.to_string()))?;
                let done = finish(&store).map_err(|error| error.to_string()).and_then(|()| here(&store));
                store.close();
                done
            }
            Some(Ok(Response::Done(text))) => Ok(text),
            Some(Ok(Response::Status(_) | Response::Reloaded { .. })) => {
                Err("the server answered another question".to_owned())
            }
            Some(Ok(Response::Error(error))) => Err(error),
            Some(Err(error)) => Err(error.to_string()),
        };
        done.map(|text| Answer { out: text + "\n", ..Answer::default() }).map_err(|error| Answer::failed(&error))
    }
}

fn stats(at: &At, global: &Global) -> Result<Answer, Answer> {
    let place = place(at, global)?;
    let store = place.read()?;
    let mut out = format!("{}\n{}\n", place.settings.path.display(), summary(&status_of(&store.stats())));
    let mut archives = store.archives();
    archives.sort_by(|(_, a), (_, b)| (&a.namespace, &a.identifier).cmp(&(&b.namespace, &b.identifier)));
    let names: Vec<String> = archives.iter().map(|(_, spec)| shown(&spec.identifier)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(60);
    for ((archive, spec), name) in archives.into_iter().zip(names) {
        let extent = store.extent(archive).map_err(|error| Answer::failed(&error.to_string()))?;
        let extent = match extent {
            Some((first, last)) => format!("{} to {}", when(first.unix_seconds()), when(last.unix_seconds())),
            None => "empty".to_owned(),
        };
        let (class, keep) = (shown(&spec.class), Period(spec.keep));
        let kind = format!("{:?}{}", spec.kind, if spec.is_array { "[]" } else { "" });
        writeln!(out, "{name:width$}  {kind:10}  {class} keeps {keep}  {extent}").expect("a String takes all");
    }
    Ok(Answer { out, ..Answer::default() })
}

fn verify(at: &At, global: &Global) -> Result<Answer, Answer> {
    let store = place(at, global)?.read()?;
    let findings = store.verify();
    if findings.is_empty() {
        let stats = store.stats();
        let out =
            format!("whole: {} in {}\n", counted(stats.samples, "sample"), counted(stats.partitions, "partition"));
        return Ok(Answer { out, ..Answer::default() });
    }
    let archives = store.archives();
    let mut err: String = findings.iter().map(|finding| finding_text(finding, &archives)).collect();
    err.push_str("what is damaged reads as BadDataLost; everything else is served\n");
    Err(Answer { err, code: 1, ..Answer::default() })
}

/// `2026-11-21.db: s=Tank.Level from … to …: a block fails its checksum`.
fn finding_text(finding: &Finding, archives: &[(ArchiveId, ArchiveSpec)]) -> String {
    let mut text = format!("{}:", finding.file);
    if let Some(id) = finding.archive {
        let known = archives.iter().find(|(known, _)| *known == id);
        let name = known.map_or_else(|| format!("archive {}", id.0), |(_, spec)| shown(&spec.identifier));
        write!(text, " {name}").expect("a String takes all");
    }
    if let Some(span) = finding.span {
        let (first, last) = (time_to_text(span.first), time_to_text(span.last));
        write!(text, " from {first} to {last}:").expect("a String takes all");
    }
    writeln!(text, " {}", shown(&finding.what)).expect("a String takes all");
    text
}

fn export(args: &ExportArgs, global: &Global) -> Result<Answer, Answer> {
    let failed = |error: String| Answer::failed(&error);
    let now = UaTime::now();
    let span = Span {
        first: args.from.as_deref().map_or(Ok(Span::ALL.first), |text| time(text, now)).map_err(failed)?,
        last: args.to.as_deref().map_or(Ok(Span::ALL.last), |text| time(text, now)).map_err(failed)?,
    };
    let store = place(&args.at, global)?.read()?;
    let archives = chosen(store.archives(), &args.tag).map_err(failed)?;
    let by_name = args.out.as_deref().and_then(Path::extension).is_some_and(|end| end == "parquet");
    let format = args.format.unwrap_or(if by_name { Format::Parquet } else { Format::Csv });
    let Some(path) = &args.out else {
        if format == Format::Parquet {
            return Err(failed("Parquet goes to a file: give --out FILE".to_owned()));
        }
        let count = export_csv(&*store, &archives, span, std::io::stdout().lock());
        return count.map(|_| Answer::default()).map_err(|error| failed(error.to_string()));
    };
    let file = File::options().write(true).create_new(true).open(path);
    let file = file.map_err(|error| failed(format!("cannot make {}: {error}", path.display())))?;
    let written = write_export(format, &store, &archives, span, file);
    match written {
        Ok(count) => Ok(Answer {
            out: format!("{} of {} in {}\n", counted(count, "sample"), counted(archives.len(), "tag"), path.display()),
            ..Answer::default()
        }),
        Err(error) => {
            // Half an export is none.
            let left = fs::remove_file(path).err().map(|error| format!("; {} is left: {error}", path.display()));
            Err(failed(error.to_string() + &left.unwrap_or_default()))
        }
    }
}

fn write_export(
    format: Format,
    store: &Store,
    archives: &[(ArchiveId, ArchiveSpec)],
    span: Span,
    file: File,
) -> Result<u64, export::ExportError> {
    let mut out = BufWriter::new(file);
    let count = match format {
        Format::Csv => export_csv(store, archives, span, &mut out)?,
        Format::Parquet => export_parquet(store, archives, span, &mut out)?,
    };
    out.flush()?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(count)
}

/// Archives whose path fits one of the patterns.
fn chosen(
    archives: Vec<(ArchiveId, ArchiveSpec)>,
    patterns: &[String],
) -> Result<Vec<(ArchiveId, ArchiveSpec)>, String> {
    let patterns: Vec<glob::Pattern> = patterns
        .iter()
        .map(|text| glob::Pattern::new(text).map_err(|error| format!("`{text}` is no pattern: {error}")))
        .collect::<Result<_, _>>()?;
    let fits = |identifier: &str| {
        let path = identifier.strip_prefix("s=").unwrap_or(identifier);
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(path))
    };
    let count = archives.len();
    let chosen: Vec<_> = archives.into_iter().filter(|(_, spec)| fits(&spec.identifier)).collect();
    if chosen.is_empty() && count > 0 {
        return Err(format!("none of the {count} tags fits; `opcell history stats` lists them"));
    }
    Ok(chosen)
}

/// A time, or how long ago it is.
fn time(text: &str, now: UaTime) -> Result<UaTime, String> {
    if let Ok(Period(ago)) = text.parse() {
        let ticks = i64::try_from(Duration::as_nanos(&ago) / 100).unwrap_or(i64::MAX);
        return Ok(UaTime(now.0.saturating_sub(ticks)));
    }
    time_from_text(text)
        .ok_or_else(|| format!("`{text}` is no time; write 2026-11-21T10:00:00Z, or 8h for 8 hours ago"))
}

fn import(args: &ImportArgs, global: &Global) -> Result<Answer, Answer> {
    let place = place(&args.at, global)?;
    let failed = |error: std::io::Error| Answer::failed(&format!("cannot read {}: {error}", args.file.display()));
    let input = File::open(&args.file).map_err(failed)?;
    let file = fs::canonicalize(&args.file).map_err(failed)?;
    place.change(&Request::HistoryImport { file }, |store| {
        let done = export::import_csv(store, &store.archives(), BufReader::new(input));
        done.map(imported_text).map_err(|error| format!("{}: {error}", args.file.display()))
    })
}

fn compact(at: &At, global: &Global) -> Result<Answer, Answer> {
    place(at, global)?.change(&Request::HistoryCompact, |store| {
        let before = store.stats().bytes_on_disk;
        store.compact().map_err(|error| error.to_string())?;
        Ok(compacted_text(before, store.stats().bytes_on_disk))
    })
}

/// The history's state in one line.
pub(super) fn summary(history: &HistoryStatus) -> String {
    let HistoryStatus { archives, samples, bytes, partitions, .. } = history;
    let mut text = format!(
        "{}, {} in {}, {}",
        counted(*archives, "tag"),
        counted(*samples, "sample"),
        counted(*partitions, "partition"),
        size(*bytes)
    );
    if let (Some(oldest), Some(newest)) = (history.oldest, history.newest) {
        write!(text, ", {} to {}", when(oldest), when(newest)).expect("a String takes all");
    }
    for (count, what) in [
        (history.queued, "not yet on disk"),
        (history.dropped, "lost because the disk was too slow"),
        (history.too_old, "refused as too old"),
        (history.damaged_blocks, "damaged blocks"),
    ] {
        if count > 0 {
            write!(text, ", {count} {what}").expect("a String takes all");
        }
    }
    if let Some(why) = &history.stopped {
        write!(text, "; NOT RECORDED: {}", shown(why)).expect("a String takes all");
    }
    text
}

/// `12.3 MiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_so_long_ago() {
        let now = UaTime(134_116_992_000_000_000);
        assert_eq!(time("1h", now), Ok(UaTime(now.0 - 36_000_000_000)));
        assert_eq!(time("2026-01-01T00:00:00Z", now), Ok(now));
        assert!(time("yesterday", now).is_err_and(|error| error.contains("8h for 8 hours ago")));
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        for (bytes, text) in [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
