//! `opcell probe` of web servers: nothing but GET, each step, and the remedy where it ends.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use testkit::program::{Said, folder, opcell};

/// A server that answers by the path; the requests that came.
fn server() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard: Arc<Mutex<String>> = Arc::default();
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap_or(0);
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            let status = match text.split(' ').nth(1) {
                Some("/status") => "200 OK",
                Some("/user") if text.to_lowercase().contains("authorization: basic b3bjzwxsomdvb2q=") => "200 OK",
                Some("/user") => "401 Unauthorized",
                Some("/broken") => "500 Internal Server Error",
                _ => "404 Not Found",
            };
            kept.lock().expect("no panic").push_str(&text);
            drop(write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"));
        }
    });
    (port, heard)
}

fn probe(url: &str, keys: &str, nodes: &str) -> Said {
    let text = format!(
        "schema: 1\ncell: oven\nconnections:\n  oven: {{ driver: http, url: \"{url}\", timeout: 2s, allow_write: true{keys} }}\n\
         defaults: {{ connection: oven }}\nnodes:\n{nodes}"
    );
    let dir = folder(&[("cell.yaml", &text), ("good", "good"), ("bad", "hush-hush")]);
    opcell(dir.path(), &["probe", "oven", "cell.yaml"], "")
}

fn says(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{}{}", said.out, said.err);
    for word in words {
        assert!(said.out.contains(word) || said.err.contains(word), "{word} in\n{}{}", said.out, said.err);
    }
    assert!(!said.err.contains("hush") && !said.out.contains("hush"), "a secret is shown");
}

fn tag(address: &str) -> String {
    format!("  A: {{ type: String, source: {address} }}\n")
}

#[test]
fn the_paths_of_the_tags_are_asked_for_and_nothing_is_written() {
    let (port, heard) = server();
    let url = format!("http://127.0.0.1:{port}");
    let nodes = "  A: { type: String, source: /status }\n  \
                 B: { type: Double, source: { address: /status, write: true, publish: PUT /status } }\n  C: { type: String, source: order }\n";
    let keys = ", requests: { order: { path: /order, method: POST, body: now } }";
    says(&probe(&url, keys, nodes), 0, &["TCP", "GET /status", "200 OK", "2 bytes", "round trip"]);
    let heard = heard.lock().expect("no panic").clone();
    assert!(heard.starts_with("GET /status") && !heard.contains("PUT") && !heard.contains("POST"), "{heard}");
}

#[test]
fn refusals_have_their_remedies() {
    let (port, _heard) = server();
    let url = format!("http://127.0.0.1:{port}");
    says(&probe(&url, "", &tag("/nothing")), 1, &["there is nothing; correct the path"]);
    says(&probe(&url, "", &tag("/broken")), 1, &["the server has a fault"]);
    says(&probe(&url, "", &tag("/user")), 1, &["the server wants a user"]);
    let user = |file: &str| format!(", user: opcell, password: \"${{file:{file}}}\"");
    says(&probe(&url, &user("bad"), &tag("/user")), 1, &["the server refuses the user; check `user` and `password`"]);
    says(&probe(&url, &user("good"), &tag("/user")), 0, &["200 OK"]);
    says(&probe(&format!("https://127.0.0.1:{port}"), "", &tag("/status")), 1, &["TCP", "TLS"]);
    let closed = testkit::peers::free_port();
    says(
        &probe(&format!("http://127.0.0.1:{closed}"), "", &tag("/status")),
        1,
        &["nothing listens", "the server runs"],
    );
    says(&probe("http://nowhere.invalid", "", &tag("/status")), 1, &["`nowhere.invalid` is not known here"]);
}
