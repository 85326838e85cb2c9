//! Reloads of a cell while its publisher runs.

use opcell::value::Value;
use testkit::broker::Broker;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{cell, count, until_state, value_of, write};

fn text(port: u16, keys: &str, nodes: &str) -> String {
    cell(port, "", keys, &format!("nodes:\n{nodes}"))
}

#[test]
fn nodes_come_and_go_without_another_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut listening = broker.listen(&["cell3/#"]);
    let a = "  A: { type: Int32, value: 1, write: true }\n";
    let b = "  B: { type: Int32, value: 2, write: true }\n";
    let server = TestServer::start(&text(broker.port, "", a));
    assert_eq!(listening.message(), "cell3/@online true");
    assert!(listening.message().starts_with("cell3/A {\"value\":1,"));
    // A new tag goes out, and the value of another is not sent again.
    server.reload(&text(broker.port, "", &format!("{a}{b}")));
    assert!(listening.message().starts_with("cell3/B {\"value\":2,"));
    write(&server, "A", Value::Int32(3));
    assert!(listening.message().starts_with("cell3/A {\"value\":3,"));
    // Another type is another value.
    let double = "  B: { type: Double, value: 2, write: true }\n";
    server.reload(&text(broker.port, "", &format!("{a}{double}")));
    assert!(listening.message().starts_with("cell3/B {\"value\":2.0,"));
    // The broker forgets the value of a tag that has gone.
    server.reload(&text(broker.port, "", a));
    let mut last = listening.message();
    while last.starts_with("cell3/B {\"value\":2.0,") {
        // It came by the plan before, too.
        last = listening.message();
    }
    assert_eq!(last.trim(), "cell3/B (null)");
    let mut later = broker.listen(&["cell3/B", "cell3/A"]);
    assert!(later.message().starts_with("cell3/A {\"value\":3,"), "nothing is retained on cell3/B");
    // Other keys, and the same session.
    server.reload(&text(broker.port, ", max_interval: 1h, buffer: 1MiB, qos: 0", a));
    write(&server, "A", Value::Int32(4));
    assert!(listening.message().starts_with("cell3/A {\"value\":4,"));
    assert_eq!(count(&server, "reconnects"), 0);
    // Another topic needs another will.
    server.reload(&text(broker.port, ", topic: \"new/{path}\"", a));
    let rest = [listening.message(), listening.message()];
    assert!(rest.contains(&"cell3/@online false".to_owned()), "{rest:?}");
    let mut moved = broker.listen(&["new/A"]);
    assert_eq!(value_of(&moved.message()), 4);
    // Without the section there is no publisher.
    let without = text(broker.port, "", a).replace("publish:", "publish: {}\n#");
    let without: String = without.lines().filter(|line| !line.starts_with("  up:")).collect::<Vec<_>>().join("\n");
    let mut gone = broker.listen(&["new/@online"]);
    assert_eq!(gone.message(), "new/@online true");
    server.reload(&without);
    assert_eq!(gone.message(), "new/@online false");
    server.reload(&text(broker.port, "", a));
    until_state(&server, "Connected");
}

#[test]
fn no_sample_is_lost_by_a_reload() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let mut listening = broker.listen(&["cell3/All"]);
    let all = "  All: { type: Int32, value: 0, write: true, history: fast }\n";
    let server = TestServer::start(&text(broker.port, "", all));
    assert_eq!(value_of(&listening.message()), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=3_000 {
                write(&server, "All", Value::Int32(n));
                if n % 100 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        for round in 0..5 {
            let other = format!("  X{round}: {{ type: Int32, value: {round} }}\n");
            server.reload(&text(broker.port, "", &format!("{all}{other}")));
        }
    });
    for n in 1..=3_000 {
        assert_eq!(value_of(&listening.message()), n);
    }
    assert_eq!(count(&server, "reconnects"), 0);
    until("all is acknowledged", || count(&server, "dropped") == 0);
}
