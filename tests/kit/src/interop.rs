//! The secured server for foreign clients: people, certificates and a relay in front, and the dialogue with their
//! scripts.
//!
//! A script prints one JSON line a check, `{"check": …, "ok": …, "detail": …}`. With `{"ask": …}` it has something
//! done to it, and waits for a line that says so: `cut` the connection, `restart` the server, `mute` the server's
//! side of the relay, wait for a `loss` there, `reload` the cell with one of `changed_cell`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use opcell::testing::control::ReloadResult;
use opcell::testing::pki::{OwnCertificate, OwnRequest};
use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::crypto::{Identity, Policy};
use opcell::testing::stack::transport;
use opcell::testing::ua::limits::Limits;
use opcell::testing::ua::users::hash_password;
use tempfile::TempDir;

use crate::relay::Relay;
use crate::server::{CELL, TestServer};

pub const PASSWORD: &str = "correct horse 7";
/// The server's ApplicationUri.
const OWN: &str = "urn:test:interop";

/// A certificate with its key, in files and in memory.
pub struct Holder {
    pub uri: String,
    pub dir: TempDir,
    pub identity: Arc<Identity>,
}

impl Holder {
    /// One a process and URI: making a key takes a second.
    pub fn of(uri: &str) -> Arc<Holder> {
        static MADE: LazyLock<Mutex<HashMap<String, Arc<Holder>>>> = LazyLock::new(Mutex::default);
        let mut made = MADE.lock().expect("no panic");
        Arc::clone(made.entry(uri.to_owned()).or_insert_with(|| Arc::new(Holder::new(uri))))
    }

    fn new(uri: &str) -> Holder {
        let dir = tempfile::tempdir().expect("a folder");
        let request = OwnRequest {
            application_uri: uri.to_owned(),
            application_name: uri.to_owned(),
            names: vec![],
            auto_names: true,
            key_bits: 2048,
            valid_for: Duration::from_hours(400 * 24),
            renew_before: Duration::ZERO,
        };
        let own = OwnCertificate::load_or_make(dir.path(), &request).expect("a certificate");
        Holder { uri: uri.to_owned(), dir, identity: own.identity }
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("own/certificate.der")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("own/key.pem")
    }
}

/// The secured server that interoperability is shown on: `opal` logs in by password (Operator), `erika` by
/// certificate (Engineer), anybody may look (Observer), data is served over None too.
pub struct Field {
    pub server: Option<TestServer>,
    pub relay: Relay,
    pub client: Arc<Holder>,
    pub erika: Arc<Holder>,
}

fn server_file() -> String {
    static HASH: LazyLock<String> = LazyLock::new(|| hash_password(PASSWORD.as_bytes()).expect("a hash"));
    let hash = &*HASH;
    format!(
        r#"
schema: 1
cells: [cell.yaml]
application: {{ name: Interop, uri: "{OWN}" }}
security: {{ allow_unsecured: true }}
users:
  opal: {{ password_hash: "{hash}", roles: [Operator] }}
  otto: {{ password_hash: "{hash}", roles: [Operator] }}
  erika: {{ certificate: erika.der, roles: [Engineer] }}
anonymous: [Observer]
"#
    )
}

impl Field {
    /// The client's ApplicationUri is `client`; it is trusted.
    pub fn open(client: &str) -> Field {
        Field::with(client, &[])
    }

    pub fn with(client: &str, also_trusted: &[&Holder]) -> Field {
        Field::build(client, also_trusted, |_, _| {})
    }

    /// With other limits.
    pub fn shrunk(client: &str, shrink: impl FnOnce(&mut Limits, &mut transport::Limits)) -> Field {
        Field::build(client, &[], shrink)
    }

    fn build(
        client: &str,
        also_trusted: &[&Holder],
        shrink: impl FnOnce(&mut Limits, &mut transport::Limits),
    ) -> Field {
        let (client, erika, own) = (Holder::of(client), Holder::of("urn:test:erika"), Holder::of(OWN));
        let dir = tempfile::tempdir().expect("a folder");
        let put = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        };
        put("cell.yaml", CELL.as_bytes());
        put("server.yaml", server_file().as_bytes());
        put("pki/own/certificate.der", own.identity.leaf());
        std::fs::copy(own.key(), dir.path().join("pki/own/key.pem")).expect("copied");
        put("pki/trusted/client.der", client.identity.leaf());
        for (at, holder) in also_trusted.iter().enumerate() {
            put(&format!("pki/trusted/other{at}.der"), holder.identity.leaf());
        }
        put("pki/users/erika.der", erika.identity.leaf());
        let server = TestServer::start_shrunk(dir, shrink);
        let relay = Relay::to(server.address);
        Field { server: Some(server), relay, client, erika }
    }

    pub fn server(&self) -> &TestServer {
        self.server.as_ref().expect("it runs")
    }

    /// The server's certificate as a client knows it.
    pub fn peer(&self) -> Arc<Peer> {
        let der = std::fs::read(self.server().dir().join("pki/own/certificate.der")).expect("a certificate");
        Arc::new(Peer::from_chain(Policy::Basic256Sha256, &der).expect("a certificate with an RSA key"))
    }

    fn facts(&self) -> String {
        let server = self.server();
        let text = |path: &Path| path.display().to_string();
        serde_json::json!({
            "url": server.url(),
            "relay": self.relay.url(),
            "application_uri": self.client.uri,
            "certificate": text(&self.client.certificate()),
            "key": text(&self.client.key()),
            "server_certificate": text(&server.dir().join("pki/own/certificate.der")),
            "user": "opal",
            "password": PASSWORD,
            "user_certificate": text(&self.erika.certificate()),
            "user_key": text(&self.erika.key()),
            "scratch": text(self.client.dir.path()),
            "classes": classes(),
        })
        .to_string()
    }

    /// Runs a script to its end; every check of it must be good, and these must be among them.
    pub fn run(&mut self, mut command: Command, expected: &[String]) {
        command.arg(self.facts());
        run_script(command, expected, |ask| self.do_as_asked(ask));
    }

    fn do_as_asked(&mut self, ask: &str) {
        match ask {
            "cut" => assert!(self.relay.cut() > 0, "nothing to cut"),
            "mute" => self.relay.mute(),
            "loss" => self.relay.wait_for_loss(),
            "restart" => {
                let server = self.server.take().expect("it runs");
                self.server = Some(server.restart());
            }
            other => {
                let change = other.strip_prefix("reload ").unwrap_or_else(|| panic!("nobody knows how to `{other}`"));
                let answer = self.server().reload(&changed_cell(change));
                assert_eq!(answer.report.result, ReloadResult::Applied, "{change}: {}", answer.text);
            }
        }
    }
}

/// The cell after a change that a script asks for by name.
fn changed_cell(change: &str) -> String {
    let number = "      Number:   { type: Int32, value: 5, write: true }\n";
    let setpoint = "range: [0, 3000], value: 100.0";
    let changed = match change {
        "range" => CELL.replace(setpoint, "range: [0, 3600], value: 100.0"),
        "removed" => CELL.replace(number, ""),
        "returned" => CELL.to_owned(),
        "added" => CELL.replace(number, &format!("{number}      Added: {{ type: Int32, value: 42 }}\n")),
        "value" => CELL.replace(setpoint, "range: [0, 3000], value: 150.0"),
        "structures" => with_structures(),
        other => panic!("nobody knows the change `{other}`"),
    };
    assert!(change == "returned" || changed != CELL, "{change} changes something");
    changed
}

/// The cell with a structure, an option set and a matrix.
fn with_structures() -> String {
    let types = "  flags: { Alarms: { 0: Heat, 9: Door } }
  structs:
    Pos: { X: { type: Float, unit: mm, range: [0, 1000] }, Y: Float }
    Batch:
      Id: { type: String, length: 16, description: Name of the batch }
      Recipe: UInt16
      State: State
      Alarms: Alarms
      Pos: Pos
      Weights: { type: Double, array: 3 }
      Way: { type: Pos, array: 2 }
nodes:\n";
    let batch = "{ Id: A1, Recipe: 7, State: Running, Alarms: [Door], Pos: { X: 1.5, Y: 2.5 }, Weights: [1, 2, 3], \
                 Way: [{ X: 1, Y: 2 }, { X: 3, Y: 4 }] }";
    let tags = format!(
        "      Batch: {{ type: Batch, write: true, value: {batch} }}
      Grid: {{ type: Int32, array: [2, 3], write: true, value: [[1, 2, 3], [4, 5, 6]] }}\n"
    );
    CELL.replace("nodes:\n", types) + &tags
}

/// Runs a script to its end, doing what it asks for; every check of it must be good, and these must be among them.
pub fn run_script(mut command: Command, expected: &[String], mut do_as_asked: impl FnMut(&str)) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the peer's language is installed");
    let mut answers = child.stdin.take().expect("piped");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (mut seen, mut bad) = (Vec::new(), Vec::new());
    for line in output.lines() {
        let line = line.expect("UTF-8");
        // A library may print a banner.
        let Ok(told) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        if let Some(ask) = told["ask"].as_str() {
            do_as_asked(ask);
            writeln!(answers, "done").expect("the peer listens");
            continue;
        }
        let Some(check) = told["check"].as_str() else { continue };
        seen.push(check.to_owned());
        if told["ok"] != true {
            bad.push(line);
        }
    }
    let status = child.wait().expect("the peer ends");
    assert!(bad.is_empty(), "checks failed:\n{}", bad.join("\n"));
    assert!(status.success(), "the peer ended with {status} after {seen:?}");
    let missing: Vec<_> = expected.iter().filter(|check| !seen.iter().any(|name| name == *check)).collect();
    assert!(missing.is_empty(), "never checked: {missing:?}; seen: {seen:?}");
}

/// A node of each class with the attributes that it must have and those that it may have (Part 3 §5, 1.05); there
/// are no Views.
pub fn classes() -> serde_json::Value {
    const BASE: [u32; 6] = [1, 2, 3, 4, 25, 26];
    const OPTIONAL: [u32; 3] = [5, 6, 7];
    // RolePermissions are for administrators.
    const DENIED: [u32; 1] = [24];
    let class = |name: &str, node: &str, must: &[u32], may: &[u32]| {
        let (must, may) = ([&BASE, must].concat(), [&OPTIONAL, may].concat());
        serde_json::json!({ "name": name, "node": node, "must": must, "may": may, "denied": DENIED })
    };
    serde_json::json!([
        class("Object", "i=2253", &[12], &[]),
        class("Variable", "i=2256", &[13, 14, 15, 17, 18, 20], &[16, 19, 27]),
        class("Variable of the cell", "ns=2;s=Pump.Curve", &[13, 14, 15, 17, 18, 20], &[16, 19, 27]),
        class("Method", "i=11489", &[21, 22], &[]),
        class("Method of the Server", "i=11492", &[21, 22], &[]),
        class("ObjectType", "i=58", &[8], &[]),
        class("VariableType", "i=2368", &[8, 14, 15], &[13, 16]),
        class("ReferenceType", "i=35", &[8, 9], &[10]),
        class("DataType", "i=862", &[8], &[23]),
    ])
}

/// Every policy, mode and token, as the scripts name them.
pub fn matrix(policies: &[&str], tokens: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    for policy in policies {
        let modes: &[&str] = if *policy == "None" { &["None"] } else { &["Sign", "SignAndEncrypt"] };
        for (mode, token) in modes.iter().flat_map(|mode| tokens.iter().map(move |token| (mode, token))) {
            rows.push(format!("connect {policy} {mode} {token}"));
        }
    }
    rows
}
