//! Reload by the command line and by SIGHUP: what is said, the exit codes, and that a faulty file hides nothing.

use std::path::Path;

use opcell::testing::control::{ReloadResult, Request, Response, ask};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use testkit::program::{Said, Serving, folder, opcell};
use testkit::ua::Session;
use testkit::until;

const CELL: &str = "schema: 1\ncell: press\nnodes:\n  Pump:\n    children:\n      Speed: { type: Double, value: 1, range: [0, 3000] }\n      Old: { type: Int32, value: 1 }\n  Stays: { type: Int32, value: 3 }\n";
const NEXT: &str = "schema: 1\ncell: press\nnodes:\n  Pump:\n    children:\n      Speed: { type: Double, value: 1, range: [0, 3600] }\n      Hours: { type: Int32, value: 1 }\n  Stays: { type: Int32, value: 3 }\n";
const FAULTY: &str = "schema: 1\ncell: press\nnodes:\n  Stays: { type: Int23, value: 3 }\n";
const SERVER: &str = "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer]\nsecurity: { allow_unsecured: true }\n";

fn verb(folder: &Path, arguments: &[&str]) -> Said {
    opcell(folder, arguments, "")
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("written");
}

/// Resident memory in KiB, and open descriptors, of a process.
fn held(process: &str) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let memory = line.trim().trim_end_matches(" kB").parse().expect("a number");
    (memory, std::fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors").count())
}

/// A number of the answer that differs in each run.
fn without_times(text: &str) -> String {
    let words = text.split(' ');
    let is_number = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    let mut words: Vec<&str> = words.collect();
    for at in 1..words.len() {
        if words[at].trim_end_matches(['\n', ',']) == "ms" && is_number(&words[at - 1]) {
            words[at - 1] = "N";
        }
    }
    words.join(" ")
}

#[test]
fn a_reload_says_what_it_changed_and_a_dry_run_says_it_before() {
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::start(folder.path());
    assert_eq!(verb(folder.path(), &["reload", "server.yaml"]).code, 0);
    write(folder.path(), "cell.yaml", NEXT);
    let lines = "press: 1 changed, 1 added, 1 removed, 2 untouched\n\
                 \x20 ~ Pump.Speed    range [0, 3000] -> [0, 3600]     clients re-read its properties\n\
                 \x20 + Pump.Hours\n  - Pump.Old\n";
    let dry = verb(folder.path(), &["reload", "--dry-run", "server.yaml"]);
    assert_eq!(
        (dry.out.as_str(), dry.err.as_str(), dry.code),
        (format!("{lines}nothing was changed\n").as_str(), "", 0)
    );
    let done = verb(folder.path(), &["reload", "server.yaml"]);
    assert_eq!(
        (without_times(&done.out), done.code),
        (format!("{lines}revision 2, checked in N ms, applied in N ms\n"), 0)
    );
    let again = verb(folder.path(), &["reload", "--json", "server.yaml"]);
    let report: serde_json::Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!((report["result"].as_str(), report["revision"].as_u64(), again.code), (Some("unchanged"), Some(2), 0));
    let mut client = Session::open(serving.address);
    assert_eq!(client.read_value(NodeIdRef::string(2, "Pump.Hours")).value, Some(Value::Int32(1)));
    assert_eq!(client.read_value(NodeIdRef::string(2, "Pump.Old")).status, Some(StatusCode::BadNodeIdUnknown));
    client.close();
    serving.end();
    let late = verb(folder.path(), &["reload", "server.yaml"]);
    assert_eq!(late.code, 1, "{late:?}");
    assert!(late.err.contains("no server runs with the state folder"), "{late:?}");
}

#[test]
fn a_faulty_file_is_refused_and_hides_nothing() {
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::start(folder.path());
    write(folder.path(), "cell.yaml", FAULTY);
    let refused = verb(folder.path(), &["reload", "server.yaml"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("Int23") && refused.err.ends_with("refused: revision 1 stays in use\n"),
        "{refused:?}"
    );
    let json = verb(folder.path(), &["reload", "--json", "server.yaml"]);
    let report: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((report["result"].as_str(), json.code), (Some("refused"), 2));
    assert_eq!(report["findings"][0]["severity"].as_str(), Some("error"));
    for arguments in [&["status", "server.yaml"][..], &["status", "."], &["status", "--state-dir", "state"]] {
        let status = verb(folder.path(), arguments);
        assert_eq!(status.code, 0, "{arguments:?}: {status:?}");
        assert!(status.out.contains("revision     1, last reload refused at "), "{}", status.out);
    }
    write(folder.path(), "server.yaml", "nonsense: [\n");
    assert_eq!(verb(folder.path(), &["status", "server.yaml"]).code, 0, "the folder is the default one");
    let mut client = Session::open(serving.address);
    assert_eq!(client.read_value(NodeIdRef::string(2, "Stays")).value, Some(Value::Int32(3)));
    client.close();
    serving.end();
}

#[test]
fn a_hangup_reloads_and_says_so_in_the_log() {
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::start(folder.path());
    for (text, event) in [
        (NEXT, "reload.applied: revision 2"),
        (FAULTY, "reload.refused: revision 2"),
        (CELL, "reload.applied: revision 3"),
    ] {
        write(folder.path(), "cell.yaml", text);
        serving.signal("HUP");
        until(event, || serving.log().contains(event).then_some(()));
    }
    let log = serving.end();
    assert!(log.contains("~ Pump.Speed    range [0, 3000] -> [0, 3600]"), "{log}");
    assert!(log.contains("Int23"), "{log}");
}

#[test]
fn keys_that_need_a_restart_are_named_until_then() {
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::start(folder.path());
    write(folder.path(), "server.yaml", &format!("{SERVER}application: {{ uri: urn:another }}\n"));
    let done = verb(folder.path(), &["reload", "server.yaml"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("! application.uri takes effect at the next start"), "{done:?}");
    let status = verb(folder.path(), &["status", "server.yaml"]);
    assert!(status.out.contains("`application.uri` changed and takes effect at the next start"), "{}", status.out);
    serving.end();
}

#[test]
fn many_reloads_leave_memory_and_descriptors_flat() {
    let rounds = std::env::var("OPCELL_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let folder = folder(&[("cell.yaml", CELL), ("server.yaml", SERVER)]);
    let serving = Serving::logging(folder.path(), "warn");
    let state = folder.path().join("state");
    let mut client = Session::open(serving.address);
    let subscription = client.subscribe(100.0, 10_000, 10);
    let items = [(NodeIdRef::string(2, "Stays"), 1), (NodeIdRef::string(2, "Pump.Speed"), 2)];
    client.monitor(subscription, &items, 0.0, 10);
    let reload = |round: usize| {
        let text = if round.is_multiple_of(2) { NEXT } else { CELL };
        // A name that was never there before takes the place of one that went.
        write(folder.path(), "cell.yaml", &text.replace("Old", &format!("Old{round}")));
        let asked = ask(&state, &Request::Reload { dry_run: false }).expect("an answer");
        assert!(
            matches!(asked, Response::Reloaded { report, .. } if report.result == ReloadResult::Applied),
            "{round}"
        );
    };
    (0..rounds / 3).for_each(reload);
    let before = held(&serving.process());
    (rounds / 3..rounds).for_each(reload);
    let after = held(&serving.process());
    assert!(after.0 <= before.0 + 3_000, "{before:?} {after:?} KiB after {rounds} reloads");
    assert!(after.1 <= before.1 + 1, "{before:?} {after:?}");
    client.close();
    let log = serving.end();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn a_server_that_is_killed_while_it_reloads_starts_again() {
    let rounds = std::env::var("OPCELL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let keeps = |cell: &str| {
        cell.replace("type: Int32, value", "type: Int32, history: process, value")
            .replace("nodes:", "history:\n  process: { deadband: 0, max_interval: 1h, keep: 90d }\nnodes:")
    };
    let folder = folder(&[("cell.yaml", &keeps(CELL)), ("server.yaml", SERVER)]);
    for round in 0..rounds {
        let serving = Serving::logging(folder.path(), "warn");
        let text = if round % 2 == 0 { NEXT } else { CELL };
        // Each has a namespace and archives that were never there before.
        let text = keeps(&text.replace("Hours", &format!("Hours{round}")))
            .replace("cell: press", &format!("cell: press\nnamespace: urn:test:{round}"));
        write(folder.path(), "cell.yaml", &text);
        serving.signal("HUP");
        std::thread::sleep(std::time::Duration::from_millis(fastrand::u64(0..60)));
        serving.signal("KILL");
        drop(serving);
    }
    let serving = Serving::logging(folder.path(), "warn");
    let mut client = Session::open(serving.address);
    let uri = client.read_value(NodeIdRef::numeric(0, 2255)).value;
    assert!(format!("{uri:?}").contains(&format!("urn:test:{}", rounds - 1)), "{uri:?}");
    client.close();
    serving.end();
}
