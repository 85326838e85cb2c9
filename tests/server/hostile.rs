//! The program under attack: every packet that is known to break servers, and floods of what is half, wrong or too
//! much. It refuses them in bounded memory and time, while a healthy client keeps its subscription.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use opcell::testing::stack::codec::{NodeIdRef, QualifiedNameRef, Writer};
use opcua::{ObjectId, StatusCode};

use testkit::target::Target;
use testkit::ua;
use testkit::ua::{Session, unsecured};
use testkit::until;

/// Requests that may come before a session.
const OPEN: [ObjectId; 9] = [
    ObjectId::GetEndpointsRequest_Encoding_DefaultBinary,
    ObjectId::FindServersRequest_Encoding_DefaultBinary,
    ObjectId::CreateSessionRequest_Encoding_DefaultBinary,
    ObjectId::ActivateSessionRequest_Encoding_DefaultBinary,
    ObjectId::ReadRequest_Encoding_DefaultBinary,
    ObjectId::WriteRequest_Encoding_DefaultBinary,
    ObjectId::BrowseRequest_Encoding_DefaultBinary,
    ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::CallRequest_Encoding_DefaultBinary,
];
/// Requests of a session.
const SERVICES: [ObjectId; 23] = [
    ObjectId::GetEndpointsRequest_Encoding_DefaultBinary,
    ObjectId::FindServersRequest_Encoding_DefaultBinary,
    ObjectId::CancelRequest_Encoding_DefaultBinary,
    ObjectId::BrowseRequest_Encoding_DefaultBinary,
    ObjectId::BrowseNextRequest_Encoding_DefaultBinary,
    ObjectId::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary,
    ObjectId::RegisterNodesRequest_Encoding_DefaultBinary,
    ObjectId::UnregisterNodesRequest_Encoding_DefaultBinary,
    ObjectId::ReadRequest_Encoding_DefaultBinary,
    ObjectId::WriteRequest_Encoding_DefaultBinary,
    ObjectId::CallRequest_Encoding_DefaultBinary,
    ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::ModifyMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::SetMonitoringModeRequest_Encoding_DefaultBinary,
    ObjectId::SetTriggeringRequest_Encoding_DefaultBinary,
    ObjectId::DeleteMonitoredItemsRequest_Encoding_DefaultBinary,
    ObjectId::CreateSubscriptionRequest_Encoding_DefaultBinary,
    ObjectId::ModifySubscriptionRequest_Encoding_DefaultBinary,
    ObjectId::SetPublishingModeRequest_Encoding_DefaultBinary,
    ObjectId::RepublishRequest_Encoding_DefaultBinary,
    ObjectId::TransferSubscriptionsRequest_Encoding_DefaultBinary,
    ObjectId::DeleteSubscriptionsRequest_Encoding_DefaultBinary,
    ObjectId::PublishRequest_Encoding_DefaultBinary,
];
const CREATE_ITEMS: ObjectId = ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary;
/// A refusal takes no longer, on a machine that is busy with other tests.
const REFUSAL: Duration = Duration::from_secs(3);

/// `levels` ExtensionObjects, each the literal of the one around it.
fn extension_nest(levels: usize) -> Vec<u8> {
    let mut body = vec![0];
    for _ in 0..levels {
        let mut outer = vec![22, 1, 0, 0x55, 0x02, 1];
        outer.extend(u32::try_from(body.len()).expect("small").to_le_bytes());
        outer.extend(&body);
        body = outer;
    }
    body
}

const MOST: [u8; 4] = i32::MAX.to_le_bytes();

/// Variants that a careless decoder recurses into, allocates for or loses its place in.
fn variants() -> Vec<(&'static str, Vec<u8>)> {
    let with = |start: &[u8], rest: &[&[u8]]| [start, &rest.concat()].concat();
    vec![
        ("DiagnosticInfo in DiagnosticInfo", with(&[25], &[&[0x40; 60_000]])),
        ("DataValue in Variant in DataValue", [23, 1].repeat(30_000)),
        ("array of DataValue, nested", [0x97, 1, 0, 0, 0, 1].repeat(9_000)),
        ("Variant in Variant", vec![24; 60_000]),
        ("array of Variant, nested", [0x98, 1, 0, 0, 0].repeat(12_000)),
        ("ExtensionObject in ExtensionObject", extension_nest(4_000)),
        ("Argument of 2^31 dimensions", {
            let body = [&[0xff; 4][..], &[0, 0], &MOST, &[0xff; 4], &[0]].concat();
            let length = u8::try_from(body.len()).expect("small");
            with(&[22, 1, 0, 0x2a, 0x01, 1, length, 0, 0, 0], &[&body])
        }),
        ("String of 2 GiB", with(&[12], &[&MOST, b"abc"])),
        ("String of -2 bytes", vec![12, 0xfe, 0xff, 0xff, 0xff]),
        ("ByteString of 2 GiB", with(&[15], &[&MOST, b"abc"])),
        ("2^31 Booleans", with(&[0x81], &[&MOST, &[1; 100]])),
        ("2^31 texts", with(&[0x95], &[&MOST, &[0; 100]])),
        ("2^31 DataValues", with(&[0x97], &[&MOST, &[0; 100]])),
        ("60,000 null Variants", with(&[0x98], &[&60_000u32.to_le_bytes(), &[0; 60_000]])),
        ("60,000 empty DataValues", with(&[0x97], &[&60_000u32.to_le_bytes(), &[0; 60_000]])),
        ("60,000 empty texts", with(&[0x95], &[&60_000u32.to_le_bytes(), &[0; 60_000]])),
        ("ExtensionObject of 2 GiB", with(&[22, 0, 0, 1], &[&MOST, b"abc"])),
        ("XML of 2 GiB", with(&[22, 0, 0, 2], &[&MOST, b"<a>"])),
        ("matrix of nothing with dimensions", with(&[0xc6, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], &[&MOST])),
        ("matrix whose dimensions overflow", with(&[0xc6, 1, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0], &[&MOST, &MOST])),
        ("matrix of 2^31 dimensions", with(&[0xc6, 1, 0, 0, 0, 7, 0, 0, 0], &[&MOST])),
        ("reserved type with a length", with(&[26], &[&MOST])),
        ("no bytes at all", vec![]),
    ]
}

/// The RequestHeader with a body of our own in its additionalHeader.
fn header_with(w: &mut Writer, request: ObjectId, token: &[u8], nest: &[u8]) {
    ua::raw_header(w, request, token, 1);
    w.rewind(w.mark() - 3);
    w.node_id(NodeIdRef::numeric(0, ObjectId::Argument_Encoding_DefaultBinary as u32));
    w.u8(1);
    w.bytes(Some(nest));
}

fn timed<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    assert!(began.elapsed() < REFUSAL, "{name} took {:?}", began.elapsed());
    done
}

/// Requests that anybody may send: GetEndpoints, CreateSession, ActivateSession, and services before their session.
#[test]
fn before_a_session_nothing_deep_or_large_is_decoded() {
    let target = Target::start();
    for (name, variant) in variants() {
        for service in OPEN {
            let mut client = Session::connect(target.address, unsecured()).expect("a channel");
            timed(name, || {
                let in_header = client.client.call(|w| {
                    header_with(w, service, b"", &variant);
                    w.raw(&variant[..variant.len().min(2_000)]);
                });
                let in_body = client.try_call_raw(service, |w| w.raw(&variant));
                drop((in_header, in_body));
            });
        }
        timed(name, || open_with(target.address, &variant));
    }
    target.judge();
}

/// Hello and an OpenSecureChannel whose additionalHeader holds the bytes; waits for whatever the answer is.
fn open_with(address: SocketAddr, nest: &[u8]) {
    let mut out = Writer::new();
    out.raw(b"HELF\x38\0\0\0");
    for number in [0, 65_536, 65_536, 0, 0] {
        out.u32(number);
    }
    out.text("opc.tcp://127.0.0.1:4840");
    let open = out.mark();
    out.raw(b"OPNF\0\0\0\0");
    out.u32(0);
    out.text("http://opcfoundation.org/UA/SecurityPolicy#None");
    out.bytes(None);
    out.bytes(None);
    out.u32(1);
    out.u32(1);
    header_with(
        &mut out,
        ObjectId::OpenSecureChannelRequest_Encoding_DefaultBinary,
        b"",
        &nest[..nest.len().min(58_000)],
    );
    out.u32(0);
    out.i32(0);
    out.i32(1);
    out.bytes(None);
    out.u32(3_600_000);
    let size = u32::try_from(out.mark() - open).expect("small");
    out.set_u32(open + 4, size);
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(REFUSAL)).expect("set");
    stream.write_all(&out.buf).expect("sent");
    let mut answer = [0; 28 + 8];
    stream.read_exact(&mut answer).expect("an Acknowledge, and an answer or an Error");
    assert!(answer[28..].starts_with(b"OPNF") || answer[28..].starts_with(b"ERRF"));
}

fn read_value_id(w: &mut Writer, attribute: u32) {
    w.node_id(NodeIdRef::string(2, "Number"));
    w.u32(attribute);
    w.string(None);
    w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
}

/// A monitored item whose filter is that ExtensionObject.
fn item_with(w: &mut Writer, subscription: u32, attribute: u32, filter: impl FnOnce(&mut Writer)) {
    w.u32(subscription);
    w.i32(2);
    w.count(1);
    read_value_id(w, attribute);
    w.i32(2);
    w.u32(1);
    w.f64(f64::NAN);
    filter(w);
    w.u32(u32::MAX);
    w.bool(true);
}

#[test]
fn in_a_session_a_hostile_value_fails_its_own_request_only() {
    let target = Target::start();
    let mut client = Session::open(target.address);
    let subscription = client.subscribe(f64::NAN, u32::MAX, u32::MAX);
    for (name, variant) in variants() {
        let written = timed(name, || {
            client.call_raw(ObjectId::WriteRequest_Encoding_DefaultBinary, |w| {
                w.count(1);
                w.node_id(NodeIdRef::string(2, "Number"));
                w.u32(13);
                w.string(None);
                w.u8(1);
                w.raw(&variant);
            })
        });
        let status = match written.result {
            StatusCode::Good => {
                let mut reader = written.good();
                reader.count(1).expect("results");
                reader.status().expect("a status")
            }
            fault => fault,
        };
        assert!(status.is_bad(), "{name} was written: {status}");
        for filter in [
            ObjectId::DataChangeFilter_Encoding_DefaultBinary,
            ObjectId::EventFilter_Encoding_DefaultBinary,
            ObjectId::AggregateFilter_Encoding_DefaultBinary,
            ObjectId::Argument_Encoding_DefaultBinary,
        ] {
            timed(name, || {
                client.call_raw(CREATE_ITEMS, |w| {
                    item_with(w, subscription, 13, |w| w.extension_object(filter as u32, |w| w.raw(&variant)));
                })
            });
        }
        // A where clause with that literal.
        let answer = timed(name, || {
            client.call_raw(CREATE_ITEMS, |w| {
                w.u32(subscription);
                w.i32(2);
                w.count(1);
                w.node_id(NodeIdRef::numeric(0, 2253));
                w.u32(12);
                w.string(None);
                w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
                w.i32(2);
                w.u32(1);
                w.f64(0.0);
                w.extension_object(ObjectId::EventFilter_Encoding_DefaultBinary as u32, |w| {
                    w.count(1);
                    w.node_id(NodeIdRef::numeric(0, 2041));
                    w.count(1);
                    w.qualified_name(QualifiedNameRef { namespace: 0, name: Some("Message") });
                    w.u32(13);
                    w.string(None);
                    w.count(1);
                    w.i32(14);
                    w.count(1);
                    w.extension_object(ObjectId::LiteralOperand_Encoding_DefaultBinary as u32, |w| w.raw(&variant));
                });
                w.u32(1);
                w.bool(true);
            })
        });
        assert!(answer.result.is_good() || answer.result.is_bad());
        // An argument of a method.
        timed(name, || {
            client.call_raw(ObjectId::CallRequest_Encoding_DefaultBinary, |w| {
                w.count(1);
                w.node_id(NodeIdRef::numeric(0, 2253));
                w.node_id(NodeIdRef::numeric(0, 11_492));
                w.count(1);
                w.raw(&variant);
            })
        });
    }
    target.judge();
}

/// Bodies of nothing but one number again and again: counts, lengths and times that no message can have.
#[test]
fn counts_that_no_message_can_hold_are_refused_by_every_service() {
    let target = Target::start();
    let mut client = Session::open(target.address);
    let subscription = client.subscribe(1e300, 0, 0);
    for service in SERVICES {
        for word in [0u32, 1, 0x7f, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7ff0_0000, 0x7fef_ffff] {
            for start in [None, Some(subscription)] {
                timed(&format!("service {service:?}, {word:#x}"), || {
                    // A Publish that is taken is answered later.
                    client.send_raw(service, |w| {
                        start.into_iter().for_each(|id| w.u32(id));
                        (0..40).for_each(|_| w.u32(word));
                    })
                })
                .expect("sent");
                client.client.flush().expect("sent");
                client.read_value(NodeIdRef::numeric(0, 2259));
            }
        }
    }
    target.judge();
}

/// A channel as soon as the flood's connections are gone: one address has a bounded number of them.
fn connect_when_free(address: std::net::SocketAddr) -> Session {
    until("the connections of the flood are gone", || Session::connect(address, unsecured()).ok())
}

#[test]
fn floods_of_incomplete_and_wrong_messages_cost_nothing() {
    let target = Target::start();
    let connect = || {
        let stream = TcpStream::connect(target.address).expect("connected");
        stream.set_read_timeout(Some(REFUSAL)).expect("set");
        stream
    };
    // A Hello of 4 GiB, and one that offers 4 GiB.
    let mut stream = connect();
    stream.write_all(b"HELF\xff\xff\xff\xff").expect("sent");
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).expect("an Error");
    assert_eq!(&answer[..4], b"ERRF");
    let mut stream = connect();
    let mut hello = Writer::new();
    hello.raw(b"HELF\x38\0\0\0");
    [0, u32::MAX, u32::MAX, u32::MAX, u32::MAX].into_iter().for_each(|number| hello.u32(number));
    hello.text("opc.tcp://127.0.0.1:4840");
    stream.write_all(&hello.buf).expect("sent");
    let mut answer = [0; 28];
    stream.read_exact(&mut answer).expect("an Acknowledge");
    for at in [12, 16] {
        let size = u32::from_le_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]]);
        assert!(size <= 65_536, "{size}");
    }
    // Half messages, held.
    let held: Vec<TcpStream> = (0..60usize)
        .map(|n| {
            let mut stream = connect();
            stream.write_all(&hello.buf[..n.min(hello.buf.len() - 1)]).expect("sent");
            stream
        })
        .collect();
    // Garbage.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..100 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(2_000).collect();
        let mut stream = connect();
        // The server may be quicker to close than we are to write.
        drop((stream.write_all(&bytes), stream.read(&mut answer)));
    }
    // Connections, and nothing else.
    for _ in 0..500 {
        drop(TcpStream::connect(target.address));
    }
    // Chunks without end, before and in a session.
    for is_open in [false, true] {
        let mut client = match is_open {
            true => {
                let mut client = connect_when_free(target.address);
                client.create("urn:test:client", b"").good();
                client.activate_anonymous().good();
                client
            }
            false => connect_when_free(target.address),
        };
        let size = if is_open { 1 } else { 8_000 };
        let mut is_cut = false;
        for _ in 0..2_000 {
            let mut chunk = client.client.seal(|w| w.raw(&vec![0; size])).expect("sealed");
            chunk[3] = b'C';
            // One message is one request id: always the first one's.
            chunk[20..24].copy_from_slice(&1_000u32.to_le_bytes());
            if client.client.send_raw(&chunk).is_err() {
                is_cut = true;
                break;
            }
        }
        assert!(is_cut || client.receive().is_err(), "chunks without end");
    }
    drop(held);
    target.judge();
}
