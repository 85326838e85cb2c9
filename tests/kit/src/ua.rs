//! A thin session client on the stack: it says exactly what a test wants said, and reads what comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opcell::testing::stack::channel::{ClientSettings, Peer};
use opcell::testing::stack::client::{Client, ClientError};
use opcell::testing::stack::codec::{DataValue, IdRef, Reader, Writer};
use opcell::testing::stack::crypto::{Identity, MessageSecurityMode, Policy};
use opcell::testing::stack::transport::Limits;
use opcell::value::Value;
use opcua::{
    ActivateSessionRequest, AttributeId, BinaryDecodable, ByteString, CallMethodResult, CreateSessionRequest, DateTime,
    ExtensionObject, NodeId, ObjectId, RequestHeader, StatusCode,
};

pub use crate::publication::Publication;
use crate::request::*;
use crate::until;

pub const TIMEOUT: Duration = Duration::from_secs(30);

/// An answered request: the service's own result, and its body behind the ResponseHeader.
#[derive(Debug)]
pub struct Response {
    pub type_id: u32,
    pub handle: u32,
    pub result: StatusCode,
    pub body: Vec<u8>,
    /// The whole message behind its type id.
    message: Vec<u8>,
}

/// A connection, its session, and what is needed to activate it again elsewhere.
pub struct Session {
    pub client: Client,
    pub token: Vec<u8>,
    pub id: u32,
    pub server_nonce: Vec<u8>,
    pub revised_timeout: f64,
    next_handle: u32,
}

pub fn settings(policy: Policy, mode: MessageSecurityMode) -> ClientSettings {
    ClientSettings {
        limits: Limits::default(),
        policy,
        mode,
        identity: None,
        server: None,
        lifetime: Duration::from_secs(3600),
    }
}

pub fn unsecured() -> ClientSettings {
    settings(Policy::None, MessageSecurityMode::None)
}

pub fn secured(
    policy: Policy,
    mode: MessageSecurityMode,
    identity: &Arc<Identity>,
    server: &Arc<Peer>,
) -> ClientSettings {
    ClientSettings { identity: Some(Arc::clone(identity)), server: Some(Arc::clone(server)), ..settings(policy, mode) }
}

/// Type id and RequestHeader of a request whose body a test writes by itself, because no client would.
pub fn raw_header(w: &mut Writer, request: ObjectId, token: &[u8], handle: u32) {
    let header = RequestHeader {
        authentication_token: token_id(token),
        timestamp: DateTime::now(),
        request_handle: handle,
        ..RequestHeader::default()
    };
    encode(&NodeId::from(request), &mut w.buf);
    encode(&header, &mut w.buf);
}

fn token_id(token: &[u8]) -> NodeId {
    if token.is_empty() { NodeId::null() } else { NodeId::new(0, ByteString::from(token.to_vec())) }
}

/// Takes a response apart as far as its header.
pub fn parse(bytes: &[u8]) -> Response {
    let mut reader = Reader::new(bytes);
    let type_id = reader.node_id().expect("a type id").standard().expect("a standard type id");
    let begin = reader.position();
    reader.time().expect("a timestamp");
    let handle = reader.u32().expect("a handle");
    let result = reader.status().expect("a result");
    reader.skip_diagnostic_info().expect("diagnostics");
    for _ in 0..reader.count(4).expect("a string table") {
        reader.string().expect("a string");
    }
    reader.extension_object().expect("an additional header");
    let body = bytes[reader.position()..].to_vec();
    Response { type_id, handle, result, body, message: bytes[begin..].to_vec() }
}

impl Response {
    /// The body of a service that succeeded.
    pub fn good(&self) -> Reader<'_> {
        assert_eq!(self.result, StatusCode::Good, "response {}", self.type_id);
        Reader::new(&self.body)
    }

    /// The response of a service that succeeded, as the `opcua` crate reads it.
    pub fn decode<T: BinaryDecodable>(&self) -> T {
        self.good();
        decode(&self.message)
    }
}

impl Session {
    /// Anonymous, unsecured, activated.
    pub fn open(address: SocketAddr) -> Session {
        let mut session = Session::connect(address, unsecured()).expect("a channel");
        session.create("urn:test:client", b"").good();
        session.activate_anonymous().good();
        session
    }

    /// A channel without a session.
    pub fn connect(address: SocketAddr, settings: ClientSettings) -> Result<Session, ClientError> {
        let stream = std::net::TcpStream::connect_timeout(&address, TIMEOUT).map_err(ClientError::from)?;
        Session::over(stream, settings)
    }

    /// The same over a connection that the caller made.
    pub fn over(stream: std::net::TcpStream, settings: ClientSettings) -> Result<Session, ClientError> {
        let address = stream.peer_addr().map_err(ClientError::from)?;
        let client = Client::over(stream, &format!("opc.tcp://{address}"), settings, TIMEOUT)?;
        Ok(Session { client, token: Vec::new(), id: 0, server_nonce: Vec::new(), revised_timeout: 0.0, next_handle: 1 })
    }

    /// Puts a request into the send buffer; returns its handle.
    pub fn send<R: Request>(&mut self, mut request: R) -> Result<u32, ClientError> {
        let handle = self.next_handle;
        self.next_handle += 1;
        let header = request.header();
        header.authentication_token = token_id(&self.token);
        header.timestamp = DateTime::now();
        header.request_handle = handle;
        self.client.send(|w| {
            encode(&NodeId::from(request.type_id()), &mut w.buf);
            encode(&request, &mut w.buf);
        })?;
        Ok(handle)
    }

    /// As `send`, with a body that no `opcua` type can be: malformed on purpose.
    pub fn send_raw(&mut self, request: ObjectId, body: impl FnOnce(&mut Writer)) -> Result<u32, ClientError> {
        let handle = self.next_handle;
        self.next_handle += 1;
        let token = self.token.clone();
        self.client.send(|w| {
            raw_header(w, request, &token, handle);
            body(w);
        })?;
        Ok(handle)
    }

    pub fn receive(&mut self) -> Result<Response, ClientError> {
        self.client.receive(|_, body| parse(body))
    }

    /// Sends what waits, and receives until the response with this handle.
    pub fn answer_to(&mut self, handle: u32) -> Result<Response, ClientError> {
        self.client.flush()?;
        loop {
            let response = self.receive()?;
            if response.handle == handle {
                return Ok(response);
            }
        }
    }

    pub fn try_call<R: Request>(&mut self, request: R) -> Result<Response, ClientError> {
        let handle = self.send(request)?;
        self.answer_to(handle)
    }

    pub fn call<R: Request>(&mut self, request: R) -> Response {
        self.try_call(request).expect("an answer")
    }

    /// A service that succeeds.
    pub fn ask<R: Request>(&mut self, request: R) -> R::Response {
        self.call(request).decode()
    }

    pub fn try_call_raw(&mut self, request: ObjectId, body: impl FnOnce(&mut Writer)) -> Result<Response, ClientError> {
        let handle = self.send_raw(request, body)?;
        self.answer_to(handle)
    }

    pub fn call_raw(&mut self, request: ObjectId, body: impl FnOnce(&mut Writer)) -> Response {
        self.try_call_raw(request, body).expect("an answer")
    }

    /// CreateSession; keeps token and nonce when it succeeds.
    pub fn create(&mut self, application_uri: &str, certificate: &[u8]) -> Response {
        self.create_with(application_uri, certificate, 60_000.0, 0)
    }

    pub fn create_with(
        &mut self,
        application_uri: &str,
        certificate: &[u8],
        timeout: f64,
        max_response: u32,
    ) -> Response {
        let mut request = create_session(application_uri, certificate, "opc.tcp://127.0.0.1:4840", timeout);
        request.max_response_message_size = max_response;
        self.create_by(request)
    }

    /// As `create`, by a client that says it dialled this.
    pub fn create_dialling(&mut self, application_uri: &str, certificate: &[u8], url: &str) -> Response {
        self.create_by(create_session(application_uri, certificate, url, 60_000.0))
    }

    fn create_by(&mut self, request: CreateSessionRequest) -> Response {
        let response = self.call(request);
        if response.result.is_good() {
            self.keep_token(&response);
        }
        response
    }

    /// Takes what a CreateSession brought.
    pub fn keep_token(&mut self, response: &Response) {
        let mut reader = response.good();
        if let IdRef::Numeric(id) = reader.node_id().expect("a session id").id {
            self.id = id;
        }
        if let IdRef::Opaque(token) = reader.node_id().expect("a token").id {
            self.token = token.to_vec();
        }
        self.revised_timeout = reader.f64().expect("a timeout");
        self.server_nonce = reader.bytes().expect("a nonce").unwrap_or_default().to_vec();
    }

    pub fn activate_anonymous(&mut self) -> Response {
        self.activate(None, anonymous())
    }

    /// ActivateSession with a client signature and an identity token.
    pub fn activate(&mut self, signature: Option<(&str, &[u8])>, token: ExtensionObject) -> Response {
        self.activate_by(activate_session(signature, token))
    }

    pub fn activate_by(&mut self, request: ActivateSessionRequest) -> Response {
        let response = self.call(request);
        if response.result.is_good() {
            self.server_nonce = response.good().bytes().expect("a nonce").unwrap_or_default().to_vec();
        }
        response
    }

    /// Reads attributes; one DataValue each.
    pub fn read<T: ToNodeId>(&mut self, nodes: &[(T, u32)]) -> Vec<DataValue> {
        let response = self.call(read(nodes));
        let mut reader = response.good();
        let count = reader.count(1).expect("results");
        (0..count).map(|_| reader.data_value().expect("a DataValue")).collect()
    }

    pub fn read_value(&mut self, id: impl ToNodeId) -> DataValue {
        self.read(&[(id, AttributeId::Value as u32)]).remove(0)
    }

    /// Waits until the tag of the first cell has this value, to the bit, and is Good.
    pub fn until_is(&mut self, name: &str, value: &Value) {
        until(&format!("{name} is {value:?}"), || {
            let read = self.read_value(text_id(name));
            let is = read.status.is_none_or(|status| status.is_good())
                && read.value.as_ref().is_some_and(|read| read.same_bits(value));
            if is { Ok(()) } else { Err(format!("{read:?}")) }
        });
    }

    pub fn write(&mut self, id: impl ToNodeId, value: &Value) -> StatusCode {
        self.write_range(id, None, value)
    }

    pub fn write_range(&mut self, id: impl ToNodeId, range: Option<&str>, value: &Value) -> StatusCode {
        let results = self.ask(write(&[(id, range, value)])).results.expect("results");
        assert_eq!(results.len(), 1);
        results[0]
    }

    /// CreateSubscription; its id.
    pub fn subscribe(&mut self, interval: f64, lifetime: u32, keep_alive: u32) -> u32 {
        self.ask(create_subscription(interval, lifetime, keep_alive)).subscription_id
    }

    /// CreateMonitoredItems on values, without a filter; status and id of each.
    pub fn monitor<T: ToNodeId>(
        &mut self,
        subscription: u32,
        items: &[(T, u32)],
        sampling: f64,
        queue: u32,
    ) -> Vec<(StatusCode, u32)> {
        let made = self.monitor_revised(subscription, items, sampling, queue);
        made.into_iter().map(|(status, id, _)| (status, id)).collect()
    }

    /// As `monitor`, with the revised sampling interval of each in milliseconds.
    pub fn monitor_revised<T: ToNodeId>(
        &mut self,
        subscription: u32,
        items: &[(T, u32)],
        sampling: f64,
        queue: u32,
    ) -> Vec<(StatusCode, u32, f64)> {
        let value = AttributeId::Value as u32;
        let items = items.iter().map(|(id, handle)| item(id, value, *handle, sampling, queue)).collect();
        let made = self.ask(create_items(subscription, items)).results.unwrap_or_default();
        made.into_iter()
            .map(|made| (made.status_code, made.monitored_item_id, made.revised_sampling_interval))
            .collect()
    }

    /// An item that hears of every event of the Server object, with these fields by type and name; its subscription.
    pub fn hear_events(&mut self, fields: &[(u32, &str)]) -> u32 {
        let subscription = self.subscribe(50.0, 1000, 10);
        let filter = event_filter(fields.iter().map(|(kind, name)| event_field(*kind, name)).collect(), None);
        let item = filtered_item(ObjectId::Server, AttributeId::EventNotifier as u32, 1, (0.0, 1000), filter);
        let made = self.ask(create_items(subscription, vec![item])).results.expect("results");
        assert_eq!((made.len(), made[0].status_code), (1, StatusCode::Good));
        subscription
    }

    /// Queues a Publish request.
    pub fn ask_publish(&mut self, acknowledge: &[(u32, u32)]) {
        self.send(publish(acknowledge)).expect("sent");
        self.client.flush().expect("sent");
    }

    /// The next response, which answers a Publish.
    pub fn published(&mut self) -> Result<Publication, StatusCode> {
        let response = self.receive().expect("an answer");
        if response.result.is_bad() {
            return Err(response.result);
        }
        assert_eq!(response.type_id, ObjectId::PublishResponse_Encoding_DefaultBinary as u32, "a PublishResponse");
        Ok(Publication::read(&mut Reader::new(&response.body)))
    }

    pub fn publish(&mut self, acknowledge: &[(u32, u32)]) -> Result<Publication, StatusCode> {
        self.ask_publish(acknowledge);
        self.published()
    }

    /// TransferSubscriptions of one: its status and the sequence numbers that may be asked for again.
    pub fn transfer(&mut self, subscription: u32, send_initial_values: bool) -> (StatusCode, Vec<u32>) {
        let mut results = self.ask(transfer(&[subscription], send_initial_values)).results.expect("results");
        assert_eq!(results.len(), 1);
        let result = results.remove(0);
        (result.status_code, result.available_sequence_numbers.unwrap_or_default())
    }

    /// Calls one method; its result.
    pub fn call_method(&mut self, object: impl ToNodeId, id: impl ToNodeId, arguments: &[Value]) -> CallMethodResult {
        let mut results = self.ask(call(vec![method(object, id, arguments)])).results.expect("results");
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    /// Publishes until a message brings data.
    pub fn next_data(&mut self) -> Publication {
        loop {
            let publication = self.publish(&[]).expect("a message");
            if !publication.data.is_empty() {
                return publication;
            }
        }
    }

    pub fn close(mut self) {
        self.call(close_session(true)).good();
        self.client.close().expect("closed");
    }
}
