//! The client of one server: it keeps a session and its subscriptions, and loses nothing when its link is lost.
//!
//! ```text
//! connect: endpoints ► channel ► session (the same one, if the server still has it)
//! run:     facts ► subscriptions of before ► nodes ► subscriptions ► items ► values
//! ```
//! Each step of `run` is a request whose answer is handled where it arrives, so the future may be dropped at any time.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::StatusCode;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::discovery::{Endpoint, Wish};
use super::items::write_delete_subscriptions;
use super::login::{User, write_close};
use super::message::Head;
use super::pending::{Pending, Purpose, Requests};
use super::points::Point;
use super::publish::Arrived;
use super::session::Session;
use super::settings::OpcUa;
use super::url::Url;
use super::wire::{Came, Line};
use crate::drivers::application::{Application, Dialled};
use crate::drivers::contract::LinkError;
use crate::drivers::feed::Feed;
use crate::drivers::push::Push;
use crate::stack::channel::Peer;
use crate::stack::codec::Writer;
use crate::stack::crypto::Identity;
use crate::tags::RawSample;
use crate::value::{Hidden, Value};

/// A server that says nothing for this long is asked whether it is alive.
pub(super) const QUIET: Duration = Duration::from_millis(2_500);
/// Keep-alives of a subscription come a little more often.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// A subscription outlives a lost link by this.
pub(super) const SURVIVES: Duration = Duration::from_secs(60);
/// Time for an answer that takes a server some work.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time from the first byte to the session: small controllers need seconds for their private keys.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Samples that are fed at once; then the supervisor has its turn. A feed has more places.
const FED_AT_ONCE: usize = 512;
/// Nodes that were absent are looked for again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Remarks that wait to be logged.
const MOST_REMARKS: usize = 16;

/// The server, and the way in.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// The settings of the first connection of the link; the others lead to the same server in the same way.
    pub settings: OpcUa,
    pub url: Url,
    pub name: String,
    pub timeout: Duration,
    /// Of a user who logs in by a certificate.
    pub identity: Option<Arc<Identity>>,
}

impl Config {
    pub(super) fn wish(&self) -> Wish {
        Wish { policy: self.settings.policy, allow_unsecured: self.settings.allow_unsecured }
    }

    pub(super) fn user(&self) -> User<'_> {
        match (&self.settings.user, &self.settings.password, &self.identity) {
            (Some(name), Some(password), _) => User::Name { name, password },
            (_, _, Some(identity)) => User::Certificate(identity),
            _ => User::Anonymous,
        }
    }
}

/// A response that a caller waits for.
pub(super) struct Answer {
    pub request: u32,
    pub body: Result<Vec<u8>, StatusCode>,
}

pub(super) struct Client {
    pub(super) config: Config,
    pub(super) application: Option<Arc<dyn Application>>,
    pub(super) points: Vec<Point>,
    /// The endpoint that was used last.
    pub(super) endpoint: Option<Endpoint>,
    /// A stronger one, of which the server told on a secured channel.
    pub(super) better: Option<Endpoint>,
    pub(super) line: Option<Line>,
    pub(super) session: Option<Session>,
    pub(super) requests: Requests,
    /// Samples that are not fed yet.
    pub(super) samples: VecDeque<Fed>,
    /// Values that are not taken yet.
    pub(super) arrived: VecDeque<Arrived>,
    pub(super) awaited: Option<u32>,
    pub(super) answer: Option<Answer>,
    /// The session is active on the present line.
    pub(super) is_up: bool,
    /// There is nothing to set up.
    pub(super) is_settled: bool,
    /// Items that are to be read.
    pub(super) unread: VecDeque<u32>,
    pub(super) look_again: Instant,
    pub(super) remarks: VecDeque<String>,
    pub(super) trust: Option<watch::Receiver<u64>>,
    /// The server of a secured channel.
    pub(super) server: Option<Arc<Peer>>,
    /// Where the server was dialled last.
    pub(super) address: Option<SocketAddr>,
    handle: u32,
}

/// A sample of a point.
pub(super) struct Fed {
    pub point: u32,
    pub sample: RawSample,
}

impl Client {
    /// Opens nothing.
    pub(super) fn new(config: Config, application: Option<Arc<dyn Application>>, points: Vec<Point>) -> Client {
        Client {
            trust: application.as_ref().map(|application| application.trust()),
            config,
            application,
            points,
            endpoint: None,
            better: None,
            line: None,
            session: None,
            requests: Requests::default(),
            samples: VecDeque::new(),
            arrived: VecDeque::new(),
            awaited: None,
            answer: None,
            is_up: false,
            is_settled: false,
            unread: VecDeque::new(),
            look_again: Instant::now() + LOOK_AGAIN,
            remarks: VecDeque::new(),
            server: None,
            address: None,
            handle: 0,
        }
    }

    pub(super) fn note(&mut self, remark: String) {
        if self.remarks.len() < MOST_REMARKS {
            self.remarks.push_back(remark);
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.config.timeout.max(PATIENCE)
    }

    /// Sends a request of the session. `Err` with the reason why it cannot be sent, and the purpose back.
    pub(super) fn send(
        &mut self,
        purpose: Purpose,
        hint: Option<Duration>,
        body: impl FnOnce(&mut Writer, Head<'_>) -> Result<(), StatusCode>,
    ) -> Result<u32, Unsent> {
        let now = Instant::now();
        self.handle = self.handle.wrapping_add(1).max(1);
        let none = Hidden(Vec::new());
        let token = self.session.as_ref().map_or(&none, |session| &session.token);
        let head = Head { token, handle: self.handle, hint: hint.unwrap_or_default() };
        let Some(line) = &mut self.line else { return Err(Unsent { purpose, code: StatusCode::BadNotConnected }) };
        match line.request(now, |out| body(out, head)) {
            Ok(id) => {
                self.requests.sent(id, Pending { purpose, until: hint.and_then(|hint| now.checked_add(hint)) });
                Ok(id)
            }
            Err(code) => Err(Unsent { purpose, code }),
        }
    }

    /// Sends a request and waits for its response, while all else is handled as it comes.
    pub(super) async fn ask(
        &mut self,
        limit: Duration,
        body: impl FnOnce(&mut Writer, Head<'_>) -> Result<(), StatusCode>,
    ) -> Result<Result<Vec<u8>, StatusCode>, LinkError> {
        self.ask_until(Instant::now() + limit, limit, body).await
    }

    /// The same, until `end`; `limit` is the time that the caller gave for all that it asks.
    pub(super) async fn ask_until(
        &mut self,
        end: Instant,
        limit: Duration,
        body: impl FnOnce(&mut Writer, Head<'_>) -> Result<(), StatusCode>,
    ) -> Result<Result<Vec<u8>, StatusCode>, LinkError> {
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(LinkError::Timeout { waited_ms: limit.as_millis(), usable: true });
        }
        let id = match self.send(Purpose::Asked, Some(rest), body) {
            Ok(id) => id,
            Err(unsent) if unsent.code == StatusCode::BadNotConnected => return Err(not_connected()),
            Err(unsent) => return Ok(Err(unsent.code)),
        };
        (self.awaited, self.answer) = (Some(id), None);
        loop {
            if let Some(answer) = self.answer.take_if(|answer| answer.request == id) {
                self.awaited = None;
                return Ok(answer.body);
            }
            if Instant::now() >= end {
                self.requests.answered(id);
                self.awaited = None;
                return Err(LinkError::Timeout { waited_ms: limit.as_millis(), usable: true });
            }
            self.step(end).await?;
        }
    }

    /// Sends, receives once or waits until this time, and handles what came.
    pub(super) async fn step(&mut self, until: Instant) -> Result<(), LinkError> {
        let line = self.line.as_mut().ok_or_else(not_connected)?;
        match timeout_at(until.into(), line.exchange()).await {
            Err(_) => return Ok(()),
            Ok(exchanged) => exchanged?,
        }
        // The line is out of the way while its messages are handled.
        let Some(mut line) = self.line.take() else { return Err(not_connected()) };
        line.take(|came| self.hear(came))?;
        self.line = Some(line);
        Ok(())
    }

    fn hear(&mut self, came: Came<'_>) -> Result<(), LinkError> {
        let (id, body) = match came {
            Came::Response { request, body } => (request, Ok(body)),
            Came::Aborted { request, status } => (request, Err(status)),
        };
        match self.requests.answered(id) {
            // Late, or never asked for.
            None => Ok(()),
            Some(Purpose::Asked) => {
                if self.awaited == Some(id) {
                    self.answer = Some(Answer { request: id, body: body.map(<[u8]>::to_vec) });
                }
                Ok(())
            }
            Some(purpose) => self.answered(purpose, body),
        }
    }

    /// Feeds what fits into the feed for certain; true if there is more.
    fn feed_some(&mut self, feed: &Feed) -> bool {
        let count = self.samples.len().min(FED_AT_ONCE);
        for Fed { point, sample } in self.samples.drain(..count) {
            feed.sample(point, sample);
        }
        !self.samples.is_empty()
    }

    /// Takes and feeds all that came, in slices that the supervisor takes meanwhile: none is dropped because many came at
    /// once. Those before a fault are fed.
    async fn feed(&mut self, feed: &Feed) -> Result<(), LinkError> {
        loop {
            let taken = self.take_some(FED_AT_ONCE);
            let is_more = self.feed_some(feed);
            if !taken? && !is_more {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// The next things that are due, and then whatever comes.
    async fn serve(&mut self, feed: &Feed) -> Result<(), LinkError> {
        self.feed(feed).await?;
        let until = self.advance(Instant::now())?;
        self.feed(feed).await?;
        let mut trust = self.trust.clone();
        let changed = async {
            match &mut trust {
                Some(trust) => {
                    if trust.changed().await.is_err() {
                        std::future::pending().await
                    }
                }
                None => std::future::pending().await,
            }
        };
        let is_trust = tokio::select! {
            stepped = self.step(until) => {
                stepped?;
                false
            }
            () = changed => true,
        };
        if is_trust {
            self.trust = trust;
            self.check_again()?;
        }
        self.feed(feed).await
    }

    /// The trust in certificates has changed: that in this server may be gone.
    fn check_again(&mut self) -> Result<(), LinkError> {
        let (Some(application), Some(server), Some(endpoint), Some(line)) =
            (&self.application, &self.server, &self.endpoint, &self.line)
        else {
            return Ok(());
        };
        let dialled = Dialled {
            host: &self.config.url.host,
            address: Some(line.address),
            policy: endpoint.policy(),
            application_uri: &endpoint.application_uri,
        };
        match application.check_server(&server.chain, &dialled) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(LinkError::Lost(refusal.rule)),
        }
    }

    /// The link is of no use any more; the session may be.
    fn fail(&mut self, error: LinkError) -> LinkError {
        self.is_up = false;
        self.line = None;
        error
    }

    /// There is no session any more, and so no item of any point.
    pub(super) fn forget_session(&mut self) {
        self.session = None;
        self.unread.clear();
        self.arrived.clear();
        self.points.iter_mut().for_each(Point::forget);
    }

    /// Ends the session in order: the server forgets it and its subscriptions.
    async fn leave(&mut self) -> Result<(), LinkError> {
        let limit = self.config.timeout;
        if self.is_up && self.line.is_some() {
            drop(
                self.ask(limit, |out, head| {
                    write_close(out, head);
                    Ok(())
                })
                .await?,
            );
        }
        self.forget_session();
        match self.line.take() {
            Some(line) => line.close().await,
            None => Ok(()),
        }
    }

    pub(super) fn delete_subscriptions(&mut self, ids: Vec<u32>) -> Result<u32, Unsent> {
        let (count, patience) = (ids.len(), self.patience());
        self.send(Purpose::DeleteSubscriptions(count), Some(patience), |out, head| {
            write_delete_subscriptions(out, head, &ids);
            Ok(())
        })
    }
}

/// A request that was not sent.
#[derive(Debug)]
pub(super) struct Unsent {
    pub purpose: Purpose,
    pub code: StatusCode,
}

pub(super) fn not_connected() -> LinkError {
    LinkError::Lost("not connected".to_owned())
}

impl Push for Client {
    async fn connect(&mut self) -> Result<(), LinkError> {
        let opened = self.open().await;
        opened.map_err(|error| {
            // The server may have other endpoints by now.
            self.endpoint = self.better.take();
            self.fail(error)
        })
    }

    fn connect_within(&self) -> Duration {
        CONNECT_WITHIN
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        loop {
            if let Err(error) = self.serve(feed).await {
                // What came before it is fed; the first fault is told.
                drop(self.feed(feed).await);
                return self.fail(error);
            }
        }
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32, feed: &Feed) -> Result<StatusCode, LinkError> {
        let written = self.write_point(point, value, first).await;
        self.feed_some(feed);
        match written {
            Err(error) if !error.is_usable() => {
                drop(self.feed(feed).await);
                Err(self.fail(error))
            }
            written => written,
        }
    }

    async fn disconnect(&mut self) {
        if self.is_up {
            // A server that does not answer the goodbye forgets the session by itself.
            drop(self.leave().await);
        }
        (self.is_up, self.line) = (false, None);
    }

    fn remark(&mut self) -> Option<String> {
        self.remarks.pop_front()
    }

    fn adopt(&mut self, old: &mut Client) -> bool {
        if old.config.settings != self.config.settings || old.config.url != self.config.url {
            return false;
        }
        (self.line, self.session) = (old.line.take(), old.session.take());
        self.requests = std::mem::take(&mut old.requests);
        (self.endpoint, self.server, self.trust) = (old.endpoint.take(), old.server.take(), old.trust.take());
        self.address = old.address;
        (self.is_up, self.is_settled, self.handle) = (old.is_up, false, old.handle);
        old.is_up = false;
        self.look_again = old.look_again;
        (self.unread, self.arrived) = (std::mem::take(&mut old.unread), std::mem::take(&mut old.arrived));
        self.adopt_items(&mut old.points);
        true
    }
}

impl Client {
    /// Gives the items of the old points to the equal ones of this client; the others end.
    fn adopt_items(&mut self, old: &mut [Point]) {
        let places: HashMap<_, u32> = self.points.iter().map(|point| point.plan.tag).zip(0..).collect();
        let mut news: Vec<Option<u32>> = Vec::with_capacity(old.len());
        for point in old.iter_mut() {
            let new = places.get(&point.plan.tag).copied();
            let new = new.filter(|new| point.is_same_item(&self.points[*new as usize]));
            if let Some(new) = new {
                let new = &mut self.points[new as usize];
                (new.resolution, new.node_type, new.item) = (point.resolution.take(), point.node_type, point.item);
            }
            news.push(new);
        }
        for item in self.session.iter_mut().flat_map(|session| &mut session.items) {
            match item.point.and_then(|point| news[point as usize]) {
                None => item.leave(),
                point => item.point = point,
            }
        }
    }
}
