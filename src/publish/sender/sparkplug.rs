//! The part of a publisher's task that speaks as an edge node.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use opcua::StatusCode;
use tokio::time::Instant;

use super::Sender;
use super::session::{Link, Message};
use crate::drivers::broker::LinkError;
use crate::drivers::sparkplug::edge::{REBIRTH, commands};
use crate::health::State;
use crate::model::{PublishFormat, SparkplugFormat};
use crate::publish::collector::News;
use crate::publish::edge::{self, CHUNK, Outgoing};
use crate::publish::flight::{Load, Update};
use crate::value::{Sample, Value};

/// NaN is the same as itself here.
fn is_same(one: &Sample, other: &Sample) -> bool {
    let has_same_times = (one.source_time, one.server_time) == (other.source_time, other.server_time);
    has_same_times && one.status == other.status && one.value.same_bits(&other.value)
}

impl Sender {
    /// The format of an edge node; `None` for JSON.
    pub(super) fn sparkplug(&self) -> Option<SparkplugFormat> {
        match &self.table.publish.format {
            PublishFormat::Sparkplug(format) => Some(format.clone()),
            PublishFormat::Json(_) => None,
        }
    }

    pub(super) fn node_filters(&self, format: &SparkplugFormat) -> BTreeMap<String, u8> {
        let mut filters = BTreeMap::from([(edge::topic(format, "CMD", ""), 1)]);
        if self.table.publish.allow_write {
            filters.insert(edge::topic(format, "CMD", "+"), 1);
        }
        if let Some(host) = &format.primary_host {
            filters.insert(edge::state_topic(host), 1);
        }
        filters
    }

    /// The newest samples of the tags, by their keys.
    fn present(&self) -> impl Fn(u32) -> Option<Sample> + use<> {
        let (table, collector) = (Arc::clone(&self.table), Arc::clone(&self.collector));
        move |key| Some(collector.present(table.entries.get(&key)?.tag))
    }

    fn send_all(&mut self, link: &mut Link, messages: Vec<Outgoing>) {
        for Outgoing { topic, payload } in messages {
            self.send_as(link, &topic, &payload, Load::Own);
        }
    }

    /// One message at QoS 0, not retained, as all messages of Sparkplug but deaths of nodes.
    fn send_as(&mut self, link: &mut Link, topic: &str, payload: &[u8], load: Load) {
        self.send(link, Message { topic, payload, qos: 0, retain: false }, load);
    }

    /// Is born, where that is due.
    pub(super) fn bear(&mut self, link: &mut Link, format: &SparkplugFormat) {
        let now = Instant::now();
        if !self.edge.may_be_born(format) {
            return self.status.set(State::Silent);
        }
        if self.edge.is_born && !self.edge.is_due(now) && !self.has_new_metrics {
            return;
        }
        self.status.set(State::Connected);
        self.has_new_metrics = false;
        // The births have what changed until now.
        let mut news = self.collector.take();
        if self.orders.has_changed().unwrap_or(true) {
            self.collector.put_back(news);
        } else {
            news.marked.clear();
            self.take_news(news);
        }
        let table = Arc::clone(&self.table);
        // Changes that still wait are older than the births, which have the newest value.
        self.pending.retain(|update| table.entries.get(&update.key).is_some_and(|entry| entry.every));
        self.pending.iter_mut().for_each(|update| update.is_past = true);
        let (born, present) = (RefCell::new(HashMap::new()), self.present());
        let noted = |key: u32| {
            let sample = present(key)?;
            if table.entries.get(&key).is_some_and(|entry| entry.every) {
                born.borrow_mut().insert(key, sample.clone());
            }
            Some(sample)
        };
        let births = self.edge.births(&table, format, &noted, now);
        self.send_all(link, births);
        self.take_older(&born.into_inner());
    }

    /// Takes the samples that came while the births were made, and notes those that the births have outdated: up to the one with which
    /// its metric was born.
    fn take_older(&mut self, born: &HashMap<u32, Sample>) {
        let samples = self.collector.take_samples();
        if samples.is_empty() || self.orders.has_changed().unwrap_or(true) {
            return self.collector.put_back(News { marked: Vec::new(), samples });
        }
        let first = self.pending.len();
        self.take_news(News { marked: Vec::new(), samples });
        let mut outdated = HashSet::new();
        for update in self.pending.range_mut(first..).rev() {
            if born.get(&update.key).is_some_and(|sample| is_same(sample, &update.sample)) {
                outdated.insert(update.key);
            }
            update.is_past = outdated.contains(&update.key);
        }
    }

    /// Sends the next changes of one device.
    pub(super) fn send_changes(&mut self, link: &mut Link, format: &SparkplugFormat) {
        let mut updates: Vec<Update> = Vec::new();
        let table = Arc::clone(&self.table);
        let device = |update: &Update| Some(table.entries.get(&update.key)?.metric.as_ref()?.device.as_str());
        while let Some(update) = self.pending.front() {
            let is_next = updates.first().is_none_or(|first| device(first) == device(update));
            if !is_next || updates.len() >= CHUNK {
                break;
            }
            updates.extend(self.pending.pop_front());
        }
        let mut messages = self.edge.data(&table, format, &updates, &self.present());
        let last = messages.pop();
        self.send_all(link, messages);
        if let Some(Outgoing { topic, payload }) = last {
            self.send_as(link, &topic, &payload, Load::Changes(updates));
        }
    }

    /// Sends the next records of one device.
    pub(super) fn send_late(&mut self, link: &mut Link, format: &SparkplugFormat) {
        let Some(device) = self.late.front().map(|numbered| numbered.record.topic.clone()) else { return };
        let (mut numbers, mut metrics) = (Vec::new(), Vec::new());
        while let Some(numbered) = self.late.front() {
            if numbered.record.topic != device || numbers.len() >= CHUNK {
                break;
            }
            let Some(numbered) = self.late.pop_front() else { break };
            numbers.push(numbered.number);
            let metric = edge::late_metric(&self.table.names, &device, &numbered.record.payload, format.aliases);
            match metric {
                Some(metric) => metrics.push(metric),
                None => self.count_outdated(1),
            }
        }
        let table = Arc::clone(&self.table);
        let mut messages = match metrics.is_empty() {
            true => Vec::new(),
            false => self.edge.late(&table, format, &device, &metrics, &self.present()),
        };
        let last = messages.pop();
        self.send_all(link, messages);
        match last {
            Some(Outgoing { topic, payload }) => self.send_as(link, &topic, &payload, Load::Records(numbers)),
            None => self.settle(&Load::Records(numbers)),
        }
        if self.is_drained() {
            let deaths = self.edge.deaths(format);
            self.send_all(link, deaths);
        }
    }

    /// Takes a message to the node.
    pub(super) fn told(
        &mut self,
        format: &SparkplugFormat,
        topic: &str,
        payload: &[u8],
        is_retained: bool,
    ) -> Result<(), LinkError> {
        if format.primary_host.as_ref().is_some_and(|host| edge::state_topic(host) == topic) {
            if self.edge.take_state(payload) {
                return Err(LinkError::Lost("the primary host is offline".to_owned()));
            }
            return Ok(());
        }
        if is_retained {
            self.writing.note(topic, StatusCode::BadInvalidState);
            return Ok(());
        }
        let prefix = edge::topic(format, "CMD", "+");
        let device = topic.strip_prefix(prefix.trim_end_matches('+')).unwrap_or_default();
        let by_alias = |alias: u64| u32::try_from(alias.checked_sub(1)?).ok();
        let key_of = |name: Option<&str>, alias: Option<u64>| {
            let named = || self.table.key_of(device, name?);
            alias.and_then(by_alias).filter(|key| self.table.is_of(*key, device)).or_else(named)
        };
        let datatype = |name: Option<&str>, alias: Option<u64>| {
            let entry = self.table.entries.get(&key_of(name, alias)?)?;
            Some(entry.metric.as_ref()?.datatype())
        };
        let Some(asked) = commands(payload, &datatype) else {
            self.writing.note(topic, StatusCode::BadDecodingError);
            return Ok(());
        };
        let mut orders = Vec::new();
        for one in asked {
            if device.is_empty() && one.name.as_deref() == Some(REBIRTH) {
                if one.value == Some(Value::Boolean(true)) {
                    self.edge.ask();
                }
                continue;
            }
            orders.push((key_of(one.name.as_deref(), one.alias), one.value));
        }
        for (key, value) in orders {
            self.order(topic, key, value);
        }
        Ok(())
    }

    fn order(&mut self, topic: &str, key: Option<u32>, value: Option<Value>) {
        let entry = key.and_then(|key| self.table.entries.get(&key));
        let Some((entry, metric)) = entry.and_then(|entry| Some((entry, entry.metric.as_ref()?))) else {
            return self.writing.note(topic, StatusCode::BadNodeIdUnknown);
        };
        // Before a birth an alias is one of an earlier process.
        if !self.edge.is_born {
            return self.writing.note(topic, StatusCode::BadInvalidState);
        }
        if !self.table.publish.allow_write {
            return self.writing.note(topic, StatusCode::BadUserAccessDenied);
        }
        let (tag, value) =
            (entry.tag, value.and_then(|value| metric.value_of(value)).ok_or(StatusCode::BadTypeMismatch));
        self.obey(topic, tag, value);
    }
}
