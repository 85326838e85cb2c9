//! One connection, one task: it reads, serves and writes. Whatever requests lie in the input are answered into one
//! buffer and leave in one write.
//!
//! A client that does not read is not read from either; when it stalls it is cut, and its session waits for it.

pub mod talk;

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use opcua::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::stack::channel::{Event, OpenJob, ServerChannel};
use crate::stack::codec::{Reader, Writer};
use crate::stack::transport::{Fatal, Input};
use crate::ua::outbox::{FLUSH, Outbox};
use crate::ua::server::Server;
use crate::ua::services::attribute::{self, Writing};
use crate::ua::services::publish::{self, Refused};
use crate::ua::services::session::{self, Caller};
use crate::ua::services::{
    Context, RequestHeader, Service, discovery, monitored_item, subscription, view, write_fault,
};
use crate::ua::session::{Session, Token};
use crate::ua::subscription::MESSAGE_BYTES;
use crate::value::UaTime;

/// Serves one client until it leaves, breaks the protocol, or the server stops.
pub async fn serve(server: Arc<Server>, mut socket: TcpStream, peer: SocketAddr, mut stop: watch::Receiver<bool>) {
    if let Err(error) = socket.set_nodelay(true) {
        log::debug!("{peer}: {error}");
    }
    let mut connection = Connection::new(server, peer);
    let end = connection.run(&mut socket, &mut stop).await;
    connection.leave(end.as_ref());
    if let Err(error) = socket.shutdown().await {
        log::trace!("{peer}: {error}");
    }
}

pub struct Connection {
    channel: ServerChannel,
    input: Input,
    outbox: Outbox,
    core: Core,
}

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    Closed,
    Stopped,
    Stalled,
    Lost(std::io::Error),
    Fatal(Fatal),
}

/// What serving a request needs beside the channel.
struct Core {
    server: Arc<Server>,
    peer: SocketAddr,
    /// The session of the last request.
    session: Option<Arc<Session>>,
    /// All sessions that were activated over this connection.
    bound: Vec<Arc<Session>>,
    /// Since when there is none.
    unbound_since: Option<Instant>,
    wake: Arc<Notify>,
    writing: FuturesUnordered<BoxFuture<'static, Written>>,
}

/// A Write that its devices have answered.
struct Written {
    request_id: u32,
    handle: u32,
    results: Vec<StatusCode>,
}

impl Connection {
    pub fn new(server: Arc<Server>, peer: SocketAddr) -> Connection {
        let now = Instant::now();
        let id = server.next_channel_id();
        Connection {
            channel: ServerChannel::new(Arc::clone(&server.channels), id, Some(peer), now.into_std()),
            input: Input::default(),
            outbox: Outbox::default(),
            core: Core {
                server,
                peer,
                session: None,
                bound: Vec::new(),
                unbound_since: Some(now),
                wake: Arc::new(Notify::new()),
                writing: FuturesUnordered::new(),
            },
        }
    }

    async fn run(&mut self, socket: &mut TcpStream, stop: &mut watch::Receiver<bool>) -> Option<End> {
        let (mut reader, mut writer) = socket.split();
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        let wake = Arc::clone(&self.core.wake);
        loop {
            let is_closed = match self.serve_input().await {
                Ok(is_closed) => is_closed,
                Err(fatal) => {
                    self.flush(&mut writer).await;
                    return Some(End::Fatal(fatal));
                }
            };
            self.serve_waiting();
            if is_closed {
                self.flush(&mut writer).await;
                return Some(End::Closed);
            }
            self.outbox.note_written(Instant::now());
            let deadline = self.deadline();
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            let unsent = self.outbox.waiting();
            tokio::select! {
                read = reader.read_buf(self.input.room()), if unsent < FLUSH => match read {
                    Ok(0) => return Some(End::Closed),
                    Ok(_) => {}
                    Err(error) => return Some(End::Lost(error)),
                },
                written = writer.write(self.outbox.unsent()), if unsent > 0 => match written {
                    Ok(count) => self.outbox.note_sent(count, Instant::now()),
                    Err(error) => return Some(End::Lost(error)),
                },
                () = wake.notified() => {}
                Some(done) = self.core.writing.next(), if !self.core.writing.is_empty() => {
                    self.answer_write(&done);
                }
                () = &mut timer => {
                    if let Some(end) = self.check_deadlines() {
                        self.flush(&mut writer).await;
                        return Some(end);
                    }
                }
                _ = stop.changed() => {
                    self.flush(&mut writer).await;
                    return Some(End::Stopped);
                }
            }
        }
    }

    /// The last words, for as long as the peer takes them at once.
    async fn flush(&mut self, writer: &mut (impl AsyncWriteExt + Unpin)) {
        let rest = self.outbox.unsent();
        let limit = std::time::Duration::from_secs(1);
        if let Ok(Err(error)) = tokio::time::timeout(limit, writer.write_all(rest)).await {
            log::debug!("{}: {error}", self.core.peer);
        }
    }

    fn deadline(&self) -> Instant {
        let channel = self.channel.next_deadline().map(Instant::from_std);
        let stall = self.outbox.stalls_at(self.core.server.limits.send_stall);
        let never = Instant::now() + std::time::Duration::from_secs(86_400);
        channel.into_iter().chain(stall).chain(self.useless_at()).min().unwrap_or(never)
    }

    /// A channel that carries no session takes a place from those that would.
    fn useless_at(&self) -> Option<Instant> {
        self.core.unbound_since.map(|since| since + self.core.server.limits.without_session)
    }

    fn check_deadlines(&mut self) -> Option<End> {
        let now = Instant::now();
        if self.useless_at().is_some_and(|at| now >= at) {
            let fatal = Fatal::new(StatusCode::BadTimeout, "no session was activated in time");
            fatal.write(&mut self.outbox.out);
            return Some(End::Fatal(fatal));
        }
        if self.outbox.stalls_at(self.core.server.limits.send_stall).is_some_and(|at| now >= at) {
            return Some(End::Stalled);
        }
        self.channel.check_deadline(now.into_std(), &mut self.outbox.out).err().map(End::Fatal)
    }

    /// Answers the requests that lie in the input; true when the client closed the channel.
    async fn serve_input(&mut self) -> Result<bool, Fatal> {
        let Connection { channel, input, outbox, core } = self;
        while outbox.waiting() < FLUSH {
            let out = &mut outbox.out;
            let now = Instant::now();
            match channel.receive(now.into_std(), input, out)? {
                None => return Ok(false),
                Some(Event::Hello { endpoint_url }) => log::trace!("{} dials {endpoint_url}", core.peer),
                Some(Event::Open(job)) => core.open(channel, job, out).await?,
                Some(Event::Request { request_id, body }) => core.request(channel, out, request_id, body).await,
                Some(Event::Closed) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Answers Publish requests for which a message waits, and refuses those that nobody will answer.
    fn serve_waiting(&mut self) {
        let Connection { channel, outbox, core, .. } = self;
        let most = core.server.limits.send_buffer;
        for at in 0..core.bound.len() {
            let session = Arc::clone(&core.bound[at]);
            while outbox.waiting() < most {
                let Some((request, ready)) = publish::next(&session) else { break };
                core.publish(channel, &mut outbox.out, &session, &request, &ready);
            }
            for refused in publish::take_refused(&session, Instant::now()) {
                core.refuse(channel, &mut outbox.out, &refused);
            }
        }
        let channel_id = channel.id();
        core.bound.retain(|session| {
            let state = session.lock();
            !state.is_closed && state.channel == channel_id
        });
        let is_bound = !core.bound.is_empty();
        core.unbound_since = if is_bound { None } else { core.unbound_since.or_else(|| Some(Instant::now())) };
    }

    fn answer_write(&mut self, done: &Written) {
        let Connection { channel, outbox, core, .. } = self;
        core.answer(channel, &mut outbox.out, done.request_id, done.handle, |w| {
            Writing::write_response(&done.results, done.handle, w);
            Ok(())
        });
    }

    /// Lets the sessions go: they may come back over another channel.
    fn leave(&mut self, end: Option<&End>) {
        let peer = self.core.peer;
        match end {
            None | Some(End::Closed | End::Stopped) => log::debug!("{peer} left"),
            Some(End::Stalled) => {
                let line = format_args!("{peer} does not read what it asked for and is cut; its session waits");
                self.core.server.seldom.tell(log::Level::Warn, peer.ip(), line);
            }
            Some(End::Lost(error)) => log::debug!("{peer} is lost: {error}"),
            Some(End::Fatal(fatal)) => {
                self.core.server.seldom.tell(log::Level::Info, peer.ip(), format_args!("{peer} is cut: {fatal}"));
            }
        }
        let id = self.channel.id();
        for session in &self.core.bound {
            let mut state = session.lock();
            if state.channel == id {
                state.wake = None;
                // Their request ids mean nothing on another channel.
                state.publish.clear();
            }
        }
    }
}

impl Core {
    async fn open(&mut self, channel: &mut ServerChannel, job: OpenJob, out: &mut Writer) -> Result<(), Fatal> {
        let outcome = if job.needs_key() {
            let run = self.server.crypto.run(move || job.run(Instant::now().into_std())).await;
            run.unwrap_or_else(|status| Err(Fatal::new(status, "too many clients connect at once; try again")))
        } else {
            job.run(Instant::now().into_std())
        };
        channel.opened(Instant::now().into_std(), outcome, out)
    }

    /// Answers, or says as a fault why there is no answer.
    fn answer(
        &self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        handle: u32,
        body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>,
    ) -> bool {
        let now = Instant::now().into_std();
        let Err(status) = channel.respond(now, out, request_id, body) else { return true };
        let fault = channel.respond(now, out, request_id, |w| {
            write_fault(w, handle, status);
            Ok(())
        });
        if let Err(status) = fault {
            log::debug!("{}: no answer to request {request_id}: {status}", self.peer);
        }
        self.server.totals.rejected_requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        false
    }

    fn refuse(&self, channel: &mut ServerChannel, out: &mut Writer, refused: &Refused) {
        self.answer(channel, out, refused.request_id, refused.handle, |_| Err(refused.status));
    }

    fn publish(
        &self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        session: &Session,
        request: &crate::ua::session::PublishRequest,
        ready: &publish::Ready,
    ) {
        let (message, chunks) = channel.response_limits();
        let cap = |limit: usize| if limit == 0 { MESSAGE_BYTES } else { limit.min(MESSAGE_BYTES) };
        let most = cap(message as usize * 3 / 4).min(cap(chunks as usize * 8000));
        self.answer(channel, out, request.request_id, request.handle, |w| {
            publish::write(&self.server, session, (request, ready), most, w);
            Ok(())
        });
    }

    async fn request(&mut self, channel: &mut ServerChannel, out: &mut Writer, request_id: u32, body: &[u8]) {
        let mut reader = Reader::new(body);
        let start = reader.node_id().map(|id| id.standard());
        let header = start.and_then(|number| Ok((number, RequestHeader::read(&mut reader)?)));
        let (number, header) = match header {
            Ok(read) => read,
            Err(status) => {
                self.answer(channel, out, request_id, 0, |_| Err(status));
                return;
            }
        };
        let Some(service) = number.and_then(Service::from_type_id) else {
            // Who may not ask at all learns that first.
            let status = self.authorize(channel.id(), &header, None).err().unwrap_or(StatusCode::BadServiceUnsupported);
            self.answer(channel, out, request_id, header.handle, |_| Err(status));
            return;
        };
        match service {
            _ if service.needs_no_session() => {
                self.open_service(channel, out, request_id, service, &header, reader, body).await
            }
            Service::ActivateSession => self.activate(channel, out, request_id, &header, &reader, body).await,
            _ => self.session_service(channel, out, request_id, service, header, reader),
        }
    }

    fn caller(&self, channel: &ServerChannel) -> Option<Caller> {
        let security = channel.security()?.clone();
        Some(Caller { channel: channel.id(), security, peer: self.peer })
    }

    #[expect(clippy::too_many_arguments, reason = "one request and where its answer goes")]
    async fn open_service(
        &mut self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        service: Service,
        header: &RequestHeader,
        mut reader: Reader<'_>,
        body: &[u8],
    ) {
        let server = Arc::clone(&self.server);
        match service {
            Service::FindServers => {
                self.answer(channel, out, request_id, header.handle, |w| {
                    discovery::find_servers(&server, header, &mut reader, w)
                });
            }
            Service::GetEndpoints => {
                self.answer(channel, out, request_id, header.handle, |w| {
                    discovery::get_endpoints(&server, header, &mut reader, w)
                });
            }
            _ => {
                let Some(caller) = self.caller(channel) else { return };
                let created = session::create(&server, &caller, body, reader.position()).await;
                self.answer(channel, out, request_id, header.handle, |w| {
                    created?.write_response(&server, header, w);
                    Ok(())
                });
            }
        }
    }

    async fn activate(
        &mut self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        header: &RequestHeader,
        reader: &Reader<'_>,
        body: &[u8],
    ) {
        let found = header.token.as_ref().and_then(|token| self.server.sessions.get(token));
        let result = match (found, self.caller(channel)) {
            (Some(session), Some(caller)) => {
                let activated = session::activate(&self.server, &caller, &session, body, reader.position()).await;
                activated.map(|nonce| (session, nonce))
            }
            _ => Err(StatusCode::BadSessionIdInvalid),
        };
        if let Ok((session, _)) = &result {
            channel.set_authenticated(true);
            self.bind(session);
        }
        self.answer(channel, out, request_id, header.handle, |w| {
            let (_, nonce) = result?;
            session::write_activated(header, &nonce, w);
            Ok(())
        });
    }

    /// From now on this connection publishes for the session; the one that did is told to let go.
    fn bind(&mut self, session: &Arc<Session>) {
        let old = {
            let mut state = session.lock();
            let old = state.wake.replace(Arc::clone(&self.wake));
            if old.as_ref().is_some_and(|old| !Arc::ptr_eq(old, &self.wake)) {
                state.publish.clear();
            }
            old
        };
        if let Some(old) = old.filter(|old| !Arc::ptr_eq(old, &self.wake)) {
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
        header: &RequestHeader,
        service: Option<Service>,
    ) -> Result<Arc<Session>, StatusCode> {
        let token = header.token.ok_or(StatusCode::BadSessionIdInvalid)?;
        let session = self.find(&token).ok_or(StatusCode::BadSessionIdInvalid)?;
        let mut state = session.lock();
        if state.is_closed {
            return Err(StatusCode::BadSessionClosed);
        }
        if state.channel != channel {
            return Err(StatusCode::BadSecureChannelIdInvalid);
        }
        if !state.is_activated && service != Some(Service::CloseSession) {
            drop(state);
            // A session that is used before it is activated ends (Part 4 §5.7.2.1, 1.05).
            self.server.close_session(&session, true);
            return Err(StatusCode::BadSessionNotActivated);
        }
        state.last_contact = Instant::now();
        state.last_contact_time = UaTime::now();
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

    fn session_service(
        &mut self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        service: Service,
        header: RequestHeader,
        mut reader: Reader<'_>,
    ) {
        let session = match self.authorize(channel.id(), &header, Some(service)) {
            Ok(session) => session,
            Err(status) => {
                self.server.totals.security_rejected_requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.answer(channel, out, request_id, header.handle, |_| Err(status));
                return;
            }
        };
        let (roles, locales) = {
            let state = session.lock();
            (state.roles, Arc::clone(&state.locales))
        };
        let server = Arc::clone(&self.server);
        let most_bytes = most_bytes(channel, &session, &server);
        let now = Instant::now();
        let context = Context { server: &server, session: &session, roles, locales: &locales, header, now, most_bytes };
        let answered = match service {
            Service::Publish => self.take_publish(channel, out, request_id, &context, &mut reader),
            Service::Write => self.write(channel, out, request_id, &context, &mut reader),
            Service::Cancel => self.cancel(channel, out, request_id, &context, &mut reader),
            Service::CloseSession => self.answer(channel, out, request_id, header.handle, |w| {
                session::close(&server, &session, &header, &mut reader, w)
            }),
            _ => self.answer(channel, out, request_id, header.handle, |w| run(service, &context, &mut reader, w)),
        };
        let mut state = session.lock();
        state.counters.total.total = state.counters.total.total.wrapping_add(1);
        state.counters.total.errors = state.counters.total.errors.wrapping_add(u32::from(!answered));
        if let Some(counted) = service.counted() {
            state.count(counted, !answered);
        }
    }

    fn take_publish(
        &self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        context: &Context<'_>,
        reader: &mut Reader<'_>,
    ) -> bool {
        match publish::enqueue(context, reader, request_id) {
            Ok(None) => true,
            Ok(Some(refused)) => {
                self.refuse(channel, out, &refused);
                true
            }
            Err(status) => self.answer(channel, out, request_id, context.header.handle, |_| Err(status)),
        }
    }

    fn write(
        &self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        context: &Context<'_>,
        reader: &mut Reader<'_>,
    ) -> bool {
        let handle = context.header.handle;
        match attribute::write(context, reader) {
            Ok(writing) if writing.is_done() => self.answer(channel, out, request_id, handle, |w| {
                Writing::write_response(&writing.results, handle, w);
                Ok(())
            }),
            Ok(writing) => {
                let finish = async move { Written { request_id, handle, results: writing.finish().await } };
                self.writing.push(Box::pin(finish));
                true
            }
            Err(status) => self.answer(channel, out, request_id, handle, |_| Err(status)),
        }
    }

    fn cancel(
        &self,
        channel: &mut ServerChannel,
        out: &mut Writer,
        request_id: u32,
        context: &Context<'_>,
        reader: &mut Reader<'_>,
    ) -> bool {
        let mut cancelled = Vec::new();
        let answered = self.answer(channel, out, request_id, context.header.handle, |w| {
            cancelled = session::cancel(context, reader, w)?;
            Ok(())
        });
        for (request_id, handle) in cancelled {
            self.refuse(channel, out, &Refused { request_id, handle, status: StatusCode::BadRequestCancelledByClient });
        }
        answered
    }
}

/// What the client said with its Hello and in CreateSession, and what we send at all.
fn most_bytes(channel: &ServerChannel, session: &Session, server: &Server) -> usize {
    let asked = [channel.response_limits().0, session.max_response];
    let limits = asked.into_iter().filter(|limit| *limit != 0);
    limits.fold(server.channels.limits.max_message, u32::min) as usize
}

/// The services that are answered at once from what the server holds.
fn run(service: Service, context: &Context<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    match service {
        Service::Read => attribute::read(context, reader, w),
        Service::Browse => view::browse(context, reader, w),
        Service::BrowseNext => view::browse_next(context, reader, w),
        Service::TranslateBrowsePaths => view::translate(context, reader, w),
        Service::RegisterNodes => view::register(context, reader, w),
        Service::UnregisterNodes => view::unregister(context, reader, w),
        Service::CreateMonitoredItems => monitored_item::create(context, reader, w),
        Service::ModifyMonitoredItems => monitored_item::modify(context, reader, w),
        Service::SetMonitoringMode => monitored_item::set_mode(context, reader, w),
        Service::SetTriggering => monitored_item::set_triggering(context, reader, w),
        Service::DeleteMonitoredItems => monitored_item::delete(context, reader, w),
        Service::CreateSubscription => subscription::create(context, reader, w),
        Service::ModifySubscription => subscription::modify(context, reader, w),
        Service::SetPublishingMode => subscription::set_publishing_mode(context, reader, w),
        Service::Republish => publish::republish(context, reader, w),
        Service::TransferSubscriptions => subscription::transfer(context, reader, w),
        Service::DeleteSubscriptions => subscription::delete(context, reader, w),
        _ => Err(StatusCode::BadServiceUnsupported),
    }
}
