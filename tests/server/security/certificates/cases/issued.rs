//! Certificates with issuers: chains, trust in an issuer, revocation lists, and what makes an issuer.

use super::*;

/// Chains of two to four, whole and not.
pub(super) fn chains() -> Vec<Case> {
    use Tried::{Chain, Signature};
    let mut cases = Vec::new();
    let two = root("two root", 1);
    let leaf = two.issue(&client("leaf of two"));
    cases.push(case("chain of 2", Chain, &[("trusted", &two.der), ("trusted", &two.list(&[]))], &leaf, None));

    let three = root("three root", 1);
    let middle = three.sub("three middle", 2);
    let leaf = middle.issue(&client("leaf of three"));
    let lists = [three.list(&[]), middle.list(&[])];
    let whole: [(&str, &[u8]); 4] =
        [("trusted", &three.der), ("issuers", &middle.der), ("issuers", &lists[0]), ("issuers", &lists[1])];
    cases.push(case("chain of 3", Chain, &whole, &leaf, None));

    let four = root("four root", 1);
    let upper = four.sub("four upper", 2);
    let lower = upper.sub("four lower", 3);
    let leaf = lower.issue(&client("leaf of four"));
    let lists = [four.list(&[]), upper.list(&[]), lower.list(&[])];
    let known: Vec<(&str, &[u8])> =
        [("trusted", &four.der[..])].into_iter().chain(lists.iter().map(|list| ("issuers", &list[..]))).collect();
    let sent = [&leaf[..], &lower.der, &upper.der].concat();
    cases.push(case("chain of 4, the issuers come along", Chain, &known, &sent, None));
    let sent = [&leaf[..], &upper.der, &four.der, &lower.der].concat();
    cases.push(case("the same in another order", Chain, &known, &sent, None));

    let incomplete = hidden(StatusCode::BadCertificateChainIncomplete);
    let lost = root("lost root", 1);
    let orphan = lost.sub("orphan middle", 2);
    let leaf = orphan.issue(&client("leaf of an orphan"));
    let list = orphan.list(&[]);
    cases.push(case("the root is missing", Chain, &[("trusted", &orphan.der), ("issuers", &list)], &leaf, incomplete));
    let absent = root("absent root", 1);
    let missing = absent.sub("missing middle", 2);
    let leaf = missing.issue(&client("leaf of the missing"));
    cases.push(case("an issuer in the middle is missing", Chain, &[("trusted", &absent.der)], &leaf, incomplete));
    let foreign = root("foreign root", 1).issue(&client("pinned leaf"));
    cases.push(case("pinned, but the issuer is missing", Chain, &[("trusted", &foreign)], &foreign, incomplete));

    // Two that vouch for each other.
    let (a, b) = (ca_params("circle a"), ca_params("circle b"));
    let (root_a, root_b) = (root_with(a.clone(), 1), root_with(b.clone(), 2));
    let (a_by_b, b_by_a) = (root_b.sub_with(a, 1), root_a.sub_with(b, 2));
    let leaf = a_by_b.issue(&client("leaf of a circle"));
    let circle: [(&str, &[u8]); 2] = [("trusted", &a_by_b.der), ("trusted", &b_by_a.der)];
    cases.push(case("issuers in a circle", Chain, &circle, &leaf, incomplete));

    let mut long = vec![root("long root", 1)];
    for n in 0..7 {
        let next = long[n].sub(&format!("long {n}"), 1 + (n + 1) % 4);
        long.push(next);
    }
    let leaf = long[7].issue(&client("leaf of many"));
    let sent: Vec<u8> =
        [leaf].into_iter().chain(long.iter().skip(1).rev().map(|ca| ca.der.clone())).flatten().collect();
    cases.push(case("eight issuers", Chain, &[("trusted", &long[0].der)], &sent, incomplete));

    let honest = root("impersonated root", 1);
    let impostor = root("impersonated root", 2);
    let leaf = impostor.issue(&client("leaf of an impostor"));
    let known: [(&str, &[u8]); 2] = [("trusted", &honest.der), ("trusted", &honest.list(&[]))];
    cases.push(case(
        "an issuer's name with another key",
        Signature,
        &known,
        &leaf,
        hidden(StatusCode::BadCertificateInvalid),
    ));
    cases.extend(crossed());
    cases
}

/// One issuer with certificates of two roots.
fn crossed() -> Vec<Case> {
    use Tried::{Chain, Revocation, Validity};
    let cross = |old: &str, new: &str, middle: &str, old_params: Option<rcgen::CertificateParams>| {
        let (old, new) = (root(old, 1), root(new, 2));
        let params = ca_params(middle);
        let by_old = old.sub_with(old_params.unwrap_or_else(|| params.clone()), 3);
        let by_new = new.sub_with(params.clone(), 3);
        (old, new, by_old, by_new)
    };
    let files = |parts: &[(&'static str, &Vec<u8>)]| -> Vec<(&'static str, Vec<u8>)> {
        parts.iter().map(|(folder, bytes)| (*folder, (*bytes).clone())).collect()
    };
    let made = |name, tried, files: Vec<(&'static str, Vec<u8>)>, sent: Vec<u8>| Case {
        name,
        tried,
        files,
        sent,
        refused: None,
    };

    let (_, new, by_old, by_new) = cross("gone root", "found root", "crossed a", None);
    let leaf = by_new.issue(&client("leaf of crossed a"));
    let known = files(&[
        ("trusted", &new.der),
        ("issuers", &by_old.der),
        ("issuers", &by_new.der),
        ("issuers", &new.list(&[])),
        ("issuers", &by_new.list(&[])),
    ]);
    let one_root = made("cross-signed, one of two roots is known", Chain, known, leaf);

    let (old, new, by_old, by_new) = cross("old root", "new root", "crossed b", None);
    let leaf = by_new.issue(&client("leaf of crossed b"));
    let known = files(&[
        ("trusted", &old.der),
        ("trusted", &new.der),
        ("issuers", &by_old.der),
        ("issuers", &by_new.der),
        ("issuers", &old.list(&[&by_old.params])),
        ("issuers", &new.list(&[])),
        ("issuers", &by_new.list(&[])),
    ]);
    let revoked = made("cross-signed, revoked by one root", Revocation, known, leaf);

    let mut ended = ca_params("crossed c");
    days(&mut ended, -20, -10);
    let (old, new, by_old, by_new) = cross("ended root", "live root", "crossed c", Some(ended));
    let leaf = by_new.issue(&client("leaf of crossed c"));
    let known = files(&[
        ("trusted", &old.der),
        ("trusted", &new.der),
        ("issuers", &by_old.der),
        ("issuers", &by_new.der),
        ("issuers", &old.list(&[])),
        ("issuers", &new.list(&[])),
        ("issuers", &by_new.list(&[])),
    ]);
    let expired = made("cross-signed, one issuer's certificate has expired", Validity, known, leaf);
    vec![one_root, revoked, expired]
}

/// The folders of a root, an issuer below it and a leaf.
type Place = fn(&Ca, &Ca, &[u8]) -> Vec<(&'static str, Vec<u8>)>;

/// Trust in each member of a chain.
pub(super) fn trust() -> Vec<Case> {
    use Tried::Trust;
    let untrusted = hidden(StatusCode::BadCertificateUntrusted);
    let known = |name: &'static str, refused, place: Place, along: bool| {
        let top = root(&format!("{name} root"), 1);
        let middle = top.sub(&format!("{name} middle"), 2);
        let leaf = middle.issue(&client(&format!("{name} leaf")));
        let mut files = place(&top, &middle, &leaf);
        files.extend([("issuers", top.list(&[])), ("issuers", middle.list(&[]))]);
        let sent = if along { [&leaf[..], &middle.der, &top.der].concat() } else { leaf };
        Case { name, tried: Trust, files, sent, refused }
    };
    vec![
        known(
            "trusted in the middle",
            None,
            |top, middle, _| vec![("issuers", top.der.clone()), ("trusted", middle.der.clone())],
            false,
        ),
        known(
            "all known, nothing trusted",
            untrusted,
            |top, middle, _| vec![("issuers", top.der.clone()), ("issuers", middle.der.clone())],
            false,
        ),
        known("the client brings its own root", untrusted, |_, _, _| Vec::new(), true),
        known(
            "only the leaf is pinned",
            None,
            |top, middle, leaf| {
                vec![("issuers", top.der.clone()), ("issuers", middle.der.clone()), ("trusted", leaf.to_vec())]
            },
            false,
        ),
    ]
}

/// Revocation lists: found, missing, ended, forged; revoked at each level.
pub(super) fn lists() -> Vec<Case> {
    use Tried::{FindList, Revocation};
    struct Family {
        top: Ca,
        middle: Ca,
        leaf_params: rcgen::CertificateParams,
        leaf: Vec<u8>,
    }
    let family = |name: &str| {
        let top = root(&format!("{name} root"), 1);
        let middle = top.sub(&format!("{name} middle"), 2);
        let leaf_params = client(&format!("{name} leaf"));
        let leaf = middle.issue(&leaf_params);
        Family { top, middle, leaf_params, leaf }
    };
    let made = |name: &'static str, tried, refused, lists: fn(&Family) -> Vec<Vec<u8>>| {
        let family = family(name);
        let mut files = vec![("trusted", family.top.der.clone()), ("issuers", family.middle.der.clone())];
        files.extend(lists(&family).into_iter().map(|list| ("issuers", list)));
        Case { name, tried, files, sent: family.leaf, refused }
    };
    let unknown = open(StatusCode::BadCertificateRevocationUnknown);
    let issuer_unknown = open(StatusCode::BadCertificateIssuerRevocationUnknown);
    let mut cases = vec![
        made("the certificate is revoked", Revocation, hidden(StatusCode::BadCertificateRevoked), |f| {
            vec![f.top.list(&[]), f.middle.list(&[&f.leaf_params])]
        }),
        made("its issuer is revoked", Revocation, hidden(StatusCode::BadCertificateIssuerRevoked), |f| {
            vec![f.top.list(&[&f.middle.params]), f.middle.list(&[])]
        }),
        made(
            "an older list doesn't name it, a newer does",
            Revocation,
            hidden(StatusCode::BadCertificateRevoked),
            |f| vec![f.top.list(&[]), f.middle.list(&[]), f.middle.list_until(&[&f.leaf_params], 20)],
        ),
        made("revoked on a list that has ended", Revocation, hidden(StatusCode::BadCertificateRevoked), |f| {
            vec![f.top.list(&[]), f.middle.list_until(&[&f.leaf_params], -1)]
        }),
        made("another one is revoked", Revocation, None, |f| vec![f.top.list(&[]), f.middle.list(&[&f.top.params])]),
        made("no list of the issuer", FindList, unknown, |f| vec![f.top.list(&[])]),
        made("no list of the root", FindList, issuer_unknown, |f| vec![f.middle.list(&[])]),
        made("no list at all", FindList, unknown, |_| Vec::new()),
        made("the issuer's list has ended", FindList, unknown, |f| vec![f.top.list(&[]), f.middle.list_until(&[], -1)]),
        made("the root's list has ended", FindList, issuer_unknown, |f| {
            vec![f.top.list_until(&[], -1), f.middle.list(&[])]
        }),
        made("one list has ended, another is current", FindList, None, |f| {
            vec![f.top.list(&[]), f.middle.list_until(&[], -1), f.middle.list(&[])]
        }),
        made("a list of another issuer", FindList, unknown, |f| vec![f.top.list(&[]), f.top.list(&[])]),
        made("a list of that name, signed by another", FindList, unknown, |f| {
            vec![f.top.list(&[]), f.middle.forged_list(4)]
        }),
        made("a list with one bit changed", FindList, unknown, |f| {
            let mut list = f.middle.list(&[]);
            let last = list.len() - 1;
            list[last] ^= 1;
            vec![f.top.list(&[]), list]
        }),
    ];
    let pinned = family("pinned and revoked");
    cases.push(Case {
        name: "pinned, but revoked",
        tried: Revocation,
        files: vec![
            ("trusted", pinned.leaf.clone()),
            ("issuers", pinned.top.der.clone()),
            ("issuers", pinned.middle.der.clone()),
            ("issuers", pinned.top.list(&[])),
            ("issuers", pinned.middle.list(&[&pinned.leaf_params])),
        ],
        sent: pinned.leaf,
        refused: hidden(StatusCode::BadCertificateRevoked),
    });
    let bare = family("pinned without lists");
    cases.push(Case {
        name: "pinned, no list of its issuer",
        tried: FindList,
        files: vec![
            ("trusted", bare.leaf.clone()),
            ("issuers", bare.top.der.clone()),
            ("issuers", bare.middle.der.clone()),
            ("issuers", bare.top.list(&[])),
        ],
        sent: bare.leaf,
        refused: None,
    });
    cases
}

/// Issuers that may not issue.
pub(super) fn issuers(dir: &Path) -> Vec<Case> {
    use Tried::{Policy, Structure, Uri, Usage, Validity};
    let made = |name: &'static str, tried, refused, change: fn(&mut rcgen::CertificateParams)| {
        let mut params = ca_params(&format!("{name} root"));
        change(&mut params);
        let top = root_with(params, 1);
        let leaf = top.issue(&client(&format!("{name} leaf")));
        Case { name, tried, files: vec![("trusted", top.der.clone()), ("trusted", top.list(&[]))], sent: leaf, refused }
    };
    let not_allowed = open(StatusCode::BadCertificateIssuerUseNotAllowed);
    let ended = open(StatusCode::BadCertificateIssuerTimeInvalid);
    let mut cases = vec![
        made("the issuer has expired", Validity, ended, |params| days(params, -20, -10)),
        made("the issuer is not yet valid", Validity, ended, |params| days(params, 1, 10)),
        made("the issuer is no authority", Usage, not_allowed, |params| params.is_ca = IsCa::ExplicitNoCa),
        made("the issuer lacks keyCertSign", Usage, not_allowed, |params| {
            params.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        }),
        made("the issuer may have none below it, and has none", Usage, None, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }),
        made(
            "the issuer lacks cRLSign, so its list is none",
            Tried::FindList,
            open(StatusCode::BadCertificateRevocationUnknown),
            |params| {
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            },
        ),
        made(
            "the issuer has a critical extension that is not known",
            Structure,
            hidden(StatusCode::BadCertificateInvalid),
            |params| {
                let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 8], vec![5, 0]);
                extension.set_criticality(true);
                params.custom_extensions.push(extension);
            },
        ),
    ];
    let top = root_with(with_path("short root", 0), 1);
    let middle = top.sub("too many below", 2);
    let leaf = middle.issue(&client("leaf too far below"));
    let files: [(&str, &[u8]); 4] =
        [("trusted", &top.der), ("issuers", &middle.der), ("issuers", &top.list(&[])), ("issuers", &middle.list(&[]))];
    cases.push(case("the root may have no issuer below it, and has one", Usage, &files, &leaf, not_allowed));

    let top = root("digest root", 1);
    let leaf = issued_by_openssl(dir, "issued-with-sha1", &top, &["-newkey", "rsa:2048", "-sha1"]);
    let files: [(&str, &[u8]); 2] = [("trusted", &top.der), ("trusted", &top.list(&[]))];
    cases.push(case("issued with SHA-1", Policy, &files, &leaf, hidden(StatusCode::BadCertificatePolicyCheckFailed)));

    for (name, change, tried, refused) in [
        (
            "issued, but expired",
            (|params| days(params, -20, -10)) as fn(&mut rcgen::CertificateParams),
            Validity,
            open(StatusCode::BadCertificateTimeInvalid),
        ),
        (
            "issued without a URI",
            |params| params.subject_alt_names.clear(),
            Uri,
            open(StatusCode::BadCertificateUriInvalid),
        ),
        (
            "issued for servers",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage,
            open(StatusCode::BadCertificateUseNotAllowed),
        ),
    ] {
        let top = root(&format!("{name} root"), 1);
        let leaf = top.issue(&with(name, change));
        let files: [(&str, &[u8]); 2] = [("trusted", &top.der), ("trusted", &top.list(&[]))];
        cases.push(case(name, tried, &files, &leaf, refused));
    }
    // A list that only just has not ended.
    let top = root("last day root", 1);
    let leaf = top.issue(&client("leaf of the last day"));
    let files: [(&str, &[u8]); 2] = [("trusted", &top.der), ("trusted", &top.list_until(&[], 1))];
    cases.push(case("a list on its last day", Tried::FindList, &files, &leaf, None));
    cases
}

fn with_path(name: &str, below: u8) -> rcgen::CertificateParams {
    let mut params = ca_params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params
}
