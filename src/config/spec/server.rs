//! The server file.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::history::Size;
use super::values::by_name;
use super::{Audit, HistoryStore};
use crate::config::at::{At, Raw};
use crate::model::{Period, Policy};

/// What is served, to whom, and where.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ServerFile {
    /// Format of this file: 1.
    pub schema: At<u32>,
    /// Cell files to serve, as paths or globs from this file.
    #[schemars(extend("x-also" = ["include", "files"]))]
    pub cells: Vec<At<String>>,
    /// Who this server is.
    pub application: Option<Application>,
    /// Addresses and ports to listen on (default ["0.0.0.0:4840"]).
    #[schemars(extend("x-also" = ["bind", "port", "endpoint", "address"]))]
    pub listen: Option<Vec<At<String>>>,
    /// Host names told to clients (default [auto]): `auto` answers with the name the client dialled.
    pub advertise: Option<Vec<String>>,
    /// Addresses that may connect (default: all), as 10.1.0.0/16.
    #[schemars(extend("x-also" = ["allow", "firewall"]))]
    pub networks: Option<Vec<At<String>>>,
    /// Encryption and certificates.
    pub security: Option<Security>,
    /// People, by user name.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<User>")]
    pub users: Option<Raw>,
    /// Own roles, and who has which, by name.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<OwnRole>")]
    pub roles: Option<Raw>,
    /// Roles of sessions without login, in addition to Anonymous; [Observer] lets them read, empty refuses them (default []).
    pub anonymous: Option<Vec<At<String>>>,
    /// Upper bounds.
    pub limits: Option<ServerLimits>,
    /// The history store; used as soon as a tag has a history class.
    #[schemars(extend("x-also" = ["historian", "archive", "database"]))]
    pub history: Option<HistoryStore>,
    /// Who did what: lines in the log, and files that show when they were changed.
    #[schemars(extend("x-also" = ["auditing", "audit_log", "journal"]))]
    pub audit: Option<At<Audit>>,
    /// Folder of what the server remembers: namespace indices, node ids, retained values (default ./state).
    pub state_dir: Option<String>,
    /// Log level (default info); RUST_LOG overrides it.
    #[schemars(extend("x-also" = ["log_level", "loglevel"]))]
    pub log: Option<LogLevel>,
}

/// Log levels.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Who this server is.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Application {
    /// ApplicationName (default opcell on HOST).
    pub name: Option<String>,
    /// ApplicationUri, also inside the certificate; never change it (default urn:HOST:opcell).
    pub uri: Option<At<String>>,
}

/// Encryption and certificates.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Security {
    /// SecurityPolicies offered, always with Sign and SignAndEncrypt (default: all three).
    pub policies: Option<At<Vec<Policy>>>,
    /// Also serve data without any protection: for the lab only (default false).
    #[schemars(extend("x-also" = ["allow_none", "none", "unsecured"]))]
    pub allow_unsecured: Option<At<bool>>,
    /// Checks of clients' certificates that are let pass; each that would have failed is logged (default []).
    #[schemars(extend("x-also" = ["ignore", "disable_checks"]))]
    pub suppress: Option<Vec<Suppress>>,
    /// Folder with own, trusted, issuers, rejected, users (default ./pki).
    pub pki_dir: Option<String>,
    /// The server's own certificate.
    pub certificate: Option<Certificate>,
}

/// A check that Part 4 §6.1.3 lets an administrator suppress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Suppress {
    /// The certificate's own validity.
    Time,
    IssuerTime,
    /// Key usage and extended key usage.
    Usage,
    /// No current revocation list of the issuer.
    RevocationUnknown,
    /// The same for an issuer above it.
    IssuerRevocationUnknown,
}

/// The server's own certificate.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Certificate {
    /// RSA key of a certificate made here, in bits (default 2048).
    #[schemars(extend("x-also" = ["key_bits", "bits"]))]
    pub key_size: Option<KeySize>,
    /// Host names and IP addresses inside (default [auto]); `auto` takes all of this host.
    #[schemars(extend("x-also" = ["hosts", "san"]))]
    pub names: Option<Vec<String>>,
    /// Renewed this long before expiry, with the same key (default 30d).
    pub renew_before: Option<Period>,
    /// Lifetime of a self-signed one (default 5y).
    pub valid_for: Option<Period>,
}

/// RSA key sizes.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum KeySize {
    #[serde(rename = "2048")]
    Bits2048,
    #[serde(rename = "3072")]
    Bits3072,
    #[serde(rename = "4096")]
    Bits4096,
}

impl JsonSchema for KeySize {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeySize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [2048, 3072, 4096] })
    }
}

/// A person.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct User {
    /// OPC UA roles.
    #[schemars(extend("x-also" = ["role", "groups"]))]
    pub roles: Vec<At<String>>,
    /// Argon2id hash from `opcell user add`; never the password itself.
    #[schemars(extend("x-also" = ["password", "hash"], "x-secret" = true))]
    pub password_hash: Option<At<String>>,
    /// Certificate file of the user, from pki_dir/users.
    pub certificate: Option<String>,
}

/// A role of this server, or more holders of a well-known one.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct OwnRole {
    /// Users that have it, by name.
    pub users: Option<Vec<At<String>>>,
    /// Certificates that have it, of people or of client applications, by thumbprint or whole subject.
    pub certificates: Option<Vec<At<String>>>,
    /// Client applications that have it, by ApplicationUri; together with `users` or `certificates`: only from these.
    pub applications: Option<Vec<At<String>>>,
    /// Only through these endpoints, by URL with an address and port of `listen`; where the connection ends counts,
    /// not what the client says.
    pub endpoints: Option<Vec<At<String>>>,
}

/// Upper bounds.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ServerLimits {
    /// MaxSessions (default 100).
    #[schemars(range(min = 1, max = 10000))]
    pub max_sessions: Option<u32>,
    /// Subscriptions of the server (default 1000).
    #[schemars(range(min = 1, max = 10000))]
    pub max_subscriptions: Option<u32>,
    /// Subscriptions of one session (default 100).
    #[schemars(range(min = 1, max = 10000))]
    pub max_subscriptions_per_session: Option<u32>,
    /// Monitored items of the server (default 1000000).
    #[schemars(range(min = 1, max = 10000000))]
    pub max_monitored_items: Option<u32>,
    /// Monitored items of one subscription (default 200000).
    #[schemars(range(min = 1, max = 10000000))]
    pub max_items_per_subscription: Option<u32>,
    /// Largest queue of one monitored item, in values (default 1000).
    #[schemars(range(min = 1, max = 100000))]
    pub max_queue: Option<u32>,
    /// Shortest PublishingInterval (default 10ms).
    pub min_publishing_interval: Option<Period>,
    /// Shortest SamplingInterval (default 0ms).
    pub min_sampling_interval: Option<Period>,
    /// Memory that all sessions together may hold: items, queues, messages, triggering links; one session has at most an
    /// eighth of it (default a quarter of the machine's memory, at least 256MiB).
    pub session_memory: Option<Size>,
}
