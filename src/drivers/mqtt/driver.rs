//! The driver of MQTT.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::listener::Listener;
use super::settings::{MqttPoint, MqttSettings};
use super::table::Table;
use super::{check, notes};
use crate::drivers::broker::{Options, Url};
use crate::drivers::driver::{ConnectionOf, Delivery, Driver, PointOf};
use crate::drivers::file_text::{FileKey, FileText};
use crate::drivers::link::Link;
use crate::drivers::payload::place_structure;
use crate::drivers::plan::{Leaf, PlaceError, Wanted};
use crate::drivers::reading::{Doubt, LinkKey, Part, PointError, ProbeError, Reading, Remark, SettingsError, Way};
use crate::drivers::tls;

/// MQTT by way of a broker.
#[derive(Debug)]
pub(crate) struct Mqtt;

impl Driver for Mqtt {
    const NAME: &'static str = "mqtt";
    const ABOUT: &'static str = "messages of devices, by way of an MQTT broker";
    const RECONNECT_MAX: Duration = Duration::from_secs(5);
    const DELIVERY: Delivery = Delivery::Pushed;
    const STAND_IN: Option<&'static str> = Some("topic");

    const WRITES_FIELDS: bool = false;

    type Settings = MqttSettings;
    type Point = MqttPoint;

    fn stand_in() -> MqttSettings {
        serde_json::from_value(json!({ "url": "mqtt://broker" })).expect("no other key is required")
    }

    fn hide(settings: &mut MqttSettings, keys: &[&'static str]) {
        settings.hidden = keys.to_vec();
    }

    fn files(settings: &mut MqttSettings) -> Vec<FileKey<'_>> {
        tls::keys(&mut settings.ca, &mut settings.certificate, &mut settings.key)
    }

    fn check_settings(settings: &MqttSettings) -> Vec<SettingsError> {
        check::check_settings(settings)
    }

    fn check_together(connection: ConnectionOf<'_, Mqtt>) -> Vec<Remark> {
        check::check_together(connection.settings, connection.plan)
    }

    fn same_device(first: &MqttSettings, name: &str, second: &MqttSettings) -> Option<Doubt> {
        let is_one_client = Url::parse(&first.url) == Url::parse(&second.url)
            && first.client_id.is_some()
            && first.client_id == second.client_id;
        (is_one_client && first.user != second.user).then(|| Doubt {
            message: format!("connection `{name}` has the same url and client id, and another user"),
            help: "the broker would end one for the other; leave `client_id` out".to_owned(),
        })
    }

    fn is_same_source(old: &MqttSettings, new: &MqttSettings) -> bool {
        Url::parse(&old.url) == Url::parse(&new.url)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        check::check_address(text)
    }

    fn check_point(_: &MqttSettings, point: PointOf<'_, MqttPoint>) -> Result<Reading, PointError> {
        check::check_point(point)
    }

    fn place_structure(
        _: &MqttSettings,
        point: PointOf<'_, MqttPoint>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Leaf>, PlaceError> {
        place_structure(point, wanted)
    }

    fn leave_out(keys: &mut MqttPoint, part: Part) -> bool {
        keys.leave_out(part)
    }

    fn broker(connection: ConnectionOf<'_, Mqtt>) -> Option<Options> {
        Some(connection.settings.session().options(connection.plan))
    }

    /// Own client ids are those of the connections, so only a client id that is given can be shared.
    fn link_key(settings: &MqttSettings) -> Option<LinkKey> {
        let client_id = settings.client_id.as_ref()?;
        let Url { host, port, is_tls } = Url::parse(&settings.url).ok()?;
        let user = settings.user.as_deref().unwrap_or_default();
        let certificate = settings.certificate.as_ref().map(FileText::path);
        Some(LinkKey(format!("{host} {port} {is_tls} {user:?} {client_id:?} {certificate:?}")))
    }

    fn open(connections: &[ConnectionOf<'_, Mqtt>]) -> Link {
        Link::push(Listener::new(
            connections[0].settings.session().options(connections[0].plan),
            Table::new(connections),
        ))
    }

    fn probe_way<'a>(connection: ConnectionOf<'a, Mqtt>) -> BoxFuture<'a, Result<Way, ProbeError>> {
        let options = connection.settings.session().options(connection.plan);
        async move { Ok(options.probe().await) }.boxed()
    }

    fn address_notes() -> String {
        notes::topics()
    }
}
