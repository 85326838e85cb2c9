//! The two drivers of Modbus: frames over TCP, and frames on a serial line.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::address::Address;
use super::line::{Line, Slave};
use super::master::Master;
use super::settings::{RegisterPoint, RtuSettings, TcpSettings};
use super::structure::place_structure;
use super::{check, notes, probe};
use crate::drivers::driver::{ConnectionOf, Driver, PointOf};
use crate::drivers::link::Link;
use crate::drivers::plan::{Leaf, PlaceError, Wanted};
use crate::drivers::reading::{Doubt, LinkKey, ProbeError, ProbeLine, SettingsError};
use crate::drivers::reading::{Part, PointError, PollPlan, Reading};
use crate::value::Value;

/// An address that every point may have.
const STAND_IN: &str = "holding/0";

/// Modbus TCP, and serial frames over TCP.
#[derive(Debug)]
pub struct Tcp;

/// Modbus on a serial line.
#[derive(Debug)]
pub struct Rtu;

fn slave<'a, D: Driver>(connection: ConnectionOf<'a, D>) -> Slave<'a>
where
    Line: From<&'a D::Settings>,
{
    Slave { line: Line::from(connection.settings), plan: connection.plan }
}

impl Driver for Tcp {
    const NAME: &'static str = "modbus-tcp";
    const ABOUT: &'static str = "Modbus TCP, and RTU or ASCII frames over TCP";
    const ALSO: &'static [&'static str] = &["modbus"];
    const PLACE: &'static [&'static str] = &["host", "port"];
    const STAND_IN: Option<&'static str> = Some(STAND_IN);

    type Settings = TcpSettings;
    type Point = RegisterPoint;

    fn stand_in() -> TcpSettings {
        serde_json::from_value(json!({ "host": "" })).expect("no other key is required")
    }

    fn show_as(settings: &mut TcpSettings, text: String) {
        settings.shown = Some(text);
    }

    fn check_settings(settings: &TcpSettings) -> Vec<SettingsError> {
        // A host that is missing was reported; a blank one passes the decoder.
        let help = "write the name or the IP address of the device";
        let error = || SettingsError {
            key: "host",
            in_file: None,
            message: "`host` is blank".to_owned(),
            help: help.to_owned(),
        };
        if settings.host.is_empty() { vec![error()] } else { Vec::new() }
    }

    /// One host by two names: they share a link, since what one link reads and writes back another may have changed. No
    /// name is looked up.
    fn same_device(first: &TcpSettings, name: &str, second: &TcpSettings) -> Option<Doubt> {
        let is_same = Tcp::link_key(first) == Tcp::link_key(second)
            && first.unit_id == second.unit_id
            && first.host != second.host;
        // A host that must not be shown would be read off the other.
        let is_open = first.shown.is_none() && second.shown.is_none();
        let (host, other) = (&first.host, &second.host);
        (is_same && is_open).then(|| Doubt {
            message: format!("`{other}` is the host `{host}` of connection `{name}`, with the same unit_id"),
            help: "both share one link; use one connection, or write the host alike in both".to_owned(),
        })
    }

    fn is_same_source(old: &TcpSettings, new: &TcpSettings) -> bool {
        old.is_same_source(new)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text).map(drop)
    }

    fn check_point(settings: &TcpSettings, point: PointOf<'_, RegisterPoint>) -> Result<Reading, PointError> {
        check::check_point(&settings.defaults(), point)
    }

    fn place_structure(
        settings: &TcpSettings,
        point: PointOf<'_, RegisterPoint>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Leaf>, PlaceError> {
        place_structure(&settings.defaults(), point, wanted)
    }

    fn check_output(settings: &TcpSettings, point: PointOf<'_, RegisterPoint>, raw: &Value) -> Result<(), String> {
        check::check_output(&settings.defaults(), point, raw)
    }

    fn leave_out(keys: &mut RegisterPoint, part: Part) -> bool {
        keys.leave_out(part)
    }

    fn poll_plan(connection: ConnectionOf<'_, Tcp>) -> PollPlan {
        check::poll_plan(slave(connection))
    }

    fn link_key(settings: &TcpSettings) -> Option<LinkKey> {
        Some(Line::from(settings).link_key())
    }

    fn open(connections: &[ConnectionOf<'_, Tcp>]) -> Link {
        Link::poll(Master::new(connections.iter().map(|connection| slave(*connection)).collect()))
    }

    fn probe<'a>(
        connection: ConnectionOf<'a, Tcp>,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        probe::probe(slave(connection), address).boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}

impl Driver for Rtu {
    const NAME: &'static str = "modbus-rtu";
    const ABOUT: &'static str = "Modbus RTU or ASCII on a serial line";
    const PLACE: &'static [&'static str] = &["serial"];
    // A serial adaptor disappears when someone pulls it out, and this takes a while to mend.
    const RECONNECT_MAX: Duration = Duration::from_secs(30);
    const STAND_IN: Option<&'static str> = Some(STAND_IN);

    type Settings = RtuSettings;
    type Point = RegisterPoint;

    fn stand_in() -> RtuSettings {
        serde_json::from_value(json!({ "serial": "" })).expect("no other key is required")
    }

    fn show_as(settings: &mut RtuSettings, text: String) {
        settings.shown = Some(text);
    }

    fn is_same_source(old: &RtuSettings, new: &RtuSettings) -> bool {
        old.is_same_source(new)
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        Address::parse(text).map(drop)
    }

    fn check_point(settings: &RtuSettings, point: PointOf<'_, RegisterPoint>) -> Result<Reading, PointError> {
        check::check_point(&settings.defaults(), point)
    }

    fn place_structure(
        settings: &RtuSettings,
        point: PointOf<'_, RegisterPoint>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Leaf>, PlaceError> {
        place_structure(&settings.defaults(), point, wanted)
    }

    fn check_output(settings: &RtuSettings, point: PointOf<'_, RegisterPoint>, raw: &Value) -> Result<(), String> {
        check::check_output(&settings.defaults(), point, raw)
    }

    fn leave_out(keys: &mut RegisterPoint, part: Part) -> bool {
        keys.leave_out(part)
    }

    fn poll_plan(connection: ConnectionOf<'_, Rtu>) -> PollPlan {
        check::poll_plan(slave(connection))
    }

    fn link_key(settings: &RtuSettings) -> Option<LinkKey> {
        Some(Line::from(settings).link_key())
    }

    fn open(connections: &[ConnectionOf<'_, Rtu>]) -> Link {
        Link::poll(Master::new(connections.iter().map(|connection| slave(*connection)).collect()))
    }

    fn probe<'a>(
        connection: ConnectionOf<'a, Rtu>,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        probe::probe(slave(connection), address).boxed()
    }

    fn address_notes() -> String {
        notes::addresses()
    }
}
