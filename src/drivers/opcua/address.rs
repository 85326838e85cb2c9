//! Addresses of nodes: a NodeId with its namespace as URI, short name or index, or a path of browse names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use opcua::{Identifier, NodeId};

use super::settings::NamespaceUri;
use crate::drivers::reading::PointError;
use crate::stack::codec::Reader;

/// Nodes of the address space at which paths may begin; any other path begins at Objects (Part 5 §8.2.2, 1.05).
const BELOW_ROOT: [&str; 3] = ["Objects", "Types", "Views"];
/// Parts of a path, at most.
const MOST_PARTS: usize = 100;
const FORMS: &str =
    "write nsu=URI;s=TEXT (or i=, g=, b=), NAME:s=TEXT with a name of `namespaces`, or a path as /Machine/Speed";

type Names = BTreeMap<String, NamespaceUri>;

/// Place of a node on a server that was not asked yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Address {
    Node {
        namespace: Namespace,
        id: Identifier,
    },
    /// From the root of the address space, or from Objects.
    Path {
        from_root: bool,
        parts: Vec<Part>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Namespace {
    Index(u16),
    Uri(String),
}

/// A BrowseName; without a namespace that of any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub namespace: Option<Namespace>,
    pub name: String,
}

/// An address, and something in it that is allowed and may stop being right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub address: Address,
    pub doubt: Option<PointError>,
}

impl Address {
    /// `names`: the short names of the connection, or `None` where they are not known.
    pub(super) fn parse(text: &str, names: Option<&Names>) -> Result<Parsed, PointError> {
        if text.trim().is_empty() {
            return Err(PointError::new(0..text.len(), "the address is blank".to_owned(), FORMS));
        }
        if text.starts_with('/') {
            return parse_path(text, names);
        }
        if let Some(rest) = text.strip_prefix("nsu=") {
            return parse_uri(text, rest);
        }
        if let Some(rest) = text.strip_prefix("ns=") {
            return parse_index(text, rest);
        }
        let (prefix, id) = match text.split_once(':') {
            Some((prefix, id)) if !is_id(text) => (Some(prefix), id),
            _ => (None, text),
        };
        if !is_id(id) {
            return Err(no_node_id(text, prefix.filter(|prefix| prefix.parse::<u16>().is_ok()), id));
        }
        let at = text.len() - id.len();
        let namespace = match prefix {
            None => Namespace::Index(0),
            Some(prefix) => short(prefix, 0..prefix.len(), names)?,
        };
        Ok(Parsed { address: Address::Node { namespace, id: identifier(id, at)? }, doubt: None })
    }
}

/// The address of an encoded NodeId, by the URI of its namespace; by its index where the server has no URI for it. `None`: it cannot
/// be written as an address.
pub(super) fn written(node: &[u8], namespaces: &[String]) -> Option<String> {
    let NodeId { namespace, identifier } = Reader::new(node).node_id().ok()?.to_owned();
    let id = identifier.to_string();
    let uri =
        namespaces.get(usize::from(namespace)).filter(|uri| uri.contains(':') && !uri.chars().any(char::is_control));
    let text = match (namespace, uri) {
        (0, _) => id.clone(),
        (_, Some(uri)) => format!("nsu={};{id}", uri.replace('%', "%25").replace(';', "%3B")),
        (index, None) => format!("ns={index};{id}"),
    };
    let back = Address::parse(&text, None).ok()?.address;
    let is_same = match back {
        Address::Node { namespace: Namespace::Index(index), id } => index == namespace && id == identifier,
        Address::Node { namespace: Namespace::Uri(back), id } => uri == Some(&back) && id == identifier,
        Address::Path { .. } => false,
    };
    is_same.then_some(text)
}

/// It begins as an identifier does.
fn is_id(text: &str) -> bool {
    ["i=", "s=", "g=", "b="].iter().any(|kind| text.starts_with(kind))
}

fn no_node_id(text: &str, index: Option<&str>, rest: &str) -> PointError {
    let help = match index {
        Some(index) => format!("write ns={index};s={rest}, or better nsu=URI;s={rest}"),
        None => FORMS.to_owned(),
    };
    PointError::new(0..text.len(), format!("`{text}` is not a NodeId"), &help)
}

fn identifier(text: &str, at: usize) -> Result<Identifier, PointError> {
    let refused = |what: &str, help: &str| Err(PointError::new(at..at + text.len(), format!("`{text}` {what}"), help));
    match Identifier::from_str(text) {
        Ok(Identifier::String(id)) if id.as_ref().is_empty() => refused("has no text", "write s=TEXT"),
        Ok(Identifier::String(id)) if id.as_ref().len() > 4096 => refused("is too long", "at most 4096 bytes"),
        Ok(id) => Ok(id),
        Err(()) => match &text[..2] {
            "i=" => refused("is not a number of 0 to 4294967295", "write i=2258, or s=TEXT for a text"),
            "g=" => refused("is not a GUID", "write g=72962b91-fa75-4ae6-8d28-b404dc7daf63"),
            _ => refused("is not Base64", "write the bytes as Base64: b=SGFsbG8="),
        },
    }
}

/// `nsu=URI;ID`; the URI has `;` and `%` as %3B and %25 (Part 6 §5.1.12, 1.05).
fn parse_uri(text: &str, rest: &str) -> Result<Parsed, PointError> {
    let Some((uri, id)) = rest.split_once(';').filter(|(_, id)| is_id(id)) else {
        return Err(no_node_id(text, None, rest));
    };
    if !uri.contains(':') {
        let message = format!("`{uri}` is not a URI");
        return Err(PointError::new(4..4 + uri.len(), message, "write it as the server's NamespaceArray has it"));
    }
    let uri = uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%");
    let id = identifier(id, text.len() - id.len())?;
    Ok(Parsed { address: Address::Node { namespace: Namespace::Uri(uri), id }, doubt: None })
}

/// `ns=N;ID`.
fn parse_index(text: &str, rest: &str) -> Result<Parsed, PointError> {
    let (digits, id) = rest.split_once([';', ',']).unwrap_or((rest, ""));
    let Ok(index) = digits.parse::<u16>() else {
        return Err(no_node_id(text, None, rest));
    };
    if !is_id(id) || !rest[digits.len()..].starts_with(';') {
        let name = id.strip_prefix("s=").unwrap_or(id);
        return Err(no_node_id(text, Some(digits).filter(|_| !name.is_empty()), name));
    }
    let doubt = (index > 0).then(|| moves(3..3 + digits.len(), &format!("nsu=URI;{id} stays")));
    let id = identifier(id, text.len() - id.len())?;
    Ok(Parsed { address: Address::Node { namespace: Namespace::Index(index), id }, doubt })
}

fn moves(at: Range<usize>, help: &str) -> PointError {
    PointError::new(at, "the index may move when the server is changed".to_owned(), help)
}

/// A short name, or an error that names those that there are.
fn short(name: &str, at: Range<usize>, names: Option<&Names>) -> Result<Namespace, PointError> {
    let Some(names) = names else { return Ok(Namespace::Uri(name.to_owned())) };
    if let Some(NamespaceUri(uri)) = names.get(name) {
        return Ok(Namespace::Uri(uri.clone()));
    }
    let known: Vec<String> = names.keys().map(|name| format!("`{name}`")).collect();
    let help = match known.len() {
        0 => format!("add `namespaces: {{ {name}: URI }}` to the connection"),
        _ => format!("known are {}; add it to `namespaces` of the connection", known.join(", ")),
    };
    Err(PointError::new(at, format!("no short name `{name}` in `namespaces`"), &help))
}

fn parse_path(text: &str, names: Option<&Names>) -> Result<Parsed, PointError> {
    let (mut parts, mut doubt, mut at) = (Vec::new(), None, 1);
    for piece in pieces(&text[1..]) {
        let range = at..at + piece.len();
        at = range.end + 1;
        let part = parse_part(piece, range.clone(), names)?;
        if let Some(Namespace::Index(1..)) = part.namespace {
            doubt = doubt.or_else(|| Some(moves(range, "write a name of `namespaces` in its place")));
        }
        parts.push(part);
    }
    if parts.len() > MOST_PARTS {
        let message = format!("the path has more than {MOST_PARTS} parts");
        return Err(PointError::new(0..text.len(), message, "write the NodeId of the node"));
    }
    let first = &parts[0];
    let is_standard = matches!(first.namespace, None | Some(Namespace::Index(0)));
    let from_root = is_standard && BELOW_ROOT.contains(&first.name.as_str());
    if from_root {
        parts[0].namespace = Some(Namespace::Index(0));
    }
    Ok(Parsed { address: Address::Path { from_root, parts }, doubt })
}

/// The text between slashes; `&` takes the next letter as it is.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut is_plain) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_plain => is_plain = false,
            '&' => is_plain = true,
            '/' => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// `NAME`, `SHORT:NAME` or `INDEX:NAME`.
fn parse_part(piece: &str, at: Range<usize>, names: Option<&Names>) -> Result<Part, PointError> {
    let colon = piece.char_indices().scan(false, |is_plain, (at, letter)| {
        let found = letter == ':' && !*is_plain;
        *is_plain = letter == '&' && !*is_plain;
        Some((at, found))
    });
    let colon = colon.filter(|(_, found)| *found).map(|(at, _)| at).next();
    let (prefix, name) = colon.map_or((None, piece), |at| (Some(&piece[..at]), &piece[at + 1..]));
    let name = unescaped(name);
    if name.is_empty() {
        let help = "write the browse names with one `/` between them; `&/` is a `/` in a name";
        return Err(PointError::new(at, "a part of the path is empty".to_owned(), help));
    }
    let namespace = match prefix {
        None => None,
        Some(prefix) => Some(match prefix.parse::<u16>() {
            Ok(index) => Namespace::Index(index),
            Err(_) => short(prefix, at.start..at.start + prefix.len(), names)
                .map_err(|error| PointError { help: format!("{}; `&:` is a `:` in a name", error.help), ..error })?,
        }),
    };
    Ok(Part { namespace, name })
}

fn unescaped(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '&' => plain.extend(letters.next()),
            letter => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        [("m".to_owned(), NamespaceUri("urn:acme:machine".to_owned()))].into()
    }

    fn node(namespace: Namespace, id: &str) -> Address {
        Address::Node { namespace, id: Identifier::from_str(id).expect("an id") }
    }

    #[test]
    fn each_spelling_of_a_node_id_is_read() {
        let machine = || Namespace::Uri("urn:acme:machine".to_owned());
        for (text, address, doubts) in [
            ("nsu=urn:acme:machine;s=Speed", node(machine(), "s=Speed"), false),
            ("m:s=Speed", node(machine(), "s=Speed"), false),
            ("m:i=7", node(machine(), "i=7"), false),
            ("i=2258", node(Namespace::Index(0), "i=2258"), false),
            ("s=a:b", node(Namespace::Index(0), "s=a:b"), false),
            ("ns=3;s=a;b=c", node(Namespace::Index(3), "s=a;b=c"), true),
            ("ns=0;i=85", node(Namespace::Index(0), "i=85"), false),
            ("nsu=urn:a%3Bb%25;b=SGFsbG8=", node(Namespace::Uri("urn:a;b%".into()), "b=SGFsbG8="), false),
            (
                "m:g=72962b91-fa75-4ae6-8d28-b404dc7daf63",
                node(machine(), "g=72962b91-fa75-4ae6-8d28-b404dc7daf63"),
                false,
            ),
        ] {
            let parsed = Address::parse(text, Some(&names())).expect(text);
            assert_eq!((parsed.address, parsed.doubt.is_some()), (address, doubts), "{text}");
        }
    }

    #[test]
    fn each_spelling_of_a_path_is_read() {
        let part = |namespace: Option<Namespace>, name: &str| Part { namespace, name: name.to_owned() };
        let machine = || Some(Namespace::Uri("urn:acme:machine".to_owned()));
        let zero = || Some(Namespace::Index(0));
        for (text, from_root, parts) in [
            ("/Objects/m:Machine", true, vec![part(zero(), "Objects"), part(machine(), "Machine")]),
            ("/Machine/Speed", false, vec![part(None, "Machine"), part(None, "Speed")]),
            ("/m:Objects", false, vec![part(machine(), "Objects")]),
            ("/2:a&/b/c&:d&&", false, vec![part(Some(Namespace::Index(2)), "a/b"), part(None, "c:d&")]),
        ] {
            let parsed = Address::parse(text, Some(&names())).expect(text);
            assert_eq!(parsed.address, Address::Path { from_root, parts }, "{text}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong_and_where() {
        for (text, at, message, help) in [
            ("ns=2;Speed", 0..10, "`ns=2;Speed` is not a NodeId", "write ns=2;s=Speed"),
            ("ns=2,s=Speed", 0..12, "`ns=2,s=Speed` is not a NodeId", "write ns=2;s=Speed"),
            ("2:Speed", 0..7, "`2:Speed` is not a NodeId", "write ns=2;s=Speed"),
            ("Speed", 0..5, "`Speed` is not a NodeId", "write nsu=URI"),
            ("", 0..0, "the address is blank", ""),
            ("ns=70000;s=a", 0..12, "is not a NodeId", ""),
            ("i=-1", 0..4, "is not a number", ""),
            ("m:i=x", 2..5, "is not a number", ""),
            ("g=1", 0..3, "is not a GUID", ""),
            ("b=!", 0..3, "is not Base64", ""),
            ("s=", 0..2, "has no text", ""),
            ("x:s=Speed", 0..1, "no short name `x`", "known are `m`"),
            ("nsu=acme;s=a", 4..8, "`acme` is not a URI", ""),
            ("nsu=urn:acme", 0..12, "is not a NodeId", ""),
            ("/a//b", 3..3, "a part of the path is empty", ""),
            ("/", 1..1, "a part of the path is empty", ""),
            ("/a/x:b", 3..4, "no short name `x`", "`&:` is a `:`"),
        ] {
            let error = Address::parse(text, Some(&names())).expect_err(text);
            assert_eq!(error.at, at, "{text}: {error:?}");
            assert!(error.message.contains(message) && error.help.contains(help), "{text}: {error:?}");
        }
    }
}
