//! The task of a publisher: connects, sends, keeps what cannot be sent, and follows newer plans.

mod session;
mod sparkplug;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::drivers::broker::{LinkError, Session, Will};
use crate::health::State;
use crate::logging;
use crate::model::{JsonFormat, PublishFormat};
use crate::publish::collector::{Collector, News};
use crate::publish::command::Commands;
use crate::publish::edge::Edge;
use crate::publish::flight::{Flight, Load, Update};
use crate::publish::json;
use crate::publish::spool::{Numbered, Record};
use crate::publish::status::{Status, add};
use crate::publish::store::Store;
use crate::publish::table::Table;
use crate::publish::writing::Writing;
use crate::value::UaTime;
use session::{End, Link};

const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
/// A session of this length was healthy: the back-off begins again.
const HEALTHY: Duration = Duration::from_secs(10);

/// The newest plan of a publisher; none: it is to end.
pub(super) type Order = Option<Arc<Table>>;

/// The task's state.
pub(super) struct Sender {
    pub table: Arc<Table>,
    pub orders: watch::Receiver<Order>,
    pub collector: Arc<Collector>,
    pub status: Arc<Status>,
    pub store: Store,
    /// Changes that wait for a place, the oldest first. All of them are newer than what is in the buffer.
    pub pending: VecDeque<Update>,
    /// Messages that the broker has not acknowledged, the oldest first.
    pub flights: VecDeque<Flight>,
    /// Records of the buffer that were read and not sent yet.
    pub late: VecDeque<Numbered>,
    /// Topics of tags that do not go out any more: the broker is to forget their values.
    pub cleared: VecDeque<Arc<str>>,
    pub sent_at: HashMap<u32, Instant>,
    pub gathered: Instant,
    pub writing: Writing,
    pub edge: Edge,
    /// Values that were dropped since their tag or the broker has changed, and that the log does not have yet.
    pub outdated: u64,
    /// A reload has changed the metrics of the edge node.
    pub has_new_metrics: bool,
    delay: Duration,
    ends: bool,
}

/// A message on its way, and its records in a list.
struct Flying {
    place: usize,
    records: std::ops::Range<u64>,
}

/// Outcome of an attempt.
enum Opened {
    Session(Box<Session>),
    Failed(LinkError),
    /// There is another plan, or the end.
    Ordered,
}

impl Sender {
    pub(super) fn new(
        table: Arc<Table>,
        orders: watch::Receiver<Order>,
        collector: Arc<Collector>,
        store: Store,
        status: Arc<Status>,
        commands: Arc<dyn Commands>,
    ) -> Sender {
        Sender {
            table,
            orders,
            collector,
            writing: Writing::new(commands, Arc::clone(&status)),
            status,
            store,
            pending: VecDeque::new(),
            flights: VecDeque::new(),
            late: VecDeque::new(),
            cleared: VecDeque::new(),
            sent_at: HashMap::new(),
            gathered: Instant::now(),
            edge: Edge::default(),
            outdated: 0,
            has_new_metrics: false,
            delay: BACK_OFF_FIRST,
            ends: false,
        }
    }

    /// The format of JSON messages; `None` for an edge node.
    pub(super) fn json(&self) -> Option<&JsonFormat> {
        match &self.table.publish.format {
            PublishFormat::Json(json) => Some(json),
            PublishFormat::Sparkplug(_) => None,
        }
    }

    /// The message that the broker sends when the session ends without a word.
    async fn will(&mut self) -> Will {
        let Some(format) = self.sparkplug() else {
            let qos = self.json().map_or(0, |json| json.qos);
            return Will { topic: self.table.online.clone(), payload: b"false".to_vec(), qos, retain: true };
        };
        let bd_seq = self.store.next_bd_seq(self.edge.bd_seq).await;
        self.edge.begin(bd_seq);
        let death = self.edge.death(&format, UaTime::now());
        Will { topic: death.topic, payload: death.payload, qos: 1, retain: false }
    }

    /// Runs until it is told to end.
    pub(super) async fn run(mut self) {
        self.store.open().await;
        while !self.ends {
            self.follow().await;
            match self.open().await {
                Opened::Ordered => {}
                Opened::Failed(error) => self.fail(&error).await,
                Opened::Session(session) => {
                    let since = Instant::now();
                    self.log_up();
                    let end = self.serve(Link::new(*session, Arc::clone(&self.table))).await;
                    let is_healthy = since.elapsed() >= HEALTHY;
                    self.keep_all().await;
                    match end {
                        End::Ordered => {}
                        End::Failed(error) => {
                            if is_healthy {
                                self.delay = BACK_OFF_FIRST;
                            }
                            add(&self.status.reconnects, 1);
                            self.fail(&error).await;
                        }
                    }
                }
            }
        }
        // What came after the session is kept for the next start.
        let news = self.collector.take();
        self.take_news(news);
        self.keep_all().await;
        self.status.set(State::Stopped);
    }

    fn log_up(&mut self) {
        self.status.up(UaTime::now());
        log::info!("{}: connected", self.table.name);
    }

    /// Takes the newest plan. Returns whether the session may stay.
    pub(super) async fn follow(&mut self) -> bool {
        let is_left = self.orders.has_changed().is_err();
        let order = self.orders.borrow_and_update().clone().filter(|_| !is_left);
        let Some(table) = order else {
            self.ends = true;
            return false;
        };
        if Arc::ptr_eq(&table, &self.table) {
            return true;
        }
        let before = std::mem::replace(&mut self.table, table);
        let table = &self.table;
        self.sent_at.retain(|key, _| table.entries.contains_key(key));
        if before.is_retained() {
            // Values that are not retained any more would stay as they were.
            let stays = table.entries.values().filter(|_| table.is_retained());
            let topics: HashSet<&str> = stays.map(|entry| &*entry.topic).collect();
            let is_gone = |key: &u32| !table.is_retained() || !table.entries.contains_key(key);
            let gone = before.entries.iter().filter(|(key, _)| is_gone(key));
            let topics_gone = gone.map(|(_, entry)| &entry.topic).filter(|topic| !topics.contains(&***topic));
            self.cleared.extend(topics_gone.cloned());
        }
        let is_same = |key: &u32| table.entries.contains_key(key);
        self.has_new_metrics |= before.entries.len() != table.entries.len() || !before.entries.keys().all(is_same);
        // Of a tag whose newest value counts, that follows by the new key.
        let is_lost = |update: &&Update| {
            !is_same(&update.key) && before.entries.get(&update.key).is_some_and(|entry| entry.every)
        };
        let lost = self.pending.iter().filter(is_lost).count() as u64;
        self.pending.retain(|update| is_same(&update.key));
        // A topic that is in use again is not to be forgotten.
        self.cleared.retain(|topic| !table.is_retained() || !table.topics.contains_key(topic));
        if !table.publish.allow_write {
            self.writing.clear();
        }
        let may_stay = before.has_same_session(table);
        self.count_outdated(lost);
        self.drop_outdated();
        self.store.set_limit(self.table.publish.buffer).await;
        may_stay
    }

    async fn open(&mut self) -> Opened {
        let will = self.will().await;
        let options = &self.table.options;
        let limit = options.timeout.max(Duration::from_secs(1));
        self.status.tries();
        tokio::select! {
            opened = timeout(limit, Session::open(options, Some(&will))) => match opened {
                Ok(Ok(session)) => Opened::Session(Box::new(session)),
                Ok(Err(error)) => Opened::Failed(error),
                Err(_) => Opened::Failed(LinkError::Lost(format!("no connection within {} ms", limit.as_millis()))),
            },
            _ = self.orders.changed() => Opened::Ordered,
        }
    }

    /// Notes that there is no session, and waits for the next attempt.
    async fn fail(&mut self, error: &LinkError) {
        let text = error.to_string();
        if self.status.down(&text, UaTime::now()) {
            logging::limited(Level::Warn, "publisher", None, format_args!("{}: {text}", self.table.name));
        }
        let longest = self.table.reconnect_max;
        if matches!(error, LinkError::Denied(_)) {
            self.delay = longest;
        }
        let delay = self.delay.min(longest);
        self.delay = (delay * 2).min(longest);
        let wait = delay.mul_f64(0.8 + 0.4 * fastrand::f64());
        self.status.waits(UaTime::now().plus(wait));
        let until = Instant::now() + wait;
        while Instant::now() < until {
            let gather_at = self.gathered + self.table.publish.min_interval;
            tokio::select! {
                () = sleep_until(until) => return,
                _ = self.orders.changed() => return,
                () = async { sleep_until(gather_at).await; self.collector.woken().await } => self.keep_news().await,
            }
        }
    }

    /// Takes what was collected; nothing when there is a newer plan, which may know other keys.
    pub(super) fn gather(&mut self) -> bool {
        let news = self.collector.take();
        if self.orders.has_changed().unwrap_or(true) {
            self.collector.put_back(news);
            return false;
        }
        self.gathered = Instant::now();
        self.take_news(news);
        true
    }

    pub(super) fn take_news(&mut self, news: News) {
        let now = Instant::now();
        let sampled: HashSet<u32> = news.samples.iter().map(|collected| collected.key).collect();
        for collected in news.samples {
            if !self.table.entries.contains_key(&collected.key) {
                self.count_outdated(1);
                continue;
            }
            self.sent_at.insert(collected.key, now);
            self.pending.push_back(Update { key: collected.key, sample: collected.sample, is_past: false });
        }
        for key in news.marked {
            let Some(entry) = self.table.entries.get(&key) else { continue };
            let sample = self.collector.present(entry.tag);
            // Its newest sample is among those, or about to come after older ones.
            if !(entry.every && (sampled.contains(&key) || self.collector.has_sample(key))) {
                self.sent_at.insert(key, now);
                self.pending.push_back(Update { key, sample, is_past: false });
            }
        }
        let lost = self.collector.take_lost();
        if lost > 0 {
            add(&self.status.dropped, lost);
            let line = format_args!("{}: {lost} samples came faster than they could be sent", self.table.name);
            logging::limited(Level::Warn, "samples not published", None, line);
        }
    }

    fn record_of(&self, update: &Update) -> Option<Record> {
        let entry = self.table.entries.get(&update.key)?;
        let (topic, payload) = match self.table.publish.format {
            PublishFormat::Sparkplug(_) => {
                let metric = entry.metric.as_ref()?;
                (metric.device.clone(), metric.record(&update.sample))
            }
            PublishFormat::Json(_) => (entry.topic.to_string(), json::message(&update.sample, entry.texts.as_deref())),
        };
        Some(Record { destination: self.table.destination, meaning: entry.meaning, topic, payload })
    }

    /// Drops what was read from the buffer and would be sent with another meaning, or to another broker.
    pub(super) fn drop_outdated(&mut self) {
        let late = std::mem::take(&mut self.late);
        let (kept, outdated): (Vec<Numbered>, Vec<Numbered>) =
            late.into_iter().partition(|numbered| self.table.may_send(&numbered.record));
        self.late = kept.into();
        self.count_outdated(outdated.len() as u64);
        let numbers: Vec<u64> = outdated.iter().map(|numbered| numbered.number).collect();
        self.settle(&Load::Records(numbers));
    }

    /// Counts values that were dropped since their tag or the broker has changed.
    pub(super) fn count_outdated(&mut self, count: u64) {
        add(&self.status.dropped, count);
        self.outdated += count;
    }

    /// Reports them: once for all of the buffer.
    pub(super) fn note_outdated(&mut self) {
        let count = std::mem::take(&mut self.outdated);
        if count > 0 {
            let (name, s) = (&self.table.name, if count == 1 { "" } else { "s" });
            let line =
                format_args!("{name}: dropped {count} value{s} from before a change of their tag or of the broker");
            logging::limited(Level::Warn, "outdated values", None, line);
        }
    }

    /// Keeps what was collected while there is no session, or while it does not move.
    pub(super) async fn keep_news(&mut self) {
        if self.gather() {
            self.keep_pending().await;
        }
    }

    /// Moves all that waits into the buffer: messages without an acknowledgement first, which are the oldest. They are not sent
    /// again on this connection.
    pub(super) async fn keep_pending(&mut self) {
        let mut records = Vec::new();
        let mut flying = Vec::new();
        for (place, flight) in self.flights.iter().enumerate() {
            let updates = match &flight.load {
                Load::Live(update) => std::slice::from_ref(update),
                Load::Changes(updates) => updates,
                Load::Late(_) | Load::Records(_) | Load::Clear(_) | Load::Own => continue,
            };
            let begin = records.len() as u64;
            records.extend(updates.iter().filter_map(|update| self.record_of(update)));
            flying.push(Flying { place, records: begin..records.len() as u64 });
        }
        let in_flight = records.len() as u64;
        records.extend(self.pending.iter().filter_map(|update| self.record_of(update)));
        self.pending.clear();
        let count = records.len() as u64;
        let first = self.store.append(records).await;
        // Where not all of them were kept, numbers are not known: then they are sent once more.
        if self.store.is_there() && self.store.next_number() == first + count {
            for Flying { place, records } in flying {
                let numbers = records.map(|number| first + number).collect();
                self.flights[place].load = Load::Records(numbers);
            }
            // They are on their way already.
            if in_flight > 0 {
                self.store.skip_to(first + in_flight);
            }
        }
    }

    /// After the end of a session: what is not acknowledged is kept, and sent again.
    async fn keep_all(&mut self) {
        self.keep_pending().await;
        for flight in std::mem::take(&mut self.flights) {
            if let Load::Clear(topic) = flight.load {
                self.cleared.push_back(topic);
            }
        }
        self.late.clear();
        self.store.rewind().await;
        self.note_outdated();
        self.writing.clear();
    }
}
