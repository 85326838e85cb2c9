//! The cell file, and the files that it includes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::values::{anything, by_name, text};
use super::{Access, HistoryClass, NodeSpec, Publish};
use crate::config::at::{At, Raw};
use crate::drivers::DRIVERS;
use crate::model::Period;

/// One manufacturing cell: its devices and the nodes that clients see.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct CellFile {
    /// Format of this file: 1.
    pub schema: At<u32>,
    /// Name of the cell. Its Object has this name and is below the Objects folder.
    #[schemars(extend("x-also" = ["name"]))]
    pub cell: At<String>,
    /// NamespaceUri of the cell's nodes (default `urn:opcell:CELL`). The server gives it an index at the first start
    /// and never changes the index.
    #[schemars(extend("x-also" = ["namespace_uri", "uri"]))]
    pub namespace: Option<At<String>>,
    /// Further files of this cell, as paths or patterns relative to this file, such as `parts/*.yaml`. They may hold
    /// `history`, `connections`, `types`, `nodes`, `publish` and `include`.
    #[schemars(extend("x-also" = ["includes", "import"]))]
    pub include: Option<Vec<At<String>>>,
    /// Settings that every node inherits. A folder or a node may override each of them.
    pub defaults: Option<Defaults>,
    /// History classes by name: how much history is kept. `fast`, `process` and `events` are built in.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<HistoryClass>", extend("x-also" = ["historian", "archive", "logging"]))]
    pub history: Option<Raw>,
    /// Connections to devices, by name.
    #[serde(default)]
    #[schemars(schema_with = "connections", extend("x-also" = ["drivers", "devices", "channels", "inputs"]))]
    pub connections: Option<Raw>,
    /// Enumerations, structures, option sets and object types of this cell.
    pub types: Option<Types>,
    /// Nodes of the address space, by BrowseName.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<NodeSpec>", extend("x-also" = ["tags", "points", "sensors", "fields"]))]
    pub nodes: Option<Raw>,
    /// Publishers, by name: tags go out to an MQTT broker, as JSON or as an edge node of Sparkplug B.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<Publish>", extend("x-also" = ["publishers", "outputs", "northbound"]))]
    pub publish: Option<Raw>,
}

/// A file that a cell file includes.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct IncludedFile {
    /// Format of this file: 1.
    pub schema: Option<At<u32>>,
    /// Further files of this cell, as paths or patterns relative to this file.
    pub include: Option<Vec<At<String>>>,
    /// History classes by name: how much history is kept.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<HistoryClass>")]
    pub history: Option<Raw>,
    /// Connections to devices, by name.
    #[serde(default)]
    #[schemars(schema_with = "connections")]
    pub connections: Option<Raw>,
    /// Enumerations, structures, option sets and object types of this cell.
    pub types: Option<Types>,
    /// Nodes of the address space, by BrowseName.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<NodeSpec>")]
    pub nodes: Option<Raw>,
    /// Publishers, by name: tags go out to an MQTT broker, as JSON or as an edge node of Sparkplug B.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<Publish>")]
    pub publish: Option<Raw>,
}

fn connections(generator: &mut SchemaGenerator) -> Schema {
    let connection = generator.subschema_for::<Connection>();
    json_schema!({ "type": "object", "additionalProperties": connection })
}

fn drivers(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = DRIVERS.iter().map(|driver| driver.name).collect();
    json_schema!({ "type": "string", "enum": names })
}

/// Settings that nodes inherit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct Defaults {
    /// Roles that may read, write and call methods.
    pub access: Option<Access>,
    /// Connection of the sources that name none (default: the connection, when the cell has exactly one).
    pub connection: Option<At<String>>,
    /// History class of the tags, or `none` (default none).
    pub history: Option<At<String>>,
    /// Time between two polls of a tag (default 1s).
    #[schemars(extend("x-also" = ["every", "scan", "scan_rate", "interval", "scan_interval", "update_interval"]))]
    pub poll: Option<Period>,
    /// Longest time without a new sample (default 3 polls, at least 5s). When polls fail, a tag shows its last value
    /// as Uncertain for this time. After this time the tag is Bad, and the status code gives the reason, such as
    /// BadTimeout or BadNoCommunication.
    pub stale_after: Option<At<Period>>,
}

/// Types of the cell.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Types {
    /// Enumerations by name, each with the text of every value: `{ 0: Stopped, 1: Running }`. Clients see EnumStrings
    /// or EnumValues, and EnumDefinition.
    #[serde(default)]
    #[schemars(schema_with = "enums")]
    pub enums: Option<Raw>,
    /// Structures by name, each with its fields: `{ Id: { type: String, length: 16 }, Recipe: UInt16 }`. Clients see a
    /// DataType below Structure, with StructureDefinition. A tag has one by `type: NAME`.
    #[serde(default)]
    #[schemars(schema_with = "super::structure::structs", extend("x-also" = ["structures", "records"]))]
    pub structs: Option<Raw>,
    /// Option sets by name, each with the text of every bit: `{ 0: Overheat, 3: Door }`. The highest bit decides whether
    /// it is a Byte, UInt16, UInt32 or UInt64, or `base: UInt32` says so. Clients see OptionSetValues and
    /// EnumDefinition.
    #[serde(default)]
    #[schemars(schema_with = "enums", extend("x-also" = ["option_sets", "bitfields", "bits"]))]
    pub flags: Option<Raw>,
    /// Object types by name, which may have parameters. `of:` at a node makes an instance.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<ObjectType>", extend("x-also" = ["templates", "udts"]))]
    pub objects: Option<Raw>,
}

fn enums(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": "object" } })
}

/// An object type.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ObjectType {
    /// Parameters by name. In the texts of the type, `{name}` is replaced by the instance's value, and `{base+1}` by
    /// the result of the calculation.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<Param>", extend("x-also" = ["parameters", "vars", "inputs"]))]
    pub params: Option<Raw>,
    /// Connection of the type's sources, usually a parameter such as `"{plc}"`.
    pub connection: Option<At<String>>,
    /// Description for operators, as one text or by language.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    pub description: Option<Raw>,
    /// Nodes that every instance has, by BrowseName.
    #[schemars(schema_with = "by_name::<NodeSpec>")]
    pub children: Raw,
}

/// A parameter of an object type.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Param {
    /// Type of the value: int, number, text, duration or connection.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Value for instances that give none. Without a default, every instance must give a value.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    pub default: Option<Raw>,
}

/// Types that a parameter may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ParamType {
    Int,
    Number,
    Text,
    Duration,
    Connection,
}

/// A connection to a device. In addition to these keys it has the keys of its driver.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Connection {
    /// Driver, which speaks the protocol of the device. The reference shows how its addresses are written.
    #[schemars(schema_with = "drivers", extend("x-also" = ["type", "protocol", "platform", "kind"]))]
    pub driver: At<String>,
    /// Text for operators (default none).
    pub description: Option<String>,
    /// Whether the connection is used (default true). With false it is never opened, and its tags are
    /// BadOutOfService.
    pub enabled: Option<bool>,
    /// Whether tags of this connection may be written at all (default false).
    #[schemars(extend("x-also" = ["writable", "writeable", "write"]))]
    pub allow_write: Option<bool>,
    /// Longest time to wait for one reply (default 1s).
    pub timeout: Option<Period>,
    /// Number of repeats of a read that got no reply (default 1).
    #[schemars(range(min = 0, max = 10))]
    pub retries: Option<u32>,
    /// Longest time between two attempts to connect (default 5s on TCP, 30s on a serial line). The first wait is 0.5
    /// s, each further wait is twice as long.
    #[schemars(extend("x-also" = ["reconnect", "backoff"]))]
    pub reconnect_max: Option<Period>,
}
