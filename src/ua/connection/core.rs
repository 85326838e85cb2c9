//! A connection's way with one request: its row of the table, the session that it belongs to, and its response.
//!
//! Most responses are written at once. Work that waits for devices or for a disk is `under_way` while the connection
//! serves other requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use opcua::StatusCode;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::responder::{Call, Done, Responder};
use crate::stack::channel::ServerChannel;
use crate::stack::codec::{Reader, Writer};
use crate::ua::audit::Opening;
use crate::ua::server::Server;
use crate::ua::services::{Access, Context, LoggedIn, Request, RequestHeader, Run, Service, Visit, Work, apart_if};
use crate::ua::session::{Caller, Ending, Session, Token};
use crate::value::Moment;

/// Both ends of a connection, and the number of its channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub address: SocketAddr,
    /// Our end: roles by endpoint are compared with it.
    pub near: Option<SocketAddr>,
    pub channel: u32,
}

/// The state of a connection above its channel.
pub(super) struct Core {
    pub server: Arc<Server>,
    pub peer: Peer,
    /// The open request in progress, and the request that made the channel.
    pub opening: Option<Opening>,
    pub opened: Option<Opening>,
    /// The session of the last request.
    session: Option<Arc<Session>>,
    /// All sessions that were activated over this connection.
    pub bound: Vec<Arc<Session>>,
    /// When the last session was unbound; `None` while one is bound.
    pub unbound_since: Option<Instant>,
    pub wake: Arc<Notify>,
    /// Dropped with the connection, and the work with it.
    pub under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Those of them that wait for history.
    pub at_disk: usize,
}

impl Core {
    pub(crate) fn new(server: Arc<Server>, peer: Peer, now: Instant) -> Core {
        Core {
            server,
            peer,
            opening: None,
            opened: None,
            session: None,
            bound: Vec::new(),
            unbound_since: Some(now),
            wake: Arc::new(Notify::new()),
            under_way: FuturesUnordered::new(),
            at_disk: 0,
        }
    }

    pub(crate) fn responder<'c>(&'c self, channel: &'c mut ServerChannel, out: &'c mut Writer) -> Responder<'c> {
        Responder { channel, out, peer: self.peer.address, totals: &self.server.totals }
    }

    /// Serves one request: `bytes` from its type id on.
    pub(crate) async fn request(
        &mut self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        bytes: &[u8],
    ) {
        let server = Arc::clone(&self.server);
        let mut responder = Responder { channel, out, peer: self.peer.address, totals: &server.totals };
        let mut reader = Reader::new(bytes);
        let number = reader.node_id().map(|id| id.standard());
        let start = number.and_then(|number| Ok((number, RequestHeader::read(&mut reader)?)));
        let (number, header) = match start {
            Ok(read) => read,
            Err(status) => return responder.refuse(Call { request_id, handle: 0 }, status),
        };
        let call = Call { request_id, handle: header.handle };
        let Some(service) = number.and_then(Service::from_type_id) else {
            let refused = self.authorize(responder.channel.id(), &header, Access::Activated, Moment::now()).err();
            return responder.refuse(call, refused.unwrap_or(StatusCode::BadServiceUnsupported));
        };
        let (head, now) = (service.head(header.handle), Moment::now());
        let request = Request { id: request_id, header, head, bytes, now };
        match service.run {
            Run::Open(answer) => {
                let Some(caller) = self.caller(responder.channel) else { return };
                let visit = Visit { server: &server, caller: &caller, request };
                responder.answer(call, |w| answer(&visit, &mut reader, w));
            }
            Run::Login(log_in) => {
                let Some(caller) = self.caller(responder.channel) else { return };
                let visit = Visit { server: &server, caller: &caller, request };
                let result = log_in(&visit, &bytes[reader.position()..]).await;
                self.logged_in(&mut responder, call, result);
            }
            Run::Now(_) | Run::Later(_) | Run::Queued(_) => {
                self.in_session(&mut responder, call, service, request, reader);
            }
        }
    }

    fn caller(&self, channel: &ServerChannel) -> Option<Caller> {
        let security = channel.security()?.clone();
        Some(Caller { channel: channel.id(), security, peer: self.peer.address, near: self.peer.near })
    }

    fn logged_in(&mut self, responder: &mut Responder<'_>, call: Call, result: Result<LoggedIn, StatusCode>) {
        if let Ok(LoggedIn { activated: Some(session), .. }) = &result {
            responder.channel.set_authenticated(true);
            self.bind(session);
        }
        responder.answer(call, |w| result.map(|logged_in| w.raw(&logged_in.response)));
    }

    /// Binds the session to this connection; the previous connection is woken to unbind it.
    fn bind(&mut self, session: &Arc<Session>) {
        if let Some(old) = session.bind(&self.wake) {
            old.notify_one();
        }
        if !self.bound.iter().any(|bound| Arc::ptr_eq(bound, session)) {
            self.bound.push(Arc::clone(session));
        }
        self.session = Some(Arc::clone(session));
    }

    /// The session of a request, if it may be used here: checked before the body is looked at.
    fn authorize(
        &mut self,
        channel: u32,
        header: &RequestHeader<'_>,
        access: Access,
        now: Moment,
    ) -> Result<Arc<Session>, StatusCode> {
        let token = header.token.ok_or(StatusCode::BadSessionIdInvalid)?;
        let session = self.find(&token).ok_or(StatusCode::BadSessionIdInvalid)?;
        let mut state = session.lock();
        state.check_channel(channel)?;
        if !state.is_activated && access == Access::Activated {
            drop(state);
            // A session that is used before it is activated ends (Part 4 §5.7.2.1, 1.05).
            self.server.end_session(&session, true, &Ending::Misused);
            return Err(StatusCode::BadSessionNotActivated);
        }
        state.touch(now);
        drop(state);
        Ok(session)
    }

    fn find(&mut self, token: &Token) -> Option<Arc<Session>> {
        if let Some(session) = self.session.as_ref().filter(|session| session.token == *token) {
            return Some(Arc::clone(session));
        }
        let session = self.server.sessions.get(token)?;
        self.session = Some(Arc::clone(&session));
        Some(session)
    }

    fn in_session(
        &mut self,
        responder: &mut Responder<'_>,
        call: Call,
        service: &Service,
        request: Request<'_>,
        mut reader: Reader<'_>,
    ) {
        let session = match self.authorize(responder.channel.id(), &request.header, service.access, request.now) {
            Ok(session) => session,
            Err(status) => {
                self.server.totals.security_rejected_requests.fetch_add(1, Ordering::Relaxed);
                return responder.refuse(call, status);
            }
        };
        let server = Arc::clone(&self.server);
        let most_bytes = most_bytes(responder.channel, &session, &server);
        let context = Context::new(&server, &session, request, most_bytes);
        let is_long = request.bytes.len() > service.long;
        match apart_if(is_long, || run(responder, call, service.run, &context, &mut reader)) {
            Progress::Answered(answered) => session.lock().counters.count(service.counter, answered),
            Progress::Begun(work) => self.begin(call, &session, service, work),
        }
        for refused in context.refused.take() {
            responder.refuse(Call { request_id: refused.request_id, handle: refused.handle }, refused.status);
        }
    }

    /// Continues work while other requests are served.
    fn begin(&mut self, call: Call, session: &Arc<Session>, service: &Service, work: Work) {
        let (session, counter, was_at_disk) = (Arc::clone(session), service.counter, work.is_at_disk);
        self.at_disk += usize::from(was_at_disk);
        self.under_way
            .push(Box::pin(async move { Done { call, response: work.response.await, session, counter, was_at_disk } }));
    }

    /// Answers what was under way.
    pub(crate) fn finish(&mut self, channel: &mut ServerChannel, out: &mut Writer, done: Done) {
        self.at_disk -= usize::from(done.was_at_disk);
        let response = done.response;
        let answered = self.responder(channel, out).answer(done.call, |w| response.map(|bytes| w.raw(&bytes)));
        done.session.lock().counters.count(done.counter, answered);
    }
}

/// A request in a session, after its function returned.
enum Progress {
    /// With a response, or a fault: false. A request that was queued counts as answered.
    Answered(bool),
    Begun(Work),
}

fn run(
    responder: &mut Responder<'_>,
    call: Call,
    run: Run,
    context: &Context<'_>,
    reader: &mut Reader<'_>,
) -> Progress {
    let done = match run {
        Run::Now(answer) => responder.respond(call, |w| answer(context, reader, w)),
        Run::Later(begin) => {
            let mut begun = None;
            let done = responder.respond(call, |w| {
                begun = begin(context, reader, w)?;
                // What was written is dropped: the work makes the whole response.
                if begun.is_some() { Err(StatusCode::GoodCompletesAsynchronously) } else { Ok(()) }
            });
            if let Some(work) = begun {
                return Progress::Begun(work);
            }
            done
        }
        Run::Queued(enqueue) => enqueue(context, reader),
        Run::Open(_) | Run::Login(_) => Err(StatusCode::BadServiceUnsupported),
    };
    if let Err(status) = done {
        responder.refuse(call, status);
    }
    Progress::Answered(done.is_ok())
}

/// The client's limits, from its Hello and from its session, within our own.
fn most_bytes(channel: &ServerChannel, session: &Session, server: &Server) -> usize {
    let asked = [channel.response_limits().0, session.max_response];
    let limits = asked.into_iter().filter(|limit| *limit != 0);
    limits.fold(server.channels.limits.max_message, u32::min) as usize
}
