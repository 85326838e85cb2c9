//! Sizes as cell files write them: `64MiB`, `20GiB`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, de};

/// Bytes, as `64MiB` or `20GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub u64);

const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Size, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = (text[..split].parse::<u64>().ok(), text[split..].trim_start());
        let shift = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, shift)| *shift);
        let size = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        size.filter(|size| *size <= 1 << 60).map(Size).ok_or_else(|| {
            let help = match unit {
                "K" | "KB" | "kB" | "k" => format!("write {}KiB", &text[..split]),
                "M" | "MB" | "m" => format!("write {}MiB", &text[..split]),
                "G" | "GB" | "g" => format!("write {}GiB", &text[..split]),
                "T" | "TB" | "t" => format!("write {}TiB", &text[..split]),
                _ => "write 64MiB or 20GiB".to_owned(),
            };
            de::Error::custom(format!("`{text}` is not a size | {help}"))
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(KiB|MiB|GiB|TiB)$", "x-unit": "KiB MiB GiB TiB" })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) =
            UNITS.iter().rev().find(|(_, shift)| self.0 > 0 && self.0.is_multiple_of(1 << shift)).unwrap_or(&("B", 0));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}
