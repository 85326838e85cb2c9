//! Annotations of one node: by the times of their values, or as the raw history of the Annotations property
//! (Part 11 §5.1.2 and §6.5.6, 1.05).

use opcua::StatusCode;

use super::refused;
use super::values::Values;
use crate::history::{Annotation, ArchiveId, Cursor, Direction, Historian, Span};
use crate::stack::codec::{Reader, Writer};
use crate::ua::history::{Progress, Raw};
use crate::value::{BuiltIn, Sample, UaTime, Value};

/// Default Binary of Annotation (Part 6 annex A, 1.05).
const ANNOTATION: u32 = opcua::ObjectId::Annotation_Encoding_DefaultBinary as u32;

/// Writes the annotations of a span that fit; returns where to continue.
pub(crate) fn write(
    historian: &dyn Historian,
    archive: ArchiveId,
    raw: &Raw,
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, StatusCode> {
    // Remarks have no bounds (Part 11 §4.6, 1.05). A server may refuse a request for them, but node-opcua asks for
    // them by default.
    let domain = raw.domain()?;
    let from = progress.cursor();
    let span = match (from, domain.direction) {
        (None, _) => domain.span,
        (Some(cursor), Direction::Forward) => Span { first: cursor.time, ..domain.span },
        (Some(cursor), Direction::Backward) => Span { last: cursor.time, ..domain.span },
    };
    let mut all = historian.annotations(archive, span).map_err(|fault| refused(&fault))?;
    if domain.direction == Direction::Backward {
        all.reverse();
    }
    let mut cursor = from.unwrap_or(Cursor { time: UaTime(i64::MIN), as_of: 0, same: 0 });
    let given = from.map_or(0, |from| from.same as usize);
    for annotation in all.iter().skip(given) {
        if values.wanted() == 0 || !values.push_all(&[sample(annotation)]) {
            let is_begun = cursor.same > 0;
            return Ok(Some(if is_begun { Progress::After(cursor) } else { Progress::Start }));
        }
        let same = if annotation.at == cursor.time { cursor.same + 1 } else { 1 };
        cursor = Cursor { time: annotation.at, as_of: 0, same };
    }
    Ok(None)
}

/// The annotations of values at these times, in the order of the times (Part 11 §6.5.6.2, 1.05).
pub(crate) fn write_at(
    historian: &dyn Historian,
    archive: ArchiveId,
    times: &[UaTime],
    progress: Progress,
    values: &mut Values<'_>,
) -> Result<Option<Progress>, StatusCode> {
    let given = usize::try_from(progress.given()).unwrap_or(usize::MAX);
    for (n, time) in times.iter().enumerate().skip(given) {
        let span = Span { first: *time, last: *time };
        let found = historian.annotations(archive, span).map_err(|fault| refused(&fault))?;
        let samples: Vec<Sample> = found.iter().map(sample).collect();
        if values.wanted() == 0 || !values.push_all(&samples) {
            return Ok(Some(Progress::Given(n as u64)));
        }
    }
    Ok(None)
}

/// An Annotation as the value at the time that it belongs to; its server time is when it was made.
pub(crate) fn sample(annotation: &Annotation) -> Sample {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::ExtensionObject);
    w.extension_object(ANNOTATION, |w| {
        w.text(&annotation.message);
        w.text(&annotation.user);
        w.time(annotation.time);
    });
    Sample {
        value: Value::Wire(w.buf.into()),
        status: StatusCode::Good,
        source_time: annotation.at,
        server_time: annotation.time,
    }
}

/// The user that annotates, and the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    pub user: &'a str,
    pub now: UaTime,
    /// The annotation was not there before.
    pub is_new: bool,
}

/// The annotation that a client wrote at `at`. A missing user or time is filled in. A new annotation always names the
/// user that is logged in, whatever the client writes (Part 11 §6.6.6, 1.05: the user, as the system supplies it).
pub(crate) fn read(value: &Value, at: UaTime, author: Author<'_>) -> Result<Annotation, StatusCode> {
    let Author { user, now, is_new } = author;
    let Value::Wire(bytes) = value else { return Err(StatusCode::BadTypeMismatch) };
    let mut reader = Reader::new(bytes);
    if reader.u8()? != BuiltIn::ExtensionObject as u8 {
        return Err(StatusCode::BadTypeMismatch);
    }
    let object = reader.extension_object()?;
    let body = object.body.filter(|_| object.type_id.standard() == Some(ANNOTATION));
    let mut body = Reader::new(body.ok_or(StatusCode::BadTypeMismatch)?);
    let (message, wrote, time) = (body.text()?.to_owned(), body.text()?, body.time()?);
    let is_signed = is_new && !user.is_empty();
    let user = if wrote.is_empty() || is_signed { user } else { wrote }.to_owned();
    Ok(Annotation { at, message, user, time: if time == UaTime::NULL { now } else { time } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_annotation_is_signed_by_who_is_logged_in() {
        let at = UaTime(1_000);
        for (wrote, user, is_new, signed) in [
            ("erika", "opal", true, "opal"),
            ("erika", "opal", false, "erika"),
            ("", "opal", false, "opal"),
            ("erika", "", true, "erika"),
        ] {
            let written = Annotation { at, message: "odd".into(), user: wrote.into(), time: UaTime(2_000) };
            let found =
                read(&sample(&written).value, at, Author { user, now: UaTime(3_000), is_new }).expect("an Annotation");
            assert_eq!((found.user.as_str(), found.time), (signed, UaTime(2_000)), "{wrote} by {user}");
        }
    }
}
