//! The metrics of an edge node itself, or of one of its devices: births, values and deaths. Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use opcua::StatusCode;

use super::address::NodeId;
use super::metric::{Bound, sample_of};
use super::proto::{Content, Metric, Payload, members};
use super::value::{time_of, value_of};
use crate::drivers::listing::{Folder, Listing};
use crate::tags::RawSample;
use crate::value::{UaTime, Value};

/// Templates in templates.
pub(super) const MOST_DEPTH: u8 = 8;

/// Effects of a message, or of the time.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub samples: VecDeque<(u32, RawSample)>,
    /// Nodes that are asked for a rebirth.
    pub asks: Vec<NodeId>,
    /// Listings for folders that mirror edge nodes.
    pub listings: Vec<Listed>,
}

/// A listing for a folder.
#[derive(Debug)]
pub(super) struct Listed {
    pub folder: Folder,
    pub listing: Listing,
}

/// A metric as its birth defined it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Definition {
    pub datatype: u32,
    pub alias: Option<u64>,
}

/// The metrics of a node itself, or of one of its devices.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Points by their metric.
    pub points: HashMap<String, Vec<Bound>>,
    pub online: Vec<u32>,
    pub birth: Vec<u32>,
    pub is_born: bool,
    pub definitions: HashMap<Arc<str>, Definition>,
}

pub(super) fn bad(code: StatusCode, why: &str) -> RawSample {
    RawSample::from(Err(code)).because(why)
}

impl Part {
    fn all(&self) -> impl Iterator<Item = u32> {
        self.points.values().flatten().map(|bound| bound.point)
    }

    /// All metrics are Bad, and the part is not there.
    pub(super) fn turn(&self, code: StatusCode, why: &str, effects: &mut Effects) {
        effects.samples.extend(self.all().map(|point| (point, bad(code, why))));
    }

    pub(super) fn say_online(&self, is_online: bool, effects: &mut Effects) {
        effects
            .samples
            .extend(self.online.iter().map(|point| (*point, RawSample::from(Ok(Value::Boolean(is_online))))));
    }

    pub(super) fn die(&mut self, why: &str, effects: &mut Effects) {
        (self.is_born, self.definitions) = (false, HashMap::new());
        self.turn(StatusCode::BadNoCommunication, why, effects);
        self.say_online(false, effects);
    }

    /// Takes a birth: definitions, values, and what is missing.
    pub(super) fn bear(&mut self, place: &str, payload: &Payload<'_>, all: &[Named<'_>], effects: &mut Effects) {
        self.is_born = true;
        self.definitions = all.iter().map(|named| (Arc::clone(&named.name), named.definition())).collect();
        for (name, bounds) in &self.points {
            if !self.definitions.contains_key(name.as_str()) {
                let why = format!("the birth of {place} has no metric {name}");
                let absent = |bound: &Bound| (bound.point, bad(StatusCode::BadConfigurationError, &why));
                effects.samples.extend(bounds.iter().map(absent));
            }
        }
        for Named { name, metric } in lasts(all) {
            self.take(place, name, metric, payload.timestamp, effects);
        }
        self.say_online(true, effects);
        let time = payload.timestamp.map_or_else(UaTime::now, time_of);
        effects.samples.extend(self.birth.iter().map(|at| (*at, RawSample::from(Ok(Value::DateTime(time))))));
    }

    /// Takes one value for the points of its metric.
    pub(super) fn take(&self, place: &str, name: &str, metric: &Metric<'_>, sent: Option<u64>, effects: &mut Effects) {
        let (Some(bounds), Some(definition)) = (self.points.get(name), self.definitions.get(name)) else { return };
        let value = match metric.content {
            _ if metric.is_null => None,
            Some(content) => Some(value_of(definition.datatype, content)),
            None => Some(Err("has no content".to_owned())),
        };
        let time = metric.timestamp.or(sent).filter(|time| *time > 0).map(time_of);
        // A value of the past without a time would have no place in the history.
        if metric.is_historical && time.is_none() {
            return;
        }
        for bound in bounds {
            let sample = sample_of(bound, &format!("{place}:{name}"), value.clone(), metric.quality);
            effects.samples.push_back((
                bound.point,
                match time {
                    Some(time) if metric.is_historical => sample.of_the_past(time),
                    Some(time) => sample.at(time),
                    None => sample,
                },
            ));
        }
    }
}

/// A metric with its whole name.
pub(super) struct Named<'a> {
    pub name: Arc<str>,
    pub metric: Metric<'a>,
}

impl Named<'_> {
    fn definition(&self) -> Definition {
        Definition { datatype: self.metric.datatype.unwrap_or(0), alias: self.metric.alias }
    }
}

/// Each metric once, as the message has it last; values from the past are all there.
pub(super) fn lasts<'n, 'a>(all: &'n [Named<'a>]) -> Vec<&'n Named<'a>> {
    let mut seen = HashSet::new();
    let is_last = |named: &&Named<'_>| named.metric.is_historical || seen.insert(Arc::clone(&named.name));
    let mut kept: Vec<&Named<'_>> = all.iter().rev().filter(is_last).collect();
    kept.reverse();
    kept
}

/// The metrics of a birth by their names; members of templates are metrics below it.
pub(super) fn named<'a>(metrics: &[Metric<'a>], above: &str, depth: u8, all: &mut Vec<Named<'a>>) {
    for metric in metrics {
        let Some(name) = metric.name else { continue };
        let name = format!("{above}{name}");
        if let (Some(Content::Template(bytes)), 1..) = (metric.content, depth)
            && let Ok(inner) = members(bytes)
        {
            named(&inner, &format!("{name}/"), depth - 1, all);
        }
        all.push(Named { name: name.into(), metric: *metric });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_counts_once_in_a_message_and_the_past_does_not_hide_it() {
        let metric = |name: &str, number: u32, is_historical: bool| Named {
            name: name.into(),
            metric: Metric { content: Some(Content::Int(number)), is_historical, ..Metric::default() },
        };
        let all = [
            metric("a", 1, false),
            metric("b", 2, false),
            metric("a", 3, true),
            metric("a", 4, false),
            metric("a", 5, true),
        ];
        let kept: Vec<_> = lasts(&all).into_iter().map(|named| (&*named.name, named.metric.content)).collect();
        let int = |number| Some(Content::Int(number));
        assert_eq!(kept, [("b", int(2)), ("a", int(3)), ("a", int(4)), ("a", int(5))]);
    }
}
