//! HistoryReadDetails (Part 11 §6.5, 1.05), taken out of its ExtensionObject.

use opcua::StatusCode;

use crate::history::aggregate::{Aggregate, Configuration};
use crate::history::{Direction, Span};
use crate::stack::codec::{ExtensionRef, Reader};
use crate::ua::subscription::aggregate;
use crate::value::UaTime;

/// Numbers of the Default Binary encodings of the details.
mod encoding {
    use opcua::ObjectId;

    pub(crate) const READ_EVENT: u32 = ObjectId::ReadEventDetails_Encoding_DefaultBinary as u32;
    pub(crate) const READ_EVENT_SORTED: u32 = ObjectId::ReadEventDetailsSorted_Encoding_DefaultBinary as u32;
    pub(crate) const READ_RAW_MODIFIED: u32 = ObjectId::ReadRawModifiedDetails_Encoding_DefaultBinary as u32;
    pub(crate) const READ_PROCESSED: u32 = ObjectId::ReadProcessedDetails_Encoding_DefaultBinary as u32;
    pub(crate) const READ_AT_TIME: u32 = ObjectId::ReadAtTimeDetails_Encoding_DefaultBinary as u32;
    pub(crate) const READ_ANNOTATIONS: u32 = ObjectId::ReadAnnotationDataDetails_Encoding_DefaultBinary as u32;
}

#[derive(Debug, Clone, PartialEq)]
pub enum Details {
    Raw(Raw),
    Modified(Raw),
    Processed(Processed),
    AtTime {
        times: Vec<UaTime>,
        simple_bounds: bool,
    },
    Annotations {
        times: Vec<UaTime>,
    },
    /// Event history: nothing is kept of it.
    Events,
}

/// ReadRawModifiedDetails (Part 11 §6.5.3, 1.05); a time that is not specified is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Raw {
    pub start: Option<UaTime>,
    pub end: Option<UaTime>,
    /// Values a node; 0: all of them.
    pub count: u32,
    pub bounds: bool,
}

/// ReadProcessedDetails (Part 11 §6.5.4.1, 1.05).
#[derive(Debug, Clone, PartialEq)]
pub struct Processed {
    pub start: UaTime,
    pub end: UaTime,
    /// ProcessingInterval in milliseconds.
    pub interval: f64,
    /// One a node; `None` for what is no aggregate that we know.
    pub aggregates: Vec<Option<Aggregate>>,
    pub configuration: Configuration,
}

impl Processed {
    pub fn read(body: &mut Reader<'_>, most: usize) -> Result<Processed, StatusCode> {
        let (start, end, interval) = (body.time()?, body.time()?, body.f64()?);
        let count = body.count(2)?;
        if count > most {
            return Err(StatusCode::BadTooManyOperations);
        }
        let aggregates = (0..count)
            .map(|_| Ok(Aggregate::from_node_id(&body.node_id()?.to_owned())))
            .collect::<Result<Vec<_>, StatusCode>>()?;
        let configuration = aggregate::read_configuration(body)?;
        Ok(Processed { start, end, interval, aggregates, configuration })
    }
}

/// The samples that a read is about, and the bounds on either side of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    pub span: Span,
    pub direction: Direction,
    /// The time at which the read begins.
    pub from: UaTime,
    /// The time at which it ends; `None` without an end.
    pub to: Option<UaTime>,
}

/// The first sample of a span, seen from the end where a read in `direction` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    pub span: Span,
    pub direction: Direction,
}

impl Details {
    /// An unknown kind is BadHistoryOperationInvalid. At most `most_times` times, and aggregates for `most_nodes`.
    pub fn read(
        object: ExtensionRef<'_>,
        reader: &Reader<'_>,
        most_times: usize,
        most_nodes: usize,
    ) -> Result<Details, StatusCode> {
        let number = object.type_id.standard().ok_or(StatusCode::BadHistoryOperationInvalid)?;
        let body = object.body.ok_or(StatusCode::BadHistoryOperationInvalid)?;
        let mut body = reader.nested(body);
        Ok(match number {
            encoding::READ_RAW_MODIFIED => {
                let is_modified = body.bool()?;
                let (start, end) = (specified(body.time()?), specified(body.time()?));
                let raw = Raw { start, end, count: body.u32()?, bounds: body.bool()? };
                if is_modified { Details::Modified(raw) } else { Details::Raw(raw) }
            }
            encoding::READ_AT_TIME => {
                let times = times(&mut body, most_times)?;
                Details::AtTime { times, simple_bounds: body.bool()? }
            }
            encoding::READ_ANNOTATIONS => Details::Annotations { times: times(&mut body, most_times)? },
            encoding::READ_EVENT | encoding::READ_EVENT_SORTED => Details::Events,
            encoding::READ_PROCESSED => Details::Processed(Processed::read(&mut body, most_nodes)?),
            _ => return Err(StatusCode::BadHistoryOperationInvalid),
        })
    }

    /// Bytes that a continuation point keeps alive.
    pub fn weight(&self) -> usize {
        let items = match self {
            Details::AtTime { times, .. } | Details::Annotations { times } => size_of_val(times.as_slice()),
            Details::Processed(processed) => size_of_val(processed.aggregates.as_slice()),
            Details::Raw(_) | Details::Modified(_) | Details::Events => 0,
        };
        items + size_of::<Details>()
    }

    /// Whether a continuation point of the one may be used with the other: both are of one kind.
    pub fn is_like(&self, other: &Details) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// DateTime.MinValue, however early a client writes it, is "not specified".
fn specified(time: UaTime) -> Option<UaTime> {
    Some(time).filter(|time| time.0 > 0)
}

fn times(body: &mut Reader<'_>, most: usize) -> Result<Vec<UaTime>, StatusCode> {
    let count = body.count(8)?;
    if count > most {
        return Err(StatusCode::BadTooManyOperations);
    }
    body.charge(count * 8)?;
    (0..count).map(|_| body.time()).collect()
}

impl Raw {
    /// Which samples are asked for (Part 11 §4.6 and §6.5.3.2, 1.05). The end is not inside, but a lone end and a
    /// start that equals the end are. Backwards when the end comes first or is given alone.
    pub fn domain(&self) -> Result<Domain, StatusCode> {
        let before = |time: UaTime| UaTime(time.0 - 1);
        let after = |time: UaTime| UaTime(time.0.saturating_add(1));
        let forward = |first, last| (Span { first, last }, Direction::Forward);
        let backward = |first, last| (Span { first, last }, Direction::Backward);
        let ((span, direction), from, to) = match (self.start, self.end) {
            (Some(start), Some(end)) if start == end => (forward(start, start), start, Some(end)),
            (Some(start), Some(end)) if start < end => (forward(start, before(end)), start, Some(end)),
            (Some(start), Some(end)) => (backward(after(end), start), start, Some(end)),
            (Some(start), None) if self.count > 0 => (forward(start, UaTime(i64::MAX)), start, None),
            (None, Some(end)) if self.count > 0 => (backward(UaTime(i64::MIN), end), end, None),
            _ => return Err(StatusCode::BadHistoryOperationInvalid),
        };
        Ok(Domain { span, direction, from, to })
    }
}

impl Domain {
    /// The place of the bound before the first sample, and the direction to look for it; a sample at `from` itself wins.
    pub fn first_bound(&self) -> Nearest {
        match self.direction {
            Direction::Forward => {
                Nearest { span: Span { last: self.from, ..Span::ALL }, direction: Direction::Backward }
            }
            Direction::Backward => {
                Nearest { span: Span { first: self.from, ..Span::ALL }, direction: Direction::Forward }
            }
        }
    }

    /// The place of the bound after the last sample; none without an end. A bound at the start itself is the first one,
    /// so a read of one instant ends with the sample after it (Part 11 §4.6, Table 1, 1.05).
    pub fn last_bound(&self) -> Option<Nearest> {
        let to = self.to?;
        let span = match self.direction {
            Direction::Forward if to == self.from => Span { first: UaTime(to.0.saturating_add(1)), ..Span::ALL },
            Direction::Forward => Span { first: to, ..Span::ALL },
            Direction::Backward => Span { last: to, ..Span::ALL },
        };
        Some(Nearest { span, direction: self.direction })
    }
}
