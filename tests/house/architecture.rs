//! The layers of the source: which room may import which, which crate lives where, where clocks and logs are read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::source::{Source, code, root, sources};

/// Rooms that every room may import.
const LEAVES: [&str; 3] = ["value", "health", "logging"];

/// Rooms that may import every room: the front page of the crate, and the door for tests.
const FREE: [&str; 2] = ["lib", "testing"];

/// The table of rooms in docs/architecture.md: a room, and the rooms that it may import. `stack::crypto` names a part of
/// a room.
fn rooms() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let section = page.split("\n## Rooms\n").nth(1).expect("a section on rooms");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let row = |line: &str| {
        let mut columns = line.trim_matches('|').split('|').map(str::trim);
        let room = columns.next().expect("a room").to_owned();
        let imports = columns.nth(1).expect("three columns").split_whitespace().map(str::to_owned).collect();
        (room, imports)
    };
    rows.map(row).collect()
}

/// Crates that one corner owns, and that corner.
const OWNED: &[(&str, &[&str])] = &[
    ("granit_parser", &["config"]),
    ("annotate_snippets", &["config"]),
    ("aws_lc_rs", &["stack/crypto", "pki"]),
    // Unit tests of TLS make certificates.
    ("rcgen", &["pki", "drivers/tls"]),
    ("rustls_native_certs", &["drivers/tls"]),
    ("x509_parser", &["pki", "stack/crypto"]),
    ("argon2", &["ua/users"]),
    ("tokio_serial", &["drivers/modbus"]),
    ("gpiocdev_uapi", &["drivers/gpio/cdev"]),
    ("chrono", &["drivers/s7/time", "tags/derive/zone"]),
    ("inotify", &["pki", "app/reload"]),
    ("clap", &["cli", "main"]),
    ("rpassword", &["cli"]),
    ("rusqlite", &["history/store"]),
    ("pco", &["history/store"]),
    ("parquet", &["history/export"]),
    ("lz4_flex", &["history/store"]),
    ("crc32fast", &["history/store", "publish/spool"]),
];

/// Rooms (with their first part below, as `stack::crypto`) that a file names through `crate::`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code(text) {
        for (at, _) in line.match_indices("crate::") {
            if line[..at].ends_with('$') || line[..at].ends_with('_') {
                continue;
            }
            let rest = &line[at + "crate::".len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let inner = list.split('}').next().unwrap_or_default();
                found.extend(inner.split(',').map(|part| path_of(part.trim())));
            } else {
                found.push(path_of(rest));
            }
        }
    }
    found.retain(|path| !path.is_empty() && path.chars().next().is_some_and(char::is_lowercase));
    found
}

/// The first two parts of a path.
fn path_of(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    text[..end].split("::").take(2).collect::<Vec<_>>().join("::")
}

#[test]
fn rooms_import_what_the_table_allows_and_nothing_else() {
    let rooms = rooms();
    let mut unused: BTreeSet<(String, String)> =
        rooms.iter().flat_map(|(room, list)| list.iter().map(|other| (room.clone(), other.clone()))).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !FREE.contains(&source.room.as_str())) {
        let allowed = rooms.get(&source.room).unwrap_or_else(|| panic!("{} is in no room of the table", source.path));
        for import in imports(&source.text) {
            let other = import.split("::").next().expect("a first part");
            let is_macro = other == "each_elements";
            let rule = allowed.iter().find(|rule| *rule == other || import.starts_with(rule.as_str()));
            if let Some(rule) = rule {
                unused.remove(&(source.room.clone(), rule.clone()));
            } else if other != source.room && !LEAVES.contains(&other) && !is_macro {
                wrong.push(format!("{} uses {import}", source.path));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "imports that docs/architecture.md does not allow:\n{}", wrong.join("\n"));
    assert!(unused.is_empty(), "imports that docs/architecture.md allows and no file has: {unused:?}");
}

#[test]
fn a_crate_that_one_corner_owns_is_named_nowhere_else() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, corners) in OWNED {
            // `rustls::crypto::aws_lc_rs` is a module of another crate.
            let is_crate = |line: &str, at: usize| !line[..at].ends_with("::");
            let uses = code(&source.text)
                .any(|line| line.match_indices(&format!("{name}::")).any(|(at, _)| is_crate(line, at)));
            if uses && !corners.iter().any(|corner| source.path.starts_with(corner)) {
                wrong.push(format!("{} uses {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "crates out of their corner:\n{}", wrong.join("\n"));
}

/// Where clients cause what is done; every line of the log there has a rate limit.
const CLIENTS_LOG_HERE: [&str; 7] = [
    "ua/",
    "app/housekeeping.rs",
    "app/listener.rs",
    "app/signals.rs",
    "audit/trail.rs",
    "history/store/retention.rs",
    "stack/",
];

/// Lines of such a file that no client and no full disk can cause.
const OPERATORS_LOG: [&str; 1] = ["log::warn!(\"SIGHUP: "];

#[test]
fn lines_of_the_log_that_a_client_can_cause_are_rate_limited() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| CLIENTS_LOG_HERE.iter().any(|at| source.path.starts_with(at))) {
        for line in code(&source.text) {
            let is_log = ["log::error!(", "log::warn!(", "log::info!("].iter().any(|name| line.contains(name));
            if is_log && !OPERATORS_LOG.iter().any(|allowed| line.contains(allowed)) {
                wrong.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "write these by logging::limited:\n{}", wrong.join("\n"));
}

/// Fields that hold secrets, by their names.
const SECRET: [&str; 4] = ["nonce", "password", "secret", "token: Option<Token>"];

/// Structs that print a secret, by their path; each with its reason.
const PRINTS_SECRETS: [&str; 2] = [
    // Read from the file and dropped before anything runs.
    "config/spec/",
    // Sizes and places, not values.
    "stack/crypto/policy",
];

#[test]
fn types_with_a_secret_do_not_print_it() {
    let mut wrong = Vec::new();
    for source in sources() {
        let mut is_shown = false;
        for line in code(&source.text).take_while(|line| !line.contains("#[cfg(test)]")) {
            if line.trim_start().starts_with("#[derive(") {
                is_shown = line.contains("Debug");
            } else if line.trim_start().starts_with("impl") || line.trim_start().starts_with("fn ") || line == "}" {
                is_shown = false;
            }
            let is_field = line.contains(": ") && line.trim_end().ends_with(',') && !line.contains('(');
            let names = SECRET.iter().any(|name| line.contains(name));
            let is_value = ["Vec<u8>", "[u8", "String", "str"].iter().any(|kind| line.contains(kind));
            if is_shown && is_field && names && is_value && !line.contains("Hidden<") {
                wrong.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    wrong.retain(|line| !PRINTS_SECRETS.iter().any(|path| line.starts_with(path)));
    assert!(wrong.is_empty(), "put these into `Hidden`:\n{}", wrong.join("\n"));
}

#[test]
fn modules_that_compute_read_no_clock_and_do_no_io() {
    // Part of the path, and what may not be used there.
    let pure = [
        "config/",
        "model/",
        "drivers/batch",
        "drivers/modbus/raw",
        "drivers/modbus/pdu",
        "drivers/number",
        "drivers/ethernet_ip/change",
        "drivers/ethernet_ip/cip",
        "drivers/ethernet_ip/client/pack",
        "drivers/ethernet_ip/frame",
        "drivers/ethernet_ip/listing",
        "drivers/ethernet_ip/value",
        "drivers/gpio/table",
        "drivers/gpio/watch",
        "drivers/gpio/wiring",
        "drivers/s7/frame",
        "drivers/s7/pdu",
        "drivers/s7/value",
        "drivers/s7/client/pack",
        "drivers/sysfs/address",
        "drivers/sysfs/places",
        "drivers/sysfs/value",
        "formula/check",
        "formula/functions",
        "formula/lexer",
        "formula/parse",
        "history/aggregate/",
        "ua/space/",
    ];
    let files_read_here = ["config/files.rs"];
    let banned = ["std::fs", "std::net::Tcp", "SystemTime", "Instant::now", "UaTime::now", "tokio::"];
    let mut wrong = Vec::new();
    for source in sources() {
        if !pure.iter().any(|part| source.path.starts_with(part)) || files_read_here.contains(&source.path.as_str()) {
            continue;
        }
        for line in code(&source.text).take_while(|line| !line.contains("#[cfg(test)]")) {
            if let Some(found) = banned.iter().find(|found| line.contains(**found)) {
                wrong.push(format!("{} uses {found}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn parts_with_timers_are_told_the_time() {
    let told = [
        "drivers/schedule",
        "formula/calls",
        "formula/memory",
        "formula/run",
        "formula/window",
        "ua/session/",
        "ua/subscription/",
        "ua/users/lockout",
    ];
    let banned = ["Instant::now", "UaTime::now", "SystemTime", "Stamp::now", "Moment::now", ".elapsed()"];
    let mut wrong = Vec::new();
    for source in sources() {
        if source.is_test() || !told.iter().any(|part| source.path.starts_with(part)) {
            continue;
        }
        let code = source.product_code();
        wrong.extend(
            banned.iter().filter(|word| code.contains(**word)).map(|word| format!("{} uses {word}", source.path)),
        );
    }
    assert!(wrong.is_empty(), "give these `now` as a parameter:\n{}", wrong.join("\n"));
}

#[test]
fn the_wall_clock_has_one_source() {
    let reads = |source: &Source| code(&source.text).any(|line| line.contains("SystemTime::now"));
    let readers: Vec<String> =
        sources().iter().filter(|source| reads(source)).map(|source| source.path.clone()).collect();
    assert_eq!(readers, ["value/mod.rs"]);
}

/// Queues without a limit of their own, and what limits them.
const UNBOUNDED: [(&str, &str); 3] = [
    ("app/mod.rs", "reports on the outputs of a cell: one for each tag with `on_stop`"),
    ("app/scan.rs", "the same of a scan, which has no outputs"),
    ("history/store/mod.rs", "the reply to one edit"),
];

#[test]
fn queues_are_bounded() {
    let mut wrong = Vec::new();
    for source in sources() {
        let is_unbounded = |line: &str| line.contains("unbounded_channel") || line.contains("mpsc::channel()");
        let product = source.product_code();
        let has_reason = UNBOUNDED.iter().any(|(path, _)| *path == source.path);
        if !source.is_test() && !has_reason && product.lines().any(is_unbounded) {
            wrong.push(source.path);
        }
    }
    assert!(wrong.is_empty(), "queues that a peer can fill without limit:\n{}", wrong.join("\n"));
}

#[test]
fn drivers_leave_waiting_and_logging_to_the_supervisor() {
    // The silence that a serial line needs between two frames belongs to the protocol, and a recording has its own times.
    let waits = [("drivers/modbus/wire", "sleep"), ("drivers/replay/player", "sleep")];
    let mut wrong = Vec::new();
    for source in sources() {
        let folder = source.path.strip_prefix("drivers/").filter(|below| below.contains('/'));
        if source.is_test() || folder.is_none_or(|below| below.starts_with("supervisor/")) {
            continue;
        }
        for banned in ["sleep", "log::", "logging::"] {
            let is_allowed = waits.iter().any(|(path, what)| source.path.starts_with(path) && *what == banned);
            if !is_allowed && source.product_code().contains(banned) {
                wrong.push(format!("{} uses {banned}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "the supervisor waits and logs for all drivers:\n{}", wrong.join("\n"));
}
