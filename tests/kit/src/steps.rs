//! Steps that clients take when they connect, for the raw client: discovery, browsing, items with what was revised.

use opcell::testing::stack::codec::{IdRef, NodeIdRef};
use opcell::value::{Elements, Value};
use opcua::{
    AttributeId, BrowseNextResponse, ExpandedNodeId, ExtensionObject, Identifier, NodeId, ReferenceDescription,
    ReferenceTypeId, SetTriggeringRequest, StatusCode,
};

use crate::request::{self, ToNodeId};
use crate::ua::Session;

/// A NodeId that owns its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    Number(u16, u32),
    Text(u16, String),
}

impl Id {
    pub fn of(id: &NodeId) -> Id {
        match &id.identifier {
            Identifier::Numeric(number) => Id::Number(id.namespace, *number),
            Identifier::String(text) => Id::Text(id.namespace, text.to_string()),
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

impl From<NodeIdRef<'_>> for Id {
    fn from(id: NodeIdRef<'_>) -> Id {
        match id.id {
            IdRef::Numeric(number) => Id::Number(id.namespace, number),
            IdRef::String(text) => Id::Text(id.namespace, text.to_owned()),
            other => panic!("an id of a kind that this server does not give: {other:?}"),
        }
    }
}

impl ToNodeId for Id {
    fn to_node_id(&self) -> NodeId {
        self.borrowed().to_node_id()
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

pub const HIERARCHICAL: ReferenceTypeId = ReferenceTypeId::HierarchicalReferences;
pub const HAS_ENCODING: ReferenceTypeId = ReferenceTypeId::HasEncoding;
pub const HAS_SUBTYPE: ReferenceTypeId = ReferenceTypeId::HasSubtype;

/// Browse forward along references of a kind and its subtypes; all fields, all classes.
pub fn browse(session: &mut Session, nodes: &[Id], kind: ReferenceTypeId, most: u32) -> Vec<Browsed> {
    let results = session.ask(request::browse(nodes, kind, most)).results.unwrap_or_default();
    results.into_iter().map(browsed).collect()
}

pub fn browse_next(session: &mut Session, point: &[u8]) -> Browsed {
    let answer: BrowseNextResponse = session.ask(request::browse_next(false, &[point]));
    browsed(answer.results.unwrap_or_default().remove(0))
}

/// Browse of one node with all that BrowseNext brings, `most` at a time.
pub fn browse_whole(session: &mut Session, node: &Id, kind: ReferenceTypeId, most: u32) -> Vec<Reference> {
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

fn browsed(result: opcua::BrowseResult) -> Browsed {
    Browsed {
        status: result.status_code,
        point: result.continuation_point.value.unwrap_or_default(),
        references: result.references.unwrap_or_default().into_iter().map(reference).collect(),
    }
}

fn reference(found: ReferenceDescription) -> Reference {
    assert!(found.is_forward, "forward was asked for");
    Reference {
        kind: Id::of(&found.reference_type_id),
        to: local(&found.node_id),
        name: found.browse_name.name.to_string(),
        class: found.node_class as i32,
        type_definition: local(&found.type_definition),
    }
}

/// An ExpandedNodeId of this server: it carries the namespace's index, never its URI (clients take 0 for a URI).
fn local(id: &ExpandedNodeId) -> Id {
    assert!(id.namespace_uri.is_null() && id.server_index == 0, "{id}");
    Id::of(&id.node_id)
}

/// All nodes that are reached from one.
pub fn tree(session: &mut Session, root: Id, kind: ReferenceTypeId) -> Vec<Reference> {
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

/// The endpoints that GetEndpoints returns for a URL, as bytes.
pub fn endpoints(session: &mut Session, url: &str) -> Vec<u8> {
    let response = session.call(request::get_endpoints(url));
    response.good();
    response.body
}

/// The number of servers that FindServers returns for a URL.
pub fn find_servers(session: &mut Session, url: &str) -> usize {
    session.ask(request::find_servers(url)).servers.unwrap_or_default().len()
}

/// CreateSession with the URL that was dialled: the revised timeout, and the rest of the response from the endpoints
/// on.
pub fn create_session(session: &mut Session, url: &str, timeout: f64) -> (f64, Vec<u8>) {
    let response = session.call(request::create_session("urn:test:client", b"", url, timeout));
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
    let made = session.ask(request::create_subscription(interval, lifetime, keep_alive));
    let counts = (made.revised_lifetime_count, made.revised_max_keep_alive_count);
    (made.subscription_id, (made.revised_publishing_interval, counts.0, counts.1))
}

/// The result of CreateMonitoredItems for one item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Made {
    pub status: StatusCode,
    pub sampling: f64,
    pub queue: u32,
}

/// CreateMonitoredItems with one call for all of them.
pub fn monitor(session: &mut Session, subscription: u32, items: &[(Id, u32)], sampling: f64, queue: u32) -> Vec<Made> {
    let attribute = AttributeId::Value as u32;
    monitor_with(session, subscription, items, (sampling, queue), (attribute, ExtensionObject::null()))
}

/// As `monitor`, of an attribute and with a filter.
pub fn monitor_with(
    session: &mut Session,
    subscription: u32,
    items: &[(Id, u32)],
    (sampling, queue): (f64, u32),
    (attribute, filter): (u32, ExtensionObject),
) -> Vec<Made> {
    let item =
        |(id, handle): &(Id, u32)| request::filtered_item(id, attribute, *handle, (sampling, queue), filter.clone());
    let made = session.ask(request::create_items(subscription, items.iter().map(item).collect()));
    let made = made.results.unwrap_or_default().into_iter();
    made.map(|made| Made {
        status: made.status_code,
        sampling: made.revised_sampling_interval,
        queue: made.revised_queue_size,
    })
    .collect()
}

/// An EventFilter that selects fields of BaseEventType, where the event is of a type.
pub fn event_filter(fields: &[&str], of_type: Option<u32>) -> ExtensionObject {
    let base = opcua::ObjectTypeId::BaseEventType as u32;
    let fields = fields.iter().map(|field| request::event_field(base, field)).collect();
    request::event_filter(fields, of_type.map(request::of_type))
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
    session.call(SetTriggeringRequest {
        subscription_id: subscription,
        triggering_item_id: trigger,
        links_to_add: Some(linked.to_vec()),
        ..SetTriggeringRequest::default()
    });
}
