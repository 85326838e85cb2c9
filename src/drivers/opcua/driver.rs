//! The driver as a cell file names it.

use std::sync::Arc;

use super::address::Address;
use super::client::{Client, Config};
use super::points::Point;
use super::settings::{OpcUa, OpcUaPoint};
use super::url::Url;
use super::{notes, user};
use crate::drivers::driver::{ConnectionOf, Delivery, Driver, PointOf};
use crate::drivers::file_text::{FileKey, FileText};
use crate::drivers::link::Link;
use crate::drivers::reading::{LinkKey, Part, PointError, Reading, Remark, RemarkPlace, SettingsError};
use crate::model::ServerPlan;
use crate::stack::crypto::sha256;

/// Nodes of another OPC UA server.
#[derive(Debug)]
pub(crate) struct OpcUaClient;

impl Driver for OpcUaClient {
    const NAME: &'static str = "opcua";
    const ABOUT: &'static str = "Nodes of another OPC UA server";
    const ALSO: &'static [&'static str] = &["opc-ua", "ua", "opc.tcp"];
    const DELIVERY: Delivery = Delivery::Sampled;
    const STAND_IN: Option<&'static str> = Some("i=2258");

    type Settings = OpcUa;
    type Point = OpcUaPoint;

    fn stand_in() -> OpcUa {
        serde_json::from_value(serde_json::json!({ "url": "" })).expect("no other key is required")
    }

    fn files(settings: &mut OpcUa) -> Vec<FileKey<'_>> {
        let certificate = settings.user_certificate.iter_mut().map(|file| FileKey { key: "user_certificate", file });
        let key = settings.user_key.iter_mut().map(|file| FileKey { key: "user_key", file });
        certificate.chain(key).collect()
    }

    fn check_settings(settings: &OpcUa) -> Vec<SettingsError> {
        settings.faults()
    }

    fn is_same_source(old: &OpcUa, new: &OpcUa) -> bool {
        old.is_same_source(new)
    }

    fn check_loop(settings: &OpcUa, server: &ServerPlan) -> Option<Remark> {
        let is_own = Url::parse(&settings.url).is_ok_and(|url| url.leads_to(&server.listen, &server.advertise));
        is_own.then(|| Remark {
            place: RemarkPlace::Key("url"),
            is_warning: false,
            message: "this is the server's own address".to_owned(),
            help: "write the address of the other server".to_owned(),
        })
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text, None).map(drop)
    }

    fn check_point(settings: &OpcUa, point: PointOf<'_, OpcUaPoint>) -> Result<Reading, PointError> {
        if !point.words.is_empty() {
            let message = "a node is one address, not a list".to_owned();
            return Err(PointError::new(0..0, message, "write the address of one node"));
        }
        if point.exponent.is_some() {
            let message = "driver `opcua` reads no exponent".to_owned();
            let error = PointError::new(0..0, message, "write `factor` in its place");
            return Err(PointError { part: Part::Exponent, ..error });
        }
        // Addresses of a connection whose settings have findings are checked without its short names.
        let names = (!settings.url.is_empty()).then_some(&settings.namespaces);
        let parsed = Address::parse(&point.address, names)?;
        Ok(Reading { warning: parsed.doubt, ..Reading::default() })
    }

    fn link_key(settings: &OpcUa) -> Option<LinkKey> {
        let place = Url::parse(&settings.url).map_or_else(
            |_| settings.url.clone(),
            |url| {
                let path = url.text.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
                format!("{}/{path}", url.place())
            },
        );
        let password = settings.password.as_ref().map_or("", |password| &password.0).as_bytes();
        let [certificate, key] =
            [&settings.user_certificate, &settings.user_key].map(|file| file.as_ref().map_or(&[][..], FileText::bytes));
        let user = settings.user.as_ref().map(|user| sha256(&[user.as_bytes()]));
        let user = user.as_ref().map_or(&[][..], |hash| &hash[..]);
        // What only the user knows is part of the key, and no part of what a log may show.
        let secret = sha256(&[&sha256(&[user]), &sha256(&[password]), &sha256(&[certificate]), &sha256(&[key])]);
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let (policy, open) = (settings.policy, settings.allow_unsecured);
        Some(LinkKey(format!("{place} {policy:?} {open} {secret}")))
    }

    fn open(connections: &[ConnectionOf<'_, OpcUaClient>]) -> Link {
        let first = connections[0];
        let settings = first.settings.clone();
        let url = Url::parse(&settings.url);
        let url = url.unwrap_or_else(|_| Url { host: String::new(), port: 0, text: settings.url.clone() });
        let timeout = connections.iter().map(|connection| connection.plan.timeout).max().unwrap_or_default();
        let files = settings.user_certificate.as_ref().zip(settings.user_key.as_ref());
        // `check` refuses a connection whose files cannot be used.
        let identity = files.and_then(|(certificate, key)| user::identity(certificate, key).ok()).map(Arc::new);
        let config = Config { settings, url, name: first.plan.name.clone(), timeout, identity };
        let application = first.application.cloned();
        let points = connections.iter().flat_map(|of| of.points().map(|point| Point::new(point, of.settings)));
        Link::push(Client::new(config, application, points.collect()))
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}
