//! The Server object: what the server says of itself, its diagnostics, and the announcement of its end.

use std::time::{Duration, Instant};

use opcell::testing::history::aggregate::Aggregate;
use opcell::testing::stack::codec::{IdRef, Reader};
use opcell::testing::stack::crypto::MessageSecurityMode;
use opcell::value::{Elements, Value};
use opcua::{NodeId, ObjectId, ReferenceTypeId, StatusCode, VariableId};
use testkit::interop::Field;
use testkit::login::Login;
use testkit::request::browse;
use testkit::server::{CELL, TestServer};
use testkit::ua::Session;

const CLIENT: &str = "urn:test:server-object";

/// An operator with a password over an unsecured channel.
fn opal(field: &Field) -> Login<'_> {
    Login { client: &field.client, mode: MessageSecurityMode::None, user: Some("opal") }
}

/// The variables of the Server object are there, have their types, and are true (Part 5 §6.3.1).
#[test]
fn the_server_describes_itself() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(VariableId::Server_Auditing).value, Some(Value::Boolean(true)), "Auditing");
    let profiles = strings(client.read_value(VariableId::Server_ServerCapabilities_ServerProfileArray).value);
    assert!(profiles.iter().any(|uri| uri.ends_with("uatcp-uasc-uabinary")), "ServerProfileArray: {profiles:?}");
    let Some(Value::DateTime(started)) = client.read_value(VariableId::Server_ServerStatus_StartTime).value else {
        panic!("StartTime")
    };
    let Some(Value::DateTime(current)) = client.read_value(VariableId::Server_ServerStatus_CurrentTime).value else {
        panic!("CurrentTime")
    };
    assert!(started.0 > 0 && started.0 <= current.0, "{started:?} {current:?}");
    let status = structures(client.read_value(VariableId::Server_ServerStatus).value);
    assert_eq!(status[0][..8], started.0.to_le_bytes(), "StartTime is one and the same");
    assert_eq!(
        client.read_value(VariableId::Server_ServerDiagnostics_EnabledFlag).value,
        Some(Value::Boolean(true)),
        "EnabledFlag"
    );
    // A null value of a Boolean, or of a limit, would be worse than none.
    for number in [2275, 2276, 2277, 2281, 2285, 2272, 2735, 11_702, 11_705, 24_095, 24_096, 11_193] {
        let read = client.read_value(NodeId::new(0, number));
        assert!(read.value.is_some_and(|value| value != Value::Null), "i={number}: {:?}", read.status);
    }
}

/// The aggregates that are offered are those that are computed; for history none, where there is no history.
#[test]
fn no_aggregate_is_offered_that_is_not_computed() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for (folder, offered) in [
        (ObjectId::Server_ServerCapabilities_AggregateFunctions, Aggregate::all().count()),
        (ObjectId::HistoryServerCapabilities_AggregateFunctions, 0),
    ] {
        let results = client.ask(browse(&[folder], ReferenceTypeId::Organizes, 0)).results.expect("results");
        assert_eq!((results.len(), results[0].status_code), (1, StatusCode::Good), "{folder:?}");
        let references = results[0].references.iter().flatten();
        assert_eq!(references.clone().count(), offered, "{folder:?}");
        for reference in references {
            let function = &reference.node_id.node_id;
            assert!(Aggregate::from_node_id(function).is_some(), "{function}");
        }
    }
}

fn strings(value: Option<Value>) -> Vec<String> {
    match value {
        Some(Value::Array(array)) => match &array.elements {
            Elements::String(all) => all.iter().map(|text| format!("{text:?}").trim_matches('"').to_owned()).collect(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The bodies of a structure or an array of them.
fn structures(value: Option<Value>) -> Vec<Vec<u8>> {
    let Some(Value::Wire(bytes)) = value else { panic!("{value:?}") };
    let mut reader = Reader::new(&bytes);
    let kind = reader.u8().expect("a kind");
    assert_eq!(kind & 0x3f, 22);
    let count = if kind & 0x80 == 0 { 1 } else { reader.count(1).expect("a count") };
    let body = |reader: &mut Reader<'_>| reader.extension_object().expect("one").body.expect("a body").to_vec();
    (0..count).map(|_| body(&mut reader)).collect()
}

/// The diagnostics arrays hold the session and the subscription that read them.
#[test]
fn diagnostics_show_the_session_and_subscription_of_their_reader() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 100, 10);
    let sessions = structures(
        client
            .read_value(VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray)
            .value,
    );
    assert_eq!(sessions.len(), 1);
    let mut reader = Reader::new(&sessions[0]);
    assert_eq!(reader.node_id().expect("an id").id, IdRef::Numeric(client.id));
    assert_eq!(reader.text(), Ok("a test"));
    assert_eq!(reader.text(), Ok("urn:test:client"));
    let subscriptions =
        structures(client.read_value(VariableId::Server_ServerDiagnostics_SubscriptionDiagnosticsArray).value);
    assert_eq!(subscriptions.len(), 1);
    let mut reader = Reader::new(&subscriptions[0]);
    assert_eq!(reader.node_id().expect("an id").id, IdRef::Numeric(client.id));
    assert_eq!(reader.u32(), Ok(subscription));
}

/// How each session is logged in is shown to administrators only.
#[test]
fn security_diagnostics_are_for_administrators() {
    let field = Field::open(CLIENT);
    let mut opal = opal(&field).open(&field);
    let read = opal.read(&[
        (VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray, 13),
        (VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray, 17),
        (VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray, 18),
    ]);
    assert_eq!(read[0].status, Some(StatusCode::BadUserAccessDenied));
    assert_eq!((&read[1].value, &read[2].value), (&Some(Value::Byte(1)), &Some(Value::Byte(0))));
    let subscription = opal.subscribe(100.0, 100, 10);
    assert_eq!(
        opal.monitor(
            subscription,
            &[(VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray, 1)],
            0.0,
            1
        )[0]
        .0,
        StatusCode::Good,
        "Part 4 §5.13.2.1"
    );
    let told = opal.next_data().data.remove(0).1;
    assert_eq!((told.value, told.status), (None, Some(StatusCode::BadUserAccessDenied)));
}

/// EnabledFlag may be written by administrators only.
#[test]
fn the_enabled_flag_is_for_administrators() {
    let field = Field::open(CLIENT);
    let mut opal = opal(&field).open(&field);
    assert_eq!(
        opal.write(VariableId::Server_ServerDiagnostics_EnabledFlag, &Value::Boolean(false)),
        StatusCode::BadUserAccessDenied
    );
    assert_eq!(opal.read_value(VariableId::Server_ServerDiagnostics_EnabledFlag).value, Some(Value::Boolean(true)));
    assert_eq!(
        opal.read(&[(VariableId::Server_ServerDiagnostics_EnabledFlag, 17)])[0].value,
        Some(Value::Byte(3)),
        "AccessLevel: read and write"
    );
    assert_eq!(
        opal.read(&[(VariableId::Server_ServerDiagnostics_EnabledFlag, 18)])[0].value,
        Some(Value::Byte(1)),
        "UserAccessLevel: read"
    );
}

/// Before the server closes, its state and SecondsTillShutdown say so.
#[test]
fn the_shutdown_is_announced() {
    let mut server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(VariableId::Server_ServerStatus_SecondsTillShutdown).value, Some(Value::UInt32(0)));
    server.begin_stop();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let read = client.read(&[
            (VariableId::Server_ServerStatus_State, 13),
            (VariableId::Server_ServerStatus_SecondsTillShutdown, 13),
        ]);
        if read[0].value == Some(Value::Int32(4)) {
            assert!(matches!(read[1].value, Some(Value::UInt32(1..=5))), "{:?}", read[1].value);
            break;
        }
        assert!(Instant::now() < deadline, "the shutdown was not announced");
    }
    server.finish();
}
