//! Values in the buffer whose tag or broker is another one when they could be sent.

use std::net::SocketAddr;

use opcell::value::Value;
use testkit::broker::Broker;
use testkit::relay::Relay;
use testkit::server::TestServer;
use testkit::until;

use super::bench::{count, until_state, write};

/// How the server takes the other file.
#[derive(Debug, Clone, Copy)]
enum By {
    Reload,
    Restart,
}

/// A change of the cell file.
#[derive(Debug, Clone, Copy)]
struct Change {
    format: &'static str,
    /// Keys of the tag before and after it.
    tags: [&'static str; 2],
    /// A text of the file, and what is in its place after the change.
    edit: [&'static str; 2],
    /// The url is that of another broker.
    is_moved: bool,
}

/// What became of the values of the buffer.
#[derive(Debug)]
struct Outcome {
    /// Messages that the broker has acknowledged; those of an edge node are not.
    sent: u64,
    dropped: u64,
    buffered: u64,
}

const JSON: Change = Change { format: "format: json", tags: [BAR; 2], edit: ["", ""], is_moved: false };
const NODE: Change = Change { format: "format: sparkplug, group: Plant, node: x", ..JSON };
const BAR: &str = "type: Double, value: 0, unit: bar";
const MODE: &str = "type: Mode, value: Stopped";

/// A cell with the tag `A`, which has these keys and takes each sample.
fn cell(port: u16, format: &str, tag: &str) -> String {
    format!(
        "schema: 1\ncell: cell3\nconnections:\n  mq: {{ driver: mqtt, url: \"mqtt://127.0.0.1:{port}\", reconnect_max: 200ms }}\n\
         publish:\n  up: {{ connection: mq, min_interval: 0ms, {format} }}\ntypes: {{ enums: {{ Mode: {{ 0: Stopped, 1: Running }} }} }}\n\
         nodes:\n  A: {{ {tag}, write: true, history: fast }}\n  B: {{ type: Double, value: 0 }}\n"
    )
}

/// Fills the buffer while the broker is away, changes the file, and lets the broker come.
fn outcome(by: By, change: Change) -> Option<Outcome> {
    let Change { format, tags, edit, is_moved } = change;
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = Broker::open(folder.path())?;
    broker.stop();
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], broker.port)));
    let mut server = TestServer::start(&cell(broker.port, format, tags[0]));
    until_state(&server, "Waiting");
    for n in 0..20 {
        let value = if tags[0].contains("Double") { Value::Double(n.into()) } else { Value::Int32(n % 2) };
        write(&server, "A", value);
    }
    until("all are on disk", || count(&server, "buffered") >= 21);
    let buffered = count(&server, "buffered");
    let port = if is_moved { relay.address.port() } else { broker.port };
    let text = cell(port, format, tags[1]).replace(edit[0], edit[1]);
    match by {
        By::Reload => drop(server.reload(&text)),
        By::Restart => {
            server.finish();
            std::fs::write(server.dir().join("cell.yaml"), text).expect("written");
            server = server.restart();
        }
    }
    assert!(broker.start());
    until_state(&server, "Connected");
    until("the buffer is empty", || count(&server, "buffered") == 0);
    let (sent, dropped) = (count(&server, "acknowledged"), count(&server, "dropped"));
    Some(Outcome { sent, dropped, buffered })
}

/// Looks at the outcome of each change, some of them at a time: most of it is waiting.
fn check(changes: &[Change], is_right: impl Fn(&Change, &Outcome) -> bool + Sync) {
    let all: Vec<(By, Change)> =
        changes.iter().flat_map(|change| [(By::Reload, *change), (By::Restart, *change)]).collect();
    for some in all.chunks(5) {
        std::thread::scope(|scope| {
            for (by, change) in some {
                let is_right = &is_right;
                scope.spawn(move || {
                    let Some(outcome) = outcome(*by, *change) else { return };
                    assert!(is_right(change, &outcome), "{outcome:?}: {by:?} {change:?}");
                });
            }
        });
    }
}

#[test]
fn values_of_a_tag_or_a_broker_that_is_another_one_since_then_are_dropped_and_counted() {
    let changes = [
        Change { tags: [BAR, "type: Double, value: 0, unit: mbar"], ..JSON },
        Change { tags: ["type: Int32, value: 0", "type: Int64, value: 0"], ..JSON },
        Change { tags: [MODE, "type: Int32, value: 0"], ..JSON },
        Change { tags: [MODE; 2], edit: ["0: Stopped, 1: Running", "1: Stopped, 0: Running"], ..JSON },
        Change { is_moved: true, ..JSON },
        Change { edit: ["format: json", "format: sparkplug, group: Plant"], ..JSON },
        Change { tags: [BAR, "type: Double, value: 0, unit: mbar"], ..NODE },
        Change { tags: ["type: Int32, value: 0", "type: Int64, value: 0"], ..NODE },
        Change { edit: ["node: x", "node: y"], ..NODE },
        Change { edit: ["format: sparkplug, group: Plant, node: x", "format: json"], ..NODE },
    ];
    // Those of the tag that did not change mean what they meant, and the present values follow.
    check(&changes, |_, of| of.sent <= 5 && of.dropped >= 20 && of.dropped <= of.buffered);
}

#[test]
fn values_that_mean_the_same_are_sent_after_a_change_of_the_file() {
    let other = "type: Double, value: 0, unit: bar, range: [0, 100], description: Filling";
    let changes = [
        Change { tags: [BAR, other], ..JSON },
        // Nobody says that the tag that is gone meant something else.
        Change { edit: ["  A: ", "  C: "], ..JSON },
        Change { edit: ["reconnect_max: 200ms", "reconnect_max: 300ms, keep_alive: 10s"], ..JSON },
        Change { tags: [BAR, other], ..NODE },
    ];
    check(&changes, |change, of| (change.format == NODE.format || of.sent >= of.buffered) && of.dropped == 0);
}
