//! The tags of a publisher by the keys that they are collected with, as one revision of the cell has them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::fingerprint::Fingerprint;
use super::json::{Choice, Texts};
use super::metric::{Metric, Name};
use super::spool::Record;
use crate::drivers::ConnectionPlan;
use crate::drivers::broker;
use crate::model::{Cell, DataType, NodeIx, Plant, Publish, PublishFormat, TagId};

/// A publisher as its task needs it.
pub(super) struct Table {
    /// `press/@publish.up`: for logs.
    pub name: String,
    pub publish: Publish,
    pub options: broker::Options,
    pub reconnect_max: Duration,
    /// The topic by which it says that it is there.
    pub online: String,
    pub entries: HashMap<u32, Arc<Entry>>,
    /// Topics of JSON messages, and the meaning of the values on them.
    pub topics: HashMap<Arc<str>, Fingerprint>,
    /// The place that messages go to.
    pub destination: Fingerprint,
    /// Keys by the topics on which commands come.
    pub commands: HashMap<String, u32>,
    /// Keys by the names of metrics.
    pub names: HashMap<Name, u32>,
    /// The revision that the tags are of.
    pub plant: Arc<Plant>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub tag: TagId,
    pub path: String,
    pub topic: Arc<str>,
    /// The meaning of its values.
    pub meaning: Fingerprint,
    /// Every sample counts, not only the newest.
    pub every: bool,
    /// Texts of the tag's enumeration.
    pub texts: Option<Arc<Texts>>,
    /// The tag as a metric of Sparkplug.
    pub metric: Option<Metric>,
}

impl Table {
    /// The entries of a publisher, without keys.
    pub(super) fn entries(plant: &Plant, publish: &Publish) -> Vec<Entry> {
        let Some(cell) = plant.cells.get(usize::from(publish.cell)) else { return Vec::new() };
        let mut texts: HashMap<usize, Arc<Texts>> = HashMap::new();
        let entry = |(node, id): (NodeIx, TagId)| {
            let tag = plant.tag(id);
            let texts = match tag.shape.data_type {
                DataType::Enum(ix) => {
                    let at = ix.0 as usize;
                    Some(Arc::clone(texts.entry(at).or_insert_with(|| Arc::new(texts_of(cell, at)))))
                }
                DataType::BuiltIn(_) | DataType::Flags(..) | DataType::Struct(_) => None,
            };
            let topic = match &publish.format {
                PublishFormat::Json(json) => json.topic.of(cell, node).into(),
                PublishFormat::Sparkplug(_) => "".into(),
            };
            let every = plant.history_of(id).is_some_and(|class| class.every_sample);
            let metric = match &publish.format {
                PublishFormat::Json(_) => None,
                PublishFormat::Sparkplug(format) => Metric::of(plant, node, tag, format),
            };
            let meaning = Fingerprint::of_values(&tag.shape, texts.as_deref());
            Entry { tag: id, path: cell.path(node), topic, meaning, every, texts, metric }
        };
        plant.published(publish).into_iter().map(entry).collect()
    }

    /// The table of a publisher; `None` where its connection has no broker, as under the simulator.
    pub(super) fn new(
        plant: &Arc<Plant>,
        plans: &[ConnectionPlan],
        publish: &Publish,
        entries: HashMap<u32, Arc<Entry>>,
    ) -> Option<Table> {
        let cell = plant.cells.get(usize::from(publish.cell))?;
        let is_it = |plan: &&ConnectionPlan| plan.name == publish.connection && plan.cell == cell.name;
        let plan = plans.iter().find(is_it).filter(|plan| plan.enabled)?;
        let mut options = plan.broker()?;
        options.client_id = publish.client_id(&options.client_id);
        let online = match &publish.format {
            PublishFormat::Json(json) => json.topic.online(cell),
            PublishFormat::Sparkplug(_) => String::new(),
        };
        let is_json = matches!(publish.format, PublishFormat::Json(_));
        let is_command = |entry: &&Arc<Entry>| is_json && publish.allow_write && plant.tag(entry.tag).is_writable();
        let commands = entries.iter().filter(|(_, entry)| is_command(entry));
        let commands = commands.map(|(key, entry)| (format!("{}/set", entry.topic), *key)).collect();
        Some(Table {
            name: format!("{}/@publish.{}", cell.name, publish.name),
            publish: publish.clone(),
            destination: Fingerprint::of_destination(publish, &options.url),
            options,
            reconnect_max: plan.reconnect_max,
            online,
            names: names_of(&entries),
            topics: entries.values().filter(|_| is_json).map(|of| (Arc::clone(&of.topic), of.meaning)).collect(),
            entries,
            commands,
            plant: Arc::clone(plant),
        })
    }

    /// Whether the broker keeps the last message of each topic.
    pub(super) fn is_retained(&self) -> bool {
        matches!(&self.publish.format, PublishFormat::Json(json) if json.retain)
    }

    /// Whether a record of the buffer may still be sent: to the place that it was made for, with the meaning that the tag on
    /// its topic has now. One of a tag that does not go out any more has the meaning that it had.
    pub(super) fn may_send(&self, record: &Record) -> bool {
        let meaning = match &self.publish.format {
            PublishFormat::Json(_) => self.topics.get(record.topic.as_str()).copied(),
            PublishFormat::Sparkplug(_) => {
                let key = Metric::name_of(&record.payload).and_then(|name| self.key_of(&record.topic, name));
                key.and_then(|key| self.entries.get(&key)).map(|entry| entry.meaning)
            }
        };
        record.destination == self.destination && meaning.is_none_or(|meaning| meaning == record.meaning)
    }

    /// Whether the session of another table serves this one.
    pub(super) fn has_same_session(&self, other: &Table) -> bool {
        let is_same_node = match (&self.publish.format, &other.publish.format) {
            (PublishFormat::Json(_), PublishFormat::Json(_)) => true,
            (PublishFormat::Sparkplug(one), PublishFormat::Sparkplug(two)) => one == two,
            _ => false,
        };
        is_same_node && self.options == other.options && self.online == other.online
    }

    /// The key of a metric by its name.
    pub(super) fn key_of(&self, device: &str, metric: &str) -> Option<u32> {
        self.names.get(&Name { device: device.to_owned(), metric: metric.to_owned() }).copied()
    }

    /// Whether the metric is one of this device.
    pub(super) fn is_of(&self, key: u32, device: &str) -> bool {
        let metric = self.entries.get(&key).and_then(|entry| entry.metric.as_ref());
        metric.is_some_and(|metric| metric.device == device)
    }
}

fn texts_of(cell: &Cell, at: usize) -> Texts {
    let values = cell.enums.get(at).map_or(&[][..], |kind| &kind.values);
    let choice = |(number, text): &(i32, crate::model::Text)| {
        let text = text.0.first().map_or("", |(_, text)| text.as_str());
        Choice { number: *number, text: text.to_owned() }
    };
    values.iter().map(choice).collect()
}

/// The keys of all metrics.
fn names_of(entries: &HashMap<u32, Arc<Entry>>) -> HashMap<Name, u32> {
    let name = |metric: &Metric| Name { device: metric.device.clone(), metric: metric.name.clone() };
    entries.iter().filter_map(|(key, entry)| Some((name(entry.metric.as_ref()?), *key))).collect()
}
