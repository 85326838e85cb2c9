//! Secrets are planted wherever some exist, and then looked for in everything that is said: the log at its chattiest,
//! findings, JSON, what verbs print, and the files next to it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::{MessageSecurityMode::SignAndEncrypt, Policy, encrypt_secret};
use opcell::testing::ua::users::hash_password;
use opcell::value::Value;
use opcua::{ObjectId, StatusCode};

use testkit::interop::Holder;
use testkit::program::{Serving, folder, opcell};
use testkit::request::{raw_structure, user_name};
use testkit::steps::{HIERARCHICAL, Id, browse_whole};
use testkit::ua::{Session, secured};
use testkit::until;

const POLICY: Policy = Policy::Basic256Sha256;
const PASSWORD: &str = "planted-Passw0rd";
const WRONG: &str = "planted-Wr0ng";
const FILED: &str = "planted-in-a-file";
const CELL: &str = "schema: 1\ncell: press\nconnections:\n  plc: { driver: modbus-tcp, host: 127.0.0.1, port: 1 }\n\
                    nodes:\n  Speed: { type: Double, value: 12.5, write: true }\n  Raw: { type: UInt16, source: holding/70 }\n";

/// The forms that a secret may take in a text.
fn faces(bytes: &[u8]) -> Vec<String> {
    let hex = bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes every write");
        text
    });
    let list = format!("{:?}", &bytes[..8.min(bytes.len())]);
    let inner = list.trim_matches(['[', ']']).to_owned();
    vec![hex[..16].to_uppercase(), hex[..16].to_owned(), inner]
}

struct Plant {
    /// The secrets, with their names.
    secrets: Vec<(String, String)>,
}

impl Plant {
    fn text(&mut self, name: &str, text: &str) {
        self.secrets.push((name.to_owned(), text.to_owned()));
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        for face in faces(bytes) {
            self.text(name, &face);
        }
    }

    fn look(&self, place: &str, said: &str) {
        for (name, secret) in &self.secrets {
            assert!(!said.contains(secret), "{name} (`{secret}`) is in {place}");
        }
    }

    /// All files below a folder, but those that hold secrets by their purpose.
    fn look_below(&self, folder: &Path, but: &[&str]) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                self.look_below(&path, but);
            } else if path.is_file() && !but.contains(&name.as_str()) {
                let text = String::from_utf8_lossy(&std::fs::read(&path).expect("readable")).into_owned();
                self.look(&path.display().to_string(), &text);
            }
        }
    }
}

fn log_in(session: &mut Session, client: &Holder, server: &Peer, password: &str, plant: &mut Plant) -> StatusCode {
    session.create(&client.uri, client.identity.leaf()).good();
    let nonce = session.server_nonce.clone();
    plant.bytes("a server nonce", &nonce);
    plant.bytes("the token of a session", &session.token);
    let signature = client.identity.key().sign(POLICY, &[server.leaf(), &nonce]);
    let secret = encrypt_secret(&server.key, POLICY, password.as_bytes(), &nonce).expect("it encrypts");
    let signature = (POLICY.signature_uri().expect("it signs"), &signature[..]);
    let answer = session.activate(Some(signature), user_name("anna", &secret, POLICY.encryption_uri()));
    plant.bytes("a server nonce", &session.server_nonce);
    answer.result
}

#[test]
fn no_secret_is_ever_printed() {
    let hash = hash_password(PASSWORD.as_bytes()).expect("a hash");
    let server = format!(
        "schema: 1\ncells: [cell.yaml]\nusers: {{ anna: {{ roles: [Operator, SecurityAdmin], password_hash: \"{hash}\" }} }}\n"
    );
    let wrong =
        CELL.replace("type: Double", "type: \"${file:secret.txt}\"").replace("holding/70", "${file:secret.txt}");
    let folder =
        folder(&[("cell.yaml", CELL), ("server.yaml", &server), ("wrong.yaml", &wrong), ("secret.txt", FILED)]);
    let mut plant = Plant { secrets: Vec::new() };
    plant.text("the password", PASSWORD);
    plant.text("a wrong password", WRONG);
    plant.text("the hash", &hash);
    plant.text("the salt and hash", hash.rsplit('$').next().expect("a hash"));
    plant.text("a file's secret", FILED);

    let client = Holder::of("urn:test:planter");
    let serving = Serving::logging(folder.path(), "trace");
    let trusted = folder.path().join("pki/trusted/client.der");
    std::fs::write(trusted, client.identity.leaf()).expect("trusted by hand");
    let key = std::fs::read_to_string(folder.path().join("pki/own/key.pem")).expect("the key");
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        plant.text("the private key", line);
    }
    let chain = std::fs::read(folder.path().join("pki/own/certificate.der")).expect("a certificate");
    let peer = Arc::new(Peer::from_chain(POLICY, &chain).expect("it has a key"));
    let settings = || secured(POLICY, SignAndEncrypt, &client.identity, &peer);
    let mut session = until("the client is let in", || Session::connect(serving.address, settings()).ok());
    assert_eq!(log_in(&mut session, &client, &peer, WRONG, &mut plant), StatusCode::BadIdentityTokenRejected);
    assert_eq!(log_in(&mut session, &client, &peer, PASSWORD, &mut plant), StatusCode::Good);
    assert_eq!(session.write(NodeIdRef::string(2, "Speed"), &Value::Double(13.5)), StatusCode::Good);
    session.client.renew().expect("a new token");
    assert_eq!(session.read_value(NodeIdRef::string(2, "Speed")).value, Some(Value::Double(13.5)));
    // A password in clear is refused, and not repeated.
    let mut clear = Session::connect(serving.address, settings()).expect("a channel");
    clear.create(&client.uri, client.identity.leaf()).good();
    let nonce = clear.server_nonce.clone();
    let signature = client.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
    let refused = clear.activate(
        Some((POLICY.signature_uri().expect("it signs"), &signature[..])),
        user_name("anna", PASSWORD.as_bytes(), None),
    );
    assert!(refused.result.is_bad());
    // Garbage in place of a token.
    clear.activate(
        None,
        raw_structure(ObjectId::UserNameIdentityToken_Encoding_DefaultBinary, |w| w.raw(PASSWORD.as_bytes())),
    );
    let passwd = ["user", "passwd", "anna", "server.yaml", "--password-stdin"];
    for (verb, input) in [
        (&["status", "server.yaml"][..], ""),
        (&["status", "--json", "server.yaml"], ""),
        (&["user", "list", "server.yaml"], ""),
        (&["pki", "list", "server.yaml"], ""),
        (&["pki", "show", "opcell on", "server.yaml"], ""),
        (&["pki", "show", "planter", "server.yaml"], ""),
        (&["check", "--all", "server.yaml"], ""),
        (&["check", "--json", "server.yaml"], ""),
        (&["check", "wrong.yaml"], ""),
        (&["check", "--json", "wrong.yaml"], ""),
        (&["check", "no-hash.yaml"], ""),
        (&["check", "--json", "no-hash.yaml"], ""),
        (&["tree", "server.yaml"], ""),
        (&["probe", "plc", "holding/70", "cell.yaml"], ""),
        (&passwd, WRONG),
    ] {
        let said = opcell(folder.path(), verb, input);
        plant.look(&verb.join(" "), &format!("{}{}", said.out, said.err));
    }
    let log = serving.end();
    assert!(log.contains("TRACE") && log.contains("anna"), "the log is as chatty as it can be");
    plant.look("the log", &log);
    plant.look_below(&folder.path().join("state"), &["audit.key"]);
    plant.look_below(&folder.path().join("pki"), &["key.pem"]);
}

/// Everything below Objects that a client can read: names, texts, values.
fn all_that_a_client_reads(session: &mut Session) -> String {
    let mut waiting = vec![Id::Number(0, 85)];
    let mut seen = std::collections::HashSet::new();
    let mut said = String::new();
    while let Some(node) = waiting.pop() {
        if !seen.insert(node.clone()) {
            continue;
        }
        let attributes: Vec<_> = (1..=27).map(|attribute| (node.borrowed(), attribute)).collect();
        writeln!(said, "{node:?} {:?}", session.read(&attributes)).expect("text takes every write");
        waiting.extend(browse_whole(session, &node, HIERARCHICAL, 0).into_iter().map(|reference| reference.to));
    }
    said
}

#[test]
fn a_text_from_the_environment_or_a_file_is_shown_nowhere() {
    const HOST: &str = "planted-host.invalid";
    const TTY: &str = "/dev/planted-tty";
    let hash = hash_password(PASSWORD.as_bytes()).expect("a hash");
    let cell = "schema: 1\ncell: press\nconnections:\n  \
                plc: { driver: modbus-tcp, host: \"${file:host.txt}\", port: 4711, timeout: 300ms }\n  \
                line: { driver: modbus-rtu, serial: \"${env:TTY|/dev/none}\" }\nnodes:\n  \
                Speed: { type: UInt16, poll: 100ms, source: { address: holding/1, connection: plc } }\n  \
                Level: { type: UInt16, poll: 100ms, source: { address: holding/1, connection: line } }\n";
    let server = "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer]\nsecurity: { allow_unsecured: true }\n\
                  users: { anna: { roles: [Operator], password_hash: \"${file:hash.txt}\" } }\n";
    // A cell of a stranger that wants the server's key, as was seen: `check` said \"2 nodes\".
    let hostile = "schema: 1\ncell: hostile\ninclude: [pki/own/key.pem]\nnodes:\n  \
                   A: { type: String, value: \"${file:pki/own/key.pem}\", description: \"${file:pki/own/key.pem}\" }\n  \
                   B: { rows: pki/own/key.pem }\n";
    let folder = folder(&[
        ("cell.yaml", cell),
        ("server.yaml", server),
        ("hostile.yaml", hostile),
        ("host.txt", HOST),
        ("hash.txt", &hash),
    ]);
    let mut plant = Plant { secrets: Vec::new() };
    plant.text("the host of a file", "planted-host");
    plant.text("the serial line of the environment", "planted-tty");
    plant.text("the hash of a file", hash.rsplit('$').next().expect("a hash"));
    let serving = Serving::with_variable(folder.path(), "trace", ("TTY", TTY));
    let key = std::fs::read_to_string(folder.path().join("pki/own/key.pem")).expect("the key");
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        plant.text("the private key", line);
    }

    let mut session = Session::open(serving.address);
    for (connection, place) in [("plc", "${file:host.txt}:4711"), ("line", "${env:TTY|/dev/none}")] {
        let node = format!("@connections.{connection}.LastError");
        until("the connection fails", || match session.read_value(NodeIdRef::string(2, &node)).value {
            Some(text) if format!("{text:?}").contains(place) => Some(()),
            _ => None,
        });
    }
    let read = all_that_a_client_reads(&mut session);
    assert!(read.contains("Speed") && read.contains("${file:host.txt}:4711"), "the walk comes past everything");
    plant.look("what a client reads", &read);
    for verb in [
        &["status", "server.yaml"][..],
        &["status", "--json", "server.yaml"],
        &["check", "--all", "server.yaml"],
        &["check", "--json", "server.yaml"],
        &["tree", "server.yaml"],
        &["user", "list", "server.yaml"],
        &["probe", "plc", "holding/1", "server.yaml"],
        &["check", "--all", "hostile.yaml"],
        &["check", "--json", "hostile.yaml"],
        &["tree", "hostile.yaml"],
    ] {
        let said = opcell(folder.path(), verb, "");
        assert!(!verb.contains(&"hostile.yaml") || said.code == 2, "{said:?}");
        plant.look(&verb.join(" "), &format!("{}{}", said.out, said.err));
    }
    let log = serving.end();
    assert!(log.contains("${env:TTY|/dev/none}: "), "the log names the place as the file writes it: {log}");
    plant.look("the log", &log);
    plant.look_below(&folder.path().join("state"), &[]);
}
