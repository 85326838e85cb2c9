//! Writing back into a server file: bytes of one place change, comments and layout stay.
//!
//! After each edit the text is parsed again and compared: everything else must read as before, or nothing is written.

use super::report::Findings;
use super::source::{Ix, Kind, Source};

/// An entry for `users:`.
#[derive(Clone, Copy)]
pub(crate) struct NewUser<'a> {
    pub name: &'a str,
    pub roles: &'a [String],
    pub password_hash: Option<&'a str>,
    /// A file of `pki_dir/users`.
    pub certificate: Option<&'a str>,
}

/// Why a text stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotWritten {
    #[error("it is not valid YAML")]
    Unreadable,
    #[error("it already has this user")]
    Exists,
    #[error("it has no such user")]
    Missing,
    #[error("the hash is not in this file: change it where its `${{…}}` points to")]
    Elsewhere,
    #[error("its layout has no safe place for the change")]
    Layout,
}

impl NewUser<'_> {
    /// The entry as one line of YAML.
    pub(crate) fn line(&self) -> String {
        let roles: Vec<String> = self.roles.iter().map(|role| plain_or_quoted(role)).collect();
        let hash = self.password_hash.map_or_else(String::new, |hash| format!(", {}", hash_entry(hash)));
        let file =
            self.certificate.map_or_else(String::new, |file| format!(", certificate: {}", plain_or_quoted(file)));
        format!("{}: {{ roles: [{}]{hash}{file} }}", plain_or_quoted(self.name), roles.join(", "))
    }
}

fn hash_entry(hash: &str) -> String {
    format!("password_hash: \"{hash}\"")
}

/// Words that need no quotes in any YAML; all others get those of JSON, which are YAML's too.
fn plain_or_quoted(text: &str) -> String {
    let special = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match is_plain && !special.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

/// The text of a server file with one more user.
pub(crate) fn add_user(text: &str, user: &NewUser<'_>) -> Result<String, NotWritten> {
    let (source, root) = parse(text).ok_or(NotWritten::Unreadable)?;
    if source.get(root, "users").is_some_and(|users| source.get(users, user.name).is_some()) {
        return Err(NotWritten::Exists);
    }
    let (at, piece) = place_for(&source, root, text, user).ok_or(NotWritten::Layout)?;
    let written = format!("{}{piece}{}", &text[..at], &text[at..]);
    let (after, new_root) = parse(&written).ok_or(NotWritten::Layout)?;
    let added = user_of(&after, new_root, user.name).ok_or(NotWritten::Layout)?;
    let has = |key, wanted: Option<&str>| after.get(added, key).map(|at| after.text(at)) == wanted;
    let is_same = content(&source, root, None) == content(&after, new_root, Some(added));
    let is_right = has("password_hash", user.password_hash) && has("certificate", user.certificate);
    if is_same && is_right { Ok(written) } else { Err(NotWritten::Layout) }
}

/// The text of a server file in which a user has another password, or one at last.
pub(crate) fn set_password(text: &str, name: &str, hash: &str) -> Result<String, NotWritten> {
    let (source, root) = parse(text).ok_or(NotWritten::Unreadable)?;
    let user = user_of(&source, root, name).ok_or(NotWritten::Missing)?;
    let old = source.get(user, "password_hash");
    let (start, end, piece) = match old {
        Some(old) => {
            let (start, end) = (source.place(old).start as usize, source.place(old).end as usize);
            if text[start..end].contains("${") {
                return Err(NotWritten::Elsewhere);
            }
            (start, end, format!("\"{hash}\""))
        }
        None => {
            let (at, piece) = into_mapping(&source, user, text, &hash_entry(hash)).ok_or(NotWritten::Layout)?;
            (at, at, piece)
        }
    };
    let written = format!("{}{piece}{}", &text[..start], &text[end..]);
    let (after, new_root) = parse(&written).ok_or(NotWritten::Layout)?;
    let new = user_of(&after, new_root, name).and_then(|user| after.get(user, "password_hash"));
    let is_same = content(&source, root, old) == content(&after, new_root, new);
    let is_right = new.is_some_and(|new| after.text(new) == hash);
    if is_same && is_right { Ok(written) } else { Err(NotWritten::Layout) }
}

/// The text of a server file without a user.
pub(crate) fn remove_user(text: &str, name: &str) -> Result<String, NotWritten> {
    let (source, root) = parse(text).ok_or(NotWritten::Unreadable)?;
    let user = user_of(&source, root, name).ok_or(NotWritten::Missing)?;
    let (start, end) = span_of(&source, root, user, text).ok_or(NotWritten::Layout)?;
    let head = without_last(&source, root, &text[..start]).ok_or(NotWritten::Layout)?;
    let written = format!("{head}{}", &text[end..]);
    let (after, new_root) = parse(&written).ok_or(NotWritten::Layout)?;
    let is_gone = user_of(&after, new_root, name).is_none();
    let is_same = content(&source, root, Some(user)) == content(&after, new_root, None);
    if is_gone && is_same { Ok(written) } else { Err(NotWritten::Layout) }
}

fn user_of(source: &Source, root: Ix, name: &str) -> Option<Ix> {
    source.get(root, "users").and_then(|users| source.get(users, name))
}

/// The text before the removed entry; a block whose last entry it is becomes `{}`.
fn without_last(source: &Source, root: Ix, before: &str) -> Option<String> {
    let users = source.get(root, "users")?;
    let key = source.entries(root).find(|(_, value)| *value == users)?.0;
    let colon = end_of(source, key) + before.get(end_of(source, key)..)?.find(':')? + 1;
    let (head, rest) = before.split_at(colon);
    let is_block = !rest.trim_start().starts_with('{');
    let is_last = source.entries(users).count() == 1;
    Some(if is_block && is_last { format!("{head} {{}}{rest}") } else { before.to_owned() })
}

/// The bytes that go with an entry of `users`: its lines, or its place between the commas.
fn span_of(source: &Source, root: Ix, user: Ix, text: &str) -> Option<(usize, usize)> {
    let users = source.get(root, "users")?;
    let (key, value) = source.entries(users).find(|(_, value)| *value == user)?;
    let start = source.place(key).start as usize;
    let last = last_byte(source, key, value, text);
    if !is_flow(source, users, text) {
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let is_blank = text[line..start].chars().all(|c| c == ' ');
        let end = text[last..].find('\n').map_or(text.len(), |rest| last + rest + 1);
        return is_blank.then_some((line, end));
    }
    let rest = &text[last..];
    let next = rest.len() - rest.trim_start().len();
    if rest[next..].starts_with(',') {
        let after = &rest[next + 1..];
        return Some((start, text.len() - after.trim_start().len()));
    }
    let before = text[..start].trim_end();
    Some((before.strip_suffix(',').unwrap_or(before).len(), last))
}

fn parse(text: &str) -> Option<(Source, Ix)> {
    let mut source = Source::default();
    let mut findings = Findings::default();
    let file = source.add_file("server file".into(), text.to_owned())?;
    let root = source.parse(file, &mut findings)?;
    (!findings.has_errors() && source.kind(root) == Kind::Mapping).then_some((source, root))
}

/// Every scalar with its path, but those below `skip`.
fn content(source: &Source, root: Ix, skip: Option<Ix>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut visit = |source: &Source, at: Ix| {
        let mut above = Some(at);
        while let Some(ix) = above {
            if Some(ix) == skip {
                return;
            }
            above = source.parent(ix);
        }
        if source.is_scalar(at) && source.key_of(at).is_some_and(|key| key != at) {
            found.push((source.path(at), source.text(at).to_owned()));
        }
    };
    source.walk(root, &mut visit);
    found
}

/// Where the new bytes go, and what they are.
fn place_for(source: &Source, root: Ix, text: &str, user: &NewUser<'_>) -> Option<(usize, String)> {
    let line = user.line();
    let Some(users) = source.get(root, "users") else {
        if is_flow(source, root, text) {
            return None;
        }
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Some((text.len(), format!("{gap}users:\n  {line}\n")));
    };
    if source.kind(users) == Kind::Null {
        let key = source.entries(root).find(|(_, value)| *value == users)?.0;
        return after_line(text, end_of(source, key), &format!("  {line}"));
    }
    into_mapping(source, users, text, &line)
}

/// Where a further entry of a mapping goes, and its bytes.
fn into_mapping(source: &Source, mapping: Ix, text: &str, line: &str) -> Option<(usize, String)> {
    if source.kind(mapping) != Kind::Mapping {
        return None;
    }
    let last = source.entries(mapping).last();
    if is_flow(source, mapping, text) {
        return before_brace(source, mapping, text, last.is_some(), line);
    }
    let (key, value) = last?;
    let start = source.place(key).start as usize;
    let indent = &text[text[..start].rfind('\n').map_or(0, |at| at + 1)..start];
    let is_blank = indent.chars().all(|c| c == ' ');
    is_blank.then(|| after_line(text, last_byte(source, key, value, text), &format!("{indent}{line}")))?
}

fn before_brace(source: &Source, users: Ix, text: &str, has_more: bool, line: &str) -> Option<(usize, String)> {
    let inner = text[..end_of(source, users)].strip_suffix('}')?;
    let at = inner.trim_end().len();
    let comma = if has_more && !inner.trim_end().ends_with(',') { "," } else { "" };
    let space = if inner.len() == at { " " } else { "" };
    Some((at, format!("{comma} {line}{space}")))
}

/// A new line after the line of this byte.
fn after_line(text: &str, byte: usize, line: &str) -> Option<(usize, String)> {
    match text[byte..].find('\n') {
        Some(rest) => Some((byte + rest + 1, format!("{line}\n"))),
        None => Some((text.len(), format!("\n{line}\n"))),
    }
}

fn is_flow(source: &Source, at: Ix, text: &str) -> bool {
    text[source.place(at).start as usize..].starts_with(['{', '['])
}

fn end_of(source: &Source, at: Ix) -> usize {
    source.place(at).end as usize
}

/// The end of an entry's last scalar or brace: a block's own end may be after the comments that follow it.
fn last_byte(source: &Source, key: Ix, value: Ix, text: &str) -> usize {
    let is_block = matches!(source.kind(value), Kind::Mapping | Kind::Sequence) && !is_flow(source, value, text);
    let last = match source.kind(value) {
        Kind::Null => return end_of(source, key),
        Kind::Mapping if is_block => source.entries(value).last(),
        Kind::Sequence if is_block => source.children(value).last().map(|child| (child, child)),
        _ => return end_of(source, value),
    };
    last.map_or(end_of(source, key), |(key, value)| last_byte(source, key, value, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(text: &str) -> Result<String, NotWritten> {
        let roles = ["Operator".to_owned()];
        add_user(text, &NewUser { name: "anna", roles: &roles, password_hash: Some("$argon2id$x"), certificate: None })
    }

    const LINE: &str = "anna: { roles: [Operator], password_hash: \"$argon2id$x\" }";

    #[test]
    fn one_place_changes_and_everything_else_stays() {
        //   before, after (@ is the new entry)
        for (before, after) in [
            ("schema: 1\ncells: [a.yaml]\n", "schema: 1\ncells: [a.yaml]\nusers:\n  @\n"),
            ("schema: 1\ncells: [a.yaml]   # all", "schema: 1\ncells: [a.yaml]   # all\nusers:\n  @\n"),
            ("users:\nschema: 1\n", "users:\n  @\nschema: 1\n"),
            ("users:   # people\n\nschema: 1\n", "users:   # people\n  @\n\nschema: 1\n"),
            ("users: {}\nschema: 1\n", "users: { @ }\nschema: 1\n"),
            ("users: { bob: { roles: [] } }\n", "users: { bob: { roles: [] }, @ }\n"),
            ("users: { bob: { roles: [] }, }\n", "users: { bob: { roles: [] }, @ }\n"),
            (
                "users:\n    bob: { roles: [] }   # the boss\n\n# next\nlog: info\n",
                "users:\n    bob: { roles: [] }   # the boss\n    @\n\n# next\nlog: info\n",
            ),
            (
                "users:\n  bob:\n    roles:\n      - Operator  # for now\n  # end\nlog: info\n",
                "users:\n  bob:\n    roles:\n      - Operator  # for now\n  @\n  # end\nlog: info\n",
            ),
            ("users:\n  bob: { roles: [] }", "users:\n  bob: { roles: [] }\n  @\n"),
        ] {
            assert_eq!(add(before), Ok(after.replace('@', LINE)), "{before}");
        }
    }

    #[test]
    fn what_cannot_be_written_safely_is_left_alone() {
        for (before, why) in [
            ("users: { anna: { roles: [] } }\n", NotWritten::Exists),
            ("users: [anna]\n", NotWritten::Layout),
            ("{ schema: 1, cells: [a.yaml] }\n", NotWritten::Layout),
            ("schema: [1\n", NotWritten::Unreadable),
            ("schema: 1\n...\n", NotWritten::Layout),
        ] {
            assert_eq!(add(before), Err(why), "{before}");
        }
    }

    #[test]
    fn any_name_is_read_back_as_it_was_given() {
        for name in ["Anna Müller", "no", "a: b", "12", "\"x\"", "# x", "o'neil", "{x}"] {
            let user = NewUser { name, roles: &[], password_hash: Some("$argon2id$x"), certificate: None };
            let written = add_user("schema: 1\n", &user).unwrap_or_else(|error| panic!("{name}: {error}"));
            let again = add_user(&written, &user);
            assert_eq!(again, Err(NotWritten::Exists), "{name}: {written}");
            let renewed = set_password(&written, name, "$argon2id$y").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(renewed, written.replace("$x", "$y"));
            let users = "users: {}\n";
            assert_eq!(remove_user(&renewed, name), Ok(format!("schema: 1\n{users}")), "{name}");
        }
    }

    #[test]
    fn a_password_changes_where_it_stands() {
        const NEW: &str = "password_hash: \"$argon2id$y\"";
        //   before, after (@ is the new hash with its key)
        for (before, after) in [
            ("users: { bob: { roles: [], password_hash: \"x\" } }\n", "users: { bob: { roles: [], @ } }\n"),
            ("users: { bob: { password_hash: x, roles: [] } }  # me\n", "users: { bob: { @, roles: [] } }  # me\n"),
            (
                "users:\n  bob:\n    password_hash: 'x' # old\n    roles: []\n",
                "users:\n  bob:\n    @ # old\n    roles: []\n",
            ),
            (
                "users:\n  bob: { roles: [], certificate: bob.der }\n",
                "users:\n  bob: { roles: [], certificate: bob.der, @ }\n",
            ),
            (
                "users:\n  bob:\n    roles: [Operator]\n\nlog: info\n",
                "users:\n  bob:\n    roles: [Operator]\n    @\n\nlog: info\n",
            ),
        ] {
            assert_eq!(set_password(before, "bob", "$argon2id$y"), Ok(after.replace('@', NEW)), "{before}");
        }
        for (before, why) in [
            ("users: { eva: { roles: [] } }\n", NotWritten::Missing),
            ("log: info\n", NotWritten::Missing),
            ("users: { bob: { password_hash: \"${env:BOB}\" } }\n", NotWritten::Elsewhere),
            ("users: { bob: [ ] }\n", NotWritten::Layout),
        ] {
            assert_eq!(set_password(before, "bob", "$argon2id$y"), Err(why), "{before}");
        }
    }

    #[test]
    fn a_user_goes_with_the_own_lines_alone() {
        for (before, after) in [
            ("users: { bob: { roles: [] } }\n", "users: { }\n"),
            ("users: { eva: { roles: [] }, bob: { roles: [] } }\n", "users: { eva: { roles: [] } }\n"),
            ("users: { bob: { roles: [] }, eva: { roles: [] } }\n", "users: { eva: { roles: [] } }\n"),
            (
                "users:\n  # first\n  bob: { roles: [] } # the boss\n  # end\nlog: info\n",
                "users: {}\n  # first\n  # end\nlog: info\n",
            ),
            (
                "users:\n  eva:\n    roles: []\n  bob:\n    roles:\n      - Operator\n\nlog: info\n",
                "users:\n  eva:\n    roles: []\n\nlog: info\n",
            ),
            ("log: info\nusers:\n  bob: { roles: [] }", "log: info\nusers: {}\n"),
        ] {
            assert_eq!(remove_user(before, "bob"), Ok(after.to_owned()), "{before}");
        }
        assert_eq!(remove_user("users: { eva: { roles: [] } }\n", "bob"), Err(NotWritten::Missing));
    }
}
