//! Lists and issuers that say what they don't cover: parts of a revocation list, and name constraints.

use opcua::StatusCode;
use rcgen::{CertificateParams, CustomExtension, DnType, SanType};

use super::cases::{Case, Tried, hidden, open};
use super::made::{Ca, SpecialList, ca_params, client, der, extension, root, root_with, uri, with};

const NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON: &[u8] = &[0x55, 0x1d, 21];
const DELTA: &[u8] = &[0x55, 0x1d, 27];
const SCOPE: &[u8] = &[0x55, 0x1d, 28];
const OF_ANOTHER: &[u8] = &[0x55, 0x1d, 29];
const CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const POINTS: &[u64] = &[2, 5, 29, 31];
const UNKNOWN: &[u8] = &[0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 9];
const POINT: &str = "http://plant.example/one.crl";

/// A list with these extensions; it revokes nobody.
fn with_extensions(extensions: Vec<Vec<u8>>) -> SpecialList<'static> {
    SpecialList { extensions, ..SpecialList::default() }
}

/// A list whose issuing distribution point is this, critical as RFC 5280 wants it.
fn scoped(fields: &[&[u8]]) -> SpecialList<'static> {
    with_extensions(vec![extension(SCOPE, true, &der(0x30, fields))])
}

fn delta() -> Vec<u8> {
    extension(DELTA, true, &der(2, &[&[1]]))
}

/// Name of a distribution point, as a certificate and a list state it.
fn point(url: &str) -> Vec<u8> {
    der(0xa0, &[&der(0xa0, &[&der(0x86, &[url.as_bytes()])])])
}

/// One authority and a client of it; the lists that are there, and what the refusal says of them.
fn listed(
    name: &'static str,
    refused: Option<(StatusCode, StatusCode)>,
    why: &'static str,
    lists: impl Fn(&Ca, &CertificateParams) -> Vec<Vec<u8>>,
) -> (Case, &'static str) {
    let top = root(&format!("{name} root"), 1);
    let mut params = client(&format!("{name} leaf"));
    let points = der(0x30, &[&der(0x30, &[&point(POINT)])]);
    params.custom_extensions.push(CustomExtension::from_oid_content(POINTS, points));
    let sent = top.issue(&params);
    let mut files = vec![("trusted", top.der.clone())];
    files.extend(lists(&top, &params).into_iter().map(|list| ("trusted", list)));
    let is_revoked = refused.is_some_and(|(code, _)| code == StatusCode::BadCertificateRevoked);
    let tried = if is_revoked { Tried::Revocation } else { Tried::FindList };
    (Case { name, tried, files, sent, refused }, why)
}

/// Revocation lists that don't show that a certificate is not revoked, with the reason; and those that do.
pub(super) fn lists() -> Vec<(Case, &'static str)> {
    let unknown = open(StatusCode::BadCertificateRevocationUnknown);
    let revoked = hidden(StatusCode::BadCertificateRevoked);
    const YES: &[u8] = &[0xff];
    let one =
        |list: fn() -> SpecialList<'static>| move |top: &Ca, _: &CertificateParams| vec![top.special_list(&list())];
    let mut cases = vec![
        listed("only a delta list", unknown, "is a delta list", one(|| with_extensions(vec![delta()]))),
        listed("a delta list next to its base", None, "", |top, _| {
            vec![top.list(&[]), top.special_list(&with_extensions(vec![delta()]))]
        }),
        listed("revoked by the delta alone", revoked, "", |top, leaf| {
            let list = SpecialList { revoked: &[leaf], ..with_extensions(vec![delta()]) };
            vec![top.list(&[]), top.special_list(&list)]
        }),
        listed("a delta list that takes it off hold", None, "", |top, leaf| {
            let off_hold = vec![extension(REASON, false, &der(10, &[&[8]]))];
            let list = SpecialList { revoked: &[leaf], entry_extensions: off_hold, ..with_extensions(vec![delta()]) };
            vec![top.list(&[]), top.special_list(&list)]
        }),
        listed(
            "a list of issuers only",
            unknown,
            "is for certificates of issuers only",
            one(|| scoped(&[&der(0x82, &[YES])])),
        ),
        listed("a list of clients only", None, "", one(|| scoped(&[&der(0x81, &[YES])]))),
        listed(
            "a list of attribute certificates",
            unknown,
            "is for attribute certificates only",
            one(|| scoped(&[&der(0x85, &[YES])])),
        ),
        listed("a list of some reasons", unknown, "some of the reasons", one(|| scoped(&[&der(0x83, &[&[6, 0x40]])]))),
        listed("an indirect list", unknown, "is an indirect list", one(|| scoped(&[&der(0x84, &[YES])]))),
        listed(
            "a list of another distribution point",
            unknown,
            "distribution point that the certificate doesn't name",
            one(|| scoped(&[&point("http://plant.example/two.crl")])),
        ),
        listed("the list of its distribution point", None, "", one(|| scoped(&[&point(POINT)]))),
        listed(
            "a list whose scope can't be read",
            unknown,
            "not understood (2.5.29.28)",
            one(|| scoped(&[&der(0x86, &[YES])])),
        ),
        listed(
            "a list with an unknown critical extension",
            unknown,
            "not understood (1.3.6.1.4.1.99999.9)",
            one(|| with_extensions(vec![extension(UNKNOWN, true, &[5, 0])])),
        ),
        listed(
            "a list with an unknown extension",
            None,
            "",
            one(|| with_extensions(vec![extension(UNKNOWN, false, &[5, 0])])),
        ),
        listed(
            "a list with its number",
            None,
            "",
            one(|| with_extensions(vec![extension(NUMBER, false, &der(2, &[&[7]]))])),
        ),
        listed(
            "a list with a number twice",
            unknown,
            "holds the extension 2.5.29.20 twice",
            one(|| with_extensions(vec![extension(NUMBER, false, &der(2, &[&[7]])); 2])),
        ),
        listed(
            "a list from tomorrow",
            unknown,
            "is not current before",
            one(|| SpecialList { begins_in_days: 1, ..SpecialList::default() }),
        ),
        listed("a list from tomorrow, and a current one", None, "", |top, _| {
            vec![top.special_list(&SpecialList { begins_in_days: 1, ..SpecialList::default() }), top.list(&[])]
        }),
        listed("revoked on a list from tomorrow", revoked, "", |top, leaf| {
            vec![top.special_list(&SpecialList { begins_in_days: 1, revoked: &[leaf], ..SpecialList::default() })]
        }),
        listed("an entry with an unknown critical extension", unknown, "holds an entry with a critical", |top, _| {
            let other = client("another one");
            let entry_extensions = vec![extension(OF_ANOTHER, true, &[0x30, 0])];
            vec![top.special_list(&SpecialList { revoked: &[&other], entry_extensions, ..SpecialList::default() })]
        }),
        listed("a list that has ended, by its file", unknown, "ended at", |top, _| vec![top.list_until(&[], -1)]),
    ];
    cases.extend(of_the_middle());
    cases
}

/// A root's list for an issuer in the middle: that is a certificate of an issuer.
fn of_the_middle() -> Vec<(Case, &'static str)> {
    let mut cases = Vec::new();
    for (name, field, refused, why) in [
        (
            "the root's list is for clients only",
            0x81,
            open(StatusCode::BadCertificateIssuerRevocationUnknown),
            "is for certificates of clients only",
        ),
        ("the root's list is for issuers only", 0x82, None, ""),
    ] {
        let top = root(&format!("{name} root"), 1);
        let middle = top.sub(&format!("{name} middle"), 2);
        let sent = middle.issue(&client(&format!("{name} leaf")));
        let list = top.special_list(&scoped(&[&der(field, &[&[0xff]])]));
        let files = vec![
            ("trusted", top.der),
            ("issuers", middle.der.clone()),
            ("issuers", list),
            ("issuers", middle.list(&[])),
        ];
        cases.push((Case { name, tried: Tried::FindList, files, sent, refused }, why));
    }
    cases
}

fn subtrees(tag: u8, bases: &[Vec<u8>]) -> Vec<u8> {
    let trees: Vec<u8> = bases.iter().flat_map(|base| der(0x30, &[base])).collect();
    if trees.is_empty() { trees } else { der(tag, &[&trees]) }
}

fn dns(host: &str) -> Vec<u8> {
    der(0x82, &[host.as_bytes()])
}

/// A directory name of one common name, in this kind of text.
fn directory(kind: u8, name: &str) -> Vec<u8> {
    let part = der(0x30, &[&der(6, &[&[0x55, 4, 3]]), &der(kind, &[name.as_bytes()])]);
    der(0xa4, &[&der(0x30, &[&der(0x31, &[&part])])])
}

/// Issuers with name constraints, critical and not.
pub(super) fn constraints() -> Vec<Case> {
    let invalid = hidden(StatusCode::BadCertificateInvalid);
    let authority = |name: &str, critical: bool, value: Vec<u8>| {
        let mut params = ca_params(&format!("{name} root"));
        let mut extension = CustomExtension::from_oid_content(CONSTRAINTS, value);
        extension.set_criticality(critical);
        params.custom_extensions.push(extension);
        root_with(params, 1)
    };
    let host = |name: &str| SanType::DnsName(name.try_into().expect("ascii"));
    let mail = || SanType::Rfc822Name("a@plant.example".try_into().expect("ascii"));
    let network = |bytes: [u8; 8]| der(0x87, &[&bytes]);
    type Row = (&'static str, bool, Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<SanType>, bool);
    let rows: Vec<Row> = vec![
        ("host name excluded", false, vec![], vec![dns("bad.example")], vec![host("a.bad.example")], false),
        ("host name excluded, critical", true, vec![], vec![dns("bad.example")], vec![host("a.bad.example")], false),
        ("host name permitted", true, vec![dns("plant.example")], vec![], vec![host("a.plant.example")], true),
        ("host name not permitted", false, vec![dns("plant.example")], vec![], vec![host("plant.example.org")], false),
        ("host names constrained, none stated", true, vec![dns("plant.example")], vec![], vec![], true),
        ("URI without a host, URIs constrained", false, vec![der(0x86, &[b".plant.example"])], vec![], vec![], false),
        (
            "address permitted",
            false,
            vec![network([10, 0, 0, 0, 255, 0, 0, 0])],
            vec![],
            vec![SanType::IpAddress([10, 1, 2, 3].into())],
            true,
        ),
        (
            "address excluded",
            false,
            vec![],
            vec![network([10, 0, 0, 0, 255, 0, 0, 0])],
            vec![SanType::IpAddress([10, 1, 2, 3].into())],
            false,
        ),
        (
            "subject excluded in another kind of text",
            false,
            vec![],
            vec![directory(0x13, "SUBJECT  excluded in another kind of text leaf")],
            vec![],
            false,
        ),
        ("subject permitted", true, vec![directory(0x0c, "subject permitted leaf")], vec![], vec![], true),
        ("subject not permitted", false, vec![directory(0x0c, "somewhere else")], vec![], vec![], false),
        ("e-mail constrained and stated", false, vec![der(0x81, &[b"plant.example"])], vec![], vec![mail()], false),
        ("e-mail constrained, none stated", true, vec![der(0x81, &[b"plant.example"])], vec![], vec![], true),
    ];
    let mut cases: Vec<Case> = rows
        .into_iter()
        .map(|(name, critical, permitted, excluded, names, is_allowed)| {
            let value = der(0x30, &[&subtrees(0xa0, &permitted), &subtrees(0xa1, &excluded)]);
            let top = authority(name, critical, value);
            let sent = top.issue(&with(&format!("{name} leaf"), |params| params.subject_alt_names.extend(names)));
            let files = vec![("trusted", top.der.clone()), ("trusted", top.list(&[]))];
            Case { name, tried: Tried::Structure, files, sent, refused: invalid.filter(|_| !is_allowed) }
        })
        .collect();

    let name = "URI with a permitted host";
    let top = authority(name, true, der(0x30, &[&subtrees(0xa0, &[der(0x86, &[b".plant.example"])])]));
    let sent =
        top.issue(&with(name, |params| params.subject_alt_names = vec![uri("opc.tcp://a.plant.example/client")]));
    let files = vec![("trusted", top.der.clone()), ("trusted", top.list(&[]))];
    cases.push(Case { name, tried: Tried::Structure, files, sent, refused: None });

    let name = "host name excluded by the root";
    let top = authority(name, false, der(0x30, &[&subtrees(0xa1, &[dns("bad.example")])]));
    let middle = top.sub(&format!("{name} middle"), 2);
    let sent =
        middle.issue(&with(&format!("{name} leaf"), |params| params.subject_alt_names.push(host("bad.example"))));
    let files = vec![
        ("trusted", top.der.clone()),
        ("issuers", middle.der.clone()),
        ("issuers", top.list(&[])),
        ("issuers", middle.list(&[])),
    ];
    cases.push(Case { name, tried: Tried::Structure, files, sent, refused: invalid });

    let name = "name constraints that can't be read";
    let top = authority(name, false, vec![5, 0]);
    let sent = top.issue(&with(name, |params| params.distinguished_name.push(DnType::CommonName, name)));
    let files = vec![("trusted", top.der.clone()), ("trusted", top.list(&[]))];
    cases.push(Case { name, tried: Tried::Structure, files, sent, refused: invalid });
    cases
}
