//! Rules for the shape of the code: the length of files and the parameters of functions.

use std::fs;

use crate::source::{Source, code, files, root, sources};

const LONGEST_FILE: usize = 500;

#[test]
fn files_stay_short_and_say_what_they_are_for() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{} has {lines} lines, more than {LONGEST_FILE}", source.path));
        }
        if !source.text.starts_with("//! ") {
            wrong.push(format!("{} does not begin with //!", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_of_tests_stay_short_and_share_code_through_the_kit() {
    let mut wrong = Vec::new();
    for path in files(&root().join("tests"), "rs") {
        let text = fs::read_to_string(&path).expect("a readable file");
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{} has {lines} lines, more than {LONGEST_FILE}", path.display()));
        }
        if code(&text).any(|line| line.starts_with("#[path")) {
            wrong.push(format!("{} includes a file by its path; move it to tests/kit", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The parameters of each function in a text, by the function's name.
fn parameters(code: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + 3..];
        let name_end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(name_end);
        let after = if rest.starts_with('<') { &rest[closing(rest).unwrap_or(0)..] } else { rest };
        let Some(list) = after.strip_prefix('(').filter(|_| !name.is_empty()) else { continue };
        let end = closing(after).map_or(list.len(), |end| end - 2);
        found.push((name, split(&list[..end])));
    }
    found
}

/// Where the bracket ends that a text begins with.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            _ => {}
        }
        before = letter;
        if depth == 0 {
            return Some(at + letter.len_utf8());
        }
    }
    None
}

/// Parts between the commas that stand in no bracket.
fn split(list: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut before) = (Vec::new(), 0, 0, ' ');
    for (at, letter) in list.char_indices() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = letter;
    }
    parts.push(list[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn is_tuple(parameter: &str) -> bool {
    let (pattern, kind) = parameter.split_once(':').unwrap_or((parameter, ""));
    let kind = kind.trim().trim_start_matches('&').trim_start().trim_start_matches("mut ");
    [pattern, kind].into_iter().any(|text| {
        let inside = text.strip_prefix('(').and_then(|rest| Some(&rest[..closing(text)? - 2]));
        inside.is_some_and(|inside| split(inside).len() > 1)
    })
}

#[test]
fn no_function_takes_a_tuple() {
    let of_file = |source: &Source| {
        let code = source.product_code();
        let wrong = parameters(&code).into_iter().flat_map(|(name, list)| {
            list.into_iter().filter(|one| is_tuple(one)).map(move |one| format!("{name} takes {one}"))
        });
        wrong.map(|what| format!("{}: {what}", source.path)).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = sources().iter().filter(|source| !source.is_test()).flat_map(of_file).collect();
    assert!(wrong.is_empty(), "give these a type with names:\n{}", wrong.join("\n"));
}

#[test]
fn a_tuple_is_seen_in_any_place_of_a_parameter_list() {
    let code = "fn a<T: Fn(u8) -> u8>(x: T, (y, z): (u8, u8)) {}\nfn b(x: &(u8, u8)) {}\nfn c(x: Vec<(u8, u8)>, f: impl Fn((u8, u8))) {}\nfn d(_: (), w: &mut (impl Write + Send)) {}";
    let seen: Vec<(&str, bool)> =
        parameters(code).into_iter().map(|(name, list)| (name, list.into_iter().any(is_tuple))).collect();
    assert_eq!(seen, [("a", true), ("b", true), ("c", false), ("d", false)]);
}
