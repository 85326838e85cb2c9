//! The ExtraData bit: there is more to know of a value, because it was edited or has an annotation
//! (Part 11 §6.5.3.2, 1.05).

use opcua::StatusCode;

use crate::history::{ArchiveId, Direction, Fault, Historian, Span};
use crate::value::{Sample, UaTime};

/// InfoType DataValue and the historian's ExtraData bit (Part 4 §7.39.1, 1.05).
const EXTRA_DATA: u32 = 0x408;
/// Modified values that are looked at in one go.
const MODIFIED: usize = 10_000;

/// Marks those of the samples that were edited or annotated.
pub fn mark(historian: &dyn Historian, archive: ArchiveId, samples: &mut [Sample]) -> Result<(), Fault> {
    let (Some(one), Some(other)) = (samples.first(), samples.last()) else { return Ok(()) };
    let (one, other) = (one.source_time, other.source_time);
    let span = Span { first: one.min(other), last: one.max(other) };
    let times = noted(historian, archive, span)?;
    if times.is_empty() {
        return Ok(());
    }
    for sample in samples {
        if times.binary_search(&sample.source_time).is_ok() {
            sample.status = StatusCode::from(sample.status.bits() | EXTRA_DATA);
        }
    }
    Ok(())
}

/// Times with an edit or an annotation, sorted.
fn noted(historian: &dyn Historian, archive: ArchiveId, span: Span) -> Result<Vec<UaTime>, Fault> {
    let mut times: Vec<UaTime> = historian.annotations(archive, span)?.iter().map(|note| note.at).collect();
    let mut resume = None;
    loop {
        let page = historian.modified(archive, span, Direction::Forward, MODIFIED, resume)?;
        times.extend(page.entries.iter().map(|entry| entry.sample.source_time));
        resume = page.resume;
        if resume.is_none() {
            break;
        }
    }
    times.sort_unstable();
    times.dedup();
    Ok(times)
}
