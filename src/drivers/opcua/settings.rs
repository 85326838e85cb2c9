//! The keys of a connection to an OPC UA server and of one of its nodes; their doc comments are the user's reference.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use super::url::Url;
use super::user;
use crate::drivers::file_text::FileText;
use crate::drivers::keys::point_keys;
use crate::drivers::reading::SettingsError;
use crate::model::Period;
use crate::stack::crypto::Policy;
use crate::value::Hidden;

/// Shortest and longest PublishingInterval.
const PUBLISH_EVERY: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(3600)];

/// Another OPC UA server, whose nodes are tags. Certificate and trust are those of this server: see `opcell pki`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct OpcUa {
    /// Endpoint, as opc.tcp://plc1:4840. The host is dialled as it is written here, whatever the server says of itself.
    #[schemars(extend("x-also" = ["endpoint", "endpoint_url", "server", "host", "address"], "x-unit" = "opc.tcp://HOST:PORT", "x-secret" = true))]
    pub url: String,
    /// The url came from outside of the cell file: no message may show it.
    #[serde(skip)]
    #[schemars(skip)]
    pub hides_url: bool,
    /// SecurityPolicy. `auto` takes the strongest that the server offers, SignAndEncrypt before Sign (default auto).
    #[serde(default)]
    #[schemars(extend("x-also" = ["security_policy", "security"]))]
    pub policy: PolicyChoice,
    /// Connects without protection if the server offers nothing else. Everybody in the network can then read values and the
    /// password, and change values (default false).
    #[serde(default)]
    #[schemars(extend("x-also" = ["insecure", "allow_none"]))]
    pub allow_unsecured: bool,
    /// PublishingInterval asked for, from 10ms to 1h (default 500ms).
    #[serde(default = "default_publish_every")]
    #[schemars(extend("x-also" = ["publishing_interval", "publish_interval"]))]
    pub publish_every: Period,
    /// Short names for namespace URIs, for addresses: `{ m: "urn:acme:machine" }` makes `m:s=Speed` of
    /// `nsu=urn:acme:machine;s=Speed` (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["ns", "namespace"]))]
    pub namespaces: BTreeMap<String, NamespaceUri>,
    /// User name (default: anonymous).
    #[serde(default)]
    #[schemars(extend("x-also" = ["username", "user_name", "login"], "x-secret" = true))]
    pub user: Option<String>,
    /// Password of the user, as `${env:NAME}` or `${file:PATH}` (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["pass", "passwd"], "x-secret" = true, "x-password" = true))]
    pub password: Option<Hidden<String>>,
    /// File of the user's X.509 certificate, PEM or DER, relative to the cell file (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["certificate", "cert", "client_certificate"], "x-file" = "pem"))]
    pub user_certificate: Option<FileText>,
    /// File of the key of `user_certificate`, PEM or DER, without a password (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["key", "private_key"], "x-file" = "key"))]
    pub user_key: Option<FileText>,
}

/// SecurityPolicy of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[allow(non_camel_case_types, reason = "the names of the specification")]
pub(crate) enum PolicyChoice {
    #[default]
    #[serde(rename = "auto")]
    Auto,
    None,
    Basic256Sha256,
    Aes128_Sha256_RsaOaep,
    Aes256_Sha256_RsaPss,
}

impl PolicyChoice {
    /// `None` for `auto`.
    pub(super) fn policy(self) -> Option<Policy> {
        match self {
            PolicyChoice::Auto => None,
            PolicyChoice::None => Some(Policy::None),
            PolicyChoice::Basic256Sha256 => Some(Policy::Basic256Sha256),
            PolicyChoice::Aes128_Sha256_RsaOaep => Some(Policy::Aes128_Sha256_RsaOaep),
            PolicyChoice::Aes256_Sha256_RsaPss => Some(Policy::Aes256_Sha256_RsaPss),
        }
    }
}

/// The URI of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespaceUri(pub String);

impl<'de> Deserialize<'de> for NamespaceUri {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<NamespaceUri, D::Error> {
        let text = String::deserialize(from)?;
        let is_uri = text.contains(':') && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if is_uri {
            return Ok(NamespaceUri(text));
        }
        Err(D::Error::custom(format!(
            "`{text}` is not a URI | write it as the server's NamespaceArray has it: urn:acme:machine or http://acme.example/UA"
        )))
    }
}

impl schemars::JsonSchema for NamespaceUri {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "namespace URI".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// Keys of a node in addition to its address.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct OpcUaPoint {
    /// Values that the server keeps between two publishings; none of them is lost on the way to history.
    #[serde(default = "default_queue")]
    #[schemars(range(min = 1, max = 1000), extend("x-unit" = "values", "x-also" = ["queue_size", "buffer"]))]
    pub queue: u32,
}

point_keys!(OpcUaPoint { queue });

impl Default for OpcUaPoint {
    fn default() -> OpcUaPoint {
        OpcUaPoint { queue: default_queue() }
    }
}

fn default_queue() -> u32 {
    10
}

fn default_publish_every() -> Period {
    Period(Duration::from_millis(500))
}

impl OpcUa {
    pub(super) fn faults(&self) -> Vec<SettingsError> {
        let mut faults = Vec::new();
        let mut note = |key: &'static str, message: String, help: &str| {
            faults.push(SettingsError { key, in_file: None, message, help: help.to_owned() });
        };
        if let Err(fault) = Url::parse(&self.url) {
            note("url", fault.message, &fault.help);
        }
        if self.policy == PolicyChoice::None && !self.allow_unsecured {
            let help = "add it if the network may be trusted; or write `policy: auto`";
            note("policy", "`None` needs `allow_unsecured: true`".to_owned(), help);
        }
        let [least, most] = PUBLISH_EVERY;
        if !(least..=most).contains(&self.publish_every.0) {
            let message = format!("{} is out of range 10ms..1h", self.publish_every);
            note("publish_every", message, "write a time from 10ms to 1h");
        }
        if let Some(name) = self.namespaces.keys().find(|name| !is_short_name(name)) {
            let help = "a short name has letters, digits, `_` and `-`, and is not a number, `nsu` or `ns`";
            note("namespaces", format!("`{name}` is no short name"), help);
        }
        match (&self.user, &self.password) {
            (Some(_), None) => note("user", "`user` needs `password`".to_owned(), "add it as ${file:…} or ${env:…}"),
            (None, Some(_)) => note("password", "`password` needs `user`".to_owned(), "add the name of the user"),
            _ => {}
        }
        match (&self.user_certificate, &self.user_key) {
            (Some(_), None) => {
                note("user_certificate", "`user_certificate` needs `user_key`".to_owned(), "name the file of its key");
            }
            (None, Some(_)) => {
                let help = "name the file of its certificate";
                note("user_key", "`user_key` needs `user_certificate`".to_owned(), help);
            }
            (Some(_), Some(_)) if self.user.is_some() => {
                let message = "`user_certificate` and `user` cannot be used together".to_owned();
                note("user_certificate", message, "a session has one user: delete one of them");
            }
            (Some(certificate), Some(key)) => faults.extend(user::identity(certificate, key).err()),
            (None, None) => {}
        }
        faults
    }

    /// The same node of the same server has the same address by both.
    pub(super) fn is_same_source(&self, new: &OpcUa) -> bool {
        self.url == new.url && self.namespaces == new.namespaces
    }
}

fn is_short_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    !is_number && name.chars().all(is_plain) && !["ns", "nsu"].contains(&name)
}
