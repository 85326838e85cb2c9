//! The command line as a newcomer uses it: the real program, a real server, and a client that wants in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcell::testing::pki::{OwnCertificate, OwnRequest};
use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::client::ClientError;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::{Identity, MessageSecurityMode, Policy, encrypt_secret};
use opcell::value::Value;
use opcua::StatusCode;

use testkit::program::{Said, Serving, folder, opcell};
use testkit::request::{anonymous, read, user_name};
use testkit::ua::{Response, Session, secured};
use testkit::{peers, until};

const CELL: &str = "schema: 1\ncell: press\nconnections:\n  plc1: { driver: modbus-tcp, host: 127.0.0.1, port: 1 }\n\
                    nodes:\n  Speed: { type: Double, value: 12.5 }\n  Raw: { type: UInt16, source: holding/70 }\n";
const SERVER: &str = "# the press\nschema: 1\ncells: [cell.yaml]   # only this one\nanonymous: [Observer]\n";
const PASSWORD: &str = "tr0mbone&tide";
const OTHER: &str = "b@ssoon-reed";
const POLICY: Policy = Policy::Basic256Sha256;
const URI: &str = "urn:test:newcomer";

/// A client application with a certificate of its own.
fn newcomer(folder: &Path) -> Arc<Identity> {
    let request = OwnRequest {
        application_uri: URI.into(),
        application_name: "Newcomer".into(),
        names: vec![],
        auto_names: true,
        key_bits: 2_048,
        valid_for: Duration::from_secs(86_400 * 30),
        renew_before: Duration::from_secs(86_400),
    };
    OwnCertificate::load_or_make(folder, &request).expect("a certificate").identity
}

fn server_certificate(folder: &Path) -> Arc<Peer> {
    let der = std::fs::read(folder.join("pki/own/certificate.der")).expect("the server's certificate");
    Arc::new(Peer::from_chain(POLICY, &der).expect("it holds a key"))
}

fn connect(serving: &Serving, identity: &Arc<Identity>, server: &Arc<Peer>) -> Result<Session, ClientError> {
    let settings = secured(POLICY, MessageSecurityMode::SignAndEncrypt, identity, server);
    Session::connect(serving.address, settings)
}

/// Activates a new session, anonymously or with a password.
fn log_in(session: &mut Session, identity: &Identity, server: &Peer, user: Option<(&str, &str)>) -> Response {
    session.create(URI, identity.leaf()).good();
    let nonce = session.server_nonce.clone();
    let signature = identity.key().sign(POLICY, &[server.leaf(), &nonce]);
    let signature = Some((POLICY.signature_uri().expect("it signs"), &signature[..]));
    let Some((name, password)) = user else {
        return session.activate(signature, anonymous());
    };
    let secret = encrypt_secret(&server.key, POLICY, password.as_bytes(), &nonce).expect("it encrypts");
    session.activate(signature, user_name(name, &secret, POLICY.encryption_uri()))
}

#[test]
fn a_client_that_was_refused_is_listed_trusted_and_let_in_without_a_restart() {
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let own = tempfile::tempdir().expect("a folder");
    let identity = newcomer(own.path());
    let serving = Serving::start(folder.path());
    let server = server_certificate(folder.path());
    let verb = |arguments: &[&str]| opcell(folder.path(), arguments, "");

    assert!(connect(&serving, &identity, &server).is_err(), "a stranger is refused");
    until("the stranger is listed", || {
        let list = verb(&["pki", "list", "server.yaml"]);
        assert_eq!(list.code, 0, "{list:?}");
        list.out.lines().any(|line| line.starts_with("rejected") && line.contains("Newcomer")).then_some(())
    });
    let show = verb(&["pki", "show", "Newcomer", "server.yaml"]);
    assert!(show.code == 0 && show.out.contains(URI), "{show:?}");
    let trust = verb(&["pki", "trust", "Newcomer", "server.yaml"]);
    assert!(trust.code == 0 && trust.out.contains("`Newcomer`") && trust.out.contains("is now trusted"), "{trust:?}");
    let mut session = until("the trusted client is let in", || connect(&serving, &identity, &server).ok());
    log_in(&mut session, &identity, &server, None).good();
    assert_eq!(session.read_value(NodeIdRef::string(2, "Speed")).value, Some(Value::Double(12.5)));

    let status = verb(&["status", "server.yaml"]);
    assert_eq!(status.code, 0, "{status:?}");
    for wanted in [
        &format!("process {}", serving.process()),
        &serving.address.to_string(),
        "sessions     1, 0 subscriptions",
        "without login from 127.0.0.1 since 2",
        URI,
        "plc1 Connecting",
        "next try at 2",
    ] {
        assert!(status.out.contains(wanted), "`{wanted}` in {}", status.out);
    }
    let json: serde_json::Value = serde_json::from_str(&verb(&["status", "--json", "server.yaml"]).out).expect("JSON");
    assert_eq!(json["sessions"][0]["application"], URI);
    session.close();

    let revoke = verb(&["pki", "revoke", "newcomer", "server.yaml"]);
    assert_eq!(revoke.code, 0, "{revoke:?}");
    until("who is trusted no more is refused", || connect(&serving, &identity, &server).is_err().then_some(()));
    serving.end();
    assert_eq!(verb(&["status", "server.yaml"]).code, 1, "the socket went with the server");
}

/// Whether the session is gone, not its channel.
fn is_over(session: &mut Session) -> bool {
    let read = session.try_call(read(&[(NodeIdRef::string(2, "Speed"), 13)]));
    read.expect("an answer").result == StatusCode::BadSessionClosed
}

#[test]
fn a_user_that_was_added_logs_in_with_the_password_and_no_other() {
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let own = tempfile::tempdir().expect("a folder");
    let identity = newcomer(own.path());
    let serving = Serving::start(folder.path());
    let add = ["user", "add", "anna", "server.yaml", "--role", "Operator", "--password-stdin"];
    let added = opcell(folder.path(), &add, &format!("{PASSWORD}\n"));
    assert_eq!((added.code, added.err.as_str()), (0, ""), "{added:?}");
    assert_eq!(added.out, "server.yaml: `anna` may log in\napplied to the running server\n");
    let written = std::fs::read_to_string(folder.path().join("server.yaml")).expect("the file");
    assert!(written.starts_with(SERVER), "comments and layout stay: {written}");
    assert!(written[SERVER.len()..].starts_with("users:\n  anna: { roles: [Operator], password_hash: \"$argon2id$"));

    let server = server_certificate(folder.path());
    std::fs::write(folder.path().join("pki/trusted/newcomer.der"), identity.leaf()).expect("trusted by hand");
    let mut session = until("the trusted client is let in", || connect(&serving, &identity, &server).ok());
    for (name, password, wanted) in [
        ("anna", "tr0mbone&tidf", StatusCode::BadIdentityTokenRejected),
        ("anna", "", StatusCode::BadIdentityTokenRejected),
        ("bob", PASSWORD, StatusCode::BadIdentityTokenRejected),
        ("anna", PASSWORD, StatusCode::Good),
    ] {
        let answer = log_in(&mut session, &identity, &server, Some((name, password)));
        assert_eq!(answer.result, wanted, "{name} {password}");
    }
    assert_eq!(session.read_value(NodeIdRef::string(2, "Speed")).value, Some(Value::Double(12.5)));
    let status = opcell(folder.path(), &["status", "server.yaml"], "");
    assert!(status.out.contains("anna from 127.0.0.1"), "{status:?}");
    let again = opcell(folder.path(), &add, "another-one\n");
    assert_eq!(again.code, 1);
    assert!(again.err.contains("`anna` is in server.yaml already; for a new password: opcell user passwd anna"));

    let passwd =
        opcell(folder.path(), &["user", "passwd", "anna", "server.yaml", "--password-stdin"], &format!("{OTHER}\n"));
    assert_eq!(
        passwd.out,
        "server.yaml: `anna` has another password\napplied to the running server; 1 session ended\n"
    );
    assert!(is_over(&mut session));
    let mut session = connect(&serving, &identity, &server).expect("the client is trusted");
    for (password, wanted) in [(PASSWORD, StatusCode::BadIdentityTokenRejected), (OTHER, StatusCode::Good)] {
        assert_eq!(log_in(&mut session, &identity, &server, Some(("anna", password))).result, wanted);
    }
    let list = opcell(folder.path(), &["user", "list", "server.yaml"], "");
    assert_eq!(
        list.out.split_whitespace().collect::<Vec<_>>(),
        "anna password Operator (anybody) no login Observer".split(' ').collect::<Vec<_>>()
    );
    let removed = opcell(folder.path(), &["user", "remove", "anna", "server.yaml"], "");
    assert_eq!(removed.out, "server.yaml: `anna` is out\napplied to the running server; 1 session ended\n");
    assert!(is_over(&mut session));
    assert_eq!(
        std::fs::read_to_string(folder.path().join("server.yaml")).expect("the file"),
        format!("{SERVER}users: {{}}\n")
    );
    let mut session = connect(&serving, &identity, &server).expect("the client is trusted");
    let refused = log_in(&mut session, &identity, &server, Some(("anna", OTHER)));
    assert_eq!(refused.result, StatusCode::BadIdentityTokenRejected);
    let logs = serving.end();
    assert!(logs.contains("login of `anna` refused with BadIdentityTokenRejected: the password is wrong"), "{logs}");

    let check = opcell(folder.path(), &["check", "--all", "server.yaml"], "");
    let tree = opcell(folder.path(), &["tree", "server.yaml"], "");
    for said in
        [added, status, again, passwd, list, removed, check, tree, Said { out: logs, err: String::new(), code: 0 }]
    {
        for secret in [PASSWORD, OTHER, "tr0mbone", "$argon2"] {
            assert!(!said.out.contains(secret) && !said.err.contains(secret), "`{secret}` in {said:?}");
        }
    }
}

#[test]
fn verbs_say_what_is_wrong_and_how_to_correct_it() {
    let server = "schema: 1\ncells: [cell.yaml]\nroles: { Shift: { users: [max] } }\n\
         users: { max: { roles: [], certificate: m.der }, bob: { roles: [], certificate: b.der } }\n";
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", server), ("bad.yaml", "schema: 1\ncell: [\n")]);
    //   arguments, input, exit code, in the output, in the complaint
    let cases: &[(&[&str], &str, i32, &str, &str)] = &[
        (&["pki", "list", "server.yaml"], "", 0, "no certificates in pki", ""),
        (&["pki", "list", "cell.yaml"], "", 0, "no certificates in pki", ""),
        (&["pki", "list", "--pki-dir", "elsewhere"], "", 0, "no certificates in elsewhere", ""),
        (&["pki", "list"], "", 2, "", "or give --pki-dir DIR"),
        (&["pki", "list", "bad.yaml"], "", 2, "", "or give --pki-dir DIR"),
        (
            &["pki", "trust", "nobody", "server.yaml"],
            "",
            1,
            "",
            "no certificate in rejected or revoked is `nobody`; see: opcell pki list",
        ),
        (&["pki", "reject", "nobody", "server.yaml"], "", 1, "", "no certificate in rejected is `nobody`"),
        (&["pki", "revoke", "nobody", "server.yaml"], "", 1, "", "no certificate in trusted or rejected is `nobody`"),
        (&["pki", "window", "2h", "server.yaml"], "", 1, "", "a window is open for 1h at most"),
        (
            &["pki", "window", "10min", "--from", "x", "server.yaml"],
            "",
            1,
            "",
            "`x` is not a network; write 10.1.0.0/16",
        ),
        (&["pki", "window", "10min", "server.yaml"], "", 1, "", "no server runs with the state folder state"),
        (&["pki", "show", "nobody", "server.yaml"], "", 1, "", "no certificate in pki folder is `nobody`"),
        (&["pki", "trust"], "", 2, "", "WHICH"),
        (&["status", "server.yaml"], "", 1, "", "no server runs with the state folder state; start one: opcell run"),
        (&["status", "--state-dir", "none"], "", 1, "", "no server runs with the state folder none"),
        (&["status", "bad.yaml"], "", 1, "", "no server runs with the state folder state"),
        (
            &["user", "add", "x", "server.yaml", "--role", "Operater"],
            "",
            1,
            "",
            "no role `Operater`; did you mean `Operator`?",
        ),
        (&["user", "add", "x", "server.yaml", "--role", "Chief"], "", 1, "", "no role `Chief`; known: Anonymous, "),
        (
            &["user", "add", "x", "server.yaml", "--role", "TrustedApplication"],
            "",
            1,
            "",
            "no role `TrustedApplication`",
        ),
        (&["user", "add", "bob", "server.yaml", "--password-stdin"], "passable\n", 1, "", "opcell user passwd bob"),
        (&["user", "add", "", "server.yaml", "--password-stdin"], "passable\n", 1, "", "is no user name"),
        (&["user", "add", "a\nb", "server.yaml", "--password-stdin"], "passable\n", 1, "", "`a\\nb` is no user name"),
        (&["user", "add", "x", "server.yaml", "--password-stdin"], "\n", 1, "", "the password is empty"),
        (&["user", "add", "x", "server.yaml", "--password-stdin"], "sevench\n", 1, "", "shorter than 8 characters"),
        (&["user", "add", "x", "bad.yaml", "--password-stdin"], "passable\n", 2, "", "error"),
        (
            &["user", "add", "x", "cell.yaml", "--password-stdin"],
            "passable\n",
            1,
            "",
            "opcell user add NAME server.yaml",
        ),
        (
            &["user", "add", "eve", "server.yaml", "--role", "Shift", "--password-stdin"],
            "passable\r\n",
            0,
            "`eve` may log in",
            "",
        ),
        (&["user", "list", "server.yaml"], "", 0, "bob                      certificate b.der", ""),
        (&["user", "list", "cell.yaml"], "", 0, "(anybody)                no login", ""),
        (&["user", "passwd", "ev", "server.yaml", "--password-stdin"], "new-passable\n", 1, "", "did you mean `eve`?"),
        (
            &["user", "passwd", "eve", "server.yaml", "--password-stdin"],
            "new-passable\n",
            0,
            "counts from the next start on",
            "",
        ),
        (&["user", "passwd", "eve", "cell.yaml", "--password-stdin"], "new-passable\n", 1, "", "opcell user add NAME"),
        (&["user", "remove", "nobody", "server.yaml"], "", 1, "", "no user `nobody` in server.yaml; see: opcell user"),
        (&["user", "remove", "max", "server.yaml"], "", 1, "", "under `roles.Shift.users`; remove it there first"),
        (&["user", "add", "kim", "server.yaml", "--certificate", "none.der"], "", 1, "", "none.der: No such file"),
        (&["user", "add", "kim", "server.yaml", "--certificate", "cell.yaml"], "", 1, "", "holds no certificate"),
        (&["check", "/dev/zero"], "", 2, "cannot read /dev/zero: it is larger than 64 MiB", ""),
        (&["run", "cell.yaml", "--listen", "192.0.2.9:4840"], "", 1, "", "this host has no such address"),
        (&["probe", "plc2", "holding/70", "cell.yaml"], "", 1, "", "no connection `plc2`; did you mean `plc1`?"),
        (&["probe", "other", "holding/70", "cell.yaml"], "", 1, "", "no connection `other`; known: plc1"),
        (&["probe", "plc1", "holdin/70", "cell.yaml"], "", 1, "", "holdin"),
        (&["probe", "plc1", "holding/70", "cell.yaml"], "", 1, "", "127.0.0.1:1"),
        (&["probe", "plc1", "holding/70", "cell.yaml", "--simulate"], "", 1, "", "does not offer `probe`"),
    ];
    for (arguments, input, code, out, err) in cases {
        let said = opcell(folder.path(), arguments, input);
        assert_eq!(said.code, *code, "{arguments:?}: {said:?}");
        assert!(said.out.contains(out) && said.err.contains(err), "{arguments:?}: {said:?}");
        assert!(err.is_empty() == said.err.is_empty(), "{arguments:?}: {said:?}");
    }
    let written = std::fs::read_to_string(folder.path().join("server.yaml")).expect("the file");
    assert!(written.contains("certificate: b.der }, eve: { roles: [Shift], password_hash: \"$argon2id$"), "{written}");
    assert_eq!(opcell(folder.path(), &["check", "server.yaml"], "").code, 0);
}

#[test]
fn a_namespace_that_is_the_application_s_is_refused() {
    let cell = CELL.replacen("cell: press\n", "cell: press\nnamespace: urn:plant:opcell\n", 1);
    let server = format!("{SERVER}application: {{ uri: urn:plant:opcell }}\n");
    let folder = folder(&[("cell.yaml", &cell), ("server.yaml", &server)]);
    let said = opcell(folder.path(), &["run", "server.yaml", "--listen", "127.0.0.1:0"], "");
    assert_eq!(said.code, 1, "{said:?}");
    let wanted = "cell press: the namespace urn:plant:opcell is the URI of the application; give the cell another";
    assert!(said.err.contains(wanted), "{said:?}");
    assert!(!folder.path().join("state/namespaces.json").exists(), "it must not be pinned");
}

#[test]
fn a_garbled_retained_value_is_logged() {
    let cell = "schema: 1\ncell: press\nnodes:\n  Count: { type: Byte, value: 1, write: true }\n";
    let folder = folder(&[("cell.yaml", cell), ("server.yaml", SERVER)]);
    std::fs::create_dir(folder.path().join("state")).expect("made");
    let kept = r#"{"version":1,"values":{"urn:opcell:press|Count":{"value":"0g","source_time":0,"start":"0301"}}}"#;
    std::fs::write(folder.path().join("state/retained.json"), kept).expect("written");
    let log = Serving::start(folder.path()).end();
    assert!(log.contains("Count: the retained value cannot be read; using the start value"), "{log}");
}

#[test]
fn a_lone_cell_gets_a_server_file_next_to_it() {
    let folder = folder(&[("press.yaml", CELL)]);
    let add = ["user", "add", "anna", "press.yaml", "--role", "Operator", "--password-stdin"];
    let said = opcell(folder.path(), &add, PASSWORD);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(said.out.contains("server.yaml: new") && said.out.contains("opcell run server.yaml"), "{said:?}");
    let check = opcell(folder.path(), &["check", "server.yaml"], "");
    assert!(check.code == 0 && check.out.contains("press: 2 nodes"), "{check:?}");
    let written = std::fs::read_to_string(folder.path().join("server.yaml")).expect("the file");
    assert!(written.contains("cells: [\"press.yaml\"]\nlisten: [\"127.0.0.1:4840\"]"), "{written}");
}

#[test]
fn of_verbs_that_make_the_server_file_at_once_none_undoes_another() {
    let names = ["anna", "bert", "cleo", "dora"];
    for _ in 0..3 {
        let folder = folder(&[("press.yaml", CELL)]);
        let added: Vec<Said> = std::thread::scope(|scope| {
            let add = |name| opcell(folder.path(), &["user", "add", name, "press.yaml", "--password-stdin"], PASSWORD);
            let verbs: Vec<_> = names.map(|name| scope.spawn(move || add(name))).into();
            verbs.into_iter().map(|verb| verb.join().expect("it ends")).collect()
        });
        let list = opcell(folder.path(), &["user", "list", "server.yaml"], "");
        assert!(added.iter().any(|said| said.code == 0), "{added:?}");
        for (name, said) in names.iter().zip(added) {
            assert_eq!(said.code == 0, list.out.contains(name), "{name}: {said:?}; {list:?}");
        }
    }
}

#[test]
fn where_nothing_can_be_written_the_lines_to_paste_are_printed() {
    let flow = "{ schema: 1, cells: [cell.yaml], anonymous: [Observer] }\n";
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", flow)]);
    let said = opcell(folder.path(), &["user", "add", "anna", "server.yaml", "--password-stdin"], PASSWORD);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("no safe place") && said.err.contains("put these lines into server.yaml"), "{said:?}");
    assert!(said.out.starts_with("users:\n  anna: { roles: [], password_hash: \"$argon2id$"), "{said:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("server.yaml")).expect("the file"), flow);
}

#[test]
fn a_probe_prints_what_a_device_holds() {
    let port = peers::free_port();
    let Some(mut peer) = peers::pymodbus(&["tcp", &port.to_string(), "h70=4148", "h71=0"]) else { return };
    peer.wait_for("ready");
    let folder = folder(&[("cell.yaml", &CELL.replace("port: 1 ", &format!("port: {port} ")))]);
    for connection in ["plc1", "press/plc1"] {
        let said = opcell(folder.path(), &["probe", connection, "holding/70", "cell.yaml"], "");
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
        for (key, wanted) in [
            ("address", "holding/70 = 40071"),
            ("registers", "4148 0000 0048 0049"),
            ("raw_type: uint16", "16712"),
            ("raw_type: float32", "12.5"),
        ] {
            let shown = said
                .out
                .lines()
                .any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with("  ") && rest.trim() == wanted));
            assert!(shown, "{key} is {wanted} in {}", said.out);
        }
    }
    let said = opcell(folder.path(), &["probe", "plc1", "holding/5000", "cell.yaml"], "");
    assert!(said.code == 1 && said.err.contains("holding/5000"), "{said:?}");
}
