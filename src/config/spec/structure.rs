//! Fields of structures.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Scale;
use super::values::{Span, anything, text};
use crate::config::at::{At, Raw};

/// A field of a structure. `Recipe: UInt16` is short for `Recipe: { type: UInt16 }`.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct StructField {
    /// Type of the field: a DataType, an enumeration, an option set or another structure of the cell.
    #[serde(rename = "type")]
    #[schemars(extend("x-also" = ["data_type", "datatype"]))]
    pub data_type: At<String>,
    /// Number of elements of an array, such as 24, or its dimensions, such as [2, 3].
    #[serde(default)]
    #[schemars(schema_with = "array", extend("x-also" = ["size", "count", "dimensions"]))]
    pub array: Option<Raw>,
    /// Greatest length of a String or ByteString, in bytes (MaxStringLength). A text in registers or bytes needs it.
    #[schemars(range(min = 1, max = 65535), extend("x-also" = ["max_length"]))]
    pub length: Option<At<u32>>,
    /// Engineering unit (EngineeringUnits) as a symbol, a name or a UNECE code: °C, rpm, KGM.
    #[schemars(extend("x-also" = ["units", "eu", "engineering_unit"]))]
    pub unit: Option<At<String>>,
    /// Lowest and highest value (EURange), such as [0, 100]. A write outside this range is refused.
    #[schemars(extend("x-also" = ["limits", "eu_range"]))]
    pub range: Option<At<Span>>,
    /// Conversion of raw values into the unit of the field. Writes are converted back.
    #[schemars(extend("x-also" = ["scaling"]))]
    pub scale: Option<At<Scale>>,
    /// Description for operators, as one text or by language.
    #[serde(default)]
    #[schemars(schema_with = "text", extend("x-also" = ["comment"]))]
    pub description: Option<Raw>,
    /// Place inside the structure (default: after the field before): registers on Modbus, bytes on S7, `4.3` for a bit, a JSON
    /// Pointer in JSON payloads.
    #[serde(default)]
    #[schemars(schema_with = "place", extend("x-also" = ["offset", "address", "register", "byte", "json"]))]
    pub at: Option<Raw>,
    /// Raw type of this field, as a tag of the driver has it (default: by `type`).
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    pub raw_type: Option<Raw>,
    /// Order of the words of this field (default: that of the source, else of the connection).
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    pub word_order: Option<Raw>,
    /// Whether the two bytes of each word of this field are swapped (default: as the source, else as the connection).
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    pub swap_bytes: Option<Raw>,
}

impl StructField {
    /// A field of which only the type is written.
    pub(crate) fn of_type(data_type: At<String>) -> StructField {
        StructField {
            data_type,
            array: None,
            length: None,
            unit: None,
            range: None,
            scale: None,
            description: None,
            at: None,
            raw_type: None,
            word_order: None,
            swap_bytes: None,
        }
    }
}

fn array(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "array"], "items": { "type": "integer" }, "x-unit": "elements" })
}

fn place(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"] })
}

/// Schema of the structures of a cell.
pub(super) fn structs(generator: &mut SchemaGenerator) -> Schema {
    let field = generator.subschema_for::<StructField>();
    let short = json_schema!({ "type": "string" });
    let fields = json_schema!({ "type": "object", "additionalProperties": { "anyOf": [short, field] } });
    json_schema!({ "type": "object", "additionalProperties": fields })
}
