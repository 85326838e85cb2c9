//! Certificates, trust by the folders of `opcell pki`, and users: opcell behind opcell, as programs.

use std::path::Path;

use opcell::value::Value;
use opcua::StatusCode;
use testkit::interop::{Holder, PASSWORD};
use testkit::program::{Serving, folder, opcell};
use testkit::relay::Relay;
use testkit::request::text_id;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

use super::{Follower, cell};

const SOURCE: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
nodes:
  Speed: { type: Double, value: 12.5 }
"#;

fn source_file() -> String {
    let hash = opcell::testing::ua::users::hash_password(PASSWORD.as_bytes()).expect("a hash");
    format!(
        "schema: 1\ncells: [cell.yaml]\napplication: {{ name: Source, uri: \"urn:test:source\" }}\n\
         users:\n  opal: {{ password_hash: \"{hash}\", roles: [Operator] }}\n  \
         erika: {{ certificate: erika.der, roles: [Engineer] }}\n"
    )
}

/// Files of a folder of certificates.
fn files(pki: &Path, name: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(pki.join(name)).map(|entries| entries.flatten().map(|entry| entry.path()));
    entries.map(|all| all.filter(|path| path.extension().is_some_and(|end| end == "der")).collect()).unwrap_or_default()
}

/// Trusts the only certificate that was refused.
fn trust(pki: &Path) {
    let found = until("a certificate was refused", || {
        let found = files(pki, "rejected");
        (found.len() == 1).then(|| found[0].clone())
    });
    let folder = pki.parent().expect("a folder");
    let (file, pki) = (found.display().to_string(), pki.display().to_string());
    let said = opcell(folder, &["pki", "trust", &file, "--pki-dir", &pki], "");
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_user_on_an_unsecured_channel_is_back_after_a_cut() {
    let file = source_file().replace("  erika: { certificate: erika.der, roles: [Engineer] }\n", "");
    let file = format!("{file}security: {{ allow_unsecured: true }}\nanonymous: [Observer, Operator]\n");
    let source = TestServer::with(&SOURCE.replace("value: 12.5", "value: 12.5, write: true"), Some(&file), |_, _| {});
    let relay = Relay::to(source.address);
    let nodes = "  Speed: { type: Double, source: \"nsu=urn:test:press;s=Speed\" }\n";
    let settings = "policy: None, allow_unsecured: true, timeout: 5s, user: opal, password: \"${file:right}\"";
    let mut follower = Follower::start(&cell(&relay.url(), settings, nodes));
    // The password is encrypted for the server's certificate.
    follower.until_error("is not trusted");
    let own = source.dir().join("pki/own/certificate.der").display().to_string();
    opcell::testing::pki::trust(&follower.server.dir().join("pki"), &own).expect("trusted");
    follower.until_is("Speed", &Value::Double(12.5));
    let mut writer = Session::open(source.address);
    for value in [1.5, 2.5].map(Value::Double) {
        relay.cut();
        assert_eq!(writer.write(text_id("Speed"), &value), StatusCode::Good);
        follower.until_is("Speed", &value);
    }
}

#[test]
fn each_policy_works_once_both_sides_trust_each_other_and_a_wrong_password_is_told() {
    let source = folder(&[("cell.yaml", SOURCE), ("server.yaml", &source_file())]);
    std::fs::create_dir_all(source.path().join("pki/users")).expect("made");
    std::fs::copy(Holder::of("urn:test:erika").certificate(), source.path().join("pki/users/erika.der"))
        .expect("copied");
    let serving = Serving::start(source.path());
    let url = format!("opc.tcp://{}", serving.address);
    let nodes = "  Speed: { type: Double, source: \"nsu=urn:test:press;s=Speed\" }\n";
    let of = |policy: &str, password: &str| {
        cell(&url, &format!("policy: {policy}, timeout: 5s, user: opal, password: \"${{file:{password}}}\""), nodes)
    };
    let mut follower = Follower::start(&of("auto", "wrong"));
    let pki = follower.server.dir().join("pki");
    // Neither knows the other.
    follower.until_error("to trust it: opcell pki trust");
    follower.until_status("Speed", StatusCode::BadNotConnected);
    trust(&pki);
    follower.until_error("the server may not trust this one yet");
    trust(&source.path().join("pki"));
    follower.until_error("the server refuses the user (BadIdentityTokenRejected)");
    follower.until_status("Speed", StatusCode::BadUserAccessDenied);
    for policy in ["auto", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] {
        follower.server.reload(&of(policy, "right"));
        follower.until_is("Speed", &Value::Double(12.5));
    }
    follower.server.reload(&cell(&url, "policy: None, allow_unsecured: true", nodes));
    follower.until_error("the server does not offer `policy: None`");
    // A user with a certificate, PEM and DER.
    let erika = Holder::of("urn:test:erika");
    for (name, file) in [("erika.der", erika.certificate()), ("erika.pem", erika.key())] {
        std::fs::copy(file, follower.server.dir().join(name)).expect("copied");
    }
    follower.server.reload(&cell(&url, "timeout: 5s, user_certificate: erika.der, user_key: erika.pem", nodes));
    follower.until_is("Speed", &Value::Double(12.5));
    // The trust is taken back while the link is open.
    follower.server.reload(&of("auto", "right"));
    follower.until_is("Speed", &Value::Double(12.5));
    let trusted = files(&pki, "trusted").remove(0).display().to_string();
    let said = opcell(source.path(), &["pki", "revoke", &trusted, "--pki-dir", &pki.display().to_string()], "");
    assert_eq!(said.code, 0, "{said:?}");
    follower.until_error("its trust was taken away");
    until("its tags are not Good", || !follower.status("Speed").is_good());
}
