//! History: classes in cell files, the store in the server file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de;

use super::values::Deadband;
use crate::config::at::At;
use crate::model::Period;

/// How much history to keep; a tag names one of these, or one of the built-in `fast`, `process` and `events`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct HistoryClass {
    /// How long samples are kept (retention).
    #[schemars(extend("x-also" = ["retention", "retain", "ttl", "max_age"]))]
    pub keep: At<Period>,
    /// What is recorded: each change, or every sample (default on-change).
    #[schemars(extend("x-also" = ["mode", "store", "sampling"]))]
    pub record: Option<Record>,
    /// Smallest change recorded, in the tag's unit or percent of its range (default 0).
    #[schemars(extend("x-also" = ["dead_band", "tolerance", "exception_deviation"]))]
    pub deadband: Option<At<Deadband>>,
    /// Recorded at least once per interval, even if unchanged (default 1h).
    #[schemars(extend("x-also" = ["max_time_interval", "heartbeat", "at_least_every"]))]
    pub max_interval: Option<At<Period>>,
    /// Upper bound of the class on disk (default: only the server's).
    #[schemars(extend("x-also" = ["size", "limit"]))]
    pub max_size: Option<Size>,
    /// Between two samples the first holds, instead of a straight line (default true for Boolean, enumerations and
    /// text, else false).
    #[schemars(extend("x-also" = ["step", "interpolate"]))]
    pub stepped: Option<bool>,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Record {
    OnChange,
    EverySample,
}

/// The history store; used as soon as a tag has a history class.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(crate) struct HistoryStore {
    /// Folder (default: history in state_dir).
    #[schemars(extend("x-also" = ["dir", "folder", "directory"]))]
    pub path: Option<String>,
    /// Interval between group commits; a power failure loses at most this much (default 1s).
    #[schemars(extend("x-also" = ["flush", "sync"]))]
    pub commit: Option<At<Period>>,
    /// Upper bound on disk (default 20GiB).
    #[schemars(extend("x-also" = ["size", "limit"]))]
    pub max_size: Option<Size>,
    /// At `max_size` the oldest samples are removed, or recording stops (default drop-oldest).
    pub on_full: Option<OnFull>,
    /// Less free disk than this stops recording and raises an alarm (default 1GiB).
    pub min_free: Option<Size>,
    /// Time span of one file (default: month for classes above `keep: 90d`, else day).
    pub partition: Option<Partition>,
}

/// What happens at the size bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnFull {
    DropOldest,
    Stop,
}

/// Time span of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Partition {
    Day,
    Month,
}

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
