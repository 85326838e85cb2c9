//! Connections and points as a checked cell gives them to drivers.
//!
//! A plan holds the settings and keys of its driver without their types (`settings` makes them, and gives them back).

mod structure;

pub(crate) use structure::{Content, Field, Layout, Leaf, PlaceError, StructPlan, Wanted};

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::application::Application;
use super::broker;
use super::link::Opened;
use super::listing::{BrowsePlan, Listing, Start};
use super::reading::{
    Doubt, LinkKey, Part, PointError, PollPlan, ProbeError, ProbeLine, Reading, Remark, SettingsError, Way,
};
use crate::model::{ConnectionIx, ServerPlan, TagId};
use crate::value::{BuiltIn, Value};

/// One tag of a connection, as its driver sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PointPlan {
    pub tag: TagId,
    pub address: String,
    /// The words of one value where `address` is a list, most significant first; `address` is then the first of them.
    pub words: Vec<String>,
    /// `scale.exponent`: the address of a power of ten.
    pub exponent: Option<String>,
    /// Keys that the driver has next to the address.
    pub settings: PointSettings,
    /// The tag's type on the wire of OPC UA.
    pub kind: BuiltIn,
    /// 1 for a scalar.
    pub elements: usize,
    pub is_array: bool,
    /// Longest text in bytes.
    pub length: Option<u32>,
    pub poll: Duration,
    pub read: bool,
    pub write: bool,
    /// How often the present value is written again, for devices with a watchdog.
    pub write_every: Option<Duration>,
    /// The enumeration that the tag is of.
    pub enumeration: Option<Arc<Enumeration>>,
    /// The tag calculates: its type and the type on the device's wire may differ.
    pub has_scale: bool,
    /// A mirrored node that the device no longer has: it is neither read nor written.
    pub is_gone: bool,
    /// The fields of a structure, each with its address; `None` for every other tag.
    pub structure: Option<Arc<StructPlan>>,
}

/// The values of an enumeration with their texts, in each language that the cell has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enumeration {
    pub values: Vec<(i32, String)>,
}

impl Enumeration {
    /// The lowest and the highest value.
    pub fn ends(&self) -> Option<(i32, i32)> {
        let numbers = || self.values.iter().map(|(number, _)| *number);
        Some((numbers().min()?, numbers().max()?))
    }

    /// The value of this text.
    pub fn value_of(&self, text: &str) -> Option<i32> {
        self.values.iter().find(|(_, known)| known == text).map(|(number, _)| *number)
    }
}

/// One connection with its points; points of disabled tags are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionPlan {
    pub ix: ConnectionIx,
    pub name: String,
    /// Name of the cell that it is in.
    pub cell: String,
    /// The driver and its own keys.
    pub settings: Settings,
    pub timeout: Duration,
    pub retries: u32,
    pub reconnect_max: Duration,
    pub enabled: bool,
    /// The connection is opened for one look, next to a server that may run: nothing may be sent that the device, or another
    /// of its clients, would notice.
    pub is_scan: bool,
    /// Folders that mirror the device.
    pub browses: Arc<Vec<BrowsePlan>>,
    /// Shared by the copies of a plan: that of the link, and the one that a reload compares with.
    pub points: Arc<Vec<PointPlan>>,
}

impl PointPlan {
    /// Names of the keys of `source` whose value differs, as the cell file has them; `scale` for its `exponent`. The keys of
    /// another driver cannot be compared: the name is then `connection`. Type, array and length are the node's own keys.
    pub fn changed_keys(&self, new: &PointPlan) -> Vec<&'static str> {
        let PointPlan {
            tag: _,
            address,
            words,
            exponent,
            settings,
            kind: _,
            elements: _,
            is_array: _,
            length: _,
            poll,
            read,
            write,
            write_every,
            enumeration: _,
            has_scale,
            is_gone,
            structure,
        } = self;
        let mut keys = Vec::new();
        let mut note = |key: &'static str, differs: bool| keys.extend(differs.then_some(key));
        note("address", *address != new.address || *words != new.words);
        note("poll", *poll != new.poll);
        note("read", *read != new.read);
        note("write", *write != new.write);
        note("write_every", *write_every != new.write_every);
        note("browse", *is_gone != new.is_gone);
        note("type", *structure != new.structure);
        note("scale", *exponent != new.exponent || *has_scale != new.has_scale);
        keys.extend(settings.0.changed_keys(&*new.settings.0).unwrap_or_else(|| vec!["connection"]));
        keys
    }
}

impl ConnectionPlan {
    /// Whether a value of a point means the same by both plans. Another driver is another source.
    pub fn is_same_source(&self, new: &ConnectionPlan) -> bool {
        self.settings.0.is_same_source(&*new.settings.0)
    }

    /// The session with the broker that the connection leads to; `None` where there is none.
    pub(crate) fn broker(&self) -> Option<broker::Options> {
        self.settings.0.broker(self)
    }

    /// The same connection for one look, next to a server that may run, without its points.
    pub(crate) fn scan(&self) -> ConnectionPlan {
        ConnectionPlan { is_scan: true, ..self.clone() }
    }

    /// Whether the settings are the same, whatever the points are.
    pub(super) fn is_unchanged(&self, new: &ConnectionPlan) -> bool {
        let ConnectionPlan {
            ix,
            name: _,
            cell: _,
            settings,
            timeout,
            retries,
            reconnect_max,
            enabled,
            is_scan,
            browses: _,
            points: _,
        } = self;
        let has_same_times = (*timeout, *reconnect_max) == (new.timeout, new.reconnect_max);
        let is_same_use = (*enabled, *is_scan) == (new.enabled, new.is_scan);
        (*ix, *retries) == (new.ix, new.retries) && is_same_use && has_same_times && *settings == new.settings
    }
}

/// Places of the points that are read, by their period; a period of nothing counts as 1 ms.
pub(super) fn by_period(points: &[PointPlan]) -> BTreeMap<Duration, Vec<u32>> {
    let mut classes: BTreeMap<Duration, Vec<u32>> = BTreeMap::new();
    for (at, point) in (0..).zip(points).filter(|(_, point)| point.read) {
        classes.entry(point.poll.max(Duration::from_millis(1))).or_default().push(at);
    }
    classes
}

impl PollPlan {
    /// The plan of a driver that sends no requests, or none that can be known.
    pub fn without_requests(connection: &ConnectionPlan) -> PollPlan {
        let tags = connection.points.iter().filter(|point| point.read).count();
        let (requests, worst_scan) = (Vec::new(), Duration::ZERO);
        PollPlan { connection: connection.ix, tags, requests, worst_scan, basis: String::new(), load: 0.0 }
    }
}

/// A driver with the settings of one connection.
#[derive(Debug, Clone)]
pub struct Settings(pub(super) Arc<dyn AnySettings>);

/// The keys that a driver has at one point.
#[derive(Debug, Clone)]
pub struct PointSettings(pub(super) Arc<dyn AnyKeys>);

impl PartialEq for Settings {
    fn eq(&self, other: &Settings) -> bool {
        self.0.is_same(&*other.0)
    }
}

impl PartialEq for PointSettings {
    fn eq(&self, other: &PointSettings) -> bool {
        self.0.is_same(&*other.0)
    }
}

/// Keys of some driver.
pub(super) trait AnyKeys: Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn is_same(&self, other: &dyn AnyKeys) -> bool;
    /// `None`: the keys of another driver.
    fn changed_keys(&self, new: &dyn AnyKeys) -> Option<Vec<&'static str>>;
}

/// Answers of a driver about a connection.
pub(super) trait AnySettings: Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn is_same(&self, other: &dyn AnySettings) -> bool;
    fn is_same_source(&self, new: &dyn AnySettings) -> bool;
    fn driver(&self) -> &'static str;
    fn is_of_application(&self) -> bool;
    fn no_keys(&self) -> PointSettings;
    fn shown_as(&self, text: String) -> Settings;
    fn hiding(&self, keys: &[&'static str]) -> Settings;
    fn with_files(&self, content: &dyn Fn(&str) -> Option<Arc<[u8]>>) -> Option<Settings>;
    fn check(&self) -> Vec<SettingsError>;
    fn check_together(&self, connection: &ConnectionPlan) -> Vec<Remark>;
    fn check_loop(&self, server: &ServerPlan) -> Option<Remark>;
    fn same_device(&self, name: &str, second: &dyn AnySettings) -> Option<Doubt>;
    fn check_address(&self, text: &str) -> Result<(), PointError>;
    fn check_start(&self, text: &str) -> Result<(), PointError>;
    fn check_point(&self, point: &PointPlan) -> Result<Reading, PointError>;
    fn writes_fields(&self) -> bool;
    fn place_structure(&self, point: &PointPlan, wanted: Wanted<'_>) -> Result<Vec<Leaf>, PlaceError>;
    fn check_output(&self, point: &PointPlan, raw: &Value) -> Result<(), String>;
    fn poll_of(&self, address: &str) -> Option<Duration>;
    fn leave_out(&self, point: &mut PointPlan, part: Part) -> bool;
    fn broker(&self, connection: &ConnectionPlan) -> Option<broker::Options>;
    fn link_key(&self) -> Option<LinkKey>;
    fn poll_plan(&self, connection: &ConnectionPlan) -> PollPlan;
    fn open(&self, connections: &[ConnectionPlan], application: Option<&Arc<dyn Application>>) -> Opened;
    fn probe<'a>(
        &'a self,
        connection: &'a ConnectionPlan,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>>;
    fn probe_way<'a>(
        &'a self,
        connection: &'a ConnectionPlan,
        application: Option<&'a Arc<dyn Application>>,
    ) -> BoxFuture<'a, Result<Way, ProbeError>>;
    fn browse<'a>(
        &'a self,
        connection: &'a ConnectionPlan,
        application: Option<&'a Arc<dyn Application>>,
        start: &'a Start,
    ) -> BoxFuture<'a, Result<Listing, ProbeError>>;
}
