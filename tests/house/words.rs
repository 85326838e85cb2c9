//! Words that make sentences hard to read for engineers whose first language is not English (CONTRIBUTING.md).
//!
//! Looked at are comments and texts in the source, and all documents.

use std::fs;

use crate::source::{files, root, sources, split};

/// The words that no text may contain, each with the words to write instead.
const WORST: &[(&str, &str)] = &[
    ("for so long", "`for at least 5 s`, or `for that time`"),
    ("so long after", "… after"),
    ("so long before", "… before"),
    ("so long as", "while"),
    ("at least so long", "for at least …"),
    ("so often", "the interval, such as `every 5 s`"),
    ("so many", "the number, such as `at most 5`"),
    ("told of", "`reported` or `logged`"),
    ("tell of", "`report` or `log`"),
    ("tells of", "`reports` or `logs`"),
    ("anew", "`again`"),
    ("beside", "next to, in addition to"),
    ("besides", "next to, in addition to"),
    ("stands", "is, remains"),
    ("whoever", "the name of the one who acts, such as `the client`"),
    ("somebody", "name the subject: a client, a user"),
    ("who only", "a client that only …"),
    ("gives way", "is closed first, is removed"),
    ("knocks", "tries to connect"),
];

/// Places where things are behind one another; the word never means time or addition.
const BEHIND: &[&str] = &[
    "behind nat",
    "behind a nat",
    "behind a gateway",
    "behind the gateway",
    "behind one gateway",
    "behind one address",
    "behind the same address",
    "behind a proxy",
    "behind a firewall",
    "behind a router",
];

/// Whether a line has this word as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word)
        .any(|(at, _)| !is_letter(line[..at].chars().next_back()) && !is_letter(line[at + word.len()..].chars().next()))
}

/// The faults of a text, each with its line.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut before = "";
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let mut say = |what: String| found.push(format!("{name}:{}: {what}: {}", number + 1, line.trim()));
        for (word, better) in WORST.iter().filter(|(word, _)| has_word(&lower, word)) {
            if !(*word == "stands" && has_word(&lower, "stands for")) {
                say(format!("`{word}`, better {better}"));
            }
        }
        if has_word(&lower, "behind") && !BEHIND.iter().any(|place| lower.contains(place)) {
            say("`behind`, better `after`, or the place in plain words".to_owned());
        }
        let doc = ["/// ", "//! "].into_iter().find_map(|mark| line.trim_start().strip_prefix(mark));
        let is_first = !["///", "//!"].iter().any(|mark| before.trim_start().starts_with(mark));
        if is_first && doc.is_some_and(|doc| doc.starts_with("What ") || doc.starts_with("Who ")) {
            say("a doc comment begins with a noun or a verb".to_owned());
        }
        before = line;
    }
    found
}

#[test]
fn texts_are_free_of_the_worst_words() {
    let mut wrong: Vec<String> =
        sources().iter().flat_map(|source| faults(&source.path, &split(&source.text).1)).collect();
    let mut documents = files(&root().join("docs"), "md");
    documents.extend(
        ["README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "pki/README.md"].map(|name| root().join(name)),
    );
    documents.extend(files(&root().join("address-space"), "yaml"));
    for path in &documents {
        let name = path.strip_prefix(root()).expect("below the package").to_string_lossy();
        wrong.extend(faults(&name, &fs::read_to_string(path).expect("a readable document")));
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn words_are_seen_in_comments_and_texts_and_not_in_code() {
    let text = "/// What it is.\nfn anew(beside: u8) -> char {\n    // kept for so long\n    say(\"it \\\" stands\", r#\"whoever\"#, '\"')\n}\n/// Stands for the unit.\n";
    let places: Vec<String> = faults("f", &split(text).1).iter().map(|fault| fault[..4].to_owned()).collect();
    assert_eq!(places, ["f:1:", "f:3:", "f:4:", "f:4:"]);
}
