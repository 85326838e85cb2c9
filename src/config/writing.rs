//! Writing back into a server file: bytes of one place change, comments and layout stay.
//!
//! After each edit the text is parsed again and compared: everything else must read as before, or nothing is written.

use super::report::Findings;
use super::source::{Ix, Kind, Source};

/// An entry for `users:`.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    pub name: &'a str,
    pub roles: &'a [String],
    pub password_hash: &'a str,
}

/// Why a text stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    #[error("it is no YAML that can be read")]
    Unreadable,
    #[error("it has this user already")]
    Exists,
    #[error("its layout leaves no safe place for a new user")]
    Layout,
}

impl NewUser<'_> {
    /// The entry as one line of YAML.
    pub fn line(&self) -> String {
        let roles: Vec<String> = self.roles.iter().map(|role| plain_or_quoted(role)).collect();
        let (name, roles) = (plain_or_quoted(self.name), roles.join(", "));
        format!("{name}: {{ roles: [{roles}], password_hash: \"{}\" }}", self.password_hash)
    }
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
pub fn add_user(text: &str, user: &NewUser<'_>) -> Result<String, NotWritten> {
    let (source, root) = parse(text).ok_or(NotWritten::Unreadable)?;
    if source.get(root, "users").is_some_and(|users| source.get(users, user.name).is_some()) {
        return Err(NotWritten::Exists);
    }
    let (at, piece) = place_for(&source, root, text, user).ok_or(NotWritten::Layout)?;
    let written = format!("{}{piece}{}", &text[..at], &text[at..]);
    let (after, new_root) = parse(&written).ok_or(NotWritten::Layout)?;
    let added = after.get(new_root, "users").and_then(|users| after.get(users, user.name));
    let hash = added.and_then(|added| after.get(added, "password_hash")).map(|hash| after.text(hash));
    let is_same = content(&source, root, user.name) == content(&after, new_root, user.name);
    if is_same && hash == Some(user.password_hash) { Ok(written) } else { Err(NotWritten::Layout) }
}

fn parse(text: &str) -> Option<(Source, Ix)> {
    let mut source = Source::default();
    let mut findings = Findings::default();
    let file = source.add_file("server file".into(), text.to_owned())?;
    let root = source.parse(file, &mut findings)?;
    (!findings.has_errors() && source.kind(root) == Kind::Mapping).then_some((source, root))
}

/// Every scalar with its path, but those of this user.
fn content(source: &Source, root: Ix, user: &str) -> Vec<(String, String)> {
    let added = source.get(root, "users").and_then(|users| source.get(users, user));
    let mut found = Vec::new();
    let mut visit = |source: &Source, at: Ix| {
        let mut above = Some(at);
        while let Some(ix) = above {
            if Some(ix) == added {
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
    let last = source.entries(users).last();
    if source.kind(users) == Kind::Null {
        let key = source.entries(root).find(|(_, value)| *value == users)?.0;
        return after_line(text, end_of(source, key), &format!("  {line}"));
    }
    if source.kind(users) != Kind::Mapping {
        return None;
    }
    if is_flow(source, users, text) {
        return before_brace(source, users, text, last.is_some(), &line);
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

/// A new line behind the one in which this byte lies.
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

/// The end of an entry's last scalar or brace: a block's own end may lie behind comments that follow it.
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
        add_user(text, &NewUser { name: "anna", roles: &roles, password_hash: "$argon2id$x" })
    }

    const LINE: &str = "anna: { roles: [Operator], password_hash: \"$argon2id$x\" }";

    #[test]
    fn one_place_changes_and_everything_else_stays() {
        //   before, after (@ stands for the new entry)
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
            let user = NewUser { name, roles: &[], password_hash: "$argon2id$x" };
            let written = add_user("schema: 1\n", &user).unwrap_or_else(|error| panic!("{name}: {error}"));
            let again = add_user(&written, &user);
            assert_eq!(again, Err(NotWritten::Exists), "{name}: {written}");
        }
    }
}
