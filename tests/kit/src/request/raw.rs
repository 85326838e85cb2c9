//! Structures that are malformed on purpose.

use opcell::testing::stack::codec::Writer;
use opcua::*;

/// The body of a structure as a test writes it: malformed on purpose.
#[derive(Debug, Clone, PartialEq)]
struct RawBody {
    encoding: u32,
    bytes: Vec<u8>,
}

impl BinaryEncodable for RawBody {
    fn byte_len(&self, _: &Context<'_>) -> usize {
        self.bytes.len()
    }

    fn encode<S: std::io::Write + ?Sized>(&self, stream: &mut S, _: &Context<'_>) -> EncodingResult<()> {
        Ok(stream.write_all(&self.bytes)?)
    }
}

impl ExpandedMessageInfo for RawBody {
    fn full_type_id(&self) -> ExpandedNodeId {
        NodeId::new(0, self.encoding).into()
    }

    fn full_json_type_id(&self) -> ExpandedNodeId {
        ExpandedNodeId::null()
    }

    fn full_xml_type_id(&self) -> ExpandedNodeId {
        ExpandedNodeId::null()
    }

    fn full_data_type_id(&self) -> ExpandedNodeId {
        ExpandedNodeId::null()
    }
}

/// A structure with a body that no `opcua` type can be.
pub fn raw_structure(encoding: ObjectId, body: impl FnOnce(&mut Writer)) -> ExtensionObject {
    let mut w = Writer::new();
    body(&mut w);
    ExtensionObject::from_message(RawBody { encoding: encoding as u32, bytes: w.buf })
}
