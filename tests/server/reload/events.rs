//! Events of a reload: GeneralModelChangeEvent and SemanticChangeEvent (Part 3 §9.32 and §9.33, 1.05), one of each at
//! most, and each names nodes whose NodeVersion is the new revision already.

mod rows;

use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::{AttributeId, NodeId, ObjectId, ReferenceTypeId, StatusCode, VariableId};
use testkit::changes::{BASE_MODEL_CHANGE, ChangeEvent, FIELDS, MODEL_CHANGE, SEMANTIC_CHANGE};
use testkit::interop::{Field, Holder};
use testkit::login::Login;
use testkit::request::{
    browse, browse_path, create_items, event_field, event_filter, filtered_item, of_type, translate,
};
use testkit::server::TestServer;
use testkit::ua::Session;

use rows::{ROWS, Row};

/// The cell of the rows with these connections and nodes.
fn cell(row: &str) -> String {
    let (connections, nodes) = row.split_once("nodes:").map_or(("", row), |(above, nodes)| (above, nodes));
    let head = "schema: 1\ncell: press\nnamespace: urn:test:press\n";
    let sim = if connections.contains("connections:") { "" } else { "connections:\n  sim: { driver: simulator }\n" };
    let types = if connections.contains("types:") { "" } else { TYPES };
    format!("{head}{sim}{connections}{types}nodes:\n  Always: {{ type: Boolean, value: true }}\n{nodes}")
}

const TYPES: &str = "types:\n  enums:\n    Mode: { 0: Off, 1: On }\n  objects:\n    Motor: { children: { Speed: { \
                     type: Double, value: 1 } } }\n    Valve: { children: { Open: { type: Boolean, value: true } } }\n";

/// An item on the Server's events of a type and its subtypes; its subscription.
fn listen(client: &mut Session, kind: Option<u32>) -> u32 {
    let subscription = client.subscribe(20.0, 1_000, 2);
    let filter = event_filter(FIELDS.iter().map(|(kind, name)| event_field(*kind, name)).collect(), kind.map(of_type));
    let item = filtered_item(ObjectId::Server, AttributeId::EventNotifier as u32, 1, (0.0, 1_000), filter);
    let made = client.ask(create_items(subscription, vec![item])).results.expect("results");
    assert_eq!(made[0].status_code, StatusCode::Good);
    subscription
}

/// The events that come until the first keep-alive.
fn heard(client: &mut Session) -> Vec<ChangeEvent> {
    let mut all = Vec::new();
    loop {
        let publication = client.publish(&[]).expect("a message");
        if publication.events.is_empty() {
            return all;
        }
        all.extend(publication.events.iter().map(|(_, fields)| ChangeEvent::read(fields)));
    }
}

/// The entries of an event, as the rows write them: `node verb`, without the namespace.
fn written(event: &ChangeEvent) -> Vec<String> {
    let name = |node: &str| node.trim_start_matches("ns=2;").trim_start_matches("s=").to_owned();
    let entry = |entry: &testkit::changes::Entry| match entry.verb {
        0 => name(&entry.node),
        verb => format!("{} {verb}", name(&entry.node)),
    };
    let mut entries: Vec<String> = event.entries.iter().map(entry).collect();
    entries.sort();
    entries
}

/// NodeVersion of a node; `None` where it has none or there is no such node.
fn version(client: &mut Session, node: &NodeId) -> Option<String> {
    let found = client.ask(translate(vec![browse_path(node, [(0, "NodeVersion")])])).results.expect("results");
    let targets = found.into_iter().next()?.targets.unwrap_or_default();
    let value = client.read_value(&targets.first()?.target_id.node_id).value?;
    let Value::String(text) = value else { panic!("NodeVersion is a text: {value:?}") };
    Some(text.to_string())
}

fn type_definition(client: &mut Session, node: &NodeId) -> Option<String> {
    let found = client.ask(browse(&[node], ReferenceTypeId::HasTypeDefinition, 0)).results.expect("results");
    let references = found.into_iter().next()?.references.unwrap_or_default();
    Some(references.first()?.node_id.node_id.to_string())
}

/// Each node of an event that is there has this revision as its NodeVersion, and the type that the event says.
fn check_versions(client: &mut Session, event: &ChangeEvent, revision: u32, name: &str) {
    for entry in &event.entries {
        let node: NodeId = entry.node.parse().expect("a NodeId");
        let there = client.read(&[(&node, AttributeId::NodeId as u32)])[0].value.is_some();
        if event.kind == MODEL_CHANGE && there {
            let found = version(client, &node);
            assert_eq!(found, Some(revision.to_string()), "{name}: NodeVersion of {}", entry.node);
        }
        match there {
            true => assert_eq!(Some(&entry.kind), type_definition(client, &node).as_ref(), "{name}: {}", entry.node),
            false => assert_ne!(entry.kind, "i=0", "{name}: {}", entry.node),
        }
    }
}

#[test]
fn a_reload_raises_one_event_of_each_kind_with_the_nodes_that_changed() {
    let server = TestServer::start(&cell(""));
    let mut client = Session::open(server.address);
    listen(&mut client, None);
    let mut wrong = Vec::new();
    for Row { name, before, after, model, semantic } in ROWS {
        assert_ne!(server.reload(&cell(before)).report.result, ReloadResult::Refused, "{name}");
        heard(&mut client);
        let report = server.reload(&cell(after)).report;
        assert_ne!(report.result, ReloadResult::Refused, "{name}: {report:?}");
        let events = heard(&mut client);
        let found =
            |kind: u32| -> Vec<Vec<String>> { events.iter().filter(|event| event.kind == kind).map(written).collect() };
        let wanted = |entries: &[&str]| -> Vec<Vec<String>> {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            if entries.is_empty() { vec![] } else { vec![entries] }
        };
        let (models, semantics) = (found(MODEL_CHANGE), found(SEMANTIC_CHANGE));
        if (&models, &semantics) != (&wanted(model), &wanted(semantic)) {
            wrong.push(format!("{name}: {models:?} and {semantics:?}, not {model:?} and {semantic:?}"));
        }
        assert!(models.len() + semantics.len() == events.len(), "{name}: {events:?}");
        events.iter().for_each(|event| check_versions(&mut client, event, report.revision, name));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_tag_whose_type_has_changed_has_a_version_until_it_is_removed() {
    let server = TestServer::start(&cell("  T: { type: Int32, value: 1 }\n"));
    let mut client = Session::open(server.address);
    listen(&mut client, None);
    let tag = NodeId::new(2, "T".to_owned());
    assert_eq!(version(&mut client, &tag), None);
    let mut next = |nodes: &str| {
        let revision = server.reload(&cell(nodes)).report.revision;
        let events: Vec<Vec<String>> = heard(&mut client).iter().map(written).collect();
        (events, version(&mut client, &tag) == Some(revision.to_string()), version(&mut client, &tag).is_some())
    };
    let events = |entries: &[&str]| vec![entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()];
    assert_eq!(next("  T: { type: Double, value: 1 }\n"), (events(&["T 16"]), true, true));
    assert_eq!(next("  T: { type: Double, value: 2 }\n"), (vec![], false, true), "a value is no change of the model");
    assert_eq!(next("  T: { type: Float, value: 2 }\n"), (events(&["T 16"]), true, true));
    assert_eq!(next(""), (events(&["@cell 8", "T 2"]), false, false));
    assert_eq!(next("  T: { type: Float, value: 2 }\n"), (events(&["@cell 4"]), false, false), "it is a new node");
    next("  T: { type: Double, value: 2 }\n");
    let folder = "  T: { children: { Inner: { type: Double, value: 2 } } }\n";
    assert_eq!(next(folder), (events(&["@cell 12", "T 3"]), true, true), "an Object has one at once");
    assert_eq!(next("  T: { type: Double, value: 2 }\n"), (events(&["@cell 12", "T 2"]), false, false));
}

#[test]
fn a_client_that_reads_when_the_event_arrives_sees_the_new_revision() {
    let server = TestServer::start(&cell(""));
    let mut client = Session::open(server.address);
    listen(&mut client, Some(MODEL_CHANGE));
    for round in 0..5 {
        let nodes: String = (0..=round).map(|n| format!("  N{n}: {{ type: Int32, value: {n} }}\n")).collect();
        client.ask_publish(&[]);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                loop {
                    let publication = client.published().expect("a message");
                    if publication.events.is_empty() {
                        client.ask_publish(&[]);
                        continue;
                    }
                    let cell = version(&mut client, &NodeId::new(2, "@cell".to_owned()));
                    return (cell, client.read_value(NodeIdRef::string(2, &format!("N{round}"))).value);
                }
            });
            let revision = server.reload(&cell(&nodes)).report.revision;
            let seen = reading.join().expect("it reads");
            assert_eq!(seen, (Some(revision.to_string()), Some(Value::Int32(round))));
        });
    }
}

#[test]
fn uaexpert_hears_of_the_model_on_its_own_subscription() {
    let server = TestServer::start(&cell(""));
    let mut client = Session::open(server.address);
    listen(&mut client, Some(BASE_MODEL_CHANGE));
    server.reload(&cell("  T: { type: Int32, value: 1, range: [0, 9] }\n"));
    let found: Vec<Vec<String>> = heard(&mut client).iter().map(written).collect();
    assert_eq!(found, [["@cell 4"]]);
    // A SemanticChangeEvent is of another branch of BaseEventType.
    server.reload(&cell("  T: { type: Int32, value: 1, range: [0, 8] }\n"));
    assert_eq!(heard(&mut client), []);
}

const CELL_B: &str = "schema: 1\ncell: second\nnamespace: urn:test:second\nnodes:\n  Deep: { children: { T: { type: \
                      Int32, value: 5 } } }\n";

#[test]
fn a_cell_that_comes_and_goes_is_in_the_event_and_its_namespace_stays() {
    let file = |cells: &str| {
        format!("schema: 1\ncells: [{cells}]\nanonymous: [Observer]\nsecurity: {{ allow_unsecured: true }}\n")
    };
    let server = TestServer::with(&cell(""), Some(&file("cell.yaml")), |_, _| {});
    let mut client = Session::open(server.address);
    let subscription = listen(&mut client, None);
    let array = VariableId::Server_NamespaceArray;
    assert!(client.monitor(subscription, &[(array, 7)], 0.0, 10)[0].0.is_good());
    assert_eq!(news(&mut client), News { events: vec![], lengths: vec![3], is_gone: false });
    std::fs::write(server.dir().join("second.yaml"), CELL_B).expect("written");
    std::fs::write(server.dir().join("server.yaml"), file("cell.yaml, second.yaml")).expect("written");
    assert_eq!(server.reload_files().report.result, ReloadResult::Applied);
    let added = vec![vec!["ns=3;s=@cell 1".to_owned(), "ns=3;s=Deep 1".to_owned()]];
    assert_eq!(news(&mut client), News { events: added, lengths: vec![4], is_gone: false });
    let deep = NodeIdRef::string(3, "Deep.T");
    assert_eq!(client.read_value(deep).value, Some(Value::Int32(5)));
    assert!(client.monitor(subscription, &[(deep, 8)], 0.0, 1)[0].0.is_good());
    news(&mut client);

    std::fs::write(server.dir().join("server.yaml"), file("cell.yaml")).expect("written");
    assert_eq!(server.reload_files().report.result, ReloadResult::Applied);
    let removed = vec![vec!["ns=3;s=@cell 2".to_owned(), "ns=3;s=Deep 2".to_owned()]];
    assert_eq!(news(&mut client), News { events: removed, lengths: vec![], is_gone: true }, "indices stay");
    assert_eq!(testkit::steps::texts(&client.read_value(array).value).len(), 4);
    assert_eq!(client.read_value(deep).status, Some(StatusCode::BadNodeIdUnknown));
}

/// Everything that comes until the first keep-alive.
#[derive(Debug, PartialEq)]
struct News {
    events: Vec<Vec<String>>,
    /// Lengths of the NamespaceArray (handle 7).
    lengths: Vec<usize>,
    /// Whether the tag (handle 8) is gone.
    is_gone: bool,
}

fn news(client: &mut Session) -> News {
    let mut news = News { events: vec![], lengths: vec![], is_gone: false };
    loop {
        let publication = client.publish(&[]).expect("a message");
        if publication.events.is_empty() && publication.data.is_empty() {
            return news;
        }
        news.events.extend(publication.events.iter().map(|(_, fields)| written(&ChangeEvent::read(fields))));
        for (handle, value) in publication.data {
            match handle {
                7 => news.lengths.push(testkit::steps::texts(&value.value).len()),
                _ => news.is_gone = value.status == Some(StatusCode::BadNodeIdUnknown),
            }
        }
    }
}

#[test]
fn a_session_hears_of_the_nodes_that_it_may_browse() {
    const CLIENT: &str = "urn:test:reload-events";
    let field = Field::open(CLIENT);
    let server = field.server();
    let holder = Holder::of(CLIENT);
    let come = |user: Option<&str>| {
        let mode = opcell::testing::stack::crypto::MessageSecurityMode::SignAndEncrypt;
        let mut session = Login { client: &holder, mode, user }.open(&field);
        listen(&mut session, None);
        session
    };
    let (mut observer, mut operator) = (come(None), come(Some("opal")));
    let secret = "  Secret:\n    access: { read: [Operator] }\n    children:\n      T: { type: Int32, value: 1, range: [0, 9] }\n";
    let hidden = "      U: { type: Int32, value: 1 }\n";
    let entries = |session: &mut Session| heard(session).iter().map(written).collect::<Vec<_>>();
    server.reload(&cell(""));
    entries(&mut observer);
    entries(&mut operator);
    server.reload(&cell(secret));
    assert_eq!(entries(&mut operator), [["@cell 4", "Secret 1"]]);
    assert!(entries(&mut observer).is_empty(), "the reference at the cell leads to a node that it may not browse");
    server.reload(&cell(&format!("{secret}{hidden}  Open: {{ type: Int32, value: 1 }}\n")));
    assert_eq!(entries(&mut operator), [["@cell 4", "Secret 4"]]);
    assert_eq!(entries(&mut observer), [["@cell 4"]]);
    server
        .reload(&cell(&format!("{}{hidden}  Open: {{ type: Int32, value: 1 }}\n", secret.replace("[0, 9]", "[0, 8]"))));
    assert_eq!(entries(&mut operator), [["Secret.T"]]);
    assert!(entries(&mut observer).is_empty());
    server.reload(&cell("  Open: { type: Int32, value: 1 }\n"));
    assert_eq!(entries(&mut operator), [["@cell 8", "Secret 2"]]);
    assert!(entries(&mut observer).is_empty());
}

#[test]
fn a_change_of_more_than_ten_thousand_nodes_names_the_objects_above_them() {
    let folder = |name: &str, count: usize| {
        let tag = |n| format!("          T{n}: {{ of: Motor }}\n");
        let tags: String = (0..count).map(tag).collect();
        format!("      {name}:\n        children:\n          Here: {{ type: Int32, value: 1 }}\n{tags}")
    };
    let line = |count| format!("  Line:\n    children:\n{}{}", folder("A", count), folder("B", count));
    let server = TestServer::start(&cell(&line(0)));
    let mut client = Session::open(server.address);
    listen(&mut client, None);
    server.reload(&cell(&line(5_500)));
    let found: Vec<Vec<String>> = heard(&mut client).iter().map(written).collect();
    assert_eq!(found, [["Line.A 4", "Line.B 4"]]);
    server.reload(&cell(&line(0)));
    let found: Vec<Vec<String>> = heard(&mut client).iter().map(written).collect();
    assert_eq!(found, [["Line.A 8", "Line.B 8"]]);
}
