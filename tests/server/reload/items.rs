//! Monitored items whose tag a reload changes: rights, filters, index ranges, sources and ids.

use std::sync::atomic::Ordering;

use opcell::testing::control::ReloadResult;
use opcell::testing::drivers::modbus::Framing;
use opcell::testing::stack::codec::Reader;
use opcell::testing::stack::crypto::MessageSecurityMode;
use opcell::value::Value;
use opcua::{AttributeId, DataChangeFilter, DataChangeTrigger, ExtensionObject, NumericRange, StatusCode};
use testkit::interop::{Field, Holder};
use testkit::login::Login;
use testkit::request::{filtered_item, item, modify_items, parameters};
use testkit::server::TestServer;
use testkit::slave::{Faults, Slave};
use testkit::steps::{HIERARCHICAL, Id, browse, browse_next};
use testkit::ua::Session;
use testkit::until;

use super::bench::{Bench, SEMANTICS_CHANGED, cell, tag};

const VALUE: u32 = AttributeId::Value as u32;

fn deadband(kind: u32, value: f64) -> ExtensionObject {
    let trigger = DataChangeTrigger::StatusValue;
    ExtensionObject::from_message(DataChangeFilter { trigger, deadband_type: kind, deadband_value: value })
}

fn semantic(value: Value) -> (Value, StatusCode) {
    (value, StatusCode::from(SEMANTICS_CHANGED))
}

fn good(value: Value) -> (Value, StatusCode) {
    (value, StatusCode::Good)
}

fn bad(status: StatusCode) -> (Value, StatusCode) {
    (Value::Null, status)
}

#[test]
fn settings_of_sampling_and_history_change_in_silence() {
    let mut bench = Bench::start("  T: { type: Double, value: 1 }\n");
    let constant = "'ramp(low=2, high=2, period=10s)'";
    for (before, after) in [
        ("poll: 100ms", "poll: 200ms"),
        ("poll: 100ms, stale_after: 10s", "poll: 100ms, stale_after: 20s"),
        ("poll: 100ms, deadband: 1", "poll: 100ms, deadband: 2"),
        ("poll: 100ms", "poll: 100ms, history: process"),
        ("poll: 100ms, history: process", "poll: 100ms, history: events"),
        ("poll: 100ms, history: process", "poll: 100ms, history: none"),
        ("poll: 100ms", "poll: 100ms, access: { read: [Observer], write: [Engineer] }"),
    ] {
        let nodes = |keys: &str| format!("  T: {{ type: Double, source: {constant}, {keys} }}\n");
        bench.reload(&nodes(before));
        until("it has its first sample", || bench.client.read_value(tag("T")).value == Some(Value::Double(2.0)));
        bench.heard();
        let report = bench.reload(&nodes(after));
        assert_eq!(report.result, ReloadResult::Applied, "{after}: {report:?}");
        assert_eq!(bench.heard(), [], "{before} to {after}");
        assert_eq!(bench.client.read_value(tag("T")).value, Some(Value::Double(2.0)));
    }
}

#[test]
fn reordered_nodes_and_keys_are_no_change() {
    let mut bench = Bench::start("  T: { type: Int32, value: 1 }\n  U: { type: Int32, value: 2 }\n");
    let report = bench.reload("  # A comment.\n  U: { value: 2, type: Int32 }\n  T: { value: 1, type: Int32 }\n");
    assert_eq!((report.result, report.revision), (ReloadResult::Unchanged, 1), "{report:?}");
    assert_eq!(bench.heard(), []);
}

#[test]
fn items_on_other_attributes_get_the_new_text() {
    let mut bench = Bench::start("  T: { type: Int32, value: 1, description: old }\n");
    for (attribute, handle) in [(AttributeId::DisplayName, 3), (AttributeId::Description, 4)] {
        bench.add(item(tag("T"), attribute as u32, handle, 0.0, 10));
    }
    assert_eq!(bench.heard().len(), 2);
    bench.reload("  T: { type: Int32, value: 1, description: new, display_name: Shown }\n");
    let texts: Vec<(u32, String)> =
        bench.heard().into_iter().map(|(handle, value)| (handle, text(value.value))).collect();
    assert_eq!(texts, [(3, "Shown".to_owned()), (4, "new".to_owned())], "the values say nothing");
}

/// A LocalizedText without a locale.
fn text(value: Option<Value>) -> String {
    let Some(Value::Wire(bytes)) = value else { panic!("no LocalizedText: {value:?}") };
    let mut reader = Reader::new(&bytes);
    assert_eq!((reader.u8(), reader.u8()), (Ok(21), Ok(2)), "a LocalizedText with its text alone");
    reader.text().expect("a text").to_owned()
}

#[test]
fn an_index_range_that_no_longer_fits_is_bad_until_it_fits_again() {
    let array = "  T: { type: Int32, array: 3, value: [1, 2, 3], write: true }\n";
    let mut bench = Bench::start(array);
    let mut part = item(tag("T"), VALUE, 3, 0.0, 10);
    part.item_to_monitor.index_range = NumericRange::Range(1, 2);
    bench.add(part);
    let first = bench.heard_of(3);
    assert_eq!(first.len(), 1, "{first:?}");
    bench.reload("  T: { type: Int32, value: 7, write: true }\n");
    assert_eq!(bench.heard_of(3), [bad(StatusCode::BadIndexRangeInvalid)]);
    bench.client.write(tag("T"), &Value::Int32(8));
    assert_eq!(bench.heard_of(3), [], "it is silent");
    bench.reload(array);
    assert_eq!(bench.heard_of(3), first);
}

#[test]
fn a_deadband_that_no_longer_fits_is_bad_until_it_is_modified() {
    let mut bench = Bench::start("  T: { type: Double, value: 1, write: true }\n");
    let id = bench.add(filtered_item(tag("T"), VALUE, 3, (0.0, 10), deadband(1, 2.0)));
    assert_eq!(bench.heard_of(3), [good(Value::Double(1.0))]);
    bench.reload("  T: { type: String, length: 9, value: abc, write: true }\n");
    assert_eq!(bench.heard_of(3), [bad(StatusCode::BadMonitoredItemFilterUnsupported)]);
    bench.client.write(tag("T"), &Value::text("next"));
    assert_eq!(bench.heard_of(3), [], "it is silent");
    let modified = vec![(id, parameters(3, 0.0, 10, ExtensionObject::null()))];
    let modified = bench.client.ask(modify_items(bench.subscription, modified)).results.expect("results");
    assert_eq!(modified[0].status_code, StatusCode::Good);
    let after = bench.heard_of(3);
    assert_eq!(after.last(), Some(&good(Value::text("next"))), "{after:?}");
    bench.client.write(tag("T"), &Value::text("last"));
    assert_eq!(bench.heard_of(3), [good(Value::text("last"))]);
}

#[test]
fn a_deadband_in_percent_is_counted_from_the_new_range() {
    let nodes = |range: &str| format!("  T: {{ type: Double, value: 0, write: true{range} }}\n");
    let mut bench = Bench::start(&nodes(", range: [0, 100]"));
    bench.add(filtered_item(tag("T"), VALUE, 3, (0.0, 10), deadband(2, 10.0)));
    bench.heard();
    let write = |bench: &mut Bench, value: f64| {
        assert_eq!(bench.client.write(tag("T"), &Value::Double(value)), StatusCode::Good);
        bench.heard_of(3)
    };
    assert_eq!(write(&mut bench, 5.0), [], "less than 10");
    bench.reload(&nodes(", range: [0, 10]"));
    assert_eq!(bench.heard_of(3), [semantic(Value::Double(5.0))]);
    assert_eq!(write(&mut bench, 7.0), [good(Value::Double(7.0))], "more than 1");
    bench.reload(&nodes(""));
    assert_eq!(bench.heard_of(3), [bad(StatusCode::BadMonitoredItemFilterUnsupported)], "percent of nothing");
    bench.reload(&nodes(", range: [0, 100]"));
    assert_eq!(bench.heard_of(3).last().map(|(value, _)| value.clone()), Some(Value::Double(7.0)));
    assert_eq!(write(&mut bench, 9.0), []);
}

#[test]
fn rights_are_judged_again() {
    const CLIENT: &str = "urn:test:reload-items";
    let field = Field::open(CLIENT);
    let holder = Holder::of(CLIENT);
    let nodes = |access: &str| cell(&format!("  T: {{ type: Int32, value: 1{access} }}\n"));
    field.server().reload(&nodes(""));
    let mut sessions = [None, Some("opal")].map(|user| {
        let mut session = Login { client: &holder, mode: MessageSecurityMode::SignAndEncrypt, user }.open(&field);
        let subscription = session.subscribe(20.0, 1_000, 2);
        assert!(session.monitor(subscription, &[(tag("T"), 1)], 0.0, 10)[0].0.is_good());
        session
    });
    let mut heard = |at: usize| {
        let mut all = Vec::new();
        loop {
            let publication = sessions[at].publish(&[]).expect("a message");
            if publication.data.is_empty() {
                return all;
            }
            all.extend(publication.data.into_iter().map(|(_, value)| value.status.unwrap_or(StatusCode::Good)));
        }
    };
    assert_eq!((heard(0), heard(1)), (vec![StatusCode::Good], vec![StatusCode::Good]));
    field.server().reload(&nodes(", access: { read: [Operator] }"));
    assert_eq!((heard(0), heard(1)), (vec![StatusCode::BadNodeIdUnknown], vec![]), "as if there were no such node");
    field.server().reload(&nodes(""));
    assert_eq!((heard(0), heard(1)), (vec![StatusCode::Good], vec![]));
}

#[test]
fn another_source_waits_for_its_first_sample_and_never_shows_the_old_number() {
    let slave = Slave::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listening = runtime.block_on(slave.listen(Framing::Tcp, Faults::none()));
    let others = runtime.block_on(slave.listen(Framing::Tcp, Faults::none()));
    slave.words.lock().expect("lock")[..8].copy_from_slice(&[100, 200, 300, 0xffff, 0, 0, 0, 0]);
    let text = |source: &str, keys: &str| {
        let connection = |port: u16| format!("{{ driver: modbus-tcp, host: 127.0.0.1, port: {port}, unit_id: 1 }}");
        format!(
            "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n  plc: {}\n  other: {}\nnodes:\n  Stays: \
             {{ type: Int32, value: 7, write: true }}\n  T: {{ type: Double, connection: plc, poll: 20ms, source: \
             {{ {source} }}{keys} }}\n",
            connection(listening.port),
            connection(others.port),
        )
    };
    let mut bench = Bench::start("  T: { type: Double, value: 5 }\n");
    let start = bench.server.reload(&text("address: holding/0, raw_type: uint16", "")).report;
    assert_eq!(start.result, ReloadResult::Applied, "{start:?}");
    until("the first sample", || bench.client.read_value(tag("T")).value == Some(Value::Double(100.0)));
    bench.heard();
    let waiting = bad(StatusCode::BadWaitingForInitialData);
    let mut accepted = None;
    for (source, keys, value) in [
        ("address: holding/1, raw_type: uint16", "", 200.0),
        ("address: holding/3, raw_type: uint16", "", 65_535.0),
        ("address: holding/3, raw_type: int16", "", -1.0),
        ("address: holding/3, raw_type: int16", ", scale: { factor: 10 }", -10.0),
        ("address: holding/2, raw_type: int16", ", scale: { factor: 10 }", 3_000.0),
        ("address: holding/2, raw_type: int16, connection: other", ", scale: { factor: 10 }", 3_000.0),
        ("address: holding/2, raw_type: int16, connection: other", "", 300.0),
    ] {
        // Silent until the reload is over: the first sample comes after the notification.
        slave.mute.store(true, Ordering::Relaxed);
        let report = bench.server.reload(&text(source, keys)).report;
        assert_eq!(report.changes[0].effect, "fresh", "{source}{keys}: {report:?}");
        let mut heard = bench.heard_of(2);
        slave.mute.store(false, Ordering::Relaxed);
        until(&format!("{source}{keys}: {value}"), || {
            heard.extend(bench.heard_of(2));
            if heard.last() == Some(&good(Value::Double(value))) { Ok(()) } else { Err(format!("{heard:?}")) }
        });
        assert_eq!(heard.first(), Some(&waiting), "{source}{keys}: {heard:?}");
        let is_other =
            |(number, _): &&(Value, StatusCode)| !matches!(number, Value::Null) && *number != Value::Double(value);
        assert_eq!(heard.iter().find(is_other), None, "{source}{keys}: {heard:?}");
        let connections = slave.connections.load(Ordering::Relaxed);
        accepted = Some(connections);
    }
    assert!(accepted.is_some_and(|count| count <= 4), "links were opened again: {accepted:?}");
}

#[test]
fn a_device_tag_with_a_renamed_enumeration_is_read_at_once() {
    let text = |name: &str| {
        let source = "poll: 60s, source: \"counter(start=1, step=0, every=1s)\"";
        format!(
            "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n  sim: {{ driver: simulator }}\ntypes:\n  \
             enums:\n    {name}: {{ 0: A, 1: B }}\nnodes:\n  T: {{ type: {name}, {source} }}\n"
        )
    };
    let server = TestServer::start(&text("Mode"));
    let mut client = Session::open(server.address);
    let wanted = Some(Value::Int32(1));
    until("the first sample", || client.read_value(tag("T")).value == wanted);
    for name in ["Other", "Mode"] {
        let report = server.reload(&text(name)).report;
        assert_eq!(report.result, ReloadResult::Applied, "{report:?}");
        until("a value of the renamed enumeration", || client.read_value(tag("T")).value == wanted);
    }
}

#[test]
fn a_node_with_an_id_keeps_item_and_value_when_it_moves() {
    let mut bench = Bench::start(
        "  T: { type: Int32, value: 1, write: true }\n  Own: { type: Int32, value: 1, write: true, id: s=Pin }\n",
    );
    bench.add(item(tag("Pin"), VALUE, 3, 0.0, 10));
    assert_eq!(bench.client.write(tag("Pin"), &Value::Int32(44)), StatusCode::Good);
    bench.heard();
    let rest = "  T: { type: Int32, value: 1, write: true }\n";
    for place in [
        "  Renamed: { type: Int32, value: 1, write: true, id: s=Pin }\n",
        "  F: { children: { Renamed: { type: Int32, value: 1, write: true, id: s=Pin } } }\n",
    ] {
        bench.reload(&format!("{rest}{place}"));
        assert_eq!(bench.heard(), [], "{place}");
        assert_eq!(bench.client.read_value(tag("Pin")).value, Some(Value::Int32(44)));
    }
    assert_eq!(bench.client.write(tag("Pin"), &Value::Int32(45)), StatusCode::Good);
    assert_eq!(bench.heard_of(3), [good(Value::Int32(45))]);
}

#[test]
fn a_browse_continues_in_its_old_world_for_two_reloads() {
    let nodes = |count: usize, name: &str| {
        let tags: String = (0..count).map(|n| format!("      {name}{n}: {{ type: Int32, value: 1 }}\n")).collect();
        format!("  T: {{ type: Int32, value: 1 }}\n  F:\n    children:\n{tags}")
    };
    let mut bench = Bench::start(&nodes(9, "Old"));
    let folder = [Id::Text(2, "F".to_owned())];
    let first = browse(&mut bench.client, &folder, HIERARCHICAL, 3).remove(0);
    assert_eq!((first.references.len(), first.point.is_empty()), (3, false));
    let other = browse(&mut bench.client, &folder, HIERARCHICAL, 3).remove(0);
    bench.reload(&nodes(3, "New"));
    bench.reload(&nodes(4, "New"));
    let mut point = first.point;
    let mut names: Vec<String> = first.references.into_iter().map(|reference| reference.name).collect();
    while !point.is_empty() {
        let page = browse_next(&mut bench.client, &point);
        assert_eq!(page.status, StatusCode::Good);
        names.extend(page.references.into_iter().map(|reference| reference.name));
        point = page.point;
    }
    names.sort();
    let wanted: Vec<String> = ["NodeVersion".to_owned()].into_iter().chain((0..9).map(|n| format!("Old{n}"))).collect();
    assert_eq!(names, wanted);
    bench.reload(&nodes(5, "New"));
    let page = browse_next(&mut bench.client, &other.point);
    assert_eq!(page.status, StatusCode::BadContinuationPointInvalid);
}

#[test]
fn the_bit_of_semantics_is_in_one_notification_and_not_in_read() {
    let nodes = |high: u32| format!("  T: {{ type: Int32, value: 1, write: true, range: [0, {high}] }}\n");
    let mut bench = Bench::start(&nodes(100));
    bench.add(item(tag("T"), VALUE, 3, 0.0, 1));
    bench.heard();
    bench.reload(&nodes(50));
    assert_eq!(bench.client.read_value(tag("T")).status.unwrap_or(StatusCode::Good), StatusCode::Good);
    // The queue of one holds the notification with the bit, and another value replaces it.
    assert_eq!(bench.client.write(tag("T"), &Value::Int32(2)), StatusCode::Good);
    let heard = bench.heard_of(3);
    assert!(heard.iter().any(|(_, status)| status.bits() & SEMANTICS_CHANGED != 0), "{heard:?}");
    assert_eq!(heard.last().map(|(value, _)| value.clone()), Some(Value::Int32(2)));
    assert_eq!(bench.client.write(tag("T"), &Value::Int32(3)), StatusCode::Good);
    assert_eq!(bench.heard_of(3), [good(Value::Int32(3))]);
}
