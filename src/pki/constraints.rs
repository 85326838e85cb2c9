//! Name constraints of an issuer (RFC 5280 §4.2.1.10): which names the certificates below it may have.
//!
//! They are checked whether they are critical or not. Names of URIs, hosts, addresses and directories are compared; a name
//! of another kind is refused where the issuer constrains that kind.

use std::mem::discriminant;

use x509_parser::extensions::{GeneralName, NameConstraints};
use x509_parser::prelude::{ParsedExtension, X509Certificate};
use x509_parser::x509::X509Name;

use super::text::{address, hex, printable};

/// Object identifier of the extension.
pub(super) const OID: &str = "2.5.29.30";
const EMAIL: &str = "1.2.840.113549.1.9.1";

/// A name of a certificate, or the base of a subtree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Uri(String),
    Host(String),
    /// An address of 4 or 16 bytes; as a base followed by its mask.
    Address(Vec<u8>),
    /// Parts of a directory name from the root on, each fit for comparison.
    Directory(Vec<String>),
    Email,
    /// Of a kind that nothing here compares, with the number of the kind.
    Other(u8),
}

/// Names that an issuer permits and excludes.
#[derive(Debug, Clone)]
pub(super) struct Constraints {
    permitted: Vec<Name>,
    excluded: Vec<Name>,
}

impl Constraints {
    /// `Some(None)`: the extension is there and can't be read.
    pub(crate) fn of(x509: &X509Certificate<'_>) -> Option<Option<Constraints>> {
        let extension = x509.extensions().iter().find(|extension| extension.oid.to_id_string() == OID)?;
        let ParsedExtension::NameConstraints(found) = extension.parsed_extension() else { return Some(None) };
        Some(Some(Constraints::from(found)))
    }

    fn from(found: &NameConstraints<'_>) -> Constraints {
        let bases = |subtrees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
            subtrees.iter().flatten().map(|subtree| Name::of(&subtree.base)).collect()
        };
        Constraints { permitted: bases(&found.permitted_subtrees), excluded: bases(&found.excluded_subtrees) }
    }

    /// The first name that is not allowed, in words.
    pub(crate) fn refused(&self, names: &[Name]) -> Option<String> {
        names.iter().find(|name| !self.allows(name)).map(Name::shown)
    }

    fn allows(&self, name: &Name) -> bool {
        let is_alike = |base: &&Name| discriminant(*base) == discriminant(name);
        let permitted: Vec<_> = self.permitted.iter().filter(is_alike).collect();
        let excluded: Vec<_> = self.excluded.iter().filter(is_alike).collect();
        if permitted.is_empty() && excluded.is_empty() {
            return true;
        }
        let is_comparable = match name {
            Name::Uri(uri) => host_of(uri).is_some(),
            Name::Email | Name::Other(_) => false,
            Name::Host(_) | Name::Address(_) | Name::Directory(_) => true,
        };
        let is_permitted = permitted.is_empty() || permitted.iter().any(|base| name.is_below(base));
        is_comparable && is_permitted && !excluded.iter().any(|base| name.is_below(base))
    }
}

impl Name {
    fn of(name: &GeneralName<'_>) -> Name {
        match name {
            GeneralName::URI(uri) => Name::Uri((*uri).to_owned()),
            GeneralName::DNSName(name) => Name::Host(plain(name)),
            GeneralName::IPAddress(bytes) => Name::Address(bytes.to_vec()),
            GeneralName::DirectoryName(name) => Name::Directory(parts(name)),
            GeneralName::RFC822Name(_) => Name::Email,
            GeneralName::OtherName(..) => Name::Other(0),
            GeneralName::X400Address(_) => Name::Other(3),
            GeneralName::EDIPartyName(_) => Name::Other(5),
            GeneralName::RegisteredID(_) => Name::Other(8),
            GeneralName::Invalid(..) => Name::Other(u8::MAX),
        }
    }

    /// All names that a certificate states, its subject among them.
    pub(crate) fn all(x509: &X509Certificate<'_>) -> Vec<Name> {
        let mut names = Vec::new();
        let subject = parts(x509.subject());
        if !subject.is_empty() {
            names.push(Name::Directory(subject));
        }
        names.extend(
            x509.subject().iter_attributes().any(|at| at.attr_type().to_id_string() == EMAIL).then_some(Name::Email),
        );
        if let Ok(Some(alternative)) = x509.subject_alternative_name() {
            names.extend(alternative.value.general_names.iter().map(Name::of));
        }
        names
    }

    fn is_below(&self, base: &Name) -> bool {
        match (self, base) {
            (Name::Uri(uri), Name::Uri(base)) => host_of(uri).is_some_and(|host| is_uri_host(&host, &plain(base))),
            (Name::Host(host), Name::Host(base)) => is_host(host, base),
            (Name::Address(address), Name::Address(base)) => is_in_network(address, base),
            (Name::Directory(name), Name::Directory(base)) => name.starts_with(base),
            (Name::Other(kind), Name::Other(base)) => kind == base,
            _ => false,
        }
    }

    /// In words, as the log says it.
    fn shown(&self) -> String {
        match self {
            Name::Uri(text) | Name::Host(text) => format!("the name `{}`", printable(text)),
            Name::Address(bytes) => {
                let text = address(bytes).map_or_else(|| hex(bytes), |at| at.to_string());
                format!("the address {text}")
            }
            Name::Directory(_) => "a subject or directory name".to_owned(),
            Name::Email => "an e-mail address".to_owned(),
            Name::Other(_) => "a name of a kind that is not compared".to_owned(),
        }
    }
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// A base with a leading dot holds what is below it; one without holds that host alone.
fn is_uri_host(host: &str, base: &str) -> bool {
    if base.starts_with('.') { host.len() > base.len() && host.ends_with(base) } else { host == base }
}

/// A base holds itself and every name that has more labels on its left.
fn is_host(host: &str, base: &str) -> bool {
    if base.is_empty() || host == base {
        return true;
    }
    host.strip_suffix(base).is_some_and(|rest| !rest.is_empty() && (base.starts_with('.') || rest.ends_with('.')))
}

fn is_in_network(address: &[u8], base: &[u8]) -> bool {
    let length = address.len();
    base.len() == 2 * length && (0..length).all(|at| address[at] & base[length + at] == base[at] & base[length + at])
}

/// The host of a URI; `None` without one, as in a URN, or where an address is in its place.
fn host_of(uri: &str) -> Option<String> {
    let rest = uri.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let host = plain(place.split(':').next()?);
    let is_name = !host.is_empty() && !host.starts_with('[') && host.parse::<std::net::IpAddr>().is_err();
    is_name.then_some(host)
}

/// The parts of a directory name, without the difference between kinds of text, cases and blanks (RFC 5280 §7.1).
fn parts(name: &X509Name<'_>) -> Vec<String> {
    let part = |rdn: &x509_parser::x509::RelativeDistinguishedName<'_>| {
        let mut attributes: Vec<String> = rdn
            .iter()
            .map(|at| {
                let text = at.as_str().map_or_else(
                    |_| hex(at.as_slice()),
                    |text| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase(),
                );
                format!("{}={text}", at.attr_type().to_id_string())
            })
            .collect();
        attributes.sort();
        attributes.join("+")
    };
    name.iter_rdn().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Name {
        Name::Address(text.split('.').map(|part| part.parse().expect("a byte")).collect())
    }

    #[test]
    fn a_name_is_below_a_base_as_the_rfc_says() {
        let (uri, host) = (|text: &str| Name::Uri(text.into()), |text: &str| Name::Host(text.into()));
        let directory = |parts: &[&str]| Name::Directory(parts.iter().map(|part| (*part).to_owned()).collect());
        for (name, base, is_below) in [
            (host("plant.example"), host("plant.example"), true),
            (host("a.plant.example"), host("plant.example"), true),
            (host("a.plant.example"), host(".plant.example"), true),
            (host("plant.example"), host(".plant.example"), false),
            (host("otherplant.example"), host("plant.example"), false),
            (host("anything"), host(""), true),
            (uri("opc.tcp://Plant.Example:4840/x"), uri("plant.example"), true),
            (uri("opc.tcp://a.plant.example/x"), uri("plant.example"), false),
            (uri("opc.tcp://a.plant.example"), uri(".plant.example"), true),
            (uri("https://me@a.plant.example?x"), uri(".plant.example"), true),
            (uri("urn:plant.example:client"), uri("plant.example"), false),
            (uri("https://10.0.0.1/x"), uri("10.0.0.1"), false),
            (network("10.1.2.3"), network("10.1.0.0.255.255.0.0"), true),
            (network("10.2.2.3"), network("10.1.0.0.255.255.0.0"), false),
            (network("10.1.2.3"), network("10.1.2.3"), false),
            (directory(&["c=de", "o=plant", "cn=x"]), directory(&["c=de", "o=plant"]), true),
            (directory(&["c=de"]), directory(&["c=de", "o=plant"]), false),
            (directory(&["c=fr", "o=plant"]), directory(&["c=de"]), false),
        ] {
            assert_eq!(name.is_below(&base), is_below, "{name:?} below {base:?}");
        }
    }

    #[test]
    fn a_name_that_can_not_be_compared_is_refused_where_its_kind_is_constrained() {
        let uris = |excluded| Constraints { permitted: Vec::new(), excluded: vec![excluded] };
        for (constraints, name, is_allowed) in [
            (uris(Name::Uri("x.example".into())), Name::Uri("urn:a:b".into()), false),
            (uris(Name::Uri("x.example".into())), Name::Uri("opc.tcp://y.example".into()), true),
            (uris(Name::Host("x.example".into())), Name::Uri("urn:a:b".into()), true),
            (uris(Name::Email), Name::Email, false),
            (uris(Name::Other(0)), Name::Other(3), false),
            (uris(Name::Email), Name::Host("x".into()), true),
        ] {
            assert_eq!(constraints.allows(&name), is_allowed, "{constraints:?} {name:?}");
        }
    }
}
