//! One edge node: its session from birth to death, its devices, and the order of its messages. Pure: the time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::address::NodeId;
use super::part::{Definition, Effects, MOST_DEPTH, Named, Part, bad, lasts, named};
use super::proto::{Content, Metric, Payload, members};
use super::value::time_of;
use crate::value::UaTime;

/// Time in which a birth is to come: after the connection, and of devices after their node's.
pub(super) const BIRTH_WITHIN: Duration = Duration::from_secs(2);
/// Shortest time between two requests for a rebirth.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// A node whose messages are doubtful for this time is believed no longer.
const DOUBT_MOST: Duration = Duration::from_secs(5);
/// Messages that wait for one before them, and their bytes.
const MOST_WAITING: usize = 128;
const MOST_BYTES: usize = 4 << 20;
/// Kind of a message, by its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NodeBirth,
    NodeData,
    NodeDeath,
    DeviceBirth,
    DeviceData,
    DeviceDeath,
}

#[derive(Debug)]
pub(super) struct Node {
    id: NodeId,
    pub own: Part,
    pub devices: HashMap<Arc<str>, Part>,
    session: Option<Session>,
    /// Since when the node's messages are doubtful.
    doubt: Option<Instant>,
    /// Since when a death with another number makes it doubtful that the node is there.
    questioned: Option<Instant>,
    asked: Option<Instant>,
    /// Until when a birth is to come.
    due: Option<Instant>,
    /// Until when the devices are to be born again.
    devices_due: Option<Instant>,
}

/// The time from a birth to a death.
#[derive(Debug)]
struct Session {
    bd_seq: Option<u64>,
    next: u8,
    aliases: HashMap<u64, Aliased>,
    /// Messages that came too early, by their distance from the one that is missing.
    waiting: BTreeMap<u8, Waiting>,
    missing_since: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq)]
struct Aliased {
    device: Option<Arc<str>>,
    name: Arc<str>,
}

#[derive(Debug)]
struct Waiting {
    kind: Kind,
    device: Option<String>,
    bytes: Vec<u8>,
}

impl Node {
    pub(super) fn new(id: NodeId) -> Node {
        Node {
            id,
            own: Part::default(),
            devices: HashMap::new(),
            session: None,
            doubt: None,
            questioned: None,
            asked: None,
            due: None,
            devices_due: None,
        }
    }

    /// The name of a part in reasons.
    fn place(&self, device: Option<&str>) -> String {
        let NodeId { group, node } = &self.id;
        device.map_or_else(|| format!("{group}/{node}"), |device| format!("{group}/{node}/{device}"))
    }

    /// A connection begins: nothing is born yet.
    pub(super) fn begin(&mut self, now: Instant, effects: &mut Effects) {
        (self.session, self.doubt, self.questioned, self.asked) = (None, None, None, None);
        (self.due, self.devices_due) = (Some(now + BIRTH_WITHIN), None);
        let why = format!("edge node {} has not been born", self.id.node);
        for part in std::iter::once(&mut self.own).chain(self.devices.values_mut()) {
            (part.is_born, part.definitions) = (false, HashMap::new());
            part.turn(StatusCode::BadNotConnected, &why, effects);
            let points = part.online.iter().chain(&part.birth);
            effects.samples.extend(points.map(|point| (*point, bad(StatusCode::BadNotConnected, &why))));
        }
    }

    /// Takes over the session of the node before a reload; parts with other points wait for a birth.
    pub(super) fn follow(&mut self, old: Node, is_same: bool, now: Instant) {
        let Node { own, mut devices, session, doubt, questioned, asked, due, devices_due, .. } = old;
        (self.session, self.doubt, self.questioned) = (session, doubt, questioned);
        (self.asked, self.due, self.devices_due) = (asked, due, devices_due);
        (self.own.is_born, self.own.definitions) = (own.is_born, own.definitions);
        for (name, part) in &mut self.devices {
            if let Some(before) = devices.remove(name) {
                (part.is_born, part.definitions) = (before.is_born, before.definitions);
            }
        }
        if !is_same && self.session.is_some() {
            // Values of the new points come with a birth; those of the others are right meanwhile.
            self.due = Some(now);
        }
    }

    /// Takes a message.
    pub(super) fn message(
        &mut self,
        kind: Kind,
        device: Option<&str>,
        bytes: &[u8],
        now: Instant,
        effects: &mut Effects,
    ) {
        let Ok(payload) = Payload::read(bytes) else { return self.suspect(now, effects) };
        match kind {
            Kind::NodeBirth => self.born(&payload, now, effects),
            Kind::NodeDeath => self.died(&payload, now, effects),
            _ => self.in_order(Early { kind, device, bytes }, &payload, now, effects),
        }
    }

    fn born(&mut self, payload: &Payload<'_>, now: Instant, effects: &mut Effects) {
        let Some(seq) = payload.seq.and_then(|seq| u8::try_from(seq).ok()) else { return self.suspect(now, effects) };
        let mut all = Vec::new();
        named(&payload.metrics, "", MOST_DEPTH, &mut all);
        let bd_seq = payload.metrics.iter().find(|metric| metric.name == Some("bdSeq"));
        let bd_seq = bd_seq.and_then(|metric| number_of(metric.content));
        let before = self.session.take().map(|session| session.bd_seq);
        let session = Session {
            bd_seq,
            next: seq.wrapping_add(1),
            aliases: HashMap::new(),
            waiting: BTreeMap::new(),
            missing_since: None,
        };
        let session = self.session.insert(session);
        session.learn(None, &all);
        (self.doubt, self.questioned, self.due) = (None, None, None);
        let is_rebirth = before == Some(bd_seq);
        let why = format!("edge node {} was born again, and this device was not", self.id.node);
        for part in self.devices.values_mut() {
            if !is_rebirth && part.is_born {
                part.die(&why, effects);
            }
            part.is_born = false;
        }
        self.devices_due = (!self.devices.is_empty()).then_some(now + BIRTH_WITHIN);
        let place = self.place(None);
        self.own.bear(&place, payload, &all, effects);
    }

    /// A death counts only for the session whose number it has: an old will may come after the next birth.
    fn died(&mut self, payload: &Payload<'_>, now: Instant, effects: &mut Effects) {
        let metric = payload.metrics.iter().find(|metric| metric.name == Some("bdSeq"));
        let bd_seq = metric.and_then(|metric| number_of(metric.content));
        match &self.session {
            Some(session) if session.bd_seq == bd_seq => {}
            Some(_) => {
                // Mostly an old will; some stacks send a wrong number. The node says which by a birth, or by nothing.
                self.questioned.get_or_insert(now);
                return self.ask(now, effects);
            }
            None => return,
        }
        let time = payload.timestamp.map_or_else(UaTime::now, time_of);
        let why = format!("edge node {} died at {}", self.id.node, crate::value::time_to_text(time));
        (self.session, self.doubt, self.questioned, self.devices_due) = (None, None, None, None);
        for part in std::iter::once(&mut self.own).chain(self.devices.values_mut()) {
            part.die(&why, effects);
        }
    }

    /// Takes a message of a session when its turn has come.
    fn in_order(&mut self, early: Early<'_>, payload: &Payload<'_>, now: Instant, effects: &mut Effects) {
        let seq = payload.seq.and_then(|seq| u8::try_from(seq).ok());
        let (Some(session), Some(seq)) = (&mut self.session, seq) else { return self.suspect(now, effects) };
        if self.doubt.is_some() {
            return self.suspect(now, effects);
        }
        match seq.wrapping_sub(session.next) {
            0 => {
                session.next = session.next.wrapping_add(1);
                self.questioned = None;
                self.apply(early.kind, early.device, payload, now, effects);
                self.catch_up(now, effects);
            }
            // The last one came twice, as it may at QoS 1.
            u8::MAX => {}
            ahead @ 1..128 => {
                let held: usize = session.waiting.values().map(|waiting| waiting.bytes.len()).sum();
                if session.waiting.len() >= MOST_WAITING || held + early.bytes.len() > MOST_BYTES {
                    return self.suspect(now, effects);
                }
                session.missing_since.get_or_insert(now);
                let place = seq;
                debug_assert!(ahead > 0);
                session.waiting.insert(place, early.kept());
            }
            _ => self.suspect(now, effects),
        }
    }

    /// Takes the messages that waited for the last one.
    fn catch_up(&mut self, now: Instant, effects: &mut Effects) {
        while let Some(session) = &mut self.session {
            let Some(waiting) = session.waiting.remove(&session.next) else {
                let is_whole = session.waiting.is_empty();
                session.missing_since = if is_whole { None } else { session.missing_since };
                return;
            };
            session.next = session.next.wrapping_add(1);
            let Ok(payload) = Payload::read(&waiting.bytes) else { return self.suspect(now, effects) };
            self.apply(waiting.kind, waiting.device.as_deref(), &payload, now, effects);
            if self.doubt.is_some() {
                return;
            }
        }
    }

    fn apply(&mut self, kind: Kind, device: Option<&str>, payload: &Payload<'_>, now: Instant, effects: &mut Effects) {
        let place = self.place(device);
        // A device that no tag is of has its place in the order, and nothing else.
        let part = match device {
            None => Some((None, &mut self.own)),
            Some(device) => {
                let known = self.devices.get_key_value(device).map(|(name, _)| Arc::clone(name));
                known.and_then(|name| Some((Some(Arc::clone(&name)), self.devices.get_mut(&name)?)))
            }
        };
        let Some((device, part)) = part else { return };
        let Some(session) = &mut self.session else { return };
        match kind {
            Kind::DeviceBirth => {
                let mut all = Vec::new();
                named(&payload.metrics, "", MOST_DEPTH, &mut all);
                session.learn(device, &all);
                part.bear(&place, payload, &all, effects);
            }
            Kind::DeviceDeath => {
                let time = payload.timestamp.map_or_else(UaTime::now, time_of);
                let text = crate::value::time_to_text(time);
                part.die(&format!("device {place} died at {text}"), effects);
            }
            _ if !part.is_born => self.suspect(now, effects),
            _ => {
                let found = session.resolve(device.as_ref(), part, &payload.metrics, "", MOST_DEPTH);
                let Some(found) = found else { return self.suspect(now, effects) };
                for Named { name, metric } in lasts(&found) {
                    part.take(&place, name, metric, payload.timestamp, effects);
                }
            }
        }
    }

    /// The messages of the node cannot be believed until it is born again.
    fn suspect(&mut self, now: Instant, effects: &mut Effects) {
        if self.session.is_some() {
            self.doubt.get_or_insert(now);
        }
        self.ask(now, effects);
    }

    fn ask(&mut self, now: Instant, effects: &mut Effects) {
        if self.asked.is_some_and(|asked| now < asked + ASK_EVERY) {
            return;
        }
        self.asked = Some(now);
        effects.asks.push(self.id.clone());
    }

    /// The next moment at which something is due.
    pub(super) fn next_due(&self, reorder: Duration) -> Option<Instant> {
        let missing = self.session.as_ref().and_then(|session| session.missing_since).filter(|_| self.doubt.is_none());
        let again = self.asked.map(|asked| asked + ASK_EVERY).filter(|_| self.doubt.is_some() || self.is_expected());
        let doubt = self.doubt.map(|since| since + DOUBT_MOST).filter(|_| self.session.is_some());
        let questioned = self.questioned.map(|since| since + DOUBT_MOST);
        let all = [self.due, self.devices_due, questioned, missing.map(|since| since + reorder), again, doubt];
        all.into_iter().flatten().min()
    }

    /// A new point waits for a birth that was asked for too early.
    fn is_expected(&self) -> bool {
        self.due.is_some()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant, reorder: Duration, effects: &mut Effects) {
        if self.due.is_some_and(|due| due <= now) {
            let may_ask = self.asked.is_none_or(|asked| now >= asked + ASK_EVERY);
            self.due = (!may_ask).then(|| self.asked.map_or(now, |asked| asked + ASK_EVERY));
            if may_ask && self.session.is_none() {
                // No birth came with the connection: as far as anybody knows the node is not there.
                self.own.say_online(false, effects);
                self.devices.values().for_each(|part| part.say_online(false, effects));
            }
            self.ask(now, effects);
        }
        if self.devices_due.is_some_and(|due| due <= now) {
            self.devices_due = None;
            let why = format!("edge node {} was born again, and this device was not", self.id.node);
            for part in self.devices.values_mut().filter(|part| !part.is_born) {
                part.die(&why, effects);
            }
        }
        let missing = self.session.as_ref().and_then(|session| session.missing_since);
        if self.doubt.is_none() && missing.is_some_and(|since| since + reorder <= now) {
            self.suspect(now, effects);
        }
        if self.doubt.is_some() {
            self.ask(now, effects);
        }
        let is_over = |since: Option<Instant>| since.is_some_and(|since| since + DOUBT_MOST <= now);
        if self.session.is_some() && (is_over(self.doubt) || is_over(self.questioned)) {
            let why = match self.questioned {
                Some(_) => "a death with another number came",
                None => "messages are missing",
            };
            let why = format!("edge node {} is doubtful ({why}), and it was not born again", self.id.node);
            (self.session, self.questioned) = (None, None);
            for part in std::iter::once(&mut self.own).chain(self.devices.values_mut()) {
                part.die(&why, effects);
            }
        }
    }

    /// The definition of a metric that is written; `None` while its part is not born, or for one that the birth lacks.
    pub(super) fn definition(&self, device: Option<&str>, name: &str) -> Option<Definition> {
        let part = device.map_or(Some(&self.own), |device| self.devices.get(device))?;
        part.definitions.get(name).copied().filter(|_| part.is_born)
    }
}

fn number_of(content: Option<Content<'_>>) -> Option<u64> {
    match content? {
        Content::Int(number) => Some(number.into()),
        Content::Long(number) => Some(number),
        _ => None,
    }
}

/// A message that may be too early.
struct Early<'m> {
    kind: Kind,
    device: Option<&'m str>,
    bytes: &'m [u8],
}

impl Early<'_> {
    fn kept(&self) -> Waiting {
        Waiting { kind: self.kind, device: self.device.map(str::to_owned), bytes: self.bytes.to_vec() }
    }
}

impl Session {
    /// Learns the aliases of a birth. One that two metrics have means neither.
    fn learn(&mut self, device: Option<Arc<str>>, all: &[Named<'_>]) {
        self.aliases.retain(|_, known| known.device != device);
        for Named { name, metric } in all {
            let Some(alias) = metric.alias else { continue };
            let new = Aliased { device: device.clone(), name: Arc::clone(name) };
            let ambiguous = Aliased { device: None, name: "".into() };
            self.aliases.entry(alias).and_modify(|known| *known = ambiguous).or_insert(new);
        }
    }

    /// The metrics of data by their names; `None` where one is not known.
    fn resolve<'a>(
        &self,
        device: Option<&Arc<str>>,
        part: &Part,
        metrics: &[Metric<'a>],
        above: &str,
        depth: u8,
    ) -> Option<Vec<Named<'a>>> {
        let mut found = Vec::with_capacity(metrics.len());
        for metric in metrics {
            let name: Arc<str> = match (metric.alias, metric.name) {
                (Some(alias), _) => {
                    let known = self.aliases.get(&alias).filter(|known| known.device.as_ref() == device)?;
                    Arc::clone(&known.name)
                }
                (None, Some(name)) => format!("{above}{name}").into(),
                (None, None) => return None,
            };
            if !part.definitions.contains_key(&name) {
                return None;
            }
            if let (Some(Content::Template(bytes)), 1..) = (metric.content, depth) {
                let inner = members(bytes).ok()?;
                found.extend(self.resolve(device, part, &inner, &format!("{name}/"), depth - 1)?);
            }
            found.push(Named { name, metric: *metric });
        }
        Some(found)
    }
}
