//! Which Objects report the events of a node, from the references HasEventSource and HasNotifier, walked once.
//!
//! The Server object reports every event (Part 5 §6.3.1, 1.05) and is in no list.

use hashbrown::HashMap;

use super::{Detail, NodeIx, Space, kinds};

const SERVER: u32 = opcua::ObjectId::Server as u32;
/// SubscribeToEvents (Part 3 §8.59, 1.05).
const SUBSCRIBE_TO_EVENTS: u8 = 1;

/// The notifiers above each node that has one; nodes without one take no memory.
#[derive(Debug, Default)]
pub(crate) struct Notifiers(HashMap<NodeIx, Box<[NodeIx]>, foldhash::fast::FixedState>);

impl Space {
    /// Whether a client may subscribe to the events of a node.
    pub(crate) fn is_notifier(&self, at: NodeIx) -> bool {
        matches!(self.node(at).detail, Detail::Object { event_notifier } if event_notifier & SUBSCRIBE_TO_EVENTS != 0)
    }

    /// The Objects other than the Server object that report an event of a source: itself, and those above it.
    pub(crate) fn notifiers_of(&self, source: NodeIx) -> impl Iterator<Item = NodeIx> {
        let own = (self.is_notifier(source) && !self.is_server(source)).then_some(source);
        own.into_iter().chain(self.notifiers.0.get(&source).into_iter().flatten().copied())
    }

    fn is_server(&self, at: NodeIx) -> bool {
        self.standard_node(SERVER) == Some(at)
    }

    /// Walks the references upwards from each event source; after they were laid out.
    pub(super) fn list_notifiers(&mut self) {
        let Some(has_event_source) = self.standard_node(kinds::HAS_EVENT_SOURCE) else { return };
        let mut upwards = vec![has_event_source.0];
        self.collect_subtypes(has_event_source, &mut upwards);
        let mut above = HashMap::default();
        for source in (0..self.nodes.len()).filter_map(|at| u32::try_from(at).ok()).map(NodeIx) {
            let mut seen = Vec::new();
            self.climb(source, &upwards, &mut seen);
            seen.retain(|at| *at != source && self.is_notifier(*at) && !self.is_server(*at));
            if !seen.is_empty() {
                above.insert(source, seen.into());
            }
        }
        self.notifiers = Notifiers(above);
    }

    fn climb(&self, from: NodeIx, upwards: &[u32], seen: &mut Vec<NodeIx>) {
        for reference in self.stored_references(from) {
            if !reference.forward && upwards.contains(&reference.kind) && !seen.contains(&reference.target) {
                seen.push(reference.target);
                self.climb(reference.target, upwards, seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ua::space::draft::{Draft, NewNode};
    use crate::ua::space::{Class, standard};

    /// Area and Line notify; Cupboard has sources, but clients can't subscribe to it; Pump notifies and is a source
    /// itself; Motor and Fan are sources only. Line and Pump form a circle, which the standard forbids.
    #[test]
    fn the_notifiers_of_a_source_are_all_objects_above_it_that_clients_can_subscribe_to() {
        let mut draft = Draft::new("urn:test");
        standard::load(&mut draft);
        let mut node =
            |name, event_notifier| draft.add(NewNode::of_cell(Class::Object, name, Detail::Object { event_notifier }));
        let [area, line, cupboard] = [("Area", 1), ("Line", 1), ("Cupboard", 0)].map(|(name, bits)| node(name, bits));
        let [pump, motor, fan] = [("Pump", 1), ("Motor", 0), ("Fan", 0)].map(|(name, bits)| node(name, bits));
        for (above, kind, below) in [
            (area, kinds::HAS_NOTIFIER, line),
            (line, kinds::HAS_NOTIFIER, pump),
            (pump, kinds::HAS_NOTIFIER, line),
            (line, kinds::HAS_NOTIFIER, cupboard),
            (cupboard, kinds::HAS_EVENT_SOURCE, motor),
            (pump, kinds::HAS_EVENT_SOURCE, motor),
            (area, kinds::HAS_COMPONENT, fan),
        ] {
            draft.refer(above, kind, below);
        }
        let server = draft.standard(SERVER);
        draft.refer(server, kinds::HAS_NOTIFIER, area);
        let space = draft.finish();
        for (name, source, expected) in [
            ("Area", area, vec![area]),
            ("Line", line, vec![area, line, pump]),
            ("Pump", pump, vec![area, line, pump]),
            ("Motor", motor, vec![area, line, pump]),
            ("Fan", fan, vec![]),
            ("Server", server, vec![]),
        ] {
            let mut found: Vec<NodeIx> = space.notifiers_of(source).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(space.notifiers.0.len(), 4, "only nodes with notifiers above them are listed");
    }
}
