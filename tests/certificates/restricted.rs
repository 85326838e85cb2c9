//! Lists and issuers that say what they don't cover: parts of a revocation list.

use opcua::StatusCode;
use rcgen::{CertificateParams, CustomExtension};

use super::cases::{Case, Tried, hidden, open};
use super::made::{Ca, SpecialList, client, der, extension, root};

const NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON: &[u8] = &[0x55, 0x1d, 21];
const DELTA: &[u8] = &[0x55, 0x1d, 27];
const SCOPE: &[u8] = &[0x55, 0x1d, 28];
const OF_ANOTHER: &[u8] = &[0x55, 0x1d, 29];
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

/// One authority and a client of it; the lists that lie beside them, and what the refusal says of them.
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
pub fn lists() -> Vec<(Case, &'static str)> {
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
