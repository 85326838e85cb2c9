//! The driver of HTTP.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::address::Server;
use super::poller::Poller;
use super::settings::{HttpPoint, HttpSettings};
use super::{Http, check, notes, probe};
use crate::drivers::driver::{ConnectionOf, Driver, PointOf};
use crate::drivers::file_text::{FileKey, FileText};
use crate::drivers::link::Link;
use crate::drivers::payload::place_structure;
use crate::drivers::plan::{Leaf, PlaceError, Wanted};
use crate::drivers::reading::{LinkKey, Part, PointError, ProbeError, Reading, SettingsError, Way};
use crate::drivers::tls;

impl Driver for Http {
    const NAME: &'static str = "http";
    const ABOUT: &'static str = "values in the answers of a web server: JSON, text, bytes, CSV";
    const ALSO: &'static [&'static str] = &["rest", "https", "json", "web", "iolink"];
    const STAND_IN: Option<&'static str> = Some("/");

    const WRITES_FIELDS: bool = false;

    type Settings = HttpSettings;
    type Point = HttpPoint;

    fn stand_in() -> HttpSettings {
        serde_json::from_value(json!({ "url": "" })).expect("no other key is required")
    }

    fn hide(settings: &mut HttpSettings, keys: &[&'static str]) {
        settings.hides_url = keys.contains(&"url");
    }

    fn files(settings: &mut HttpSettings) -> Vec<FileKey<'_>> {
        tls::keys(&mut settings.ca, &mut settings.certificate, &mut settings.key)
    }

    fn check_settings(settings: &HttpSettings) -> Vec<SettingsError> {
        check::settings(settings)
    }

    fn is_same_source(old: &HttpSettings, new: &HttpSettings) -> bool {
        Server::parse(&old.url) == Server::parse(&new.url) && old.requests == new.requests
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        check::address(text, None)
    }

    fn check_point(settings: &HttpSettings, point: PointOf<'_, HttpPoint>) -> Result<Reading, PointError> {
        check::point(settings, point)
    }

    fn place_structure(
        _: &HttpSettings,
        point: PointOf<'_, HttpPoint>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Leaf>, PlaceError> {
        place_structure(point, wanted)
    }

    fn leave_out(keys: &mut HttpPoint, part: Part) -> bool {
        keys.leave_out(part)
    }

    fn poll_of(settings: &HttpSettings, address: &str) -> Option<Duration> {
        settings.requests.get(address)?.poll.map(|poll| poll.0)
    }

    fn link_key(settings: &HttpSettings) -> Option<LinkKey> {
        let Server { is_tls, host, port, base } = Server::parse(&settings.url).ok()?;
        let HttpSettings { user, password, headers, ca, certificate, .. } = settings;
        let files = (ca.as_ref().map(FileText::path), certificate.as_ref().map(FileText::path));
        // A key may be shown, so secrets are in it as a number alone.
        let mut secrets = DefaultHasher::new();
        (password.as_ref().map(|password| &password.0), headers).hash(&mut secrets);
        let secrets = secrets.finish();
        Some(LinkKey(format!("{is_tls} {host} {port} {base} {user:?} {files:?} {secrets:x}")))
    }

    fn open(connections: &[ConnectionOf<'_, Http>]) -> Link {
        Link::poll(Poller::new(connections))
    }

    fn probe_way<'a>(connection: ConnectionOf<'a, Http>) -> BoxFuture<'a, Result<Way, ProbeError>> {
        async move { Ok(probe::probe(connection).await) }.boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}
