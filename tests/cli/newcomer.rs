//! The first connection of a new client: refused, trusted by the command in the log, connected, and revoked again.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::client::ClientError;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::{MessageSecurityMode::SignAndEncrypt, Policy};
use opcell::value::Value;
use opcua::{StatusCode, VariableId};

use testkit::interop::Holder;
use testkit::program::Serving;
use testkit::request::{anonymous, read};
use testkit::ua::{Session, secured};
use testkit::{interop, peers, until};

const CELL: &str = "schema: 1\ncell: press\nnodes:\n  Speed: { type: Double, value: 12.5 }\n";
const SERVER: &str = "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer]\n";
const POLICY: Policy = Policy::Basic256Sha256;

/// The program in a folder whose name a shell would take apart, and the folder.
struct Site {
    folder: tempfile::TempDir,
    serving: Serving,
}

impl Site {
    fn start() -> Site {
        Site::with(SERVER, "info", &[])
    }

    fn with(server: &str, level: &str, trusted: &[&Holder]) -> Site {
        let folder = tempfile::Builder::new().prefix("hall 3 & press").tempdir().expect("a folder");
        for (name, text) in [("cell.yaml", CELL), ("server.yaml", server)] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        std::fs::create_dir_all(folder.path().join("pki/trusted")).expect("a folder");
        for (n, client) in trusted.iter().enumerate() {
            std::fs::write(folder.path().join(format!("pki/trusted/{n}.der")), client.identity.leaf())
                .expect("written");
        }
        let serving = Serving::logging(folder.path(), level);
        Site { folder, serving }
    }

    fn server_certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("pki/own/certificate.der")
    }

    fn knock(&self, client: &Holder) -> Result<Session, ClientError> {
        let der = std::fs::read(self.server_certificate()).expect("a certificate");
        let server = Arc::new(Peer::from_chain(POLICY, &der).expect("a certificate"));
        let settings = secured(POLICY, SignAndEncrypt, &client.identity, &server);
        Session::connect(self.serving.address, settings)
    }

    /// Connects, logs in and reads.
    fn works(&self, client: &Holder) -> Session {
        let mut session = until("the client is let in", || self.knock(client).ok());
        session.create(&client.uri, client.identity.leaf()).good();
        let der = std::fs::read(self.server_certificate()).expect("a certificate");
        let nonce = session.server_nonce.clone();
        let signature = client.identity.key().sign(POLICY, &[&der, &nonce]);
        let signature = (POLICY.signature_uri().expect("it signs"), &signature[..]);
        session.activate(Some(signature), anonymous()).good();
        assert_eq!(session.read_value(NodeIdRef::string(2, "Speed")).value, Some(Value::Double(12.5)));
        session
    }

    /// The end of the log line about this client, behind these words.
    fn told(&self, client: &Holder, words: &str) -> String {
        until(words, || {
            let log = self.serving.log();
            let line = log.lines().rev().find(|line| line.contains(&client.uri) && line.contains(words))?;
            line.split_once(words).map(|(_, rest)| rest.to_owned())
        })
    }
}

/// Runs a line as an operator does who copies it into a shell, in any folder.
fn shell(line: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_opcell")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let done = Command::new("sh").args(["-c", line]).current_dir("/").env("PATH", path).output().expect("a shell");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "`{line}`: {said}");
    said
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

#[test]
fn the_command_in_the_log_lets_the_refused_client_in() {
    let site = Site::start();
    let client = Holder::of("urn:test:newcomer");
    let Err(ClientError::Channel(refused)) = site.knock(&client) else { panic!("a stranger is let in") };
    assert_eq!(refused.status, StatusCode::BadSecurityChecksFailed, "an unknown client learns no more");
    let command = site.told(&client, "to trust it: ");
    assert!(command.starts_with("opcell pki trust "), "{command}");
    // The list is written a moment after the line.
    let pki = quoted(&site.folder.path().join("pki"));
    until("it is listed", || shell(&format!("opcell pki list --pki-dir {pki}")).contains(&client.uri).then_some(()));
    assert!(shell(&command).contains("is now trusted"));
    let mut session = site.works(&client);

    let digits = command.split(' ').nth(3).expect("a thumbprint");
    assert!(shell(&format!("opcell pki revoke {digits} --pki-dir {pki}")).contains("is now revoked"));
    let read = read(&[(VariableId::Server_ServerStatus_State, 13)]);
    until("a revoked client reads no more", || session.try_call(read.clone()).is_err());
    assert!(site.knock(&client).is_err(), "and is not let in again");
}

#[test]
fn a_refusal_is_one_warning_with_the_command_to_trust() {
    for level in ["warn", "info"] {
        let client = Holder::of("urn:test:refused");
        let trusted = Holder::of("urn:test:trusted");
        let site = Site::with(SERVER, level, &[&trusted]);
        assert!(site.knock(&client).is_err());
        site.told(&client, "to trust it: opcell pki trust ");
        // The records of the refusal were written before that of this session.
        site.works(&trusted).close();
        let log = site.serving.end();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&client.uri)).collect();
        assert!(matches!(lines[..], [line] if line.contains("WARN")), "{level}: {log}");
        let connects: Vec<&str> = log.lines().filter(|line| line.contains(&trusted.uri)).collect();
        match level {
            "warn" => assert!(connects.is_empty(), "{log}"),
            _ => assert!(
                matches!(connects[..], [line] if line.contains("INFO") && line.contains("session.activated")),
                "{log}"
            ),
        }
    }
}

#[test]
fn a_client_outside_the_networks_is_a_warning() {
    let server = format!("{SERVER}networks: [10.0.0.0/8]\n");
    let site = Site::with(&server, "warn", &[]);
    let client = Holder::of("urn:test:outside");
    assert!(site.knock(&client).is_err());
    until("a warning", || {
        let log = site.serving.log();
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("127.0.0.1") && line.contains("`networks`"))
            .then_some(())
    });
}

#[test]
fn a_trust_window_lets_new_clients_in_and_logs_how_to_revoke_them() {
    let site = Site::start();
    let [before, within, after] = ["before", "within", "after"].map(|name| Holder::of(&format!("urn:test:{name}")));
    assert!(site.knock(&before).is_err());
    let state = quoted(&site.folder.path().join("state"));
    shell(&format!("opcell pki window 10min --from 127.0.0.0/8 --state-dir {state}"));
    site.works(&before);
    let mut session = site.works(&within);
    shell(&format!("opcell pki window 0s --state-dir {state}"));
    assert!(site.knock(&after).is_err(), "the window is closed");
    site.works(&within);
    let back = site.told(&within, "to take it back: ");
    assert!(shell(&back).contains("is now revoked"));
    let read = read(&[(VariableId::Server_ServerStatus_State, 13)]);
    until("its channel is cut", || session.try_call(read.clone()).is_err());
    shell(&format!("opcell pki window 10min --state-dir {state}"));
    assert!(site.knock(&within).is_err(), "no window lets in who was revoked");
}

#[test]
fn asyncua_is_trusted_in_the_same_way() {
    let Some(mut command) = peers::python("asyncua", "asyncua_client.py") else { return };
    let site = Site::start();
    let client = Holder::of("urn:test:asyncua-newcomer");
    let text = |path: &Path| path.display().to_string();
    let facts = serde_json::json!({
        "url": format!("opc.tcp://{}", site.serving.address),
        "application_uri": client.uri,
        "certificate": text(&client.certificate()),
        "key": text(&client.key()),
        "server_certificate": text(&site.server_certificate()),
        "node": "ns=2;s=Speed",
    });
    command.args(["newcomer", &facts.to_string()]);
    let expected = ["a stranger is refused", "let in", "shut out"].map(str::to_owned);
    let mut cut = None;
    interop::run_script(command, &expected, |asked| match asked {
        "let me in" => {
            let trust = site.told(&client, "to trust it: ");
            cut = Some(trust.replace(" trust ", " revoke "));
            until("it can be trusted", || {
                let listed = shell(&format!("opcell pki list --pki-dir {}", quoted(&site.folder.path().join("pki"))));
                listed.contains(&client.uri).then_some(())
            });
            shell(&trust);
            until("the folder is watched", || site.knock(&client).ok());
        }
        "shut me out" => {
            shell(cut.as_deref().expect("trusted before"));
            until("it is refused", || site.knock(&client).err());
        }
        other => panic!("nobody knows how to `{other}`"),
    });
}
