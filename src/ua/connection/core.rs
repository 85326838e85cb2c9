//! What a connection does with one request: who asks, may they, which service, and where the answer goes.
//!
//! Most answers are written at once; a Write that waits for its devices and history that waits for a disk are
//! `under_way` while the connection serves other requests.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use opcua::StatusCode;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::stack::channel::{OpenJob, ServerChannel, neighbourhood};
use crate::stack::codec::{Reader, Writer};
use crate::stack::crypto::Lane;
use crate::stack::transport::Fatal;
use crate::ua::audit::{Channel, Claim, Ending, Facts, Opening};
use crate::ua::connection::End;
use crate::ua::connection::under_way::{Call, Cancellable, Done, Line, Outcome};
use crate::ua::server::Server;
use crate::ua::services::attribute::{self, Writing};
use crate::ua::services::history::Abandoned;
use crate::ua::services::history::read::{Read, write_released};
use crate::ua::services::publish::{self, Refused};
use crate::ua::services::session::{self, Caller};
use crate::ua::services::{
    Context, RequestHeader, Service, apart_if, discovery, history, is_long, monitored_item, subscription, view,
    write_fault,
};
use crate::ua::session::{Counted, PublishRequest, Session, Token};
use crate::ua::subscription::MESSAGE_BYTES;
use crate::value::UaTime;

/// What serving a request needs beside the channel.
pub(super) struct Core {
    pub server: Arc<Server>,
    pub peer: SocketAddr,
    /// Our end of the connection.
    near: Option<SocketAddr>,
    id: u32,
    /// The open request that is under way, and the one that made the channel.
    opening: Option<Opening>,
    opened: Option<Opening>,
    /// The session of the last request.
    session: Option<Arc<Session>>,
    /// All sessions that were activated over this connection.
    pub bound: Vec<Arc<Session>>,
    /// Since when there is none.
    pub unbound_since: Option<Instant>,
    pub wake: Arc<Notify>,
    /// Dropped with the connection, and the work with it.
    pub under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Those of them that wait for history.
    pub at_disk: usize,
    /// Where Cancel finds them.
    cancellable: Vec<Cancellable>,
}

impl Core {
    pub fn new(server: Arc<Server>, (peer, near, id): (SocketAddr, Option<SocketAddr>, u32), now: Instant) -> Core {
        Core {
            server,
            peer,
            near,
            id,
            opening: None,
            opened: None,
            session: None,
            bound: Vec::new(),
            unbound_since: Some(now),
            wake: Arc::new(Notify::new()),
            under_way: FuturesUnordered::new(),
            at_disk: 0,
            cancellable: Vec::new(),
        }
    }

    /// This connection, for the audit.
    pub fn line(&self) -> Channel {
        Channel { id: self.id, peer: self.peer }
    }

    pub async fn open(&mut self, channel: &mut ServerChannel, job: OpenJob, out: &mut Writer) -> Result<(), Fatal> {
        let opening = self.opening.insert(Opening::of(&job)).clone();
        let outcome = if job.needs_key() {
            // Whoever has an active session here goes before those that only want in.
            let lane = if self.bound.is_empty() { Lane::Handshake } else { Lane::Known };
            let (crypto, from) = (&self.server.crypto, neighbourhood(self.peer.ip()));
            let run = crypto.run(lane, from, move || job.run(Instant::now().into_std())).await;
            run.unwrap_or_else(|status| Err(Fatal::new(status, "too many clients connect at once; try again")))
        } else {
            job.run(Instant::now().into_std())
        };
        let facts = outcome.as_ref().ok().map(Facts::of);
        channel.opened(Instant::now().into_std(), outcome, out)?;
        self.opening = None;
        if let Some(facts) = facts {
            self.line().opened(&self.server, &opening, &facts);
        }
        self.opened = Some(opening);
        Ok(())
    }

    /// The connection is over: a channel that was open is closed, one that was asked for in vain was refused.
    pub fn audit_end(&self, end: Option<&End>) {
        let fatal = if let Some(End::Fatal(fatal)) = end { Some(fatal) } else { None };
        let is_refused = self.opened.is_none() || self.opening.is_some() || fatal.is_some_and(|f| f.refused.is_some());
        if let Some(fatal) = fatal.filter(|_| is_refused) {
            self.line().refused(&self.server, self.opening.as_ref(), fatal);
        }
        let Some(opened) = &self.opened else { return };
        let (status, why) = match end {
            None | Some(End::Closed) => (StatusCode::Good, "closed by the client".to_owned()),
            Some(End::Stopped) => (StatusCode::Good, "the server stops".to_owned()),
            Some(End::Stalled) => (StatusCode::BadTimeout, "the client does not read".to_owned()),
            Some(End::Lost(error)) => (StatusCode::BadConnectionClosed, error.to_string()),
            Some(End::Fatal(fatal)) => (fatal.status, fatal.to_string()),
        };
        self.line().closed(&self.server, opened.peer(), status, why);
    }

    /// Answers, or says as a fault why there is no answer.
    fn answer(
        &self,
        line: &mut Line<'_>,
        call: Call,
        body: impl FnOnce(&mut Writer) -> Result<(), StatusCode>,
    ) -> bool {
        let now = Instant::now().into_std();
        let Err(status) = line.channel.respond(now, line.out, call.request_id, body) else { return true };
        let fault = line.channel.respond(now, line.out, call.request_id, |w| {
            write_fault(w, call.handle, status);
            Ok(())
        });
        if let Err(status) = fault {
            log::debug!("{}: no answer to request {}: {status}", self.peer, call.request_id);
        }
        self.server.totals.rejected_requests.fetch_add(1, Ordering::Relaxed);
        false
    }

    pub fn refuse(&self, line: &mut Line<'_>, refused: &Refused) {
        let call = Call { request_id: refused.request_id, handle: refused.handle };
        self.answer(line, call, |_| Err(refused.status));
    }

    /// Answers what was under way.
    pub async fn finish(&mut self, line: &mut Line<'_>, done: Done) {
        let call = done.call;
        match done.outcome {
            Outcome::Again(body) => {
                self.at_disk -= 1;
                self.request(line, call.request_id, &body).await;
            }
            Outcome::Written(results) => {
                self.answer(line, call, |w| {
                    Writing::write_response(&results, call.handle, w);
                    Ok(())
                });
            }
            Outcome::Encoded(response, session, counted) => {
                self.at_disk -= 1;
                let answered = self.answer(line, call, |w| response.map(|bytes| w.raw(&bytes)));
                session.lock().count_response(Some(counted), answered);
            }
        }
    }

    pub fn publish(&self, line: &mut Line<'_>, session: &Session, request: &PublishRequest, ready: &publish::Ready) {
        let (message, chunks) = line.channel.response_limits();
        let cap = |limit: usize| if limit == 0 { MESSAGE_BYTES } else { limit.min(MESSAGE_BYTES) };
        let most = cap(message as usize * 3 / 4).min(cap(chunks as usize * 8000));
        let call = Call { request_id: request.request_id, handle: request.handle };
        self.answer(line, call, |w| {
            publish::write(&self.server, session, (request, ready), most, w);
            Ok(())
        });
    }

    pub async fn request(&mut self, line: &mut Line<'_>, request_id: u32, body: &[u8]) {
        let mut reader = Reader::new(body);
        let start = reader.node_id().map(|id| id.standard());
        let header = start.and_then(|number| Ok((number, RequestHeader::read(&mut reader)?)));
        let (number, header) = match header {
            Ok(read) => read,
            Err(status) => {
                self.answer(line, Call { request_id, handle: 0 }, |_| Err(status));
                return;
            }
        };
        let call = Call { request_id, handle: header.handle };
        let Some(service) = number.and_then(Service::from_type_id) else {
            let refused = self.authorize(line.channel.id(), &header, None).err();
            self.answer(line, call, |_| Err(refused.unwrap_or(StatusCode::BadServiceUnsupported)));
            return;
        };
        match service {
            _ if service.needs_no_session() => self.open_service(line, call, service, &header, reader, body).await,
            Service::ActivateSession => self.activate(line, call, &header, &reader, body).await,
            _ => self.session_service(line, call, service, header, (reader, body)),
        }
    }

    fn caller(&self, channel: &ServerChannel) -> Option<Caller> {
        let security = channel.security()?.clone();
        Some(Caller { channel: channel.id(), security, peer: self.peer, near: self.near })
    }

    async fn open_service(
        &mut self,
        line: &mut Line<'_>,
        call: Call,
        service: Service,
        header: &RequestHeader<'_>,
        mut reader: Reader<'_>,
        body: &[u8],
    ) {
        let server = Arc::clone(&self.server);
        match service {
            Service::FindServers => {
                self.answer(line, call, |w| discovery::find_servers(&server, header, &mut reader, w));
            }
            Service::GetEndpoints => {
                self.answer(line, call, |w| discovery::get_endpoints(&server, header, &mut reader, w));
            }
            _ => {
                let Some(caller) = self.caller(line.channel) else { return };
                let created = session::create(&server, &caller, body, reader.position()).await;
                let application = session::kept(reader.text().unwrap_or_default());
                let outcome = created.as_ref().map(|created| &**created.session()).map_err(|status| *status);
                server.audit_created(&caller, header.audit_entry, &application, outcome);
                self.answer(line, call, |w| {
                    created?.write_response(&server, header, w);
                    Ok(())
                });
            }
        }
    }

    async fn activate(
        &mut self,
        line: &mut Line<'_>,
        call: Call,
        header: &RequestHeader<'_>,
        reader: &Reader<'_>,
        body: &[u8],
    ) {
        let found = header.token.as_ref().and_then(|token| self.server.sessions.get(token));
        let Some(caller) = self.caller(line.channel) else { return };
        let result = match &found {
            Some(session) => session::activate(&self.server, &caller, session, body, reader.position()).await,
            None => Err(StatusCode::BadSessionIdInvalid.into()),
        };
        let claim = Claim::read(&body[reader.position()..]);
        let outcome = (found.as_deref(), result.as_ref().map(|_| ()));
        self.server.audit_activated(&caller, header.audit_entry, &claim, outcome);
        let result = result
            .map_err(|refused| refused.status)
            .and_then(|nonce| found.map(|session| (session, nonce)).ok_or(StatusCode::BadSessionIdInvalid));
        if let Ok((session, _)) = &result {
            line.channel.set_authenticated(true);
            self.bind(session);
        }
        self.answer(line, call, |w| {
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
            state.alone_since = None;
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
        header: &RequestHeader<'_>,
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
            self.server.end_session(&session, true, &Ending::Misused);
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
        line: &mut Line<'_>,
        call: Call,
        service: Service,
        header: RequestHeader<'_>,
        (mut reader, body): (Reader<'_>, &[u8]),
    ) {
        let session = match self.authorize(line.channel.id(), &header, Some(service)) {
            Ok(session) => session,
            Err(status) => {
                self.server.totals.security_rejected_requests.fetch_add(1, Ordering::Relaxed);
                self.answer(line, call, |_| Err(status));
                return;
            }
        };
        let (roles, is_encrypted, locales) = {
            let state = session.lock();
            (state.roles, state.is_encrypted(), Arc::clone(&state.locales))
        };
        let server = Arc::clone(&self.server);
        let most_bytes = most_bytes(line.channel, &session, &server);
        let now = Instant::now();
        let context = Context {
            server: &server,
            session: &session,
            roles,
            is_encrypted,
            locales: &locales,
            header,
            now,
            wanted: RefCell::default(),
            most_bytes,
            looked_at: RefCell::default(),
        };
        let is_long = is_long(service, body.len());
        let answered = match service {
            Service::Publish => self.take_publish(line, call, &context, &mut reader),
            Service::Read => match apart_if(is_long, || self.read(line, call, &context, (&mut reader, body))) {
                Some(answered) => answered,
                None => return,
            },
            Service::Write => apart_if(is_long, || self.write(line, call, &context, &mut reader)),
            Service::HistoryRead => match self.history_read(call, &context, &mut reader) {
                Ok(None) => return,
                answer => self.answer(line, call, |w| answer.map(|released| w.raw(&released.unwrap_or_default()))),
            },
            Service::HistoryUpdate => match self.history_update(call, &context, &mut reader) {
                Ok(()) => return,
                Err(status) => self.answer(line, call, |_| Err(status)),
            },
            Service::Cancel => self.cancel(line, call, &context, &mut reader),
            Service::CloseSession => {
                self.answer(line, call, |w| session::close(&server, &session, &header, &mut reader, w))
            }
            _ => apart_if(is_long, || self.answer(line, call, |w| run(service, &context, &mut reader, w))),
        };
        session.lock().count_response(service.counted(), answered);
    }

    /// Sends the request to the pool; what needs no disk is answered at once.
    fn history_read(
        &mut self,
        call: Call,
        context: &Context<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Vec<u8>>, StatusCode> {
        let reading = match history::read::read(context, reader)? {
            Read::Reading(reading) => reading,
            Read::Released(results) => {
                let mut w = Writer::new();
                write_released(&results, call.handle, &mut w);
                return Ok(Some(w.buf));
            }
        };
        self.in_pool(call, context, Counted::HistoryRead, move |abandoned| reading.run(abandoned))?;
        Ok(None)
    }

    fn history_update(&mut self, call: Call, context: &Context<'_>, reader: &mut Reader<'_>) -> Result<(), StatusCode> {
        let updating = history::update::update(context, reader)?;
        self.in_pool(call, context, Counted::HistoryUpdate, move |abandoned| updating.run(abandoned))
    }

    /// Lets a job make the whole response, when it is its turn.
    fn in_pool(
        &mut self,
        call: Call,
        context: &Context<'_>,
        counted: Counted,
        job: impl FnOnce(&Abandoned) -> Result<Vec<u8>, StatusCode> + Send + 'static,
    ) -> Result<(), StatusCode> {
        let (server, session) = (context.server, Arc::clone(context.session));
        let job = server.history.run(&session.history_gate, server.limits.history_requests.0, job)?;
        let (cancel, cancelled) = oneshot::channel();
        self.cancellable.retain(|waiting| !waiting.cancel.is_closed());
        self.cancellable.push(Cancellable { session: session.id, handle: call.handle, cancel });
        self.at_disk += 1;
        self.under_way.push(Box::pin(async move {
            let response = tokio::select! {
                response = job => response.and_then(|response| response),
                Ok(()) = cancelled => Err(StatusCode::BadRequestCancelledByClient),
            };
            Done { call, outcome: Outcome::Encoded(response, session, counted) }
        }));
        Ok(())
    }

    fn take_publish(&self, line: &mut Line<'_>, call: Call, context: &Context<'_>, reader: &mut Reader<'_>) -> bool {
        match publish::enqueue(context, reader, call.request_id) {
            Ok(None) => true,
            Ok(Some(refused)) => {
                self.refuse(line, &refused);
                true
            }
            Err(status) => self.answer(line, call, |_| Err(status)),
        }
    }

    /// Answers at once, unless a disk has to be asked first: then the request is served again.
    fn read(
        &mut self,
        line: &mut Line<'_>,
        call: Call,
        context: &Context<'_>,
        (reader, body): (&mut Reader<'_>, &[u8]),
    ) -> Option<bool> {
        let mut missing = false;
        let read = |w: &mut Writer| {
            attribute::read(context, reader, w)?;
            missing = !context.wanted.borrow().is_empty();
            if missing { Err(StatusCode::BadWaitingForInitialData) } else { Ok(()) }
        };
        let sent = line.channel.respond(context.now.into_std(), line.out, call.request_id, read);
        if !missing {
            return Some(sent.is_ok() || self.answer(line, call, |_| sent));
        }
        let (server, session) = (Arc::clone(context.server), Arc::clone(context.session));
        let (tags, again) = (context.wanted.take(), body.to_vec());
        let find = move |_: &Abandoned| {
            if let Some(archives) = &server.archives {
                server.starts.find(archives, &tags);
            }
        };
        let most = context.server.limits.history_requests.0;
        match context.server.history.run(&session.history_gate, most, find) {
            Err(status) => Some(self.answer(line, call, |_| Err(status))),
            Ok(job) => {
                let outcome = async move {
                    match job.await {
                        Ok(()) => Outcome::Again(again),
                        Err(status) => Outcome::Encoded(Err(status), session, Counted::Read),
                    }
                };
                self.at_disk += 1;
                self.under_way.push(Box::pin(async move { Done { call, outcome: outcome.await } }));
                None
            }
        }
    }

    fn write(&self, line: &mut Line<'_>, call: Call, context: &Context<'_>, reader: &mut Reader<'_>) -> bool {
        match attribute::write(context, reader) {
            Ok(writing) if writing.is_done() => self.answer(line, call, |w| {
                Writing::write_response(&writing.results, call.handle, w);
                Ok(())
            }),
            Ok(writing) => {
                self.under_way
                    .push(Box::pin(async move { Done { call, outcome: Outcome::Written(writing.finish().await) } }));
                true
            }
            Err(status) => self.answer(line, call, |_| Err(status)),
        }
    }

    /// What waits for history under this handle is answered as cancelled when its turn comes.
    fn cancel_history(&mut self, session: u32, handle: u32) -> usize {
        let is_meant = |waiting: &mut Cancellable| waiting.session == session && waiting.handle == handle;
        let meant = self.cancellable.extract_if(.., is_meant);
        // A request that was answered meanwhile is no longer there to be cancelled.
        meant.filter_map(|waiting| waiting.cancel.send(()).ok()).count()
    }

    fn cancel(&mut self, line: &mut Line<'_>, call: Call, context: &Context<'_>, reader: &mut Reader<'_>) -> bool {
        let handle = reader.clone().u32();
        let others = handle.map_or(0, |handle| self.cancel_history(context.session.id, handle));
        let mut cancelled = Vec::new();
        let answered = self.answer(line, call, |w| {
            cancelled = session::cancel(context, reader, w, others)?;
            Ok(())
        });
        if let Ok(handle) = handle {
            context.server.audit_cancelled(context.session, context.header.audit_entry, handle);
        }
        for (request_id, handle) in cancelled {
            self.refuse(line, &Refused { request_id, handle, status: StatusCode::BadRequestCancelledByClient });
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
        Service::TransferSubscriptions => {
            let done = subscription::transfer(context, reader, w);
            let status = done.err().unwrap_or(StatusCode::Good);
            context.server.audit_transferred(context.session, context.header.audit_entry, status);
            done
        }
        Service::DeleteSubscriptions => subscription::delete(context, reader, w),
        _ => Err(StatusCode::BadServiceUnsupported),
    }
}
