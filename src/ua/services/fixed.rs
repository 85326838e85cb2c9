//! Values of monitored items that no tag offers: attributes, constants, and variables of the server itself.

use opcua::StatusCode;

use super::{Context, history};
use crate::stack::codec::{Reader, Writer};
use crate::ua::space::{Attribute, NodeIx, Source, Space};
use crate::ua::subscription::Watched;
use crate::value::{IndexRange, Sample, UaTime, Value};

/// The first value of what no tag offers.
pub(crate) fn first_sample(
    context: &Context<'_>,
    space: &Space,
    node: NodeIx,
    attribute: Attribute,
    watched: &Watched,
    range: Option<&IndexRange>,
) -> Result<Option<Sample>, StatusCode> {
    let sample = match watched {
        Watched::Tag(_) | Watched::Events(..) => return Ok(None),
        Watched::Live(live) => context.live_sample(*live),
        Watched::Fixed => fixed_sample(context, space, node, attribute, range)?,
    };
    Ok(Some(sample))
}

fn fixed_sample(
    context: &Context<'_>,
    space: &Space,
    node: NodeIx,
    attribute: Attribute,
    range: Option<&IndexRange>,
) -> Result<Sample, StatusCode> {
    let value = fixed_value(context, space, node, attribute)?;
    let value = range.map_or(Ok(value.clone()), |range| range.apply(&value))?;
    Ok(Sample { value, status: StatusCode::Good, source_time: UaTime::NULL, server_time: context.now.wall })
}

/// The value of a node that never changes by itself, or a null value with the status that says why.
pub(crate) fn fixed_or_why(
    context: &Context<'_>,
    space: &Space,
    node: NodeIx,
    attribute: Attribute,
    range: Option<&IndexRange>,
) -> Sample {
    fixed_sample(context, space, node, attribute, range).unwrap_or_else(|status| Sample {
        value: Value::Null,
        status,
        source_time: UaTime::NULL,
        server_time: context.now.wall,
    })
}

fn fixed_value(context: &Context<'_>, space: &Space, node: NodeIx, attribute: Attribute) -> Result<Value, StatusCode> {
    if attribute == Attribute::Value {
        return match space.variable(node).map(|shape| shape.source) {
            Some(Source::Constant(value)) => Ok(space.constant(value).clone()),
            Some(Source::History(part)) => {
                let tag = space.historical_tag(node).ok_or(StatusCode::BadNotReadable)?;
                Ok(history::configuration::sample(context, tag, part)?.value)
            }
            Some(Source::Default { access, of }) => Ok(space.default_value(access, of, &context.viewer())),
            _ => Err(StatusCode::BadNotReadable),
        };
    }
    let mut w = Writer::new();
    space.write_attribute(node, attribute, &context.viewer(), &mut w)?;
    Reader::new(&w.buf).variant()
}
