//! The contract of a driver with a cell file: one type a driver, without an instance.
//!
//! The checks do no I/O, so that `opcell check` can call them. Config decodes `Settings` and `Point` by their
//! types; no code outside of a driver's folder names them.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;

use super::application::Application;
use super::broker;
use super::file_text::FileKey;
use super::keys::{Keys, PointKeys, point_keys};
use super::link::Link;
use super::listing::{Listing, Start};
use super::plan::{ConnectionPlan, PointPlan};
use super::plan::{Leaf, PlaceError, Wanted};
use super::reading::{
    Doubt, LinkKey, Part, PointError, PollPlan, ProbeError, ProbeLine, Reading, Remark, SettingsError, Way,
};
use crate::model::ServerPlan;
use crate::value::Value;

/// A protocol, as `driver:` names it.
pub trait Driver: Debug + Send + Sync + 'static {
    const NAME: &'static str;
    /// One line for the reference, without a full stop.
    const ABOUT: &'static str;
    /// Names that people may write instead, for the hint.
    const ALSO: &'static [&'static str] = &[];
    /// Keys of the settings that locate the device. Where one of them comes from outside of the cell file, logs and
    /// clients see the text of the file instead.
    const PLACE: &'static [&'static str] = &[];
    /// Longest wait between two attempts to connect, unless `reconnect_max` says otherwise. A device on a network is back
    /// within seconds.
    const RECONNECT_MAX: Duration = Duration::from_secs(5);
    const DELIVERY: Delivery = Delivery::Polled;
    /// The device is a server of OPC UA: this server is a client of it, with its own certificate.
    const OF_APPLICATION: bool = false;
    /// When a folder with `browse` is listed.
    const MIRRORS: Mirroring = Mirroring::Never;
    /// An address that fits every point. It replaces a refused address while the other parts of the point are checked.
    const STAND_IN: Option<&'static str> = None;

    /// Keys of a connection, in addition to those that all drivers share.
    type Settings: Keys;
    /// Keys of a source, in addition to those that all drivers share; `NoKeys` where there are none.
    type Point: PointKeys + Default;

    /// Settings for the check of points whose connection has findings in its own settings.
    fn stand_in() -> Self::Settings;

    /// Names the device's place by this text in logs and for clients.
    fn show_as(_settings: &mut Self::Settings, _text: String) {}

    /// Names the keys whose text came from outside of the cell file: neither logs nor clients may see it.
    fn hide(_settings: &mut Self::Settings, _keys: &[&'static str]) {}

    /// The files that the settings name, which config reads and fills in. A connection whose file cannot be read is not checked
    /// further.
    fn files(_settings: &mut Self::Settings) -> Vec<FileKey<'_>> {
        Vec::new()
    }

    /// Faults of the settings that their types don't show, each with its key.
    fn check_settings(_settings: &Self::Settings) -> Vec<SettingsError> {
        Vec::new()
    }

    /// Findings about a right connection with all of its right points. No I/O.
    fn check_together(_connection: ConnectionOf<'_, Self>) -> Vec<Remark> {
        Vec::new()
    }

    /// A finding about a connection that leads to this server itself. No I/O.
    fn check_loop(_settings: &Self::Settings, _server: &ServerPlan) -> Option<Remark> {
        None
    }

    /// A doubt about two connections that seem to lead to one device by different names; `name` is the first's.
    fn same_device(_first: &Self::Settings, _name: &str, _second: &Self::Settings) -> Option<Doubt> {
        None
    }

    /// Whether a value of a point means the same after the connection's settings have changed: it comes from the same place
    /// of the same device, and is read in the same way.
    fn is_same_source(old: &Self::Settings, new: &Self::Settings) -> bool {
        old == new
    }

    /// Reads an address alone, for a point whose type is not known.
    fn check_address(text: &str) -> Result<(), PointError>;

    /// Reads the address at which a listing begins.
    fn check_start(_settings: &Self::Settings, _text: &str) -> Result<(), PointError> {
        Ok(())
    }

    /// Reads a point's address and compares it with its type.
    fn check_point(settings: &Self::Settings, point: PointOf<'_, Self::Point>) -> Result<Reading, PointError>;

    /// A field of a structure can be written without the others.
    const WRITES_FIELDS: bool = true;

    /// Gives each field of a structure the address that a tag there would have.
    fn place_structure(
        _settings: &Self::Settings,
        point: PointOf<'_, Self::Point>,
        _wanted: Wanted<'_>,
    ) -> Result<Vec<Leaf>, PlaceError> {
        let message = format!("structures are not in this version for driver `{}`", Self::NAME);
        let help = "make a tag of each field";
        Err(PlaceError::Tag(PointError::new(0..point.address.len(), message, help)))
    }

    /// Whether a device could hold this raw value of a point, in any of its states; the text is the reason why not.
    fn check_output(_: &Self::Settings, _: PointOf<'_, Self::Point>, _raw: &Value) -> Result<(), String> {
        Ok(())
    }

    /// Leaves out a key, or an entry of a list, that was refused, so that the other parts can be checked; false when it is
    /// not the driver's own.
    fn leave_out(_keys: &mut Self::Point, _part: Part) -> bool {
        false
    }

    /// The period of a tag that has none of its own, where the connection gives one for what its address asks for.
    fn poll_of(_settings: &Self::Settings, _address: &str) -> Option<Duration> {
        None
    }

    /// How much the connection polls, before it is ever opened; without requests where the driver has none to plan.
    fn poll_plan(connection: ConnectionOf<'_, Self>) -> PollPlan {
        PollPlan::without_requests(connection.plan)
    }

    /// The session with the broker that the connection leads to, for others who use the broker too; `None` where there is none.
    fn broker(_connection: ConnectionOf<'_, Self>) -> Option<broker::Options> {
        None
    }

    /// Connections with the same key share one link; `None`: each has its own.
    fn link_key(_settings: &Self::Settings) -> Option<LinkKey> {
        None
    }

    /// Makes the link of connections that share one. Nothing is opened yet. Points that `check_point` refuses are among
    /// those of the connections, and are never asked for.
    fn open(connections: &[ConnectionOf<'_, Self>]) -> Link;

    /// One look at an address of the device, for commissioning: keys to write, and the value that they give.
    fn probe<'a>(
        _connection: ConnectionOf<'a, Self>,
        _address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        async { Err(ProbeError::NotOffered { driver: Self::NAME }) }.boxed()
    }

    /// One look at the way to the device, for commissioning: each step from its name to an answer, as far as it goes. Nothing
    /// that the device, or another of its clients, would notice.
    fn probe_way<'a>(_connection: ConnectionOf<'a, Self>) -> BoxFuture<'a, Result<Way, ProbeError>> {
        async { Err(ProbeError::NeedsAddress { driver: Self::NAME }) }.boxed()
    }

    /// Listing of the device's values. It opens a connection of its own.
    fn browse<'a>(
        _connection: ConnectionOf<'a, Self>,
        _start: &'a Start,
    ) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        async { Err(ProbeError::NotListed { driver: Self::NAME }) }.boxed()
    }

    /// How addresses are written, as Markdown for the reference; empty for nothing beyond `ABOUT`.
    fn address_notes() -> String {
        String::new()
    }
}

/// Way in which values arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Each point is asked for at its poll period.
    Polled,
    /// The device sends by itself: a point has no poll period, and an unchanged value does not grow old.
    Pushed,
    /// The same, but the device looks at each point once a poll period, and sends what changed.
    Sampled,
}

/// When the folders of a connection that mirror its device are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirroring {
    /// The driver has no listing to mirror.
    Never,
    /// After each connect, by `browse`.
    Connected,
    /// The device lists by itself: the driver hands listings to the application.
    Sent,
}

/// The point keys of a driver that has none.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, JsonSchema)]
pub(crate) struct NoKeys {}

point_keys!(NoKeys {});

#[cfg(test)]
impl PointPlan {
    /// A point for tests: a Double that is read each second and written, without keys of a driver.
    pub(super) fn sample(tag: u32) -> PointPlan {
        PointPlan {
            tag: crate::model::TagId(tag),
            address: format!("p{tag}"),
            words: Vec::new(),
            exponent: None,
            settings: super::plan::PointSettings::of(NoKeys {}),
            kind: crate::value::BuiltIn::Double,
            elements: 1,
            is_array: false,
            length: None,
            poll: Duration::from_secs(1),
            read: true,
            write: true,
            write_every: None,
            enumeration: None,
            has_scale: false,
            is_gone: false,
            structure: None,
        }
    }
}

/// A connection with its driver's own settings.
pub struct ConnectionOf<'a, D: Driver + ?Sized> {
    pub plan: &'a ConnectionPlan,
    pub settings: &'a D::Settings,
    /// The server as an application; `None` where no server runs.
    pub application: Option<&'a Arc<dyn Application>>,
}

/// A point with its driver's own keys.
#[derive(Debug)]
pub struct PointOf<'a, P> {
    pub plan: &'a PointPlan,
    pub keys: &'a P,
}

impl<D: Driver + ?Sized> Clone for ConnectionOf<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Driver + ?Sized> Copy for ConnectionOf<'_, D> {}

impl<'a, D: Driver + ?Sized> ConnectionOf<'a, D> {
    /// All points, in the order in which they are numbered.
    pub fn points(self) -> impl Iterator<Item = PointOf<'a, D::Point>> {
        self.plan.points.iter().map(PointOf::new)
    }
}

impl<P> Clone for PointOf<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for PointOf<'_, P> {}

impl<'a, P: 'static> PointOf<'a, P> {
    /// The point's keys are those of the driver: config makes both from one connection.
    pub(super) fn new(plan: &'a PointPlan) -> PointOf<'a, P> {
        PointOf { plan, keys: plan.settings.get().expect("a point has the keys of its connection's driver") }
    }
}

impl<P> Deref for PointOf<'_, P> {
    type Target = PointPlan;

    fn deref(&self) -> &PointPlan {
        self.plan
    }
}
