//! Modified values of one node: `ReadRawModifiedDetails` with IsReadModified (Part 11 §6.5.3.3, 1.05).

use opcua::StatusCode;

use super::refused;
use super::values::Values;
use crate::history::{ArchiveId, Historian, Modification};
use crate::stack::codec::Writer;
use crate::ua::history::{Progress, Raw};

/// ModificationInfo of one value without its user's name: a time, an enumeration, a length.
const INFO: usize = 16;

/// Writes a HistoryModifiedData; returns the number of values, and where to continue if there are more.
pub(crate) fn write(
    historian: &dyn Historian,
    archive: ArchiveId,
    raw: &Raw,
    progress: Progress,
    mut values: Values<'_>,
) -> Result<(usize, Option<Progress>), StatusCode> {
    if raw.bounds {
        return Err(StatusCode::BadInvalidArgument);
    }
    let domain = raw.domain()?;
    let mut progress = progress;
    let mut infos = Writer::new();
    let mut most = usize::MAX;
    let next = loop {
        let wanted = values.wanted().min(most);
        if wanted == 0 {
            break Some(progress);
        }
        let cursor = progress.cursor();
        let page =
            historian.modified(archive, domain.span, domain.direction, wanted, cursor).map_err(|f| refused(&f))?;
        let bytes: usize = page.entries.iter().map(|entry| INFO + entry.user.len()).sum();
        let samples: Vec<_> = page.entries.iter().map(|entry| entry.sample.clone()).collect();
        if !values.push_all_before(&samples, bytes) {
            most = wanted / 2;
            continue;
        }
        page.entries.iter().for_each(|entry| write_info(entry, &mut infos));
        match page.resume {
            Some(cursor) => progress = Progress::After(cursor),
            None => break None,
        }
    };
    let (count, w) = values.finish();
    w.count(count);
    w.raw(&infos.buf);
    Ok((count, next))
}

fn write_info(entry: &Modification, w: &mut Writer) {
    w.time(entry.time);
    w.i32(i32::from(entry.kind as u8));
    w.string(Some(entry.user.as_str()).filter(|user| !user.is_empty()));
}
