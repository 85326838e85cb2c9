//! Nodes: folders, instances and tags, and where a tag's value comes from.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Access;
use super::values::{Deadband, Span, anything, by_name, text};
use crate::config::at::{At, Raw};
use crate::model::Period;

/// A node: with `type` a tag, with `of` an instance of an object type, else a folder.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NodeSpec {
    /// DataType that clients see; makes the node a Variable.
    #[serde(rename = "type")]
    #[schemars(extend("x-also" = ["data_type", "datatype", "value_type"]))]
    pub data_type: Option<At<String>>,
    /// Object type to make an instance of.
    #[schemars(extend("x-also" = ["object_type", "definition", "template"]))]
    pub of: Option<At<String>>,
    /// Values of the type's parameters.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["params", "parameters", "vars", "args"]))]
    pub with: Option<Raw>,
    /// Nodes below this one.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<NodeSpec>", extend("x-also" = ["nodes", "tags", "items"]))]
    pub children: Option<Raw>,
    /// Where the value comes from: an address, or a mapping.
    #[serde(default)]
    #[schemars(schema_with = "source", extend("x-also" = ["address", "from", "register", "path"]))]
    pub source: Option<Raw>,
    /// Constant or start value, instead of `source`; with `write: true` a memory tag.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["constant", "initial"]))]
    pub value: Option<Raw>,
    /// A memory tag (with `value`) may be written; a tag with `source` says it there.
    #[schemars(extend("x-also" = ["writable", "writeable"]))]
    pub write: Option<At<bool>>,
    /// Array size, or sizes: ValueRank and ArrayDimensions.
    #[serde(default)]
    #[schemars(schema_with = "array", extend("x-also" = ["size", "count", "dimensions"]))]
    pub array: Option<Raw>,
    /// Longest text in bytes (MaxStringLength); needed for texts in registers.
    #[schemars(range(min = 1, max = 65535), extend("x-also" = ["max_length"]))]
    pub length: Option<At<u32>>,
    /// Engineering unit: symbol, name or UNECE code (EngineeringUnits), as °C, rpm or KGM.
    #[schemars(extend("x-also" = ["units", "unit_of_measurement", "eu", "engineering_unit"]))]
    pub unit: Option<At<String>>,
    /// Lowest and highest value (EURange); writes outside are refused.
    #[schemars(extend("x-also" = ["limits", "eu_range", "min_max"]))]
    pub range: Option<At<Span>>,
    /// Raw to engineering units, inverted on write.
    #[schemars(extend("x-also" = ["scaling"]))]
    pub scale: Option<At<Scale>>,
    /// Smaller changes are not reported, in the tag's unit or percent of its range (default 0).
    #[schemars(extend("x-also" = ["dead_band", "tolerance"]))]
    pub deadband: Option<At<Deadband>>,
    /// Connection of this node's source and of all below (default: inherited).
    pub connection: Option<At<String>>,
    /// History class of this tag, or of all tags below; `none` keeps nothing (default: inherited).
    #[schemars(extend("x-also" = ["historize", "historized", "log", "archive", "record"]))]
    pub history: Option<At<String>>,
    /// Poll period of this node and all below (default: inherited).
    #[schemars(extend("x-also" = ["every", "scan", "scan_rate", "interval", "scan_interval", "update_interval"]))]
    pub poll: Option<Period>,
    /// If no fresh sample arrives within this time the value turns Bad; see `defaults` (default: inherited).
    pub stale_after: Option<At<Period>>,
    /// Counter that starts again at 0 when full; rates and totals survive it (default false).
    pub wraps: Option<bool>,
    /// Off: no polling, BadOutOfService (default true).
    pub enabled: Option<bool>,
    /// Who may read, write, call (default: inherited).
    pub access: Option<Access>,
    /// Pins the NodeId (default: the path): `i=1001` or text.
    #[schemars(extend("x-also" = ["node_id", "nodeid"]))]
    pub id: Option<At<String>>,
    /// DisplayName (default: the name), as text or by language.
    #[serde(default)]
    #[schemars(schema_with = "text", extend("x-also" = ["label", "title"]))]
    pub display_name: Option<Raw>,
    /// Description, as text or by language.
    #[serde(default)]
    #[schemars(schema_with = "text", extend("x-also" = ["comment"]))]
    pub description: Option<Raw>,
    /// One node per value: `{ i: 1..3 }`; the name must hold `{i}`.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["each", "for", "loop"]))]
    pub repeat: Option<Raw>,
    /// CSV file, one tag a row; a column is any key of a node, of its source or of its scale, and `tag`, `low`, `high`.
    #[schemars(extend("x-also" = ["csv"]))]
    pub rows: Option<At<String>>,
    /// Signal under `--simulate`, in the tag's unit: no `scale` is applied to it (default: follows the range).
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

/// Where a value comes from; in addition to these keys it has those of the connection's driver.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct SourceSpec {
    /// Address in the driver's notation; on Modbus also a list: the 16-bit words of one value, most significant first.
    #[schemars(schema_with = "address", extend("x-also" = ["at", "register", "topic", "offset", "path"]))]
    pub address: Raw,
    /// Connection (default: inherited).
    #[schemars(extend("x-also" = ["from", "driver", "device"]))]
    pub connection: Option<At<String>>,
    /// Poll period (default: inherited).
    #[schemars(extend("x-also" = ["every", "scan", "scan_rate", "interval", "scan_interval", "update_interval"]))]
    pub poll: Option<Period>,
    /// false: never polled, only written; the tag shows the last value written, Uncertain (default true).
    pub read: Option<At<bool>>,
    /// The tag may be written to the device (default false).
    #[schemars(extend("x-also" = ["writable", "writeable", "allow_write"]))]
    pub write: Option<At<bool>>,
    /// The registers are written again this often, as they were last read or written, while the tag is Good, for devices
    /// with a watchdog; 1s..1h, only with `write: true` (default: never).
    #[schemars(extend("x-also" = ["refresh", "watchdog", "rewrite"]))]
    pub write_every: Option<At<Period>>,
    /// Output written in every orderly end of the server: SIGTERM, Ctrl-C, SIGQUIT, SIGPWR, a closed terminal (default: left
    /// as is). Each one is audited; each one that was not written is an ERROR in the log.
    #[serde(default)]
    #[schemars(schema_with = "anything", extend("x-also" = ["safe", "fail_safe"]))]
    pub on_stop: Option<Raw>,
}

/// Raw to engineering units: `raw` and `eu`, or `factor` and `offset`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Scale {
    /// Raw values at the two ends.
    pub raw: Option<At<Span>>,
    /// Engineering values at the two ends (default: `range`).
    #[schemars(extend("x-also" = ["scaled", "engineering"]))]
    pub eu: Option<At<Span>>,
    /// Values outside the ends are held at the end (default false).
    pub clamp: Option<At<bool>>,
    /// Multiplier, instead of `raw` and `eu`.
    #[schemars(extend("x-also" = ["multiply", "gain", "slope", "multiplier"]))]
    pub factor: Option<At<f64>>,
    /// Added after `factor` (default 0).
    #[schemars(extend("x-also" = ["add", "intercept"]))]
    pub offset: Option<At<f64>>,
    /// Register (int16) that holds a power of ten for this value, read in the same scan (SunSpec scale factors).
    pub exponent: Option<At<String>>,
}
