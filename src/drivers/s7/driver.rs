//! The driver of S7 as the list of drivers has it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::address::{Address, STAND_IN};
use super::client::Client;
use super::settings::{S7Point, S7Settings};
use super::structure::place_structure;
use super::wire::Target;
use super::{S7, check, notes, probe};
use crate::drivers::driver::{ConnectionOf, Driver, PointOf};
use crate::drivers::link::Link;
use crate::drivers::plan::{Leaf, PlaceError, Wanted};
use crate::drivers::reading::{
    Doubt, LinkKey, Part, PointError, PollPlan, ProbeError, ProbeLine, Reading, SettingsError,
};
use crate::value::Value;

impl Driver for S7 {
    const NAME: &'static str = "s7";
    const ABOUT: &'static str = "Siemens S7-300, 400, 1200, 1500, S7-200 and LOGO over TCP";
    const ALSO: &'static [&'static str] = &["siemens", "siemens-s7", "s7comm", "snap7", "iso-on-tcp", "step7"];
    const PLACE: &'static [&'static str] = &["host", "port"];
    const STAND_IN: Option<&'static str> = Some(STAND_IN);

    type Settings = S7Settings;
    type Point = S7Point;

    fn stand_in() -> S7Settings {
        serde_json::from_value(json!({ "host": "" })).expect("no other key is required")
    }

    fn show_as(settings: &mut S7Settings, text: String) {
        settings.shown = Some(text);
    }

    fn check_settings(settings: &S7Settings) -> Vec<SettingsError> {
        settings.faults()
    }

    /// One host by two names: two links would take two of the few connections that a CPU has.
    fn same_device(first: &S7Settings, name: &str, second: &S7Settings) -> Option<Doubt> {
        let is_same = S7::link_key(first) == S7::link_key(second) && first.host != second.host;
        // A host that must not be shown would be read off the other.
        let is_open = first.shown.is_none() && second.shown.is_none();
        let (host, other) = (&first.host, &second.host);
        (is_same && is_open).then(|| Doubt {
            message: format!("`{other}` is the host `{host}` of connection `{name}`, with the same rack and slot"),
            help: "both share one link; use one connection, or write the host alike in both".to_owned(),
        })
    }

    fn is_same_source(old: &S7Settings, new: &S7Settings) -> bool {
        old.is_same_source(new)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text).map(drop)
    }

    fn check_point(settings: &S7Settings, point: PointOf<'_, S7Point>) -> Result<Reading, PointError> {
        check::check_point(settings, point)
    }

    fn place_structure(
        settings: &S7Settings,
        point: PointOf<'_, S7Point>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Leaf>, PlaceError> {
        place_structure(settings, point, wanted)
    }

    fn check_output(settings: &S7Settings, point: PointOf<'_, S7Point>, raw: &Value) -> Result<(), String> {
        check::check_output(settings, point, raw)
    }

    fn leave_out(keys: &mut S7Point, part: Part) -> bool {
        keys.leave_out(part)
    }

    fn poll_plan(connection: ConnectionOf<'_, S7>) -> PollPlan {
        check::poll_plan(connection)
    }

    fn link_key(settings: &S7Settings) -> Option<LinkKey> {
        Some(LinkKey(Target::new(settings).key()))
    }

    fn open(connections: &[ConnectionOf<'_, S7>]) -> Link {
        Link::poll(Client::new(connections))
    }

    fn probe<'a>(
        connection: ConnectionOf<'a, S7>,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        probe::probe(connection, address).boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}
