//! The driver as a cell file names it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::address::Address;
use super::open::client_of;
use super::points::Point;
use super::settings::{OpcUa, OpcUaPoint};
use super::url::Url;
use super::{OpcUaClient, listing, notes, probe};
use crate::drivers::driver::{ConnectionOf, Delivery, Driver, Mirroring, PointOf};
use crate::drivers::file_text::{FileKey, FileText};
use crate::drivers::link::Link;
use crate::drivers::listing::{Listing, Start};
use crate::drivers::reading::{
    LinkKey, Part, PointError, ProbeError, Reading, Remark, RemarkPlace, SettingsError, Way,
};
use crate::model::ServerPlan;
use crate::stack::crypto::sha256;

impl Driver for OpcUaClient {
    const NAME: &'static str = "opcua";
    const ABOUT: &'static str = "Nodes of another OPC UA server";
    const ALSO: &'static [&'static str] = &["opc-ua", "ua", "opc.tcp"];
    const DELIVERY: Delivery = Delivery::Sampled;
    const OF_APPLICATION: bool = true;
    const MIRRORS: Mirroring = Mirroring::Connected;
    const STAND_IN: Option<&'static str> = Some("i=2258");

    type Settings = OpcUa;
    type Point = OpcUaPoint;

    fn stand_in() -> OpcUa {
        serde_json::from_value(serde_json::json!({ "url": "" })).expect("no other key is required")
    }

    fn hide(settings: &mut OpcUa, keys: &[&'static str]) {
        settings.hides_url = keys.contains(&"url");
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

    fn check_start(settings: &OpcUa, text: &str) -> Result<(), PointError> {
        let names = (!settings.url.is_empty()).then_some(&settings.namespaces);
        Address::parse(text, names).map(drop)
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
        let points = connections.iter().flat_map(|of| of.points().map(|point| Point::new(point, of.settings)));
        Link::push(client_of(connections, points.collect()))
    }

    fn probe_way<'a>(connection: ConnectionOf<'a, OpcUaClient>) -> BoxFuture<'a, Result<Way, ProbeError>> {
        async move { Ok(probe::probe(connection).await) }.boxed()
    }

    fn browse<'a>(
        connection: ConnectionOf<'a, OpcUaClient>,
        start: &'a Start,
    ) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        listing::browse(connection, start).boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}
