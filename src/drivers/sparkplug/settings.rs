//! The keys of a Sparkplug host; their doc comments are the user's reference.

use std::time::Duration;

use crate::drivers::broker::{SessionKeys, VersionSetting};
use crate::drivers::file_text::FileText;
use crate::drivers::tls::TlsFiles;
use crate::model::{Period, Size};
use crate::value::Hidden;

/// A broker to which Sparkplug B edge nodes publish.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct SparkplugSettings {
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
    /// Largest message: 1KiB to 16MiB (default 1MiB). Larger ones are dropped, with a log line.
    #[serde(default = "default_max_message")]
    #[schemars(extend("x-also" = ["max_size", "max_packet_size"]))]
    pub max_message: Size,
    /// Groups to subscribe to as a whole (default: the edge nodes of the addresses alone).
    #[serde(default)]
    #[schemars(extend("x-also" = ["group", "group_ids"]))]
    pub groups: Vec<String>,
    /// Host application id, for the topic of STATE (default opcell-CELL-CONNECTION). Edge nodes may be told to wait for it:
    /// keep it.
    #[serde(default)]
    #[schemars(extend("x-also" = ["primary_host", "host_application_id"]))]
    pub host_id: Option<String>,
    /// Longest wait for a message that is missing in the order, before a rebirth is asked for: at most 1min (default 2s).
    #[serde(default = "default_reorder")]
    pub reorder: Period,
    /// Publishes STATE, so that edge nodes know whether this host is there (default true).
    #[serde(default = "default_state")]
    pub state: bool,
}

fn default_keep_alive() -> Period {
    Period(Duration::from_secs(30))
}

fn default_max_message() -> Size {
    Size(1 << 20)
}

fn default_reorder() -> Period {
    Period(Duration::from_secs(2))
}

fn default_state() -> bool {
    true
}

impl SparkplugSettings {
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
