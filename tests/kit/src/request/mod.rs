//! Requests as the `opcua` crate builds and encodes them, so that the server's own encoder is no witness for itself.

mod raw;
mod subscription;
mod variant;

pub use raw::raw_structure;
pub use subscription::*;
pub use variant::variant;

use std::sync::LazyLock;

use opcell::testing::stack::codec::{IdRef, NodeIdRef};
use opcell::value::{UaTime, Value};
use opcua::*;

/// For large responses; nothing here comes from a stranger.
static CONTEXT: LazyLock<ContextOwned> = LazyLock::new(|| {
    let unlimited = DecodingOptions {
        max_message_size: 0,
        max_chunk_count: 0,
        max_string_length: usize::MAX,
        max_byte_string_length: usize::MAX,
        max_array_length: usize::MAX,
        ..DecodingOptions::default()
    };
    ContextOwned::new_default(NamespaceMap::new(), unlimited)
});

pub fn encode(message: &impl BinaryEncodable, to: &mut Vec<u8>) {
    message.encode(to, &CONTEXT.context()).expect("a vector takes all");
}

/// Decodes a whole message or value.
pub fn decode<T: BinaryDecodable>(bytes: &[u8]) -> T {
    let mut rest = bytes;
    let message = T::decode(&mut rest, &CONTEXT.context()).unwrap_or_else(|why| panic!("{why} in {bytes:02x?}"));
    assert!(rest.is_empty(), "{} bytes follow", rest.len());
    message
}

/// A request of a service, with the response that belongs to it.
pub trait Request: BinaryEncodable + MessageInfo {
    type Response: BinaryDecodable;
    fn header(&mut self) -> &mut RequestHeader;
}

macro_rules! requests {
    ($($request:ident -> $response:ident,)*) => {
        $(impl Request for $request {
            type Response = $response;
            fn header(&mut self) -> &mut RequestHeader {
                &mut self.request_header
            }
        })*
    };
}

requests! {
    ActivateSessionRequest -> ActivateSessionResponse,
    AddNodesRequest -> AddNodesResponse,
    BrowseNextRequest -> BrowseNextResponse,
    BrowseRequest -> BrowseResponse,
    CallRequest -> CallResponse,
    CancelRequest -> CancelResponse,
    CloseSessionRequest -> CloseSessionResponse,
    CreateMonitoredItemsRequest -> CreateMonitoredItemsResponse,
    CreateSessionRequest -> CreateSessionResponse,
    CreateSubscriptionRequest -> CreateSubscriptionResponse,
    DeleteMonitoredItemsRequest -> DeleteMonitoredItemsResponse,
    DeleteSubscriptionsRequest -> DeleteSubscriptionsResponse,
    FindServersRequest -> FindServersResponse,
    GetEndpointsRequest -> GetEndpointsResponse,
    HistoryReadRequest -> HistoryReadResponse,
    HistoryUpdateRequest -> HistoryUpdateResponse,
    ModifyMonitoredItemsRequest -> ModifyMonitoredItemsResponse,
    ModifySubscriptionRequest -> ModifySubscriptionResponse,
    PublishRequest -> PublishResponse,
    ReadRequest -> ReadResponse,
    RegisterNodesRequest -> RegisterNodesResponse,
    RepublishRequest -> RepublishResponse,
    SetMonitoringModeRequest -> SetMonitoringModeResponse,
    SetPublishingModeRequest -> SetPublishingModeResponse,
    SetTriggeringRequest -> SetTriggeringResponse,
    TransferSubscriptionsRequest -> TransferSubscriptionsResponse,
    TranslateBrowsePathsToNodeIdsRequest -> TranslateBrowsePathsToNodeIdsResponse,
    UnregisterNodesRequest -> UnregisterNodesResponse,
    WriteRequest -> WriteResponse,
}

/// A name of a node that becomes a NodeId.
pub trait ToNodeId {
    fn to_node_id(&self) -> NodeId;
}

impl ToNodeId for NodeIdRef<'_> {
    fn to_node_id(&self) -> NodeId {
        match self.id {
            IdRef::Numeric(number) => NodeId::new(self.namespace, number),
            IdRef::String(text) => NodeId::new(self.namespace, text.to_owned()),
            IdRef::Guid(bytes) => NodeId::new(self.namespace, decode::<Guid>(&bytes)),
            IdRef::Opaque(bytes) => NodeId::new(self.namespace, ByteString::from(bytes.to_vec())),
        }
    }
}

impl ToNodeId for NodeId {
    fn to_node_id(&self) -> NodeId {
        self.clone()
    }
}

impl<T: ToNodeId> ToNodeId for &T {
    fn to_node_id(&self) -> NodeId {
        T::to_node_id(self)
    }
}

macro_rules! standard_ids {
    ($($id:ident),*) => {
        $(impl ToNodeId for $id {
            fn to_node_id(&self) -> NodeId {
                NodeId::from(*self)
            }
        })*
    };
}

standard_ids!(DataTypeId, MethodId, ObjectId, ObjectTypeId, ReferenceTypeId, VariableId, VariableTypeId);

/// A string node of the first namespace of a cell.
pub fn text_id(name: &str) -> NodeId {
    NodeId::new(2, name.to_owned())
}

/// A time by its ticks; after the year 9999 there is only the end of time. `by_hand` has those before 1601.
pub fn time(ticks: i64) -> DateTime {
    assert!(ticks >= 0, "{ticks} is before 1601");
    if ticks >= DateTime::endtimes_ticks() { DateTime::endtimes() } else { DateTime::from(ticks) }
}

/// An index range as a client writes it, also one whose end comes before its begin.
pub fn range(text: Option<&str>) -> NumericRange {
    let Some(text) = text else { return NumericRange::None };
    let ends = text.split_once(':').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    ends.map_or_else(|| text.parse().expect("a range"), |(first, last)| NumericRange::Range(first, last))
}

/// A DataValue; what is `None` is left out.
pub fn data_value(value: &Value, status: StatusCode, times: Option<(UaTime, UaTime)>) -> DataValue {
    DataValue {
        value: Some(variant(value)),
        status: Some(status),
        source_timestamp: times.map(|(source, _)| time(source.0)),
        server_timestamp: times.map(|(_, server)| time(server.0)),
        ..DataValue::default()
    }
}

/// CreateSession by a client that dialled `url`, with a session timeout in milliseconds.
pub fn create_session(application_uri: &str, certificate: &[u8], url: &str, timeout: f64) -> CreateSessionRequest {
    CreateSessionRequest {
        client_description: ApplicationDescription {
            application_uri: application_uri.into(),
            application_type: ApplicationType::Client,
            ..ApplicationDescription::default()
        },
        endpoint_url: url.into(),
        session_name: "a test".into(),
        client_nonce: ByteString::from(vec![7; 32]),
        client_certificate: if certificate.is_empty() { ByteString::null() } else { certificate.to_vec().into() },
        requested_session_timeout: timeout,
        ..CreateSessionRequest::default()
    }
}

pub fn anonymous() -> ExtensionObject {
    ExtensionObject::from_message(AnonymousIdentityToken { policy_id: "anonymous".into() })
}

/// A user name with its secret: as it is, or encrypted by this algorithm.
pub fn user_name(user: &str, secret: &[u8], algorithm: Option<&str>) -> ExtensionObject {
    ExtensionObject::from_message(UserNameIdentityToken {
        policy_id: "username".into(),
        user_name: user.into(),
        password: secret.to_vec().into(),
        encryption_algorithm: algorithm.map(str::to_owned).into(),
    })
}

/// A signature, or none.
pub fn signature(of: Option<(&str, &[u8])>) -> SignatureData {
    of.map_or_else(SignatureData::default, |(algorithm, bytes)| SignatureData {
        algorithm: algorithm.into(),
        signature: bytes.to_vec().into(),
    })
}

/// ActivateSession without a user's signature.
pub fn activate_session(client: Option<(&str, &[u8])>, token: ExtensionObject) -> ActivateSessionRequest {
    ActivateSessionRequest {
        client_signature: signature(client),
        locale_ids: Some(vec!["en".into()]),
        user_identity_token: token,
        ..ActivateSessionRequest::default()
    }
}

/// Read of attributes with both timestamps.
pub fn read<T: ToNodeId>(nodes: &[(T, u32)]) -> ReadRequest {
    let node = |(id, attribute): &(T, u32)| read_value_id(id, *attribute);
    read_of(nodes.iter().map(node).collect())
}

pub fn read_of(nodes: Vec<ReadValueId>) -> ReadRequest {
    ReadRequest { timestamps_to_return: TimestampsToReturn::Both, nodes_to_read: Some(nodes), ..ReadRequest::default() }
}

pub fn read_value_id(id: impl ToNodeId, attribute: u32) -> ReadValueId {
    ReadValueId { node_id: id.to_node_id(), attribute_id: attribute, ..ReadValueId::default() }
}

/// Write of values, whole or in part, without status and times.
pub fn write<T: ToNodeId>(values: &[(T, Option<&str>, &Value)]) -> WriteRequest {
    let one = |(id, part, value): &(T, Option<&str>, &Value)| WriteValue {
        node_id: id.to_node_id(),
        attribute_id: AttributeId::Value as u32,
        index_range: range(*part),
        value: DataValue { value: Some(variant(value)), ..DataValue::default() },
    };
    WriteRequest { nodes_to_write: Some(values.iter().map(one).collect()), ..WriteRequest::default() }
}

/// Browse forward along references of a kind and its subtypes; all fields, all classes.
pub fn browse<T: ToNodeId>(nodes: &[T], kind: impl ToNodeId, most: u32) -> BrowseRequest {
    let one = |node: &T| BrowseDescription {
        node_id: node.to_node_id(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: kind.to_node_id(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseResultMask::All as u32,
    };
    browse_of(nodes.iter().map(one).collect(), most)
}

pub fn browse_of(nodes: Vec<BrowseDescription>, most: u32) -> BrowseRequest {
    BrowseRequest { requested_max_references_per_node: most, nodes_to_browse: Some(nodes), ..BrowseRequest::default() }
}

pub fn browse_next(release: bool, points: &[&[u8]]) -> BrowseNextRequest {
    let points = points.iter().map(|point| ByteString::from(point.to_vec())).collect();
    BrowseNextRequest {
        release_continuation_points: release,
        continuation_points: Some(points),
        ..BrowseNextRequest::default()
    }
}

/// A path of names along hierarchical references.
pub fn browse_path<'a>(from: impl ToNodeId, names: impl IntoIterator<Item = (u16, &'a str)>) -> BrowsePath {
    let step = |(namespace, name): (u16, &str)| RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(namespace, name),
    };
    let elements = Some(names.into_iter().map(step).collect());
    BrowsePath { starting_node: from.to_node_id(), relative_path: RelativePath { elements } }
}

pub fn translate(paths: Vec<BrowsePath>) -> TranslateBrowsePathsToNodeIdsRequest {
    TranslateBrowsePathsToNodeIdsRequest { browse_paths: Some(paths), ..Default::default() }
}

/// A method of namespace 0 on an object, with its arguments.
pub fn method(object: impl ToNodeId, method: impl ToNodeId, arguments: &[Value]) -> CallMethodRequest {
    CallMethodRequest {
        object_id: object.to_node_id(),
        method_id: method.to_node_id(),
        input_arguments: Some(arguments.iter().map(variant).collect()),
    }
}

pub fn call(methods: Vec<CallMethodRequest>) -> CallRequest {
    CallRequest { methods_to_call: Some(methods), ..CallRequest::default() }
}

pub fn cancel(handle: u32) -> CancelRequest {
    CancelRequest { request_handle: handle, ..CancelRequest::default() }
}

pub fn close_session(delete_subscriptions: bool) -> CloseSessionRequest {
    CloseSessionRequest { delete_subscriptions, ..CloseSessionRequest::default() }
}

pub fn get_endpoints(url: &str) -> GetEndpointsRequest {
    GetEndpointsRequest { endpoint_url: url.into(), ..GetEndpointsRequest::default() }
}

pub fn find_servers(url: &str) -> FindServersRequest {
    FindServersRequest { endpoint_url: url.into(), ..FindServersRequest::default() }
}
