//! The points of a link by the topics that feed them. Pure.

use std::collections::{BTreeMap, HashMap};

use super::routes::Routes;
use super::settings::{MqttPoint, MqttSettings};
use crate::drivers::broker::{covers, has_wildcard};
use crate::drivers::driver::{ConnectionOf, Driver, PointOf};
use crate::drivers::payload::{Body, Format, PayloadPoint, Reader};
use crate::drivers::plan::PointPlan;

/// All points of a link.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub points: Vec<Point>,
    pub routes: Routes,
    /// By the number that `routes` gives.
    pub groups: Vec<Group>,
    pub onlines: Vec<Online>,
    /// Filters to subscribe to, with their QoS.
    pub filters: BTreeMap<String, u8>,
    /// Those of the filters that have wildcards.
    wide: Vec<String>,
}

/// One point.
#[derive(Debug)]
pub(super) struct Point {
    pub plan: PointPlan,
    pub write: Option<Publish>,
    /// Place in `onlines`.
    pub online: Option<usize>,
    /// Filters of its connection, where these take the place of its topic.
    has_filters: bool,
}

/// A point's writes.
#[derive(Debug)]
pub(super) struct Publish {
    pub topic: String,
    pub body: Body,
    pub qos: u8,
    pub retain: bool,
}

/// Points and online topics with the same filter.
#[derive(Debug)]
pub(super) struct Group {
    pub filter: String,
    pub reader: Reader,
    pub online: Option<usize>,
}

/// A topic by which a device says that it is there, and the points that it speaks for.
#[derive(Debug)]
pub(super) struct Online {
    pub topic: String,
    pub points: Vec<u32>,
}

/// A point, and a filter that would serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unserved<'t> {
    pub point: u32,
    pub filter: &'t str,
}

impl Table {
    pub(super) fn new<D>(connections: &[ConnectionOf<'_, D>]) -> Table
    where
        D: Driver<Settings = MqttSettings, Point = MqttPoint>,
    {
        let mut table = Table::default();
        let mut onlines = HashMap::new();
        for connection in connections {
            for filter in &connection.settings.subscribe {
                table.want(filter, connection.settings.qos);
            }
            for point in connection.points() {
                table.add(point, connection.settings, &mut onlines);
            }
        }
        table
    }

    fn want(&mut self, filter: &str, qos: u8) {
        if has_wildcard(filter) && !self.filters.contains_key(filter) {
            self.wide.push(filter.to_owned());
        }
        let wanted = self.filters.entry(filter.to_owned()).or_insert(qos);
        *wanted = qos.max(*wanted);
    }

    fn add(&mut self, point: PointOf<'_, MqttPoint>, settings: &MqttSettings, onlines: &mut HashMap<String, usize>) {
        let at = u32::try_from(self.points.len()).expect("a cell has fewer points");
        let keys = point.keys.payload_keys();
        // A point that `check_point` refuses is never fed or written.
        let format = Format::of(point).ok().filter(|_| super::check::check_point(point).is_ok());
        let has_filters = !settings.subscribe.is_empty();
        let mut online = None;
        if let Some(format) = format.clone().filter(|_| point.read) {
            let group = self.group(&point.address);
            self.groups[group].reader.add(at, format);
            if !has_filters {
                self.want(&point.address, settings.qos);
            }
            let topic = point.keys.online.as_ref().or(settings.online.as_ref());
            online = topic.map(|topic| self.online(topic, at, settings, onlines));
        }
        let publish = |format: &Format| {
            let body = Body::of(&keys, point.plan, format).ok()??;
            Some(Publish { topic: point.keys.publish.clone()?, body, qos: settings.qos, retain: point.keys.retain })
        };
        let write = format.as_ref().and_then(publish);
        self.points.push(Point { plan: point.plan.clone(), write, online, has_filters });
    }

    fn group(&mut self, filter: &str) -> usize {
        let group = self.routes.group(filter, self.groups.len());
        if group == self.groups.len() {
            self.groups.push(Group { filter: filter.to_owned(), reader: Reader::default(), online: None });
        }
        group
    }

    fn online(
        &mut self,
        topic: &str,
        point: u32,
        settings: &MqttSettings,
        known: &mut HashMap<String, usize>,
    ) -> usize {
        let online = *known.entry(topic.to_owned()).or_insert(self.onlines.len());
        if online == self.onlines.len() {
            self.onlines.push(Online { topic: topic.to_owned(), points: Vec::new() });
            let group = self.group(topic);
            self.groups[group].online = Some(online);
        }
        self.onlines[online].points.push(point);
        if !settings.subscribe.iter().any(|filter| covers(filter, topic)) {
            self.want(topic, settings.qos);
        }
        online
    }

    /// Points that get nothing when the broker refuses these filters, unless another filter serves them, with the filter. One
    /// without wildcards is looked up; all groups are looked through once, and only for filters with wildcards.
    pub(super) fn points_of<'t>(&'t self, refused: &[&'t str]) -> Vec<Unserved<'t>> {
        let (wide, exact): (Vec<&str>, Vec<&str>) = refused.iter().partition(|filter| has_wildcard(filter));
        let mut all = Vec::new();
        let mut add = |filter, group: &Group| {
            let online = group.online.map(|online| self.onlines[online].points.as_slice()).unwrap_or_default();
            all.extend(group.reader.points().chain(online.iter().copied()).map(|point| Unserved { point, filter }));
        };
        for filter in exact {
            self.routes.exact(filter).into_iter().for_each(|group| add(filter, &self.groups[group]));
        }
        if !wide.is_empty() {
            for group in &self.groups {
                wide.iter().filter(|filter| covers(filter, &group.filter)).for_each(|filter| add(filter, group));
            }
        }
        all
    }

    /// Whether a filter other than the refused ones serves the topic of a point.
    pub(super) fn is_served(&self, point: u32, is_refused: impl Fn(&str) -> bool) -> bool {
        let point = &self.points[point as usize];
        let serves = |topic: &str| {
            let mut wide = self.wide.iter().filter(|filter| covers(filter, topic));
            let is_asked = self.filters.contains_key(topic) && !is_refused(topic);
            is_asked || wide.any(|filter| !is_refused(filter))
        };
        let is_asked = match point.has_filters {
            true => serves(&point.plan.address),
            false => !is_refused(&point.plan.address),
        };
        is_asked && point.online.is_none_or(|online| serves(&self.onlines[online].topic))
    }
}
