//! Events about changes of the address space, taken apart: the fields to select, and the entries of `Changes`.

use opcell::testing::stack::codec::Reader;
use opcell::value::Value;

/// GeneralModelChangeEventType.
pub const MODEL_CHANGE: u32 = 2133;
/// SemanticChangeEventType.
pub const SEMANTIC_CHANGE: u32 = 2738;
/// BaseModelChangeEventType.
pub const BASE_MODEL_CHANGE: u32 = 2132;

/// Fields of both types of event.
pub const FIELDS: [(u32, &str); 6] = [
    (2041, "EventType"),
    (2041, "SourceName"),
    (2041, "Severity"),
    (2041, "SourceNode"),
    (MODEL_CHANGE, "Changes"),
    (SEMANTIC_CHANGE, "Changes"),
];

/// A node of an event; the verb is 0 in a SemanticChangeEvent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub node: String,
    pub kind: String,
    pub verb: u8,
}

/// An event: the number of its type, and its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeEvent {
    pub kind: u32,
    pub entries: Vec<Entry>,
}

impl ChangeEvent {
    /// Reads the `FIELDS` of an event, which the Server object is the source of.
    pub fn read(fields: &[Value]) -> ChangeEvent {
        assert_eq!(fields[1..3], [Value::text("Server"), Value::UInt16(100)], "SourceName and Severity");
        assert_eq!(standard(&fields[3]), 2253, "SourceNode");
        assert_eq!(fields[4], fields[5], "both are the path `Changes`");
        ChangeEvent { kind: standard(&fields[0]), entries: entries(&fields[4]) }
    }
}

fn standard(id: &Value) -> u32 {
    let Value::Wire(bytes) = id else { panic!("no NodeId: {id:?}") };
    Reader::new(&bytes[1..]).node_id().expect("a NodeId").standard().expect("of the standard")
}

/// The entries of `Changes`.
pub fn entries(value: &Value) -> Vec<Entry> {
    let Value::Wire(bytes) = value else { panic!("no Changes: {value:?}") };
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.u8(), Ok(22 | 0x80), "an array of ExtensionObjects");
    let count = reader.count(1).expect("entries");
    let mut found = Vec::new();
    for _ in 0..count {
        let object = reader.extension_object().expect("an entry");
        let mut body = Reader::new(object.body.expect("a body"));
        let mut id = || body.node_id().expect("a NodeId").to_owned().to_string();
        let (node, kind) = (id(), id());
        // ModelChangeStructureDataType and SemanticChangeStructureDataType.
        let verb = match object.type_id.standard() {
            Some(879) => body.u8().expect("a verb"),
            Some(899) => 0,
            other => panic!("encoding {other:?}"),
        };
        assert_eq!(body.remaining(), 0);
        found.push(Entry { node, kind, verb });
    }
    found
}
