//! Every operation on a node, tried over the wire, with its outcome as a word; and the permissions that the server
//! shows.

use std::sync::LazyLock;
use std::time::Instant;

use opcell::testing::stack::codec::{DataValue, IdRef, NodeIdRef, Reader, Writer};
use opcell::value::{UaTime, Value};
use opcua::{
    AttributeId, BrowsePath, BrowseResponse, CallMethodRequest, CreateMonitoredItemsRequest, ExtensionObject, MethodId,
    NodeId, ObjectId, ObjectTypeId, PerformUpdateType, QualifiedName, ReadRequest, RegisterNodesRequest, RelativePath,
    RelativePathElement, StatusCode, TimestampsToReturn, VariableId,
};

use testkit::history;
use testkit::request::{self, ToNodeId};
use testkit::ua::{Response, Session, TIMEOUT};

/// The operations, in the order of the table.
pub(super) const OPERATIONS: [&str; 15] = [
    "child",
    "browse",
    "read",
    "roles",
    "mine",
    "restrictions",
    "write",
    "monitor",
    "events",
    "history",
    "insert",
    "delete",
    "call",
    "translate",
    "register",
];

/// A node, where it hangs, and under which name.
pub(super) struct Place {
    pub id: &'static str,
    pub parent: &'static str,
    pub name: (u16, &'static str),
}

const fn place(id: &'static str, parent: &'static str, name: (u16, &'static str)) -> Place {
    Place { id, parent, name }
}

pub(super) const PLACES: [Place; 41] = [
    place("2;Level", "2;@cell", (2, "Level")),
    place("2;Fixed", "2;@cell", (2, "Fixed")),
    place("2;Own", "2;@cell", (2, "Own")),
    place("2;Own.EURange", "2;Own", (0, "EURange")),
    place("2;Setpoint", "2;@cell", (2, "Setpoint")),
    place("2;Line", "2;@cell", (2, "Line")),
    place("2;Line.Station.Leaf", "2;Line.Station", (2, "Leaf")),
    place("2;Safe", "2;@cell", (2, "Safe")),
    place("2;Safe.EURange", "2;Safe", (0, "EURange")),
    place("2;Safe.HA Configuration.Stepped", "2;Safe.HA Configuration", (0, "Stepped")),
    place("2;Vault", "2;@cell", (2, "Vault")),
    place("2;Vault.Seen", "2;Vault", (2, "Seen")),
    place("2;Kept", "2;@cell", (2, "Kept")),
    place("2;Kept.Annotations", "2;Kept", (0, "Annotations")),
    place("2;Pump1", "2;@cell", (2, "Pump1")),
    place("2;Pump1.Speed", "2;Pump1", (2, "Speed")),
    place("2;Thumb", "2;@cell", (2, "Thumb")),
    place("2;Subject", "2;@cell", (2, "Subject")),
    place("2;Application", "2;@cell", (2, "Application")),
    place("2;Door", "2;@cell", (2, "Door")),
    place("2;Badge", "2;@cell", (2, "Badge")),
    place("2;@connections.sim", "2;@connections", (2, "sim")),
    place("2;@connections.sim.State", "2;@connections.sim", (2, "State")),
    place("2;@connections.sim.Enabled", "2;@connections.sim", (2, "Enabled")),
    place("2;@type.Pump", "58", (2, "Pump")),
    place("2;@type.Pump.Speed", "2;@type.Pump", (2, "Speed")),
    place("2253", "85", (0, "Server")),
    place("2256", "2253", (0, "ServerStatus")),
    place("12873", "2253", (0, "ResendData")),
    place("12886", "2253", (0, "RequestServerStateChange")),
    place("2294", "2274", (0, "EnabledFlag")),
    place("3708", "3706", (0, "SessionSecurityDiagnosticsArray")),
    place("2041", "58", (0, "BaseEventType")),
    place("2782", "2041", (0, "ConditionType")),
    place("2052", "2041", (0, "AuditEventType")),
    place("15606", "2268", (0, "RoleSet")),
    place("15680", "15606", (0, "Operator")),
    place("16225", "15680", (0, "Identities")),
    place("1;@role.Keeper", "15606", (1, "Keeper")),
    place("1;@role.Keeper.Identities", "1;@role.Keeper", (0, "Identities")),
    place(
        "1;@namespace.urn:test:plant.DefaultRolePermissions",
        "1;@namespace.urn:test:plant",
        (0, "DefaultRolePermissions"),
    ),
];

/// A node that is not there, with an id as long.
pub(super) fn nobody(id: &str) -> String {
    match id.split_once(';') {
        Some((namespace, text)) => format!("{namespace};{}", "x".repeat(text.len())),
        None => "29999".to_owned(),
    }
}

pub(super) fn id(text: &str) -> NodeIdRef<'_> {
    match text.split_once(';') {
        Some((namespace, text)) => NodeIdRef::string(namespace.parse().expect("a namespace"), text),
        None => NodeIdRef::numeric(0, text.parse().expect("a number")),
    }
}

/// The permissions that the server shows of a visible node.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Role and permissions, as the session has them.
    pub mine: Vec<(String, u32)>,
    /// The same of all roles, where that may be read.
    pub all: Option<Vec<(String, u32)>>,
    pub restrictions: u16,
    pub level: u8,
    pub user_level: u8,
    /// UserExecutable of a method.
    pub executable: Option<bool>,
}

pub(super) fn word(status: StatusCode) -> String {
    match status {
        status if !status.is_bad() => "ok".to_owned(),
        StatusCode::BadNodeIdUnknown | StatusCode::BadNoMatch => "unknown".to_owned(),
        StatusCode::BadUserAccessDenied => "denied".to_owned(),
        StatusCode::BadSecurityModeInsufficient => "weak".to_owned(),
        StatusCode::BadNotWritable => "fixed".to_owned(),
        StatusCode::BadNotReadable => "unreadable".to_owned(),
        StatusCode::BadAttributeIdInvalid => "absent".to_owned(),
        StatusCode::BadHistoryOperationUnsupported => "unkept".to_owned(),
        StatusCode::BadNotSupported => "silent".to_owned(),
        StatusCode::BadNodeIdInvalid => "no-object".to_owned(),
        StatusCode::BadMethodInvalid => "no-method".to_owned(),
        // The call was made: no state is accepted, and nothing listens for events.
        StatusCode::BadInvalidState | StatusCode::BadNothingToDo => "ok".to_owned(),
        other => panic!("no word for {other}"),
    }
}

/// When history is edited: a minute ago, the same for all.
static PAST: LazyLock<UaTime> = LazyLock::new(|| UaTime(UaTime::now().0 - 600_000_000));

/// The answer to one operation on one node, as it came.
pub(super) fn answer(session: &mut Session, operation: &str, node: NodeIdRef<'_>, subscription: u32) -> Response {
    let mut attribute = |number: AttributeId| {
        // No times, so that answers can be compared.
        let timestamps_to_return = TimestampsToReturn::Neither;
        session.call(ReadRequest { timestamps_to_return, ..request::read(&[(node, number as u32)]) })
    };
    match operation {
        "read" => return attribute(AttributeId::Value),
        "roles" => return attribute(AttributeId::RolePermissions),
        "mine" => return attribute(AttributeId::UserRolePermissions),
        "restrictions" => return attribute(AttributeId::AccessRestrictions),
        _ => {}
    }
    let at = PAST.0;
    match operation {
        "browse" => session.call(request::browse(&[node], NodeId::null(), 0)),
        "write" => {
            let is_flag = node == id("2;@connections.sim.Enabled")
                || node.to_node_id() == VariableId::Server_ServerDiagnostics_EnabledFlag;
            let value = if is_flag { Value::Boolean(true) } else { Value::Double(1.0) };
            session.call(request::write(&[(node, None, &value)]))
        }
        "monitor" | "events" => {
            let base = ObjectTypeId::BaseEventType as u32;
            let (attribute, filter) = match operation {
                "events" => {
                    let fields = vec![request::event_field(base, "SourceName")];
                    (AttributeId::EventNotifier, request::event_filter(fields, None))
                }
                _ => (AttributeId::Value, ExtensionObject::null()),
            };
            let item = request::filtered_item(node, attribute as u32, 7, (0.0, 5), filter);
            let timestamps_to_return = TimestampsToReturn::Neither;
            let items = request::create_items(subscription, vec![item]);
            session.call(CreateMonitoredItemsRequest { timestamps_to_return, ..items })
        }
        "history" => {
            let details = history::raw(at, at + 1, 0, false);
            session.call(history::history_read(&details, &[history::Asked::of(node)]))
        }
        "call" => session.call(request::call(vec![called(node, subscription)])),
        "insert" | "delete" => session.call(history::history_update(vec![edit(operation, node)])),
        "register" => session.call(RegisterNodesRequest {
            nodes_to_register: Some(vec![node.to_node_id()]),
            ..RegisterNodesRequest::default()
        }),
        other => panic!("{other} names no node"),
    }
}

/// The call that tries a node: of a method on its object, and on any other node the method that is an object's own if
/// it has one.
fn called(node: NodeIdRef<'_>, subscription: u32) -> CallMethodRequest {
    let state = [Value::Int32(4), Value::Null, Value::UInt32(0), Value::Null, Value::Boolean(false)];
    let subscription = [Value::UInt32(subscription)];
    match node.to_node_id().as_u32().filter(|_| node.namespace == 0) {
        Some(12_873) => request::method(ObjectId::Server, node, &subscription),
        Some(12_886) => request::method(ObjectId::Server, node, &state),
        Some(2_782) => request::method(node, MethodId::ConditionType_ConditionRefresh, &subscription),
        _ => request::method(node, MethodId::Server_ResendData, &subscription),
    }
}

/// Inserts or deletes a value or an annotation.
fn edit(operation: &str, node: NodeIdRef<'_>) -> ExtensionObject {
    let at = PAST.0;
    let note = history::sample(UaTime(at), history::annotation("seen", "", at));
    let number = history::sample(UaTime(at), Value::Double(2.0));
    let is_note = matches!(node.id, IdRef::String(text) if text.ends_with("Annotations"));
    match (operation, is_note) {
        ("insert", true) => history::update_structure(node, PerformUpdateType::Update, &[note]),
        ("insert", false) => history::update_data(node, PerformUpdateType::Update, &[number]),
        (_, true) => history::update_structure(node, PerformUpdateType::Remove, &[note]),
        (_, false) => history::delete_span(node, false, 1, at + 600_000_000),
    }
}

/// The status of an operation.
pub(super) fn outcome(session: &mut Session, operation: &str, place: &Place, subscription: u32) -> StatusCode {
    match operation {
        "child" => {
            let response = answer(session, "browse", id(place.parent), subscription);
            return if names(&response).contains(&(place.name.0, place.name.1.to_owned())) {
                StatusCode::Good
            } else {
                StatusCode::BadNodeIdUnknown
            };
        }
        "translate" => return translate(session, place),
        "register" => {
            let response = answer(session, operation, id(place.id), subscription);
            let mut reader = response.good();
            assert_eq!(reader.count(2), Ok(1));
            assert_eq!(reader.node_id(), Ok(id(place.id)), "registered ids are the same, known or not");
            return StatusCode::Good;
        }
        _ => {}
    }
    let response = answer(session, operation, id(place.id), subscription);
    let mut reader = response.good();
    assert_eq!(reader.count(1), Ok(1));
    match operation {
        "read" | "roles" | "mine" | "restrictions" => reader.data_value().expect("a value").status.unwrap_or_default(),
        "monitor" => first_status(session, subscription, &mut reader),
        "insert" | "delete" => {
            let (status, entries) = history::update_results(&response).remove(0);
            entries.into_iter().find(|entry| entry.is_bad()).unwrap_or(status)
        }
        _ => reader.status().expect("a status"),
    }
}

/// The status of the first value of an item, or of its creation.
fn first_status(session: &mut Session, subscription: u32, reader: &mut Reader<'_>) -> StatusCode {
    let status = reader.status().expect("a status");
    if status.is_bad() {
        return status;
    }
    let item = reader.u32().expect("an id");
    let began = Instant::now();
    let first = loop {
        assert!(began.elapsed() < TIMEOUT, "the item says nothing");
        let publication = session.publish(&[]).expect("a message");
        if let Some((_, value)) = publication.data.first() {
            break value.status.unwrap_or_default();
        }
    };
    session.ask(request::delete_items(subscription, &[item]));
    first
}

fn names(response: &Response) -> Vec<(u16, String)> {
    let mut results = response.decode::<BrowseResponse>().results.expect("results");
    assert_eq!(results.len(), 1);
    let references = results.remove(0).references.unwrap_or_default().into_iter();
    references.map(|found| (found.browse_name.namespace_index, found.browse_name.name.to_string())).collect()
}

fn translate(session: &mut Session, place: &Place) -> StatusCode {
    let step = RelativePathElement {
        include_subtypes: true,
        target_name: QualifiedName::new(place.name.0, place.name.1),
        ..RelativePathElement::default()
    };
    let path = BrowsePath {
        starting_node: id(place.parent).to_node_id(),
        relative_path: RelativePath { elements: Some(vec![step]) },
    };
    let results = session.ask(request::translate(vec![path])).results.expect("results");
    assert_eq!(results.len(), 1);
    results[0].status_code
}

pub(super) fn shown(session: &mut Session, node: NodeIdRef<'_>) -> Shown {
    let mut read = session.read(&[(node, 25), (node, 24), (node, 26), (node, 17), (node, 18), (node, 22)]);
    let executable = match read.remove(5).value {
        Some(Value::Boolean(executable)) => Some(executable),
        _ => None,
    };
    let byte = |value: DataValue| match value.value {
        Some(Value::Byte(level)) => level,
        _ => 0,
    };
    let (user_level, level) = (byte(read.remove(4)), byte(read.remove(3)));
    let Some(Value::UInt16(restrictions)) = read.remove(2).value else { panic!("no restrictions") };
    let all = read.remove(1).value.map(|value| permissions(&value));
    let mine = permissions(&read.remove(0).value.expect("the own permissions"));
    Shown { mine, all, restrictions, level, user_level, executable }
}

/// RolePermissionType, by the id of the role.
pub(super) fn permissions(value: &Value) -> Vec<(String, u32)> {
    let mut w = Writer::new();
    w.variant(value);
    let mut reader = Reader::new(&w.buf);
    assert_eq!(reader.u8(), Ok(22 | 0x80), "an array of ExtensionObjects");
    let count = reader.count(1).expect("roles");
    let roles = (0..count).map(|_| {
        let object = reader.extension_object().expect("a role");
        assert_eq!(object.type_id.standard(), Some(128));
        let mut body = Reader::new(object.body.expect("a body"));
        let role = body.node_id().expect("a role's id").to_owned().to_string();
        (role, body.u32().expect("permissions"))
    });
    roles.collect()
}
