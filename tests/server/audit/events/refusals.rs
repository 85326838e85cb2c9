//! Events and records of refused channels and logins.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::security::certificates::made;

/// Hello and an OpenSecureChannel with this certificate, as a client without its key.
fn knock(field: &Field, certificate: &[u8]) {
    let mut stream = TcpStream::connect(field.server().address).expect("connected");
    stream.set_read_timeout(Some(ua::TIMEOUT)).expect("set");
    let text = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend(u32::try_from(bytes.len()).expect("short").to_le_bytes());
        out.extend_from_slice(bytes);
    };
    let mut hello = Vec::new();
    [0u32, 65_536, 65_536, 0, 0].iter().for_each(|number| hello.extend(number.to_le_bytes()));
    text(&mut hello, b"opc.tcp://127.0.0.1");
    let mut open = 0u32.to_le_bytes().to_vec();
    text(&mut open, POLICY.uri().as_bytes());
    text(&mut open, certificate);
    text(&mut open, &opcell::testing::stack::crypto::thumbprint(field.peer().leaf()));
    open.extend([7; 256]);
    for (kind, body) in [(b"HELF", &hello), (b"OPNF", &open)] {
        let mut message = kind.to_vec();
        message.extend(u32::try_from(body.len() + 8).expect("short").to_le_bytes());
        message.extend_from_slice(body);
        stream.write_all(&message).expect("sent");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer and the end");
}

#[test]
fn each_kind_of_bad_certificate_has_its_event_and_its_record() {
    let mut watch = Watch::start();
    let pki = watch.field.server().dir().join("pki");
    let put = |folder: &str, name: &str, der: &[u8]| std::fs::write(pki.join(folder).join(name), der).expect("written");
    let made =
        |name: &str, change: &dyn Fn(&mut rcgen::CertificateParams)| made::self_signed(&made::with(name, change));
    let expired = made("expired", &|params| made::days(params, -20, -10));
    let for_servers =
        made("for servers", &|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    let nameless = made("nameless", &|params| params.subject_alt_names.clear());
    let stranger = made("stranger", &|_| {});
    let shut_out = made("shut out", &|_| {});
    let mut forged = made("forged", &|_| {});
    *forged.last_mut().expect("a byte") ^= 1;
    let changes = watch.field.server().server.trust.clone();
    for (name, der) in [("expired.der", &expired), ("usage.der", &for_servers), ("nameless.der", &nameless)] {
        put("trusted", name, der);
    }
    put("revoked", "shut.der", &shut_out);
    until("the folders are read", || changes.has_changed().expect("it runs"));
    let state = watch.field.server().dir().join("state");
    until("all of them are read", || {
        let text = String::from_utf8(files(&state)).expect("text");
        text.matches("\"trust.changed\"").count() >= 4
    });
    for (event, kind, code, der) in [
        (2082, "certificate.data-mismatch", "BadCertificateUriInvalid", &nameless),
        (2085, "certificate.expired", "BadCertificateTimeInvalid", &expired),
        (2086, "certificate.invalid", "BadCertificateInvalid", &forged),
        (2087, "certificate.untrusted", "BadCertificateUntrusted", &stranger),
        (2088, "certificate.revoked", "BadCertificateRevoked", &shut_out),
        (2089, "certificate.mismatch", "BadCertificateUseNotAllowed", &for_servers),
    ] {
        knock(&watch.field, der);
        let found = watch.event(event, |_| true);
        assert_eq!(text(&found, "SourceName"), "Security/Certificate");
        assert_eq!((good(&found), &found["Certificate"]), (false, &Value::ByteString(der.as_slice().into())), "{kind}");
        let refused = watch.event(2060, |found| !good(found));
        assert_eq!(
            refused["StatusCodeId"], found["StatusCodeId"],
            "{kind}: the exact code, not the one that the client gets"
        );
        let wanted = format!("\"kind\":\"{kind}\",\"status\":\"{code}\"");
        until(kind, || String::from_utf8(files(&state)).expect("text").contains(&wanted));
    }
}

#[test]
fn a_client_with_another_uri_than_its_certificate_is_audited_with_both() {
    let mut watch = Watch::start();
    let mut session = Login { client: &watch.field.client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
    let refused = session.create("urn:somebody:else", watch.field.client.identity.leaf());
    assert_eq!(refused.result, StatusCode::BadCertificateUriInvalid);
    let found = watch.event(2082, |_| true);
    assert_eq!(text(&found, "InvalidUri"), "urn:somebody:else");
    let found = watch.event(2071, |found| !good(found));
    assert_eq!(number(&found["SessionId"]), 0);
}

#[test]
fn a_flood_of_refused_connections_is_counted_to_the_last_with_events_and_hides_no_login() {
    let mut watch = Watch::start();
    let stranger = Holder::of("urn:test:flood");
    for _ in 0..60 {
        let settings = secured(POLICY, SignAndEncrypt, &stranger.identity, &watch.field.peer());
        assert!(Session::connect(watch.field.server().address, settings).is_err());
    }
    watch.otto().close();
    let state = watch.field.server().dir().join("state");
    let all = || String::from_utf8(files(&state)).expect("text");
    until("the login is recorded", || all().contains("\"session.closed\""));
    // What the end of the minute does.
    watch.field.server().server.audit_folded(true);
    for (event, kind) in [(2060, "channel.refused"), (2087, "certificate.untrusted")] {
        let counted = || {
            let all = all();
            let of_kind = all.lines().filter(|line| line.contains(&format!("\"kind\":\"{kind}\"")));
            let records: Vec<serde_json::Value> =
                of_kind.map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let count: u64 = records.iter().map(|record| record["more"].as_u64().unwrap_or(1)).sum();
            (count, records.len())
        };
        until("all are counted", || counted().0 == 60);
        // The minute may have ended once meanwhile.
        assert!(counted().1 <= 4, "{kind}: {:?}", counted());
        let found =
            watch.event(event, |found| !good(found) && message(found).contains(" more like this within a minute"));
        assert!(!text(&found, "ClientUserId").contains("otto"), "{found:?}");
    }
    let all = all();
    assert!(all.contains("\"session.activated\"") && all.contains("\"user\":\"otto\""));
    assert_eq!(verify(&state).expect("it can be read").findings, vec![]);
}

#[test]
fn a_lockout_has_a_record_and_an_event_when_it_begins_and_ends() {
    let mut watch = Watch::start();
    let client = std::sync::Arc::clone(&watch.field.client);
    let peer = watch.field.peer();
    // One channel for all attempts: the server limits how fast an address opens channels.
    let mut session = Login { client: &client, mode: SignAndEncrypt, user: None }.connect(&watch.field);
    let mut attempt = |password: &[u8]| {
        session.token.clear();
        session.create(&client.uri, client.identity.leaf()).good();
        let nonce = session.server_nonce.clone();
        let signature = client.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
        let secret = encrypt_secret(&peer.key, POLICY, password, &nonce).expect("it encrypts");
        let answer = session.activate(
            Some((POLICY.signature_uri().expect("it signs"), &signature)),
            user_name("otto", &secret, POLICY.encryption_uri()),
        );
        session.ask(close_session(true));
        !answer.result.is_bad()
    };
    (0..6).for_each(|_| assert!(!attempt(b"not this one")));
    until("the wait of 2 s is over", || attempt(PASSWORD.as_bytes()));
    for wanted in ["too many wrong passwords for this name", "the right password came after 5 wrong ones"] {
        let found = watch.event(2058, |found| message(found).contains(wanted));
        assert_eq!(text(&found, "ClientUserId"), "otto");
    }
    let state = watch.field.server().dir().join("state");
    let count = |kind: &str| String::from_utf8(files(&state)).expect("text").matches(kind).count();
    until("both are written", || count("\"login.blocked\"") == 1 && count("\"login.unblocked\"") == 1);
}
