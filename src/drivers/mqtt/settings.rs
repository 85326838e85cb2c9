//! The keys of an MQTT connection and of its points; their doc comments are the user's reference.

use std::time::Duration;

use crate::drivers::broker::{SessionKeys, VersionSetting};
use crate::drivers::file_text::FileText;
use crate::drivers::keys::point_keys;
use crate::drivers::payload::{ByteOrder, Encoding, Keys, PayloadKind, PayloadPoint, RawType};
use crate::drivers::reading::Part;
use crate::drivers::tls::TlsFiles;
use crate::model::{Period, Size};
use crate::value::Hidden;

/// A broker that devices publish to.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct MqttSettings {
    /// Broker, as mqtt://host:1883, or mqtts://host:8883 for TLS. Without a port these are the ports.
    #[schemars(extend("x-also" = ["host", "broker", "server", "uri", "endpoint"], "x-secret" = true))]
    pub url: String,
    /// Keys whose text must not be shown.
    #[serde(skip)]
    #[schemars(skip)]
    pub hidden: Vec<&'static str>,
    /// Certificates of the authorities that are trusted with mqtts, as a PEM file (default: the system's).
    #[serde(default)]
    #[schemars(extend("x-also" = ["cafile", "ca_file", "ca_cert", "ca_certs"], "x-file" = "pem"))]
    pub ca: Option<FileText>,
    /// Own certificate for mqtts, as a PEM file (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["cert", "certfile", "client_cert"], "x-file" = "pem"))]
    pub certificate: Option<FileText>,
    /// Private key of the certificate, as a PEM file (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["keyfile", "client_key"], "x-file" = "key"))]
    pub key: Option<FileText>,
    /// User name (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["username", "login"], "x-secret" = true))]
    pub user: Option<String>,
    /// Password, as `${env:NAME}` or `${file:PATH}` (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["pass", "passwd"], "x-secret" = true, "x-password" = true))]
    pub password: Option<Hidden<String>>,
    /// Client id (default opcell-CELL-CONNECTION). No other client may have it: a broker ends the older connection.
    #[serde(default)]
    #[schemars(extend("x-also" = ["clientid", "id"], "x-secret" = true))]
    pub client_id: Option<String>,
    /// Longest time without traffic, after which the broker or this server sees that the other is gone: 1s to 18h (default
    /// 30s).
    #[serde(default = "default_keep_alive")]
    #[schemars(extend("x-also" = ["keepalive", "heartbeat"]))]
    pub keep_alive: Period,
    /// Version of the protocol: 3.1.1 or 5 (default 3.1.1).
    #[serde(default)]
    #[schemars(extend("x-also" = ["protocol", "protocol_version"]))]
    pub version: VersionSetting,
    /// Quality of service of subscriptions and writes: 0, 1 or 2. With 1 and 2 the broker's answer is the result of a write.
    #[serde(default = "default_qos")]
    #[schemars(range(min = 0, max = 2))]
    pub qos: u8,
    /// Largest message: 1KiB to 16MiB (default 1MiB). Larger ones are dropped, with a log line.
    #[serde(default = "default_max_message")]
    #[schemars(extend("x-also" = ["max_size", "max_packet_size"]))]
    pub max_message: Size,
    /// Topic by which the device says that it is there: after `offline`, `false`, `0` or `{"state":"offline"}` all tags are
    /// BadNoCommunication, until anything else comes (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["availability_topic", "lwt", "status_topic"]))]
    pub online: Option<String>,
    /// Filters to subscribe to, instead of one for each tag: `[cell3/#]` serves any number of tags (default: the topics of the
    /// tags).
    #[serde(default)]
    #[schemars(extend("x-also" = ["topics", "filters", "subscriptions"]))]
    pub subscribe: Vec<String>,
}

/// Place and form of a value in messages.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct MqttPoint {
    /// Path of the value in the message, as a JSON Pointer: `/temp/value` (default: the whole message).
    #[serde(default)]
    #[schemars(extend("x-also" = ["path", "json_path", "pointer"]))]
    pub json: Option<String>,
    /// Path of the source time: RFC 3339, or a number of s, ms, us or ns, told apart by its size (default: time of arrival).
    #[serde(default)]
    #[schemars(extend("x-also" = ["timestamp", "ts"]))]
    pub time: Option<String>,
    /// Path of a quality flag. The name of a StatusCode is that code; false, null, 0 to 63 and texts that begin with `bad` make
    /// the tag BadSensorFailure, 64 to 191 and `uncertain` Uncertain; a number with the bits of a StatusCode is Bad or Uncertain
    /// as these say; all else is Good (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["status", "valid"]))]
    pub quality: Option<String>,
    /// Form of the message: json, text, raw or csv (default: json with `json`, `time`, `quality` or an array; raw with
    /// `raw_type`; else text).
    #[serde(default)]
    #[schemars(extend("x-also" = ["format"]))]
    pub payload: Option<PayloadKind>,
    /// Type in the bytes: int8 to float64, text or bytes (default none).
    #[serde(default)]
    pub raw_type: Option<RawType>,
    /// First byte of the value, for `raw_type` (default 0).
    #[serde(default)]
    #[schemars(range(max = 65535), extend("x-unit" = "bytes", "x-also" = ["offset"]))]
    pub byte: Option<u16>,
    /// Order of bytes, for `raw_type`: high-first or low-first (default high-first).
    #[serde(default)]
    #[schemars(extend("x-also" = ["endianness"]))]
    pub byte_order: Option<ByteOrder>,
    /// Column of a CSV message, counted from 1; the last line counts (default none).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub column: Option<u16>,
    /// The text found means bytes: hex or base64; they are read with `raw_type` (default none).
    #[serde(default)]
    pub encoding: Option<Encoding>,
    /// NaN and the infinities are values; without it they turn the tag BadSensorFailure. For float32 and float64.
    #[serde(default)]
    pub nan: bool,
    /// Topic to write to (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["command_topic", "write_topic"]))]
    pub publish: Option<String>,
    /// Message of a write: `{value}` is the value as JSON, or plain with `payload: text`; `{time}` is the time as RFC 3339;
    /// other braces stay (default `{value}`).
    #[serde(default)]
    #[schemars(extend("x-also" = ["command_template", "write_template"]))]
    pub body: Option<String>,
    /// Writes are retained by the broker, for devices that connect later.
    #[serde(default)]
    #[schemars(extend("x-also" = ["retained"]))]
    pub retain: bool,
    /// Topic by which the device of this tag says that it is there (default: the connection's).
    #[serde(default)]
    pub online: Option<String>,
}

#[rustfmt::skip]
point_keys!(MqttPoint {
    json, time, quality, payload, raw_type, byte, byte_order, column, encoding, nan, publish, body, retain, online,
});

fn default_keep_alive() -> Period {
    Period(Duration::from_secs(30))
}

fn default_qos() -> u8 {
    1
}

fn default_max_message() -> Size {
    Size(1 << 20)
}

impl MqttSettings {
    pub(super) fn session(&self) -> SessionKeys<'_> {
        SessionKeys {
            url: &self.url,
            user: self.user.as_deref(),
            password: self.password.as_ref(),
            client_id: self.client_id.as_deref(),
            keep_alive: self.keep_alive,
            version: self.version,
            max_message: self.max_message,
            hidden: &self.hidden,
            files: TlsFiles { ca: self.ca.clone(), certificate: self.certificate.clone(), key: self.key.clone() },
        }
    }
}

impl PayloadPoint for MqttPoint {
    fn payload_keys(&self) -> Keys {
        Keys {
            json: self.json.clone(),
            time: self.time.clone(),
            quality: self.quality.clone(),
            payload: self.payload,
            raw_type: self.raw_type,
            byte: self.byte,
            byte_order: self.byte_order,
            column: self.column,
            encoding: self.encoding,
            nan: self.nan,
            body: self.body.clone(),
        }
    }

    fn at(&self, pointer: String) -> MqttPoint {
        MqttPoint {
            json: Some(pointer),
            time: None,
            quality: None,
            payload: None,
            publish: None,
            body: None,
            retain: false,
            online: None,
            ..self.clone()
        }
    }
}

impl MqttPoint {
    /// Leaves out a key that was refused.
    pub(super) fn leave_out(&mut self, part: Part) -> bool {
        let Part::Key(key) = part else { return false };
        match key {
            "json" => self.json = None,
            "time" => self.time = None,
            "quality" => self.quality = None,
            "payload" => (self.payload, self.column) = (None, None),
            "raw_type" => {
                (self.raw_type, self.byte, self.byte_order, self.encoding) = (None, None, None, None);
                (self.nan, self.payload) = (false, None);
            }
            "byte" => self.byte = None,
            "byte_order" => self.byte_order = None,
            "column" => self.column = None,
            "encoding" => self.encoding = None,
            "nan" => self.nan = false,
            // A topic that fits, so that no second finding follows from this one.
            "publish" => self.publish = self.publish.take().map(|_| "topic".to_owned()),
            "body" => self.body = None,
            "retain" => self.retain = false,
            "online" => self.online = None,
            _ => return false,
        }
        true
    }
}
