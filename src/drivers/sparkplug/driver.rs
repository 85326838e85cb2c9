//! The driver of Sparkplug B.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::address::{Address, Shown};
use super::births::Scope;
use super::host::Host;
use super::listener::{Listener, Role};
use super::settings::SparkplugSettings;
use super::{Sparkplug, browse, notes};
use crate::drivers::broker::{Options, Url, check_session, doubt_port, own_id};
use crate::drivers::driver::{ConnectionOf, Delivery, Driver, Mirroring, NoKeys, PointOf};
use crate::drivers::file_text::FileKey;
use crate::drivers::link::Link;
use crate::drivers::listing::{Listing, Start};
use crate::drivers::plan::PointPlan;
use crate::drivers::reading::{PointError, ProbeError, Reading, Remark, SettingsError, Way};
use crate::drivers::tls;
use crate::value::BuiltIn;

impl Driver for Sparkplug {
    const NAME: &'static str = "sparkplug";
    const ABOUT: &'static str = "metrics of Sparkplug B edge nodes, by way of an MQTT broker";
    const ALSO: &'static [&'static str] = &["sparkplug-b", "spb", "sparkplugb"];
    const DELIVERY: Delivery = Delivery::Pushed;
    const MIRRORS: Mirroring = Mirroring::Sent;
    const STAND_IN: Option<&'static str> = Some("group/node:metric");

    type Settings = SparkplugSettings;
    type Point = NoKeys;

    fn stand_in() -> SparkplugSettings {
        serde_json::from_value(serde_json::json!({ "url": "mqtt://broker" })).expect("no other key is required")
    }

    fn hide(settings: &mut SparkplugSettings, keys: &[&'static str]) {
        settings.hidden = keys.to_vec();
    }

    fn files(settings: &mut SparkplugSettings) -> Vec<FileKey<'_>> {
        tls::keys(&mut settings.ca, &mut settings.certificate, &mut settings.key)
    }

    fn check_settings(settings: &SparkplugSettings) -> Vec<SettingsError> {
        let mut errors = check_session(&settings.session());
        let mut refuse = |key, message: String, help: &str| {
            errors.push(SettingsError { key, in_file: None, message, help: help.to_owned() });
        };
        let is_wrong = |id: &str| id.is_empty() || id.contains(['+', '#', '/']);
        if settings.host_id.as_deref().is_some_and(is_wrong) {
            refuse("host_id", "`+`, `#` and `/` are not for a host id".to_owned(), "write a name, as opcell-line3");
        }
        if settings.reorder.0 > Duration::from_secs(60) {
            refuse("reorder", format!("{} is out of range 0ms..1min", settings.reorder), "2s is usual");
        }
        errors
    }

    fn check_together(connection: ConnectionOf<'_, Sparkplug>) -> Vec<Remark> {
        let mut remarks: Vec<Remark> = doubt_port(&connection.settings.url).into_iter().collect();
        let is_wrong = |group: &String| group.is_empty() || group.contains(['+', '#', '/']);
        for (at, group) in connection.settings.groups.iter().enumerate().filter(|(_, group)| is_wrong(group)) {
            remarks.push(Remark {
                place: crate::drivers::reading::RemarkPlace::Entry("groups", at),
                is_warning: false,
                message: format!("`{group}` is no group id: `+`, `#` and `/` are not for one"),
                help: "write the id of a group alone".to_owned(),
            });
        }
        remarks
    }

    fn is_same_source(old: &SparkplugSettings, new: &SparkplugSettings) -> bool {
        Url::parse(&old.url) == Url::parse(&new.url)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text).map(drop)
    }

    fn check_start(_: &SparkplugSettings, text: &str) -> Result<(), PointError> {
        Scope::parse(text).map(drop)
    }

    fn check_point(_: &SparkplugSettings, point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
        check_point(point.plan)?;
        Ok(Reading::default())
    }

    fn broker(connection: ConnectionOf<'_, Sparkplug>) -> Option<Options> {
        Some(connection.settings.session().options(connection.plan))
    }

    fn open(connections: &[ConnectionOf<'_, Sparkplug>]) -> Link {
        let connection = connections[0];
        let settings = connection.settings;
        let options = settings.session().options(connection.plan);
        let role = Role {
            host_id: settings.host_id.clone().unwrap_or_else(|| own_id(connection.plan).replace(['+', '#', '/'], "_")),
            groups: settings.groups.clone(),
            has_state: settings.state && !connection.plan.is_scan,
            may_ask: !connection.plan.is_scan,
        };
        // Numbers are those of the plan; points that are refused get nothing.
        let plan = connection.plan;
        let host = Host::new(plan.points.to_vec(), &plan.browses, settings.reorder.0);
        Link::push(Listener::new(options, role, host, connection.application.cloned()))
    }

    fn probe_way<'a>(connection: ConnectionOf<'a, Sparkplug>) -> BoxFuture<'a, Result<Way, ProbeError>> {
        let options = connection.settings.session().options(connection.plan);
        async move { Ok(options.probe().await) }.boxed()
    }

    fn browse<'a>(
        connection: ConnectionOf<'a, Sparkplug>,
        start: &'a Start,
    ) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        browse::browse(connection, start).boxed()
    }

    fn address_notes() -> String {
        notes::metrics()
    }
}

fn check_point(plan: &PointPlan) -> Result<(), PointError> {
    let address = Address::parse(&plan.address)?;
    let key = |key, message: String, help: &str| Err(PointError::key(key, message, help));
    if plan.words.len() > 1 {
        return key("address", "a tag has one metric".to_owned(), "write one address");
    }
    if let Some(exponent) = &plan.exponent {
        let help = "delete `exponent`: a metric has its value as a whole";
        let error = PointError::new(0..exponent.len(), "metrics have no exponent".to_owned(), help);
        return Err(PointError { part: crate::drivers::reading::Part::Exponent, ..error });
    }
    let wanted = match &address.shown {
        Shown::Metric(_) => return check_type(plan),
        Shown::Online => BuiltIn::Boolean,
        Shown::Birth => BuiltIn::DateTime,
    };
    if plan.kind != wanted || plan.is_array {
        let at = plan.address.find('@').unwrap_or(0)..plan.address.len();
        let message = format!("`{}` is a {wanted:?}", &plan.address[at.clone()]);
        return Err(PointError::new(at, message, &format!("write `type: {wanted:?}`")));
    }
    if plan.write {
        let message = "what a host finds out cannot be written".to_owned();
        return key("write", message, "delete `write`");
    }
    Ok(())
}

fn check_type(plan: &PointPlan) -> Result<(), PointError> {
    let is_known = plan.kind.is_number()
        || matches!(plan.kind, BuiltIn::Boolean | BuiltIn::String | BuiltIn::DateTime | BuiltIn::ByteString);
    let help = "make the tag a Boolean, a number, a String, a DateTime or a ByteString";
    match is_known {
        true => Ok(()),
        false => Err(PointError::key("type", format!("metrics give no {:?}", plan.kind), help)),
    }
}
