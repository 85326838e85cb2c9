//! Subscriptions that outlive a connection: TransferSubscriptions and Republish as a client uses them after a cut.

use std::time::{Duration, Instant};

use opcell::testing::stack::codec::{NodeIdRef, Reader};
use opcell::testing::stack::crypto::MessageSecurityMode::{self, None as Open, Sign, SignAndEncrypt};
use opcell::value::Value;
use opcua::{AttributeId, StatusCode, VariableId};
use testkit::interop::{Field, Holder};
use testkit::login::Login;
use testkit::request;
use testkit::ua::{Publication, Session};
use testkit::until;

fn setpoint() -> NodeIdRef<'static> {
    NodeIdRef::string(2, "Pump.Setpoint")
}

fn republish(session: &mut Session, subscription: u32, sequence: u32) -> Result<Publication, StatusCode> {
    let response = session.call(request::republish(subscription, sequence));
    if response.result.is_bad() {
        return Err(response.result);
    }
    let mut publication = Publication::default();
    publication.read_message(&mut Reader::new(&response.body));
    Ok(publication)
}

fn numbers(publication: &Publication) -> Vec<f64> {
    let number = |value: &Option<Value>| match value {
        Some(Value::Double(number)) => *number,
        other => panic!("not a Double: {other:?}"),
    };
    publication.data.iter().map(|(_, value)| number(&value.value)).collect()
}

/// A subscription on the set-point whose first message was heard.
fn listen(session: &mut Session) -> u32 {
    let subscription = session.subscribe(20.0, 3000, 1000);
    assert_eq!(session.monitor(subscription, &[(setpoint(), 1)], 0.0, 10)[0].0, StatusCode::Good);
    assert_eq!(numbers(&session.next_data()), [100.0]);
    subscription
}

fn set(writer: &mut Session, value: f64) {
    assert_eq!(writer.write(setpoint(), &Value::Double(value)), StatusCode::Good);
}

#[test]
fn nothing_is_lost_when_a_new_session_takes_over_after_a_cut() {
    let field = Field::open("urn:test:raw");
    let opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    let mut writer = opal.open(&field);
    let mut value = 100.0;
    // As the specification lets it: the same user; or anonymous, signed, of the same application.
    for (user, mode) in [(Some("opal"), SignAndEncrypt), (Some("opal"), Open), (None, Sign), (None, SignAndEncrypt)] {
        let who = format!("{user:?} over {mode:?}");
        set(&mut writer, 100.0);
        let login = Login { client: &field.client, mode, user };
        let mut first = login.open(&field);
        let subscription = listen(&mut first);
        value += 1.0;
        set(&mut writer, value);
        let second = first.next_data();
        assert_eq!(numbers(&second), [value], "{who}");
        // Neither message is acknowledged; the connection breaks without a word.
        drop(first);
        for _ in 0..2 {
            value += 1.0;
            set(&mut writer, value);
        }
        let mut next = login.open(&field);
        let (status, available) = next.transfer(subscription, false);
        assert_eq!((status, &available[..]), (StatusCode::Good, &[1, 2][..]), "{who}");
        let again = republish(&mut next, subscription, 2).expect("it is kept");
        assert_eq!((again.sequence, numbers(&again)), (2, vec![value - 2.0]), "{who}");
        let third = next.next_data();
        assert_eq!((third.subscription, third.sequence), (subscription, 3), "{who}");
        assert_eq!(numbers(&third), [value - 1.0, value], "{who}");
        assert_eq!(third.available, [1, 2, 3], "{who}");
        value += 1.0;
        set(&mut writer, value);
        let fourth = next.publish(&[(subscription, 1), (subscription, 2), (subscription, 3), (subscription, 9)]);
        let fourth = fourth.expect("a message");
        let unknown = StatusCode::BadSequenceNumberUnknown;
        assert_eq!(fourth.results, [StatusCode::Good, StatusCode::Good, StatusCode::Good, unknown], "{who}");
        assert_eq!((fourth.sequence, &fourth.available[..]), (4, &[4][..]), "{who}");
        let gone = republish(&mut next, subscription, 2).expect_err("it was acknowledged");
        assert_eq!(gone, StatusCode::BadMessageNotAvailable, "{who}");
        next.close();
    }
}

#[test]
fn the_old_session_is_notified_when_its_subscription_is_transferred() {
    let field = Field::open("urn:test:raw");
    let opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    let mut old = opal.open(&field);
    let subscription = listen(&mut old);
    old.ask_publish(&[]);
    let mut new = opal.open(&field);
    let (status, available) = new.transfer(subscription, true);
    assert_eq!((status, &available[..]), (StatusCode::Good, &[1][..]));
    let farewell = old.published().expect("a message");
    assert_eq!((farewell.subscription, farewell.sequence), (subscription, 2), "the number that was to come next");
    assert_eq!(farewell.status_change, Some(StatusCode::GoodSubscriptionTransferred));
    assert_eq!(old.publish(&[]).expect_err("nothing is left"), StatusCode::BadNoSubscription);
    assert_eq!(republish(&mut old, subscription, 1).expect_err("not its own"), StatusCode::BadSubscriptionIdInvalid);
    // The new one asked for present values, though none changed.
    let first = new.next_data();
    assert_eq!((first.sequence, numbers(&first)), (2, vec![100.0]));
    assert_eq!(new.transfer(subscription, false).0, StatusCode::BadNothingToDo);
    assert_eq!(new.transfer(subscription ^ 1, false).0, StatusCode::BadSubscriptionIdInvalid);
}

#[test]
fn a_subscription_is_transferred_to_no_other_user_or_application() {
    let other = Holder::of("urn:test:other");
    let field = Field::with("urn:test:raw", &[&other]);
    let own = &*field.client;
    type Who<'a> = (&'a Holder, MessageSecurityMode, Option<&'a str>);
    let table: [(Who, Who, StatusCode); 8] = [
        ((own, Sign, Some("opal")), (own, Sign, Some("otto")), StatusCode::BadUserAccessDenied),
        ((own, Sign, Some("opal")), (own, Sign, None), StatusCode::BadUserAccessDenied),
        ((own, Sign, None), (own, Sign, Some("opal")), StatusCode::BadUserAccessDenied),
        ((own, Sign, None), (&*other, Sign, None), StatusCode::BadUserAccessDenied),
        ((own, Sign, None), (own, Open, None), StatusCode::BadUserAccessDenied),
        ((own, Open, None), (own, Sign, None), StatusCode::BadUserAccessDenied),
        ((own, Open, None), (own, Open, None), StatusCode::BadUserAccessDenied),
        ((own, Sign, Some("opal")), (&*other, SignAndEncrypt, Some("opal")), StatusCode::Good),
    ];
    for (row, (owner, taker, expected)) in table.into_iter().enumerate() {
        let login = |(client, mode, user): Who<'_>| Login { client, mode, user }.open(&field);
        let (mut owner, mut taker) = (login(owner), login(taker));
        let subscription = listen(&mut owner);
        assert_eq!(taker.transfer(subscription, false).0, expected, "row {row}");
        if expected.is_bad() {
            // It is still the owner's.
            assert!(republish(&mut owner, subscription, 1).is_ok(), "row {row}");
            let stranger = republish(&mut taker, subscription, 1).expect_err("not its own");
            assert_eq!(stranger, StatusCode::BadSubscriptionIdInvalid, "row {row}");
        }
        owner.close();
        taker.close();
    }
}

#[test]
fn a_session_continues_on_a_new_channel_with_its_subscription() {
    let field = Field::open("urn:test:raw");
    let opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    let otto = Login { user: Some("otto"), ..opal };
    let mut writer = opal.open(&field);
    let mut first = opal.open(&field);
    let subscription = listen(&mut first);
    let (token, nonce) = (first.token.clone(), first.server_nonce.clone());
    drop(first);
    set(&mut writer, 101.0);
    let mut second = opal.connect(&field);
    (second.token, second.server_nonce) = (token, nonce);
    assert_eq!(otto.activate(&mut second, &field).result, StatusCode::BadIdentityTokenRejected);
    opal.activate(&mut second, &field).good();
    assert_eq!(numbers(&republish(&mut second, subscription, 1).expect("it is kept")), [100.0]);
    let next = second.next_data();
    assert_eq!((next.sequence, numbers(&next)), (2, vec![101.0]));
}

#[test]
fn a_closed_session_may_leave_its_subscription_to_the_next() {
    let field = Field::open("urn:test:raw");
    let opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    for (delete, expected) in [(false, StatusCode::Good), (true, StatusCode::BadSubscriptionIdInvalid)] {
        let mut first = opal.open(&field);
        let subscription = listen(&mut first);
        first.ask(request::close_session(delete));
        let mut second = opal.open(&field);
        assert_eq!(second.transfer(subscription, false).0, expected, "deleted: {delete}");
    }
}

#[test]
fn a_subscription_without_publish_requests_ends_and_reports_it_later() {
    let field = Field::open("urn:test:raw");
    let mut session = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") }.open(&field);
    let subscription = session.subscribe(10.0, 6, 2);
    until("it ends", || field.server().server.subscriptions.is_empty());
    let farewell = session.publish(&[]).expect("a message");
    assert_eq!((farewell.subscription, farewell.sequence), (subscription, 1));
    assert_eq!(farewell.status_change, Some(StatusCode::BadTimeout));
    assert_eq!(session.transfer(subscription, false).0, StatusCode::BadSubscriptionIdInvalid);
}

/// The session that loses a subscription gets a StatusChangeNotification (Part 4 §5.14.7); its own requests continue.
#[test]
fn a_transfer_is_reported_to_the_old_session() {
    let field = Field::open("urn:test:raw");
    let opal = Login { client: &field.client, mode: Open, user: Some("opal") };
    let (mut old, mut new) = (opal.open(&field), opal.open(&field));
    let subscription = old.subscribe(100.0, 1_000, 100);
    old.publish(&[]).expect("the first keep-alive");
    old.ask_publish(&[]);
    assert_eq!(new.transfer(subscription, false).0, StatusCode::Good);
    let told = old.published().expect("a message");
    assert_eq!((told.subscription, told.status_change), (subscription, Some(StatusCode::GoodSubscriptionTransferred)));
    assert_eq!(old.publish(&[]).err(), Some(StatusCode::BadNoSubscription));
    assert_eq!(new.publish(&[]).expect("a message").subscription, subscription);
    // In both directions, without a Publish between: the number of kept status changes is bounded.
    for _ in 0..300 {
        assert_eq!(old.transfer(subscription, false).0, StatusCode::Good);
        assert_eq!(new.transfer(subscription, false).0, StatusCode::Good);
    }
    let kept = field.server().server.sessions.all().iter().map(|session| session.lock().last_changes.len()).max();
    assert!(kept <= Some(100), "{kept:?}");
    let mut stranger = Session::open(field.server().address);
    assert_eq!(stranger.transfer(subscription, false).0, StatusCode::BadUserAccessDenied);
}

/// Transfers in both directions, messages and reads of the diagnostics at the same time: no request waits for ever.
#[test]
fn transfers_in_both_directions_do_not_deadlock() {
    let field = Field::open("urn:test:raw");
    let opal = Login { client: &field.client, mode: Open, user: Some("opal") };
    let mut sessions = [opal.open(&field), opal.open(&field), opal.open(&field)];
    let subscriptions: Vec<u32> = (0..3).map(|_| sessions[0].subscribe(10.0, 1_000, 1)).collect();
    let diagnostics = [
        VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray,
        VariableId::Server_ServerDiagnostics_SubscriptionDiagnosticsArray,
        VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary,
    ];
    let end = Instant::now() + Duration::from_millis(1_500);
    std::thread::scope(|scope| {
        for session in &mut sessions {
            let subscriptions = &subscriptions;
            scope.spawn(move || {
                while Instant::now() < end {
                    for subscription in subscriptions {
                        session.ask(request::transfer(&[*subscription], true));
                        session.send(request::publish(&[])).expect("sent");
                    }
                    let read = session.read(&diagnostics.map(|id| (id, AttributeId::Value as u32)));
                    assert!(read.iter().all(|read| read.value.is_some()));
                }
            });
        }
    });
    // Each subscription has one owner, and is in that session alone.
    let server = &field.server().server;
    let mut owned: Vec<u32> = server
        .sessions
        .all()
        .iter()
        .flat_map(|session| {
            let state = session.lock();
            state.subscriptions.iter().map(|subscription| subscription.id).collect::<Vec<_>>()
        })
        .collect();
    owned.sort_unstable();
    assert_eq!(owned, subscriptions);
}
