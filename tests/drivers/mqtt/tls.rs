//! TLS and certificates of clients, against mosquitto.

use std::path::Path;

use opcell::value::Value;
use opcua::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use testkit::broker::Broker;
use testkit::plant::Bench;

use super::bench::{good, listening};

/// Files `NAME.pem` of an authority, with those that it signs.
pub(super) fn make(folder: &Path, name: &str, signed: &[(&str, &[&str])]) {
    let write = |file: String, text: &str| std::fs::write(folder.join(file), text).expect("written");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("right names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    write(format!("{name}.pem"), &params.self_signed(&key).expect("signed").pem());
    let issuer = Issuer::new(params, key);
    for (name, hosts) in signed {
        let key = KeyPair::generate().expect("a key");
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(hosts).expect("right names");
        params.distinguished_name.push(DnType::CommonName, *name);
        write(format!("{name}.pem"), &params.signed_by(&key, &issuer).expect("signed").pem());
        write(format!("{name}.key"), &key.serialize_pem());
    }
}

fn cell(folder: &Path, url: &str, keys: &str) -> Bench {
    let text = format!(
        "schema: 1\ncell: press\nconnections:\n  mq: {{ driver: mqtt, url: \"{url}\", reconnect_max: 200ms, timeout: 3s{keys} }}\n\
         defaults: {{ connection: mq }}\nnodes:\n  Ready: {{ type: String, source: ready }}\n  A: {{ type: Double, source: a }}\n"
    );
    let file = folder.join("cell.yaml");
    std::fs::write(&file, text).expect("written");
    Bench::of_file(&file)
}

async fn error(bench: &Bench, begins: &str) {
    bench.until(0, "not connected", |sample| sample.status.is_bad()).await;
    testkit::until::until_async(begins, || bench.links[0].snapshot().last_error.starts_with(begins).then_some(()))
        .await;
}

/// A broker `localhost` whose certificate the authority `ca` has signed, and another authority.
pub(super) fn with_certificate(folder: &Path) -> Option<Broker> {
    make(folder, "ca", &[("broker", &["localhost"])]);
    make(folder, "other", &[]);
    let lines =
        "allow_anonymous true\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n";
    Broker::with(folder, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_trusted_by_its_authority_and_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = with_certificate(folder.path()) else { return };
    let ca = folder.path().join("ca.pem").display().to_string();
    let broker = broker.by_tls(&["--cafile", &ca, "--insecure"]);
    let url = format!("mqtts://localhost:{}", broker.port);
    for version in ["3.1.1", "5"] {
        let bench = cell(folder.path(), &url, &format!(", ca: ca.pem, version: {version}"));
        listening(&broker, &bench, 0, "ready", version).await;
        broker.publish("a", "21.5", &[]);
        good(&bench, 1, Value::Double(21.5)).await;
        bench.stop().await;
    }
    let bench = cell(folder.path(), &url, ", ca: other.pem");
    error(&bench, "the broker's certificate is not trusted; name the file of its authority in `ca`").await;
    bench.stop().await;
    let bench = cell(folder.path(), &format!("mqtts://127.0.0.1:{}", broker.port), ", ca: ca.pem");
    error(&bench, "the broker's certificate is for another host").await;
    bench.stop().await;
    // The url says nothing of TLS.
    let bench = cell(folder.path(), &format!("mqtt://localhost:{}", broker.port), "");
    bench.until_status(0, StatusCode::BadNotConnected).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_known_by_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    make(folder.path(), "ca", &[("broker", &["localhost"]), ("cell1", &[])]);
    make(folder.path(), "other", &[("stranger", &[])]);
    let lines = "cafile {folder}/ca.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n\
                 require_certificate true\nuse_identity_as_username true\n";
    let Some(broker) = Broker::with(folder.path(), lines) else { return };
    let path = |name: &str| folder.path().join(name).display().to_string();
    let files = [path("ca.pem"), path("cell1.pem"), path("cell1.key")];
    let broker = broker.by_tls(&["--cafile", &files[0], "--cert", &files[1], "--key", &files[2], "--insecure"]);
    let url = format!("mqtts://localhost:{}", broker.port);
    let bench = cell(folder.path(), &url, ", ca: ca.pem, certificate: cell1.pem, key: cell1.key");
    listening(&broker, &bench, 0, "ready", "yes").await;
    broker.publish("a", "1", &[]);
    good(&bench, 1, Value::Double(1.0)).await;
    bench.stop().await;
    for keys in [", ca: ca.pem", ", ca: ca.pem, certificate: stranger.pem, key: stranger.key"] {
        let bench = cell(folder.path(), &url, keys);
        bench.until_status(0, StatusCode::BadUserAccessDenied).await;
        error(&bench, "the broker refuses the client certificate").await;
        bench.stop().await;
    }
}
