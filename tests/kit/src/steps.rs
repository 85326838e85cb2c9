//! Steps that clients take when they connect, for the raw client: discovery, browsing, items with what was revised.

use opcell::stack::codec::{IdRef, NodeIdRef, QualifiedNameRef, Reader, Writer};
use opcell::value::{Elements, Value};
use opcua::StatusCode;

use crate::ua::{Session, create_body};

/// A NodeId that owns its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    Number(u16, u32),
    Text(u16, String),
}

impl Id {
    pub fn of(id: NodeIdRef<'_>) -> Id {
        match id.id {
            IdRef::Numeric(number) => Id::Number(id.namespace, number),
            IdRef::String(text) => Id::Text(id.namespace, text.to_owned()),
            other => panic!("an id of a kind that this server does not give: {other:?}"),
        }
    }

    pub fn borrowed(&self) -> NodeIdRef<'_> {
        match self {
            Id::Number(namespace, number) => NodeIdRef::numeric(*namespace, *number),
            Id::Text(namespace, text) => NodeIdRef::string(*namespace, text),
        }
    }
}

/// A ReferenceDescription.
#[derive(Debug, Clone)]
pub struct Reference {
    pub kind: Id,
    pub to: Id,
    pub name: String,
    pub class: i32,
    pub type_definition: Id,
}

#[derive(Debug)]
pub struct Browsed {
    pub status: StatusCode,
    pub point: Vec<u8>,
    pub references: Vec<Reference>,
}

const FORWARD: i32 = 0;
pub const HIERARCHICAL: u32 = 33;
pub const HAS_ENCODING: u32 = 38;
pub const HAS_SUBTYPE: u32 = 45;

/// Browse forward along references of a kind and its subtypes; all fields, all classes.
pub fn browse(session: &mut Session, nodes: &[Id], kind: u32, most: u32) -> Vec<Browsed> {
    let response = session.call(527, |w| {
        w.node_id(NodeIdRef::NULL);
        w.i64(0);
        w.u32(0);
        w.u32(most);
        w.count(nodes.len());
        for node in nodes {
            w.node_id(node.borrowed());
            w.i32(FORWARD);
            w.node_id(NodeIdRef::numeric(0, kind));
            w.bool(true);
            w.u32(0);
            w.u32(63);
        }
    });
    read_browsed(&mut response.good())
}

pub fn browse_next(session: &mut Session, point: &[u8]) -> Browsed {
    let response = session.call(533, |w| {
        w.bool(false);
        w.count(1);
        w.bytes(Some(point));
    });
    read_browsed(&mut response.good()).remove(0)
}

/// Browse of one node with all that BrowseNext brings, `most` at a time.
pub fn browse_whole(session: &mut Session, node: &Id, kind: u32, most: u32) -> Vec<Reference> {
    let mut page = browse(session, std::slice::from_ref(node), kind, most).remove(0);
    let mut references = Vec::new();
    loop {
        assert_eq!(page.status, StatusCode::Good, "{node:?}");
        assert!(most == 0 || page.references.len() <= most as usize, "{node:?}");
        references.append(&mut page.references);
        if page.point.is_empty() {
            return references;
        }
        page = browse_next(session, &page.point);
    }
}

fn read_browsed(reader: &mut Reader<'_>) -> Vec<Browsed> {
    let count = reader.count(12).expect("results");
    (0..count).map(|_| read_result(reader)).collect()
}

fn read_result(reader: &mut Reader<'_>) -> Browsed {
    let status = reader.status().expect("a status");
    let point = reader.bytes().expect("a continuation point").unwrap_or_default().to_vec();
    let count = reader.count(1).expect("references");
    let references = (0..count).map(|_| read_reference(reader)).collect();
    Browsed { status, point, references }
}

fn read_reference(reader: &mut Reader<'_>) -> Reference {
    let kind = Id::of(reader.node_id().expect("a type"));
    assert!(reader.bool().expect("a direction"), "forward was asked for");
    let to = local(reader);
    let name = reader.qualified_name().expect("a name").name.unwrap_or_default().to_owned();
    reader.localized_text().expect("a display name");
    let class = reader.i32().expect("a class");
    let type_definition = local(reader);
    Reference { kind, to, name, class, type_definition }
}

/// An ExpandedNodeId of this server: it carries the namespace's index, never its URI (clients take 0 for a URI).
fn local(reader: &mut Reader<'_>) -> Id {
    let id = reader.expanded_node_id().expect("an id");
    assert_eq!((id.namespace_uri, id.server_index), (None, 0), "{:?}", id.node_id);
    Id::of(id.node_id)
}

/// All nodes that are reached from one.
pub fn tree(session: &mut Session, root: Id, kind: u32) -> Vec<Reference> {
    let (mut found, mut todo) = (Vec::new(), vec![root]);
    let mut seen: std::collections::HashSet<Id> = todo.iter().cloned().collect();
    while !todo.is_empty() {
        let batch: Vec<Id> = todo.drain(..todo.len().min(100)).collect();
        for page in browse(session, &batch, kind, 0) {
            assert_eq!((page.status, page.point.len()), (StatusCode::Good, 0));
            for reference in page.references {
                if seen.insert(reference.to.clone()) {
                    todo.push(reference.to.clone());
                    found.push(reference);
                }
            }
        }
    }
    found
}

/// The endpoints that GetEndpoints tells for a URL, as bytes.
pub fn endpoints(session: &mut Session, url: &str) -> Vec<u8> {
    let response = session.call(428, |w| {
        w.text(url);
        w.null_array();
        w.null_array();
    });
    response.good();
    response.body
}

/// How many servers FindServers tells for a URL.
pub fn find_servers(session: &mut Session, url: &str) -> usize {
    let response = session.call(422, |w| {
        w.text(url);
        w.null_array();
        w.null_array();
    });
    response.good().count(20).expect("servers")
}

/// CreateSession with the URL that was dialled: the revised timeout, and the rest of the response from the endpoints on.
pub fn create_session(session: &mut Session, url: &str, timeout: f64) -> (f64, Vec<u8>) {
    let response = session.call(461, |w| create_body(w, "urn:test:client", b"", url, (timeout, 0)));
    session.keep_token(&response);
    let mut reader = response.good();
    reader.node_id().expect("a session id");
    reader.node_id().expect("a token");
    let revised = reader.f64().expect("a timeout");
    reader.bytes().expect("a nonce");
    assert!(reader.bytes().expect("a certificate").is_some(), "over None the server still shows its certificate");
    (revised, response.body[reader.position()..].to_vec())
}

/// CreateSubscription; its id, and interval and counts as revised.
pub fn subscribe(session: &mut Session, interval: f64, lifetime: u32, keep_alive: u32) -> (u32, (f64, u32, u32)) {
    let response = session.call(787, |w| {
        w.f64(interval);
        w.u32(lifetime);
        w.u32(keep_alive);
        w.u32(0);
        w.bool(true);
        w.u8(0);
    });
    let mut reader = response.good();
    let id = reader.u32().expect("an id");
    let revised =
        (reader.f64().expect("an interval"), reader.u32().expect("a lifetime"), reader.u32().expect("a keep-alive"));
    (id, revised)
}

/// What CreateMonitoredItems said of one item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Made {
    pub status: StatusCode,
    pub sampling: f64,
    pub queue: u32,
}

/// CreateMonitoredItems with one call for all of them.
pub fn monitor(session: &mut Session, subscription: u32, items: &[(Id, u32)], sampling: f64, queue: u32) -> Vec<Made> {
    monitor_with(session, subscription, items, (sampling, queue), (13, Writer::null_extension_object))
}

/// As `monitor`, of an attribute and with a filter.
pub fn monitor_with(
    session: &mut Session,
    subscription: u32,
    items: &[(Id, u32)],
    (sampling, queue): (f64, u32),
    (attribute, filter): (u32, impl Fn(&mut Writer)),
) -> Vec<Made> {
    let response = session.call(751, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(items.len());
        for (id, handle) in items {
            w.node_id(id.borrowed());
            w.u32(attribute);
            w.string(None);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
            w.i32(2);
            w.u32(*handle);
            w.f64(sampling);
            filter(w);
            w.u32(queue);
            w.bool(true);
        }
    });
    let mut reader = response.good();
    let count = reader.count(4).expect("results");
    (0..count)
        .map(|_| {
            let status = reader.status().expect("a status");
            reader.u32().expect("an id");
            let made = Made {
                status,
                sampling: reader.f64().expect("an interval"),
                queue: reader.u32().expect("a queue size"),
            };
            reader.extension_object().expect("a filter result");
            made
        })
        .collect()
}

/// An EventFilter that selects fields of BaseEventType, where the event is of a type.
pub fn event_filter(w: &mut Writer, fields: &[&str], of_type: Option<u32>) {
    w.extension_object(727, |w| {
        w.count(fields.len());
        for field in fields {
            w.node_id(NodeIdRef::numeric(0, 2041));
            w.count(1);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: Some(field) });
            w.u32(13);
            w.string(None);
        }
        w.count(usize::from(of_type.is_some()));
        if let Some(kind) = of_type {
            w.i32(14);
            w.count(1);
            w.extension_object(597, |w| {
                w.u8(17);
                w.node_id(NodeIdRef::numeric(0, kind));
            });
        }
    });
}

pub fn texts(value: &Option<Value>) -> Vec<String> {
    match value {
        Some(Value::Array(array)) => match &array.elements {
            Elements::String(texts) => texts.iter().map(ToString::to_string).collect(),
            other => panic!("not texts: {other:?}"),
        },
        other => panic!("not an array: {other:?}"),
    }
}

/// Links every item of `linked` to the triggering item `trigger`; whether each is taken is not looked at.
pub fn set_triggering(session: &mut Session, subscription: u32, trigger: u32, linked: &[u32]) {
    session.call(775, |w| {
        w.u32(subscription);
        w.u32(trigger);
        w.count(linked.len());
        linked.iter().for_each(|id| w.u32(*id));
        w.null_array();
    });
}
