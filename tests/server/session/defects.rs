//! Defects that other servers have with sessions, identities and what they tell of themselves: one test each.
//!
//! The numbers are those of the project's list of defects. The secured server is the one that foreign clients meet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use opcell::history::aggregate::Aggregate;
use opcell::stack::codec::{IdRef, NodeIdRef, Reader};
use opcell::stack::crypto::{MessageSecurityMode, Policy, encrypt_secret};
use opcell::value::{Elements, Value};
use opcua::StatusCode;
use testkit::interop::{Field, PASSWORD};
use testkit::ua;

use testkit::server::{CELL, TestServer};
use testkit::ua::{Session, secured, unsecured};

const CLIENT: &str = "urn:test:defects";

fn ns0(number: u32) -> NodeIdRef<'static> {
    NodeIdRef::numeric(0, number)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// 3: a hundred sessions that are never activated lock nobody out, and end by themselves.
#[test]
fn sessions_that_are_never_activated_lock_nobody_out() {
    let server = TestServer::with(CELL, None, |limits, _| {
        limits.configured.max_sessions = 10;
        limits.activation_timeout = Duration::from_millis(300);
        limits.session_timeout.0 = Duration::from_millis(300);
    });
    let mut flood = Session::connect(server.address, unsecured()).expect("a channel");
    for _ in 0..100 {
        flood.create("urn:test:flood", b"").good();
    }
    assert!(server.server.sessions.len() <= 10);
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(ns0(2259)).value, Some(Value::Int32(0)));
    eventually("they end", || server.server.sessions.len() == 1);
    assert_eq!(client.read_value(ns0(2259)).value, Some(Value::Int32(0)), "the active one stays");
}

/// 9: as many sessions as the server file allows can be opened, also from one address, and one more is refused.
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

/// 3: sessions without a login leave the last places to people who log in.
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
    let mut opal = Session::connect(address, unsecured()).expect("a channel");
    opal.create(CLIENT, b"").good();
    log_in(&mut opal, &field, "opal").good();
}

/// Activates with the password, encrypted as the None endpoint of the server asks for.
fn log_in(session: &mut Session, field: &Field, user: &str) -> ua::Response {
    let policy = Policy::Basic256Sha256;
    let secret = encrypt_secret(&field.peer().key, policy, PASSWORD.as_bytes(), &session.server_nonce).expect("sealed");
    session.activate(None, |w| {
        w.extension_object(324, |w| {
            w.text("username");
            w.text(user);
            w.bytes(Some(&secret));
            w.string(policy.encryption_uri());
        });
    })
}

/// One EndpointDescription: policy, mode, and the token policies as (kind, policy).
struct Endpoint {
    policy: String,
    mode: i32,
    tokens: Vec<(i32, String)>,
    has_certificate: bool,
}

fn endpoints(session: &mut Session) -> Vec<Endpoint> {
    let response = session.call(428, |w| {
        w.text("opc.tcp://127.0.0.1:4840");
        w.null_array();
        w.null_array();
    });
    let mut reader = response.good();
    (0..reader.count(1).expect("endpoints")).map(|_| endpoint(&mut reader)).collect()
}

fn endpoint(reader: &mut Reader<'_>) -> Endpoint {
    let text = |reader: &mut Reader<'_>| reader.text().expect("a text").to_owned();
    text(reader);
    text(reader);
    text(reader);
    reader.localized_text().expect("a name");
    reader.i32().expect("a kind");
    reader.string().expect("a gateway");
    reader.string().expect("a profile");
    for _ in 0..reader.count(4).expect("urls") {
        text(reader);
    }
    let has_certificate = reader.bytes().expect("a certificate").is_some_and(|der| !der.is_empty());
    let mode = reader.i32().expect("a mode");
    let policy = text(reader);
    let tokens = (0..reader.count(4).expect("tokens"))
        .map(|_| {
            text(reader);
            let kind = reader.i32().expect("a kind");
            reader.string().expect("a type");
            reader.string().expect("an issuer");
            (kind, text(reader))
        })
        .collect();
    text(reader);
    reader.u8().expect("a level");
    Endpoint { policy, mode, tokens, has_certificate }
}

/// 10: a user token is always protected by a policy that encrypts, also on the None endpoint; a password in clear is
/// refused there and everywhere.
#[test]
fn no_client_is_led_to_send_a_password_in_clear() {
    let field = Field::open(CLIENT);
    let mut session = Session::connect(field.server().address, unsecured()).expect("a channel");
    let all = endpoints(&mut session);
    assert!(all.iter().any(|endpoint| endpoint.mode == 1), "there is a None endpoint");
    for endpoint in &all {
        assert!(endpoint.has_certificate, "{}", endpoint.policy);
        for (kind, policy) in &endpoint.tokens {
            assert_eq!(*kind == 0, policy.is_empty(), "token {kind} on {}", endpoint.policy);
            assert!(!policy.ends_with("#None"), "token {kind} on {}", endpoint.policy);
        }
    }
    session.create(CLIENT, b"").good();
    for algorithm in [None, Some("http://opcfoundation.org/UA/SecurityPolicy#None")] {
        let response = session.activate(None, |w| {
            w.extension_object(324, |w| {
                w.text("username");
                w.text("opal");
                w.bytes(Some(PASSWORD.as_bytes()));
                w.string(algorithm);
            });
        });
        assert_eq!(response.result, StatusCode::BadIdentityTokenInvalid, "{algorithm:?}");
    }
    log_in(&mut session, &field, "opal").good();
}

/// 11: the ApplicationUri of CreateSession is the one of the client's certificate, and the certificate is the
/// channel's. (Chains, CRLs and the reasons that the operator is told are tested with `pki`.)
#[test]
fn a_client_is_who_its_certificate_says() {
    let field = Field::open(CLIENT);
    let (policy, mode) = (Policy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt);
    for (uri, certificate, status) in [
        ("urn:test:somebody-else", field.client.identity.leaf(), StatusCode::BadCertificateUriInvalid),
        ("", field.client.identity.leaf(), StatusCode::BadCertificateUriInvalid),
        (CLIENT, field.erika.identity.leaf(), StatusCode::BadCertificateInvalid),
        (CLIENT, b"".as_slice(), StatusCode::BadCertificateInvalid),
        (CLIENT, field.client.identity.leaf(), StatusCode::Good),
    ] {
        let settings = secured(policy, mode, &field.client.identity, &field.peer());
        let mut session = Session::connect(field.server().address, settings).expect("a channel");
        assert_eq!(session.create(uri, certificate).result, status, "{uri}");
    }
    let stranger = secured(policy, mode, &field.erika.identity, &field.peer());
    assert!(Session::connect(field.server().address, stranger).is_err(), "a certificate that nobody trusts");
}

/// 12: no policy that is deprecated is offered, neither for a channel nor for a token.
#[test]
fn deprecated_policies_are_offered_for_nothing() {
    let field = Field::open(CLIENT);
    let mut session = Session::connect(field.server().address, unsecured()).expect("a channel");
    let mut offered = BTreeSet::new();
    for endpoint in endpoints(&mut session) {
        offered.insert(endpoint.policy);
        offered.extend(endpoint.tokens.into_iter().map(|(_, policy)| policy));
    }
    let names: Vec<&str> = offered.iter().filter_map(|uri| uri.rsplit_once('#')).map(|(_, name)| name).collect();
    assert_eq!(names, ["Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss", "Basic256Sha256", "None"]);
}

/// 22: what the server says of itself is there, has its type, and is true.
#[test]
fn the_server_describes_itself() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(ns0(2994)).value, Some(Value::Boolean(true)), "Auditing");
    let profiles = strings(client.read_value(ns0(2269)).value);
    assert!(profiles.iter().any(|uri| uri.ends_with("uatcp-uasc-uabinary")), "ServerProfileArray: {profiles:?}");
    let Some(Value::DateTime(started)) = client.read_value(ns0(2257)).value else { panic!("StartTime") };
    let Some(Value::DateTime(current)) = client.read_value(ns0(2258)).value else { panic!("CurrentTime") };
    assert!(started.0 > 0 && started.0 <= current.0, "{started:?} {current:?}");
    let status = structures(client.read_value(ns0(2256)).value);
    assert_eq!(status[0][..8], started.0.to_le_bytes(), "StartTime is one and the same");
    assert_eq!(client.read_value(ns0(2294)).value, Some(Value::Boolean(true)), "EnabledFlag");
    // A null value of a Boolean, or of a limit, would be worse than none.
    for number in [2275, 2276, 2277, 2281, 2285, 2272, 2735, 11_702, 11_705, 24_095, 24_096, 11_193] {
        let read = client.read_value(ns0(number));
        assert!(read.value.is_some_and(|value| value != Value::Null), "i={number}: {:?}", read.status);
    }
}

/// 22: the aggregates that are offered are those that are computed; of history none, where there is no history.
#[test]
fn no_aggregate_is_offered_that_is_not_computed() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    for (folder, offered) in [(2997, Aggregate::all().count()), (11_201, 0)] {
        let response = client.call(527, |w| {
            w.node_id(NodeIdRef::NULL);
            w.i64(0);
            w.u32(0);
            w.u32(0);
            w.count(1);
            w.node_id(ns0(folder));
            w.i32(0);
            w.node_id(ns0(35));
            w.bool(true);
            w.u32(0);
            w.u32(0);
        });
        let mut reader = response.good();
        assert_eq!(reader.count(1).expect("results"), 1);
        assert_eq!(reader.status(), Ok(StatusCode::Good), "i={folder}");
        reader.bytes().expect("a point");
        assert_eq!(reader.count(1).expect("references"), offered, "i={folder}");
        for _ in 0..offered {
            reader.node_id().expect("a type");
            reader.bool().expect("a direction");
            let function = reader.expanded_node_id().expect("a target").node_id.to_owned();
            assert!(Aggregate::from_node_id(&function).is_some(), "{function}");
            reader.qualified_name().expect("a name");
            reader.localized_text().expect("a name");
            reader.i32().expect("a class");
            reader.expanded_node_id().expect("a type");
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

/// 22: the diagnostics arrays hold the session and the subscription that look at them.
#[test]
fn diagnostics_show_the_own_session_and_subscription() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(100.0, 100, 10);
    let sessions = structures(client.read_value(ns0(3707)).value);
    assert_eq!(sessions.len(), 1);
    let mut reader = Reader::new(&sessions[0]);
    assert_eq!(reader.node_id().expect("an id").id, IdRef::Numeric(client.id));
    assert_eq!(reader.text(), Ok("a test"));
    assert_eq!(reader.text(), Ok("urn:test:client"));
    let subscriptions = structures(client.read_value(ns0(2290)).value);
    assert_eq!(subscriptions.len(), 1);
    let mut reader = Reader::new(&subscriptions[0]);
    assert_eq!(reader.node_id().expect("an id").id, IdRef::Numeric(client.id));
    assert_eq!(reader.u32(), Ok(subscription));
}

/// Who is logged in how is told to administrators alone.
#[test]
fn security_diagnostics_are_for_administrators() {
    let field = Field::open(CLIENT);
    let mut opal = Session::connect(field.server().address, unsecured()).expect("a channel");
    opal.create(CLIENT, b"").good();
    log_in(&mut opal, &field, "opal").good();
    let read = opal.read(&[(ns0(3708), 13), (ns0(3708), 17), (ns0(3708), 18)]);
    assert_eq!(read[0].status, Some(StatusCode::BadUserAccessDenied));
    assert_eq!((&read[1].value, &read[2].value), (&Some(Value::Byte(1)), &Some(Value::Byte(0))));
    let subscription = opal.subscribe(100.0, 100, 10);
    assert_eq!(opal.monitor(subscription, &[(ns0(3708), 1)], 0.0, 1)[0].0, StatusCode::Good, "Part 4 §5.13.2.1");
    let told = opal.next_data().data.remove(0).1;
    assert_eq!((told.value, told.status), (None, Some(StatusCode::BadUserAccessDenied)));
}

/// 22: EnabledFlag may be written by who configures the server, and by nobody else.
#[test]
fn the_enabled_flag_is_for_who_configures_the_server() {
    let field = Field::open(CLIENT);
    let mut opal = Session::connect(field.server().address, unsecured()).expect("a channel");
    opal.create(CLIENT, b"").good();
    log_in(&mut opal, &field, "opal").good();
    assert_eq!(opal.write(ns0(2294), &Value::Boolean(false)), StatusCode::BadUserAccessDenied);
    assert_eq!(opal.read_value(ns0(2294)).value, Some(Value::Boolean(true)));
    assert_eq!(opal.read(&[(ns0(2294), 17)])[0].value, Some(Value::Byte(3)), "AccessLevel: read and write");
    assert_eq!(opal.read(&[(ns0(2294), 18)])[0].value, Some(Value::Byte(1)), "UserAccessLevel: read");
}

/// 23: the session that loses a subscription is told; its own requests go on.
#[test]
fn a_transfer_is_told_to_the_old_session() {
    let field = Field::open(CLIENT);
    let open = || {
        let mut session = Session::connect(field.server().address, unsecured()).expect("a channel");
        session.create(CLIENT, b"").good();
        log_in(&mut session, &field, "opal").good();
        session
    };
    let (mut old, mut new) = (open(), open());
    let subscription = old.subscribe(100.0, 1_000, 100);
    old.publish(&[]).expect("the first keep-alive");
    old.ask_publish(&[]);
    transfer(&mut new, subscription, StatusCode::Good);
    let told = old.published().expect("a message");
    assert_eq!((told.subscription, told.status_change), (subscription, Some(StatusCode::GoodSubscriptionTransferred)));
    assert_eq!(old.publish(&[]).err(), Some(StatusCode::BadNoSubscription));
    assert_eq!(new.publish(&[]).expect("a message").subscription, subscription);
    // To and fro, without a Publish in between: only so many last words are kept.
    for _ in 0..300 {
        transfer(&mut old, subscription, StatusCode::Good);
        transfer(&mut new, subscription, StatusCode::Good);
    }
    let kept = field.server().server.sessions.all().iter().map(|session| session.lock().farewells.len()).max();
    assert!(kept <= Some(100), "{kept:?}");
    let mut stranger = Session::open(field.server().address);
    transfer(&mut stranger, subscription, StatusCode::BadUserAccessDenied);
}

fn transfer(session: &mut Session, subscription: u32, expected: StatusCode) {
    let response = session.call(841, |w| {
        w.count(1);
        w.u32(subscription);
        w.bool(false);
    });
    let mut reader = response.good();
    assert_eq!(reader.count(1).expect("results"), 1);
    assert_eq!(reader.status(), Ok(expected));
}

/// Transfers to and fro, messages and a look at the diagnostics of all of it, at once: nobody waits for ever.
#[test]
fn transfers_both_ways_lock_nothing_up() {
    let field = Field::open(CLIENT);
    let address = field.server().address;
    let open = || {
        let mut session = Session::connect(address, unsecured()).expect("a channel");
        session.create(CLIENT, b"").good();
        log_in(&mut session, &field, "opal").good();
        session
    };
    let mut sessions = [open(), open(), open()];
    let subscriptions: Vec<u32> = (0..3).map(|_| sessions[0].subscribe(10.0, 1_000, 1)).collect();
    let until = Instant::now() + Duration::from_millis(1_500);
    std::thread::scope(|scope| {
        for session in &mut sessions {
            let subscriptions = &subscriptions;
            scope.spawn(move || {
                while Instant::now() < until {
                    for subscription in subscriptions {
                        let taken = session.call(841, |w| {
                            w.count(1);
                            w.u32(*subscription);
                            w.bool(true);
                        });
                        taken.good();
                        session.send(826, |w| w.count(0)).expect("sent");
                    }
                    let read = session.read(&[(ns0(3707), 13), (ns0(2290), 13), (ns0(2275), 13)]);
                    assert!(read.iter().all(|read| read.value.is_some()));
                }
            });
        }
    });
    // Each subscription has one owner, and stands in that session alone.
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

/// 23: Cancel takes back the Publish requests of a handle, and says how many.
#[test]
fn cancel_answers_the_requests_of_a_handle() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    client.subscribe(10_000.0, 1_000, 100);
    let handle = client.send(826, |w| w.count(0)).expect("sent");
    let cancel = client.send(479, |w| w.u32(handle)).expect("sent");
    client.client.flush().expect("sent");
    let mut answers = [client.receive().expect("an answer"), client.receive().expect("an answer")];
    answers.sort_by_key(|answer| answer.handle);
    assert_eq!((answers[0].handle, answers[0].result), (handle, StatusCode::BadRequestCancelledByClient));
    assert_eq!((answers[1].handle, answers[1].good().u32()), (cancel, Ok(1)));
    assert_eq!(client.call(479, |w| w.u32(77)).good().u32(), Ok(0));
}

/// 24: before the server closes, its state and the seconds that are left are told.
#[test]
fn the_end_is_told_before_it_comes() {
    let mut server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    assert_eq!(client.read_value(ns0(2992)).value, Some(Value::UInt32(0)));
    server.begin_stop();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let read = client.read(&[(ns0(2259), 13), (ns0(2992), 13)]);
        if read[0].value == Some(Value::Int32(4)) {
            assert!(matches!(read[1].value, Some(Value::UInt32(1..=5))), "{:?}", read[1].value);
            break;
        }
        assert!(Instant::now() < deadline, "nothing was told");
    }
    server.finish();
}

/// A subscription whose client fell silent ends, and its session is told when it asks again.
#[test]
fn a_subscription_that_nobody_asks_for_ends_with_bad_timeout() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(20.0, 3, 1);
    eventually("it ends", || server.server.subscription(subscription).is_none());
    let told = client.publish(&[]).expect("a message");
    assert_eq!((told.subscription, told.status_change), (subscription, Some(StatusCode::BadTimeout)));
    assert_eq!(client.publish(&[]).err(), Some(StatusCode::BadNoSubscription));
}

/// A shorter publishing interval holds at once, not when the longer one is over.
#[test]
fn a_changed_publishing_interval_begins_at_once() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(3_600_000.0, 3, 1);
    let response = client.call(793, |w| {
        w.u32(subscription);
        w.f64(50.0);
        w.u32(1_000);
        w.u32(1);
        w.u32(0);
        w.u8(0);
    });
    response.good();
    assert_eq!(client.publish(&[]).expect("a message").subscription, subscription);
}
