//! The event types of the address space and their fields, built once with it.
//!
//! A field is its BrowsePath: the fields of all types that have the same path are one, because a client may select a
//! path "without considering the type" (Part 4 §7.22.3, 1.05). So an event keeps its values by `FieldId`, and no name is
//! compared when it is raised.

use std::hash::BuildHasher;

use hashbrown::{HashMap, HashTable};

use super::{Class, ConditionPart, NodeIx, Space, Span, TargetName, kinds};

/// A field of events by the place of its path in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(u16);

/// The NodeId of the event itself, which is no Variable of a type: its condition (Part 9 §5.5.2, 1.05).
pub(crate) const CONDITION_ID: FieldId = FieldId(u16::MAX);

/// Makes fields of namespace 0 whose path is one name; their numbers are the same in every address space.
macro_rules! fields {
    ($($name:ident)*) => {
        /// Fields that this server sets, by their BrowseName in namespace 0.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Field { $($name),* }

        const ALL: &[Field] = &[$(Field::$name),*];
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

fields! {
    EventId EventType SourceNode SourceName Time ReceiveTime Message Severity
    SystemState Changes
    ActionTimeStamp Status ServerId ClientAuditEntryId ClientUserId StatusCodeId
    SecureChannelId ClientCertificate ClientCertificateThumbprint RequestType SecurityPolicyUri SecurityMode
    RequestedLifetime SessionId RevisedSessionTimeout UserIdentityToken RequestHandle Certificate InvalidUri
    AttributeId IndexRange OldValue NewValue MethodId InputArguments OutputArguments
    ConditionEventId Comment ShelvingTime
    ParameterDataTypeId UpdatedNode PerformInsertReplace NewValues OldValues ReqTimes IsDeleteModified StartTime EndTime
}

impl From<Field> for FieldId {
    fn from(field: Field) -> FieldId {
        FieldId(field as u16)
    }
}

impl Field {
    /// The field of namespace 0 that a number is, if it is one of these.
    pub fn of(field: FieldId) -> Option<Field> {
        ALL.get(usize::from(field.0)).copied()
    }
}

/// Deeper fields are not looked for: no type of the standard has more than three levels.
const DEEPEST: usize = 8;

/// One element of a path: a BrowseName, its text in the arena of the address space.
#[derive(Debug, Clone, Copy)]
struct Step {
    namespace: u16,
    name: Span,
}

#[derive(Debug, Default)]
pub(crate) struct EventTypes {
    /// The elements of all paths; those of field n are `steps[first[n]..first[n + 1]]`.
    steps: Vec<Step>,
    first: Vec<u32>,
    by_path: HashTable<u16>,
    /// The fields that each type adds to those of its supertypes, sorted.
    own: HashMap<NodeIx, Box<[FieldId]>, foldhash::fast::FixedState>,
    /// The part of a condition that a field reports.
    parts: HashMap<FieldId, ConditionPart, foldhash::fast::FixedState>,
}

impl Space {
    /// The table of this address space; an equal address means that every `FieldId` is the same.
    pub(crate) fn event_types(&self) -> &std::sync::Arc<EventTypes> {
        &self.event_types
    }

    pub(crate) fn base_event_type(&self) -> Option<NodeIx> {
        self.standard_node(opcua::ObjectTypeId::BaseEventType as u32)
    }

    /// The field of a path that `kind` has, of its own or inherited. Every field that any type has is one of
    /// BaseEventType here (Part 4 §7.22.3, 1.05).
    pub(crate) fn event_field(&self, kind: NodeIx, path: &[TargetName<'_>]) -> Option<FieldId> {
        let types = &*self.event_types;
        let hash = self.hash_path(path.iter().copied());
        let is_it = |at: &u16| self.names_of(types, FieldId(*at)).eq(path.iter().copied());
        let field = FieldId(*types.by_path.find(hash, is_it)?);
        (self.base_event_type() == Some(kind) || self.has_event_field(kind, field)).then_some(field)
    }

    /// The part of a condition that a field reports; `None` for fields of other events.
    pub(crate) fn condition_part(&self, field: FieldId) -> Option<ConditionPart> {
        self.event_types.parts.get(&field).copied()
    }

    /// Whether events of a type have a field.
    pub(crate) fn has_event_field(&self, kind: NodeIx, field: FieldId) -> bool {
        let mut next = Some(kind);
        while let Some(at) = next {
            if self.event_types.own.get(&at).is_some_and(|own| own.binary_search(&field).is_ok()) {
                return true;
            }
            next = self.supertype_of(at);
        }
        false
    }

    fn names_of<'s>(&'s self, types: &'s EventTypes, field: FieldId) -> impl Iterator<Item = TargetName<'s>> {
        let place = |n: u16| types.first.get(usize::from(n)).map_or(types.steps.len(), |at| *at as usize);
        let steps = types.steps.get(place(field.0)..place(field.0 + 1)).unwrap_or_default();
        steps.iter().map(|step| TargetName { namespace: step.namespace, name: self.texts.get(step.name) })
    }

    fn hash_path<'p>(&self, path: impl Iterator<Item = TargetName<'p>>) -> u64 {
        path.fold(0, |hash, name| self.hasher.hash_one((hash, name)))
    }

    /// Walks the event types and lists their fields; after the references were laid out.
    pub(super) fn list_event_types(&mut self) {
        let Some(base) = self.base_event_type() else { return };
        let mut found = Found { space: self, list: Vec::new(), path: Vec::new(), places: Vec::new() };
        let mut kinds = vec![base.0];
        self.collect_subtypes(base, &mut kinds);
        for kind in kinds {
            found.walk(NodeIx(kind), NodeIx(kind));
        }
        let Found { list, places, .. } = found;
        let mut types = EventTypes::default();
        for name in NAMES {
            // Fields that this server sets come first, so that their numbers are known at compile time.
            let is_it = |place: &&Place| place.depth == 1 && self.name_of_step(list[place.first]).name == *name;
            let first = places.iter().find(is_it).map(|place| place.first);
            types.add(first.map_or(&[], |first| &list[first..=first]), self);
        }
        let mut own: HashMap<NodeIx, Vec<FieldId>> = HashMap::new();
        for place in places {
            let path = &list[place.first..place.first + place.depth];
            own.entry(place.kind).or_default().push(types.add(path, self));
        }
        for (kind, mut fields) in own {
            fields.sort_unstable();
            fields.dedup();
            types.own.insert(kind, fields.into());
        }
        types.find_parts(self);
        types.steps.shrink_to_fit();
        types.first.shrink_to_fit();
        self.event_types = std::sync::Arc::new(types);
    }

    fn name_of_step(&self, step: Step) -> TargetName<'_> {
        TargetName { namespace: step.namespace, name: self.texts.get(step.name) }
    }
}

impl EventTypes {
    fn find_parts(&mut self, space: &Space) {
        for at in (0..self.first.len()).filter_map(|at| u16::try_from(at).ok()).map(FieldId) {
            let names: Vec<TargetName<'_>> = space.names_of(self, at).collect();
            let path = names.iter().map(|step| step.name).collect::<Vec<_>>().join(".");
            if let Some(part) = Space::part_of_path(&path).filter(|_| names.iter().all(|step| step.namespace == 0)) {
                self.parts.insert(at, part);
            }
        }
    }

    /// The number of a path, new or known.
    fn add(&mut self, path: &[Step], space: &Space) -> FieldId {
        let names = || path.iter().map(|step| space.name_of_step(*step));
        let hash = space.hash_path(names());
        let known = self.by_path.find(hash, |at| space.names_of(self, FieldId(*at)).eq(names()));
        if let Some(at) = known.filter(|_| !path.is_empty()) {
            return FieldId(*at);
        }
        let at = u16::try_from(self.first.len()).expect("event types have fewer than 65,536 fields");
        self.first.push(u32::try_from(self.steps.len()).expect("few elements"));
        self.steps.extend_from_slice(path);
        if !path.is_empty() {
            let EventTypes { steps, first, by_path, .. } = self;
            let rehash = |other: &u16| {
                let place = |n: usize| first.get(n).map_or(steps.len(), |at| *at as usize);
                let path = &steps[place(usize::from(*other))..place(usize::from(*other) + 1)];
                space.hash_path(path.iter().map(|step| space.name_of_step(*step)))
            };
            by_path.insert_unique(hash, at, rehash);
        }
        FieldId(at)
    }
}

/// A path that was found: below which type, and which part of the list of steps it is.
struct Place {
    kind: NodeIx,
    first: usize,
    depth: usize,
}

struct Found<'s> {
    space: &'s Space,
    list: Vec<Step>,
    path: Vec<Step>,
    places: Vec<Place>,
}

impl Found<'_> {
    /// The InstanceDeclarations below a node: Variables are fields, Objects lead to some, Methods are left out.
    fn walk(&mut self, kind: NodeIx, from: NodeIx) {
        let space = self.space;
        for reference in space.references(from).iter() {
            let is_part = reference.forward && space.is_standard(NodeIx(reference.kind), kinds::AGGREGATES);
            let node = space.node(reference.target);
            if !is_part || !matches!(node.class, Class::Variable | Class::Object) || self.path.len() == DEEPEST {
                continue;
            }
            self.path.push(Step { namespace: node.browse_namespace, name: node.browse });
            if node.class == Class::Variable {
                self.places.push(Place { kind, first: self.list.len(), depth: self.path.len() });
                self.list.extend_from_slice(&self.path);
            }
            self.walk(kind, reference.target);
            self.path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::codec::NodeIdRef;
    use crate::ua::space::draft::{Draft, NewNode};
    use crate::ua::space::{Detail, Source, standard};

    fn name(namespace: u16, name: &str) -> TargetName<'_> {
        TargetName { namespace, name }
    }

    fn field(space: &Space, kind: u32, path: &[&str]) -> Option<FieldId> {
        let path: Vec<TargetName<'_>> = path.iter().map(|part| name(0, part)).collect();
        space.event_field(space.standard_node(kind).expect("an event type"), &path)
    }

    fn standard_space() -> Draft {
        let mut draft = Draft::new("urn:test");
        standard::load(&mut draft);
        draft
    }

    #[test]
    fn every_field_that_this_server_sets_is_one_of_an_event_type() {
        let space = standard_space().finish();
        let base = space.base_event_type().expect("namespace 0");
        let is_there = |field: &Field, text: &str| {
            let found = space.event_field(base, &[name(0, text)]);
            found == Some(FieldId::from(*field)) && found.and_then(Field::of) == Some(*field)
        };
        let missing: Vec<_> = ALL.iter().zip(NAMES).filter(|(field, text)| !is_there(field, text)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_type_has_its_own_fields_and_inherited_ones_at_every_depth() {
        let space = standard_space().finish();
        // 2041 BaseEventType, 2052 AuditEventType, 2100 AuditWriteUpdateEventType, 2881 AcknowledgeableConditionType,
        // 2915 AlarmConditionType.
        for (kind, path, has) in [
            (2100, &["NewValue"][..], true),
            (2100, &["ActionTimeStamp"], true),
            (2100, &["Severity"], true),
            (2052, &["NewValue"], false),
            (2041, &["NewValue"], true),
            (2041, &["Nonsense"], false),
            (2881, &["AckedState", "Id"], true),
            (2881, &["EnabledState", "Id"], true),
            (2915, &["ShelvingState", "CurrentState", "Id"], true),
            (2881, &["ShelvingState", "CurrentState", "Id"], false),
            (2915, &["Acknowledge"], false),
            (2915, &["ShelvingState"], false),
        ] {
            assert_eq!(field(&space, kind, path).is_some(), has, "i={kind} {path:?}");
        }
    }

    #[test]
    fn a_type_of_a_cell_has_fields_in_the_namespace_of_the_cell() {
        let mut draft = standard_space();
        let source = Source::None;
        let shape = draft.shape(draft.standard(12), -1, &[], source);
        let mut node = |class, name, detail| draft.add(NewNode::of_cell(class, name, detail));
        let kind = node(Class::ObjectType, "BatchEvent", Detail::ObjectType { is_abstract: false });
        let batch = node(Class::Variable, "Batch", Detail::Variable(shape));
        let severity = node(Class::Variable, "Severity", Detail::Variable(shape));
        let base = draft.standard(2041);
        draft.refer(base, kinds::HAS_SUBTYPE, kind);
        draft.refer(kind, kinds::HAS_PROPERTY, batch);
        draft.refer(batch, kinds::HAS_PROPERTY, severity);
        let space = draft.finish();
        let has = |path: &[TargetName<'_>]| space.event_field(kind, path).is_some();
        assert!(
            has(&[name(2, "Batch")]) && has(&[name(2, "Batch"), name(2, "Severity")]) && has(&[name(0, "Severity")])
        );
        assert!(!has(&[name(0, "Batch")]) && !has(&[name(2, "Severity")]));
        let names = space.find(NodeIdRef::numeric(0, 2052)).map(|audit| space.event_field(audit, &[name(2, "Batch")]));
        assert_eq!(names, Some(None), "another type has no such field");
    }

    /// The table of the standard, as it is kept with every address space.
    #[test]
    fn the_table_is_small() {
        let space = standard_space().finish();
        let types = space.event_types();
        let fields: usize = types.own.values().map(|own| own.len()).sum();
        let bytes = types.steps.capacity() * size_of::<Step>()
            + types.first.capacity() * 4
            + types.by_path.allocation_size()
            + types.own.allocation_size()
            + fields * size_of::<FieldId>();
        assert!(types.own.len() > 60 && fields > 250, "{} types with {fields} fields", types.own.len());
        assert!(bytes < 16 * 1024, "{} paths in {bytes} bytes", types.first.len());
    }
}
