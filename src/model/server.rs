//! The compiled server file: the server's name, its addresses, its users and its limits.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{AuditPlan, HistoryPlan, Network, OwnRoles, Roles};
use crate::value::Hidden;

#[derive(Debug, Clone, PartialEq)]
pub struct ServerPlan {
    pub application: Application,
    pub listen: Vec<Listen>,
    /// Host names in the endpoints that clients get; empty: the name that the client connected with.
    pub advertise: Vec<String>,
    pub security: Security,
    /// As the file had it when it was last taken; `opcell user` may have changed the accounts of the server since.
    pub accounts: Accounts,
    /// By place in the file, from `Role(9)` on; in a running server each name keeps its number.
    pub own_roles: OwnRoles,
    pub limits: Limits,
    /// Networks that may connect; empty: all.
    pub networks: Vec<Network>,
    pub history: HistoryPlan,
    pub audit: AuditPlan,
    pub state_dir: PathBuf,
    pub pki_dir: PathBuf,
    pub log: log::LevelFilter,
    /// A change of the files reloads them.
    pub watch: bool,
    /// The server file, when there is one; `user add` writes it.
    pub file: Option<PathBuf>,
}

impl ServerPlan {
    /// Whether a host may connect.
    pub fn admits(&self, peer: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.holds(peer))
    }
}

/// Folder below the state folder for a server that simulates.
pub(crate) const SIMULATE_FOLDER: &str = "simulate";

/// An entry of `listen:`.
pub(crate) type Listen = SocketAddr;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Application {
    /// Empty: `opcell on HOST`.
    pub name: String,
    /// Empty: `urn:HOST:opcell`.
    pub uri: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Security {
    pub policies: Vec<Policy>,
    pub allow_unsecured: bool,
    pub certificate: CertificatePlan,
    pub suppressed: Suppressed,
}

/// Checks of certificates that are let pass (Part 4 §6.1.3, 1.05: what an administrator may suppress).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suppressed {
    pub time: bool,
    pub issuer_time: bool,
    pub usage: bool,
    pub revocation_unknown: bool,
    pub issuer_revocation_unknown: bool,
}

/// The security policies that are offered (Part 7, 1.05); always with Sign and SignAndEncrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, schemars::JsonSchema)]
#[allow(non_camel_case_types, reason = "the names of the specification")]
pub enum Policy {
    Basic256Sha256,
    Aes128_Sha256_RsaOaep,
    Aes256_Sha256_RsaPss,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CertificatePlan {
    pub key_bits: u32,
    /// Host names and addresses in the certificate; with `auto_names`, in addition to this host's own.
    pub names: Vec<String>,
    pub auto_names: bool,
    pub valid_for: Duration,
    pub renew_before: Duration,
}

/// Users and their roles; a running server can take new ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accounts {
    pub users: BTreeMap<String, User>,
    /// Holders of roles in addition to those of `users`.
    pub role_rules: Vec<RoleRule>,
    /// Roles of sessions without login, in addition to Anonymous; empty refuses such sessions.
    pub anonymous: Roles,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Argon2id, in PHC form.
    pub password_hash: Option<Hidden<String>>,
    /// A file of `pki_dir/users`.
    pub certificate: Option<String>,
    pub roles: Roles,
}

/// Holders of a role.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleRule {
    pub role: super::Role,
    pub users: Vec<String>,
    /// Thumbprints or subjects.
    pub certificates: Vec<String>,
    /// ApplicationUris.
    pub applications: Vec<String>,
    /// Endpoint URLs.
    pub endpoints: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub max_sessions: u32,
    pub max_subscriptions: u32,
    pub max_subscriptions_per_session: u32,
    pub max_monitored_items: u32,
    pub max_items_per_subscription: u32,
    /// Values in the queue of one monitored item.
    pub max_queue: u32,
    pub min_publishing_interval: Duration,
    pub min_sampling_interval: Duration,
    /// Bytes that all sessions together may hold; `None`: a quarter of the machine's memory, at least 256 MiB.
    pub session_memory: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_sessions: 100,
            max_subscriptions: 1_000,
            max_subscriptions_per_session: 100,
            max_monitored_items: 1_000_000,
            max_items_per_subscription: 200_000,
            max_queue: 1_000,
            min_publishing_interval: Duration::from_millis(10),
            min_sampling_interval: Duration::ZERO,
            session_memory: None,
        }
    }
}
