//! Raw values of one node: `ReadRawModifiedDetails` with IsReadModified off (Part 11 §6.5.3.2, 1.05).

use opcua::StatusCode;

use super::values::Values;
use super::{extra, refused};
use crate::history::{ArchiveId, Direction, Fault, Historian, Span};
use crate::ua::history::{Domain, Nearest, Progress, Raw};
use crate::value::{Sample, UaTime};

/// Without an end, the missing bound is this far after the last value (Part 11 §4.6, Table 1, 1.05).
const BEYOND: i64 = 10_000_000;

/// Writes the values that fit; returns where to continue, if there are more.
pub(crate) fn write(
    historian: &dyn Historian,
    archive: ArchiveId,
    raw: &Raw,
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, StatusCode> {
    let domain = raw.domain()?;
    let mut progress = progress;
    if progress == Progress::Start && raw.bounds {
        if values.wanted() == 0 {
            return Ok(Some(progress));
        }
        if !write_first_bound(historian, archive, &domain, values).map_err(|fault| refused(&fault))? {
            return Ok(Some(progress));
        }
        progress = Progress::Inside;
    }
    if progress != Progress::LastBound {
        progress = match write_inside(historian, archive, &domain, progress, values).map_err(|fault| refused(&fault))? {
            Some(progress) => return Ok(Some(progress)),
            None if raw.bounds => Progress::LastBound,
            None => return Ok(None),
        };
    }
    if values.wanted() == 0
        || !write_last_bound(historian, archive, &domain, values).map_err(|fault| refused(&fault))?
    {
        return Ok(Some(progress));
    }
    Ok(None)
}

/// False when it had no room. A sample at the very start is inside, so it is not written here.
fn write_first_bound(
    historian: &dyn Historian,
    archive: ArchiveId,
    domain: &Domain,
    values: &mut Values<'_>,
) -> Result<bool, Fault> {
    let bound = nearest(historian, archive, domain.first_bound())?;
    Ok(match bound {
        Some(sample) if sample.source_time == domain.from => true,
        Some(sample) => values.push_all(&[sample]),
        None => {
            values.push_missing_bound(domain.from);
            true
        }
    })
}

fn write_last_bound(
    historian: &dyn Historian,
    archive: ArchiveId,
    domain: &Domain,
    values: &mut Values<'_>,
) -> Result<bool, Fault> {
    let bound = match domain.last_bound() {
        Some(looked_for) => nearest(historian, archive, looked_for)?,
        None => None,
    };
    match bound {
        Some(sample) => Ok(values.push_all(&[sample])),
        None => {
            let at = match domain.to {
                Some(to) => to,
                None => after_last(historian, archive, domain)?,
            };
            values.push_missing_bound(at);
            Ok(true)
        }
    }
}

/// A second after the last value in the direction of the read, or after its start where there is none.
fn after_last(historian: &dyn Historian, archive: ArchiveId, domain: &Domain) -> Result<UaTime, Fault> {
    let against = match domain.direction {
        Direction::Forward => Direction::Backward,
        Direction::Backward => Direction::Forward,
    };
    let last = nearest(historian, archive, Nearest { span: Span::ALL, direction: against })?
        .map_or(domain.from, |last| last.source_time);
    Ok(match domain.direction {
        Direction::Forward => UaTime(last.0.saturating_add(BEYOND)),
        Direction::Backward => UaTime(last.0.saturating_sub(BEYOND)),
    })
}

fn nearest(historian: &dyn Historian, archive: ArchiveId, at: Nearest) -> Result<Option<Sample>, Fault> {
    let mut page = historian.page(archive, at.span, at.direction, 1, None)?;
    extra::mark(historian, archive, &mut page.samples)?;
    Ok(page.samples.pop())
}

/// `None` when the domain is exhausted.
fn write_inside(
    historian: &dyn Historian,
    archive: ArchiveId,
    domain: &Domain,
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, Fault> {
    let mut progress = progress;
    let mut most = usize::MAX;
    loop {
        let wanted = values.wanted().min(most);
        if wanted == 0 {
            return Ok(Some(progress));
        }
        let mut page = historian.page(archive, domain.span, domain.direction, wanted, progress.cursor())?;
        extra::mark(historian, archive, &mut page.samples)?;
        if !values.push_all(&page.samples) {
            // Values of different sizes: fewer of them may fit.
            most = wanted / 2;
            continue;
        }
        match page.resume {
            Some(cursor) => progress = Progress::After(cursor),
            None => return Ok(None),
        }
    }
}
