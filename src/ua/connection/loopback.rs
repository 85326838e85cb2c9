//! One client and its connection without a socket between them: the real channel, dispatch and services. The fuzzer's
//! `service` target and the test that counts allocations use it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::Connection;
use crate::stack::channel::{ClientChannel, ClientEvent, ClientSettings};
use crate::stack::codec::{IdRef, NodeIdRef, Reader, Writer};
use crate::stack::crypto::{MessageSecurityMode, Policy};
use crate::stack::transport::{Input, Limits};
use crate::ua::publishing;
use crate::ua::server::Server;
use crate::ua::session::Ending;
use crate::value::{Hidden, Moment, UaTime};

/// Placeholder in a request for the id of the client's subscription.
pub const SUBSCRIPTION: u32 = 0xcafe_0001;

pub struct LoopbackClient {
    server: Arc<Server>,
    runtime: Runtime,
    connection: Connection,
    client: ClientChannel,
    received: Input,
    token: Vec<u8>,
    subscription: u32,
}

impl LoopbackClient {
    /// A channel without security, an anonymous session on it, and a subscription in the session.
    pub fn open(server: &Arc<Server>) -> LoopbackClient {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let client = ClientChannel::new(ClientSettings {
            limits: Limits::default(),
            policy: Policy::None,
            mode: MessageSecurityMode::None,
            identity: None,
            server: None,
            lifetime: Duration::from_secs(3600),
        });
        let mut loopback = LoopbackClient {
            connection: Connection::new(Arc::clone(server), peer, None),
            server: Arc::clone(server),
            runtime,
            client,
            received: Input::default(),
            token: Vec::new(),
            subscription: 0,
        };
        loopback.begin();
        loopback
    }

    fn begin(&mut self) {
        let mut out = Writer::new();
        self.client.hello("opc.tcp://127.0.0.1:4840", &mut out);
        self.exchange(&out.buf);
        let mut out = Writer::new();
        self.client.open(&mut out).expect("policy None needs no key");
        self.exchange(&out.buf);
        let created = self.ask(461, |w| {
            w.text("urn:loopback");
            (0..9).for_each(|_| w.u8(0)); // null ProductUri, empty ApplicationName, Server
            w.raw(&[0xff; 4 * 3]);
            w.raw(&[0xff; 4 * 5]);
            w.f64(0.0);
            w.u32(0);
        });
        let body = created.expect("an answer");
        let mut reader = skip_header(&body);
        reader.node_id().expect("a session id");
        let IdRef::Opaque(token) = reader.node_id().expect("a token").id else { panic!("an opaque token") };
        self.token = token.to_vec();
        self.ask(467, |w| {
            w.raw(&[0xff; 4 * 4]);
            w.extension_object(321, |w| w.text("anonymous"));
            w.raw(&[0xff; 8]);
        });
        let made = self.ask(787, |w| {
            w.f64(1000.0);
            w.u32(1000);
            w.u32(1);
            w.u32(0);
            w.bool(true);
            w.u8(0);
        });
        self.subscription = skip_header(&made.expect("an answer")).u32().expect("a subscription");
    }

    pub fn subscription(&self) -> u32 {
        self.subscription
    }

    /// One request and the body of its response, if there is one at once.
    pub fn ask(&mut self, type_id: u32, body: impl FnOnce(&mut Writer)) -> Option<Vec<u8>> {
        self.prepare(type_id, body);
        self.serve();
        self.take_answers().pop()
    }

    /// Puts a request into the connection's input.
    pub fn prepare(&mut self, type_id: u32, body: impl FnOnce(&mut Writer)) {
        let mut out = Writer::new();
        let token = std::mem::take(&mut self.token);
        let sent = self.client.request(Instant::now(), &mut out, |w| {
            w.node_id(NodeIdRef::numeric(0, type_id));
            w.node_id(if token.is_empty() {
                NodeIdRef::NULL
            } else {
                NodeIdRef { namespace: 0, id: IdRef::Opaque(&token) }
            });
            w.time(UaTime::now());
            w.u32(1);
            w.u32(0);
            w.string(None);
            w.u32(0);
            w.null_extension_object();
            body(w);
            Ok(())
        });
        self.token = token;
        if sent.is_ok() {
            self.connection.input.room().extend_from_slice(&out.buf);
        }
    }

    /// Serves the requests in the input; returns the number of bytes to send.
    pub fn serve(&mut self) -> usize {
        let LoopbackClient { runtime, connection, .. } = self;
        let served = runtime.block_on(async {
            let served = connection.serve_input().await;
            connection.finish_history().await;
            served
        });
        if served.is_ok() {
            connection.serve_waiting();
        }
        connection.outbox.waiting()
    }

    /// One publishing cycle of every subscription.
    pub fn tick(&mut self) {
        for subscription in self.server.subscriptions.all() {
            publishing::tick(&self.server, &subscription, Moment::now());
        }
    }

    /// Takes the responses out, whole ones.
    pub fn take_answers(&mut self) -> Vec<Vec<u8>> {
        let outbox = &mut self.connection.outbox;
        self.received.room().extend_from_slice(outbox.unsent());
        outbox.note_sent(outbox.waiting(), tokio::time::Instant::now());
        let mut answers = Vec::new();
        while let Ok(Some(event)) = self.client.receive(Instant::now(), &mut self.received) {
            if let ClientEvent::Response { body, .. } = event {
                answers.push(body.to_vec());
            }
        }
        answers
    }

    fn exchange(&mut self, bytes: &[u8]) {
        self.connection.input.room().extend_from_slice(bytes);
        self.serve();
        self.take_answers();
    }
}

impl Drop for LoopbackClient {
    /// The session and its subscriptions end with it.
    fn drop(&mut self) {
        let token = <[u8; 32]>::try_from(self.token.as_slice()).ok().map(Hidden);
        if let Some(session) = token.and_then(|token| self.server.sessions.get(&token)) {
            self.server.end_session(&session, true, &Ending::Shutdown);
        }
    }
}

/// The part of a response after its ResponseHeader, which must be good.
fn skip_header(body: &[u8]) -> Reader<'_> {
    let mut reader = Reader::new(body);
    reader.node_id().expect("a type id");
    reader.time().expect("a time");
    reader.u32().expect("a handle");
    assert!(reader.status().is_ok_and(|status| status.is_good()), "it succeeded");
    reader.skip_diagnostic_info().expect("diagnostics");
    reader.u32().expect("a string table");
    reader.extension_object().expect("a header");
    reader
}

/// Feeds requests to a fresh session: two bytes of type id, two of length, the body, again and again. Every
/// `SUBSCRIPTION` in a body becomes the id of the subscription. Between two requests a publishing cycle passes.
pub fn fuzz(server: &Arc<Server>, bytes: &[u8]) {
    let mut client = LoopbackClient::open(server);
    let mut rest = bytes;
    while let [a, b, c, d, more @ ..] = rest {
        let (type_id, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let (body, next) = more.split_at(length.min(more.len()));
        rest = next;
        let body = with_subscription(body, client.subscription);
        client.prepare(u32::from(type_id), |w| w.raw(&body));
        client.serve();
        client.tick();
        client.serve();
        client.take_answers();
    }
    drop(client);
    // Sessions and subscriptions that the input opened and left: the clock would end them.
    server.sessions.all().iter().for_each(|session| server.end_session(session, true, &Ending::Shutdown));
    server.subscriptions.all().iter().for_each(|subscription| server.remove_subscription(subscription));
    assert_eq!(server.subscriptions.len(), 0, "a subscription stayed");
    assert_eq!(server.totals.monitored_items.load(std::sync::atomic::Ordering::Relaxed), 0, "a monitored item stayed");
}

fn with_subscription(body: &[u8], subscription: u32) -> Vec<u8> {
    let mut body = body.to_vec();
    let mut at = 0;
    while at + 4 <= body.len() {
        if body[at..at + 4] == SUBSCRIPTION.to_le_bytes() {
            body[at..at + 4].copy_from_slice(&subscription.to_le_bytes());
        }
        at += 1;
    }
    body
}
