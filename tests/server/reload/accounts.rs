//! Users, roles and sessions without login that change in the server file while they are there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use opcell::testing::control::{self, ReloadResult, Request, Response};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::MessageSecurityMode::SignAndEncrypt;
use opcell::value::Value;
use opcua::{AttributeId, StatusCode};
use testkit::interop::Field;
use testkit::login::Login;
use testkit::ua::Session;
use testkit::until;

const SETPOINT: NodeIdRef<'static> = NodeIdRef::string(2, "Pump.Setpoint");

fn file(field: &Field) -> String {
    std::fs::read_to_string(field.server().dir().join("server.yaml")).expect("a file")
}

fn reload(field: &Field, text: &str) -> ReloadResult {
    std::fs::write(field.server().dir().join("server.yaml"), text).expect("written");
    let answer = field.server().reload_files();
    assert_ne!(answer.report.result, ReloadResult::Refused, "{}", answer.text);
    answer.report.result
}

fn login<'a>(field: &'a Field, user: &'a str) -> Login<'a> {
    Login { client: &field.client, mode: SignAndEncrypt, user: Some(user) }
}

fn status(session: &mut Session, node: NodeIdRef<'_>) -> StatusCode {
    session.read_value(node).status.unwrap_or(StatusCode::Good)
}

fn is_open(session: &mut Session) -> bool {
    session.try_call(testkit::request::read(&[(SETPOINT, 13)])).is_ok_and(|answer| answer.result.is_good())
}

#[test]
fn sessions_get_what_the_file_gives_their_users_now() {
    let field = Field::open("urn:test:reload");
    let text = file(&field);
    let (mut opal, mut otto) = (login(&field, "opal").open(&field), login(&field, "otto").open(&field));
    let mut guest = Session::open(field.server().address);
    assert!(opal.write(SETPOINT, &Value::Double(1.0)).is_good());

    let hash = text.lines().find(|line| line.contains("otto")).expect("a line").replace("otto", "olga");
    let less = text.replacen("roles: [Operator]", "roles: [Observer]", 1);
    let less: String = less.lines().filter(|line| !line.contains("otto")).map(|line| format!("{line}\n")).collect();
    let less = less.replace("users:\n", &format!("users:\n{hash}\n")).replace("anonymous: [Observer]", "anonymous: []");
    assert_eq!(reload(&field, &less), ReloadResult::Applied);
    assert_eq!(opal.write(SETPOINT, &Value::Double(2.0)), StatusCode::BadUserAccessDenied, "Operator no more");
    assert!(status(&mut opal, SETPOINT).is_good());
    until("a removed user leaves", || !is_open(&mut otto));
    until("sessions without login end", || !is_open(&mut guest));
    login(&field, "olga").open(&field).close();

    assert_eq!(reload(&field, &text), ReloadResult::Applied);
    assert!(opal.write(SETPOINT, &Value::Double(3.0)).is_good());
    Session::open(field.server().address).close();
}

/// `opcell user add` asks the server to read its accounts; the file may go back to what it was before.
#[test]
fn the_users_that_the_server_has_are_compared_with_those_of_the_file() {
    let field = Field::open("urn:test:reload");
    let text = file(&field);
    let names = || -> Vec<String> { field.server().server.users.accounts().users.keys().cloned().collect() };
    let hash = text.lines().find(|line| line.contains("otto")).expect("a line").replace("otto", "olga");
    let more = text.replace("users:\n", &format!("users:\n{hash}\n"));
    std::fs::write(field.server().dir().join("server.yaml"), &more).expect("written");
    let asked = control::ask(&field.server().dir().join("state"), &Request::Accounts);
    assert!(matches!(asked, Ok(Response::Done(_))), "{asked:?}");
    assert_eq!(names(), ["erika", "olga", "opal", "otto"]);
    assert_eq!(reload(&field, &more), ReloadResult::Unchanged);
    assert_eq!(reload(&field, &text), ReloadResult::Applied);
    assert_eq!(names(), ["erika", "opal", "otto"]);
}

/// The cell and the file of a server with two own roles, each with one tag and one holder.
fn with_roles(text: &str, roles: [&str; 2], holders: [&str; 2]) -> (String, String) {
    let [one, two] = roles;
    // The tags belong to the roles by name, whatever their order.
    let tag = |role: &str, name: &str| format!("  {name}: {{ type: Int32, value: 1, access: {{ read: [{role}] }} }}\n");
    let of = |holder: &str| if holder == "opal" { "OfOpal" } else { "OfOtto" };
    let nodes: String = [(one, holders[0]), (two, holders[1])].iter().map(|(role, who)| tag(role, of(who))).collect();
    let cell = format!("schema: 1\ncell: press\nnamespace: urn:test:press\nnodes:\n{nodes}");
    let roles = format!("roles:\n  {one}: {{ users: [{}] }}\n  {two}: {{ users: [{}] }}\n", holders[0], holders[1]);
    (cell, format!("{text}{roles}"))
}

#[test]
fn own_roles_are_renamed_and_reordered_and_no_session_ever_has_that_of_another() {
    let field = Field::open("urn:test:reload");
    let text = file(&field);
    let (of_opal, of_otto) = (NodeIdRef::string(2, "OfOpal"), NodeIdRef::string(2, "OfOtto"));
    let put = |roles, holders| {
        let (cell, server) = with_roles(&text, roles, holders);
        std::fs::write(field.server().dir().join("cell.yaml"), cell).expect("written");
        assert_eq!(reload(&field, &server), ReloadResult::Applied, "{roles:?}");
    };
    put(["Alpha", "Beta"], ["opal", "otto"]);
    let mut opal = login(&field, "opal").open(&field);
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Reads all the time while the roles change places.
        let reader = scope.spawn(|| {
            let mut session = login(&field, "opal").open(&field);
            while !is_over.load(Ordering::Relaxed) {
                let read = session.read(&[(of_otto, AttributeId::Value as u32), (of_opal, AttributeId::Value as u32)]);
                assert!(read[0].status.is_some_and(|status| status.is_bad()), "the value of another role: {read:?}");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        until("the reader reads", || (count.load(Ordering::Relaxed) > 0).then_some(()));
        for (roles, holders) in [
            (["Beta", "Alpha"], ["otto", "opal"]),
            (["Alpha", "Beta"], ["opal", "otto"]),
            (["Gamma", "Beta"], ["opal", "otto"]),
            (["Beta", "Gamma"], ["otto", "opal"]),
        ] {
            put(roles, holders);
            let (own, other) = (status(&mut opal, of_opal), status(&mut opal, of_otto));
            assert!(own.is_good() && other.is_bad(), "{roles:?}: {own}, {other}");
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("no value of another role");
    });
    let mut node = |name: &str| {
        let id = NodeIdRef::string(1, name);
        opal.read(&[(id, AttributeId::BrowseName as u32)]).remove(0).status.unwrap_or(StatusCode::Good)
    };
    assert_eq!([node("@role.Gamma"), node("@role.Beta")], [StatusCode::Good; 2]);
    assert_eq!(node("@role.Alpha"), StatusCode::BadNodeIdUnknown, "its node is gone");
}
