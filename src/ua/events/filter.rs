//! EventFilter: select clauses and the where clause of a client (Part 4 §7.22.3, 1.05).
//!
//! UaExpert sends one with `OfType BaseModelChangeEventType` when it connects, with no event view open.

use opcua::StatusCode;

use super::Event;
use super::condition::{Element, Operand, Operator, matches};
use super::field::Field;
use crate::stack::codec::{ExtensionRef, Reader, Writer};
use crate::ua::filter_types::{AGGREGATE_FILTER, DATA_CHANGE_FILTER, EVENT_FILTER};
use crate::ua::limits::Limits;
use crate::ua::space::{Attribute, NodeIx, Space};
use crate::value::Value;

/// Encoding ids (Part 6 annex A, 1.05).
const EVENT_FILTER_RESULT: u32 = opcua::ObjectId::EventFilterResult_Encoding_DefaultBinary as u32;
const ELEMENT_OPERAND: u32 = opcua::ObjectId::ElementOperand_Encoding_DefaultBinary as u32;
const LITERAL_OPERAND: u32 = opcua::ObjectId::LiteralOperand_Encoding_DefaultBinary as u32;
const ATTRIBUTE_OPERAND: u32 = opcua::ObjectId::AttributeOperand_Encoding_DefaultBinary as u32;
const SIMPLE_ATTRIBUTE_OPERAND: u32 = opcua::ObjectId::SimpleAttributeOperand_Encoding_DefaultBinary as u32;
const EVENT_FILTER_VALUE: u32 = Attribute::Value as u32;
const AGGREGATES: u32 = opcua::ReferenceTypeId::Aggregates as u32;
const BASE_EVENT_TYPE: u32 = opcua::ObjectTypeId::BaseEventType as u32;

#[derive(Debug, Default)]
pub struct EventFilter {
    select: Vec<Field>,
    elements: Vec<Element>,
}

/// A filter and the result for each of its parts.
#[derive(Debug)]
pub struct Parsed {
    pub filter: EventFilter,
    /// Bad when the item must not be made; the parts say why.
    pub status: StatusCode,
    where_results: Vec<StatusCode>,
}

impl EventFilter {
    pub fn read(filter: ExtensionRef<'_>, space: &Space, limits: &Limits) -> Result<Parsed, StatusCode> {
        match (filter.type_id.standard(), filter.body) {
            (Some(EVENT_FILTER), Some(body)) => read_body(&mut Reader::new(body), space, limits),
            (Some(DATA_CHANGE_FILTER | AGGREGATE_FILTER), _) => Err(StatusCode::BadFilterNotAllowed),
            _ => Err(StatusCode::BadEventFilterInvalid),
        }
    }

    pub fn passes(&self, event: &Event, space: &Space) -> bool {
        self.elements.is_empty() || matches(&self.elements, event, space)
    }

    pub fn fields(&self, event: &Event, space: &Space) -> Vec<Value> {
        self.select.iter().map(|field| field.value(event, space)).collect()
    }
}

impl Parsed {
    /// An EventFilterResult as ExtensionObject.
    pub fn write_result(&self, w: &mut Writer) {
        w.extension_object(EVENT_FILTER_RESULT, |w| {
            w.count(self.filter.select.len());
            self.filter.select.iter().for_each(|field| w.status(field.status));
            w.null_array();
            w.count(self.where_results.len());
            for status in &self.where_results {
                w.status(*status);
                w.null_array();
                w.null_array();
            }
            w.null_array();
        });
    }
}

fn read_body(body: &mut Reader<'_>, space: &Space, limits: &Limits) -> Result<Parsed, StatusCode> {
    let invalid = |_| StatusCode::BadEventFilterInvalid;
    let count = body.count(10).map_err(invalid)?;
    if count == 0 {
        return Err(StatusCode::BadEventFilterInvalid);
    }
    if count > limits.select_clauses as usize {
        return Err(StatusCode::BadTooManyOperations);
    }
    let mut select = Vec::with_capacity(count);
    for _ in 0..count {
        select.push(read_field(body, space).map_err(invalid)?);
    }
    let count = body.count(8).map_err(invalid)?;
    if count > limits.where_elements as usize {
        return Err(StatusCode::BadTooManyOperations);
    }
    let mut elements = Vec::with_capacity(count);
    let mut where_results = Vec::with_capacity(count);
    for at in 0..count {
        let (element, status) = read_element(body, space, at, count).map_err(invalid)?;
        elements.push(element);
        where_results.push(status);
    }
    let bad = where_results.iter().any(|status| status.is_bad());
    let status = if bad { StatusCode::BadEventFilterInvalid } else { StatusCode::Good };
    if !bad {
        where_results.clear();
    }
    Ok(Parsed { filter: EventFilter { select, elements }, status, where_results })
}

fn read_field(body: &mut Reader<'_>, space: &Space) -> Result<Field, StatusCode> {
    let type_id = body.node_id()?;
    let count = body.count(6)?;
    let mut path = Vec::new();
    let mut is_standard = true;
    for _ in 0..count {
        let name = body.qualified_name()?;
        let text = name.name.unwrap_or_default();
        body.charge(text.len() + 24)?;
        is_standard &= name.namespace == 0;
        path.push(text.to_owned());
    }
    let attribute = body.u32()?;
    let range = body.text()?;
    let kind = if type_id.is_null() { space.standard_node(BASE_EVENT_TYPE) } else { space.find(type_id) };
    let status = match kind.filter(|kind| space.is_standard(*kind, BASE_EVENT_TYPE)) {
        None => StatusCode::BadTypeDefinitionInvalid,
        Some(_) if !range.is_empty() => StatusCode::BadIndexRangeNoData,
        Some(_) if path.is_empty() && attribute == 1 => StatusCode::Good,
        Some(_) if attribute != EVENT_FILTER_VALUE => StatusCode::BadAttributeIdInvalid,
        Some(kind) if is_standard && declares(space, kind, &path) => StatusCode::Good,
        Some(_) => StatusCode::BadNodeIdUnknown,
    };
    Ok(Field { is_node_id: path.is_empty(), path, status })
}

/// Whether an event type or one of its supertypes has a component or property of that path.
fn declares(space: &Space, kind: NodeIx, path: &[String]) -> bool {
    let mut next = Some(kind);
    while let Some(at) = next {
        if reaches(space, at, path) {
            return true;
        }
        next = space.supertype_of(at);
    }
    false
}

fn reaches(space: &Space, from: NodeIx, path: &[String]) -> bool {
    let Some((name, rest)) = path.split_first() else { return true };
    space.references(from).iter().any(|reference| {
        reference.forward
            && space.is_standard(NodeIx(reference.kind), AGGREGATES)
            && space.browse_name(reference.target).name == Some(name)
            && reaches(space, reference.target, rest)
    })
}

fn read_element(
    body: &mut Reader<'_>,
    space: &Space,
    at: usize,
    count: usize,
) -> Result<(Element, StatusCode), StatusCode> {
    let number = body.i32()?;
    let operands = body.count(3)?;
    body.charge(operands * 64)?;
    let mut element = Element { operator: Operator::And, operands: Vec::with_capacity(operands) };
    let mut status = StatusCode::Good;
    for _ in 0..operands {
        match read_operand(body.extension_object()?, body, space, at, count) {
            Ok(operand) => element.operands.push(operand),
            Err(code) => status = code,
        }
    }
    match Operator::from_wire(number) {
        Ok(operator) => {
            element.operator = operator;
            if status.is_good() && !operator.takes(&element.operands) {
                status = StatusCode::BadFilterOperandCountMismatch;
            }
        }
        Err(code) => status = code,
    }
    Ok((element, status))
}

fn read_operand(
    object: ExtensionRef<'_>,
    body: &Reader<'_>,
    space: &Space,
    at: usize,
    count: usize,
) -> Result<Operand, StatusCode> {
    let invalid = |_| StatusCode::BadFilterOperandInvalid;
    let (Some(kind), Some(bytes)) = (object.type_id.standard(), object.body) else {
        return Err(StatusCode::BadFilterOperandInvalid);
    };
    let mut reader = body.nested(bytes);
    match kind {
        ELEMENT_OPERAND => {
            let index = reader.u32().map_err(invalid)? as usize;
            // Only later elements: so no filter can run in a circle.
            if index > at && index < count {
                Ok(Operand::Element(index))
            } else {
                Err(StatusCode::BadFilterOperandInvalid)
            }
        }
        LITERAL_OPERAND => Ok(Operand::Literal(reader.variant().map_err(invalid)?)),
        SIMPLE_ATTRIBUTE_OPERAND => {
            let field = read_field(&mut reader, space).map_err(invalid)?;
            if field.status.is_bad() { Err(field.status) } else { Ok(Operand::Field(field)) }
        }
        ATTRIBUTE_OPERAND => Err(StatusCode::BadNotSupported),
        _ => Err(StatusCode::BadFilterOperandInvalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::codec::{NodeIdRef, QualifiedNameRef};
    use crate::value::{BuiltIn, UaTime};

    fn space() -> Space {
        crate::ua::space::compose(&crate::model::Plant::default(), "urn:test", &[], &Default::default()).finish()
    }

    fn simple(w: &mut Writer, kind: u32, name: &str) {
        w.node_id(NodeIdRef::numeric(0, kind));
        w.count(1);
        w.qualified_name(QualifiedNameRef { namespace: 0, name: Some(name) });
        w.u32(13);
        w.string(None);
    }

    /// Select clauses by (type, field), and `OfType` of a type when there is one.
    fn filter(fields: &[(u32, &str)], of_type: Option<u32>) -> Vec<u8> {
        let mut w = Writer::new();
        w.count(fields.len());
        fields.iter().for_each(|(kind, name)| simple(&mut w, *kind, name));
        w.count(usize::from(of_type.is_some()));
        if let Some(kind) = of_type {
            w.i32(14);
            w.count(1);
            w.extension_object(LITERAL_OPERAND, |w| {
                w.variant_head(BuiltIn::NodeId);
                w.node_id(NodeIdRef::numeric(0, kind));
            });
        }
        w.buf
    }

    fn read(bytes: &[u8], space: &Space) -> Result<Parsed, StatusCode> {
        let limits = Limits::new(crate::model::Limits::default());
        read_body(&mut Reader::new(bytes), space, &limits)
    }

    fn event(kind: u32, space: &Space) -> Event {
        Event {
            id: [7; 16],
            kind,
            source: space.standard_node(2253).expect("the Server object"),
            source_name: "Server".to_owned(),
            time: UaTime(1),
            message: "hello".to_owned(),
            severity: 500,
            extra: Vec::new(),
        }
    }

    #[test]
    fn of_type_lets_the_type_and_its_subtypes_through() {
        let space = space();
        let parsed = read(&filter(&[(2041, "Severity")], Some(2130)), &space).expect("a filter");
        assert_eq!(parsed.status, StatusCode::Good);
        // 2130 SystemEventType, 2131 DeviceFailureEventType below it, 2132 BaseModelChangeEventType next to it.
        for (kind, passes) in [(2130, true), (2131, true), (2132, false), (2041, false)] {
            assert_eq!(parsed.filter.passes(&event(kind, &space), &space), passes, "i={kind}");
        }
        assert_eq!(parsed.filter.fields(&event(2131, &space), &space), [Value::UInt16(500)]);
    }

    #[test]
    fn each_select_clause_has_a_status_of_its_own() {
        let space = space();
        let parsed =
            read(&filter(&[(2041, "Message"), (2041, "Nonsense"), (2133, "Changes"), (58, "Message")], None), &space)
                .expect("a filter");
        let codes: Vec<StatusCode> = parsed.filter.select.iter().map(|field| field.status).collect();
        let unknown = StatusCode::BadNodeIdUnknown;
        assert_eq!(codes, [StatusCode::Good, unknown, StatusCode::Good, StatusCode::BadTypeDefinitionInvalid]);
    }

    #[test]
    fn a_filter_without_a_select_clause_is_invalid() {
        assert_eq!(read(&filter(&[], None), &space()).err(), Some(StatusCode::BadEventFilterInvalid));
    }
}
