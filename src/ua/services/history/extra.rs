//! The ExtraData bit: there is more to know of a value, because it was edited or has an annotation
//! (Part 11 §6.5.3.2, 1.05).

use opcua::StatusCode;

use crate::history::{ArchiveId, Fault, Historian, Span};
use crate::value::Sample;

/// InfoType DataValue and the historian's ExtraData bit (Part 4 §7.39.1, 1.05).
const EXTRA_DATA: u32 = 0x408;

/// Marks those of the samples that were edited or annotated.
pub(crate) fn mark(historian: &dyn Historian, archive: ArchiveId, samples: &mut [Sample]) -> Result<(), Fault> {
    let (Some(one), Some(other)) = (samples.first(), samples.last()) else { return Ok(()) };
    let (one, other) = (one.source_time, other.source_time);
    let times = historian.noted(archive, Span { first: one.min(other), last: one.max(other) })?;
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
