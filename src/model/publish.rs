//! One entry of `publish:`: tags that go out to a broker.

use std::time::Duration;

use super::{Cell, DataType, NodeIx, NodeKind, Origin, Plant, TagId};

/// Last level of the topic that says whether a publisher is there.
const ONLINE: &str = "@online";

/// A publisher of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub cell: u16,
    pub name: String,
    /// Name of the MQTT connection whose broker it uses.
    pub connection: String,
    /// Folders and tags that go out, each with all below it.
    pub nodes: Vec<NodeIx>,
    /// Changes are gathered for this time.
    pub min_interval: Duration,
    /// Bytes on disk for the time in which the broker is away; 0 keeps nothing.
    pub buffer: u64,
    /// Commands may write tags that are writable.
    pub allow_write: bool,
    pub format: PublishFormat,
}

impl Publish {
    /// The client id of its session, by that of its connection.
    pub(crate) fn client_id(&self, of_connection: &str) -> String {
        format!("{of_connection}-{}", self.name)
    }
}

/// Messages of a publisher, and the keys that belong to them alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublishFormat {
    Json(JsonFormat),
    Sparkplug(SparkplugFormat),
}

/// One message a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonFormat {
    pub topic: TopicTemplate,
    /// An unchanged value is sent again after this time.
    pub max_interval: Duration,
    pub qos: u8,
    pub retain: bool,
}

/// An edge node of Sparkplug B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparkplugFormat {
    pub group: String,
    pub node: String,
    /// Each object right below the cell is a device.
    pub devices: bool,
    pub aliases: bool,
    pub primary_host: Option<String>,
}

/// A topic with `{cell}`, `{path}` and `{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicTemplate(pub String);

impl TopicTemplate {
    /// The topic of a node.
    pub(crate) fn of(&self, cell: &Cell, node: NodeIx) -> String {
        self.filled(cell, &cell.path(node).replace('.', "/"), &cell.node(node).name)
    }

    /// The topic by which the publisher says that it is there.
    pub(crate) fn online(&self, cell: &Cell) -> String {
        let is_one = !self.0.contains("{path}") && !self.0.contains("{name}");
        let topic = self.filled(cell, ONLINE, ONLINE);
        if is_one { format!("{topic}/{ONLINE}") } else { topic }
    }

    fn filled(&self, cell: &Cell, path: &str, name: &str) -> String {
        let mut out = String::with_capacity(self.0.len() + path.len());
        let mut rest = self.0.as_str();
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let parts = [("{cell}", cell.name.as_str()), ("{path}", path), ("{name}", name)];
            match parts.iter().find(|(word, _)| rest.starts_with(word)) {
                Some((word, text)) => {
                    out.push_str(text);
                    rest = &rest[word.len()..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

impl Plant {
    /// Whether a node is a structure whose fields are tags: they go out in its place.
    fn is_in_parts(&self, kind: &NodeKind) -> bool {
        let NodeKind::Variable(id) = kind else { return false };
        let tag = self.tag(*id);
        let is_structure = tag.shape.is_scalar() && matches!(tag.shape.data_type, DataType::Struct(_));
        is_structure && (self.parts.contains_key(id) || matches!(tag.origin, Origin::Part { .. }))
    }

    /// The tags that a publisher sends, with their nodes, in document order.
    pub(crate) fn published(&self, publish: &Publish) -> Vec<(NodeIx, TagId)> {
        let Some(cell) = self.cells.get(usize::from(publish.cell)) else { return Vec::new() };
        let mut is_in = vec![false; cell.nodes.len()];
        for root in &publish.nodes {
            if let Some(place) = is_in.get_mut(root.0 as usize) {
                *place = true;
            }
        }
        let mut found = Vec::new();
        for (at, node) in (0u32..).zip(&cell.nodes) {
            // A parent is always before its children.
            let is_below = node.parent.is_some_and(|parent| is_in[parent.0 as usize]);
            is_in[at as usize] |= is_below;
            if let (NodeKind::Variable(tag), true) = (&node.kind, is_in[at as usize] && !self.is_in_parts(&node.kind)) {
                found.push((NodeIx(at), *tag));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccessIx, Node, NodeName};

    fn cell() -> Cell {
        let node = |name: &str, parent| Node {
            name: name.into(),
            id: NodeName::Path,
            parent,
            kind: NodeKind::Folder,
            display_name: None,
            description: None,
            access: AccessIx(0),
        };
        let nodes = vec![node("cell 3", None), node("Tank", Some(NodeIx(0))), node("Temp", Some(NodeIx(1)))];
        Cell { name: "cell3".into(), namespace: String::new(), nodes, ..Cell::default() }
    }

    #[test]
    fn a_topic_is_filled_by_cell_path_and_name() {
        for (template, topic, online) in [
            ("{cell}/{path}", "cell3/Tank/Temp", "cell3/@online"),
            ("plant/{name}/v", "plant/Temp/v", "plant/@online/v"),
            ("fixed", "fixed", "fixed/@online"),
            ("{x}/{cell", "{x}/{cell", "{x}/{cell/@online"),
        ] {
            let template = TopicTemplate(template.to_owned());
            assert_eq!(template.of(&cell(), NodeIx(2)), topic);
            assert_eq!(template.online(&cell()), online);
        }
    }
}
