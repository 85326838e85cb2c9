//! The server file.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::values::by_name;
use super::{Audit, HistoryStore};
use crate::config::at::{At, Raw};
use crate::model::{Period, Policy, Size};

/// The server: its cells, its network addresses, its users and its limits.
#[expect(dead_code, reason = "some keys are read from the arena; here they make the schema and the known keys")]
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ServerFile {
    /// Format of this file: 1.
    pub schema: At<u32>,
    /// Cell files that are served, as paths or patterns relative to this file, such as `cells/*.yaml`.
    #[schemars(extend("x-also" = ["include", "files"]))]
    pub cells: Vec<At<String>>,
    /// Name and URI of the server.
    pub application: Option<Application>,
    /// Addresses and ports on which the server listens (default ["0.0.0.0:4840"]).
    #[schemars(extend("x-also" = ["bind", "port", "endpoint", "address"]))]
    pub listen: Option<Vec<At<String>>>,
    /// Host names in the endpoints that clients get (default [auto]). `auto` is the name that the client connected
    /// with.
    pub advertise: Option<Vec<String>>,
    /// Networks from which clients may connect (default: all), such as 10.1.0.0/16.
    #[schemars(extend("x-also" = ["allow", "firewall"]))]
    pub networks: Option<Vec<At<String>>>,
    /// Encryption and certificates.
    pub security: Option<Security>,
    /// Users, by user name.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<User>")]
    pub users: Option<Raw>,
    /// Roles by name: own roles, and further holders of well-known roles.
    #[serde(default)]
    #[schemars(schema_with = "by_name::<OwnRole>")]
    pub roles: Option<Raw>,
    /// Roles of sessions without login, in addition to Anonymous (default []). [Observer] lets them read. An empty
    /// list refuses such sessions.
    pub anonymous: Option<Vec<At<String>>>,
    /// Limits of the server.
    pub limits: Option<ServerLimits>,
    /// The history store. It is used when at least one tag has a history class.
    #[schemars(extend("x-also" = ["historian", "archive", "database"]))]
    pub history: Option<HistoryStore>,
    /// Audit trail in the log and in files.
    #[schemars(extend("x-also" = ["auditing", "audit_log", "journal"]))]
    pub audit: Option<At<Audit>>,
    /// Folder of the server's own data: namespace indices, NodeIds, values of memory tags, history, audit files
    /// (default ./state).
    pub state_dir: Option<String>,
    /// Log level (default info). The environment variable RUST_LOG overrides it.
    #[schemars(extend("x-also" = ["log_level", "loglevel"]))]
    pub log: Option<LogLevel>,
    /// Whether the server reloads its files by itself when they have changed and then rested for 1 s (default false).
    /// The files are the server file, the cells, and all files that they name.
    #[schemars(extend("x-also" = ["auto_reload", "reload"]))]
    pub watch: Option<bool>,
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

/// Name and URI of the server.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Application {
    /// ApplicationName that clients see (default opcell on HOST).
    pub name: Option<String>,
    /// ApplicationUri, which is also in the certificate (default urn:HOST:opcell). Do not change it later: clients
    /// know the server by it.
    pub uri: Option<At<String>>,
}

/// Encryption and certificates.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Security {
    /// SecurityPolicies that are offered, each with Sign and SignAndEncrypt (default: all three).
    pub policies: Option<At<Vec<Policy>>>,
    /// Whether the server also serves data over channels without signature and encryption (default false). For the
    /// laboratory only.
    #[schemars(extend("x-also" = ["allow_none", "none", "unsecured"]))]
    pub allow_unsecured: Option<At<bool>>,
    /// Checks of client certificates that may fail (default []). Each certificate that is accepted in this way is
    /// logged.
    #[schemars(extend("x-also" = ["ignore", "disable_checks"]))]
    pub suppress: Option<Vec<Suppress>>,
    /// Folder of the certificates, with the folders own, trusted, issuers, rejected and users (default ./pki).
    pub pki_dir: Option<String>,
    /// The server's own certificate.
    pub certificate: Option<Certificate>,
}

/// Check of a certificate that Part 4 §6.1.3 lets an administrator suppress.
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
    /// Length of the RSA key of a certificate that opcell makes, in bits (default 2048).
    #[schemars(extend("x-also" = ["key_bits", "bits"]))]
    pub key_size: Option<KeySize>,
    /// Host names and IP addresses in the certificate (default [auto]). `auto` means all those of this host.
    #[schemars(extend("x-also" = ["hosts", "san"]))]
    pub names: Option<Vec<String>>,
    /// Time before its expiry at which a self-signed certificate is renewed, with the same key (default 30d).
    pub renew_before: Option<Period>,
    /// Lifetime of a self-signed certificate (default 5y).
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

/// A user.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct User {
    /// Roles of the user.
    #[schemars(extend("x-also" = ["role", "groups"]))]
    pub roles: Vec<At<String>>,
    /// Argon2id hash of the password, as `opcell user add` writes it. Never write the password itself.
    #[schemars(extend("x-also" = ["password", "hash"], "x-secret" = true))]
    pub password_hash: Option<At<String>>,
    /// Certificate file of the user in pki_dir/users.
    pub certificate: Option<String>,
}

/// A role of this server, or further holders of a well-known role.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct OwnRole {
    /// Users that have the role, by name.
    pub users: Option<Vec<At<String>>>,
    /// Certificates of users or of client applications that have the role, by thumbprint or by whole subject.
    pub certificates: Option<Vec<At<String>>>,
    /// Client applications that have the role, by ApplicationUri. Together with `users` or `certificates`, those have
    /// the role only from these applications.
    pub applications: Option<Vec<At<String>>>,
    /// Endpoints through which the role is given, by URL with an address and port of `listen`. The address at which
    /// the connection arrives decides, not the URL that the client sends.
    pub endpoints: Option<Vec<At<String>>>,
}

/// Limits of the server.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ServerLimits {
    /// Largest number of sessions (default 100).
    #[schemars(range(min = 1, max = 10000))]
    pub max_sessions: Option<u32>,
    /// Largest number of subscriptions of the server (default 1000).
    #[schemars(range(min = 1, max = 10000))]
    pub max_subscriptions: Option<u32>,
    /// Largest number of subscriptions of one session (default 100).
    #[schemars(range(min = 1, max = 10000))]
    pub max_subscriptions_per_session: Option<u32>,
    /// Largest number of monitored items of the server (default 1000000).
    #[schemars(range(min = 1, max = 10000000))]
    pub max_monitored_items: Option<u32>,
    /// Largest number of monitored items of one subscription (default 200000).
    #[schemars(range(min = 1, max = 10000000))]
    pub max_items_per_subscription: Option<u32>,
    /// Largest queue of one monitored item, in values (default 1000).
    #[schemars(range(min = 1, max = 100000))]
    pub max_queue: Option<u32>,
    /// Shortest publishing interval of a subscription (default 10ms).
    pub min_publishing_interval: Option<Period>,
    /// Shortest sampling interval of a monitored item (default 0ms).
    pub min_sampling_interval: Option<Period>,
    /// Memory that all sessions together may use for items, queues, messages and triggering links (default a quarter
    /// of the machine's memory, at least 256MiB). One session may use at most an eighth of it.
    pub session_memory: Option<Size>,
}
