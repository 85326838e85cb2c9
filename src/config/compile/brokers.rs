//! Publishers of all cells together: sessions, edge nodes and topics that two of them have at one broker, and rights that do
//! not hold there.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;

use super::Compiler;
use super::publish::{Entry, Outgoing};
use crate::config::source::Ix;
use crate::drivers::broker;
use crate::model::{Publish, PublishFormat, Role, ServerPlan, SparkplugFormat};

/// A broker, as far as a cell file says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Broker {
    host: String,
    port: u16,
}

impl Broker {
    fn of(options: &broker::Options) -> Broker {
        Broker { host: options.url.host.to_ascii_lowercase(), port: options.url.port }
    }
}

/// A thing that one client of a broker may have, and no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owned {
    Client(String),
    Node(String, String),
    /// Of a tag, or that of `@online`.
    Topic(String),
}

/// A connection or a publisher that has it.
#[derive(Debug, Clone)]
struct Owner {
    name: String,
    cell: u16,
    at: Ix,
}

type Owners = HashMap<Broker, HashMap<Owned, Arc<Owner>>>;

impl Compiler<'_> {
    /// Findings about publishers of all cells; to be called when all are known.
    pub(super) fn check_brokers(&mut self, server: Option<&ServerPlan>) {
        // Under `simulate` nothing goes out, and the plans have no brokers.
        if self.options.simulate {
            return;
        }
        let publishers = std::mem::take(&mut self.plant.publishers);
        let entries = std::mem::take(&mut self.publish_entries);
        let mut owners = self.clients();
        let is_json = |publish: &&Publish| matches!(publish.format, PublishFormat::Json(_));
        // A plant may have a million topics, and mostly one publisher.
        let has_many = publishers.iter().filter(is_json).nth(1).is_some();
        for (publish, entry) in publishers.iter().zip(&entries) {
            let topics = if has_many { self.topics_of(publish) } else { Vec::new() };
            self.check_collisions(publish, *entry, topics, &mut owners);
            if let Some(server) = server {
                self.doubt_roles(publish, *entry, server);
            }
        }
        self.plant.publishers = publishers;
    }

    /// The clients of all brokers that are connections.
    fn clients(&self) -> Owners {
        let mut owners = Owners::new();
        for (plan, node) in self.drivers.iter().zip(&self.connection_nodes) {
            if let Some(options) = plan.broker() {
                let at = self.source.key_of(*node).unwrap_or(*node);
                let cell = self.plant.connections[plan.ix].cell;
                let owner = Owner { name: format!("connection `{}`", plan.name), cell, at };
                let clients = owners.entry(Broker::of(&options)).or_default();
                clients.entry(Owned::Client(options.client_id)).or_insert(Arc::new(owner));
            }
        }
        owners
    }

    /// The topics of JSON messages, with that of `@online`.
    fn topics_of(&self, publish: &Publish) -> Vec<String> {
        let PublishFormat::Json(json) = &publish.format else { return Vec::new() };
        let online = json.topic.online(&self.plant.cells[usize::from(publish.cell)]);
        self.outgoing(publish).into_iter().map(|Outgoing { topic, .. }| topic).chain([online]).collect()
    }

    fn check_collisions(&mut self, publish: &Publish, entry: Entry, topics: Vec<String>, owners: &mut Owners) {
        // A connection that is off switches its publishers off.
        let Some(plan) = self.plan_of(publish).filter(|plan| plan.enabled) else { return };
        // A url that is wrong has its own finding, and names no broker.
        let Some(options) = plan.broker().filter(|options| !options.url.host.is_empty()) else { return };
        let name = format!("publisher `{}`", publish.name);
        let own = Arc::new(Owner { name, cell: publish.cell, at: entry.key });
        let owned = owners.entry(Broker::of(&options)).or_default();
        let mut claim = |thing| match owned.entry(thing) {
            Place::Occupied(owner) => Some(Arc::clone(owner.get())),
            Place::Vacant(place) => {
                place.insert(Arc::clone(&own));
                None
            }
        };
        if let Some(other) = claim(Owned::Client(publish.client_id(&options.client_id))) {
            let message = format!("its client id is also that of {} at this broker", self.named(&other, publish));
            let help = "a broker ends the older session: rename the publisher, or write another `client_id`";
            self.refuse_collision(entry.key, message, &other, help);
        }
        if let PublishFormat::Sparkplug(SparkplugFormat { group, node, .. }) = &publish.format
            && let Some(other) = claim(Owned::Node(group.clone(), node.clone()))
        {
            let at = self.source.get(entry.value, "node").unwrap_or(entry.key);
            let name = self.named(&other, publish);
            let message = format!("`{group}/{node}` is also the edge node of {name} at this broker");
            self.refuse_collision(at, message, &other, "write another `node`, or another `group`");
        }
        let (mut shared, mut count) = (None, 0);
        for topic in topics {
            if let Some(other) = claim(Owned::Topic(topic.clone())).filter(|other| other.at != entry.key) {
                count += 1;
                shared.get_or_insert((topic, other));
            }
        }
        let Some((topic, other)) = shared else { return };
        let at = self.source.get(entry.value, "topic").unwrap_or(entry.key);
        let name = self.named(&other, publish);
        let message = match count {
            1 => format!("topic {topic} is also one of {name} at this broker"),
            _ => format!("{count} topics are also those of others at this broker, as {topic} of {name}"),
        };
        let help = format!("write another `topic`, such as \"{}/{{cell}}/{{path}}\"", publish.name);
        self.refuse_collision(at, message, &other, &help);
    }

    /// An owner as a finding about this publisher names it.
    fn named(&self, owner: &Owner, publish: &Publish) -> String {
        match owner.cell == publish.cell {
            true => owner.name.clone(),
            false => format!("{} of cell `{}`", owner.name, self.plant.cells[usize::from(owner.cell)].name),
        }
    }

    fn refuse_collision(&mut self, at: Ix, message: String, other: &Owner, help: &str) {
        let also = self.source.place(other.at);
        self.findings.error(&self.source, at, message).also(also, "this one").help(help);
    }

    /// Tags that commands may write although not every client of the server may.
    fn doubt_roles(&mut self, publish: &Publish, entry: Entry, server: &ServerPlan) {
        if !publish.allow_write {
            return;
        }
        let everybody = server.accounts.anonymous.with(Role::ANONYMOUS);
        let cell = &self.plant.cells[usize::from(publish.cell)];
        let is_limited = |tag| {
            let tag: &crate::model::Tag = &self.plant.tags[tag];
            tag.is_writable() && !self.plant.rule(tag.access).write.meets(everybody)
        };
        let limited: Vec<String> = self
            .plant
            .published(publish)
            .into_iter()
            .filter(|(_, tag)| is_limited(*tag))
            .map(|(at, _)| cell.path(at))
            .collect();
        let Some(first) = limited.first() else { return };
        let tags = match limited.len() {
            1 => format!("tag {first}"),
            count => format!("{count} tags, as {first},"),
        };
        let at = self.source.get(entry.value, "allow_write").unwrap_or(entry.key);
        let message = format!("`access.write` of {tags} does not hold for commands: the broker decides who writes");
        let finding = self.findings.warning(&self.source, at, message);
        finding.help("permit these roles alone to publish commands at the broker, or leave the tag out by `nodes`");
    }
}
