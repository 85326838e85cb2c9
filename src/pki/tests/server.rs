//! Certificates of other servers, which this one connects to.

use rcgen::ExtendedKeyUsagePurpose;

use super::*;
use crate::pki::Sought;

/// The code for the log, for a server that was dialled by this host and states this ApplicationUri.
fn code(dir: &Path, sent: &[u8], host: &str, uri: &str) -> Option<StatusCode> {
    let pki = Pki::open(dir, Suppressed::default()).expect("it opens");
    let policy = Policy::Basic256Sha256;
    let sought = Sought { host, address: None, policy, application_uri: uri };
    pki.check_server(sent, &sought).err().map(|refusal| {
        assert!(refusal.rule.contains("of the server at"), "{}", refusal.rule);
        refusal.code
    })
}

#[test]
fn a_pinned_server_may_have_any_name_and_one_that_an_issuer_vouches_for_needs_its_own() {
    let mut params = client("plc", (-1, 1));
    params.subject_alt_names.push(SanType::DnsName("plc1.plant".try_into().expect("ascii")));
    params.subject_alt_names.push(SanType::IpAddress([10, 0, 0, 5].into()));
    let Issued { leaf, ca, .. } = &issued(&params, issuer("plant"));
    let list = issued(&params, issuer("plant")).list(false, 1);
    let own = self_signed(&params);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let for_clients = self_signed(&params);
    let of_issuer: &[(&str, &[u8])] = &[("trusted/ca.der", ca), ("issuers/ca.crl", &list)];
    let host_name = Some(StatusCode::BadCertificateHostNameInvalid);
    for (files, sent, host, uri, refused) in [
        (&[][..], &own, "plc1.plant", "urn:plc", Some(StatusCode::BadCertificateUntrusted)),
        (&[("trusted/a.der", own.as_slice())][..], &own, "other", "urn:other", None),
        (
            &[("trusted/a.der", for_clients.as_slice())],
            &for_clients,
            "plc1.plant",
            "urn:plc",
            Some(StatusCode::BadCertificateUseNotAllowed),
        ),
        (of_issuer, leaf, "PLC1.plant", "urn:plc", None),
        (of_issuer, leaf, "10.0.0.5", "urn:plc", None),
        (of_issuer, leaf, "10.0.0.6", "urn:plc", host_name),
        (of_issuer, leaf, "plc2.plant", "urn:plc", host_name),
        (of_issuer, leaf, "plc1.plant", "urn:other", Some(StatusCode::BadCertificateUriInvalid)),
    ] {
        let dir = folder();
        files.iter().for_each(|(place, bytes)| put(dir.path(), place, bytes));
        assert_eq!(code(dir.path(), sent, host, uri), refused, "{host} {uri}");
    }
}
