//! Nodes: folders, instances and tags, and where a tag's value comes from.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Access;
use super::values::{Deadband, Span, anything, by_name, text};
use crate::config::at::{At, Raw};
use crate::model::Period;

/// A node. With `type` it is a tag, with `of` an instance of an object type, otherwise a folder.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NodeSpec {
    /// DataType of the value that clients see. It makes the node a tag (a Variable).
    #[serde(rename = "type")]
    #[schemars(extend("x-also" = ["data_type", "datatype", "value_type"]))]
    pub data_type: Option<At<String>>,
    /// Object type of which this node is an instance.
    #[schemars(extend("x-also" = ["object_type", "definition", "template"]))]
    pub of: Option<At<String>>,
    /// Values of the object type's parameters: `{ base: 100 }`.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["params", "parameters", "vars", "args"]))]
    pub with: Option<Raw>,
    /// Nodes below this one, by BrowseName.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<NodeSpec>", extend("x-also" = ["nodes", "tags", "items"]))]
    pub children: Option<Raw>,
    /// Source of the value: an address, or a mapping with `address` and further keys.
    #[serde(default)]
    #[schemars(schema_with = "source", extend("x-also" = ["address", "from", "register", "path"]))]
    pub source: Option<Raw>,
    /// Value of a tag without `source`: a constant, or with `write: true` the first value of a memory tag.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["constant", "initial"]))]
    pub value: Option<Raw>,
    /// Formula that calculates the value from other tags, such as `Flow * Density / 1000`. Clients cannot write the tag.
    /// docs/formulas.md has the operators and functions. Quote a formula that contains `: ` or ` #`, or begins with one of
    /// `{ [ ' ! & *`.
    #[schemars(extend("x-also" = ["expression", "formula", "calc", "calculated", "derived"]))]
    pub expr: Option<At<String>>,
    /// Whether clients may write a memory tag, which has `value` (default false). For a tag with `source`, write it
    /// in `source`.
    #[schemars(extend("x-also" = ["writable", "writeable"]))]
    pub write: Option<At<bool>>,
    /// Number of elements of an array, such as 24, or its dimensions, such as [2, 3] (ArrayDimensions).
    #[serde(default)]
    #[schemars(schema_with = "array", extend("x-also" = ["size", "count", "dimensions"]))]
    pub array: Option<Raw>,
    /// Whether a structure has one Variable a field below it (default true).
    #[schemars(extend("x-also" = ["members"]))]
    pub fields: Option<At<bool>>,
    /// Greatest length of a String or ByteString, in bytes (MaxStringLength). A text in registers needs it.
    #[schemars(range(min = 1, max = 65535), extend("x-also" = ["max_length"]))]
    pub length: Option<At<u32>>,
    /// Engineering unit (EngineeringUnits) as a symbol, a name or a UNECE code: °C, rpm, KGM.
    #[schemars(extend("x-also" = ["units", "unit_of_measurement", "eu", "engineering_unit"]))]
    pub unit: Option<At<String>>,
    /// Lowest and highest value (EURange), such as [0, 100]. A write outside this range is refused.
    #[schemars(extend("x-also" = ["limits", "eu_range", "min_max"]))]
    pub range: Option<At<Span>>,
    /// Conversion of raw values into the unit of the tag. Writes are converted back.
    #[schemars(extend("x-also" = ["scaling"]))]
    pub scale: Option<At<Scale>>,
    /// Smallest change that is reported, in the unit of the tag or in percent of its `range` (default 0). Examples:
    /// 0.5, 2%.
    #[schemars(extend("x-also" = ["dead_band", "tolerance"]))]
    pub deadband: Option<At<Deadband>>,
    /// Alarms of this tag, by ConditionName.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<super::Alarm>", extend("x-also" = ["alarm", "conditions"]))]
    pub alarms: Option<Raw>,
    /// Connection of the source of this node and of the nodes below (default: inherited).
    pub connection: Option<At<String>>,
    /// History class of this tag or of the tags below (default: inherited). `none` keeps no history.
    #[schemars(extend("x-also" = ["historize", "historized", "log", "archive", "record"]))]
    pub history: Option<At<String>>,
    /// Time between two polls of this tag or of the tags below (default: inherited). A formula that reads the clock runs at this
    /// period too, at least 100ms.
    #[schemars(extend("x-also" = ["every", "scan", "scan_rate", "interval", "scan_interval", "update_interval"]))]
    pub poll: Option<Period>,
    /// Longest time without a new sample before the tag is Bad (default: inherited). `defaults` explains it.
    pub stale_after: Option<At<Period>>,
    /// Whether the tag is a counter that starts again at 0 after its highest value (default false). Rates and totals
    /// take that into account.
    pub wraps: Option<bool>,
    /// Whether the tag, or the tags below, are in service (default true). With false they are not polled, and are
    /// BadOutOfService.
    pub enabled: Option<bool>,
    /// Roles that may read, write and call methods (default: inherited).
    pub access: Option<Access>,
    /// Identifier of the NodeId, instead of the path (default: the path): `i=1001`, or a text.
    #[schemars(extend("x-also" = ["node_id", "nodeid"]))]
    pub id: Option<At<String>>,
    /// DisplayName, as one text or by language (default: the name).
    #[serde(default)]
    #[schemars(schema_with = "text", extend("x-also" = ["label", "title"]))]
    pub display_name: Option<Raw>,
    /// Description, as one text or by language.
    #[serde(default)]
    #[schemars(schema_with = "text", extend("x-also" = ["comment"]))]
    pub description: Option<Raw>,
    /// Repetition: one node for each value of a variable, as `{ i: 1..3 }` or `{ line: [A, B] }`. The name of the
    /// node must contain the variable: `Pump{i}`.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["each", "for", "loop"]))]
    pub repeat: Option<Raw>,
    /// CSV file with one tag in each row. The column `tag` holds the name, `low` and `high` the `range`. Each other
    /// column is a key of a node, of its `source` or of its `scale`.
    #[schemars(extend("x-also" = ["csv"]))]
    pub rows: Option<At<String>>,
    /// Mirrors what the device of the connection has below this folder: an address of the device, or a mapping with `address` and
    /// further keys. Drivers `opcua`, `sparkplug` and `ethernet-ip`.
    #[serde(default)]
    #[schemars(schema_with = "browse", extend("x-also" = ["mirror", "discover", "import"]))]
    pub browse: Option<Raw>,
    /// Signal that replaces the device under `--simulate`, in the unit of the tag: `scale` is not applied to it
    /// (default: follows the range).
    #[schemars(extend("x-also" = ["simulation"]))]
    pub simulate: Option<At<String>>,
}

fn source(generator: &mut SchemaGenerator) -> Schema {
    let mapping = generator.subschema_for::<SourceSpec>();
    json_schema!({ "anyOf": [{ "type": ["string", "number"] }, mapping] })
}

fn address(_: &mut SchemaGenerator) -> Schema {
    let one = json_schema!({ "type": ["string", "number"] });
    json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 2, "maxItems": 4 }] })
}

fn array(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "array"], "items": { "type": "integer" }, "x-unit": "elements" })
}

fn browse(generator: &mut SchemaGenerator) -> Schema {
    let mapping = generator.subschema_for::<Browse>();
    json_schema!({ "anyOf": [{ "type": ["string", "number"] }, mapping] })
}

/// Mirror of a part of a device below a folder. Its nodes are known once the device has been there, and are kept in the state
/// folder. Own `children` of the folder come before mirrored ones of their names.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Browse {
    /// Where the mirror begins, as /Machine (driver `opcua`), Plant1/Line3 (`sparkplug`) or Program:Main (`ethernet-ip`).
    #[schemars(extend("x-also" = ["from", "path", "node", "root", "start"]))]
    pub address: At<String>,
    /// Levels below the beginning (default 10).
    #[schemars(range(min = 1, max = 50), extend("x-also" = ["levels", "max_depth"]))]
    pub depth: Option<At<u32>>,
    /// Tags, at most; more are left out, with a log line (default 10000).
    #[schemars(range(min = 1, max = 1_000_000), extend("x-also" = ["max", "limit", "max_tags"]))]
    pub max_nodes: Option<At<u32>>,
    /// Whether clients may write what the device lets this server write (default false).
    #[schemars(extend("x-also" = ["writable", "writeable", "allow_write"]))]
    pub write: Option<At<bool>>,
}

/// Source of a value. In addition to these keys it has the keys of the connection's driver.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct SourceSpec {
    /// Address as the driver reads it, such as holding/100. On Modbus it may be a list: the registers of one value,
    /// most significant first.
    #[schemars(schema_with = "address", extend("x-also" = ["at", "register", "topic", "offset", "path"]))]
    pub address: Raw,
    /// Connection of this source (default: inherited).
    #[schemars(extend("x-also" = ["from", "driver", "device"]))]
    pub connection: Option<At<String>>,
    /// Time between two polls (default: inherited).
    #[schemars(extend("x-also" = ["every", "scan", "scan_rate", "interval", "scan_interval", "update_interval"]))]
    pub poll: Option<Period>,
    /// Whether the tag is polled (default true). With false it is only written, and shows the last written value as
    /// Uncertain.
    pub read: Option<At<bool>>,
    /// Whether clients may write the tag to the device (default false).
    #[schemars(extend("x-also" = ["writable", "writeable", "allow_write"]))]
    pub write: Option<At<bool>>,
    /// Time between two repeated writes, for devices with a watchdog: 1s..1h, only with `write: true` and a driver
    /// that polls (default: never). While the tag is Good, the registers are written again with the value that was last
    /// read or written.
    #[schemars(extend("x-also" = ["refresh", "watchdog", "rewrite"]))]
    pub write_every: Option<At<Period>>,
    /// Distance of two elements of an array of structures, in the unit of `at` (default: one follows the other).
    #[schemars(range(min = 1, max = 65535))]
    pub stride: Option<At<u32>>,
    /// Value that is written to the device when the server stops in an orderly way (after SIGTERM, Ctrl-C, SIGQUIT, SIGPWR
    /// or when its terminal is closed), and when a reload removes the tag or its connection (default: left as is). Each
    /// write is audited. A write that failed is logged at level error.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["safe", "fail_safe"]))]
    pub on_stop: Option<Raw>,
}

/// Conversion of raw values into the unit of the tag: `raw` and `eu`, or `factor` and `offset`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Scale {
    /// Raw values at the two ends, such as [0, 27648].
    pub raw: Option<At<Span>>,
    /// Values in the unit of the tag at the two ends (default: `range`), such as [0, 100].
    #[schemars(extend("x-also" = ["scaled", "engineering"]))]
    pub eu: Option<At<Span>>,
    /// Whether a value outside the two ends is replaced by the nearest end (default false).
    pub clamp: Option<At<bool>>,
    /// Factor by which a raw value is multiplied, instead of `raw` and `eu`.
    #[schemars(extend("x-also" = ["multiply", "gain", "slope", "multiplier"]))]
    pub factor: Option<At<f64>>,
    /// Number that is added after the multiplication by `factor` (default 0).
    #[schemars(extend("x-also" = ["add", "intercept"]))]
    pub offset: Option<At<f64>>,
    /// Address of a register (int16) that holds a power of ten for this value, as SunSpec scale factors do. It is
    /// read in the same scan.
    pub exponent: Option<At<String>>,
}
