//! The server's certificate changes while clients are there: they stay, and everybody else comes in too.

use std::path::PathBuf;
use std::sync::Arc;

use opcell::testing::app::own_request;
use opcell::testing::control::{self, Request, Response};
use opcell::testing::pki::{self, Form, Keeper, OwnCertificate};
use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::{MessageSecurityMode::SignAndEncrypt, Policy};
use opcell::value::{UaTime, Value};
use opcua::StatusCode;

use testkit::interop::Field;
use testkit::login::Login;
use testkit::request::anonymous;
use testkit::ua::{Session, secured};
use testkit::{interop, server, until};

const POLICY: Policy = Policy::Basic256Sha256;
const DAY: i64 = 86_400;
const SETPOINT: NodeIdRef<'static> = NodeIdRef::string(2, "Pump.Setpoint");

fn pki_dir(field: &Field) -> PathBuf {
    field.server().dir().join("pki")
}

/// The certificate that the server presents now.
fn presented(field: &Field) -> Arc<Peer> {
    let newest = field.server().server.channels.identities.newest().expect("it has one");
    Arc::new(Peer::from_chain(POLICY, newest.chain()).expect("a certificate"))
}

/// Connects, logs in and reads with what the client takes for the server's certificate.
fn works(field: &Field, known: &Arc<Peer>) -> Session {
    let client = &field.client;
    let settings = secured(POLICY, SignAndEncrypt, &client.identity, known);
    let mut session = Session::connect(field.server().address, settings).expect("a channel");
    let created = session.create(&client.uri, client.identity.leaf());
    let mut reader = created.good();
    reader.node_id().expect("an id");
    reader.node_id().expect("a token");
    reader.f64().expect("a timeout");
    reader.bytes().expect("a nonce");
    assert_eq!(reader.bytes().expect("a certificate"), Some(&known.chain[..]), "the one of this channel");
    let login = Login { client, mode: SignAndEncrypt, user: Some("opal") };
    login.activate_signing(&mut session, field, known.leaf()).good();
    assert!(session.read_value(SETPOINT).value.is_some());
    session
}

/// Publishes until every value that was written has come, in its order.
fn heard(session: &mut Session, expected: &[f64]) {
    let mut got = Vec::new();
    while got.len() < expected.len() {
        session.ask_publish(&[]);
        let publication = session.published().expect("a notification");
        got.extend(publication.data.into_iter().map(|(_, data)| match data.value {
            Some(Value::Double(number)) => number,
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(got, expected, "none is lost");
}

#[test]
fn renewal_does_not_disturb_a_live_subscription() {
    let field = Field::open("urn:test:raw");
    let old = presented(&field);
    let mut watcher = works(&field, &old);
    let subscription = watcher.subscribe(50.0, 1_000, 10);
    assert!(watcher.monitor(subscription, &[(SETPOINT, 1)], 0.0, 100)[0].0.is_good());
    heard(&mut watcher, &[100.0]);
    let mut writer = works(&field, &old);
    for number in 1..=5 {
        assert!(writer.write(SETPOINT, &Value::Double(f64::from(number))).is_good());
    }

    // The clock is the test's: 20 days before the end of the certificate.
    let plan = &field.server().server.world().plan;
    let identities = Arc::clone(&field.server().server.channels.identities);
    // In a folder of its own: the server's own keeper has the clock of today, and would take this one's work back.
    let ahead = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(ahead.path().join("own")).expect("made");
    for name in ["certificate.der", "key.pem"] {
        let (from, to) = (pki_dir(&field).join("own").join(name), ahead.path().join("own").join(name));
        std::fs::copy(from, to).expect("copied");
    }
    let mut keeper = Keeper::new(ahead.path().to_owned(), own_request(plan), identities);
    keeper.look(UaTime::now().unix_seconds() + 380 * DAY);
    let new = presented(&field);
    assert_ne!(new.thumbprint, old.thumbprint, "it is renewed");

    for number in 6..=10 {
        assert!(writer.write(SETPOINT, &Value::Double(f64::from(number))).is_good());
    }
    let written: Vec<f64> = (1..=10).map(f64::from).collect();
    heard(&mut watcher, &written);
    watcher.client.renew().expect("the open channel is renewed with the certificate that it was opened with");
    assert!(writer.write(SETPOINT, &Value::Double(11.0)).is_good());
    heard(&mut watcher, &[11.0]);

    // The session moves to a channel that was opened with the old certificate, and to one with the new.
    for known in [&old, &new] {
        let settings = secured(POLICY, SignAndEncrypt, &field.client.identity, known);
        let mut moved = Session::connect(field.server().address, settings).expect("a channel");
        (moved.token, moved.server_nonce) = (watcher.token.clone(), watcher.server_nonce.clone());
        let login = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
        let other = if Arc::ptr_eq(known, &old) { &new } else { &old };
        let refused = login.activate_signing(&mut moved, &field, other.leaf());
        assert_eq!(refused.result, StatusCode::BadApplicationSignatureInvalid, "not the channel's certificate");
        login.activate_signing(&mut moved, &field, known.leaf()).good();
        watcher = moved;
    }
    works(&field, &old);
    works(&field, &new);
    let stranger = interop::Holder::of("urn:test:stranger");
    let other = Arc::new(Peer::from_chain(POLICY, stranger.identity.chain()).expect("a certificate"));
    let settings = secured(POLICY, SignAndEncrypt, &field.client.identity, &other);
    assert!(Session::connect(field.server().address, settings).is_err(), "a certificate that was never its own");
}

#[test]
fn a_certificate_of_the_plants_ca_is_taken_by_a_running_server() {
    let field = Field::open("urn:test:raw");
    let (dir, old) = (pki_dir(&field), presented(&field));
    let mut stays = works(&field, &old);
    let request = own_request(&field.server().server.world().plan);
    let asked = pki::request(&dir, &request, Form::Pem).expect("a signing request");
    let files = tempfile::tempdir().expect("a folder");
    let [ca, leaf] = sign(&String::from_utf8(asked).expect("PEM"));
    let (ca_file, leaf_file) = (files.path().join("ca.pem"), files.path().join("server.pem"));
    std::fs::write(&ca_file, ca).expect("written");
    std::fs::write(&leaf_file, leaf).expect("written");
    let said = pki::install(&dir, &request, &[leaf_file, ca_file], UaTime::now().unix_seconds()).expect("in order");
    assert!(said.contains("with 1 issuers is in use"), "{said}");
    until("the running server takes it", || presented(&field).thumbprint != old.thumbprint);
    let new = presented(&field);
    assert!(new.chain.len() > new.leaf().len(), "its issuer is sent with it");
    assert!(stays.read_value(SETPOINT).value.is_some());
    stays.client.renew().expect("renewed");
    works(&field, &new);
    works(&field, &old);
    let Ok(Response::Status(status)) = control::ask(&field.server().dir().join("state"), &Request::Status) else {
        panic!("no status")
    };
    let certificate = status.certificate.expect("a certificate");
    assert!(!certificate.is_self_signed && certificate.until > UaTime::now().unix_seconds() + 90 * DAY);
    assert!(pki::list(&dir).expect("a list").contains(&certificate.thumbprint[..8]));
}

/// The CA's certificate and what it makes of a request, as PEM.
fn sign(request: &str) -> [String; 2] {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Plant CA");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let asked = rcgen::CertificateSigningRequestParams::from_pem(request).expect("a request that a CA understands");
    let leaf = asked.signed_by(&rcgen::Issuer::from_params(&ca, &key)).expect("signed");
    [ca.self_signed(&key).expect("signed").pem(), leaf.pem()]
}

#[test]
fn keys_of_all_three_lengths_serve_clients_of_every_policy() {
    for bits in [2048, 3072, 4096] {
        let field = Field::open("urn:test:raw");
        let dir = pki_dir(&field);
        // A key takes seconds to make: once a machine and build.
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("own-{bits}"));
        let request =
            opcell::testing::pki::OwnRequest { key_bits: bits, ..own_request(&field.server().server.world().plan) };
        let own = OwnCertificate::load_or_make(&kept, &request).expect("a certificate");
        assert_eq!(own.identity.key().bits(), bits as usize);
        // Key first: until its certificate is there too, the server stays as it was.
        for name in ["own/key.pem", "own/certificate.der"] {
            std::fs::copy(kept.join(name), dir.join(name)).expect("copied");
        }
        until("the running server takes the pair", || presented(&field).thumbprint == *own.identity.thumbprint());
        for policy in [Policy::Basic256Sha256, Policy::Aes128_Sha256_RsaOaep, Policy::Aes256_Sha256_RsaPss] {
            let settings = secured(policy, SignAndEncrypt, &field.client.identity, &presented(&field));
            let mut session = Session::connect(field.server().address, settings).expect("a channel");
            session.create(&field.client.uri, field.client.identity.leaf()).good();
            let nonce = session.server_nonce.clone();
            let signature = field.client.identity.key().sign(policy, &[presented(&field).leaf(), &nonce]);
            let signature = (policy.signature_uri().expect("it signs"), &signature[..]);
            session.activate(Some(signature), anonymous()).good();
            assert!(session.read_value(SETPOINT).value.is_some());
        }
    }
}

#[test]
fn it_names_the_host_and_what_the_server_file_advertises() {
    let text = "schema: 1\ncells: [cell.yaml]\nadvertise: [plc.example, 192.0.2.9]\nanonymous: [Observer]\n";
    let server = server::TestServer::with(server::CELL, Some(text), |_, _| {});
    let newest = server.server.channels.identities.newest().expect("it has one");
    let certificate = pki::Certificate::parse(newest.leaf()).expect("a certificate");
    for name in ["plc.example".to_owned(), "localhost".to_owned(), pki::host_name()] {
        assert!(certificate.dns_names.contains(&name), "{name}");
    }
    for address in ["192.0.2.9", "127.0.0.1"] {
        assert!(certificate.addresses.contains(&address.parse().expect("an address")), "{address}");
    }
    assert_eq!(certificate.uris.first(), Some(&server.server.application.uri));
}
