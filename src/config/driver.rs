//! The keys of drivers: which struct reads a connection's and a source's other half.
//!
//! Both halves of a mapping skip each other's keys, and suggestions know both.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::de::{Other, decode, decode_entry};
use super::report::Findings;
use super::source::{Ix, Source};
use crate::drivers::modbus::{RegisterPoint, RtuSettings, TcpSettings};
use crate::drivers::{Kind, PointSettings, Settings, simulator};

/// Structs of the settings of every driver, in the order of the reference.
pub fn each_settings(generator: &mut SchemaGenerator) {
    generator.subschema_for::<TcpSettings>();
    generator.subschema_for::<RtuSettings>();
    generator.subschema_for::<RegisterPoint>();
    generator.subschema_for::<simulator::Settings>();
}

/// The schema of any driver's settings.
pub fn settings_schema(generator: &mut SchemaGenerator) -> Schema {
    let tcp = generator.subschema_for::<TcpSettings>();
    let rtu = generator.subschema_for::<RtuSettings>();
    let simulator = generator.subschema_for::<simulator::Settings>();
    json_schema!({ "anyOf": [tcp, rtu, simulator] })
}

/// The schema of any driver's points.
pub fn point_schema(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<RegisterPoint>()
}

/// Name in the schema of the struct that reads a connection of this driver.
pub fn settings_struct(kind: Kind) -> &'static str {
    match kind {
        Kind::Simulator => "Settings",
        Kind::ModbusTcp => "TcpSettings",
        Kind::ModbusRtu => "RtuSettings",
    }
}

/// Name in the schema of the struct that reads a source of this driver, if it has keys at all.
pub fn point_structs(kind: Kind) -> Other<'static> {
    match kind {
        Kind::Simulator => &[],
        Kind::ModbusTcp | Kind::ModbusRtu => &["RegisterPoint"],
    }
}

/// The driver's half of a connection.
pub fn settings(kind: Kind, source: &Source, at: Ix, findings: &mut Findings) -> Option<Settings> {
    fn read<T: DeserializeOwned>(source: &Source, at: Ix, findings: &mut Findings) -> Option<T> {
        quietly(findings, |findings| decode(source, at, &["Connection"], findings))
    }
    Some(match kind {
        Kind::Simulator => Settings::Simulator(read(source, at, findings)?),
        Kind::ModbusTcp => Settings::ModbusTcp(read(source, at, findings)?),
        Kind::ModbusRtu => Settings::ModbusRtu(read(source, at, findings)?),
    })
}

/// Settings to judge addresses by where a connection's own had findings.
pub fn stand_in(kind: Kind) -> Settings {
    let read = "nothing but the required key is wanted";
    match kind {
        Kind::Simulator => Settings::Simulator(simulator::Settings::default()),
        Kind::ModbusTcp => Settings::ModbusTcp(serde_json::from_value(json!({ "host": "" })).expect(read)),
        Kind::ModbusRtu => Settings::ModbusRtu(serde_json::from_value(json!({ "serial": "" })).expect(read)),
    }
}

/// The driver's half of a source, and whether all of it was understood; `at` is `None` for one that is an address alone.
pub fn point(
    kind: Kind,
    source: &mut Source,
    at: Option<Ix>,
    findings: &mut Findings,
) -> Option<(PointSettings, bool)> {
    match (kind, at) {
        (Kind::Simulator, _) => Some((PointSettings::Simulator, true)),
        (_, None) => Some((PointSettings::Modbus(RegisterPoint::default()), true)),
        (_, Some(at)) => {
            let (settings, is_whole) =
                quietly(findings, |findings| decode_entry(source, at, &["SourceSpec"], findings));
            Some((PointSettings::Modbus(settings?), is_whole))
        }
    }
}

/// Unknown keys are reported by the first half that reads the mapping; the second says only what is its own.
fn quietly<T>(findings: &mut Findings, read: impl FnOnce(&mut Findings) -> T) -> T {
    let mark = findings.len();
    let value = read(findings);
    findings.drop_repeats_since(mark);
    value
}
