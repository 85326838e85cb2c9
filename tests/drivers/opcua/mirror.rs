//! Folders with `browse`: another server's nodes as if they were written in the cell file.

use opcell::value::Value;
use opcua::StatusCode;
use testkit::peers::{free_port, python};
use testkit::program::folder;
use testkit::relay::Relay;
use testkit::request::text_id;
use testkit::server::TestServer;
use testkit::until;

use super::{Follower, Script};

const SOURCE: &str = r#"
schema: 1
cell: press
namespace: urn:test:press
types:
  enums:
    State: { 0: Stopped, 1: Running, 5: Faulted }
nodes:
  Machine:
    children:
      Speed: { type: Double, unit: rpm, range: [0, 3000], description: The speed, value: 12.5, write: true }
      State: { type: State, value: Running }
      Fixed: { type: String, length: 20, value: FC3 }
      Inner:
        children:
          Deep: { type: Int32, value: 7 }
"#;

fn cell(url: &str, browse: &str, more: &str) -> String {
    format!(
        "schema: 1\ncell: line\nconnections:\n  peer: {{ driver: opcua, url: \"{url}\", allow_write: true, reconnect_max: 500ms, \
         publish_every: 50ms, timeout: 5s, policy: None, allow_unsecured: true }}\n\
         defaults: {{ connection: peer, poll: 20ms }}\nnodes:\n  M:\n    browse: {browse}\n{more}"
    )
}

const WHOLE: &str = "{ address: /press/Machine, write: true }";

#[test]
fn nodes_of_another_server_are_there_with_all_that_it_says_of_them() {
    let source = TestServer::start(SOURCE);
    let own = "    children:\n      Fixed: { type: String, value: own }\n";
    let mut follower = Follower::start(&cell(&source.url(), WHOLE, own));
    follower.until_is("M.Speed", &Value::Double(12.5));
    follower.until_is("M.State", &Value::Int32(1));
    follower.until_is("M.Inner.Deep", &Value::Int32(7));
    // The folder's own child of this name comes first.
    follower.until_is("M.Fixed", &Value::text("own"));
    let mut texts = |name: &str| format!("{:?}", follower.session.read_value(text_id(name)));
    for (name, words) in [("M.Speed.EngineeringUnits", "Wire"), ("M.Speed.EURange", "Wire")] {
        assert!(texts(name).contains(words), "{name}: {}", texts(name));
    }
    let world = follower.server.server.world();
    let cell = &world.plant.cells[0];
    let tag = |name: &str| {
        let found = world.plant.tags.values().find(|tag| cell.path(tag.node) == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let speed = tag("M.Speed");
    assert_eq!(speed.shape.range, Some((0.0, 3000.0)));
    assert_eq!(speed.shape.unit.as_ref().map(|unit| unit.symbol.as_str()), Some("r/min"));
    assert_eq!(cell.enums[0].values.len(), 3);
    drop(world);
    assert_eq!(follower.session.write(text_id("M.Speed"), &Value::Double(20.0)), StatusCode::Good);
    follower.until_is("M.Speed", &Value::Double(20.0));
    // The source does not let it be written, so no client may.
    assert_eq!(follower.session.write(text_id("M.State"), &Value::Int32(0)), StatusCode::BadNotWritable);
    // A restart of the same server, without its source: the nodes are there, and Bad.
    drop(source);
    let Follower { server, session } = follower;
    drop(session);
    let server = server.restart();
    let session = testkit::ua::Session::open(server.address);
    let mut follower = Follower { server, session };
    for name in ["M.Speed", "M.State", "M.Inner.Deep"] {
        follower.until_status(name, StatusCode::BadNotConnected);
    }
}

#[test]
fn a_new_listing_is_taken_without_a_break_and_what_has_gone_stays_until_the_next_start() {
    let source = TestServer::start(SOURCE);
    let relay = Relay::to(source.address);
    let mut follower = Follower::start(&cell(&relay.url(), WHOLE, ""));
    follower.until_is("M.Speed", &Value::Double(12.5));
    let subscription = follower.session.subscribe(50.0, 1_000, 20);
    follower.session.monitor(subscription, &[(text_id("M.Speed"), 1)], 0.0, 100);
    let before = follower.server.server.world().revision();
    source.reload(
        &SOURCE.replace(
            "      Fixed: { type: String, length: 20, value: FC3 }\n",
            "      New: { type: Int16, value: 3 }\n",
        ),
    );
    until("the link is there", || relay.cut() > 0);
    follower.until_is("M.New", &Value::Int16(3));
    follower.until_status("M.Fixed", StatusCode::BadNodeIdUnknown);
    assert_eq!(follower.server.server.world().revision(), before + 1);
    // The item on a node that did not change is the same.
    assert_eq!(follower.session.write(text_id("M.Speed"), &Value::Double(99.0)), StatusCode::Good);
    let mut seen = Vec::new();
    while !seen.contains(&Some(Value::Double(99.0))) {
        seen.extend(follower.session.next_data().data.into_iter().map(|(_, value)| value.value));
    }
    // It returns under its name.
    source.reload(SOURCE);
    until("the link is there", || relay.cut() > 0);
    follower.until_is("M.Fixed", &Value::text("FC3"));
    follower.until_status("M.New", StatusCode::BadNodeIdUnknown);
    let Follower { server, session } = follower;
    drop(session);
    let server = server.restart();
    let session = testkit::ua::Session::open(server.address);
    let mut follower = Follower { server, session };
    follower.until_is("M.Fixed", &Value::text("FC3"));
    assert_eq!(follower.status("M.New"), StatusCode::BadNodeIdUnknown);
    let world = follower.server.server.world();
    let cell = &world.plant.cells[0];
    let mut paths: Vec<String> = world.plant.tags.values().map(|tag| cell.path(tag.node)).collect();
    paths.sort();
    assert_eq!(paths, ["M.Fixed", "M.Inner.Deep", "M.Speed", "M.State"], "what had gone is no node any more");
}

#[test]
fn a_reload_while_mirrored_keeps_the_nodes_and_a_mirror_takes_no_file_that_nobody_asked_for() {
    let source = TestServer::start(SOURCE);
    let relay = Relay::to(source.address);
    let mut follower = Follower::start(&cell(&relay.url(), WHOLE, ""));
    follower.until_is("M.Speed", &Value::Double(12.5));
    follower.server.reload(&cell(&relay.url(), WHOLE, "  Own: { type: Float, value: 1 }\n"));
    assert!(follower.status("M.Speed").is_good());
    follower.until_is("Own", &Value::Float(1.0));
    // Another beginning: the nodes of before have no place any more.
    follower.server.reload(&cell(&relay.url(), "/press/Machine/Inner", ""));
    follower.until_is("M.Deep", &Value::Int32(7));
    assert_eq!(follower.status("M.Speed"), StatusCode::BadNodeIdUnknown);
    // A file that is being edited is left alone.
    let edited = cell(&relay.url(), "/press/Machine", "  Edited: { type: Float, value: 1 }\n");
    std::fs::write(follower.server.dir().join("cell.yaml"), &edited).expect("written");
    source.reload(&SOURCE.replace("Deep: {", "Deeper: { type: Int32, value: 8 }\n          Deep: {"));
    until("the link is there", || relay.cut() > 0);
    until("it was listed again", || {
        let dir = follower.server.dir().join("state/mirror");
        let files: Vec<_> = std::fs::read_dir(dir).expect("a folder").flatten().collect();
        files.iter().any(|file| std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains("Deeper")))
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(follower.status("Edited"), StatusCode::BadNodeIdUnknown);
    follower.server.reload_files();
    follower.until_is("Edited", &Value::Float(1.0));
    follower.until_is("M.Inner.Deeper", &Value::Int32(8));
}

#[test]
fn a_value_in_another_unit_is_bad_until_its_node_has_that_unit() {
    let source = TestServer::start(SOURCE);
    let relay = Relay::to(source.address);
    let mut follower = Follower::start(&cell(&relay.url(), WHOLE, ""));
    follower.until_is("M.Speed", &Value::Double(12.5));
    // The reload waits for somebody who wants the edited file.
    let path = follower.server.dir().join("cell.yaml");
    let asked = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, format!("{asked}\n  Own: {{ type: Float, value: 1 }}\n")).expect("written");
    let other = SOURCE.replace("unit: rpm, range: [0, 3000]", "unit: 1/s, range: [0, 50]");
    source.reload(&other);
    until("the link is there", || relay.cut() > 0);
    follower.until_status("M.Speed", StatusCode::BadConfigurationError);
    let reason = follower.session.read_value(text_id("M.Speed.StatusReason"));
    assert!(format!("{reason:?}").contains("describes it otherwise"), "{reason:?}");
    follower.until_is("M.Inner.Deep", &Value::Int32(7));
    // Also values that come meanwhile are none of the old unit's.
    let mut of_source = testkit::ua::Session::open(source.address);
    assert_eq!(of_source.write(text_id("Machine.Speed"), &Value::Double(13.5)), StatusCode::Good);
    assert_eq!(of_source.write(text_id("Machine.Inner.Deep"), &Value::Int32(8)), StatusCode::BadNotWritable);
    assert_eq!(follower.status("M.Speed"), StatusCode::BadConfigurationError);
    follower.server.reload_files();
    follower.until_is("M.Speed", &Value::Double(13.5));
    let unit = |follower: &Follower| {
        let world = follower.server.server.world();
        let tag = world.plant.tags.values().find(|tag| world.plant.cells[0].path(tag.node) == "M.Speed").cloned();
        tag.and_then(|tag| tag.shape.unit).map(|unit| unit.symbol.clone())
    };
    assert_eq!(unit(&follower).as_deref(), Some("1/s"));
    // There and back before anybody took it: the same nodes, and values again.
    std::fs::write(&path, &asked).expect("written");
    source.reload(SOURCE);
    until("the link is there", || relay.cut() > 0);
    follower.until_status("M.Speed", StatusCode::BadConfigurationError);
    source.reload(&other);
    until("the link is there", || relay.cut() > 0);
    follower.server.reload_files();
    follower.until_is("M.Speed", &Value::Double(13.5));
}

#[test]
fn ten_thousand_nodes_are_mirrored() {
    let many = "schema: 1\ncell: press\nnamespace: urn:test:press\nnodes:\n  Machine:\n    children:\n      \
                \"Line{i}\":\n        repeat: { i: 1..100 }\n        children:\n          \
                \"T{j}\": { repeat: { j: 1..100 }, type: Double, unit: rpm, value: 1.5 }\n";
    let source = TestServer::start(many);
    let mut follower = Follower::start(&cell(&source.url(), "/press/Machine", ""));
    follower.until_is("M.Line1.T1", &Value::Double(1.5));
    let world = follower.server.server.world();
    assert_eq!(world.plant.tags.len(), 10_000);
    drop(world);
    follower.until_is("M.Line100.T100", &Value::Double(1.5));
}

#[test]
fn a_damaged_mirror_is_set_aside_and_comes_again() {
    let source = TestServer::start(SOURCE);
    let mut follower = Follower::start(&cell(&source.url(), WHOLE, ""));
    follower.until_is("M.Speed", &Value::Double(12.5));
    let dir = follower.server.dir().join("state/mirror");
    let files = || -> Vec<_> {
        let all = std::fs::read_dir(&dir).expect("a folder").flatten().map(|file| file.path());
        all.filter(|path| path.extension().is_some_and(|of| of == "mirror")).collect()
    };
    assert_eq!(files().len(), 1);
    std::fs::write(&files()[0], "opcell-mirror 1 nonsense\n{}").expect("written");
    let Follower { server, session } = follower;
    drop(session);
    let server = server.restart();
    let session = testkit::ua::Session::open(server.address);
    let mut follower = Follower { server, session };
    follower.until_is("M.Speed", &Value::Double(12.5));
    let dir = follower.server.dir().join("state/mirror");
    let is_damaged = |path: &std::path::Path| path.extension().is_some_and(|of| of == "damaged");
    assert!(std::fs::read_dir(dir).expect("a folder").flatten().any(|file| is_damaged(&file.path())));
}

#[test]
fn hostile_names_and_circles_of_asyncua_are_mirrored_as_nodes_that_a_cell_may_have() {
    let Some(command) = python("asyncua", "asyncua_server.py") else { return };
    let port = free_port();
    let facts = serde_json::json!({ "port": port, "many": 100, "hostile": true, "analog": true });
    let _script = Script::start(command, &facts);
    let url = format!("opc.tcp://127.0.0.1:{port}/acme");
    let mut follower =
        Follower::start_in(folder(&[("cell.yaml", &cell(&url, "{ address: /Machine, depth: 50 }", ""))]));
    for (name, value) in [
        ("M.Int16", Value::Int16(-30_000)),
        ("M.N99", Value::Double(99.0)),
        ("M.Level", Value::Double(50.0)),
        ("M.Mode", Value::Int32(1)),
        ("M.x", Value::Double(0.0)),
        ("M._", Value::Double(1.0)),
        ("M.Same_2", Value::Double(4.0)),
        ("M.Deep.Deep.At", Value::Double(1.0)),
    ] {
        follower.until_is(name, &value);
    }
    assert_eq!(follower.session.write(text_id("M.Int16"), &Value::Int16(1)), StatusCode::BadNotWritable);
}

#[test]
fn node_opcua_is_mirrored_next_to_tags_of_the_same_connection() {
    let Some((_script, url)) = Script::of_node(100, 40) else { return };
    let own = "  Own: { type: Double, source: \"nsu=urn:acme:machine;s=Double\" }\n";
    let mut follower = Follower::start(&cell(&url, "/Machine", own));
    follower.until_is("Own", &Value::Double(2.25));
    follower.until_is("M.Double", &Value::Double(2.25));
    follower.until_is("M.N99", &Value::Double(99.0));
}
