//! The driver of EtherNet/IP as the list of drivers has it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::address::{Address, STAND_IN};
use super::client::Client;
use super::settings::EthernetIp;
use super::wire::Target;
use super::{EthernetIpDriver, browse, check, notes, probe};
use crate::drivers::driver::{ConnectionOf, Driver, Mirroring, NoKeys, PointOf};
use crate::drivers::link::Link;
use crate::drivers::listing::{Listing, Start};
use crate::drivers::reading::{Doubt, LinkKey, PointError, PollPlan, ProbeError, ProbeLine, Reading, SettingsError};
use crate::value::Value;

impl Driver for EthernetIpDriver {
    const NAME: &'static str = "ethernet-ip";
    const ABOUT: &'static str = "tags of Logix PLCs by their names: ControlLogix, CompactLogix, Micro800";
    const ALSO: &'static [&'static str] =
        &["ethernetip", "eip", "enip", "logix", "cip", "rockwell", "allen-bradley", "controllogix", "compactlogix"];
    const PLACE: &'static [&'static str] = &["host", "port"];
    const MIRRORS: Mirroring = Mirroring::Connected;
    const STAND_IN: Option<&'static str> = Some(STAND_IN);

    type Settings = EthernetIp;
    type Point = NoKeys;

    fn stand_in() -> EthernetIp {
        serde_json::from_value(json!({ "host": "" })).expect("no other key is required")
    }

    fn show_as(settings: &mut EthernetIp, text: String) {
        settings.shown = Some(text);
    }

    fn check_settings(settings: &EthernetIp) -> Vec<SettingsError> {
        settings.faults()
    }

    /// One host by two names: both share one link.
    fn same_device(first: &EthernetIp, name: &str, second: &EthernetIp) -> Option<Doubt> {
        let is_same = EthernetIpDriver::link_key(first) == EthernetIpDriver::link_key(second);
        // A host that must not be shown would be read off the other.
        let is_open = first.shown.is_none() && second.shown.is_none();
        let (host, other) = (&first.host, &second.host);
        (is_same && is_open && host != other).then(|| Doubt {
            message: format!("`{other}` is the host `{host}` of connection `{name}`, with the same path"),
            help: "both share one link; use one connection, or write the host alike in both".to_owned(),
        })
    }

    fn is_same_source(old: &EthernetIp, new: &EthernetIp) -> bool {
        old.is_same_source(new)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text).map(drop)
    }

    fn check_start(_: &EthernetIp, text: &str) -> Result<(), PointError> {
        let program = text.get(..8).filter(|start| start.eq_ignore_ascii_case("program:"));
        match program.map(|_| &text[8..]) {
            Some(name) if !name.is_empty() && !name.contains(['.', '[']) => {
                Address::parse(&format!("{text}.X")).map(drop)
            }
            _ => Address::parse(text).map(drop),
        }
    }

    fn check_point(_: &EthernetIp, point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
        check::check_point(point)
    }

    fn check_output(_: &EthernetIp, point: PointOf<'_, NoKeys>, raw: &Value) -> Result<(), String> {
        check::check_output(point, raw)
    }

    fn poll_plan(connection: ConnectionOf<'_, EthernetIpDriver>) -> PollPlan {
        check::poll_plan(connection)
    }

    fn link_key(settings: &EthernetIp) -> Option<LinkKey> {
        Some(LinkKey(Target::new(settings).key()))
    }

    fn open(connections: &[ConnectionOf<'_, EthernetIpDriver>]) -> Link {
        Link::poll(Client::new(connections))
    }

    fn probe<'a>(
        connection: ConnectionOf<'a, EthernetIpDriver>,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        probe::probe(connection, address).boxed()
    }

    fn browse<'a>(
        connection: ConnectionOf<'a, EthernetIpDriver>,
        start: &'a Start,
    ) -> BoxFuture<'a, Result<Listing, ProbeError>> {
        browse::browse(connection, start).boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}
