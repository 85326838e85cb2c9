//! A server whose tags go out to a broker.

use opcell::testing::control::{Request, Response, ask};
use opcell::testing::model::TagId;
use opcell::testing::tags::Written;
use opcell::value::{Sample, UaTime, Value};
use opcua::StatusCode;
use testkit::server::TestServer;
use testkit::until;

/// A cell with one publisher `up`; `keys` are more keys of it, `more` further lines of the file.
pub(crate) fn cell(port: u16, connection: &str, keys: &str, more: &str) -> String {
    format!(
        "schema: 1\ncell: cell3\nconnections:\n  mq: {{ driver: mqtt, url: \"mqtt://127.0.0.1:{port}\", \
         reconnect_max: 200ms, timeout: 1s{connection} }}\npublish:\n  up: {{ connection: mq, min_interval: 0ms{keys} }}\n{more}"
    )
}

/// The number of a tag by its path.
pub(crate) fn tag(server: &TestServer, path: &str) -> TagId {
    let plant = &server.server.world().plant;
    let found = plant.tags.iter().find(|(id, _)| plant.tag_name(*id) == format!("cell3: {path}"));
    found.map(|(id, _)| id).unwrap_or_else(|| panic!("no tag {path}"))
}

pub(crate) fn write(server: &TestServer, path: &str, value: Value) {
    let (id, world) = (tag(server, path), server.server.world());
    let written = server.server.tags.write_now(&world.plant, id, &value, None, UaTime::now());
    assert_eq!(written, Written::Done(StatusCode::Good), "{path} = {value:?}");
}

pub(crate) fn sample(server: &TestServer, path: &str) -> Sample {
    server.server.tags.with(tag(server, path), Clone::clone)
}

/// States and counts of all publishers, as `opcell status` has them.
pub(crate) fn statuses(server: &TestServer) -> serde_json::Value {
    let state = server.dir().join("state");
    match ask(&state, &Request::Status) {
        Ok(Response::Status(status)) => serde_json::to_value(&status.publishers).expect("JSON"),
        other => panic!("{other:?}"),
    }
}

/// The first publisher.
pub(crate) fn status(server: &TestServer) -> serde_json::Value {
    statuses(server)[0].clone()
}

pub(crate) fn count(server: &TestServer, key: &str) -> u64 {
    status(server)[key].as_u64().unwrap_or_else(|| panic!("no count {key}"))
}

/// Waits until the publisher is in this state.
pub(crate) fn until_state(server: &TestServer, state: &str) {
    until(state, || {
        let now = status(server);
        if now["state"] == state { Ok(()) } else { Err(now.to_string()) }
    });
}

/// The value of a message, as `topic {…}`.
pub(crate) fn value_of(line: &str) -> serde_json::Value {
    let (_, json) = line.split_once(' ').unwrap_or_else(|| panic!("a topic and a message: {line}"));
    let json: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{line}: {error}"));
    json["value"].clone()
}
