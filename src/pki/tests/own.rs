//! The own certificate over years, as a CA's, and in folders that are not as they should be.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::ExtendedKeyUsagePurpose;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension};

use super::*;
use crate::pki::{Form, Keeper, request as pki_request};
use crate::stack::crypto::Identities;

const YEAR: i64 = 365 * DAY;

struct Own {
    dir: tempfile::TempDir,
    request: OwnRequest,
    identities: Arc<Identities>,
    keeper: Keeper,
}

/// Started once; the keeper has not looked yet.
fn own() -> Own {
    let dir = tempfile::tempdir().expect("a folder");
    let request = OwnRequest { auto_names: false, ..request() };
    let own = OwnCertificate::load_or_make(dir.path(), &request).expect("it is made");
    let identities = Arc::new(Identities::default());
    identities.replace(own.identities());
    let keeper = Keeper::new(dir.path().to_owned(), request.clone(), Arc::clone(&identities));
    Own { dir, request, identities, keeper }
}

impl Own {
    fn newest(&self) -> Certificate {
        Certificate::parse(self.identities.newest().expect("one").leaf()).expect("a certificate")
    }

    fn key(&self) -> KeyPair {
        let pem = fs::read_to_string(self.dir.path().join("own/key.pem")).expect("a key");
        KeyPair::from_pem_and_sign_algo(&pem, &rcgen::PKCS_RSA_SHA256).expect("RSA")
    }

    /// A file with the CA's certificate for this key, followed by the issuer's.
    fn issued(&self, change: impl FnOnce(&mut CertificateParams), ca: &CertificateParams) -> PathBuf {
        let mut params = server(&self.request.application_uri);
        change(&mut params);
        let leaf = params.signed_by(&self.key(), &Issuer::from_params(ca, &KEYS[1])).expect("signed");
        self.file(&(leaf.pem() + &ca.self_signed(&KEYS[1]).expect("signed").pem()))
    }

    fn file(&self, text: &str) -> PathBuf {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let file = self.dir.path().join(format!("{}.pem", MADE.fetch_add(1, Ordering::Relaxed)));
        fs::write(&file, text).expect("written");
        file
    }

    fn install(&self, file: PathBuf) -> Result<String, String> {
        install(self.dir.path(), &self.request, &[file], now()).map_err(|error| error.to_string())
    }
}

fn server(uri: &str) -> CertificateParams {
    let mut params = client("line 3", (-1, 200));
    params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ascii"))];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

#[test]
fn over_the_years_it_is_renewed_with_the_same_key_and_clients_may_know_the_one_before_until_that_ends() {
    let mut own = own();
    let first = own.newest();
    own.keeper.look(now() + 4 * YEAR);
    assert_eq!(own.newest().thumbprint, first.thumbprint, "it is far from its end");
    let renewal = first.not_after - 30 * DAY + 1;
    own.keeper.look(renewal);
    let second = own.newest();
    assert_ne!(second.thumbprint, first.thumbprint);
    assert_eq!(second.spki, first.spki, "the same key");
    assert_eq!((second.not_before, second.not_after), (renewal - DAY, renewal + 5 * YEAR));
    assert!(own.identities.of_thumbprint(&first.thumbprint).is_some(), "clients still know it");
    own.keeper.look(renewal + DAY);
    assert_eq!(own.newest().thumbprint, second.thumbprint, "once is enough");
    own.keeper.look(first.not_after + 3_600);
    assert!(own.identities.of_thumbprint(&first.thumbprint).is_none(), "it has ended");

    // A restart finds the earlier ones again.
    own.keeper.look(second.not_after - DAY);
    let third = own.newest();
    own.keeper = Keeper::new(own.dir.path().to_owned(), own.request.clone(), Arc::clone(&own.identities));
    own.identities.replace(Vec::new());
    own.keeper.look(second.not_after - DAY + 1);
    assert_eq!(own.newest().thumbprint, third.thumbprint);
    assert!(own.identities.of_thumbprint(&second.thumbprint).is_some());
    assert!(own.identities.of_thumbprint(&first.thumbprint).is_none(), "it has ended");
}

#[test]
fn a_clock_that_is_set_back_brings_the_certificate_of_that_time_back() {
    let mut own = own();
    let first = own.newest();
    own.keeper.look(first.not_after - DAY);
    let second = own.newest();
    assert_ne!(second.thumbprint, first.thumbprint, "the clock is years ahead");
    own.keeper.look(now());
    assert_eq!(own.newest().thumbprint, first.thumbprint);
    let again = OwnCertificate::load_or_make(own.dir.path(), &own.request).expect("it is loaded");
    assert!(again.certificate.thumbprint == first.thumbprint && !again.is_new, "a restart, too");
    own.keeper.look(first.not_before - YEAR);
    assert_eq!(own.newest().thumbprint, first.thumbprint, "a slow clock makes no other");
}

#[test]
fn two_that_ask_for_a_key_at_once_get_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let request = OwnRequest { auto_names: false, ..request() };
    let ask = || pki_request(dir.path(), &request, Form::Der).expect("a request");
    let asked: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let spki = |der: &[u8]| {
        let (_, request) = X509CertificationRequest::from_der(der).expect("a request");
        request.certification_request_info.subject_pki.raw.to_vec()
    };
    assert!(asked.iter().all(|der| spki(der) == spki(&asked[0])));
}

#[test]
fn a_certificate_of_a_ca_is_taken_while_running_and_never_overwritten() {
    let mut own = own();
    let first = own.newest();
    let told = own.install(own.issued(|_| {}, &issuer("plant CA"))).expect("it is in order");
    assert!(told.contains("with 1 issuers is in use until"), "{told}");
    assert!(told.contains("does not name plant.example, 192.0.2.7"), "{told}");
    own.keeper.look(now());
    let installed = own.newest();
    assert_eq!(installed.name(), "line 3");
    let chain = own.identities.newest().expect("one").chain().to_vec();
    let parts = crate::stack::crypto::certificate::split_chain(&chain, 10).expect("a chain");
    assert_eq!(parts.len(), 2, "the issuer is sent too");
    assert!(own.identities.of_thumbprint(&first.thumbprint).is_some(), "clients still know the one before");
    for later in [YEAR, 10 * YEAR] {
        own.keeper.look(now() + later);
        assert_eq!(own.newest().thumbprint, installed.thumbprint, "its CA renews it, not we");
    }
    assert!(list(own.dir.path()).expect("a list").contains("line 3"), "although there is a chain in the file");
    let restarted = OwnCertificate::load_or_make(own.dir.path(), &own.request).expect("it is loaded");
    assert!(!restarted.is_new);
}

#[test]
fn files_that_make_no_sense_leave_a_running_server_as_it_was() {
    let mut own = own();
    let first = own.newest();
    let path = own.dir.path().join("own/certificate.der");
    for bytes in [&b"garbage"[..], &self_signed(&client("plant:opcell", (-1, 400)))[..]] {
        fs::write(&path, bytes).expect("written");
        own.keeper.look(now());
        assert_eq!(own.newest().thumbprint, first.thumbprint);
    }
    fs::remove_file(&path).expect("removed");
    own.keeper.look(now());
    assert_eq!(own.newest().thumbprint, first.thumbprint);
    assert!(!path.exists(), "another one is about to be put there");
    fs::remove_file(own.dir.path().join("own/key.pem")).expect("removed");
    own.keeper.look(now());
    assert_eq!(own.newest().thumbprint, first.thumbprint);
    assert!(!own.dir.path().join("own/key.pem").exists(), "a running server makes no other key");
}

#[test]
fn names_that_came_with_the_configuration_come_in_at_a_start() {
    let own = own();
    let first = own.newest();
    assert_eq!(first.dns_names, ["plant.example"]);
    let mut more = own.request.clone();
    more.names.push("scada.example".into());
    let mut keeper = Keeper::new(own.dir.path().to_owned(), more.clone(), Arc::clone(&own.identities));
    keeper.look(now());
    assert_eq!(own.newest().thumbprint, first.thumbprint, "not while it runs");
    let renewed = OwnCertificate::load_or_make(own.dir.path(), &more).expect("it is renewed");
    assert!(renewed.is_new);
    assert_eq!(renewed.certificate.dns_names, ["plant.example", "scada.example"]);
    assert_eq!(renewed.certificate.spki, first.spki, "the same key");
    assert_eq!(renewed.older.len(), 1);
    let fewer = OwnRequest { names: vec![], ..more };
    assert!(!OwnCertificate::load_or_make(own.dir.path(), &fewer).expect("it is kept").is_new, "none is missing");
}

#[test]
fn what_a_ca_gave_is_refused_for_what_a_client_would_refuse_it_for() {
    let own = own();
    let ca = issuer("plant CA");
    let with = |change: &dyn Fn(&mut CertificateParams)| own.issued(change, &ca);
    let (mut bare_ca, mut old_ca) = (ca.clone(), ca.clone());
    bare_ca.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    (old_ca.not_before, old_ca.not_after) = (at(now() - 9 * DAY), at(now() - DAY));
    let uri = |uri: &str| vec![SanType::URI(uri.try_into().expect("ascii"))];
    let pem = |params: &CertificateParams, key: &KeyPair| params.self_signed(key).expect("signed").pem();
    let stray = pem(&issuer("another CA"), &KEYS[2]);
    let its_own = pem(&server(&own.request.application_uri), &own.key());
    for (file, said) in [
        (with(&|params| params.subject_alt_names = uri("urn:x")), "names `urn:x` as its first"),
        (with(&|params| params.subject_alt_names.clear()), "names no URI"),
        (with(&|params| params.not_after = at(now() - DAY / 2)), "look at the clock"),
        (with(&|params| params.not_before = at(now() + DAY)), "look at the clock"),
        (with(&|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]), "keyEncipherment"),
        (with(&|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]), "digitalSignature"),
        (with(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]), "serverAuth"),
        (with(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "is an authority's"),
        (own.issued(|_| {}, &bare_ca), "an issuer `plant CA` that may not issue certificates"),
        (own.issued(|_| {}, &old_ca), "an issuer `plant CA` that is valid from"),
        (own.file(&pem(&server("urn:plant:opcell"), &KEYS[2])), "none of the certificates is for this key (`line 3`)"),
        (own.file(&(its_own.clone() + &stray)), "not issued by way of `another CA`"),
        (own.file("a letter"), "is not a certificate, in DER or PEM"),
        (own.file(&stray.repeat(4_000)), "larger than any certificate"),
        (own.dir.path().join("nowhere"), "No such file"),
    ] {
        let refused = own.install(file).expect_err(said);
        assert!(refused.contains(said), "`{said}` in: {refused}");
    }
    let first = own.newest();
    let file = fs::read(own.dir.path().join("own/certificate.der")).expect("it is there");
    assert_eq!(file, first.der, "what is refused changes nothing");
    let told = own.install(own.file(&its_own)).expect("one that signs itself is good too");
    assert!(!told.contains("must have its issuer"), "{told}");
    let leaf_alone = server(&own.request.application_uri).signed_by(&own.key(), &Issuer::from_params(&ca, &KEYS[1]));
    let told = own.install(own.file(&leaf_alone.expect("signed").pem())).expect("the issuer may be missing");
    assert!(told.contains("clients must have its issuer themselves: CN=plant CA"), "{told}");
    assert_eq!(
        fs::read_dir(own.dir.path().join("own/previous")).expect("a folder").count(),
        2,
        "those before are kept"
    );
}

#[test]
fn a_signing_request_says_what_our_own_certificate_would() {
    let dir = tempfile::tempdir().expect("a folder");
    let request = OwnRequest { auto_names: false, ..request() };
    let text = pki_request(dir.path(), &request, Form::Pem).expect("it is made");
    assert!(text.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----\n"));
    let mode = fs::metadata(dir.path().join("own/key.pem")).expect("the key is made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let der = pki_request(dir.path(), &request, Form::Der).expect("it is made");
    let (rest, parsed) = X509CertificationRequest::from_der(&der).expect("PKCS#10");
    assert!(rest.is_empty());
    let info = &parsed.certification_request_info;
    assert_eq!(info.subject.to_string(), "CN=opcell on plant, O=opcell");
    let mut said = Vec::new();
    for extension in parsed.requested_extensions().expect("extensions") {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                said.extend(names.general_names.iter().map(|name| match name {
                    GeneralName::URI(uri) => (*uri).to_owned(),
                    GeneralName::DNSName(name) => (*name).to_owned(),
                    GeneralName::IPAddress(bytes) => format!("{bytes:?}"),
                    other => panic!("{other}"),
                }))
            }
            ParsedExtension::KeyUsage(usage) => {
                assert!(usage.digital_signature() && usage.key_encipherment() && usage.data_encipherment());
                assert!(!usage.key_cert_sign(), "the CA signs it, not we");
            }
            ParsedExtension::ExtendedKeyUsage(usage) => assert!(usage.server_auth && usage.client_auth),
            _ => {}
        }
    }
    assert_eq!(said, ["urn:plant:opcell", "plant.example", "[192, 0, 2, 7]"]);
    let made = OwnCertificate::load_or_make(dir.path(), &request).expect("the server starts with that key");
    assert_eq!(made.certificate.spki, info.subject_pki.raw);
}

#[test]
fn who_could_write_into_the_folder_could_have_put_any_key_there() {
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for (given, then) in [(0o755, Some(0o700)), (0o750, Some(0o700)), (0o770, None), (0o777, None), (0o702, None)] {
        let dir = tempfile::tempdir().expect("a folder");
        OwnCertificate::load_or_make(dir.path(), &request()).expect("it is made");
        let folder = dir.path().join("own");
        set(&folder, given);
        let loaded = OwnCertificate::load_or_make(dir.path(), &request());
        match then {
            Some(then) => assert_eq!((loaded.is_ok(), mode(&folder)), (true, then), "{given:o}"),
            None => {
                let refused = loaded.expect_err("others can write").to_string();
                assert!(refused.contains("run chmod 700"), "{refused}");
                assert_eq!(mode(&folder), given, "the operator is to look first");
            }
        }
    }
}

#[test]
fn a_key_may_be_a_link_to_a_file_of_ours_alone() {
    type Change = fn(&Path, &Path);
    let link = |from: &Path, to: &Path| std::os::unix::fs::symlink(to, from).expect("linked");
    let cases: [(Change, Option<&str>); 4] = [
        (|_, _| {}, None),
        (|_, kept| fs::set_permissions(kept, fs::Permissions::from_mode(0o644)).expect("set"), Some("run chmod 600")),
        (|_, kept| fs::remove_file(kept).expect("removed"), Some("No such file")),
        (|_, kept| fs::remove_file(kept).and_then(|()| fs::create_dir(kept)).expect("made"), Some("is not a file")),
    ];
    for (change, said) in cases {
        let dir = tempfile::tempdir().expect("a folder");
        OwnCertificate::load_or_make(dir.path(), &request()).expect("it is made");
        let (key, kept) = (dir.path().join("own/key.pem"), dir.path().join("kept.pem"));
        fs::rename(&key, &kept).expect("moved");
        link(&key, &kept);
        change(&key, &kept);
        let loaded = OwnCertificate::load_or_make(dir.path(), &request()).map_err(|error| error.to_string());
        match said {
            None => assert!(loaded.is_ok(), "{loaded:?}"),
            Some(said) => assert!(loaded.expect_err(said).contains(said)),
        }
    }
}
