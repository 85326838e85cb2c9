//! Publishers: tags that go out to a broker.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, de};

use crate::config::at::At;
use crate::model::{Period, Size};

/// A publisher: tags of this cell go out to an MQTT broker, as JSON or as an edge node of Sparkplug B.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Publish {
    /// MQTT connection of this cell whose broker, user and TLS files are used. The publisher has a session of its own, with the
    /// client id of the connection and `-NAME`.
    #[schemars(extend("x-also" = ["broker", "url", "driver"]))]
    pub connection: At<String>,
    /// Messages that are sent: json or sparkplug (default json).
    #[schemars(extend("x-also" = ["payload", "encoding"]))]
    pub format: Option<At<Format>>,
    /// Folders and tags that go out, as paths such as `Tank` or `Tank.Level` (default: all tags of the cell).
    #[schemars(extend("x-also" = ["tags", "include"]))]
    pub nodes: Option<Vec<At<String>>>,
    /// JSON: topic of each tag, with `{cell}`, `{path}` (with `/` in place of dots) and `{name}` (default `{cell}/{path}`). No other
    /// publisher at this broker may have the same.
    #[schemars(extend("x-also" = ["topics", "prefix"]))]
    pub topic: Option<At<String>>,
    /// Changes are gathered for this time: 0ms to 1h (default 100ms). Of one tag the newest value counts; of a tag whose
    /// history class records every sample, all are sent.
    #[schemars(extend("x-also" = ["interval", "rate", "throttle"]))]
    pub min_interval: Option<At<Period>>,
    /// JSON: a value is sent again after this time, even if it did not change: 1s to 24h (default 1min).
    #[schemars(extend("x-also" = ["heartbeat", "refresh"]))]
    pub max_interval: Option<At<Period>>,
    /// JSON: quality of service, 0 or 1 (default 1).
    #[schemars(range(min = 0, max = 1))]
    pub qos: Option<At<u8>>,
    /// JSON: whether the broker keeps the last message of each topic for those who subscribe later (default true).
    #[schemars(extend("x-also" = ["retained"]))]
    pub retain: Option<At<bool>>,
    /// Space on disk for messages while the broker is away or acknowledges nothing: 0MiB to 64GiB (default 64MiB). When it is
    /// full, the oldest ones are dropped and counted. With 0MiB nothing is kept.
    #[schemars(extend("x-also" = ["queue", "spool"]))]
    pub buffer: Option<At<Size>>,
    /// Whether commands may write tags that have `write: true` (default false): a message on TOPIC/set, or NCMD and DCMD of
    /// Sparkplug. Each write is audited as user `@publish.NAME`. The broker decides who may send commands, and `access.write` does
    /// not hold for them.
    #[schemars(extend("x-also" = ["writable", "writeable", "write"]))]
    pub allow_write: Option<bool>,
    /// Sparkplug: group id.
    pub group: Option<At<String>>,
    /// Sparkplug: edge node id (default: the name of the cell).
    pub node: Option<At<String>>,
    /// Sparkplug: whether each object right below the cell is a device (default true). With false all metrics are the node's.
    pub devices: Option<At<bool>>,
    /// Sparkplug: whether data names its metrics by aliases that the births define (default true).
    pub aliases: Option<At<bool>>,
    /// Sparkplug: host application whose STATE the births wait for (default none). While it is offline, the buffer fills.
    pub primary_host: Option<At<String>>,
}

/// Messages that a publisher sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Sparkplug,
}

const FORMATS: [(&str, Format); 2] = [("json", Format::Json), ("sparkplug", Format::Sparkplug)];
/// Words that a later version brings.
const LATER: [&str; 2] = ["sparkplug-a", "pubsub"];

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Format, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        if let Some((_, format)) = FORMATS.iter().find(|(name, _)| *name == text) {
            return Ok(*format);
        }
        let why = match LATER.contains(&&*text) {
            true => format!("`{text}` is not available in this version | write json or sparkplug"),
            false => format!("`{text}` is not known here | write json or sparkplug"),
        };
        Err(de::Error::custom(why))
    }
}

impl JsonSchema for Format {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "publish-format".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": FORMATS.map(|(name, _)| name) })
    }
}
