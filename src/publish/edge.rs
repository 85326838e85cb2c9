//! A publisher as an edge node of Sparkplug B: its births, deaths and data. It does no I/O and is told the time.
//!
//! A node is born with all of its own metrics, then each of its devices. Numbers of messages count over all of them. A device
//! whose tags with a source are all Bad is dead, and is born again with the first one that is back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::flight::Update;
use super::metric::{Metric, Name};
use super::table::Table;
use crate::drivers::sparkplug::edge::{self, NAMESPACE, Named};
use crate::model::SparkplugFormat;
use crate::value::{Sample, UaTime};

/// Shortest time between two births that hosts ask for.
const REBIRTH_PAUSE: Duration = Duration::from_secs(2);
/// Metrics in one message of data.
pub(super) const CHUNK: usize = 500;

/// A message that is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// State of an edge node.
#[derive(Debug, Default)]
pub(super) struct Edge {
    /// The number of this session's birth and death.
    pub bd_seq: u8,
    seq: u8,
    pub is_born: bool,
    /// Devices by their names.
    devices: BTreeMap<String, Device>,
    born_at: Option<Instant>,
    /// A host has asked for a birth.
    is_asked: bool,
    /// STATE of the primary host, and its time.
    pub host: Option<Host>,
}

/// STATE of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Host {
    pub online: bool,
    pub timestamp: u64,
}

#[derive(Debug, Default)]
struct Device {
    is_born: bool,
    /// Its tags with a source.
    sourced: HashSet<u32>,
    /// Those of them that are Bad.
    bad: HashSet<u32>,
}

impl Device {
    fn is_dead(&self) -> bool {
        !self.sourced.is_empty() && self.bad.len() == self.sourced.len()
    }
}

/// The topic of a message of the node, or of one of its devices.
pub(super) fn topic(format: &SparkplugFormat, kind: &str, device: &str) -> String {
    let SparkplugFormat { group, node, .. } = format;
    match device {
        "" => format!("{NAMESPACE}/{group}/N{kind}/{node}"),
        device => format!("{NAMESPACE}/{group}/D{kind}/{node}/{device}"),
    }
}

/// The topic of a host's STATE.
pub(super) fn state_topic(host: &str) -> String {
    format!("{NAMESPACE}/STATE/{host}")
}

impl Edge {
    fn next_seq(&mut self) -> u8 {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        seq
    }

    /// The death of the node, which is its will, too.
    pub(super) fn death(&self, format: &SparkplugFormat, now: UaTime) -> Outgoing {
        let payload = edge::payload(now, None, &[edge::bd_seq(self.bd_seq, now)]);
        Outgoing { topic: topic(format, "DEATH", ""), payload }
    }

    /// A session begins: nothing of it is born.
    pub(super) fn begin(&mut self, bd_seq: u8) {
        *self = Edge { bd_seq, ..Edge::default() };
    }

    /// Asks for a birth, unless one came a moment ago.
    pub(super) fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Whether a birth that was asked for is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_asked && self.is_born && self.born_at.is_none_or(|at| now >= at + REBIRTH_PAUSE)
    }

    /// Whether the primary host is there, where one is waited for.
    pub(super) fn may_be_born(&self, format: &SparkplugFormat) -> bool {
        format.primary_host.is_none() || self.host.is_some_and(|host| host.online)
    }

    /// Takes a STATE; true when the host has gone.
    pub(super) fn take_state(&mut self, payload: &[u8]) -> bool {
        let Ok(state) = serde_json::from_slice::<Host>(payload) else { return false };
        // The death of an older session of the host says nothing about this one.
        if self.host.is_some_and(|known| state.timestamp < known.timestamp) {
            return false;
        }
        let was_online = self.host.is_some_and(|host| host.online);
        self.host = Some(state);
        was_online && !state.online
    }

    /// The births of the node and of its devices. A device that is dead is not born.
    pub(super) fn births(
        &mut self,
        table: &Table,
        format: &SparkplugFormat,
        present: &dyn Fn(u32) -> Option<Sample>,
        now: Instant,
    ) -> Vec<Outgoing> {
        let time = UaTime::now();
        (self.seq, self.is_born, self.is_asked, self.born_at) = (0, true, false, Some(now));
        let mut keys: Vec<u32> = table.entries.keys().copied().collect();
        keys.sort_unstable();
        let mut devices: BTreeMap<String, Vec<u32>> = BTreeMap::from([(String::new(), Vec::new())]);
        for key in keys {
            if let Some(metric) = &table.entries[&key].metric {
                devices.entry(metric.device.clone()).or_default().push(key);
            }
        }
        self.devices.clear();
        let mut out = Vec::new();
        for (name, keys) in devices {
            let mut device = Device::default();
            let mut metrics = match name.as_str() {
                "" => vec![edge::bd_seq(self.bd_seq, time), edge::rebirth(time)],
                _ => Vec::new(),
            };
            for key in keys {
                let (Some(metric), Some(sample)) = (&table.entries[&key].metric, present(key)) else { continue };
                if metric.has_source {
                    device.sourced.insert(key);
                    if sample.status.is_bad() {
                        device.bad.insert(key);
                    }
                }
                metrics.push(metric.birth(key, &sample, format.aliases));
            }
            device.is_born = name.is_empty() || !device.is_dead();
            if device.is_born {
                let seq = self.next_seq();
                let payload = edge::payload(time, Some(seq), &metrics);
                out.push(Outgoing { topic: topic(format, "BIRTH", &name), payload });
            }
            self.devices.insert(name, device);
        }
        out
    }

    /// The birth of one device.
    fn device_birth(
        &mut self,
        table: &Table,
        format: &SparkplugFormat,
        name: &str,
        present: &dyn Fn(u32) -> Option<Sample>,
    ) -> Outgoing {
        let mut keys: Vec<u32> = table.entries.keys().copied().collect();
        keys.sort_unstable();
        let of_device = |key: &u32| table.entries[key].metric.as_ref().filter(|metric| metric.device == name);
        let metric = |key: u32| Some(of_device(&key)?.birth(key, &present(key)?, format.aliases));
        let metrics: Vec<Vec<u8>> = keys.into_iter().filter_map(metric).collect();
        let seq = self.next_seq();
        if let Some(device) = self.devices.get_mut(name) {
            device.is_born = true;
        }
        let payload = edge::payload(UaTime::now(), Some(seq), &metrics);
        Outgoing { topic: topic(format, "BIRTH", name), payload }
    }

    /// The messages for changes of one device, or of the node itself.
    pub(super) fn data(
        &mut self,
        table: &Table,
        format: &SparkplugFormat,
        updates: &[Update],
        present: &dyn Fn(u32) -> Option<Sample>,
    ) -> Vec<Outgoing> {
        let mut out = Vec::new();
        let mut metrics = Vec::new();
        let mut name = "";
        for update in updates {
            let Some(metric) = table.entries.get(&update.key).and_then(|entry| entry.metric.as_ref()) else { continue };
            name = &metric.device;
            if let Some(device) = self.devices.get_mut(name)
                && metric.has_source
                && !update.is_past
            {
                match update.sample.status.is_bad() {
                    true => drop(device.bad.insert(update.key)),
                    false => drop(device.bad.remove(&update.key)),
                }
            }
            metrics.push(metric.data(update.key, &update.sample, format.aliases, update.is_past));
        }
        if metrics.is_empty() {
            return out;
        }
        let (is_dead, is_born) = self.devices.get(name).map_or((false, true), |of| (of.is_dead(), of.is_born));
        match (is_dead && !name.is_empty(), is_born) {
            (true, true) => out.push(self.device_death(format, name)),
            // A host that sees it dead takes no data of it.
            (true, false) => {}
            (false, true) => {
                let seq = self.next_seq();
                let payload = edge::payload(UaTime::now(), Some(seq), &metrics);
                out.push(Outgoing { topic: topic(format, "DATA", name), payload });
            }
            (false, false) => {
                let name = name.to_owned();
                out.push(self.device_birth(table, format, &name, present));
            }
        }
        out
    }

    fn device_death(&mut self, format: &SparkplugFormat, name: &str) -> Outgoing {
        if let Some(device) = self.devices.get_mut(name) {
            device.is_born = false;
        }
        let seq = self.next_seq();
        Outgoing { topic: topic(format, "DEATH", name), payload: edge::payload(UaTime::now(), Some(seq), &[]) }
    }

    /// Historical values of one device; a dead device is born for them.
    pub(super) fn late(
        &mut self,
        table: &Table,
        format: &SparkplugFormat,
        device: &str,
        metrics: &[Vec<u8>],
        present: &dyn Fn(u32) -> Option<Sample>,
    ) -> Vec<Outgoing> {
        let mut out = Vec::new();
        let Some(of) = self.devices.get(device) else { return out };
        if !of.is_born {
            out.push(self.device_birth(table, format, device, present));
        }
        let seq = self.next_seq();
        let payload = edge::payload(UaTime::now(), Some(seq), metrics);
        out.push(Outgoing { topic: topic(format, "DATA", device), payload });
        out
    }

    /// The deaths of devices that were born for their old values alone.
    pub(super) fn deaths(&mut self, format: &SparkplugFormat) -> Vec<Outgoing> {
        let is_over = |(name, device): &(&String, &Device)| !name.is_empty() && device.is_born && device.is_dead();
        let names: Vec<String> = self.devices.iter().filter(is_over).map(|(name, _)| name.clone()).collect();
        names.iter().map(|name| self.device_death(format, name)).collect()
    }
}

/// The metric of a record of the buffer, as its node has it now; `None` for one that it does not have any more.
pub(super) fn late_metric(names: &HashMap<Name, u32>, device: &str, record: &[u8], aliases: bool) -> Option<Vec<u8>> {
    let (name, body) = Metric::parts_of(record)?;
    let key = names.get(&Name { device: device.to_owned(), metric: name.to_owned() })?;
    let mut out = Vec::with_capacity(body.len() + 8);
    let named = if aliases { Named::Alias(Metric::alias(*key)) } else { Named::Name(name) };
    edge::name_to(&mut out, named);
    out.extend_from_slice(body);
    Some(out)
}
