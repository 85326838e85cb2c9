//! A client that listens for conditions, and reads their fields by the words of the specification.

use std::collections::VecDeque;
use std::net::SocketAddr;

use opcell::testing::stack::codec::{NodeIdRef, Reader, Writer};
use opcell::value::{BuiltIn, Value};
use opcua::{AttributeId, QualifiedName, SimpleAttributeOperand, StatusCode};
use testkit::request::{ToNodeId, create_items, event_filter, filtered_item};
use testkit::ua::Session;

const CONDITION_TYPE: u32 = 2782;

/// A session with one item that listens for events.
pub struct Alarms {
    pub session: Session,
    pub subscription: u32,
    waiting: VecDeque<Vec<Value>>,
}

/// One event of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The text of its ConditionId.
    pub condition: String,
    pub kind: u32,
    pub source_name: String,
    pub message: String,
    pub severity: u16,
    pub active: Option<bool>,
    pub acked: Option<bool>,
    pub confirmed: Option<bool>,
    pub enabled: Option<bool>,
    pub retain: Option<bool>,
    pub limit: String,
    pub shelving: String,
    pub suppressed: Option<bool>,
    pub comment: String,
    pub user: String,
    pub event_id: Vec<u8>,
}

fn operand(kind: u32, path: &str) -> SimpleAttributeOperand {
    let names = path.split('/').filter(|name| !name.is_empty());
    let attribute = if path.is_empty() { AttributeId::NodeId } else { AttributeId::Value };
    SimpleAttributeOperand {
        type_definition_id: (0u16, kind).into(),
        browse_path: Some(names.map(|name| QualifiedName::new(0, name)).collect()),
        attribute_id: attribute as u32,
        ..SimpleAttributeOperand::default()
    }
}

/// Fields by type and path; the empty path is the ConditionId.
const FIELDS: [(u32, &str); 16] = [
    (CONDITION_TYPE, ""),
    (2041, "EventType"),
    (2041, "SourceName"),
    (2041, "Message"),
    (2041, "Severity"),
    (2915, "ActiveState/Id"),
    (2881, "AckedState/Id"),
    (2881, "ConfirmedState/Id"),
    (CONDITION_TYPE, "EnabledState/Id"),
    (CONDITION_TYPE, "Retain"),
    (9341, "LimitState/CurrentState"),
    (2915, "ShelvingState/CurrentState"),
    (2915, "SuppressedOrShelved"),
    (CONDITION_TYPE, "Comment"),
    (CONDITION_TYPE, "ClientUserId"),
    (2041, "EventId"),
];

/// Makes an item for the events of an Object; its status.
pub fn try_hear(session: &mut Session, notifier: impl ToNodeId) -> StatusCode {
    let subscription = session.subscribe(20.0, 10_000, 1_000);
    hear(session, subscription, notifier)
}

fn hear(session: &mut Session, subscription: u32, notifier: impl ToNodeId) -> StatusCode {
    let filter = event_filter(FIELDS.iter().map(|(kind, path)| operand(*kind, path)).collect(), None);
    let item = filtered_item(notifier, AttributeId::EventNotifier as u32, 1, (0.0, 1_000), filter);
    session.ask(create_items(subscription, vec![item])).results.expect("results").remove(0).status_code
}

impl Alarms {
    pub fn open(address: SocketAddr, notifier: impl ToNodeId) -> Alarms {
        let mut session = Session::open(address);
        let subscription = session.subscribe(20.0, 10_000, 1_000);
        assert_eq!(hear(&mut session, subscription, notifier), StatusCode::Good);
        Alarms { session, subscription, waiting: VecDeque::new() }
    }

    fn next_fields(&mut self) -> Vec<Value> {
        loop {
            if let Some(fields) = self.waiting.pop_front() {
                return fields;
            }
            let message = self.session.publish(&[]).expect("a message");
            self.waiting.extend(message.events.into_iter().map(|(_, fields)| fields));
        }
    }

    /// The next event of a condition.
    pub fn next(&mut self) -> Seen {
        loop {
            let fields = self.next_fields();
            if !fields[0].is_null() {
                return seen(&fields);
            }
        }
    }

    /// The type of the next event, whatever it is.
    pub fn next_kind(&mut self) -> u32 {
        id(&self.next_fields()[1]).1
    }

    /// What a refresh brings between its begin and its end.
    pub fn refresh(&mut self, object: impl ToNodeId) -> Vec<Seen> {
        let arguments = [Value::UInt32(self.subscription)];
        let called = self.session.call_method(object, NodeIdRef::numeric(0, 3875), &arguments);
        assert_eq!(called.status_code, StatusCode::Good);
        // RefreshStartEventType; RefreshRequired may come before it.
        while self.next_kind() != 2787 {}
        let mut found = Vec::new();
        loop {
            let fields = self.next_fields();
            match id(&fields[1]).1 {
                2788 => return found,
                _ => found.push(seen(&fields)),
            }
        }
    }

    pub fn acknowledge(&mut self, condition: &str, event: &Seen, comment: &str) -> StatusCode {
        let id = Value::ByteString(event.event_id.clone().into());
        let arguments = [id, localized("en", comment)];
        let method = NodeIdRef::numeric(0, 9111);
        self.session.call_method(NodeIdRef::string(2, condition), method, &arguments).status_code
    }
}

fn id(value: &Value) -> (String, u32) {
    let Value::Wire(bytes) = value else { return (String::new(), 0) };
    let text = Reader::new(&bytes[1..]).node_id().expect("a NodeId").to_owned().to_string();
    let number = text.strip_prefix("i=").and_then(|number| number.parse().ok()).unwrap_or(0);
    (text.split_once(";s=").map_or_else(String::new, |(_, text)| text.to_owned()), number)
}

pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Wire(bytes) if bytes[0] == BuiltIn::LocalizedText as u8 => {
            Reader::new(&bytes[1..]).localized_text().expect("a text").text.unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

pub fn localized(locale: &str, text: &str) -> Value {
    let mut w = Writer::new();
    w.variant_head(BuiltIn::LocalizedText);
    w.u8(3);
    w.text(locale);
    w.text(text);
    Value::Wire(w.buf.into())
}

fn seen(fields: &[Value]) -> Seen {
    let flag = |at: usize| match fields[at] {
        Value::Boolean(is) => Some(is),
        _ => None,
    };
    Seen {
        condition: id(&fields[0]).0,
        kind: id(&fields[1]).1,
        source_name: text(&fields[2]),
        message: text(&fields[3]),
        severity: match fields[4] {
            Value::UInt16(severity) => severity,
            _ => 0,
        },
        active: flag(5),
        acked: flag(6),
        confirmed: flag(7),
        enabled: flag(8),
        retain: flag(9),
        limit: text(&fields[10]),
        shelving: text(&fields[11]),
        suppressed: flag(12),
        comment: text(&fields[13]),
        user: text(&fields[14]),
        event_id: match &fields[15] {
            Value::ByteString(id) => id.to_vec(),
            _ => Vec::new(),
        },
    }
}
