//! `read` and `browse`: what devices have, before a server runs.

use std::net::TcpListener;

use testkit::program::{Serving, folder, opcell};

const TAPE: &str = "time,Level,Open,Name\n0,12.5,on,tank 1\n1000,13,,\n";
const CELL: &str = "schema: 1\ncell: tank\nconnections:\n  tape: { driver: replay, file: tape.csv }\n  \
    plc: { driver: modbus-tcp, host: 127.0.0.1, port: PORT }\nnodes:\n  Level: { type: Double, connection: tape, source: Level, scale: { factor: 0.1 } }\n  \
    Open: { type: Boolean, connection: tape, source: Open }\n  Wrong: { type: Int16, connection: tape, source: Level }\n  \
    Set: { type: Double, value: 5, write: true }\n  Far: { type: UInt16, connection: plc, source: holding/1 }\n";

fn site() -> tempfile::TempDir {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a free port").port();
    folder(&[
        ("cell.yaml", &CELL.replace("PORT", &port.to_string())),
        ("tape.csv", TAPE),
        ("server.yaml", "schema: 1\ncells: [cell.yaml]\n"),
    ])
}

#[test]
fn tags_are_read_without_a_server() {
    let site = site();
    let said = opcell(site.path(), &["read", "cell.yaml"], "");
    let line = |tag: &str| said.out.lines().find(|line| line.starts_with(tag)).unwrap_or_default().to_owned();
    let words = |tag: &str| line(tag).split_whitespace().take(4).map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(words("tank:Level"), "tank:Level 12.5 1.25 Good", "{}{}", said.out, said.err);
    assert_eq!(words("tank:Open"), "tank:Open true true Good");
    assert_eq!(words("tank:Set"), "tank:Set - 5 Good");
    assert!(
        line("tank:Wrong").contains("12.5") && line("tank:Wrong").contains("which its type cannot hold"),
        "{}",
        said.out
    );
    assert!(line("tank:Far").contains("BadNotConnected") && line("tank:Far").contains("refused"), "{}", said.out);
    assert_eq!(said.code, 1, "some are Bad");
    let said = opcell(site.path(), &["read", "Op*", "tank:Level", "cell.yaml", "--json"], "");
    let all: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!((all.len(), said.code), (2, 0), "{}{}", said.out, said.err);
    assert_eq!(
        (&all[0]["tag"], &all[0]["raw"], &all[0]["value"]),
        (&"tank:Level".into(), &"12.5".into(), &"1.25".into())
    );
    for wait in ["1e19", "-1", "NaN"] {
        let said = opcell(site.path(), &["read", "Level", "cell.yaml", &format!("--wait={wait}")], "");
        assert_eq!((said.code, said.err.contains("out of range 0..3600")), (1, true), "{wait} {}", said.err);
    }
    let said = opcell(site.path(), &["read", "Levle", "cell.yaml"], "");
    assert_eq!((said.code, said.err.as_str()), (1, "error: no tag `Levle`; did you mean `Level`?\n"));
}

#[test]
fn devices_of_a_running_server_are_left_to_it() {
    let site = site();
    let serving = Serving::start(site.path());
    let said = opcell(site.path(), &["read", "server.yaml"], "");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("a server runs with these files"), "{}", said.err);
    serving.end();
}

#[test]
fn a_listing_of_a_device_is_a_cell_that_is_good() {
    let site = site();
    let said = opcell(site.path(), &["browse", "tape", "cell.yaml"], "");
    assert_eq!(said.code, 0, "{}", said.err);
    let wanted = "defaults: { connection: tape }\nnodes:\n  Level: { type: Double, source: Level }\n  \
        Name: { type: String, source: Name }\n  Open: { type: Boolean, source: Open }\n";
    assert_eq!(said.out, wanted);
    let head = "schema: 1\ncell: other\nconnections:\n  tape: { driver: replay, file: tape.csv }\n";
    std::fs::write(site.path().join("other.yaml"), format!("{head}{}", said.out)).expect("written");
    let said = opcell(site.path(), &["check", "other.yaml"], "");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = opcell(site.path(), &["browse", "plc", "cell.yaml"], "");
    assert_eq!((said.code, said.err.contains("its protocol has no listing")), (1, true), "{}", said.err);
}
