//! The cases: what lies in the folders, what is sent, and what must come of it.

mod issued;

use std::path::Path;

use opcua::StatusCode;
use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, RsaKeySize};

use issued::{chains, issuers, lists, trust};

use super::made::{
    Ca, by_openssl, ca_params, client, days, issued_by_openssl, key, now, root, root_with, self_signed, self_signed_by,
    uri, with,
};

/// Part 4 §6.1.3 (1.05): the step that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    Structure,
    Chain,
    Signature,
    Policy,
    Trust,
    Validity,
    Uri,
    Usage,
    FindList,
    Revocation,
}

pub(super) struct Case {
    pub name: &'static str,
    pub tried: Tried,
    /// Folder and bytes.
    pub files: Vec<(&'static str, Vec<u8>)>,
    pub sent: Vec<u8>,
    /// For log and audit, and for the client; `None`: it may come in.
    pub refused: Option<(StatusCode, StatusCode)>,
}

const HIDDEN: StatusCode = StatusCode::BadSecurityChecksFailed;

fn case(
    name: &'static str,
    tried: Tried,
    files: &[(&'static str, &[u8])],
    sent: &[u8],
    refused: Option<(StatusCode, StatusCode)>,
) -> Case {
    let files = files.iter().map(|(folder, bytes)| (*folder, bytes.to_vec())).collect();
    Case { name, tried, files, sent: sent.to_vec(), refused }
}

/// A certificate that is pinned in `trusted`.
fn pinned(name: &'static str, tried: Tried, der: &[u8], refused: Option<(StatusCode, StatusCode)>) -> Case {
    case(name, tried, &[("trusted", der)], der, refused)
}

pub(super) fn open(code: StatusCode) -> Option<(StatusCode, StatusCode)> {
    Some((code, code))
}

pub(super) fn hidden(code: StatusCode) -> Option<(StatusCode, StatusCode)> {
    Some((code, HIDDEN))
}

pub(super) fn all(dir: &Path) -> Vec<Case> {
    let restricted = super::restricted::lists().into_iter().map(|(case, _)| case);
    let restricted = restricted.chain(super::restricted::constraints()).collect();
    [alone(), weak(dir), broken(), times(), uris(dir), usages(), chains(), trust(), lists(), issuers(dir), restricted]
        .into_iter()
        .flatten()
        .collect()
}

/// Self-signed ones, as most clients have them.
fn alone() -> Vec<Case> {
    use Tried::{Structure, Trust};
    let good = self_signed(&client("self-signed"));
    let sized = |name, size| self_signed_by(&client(name), &key(&rcgen::PKCS_RSA_SHA256, size));
    let stranger = self_signed(&client("stranger"));
    let [issuer, rejected, user] = ["in issuers", "in rejected", "in users"].map(|name| self_signed(&client(name)));
    let extended = |critical: bool| {
        let name = if critical { "critical extension" } else { "unknown extension" };
        self_signed(&with(name, |params| {
            let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 7], vec![5, 0]);
            extension.set_criticality(critical);
            params.custom_extensions.push(extension);
        }))
    };
    let (plain, critical) = (extended(false), extended(true));
    vec![
        pinned("pinned, 2048 bits", Trust, &good, None),
        pinned("pinned, 3072 bits", Trust, &sized("3072 bits", RsaKeySize::_3072), None),
        pinned("pinned, 4096 bits", Trust, &sized("4096 bits", RsaKeySize::_4096), None),
        case("not trusted", Trust, &[], &stranger, hidden(StatusCode::BadCertificateUntrusted)),
        case("only in issuers/", Trust, &[("issuers", &issuer)], &issuer, hidden(StatusCode::BadCertificateUntrusted)),
        case(
            "only in rejected/",
            Trust,
            &[("rejected", &rejected)],
            &rejected,
            hidden(StatusCode::BadCertificateUntrusted),
        ),
        case("only in users/", Trust, &[("users", &user)], &user, hidden(StatusCode::BadCertificateUntrusted)),
        pinned("an extension that is not known, not critical", Structure, &plain, None),
        pinned(
            "a critical extension that is not known",
            Structure,
            &critical,
            hidden(StatusCode::BadCertificateInvalid),
        ),
    ]
}

/// Keys and digests that are too weak, or of another kind.
fn weak(dir: &Path) -> Vec<Case> {
    use Tried::Policy;
    let made = |name, arguments: &[&str]| by_openssl(dir, name, arguments);
    let bad = hidden(StatusCode::BadCertificatePolicyCheckFailed);
    let digest = |name, digest| made(name, &["-newkey", "rsa:2048", digest]);
    let size = |name, size| made(name, &["-newkey", size, "-sha256"]);
    let curve = made("p256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha256"]);
    let pss = made(
        "pss",
        &["-newkey", "rsa:2048", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"],
    );
    vec![
        pinned("signed with SHA-384", Policy, &digest("sha384", "-sha384"), None),
        pinned("signed with SHA-512", Policy, &digest("sha512", "-sha512"), None),
        pinned("signed with RSA-PSS", Policy, &pss, None),
        pinned("signed with SHA-1", Policy, &digest("sha1", "-sha1"), bad),
        pinned("signed with MD5", Policy, &digest("md5", "-md5"), bad),
        pinned("a key of 1024 bits", Policy, &size("rsa1024", "rsa:1024"), bad),
        pinned("a key of 1536 bits", Policy, &size("rsa1536", "rsa:1536"), bad),
        pinned("a key of 2040 bits", Policy, &size("rsa2040", "rsa:2040"), bad),
        pinned("an elliptic key under an RSA policy", Policy, &curve, bad),
    ]
}

/// Bytes that are no certificate, or no longer one.
fn broken() -> Vec<Case> {
    use Tried::{Signature, Structure};
    let bad = hidden(StatusCode::BadCertificateInvalid);
    let changed = |name, at: fn(usize) -> usize| {
        let mut der = self_signed(&client(name));
        let place = at(der.len());
        der[place] ^= 1;
        der
    };
    let signature = changed("changed signature", |length| length - 1);
    let content = {
        let mut der = self_signed(&client("changed content"));
        let place = der.windows(24).position(|part| part == b"urn:test:changed-content").expect("its URI");
        der[place] = b'U';
        der
    };
    let good = self_signed(&client("mangled"));
    let trailing = [&good[..], b"more"].concat();
    let pem = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let eleven: Vec<u8> = good.repeat(11);
    vec![
        pinned("a signature with one bit changed", Signature, &signature, bad),
        pinned("a URI with one letter changed", Signature, &content, bad),
        case("nothing at all", Structure, &[], b"", bad),
        case("words", Structure, &[], b"this is no certificate", bad),
        case("zeros", Structure, &[], &[0; 1000], bad),
        case("PEM instead of DER", Structure, &[], pem, bad),
        case("cut in the middle", Structure, &[("trusted", &good)], &good[..good.len() / 2], bad),
        case("followed by more bytes", Structure, &[("trusted", &good)], &trailing, bad),
        case("a sequence that claims 16 MB", Structure, &[], &[0x30, 0x83, 0xff, 0xff, 0xff, 1, 2, 3], bad),
        case("a sequence of endless length", Structure, &[], &[0x30, 0x80, 1, 2, 3, 0, 0], bad),
        case("an empty sequence", Structure, &[], &[0x30, 0], bad),
        case("eleven certificates", Structure, &[("trusted", &good)], &eleven, bad),
    ]
}

fn times() -> Vec<Case> {
    use Tried::Validity;
    let spanned = |name, from, to| self_signed(&with(name, |params| days(params, from, to)));
    let bad = open(StatusCode::BadCertificateTimeInvalid);
    let second = |name, offset: i64| {
        self_signed(&with(name, |params| {
            params.not_after = time::OffsetDateTime::from_unix_timestamp(now() + offset).expect("a time");
        }))
    };
    let stranger = spanned("expired stranger", -20, -10);
    vec![
        pinned("expired ten days ago", Validity, &spanned("expired", -20, -10), bad),
        pinned("expired a minute ago", Validity, &second("just expired", -60), bad),
        pinned("ends in an hour", Validity, &second("ends soon", 3600), None),
        pinned("valid from tomorrow on", Validity, &spanned("early", 1, 10), bad),
        pinned("valid for 100 years", Validity, &spanned("long", -10, 36_500), None),
        case("expired and not trusted", Validity, &[], &stranger, hidden(StatusCode::BadCertificateUntrusted)),
    ]
}

fn uris(dir: &Path) -> Vec<Case> {
    use Tried::Uri;
    let bad = open(StatusCode::BadCertificateUriInvalid);
    let none = self_signed(&with("no names", |params| params.subject_alt_names.clear()));
    let in_name = self_signed(&with("urn:test:in-the-common-name", |params| params.subject_alt_names.clear()));
    let host = self_signed(&with("host only", |params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("host".try_into().expect("ascii"))];
    }));
    let several = self_signed(&with("several", |params| {
        params.subject_alt_names = ["urn:test:first", "urn:test:second"].map(uri).into();
    }));
    let behind = self_signed(&with("behind", |params| {
        let host = rcgen::SanType::DnsName("host".try_into().expect("ascii"));
        params.subject_alt_names.insert(0, host);
    }));
    // Version 1 has no extensions, so no names: openssl makes it from a request.
    let first = version_one(dir);
    vec![
        pinned("no alternative names", Uri, &none, bad),
        pinned("the URI in the common name only", Uri, &in_name, bad),
        pinned("a host name and no URI", Uri, &host, bad),
        pinned("several URIs: the first is meant", Uri, &several, None),
        pinned("a URI after a host name", Uri, &behind, None),
        pinned("X.509 version 1", Uri, &first, bad),
    ]
}

fn version_one(dir: &Path) -> Vec<u8> {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&[
        "req",
        "-new",
        "-nodes",
        "-newkey",
        "rsa:2048",
        "-subj",
        "/CN=version 1",
        "-keyout",
        "v1.key",
        "-out",
        "v1.csr",
    ]);
    run(&[
        "x509", "-req", "-in", "v1.csr", "-signkey", "v1.key", "-sha256", "-days", "5", "-outform", "DER", "-out",
        "v1.der",
    ]);
    std::fs::read(dir.join("v1.der")).expect("made")
}

fn usages() -> Vec<Case> {
    use KeyUsagePurpose::{ContentCommitment, DataEncipherment, DigitalSignature, KeyEncipherment};
    use Tried::Usage;
    let bad = open(StatusCode::BadCertificateUseNotAllowed);
    let used =
        |name, usages: &[KeyUsagePurpose]| self_signed(&with(name, |params| params.key_usages = usages.to_vec()));
    let extended = |name, usages: &[ExtendedKeyUsagePurpose]| {
        self_signed(&with(name, |params| params.extended_key_usages = usages.to_vec()))
    };
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    vec![
        pinned(
            "all the usages of Part 6 §6.2.2",
            Usage,
            &used("usual", &[DigitalSignature, ContentCommitment, KeyEncipherment, DataEncipherment]),
            None,
        ),
        pinned("digitalSignature and keyEncipherment", Usage, &used("key", &[DigitalSignature, KeyEncipherment]), None),
        pinned(
            "digitalSignature and dataEncipherment",
            Usage,
            &used("data", &[DigitalSignature, DataEncipherment]),
            None,
        ),
        pinned("without digitalSignature", Usage, &used("no signature", &[KeyEncipherment, DataEncipherment]), bad),
        pinned("without any encipherment", Usage, &used("no encipherment", &[DigitalSignature]), bad),
        pinned("for issuing only", Usage, &used("issuing", &[KeyUsagePurpose::KeyCertSign]), bad),
        pinned("extended usage clientAuth", Usage, &extended("client", &[ClientAuth]), None),
        pinned("extended usage both", Usage, &extended("both", &[ServerAuth, ClientAuth]), None),
        pinned("extended usage any", Usage, &extended("any", &[Any]), None),
        pinned("extended usage serverAuth alone", Usage, &extended("server", &[ServerAuth]), bad),
        pinned("extended usage codeSigning alone", Usage, &extended("code", &[CodeSigning]), bad),
    ]
}
