//! Rights: people × nodes × operations, every cell tried by a client and held against
//! `matrix.table`, and against the permissions that the server itself shows. `UPDATE=1` writes the table
//! again; read the diff.

mod change;
mod model_change;
mod people;
mod probe;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use opcell::testing::stack::crypto::MessageSecurityMode;
use people::PEOPLE;
use probe::{OPERATIONS, PLACES, Place, Shown, answer, id, nobody, outcome, shown, word};
use testkit::ua::Session;

/// PermissionType (Part 3 §8.55, 1.05) by the operation that it allows, with the bit of the AccessLevel that says
/// whether anybody can.
const BITS: [(&str, u32, u8); 6] = [
    ("read", 1 << 5, 1),
    ("monitor", 1 << 5, 1),
    ("write", 1 << 6, 2),
    ("history", 1 << 7, 4),
    ("insert", 1 << 8, 8),
    ("delete", 1 << 10, 8),
];
const BROWSE: u32 = 1;
const READ_ROLE_PERMISSIONS: u32 = 1 << 1;
const CALL: u32 = 1 << 12;
const ENCRYPTION_REQUIRED: u16 = 2;

/// The outcome of each operation of one person on one node, as words in the order of `OPERATIONS`.
fn row(session: &mut Session, subscription: u32, place: &Place, who: &str, is_encrypted: bool) -> String {
    let mut words = Vec::new();
    for operation in OPERATIONS {
        words.push((operation, word(outcome(session, operation, place, subscription))));
    }
    let is_seen = words.iter().any(|(operation, word)| *operation == "mine" && word == "ok");
    let context = format!("{who} at {}", place.id);
    if is_seen {
        let shown = shown(session, id(place.id));
        hold_against(&words, &shown, is_encrypted, &context);
    } else {
        for (operation, word) in &words {
            assert!(*operation == "register" || word == "unknown", "{context}: {operation} is {word}");
        }
        same_as_unknown(session, subscription, place, &context);
    }
    words.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

/// Every permission bit that the server shows agrees with what its services allow.
fn hold_against(words: &[(&str, String)], shown: &Shown, is_encrypted: bool, context: &str) {
    let mask = shown.mine.iter().fold(0, |all, (_, bits)| all | bits);
    let is_weak = shown.restrictions & ENCRYPTION_REQUIRED != 0 && !is_encrypted;
    let outcome = |name: &str| &words.iter().find(|(operation, _)| *operation == name).expect("it was tried").1;
    assert_ne!(mask & BROWSE, 0, "{context}: it is seen");
    for (operation, bit, level) in BITS {
        let may = mask & bit != 0;
        if shown.level & level == 0 {
            assert!(!may, "{context}: {operation} is shown as permitted, and the AccessLevel denies it to all");
        }
        assert_eq!(outcome(operation) == "ok", may && !is_weak, "{context}: {operation}, shown {shown:?}");
        assert_eq!(shown.user_level & level != 0, may, "{context}: UserAccessLevel of {operation}, shown {shown:?}");
    }
    assert_eq!(outcome("call") == "ok", mask & CALL != 0 && !is_weak, "{context}: call");
    assert_eq!(shown.executable.unwrap_or(mask & CALL != 0), mask & CALL != 0, "{context}: UserExecutable");
    assert_eq!(outcome("roles") == "ok", mask & READ_ROLE_PERMISSIONS != 0 && !is_weak, "{context}: roles");
    if let Some(all) = &shown.all {
        assert!(shown.mine.iter().all(|mine| all.contains(mine)), "{context}: {:?} in {all:?}", shown.mine);
    }
}

/// The answer for a node that a session may not see is, byte for byte, the one for a node that does not exist.
fn same_as_unknown(session: &mut Session, subscription: u32, place: &Place, context: &str) {
    let unknown = nobody(place.id);
    for operation in OPERATIONS.into_iter().filter(|name| !matches!(*name, "child" | "translate" | "register")) {
        let hidden = answer(session, operation, id(place.id), subscription);
        let nothing = answer(session, operation, id(&unknown), subscription);
        assert_eq!((hidden.result, hidden.type_id), (nothing.result, nothing.type_id), "{context}: {operation}");
        assert_eq!(hidden.body, nothing.body, "{context}: {operation}");
    }
}

/// `node`, then a line for all people with the same row: `words: people`.
fn render(rows: &BTreeMap<(usize, String), Vec<&str>>) -> String {
    let mut text = format!("# {}\n", OPERATIONS.join(" "));
    let mut last = usize::MAX;
    for ((place, words), people) in rows {
        if *place != last {
            write!(text, "\n{}\n", PLACES[*place].id).expect("text takes every write");
            last = *place;
        }
        writeln!(text, "  {words}: {}", people.join(" ")).expect("text takes every write");
    }
    text
}

#[test]
fn the_rights_of_every_person_are_those_of_the_table_and_of_the_server_s_attributes() {
    let field = people::open();
    let mut rows: BTreeMap<(usize, String), Vec<&str>> = BTreeMap::new();
    for person in &PEOPLE {
        let mut session = person.come(&field);
        let subscription = session.subscribe(20.0, 1000, 10);
        let is_encrypted = person.mode == MessageSecurityMode::SignAndEncrypt;
        for (n, place) in PLACES.iter().enumerate() {
            let row = row(&mut session, subscription, place, person.name, is_encrypted);
            rows.entry((n, row)).or_default().push(person.name);
        }
        session.close();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/permissions/matrix.table");
    let found = render(&rows);
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(&path, &found).expect("written");
    }
    let expected = std::fs::read_to_string(&path).expect("the table");
    for (n, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "line {}", n + 1);
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "cells are missing");
}
