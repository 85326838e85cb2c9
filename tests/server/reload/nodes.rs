//! One changed node at a time, as a client with a subscription sees it.

use opcell::testing::control::ReloadResult;
use opcell::value::Value;
use opcua::{AttributeId, ExtensionObject, MonitoringMode, StatusCode};
use testkit::request::{create_items, item, modify_items, parameters, set_mode};

use super::bench::{Bench, SEMANTICS_CHANGED, cell, tag};

const VALUE: u32 = AttributeId::Value as u32;
/// A change of `T`, what its item hears of it, and what the answer says.
struct Case {
    name: &'static str,
    before: &'static str,
    after: &'static str,
    /// Value and status of each notification.
    heard: Vec<(Value, StatusCode)>,
    keys: &'static [&'static str],
    effect: &'static str,
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let case = |name, before, after, heard, keys, effect| Case { name, before, after, heard, keys, effect };
    let semantic = |value| vec![(value, StatusCode::from(SEMANTICS_CHANGED))];
    let int = Value::Int32;
    vec![
        case("nothing", "{ type: Int32, value: 1 }", "{ value: 1, type: Int32 }", vec![], &[], ""),
        case(
            "description",
            "{ type: Int32, value: 1, description: a }",
            "{ type: Int32, value: 1, description: b }",
            vec![],
            &["description"],
            "live",
        ),
        case(
            "display name",
            "{ type: Int32, value: 1 }",
            "{ type: Int32, value: 1, display_name: { en: Speed, de: Drehzahl } }",
            vec![],
            &["display_name"],
            "live",
        ),
        case(
            "unit",
            "{ type: Int32, value: 1, unit: rpm }",
            "{ type: Int32, value: 1, unit: Hz }",
            semantic(int(1)),
            &["unit"],
            "semantics",
        ),
        case(
            "range",
            "{ type: Int32, value: 1, range: [0, 10] }",
            "{ type: Int32, value: 1, range: [0, 20] }",
            semantic(int(1)),
            &["range"],
            "semantics",
        ),
        case(
            "range that is new",
            "{ type: Int32, value: 1 }",
            "{ type: Int32, value: 1, range: [0, 20] }",
            semantic(int(1)),
            &["range"],
            "semantics",
        ),
        case(
            "constant",
            "{ type: Int32, value: 1 }",
            "{ type: Int32, value: 2 }",
            vec![(int(2), StatusCode::Good)],
            &["value"],
            "live",
        ),
        case(
            "memory",
            "{ type: Int32, value: 1, write: true }",
            "{ type: Int32, value: 2, write: true }",
            vec![(int(2), StatusCode::Good)],
            &["value"],
            "live",
        ),
        case(
            "off",
            "{ type: Int32, value: 1 }",
            "{ type: Int32, value: 1, enabled: false }",
            vec![(Value::Null, StatusCode::BadOutOfService)],
            &["enabled"],
            "live",
        ),
        case(
            "on",
            "{ type: Int32, value: 1, enabled: false }",
            "{ type: Int32, value: 1 }",
            vec![(int(1), StatusCode::Good)],
            &["enabled"],
            "live",
        ),
        case(
            "type of a memory tag whose value fits",
            "{ type: Int32, value: 1, write: true }",
            "{ type: Double, value: 1, write: true }",
            vec![(Value::Double(1.0), StatusCode::Good)],
            &["type", "value"],
            "type",
        ),
        case(
            "type of a memory tag whose value does not fit",
            "{ type: Int32, value: 1, write: true }",
            "{ type: String, length: 5, value: abc, write: true }",
            vec![(Value::text("abc"), StatusCode::Good)],
            &["length", "type", "value"],
            "type",
        ),
        case(
            "constant to device",
            "{ type: Double, value: 1 }",
            "{ type: Double, source: 'ramp(low=2, high=2, period=10s)', poll: 1s }",
            vec![(Value::Null, StatusCode::BadWaitingForInitialData), (Value::Double(2.0), StatusCode::Good)],
            &["source", "value"],
            "fresh",
        ),
    ]
}

#[test]
fn a_changed_node_says_so_and_its_neighbour_hears_nothing() {
    let mut bench = Bench::start("  T: { type: Boolean, value: true }\n");
    for case in cases() {
        let name = case.name;
        bench.reload(&format!("  T: {}\n", case.before));
        bench.heard();
        let before = bench.server.server.world().revision();
        let report = bench.reload(&format!("  T: {}\n", case.after));
        let is_change = !case.keys.is_empty();
        let wanted = if is_change { ReloadResult::Applied } else { ReloadResult::Unchanged };
        assert_eq!(report.result, wanted, "{name}: {report:?}");
        assert_eq!(report.revision, before + u32::from(is_change), "{name}");
        assert_eq!(
            (report.nodes.changed, report.nodes.untouched),
            (usize::from(is_change), 2 - usize::from(is_change)),
            "{name}: {report:?}"
        );
        if let [change] = &report.changes[..] {
            let keys: Vec<&str> = change.keys.iter().map(String::as_str).collect();
            assert_eq!(
                (change.node.as_str(), &keys[..], change.effect.as_str()),
                ("T", case.keys, case.effect),
                "{name}"
            );
        }
        let heard: Vec<(u32, Value, StatusCode)> = bench
            .heard()
            .into_iter()
            .map(|(handle, value)| (handle, value.value.unwrap_or_default(), value.status.unwrap_or(StatusCode::Good)))
            .collect();
        let wanted: Vec<(u32, Value, StatusCode)> =
            case.heard.into_iter().map(|(value, status)| (2, value, status)).collect();
        assert_eq!(heard, wanted, "{name}");
        // The items go on: the one that was not touched, and the one that was.
        let next = Value::Int32(100 + i32::try_from(before).expect("few"));
        assert_eq!(bench.client.write(tag("Stays"), &next), StatusCode::Good, "{name}");
        assert_eq!(bench.heard().len(), 1, "{name}");
        let (subscription, items) = (bench.subscription, bench.items.clone());
        let modes = bench.client.ask(set_mode(subscription, MonitoringMode::Reporting, &items)).results;
        assert_eq!(modes, Some(vec![StatusCode::Good; 2]), "{name}: the ids are as they were");
    }
}

#[test]
fn a_removed_node_says_so_once_and_works_again_when_it_comes_back() {
    let mut bench = Bench::start("  T: { type: Int32, value: 1, write: true }\n");
    let report = bench.reload("");
    assert_eq!((report.nodes.removed, report.nodes.untouched), (1, 1), "{report:?}");
    let heard = bench.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((heard[0].0, heard[0].1.status), (2, Some(StatusCode::BadNodeIdUnknown)));
    assert_eq!(bench.client.read_value(tag("T")).status, Some(StatusCode::BadNodeIdUnknown));
    assert_eq!(bench.client.write(tag("T"), &Value::Int32(3)), StatusCode::BadNodeIdUnknown);
    let (subscription, id) = (bench.subscription, bench.items[1]);
    let modified =
        bench.client.ask(modify_items(subscription, vec![(id, parameters(2, 0.0, 5, ExtensionObject::null()))]));
    assert_eq!(modified.results.expect("results")[0].status_code, StatusCode::BadNodeIdUnknown);
    let made = bench.client.ask(create_items(subscription, vec![item(tag("T"), VALUE, 3, 0.0, 1)]));
    assert_eq!(made.results.expect("results")[0].status_code, StatusCode::BadNodeIdUnknown);
    assert!(bench.heard().is_empty(), "it is silent");

    let report = bench.reload("  U: { type: Int32, value: 5 }\n");
    assert_eq!((report.nodes.added, report.nodes.untouched), (1, 1), "{report:?}");
    assert!(bench.heard().is_empty(), "another node has not got its place");
    bench.reload("  U: { type: Int32, value: 5 }\n  T: { type: Int32, value: 9, write: true }\n");
    let heard = bench.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((heard[0].0, heard[0].1.value.clone()), (2, Some(Value::Int32(9))));
    assert_eq!(bench.client.write(tag("T"), &Value::Int32(10)), StatusCode::Good);
    assert_eq!(bench.heard()[0].1.value, Some(Value::Int32(10)));
    assert_eq!(bench.client.read_value(tag("U")).value, Some(Value::Int32(5)));
}

#[test]
fn a_file_with_mistakes_changes_nothing_however_often() {
    let mut bench = Bench::start("  T: { type: Int32, value: 1 }\n");
    for text in ["nodes: [", "", "schema: 1\ncell: press\nnodes:\n  T: { type: Int33, value: 1 }\n"] {
        for _ in 0..3 {
            let answer = bench.server.reload(text);
            assert_eq!((answer.report.result, answer.report.revision), (ReloadResult::Refused, 1), "{text}");
            assert!(answer.text.ends_with("refused: revision 1 stays in use\n"), "{}", answer.text);
            assert_ne!(answer.report.findings, serde_json::json!([]), "{text}");
        }
    }
    std::fs::remove_file(bench.server.dir().join("cell.yaml")).expect("removed");
    assert_eq!(bench.server.reload_files().report.result, ReloadResult::Refused);
    assert!(bench.heard().is_empty());
    assert_eq!(bench.reload("  T: { type: Int32, value: 1 }\n").result, ReloadResult::Unchanged);
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let mut bench = Bench::start("  T: { type: Int32, value: 1, range: [0, 10] }\n");
    std::fs::write(bench.server.dir().join("cell.yaml"), cell("  T: { type: Int32, value: 1, range: [0, 20] }\n"))
        .expect("written");
    let answer = bench.server.dry_run();
    assert_eq!((answer.report.result, answer.report.revision), (ReloadResult::DryRun, 1));
    assert_eq!(answer.report.nodes.changed, 1);
    assert!(answer.text.contains("~ T             range [0, 10] -> [0, 20]"), "{}", answer.text);
    assert!(answer.text.ends_with("nothing was changed\n"), "{}", answer.text);
    assert!(bench.heard().is_empty());
    assert_eq!(bench.server.reload_files().report.result, ReloadResult::Applied);
    assert_eq!(bench.heard().len(), 1);
}
