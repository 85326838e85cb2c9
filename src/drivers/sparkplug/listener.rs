//! A link to a broker as a Sparkplug host application.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::address::{Address, NodeId, Shown};
use super::host::{Host, NAMESPACE};
use super::part::{Definition, Effects, Listed};
use super::proto::{Content, Metric, command};
use super::value::{BOOLEAN, content_of};
use crate::drivers::application::Application;
use crate::drivers::broker::{Filters, Incoming, Options, Session, Will};
use crate::drivers::contract::LinkError;
use crate::drivers::feed::Feed;
use crate::drivers::push::Push;
use crate::model::TagId;
use crate::value::{UaTime, Value};

/// The metric by which a node is asked to be born again.
const REBIRTH: &str = "Node Control/Rebirth";
/// Samples after which the supervisor gets its turn. Fewer than a feed holds, so none is dropped.
const TURN: usize = 256;

/// The role of a host, in addition to its session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Role {
    pub host_id: String,
    pub groups: Vec<String>,
    pub has_state: bool,
    /// Edge nodes may be asked for a rebirth.
    pub may_ask: bool,
}

pub(super) struct Listener {
    options: Arc<Options>,
    role: Role,
    host: Host,
    session: Option<Session>,
    filters: Filters,
    /// Time of the present session in its STATE.
    since: u64,
    /// The server, which mirrors edge nodes.
    application: Option<Arc<dyn Application>>,
    /// Effects for the next `run`.
    effects: Effects,
    fed: usize,
}

fn not_open() -> LinkError {
    LinkError::Lost("the session is not open".to_owned())
}

fn millis(time: UaTime) -> u64 {
    let since = time.0.saturating_sub(UaTime::from_unix(Duration::ZERO).0);
    u64::try_from(since / 10_000).unwrap_or(0)
}

impl Role {
    fn topic(&self) -> String {
        format!("{NAMESPACE}/STATE/{}", self.host_id)
    }

    fn filters(&self, host: &Host) -> BTreeMap<String, u8> {
        let mut filters = host.filters(&self.groups);
        if self.has_state {
            filters.insert(self.topic(), 1);
        }
        filters
    }
}

/// The topic and the payload by which an edge node is asked to be born again.
pub(super) fn rebirth(NodeId { group, node }: &NodeId) -> (String, Vec<u8>) {
    let metric = Metric {
        name: Some(REBIRTH),
        datatype: Some(BOOLEAN),
        content: Some(Content::Boolean(true)),
        ..Metric::default()
    };
    (format!("{NAMESPACE}/{group}/NCMD/{node}"), command(&metric, millis(UaTime::now())))
}

fn state(is_online: bool, since: u64) -> Vec<u8> {
    format!("{{\"online\":{is_online},\"timestamp\":{since}}}").into_bytes()
}

/// Whether a STATE says that its host is away.
fn is_away(payload: &[u8]) -> bool {
    /// The members that count (Sparkplug 3.0 §6.4.27).
    #[derive(serde::Deserialize)]
    struct State {
        online: bool,
    }
    serde_json::from_slice(payload).is_ok_and(|State { online }| !online)
}

impl Listener {
    pub(super) fn new(options: Options, role: Role, host: Host, application: Option<Arc<dyn Application>>) -> Listener {
        Listener {
            options: Arc::new(options),
            role,
            host,
            session: None,
            filters: Filters::default(),
            since: 0,
            application,
            effects: Effects::default(),
            fed: 0,
        }
    }

    /// Waits for packets and takes them, and does what is due, until the link fails.
    async fn listen(&mut self, feed: &Feed) -> LinkError {
        loop {
            if let Err(error) = self.turn(feed).await {
                return error;
            }
        }
    }

    async fn turn(&mut self, feed: &Feed) -> Result<(), LinkError> {
        self.settle(feed).await;
        let Listener { session, host, filters, effects, role, since, .. } = self;
        let session = session.as_mut().ok_or_else(not_open)?;
        filters.send(session);
        let due = host.next_due();
        let incoming = async {
            match due {
                Some(due) => timeout_at(due, session.next()).await.ok(),
                None => Some(session.next().await),
            }
        };
        let mut is_away_now = false;
        match incoming.await.transpose()? {
            None => {}
            Some(Incoming::Message { topic, payload, .. }) if topic == role.topic() => is_away_now = is_away(payload),
            Some(Incoming::Message { topic, payload, .. }) => host.message(topic, payload, Instant::now(), effects),
            Some(Incoming::Oversized { topic, size }) => {
                let topic: String = topic.chars().take(100).collect();
                feed.remark(format!("a message of {size} bytes on {topic} is above `max_message` and was dropped"));
            }
            Some(Incoming::Answer(answer)) => {
                let codes = filters.answered(&answer).unwrap_or_default();
                let refused = codes.iter().find(|one| crate::drivers::broker::is_refusal(one.code));
                if let Some(refused) = refused {
                    let why = format!("the broker refuses the subscription to {} (not authorized)", refused.filter);
                    return Err(LinkError::Denied(why));
                }
            }
        }
        if is_away_now && role.has_state {
            // Another host with this id has gone, or the will of the connection before came late.
            session.publish(&role.topic(), &state(true, *since), 1, true);
        }
        host.tick(Instant::now(), effects);
        self.settle(feed).await;
        Ok(())
    }

    /// Sends requests for rebirths and feeds samples, with the supervisor's turn after each `TURN` of them. A future that is
    /// dropped loses nothing.
    async fn settle(&mut self, feed: &Feed) {
        self.tell();
        while let Some((point, sample)) = self.effects.samples.pop_front() {
            feed.sample(point, sample);
            self.fed += 1;
            if self.fed >= TURN {
                self.fed = 0;
                // The supervisor takes the samples.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Hands listings on, and sends requests for rebirths.
    fn tell(&mut self) {
        for Listed { folder, listing } in std::mem::take(&mut self.effects.listings) {
            if let Some(application) = &self.application {
                application.take_listing(&folder, listing);
            }
        }
        let asks = std::mem::take(&mut self.effects.asks);
        let Some(session) = self.session.as_mut().filter(|_| self.role.may_ask) else { return };
        for id in asks {
            let (topic, payload) = rebirth(&id);
            session.publish(&topic, &payload, 0, false);
        }
    }

    /// The definition by which a point is written. A rebirth needs no birth.
    fn definition(&self, address: &Address) -> Option<Definition> {
        let is_rebirth = address.device.is_none() && address.shown == Shown::Metric(REBIRTH.to_owned());
        let plain = Definition { datatype: BOOLEAN, alias: None };
        self.host.definition(address).or(is_rebirth.then_some(plain))
    }
}

impl Push for Listener {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.session = None;
        self.since = millis(UaTime::now());
        let will = Will { topic: self.role.topic(), payload: state(false, self.since), qos: 1, retain: true };
        let session = Session::open(&self.options, self.role.has_state.then_some(&will)).await?;
        self.filters.begin(self.role.filters(&self.host));
        let session = self.session.insert(session);
        self.filters.send(session);
        if self.role.has_state {
            session.publish(&self.role.topic(), &state(true, self.since), 1, true);
        }
        self.effects = Effects::default();
        self.host.begin(Instant::now(), &mut self.effects);
        Ok(())
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        self.listen(feed).await
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32, _: &Feed) -> Result<StatusCode, LinkError> {
        let Some(address) = self.host.address(point) else { return Ok(StatusCode::BadNotWritable) };
        let Shown::Metric(name) = &address.shown else { return Ok(StatusCode::BadNotWritable) };
        if first > 0 {
            return Ok(StatusCode::BadWriteNotSupported);
        }
        let Some(definition) = self.definition(address) else { return Ok(StatusCode::BadNotConnected) };
        let mut bytes = Vec::new();
        let Some(content) = content_of(definition.datatype, value, &mut bytes) else {
            return Ok(StatusCode::BadOutOfRange);
        };
        let metric = Metric {
            name: Some(name),
            alias: definition.alias,
            datatype: Some(definition.datatype),
            content: Some(content),
            ..Metric::default()
        };
        let NodeId { group, node } = &address.node;
        let topic = match &address.device {
            Some(device) => format!("{NAMESPACE}/{group}/DCMD/{node}/{device}"),
            None => format!("{NAMESPACE}/{group}/NCMD/{node}"),
        };
        let payload = command(&metric, millis(UaTime::now()));
        let session = self.session.as_mut().ok_or_else(not_open)?;
        if payload.len() + topic.len() + 16 > session.facts().max_packet {
            return Ok(StatusCode::BadOutOfRange);
        }
        session.publish(&topic, &payload, 0, false);
        let limit = self.options.timeout;
        let sent = timeout_at(Instant::now() + limit, session.flush()).await;
        sent.map_err(|_| LinkError::Timeout { waited_ms: limit.as_millis(), usable: false })??;
        Ok(StatusCode::GoodCompletesAsynchronously)
    }

    async fn disconnect(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        if self.role.has_state {
            session.publish(&self.role.topic(), &state(false, millis(UaTime::now())), 1, true);
        }
        session.close().await;
    }

    fn adopt(&mut self, old: &mut Listener) -> bool {
        if self.options != old.options || self.role != old.role {
            return false;
        }
        let before = std::mem::replace(&mut old.host, Host::new(Vec::new(), &[], Duration::ZERO));
        let tags = before.tags();
        self.host.follow(before, Instant::now(), &mut self.effects);
        let Effects { samples, asks, listings } = std::mem::take(&mut old.effects);
        self.effects.listings.extend(listings);
        let places: HashMap<TagId, u32> = (0..).zip(self.host.tags()).map(|(at, tag)| (tag, at)).collect();
        let still = |(point, sample): (u32, _)| Some((*places.get(tags.get(point as usize)?)?, sample));
        self.effects.samples.extend(samples.into_iter().filter_map(still));
        self.effects.asks.extend(asks);
        (self.session, self.filters) = (old.session.take(), std::mem::take(&mut old.filters));
        (self.since, old.since) = (old.since, 0);
        self.filters.change(self.role.filters(&self.host), |_| false);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::broker::{Url, VersionSetting};
    use crate::drivers::tls::TlsFiles;
    use crate::tags::RawSample;

    #[tokio::test]
    async fn many_samples_at_once_are_fed_in_slices_and_none_is_dropped() {
        let options = Options {
            url: Url { host: String::new(), port: 1, is_tls: false },
            client_id: String::new(),
            user: None,
            hidden: Vec::new(),
            password: None,
            keep_alive: Duration::from_secs(30),
            version: VersionSetting::V311.into(),
            max_message: 1 << 20,
            timeout: Duration::from_secs(1),
            files: TlsFiles::default(),
        };
        let role = Role { host_id: String::new(), groups: Vec::new(), has_state: false, may_ask: true };
        let mut listener = Listener::new(options, role, Host::new(Vec::new(), &[], Duration::ZERO), None);
        let sample = |number| (0, RawSample::from(Ok(Value::UInt32(number))));
        listener.effects.samples = (0..5_000).map(sample).collect();
        let feed = Feed::new(1);
        let mut taken = 0;
        {
            let mut settled = std::pin::pin!(listener.settle(&feed));
            loop {
                tokio::select! {
                    biased;
                    () = &mut settled => break,
                    () = feed.news() => feed.drain(|_, _| taken += 1),
                }
            }
        }
        feed.drain(|_, _| taken += 1);
        assert_eq!((taken, feed.take_dropped()), (5_000, 0));
    }
}
