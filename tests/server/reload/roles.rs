//! Own roles that change places, go and come while sessions, continuation points and subscriptions hold them.

use std::sync::atomic::{AtomicBool, Ordering};

use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::MessageSecurityMode::SignAndEncrypt;
use opcell::value::Value;
use opcua::{BrowseDescription, BrowseDirection, BrowseResult, BrowseResultMask, StatusCode};
use testkit::interop::Field;
use testkit::login::Login;
use testkit::request::{ToNodeId, browse_next, browse_of};
use testkit::ua::Session;

const HEAD: &str = "schema: 1\ncell: press\nnamespace: urn:test:press\nnodes:\n";
const FOLDER: &str = "  F:\n    children:\n      A: { type: Int32, value: 1 }\n";
const HIDDEN: &str = "  Hidden:\n    access: { read: [Secret] }\n    children:\n      X: { type: Int32, value: 1 }\n";
const SECRET: &str = "  Secret: { users: [otto] }\n";
const OTHER: &str = "  Other: { users: [opal] }\n";
const MODEL_CHANGE: u32 = opcua::ObjectTypeId::GeneralModelChangeEventType as u32;

/// A secured server, and the text of its server file without roles.
struct Bench {
    field: Field,
    text: String,
}

impl Bench {
    fn open() -> Bench {
        let field = Field::open("urn:test:roles");
        let text = std::fs::read_to_string(field.server().dir().join("server.yaml")).expect("a file");
        Bench { field, text }
    }

    /// Reloads with these nodes and these entries of `roles`.
    fn put(&self, nodes: &[&str], roles: &[&str]) {
        let (nodes, roles) = (nodes.concat(), roles.concat());
        let folder = self.field.server().dir();
        std::fs::write(folder.join("cell.yaml"), format!("{HEAD}{nodes}")).expect("written");
        std::fs::write(folder.join("server.yaml"), format!("{}roles:\n{roles}", self.text)).expect("written");
        let answer = self.field.server().reload_files();
        assert_eq!(answer.report.result, ReloadResult::Applied, "{}", answer.text);
        assert!(answer.report.needs_restart.is_empty(), "{}", answer.text);
    }

    fn log_in(&self, user: &str) -> Session {
        Login { client: &self.field.client, mode: SignAndEncrypt, user: Some(user) }.open(&self.field)
    }
}

fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

fn status(session: &mut Session, path: &str) -> StatusCode {
    session.read_value(tag(path)).status.unwrap_or(StatusCode::Good)
}

/// Whether one of the next messages has an event whose changes name the hidden node.
fn hears_of_hidden(session: &mut Session, messages: usize) -> bool {
    let mut is_named = false;
    for _ in 0..messages {
        for (_, fields) in session.publish(&[]).expect("a message").events {
            let names = |field: &Value| match field {
                Value::Wire(bytes) => bytes.windows(6).any(|part| part == b"Hidden"),
                _ => false,
            };
            is_named |= fields.iter().any(names);
        }
    }
    is_named
}

fn names(result: &BrowseResult) -> Vec<String> {
    result.references.iter().flatten().map(|reference| reference.browse_name.name.to_string()).collect()
}

#[test]
fn a_browse_is_continued_with_the_roles_that_it_began_with() {
    let bench = Bench::open();
    let hidden =
        "      B: { type: Int32, value: 1 }\n      Hidden: { type: Int32, value: 1, access: { read: [Secret] } }\n";
    bench.put(&[FOLDER, hidden], &[SECRET, OTHER]);
    let mut opal = bench.log_in("opal");
    let folder = BrowseDescription {
        node_id: tag("F").to_node_id(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: NodeIdRef::numeric(0, opcua::ReferenceTypeId::HierarchicalReferences as u32).to_node_id(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseResultMask::All as u32,
    };
    let mut result = opal.ask(browse_of(vec![folder], 1)).results.expect("results").remove(0);
    bench.put(&[FOLDER, hidden], &[OTHER, SECRET]);
    let mut found = names(&result);
    while let Some(point) = result.continuation_point.value.take().filter(|point| !point.is_empty()) {
        result = opal.ask(browse_next(false, &[&point])).results.expect("results").remove(0);
        assert!(result.status_code.is_good(), "{}", result.status_code);
        found.extend(names(&result));
    }
    assert_eq!(found, ["A", "B", "NodeVersion"]);
}

#[test]
fn the_removal_of_a_node_is_told_to_those_who_saw_it() {
    let bench = Bench::open();
    bench.put(&[FOLDER, HIDDEN], &[SECRET, OTHER]);
    let (mut opal, mut otto) = (bench.log_in("opal"), bench.log_in("otto"));
    assert_eq!(status(&mut opal, "Hidden.X"), StatusCode::BadNodeIdUnknown);
    for session in [&mut opal, &mut otto] {
        session.hear_events(&[(MODEL_CHANGE, "Changes")]);
    }
    bench.put(&[FOLDER], &[OTHER, SECRET]);
    assert!(hears_of_hidden(&mut otto, 1));
    assert!(!hears_of_hidden(&mut opal, 2));
}

#[test]
fn a_user_who_loses_a_role_hears_no_events_of_the_next_one_in_its_place() {
    let bench = Bench::open();
    bench.put(&[FOLDER], &[OTHER, SECRET]);
    let mut opal = bench.log_in("opal");
    opal.hear_events(&[(MODEL_CHANGE, "Changes")]);
    bench.put(&[FOLDER], &[SECRET]);
    bench.put(&[FOLDER, HIDDEN], &[SECRET]);
    assert_eq!(status(&mut opal, "Hidden.X"), StatusCode::BadNodeIdUnknown);
    assert!(!hears_of_hidden(&mut opal, 3));
}

/// The subscription of a session that was closed without it, which another session takes over after these changes.
fn hears_without_session(user: &str, before: [&str; 2], after: &[&str]) -> bool {
    let bench = Bench::open();
    bench.put(&[FOLDER], &before);
    let mut session = bench.log_in(user);
    let subscription = session.hear_events(&[(MODEL_CHANGE, "Changes")]);
    session.ask(opcua::CloseSessionRequest { delete_subscriptions: false, ..Default::default() });
    bench.put(&[FOLDER], after);
    bench.put(&[FOLDER, HIDDEN], after);
    let mut session = bench.log_in(user);
    assert_eq!(session.transfer(subscription, false).0, StatusCode::Good);
    hears_of_hidden(&mut session, 2)
}

#[test]
fn a_subscription_without_a_session_has_the_roles_of_its_user() {
    assert!(!hears_without_session("opal", [OTHER, SECRET], &[SECRET, OTHER]), "another role in its place");
    assert!(hears_without_session("otto", [OTHER, SECRET], &[SECRET, OTHER]), "the same role in another place");
    let of_opal = "  Secret: { users: [opal] }\n";
    assert!(!hears_without_session("otto", [OTHER, SECRET], &[OTHER, of_opal]), "a role that the user lost");
    assert!(hears_without_session("opal", [OTHER, SECRET], &[OTHER, of_opal]), "a role that the user got");
}

#[test]
fn own_roles_are_there_all_the_time_for_those_who_keep_them() {
    let bench = Bench::open();
    let kept = "  F:\n    children:\n      A: { type: Int32, value: 1, access: { read: [Other] } }\n";
    let [some, others] = ["N", "M"]
        .map(|name| -> String { (0..3000).map(|n| format!("  {name}{n}: {{ type: Int32, value: 1 }}\n")).collect() });
    bench.put(&[kept, &some], &[OTHER, SECRET]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut opal = bench.log_in("opal");
            let mut bad = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                bad.extend(Some(status(&mut opal, "F.A")).filter(|status| !status.is_good()));
            }
            bad
        });
        for _ in 0..3 {
            bench.put(&[kept, &others], &[SECRET, OTHER]);
            bench.put(&[kept, &some], &[OTHER, SECRET]);
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(reader.join().expect("a reader"), []);
    });
}

/// A role counts 9 to 63: with the names that were there before, the last ones find no number.
#[test]
fn roles_beyond_the_names_that_fit_in_a_run_wait_for_a_restart() {
    let bench = Bench::open();
    let many: String = (0..53).map(|n| format!("  R{n}: {{ users: [opal] }}\n")).collect();
    bench.put(&[FOLDER, HIDDEN], &[SECRET, &many]);
    let mut otto = bench.log_in("otto");
    let late = "  Late: { users: [otto] }\n  TooLate: { users: [otto] }\n";
    let nodes: String = ["Late", "TooLate", "Secret"]
        .map(|role| format!("  Of{role}: {{ type: Int32, value: 1, access: {{ read: [{role}] }} }}\n"))
        .concat();
    let folder = bench.field.server().dir();
    std::fs::write(folder.join("cell.yaml"), format!("{HEAD}{nodes}")).expect("written");
    std::fs::write(folder.join("server.yaml"), format!("{}roles:\n{late}{SECRET}", bench.text)).expect("written");
    let report = bench.field.server().reload_files().report;
    assert_eq!((report.result, &report.needs_restart[..]), (ReloadResult::Applied, &["roles".to_owned()][..]));
    let statuses = ["OfLate", "OfTooLate", "OfSecret"].map(|path| status(&mut otto, path));
    assert_eq!(statuses, [StatusCode::Good, StatusCode::BadNodeIdUnknown, StatusCode::Good]);
    let again = bench.field.server().reload_files().report;
    assert_eq!((again.result, again.needs_restart.len()), (ReloadResult::Unchanged, 1));
}

/// `opcell user` numbers the roles of the file anew.
#[test]
fn accounts_that_are_read_again_have_the_numbers_of_the_running_server() {
    use opcell::testing::control::{Request, Response, ask};
    let bench = Bench::open();
    bench.put(&[FOLDER, HIDDEN], &[OTHER, SECRET]);
    bench.put(&[FOLDER, HIDDEN], &[SECRET, OTHER]);
    let (mut opal, mut otto) = (bench.log_in("opal"), bench.log_in("otto"));
    let asked = ask(&bench.field.server().dir().join("state"), &Request::Accounts);
    assert!(matches!(asked, Ok(Response::Done(_))), "{asked:?}");
    let statuses = [&mut opal, &mut otto].map(|session| status(session, "Hidden.X"));
    assert_eq!(statuses, [StatusCode::BadNodeIdUnknown, StatusCode::Good]);
}
