//! A publisher with an open session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use opcua::StatusCode;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Sender;
use crate::drivers::broker::{Filters, Incoming, LinkError, Session, is_refusal};
use crate::logging;
use crate::model::{PublishFormat, TagId};
use crate::publish::collector::News;
use crate::publish::command::{self, Command};
use crate::publish::flight::{Flight, Load, Update};
use crate::publish::json;
use crate::publish::spool::Numbered;
use crate::publish::status::add;
use crate::publish::table::Table;
use crate::value::{UaTime, Value};

/// Messages without an acknowledgement.
const WINDOW: usize = 128;
/// Bytes that may wait in the session.
const MOST_UNSENT: usize = 128 << 10;
/// Changes that may wait for a place; above it they are gathered for longer.
const MOST_PENDING: usize = 1_024;
/// While a broker has acknowledged nothing for this time, what comes is kept on disk.
const STILL: Duration = Duration::from_secs(1);
/// Shortest time after which a broker without acknowledgements is given up.
const GIVEN_UP: Duration = Duration::from_secs(5);
/// Records that are read from the buffer at once.
const AT_ONCE: usize = 256;
/// Time for the last values at the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Time between two looks at values that are to be repeated.
const LOOK: Duration = Duration::from_millis(500);

/// Why a session ended.
pub(super) enum End {
    Failed(LinkError),
    /// Another plan needs another session, or the publisher ends.
    Ordered,
}

/// An open session.
pub(super) struct Link {
    pub session: Session,
    filters: Filters,
    /// The plan that the session was opened by.
    table: Arc<Table>,
    /// Something was collected that was not taken yet.
    has_news: bool,
    looked: Instant,
}

impl Link {
    pub(super) fn new(session: Session, table: Arc<Table>) -> Link {
        Link { session, table, filters: Filters::default(), has_news: false, looked: Instant::now() }
    }
}

/// A message to the broker.
pub(super) struct Message<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
}

/// An event of a session.
enum Event {
    Answer { id: u16, code: u8 },
    Command { topic: String, payload: Vec<u8>, is_retained: bool },
    News,
    Ordered,
    Nothing,
}

/// Place for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// They are sent.
    Live,
    /// They are kept on disk.
    Disk,
    /// They remain where they are collected.
    Wait,
}

impl Sender {
    /// Sends until the session ends.
    pub(super) async fn serve(&mut self, mut link: Link) -> End {
        self.greet(&mut link);
        loop {
            match self.step(&mut link).await {
                Ok(Event::Ordered) => {
                    let may_stay = self.follow().await;
                    if !may_stay {
                        self.farewell(link).await;
                        return End::Ordered;
                    }
                    link.filters.change(self.filters(), |_| false);
                    link.filters.send(&mut link.session);
                }
                Ok(_) => {}
                Err(error) => return End::Failed(error),
            }
        }
    }

    /// The first messages of a session.
    fn greet(&mut self, link: &mut Link) {
        if self.json().is_some() {
            self.tell_online(link, b"true");
        }
        link.filters.begin(self.filters());
        link.filters.send(&mut link.session);
        if self.json().is_none() {
            return;
        }
        // The broker may have forgotten everything.
        self.table.entries.keys().for_each(|key| self.collector.mark(*key));
    }

    fn tell_online(&mut self, link: &mut Link, payload: &[u8]) {
        let qos = self.json().map_or(0, |json| json.qos).min(link.session.facts().max_qos);
        let has_retain = link.session.facts().has_retain;
        let id = link.session.publish(&link.table.online, payload, qos, has_retain);
        self.flights.push_back(Flight { id, load: Load::Own, since: Instant::now() });
    }

    fn filters(&self) -> BTreeMap<String, u8> {
        if let Some(format) = self.sparkplug() {
            return self.node_filters(&format);
        }
        self.table.commands.keys().map(|topic| (topic.clone(), 1)).collect()
    }

    /// Sends what may be sent, and takes what happens next.
    async fn step(&mut self, link: &mut Link) -> Result<Event, LinkError> {
        self.fill(link).await;
        if self.is_drained() {
            self.note_outdated();
        }
        let now = Instant::now();
        self.check_flights(link, now)?;
        let gather_at = self.gathered + self.table.publish.min_interval;
        let due = self.due(link, gather_at);
        let has_unanswered = self.has_unanswered();
        let event = tokio::select! {
            incoming = next(&mut link.session, has_unanswered) => match incoming? {
                None => Event::Nothing,
                Some(Incoming::Answer(answer)) => match link.filters.answered(&answer) {
                    Some(codes) => {
                        for subscribed in codes.iter().filter(|subscribed| is_refusal(subscribed.code)) {
                            let (name, filter) = (&self.table.name, &subscribed.filter);
                            let line = format_args!("{name}: the broker refuses the subscription to {filter}");
                            logging::limited(Level::Warn, "subscription refused", None, line);
                        }
                        Event::Nothing
                    }
                    None => Event::Answer { id: answer.id, code: answer.codes.first().copied().unwrap_or(0) },
                },
                Some(Incoming::Message { topic, payload, is_retained }) => {
                    Event::Command { topic: topic.to_owned(), payload: payload.to_vec(), is_retained }
                }
                Some(Incoming::Oversized { topic, size }) => {
                    let topic: String = topic.chars().take(100).collect();
                    let line = format_args!("{}: a command of {size} bytes on {topic} was dropped", self.table.name);
                    logging::limited(Level::Warn, "command too large", None, line);
                    Event::Nothing
                }
            },
            () = self.collector.woken(), if !link.has_news => Event::News,
            () = self.writing.done(), if self.writing.is_busy() => Event::Nothing,
            _ = self.orders.changed() => Event::Ordered,
            () = sleep_until(due) => Event::Nothing,
        };
        match event {
            Event::Answer { id, code } => self.answered(id, code),
            Event::Command { ref topic, ref payload, is_retained } => self.command(topic, payload, is_retained)?,
            Event::News => link.has_news = true,
            Event::Ordered => return Ok(event),
            Event::Nothing => {}
        }
        link.filters.send(&mut link.session);
        self.repeat(link);
        self.take(link, gather_at).await;
        Ok(event)
    }

    fn due(&self, link: &Link, gather_at: Instant) -> Instant {
        let now = Instant::now();
        let look = link.looked + LOOK;
        let oldest = self.flights.front().map(|flight| flight.since);
        let still = oldest.map(|since| if now < since + STILL { since + STILL } else { now + STILL / 4 });
        let news = match self.way(now) {
            Way::Wait => now + STILL / 4,
            Way::Live | Way::Disk => gather_at,
        };
        let news = link.has_news.then_some(news);
        [Some(look), still, news].into_iter().flatten().min().unwrap_or(look)
    }

    fn way(&self, now: Instant) -> Way {
        let is_still = self.flights.front().is_some_and(|flight| now >= flight.since + STILL);
        match () {
            () if self.json().is_none() && !self.edge.is_born => match self.store.is_there() {
                true => Way::Disk,
                false => Way::Wait,
            },
            () if is_still && self.store.is_there() => Way::Disk,
            () if is_still || !self.is_drained() || self.pending.len() >= MOST_PENDING => Way::Wait,
            () => Way::Live,
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.late.is_empty() && self.store.is_drained()
    }

    /// Takes what was collected, when it is time.
    async fn take(&mut self, link: &mut Link, gather_at: Instant) {
        if !link.has_news || Instant::now() < gather_at {
            return;
        }
        match self.way(Instant::now()) {
            Way::Live => link.has_news = !self.gather(),
            Way::Disk => {
                self.keep_news().await;
                link.has_news = false;
            }
            // Samples that would be pushed out are kept on disk, in their order.
            Way::Wait if self.store.is_there() && self.collector.is_pressed() => self.keep_samples().await,
            Way::Wait => {}
        }
    }

    async fn keep_samples(&mut self) {
        let samples = self.collector.take_samples();
        if self.orders.has_changed().unwrap_or(true) {
            return self.collector.put_back(News { marked: Vec::new(), samples });
        }
        let updates = samples.into_iter().map(|one| Update { key: one.key, sample: one.sample, is_past: false });
        self.pending.extend(updates);
        self.keep_pending().await;
    }

    /// Marks values that were not sent for `max_interval`.
    fn repeat(&mut self, link: &mut Link) {
        let now = Instant::now();
        if now < link.looked + LOOK {
            return;
        }
        link.looked = now;
        let Some(json) = self.json().filter(|_| self.is_drained()) else { return };
        let longest = json.max_interval;
        for (key, sent_at) in &self.sent_at {
            if *sent_at + longest <= now + LOOK {
                self.collector.mark(*key);
            }
        }
    }

    /// Hands messages to the session as long as there are places.
    async fn fill(&mut self, link: &mut Link) {
        let node = self.sparkplug();
        if let Some(format) = &node {
            self.bear(link, format);
            if !self.edge.is_born {
                return;
            }
        }
        while self.flights.len() < WINDOW && link.session.unsent() < MOST_UNSENT {
            if let Some(format) = node.as_ref().filter(|_| !self.late.is_empty()) {
                self.send_late(link, format);
            } else if let Some(format) = node.as_ref().filter(|_| self.store.is_drained() && !self.pending.is_empty()) {
                self.send_changes(link, format);
            } else if let Some(numbered) = self.late.pop_front() {
                self.send_record(link, numbered);
            } else if !self.store.is_drained() {
                let records = self.store.next(AT_ONCE).await;
                if records.is_empty() && !self.store.is_drained() {
                    return;
                }
                self.late.extend(records);
                self.drop_outdated();
            } else if let Some(topic) = self.cleared.pop_front() {
                // After the buffer, which may have values of this topic.
                self.clear(link, topic);
            } else if let Some(update) = self.pending.pop_front() {
                let Some(entry) = self.table.entries.get(&update.key) else { continue };
                let (topic, payload) = (entry.topic.clone(), json::message(&update.sample, entry.texts.as_deref()));
                let retain = self.table.is_retained();
                self.publish(link, &topic, &payload, retain, Load::Live(update));
            } else {
                return;
            }
        }
    }

    /// Makes the broker forget the retained message of a topic.
    fn clear(&mut self, link: &mut Link, topic: Arc<str>) {
        let facts = link.session.facts();
        if facts.has_retain {
            let qos = self.json().map_or(0, |json| json.qos).min(facts.max_qos);
            let id = link.session.publish(&topic, &[], qos, true);
            self.flights.push_back(Flight { id, load: Load::Clear(topic), since: Instant::now() });
        }
    }

    /// A record of the buffer. A value whose tag does not go out any more is not retained: nothing would ever replace it.
    fn send_record(&mut self, link: &mut Link, numbered: Numbered) {
        let Numbered { number, record } = numbered;
        let retain = self.table.is_retained() && self.table.topics.contains_key(record.topic.as_str());
        let payload = json::late(record.payload);
        self.publish(link, &record.topic, &payload, retain, Load::Late(number));
    }

    /// Sends a message about a tag.
    fn publish(&mut self, link: &mut Link, topic: &str, payload: &[u8], retain: bool, load: Load) {
        let (facts, Some(json)) = (link.session.facts(), self.json()) else { return };
        let (qos, retain) = (json.qos.min(facts.max_qos), retain && facts.has_retain);
        self.send(link, Message { topic, payload, qos, retain }, load);
    }

    pub(super) fn send(&mut self, link: &mut Link, message: Message<'_>, load: Load) {
        let Message { topic, payload, qos, retain } = message;
        if payload.len() + topic.len() + 16 > link.session.facts().max_packet {
            let line = format_args!("{}: the broker takes no message as large as that on {topic}", self.table.name);
            logging::limited(Level::Warn, "message too large", None, line);
            add(&self.status.refused, 1);
            return self.settle(&load);
        }
        let id = link.session.publish(topic, payload, qos, retain);
        add(&self.status.sent, u64::from(load.is_of_tags()));
        self.flights.push_back(Flight { id, load, since: Instant::now() });
    }

    /// The broker has the message, or never takes it.
    pub(super) fn settle(&mut self, load: &Load) {
        match load {
            Load::Late(number) => self.store.acknowledge(std::slice::from_ref(number)),
            Load::Records(numbers) => self.store.acknowledge(numbers),
            Load::Live(_) | Load::Changes(_) | Load::Clear(_) | Load::Own => {}
        }
    }

    fn answered(&mut self, id: u16, code: u8) {
        // Answers come in the order of the messages, mostly.
        let Some(place) = self.flights.iter().position(|flight| flight.id == id && id != 0) else { return };
        let Some(flight) = self.flights.remove(place) else { return };
        self.settle(&flight.load);
        if is_refusal(code) {
            add(&self.status.refused, 1);
            let line = format_args!("{}: the broker refuses a message (code {code:#04x})", self.table.name);
            logging::limited(Level::Warn, "message refused", None, line);
        } else {
            add(&self.status.acknowledged, u64::from(flight.load.is_of_tags()));
        }
    }

    /// Ends messages without an answer that have left, and a session whose broker does not answer.
    fn check_flights(&mut self, link: &Link, now: Instant) -> Result<(), LinkError> {
        if link.session.is_sent() {
            let flights = std::mem::take(&mut self.flights);
            let (left, kept): (Vec<Flight>, Vec<Flight>) = flights.into_iter().partition(|flight| flight.id == 0);
            self.flights = kept.into();
            left.iter().for_each(|flight| self.settle(&flight.load));
        }
        let limit = self.table.options.timeout.max(GIVEN_UP);
        let is_late = |flight: &Flight| now >= flight.since + limit;
        match self.flights.front().is_some_and(is_late) {
            true => Err(LinkError::Lost(format!("the broker has acknowledged nothing for {} s", limit.as_secs()))),
            false => Ok(()),
        }
    }

    fn command(&mut self, topic: &str, payload: &[u8], is_retained: bool) -> Result<(), LinkError> {
        if let Some(format) = self.sparkplug() {
            return self.told(&format, topic, payload, is_retained);
        }
        let Some(entry) = self.table.commands.get(topic).and_then(|key| self.table.entries.get(key)) else {
            return Ok(());
        };
        if is_retained {
            // It may be days old, and would be obeyed again at each start.
            self.writing.note(topic, StatusCode::BadInvalidState);
            return Ok(());
        }
        let shape = &self.table.plant.tag(entry.tag).shape;
        self.obey(topic, entry.tag, command::value_of(payload, shape, entry.texts.as_deref()));
        Ok(())
    }

    /// Asks for the write of a command.
    pub(super) fn obey(&mut self, topic: &str, tag: TagId, value: Result<Value, StatusCode>) {
        let command = Command {
            plant: Arc::clone(&self.table.plant),
            tag,
            value,
            user: format!("@publish.{}", self.table.publish.name),
            from: format!("connection {}", self.table.publish.connection),
        };
        self.writing.ask(topic, command);
    }

    /// Messages that get no answer are under way.
    fn has_unanswered(&self) -> bool {
        self.flights.iter().any(|flight| flight.id == 0)
    }

    /// Sends the last values and says that there will be no more, within a second. What is not sent is kept.
    async fn farewell(&mut self, mut link: Link) {
        let until = Instant::now() + FAREWELL;
        // Under another plan the values go out by another session.
        let is_last = self.ends;
        if is_last && self.is_drained() {
            let news = self.collector.take();
            self.take_news(news);
        }
        let is_done = |sender: &Sender| !is_last || sender.pending.is_empty() && sender.is_drained();
        let settled = timeout_at(until, self.settle_all(&mut link, is_done)).await;
        if !matches!(settled, Ok(Ok(()))) {
            // The broker does not answer: it publishes the will when it sees that the session has ended.
            return;
        }
        match &link.table.publish.format {
            PublishFormat::Sparkplug(format) => {
                let death = self.edge.death(format, UaTime::now());
                let id = link.session.publish(&death.topic, &death.payload, 1, false);
                self.flights.push_back(Flight { id, load: Load::Own, since: Instant::now() });
            }
            PublishFormat::Json(_) => self.tell_online(&mut link, b"false"),
        }
        drop(timeout_at(until + FAREWELL / 4, self.settle_all(&mut link, |_| true)).await);
        drop(timeout_at(until + FAREWELL / 2, link.session.close()).await);
    }

    /// Waits until all messages are answered and nothing more is to be sent.
    async fn settle_all(&mut self, link: &mut Link, is_done: impl Fn(&Sender) -> bool) -> Result<(), LinkError> {
        loop {
            if !is_done(self) {
                self.fill(link).await;
            }
            self.check_flights(link, Instant::now())?;
            if self.flights.is_empty() {
                // What nothing was sent of now cannot be sent.
                return Ok(());
            }
            let has_unanswered = self.has_unanswered();
            if let Some(Incoming::Answer(answer)) = next(&mut link.session, has_unanswered).await? {
                let (id, code) = (answer.id, answer.codes.first().copied().unwrap_or(0));
                self.answered(id, code);
            }
        }
    }
}

/// The next packet; nothing when messages without an answer have left.
async fn next(session: &mut Session, has_unanswered: bool) -> Result<Option<Incoming<'_>>, LinkError> {
    match has_unanswered {
        true => session.next_or_sent().await,
        false => session.next().await.map(Some),
    }
}
