//! Places for sessions when clients are cut again and again: a newcomer gets in, no living session is harmed, and who
//! comes back for a subscription in time has it.

use std::time::{Duration, Instant};

use opcell::stack::codec::NodeIdRef;
use opcell::stack::crypto::MessageSecurityMode::Sign;
use opcell::value::Value;
use opcua::StatusCode;

use testkit::interop::Field;
use testkit::login::Login;
use testkit::ua::{Session, unsecured};

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

fn transfer(session: &mut Session, subscription: u32) -> StatusCode {
    let response = session.call(841, |w| {
        w.count(1);
        w.u32(subscription);
        w.bool(false);
    });
    let mut reader = response.good();
    reader.count(8).expect("results");
    reader.status().expect("a status")
}

#[test]
fn cut_sessions_give_way_and_living_ones_do_not() {
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
    assert_eq!(transfer(&mut back, subscription), StatusCode::Good);
    assert_eq!(back.read_value(setpoint()).value, Some(Value::Double(100.0)));
    newcomer.close();
    logged_in.close();
    back.close();
    drop(living);
}
