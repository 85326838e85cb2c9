//! Certificates, issuers and revocation lists of every kind, made by rcgen; what that refuses to make, by `openssl`.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use opcell::value::UaTime;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, RsaKeySize, SanType, SerialNumber, SignatureAlgorithm,
};
use time::OffsetDateTime;

pub(crate) const DAY: i64 = 24 * 3600;

/// Keys are slow to make: leaves share the first, issuers have one of four.
static KEYS: LazyLock<[KeyPair; 5]> =
    LazyLock::new(|| [(); 5].map(|()| key(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)));
static SERIAL: AtomicU64 = AtomicU64::new(100);

pub(crate) fn key(algorithm: &'static SignatureAlgorithm, size: RsaKeySize) -> KeyPair {
    KeyPair::generate_rsa_for(algorithm, size).expect("keys are made")
}

pub(crate) fn now() -> i64 {
    static NOW: LazyLock<i64> = LazyLock::new(|| UaTime::now().unix_seconds());
    *NOW
}

fn at(unix: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix).expect("in range")
}

/// A client as it should be: valid, with a URI, no usages stated.
pub(crate) fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names.push(uri(&format!("urn:test:{}", name.replace(' ', "-"))));
    days(&mut params, -10, 10);
    params.serial_number = Some(SerialNumber::from(SERIAL.fetch_add(1, Ordering::Relaxed)));
    params
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ascii"))
}

/// Valid between two numbers of days from now.
pub(crate) fn days(params: &mut CertificateParams, from: i64, to: i64) {
    params.not_before = at(now() + from * DAY);
    params.not_after = at(now() + to * DAY);
}

pub(crate) fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = client(name);
    change(&mut params);
    params
}

pub(crate) fn self_signed(params: &CertificateParams) -> Vec<u8> {
    self_signed_by(params, &KEYS[0])
}

pub(crate) fn self_signed_by(params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
    params.self_signed(key).expect("it is signed").der().to_vec()
}

/// An issuer, with the key of its number.
pub(crate) struct Ca {
    pub params: CertificateParams,
    pub der: Vec<u8>,
    key: usize,
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = client(name);
    params.subject_alt_names.clear();
    days(&mut params, -100, 100);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn root(name: &str, key: usize) -> Ca {
    root_with(ca_params(name), key)
}

pub(crate) fn root_with(params: CertificateParams, key: usize) -> Ca {
    let der = self_signed_by(&params, &KEYS[key]);
    Ca { params, der, key }
}

impl Ca {
    fn issuer(&self) -> Issuer<'_, &'static KeyPair> {
        Issuer::from_params(&self.params, &KEYS[self.key])
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Vec<u8> {
        params.signed_by(&KEYS[0], &self.issuer()).expect("it is signed").der().to_vec()
    }

    pub(crate) fn sub(&self, name: &str, key: usize) -> Ca {
        self.sub_with(ca_params(name), key)
    }

    pub(crate) fn sub_with(&self, params: CertificateParams, key: usize) -> Ca {
        let der = params.signed_by(&KEYS[key], &self.issuer()).expect("it is signed").der().to_vec();
        Ca { params, der, key }
    }

    /// A current list that names these.
    pub(crate) fn list(&self, revoked: &[&CertificateParams]) -> Vec<u8> {
        self.list_until(revoked, 10)
    }

    pub(crate) fn list_until(&self, revoked: &[&CertificateParams], days: i64) -> Vec<u8> {
        let entry = |params: &&CertificateParams| RevokedCertParams {
            serial_number: params.serial_number.clone().expect("a serial number"),
            revocation_time: at(now() - 5 * DAY),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: at(now() - 50 * DAY),
            next_update: at(now() + days * DAY),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        // rcgen refuses to sign for an issuer that may not.
        let mut params = self.params.clone();
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        let issuer = Issuer::from_params(&params, &KEYS[self.key]);
        list.signed_by(&issuer).expect("it is signed").der().to_vec()
    }

    /// A list of this name that another key has signed.
    pub(crate) fn forged_list(&self, key: usize) -> Vec<u8> {
        Ca { params: self.params.clone(), der: Vec::new(), key }.list(&[])
    }

    pub(crate) fn key_pem(&self) -> String {
        KEYS[self.key].serialize_pem()
    }
}

/// A certificate that `openssl req -x509` makes with these arguments, in addition to a URI and a year's validity.
pub(crate) fn by_openssl(dir: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let (certificate, key) = (dir.join(format!("{name}.der")), dir.join(format!("{name}.key")));
    let subject = format!("/CN={name}");
    let alternative = format!("subjectAltName=URI:urn:test:{name}");
    let output = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-outform", "DER", "-days", "10", "-subj", &subject, "-addext", &alternative])
        .args(arguments)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(certificate).expect("what it made")
}

/// A leaf that `openssl` signs for an issuer with a digest that rcgen has not.
pub(crate) fn issued_by_openssl(dir: &Path, name: &str, ca: &Ca, arguments: &[&str]) -> Vec<u8> {
    let ca_key = dir.join(format!("{name}.ca.key"));
    let ca_file = dir.join(format!("{name}.ca.der"));
    std::fs::write(&ca_key, ca.key_pem()).expect("written");
    std::fs::write(&ca_file, &ca.der).expect("written");
    let pem = dir.join(format!("{name}.ca.pem"));
    let made =
        Command::new("openssl").args(["x509", "-inform", "DER", "-in"]).arg(&ca_file).arg("-out").arg(&pem).output();
    assert!(made.expect("openssl runs").status.success());
    by_openssl(dir, name, &[&["-CA", &pem.to_string_lossy(), "-CAkey", &ca_key.to_string_lossy()], arguments].concat())
}

/// One element of DER.
pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = match body.len() {
        short @ 0..128 => vec![u8::try_from(short).expect("short")],
        long => [&[0x82], &u16::try_from(long).expect("not that long").to_be_bytes()[..]].concat(),
    };
    [&[tag][..], &length, &body].concat()
}

/// An extension of X.509.
pub(crate) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der(1, &[&[0xff]]) } else { Vec::new() };
    der(0x30, &[&der(6, &[oid]), &critical, &der(4, &[value])])
}

/// A revocation list that rcgen doesn't make.
#[derive(Default)]
pub(crate) struct SpecialList<'a> {
    pub revoked: &'a [&'a CertificateParams],
    pub extensions: Vec<Vec<u8>>,
    pub entry_extensions: Vec<Vec<u8>>,
    /// From now.
    pub begins_in_days: i64,
}

impl Ca {
    pub(crate) fn special_list(&self, list: &SpecialList<'_>) -> Vec<u8> {
        const RSA_SHA256: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b, 5, 0];
        let time = |days: i64| {
            let at = at(now() + days * DAY);
            let (year, month) = (at.year() % 100, u8::from(at.month()));
            let text =
                format!("{year:02}{month:02}{:02}{:02}{:02}{:02}Z", at.day(), at.hour(), at.minute(), at.second());
            der(0x17, &[text.as_bytes()])
        };
        let entry_extensions = der(0x30, &[&list.entry_extensions.concat()]);
        let entry = |params: &&CertificateParams| {
            let serial = params.serial_number.as_ref().expect("a serial number").to_bytes();
            let first = serial.iter().position(|byte| *byte != 0).unwrap_or(0);
            let sign: &[u8] = if serial[first] >= 0x80 { &[0] } else { &[] };
            let more = if list.entry_extensions.is_empty() { &[] } else { &entry_extensions[..] };
            der(0x30, &[&der(2, &[sign, &serial[first..]]), &time(-5), more])
        };
        let entries: Vec<u8> = list.revoked.iter().flat_map(entry).collect();
        let entries = if entries.is_empty() { entries } else { der(0x30, &[&entries]) };
        let extensions = match list.extensions.is_empty() {
            true => Vec::new(),
            false => der(0xa0, &[&der(0x30, &[&list.extensions.concat()])]),
        };
        let issuer = x509_parser::parse_x509_certificate(&self.der).expect("a certificate").1;
        let begin = if list.begins_in_days > 0 { list.begins_in_days } else { -50 };
        let parts: [&[u8]; 7] =
            [&der(2, &[&[1]]), &RSA_SHA256, issuer.subject().as_raw(), &time(begin), &time(10), &entries, &extensions];
        let signed = der(0x30, &parts);
        let signature = rcgen::SigningKey::sign(&KEYS[self.key], &signed).expect("it is signed");
        der(0x30, &[&signed, &RSA_SHA256, &der(3, &[&[0], &signature])])
    }
}
