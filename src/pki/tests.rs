//! Certificates as they come from outside, and folders on disk.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use opcua::StatusCode;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use time::OffsetDateTime;

mod own;
mod rejected;
mod server;

use super::folders::Store;
use super::path::Role;
use super::rejected::{Rejected, Rejection};
use super::*;
use crate::stack::channel::{Caller, CertificateCheck};
use crate::stack::crypto::Policy;
use crate::value::UaTime;

const DAY: i64 = 24 * 3600;

static KEYS: LazyLock<[KeyPair; 3]> = LazyLock::new(|| [(); 3].map(|()| rsa_key()));

fn rsa_key() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("keys are made")
}

/// One moment for the whole run: a certificate that is made twice is then the same.
fn now() -> i64 {
    static NOW: LazyLock<i64> = LazyLock::new(|| UaTime::now().unix_seconds());
    *NOW
}

fn at(unix: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix).expect("in range")
}

/// A client's certificate, valid from `from` to `to` days from now.
fn client(name: &str, (from, to): (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names.push(SanType::URI(format!("urn:{name}").try_into().expect("ascii")));
    params.not_before = at(now() + from * DAY);
    params.not_after = at(now() + to * DAY);
    params.serial_number = Some(SerialNumber::from(vec![1, 2, 3]));
    params
}

fn issuer(name: &str) -> CertificateParams {
    let mut params = client(name, (-1, 100));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn self_signed(params: &CertificateParams) -> Vec<u8> {
    params.self_signed(&KEYS[0]).expect("it is signed").der().to_vec()
}

/// A leaf under a CA, the CA, and the CA's list with or without the leaf, which ends in `days` days.
struct Issued {
    leaf: Vec<u8>,
    ca: Vec<u8>,
    ca_params: CertificateParams,
}

fn issued(leaf: &CertificateParams, ca: CertificateParams) -> Issued {
    let ca_der = ca.self_signed(&KEYS[1]).expect("it is signed").der().to_vec();
    let by = Issuer::from_params(&ca, &KEYS[1]);
    let leaf = leaf.signed_by(&KEYS[0], &by).expect("it is signed").der().to_vec();
    Issued { leaf, ca: ca_der, ca_params: ca }
}

impl Issued {
    fn list(&self, revoked: bool, days: i64) -> Vec<u8> {
        let entry = RevokedCertParams {
            serial_number: SerialNumber::from(vec![1, 2, 3]),
            revocation_time: at(now() - DAY),
            reason_code: None,
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: at(now() - 2 * DAY),
            next_update: at(now() + days * DAY),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: if revoked { vec![entry] } else { Vec::new() },
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&Issuer::from_params(&self.ca_params, &KEYS[1]))
        .expect("it is signed")
        .der()
        .to_vec()
    }
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    folders::create(dir.path()).expect("folders are made");
    dir
}

fn put(dir: &Path, place: &str, bytes: &[u8]) {
    let path = dir.join(place);
    fs::create_dir_all(path.parent().expect("below the folder")).expect("folders are made");
    fs::write(path, bytes).expect("files are written");
}

/// The status that the client is told, with these files in place.
fn verdict(files: &[(&str, &[u8])], sent: &[u8]) -> Option<StatusCode> {
    let dir = folder();
    for (place, bytes) in files {
        put(dir.path(), place, bytes);
    }
    let store = Store::read(dir.path()).expect("folders are read");
    let demand = Demand { now: now(), suppressed: Suppressed::default(), role: Role::Client };
    path::validate(&store, sent, demand).err().map(|(_, finding)| finding.wire())
}

const HIDDEN: Option<StatusCode> = Some(StatusCode::BadSecurityChecksFailed);

#[test]
fn a_self_signed_certificate_is_taken_when_it_is_trusted_and_valid() {
    let good = self_signed(&client("good", (-1, 1)));
    let other = self_signed(&client("other", (-1, 1)));
    let pem = pem(&good);
    let mut changed = good.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let ended = self_signed(&client("ended", (-3, -1)));
    let early = self_signed(&client("early", (1, 3)));
    let mut nameless = client("nameless", (-1, 1));
    nameless.subject_alt_names.clear();
    let nameless = self_signed(&nameless);
    let mut server = client("server", (-1, 1));
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let server = self_signed(&server);
    let invalid = Some(StatusCode::BadCertificateTimeInvalid);
    for (file, trusted, sent, told) in [
        ("trusted/a.der", &good, &good, None),
        ("trusted/any name at all", &good, &good, None),
        ("trusted/certs/a.der", &good, &good, None),
        ("trusted/a.pem", &pem, &good, None),
        ("trusted/a.txt", &good, &good, HIDDEN),
        ("issuers/a.der", &good, &good, HIDDEN),
        ("rejected/a.der", &good, &good, HIDDEN),
        ("trusted/a.der", &other, &good, HIDDEN),
        ("trusted/a.der", &changed, &changed, HIDDEN),
        ("trusted/a.der", &good, &b"no certificate".to_vec(), HIDDEN),
        ("trusted/a.der", &good, &Vec::new(), HIDDEN),
        ("trusted/a.der", &ended, &ended, invalid),
        ("trusted/a.der", &early, &early, invalid),
        ("trusted/b.der", &good, &ended, HIDDEN),
        ("trusted/a.der", &nameless, &nameless, Some(StatusCode::BadCertificateUriInvalid)),
        ("trusted/a.der", &server, &server, Some(StatusCode::BadCertificateUseNotAllowed)),
    ] {
        assert_eq!(verdict(&[(file, trusted)], sent), told, "{file}");
    }
}

fn pem(der: &[u8]) -> Vec<u8> {
    let own = rcgen::CertificateParams::new(Vec::new()).expect("no names").self_signed(&KEYS[2]).expect("signed");
    // The text of another one next to it must not matter.
    let block = |der: &[u8]| {
        use std::fmt::Write as _;
        let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
        for line in verbs::base64(der).as_bytes().chunks(64) {
            writeln!(text, "{}", String::from_utf8_lossy(line)).expect("text takes every write");
        }
        text + "-----END CERTIFICATE-----\n"
    };
    (block(own.der()) + &block(der)).into_bytes()
}

#[test]
fn a_certificate_under_an_issuer_needs_trust_and_a_current_list_that_does_not_name_it() {
    let chain = issued(&client("leaf", (-1, 1)), issuer("ca"));
    let (current, revoking, outdated) = (chain.list(false, 1), chain.list(true, 1), chain.list(false, -1));
    let (leaf, ca) = (chain.leaf.as_slice(), chain.ca.as_slice());
    let sent_whole = [leaf, ca].concat();
    let unknown = Some(StatusCode::BadCertificateRevocationUnknown);
    for (case, files, sent, told) in [
        ("nothing known", vec![], leaf, HIDDEN),
        ("the issuer comes along", vec![], &sent_whole, HIDDEN),
        ("trusted issuer with list", vec![("trusted/ca.der", ca), ("trusted/ca.crl", &current)], leaf, None),
        ("list in another folder", vec![("trusted/ca.der", ca), ("issuers/crl/x", &current)], leaf, None),
        ("trusted issuer, no list", vec![("trusted/ca.der", ca)], leaf, unknown),
        ("outdated list", vec![("trusted/ca.der", ca), ("trusted/l", &outdated)], leaf, unknown),
        ("revoked", vec![("trusted/ca.der", ca), ("trusted/l", &revoking)], leaf, HIDDEN),
        (
            "revoked by one of two",
            vec![("trusted/ca.der", ca), ("trusted/a", &current), ("trusted/b", &revoking)],
            leaf,
            HIDDEN,
        ),
        ("issuer only completes", vec![("issuers/ca.der", ca), ("issuers/l", &current)], leaf, HIDDEN),
        ("pinned leaf, nothing else", vec![("trusted/leaf.der", leaf)], leaf, HIDDEN),
        ("pinned leaf, issuer known", vec![("trusted/leaf.der", leaf), ("issuers/ca.der", ca)], leaf, None),
        (
            "pinned leaf, but revoked",
            vec![("trusted/leaf.der", leaf), ("issuers/ca.der", ca), ("issuers/l", &revoking)],
            leaf,
            HIDDEN,
        ),
    ] {
        assert_eq!(verdict(&files, sent), told, "{case}");
    }
}

#[test]
fn an_issuer_that_may_not_issue_or_has_ended_vouches_for_nobody() {
    let mut ended = issuer("ca");
    ended.not_after = at(now() - 1000);
    let mut no_ca = issuer("ca");
    no_ca.is_ca = IsCa::ExplicitNoCa;
    let mut other_use = issuer("ca");
    other_use.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let not_allowed = Some(StatusCode::BadCertificateIssuerUseNotAllowed);
    for (case, ca, told) in [
        ("ended", ended, Some(StatusCode::BadCertificateIssuerTimeInvalid)),
        ("no issuer", no_ca, not_allowed),
        ("other use", other_use, not_allowed),
    ] {
        let chain = issued(&client("leaf", (-1, 1)), ca);
        assert_eq!(verdict(&[("trusted/ca.der", &chain.ca)], &chain.leaf), told, "{case}");
    }
    // Same name, other key.
    let chain = issued(&client("leaf", (-1, 1)), issuer("ca"));
    let impostor = issuer("ca").self_signed(&KEYS[2]).expect("signed").der().to_vec();
    assert_eq!(verdict(&[("trusted/ca.der", &impostor)], &chain.leaf), HIDDEN);
}

fn request() -> OwnRequest {
    OwnRequest {
        application_uri: "urn:plant:opcell".into(),
        application_name: "opcell on plant".into(),
        names: vec!["plant.example".into(), "192.0.2.7".into()],
        auto_names: true,
        key_bits: 2048,
        valid_for: Duration::from_secs(5 * 365 * 24 * 3600),
        renew_before: Duration::from_secs(30 * 24 * 3600),
    }
}

#[test]
fn the_own_certificate_is_made_once_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = OwnCertificate::load_or_make(dir.path(), &request()).expect("it is made");
    assert!(made.is_new);
    let certificate = &made.certificate;
    assert_eq!(certificate.uris, ["urn:plant:opcell"]);
    assert!(certificate.dns_names.contains(&"plant.example".to_owned()));
    assert!(certificate.dns_names.contains(&host_name()));
    assert!(certificate.addresses.contains(&"192.0.2.7".parse().expect("an address")));
    assert!(certificate.is_self_signed() && !certificate.is_ca && certificate.signs_certificates);
    assert!(certificate.not_before <= UaTime::now().unix_seconds() - DAY);
    let mode = |path: &str| fs::metadata(dir.path().join(path)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("own"), mode("own/key.pem")), (0o700, 0o600));

    let kept = OwnCertificate::load_or_make(dir.path(), &request()).expect("it is loaded");
    assert!(!kept.is_new);
    assert_eq!(kept.identity.chain(), made.identity.chain());
}

#[test]
fn a_certificate_near_its_end_is_renewed_with_the_same_key() {
    let dir = tempfile::tempdir().expect("a folder");
    let short = OwnRequest { valid_for: Duration::from_secs(29 * 24 * 3600), ..request() };
    let old = OwnCertificate::load_or_make(dir.path(), &short).expect("it is made");
    let new = OwnCertificate::load_or_make(dir.path(), &request()).expect("it is renewed");
    assert!(new.is_new);
    assert_ne!(new.certificate.thumbprint, old.certificate.thumbprint);
    assert_eq!(new.certificate.spki, old.certificate.spki);
}

#[test]
fn an_unsafe_or_foreign_own_certificate_stops_the_start_and_says_why() {
    let key = |dir: &Path| dir.join("own/key.pem");
    type Damage = Box<dyn Fn(&Path)>;
    let cases: [(Damage, &str); 4] = [
        (
            Box::new(move |dir| fs::set_permissions(key(dir), fs::Permissions::from_mode(0o640)).expect("set")),
            "run chmod 600",
        ),
        (Box::new(move |dir| fs::remove_file(key(dir)).expect("removed")), "put the key back"),
        (Box::new(|dir| fs::write(dir.join("own/certificate.der"), b"x").expect("written")), "is not a certificate"),
        (
            Box::new(|dir| {
                fs::write(dir.join("own/certificate.der"), self_signed(&client("plant:opcell", (-1, 400))))
                    .expect("written");
            }),
            "does not belong",
        ),
    ];
    for (damage, said) in cases {
        let dir = tempfile::tempdir().expect("a folder");
        OwnCertificate::load_or_make(dir.path(), &request()).expect("it is made");
        damage(dir.path());
        let refused = OwnCertificate::load_or_make(dir.path(), &request()).expect_err(said).to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    OwnCertificate::load_or_make(dir.path(), &request()).expect("it is made");
    let other = OwnRequest { application_uri: "urn:other".into(), ..request() };
    let refused = OwnCertificate::load_or_make(dir.path(), &other).expect_err("another uri").to_string();
    assert!(refused.contains("`urn:plant:opcell`") && refused.contains("`urn:other`"), "{refused}");
}

fn rejection(name: &str) -> Rejection {
    let der = self_signed(&client(name, (-1, 1)));
    let certificate = Arc::new(Certificate::parse(&der).expect("a certificate"));
    Rejection {
        certificate,
        address: Some(SocketAddr::from(([192, 0, 2, 1], 5))),
        rule: "it is not trusted".into(),
        to_trust: "opcell pki trust".into(),
    }
}

#[test]
fn a_rejected_certificate_is_trusted_by_name_or_digits_and_revoked_again() {
    let dir = folder();
    for name in ["UaExpert@one", "UaExpert@two"] {
        Rejected::default().note(&dir.path().join("rejected"), &rejection(name), 1000).expect("written");
    }
    let ambiguous = trust(dir.path(), "uaexpert").expect_err("two").to_string();
    assert!(ambiguous.contains("UaExpert@one") && ambiguous.contains("UaExpert@two"), "{ambiguous}");
    assert!(trust(dir.path(), "nobody").expect_err("none").to_string().contains("opcell pki list"));
    assert!(trust(dir.path(), "@one").expect("it moves").contains("is now trusted"));
    let digits = rejection("UaExpert@two").certificate.short();
    trust(dir.path(), &digits.to_uppercase()).expect("it moves");
    let files = |folder: &str| fs::read_dir(dir.path().join(folder)).expect("it is there").count();
    assert_eq!((files("trusted"), files("rejected")), (2, 0));
    revoke(dir.path(), &digits).expect("it moves on");
    assert_eq!((files("trusted"), files("revoked")), (1, 1));
    let listed = list(dir.path()).expect("listed");
    assert!(listed.contains("trusted") && listed.contains("revoked") && listed.contains("UaExpert@one"), "{listed}");
    Rejected::default().note(&dir.path().join("rejected"), &rejection("UaExpert@three"), 1000).expect("written");
    assert!(reject(dir.path(), "@three").expect("it goes").contains("off the list"));
    assert_eq!(files("rejected"), 0, "its text goes with it");
}

#[tokio::test]
async fn a_running_server_sees_a_new_trust_at_once_and_writes_down_whom_it_refused() {
    let dir = folder();
    let pki = Pki::open(dir.path(), Suppressed::default()).expect("folders are read");
    let watching = tokio::spawn(Arc::clone(&pki).watch());
    let der = self_signed(&client("late", (-1, 1)));
    let caller = Caller { address: Some(SocketAddr::from(([192, 0, 2, 1], 5))), policy: Policy::Basic256Sha256 };
    let refused = pki.check_client(&der, &caller).expect_err("unknown");
    let short = Certificate::parse(&der).expect("a certificate").short();
    assert!(refused.rule.contains(&format!("opcell pki trust {short}")), "{}", refused.rule);
    assert!(refused.rule.contains("192.0.2.1:5"), "{}", refused.rule);
    let eventually = async |done: &dyn Fn() -> bool| {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        let wait = async {
            while !done() {
                look.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it happens in time");
    };
    eventually(&|| show(dir.path(), &short).is_ok()).await;
    trust(dir.path(), &short).expect("it was written down");
    eventually(&|| pki.check_client(&der, &caller).is_ok()).await;
    revoke(dir.path(), &short).expect("it is there");
    eventually(&|| pki.check_client(&der, &caller).is_err()).await;
    watching.abort();
}

#[test]
fn a_user_certificate_is_known_by_its_file_in_users() {
    let dir = folder();
    let (anna, ended) = (self_signed(&client("anna", (-1, 1))), self_signed(&client("ended", (-2, -1))));
    put(dir.path(), "users/anna.der", &anna);
    put(dir.path(), "users/ended.der", &ended);
    let pki = Pki::open(dir.path(), Suppressed::default()).expect("folders are read");
    assert_eq!(pki.check_user(&anna).expect("she is known").1, ["anna.der"]);
    for (der, status) in [
        (&ended, StatusCode::BadIdentityTokenRejected),
        (&self_signed(&client("stranger", (-1, 1))), StatusCode::BadIdentityTokenRejected),
        (&b"junk".to_vec(), StatusCode::BadIdentityTokenInvalid),
    ] {
        assert_eq!(pki.check_user(der).expect_err("refused").status, status);
    }
}

#[test]
fn a_person_s_certificate_is_added_once_more_where_an_attempt_came_no_further() {
    let dir = folder();
    let der = self_signed(&client("anna", (-1, 1)));
    put(dir.path(), "anna.der", &der);
    let file = dir.path().join("anna.der");
    for _ in 0..2 {
        assert_eq!(add_user(dir.path(), "anna", &file).expect("it is added"), "anna.der");
    }
    add_user(dir.path(), "otto", &file).expect_err("one certificate is one person");
    let left: Vec<_> = fs::read_dir(dir.path().join("users")).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn cut_and_changed_certificates_never_panic() {
    let chain = issued(&client("leaf", (-1, 1)), issuer("ca"));
    let list = chain.list(true, 1);
    for whole in [&chain.leaf, &list, &pem(&chain.leaf)] {
        for at in 0..whole.len() {
            fuzz_certificate(&whole[..at]);
            let mut changed = whole.clone();
            changed[at] ^= 0xff;
            fuzz_certificate(&changed);
        }
    }
    assert_eq!(application_uri(&chain.leaf).as_deref(), Some("urn:leaf"));
}
