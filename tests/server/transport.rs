//! Connections, channels and the sizes of messages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use opcell::testing::stack::client::ClientError;
use opcell::testing::stack::codec::{NodeIdRef, Writer};
use opcell::testing::stack::crypto::{MessageSecurityMode, Policy};
use opcell::value::Value;
use opcua::{AttributeId, ObjectId, ObjectTypeId, ReadRequest, StatusCode};
use testkit::request::{create_items, delete_items, event_field, event_filter, filtered_item, read};
use testkit::server::{CELL, TestServer};
use testkit::ua;
use testkit::ua::{Session, settings, unsecured};
use testkit::until;

const STATE: NodeIdRef<'static> = NodeIdRef::numeric(0, 2259);

/// A tag whose text can be long.
const LONG: &str = "
schema: 1
cell: long
namespace: urn:test:long
nodes:
  Text: { type: String, value: short, write: true }
";

/// A session on the server, after the text was made 100 kB long.
fn open_long(server: &TestServer) -> Session {
    let mut client = Session::open(server.address);
    let long = Value::text(&"x".repeat(100_000));
    assert_eq!(client.write(NodeIdRef::string(2, "Text"), &long), StatusCode::Good);
    client
}

/// A Read of that text, `count` times.
fn read_long(count: usize) -> ReadRequest {
    read(&vec![(NodeIdRef::string(2, "Text"), AttributeId::Value as u32); count])
}

fn refusal(result: Result<impl Sized, ClientError>) -> Option<StatusCode> {
    match result {
        Err(ClientError::Channel(fatal)) => Some(fatal.status),
        _ => None,
    }
}

/// Nested structures in the header that every message carries are skipped, not decoded, with and without a session:
/// the depth of a decoder's recursion would be the client's choice.
#[test]
fn nested_structures_in_the_additional_header_are_never_decoded() {
    let server = TestServer::start(CELL);
    let nest = |w: &mut Writer| {
        w.node_id(NodeIdRef::numeric(0, 297));
        w.u8(1);
        w.bytes(Some(&[0x40; 60_000]));
    };
    let header = |w: &mut Writer, id: ObjectId, token: &[u8]| {
        ua::raw_header(w, id, token, 9);
        w.rewind(w.mark() - 3);
        nest(w);
    };
    let mut client = Session::connect(server.address, unsecured()).expect("a channel");
    let answer = client.client.call(|w| {
        header(w, ObjectId::GetEndpointsRequest_Encoding_DefaultBinary, b"");
        w.text("opc.tcp://127.0.0.1:4840");
        w.null_array();
        w.null_array();
    });
    ua::parse(&answer.expect("an answer")).good();
    client.create("urn:test:client", b"").good();
    client.activate_anonymous().good();
    let token = client.token.clone();
    let answer = client.client.call(|w| {
        header(w, ObjectId::ReadRequest_Encoding_DefaultBinary, &token);
        w.f64(0.0);
        w.i32(2);
        w.count(0);
    });
    assert_eq!(ua::parse(&answer.expect("an answer")).result, StatusCode::BadNothingToDo);
}

/// Without an activated session a message has at most 64 KiB; the server waits a limited time for the rest of a
/// message.
#[test]
fn a_large_or_incomplete_message_closes_its_connection() {
    let server = TestServer::with(CELL, None, |_, wire| wire.message_timeout = Duration::from_millis(300));
    let mut client = Session::connect(server.address, unsecured()).expect("a channel");
    let large = client.try_call_raw(ObjectId::CreateSessionRequest_Encoding_DefaultBinary, |w| w.raw(&[0; 70_000]));
    assert_eq!(refusal(large), Some(StatusCode::BadTcpMessageTooLarge));

    let mut client = Session::open(server.address);
    assert!(client.client.send_raw(b"MSGF\xff\xff\xff\xff").is_ok());
    assert_eq!(refusal(client.receive()), Some(StatusCode::BadTcpMessageTooLarge));

    let mut client = Session::open(server.address);
    let whole = client.client.seal(|w| w.raw(&[0; 100])).expect("sealed");
    client.client.send_raw(&whole[..50]).expect("sent");
    let began = Instant::now();
    assert_eq!(refusal(client.receive()), Some(StatusCode::BadTimeout));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// A client that sends requests and reads no responses is disconnected; its session waits, and another channel may
/// continue it.
#[test]
fn a_client_that_does_not_read_is_disconnected_and_its_session_waits() {
    let server = TestServer::with(LONG, None, |limits, _| limits.send_stall = Duration::from_millis(500));
    let mut client = open_long(&server);
    let subscription = client.subscribe(100.0, 1_000, 100);
    for _ in 0..20 {
        client.send(read_long(20)).expect("sent");
    }
    client.client.flush().expect("sent");
    let session = server.server.sessions.all().remove(0);
    until("it is disconnected", || session.lock().wake.is_none());
    let mut second = Session::connect(server.address, unsecured()).expect("a channel");
    second.token.clone_from(&client.token);
    second.activate_anonymous().good();
    second.ask_publish(&[]);
    assert_eq!(second.published().expect("a message").subscription, subscription);
}

/// The time of a stall begins with the first byte that waits, not with the last one that was sent.
#[test]
fn a_client_that_was_idle_for_long_is_still_answered() {
    let server = TestServer::with(CELL, None, |limits, _| limits.send_stall = Duration::from_millis(20));
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(50.0, 1_000, 1);
    // Each message comes after a pause that is longer than a stall may be.
    for _ in 0..20 {
        assert_eq!(client.publish(&[]).expect("a message").subscription, subscription);
    }
}

/// A token lives for its milliseconds and a quarter more (Part 4 §5.6.2), a renewed one longer.
#[test]
fn a_channel_that_is_not_renewed_ends_with_its_token() {
    let server = TestServer::with(CELL, None, |_, wire| {
        wire.channel_lifetime = Duration::from_millis(200)..=Duration::from_secs(3600);
    });
    let short = |millis| opcell::testing::stack::channel::ClientSettings {
        lifetime: Duration::from_millis(millis),
        ..settings(Policy::None, MessageSecurityMode::None)
    };
    let began = Instant::now();
    let mut client = Session::connect(server.address, short(400)).expect("a channel");
    assert!(client.receive().is_err());
    let lived = began.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(3)).contains(&lived), "{lived:?}");

    let began = Instant::now();
    let mut client = Session::connect(server.address, short(400)).expect("a channel");
    client.create("urn:test:client", b"").good();
    client.activate_anonymous().good();
    while began.elapsed() < Duration::from_millis(1_500) {
        client.client.renew().expect("renewed");
        assert_eq!(client.read_value(STATE).value, Some(Value::Int32(0)));
    }
}

/// An aborted message takes part in the sequence numbers (Part 6 §6.7.3).
#[test]
fn the_message_after_an_aborted_one_is_answered() {
    let server = TestServer::start(CELL);
    let mut client = Session::open(server.address);
    let mut aborted = client.client.seal(|w| w.raw(&[0; 60])).expect("sealed");
    aborted[3] = b'A';
    client.client.send_raw(&aborted).expect("sent");
    assert_eq!(client.read_value(STATE).value, Some(Value::Int32(0)));
}

/// An OpenSecureChannel of policy None, by hand: mode and nonce as wanted.
fn open_by_hand(address: std::net::SocketAddr, mode: i32) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(ua::TIMEOUT)).expect("set");
    let mut out = Writer::new();
    out.raw(b"HELF\0\0\0\0");
    for number in [0, 65_536, 65_536, 0, 0] {
        out.u32(number);
    }
    out.text("opc.tcp://127.0.0.1:4840");
    let size = u32::try_from(out.mark()).expect("small");
    out.set_u32(4, size);
    let open = out.mark();
    out.raw(b"OPNF\0\0\0\0");
    out.u32(0);
    out.text("http://opcfoundation.org/UA/SecurityPolicy#None");
    out.bytes(None);
    out.bytes(None);
    out.u32(1);
    out.u32(1);
    ua::raw_header(&mut out, ObjectId::OpenSecureChannelRequest_Encoding_DefaultBinary, b"", 1);
    out.u32(0);
    out.i32(0);
    out.i32(mode);
    out.bytes(None);
    out.u32(3_600_000);
    let size = u32::try_from(out.mark() - open).expect("small");
    out.set_u32(open + 4, size);
    stream.write_all(&out.buf).expect("sent");
    let mut acknowledge = [0; 28];
    stream.read_exact(&mut acknowledge).expect("an Acknowledge");
    let mut start = [0; 8];
    stream.read_exact(&mut start).expect("an answer");
    let length = u32::from_le_bytes([start[4], start[5], start[6], start[7]]) as usize;
    let mut rest = vec![0; length - 8];
    stream.read_exact(&mut rest).expect("an answer");
    [&start[..], &rest].concat()
}

/// Sign without a policy to sign with is refused; on None a null nonce is fine and sessions still have one of ours.
#[test]
fn mode_sign_needs_a_policy_and_none_needs_no_nonce() {
    let server = TestServer::start(CELL);
    assert!(open_by_hand(server.address, 1).starts_with(b"OPNF"));
    for mode in [0, 2, 3, 4, -1] {
        let answer = open_by_hand(server.address, mode);
        assert!(answer.starts_with(b"ERRF"), "mode {mode} got {:?}", &answer[..4]);
        let status = u32::from_le_bytes([answer[8], answer[9], answer[10], answer[11]]);
        assert_eq!(StatusCode::from(status), StatusCode::BadSecurityModeRejected, "mode {mode}");
    }
    let mut client = Session::connect(server.address, unsecured()).expect("a channel");
    client.create("urn:test:client", b"").good();
    assert_eq!(client.server_nonce.len(), 32);
    client.activate_anonymous().good();
    assert_eq!(client.server_nonce.len(), 32);
}

/// A response that grows larger than what may be sent ends there, before it takes memory.
#[test]
fn a_response_larger_than_the_client_accepts_is_a_fault() {
    let server = TestServer::with(LONG, None, |_, wire| wire.max_message = 4 << 20);
    let mut client = open_long(&server);
    let response = client.call(read_long(10_000));
    assert_eq!(response.result, StatusCode::BadResponseTooLarge);
    assert_eq!(client.read_value(STATE).value, Some(Value::Int32(0)));
    // What the client itself says in CreateSession binds as well.
    let mut small = Session::connect(server.address, unsecured()).expect("a channel");
    small.create_with("urn:test:client", b"", 60_000.0, 9_000).good();
    small.activate_anonymous().good();
    assert_eq!(small.call(read_long(1)).result, StatusCode::BadResponseTooLarge);
}

/// Places are for clients with a session: a channel alone is cut, one with a session stays.
#[test]
fn a_channel_without_a_session_is_closed() {
    let server = TestServer::with(CELL, None, |limits, _| limits.without_session = Duration::from_millis(300));
    let mut lone = Session::connect(server.address, unsecured()).expect("a channel");
    let mut client = Session::open(server.address);
    assert!(lone.receive().is_err(), "the lone channel is cut");
    assert_eq!(client.read_value(NodeIdRef::numeric(0, 2259)).value, Some(Value::Int32(0)));
}

/// Event filters are kept as long as their items, so they draw on the same budget, and give back what they took.
#[test]
fn event_filters_count_towards_the_memory_of_their_session() {
    let server = TestServer::with(CELL, None, |limits, _| limits.queue_bytes = 40_000);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(1_000.0, 1_000, 10);
    let create = |client: &mut Session| {
        let fields = vec![event_field(ObjectTypeId::BaseEventType as u32, "Message"); 20];
        let filter = event_filter(fields, None);
        let item = filtered_item(ObjectId::Server, AttributeId::EventNotifier as u32, 1, (0.0, 1), filter);
        let made = client.ask(create_items(subscription, vec![item])).results.expect("results").remove(0);
        (made.status_code, made.monitored_item_id)
    };
    let mut made = Vec::new();
    let refused = loop {
        match create(&mut client) {
            (StatusCode::Good, id) => made.push(id),
            (status, _) => break status,
        }
        assert!(made.len() < 100, "filters without end");
    };
    assert_eq!(refused, StatusCode::BadTooManyMonitoredItems);
    assert!(made.len() >= 5, "{}", made.len());
    client.ask(delete_items(subscription, &made[..1]));
    assert_eq!(create(&mut client).0, StatusCode::Good);
}
