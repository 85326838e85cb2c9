//! `opcell probe` of other servers: the way to a session, and why it ends.

use testkit::interop::PASSWORD;
use testkit::peers::{free_port, python};
use testkit::program::{Said, folder, opcell};
use testkit::server::TestServer;

use super::Script;
use super::browse::head;

fn probe(url: &str, settings: &str) -> Said {
    let text = format!("{}nodes: {{ A: {{ type: Float, value: 0 }} }}\n", head(url, settings));
    let dir = folder(&[("cell.yaml", &text), ("right", PASSWORD), ("wrong", "hush-hush")]);
    opcell(dir.path(), &["probe", "peer", "cell.yaml"], "")
}

fn says(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{}{}", said.out, said.err);
    for word in words {
        assert!(said.out.contains(word) || said.err.contains(word), "{word} in\n{}{}", said.out, said.err);
    }
    assert!(!said.err.contains("hush") && !said.out.contains("hush"), "a secret is shown");
}

const CELL: &str = "schema: 1\ncell: press\nnamespace: urn:test:press\nnodes: { A: { type: Float, value: 1 } }\n";

#[test]
fn each_step_is_shown_and_a_step_that_fails_has_its_remedy() {
    let source = TestServer::start(CELL);
    let port = source.address.port();
    let open = "policy: None, allow_unsecured: true";
    let said = probe(&source.url(), open);
    says(
        &said,
        0,
        &[
            "TCP",
            "endpoints",
            "offered",
            "None None; users: anonymous",
            "session",
            "anonymous user is accepted",
            "round trip",
            "opcell",
        ],
    );
    let said = probe(&format!("opc.tcp://localhost:{port}"), open);
    says(&said, 0, &["`localhost` is ", "127.0.0.1"]);
    let said = probe(&source.url(), "policy: Basic256Sha256");
    says(&said, 1, &["certificate", "signed by", "itself", "valid", "certificate is refused", "opcell pki trust"]);
    let closed = free_port();
    says(
        &probe(&format!("opc.tcp://127.0.0.1:{closed}"), open),
        1,
        &["nothing listens on 127.0.0.1", "check the port"],
    );
    says(&probe("opc.tcp://nowhere.invalid:4840", open), 1, &["`nowhere.invalid` is not known here", "correct `url`"]);
    // A peer that speaks something else.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("opc.tcp://{}", other.local_addr().expect("an address"));
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in other.incoming().flatten() {
            drop((&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    says(&probe(&url, open), 1, &["is it a server of OPC UA?"]);
}

#[test]
fn users_are_accepted_or_refused_and_no_password_is_shown() {
    let Some(command) = python("asyncua", "asyncua_server.py") else { return };
    let port = free_port();
    let facts = serde_json::json!({ "port": port, "users": { "opcell": PASSWORD } });
    let _script = Script::start(command, &facts);
    let url = format!("opc.tcp://127.0.0.1:{port}/acme");
    let open = "policy: None, allow_unsecured: true";
    says(&probe(&url, &format!("{open}, user: opcell, password: \"${{file:right}}\"")), 0, &["the user is accepted"]);
    says(
        &probe(&url, &format!("{open}, user: opcell, password: \"${{file:wrong}}\"")),
        1,
        &["the server refuses the user", "check `user` and `password`"],
    );
}
