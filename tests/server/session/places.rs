//! The number of sessions: how many there may be, who gets the last places, and which session makes room for another.

use std::time::{Duration, Instant};

use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::stack::crypto::MessageSecurityMode::{self, Sign};
use opcell::value::Value;
use opcua::{StatusCode, VariableId};
use testkit::interop::Field;
use testkit::login::Login;
use testkit::server::{CELL, TestServer};
use testkit::ua::{Session, unsecured};
use testkit::until;

const CLIENT: &str = "urn:test:client";

fn setpoint() -> NodeIdRef<'static> {
    NodeIdRef::string(2, "Pump.Setpoint")
}

/// A session without login of this application, for an hour.
fn anonymous(field: &Field, application: &str) -> Result<Session, StatusCode> {
    let mut session = Session::connect(field.server().address, unsecured()).map_err(|_| StatusCode::BadNotConnected)?;
    let created = session.create_with(application, b"", 3_600_000.0, 0);
    if created.result.is_bad() {
        return Err(created.result);
    }
    let activated = session.activate_anonymous();
    if activated.result.is_bad() { Err(activated.result) } else { Ok(session) }
}

/// Clients are cut again and again: a new client gets in, no connected session ends, and a client that returns in
/// time finds its subscription.
#[test]
fn sessions_without_a_connection_make_room_and_connected_ones_stay() {
    let field = Field::open(CLIENT);
    let user = Login { client: &field.client, mode: Sign, user: Some("opal") };
    let mut living: Vec<Session> =
        (0..5).map(|n| anonymous(&field, &format!("urn:test:living{n}")).expect("room")).collect();
    living.push(user.open(&field));
    // A client with a login that is cut and has a subscription to come back for.
    let mut left = user.open(&field);
    let subscription = left.subscribe(100.0, 36_000, 10);
    assert_eq!(left.monitor(subscription, &[(setpoint(), 1)], 0.0, 10)[0].0, StatusCode::Good);
    drop(left);
    for n in 0..300 {
        let application = format!("urn:test:application{}", n % 10);
        let session = anonymous(&field, &application);
        let session = session.unwrap_or_else(|status| panic!("cut session {n}: {status}"));
        // The socket is closed; nothing is said.
        drop(session);
        if n % 30 == 0 {
            drop(user.open(&field));
        }
    }
    let began = Instant::now();
    let newcomer = anonymous(&field, "urn:test:newcomer").expect("a newcomer gets in");
    let logged_in = user.open(&field);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for session in &mut living {
        assert_eq!(session.read_value(setpoint()).value, Some(Value::Double(100.0)));
    }
    let mut back = user.open(&field);
    assert_eq!(back.transfer(subscription, false).0, StatusCode::Good);
    assert_eq!(back.read_value(setpoint()).value, Some(Value::Double(100.0)));
    newcomer.close();
    logged_in.close();
    back.close();
    drop(living);
}

/// A hundred sessions that are never activated keep nobody out, and end by themselves.
#[test]
fn sessions_that_are_never_activated_keep_nobody_out() {
    let server = TestServer::with(CELL, None, |limits, _| {
        limits.configured.max_sessions = 10;
        limits.activation_timeout = Duration::from_millis(300);
        limits.session_timeout.least = Duration::from_millis(300);
    });
    let mut flood = Session::connect(server.address, unsecured()).expect("a channel");
    for _ in 0..100 {
        flood.create("urn:test:flood", b"").good();
    }
    assert!(server.server.sessions.len() <= 10);
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(VariableId::Server_ServerStatus_State).value, Some(Value::Int32(0)));
    until("they end", || server.server.sessions.len() == 1);
    assert_eq!(
        client.read_value(VariableId::Server_ServerStatus_State).value,
        Some(Value::Int32(0)),
        "the active one stays"
    );
}

/// As many sessions as the server file allows can be opened, also from one address, and one more is refused.
#[test]
fn as_many_sessions_as_are_configured_can_be_opened() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("cell.yaml"), CELL).expect("written");
    let file = "schema: 1\ncells: [cell.yaml]\nlisten: [\"127.0.0.1:0\"]\nsecurity: { allow_unsecured: true }\n\
                anonymous: [Observer]\nlimits: { max_sessions: 300 }\n";
    std::fs::write(dir.path().join("server.yaml"), file).expect("written");
    let server = TestServer::start_with(dir);
    let sessions: Vec<Session> = (0..300).map(|_| Session::open(server.address)).collect();
    let mut more = Session::connect(server.address, unsecured()).expect("a channel");
    assert_eq!(more.create(CLIENT, b"").result, StatusCode::BadTooManySessions);
    assert_eq!(sessions.len(), 300);
}

/// Sessions without a login leave the last places to users who log in.
#[test]
fn the_last_places_are_kept_for_identified_users() {
    let field = Field::open(CLIENT);
    let address = field.server().address;
    let mut anonymous = Vec::new();
    let refused = loop {
        let mut session = Session::connect(address, unsecured()).expect("a channel");
        session.create(CLIENT, b"").good();
        let response = session.activate_anonymous();
        if response.result.is_bad() {
            break response.result;
        }
        anonymous.push(session);
        assert!(anonymous.len() <= 100);
    };
    assert_eq!((refused, anonymous.len()), (StatusCode::BadTooManySessions, 95));
    Login { client: &field.client, mode: MessageSecurityMode::None, user: Some("opal") }.open(&field);
}
