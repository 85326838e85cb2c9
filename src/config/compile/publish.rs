//! `publish:` of a cell: which tags go out where. It is read after the nodes.

use std::collections::HashMap;
use std::time::Duration;

use super::Compiler;
use super::scope::Scope;
use crate::config::at::At;
use crate::config::de::{Keys, decode_entry};
use crate::config::docs::did_you_mean;
use crate::config::source::Ix;
use crate::config::spec::{self, PublishFormat as Format};
use crate::drivers::sparkplug::edge::datatype_of;
use crate::drivers::{ConnectionPlan, broker};
use crate::model::{JsonFormat, NodeIx, Period, Publish, PublishFormat, SparkplugFormat, TagId, TopicTemplate};

const LONGEST_MIN: Duration = Duration::from_secs(3_600);
const LONGEST_MAX: Duration = Duration::from_secs(86_400);
const LARGEST_BUFFER: u64 = 64 << 30;

/// Where an entry and its name are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub key: Ix,
    pub value: Ix,
}

/// A tag on its way out.
pub(super) struct Outgoing {
    pub tag: TagId,
    pub path: String,
    pub topic: String,
}

impl Compiler<'_> {
    pub(super) fn publishers(&mut self, mapping: Ix, scope: &Scope, known: &mut HashMap<String, Ix>) {
        if !self.expect_mapping(mapping, "publish") {
            return;
        }
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            if let Some(first) = known.insert(name.clone(), key) {
                let also = self.source.place(first);
                self.findings.error(&self.source, key, format!("`{name}` is defined twice")).also(also, "first here");
                continue;
            }
            self.check_name(key, &name);
            let (spec, is_whole) = decode_entry::<spec::Publish>(&mut self.source, value, Keys::OWN, self.findings);
            if let Some(spec) = spec {
                let is_there = self.check_connection(&spec.connection, scope);
                let publish = self.publisher(name, Entry { key, value }, &spec, scope);
                if let Some(publish) = publish.filter(|_| is_whole && is_there) {
                    // Under `simulate` the plans have no brokers.
                    if let Some(own) = self.plan_of(&publish).and_then(ConnectionPlan::broker) {
                        self.check_loop(&publish, &own, Entry { key, value });
                        self.doubt_open_broker(&publish, &own, spec.connection.ix);
                    }
                    self.plant.publishers.push(publish);
                    self.publish_entries.push(Entry { key, value });
                }
            }
        }
    }

    fn check_connection(&mut self, named: &At<String>, scope: &Scope) -> bool {
        if !self.source.is_scalar(named.ix) {
            return false;
        }
        let Some(connection) = self.connection_named(named, scope) else { return false };
        let is_mqtt = connection.driver.is_none_or(|driver| driver.name == "mqtt");
        if !is_mqtt {
            let message = format!("`{}` is not an mqtt connection", named.value);
            let finding = self.findings.error(&self.source, named.ix, message);
            finding.help("name a connection with `driver: mqtt`");
        }
        is_mqtt && connection.ix.is_some()
    }

    fn publisher(&mut self, name: String, at: Entry, spec: &spec::Publish, scope: &Scope) -> Option<Publish> {
        let format = spec.format.as_ref().map_or(Format::Json, |format| format.value);
        let min_interval = self.interval(spec.min_interval.as_ref(), Duration::from_millis(100), |time| {
            (time > LONGEST_MIN).then_some("0ms..1h")
        });
        let buffer = spec.buffer.as_ref().map_or(64 << 20, |size| size.value.0);
        if let Some(size) = spec.buffer.as_ref().filter(|size| size.value.0 > LARGEST_BUFFER) {
            let message = format!("{} is out of range 0MiB..64GiB", size.value);
            self.findings.error(&self.source, size.ix, message).help("64MiB is usual");
        }
        let nodes = self.published_nodes(spec.nodes.as_deref(), scope);
        self.refuse_other_format(spec, format);
        let format = match format {
            Format::Json => PublishFormat::Json(self.json_format(spec)?),
            Format::Sparkplug => PublishFormat::Sparkplug(self.sparkplug_format(spec, at, scope)?),
        };
        let publish = Publish {
            cell: scope.index,
            name,
            connection: spec.connection.value.clone(),
            nodes,
            min_interval,
            buffer,
            allow_write: spec.allow_write.unwrap_or(false),
            format,
        };
        self.check_topics(&publish, at);
        self.check_metrics(&publish, at);
        Some(publish)
    }

    fn interval(
        &mut self,
        given: Option<&At<Period>>,
        usual: Duration,
        fault: impl Fn(Duration) -> Option<&'static str>,
    ) -> Duration {
        let Some(given) = given else { return usual };
        if let Some(range) = fault(given.value.0).filter(|_| self.source.is_scalar(given.ix)) {
            let message = format!("{} is out of range {range}", given.value);
            self.findings.error(&self.source, given.ix, message).help(format!("{} is usual", Period(usual)));
        }
        given.value.0
    }

    fn refuse_other_format(&mut self, spec: &spec::Publish, format: Format) {
        fn place<T>(key: &Option<At<T>>) -> Option<Ix> {
            key.as_ref().map(|at| at.ix)
        }
        let of_json = [
            ("max_interval", place(&spec.max_interval)),
            ("qos", place(&spec.qos)),
            ("retain", place(&spec.retain)),
            ("topic", place(&spec.topic)),
        ];
        let of_sparkplug = [
            ("aliases", place(&spec.aliases)),
            ("devices", place(&spec.devices)),
            ("group", place(&spec.group)),
            ("node", place(&spec.node)),
            ("primary_host", place(&spec.primary_host)),
        ];
        let (others, only): (&[(&str, Option<Ix>)], &str) = match format {
            Format::Json => (&of_sparkplug, "sparkplug"),
            Format::Sparkplug => (&of_json, "json"),
        };
        for (name, at) in others {
            if let Some(at) = at {
                let message = format!("`{name}` is only for `format: {only}`");
                self.findings.error(&self.source, *at, message).help("delete it, or change `format`");
            }
        }
    }

    /// The nodes of these paths; all without any.
    fn published_nodes(&mut self, paths: Option<&[At<String>]>, scope: &Scope) -> Vec<NodeIx> {
        let Some(paths) = paths else { return vec![NodeIx(0)] };
        let cell = &self.plant.cells[usize::from(scope.index)];
        let all: HashMap<String, NodeIx> =
            (1u32..).map(NodeIx).take(cell.nodes.len().saturating_sub(1)).map(|at| (cell.path(at), at)).collect();
        let mut found = Vec::new();
        for path in paths {
            match all.get(&path.value) {
                Some(at) => found.push(*at),
                None => {
                    let mut help = did_you_mean(&path.value, all.keys().map(String::as_str));
                    if help.is_empty() {
                        "write the path of a folder or a tag, such as Tank.Level".clone_into(&mut help);
                    }
                    self.findings.error(&self.source, path.ix, format!("no node `{}`", path.value)).help(help);
                }
            }
        }
        found
    }

    fn json_format(&mut self, spec: &spec::Publish) -> Option<JsonFormat> {
        let max_interval = self.interval(spec.max_interval.as_ref(), Duration::from_secs(60), |time| {
            let is_inside = (Duration::from_secs(1)..=LONGEST_MAX).contains(&time);
            (!is_inside).then_some("1s..24h")
        });
        let topic = spec.topic.as_ref().map_or("{cell}/{path}", |topic| topic.value.as_str()).to_owned();
        if let Some(At { ix, value }) = spec.topic.as_ref().filter(|topic| self.source.is_scalar(topic.ix)) {
            let fault = broker::check_topic(value).err().map(|fault| (fault.message, fault.help));
            let of_broker = value.starts_with('$').then(|| {
                let message = "topics that begin with `$` are the broker's own".to_owned();
                (message, "write a topic without `$`".to_owned())
            });
            if let Some((message, help)) = fault.or(of_broker) {
                self.findings.error(&self.source, *ix, message).help(help);
                return None;
            }
        }
        Some(JsonFormat {
            topic: TopicTemplate(topic),
            max_interval,
            qos: spec.qos.as_ref().map_or(1, |qos| qos.value),
            retain: spec.retain.as_ref().is_none_or(|retain| retain.value),
        })
    }

    fn sparkplug_format(&mut self, spec: &spec::Publish, at: Entry, scope: &Scope) -> Option<SparkplugFormat> {
        let ids = [spec.group.as_ref(), spec.node.as_ref(), spec.primary_host.as_ref()];
        let mut is_right = true;
        for At { ix, value } in ids.into_iter().flatten() {
            is_right &= self.source.is_scalar(*ix) && self.check_id(*ix, value);
        }
        let cell = self.plant.cells[usize::from(scope.index)].name.clone();
        if spec.node.is_none() && !cell.is_empty() {
            is_right &= self.check_id(at.key, &cell);
        }
        let Some(group) = &spec.group else {
            let finding = self.findings.error(&self.source, at.key, "`group` is missing");
            finding.help("`group`: Sparkplug: group id.");
            return None;
        };
        is_right.then(|| SparkplugFormat {
            group: group.value.clone(),
            node: spec.node.as_ref().map_or(cell, |node| node.value.clone()),
            devices: spec.devices.as_ref().is_none_or(|devices| devices.value),
            aliases: spec.aliases.as_ref().is_none_or(|aliases| aliases.value),
            primary_host: spec.primary_host.as_ref().map(|host| host.value.clone()),
        })
    }

    /// Whether a text can be a level of a Sparkplug topic.
    fn check_id(&mut self, at: Ix, id: &str) -> bool {
        let message = match id.find(['+', '#', '/']) {
            Some(place) => format!("`{}` in `{id}`: it is one level of a topic", &id[place..=place]),
            None if id.is_empty() => "an id has at least one letter".to_owned(),
            None if id.contains(char::is_control) => "an id holds no control characters".to_owned(),
            None => return true,
        };
        self.findings.error(&self.source, at, message).help("write a name without + # /");
        false
    }

    /// Each tag can be a metric of its node or device.
    fn check_metrics(&mut self, publish: &Publish, at: Entry) {
        let PublishFormat::Sparkplug(format) = &publish.format else { return };
        let cell = &self.plant.cells[usize::from(publish.cell)];
        let fault = |(node, tag): (NodeIx, TagId)| {
            let (path, shape) = (cell.path(node), &self.plant.tags[tag].shape);
            let first = path.split('.').next().unwrap_or_default();
            let is_in_device = format.devices && path.contains('.');
            if datatype_of(shape.data_type.wire(), !shape.is_scalar()).is_none() {
                return Some(format!("Sparkplug has no type for tag {path}"));
            }
            if is_in_device && first.contains(['+', '#']) {
                return Some(format!("`{first}` cannot be the id of a device: it is one level of a topic"));
            }
            let is_own = !is_in_device && (path == "bdSeq" || first == "Node Control");
            is_own.then(|| format!("the metric of tag {path} has a name that is the node's own"))
        };
        if let Some(message) = self.plant.published(publish).into_iter().find_map(fault) {
            self.findings.error(&self.source, at.key, message).help("leave it out by `nodes`, or rename it");
        }
    }

    pub(super) fn outgoing(&self, publish: &Publish) -> Vec<Outgoing> {
        let PublishFormat::Json(JsonFormat { topic, .. }) = &publish.format else { return Vec::new() };
        let cell = &self.plant.cells[usize::from(publish.cell)];
        let outgoing = |(node, tag)| Outgoing { tag, path: cell.path(node), topic: topic.of(cell, node) };
        self.plant.published(publish).into_iter().map(outgoing).collect()
    }

    /// Each tag has a topic of its own, which is one that a broker takes.
    fn check_topics(&mut self, publish: &Publish, at: Entry) {
        let place = self.source.get(at.value, "topic").unwrap_or(at.key);
        let all = self.outgoing(publish);
        for Outgoing { path, topic, .. } in &all {
            let fault = broker::check_topic(topic).err().map(|fault| fault.message);
            let of_broker = topic.starts_with('$').then(|| "such topics are the broker's own".to_owned());
            if let Some(why) = fault.or(of_broker) {
                let message = format!("the topic of tag {path} is `{topic}`: {why}");
                self.findings.error(&self.source, place, message).help("rename the tag, or leave it out by `nodes`");
                return;
            }
        }
        let mut of_topic: HashMap<&str, Vec<&str>> = HashMap::new();
        for Outgoing { path, topic, .. } in &all {
            of_topic.entry(topic).or_default().push(path);
        }
        let shared: usize = of_topic.values().map(Vec::len).filter(|count| *count > 1).sum();
        if let Some((topic, tags)) = of_topic.iter().filter(|(_, tags)| tags.len() > 1).min() {
            let message = if of_topic.values().filter(|tags| tags.len() > 1).count() == 1 {
                format!("{shared} tags share one topic")
            } else {
                format!("{shared} tags share topics with others")
            };
            let help = format!("{} and {} are both on {topic}; put {{path}} into `topic`", tags[0], tags[1]);
            self.findings.error(&self.source, place, message).help(help);
        }
    }

    /// The connection of a publisher.
    pub(super) fn plan_of(&self, publish: &Publish) -> Option<&ConnectionPlan> {
        let is_it = |plan: &&ConnectionPlan| {
            plan.name == publish.connection && self.plant.connections[plan.ix].cell == publish.cell
        };
        self.drivers.iter().find(is_it)
    }

    /// A tag whose values need an encrypted channel, on a way without TLS.
    fn doubt_open_broker(&mut self, publish: &Publish, own: &broker::Options, connection: Ix) {
        if own.url.is_tls {
            return;
        }
        let is_encrypted = |(_, tag): &(NodeIx, TagId)| self.plant.rule(self.plant.tags[*tag].access).encrypted;
        let Some((node, _)) = self.plant.published(publish).into_iter().find(is_encrypted) else { return };
        let path = self.plant.cells[usize::from(publish.cell)].path(node);
        let message = format!("tag {path} is `encrypted: true`, and goes out without encryption");
        let finding = self.findings.warning(&self.source, connection, message);
        finding.help("write mqtts:// in the url of the connection, or leave the tag out by `nodes`");
    }

    /// A tag that is read from the topic that it goes out to.
    fn check_loop(&mut self, publish: &Publish, own: &broker::Options, at: Entry) {
        let mut read: HashMap<TagId, &str> = HashMap::new();
        let driver = self.plan_of(publish).map(|plan| plan.settings.driver());
        for plan in self.drivers.iter().filter(|plan| Some(plan.settings.driver()) == driver) {
            if plan.broker().is_some_and(|broker| broker.url == own.url) {
                let points = plan.points.iter().filter(|point| point.read);
                read.extend(points.map(|point| (point.tag, point.address.as_str())));
            }
        }
        let is_loop = |out: &Outgoing| read.get(&out.tag).is_some_and(|filter| broker::covers(filter, &out.topic));
        let Some(Outgoing { path, topic, .. }) = self.outgoing(publish).into_iter().find(is_loop) else { return };
        let place = self.source.get(at.value, "topic").unwrap_or(at.key);
        let message = format!("a loop: tag {path} is read from {topic}, which it is published to");
        let finding = self.findings.warning(&self.source, place, message);
        finding.help("write another `topic`, or leave the tag out by `nodes`");
    }
}
