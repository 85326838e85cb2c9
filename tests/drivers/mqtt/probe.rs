//! `opcell probe` of brokers: each step, and the remedy where it ends.

use std::path::Path;

use testkit::program::{Said, opcell};

use super::fake::Fake;
use super::tls::with_certificate;

fn probe(folder: &Path, driver: &str, url: &str, keys: &str) -> Said {
    let text = format!(
        "schema: 1\ncell: press\nconnections:\n  mq: {{ driver: {driver}, url: \"{url}\", timeout: 2s{keys} }}\n\
         nodes:\n  A: {{ type: Float, value: 0 }}\n"
    );
    std::fs::write(folder.join("cell.yaml"), text).expect("written");
    opcell(folder, &["probe", "press:mq", "cell.yaml"], "")
}

fn says(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{}{}", said.out, said.err);
    for word in words {
        assert!(said.out.contains(word) || said.err.contains(word), "{word} in\n{}{}", said.out, said.err);
    }
    assert!(!said.err.contains("hush") && !said.out.contains("hush"), "a secret is shown: {}{}", said.out, said.err);
}

#[test]
fn certificates_are_shown_whether_they_are_trusted_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = with_certificate(folder.path()) else { return };
    let port = broker.port;
    let url = format!("mqtts://localhost:{port}");
    for driver in ["mqtt", "sparkplug"] {
        let said = probe(folder.path(), driver, &url, ", ca: ca.pem");
        says(
            &said,
            0,
            &[
                "`localhost` is ",
                "TCP",
                "CN=broker; names localhost",
                "CN=ca",
                "until 4096",
                "TLSv1",
                "MQTT 3.1.1",
                "round trip",
                "QoS up to 2",
            ],
        );
    }
    let said = probe(folder.path(), "mqtt", &url, ", ca: other.pem, version: 5");
    says(&said, 1, &["CN=broker", "the broker's certificate is not trusted", "name the file of its authority in `ca`"]);
    let said = probe(folder.path(), "mqtt", &format!("mqtts://127.0.0.1:{port}"), ", ca: ca.pem");
    says(&said, 1, &["names localhost", "the broker's certificate is for another host", "write its name in `url`"]);
    says(&probe(folder.path(), "mqtt", &format!("mqtt://localhost:{port}"), ""), 1, &["TCP", "write mqtts://"]);
}

#[test]
fn users_are_accepted_or_refused_and_nothing_that_is_hidden_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "hush-hush").expect("written");
    let fake = Fake::start(|first, body| match first >> 4 {
        1 if String::from_utf8_lossy(body).contains("hush") => vec![0x20, 2, 0, 5],
        _ => super::fake::right(first, body),
    });
    let url = format!("mqtt://127.0.0.1:{}", fake.port);
    says(&probe(folder.path(), "mqtt", &url, ", user: opcell"), 0, &["user \"opcell\" is accepted"]);
    let keys = ", user: opcell, password: \"${file:secret}\"";
    says(&probe(folder.path(), "mqtt", &url, keys), 1, &["the broker refuses user \"opcell\" (not authorized)"]);
    let keys = ", user: \"${file:secret}\"";
    says(&probe(folder.path(), "sparkplug", &url, keys), 1, &["the broker refuses the user (not authorized)"]);
    std::fs::write(folder.path().join("place"), "mqtt://hush.invalid:1883").expect("written");
    says(&probe(folder.path(), "mqtt", "${file:place}", ""), 1, &["the host of `url`", "correct `url`"]);
    let closed = testkit::peers::free_port();
    says(
        &probe(folder.path(), "mqtt", &format!("mqtt://127.0.0.1:{closed}"), ""),
        1,
        &["nothing listens", "the broker runs"],
    );
}

#[test]
fn a_broker_that_says_nothing_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("mqtt://{}", silent.local_addr().expect("an address"));
    says(&probe(folder.path(), "mqtt", &url, ""), 1, &["no answer to CONNECT within 2000 ms", "write mqtts://"]);
}
