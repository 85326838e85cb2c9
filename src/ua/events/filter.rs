//! EventFilter: select clauses and the where clause of a client (Part 4 §7.22.3, 1.05).
//!
//! UaExpert sends one with `OfType BaseModelChangeEventType` when it connects, with no event view open.

use std::sync::Arc;

use opcua::StatusCode;

use super::Event;
use super::condition::{Element, Operand, Operator, matches};
use super::operand::FieldOperand;
use crate::stack::codec::{ExtensionRef, Reader, Writer};
use crate::ua::filter_types::{AGGREGATE_FILTER, DATA_CHANGE_FILTER, EVENT_FILTER};
use crate::ua::limits::Limits;
use crate::ua::space::{EventTypes, Space};
use crate::value::Value;

/// Encoding ids (Part 6 annex A, 1.05).
const EVENT_FILTER_RESULT: u32 = opcua::ObjectId::EventFilterResult_Encoding_DefaultBinary as u32;
const ELEMENT_OPERAND: u32 = opcua::ObjectId::ElementOperand_Encoding_DefaultBinary as u32;
const LITERAL_OPERAND: u32 = opcua::ObjectId::LiteralOperand_Encoding_DefaultBinary as u32;
const ATTRIBUTE_OPERAND: u32 = opcua::ObjectId::AttributeOperand_Encoding_DefaultBinary as u32;
const SIMPLE_ATTRIBUTE_OPERAND: u32 = opcua::ObjectId::SimpleAttributeOperand_Encoding_DefaultBinary as u32;

#[derive(Debug, Default)]
pub struct EventFilter {
    select: Vec<FieldOperand>,
    elements: Vec<Element>,
    /// The table that the fields were looked up in.
    types: Arc<EventTypes>,
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

    /// Looks types and fields up again if the address space is another one; cheap if it is the same. The client's own
    /// operands are kept for it.
    pub fn resolve(&mut self, space: &Space) {
        if Arc::ptr_eq(&self.types, space.event_types()) {
            return;
        }
        self.select.iter_mut().for_each(|field| field.resolve(space));
        self.elements.iter_mut().flat_map(|element| &mut element.operands).for_each(|operand| operand.resolve(space));
        self.types = Arc::clone(space.event_types());
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
        select.push(FieldOperand::read(body, space).map_err(invalid)?);
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
    let types = Arc::clone(space.event_types());
    Ok(Parsed { filter: EventFilter { select, elements, types }, status, where_results })
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
            if operator == Operator::OfType {
                let operands = std::mem::take(&mut element.operands);
                element.operands = operands.into_iter().map(|operand| operand.into_type(space)).collect();
            }
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
            let field = FieldOperand::read(&mut reader, space).map_err(invalid)?;
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
    use crate::ua::events::Fields;
    use crate::value::{BuiltIn, UaTime};

    fn compose_empty() -> crate::ua::space::Draft {
        crate::ua::space::compose(&crate::model::Plant::default(), "urn:test", &[], &Default::default())
    }

    fn space() -> Space {
        compose_empty().finish()
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
        let kind = space.standard_node(kind).expect("an event type");
        Event {
            id: [7; 16],
            kind,
            source: space.standard_node(2253).expect("the Server object"),
            source_name: "Server".to_owned(),
            time: UaTime(1),
            message: "hello".to_owned(),
            severity: 500,
            fields: Fields::default(),
            per_viewer: None,
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

    /// A space with a type of a cell below BaseEventType; its field lies at another place after `shift` other fields.
    fn with_batches(shift: usize) -> Space {
        use crate::ua::space::{Class, Detail, NewNode};
        let mut draft = compose_empty();
        let shape = draft.shape(draft.standard(12), -1, &[], crate::ua::space::Source::None);
        let mut node = |class, name: &str, detail| draft.add(NewNode::of_cell(class, name, detail));
        let others: Vec<_> =
            (0..shift).map(|n| node(Class::Variable, &format!("Other{n}"), Detail::Variable(shape))).collect();
        let kind = node(Class::ObjectType, "BatchEvent", Detail::ObjectType { is_abstract: false });
        let batch = node(Class::Variable, "Batch", Detail::Variable(shape));
        let base = draft.standard(2041);
        draft.refer(base, opcua::ReferenceTypeId::HasSubtype as u32, kind);
        for field in others.into_iter().chain([batch]) {
            draft.refer(kind, opcua::ReferenceTypeId::HasProperty as u32, field);
        }
        draft.finish()
    }

    /// A filter remains the client's when the address space is replaced, also when its type goes and comes back.
    #[test]
    fn a_filter_is_looked_up_again_in_another_address_space() {
        let (early, without, late) = (with_batches(0), space(), with_batches(3));
        let mut w = Writer::new();
        w.count(1);
        w.node_id(NodeIdRef::string(2, "BatchEvent"));
        w.count(1);
        w.qualified_name(QualifiedNameRef { namespace: 2, name: Some("Batch") });
        w.u32(13);
        w.string(None);
        w.count(1);
        w.i32(14);
        w.count(1);
        w.extension_object(LITERAL_OPERAND, |w| {
            w.variant_head(BuiltIn::NodeId);
            w.node_id(NodeIdRef::string(2, "BatchEvent"));
        });
        let mut filter = read(&w.buf, &early).expect("a filter").filter;
        let batch = |space: &Space| {
            let path = [crate::ua::space::TargetName { namespace: 2, name: "Batch" }];
            let kind = space.find(NodeIdRef::string(2, "BatchEvent"));
            let field = kind.and_then(|kind| space.event_field(kind, &path));
            let mut event = event(2041, space);
            if let (Some(kind), Some(field)) = (kind, field) {
                event.kind = kind;
                event.fields.set(field, Value::Int32(7));
            }
            event
        };
        assert_ne!(batch(&early).kind, batch(&late).kind, "the type has another place");
        for (space, passes, value) in [
            (&early, true, Value::Int32(7)),
            (&late, true, Value::Int32(7)),
            (&without, false, Value::Null),
            (&early, true, Value::Int32(7)),
        ] {
            filter.resolve(space);
            let event = batch(space);
            assert_eq!((filter.passes(&event, space), filter.fields(&event, space)), (passes, vec![value]));
        }
    }
}
