//! Subscriptions that outlive a connection: TransferSubscriptions and Republish as a client uses them after a cut.

use opcell::stack::codec::{NodeIdRef, Reader};
use opcell::stack::crypto::MessageSecurityMode::{self, None as Open, Sign, SignAndEncrypt};
use opcell::value::Value;
use opcua::StatusCode;

use testkit::interop::{Field, Holder};
use testkit::login::Login;
use testkit::ua;
use testkit::ua::{Publication, Session};

fn setpoint() -> NodeIdRef<'static> {
    NodeIdRef::string(2, "Pump.Setpoint")
}

/// TransferSubscriptions of one: its status and the numbers that can be had again.
fn transfer(session: &mut Session, subscription: u32, send_initial: bool) -> (StatusCode, Vec<u32>) {
    let response = session.call(841, |w| {
        w.count(1);
        w.u32(subscription);
        w.bool(send_initial);
    });
    let mut reader = response.good();
    assert_eq!(reader.count(8).expect("results"), 1);
    let status = reader.status().expect("a status");
    let count = reader.count(4).expect("numbers");
    (status, (0..count).map(|_| reader.u32().expect("a number")).collect())
}

fn republish(session: &mut Session, subscription: u32, sequence: u32) -> Result<Publication, StatusCode> {
    let response = session.call(832, |w| {
        w.u32(subscription);
        w.u32(sequence);
    });
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
        let (status, available) = transfer(&mut next, subscription, false);
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
fn the_old_session_is_told_when_its_subscription_goes() {
    let field = Field::open("urn:test:raw");
    let opal = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") };
    let mut old = opal.open(&field);
    let subscription = listen(&mut old);
    old.ask_publish(&[]);
    let mut new = opal.open(&field);
    let (status, available) = transfer(&mut new, subscription, true);
    assert_eq!((status, &available[..]), (StatusCode::Good, &[1][..]));
    let farewell = old.published().expect("a message");
    assert_eq!((farewell.subscription, farewell.sequence), (subscription, 2), "the number that was to come next");
    assert_eq!(farewell.status_change, Some(StatusCode::GoodSubscriptionTransferred));
    assert_eq!(old.publish(&[]).expect_err("nothing is left"), StatusCode::BadNoSubscription);
    assert_eq!(republish(&mut old, subscription, 1).expect_err("not its own"), StatusCode::BadSubscriptionIdInvalid);
    // The new one asked for present values, though none changed.
    let first = new.next_data();
    assert_eq!((first.sequence, numbers(&first)), (2, vec![100.0]));
    assert_eq!(transfer(&mut new, subscription, false).0, StatusCode::BadNothingToDo);
    assert_eq!(transfer(&mut new, subscription ^ 1, false).0, StatusCode::BadSubscriptionIdInvalid);
}

#[test]
fn a_subscription_goes_to_nobody_else() {
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
        assert_eq!(transfer(&mut taker, subscription, false).0, expected, "row {row}");
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
fn a_session_goes_on_over_a_new_channel_with_its_subscription() {
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
        first.call(473, |w| w.bool(delete)).good();
        let mut second = opal.open(&field);
        assert_eq!(transfer(&mut second, subscription, false).0, expected, "deleted: {delete}");
    }
}

#[test]
fn a_subscription_that_nobody_asks_ends_and_says_so_later() {
    let field = Field::open("urn:test:raw");
    let mut session = Login { client: &field.client, mode: SignAndEncrypt, user: Some("opal") }.open(&field);
    let subscription = session.subscribe(10.0, 6, 2);
    let began = std::time::Instant::now();
    while field.server().server.subscription_count() > 0 {
        assert!(began.elapsed() < ua::TIMEOUT, "it never ends");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let farewell = session.publish(&[]).expect("a message");
    assert_eq!((farewell.subscription, farewell.sequence), (subscription, 1));
    assert_eq!(farewell.status_change, Some(StatusCode::BadTimeout));
    assert_eq!(transfer(&mut session, subscription, false).0, StatusCode::BadSubscriptionIdInvalid);
}
