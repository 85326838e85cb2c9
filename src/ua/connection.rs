//! One connection, one task: it reads, serves and writes. All requests in the input are answered into one
//! buffer and leave in one write.
//!
//! A client that does not read is not read from either; when it stalls it is cut, and its session waits for it.

mod admission;
mod channel_life;
mod core;
pub(crate) mod loopback;
mod publisher;
mod responder;
mod slot;

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::stream::StreamExt;
use opcua::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use self::core::{Core, Peer};
pub(crate) use self::slot::ConnectionSlot;
use crate::logging;
use crate::stack::channel::{Caller, Event, ServerChannel};
use crate::stack::transport::{Fatal, Input, RefusedCertificate};
use crate::ua::outbox::{FLUSH, Outbox};
use crate::ua::server::Server;
use crate::ua::session::{Ending, Identity};

/// Serves one client until it leaves, breaks the protocol, or the server stops.
pub async fn serve(
    server: Arc<Server>,
    mut socket: TcpStream,
    peer: SocketAddr,
    slot: Arc<ConnectionSlot>,
    mut stop: watch::Receiver<bool>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        log::debug!("{peer}: {error}");
    }
    let mut connection = Connection::new(server, peer, socket.local_addr().ok());
    connection.slot = slot;
    let end = connection.run(&mut socket, &mut stop).await;
    connection.leave(end.as_ref());
    if let Err(error) = socket.shutdown().await {
        log::trace!("{peer}: {error}");
    }
}

pub(crate) struct Connection {
    channel: ServerChannel,
    input: Input,
    outbox: Outbox,
    core: Core,
    slot: Arc<ConnectionSlot>,
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    Closed,
    Stopped,
    Stalled,
    Lost(std::io::Error),
    Fatal(Fatal),
}

impl Connection {
    /// `near` is our end of the connection: what roles by endpoint are compared with.
    pub(crate) fn new(server: Arc<Server>, peer: SocketAddr, near: Option<SocketAddr>) -> Connection {
        let now = Instant::now();
        let id = server.ids.channel();
        let channel = ServerChannel::new(Arc::clone(&server.channels), id, Some(peer), now.into_std());
        Connection {
            channel,
            input: Input::default(),
            outbox: Outbox::default(),
            core: Core::new(server, Peer { address: peer, near, channel: id }, now),
            slot: Arc::default(),
        }
    }

    async fn run(&mut self, socket: &mut TcpStream, stop: &mut watch::Receiver<bool>) -> Option<End> {
        let (mut reader, mut writer) = socket.split();
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        let wake = Arc::clone(&self.core.wake);
        let slot = Arc::clone(&self.slot);
        let mut trust = self.core.server.trust.clone();
        trust.mark_unchanged();
        let mut admission = self.core.server.admission.subscribe();
        if let Some(end) = self.check_admission() {
            return Some(end);
        }
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
                () = slot.must_leave() => {
                    let fatal = Fatal::new(StatusCode::BadTcpServerTooBusy, "other clients wait, and no session was activated");
                    fatal.write(&mut self.outbox.out);
                    self.flush(&mut writer).await;
                    return Some(End::Fatal(fatal));
                }
                Some(done) = self.core.under_way.next(), if unsent < FLUSH && !self.core.under_way.is_empty() => {
                    self.core.finish(&mut self.channel, &mut self.outbox.out, done);
                }
                () = &mut timer => {
                    if let Some(end) = self.check_deadlines() {
                        self.flush(&mut writer).await;
                        return Some(end);
                    }
                }
                Ok(()) = trust.changed() => {
                    if let Some(end) = self.check_trust() {
                        self.flush(&mut writer).await;
                        return Some(end);
                    }
                }
                Ok(()) = admission.changed() => {
                    if let Some(end) = self.check_admission() {
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

    /// Writes what is left, for as long as the peer takes it at once.
    async fn flush<W: AsyncWriteExt + Unpin>(&mut self, writer: &mut W) {
        let rest = self.outbox.unsent();
        let limit = std::time::Duration::from_secs(1);
        if let Ok(Err(error)) = tokio::time::timeout(limit, writer.write_all(rest)).await {
            log::debug!("{}: {error}", self.core.peer.address);
        }
    }

    fn deadline(&self) -> Instant {
        let channel = self.channel.next_deadline().map(Instant::from_std);
        let stall = self.outbox.stalls_at(self.core.server.limits.send_stall);
        let never = Instant::now() + std::time::Duration::from_secs(86_400);
        channel.into_iter().chain(stall).chain(self.useless_at()).min().unwrap_or(never)
    }

    /// When the connection is closed because it carries no session.
    fn useless_at(&self) -> Option<Instant> {
        self.core.unbound_since.map(|since| since + self.core.server.limits.without_session)
    }

    /// A client whose certificate is no longer good leaves at once, and its sessions end; so does the session of a user
    /// whose certificate is no longer good.
    fn check_trust(&mut self) -> Option<End> {
        let server = &self.core.server;
        for session in &self.core.bound {
            let identity = session.lock().identity.clone();
            let Identity::Certificate { name, der } = identity else { continue };
            if server.users.user_of_certificate(&der).as_deref() != Ok(&name) {
                let line = format_args!(
                    "session {} of `{name}` ends: the certificate of this user is no longer valid",
                    session.id
                );
                logging::limited(log::Level::Warn, "trust lost", Some(session.peer), line);
                server.end_session(session, true, &Ending::TrustLost);
            }
        }
        let security = self.channel.security()?;
        let caller = Caller { address: Some(self.core.peer.address), policy: security.policy };
        let refusal = self.core.server.channels.check.check_client(&security.peer.as_ref()?.chain, &caller).err()?;
        logging::limited(
            log::Level::Warn,
            "trust lost",
            Some(self.core.peer.address.ip()),
            format_args!("{}", refusal.rule),
        );
        let refused = RefusedCertificate { code: refusal.code, chain: security.peer.as_ref()?.chain.clone() };
        self.core.audited().refused_certificate(&self.core.server, &refused, &refusal.rule, None);
        for session in self.core.bound.drain(..) {
            self.core.server.end_session(&session, true, &Ending::TrustLost);
        }
        let fatal = Fatal::new(refusal.status, "its certificate is no longer trusted");
        fatal.write(&mut self.outbox.out);
        Some(End::Fatal(fatal))
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
        let Connection { channel, input, outbox, core, .. } = self;
        while outbox.waiting() < FLUSH {
            let out = &mut outbox.out;
            let now = Instant::now();
            match channel.receive(now.into_std(), input, out)? {
                None => return Ok(false),
                Some(Event::Hello { endpoint_url }) => log::trace!("{} connects to {endpoint_url}", core.peer.address),
                Some(Event::Open(job)) => core.open(channel, job, out).await?,
                Some(Event::Request { request_id, body }) => core.request(channel, out, request_id, body).await,
                Some(Event::Closed) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Waits for work at the disk.
    async fn finish_history(&mut self) {
        let Connection { channel, outbox, core, .. } = self;
        while core.at_disk > 0 {
            let Some(done) = core.under_way.next().await else { return };
            core.finish(channel, &mut outbox.out, done);
        }
    }

    /// Sends waiting messages of the sessions, and unbinds sessions that have ended or moved.
    fn serve_waiting(&mut self) {
        let Connection { channel, outbox, core, .. } = self;
        core.publish_waiting(channel, outbox);
        let channel_id = channel.id();
        core.bound.retain(|session| {
            let state = session.lock();
            !state.is_closed && state.channel == channel_id
        });
        let is_bound = !core.bound.is_empty();
        self.slot.set_in_use(is_bound);
        // After its last session ends, the connection gets unauthenticated limits again.
        channel.set_authenticated(is_bound);
        core.unbound_since = if is_bound { None } else { core.unbound_since.or_else(|| Some(Instant::now())) };
    }

    /// Logs why a client was disconnected; a refusal is a warning with its remedy.
    fn log_fatal(&self, fatal: &Fatal) {
        let peer = self.core.peer.address;
        let log = |level, line| {
            let kind = if level == log::Level::Info { "client cut" } else { "client refused" };
            logging::limited(level, kind, Some(peer.ip()), line);
        };
        match &fatal.detail {
            // Names the client, its certificate and the command already.
            Some(detail) if fatal.refused.is_some() => log(log::Level::Warn, format_args!("{detail}")),
            Some(detail) if fatal.status == StatusCode::BadSecurityChecksFailed => {
                log(log::Level::Warn, format_args!("{peer} is refused: {detail}"));
            }
            _ => log(log::Level::Info, format_args!("{peer}: connection closed: {fatal}")),
        }
    }

    /// Unbinds the sessions: another channel may activate them again.
    fn leave(&mut self, end: Option<&End>) {
        let peer = self.core.peer.address;
        match end {
            None | Some(End::Closed | End::Stopped) => log::debug!("{peer} left"),
            Some(End::Stalled) => {
                let line = format_args!("{peer}: connection closed: it does not read its responses; its session waits");
                logging::limited(log::Level::Warn, "client stalled", Some(peer.ip()), line);
            }
            Some(End::Lost(error)) => log::debug!("{peer}: connection lost: {error}"),
            Some(End::Fatal(fatal)) => self.log_fatal(fatal),
        }
        self.core.audit_end(end);
        let id = self.channel.id();
        for session in &self.core.bound {
            let mut state = session.lock();
            if state.channel == id {
                state.wake = None;
                state.alone_since = Some(Instant::now());
                // Their request ids mean nothing on another channel.
                state.publish.clear();
            }
        }
    }
}
