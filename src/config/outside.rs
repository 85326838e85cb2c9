//! `${env:}` and `${file:}`: the keys that take a text from outside of the file, and the notation.
//!
//! Only keys that the schema marks `x-secret` take one. No client, finding or log shows the value of such a key, so that a
//! cell file from a stranger can't publish the server's keys or its environment.

use super::docs::{DOCS, Key};
use super::source::{Ix, Kind, Source};
use crate::drivers;

/// Origin of a value's text outside of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Variable { name: &'a str, fallback: Option<&'a str> },
    File(&'a str),
}

/// Structs whose keys may be marked, and where their mappings are: below `users` or `connections`.
const USER: &str = "User";

fn connections() -> impl Iterator<Item = &'static str> {
    std::iter::once("Connection").chain(DOCS.drivers().iter().map(|of| of.connection.as_str()))
}

const SPELLINGS: &str = "write `${env:NAME}`, `${env:NAME|fallback}` or `${file:PATH}`";

/// A word with the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    pub before: &'a str,
    pub word: Word<'a>,
    pub after: &'a str,
}

/// The word in a value; or why it can't be replaced, and what to write. Only a header may have text around it.
pub(super) fn word(source: &Source, at: Ix, is_server: bool) -> Result<Placed<'_>, (String, String)> {
    let key = source.key_of(at).map(|key| source.text(key));
    let is_header = !is_server && is_header(source, at);
    if !is_header && !is_marked(source, at, is_server) {
        let what = key.map_or_else(|| "a list".to_owned(), |key| format!("`{key}`"));
        return Err((
            format!("`${{…}}` cannot be used in {what}"),
            format!("it can be used only in {}", marked_keys()),
        ));
    }
    let text = source.text(at);
    let refused = |message: String| (message, SPELLINGS.to_owned());
    let start = text.find("${").unwrap_or(0);
    let Some(end) = text[start..].find('}').map(|end| start + end) else {
        return Err(refused("`${` without `}`".to_owned()));
    };
    let inner = &text[start + 2..end];
    let word = if let Some(name) = inner.strip_prefix("env:") {
        let (name, fallback) = name.split_once('|').map_or((name, None), |(name, text)| (name, Some(text)));
        Word::Variable { name, fallback }
    } else if let Some(name) = inner.strip_prefix("file:") {
        Word::File(name)
    } else {
        return Err(refused(format!("`${{{inner}}}` is not known")));
    };
    let (before, after) = (&text[..start], &text[end + 1..]);
    let is_alone = before.is_empty() && after.is_empty();
    if !is_header && !is_alone {
        // A secret as a part of a host name would be sent to the owner of the rest of the name.
        let help = "put the whole value into the variable or the file".to_owned();
        return Err(("text next to `${…}`".to_owned(), help));
    }
    if after.contains("${") {
        return Err(refused("two of `${…}` in one value".to_owned()));
    }
    Ok(Placed { before, word, after })
}

/// Whether the value is that of a header: in `headers` of a connection, or of one of its `requests`.
fn is_header(source: &Source, at: Ix) -> bool {
    let above = |at: Ix| source.parent(at).filter(|above| source.kind(*above) == Kind::Mapping);
    let named = |at: Ix, name: &str| source.key_of(at).is_some_and(|key| source.text(key) == name);
    let Some(headers) = above(at).filter(|headers| named(*headers, "headers")) else { return false };
    let Some(owner) = above(headers) else { return false };
    let of_request = || above(owner).filter(|requests| named(*requests, "requests")).and_then(above);
    let is_connection = |connection: Ix| above(connection).is_some_and(|all| named(all, "connections"));
    is_connection(owner) || of_request().is_some_and(is_connection)
}

/// Whether the schema marks the key of this value: of a user in the server file, of a connection in any other.
fn is_marked(source: &Source, at: Ix, is_server: bool) -> bool {
    let section = if is_server { "users" } else { "connections" };
    let Some(key) = source.key_of(at).map(|key| source.text(key)) else { return false };
    let is_in_section = || {
        let entry = source.parent(at)?;
        let whole = source.parent(entry)?;
        let is_top = source.parent(source.parent(whole)?).is_none();
        (is_top && source.text(source.key_of(whole)?) == section).then_some(())
    };
    let is_secret_of = |owner: &str| DOCS.key(owner, key).is_some_and(is_secret);
    is_in_section().is_some() && if is_server { is_secret_of(USER) } else { connections().any(is_secret_of) }
}

fn is_secret(key: &Key) -> bool {
    key.schema.get("x-secret").is_some_and(|mark| mark == true)
}

/// Kind of a file that a key of a connection names, as the schema marks the key with `x-file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Csv,
    /// Certificates, PEM or DER.
    Pem,
    /// A private key.
    Key,
}

/// A value that names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedBy {
    pub at: Ix,
    pub holds: Holds,
}

/// The values that name files: keys of the driver that a connection has, below `connections` of a file's root.
pub(super) fn files(source: &Source, root: Ix) -> Vec<NamedBy> {
    let Some(connections) = source.get(root, "connections") else { return Vec::new() };
    let named = |(_, connection): (Ix, Ix)| {
        let driver = source.get(connection, "driver").filter(|at| source.is_scalar(*at))?;
        drivers::driver(source.text(driver)).map(|driver| (connection, driver.name))
    };
    let connections = source.entries(connections).filter_map(named);
    let of = |(connection, driver): (Ix, &str)| {
        let keys = DOCS.keys(DOCS.connection_of(driver)).iter();
        let file = |key: &Key| {
            let at = source.get(connection, &key.name).filter(|at| source.is_scalar(*at))?;
            Some(NamedBy { at, holds: holds(key)? })
        };
        keys.filter_map(file).collect::<Vec<_>>()
    };
    connections.flat_map(of).collect()
}

fn holds(key: &Key) -> Option<Holds> {
    match key.schema.get("x-file")?.as_str()? {
        "csv" => Some(Holds::Csv),
        "pem" => Some(Holds::Pem),
        "key" => Some(Holds::Key),
        other => unreachable!("`{}` is marked with `{other}`", key.name),
    }
}

/// The keys that take a text from outside, in words.
pub(super) fn marked_keys() -> String {
    let names = |owners: Vec<&'static str>| {
        let mut names: Vec<String> = Vec::new();
        for key in owners.into_iter().flat_map(|owner| DOCS.keys(owner)).filter(|key| is_secret(key)) {
            let name = format!("`{}`", key.name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(", ")
    };
    format!("{} of a connection and {} of a user", names(connections().collect()), names(vec![USER]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::docs::Section;

    #[test]
    fn every_mark_of_the_schema_is_where_it_is_looked_for() {
        let mut count = 0;
        for Section { name, .. } in &DOCS.order {
            for key in DOCS.keys(name).iter().filter(|key| is_secret(key)) {
                let is_known = name == USER || connections().any(|owner| owner == name);
                assert!(is_known, "{name}.{} is marked, and `{name}` is not looked at", key.name);
                count += 1;
            }
        }
        assert!(count >= 6, "{count} marks");
    }
}
