//! Namespace 0, read from the blob that `build.rs` wrote.
//!
//! The blob is our own, made at build time: a mistake in it is a broken promise inside the program, so it panics.

use super::draft::{Draft, NewId, NewNode};
use super::{Class, Detail, Label, NodeIx, Source, Span, callable};
use crate::stack::codec::Reader;
use crate::value::Value;

static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/namespace0.bin"));
const OURS: &str = "the blob of namespace 0 is as build.rs wrote it";

/// DataTypes are named by number and may stand later in the blob, so they are set when all nodes are known.
struct Pending {
    shape: u32,
    data_type: u32,
}

pub(crate) fn load(draft: &mut Draft) {
    let mut blob = Reader::new(BLOB);
    let mut pending = Vec::new();
    for _ in 0..blob.u32().expect(OURS) {
        node(draft, &mut blob, &mut pending);
    }
    for Pending { shape, data_type } in pending {
        // A few nodes of the standard state no DataType: BaseDataType (24) says the same.
        let number = if data_type == 0 { 24 } else { data_type };
        let data_type = draft.standard(number);
        draft.set_data_type(shape, data_type);
    }
    for _ in 0..blob.u32().expect(OURS) {
        let (source, kind, target) = (blob.u32().expect(OURS), blob.u32().expect(OURS), blob.u32().expect(OURS));
        let (source, target) = (draft.standard(source), draft.standard(target));
        draft.refer(source, kind, target);
    }
    draft.set_event_notifier(draft.standard(SERVER), 1);
}

/// The Server object: it notifies of events.
const SERVER: u32 = opcua::ObjectId::Server as u32;

fn text<'a>(blob: &mut Reader<'a>) -> &'a str {
    blob.text().expect(OURS)
}

fn node(draft: &mut Draft, blob: &mut Reader<'static>, pending: &mut Vec<Pending>) {
    let number = blob.u32().expect(OURS);
    let class = class_of(blob.u8().expect(OURS));
    let (browse, display, description) = (text(blob), text(blob), text(blob));
    let display = if display == browse { Label::Browse } else { draft.plain(display) };
    let description = draft.plain(description);
    let detail = detail(draft, blob, class, number, pending);
    draft.add(NewNode {
        class,
        namespace: 0,
        browse_namespace: 0,
        id: NewId::Numeric(number),
        browse,
        display,
        description,
        access: None,
        detail,
    });
}

fn class_of(byte: u8) -> Class {
    match byte {
        1 => Class::Object,
        2 => Class::Variable,
        4 => Class::Method,
        8 => Class::ObjectType,
        16 => Class::VariableType,
        32 => Class::ReferenceType,
        64 => Class::DataType,
        _ => Class::View,
    }
}

fn detail(
    draft: &mut Draft,
    blob: &mut Reader<'static>,
    class: Class,
    number: u32,
    pending: &mut Vec<Pending>,
) -> Detail {
    match class {
        Class::Object => Detail::Object { event_notifier: blob.u8().expect(OURS) & 1 },
        Class::ObjectType => Detail::ObjectType { is_abstract: blob.bool().expect(OURS) },
        Class::ReferenceType => {
            let (is_abstract, symmetric) = (blob.bool().expect(OURS), blob.bool().expect(OURS));
            let inverse = text(blob);
            let inverse_name = if inverse.is_empty() { Span::default() } else { draft.text(inverse) };
            Detail::ReferenceType { is_abstract, symmetric, inverse_name }
        }
        Class::DataType => {
            let is_abstract = blob.bool().expect(OURS);
            let definition = value(blob).map(|value| draft.value(value));
            Detail::DataType { is_abstract, definition }
        }
        Class::VariableType => {
            let is_abstract = blob.bool().expect(OURS);
            Detail::VariableType { is_abstract, shape: shape(draft, blob, pending) }
        }
        Class::Variable => Detail::Variable(shape(draft, blob, pending)),
        Class::Method | Class::View => Detail::Method { is_executable: callable::ALL.contains(&number) },
    }
}

fn shape(draft: &mut Draft, blob: &mut Reader<'static>, pending: &mut Vec<Pending>) -> u32 {
    let data_type = blob.u32().expect(OURS);
    let value_rank = blob.i32().expect(OURS);
    let dimensions: Vec<u32> = (0..blob.u32().expect(OURS)).map(|_| blob.u32().expect(OURS)).collect();
    let source = match value(blob) {
        Some(value) => draft.constant(value),
        None => Source::None,
    };
    let shape = draft.shape(NodeIx(0), value_rank, &dimensions, source);
    pending.push(Pending { shape, data_type });
    shape
}

fn value(blob: &mut Reader<'static>) -> Option<Value> {
    let bytes = blob.bytes().expect(OURS).unwrap_or_default();
    if bytes.is_empty() {
        return None;
    }
    Some(Reader::new(bytes).variant().expect(OURS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::codec::NodeIdRef;

    fn space() -> super::super::Space {
        let mut draft = Draft::new("urn:test");
        load(&mut draft);
        draft.finish()
    }

    #[test]
    fn namespace_0_holds_all_types_and_no_instance_without_an_answer() {
        let space = space();
        assert!(space.node_count() > 4_500, "{} nodes", space.node_count());
        for (number, present) in
            [(84, true), (85, true), (2253, true), (2256, true), (93, true), (12_637, false), (14_443, false)]
        {
            assert_eq!(space.find(NodeIdRef::numeric(0, number)).is_some(), present, "i={number}");
        }
        assert!(callable::ALL.iter().all(|number| space.standard_node(*number).is_some()));
        assert!(space.standard_node(12_749).is_none(), "SetSubscriptionDurable");
    }

    #[test]
    fn every_object_and_variable_of_namespace_0_has_a_type_definition() {
        let space = space();
        for at in (0..space.node_count()).map(|at| NodeIx(u32::try_from(at).expect("few nodes"))) {
            let node = space.node(at);
            if matches!(node.class, Class::Object | Class::Variable) {
                assert_ne!(node.type_definition, at, "{}", space.id_text(at));
            }
        }
    }

    #[test]
    fn subtypes_are_known_through_all_levels() {
        let space = space();
        let node = |number| space.standard_node(number).expect("a standard node");
        for (kind, ancestor, is_a) in [
            (47, 33, true),
            (46, 33, true),
            (47, 47, true),
            (33, 47, false),
            (40, 33, false),
            (2133, 2041, true),
            (2368, 62, true),
        ] {
            assert_eq!(space.is_a(node(kind), node(ancestor)), is_a, "i={kind} is i={ancestor}");
        }
    }
}
