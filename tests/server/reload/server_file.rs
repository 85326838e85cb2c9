//! Keys of the server file that a running server takes, each with its effect on a client that is there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use opcell::testing::audit::verify;
use opcell::testing::control::{self, ReloadReport, ReloadResult, Request, Response};
use opcell::testing::model::{SERVER_KEYS, Takes};
use opcell::testing::pki::{Certificate, OwnCertificate, OwnRequest};
use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::client::ClientError;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::MessageSecurityMode::SignAndEncrypt;
use opcell::testing::stack::crypto::Policy;
use opcell::value::{UaTime, Value};
use opcua::{StatusCode, VariableId};
use testkit::interop::Field;
use testkit::login::Login;
use testkit::request::get_endpoints;
use testkit::server::{CELL, TestServer};
use testkit::ua::{Session, secured, unsecured};
use testkit::until;

const SETPOINT: NodeIdRef<'static> = NodeIdRef::string(2, "Pump.Setpoint");

/// A secured server, and the text of its server file.
struct Bench {
    field: Field,
    text: String,
}

impl Bench {
    fn open(client: &str) -> Bench {
        let field = Field::open(client);
        let text = std::fs::read_to_string(field.server().dir().join("server.yaml")).expect("a file");
        Bench { field, text }
    }

    fn server(&self) -> &TestServer {
        self.field.server()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.server().dir().join("server.yaml"), text).expect("written");
    }

    /// Reloads with these lines added to the file of the start.
    fn reload(&self, lines: &str) -> ReloadReport {
        self.reload_as(&format!("{}{lines}\n", self.text))
    }

    fn reload_as(&self, text: &str) -> ReloadReport {
        self.write(text);
        self.server().reload_files().report
    }

    fn opal(&self) -> Login<'_> {
        Login { client: &self.field.client, mode: SignAndEncrypt, user: Some("opal") }
    }

    /// The certificate that the server presents now.
    fn presented(&self) -> Arc<Peer> {
        let newest = self.server().server.channels.identities.newest().expect("it has one");
        Arc::new(Peer::from_chain(Policy::Basic256Sha256, newest.chain()).expect("a certificate"))
    }

    fn status(&self) -> serde_json::Value {
        match control::ask(&self.server().dir().join("state"), &Request::Status) {
            Ok(Response::Status(status)) => serde_json::to_value(&status).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }
}

fn reads(session: &mut Session) -> bool {
    session.try_call(testkit::request::read(&[(SETPOINT, 13)])).is_ok_and(|answer| answer.result.is_good())
}

/// The server's reason for the end of a connection, once it comes; `None` for a connection that is just gone.
fn end_of(session: &mut Session) -> Option<StatusCode> {
    until("the connection ends", || session.try_call(get_endpoints("opc.tcp://127.0.0.1:4840")).err().map(status_of))
}

fn status_of(error: ClientError) -> Option<StatusCode> {
    match error {
        ClientError::Channel(fatal) => Some(fatal.status),
        _ => None,
    }
}

fn number(session: &mut Session, variable: VariableId) -> Value {
    session.read_value(variable).value.expect("a value")
}

/// Each key that waits says so, in the answer, in `status`, and until it is taken back.
#[test]
fn keys_that_wait_for_a_restart_are_named_until_they_are_taken_back() {
    let bench = Bench::open("urn:test:reload");
    let mut session = bench.opal().open(&bench.field);
    let mut tried = BTreeSet::new();
    for (key, change) in [
        ("application.name", ("name: Interop", "name: Other")),
        ("application.uri", ("uri: \"urn:test:interop\"", "uri: \"urn:test:other\"")),
        ("security.pki_dir", ("security: {", "security: { pki_dir: elsewhere,")),
        ("state_dir", ("schema: 1\n", "schema: 1\nstate_dir: elsewhere\n")),
        ("history.path", ("schema: 1\n", "schema: 1\nhistory: { path: elsewhere }\n")),
        ("limits.max_sessions", ("schema: 1\n", "schema: 1\nlimits: { max_sessions: 101 }\n")),
    ] {
        let (before, after) = change;
        assert!(bench.text.contains(before), "{key}");
        let text = bench.text.replace(before, after);
        for _ in 0..2 {
            let report = bench.reload_as(&text);
            assert_eq!((report.result, report.revision), (ReloadResult::Unchanged, 1), "{key}");
            assert_eq!(report.needs_restart, [key], "{key}");
        }
        let dry = bench.server().dry_run();
        assert!(dry.text.contains(&format!("! {key:<13} takes effect at the next start")), "{}", dry.text);
        assert_eq!(bench.status()["needs_restart"], serde_json::json!([key]));
        let report = bench.reload("");
        assert_eq!((report.result, report.needs_restart.len()), (ReloadResult::Unchanged, 0), "{key}");
        assert_eq!(bench.status()["needs_restart"], serde_json::json!([]));
        tried.insert(key);
    }
    // The test chooses the address, so `listen` of the file counts for nothing here.
    tried.insert("listen");
    let waiting = SERVER_KEYS.iter().filter(|key| !matches!(key.takes, Takes::Live)).map(|key| key.key);
    assert_eq!(waiting.collect::<BTreeSet<_>>(), tried);
    // With a key that waits, all others are taken.
    let report = bench.reload("state_dir: elsewhere\nadvertise: [plant.example]");
    assert_eq!((report.result, report.needs_restart), (ReloadResult::Applied, vec!["state_dir".to_owned()]));
    assert!(reads(&mut session), "nobody was disturbed");
}

#[test]
fn advertised_names_are_in_the_endpoints_at_once_and_in_the_certificate_soon() {
    let bench = Bench::open("urn:test:reload");
    let mut session = bench.opal().open(&bench.field);
    let old = bench.presented();
    assert_eq!(bench.reload("advertise: [plant.example]").result, ReloadResult::Applied);
    let endpoints = session.ask(get_endpoints(&bench.server().url())).endpoints.expect("endpoints");
    let urls: BTreeSet<String> = endpoints.iter().map(|endpoint| endpoint.endpoint_url.to_string()).collect();
    assert!(urls.contains(&format!("opc.tcp://plant.example:{}", bench.server().address.port())), "{urls:?}");
    let new = until("another certificate", || Some(bench.presented()).filter(|new| new.thumbprint != old.thumbprint));
    let certificate = Certificate::parse(new.leaf()).expect("a certificate");
    assert!(certificate.dns_names.iter().any(|name| name == "plant.example"), "{:?}", certificate.dns_names);
    assert_eq!(new.key.bits(), old.key.bits());
    assert!(reads(&mut session), "an open channel stays");
    // A client that knows only the old certificate connects with it.
    let client = &bench.field.client;
    let settings = secured(Policy::Basic256Sha256, SignAndEncrypt, &client.identity, &old);
    assert!(Session::connect(bench.server().address, settings).is_ok());
    assert_eq!(bench.reload("advertise: [plant.example]").result, ReloadResult::Unchanged);
    let refused = bench.reload("advertise: [\"fabrik.bücher\"]");
    assert_eq!(refused.result, ReloadResult::Refused, "no certificate can have this name");
}

#[test]
fn another_key_length_brings_another_certificate_and_disturbs_no_client() {
    let bench = Bench::open("urn:test:reload");
    let mut session = bench.opal().open(&bench.field);
    let old = bench.presented();
    let security = "security: { allow_unsecured: true, certificate: { key_size: 3072, names: [auto, line.example] } }";
    let text = bench.text.replace("security: { allow_unsecured: true }", security);
    assert_eq!(bench.reload_as(&text).result, ReloadResult::Applied);
    let new = until("another key", || Some(bench.presented()).filter(|new| new.key.bits() == 3072));
    assert!(Certificate::parse(new.leaf()).expect("one").dns_names.iter().any(|name| name == "line.example"));
    assert!(reads(&mut session));
    for known in [&old, &new] {
        let settings = secured(Policy::Basic256Sha256, SignAndEncrypt, &bench.field.client.identity, known);
        assert!(Session::connect(bench.server().address, settings).is_ok(), "both certificates are answered");
    }
    let text = text.replace("key_size: 3072", "key_size: 3072, valid_for: 400d, renew_before: 20d");
    assert_eq!(bench.reload_as(&text).result, ReloadResult::Applied);
    let newest = until("another end", || Some(bench.presented()).filter(|it| it.thumbprint != new.thumbprint));
    let certificate = Certificate::parse(newest.leaf()).expect("one");
    assert_eq!((certificate.not_after - certificate.not_before) / 86_400, 401);
    assert!(reads(&mut session));
}

#[test]
fn limits_hold_for_newcomers_and_are_advertised() {
    let bench = Bench::open("urn:test:reload");
    let anonymous = || {
        let mut session = Session::connect(bench.server().address, unsecured()).expect("a channel");
        (session.create("urn:test:reload", b"").result, session)
    };
    let mut session = bench.opal().open(&bench.field);
    let subscriptions: Vec<u32> = (0..3).map(|_| session.subscribe(50.0, 1000, 10)).collect();
    let made = session.monitor(subscriptions[0], &[(SETPOINT, 1), (SETPOINT, 2), (SETPOINT, 3)], 0.0, 9);
    assert!(made.iter().all(|(status, _)| status.is_good()));
    let (first, _kept) = anonymous();
    assert_eq!(first, StatusCode::Good);
    let limits = "limits: { max_sessions: 2, max_subscriptions: 3, max_subscriptions_per_session: 2, \
                  max_monitored_items: 2, max_items_per_subscription: 1, max_queue: 4, \
                  min_publishing_interval: 200ms, min_sampling_interval: 300ms, session_memory: 64MiB }";
    assert_eq!(bench.reload(limits).result, ReloadResult::Applied);
    for (variable, most) in [
        (VariableId::Server_ServerCapabilities_MaxSessions, Value::UInt32(2)),
        (VariableId::Server_ServerCapabilities_MaxSubscriptions, Value::UInt32(3)),
        (VariableId::Server_ServerCapabilities_MaxSubscriptionsPerSession, Value::UInt32(2)),
        (VariableId::Server_ServerCapabilities_MaxMonitoredItems, Value::UInt32(2)),
        (VariableId::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription, Value::UInt32(1)),
        (VariableId::Server_ServerCapabilities_MaxMonitoredItemsQueueSize, Value::UInt32(4)),
        (VariableId::Server_ServerCapabilities_MinSupportedSampleRate, Value::Double(300.0)),
    ] {
        assert_eq!(number(&mut session, variable), most, "{variable:?}");
    }
    // What is there stays: three subscriptions and three items, above the new limits.
    let refused = session.monitor(subscriptions[1], &[(SETPOINT, 4)], 0.0, 9);
    assert_eq!(refused[0].0, StatusCode::BadTooManyMonitoredItems);
    let more = session.call(testkit::request::create_subscription(50.0, 1000, 10));
    assert_eq!(more.result, StatusCode::BadTooManySubscriptions);
    assert!(session.write(SETPOINT, &Value::Double(7.0)).is_good());
    assert!(!session.next_data().data.is_empty(), "its items report");
    assert_eq!(anonymous().0, StatusCode::Good, "a session that was never activated gives its place");
    let budget = &bench.server().server.memory;
    assert!(budget.left() <= 64 << 20 && budget.left() > 32 << 20, "{}", budget.left());

    assert_eq!(bench.reload("limits: { min_publishing_interval: 400ms }").result, ReloadResult::Applied);
    let revised = session.ask(testkit::request::create_subscription(50.0, 1000, 10));
    assert_eq!(revised.revised_publishing_interval, 400.0);
    assert_eq!(number(&mut session, VariableId::Server_ServerCapabilities_MaxSessions), Value::UInt32(100));
}

#[test]
fn sessions_on_a_channel_that_is_no_longer_offered_end_and_others_stay() {
    let bench = Bench::open("urn:test:reload");
    let of = |policy: Policy| secured(policy, SignAndEncrypt, &bench.field.client.identity, &bench.field.peer());
    let mut stays = bench.opal().open(&bench.field);
    let mut guest = Session::open(bench.server().address);
    let mut finder = Session::connect(bench.server().address, unsecured()).expect("a channel");
    let pss = Session::connect(bench.server().address, of(Policy::Aes256_Sha256_RsaPss));
    let mut pss = pss.expect("a channel");
    let mut pending = Session::connect(bench.server().address, unsecured()).expect("a channel");
    pending.create("urn:test:pending", b"").good();
    let security = "security: { allow_unsecured: false, policies: [Basic256Sha256] }";
    let text = bench.text.replace("security: { allow_unsecured: true }", security);
    assert_eq!(bench.reload_as(&text).result, ReloadResult::Applied);
    assert_eq!(end_of(&mut guest), Some(StatusCode::BadSecurityModeRejected));
    assert_eq!(end_of(&mut pss), Some(StatusCode::BadSecurityPolicyRejected));
    assert!(reads(&mut stays), "this channel is offered");
    assert_eq!(pending.activate_anonymous().result, StatusCode::BadSessionIdInvalid);
    let endpoints = finder.ask(get_endpoints("opc.tcp://127.0.0.1:4840")).endpoints.expect("discovery is open to all");
    let policies: BTreeSet<String> =
        endpoints.iter().map(|endpoint| endpoint.security_policy_uri.to_string()).collect();
    assert_eq!(policies.into_iter().collect::<Vec<_>>(), [Policy::Basic256Sha256.uri()]);
    match Session::connect(bench.server().address, of(Policy::Aes256_Sha256_RsaPss)) {
        Err(ClientError::Channel(fatal)) => assert_eq!(fatal.status, StatusCode::BadSecurityPolicyRejected),
        other => panic!("{:?}", other.map(|_| ())),
    }
    let mut late = Session::connect(bench.server().address, unsecured()).expect("a channel");
    assert_eq!(late.create("urn:test:late", b"").result, StatusCode::BadSecurityModeInsufficient);
    assert_eq!(bench.reload("").result, ReloadResult::Applied);
    assert!(reads(&mut Session::open(bench.server().address)), "and back again");
    assert!(Session::connect(bench.server().address, of(Policy::Aes256_Sha256_RsaPss)).is_ok());
    assert!(reads(&mut stays));
}

/// A session from this address of the loopback network.
fn guest_from(address: &str, server: SocketAddr) -> Result<Session, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{address}:0").parse().expect("an address")).expect("bound");
        socket.connect(server).await.expect("connected").into_std().expect("a stream")
    });
    stream.set_nonblocking(false).expect("blocking");
    let mut session = Session::over(stream, unsecured())?;
    session.create("urn:test:guest", b"").good();
    session.activate_anonymous().good();
    Ok(session)
}

#[test]
fn clients_of_a_network_that_is_no_longer_listed_leave() {
    let bench = Bench::open("urn:test:reload");
    let address = bench.server().address;
    let mut near = guest_from("127.0.0.1", address).expect("a session");
    let mut far = guest_from("127.0.0.2", address).expect("a session");
    let lost = guest_from("127.0.0.3", address).expect("a session");
    drop(lost);
    let sessions = || bench.server().server.sessions.len();
    until("one has no connection", || {
        bench.server().server.sessions.all().iter().filter(|session| session.lock().wake.is_none()).count() == 1
    });
    assert_eq!(bench.reload("networks: [127.0.0.1]").result, ReloadResult::Applied);
    until("both sessions from elsewhere end", || sessions() == 1);
    assert_eq!(end_of(&mut far), Some(StatusCode::BadConnectionRejected));
    assert!(reads(&mut near));
    assert!(guest_from("127.0.0.2", address).is_err());
    let trail = until("the audit names the reason", || {
        let trail = trail(bench.server().dir());
        Some(trail.clone()).filter(|trail| trail.matches("its address is no longer in `networks`").count() >= 2)
    });
    assert!(trail.contains("127.0.0.2"), "{trail}");
    assert_eq!(bench.reload("").result, ReloadResult::Applied);
    assert!(guest_from("127.0.0.2", address).is_ok());
}

/// The files of the audit about security.
fn trail(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("state/audit/audit-000001.jsonl")).unwrap_or_default()
}

#[test]
fn suppressed_checks_hold_for_the_next_certificate() {
    let bench = Bench::open("urn:test:reload");
    let dir = tempfile::tempdir().expect("a folder");
    let request = OwnRequest {
        application_uri: "urn:test:expired".to_owned(),
        application_name: "expired".to_owned(),
        names: vec![],
        auto_names: true,
        key_bits: 2048,
        valid_for: std::time::Duration::ZERO,
        renew_before: std::time::Duration::ZERO,
    };
    let expired = OwnCertificate::load_or_make(dir.path(), &request).expect("a certificate").identity;
    std::fs::write(bench.server().dir().join("pki/trusted/expired.der"), expired.leaf()).expect("written");
    let comes = || {
        let settings = secured(Policy::Basic256Sha256, SignAndEncrypt, &expired, &bench.field.peer());
        Session::connect(bench.server().address, settings).is_ok()
    };
    let end = Certificate::parse(expired.leaf()).expect("a certificate").not_after;
    until("it has ended", || UaTime::now().unix_seconds() > end);
    assert!(!comes());
    let text = bench.text.replace("allow_unsecured: true", "allow_unsecured: true, suppress: [time]");
    assert_eq!(bench.reload_as(&text).result, ReloadResult::Applied);
    until("the trusted folder is read", comes);
    assert_eq!(bench.reload("").result, ReloadResult::Applied);
    assert!(!comes());
}

#[test]
fn switching_the_audit_off_and_on_is_recorded() {
    let bench = Bench::open("urn:test:reload");
    let mut session = bench.opal().open(&bench.field);
    let audited = |session: &mut Session| number(session, VariableId::Server_Auditing);
    assert_eq!(audited(&mut session), Value::Boolean(true));
    let changed = || trail(bench.server().dir()).lines().filter(|line| line.contains("audit.changed")).count();
    assert_eq!(bench.reload("audit: { writes: false, keep: 10d }").result, ReloadResult::Applied);
    until("it is recorded", || changed() == 1);
    let writes = || {
        let path = bench.server().dir().join("state/audit/writes-000001.jsonl");
        std::fs::read_to_string(path).unwrap_or_default().lines().count()
    };
    let before = writes();
    assert!(session.write(SETPOINT, &Value::Double(1.0)).is_good());
    assert_eq!(bench.reload("audit: { file: false, log: off }").result, ReloadResult::Applied);
    until("the end is recorded", || changed() == 2);
    assert_eq!(audited(&mut session), Value::Boolean(false));
    assert_eq!(writes(), before, "no write was recorded");
    let last = trail(bench.server().dir());
    assert!(last.lines().last().expect("a line").contains("file on -> off"), "{last}");
    // Nothing of this time is in the files.
    bench.opal().open(&bench.field).close();
    assert_eq!(bench.reload("").result, ReloadResult::Applied);
    until("the beginning is recorded", || changed() == 3);
    assert_eq!(trail(bench.server().dir()).lines().count(), last.lines().count() + 1);
    assert_eq!(audited(&mut session), Value::Boolean(true));
    assert!(session.write(SETPOINT, &Value::Double(2.0)).is_good());
    until("writes are recorded", || writes() == before + 1);
    drop(session);
    let Bench { field: Field { server, .. }, .. } = bench;
    let mut server = server.expect("it runs");
    server.finish();
    let verdict = verify(&server.dir().join("state")).expect("a verdict");
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
}

/// Another commit time, free space and size, as the store of a running server has them.
#[test]
fn the_history_store_takes_other_bounds() {
    let bench = Bench::open("urn:test:reload");
    let cell = CELL.replace("value: 5, write: true", "value: 5, write: true, history: process");
    std::fs::write(bench.server().dir().join("cell.yaml"), cell).expect("written");
    assert_eq!(bench.reload("history: { commit: 10s }").result, ReloadResult::Applied);
    let mut session = bench.opal().open(&bench.field);
    let tag = NodeIdRef::string(2, "Pump.Number");
    let history = || bench.status()["history"].clone();
    let stopped = |lines: &str, is_stopped: bool| {
        assert_eq!(bench.reload(lines).result, ReloadResult::Applied, "{lines}");
        until("recording stops or resumes", || history()["stopped"].is_null() != is_stopped);
    };
    stopped("history: { min_free: 900TiB }", true);
    stopped("history: { max_size: 1KiB, on_full: stop }", true);
    stopped("history: { max_size: 1KiB, on_full: drop-oldest, commit: 100ms, partition: day }", false);
    let before = history()["samples"].as_u64().expect("a number");
    assert!(session.write(tag, &Value::Int32(77)).is_good());
    until("it is recorded", || history()["samples"].as_u64() > Some(before));
    assert_eq!(bench.reload("history: { path: elsewhere }").needs_restart, ["history.path"]);
}

#[test]
fn the_level_of_the_log_follows_the_file() {
    let bench = Bench::open("urn:test:reload");
    let before = log::max_level();
    assert_eq!(bench.reload("log: debug").result, ReloadResult::Applied);
    if std::env::var_os("RUST_LOG").is_none() {
        assert_eq!(log::max_level(), log::LevelFilter::Debug);
    } else {
        assert_eq!(log::max_level(), before);
    }
    assert_eq!(bench.reload("log: error").result, ReloadResult::Applied);
}
