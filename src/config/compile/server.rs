//! The server file, and the settings of a cell that is served without one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Compiler;
use crate::config::at::At;
use crate::config::de::{Keys, decode_entry};
use crate::config::files::beside;
use crate::config::source::Ix;
use crate::config::spec::{self, KeySize, LogLevel, Suppress};
use crate::model::{
    Accounts, Application, AuditPlan, CertificatePlan, HistoryPlan, Limits, Network, Period, Policy, Role, Roles,
    SIMULATE_FOLDER, Security, ServerPlan, Suppressed, User,
};
use crate::value::Hidden;

const PORT: u16 = 4840;
const POLICIES: [Policy; 3] = [Policy::Basic256Sha256, Policy::Aes128_Sha256_RsaOaep, Policy::Aes256_Sha256_RsaPss];

impl Compiler<'_> {
    /// A cell without a server file: open on loopback, closed on any other address.
    pub(super) fn lone_server(&mut self, cell: &Path) -> ServerPlan {
        let mut plan = self.closed(cell);
        plan.listen = vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)];
        self.apply_options(&mut plan);
        if plan.listen.iter().all(|address| address.ip().is_loopback()) {
            plan.security.allow_unsecured = true;
            plan.accounts.anonymous = [Role::OBSERVER, Role::OPERATOR].into_iter().collect();
        }
        plan
    }

    /// The defaults of a server file without keys.
    fn closed(&self, file: &Path) -> ServerPlan {
        ServerPlan {
            application: Application::default(),
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)],
            advertise: Vec::new(),
            security: Security {
                policies: POLICIES.to_vec(),
                allow_unsecured: false,
                suppressed: Suppressed::default(),
                certificate: CertificatePlan {
                    key_bits: 2_048,
                    names: Vec::new(),
                    auto_names: true,
                    valid_for: Duration::from_secs(5 * 365 * 86_400),
                    renew_before: Duration::from_secs(30 * 86_400),
                },
            },
            accounts: Accounts::default(),
            own_roles: Default::default(),
            limits: Limits::default(),
            networks: Vec::new(),
            history: HistoryPlan::default(),
            audit: AuditPlan::default(),
            state_dir: beside(file, "state"),
            pki_dir: beside(file, "pki"),
            log: log::LevelFilter::Info,
            watch: false,
            file: None,
        }
    }

    fn apply_options(&self, plan: &mut ServerPlan) {
        let options = self.options;
        if let Some(listen) = &options.listen {
            plan.listen.clone_from(listen);
        }
        plan.state_dir = options.state_dir.clone().unwrap_or_else(|| plan.state_dir.clone());
        plan.pki_dir = options.pki_dir.clone().unwrap_or_else(|| plan.pki_dir.clone());
        plan.log = options.log.unwrap_or(plan.log);
        if options.simulate {
            // Made-up values stay out of what is remembered and recorded of the real cell.
            plan.state_dir.push(SIMULATE_FOLDER);
            if let Some(path) = &mut plan.history.path {
                path.push(SIMULATE_FOLDER);
            }
        }
    }

    pub(super) fn server(&mut self, path: PathBuf, root: Ix) -> Option<ServerPlan> {
        self.check_format(root);
        let given = decode_entry::<spec::ServerFile>(&mut self.source, root, Keys::OWN, self.findings).0?;
        let mut plan = self.closed(&path);
        if let Some(application) = given.application {
            plan.application.name = application.name.unwrap_or_default();
            plan.application.uri = application.uri.map_or_else(String::new, |uri| self.application_uri(&uri));
        }
        if let Some(list) = &given.listen {
            plan.listen = list.iter().filter_map(|text| self.listen(text)).collect();
            if list.is_empty() {
                let at = self.source.get(root, "listen").unwrap_or(root);
                let finding = self.findings.error(&self.source, at, "`listen` is empty");
                finding.help("write `[\"0.0.0.0:4840\"]`, or delete the key");
            }
        }
        plan.advertise = given.advertise.unwrap_or_default().into_iter().filter(|name| name != "auto").collect();
        plan.networks = given.networks.iter().flatten().filter_map(|text| self.network(text)).collect();
        self.own_roles(given.roles.map(|raw| raw.0), &mut plan);
        if let Some(users) = given.users {
            self.users(users.0, &mut plan);
        }
        self.check_role_users(&plan, given.roles.map(|raw| raw.0));
        plan.accounts.anonymous =
            given.anonymous.as_deref().map_or(Roles::NONE, |names| self.given_roles(names, &[Role::ANONYMOUS]));
        self.anonymous = self.source.get(root, "anonymous");
        if let Some(limits) = &given.limits {
            set_limits(&mut plan.limits, limits);
        }
        if let Some(history) = given.history {
            plan.history = self.history_store(history, &path);
        }
        if let Some(audit) = &given.audit {
            plan.audit = self.audit(&audit.value, audit.ix);
        }
        if let Some(folder) = given.state_dir {
            plan.state_dir = beside(&path, &folder);
        }
        if let Some(level) = given.log {
            plan.log = level_of(level);
        }
        plan.watch = given.watch.unwrap_or(false);
        let unsecured = given.security.as_ref().and_then(|security| security.allow_unsecured.as_ref()).map(|at| at.ix);
        if let Some(security) = given.security {
            self.security(security, &path, &mut plan);
        }
        plan.file = Some(path);
        self.apply_options(&mut plan);
        self.warn_open_or_closed(&plan, unsecured);
        Some(plan)
    }

    fn application_uri(&mut self, uri: &At<String>) -> String {
        let is_uri = uri.value.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        if !is_uri || uri.value.contains(char::is_whitespace) {
            let message = format!("`{}` is not a URI", uri.value);
            self.findings.error(&self.source, uri.ix, message).help("write urn:acme:plant1:server");
        }
        uri.value.clone()
    }

    fn listen(&mut self, text: &At<String>) -> Option<SocketAddr> {
        let address = text.value.parse::<SocketAddr>().ok();
        let address = address.or_else(|| text.value.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT)));
        if address.is_none() {
            let message = format!("`{}` is not an address and port", text.value);
            self.findings.error(&self.source, text.ix, message).help("write 0.0.0.0:4840 or [::]:4840");
        }
        address
    }

    fn network(&mut self, text: &At<String>) -> Option<Network> {
        let network = Network::parse(&text.value);
        if network.is_none() {
            let message = format!("`{}` is not a network", text.value);
            self.findings.error(&self.source, text.ix, message).help("write 10.1.0.0/16");
        }
        network
    }

    fn users(&mut self, at: Ix, plan: &mut ServerPlan) {
        if !self.expect_mapping(at, "users") {
            return;
        }
        let entries: Vec<_> = self.source.entries(at).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            let (spec, is_whole) = decode_entry::<spec::User>(&mut self.source, value, Keys::OWN, self.findings);
            let user = spec.map_or_else(
                || User { password_hash: None, certificate: None, roles: Roles::NONE },
                |spec| self.user(key, spec, is_whole),
            );
            plan.accounts.users.insert(name, user);
        }
    }

    fn user(&mut self, key: Ix, spec: spec::User, is_whole: bool) -> User {
        if let Some(hash) = spec.password_hash.as_ref().filter(|hash| !hash.value.starts_with("$argon2id$")) {
            let finding = self.findings.error(&self.source, hash.ix, "this is not an Argon2id hash");
            finding.help("run `opcell user add`, which writes it");
        }
        if spec.password_hash.is_none() && spec.certificate.is_none() && is_whole {
            let finding = self.findings.error(&self.source, key, "this user cannot log in");
            finding.help("add `password_hash` (run `opcell user add`) or `certificate`");
        }
        User {
            password_hash: spec.password_hash.map(|hash| Hidden(hash.value)),
            certificate: spec.certificate,
            roles: self.given_roles(&spec.roles, &[Role::ANONYMOUS, Role::AUTHENTICATED_USER]),
        }
    }

    fn security(&mut self, given: spec::Security, path: &Path, plan: &mut ServerPlan) {
        if let Some(policies) = given.policies {
            if policies.value.is_empty() {
                let finding = self.findings.error(&self.source, policies.ix, "`policies` is empty");
                finding.help("delete the key to offer all three");
            }
            plan.security.policies = policies.value;
        }
        plan.security.allow_unsecured = given.allow_unsecured.is_some_and(|allow| allow.value);
        plan.security.suppressed = suppressed(&given.suppress.unwrap_or_default());
        if let Some(folder) = given.pki_dir {
            plan.pki_dir = beside(path, &folder);
        }
        let Some(certificate) = given.certificate else { return };
        let own = &mut plan.security.certificate;
        own.key_bits = match certificate.key_size {
            None | Some(KeySize::Bits2048) => 2_048,
            Some(KeySize::Bits3072) => 3_072,
            Some(KeySize::Bits4096) => 4_096,
        };
        if let Some(names) = certificate.names {
            own.auto_names = names.iter().any(|name| name == "auto");
            own.names = names.into_iter().filter(|name| name != "auto").collect();
        }
        own.valid_for = certificate.valid_for.map_or(own.valid_for, |period| period.0);
        own.renew_before = certificate.renew_before.map_or(own.renew_before, |period| period.0);
    }

    /// Warns when sessions without login are accepted but may read nothing of any cell.
    pub(super) fn warn_blind_guests(&mut self, plan: &ServerPlan) {
        let Some(at) = self.anonymous.filter(|_| plan.accounts.anonymous != Roles::NONE) else { return };
        // A trusted application has its role without a login.
        let guest = plan.accounts.anonymous.with(Role::ANONYMOUS).with(Role::TRUSTED_APPLICATION);
        if !self.plant.access.iter().any(|access| access.read.meets(guest)) {
            let message = "sessions without login can read nothing: no `access.read` names one of these roles";
            let finding = self.findings.warning(&self.source, at, message);
            finding.help("write `anonymous: [Observer]`, or delete the key so that a login is needed");
        }
    }

    /// Warns of unsecured access beyond loopback, and of servers that no client can log in to.
    fn warn_open_or_closed(&mut self, plan: &ServerPlan, unsecured: Option<Ix>) {
        if let Some(at) = unsecured.filter(|_| plan.security.allow_unsecured)
            && let Some(address) = plan.listen.iter().find(|address| !address.ip().is_loopback())
        {
            let message = format!("`allow_unsecured` on `{address}`: anyone in this network can read all values");
            let finding = self.findings.warning(&self.source, at, message);
            finding.help("write `listen: [\"127.0.0.1:4840\"]`, or `allow_unsecured: false`");
        }
        if plan.accounts.users.is_empty() && plan.accounts.anonymous == Roles::NONE {
            let root = plan.file.as_ref().and_then(|_| self.source.files.first()).map(|_| 0);
            if let Some(file) = root {
                let place = crate::config::source::Place { file, start: 0, end: 0 };
                let finding = self
                    .findings
                    .warning_at(place, "no client can log in: there are no users, and `anonymous` is empty");
                finding.help("run `opcell user add NAME --role Operator`, or write `anonymous: [Observer]`");
            }
        }
    }
}

fn suppressed(words: &[Suppress]) -> Suppressed {
    let has = |word| words.contains(&word);
    Suppressed {
        time: has(Suppress::Time),
        issuer_time: has(Suppress::IssuerTime),
        usage: has(Suppress::Usage),
        revocation_unknown: has(Suppress::RevocationUnknown),
        issuer_revocation_unknown: has(Suppress::IssuerRevocationUnknown),
    }
}

fn set_limits(limits: &mut Limits, given: &spec::ServerLimits) {
    let number = |value: Option<u32>, into: &mut u32| *into = value.unwrap_or(*into);
    number(given.max_sessions, &mut limits.max_sessions);
    number(given.max_subscriptions, &mut limits.max_subscriptions);
    number(given.max_subscriptions_per_session, &mut limits.max_subscriptions_per_session);
    number(given.max_monitored_items, &mut limits.max_monitored_items);
    number(given.max_items_per_subscription, &mut limits.max_items_per_subscription);
    number(given.max_queue, &mut limits.max_queue);
    let period = |value: Option<Period>, into: &mut Duration| *into = value.map_or(*into, |period| period.0);
    period(given.min_publishing_interval, &mut limits.min_publishing_interval);
    period(given.min_sampling_interval, &mut limits.min_sampling_interval);
    limits.session_memory = given.session_memory.as_ref().map(|size| size.0);
}

fn level_of(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}
