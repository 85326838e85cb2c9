//! The cell file, and the files that it includes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::values::{anything, by_name, text};
use super::{Access, HistoryClass, NodeSpec};
use crate::config::at::{At, Raw};
use crate::drivers::DRIVERS;
use crate::model::Period;

/// One manufacturing cell: its devices and what clients see of them.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct CellFile {
    /// Format of this file: 1.
    pub schema: At<u32>,
    /// Name of the cell; its object below Objects.
    #[schemars(extend("x-also" = ["name"]))]
    pub cell: At<String>,
    /// NamespaceUri of the cell's nodes (default `urn:opcell:CELL`); its index is pinned for ever.
    #[schemars(extend("x-also" = ["namespace_uri", "uri"]))]
    pub namespace: Option<At<String>>,
    /// More files of this cell, as paths or globs from this file; they may hold `history`, `connections`, `types` and
    /// `nodes`.
    #[schemars(extend("x-also" = ["includes", "import"]))]
    pub include: Option<Vec<At<String>>>,
    /// Inherited by every node; a node or folder may override each.
    pub defaults: Option<Defaults>,
    /// How much history to keep, by name; built in are `fast`, `process` and `events`.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<HistoryClass>", extend("x-also" = ["historian", "archive", "logging"]))]
    pub history: Option<Raw>,
    /// Links to devices, by name.
    #[serde(default)]
    #[schemars(schema_with = "connections", extend("x-also" = ["drivers", "devices", "channels", "inputs"]))]
    pub connections: Option<Raw>,
    /// Own data types and object types.
    pub types: Option<Types>,
    /// The address space, by BrowseName.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<NodeSpec>", extend("x-also" = ["tags", "points", "sensors", "fields"]))]
    pub nodes: Option<Raw>,
}

/// A file that a cell file includes.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct IncludedFile {
    /// Format of this file: 1.
    pub schema: Option<At<u32>>,
    /// More files of this cell, as paths or globs from this file.
    pub include: Option<Vec<At<String>>>,
    /// How much history to keep, by name.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<HistoryClass>")]
    pub history: Option<Raw>,
    /// Links to devices, by name.
    #[serde(default)]
    #[schemars(schema_with = "connections")]
    pub connections: Option<Raw>,
    /// Own data types and object types.
    pub types: Option<Types>,
    /// The address space, by BrowseName.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<NodeSpec>")]
    pub nodes: Option<Raw>,
}

fn connections(generator: &mut SchemaGenerator) -> Schema {
    let connection = generator.subschema_for::<Connection>();
    json_schema!({ "type": "object", "additionalProperties": connection })
}

fn drivers(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = DRIVERS.iter().map(|driver| driver.name).collect();
    json_schema!({ "type": "string", "enum": names })
}

/// What nodes inherit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Defaults {
    /// Who may read, write, call.
    pub access: Option<Access>,
    /// Connection of every source (default: the only connection, if there is one).
    pub connection: Option<At<String>>,
    /// History class, or none (default none).
    pub history: Option<At<String>>,
    /// Poll period (default 1s).
    #[schemars(extend("x-also" = ["every", "scan", "scan_rate", "interval", "scan_interval", "update_interval"]))]
    pub poll: Option<Period>,
    /// If no fresh sample arrives within this time the value turns Bad, and the code says why; until then the last value is
    /// Uncertain (default 3 polls, at least 5s).
    pub stale_after: Option<At<Period>>,
}

/// Own types.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Types {
    /// Enumerations: value to text (EnumStrings, EnumDefinition), as `{ 0: Stopped, 1: Running }`.
    #[serde(default)]
    #[schemars(schema_with = "enums")]
    pub enums: Option<Raw>,
    /// ObjectTypes with parameters; `of:` makes instances.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<ObjectType>", extend("x-also" = ["templates", "udts"]))]
    pub objects: Option<Raw>,
}

fn enums(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": "object" } })
}

/// A type of objects.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ObjectType {
    /// Parameters by name; `{name}` in a text is replaced by the instance's value, `{base+1}` calculates.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<Param>", extend("x-also" = ["parameters", "vars", "inputs"]))]
    pub params: Option<Raw>,
    /// Connection of the type's sources; usually a parameter.
    pub connection: Option<At<String>>,
    /// Text for operators (Description), as text or by language.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    pub description: Option<Raw>,
    /// Nodes of every instance.
    #[schemars(schema_with = "by_name::<NodeSpec>")]
    pub children: Raw,
}

/// A parameter of an object type.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Param {
    /// int, number, text, duration or connection.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Used when an instance gives none; without it an instance must give a value.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    pub default: Option<Raw>,
}

/// What a parameter may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ParamType {
    Int,
    Number,
    Text,
    Duration,
    Connection,
}

/// A link to a device; in addition to these keys it has those of its driver.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Connection {
    /// Driver of the device's protocol; the reference says how addresses of each are written.
    #[schemars(schema_with = "drivers", extend("x-also" = ["type", "protocol", "platform", "kind"]))]
    pub driver: At<String>,
    /// Text for people (default none).
    pub description: Option<String>,
    /// Off: never opened, its tags are BadOutOfService (default true).
    pub enabled: Option<bool>,
    /// Tags of this connection may be written (default false).
    #[schemars(extend("x-also" = ["writable", "writeable", "write"]))]
    pub allow_write: Option<bool>,
    /// Longest wait for one reply (default 1s).
    pub timeout: Option<Period>,
    /// Repeats of a read without reply (default 1).
    #[schemars(range(min = 0, max = 10))]
    pub retries: Option<u32>,
    /// Longest wait between attempts to connect; the first is 0.5 s, doubled each time (default 5s on TCP, 30s on a serial
    /// line).
    #[schemars(extend("x-also" = ["reconnect", "backoff"]))]
    pub reconnect_max: Option<Period>,
}
