//! Reload from A to B gives what a start of B gives, and the items of untouched nodes notice nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::{AttributeId, BrowseDescription, BrowseDirection, ObjectId, ReferenceTypeId, StatusCode};
use testkit::request::{ToNodeId, browse_of, read_of, read_value_id};
use testkit::server::TestServer;
use testkit::steps::{HIERARCHICAL, Id, Reference, tree};
use testkit::ua::Session;
use testkit::until;

use super::cells::RandomCell;

/// Pairs of cells in CI; `OPCELL_PAIRS` for more.
const PAIRS: u64 = 12;
const ATTRIBUTES: std::ops::RangeInclusive<u32> = 1..=27;

fn pairs() -> u64 {
    std::env::var("OPCELL_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(PAIRS)
}

/// A node as a client sees it: the status and value of each attribute, and its references.
#[derive(Debug, PartialEq)]
struct Seen {
    attributes: Vec<(u32, StatusCode, Value)>,
    references: BTreeSet<String>,
}

/// The nodes of the cell, by id. Values of a simulated device are left out: they move.
fn seen(address: std::net::SocketAddr) -> BTreeMap<String, Seen> {
    let mut client = Session::open(address);
    let root = Id::Number(0, ObjectId::RootFolder as u32);
    let found: Vec<Reference> = tree(&mut client, root, HIERARCHICAL);
    let is_own = |id: &Id| matches!(id, Id::Number(2, _)) || matches!(id, Id::Text(2, text) if !is_version(text));
    let own = found.into_iter().filter(|reference| is_own(&reference.to));
    let mut all = BTreeMap::new();
    for node in own {
        let wanted = ATTRIBUTES.map(|attribute| read_value_id(node.to.clone(), attribute)).collect();
        let values = client.call(read_of(wanted));
        let mut reader = values.good();
        let count = reader.count(1).expect("results");
        let read: Vec<_> = (0..count).map(|_| reader.data_value().expect("a value")).collect();
        let is_moving = is_moving(&node.to);
        let attribute = |(number, value): (u32, opcell::testing::stack::codec::DataValue)| {
            let is_left_out = number == AttributeId::Value as u32 && is_moving;
            let status = value.status.filter(|_| !is_left_out).unwrap_or(StatusCode::Good);
            (number, status, if is_left_out { Value::Null } else { value.value.unwrap_or_default() })
        };
        let attributes = ATTRIBUTES.zip(read).map(attribute).collect();
        all.insert(format!("{:?}", node.to), Seen { attributes, references: references(&mut client, &node.to) });
    }
    client.close();
    all
}

/// Diagnostics of a connection.
fn is_moving(id: &Id) -> bool {
    matches!(id, Id::Text(_, text) if text.starts_with("@connections"))
}

/// The revision in which a node last changed: a tag has it after the first change of its type.
fn is_version(id: &str) -> bool {
    id.ends_with(".NodeVersion")
}

fn references(client: &mut Session, node: &Id) -> BTreeSet<String> {
    let description = BrowseDescription {
        node_id: node.to_node_id(),
        browse_direction: BrowseDirection::Both,
        reference_type_id: ReferenceTypeId::References.to_node_id(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: 63,
    };
    let results = client.ask(browse_of(vec![description], 0)).results.expect("results");
    let all = results.into_iter().flat_map(|result| result.references.unwrap_or_default());
    let all = all.filter(|reference| !is_version(&reference.node_id.node_id.to_string()));
    all.map(|reference| {
        format!("{} {} {}", reference.reference_type_id, reference.is_forward, reference.node_id.node_id)
    })
    .collect()
}

/// A server of a cell with the certificate of another, which takes a second to make.
fn start(pki: &Path, cell: &str) -> TestServer {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("cell.yaml"), cell).expect("written");
    copy(pki, &dir.path().join("pki"));
    TestServer::start_with(dir)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

/// What comes until the first keep-alive, by client handle.
fn heard(client: &mut Session) -> Vec<(u32, StatusCode)> {
    let mut all = Vec::new();
    loop {
        let publication = client.publish(&[]).expect("a message");
        if publication.data.is_empty() {
            return all;
        }
        let status = |value: &opcell::testing::stack::codec::DataValue| value.status.unwrap_or(StatusCode::Good);
        all.extend(publication.data.iter().map(|(handle, value)| (*handle, status(value))));
    }
}

#[test]
fn a_reload_gives_what_a_start_gives_and_untouched_items_notice_nothing() {
    let first = TestServer::start(&RandomCell::new(0).text());
    let pki = first.dir().join("pki");
    for seed in 0..pairs() {
        let mut cell = RandomCell::new(seed);
        let running = start(&pki, &cell.text());
        let mut client = Session::open(running.address);
        let subscription = client.subscribe(10.0, 1_000, 2);
        let before = seen(running.address);
        // Tags whose value stands still.
        let still: Vec<String> = before
            .iter()
            .filter(|(_, seen)| matches!(seen.attributes[1].2, Value::Int32(2)) && seen.attributes[12].1.is_good())
            .filter_map(|(id, _)| id.strip_prefix("Text(2, \"")?.strip_suffix("\")").map(str::to_owned))
            .filter(|path| !path.contains('@') && !path.ends_with(".NodeVersion"))
            .collect();
        let items: Vec<(NodeIdRef<'_>, u32)> =
            (0..).zip(&still).map(|(at, path)| (NodeIdRef::string(2, path), at)).collect();
        let made = client.monitor(subscription, &items, 0.0, 10);
        assert!(made.iter().all(|(status, _)| status.is_good()), "{still:?} {made:?}");
        heard(&mut client);
        heard(&mut client);

        for _ in 0..5 {
            cell.change();
        }
        let text = cell.text();
        let report = running.reload(&text).report;
        assert!(matches!(report.result, ReloadResult::Applied | ReloadResult::Unchanged), "{seed}: {report:?}\n{text}");
        let changed: BTreeSet<&str> = report.changes.iter().map(|change| change.node.as_str()).collect();
        for (handle, status) in heard(&mut client) {
            let path = &still[handle as usize];
            let owner = path.rsplit_once('.').map_or("", |(owner, _)| owner);
            let is_known = changed.contains(path.as_str()) || changed.contains(owner);
            assert!(is_known, "{seed}: {path} says {status}, and nothing changed about it: {report:?}");
        }
        let fresh = start(&pki, &text);
        // Devices are asked for the first time.
        until(&format!("{seed}: the reloaded server is as one that starts\n{text}"), || {
            let (after, wanted) = (seen(running.address), seen(fresh.address));
            let differs = |id: &&String| after.get(*id) != wanted.get(*id);
            let differing: BTreeSet<&String> = after.keys().chain(wanted.keys()).filter(differs).collect();
            let show = |id: &&String| format!("{id}:\n{:?}\n{:?}", after.get(*id), wanted.get(*id));
            if differing.is_empty() { Ok(()) } else { Err(differing.iter().map(show).collect::<Vec<_>>().join("\n")) }
        });
        client.close();
    }
}
