//! A link to a broker: messages become samples, writes become messages.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use opcua::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::online::is_offline;
use super::table::{Table, Unserved};
use crate::drivers::broker::{Filters, Incoming, Options, Session, Subscribed, is_refusal};
use crate::drivers::contract::LinkError;
use crate::drivers::feed::Feed;
use crate::drivers::payload::{Found, Outcome, members_of, why_missing};
use crate::drivers::push::Push;
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::{UaTime, Value};

/// Samples after which the supervisor gets its turn. Fewer than a feed holds, so none is dropped.
const TURN: usize = 256;

pub(super) struct Listener {
    options: Arc<Options>,
    table: Table,
    session: Option<Session>,
    filters: Filters,
    /// Filters that the broker has refused on this connection.
    refused: HashSet<String>,
    state: State,
    /// Groups of the present message.
    found: Vec<usize>,
}

/// State of the points on this connection.
#[derive(Debug, Default)]
struct State {
    points: Vec<Heard>,
    /// Whether the device is off, by online topic.
    off: Vec<bool>,
    /// Samples for the next `run`.
    waiting: Vec<(u32, RawSample)>,
    /// Samples that were fed since the supervisor had its turn.
    fed: usize,
}

/// State of one point.
#[derive(Debug, Clone, Default)]
struct Heard {
    /// Some message had the member that the point names, or its lack was reported.
    is_known: bool,
    /// A live message has come.
    is_live: bool,
    /// A retained message comes again because another point asked for it.
    skips_retained: bool,
    /// The last sample of a point with an online topic.
    last: Option<RawSample>,
}

impl Listener {
    pub(super) fn new(options: Options, table: Table) -> Listener {
        let state = State::new(&table);
        Listener {
            options: Arc::new(options),
            table,
            session: None,
            filters: Filters::default(),
            refused: HashSet::new(),
            state,
            found: Vec::new(),
        }
    }

    /// Waits for packets and takes them, until the answer with this id comes.
    async fn until_answer(&mut self, id: u16, feed: &Feed) -> Result<u8, LinkError> {
        loop {
            let Listener { session, filters, state, table, refused, found, .. } = self;
            let session = session.as_mut().ok_or_else(not_open)?;
            filters.send(session);
            let mut taker = Taker { table, state, filters, refused, found, feed };
            if let Some(code) = taker.take(session.next().await?, id) {
                return Ok(code);
            }
            if self.state.fed >= TURN {
                self.state.fed = 0;
                // The supervisor takes the samples.
                tokio::task::yield_now().await;
            }
        }
    }
}

fn not_open() -> LinkError {
    LinkError::Lost("the session is not open".to_owned())
}

/// The parts that a packet changes.
struct Taker<'l> {
    table: &'l Table,
    state: &'l mut State,
    filters: &'l mut Filters,
    refused: &'l mut HashSet<String>,
    found: &'l mut Vec<usize>,
    feed: &'l Feed,
}

impl Taker<'_> {
    /// Takes a packet; the code where it is the answer with this id.
    fn take(&mut self, incoming: Incoming<'_>, id: u16) -> Option<u8> {
        match incoming {
            Incoming::Message { topic, payload, is_retained } => self.message(topic, payload, is_retained),
            Incoming::Oversized { topic, size } => {
                let topic: String = topic.chars().take(100).collect();
                self.feed
                    .remark(format!("a message of {size} bytes on {topic} is above `max_message` and was dropped"));
            }
            Incoming::Answer(answer) => match self.filters.answered(&answer) {
                Some(codes) => self.refuse(&codes),
                None if answer.id == id => return answer.codes.first().copied(),
                // The late answer to a write that was given up.
                None => {}
            },
        }
        None
    }

    fn message(&mut self, topic: &str, payload: &[u8], is_retained: bool) {
        let mut found = std::mem::take(self.found);
        self.table.routes.find(topic, &mut found);
        // Looked up once for all tags that miss something.
        let mut there: Option<String> = None;
        for group in &found {
            let group = &self.table.groups[*group];
            group.reader.read(topic, payload, |point, outcome| match outcome {
                Outcome::Found(one) => self.state.hear(self.table, point, one, is_retained, self.feed),
                Outcome::Missing(path) => {
                    if self.state.is_unknown(point) {
                        let there = there.get_or_insert_with(|| members_of(payload));
                        let why = why_missing(path, topic, there);
                        let sample = RawSample::from(Err(StatusCode::BadConfigurationError)).because(&why);
                        self.state.give(self.table, point, sample, self.feed);
                    }
                }
            });
            if let Some(online) = group.online {
                self.state.set_online(self.table, online, is_offline(payload), self.feed);
            }
        }
        *self.found = found;
    }

    /// The broker refuses filters: points without another one are Bad.
    fn refuse(&mut self, answers: &[Subscribed]) {
        let refused = answers.iter().filter(|one| is_refusal(one.code));
        let codes: HashMap<&str, u8> = refused.map(|one| (one.filter.as_str(), one.code)).collect();
        self.refused.extend(codes.keys().map(|filter| (*filter).to_owned()));
        let filters: Vec<&str> = codes.keys().copied().collect();
        for Unserved { point, filter } in self.table.points_of(&filters) {
            if !self.table.is_served(point, |filter| self.refused.contains(filter)) {
                let (status, why) = refusal(codes[filter]);
                let why = format!("the broker refuses the subscription to {filter} ({why})");
                let sample = RawSample::from(Err(status)).because(&why);
                self.state.give(self.table, point, sample, self.feed);
            }
        }
    }
}

/// Status and words of a subscription that is refused (3.1.1 §3.9.3, 5.0 §3.9.3).
fn refusal(code: u8) -> (StatusCode, String) {
    match code {
        0x80 | 0x87 => (StatusCode::BadUserAccessDenied, "not authorized".to_owned()),
        0x8f => (StatusCode::BadConfigurationError, "the filter is not valid there".to_owned()),
        0x97 => (StatusCode::BadResourceUnavailable, "too many subscriptions".to_owned()),
        0xa2 => (StatusCode::BadConfigurationError, "it has no subscriptions with `+` or `#`".to_owned()),
        code => (StatusCode::BadUserAccessDenied, format!("code {code:#04x}")),
    }
}

/// Status of a message that the broker does not take (5.0 §3.4.2.1).
fn write_status(code: u8) -> StatusCode {
    match code {
        0..0x80 => StatusCode::Good,
        0x87 => StatusCode::BadUserAccessDenied,
        0x90 => StatusCode::BadConfigurationError,
        0x97 => StatusCode::BadResourceUnavailable,
        0x99 => StatusCode::BadDataEncodingInvalid,
        _ => StatusCode::BadDeviceFailure,
    }
}

impl State {
    fn new(table: &Table) -> State {
        State {
            points: vec![Heard::default(); table.points.len()],
            off: vec![false; table.onlines.len()],
            ..State::default()
        }
    }

    /// Whether no message ever had the point's member; asked once.
    fn is_unknown(&mut self, point: u32) -> bool {
        !std::mem::replace(&mut self.points[point as usize].is_known, true)
    }

    fn hear(&mut self, table: &Table, point: u32, mut found: Found, is_retained: bool, feed: &Feed) {
        let heard = &mut self.points[point as usize];
        heard.is_known = true;
        if is_retained {
            if heard.skips_retained {
                return;
            }
            // Its age is not known.
            if found.time.is_none() && found.status == StatusCode::Good {
                found.status = StatusCode::UncertainLastUsableValue;
            }
        } else {
            (heard.is_live, heard.skips_retained) = (true, false);
        }
        self.give(table, point, found.sample(), feed);
    }

    /// Feeds a sample, unless the point's device is off: then it waits.
    fn give(&mut self, table: &Table, point: u32, sample: RawSample, feed: &Feed) {
        if let Some(online) = table.points[point as usize].online {
            let sample = match sample.source_time() {
                Some(_) => sample,
                None => sample.at(UaTime::now()),
            };
            self.points[point as usize].last = Some(sample.clone());
            if self.off[online] {
                return;
            }
            return self.feed(point, sample, feed);
        }
        self.feed(point, sample, feed);
    }

    fn feed(&mut self, point: u32, sample: RawSample, feed: &Feed) {
        self.fed += 1;
        feed.sample(point, sample);
    }

    fn set_online(&mut self, table: &Table, online: usize, is_off: bool, feed: &Feed) {
        if std::mem::replace(&mut self.off[online], is_off) == is_off {
            return;
        }
        for point in &table.onlines[online].points {
            let sample = match is_off {
                true => {
                    let heard = &mut self.points[*point as usize];
                    heard.last = heard.last.take().map(aged);
                    off_sample(table, online)
                }
                false => self.points[*point as usize]
                    .last
                    .clone()
                    .unwrap_or_else(|| RawSample::from(Err(StatusCode::BadWaitingForInitialData))),
            };
            self.feed(*point, sample, feed);
        }
    }

    /// Takes over what is known of points that are the same.
    fn follow(&mut self, table: &Table, old: &mut State, old_table: &Table, same: &HashMap<u32, u32>) {
        let off = |topic: &str| {
            let at = old_table.onlines.iter().position(|online| online.topic == topic);
            at.is_some_and(|at| old.off[at])
        };
        self.off = table.onlines.iter().map(|online| off(&online.topic)).collect();
        let new_of: HashMap<u32, u32> = same.iter().map(|(new, old)| (*old, *new)).collect();
        let waiting = std::mem::take(&mut old.waiting).into_iter();
        self.waiting.extend(waiting.filter_map(|(point, sample)| Some((*new_of.get(&point)?, sample))));
        for (at, point) in (0u32..).zip(&table.points) {
            match same.get(&at) {
                Some(old_at) => self.points[at as usize] = std::mem::take(&mut old.points[*old_at as usize]),
                None => {
                    let online = point.online.filter(|online| self.off[*online]);
                    self.waiting.extend(online.map(|online| (at, off_sample(table, online))));
                }
            }
        }
    }
}

/// The sample of a point whose device says that it is off.
fn off_sample(table: &Table, online: usize) -> RawSample {
    let why = format!("the device says on {} that it is offline", table.onlines[online].topic);
    RawSample::from(Err(StatusCode::BadNoCommunication)).because(&why)
}

/// A sample from before the device was off: nobody knows what has changed meanwhile.
fn aged(sample: RawSample) -> RawSample {
    let Ok(value) = sample.value() else { return sample };
    let aged = RawSample::new(value.clone(), StatusCode::UncertainLastUsableValue);
    match sample.source_time() {
        Some(time) => aged.at(time),
        None => aged,
    }
}

impl Push for Listener {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.session = None;
        let session = Session::open(&self.options, None).await?;
        self.state = State::new(&self.table);
        self.refused.clear();
        self.filters.begin(self.table.filters.clone());
        self.filters.send(self.session.insert(session));
        Ok(())
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        for (point, sample) in std::mem::take(&mut self.state.waiting) {
            self.state.feed(point, sample, feed);
        }
        // No packet of ours has the id 0.
        match self.until_answer(0, feed).await {
            Ok(_) => not_open(),
            Err(error) => error,
        }
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32, feed: &Feed) -> Result<StatusCode, LinkError> {
        let Some(publish) = &self.table.points[point as usize].write else { return Ok(StatusCode::BadNotWritable) };
        let session = self.session.as_mut().ok_or_else(not_open)?;
        if first > 0 {
            return Ok(StatusCode::BadWriteNotSupported);
        }
        let payload = match publish.body.bytes(value, UaTime::now()) {
            Ok(payload) => payload,
            Err(status) => return Ok(status),
        };
        let facts = session.facts();
        if publish.retain && !facts.has_retain {
            return Ok(StatusCode::BadNotSupported);
        }
        if payload.len() + publish.topic.len() + 16 > facts.max_packet {
            return Ok(StatusCode::BadOutOfRange);
        }
        let id = session.publish(&publish.topic, &payload, publish.qos.min(facts.max_qos), publish.retain);
        let limit = self.options.timeout;
        let deadline = Instant::now() + limit;
        let late = |usable| LinkError::Timeout { waited_ms: limit.as_millis(), usable };
        if id == 0 {
            timeout_at(deadline, session.flush()).await.map_err(|_| late(false))??;
            return Ok(StatusCode::GoodCompletesAsynchronously);
        }
        match timeout_at(deadline, self.until_answer(id, feed)).await {
            Ok(code) => Ok(write_status(code?)),
            // An answer that comes later has an id that nothing waits for. A command that has not left must not leave later.
            Err(_) => Err(late(self.session.as_ref().is_some_and(Session::is_sent))),
        }
    }

    async fn disconnect(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    fn adopt(&mut self, old: &mut Listener) -> bool {
        if self.options != old.options {
            return false;
        }
        let olds: HashMap<TagId, u32> = (0..).zip(&old.table.points).map(|(at, point)| (point.plan.tag, at)).collect();
        let is_same = |at: u32, point: &super::table::Point| {
            let old_at = *olds.get(&point.plan.tag)?;
            let before = &old.table.points[old_at as usize];
            let online = |table: &Table, online: Option<usize>| online.map(|at| table.onlines[at].topic.clone());
            let is_same =
                before.plan == point.plan && online(&old.table, before.online) == online(&self.table, point.online);
            is_same.then_some((at, old_at))
        };
        let same: HashMap<u32, u32> =
            (0..).zip(&self.table.points).filter_map(|(at, point)| is_same(at, point)).collect();
        self.state.follow(&self.table, &mut old.state, &old.table, &same);
        (self.session, self.filters) = (old.session.take(), std::mem::take(&mut old.filters));
        self.refused = std::mem::take(&mut old.refused);
        // A new point wants the retained message of its topic; for the others it is not new.
        let new: Vec<&str> = (0..)
            .zip(&self.table.points)
            .filter(|(at, point)| !same.contains_key(at) && point.plan.read)
            .map(|(_, point)| point.plan.address.as_str())
            .collect();
        let serves_new = |filter: &str| new.iter().any(|topic| crate::drivers::broker::covers(filter, topic));
        let again: HashSet<String> = self.table.filters.keys().filter(|filter| serves_new(filter)).cloned().collect();
        let asked: Vec<&str> = again.iter().map(String::as_str).collect();
        for Unserved { point, .. } in self.table.points_of(&asked) {
            if same.contains_key(&point) {
                let heard = &mut self.state.points[point as usize];
                heard.skips_retained = heard.is_live;
            }
        }
        self.refused.retain(|filter| !again.contains(filter));
        self.filters.change(self.table.filters.clone(), |filter| again.contains(filter));
        self.refused.retain(|filter| self.table.filters.contains_key(filter));
        true
    }
}
