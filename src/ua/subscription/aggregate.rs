//! AggregateFilter: an item that gives one calculated value a processing interval (Part 4 §7.22.4, 1.05).

use std::time::Duration;

use opcua::StatusCode;

use crate::history::ArchiveId;
use crate::history::aggregate::{Aggregate, Configuration, RunningRequest, Source};
use crate::model::{Plant, TagId};
use crate::stack::codec::{ExtensionRef, Reader, Writer};
use crate::ua::filter_types::AGGREGATE_FILTER;
use crate::value::UaTime;

/// Encoding id of AggregateFilterResult (Part 6 annex A, 1.05).
const AGGREGATE_FILTER_RESULT: u32 = opcua::ObjectId::AggregateFilterResult_Encoding_DefaultBinary as u32;
/// Shorter processing intervals are revised to this. Results are sent with the publishing interval anyway.
const SHORTEST: Duration = Duration::from_millis(100);

/// AggregateConfiguration as it is sent (Part 4 §7.22.4, 1.05).
pub(crate) fn read_configuration(body: &mut Reader<'_>) -> Result<Configuration, StatusCode> {
    let uses_defaults = body.bool()?;
    let given = Configuration {
        treat_uncertain_as_bad: body.bool()?,
        percent_data_bad: body.u8()?,
        percent_data_good: body.u8()?,
        use_sloped_extrapolation: body.bool()?,
    };
    // node-opcua sends zeros that it does not mean (node-opcua#1098); taken at their word they would be refused.
    let is_meant = given.percent_data_bad > 0 || given.percent_data_good > 0;
    Ok(if uses_defaults || !is_meant { Configuration::default() } else { given })
}

/// The input of a calculation: a tag's type and archive.
pub(crate) fn source(plant: &Plant, tag: TagId, archive: ArchiveId) -> Source {
    let shape = &plant.tag(tag).shape;
    Source { archive, kind: shape.data_type.wire(), is_array: !shape.is_scalar(), stepped: plant.is_stepped(tag) }
}

/// Times that a request is revised against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    pub now: UaTime,
    /// The processing interval of a client that asks for none.
    pub publishing: Duration,
}

/// The filter if it is one of aggregates, brought into what can be done.
pub(crate) fn read(
    filter: ExtensionRef<'_>,
    source: Source,
    clocks: Clocks,
) -> Result<Option<RunningRequest>, StatusCode> {
    let (Some(AGGREGATE_FILTER), Some(body)) = (filter.type_id.standard(), filter.body) else { return Ok(None) };
    let mut body = Reader::new(body);
    let invalid = |_| StatusCode::BadMonitoredItemFilterInvalid;
    let start = body.time().map_err(invalid)?;
    let aggregate = body.node_id().map_err(invalid)?;
    let interval = body.f64().map_err(invalid)?;
    let configuration = read_configuration(&mut body).map_err(invalid)?;
    let aggregate = Aggregate::from_node_id(&aggregate.to_owned()).ok_or(StatusCode::BadAggregateNotSupported)?;
    let request = RunningRequest { source, aggregate, configuration, start, interval };
    request.revise(clocks.now, SHORTEST, clocks.publishing).map(Some)
}

/// AggregateFilterResult: what became of the request.
pub(crate) fn write_result(request: &RunningRequest, w: &mut Writer) {
    w.extension_object(AGGREGATE_FILTER_RESULT, |w| {
        w.time(request.start);
        w.f64(request.interval);
        w.bool(false);
        w.bool(request.configuration.treat_uncertain_as_bad);
        w.u8(request.configuration.percent_data_bad);
        w.u8(request.configuration.percent_data_good);
        w.bool(request.configuration.use_sloped_extrapolation);
    });
}
