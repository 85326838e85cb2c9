//! A thin session client on the stack: it says exactly what a test wants said, and reads what comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opcell::stack::channel::{ClientSettings, Peer};
use opcell::stack::client::{Client, ClientError};
use opcell::stack::codec::{DataValue, ExtensionRef, IdRef, NodeIdRef, QualifiedNameRef, Reader, Writer};
use opcell::stack::crypto::{Identity, MessageSecurityMode, Policy};
use opcell::stack::transport::Limits;
use opcell::value::{UaTime, Value};
use opcua::StatusCode;

pub const TIMEOUT: Duration = Duration::from_secs(10);

/// An answered request: the service's own result, and its body behind the ResponseHeader.
#[derive(Debug)]
pub struct Response {
    pub type_id: u32,
    pub handle: u32,
    pub result: StatusCode,
    pub body: Vec<u8>,
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

/// Type id and RequestHeader of a request.
pub fn header(w: &mut Writer, type_id: u32, token: &[u8], handle: u32, timeout_hint: u32) {
    w.node_id(NodeIdRef::numeric(0, type_id));
    if token.is_empty() {
        w.node_id(NodeIdRef::NULL);
    } else {
        w.node_id(NodeIdRef { namespace: 0, id: IdRef::Opaque(token) });
    }
    w.time(UaTime::now());
    w.u32(handle);
    w.u32(0);
    w.string(None);
    w.u32(timeout_hint);
    w.null_extension_object();
}

/// The body of a ReadRequest.
pub fn read_body(w: &mut Writer, nodes: &[(NodeIdRef<'_>, u32)]) {
    w.f64(0.0);
    w.i32(2);
    w.count(nodes.len());
    for (id, attribute) in nodes {
        w.node_id(*id);
        w.u32(*attribute);
        w.string(None);
        w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
    }
}

/// Takes a response apart as far as its header.
pub fn parse(bytes: &[u8]) -> Response {
    let mut reader = Reader::new(bytes);
    let type_id = reader.node_id().expect("a type id").standard().expect("a standard type id");
    reader.time().expect("a timestamp");
    let handle = reader.u32().expect("a handle");
    let result = reader.status().expect("a result");
    reader.skip_diagnostic_info().expect("diagnostics");
    for _ in 0..reader.count(4).expect("a string table") {
        reader.string().expect("a string");
    }
    reader.extension_object().expect("an additional header");
    Response { type_id, handle, result, body: bytes[reader.position()..].to_vec() }
}

impl Response {
    /// The body of a service that succeeded.
    pub fn good(&self) -> Reader<'_> {
        assert_eq!(self.result, StatusCode::Good, "response {}", self.type_id);
        Reader::new(&self.body)
    }
}

/// The body of a CreateSession.
pub fn create_body(
    w: &mut Writer,
    application_uri: &str,
    certificate: &[u8],
    url: &str,
    (timeout, max_response): (f64, u32),
) {
    w.text(application_uri);
    w.string(None);
    w.u8(0);
    w.i32(1);
    w.string(None);
    w.string(None);
    w.null_array();
    w.string(None);
    w.text(url);
    w.text("a test");
    w.bytes(Some(&[7; 32]));
    w.bytes(if certificate.is_empty() { None } else { Some(certificate) });
    w.f64(timeout);
    w.u32(max_response);
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

    /// Puts a request into the send buffer; tells its handle.
    pub fn send(&mut self, type_id: u32, body: impl FnOnce(&mut Writer)) -> Result<u32, ClientError> {
        let handle = self.next_handle;
        self.next_handle += 1;
        let token = self.token.clone();
        self.client.send(|w| {
            header(w, type_id, &token, handle, 0);
            body(w);
        })?;
        Ok(handle)
    }

    pub fn receive(&mut self) -> Result<Response, ClientError> {
        self.client.receive(|_, body| parse(body))
    }

    pub fn try_call(&mut self, type_id: u32, body: impl FnOnce(&mut Writer)) -> Result<Response, ClientError> {
        let handle = self.send(type_id, body)?;
        self.client.flush()?;
        loop {
            let response = self.receive()?;
            if response.handle == handle {
                return Ok(response);
            }
        }
    }

    pub fn call(&mut self, type_id: u32, body: impl FnOnce(&mut Writer)) -> Response {
        self.try_call(type_id, body).expect("an answer")
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
        self.create_session(application_uri, certificate, "opc.tcp://127.0.0.1:4840", (timeout, max_response))
    }

    /// As `create`, by a client that says it dialled this.
    pub fn create_dialling(&mut self, application_uri: &str, certificate: &[u8], url: &str) -> Response {
        self.create_session(application_uri, certificate, url, (60_000.0, 0))
    }

    fn create_session(
        &mut self,
        application_uri: &str,
        certificate: &[u8],
        url: &str,
        (timeout, max_response): (f64, u32),
    ) -> Response {
        let limits = (timeout, max_response);
        let response = self.call(461, |w| create_body(w, application_uri, certificate, url, limits));
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
        self.activate(None, |w| {
            w.extension_object(321, |w| w.text("anonymous"));
        })
    }

    /// ActivateSession with a client signature and an identity token that `token` writes.
    pub fn activate(&mut self, signature: Option<(&str, &[u8])>, token: impl FnOnce(&mut Writer)) -> Response {
        self.activate_signed(signature, None, token)
    }

    /// The same with a signature of the user: algorithm and bytes.
    pub fn activate_signed(
        &mut self,
        signature: Option<(&str, &[u8])>,
        of_user: Option<(&str, &[u8])>,
        token: impl FnOnce(&mut Writer),
    ) -> Response {
        let response = self.call(467, |w| {
            w.string(signature.map(|(algorithm, _)| algorithm));
            w.bytes(signature.map(|(_, bytes)| bytes));
            w.null_array();
            w.count(1);
            w.text("en");
            token(w);
            w.string(of_user.map(|(algorithm, _)| algorithm));
            w.bytes(of_user.map(|(_, bytes)| bytes));
        });
        if response.result.is_good() {
            self.server_nonce = response.good().bytes().expect("a nonce").unwrap_or_default().to_vec();
        }
        response
    }

    /// Reads attributes; one DataValue each.
    pub fn read(&mut self, nodes: &[(NodeIdRef<'_>, u32)]) -> Vec<DataValue> {
        let response = self.call(631, |w| read_body(w, nodes));
        let mut reader = response.good();
        let count = reader.count(1).expect("results");
        (0..count).map(|_| reader.data_value().expect("a DataValue")).collect()
    }

    pub fn read_value(&mut self, id: NodeIdRef<'_>) -> DataValue {
        self.read(&[(id, 13)]).remove(0)
    }

    pub fn write(&mut self, id: NodeIdRef<'_>, value: &Value) -> StatusCode {
        self.write_range(id, None, value)
    }

    pub fn write_range(&mut self, id: NodeIdRef<'_>, range: Option<&str>, value: &Value) -> StatusCode {
        let response = self.call(673, |w| {
            w.count(1);
            w.node_id(id);
            w.u32(13);
            w.string(range);
            w.data_value(value, StatusCode::Good, None, None);
        });
        let mut reader = response.good();
        assert_eq!(reader.count(4).expect("results"), 1);
        reader.status().expect("a status")
    }

    /// CreateSubscription; its id.
    pub fn subscribe(&mut self, interval: f64, lifetime: u32, keep_alive: u32) -> u32 {
        let response = self.call(787, |w| {
            w.f64(interval);
            w.u32(lifetime);
            w.u32(keep_alive);
            w.u32(0);
            w.bool(true);
            w.u8(0);
        });
        response.good().u32().expect("a subscription id")
    }

    /// CreateMonitoredItems on values, without a filter; status and id of each.
    pub fn monitor(
        &mut self,
        subscription: u32,
        items: &[(NodeIdRef<'_>, u32)],
        sampling: f64,
        queue: u32,
    ) -> Vec<(StatusCode, u32)> {
        let made = self.monitor_revised(subscription, items, sampling, queue);
        made.into_iter().map(|(status, id, _)| (status, id)).collect()
    }

    /// As `monitor`, with the revised sampling interval of each in milliseconds.
    pub fn monitor_revised(
        &mut self,
        subscription: u32,
        items: &[(NodeIdRef<'_>, u32)],
        sampling: f64,
        queue: u32,
    ) -> Vec<(StatusCode, u32, f64)> {
        let response = self.call(751, |w| {
            w.u32(subscription);
            w.i32(2);
            w.count(items.len());
            for (id, handle) in items {
                w.node_id(*id);
                w.u32(13);
                w.string(None);
                w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
                w.i32(2);
                w.u32(*handle);
                w.f64(sampling);
                w.null_extension_object();
                w.u32(queue);
                w.bool(true);
            }
        });
        let mut reader = response.good();
        let count = reader.count(4).expect("results");
        (0..count)
            .map(|_| {
                let status = reader.status().expect("a status");
                let id = reader.u32().expect("an id");
                let sampling = reader.f64().expect("a sampling interval");
                reader.u32().expect("a queue size");
                reader.extension_object().expect("a filter result");
                (status, id, sampling)
            })
            .collect()
    }

    /// An item that hears of every event of the Server object, with these fields by type and name; its subscription.
    pub fn hear_events(&mut self, fields: &[(u32, &str)]) -> u32 {
        let subscription = self.subscribe(50.0, 1000, 10);
        let response = self.call(751, |w| {
            w.u32(subscription);
            w.i32(2);
            w.count(1);
            w.node_id(NodeIdRef::numeric(0, 2253));
            w.u32(12);
            w.string(None);
            w.u16(0);
            w.string(None);
            w.i32(2);
            w.u32(1);
            w.f64(0.0);
            w.extension_object(727, |w| {
                w.count(fields.len());
                for (kind, name) in fields {
                    w.node_id(NodeIdRef::numeric(0, *kind));
                    w.count(1);
                    w.u16(0);
                    w.text(name);
                    w.u32(13);
                    w.string(None);
                }
                w.null_array();
            });
            w.u32(1000);
            w.bool(true);
        });
        let mut reader = response.good();
        assert_eq!((reader.count(4), reader.status()), (Ok(1), Ok(StatusCode::Good)));
        subscription
    }

    /// Queues a Publish request.
    pub fn ask_publish(&mut self, acknowledge: &[(u32, u32)]) {
        self.send(826, |w| {
            w.count(acknowledge.len());
            for (subscription, sequence) in acknowledge {
                w.u32(*subscription);
                w.u32(*sequence);
            }
        })
        .expect("sent");
        self.client.flush().expect("sent");
    }

    /// The next response, which answers a Publish.
    pub fn published(&mut self) -> Result<Publication, StatusCode> {
        let response = self.receive().expect("an answer");
        if response.result.is_bad() {
            return Err(response.result);
        }
        assert_eq!(response.type_id, 829, "a PublishResponse");
        Ok(Publication::read(&mut Reader::new(&response.body)))
    }

    pub fn publish(&mut self, acknowledge: &[(u32, u32)]) -> Result<Publication, StatusCode> {
        self.ask_publish(acknowledge);
        self.published()
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
        self.call(473, |w| w.bool(true)).good();
        self.client.close().expect("closed");
    }
}

/// A PublishResponse, taken apart.
#[derive(Debug, Default)]
pub struct Publication {
    pub subscription: u32,
    pub available: Vec<u32>,
    pub more: bool,
    pub sequence: u32,
    /// Client handle and value.
    pub data: Vec<(u32, DataValue)>,
    pub events: Vec<(u32, Vec<Value>)>,
    pub status_change: Option<StatusCode>,
    pub results: Vec<StatusCode>,
}

impl Publication {
    pub fn read(reader: &mut Reader<'_>) -> Publication {
        let mut publication = Publication { subscription: reader.u32().expect("a subscription"), ..Default::default() };
        let count = reader.count(4).expect("sequence numbers");
        publication.available = (0..count).map(|_| reader.u32().expect("a number")).collect();
        publication.more = reader.bool().expect("more");
        publication.read_message(reader);
        let count = reader.count(4).expect("results");
        publication.results = (0..count).map(|_| reader.status().expect("a status")).collect();
        publication
    }

    /// A NotificationMessage, as Republish sends it alone.
    pub fn read_message(&mut self, reader: &mut Reader<'_>) {
        self.sequence = reader.u32().expect("a sequence number");
        reader.time().expect("a publish time");
        for _ in 0..reader.count(3).expect("parts") {
            let part = reader.extension_object().expect("a notification");
            self.read_part(part);
        }
    }

    fn read_part(&mut self, part: ExtensionRef<'_>) {
        let mut body = Reader::new(part.body.expect("a body"));
        match part.type_id.standard() {
            Some(811) => {
                for _ in 0..body.count(5).expect("items") {
                    let handle = body.u32().expect("a handle");
                    self.data.push((handle, body.data_value().expect("a value")));
                }
            }
            Some(916) => {
                for _ in 0..body.count(8).expect("events") {
                    let handle = body.u32().expect("a handle");
                    let count = body.count(1).expect("fields");
                    self.events.push((handle, (0..count).map(|_| body.variant().expect("a field")).collect()));
                }
            }
            Some(820) => self.status_change = Some(body.status().expect("a status")),
            other => panic!("an unknown notification {other:?}"),
        }
    }
}
