//! A connection's settings and a point's keys without their types: the driver's part of a plan.
//!
//! Both can be compared, and both keep their type inside: code that knows the driver gets it back by `get`.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::application::Application;
use super::broker;
use super::driver::{ConnectionOf, Delivery, Driver, PointOf};
use super::keys::PointKeys;
use super::link::Opened;
use super::listing::{Listing, Start};
use super::plan::{AnyKeys, AnySettings, ConnectionPlan, PointPlan, PointSettings, Settings};
use super::plan::{Leaf, PlaceError, Wanted};
use super::reading::{
    Doubt, LinkKey, Part, PointError, PollPlan, ProbeError, ProbeLine, Reading, Remark, SettingsError, Way,
};
use crate::model::{Scale, ServerPlan};
use crate::tags;
use crate::value::Value;

impl PointSettings {
    pub fn of<P: PointKeys>(keys: P) -> PointSettings {
        PointSettings(Arc::new(keys))
    }

    /// The keys, if they are of this type.
    pub fn get<P: 'static>(&self) -> Option<&P> {
        self.0.as_any().downcast_ref()
    }
}

impl Settings {
    pub fn of<D: Driver>(settings: D::Settings) -> Settings {
        Settings(Arc::new(Held::<D> { settings }))
    }

    /// The settings, if they are of this driver.
    pub fn get<D: Driver>(&self) -> Option<&D::Settings> {
        Some(&self.0.as_any().downcast_ref::<Held<D>>()?.settings)
    }

    /// The driver's name.
    pub fn driver(&self) -> &'static str {
        self.0.driver()
    }

    /// Point keys with their defaults.
    pub fn no_keys(&self) -> PointSettings {
        self.0.no_keys()
    }

    /// The same, with the device's place named by this text in logs and for clients.
    #[must_use]
    pub fn shown_as(&self, text: String) -> Settings {
        self.0.shown_as(text)
    }

    /// The same, with the texts of these keys neither in logs nor for clients.
    #[must_use]
    pub fn hiding(&self, keys: &[&'static str]) -> Settings {
        self.0.hiding(keys)
    }

    /// The same with the content of the files that it names, by their keys; `None` where one is missing.
    #[must_use]
    pub fn with_files(&self, content: &dyn Fn(&str) -> Option<Arc<[u8]>>) -> Option<Settings> {
        self.0.with_files(content)
    }

    pub fn check(&self) -> Vec<SettingsError> {
        self.0.check()
    }

    /// Findings about the connection with all of its points. No I/O.
    pub fn check_together(&self, connection: &ConnectionPlan) -> Vec<Remark> {
        self.0.check_together(connection)
    }

    /// A finding about a connection that leads to this server itself. No I/O.
    pub fn check_loop(&self, server: &ServerPlan) -> Option<Remark> {
        self.0.check_loop(server)
    }

    /// A doubt about two connections that seem to lead to one device; `name` is the first's.
    pub fn same_device(&self, name: &str, second: &Settings) -> Option<Doubt> {
        self.0.same_device(name, &*second.0)
    }

    /// Reads an address alone, for a point whose type is not known. No I/O.
    pub fn check_address(&self, text: &str) -> Result<(), PointError> {
        self.0.check_address(text)
    }

    /// Reads the address at which a listing begins. No I/O.
    pub fn check_start(&self, text: &str) -> Result<(), PointError> {
        self.0.check_start(text)
    }

    /// Reads a point's address and compares it with its type. No I/O.
    pub fn check_point(&self, point: &PointPlan) -> Result<Reading, PointError> {
        self.0.check_point(point)
    }

    /// Whether a field of a structure can be written without the others.
    pub(crate) fn writes_fields(&self) -> bool {
        self.0.writes_fields()
    }

    /// Gives each field of a structure the address that a tag there would have. No I/O.
    pub(crate) fn place_structure(&self, point: &PointPlan, wanted: Wanted<'_>) -> Result<Vec<Leaf>, PlaceError> {
        self.0.place_structure(point, wanted)
    }

    /// Whether a device could hold this value of a point, in any of its states; the text is the reason why not. The
    /// exponent of a device is not known here, so a value that depends on it passes. No I/O.
    pub fn check_output(&self, point: &PointPlan, scale: Option<Scale>, value: &Value) -> Result<(), String> {
        let raw = |power| tags::to_raw(scale, value, power);
        if point.exponent.is_some() && raw(Some(0)) != raw(Some(1)) {
            return Ok(());
        }
        let raw = raw(None).map_err(|_| "it lies outside the scale".to_owned())?;
        self.0.check_output(point, &raw)
    }

    /// The period of a tag that has none of its own, where the connection gives one for its address.
    pub fn poll_of(&self, address: &str) -> Option<Duration> {
        self.0.poll_of(address)
    }

    /// Puts something that fits in place of a part that was refused, so that the other parts can be checked; false when
    /// there is nothing that fits.
    pub fn leave_out(&self, point: &mut PointPlan, part: Part) -> bool {
        self.0.leave_out(point, part)
    }

    /// Connections with the same key share one link; without a key each has its own.
    pub(super) fn link_key(&self) -> Option<Key> {
        Some(Key { driver: self.driver(), of: self.0.link_key()? })
    }
}

/// Key of a link with the driver that made it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    driver: &'static str,
    of: LinkKey,
}

/// The poll plan of each connection, in their order. No I/O.
pub(crate) fn poll_plan(connections: &[ConnectionPlan]) -> Vec<PollPlan> {
    connections.iter().map(|connection| connection.settings.0.poll_plan(connection)).collect()
}

/// One look at an address of a device.
pub async fn probe(connection: &ConnectionPlan, address: &str) -> Result<Vec<ProbeLine>, ProbeError> {
    connection.settings.0.probe(connection, address).await
}

/// One look at the way to a device; `application`: this server, for devices that are servers of OPC UA.
pub(crate) async fn probe_way(
    connection: &ConnectionPlan,
    application: Option<&Arc<dyn Application>>,
) -> Result<Way, ProbeError> {
    connection.settings.0.probe_way(connection, application).await
}

/// Whether the device is a server of OPC UA, to which this server is a client with a certificate.
pub(crate) fn needs_application(connection: &ConnectionPlan) -> bool {
    connection.settings.0.is_of_application()
}

/// Listing of a device's values, over a connection of its own.
pub(crate) async fn browse(
    connection: &ConnectionPlan,
    application: Option<&Arc<dyn Application>>,
    start: &Start,
) -> Result<Listing, ProbeError> {
    connection.settings.0.browse(connection, application, start).await
}

/// Opens the link of connections that share one.
pub(super) fn open(connections: &[ConnectionPlan], application: Option<&Arc<dyn Application>>) -> Opened {
    connections[0].settings.0.open(connections, application)
}

/// The settings with the type of their driver.
#[derive(Debug)]
struct Held<D: Driver> {
    settings: D::Settings,
}

impl<D: Driver> Held<D> {
    fn connection<'a>(&'a self, plan: &'a ConnectionPlan) -> ConnectionOf<'a, D> {
        ConnectionOf { plan, settings: &self.settings, application: None }
    }
}

impl<P: PointKeys> AnyKeys for P {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_same(&self, other: &dyn AnyKeys) -> bool {
        other.as_any().downcast_ref::<P>() == Some(self)
    }

    fn changed_keys(&self, new: &dyn AnyKeys) -> Option<Vec<&'static str>> {
        Some(PointKeys::changed_keys(self, new.as_any().downcast_ref::<P>()?))
    }
}

impl<D: Driver> AnySettings for Held<D> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_same(&self, other: &dyn AnySettings) -> bool {
        other.as_any().downcast_ref::<Held<D>>().is_some_and(|other| other.settings == self.settings)
    }

    fn is_same_source(&self, new: &dyn AnySettings) -> bool {
        let new = new.as_any().downcast_ref::<Held<D>>();
        new.is_some_and(|new| D::is_same_source(&self.settings, &new.settings))
    }

    fn is_of_application(&self) -> bool {
        D::OF_APPLICATION
    }

    fn driver(&self) -> &'static str {
        D::NAME
    }

    fn no_keys(&self) -> PointSettings {
        PointSettings::of(D::Point::default())
    }

    fn shown_as(&self, text: String) -> Settings {
        let mut settings = self.settings.clone();
        D::show_as(&mut settings, text);
        Settings::of::<D>(settings)
    }

    fn hiding(&self, keys: &[&'static str]) -> Settings {
        let mut settings = self.settings.clone();
        D::hide(&mut settings, keys);
        Settings::of::<D>(settings)
    }

    fn with_files(&self, content: &dyn Fn(&str) -> Option<Arc<[u8]>>) -> Option<Settings> {
        let mut settings = self.settings.clone();
        for of in D::files(&mut settings) {
            of.file.fill(content(of.key)?);
        }
        Some(Settings::of::<D>(settings))
    }

    fn check(&self) -> Vec<SettingsError> {
        D::check_settings(&self.settings)
    }

    fn check_together(&self, connection: &ConnectionPlan) -> Vec<Remark> {
        D::check_together(self.connection(connection))
    }

    fn check_loop(&self, server: &ServerPlan) -> Option<Remark> {
        D::check_loop(&self.settings, server)
    }

    fn same_device(&self, name: &str, second: &dyn AnySettings) -> Option<Doubt> {
        let second = second.as_any().downcast_ref::<Held<D>>()?;
        D::same_device(&self.settings, name, &second.settings)
    }

    fn check_address(&self, text: &str) -> Result<(), PointError> {
        D::check_address(text)
    }

    fn check_start(&self, text: &str) -> Result<(), PointError> {
        D::check_start(&self.settings, text)
    }

    fn check_point(&self, point: &PointPlan) -> Result<Reading, PointError> {
        if D::DELIVERY != Delivery::Polled && point.write_every.is_some() {
            let message = format!("driver `{}` does not repeat writes", D::NAME);
            return Err(PointError::key("write_every", message, "delete `write_every`"));
        }
        D::check_point(&self.settings, PointOf::new(point))
    }

    fn writes_fields(&self) -> bool {
        D::WRITES_FIELDS
    }

    fn place_structure(&self, point: &PointPlan, wanted: Wanted<'_>) -> Result<Vec<Leaf>, PlaceError> {
        if point.write_every.is_some() {
            let error = PointError::key("write_every", "a structure is not written again".to_owned(), "delete it");
            return Err(PlaceError::Tag(error));
        }
        D::place_structure(&self.settings, PointOf::new(point), wanted)
    }

    fn check_output(&self, point: &PointPlan, raw: &Value) -> Result<(), String> {
        D::check_output(&self.settings, PointOf::new(point), raw)
    }

    fn poll_of(&self, address: &str) -> Option<Duration> {
        D::poll_of(&self.settings, address)
    }

    fn leave_out(&self, point: &mut PointPlan, part: Part) -> bool {
        match (part, D::STAND_IN) {
            (Part::Address | Part::Entry("address", _), Some(address)) => {
                address.clone_into(&mut point.address);
                point.words.clear();
                true
            }
            (Part::Key("scale"), _) => {
                point.has_scale = false;
                true
            }
            (Part::Key("write_every"), _) => {
                point.write_every = None;
                true
            }
            (Part::Exponent, _) => {
                point.exponent = None;
                true
            }
            (part, _) => {
                let mut keys = PointOf::<D::Point>::new(point).keys.clone();
                let is_own = D::leave_out(&mut keys, part);
                point.settings = PointSettings::of(keys);
                is_own
            }
        }
    }

    fn broker(&self, connection: &ConnectionPlan) -> Option<broker::Options> {
        D::broker(self.connection(connection))
    }

    fn link_key(&self) -> Option<LinkKey> {
        D::link_key(&self.settings)
    }

    fn poll_plan(&self, connection: &ConnectionPlan) -> PollPlan {
        D::poll_plan(self.connection(connection))
    }

    fn open(&self, connections: &[ConnectionPlan], application: Option<&Arc<dyn Application>>) -> Opened {
        let mut typed = Vec::with_capacity(connections.len());
        let mut refused = Vec::new();
        let mut number = 0;
        for plan in connections {
            let settings = plan.settings.get::<D>().expect("connections that share a link have one driver");
            for point in plan.points.iter() {
                let checked = match point.is_gone {
                    true => Err(PointError::new(0..0, format!("the device no longer has {}", point.address), "")),
                    false => D::check_point(settings, PointOf::new(point)).map(drop),
                };
                if let Err(error) = checked {
                    refused.push((number, error));
                }
                number += 1;
            }
            typed.push(ConnectionOf { plan, settings, application });
        }
        let mut link = D::open(&typed);
        let longest = connections.iter().map(|plan| plan.timeout).max().unwrap_or_default();
        link.limit_writes(longest + Duration::from_secs(1));
        Opened { link, refused }
    }

    fn probe<'a>(
        &'a self,
        connection: &'a ConnectionPlan,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        D::probe(self.connection(connection), address)
    }

    fn probe_way<'a>(
        &'a self,
        connection: &'a ConnectionPlan,
        application: Option<&'a Arc<dyn Application>>,
    ) -> BoxFuture<'a, Result<Way, ProbeError>> {
        D::probe_way(ConnectionOf { application, ..self.connection(connection) })
    }

    fn browse<'a>(
        &'a self,
        connection: &'a ConnectionPlan,
        application: Option<&'a Arc<dyn Application>>,
        start: &'a Start,
    ) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        D::browse(ConnectionOf { application, ..self.connection(connection) }, start)
    }
}
