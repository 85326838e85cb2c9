//! Attacks by a peer.

use super::*;
use crate::stack::codec::NodeIdRef;
use crate::stack::transport::ChunkKind;

/// A chunk of a channel without security.
fn chunk(kind: ChunkKind, (channel, token): (u32, u32), sequence: u32, request: u32, body: &[u8]) -> Vec<u8> {
    let mark = match kind {
        ChunkKind::Intermediate => b'C',
        ChunkKind::Final => b'F',
        ChunkKind::Abort => b'A',
    };
    let mut out = Writer::new();
    out.raw(b"MSG");
    out.u8(mark);
    out.count(24 + body.len());
    for number in [channel, token, sequence, request] {
        out.u32(number);
    }
    out.raw(body);
    out.buf
}

const OURS: (u32, u32) = (7, 1);

fn refusal(setup: &Setup, bytes: &[u8]) -> Option<StatusCode> {
    let mut pair = Pair::open(setup);
    let refused = pair.serve(bytes).err().map(|fatal| fatal.status);
    if let Some(status) = refused {
        let error = pair.answer.buf.windows(4).rposition(|four| four == b"ERRF").expect("the peer is told");
        assert_eq!(pair.answer.buf[error + 8..error + 12], status.bits().to_le_bytes());
    }
    refused
}

#[test]
fn chunks_out_of_order_or_of_another_channel_are_refused() {
    let intermediate = |sequence, request| chunk(ChunkKind::Intermediate, OURS, sequence, request, b"x");
    let last = |sequence, request| chunk(ChunkKind::Final, OURS, sequence, request, b"x");
    let security = Some(StatusCode::BadSecurityChecksFailed);
    // The open request had number 1.
    for (bytes, status) in [
        (last(2, 5), None),
        (last(1, 5), security),
        (last(3, 5), security),
        ([last(2, 5), last(2, 6)].concat(), security),
        ([intermediate(2, 5), last(3, 5)].concat(), None),
        ([intermediate(2, 5), last(3, 6)].concat(), Some(StatusCode::BadTcpMessageTypeInvalid)),
        (chunk(ChunkKind::Final, (8, 1), 2, 5, b""), Some(StatusCode::BadTcpSecureChannelUnknown)),
        (chunk(ChunkKind::Final, (7, 2), 2, 5, b""), Some(StatusCode::BadSecureChannelTokenUnknown)),
        (b"MSGF\x0c\0\0\0\x07\0\0\0".to_vec(), Some(StatusCode::BadTcpMessageTypeInvalid)),
        (b"MSGF\x10\0\0\0\x07\0\0\0\x01\0\0\0".to_vec(), Some(StatusCode::BadTcpMessageTypeInvalid)),
        (b"HELF\x08\0\0\0".to_vec(), Some(StatusCode::BadTcpMessageTypeInvalid)),
        (b"MSGF\xff\xff\xff\xff".to_vec(), Some(StatusCode::BadTcpMessageTooLarge)),
        (b"OPNF\x09\0\0\0\x07".to_vec(), Some(StatusCode::BadDecodingError)),
    ] {
        assert_eq!(refusal(&Setup::default(), &bytes), status, "{bytes:?}");
    }
}

#[test]
fn an_aborted_message_is_forgotten_and_the_next_one_follows() {
    let mut pair = Pair::open(&Setup::default());
    let aborted = [
        chunk(ChunkKind::Intermediate, OURS, 2, 5, b"half"),
        chunk(ChunkKind::Abort, OURS, 3, 5, &[0, 0, 3, 0x80, 0xff, 0xff, 0xff, 0xff]),
        chunk(ChunkKind::Abort, OURS, 4, 6, b""),
        chunk(ChunkKind::Final, OURS, 5, 7, b"whole"),
    ];
    assert_eq!(pair.serve(&aborted.concat()).expect("fine"), [b"whole".to_vec()]);
}

#[test]
fn a_message_has_at_most_so_many_chunks_and_bytes() {
    let limits = Limits { max_chunks: 3, max_message: 9_000, ..small_buffers() };
    let setup = Setup { server_limits: limits, ..Setup::default() };
    let chunks = |count: u32, size: usize| {
        let last = chunk(ChunkKind::Final, OURS, 1 + count, 5, &bytes(size));
        let before = (1..count).flat_map(|at| chunk(ChunkKind::Intermediate, OURS, 1 + at, 5, &bytes(size)));
        before.chain(last).collect::<Vec<_>>()
    };
    let too_large = Some(StatusCode::BadTcpMessageTooLarge);
    for (count, size, status) in [
        (3, 1, None),
        (4, 1, too_large),
        (3, 3_000, None),
        (3, 3_001, too_large),
        (1, 8_192 - 24, None),
        (1, 8_192, too_large),
    ] {
        assert_eq!(refusal(&setup, &chunks(count, size)), status, "{count} chunks of {size}");
    }
}

#[test]
fn before_a_session_is_active_a_message_has_at_most_64_kib() {
    for (authenticated, size, refused) in [(false, 65_536, false), (false, 65_537, true), (true, 65_537, false)] {
        let mut pair = Pair::open(&Setup::default());
        pair.server.set_authenticated(authenticated);
        let out = pair.request(&bytes(size));
        assert_eq!(pair.serve(&out.buf).is_err(), refused, "{size} bytes, authenticated: {authenticated}");
    }
}

#[test]
fn a_half_sent_message_ends_the_connection_at_its_deadline_however_slowly_it_drips() {
    let cases = [
        chunk(ChunkKind::Final, OURS, 2, 5, b"body")[..20].to_vec(),
        chunk(ChunkKind::Intermediate, OURS, 2, 5, b"body"),
        b"M".to_vec(),
    ];
    for half in cases {
        let mut pair = Pair::open(&Setup::default());
        let deadline = pair.now + Limits::default().message_timeout;
        for byte in half {
            pair.now += Duration::from_millis(100);
            pair.serve(&[byte]).expect("not yet");
        }
        assert!(pair.server.next_deadline().expect("a message has begun") <= deadline + Duration::from_secs(3));
        pair.now = deadline + Duration::from_secs(3);
        let late = pair.server.check_deadline(pair.now, &mut pair.answer).expect_err("half-sent");
        assert_eq!(late.status, StatusCode::BadTimeout);
    }
}

#[test]
fn a_renewal_between_the_chunks_of_a_message_gives_it_no_more_time() {
    let mut pair = Pair::open(&Setup::default());
    let half = chunk(ChunkKind::Intermediate, OURS, 2, 5, b"first ");
    pair.serve(&half).expect("it may be split");
    let deadline = pair.server.next_deadline();
    pair.now += Duration::from_secs(30);
    // The client's own counter has not seen the chunk above; make its renewal follow.
    pair.request(b"uncounted");
    pair.renew().expect("renewed");
    assert_eq!(pair.server.next_deadline(), deadline);
    let rest = chunk(ChunkKind::Final, OURS, 4, 5, b"second");
    assert_eq!(pair.serve(&rest).expect("whole now"), [b"first second".to_vec()]);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let mut pair = Pair::new(&Setup::default());
    let mut out = Writer::new();
    let deadline = pair.now + Limits::default().open_timeout;
    assert_eq!(pair.server.next_deadline(), Some(deadline));
    assert!(pair.server.check_deadline(deadline, &mut out).is_err());
    assert_eq!(pair.serve(b"HELF").expect("closed channels take nothing"), Vec::<Vec<u8>>::new());
}

#[test]
fn hello_limits_bind_what_we_send() {
    let client = Limits { max_message: 20_000, max_chunks: 2, receive_buffer: 8_192, ..Limits::default() };
    let mut pair = Pair::open(&Setup { client_limits: client, ..Setup::default() });
    assert_eq!(pair.server.response_limits(), (20_000, 2));
    let fault = StatusCode::BadResponseTooLarge.bits().to_le_bytes().to_vec();
    for (size, fits) in [(16_336, true), (16_337, false), (20_001, false)] {
        let expected = if fits { bytes(size) } else { fault.clone() };
        assert_eq!(pair.round_trip(&bytes(size)), Ok(expected), "{size} bytes");
    }
}

#[test]
fn any_changed_bit_of_a_secured_chunk_is_refused_in_the_same_words() {
    for mode in MODES {
        let setup = secured(Policy::Basic256Sha256, mode);
        let out = Pair::open(&setup).request(b"a request of some length, to have several blocks");
        let mut answers = std::collections::BTreeSet::new();
        for at in 16..out.buf.len() {
            let mut pair = Pair::open(&setup);
            let mut changed = pair.request(b"a request of some length, to have several blocks").buf;
            changed[at] ^= 1;
            pair.serve(&changed).expect_err("it was changed");
            answers.insert(std::mem::take(&mut pair.answer.buf));
        }
        assert_eq!(answers.len(), 1, "{mode:?}");
    }
}

#[test]
fn an_open_request_is_refused_before_the_private_key_is_used() {
    let setup = secured(Policy::Basic256Sha256, MessageSecurityMode::Sign);
    let open_request = || {
        let mut pair = Pair::new(&setup);
        let mut out = Writer::new();
        pair.client.hello("opc.tcp://plant:4840/x", &mut out);
        pair.serve(&out.buf).expect("fine");
        pair.client_takes().expect("fine");
        let mut out = Writer::new();
        pair.client.open(&mut out).expect("both have certificates");
        (pair, out.buf)
    };
    let uri = Policy::Basic256Sha256.uri().len();
    let sender = 12 + 4 + uri + 4;
    let thumbprint = sender + identity(2048).chain().len() + 4;
    for (at, change, status) in [
        (8, 1, StatusCode::BadTcpSecureChannelUnknown),
        (16, 1, StatusCode::BadSecurityPolicyRejected),
        (thumbprint, 1, StatusCode::BadCertificateInvalid),
        (sender, 1, StatusCode::BadSecurityChecksFailed),
        (sender - 1, 0x7f, StatusCode::BadDecodingError),
    ] {
        let (mut pair, mut bytes) = open_request();
        bytes[at] ^= change;
        pair.to_server.room().extend_from_slice(&bytes);
        let refused = pair.server.receive(pair.now, &mut pair.to_server, &mut pair.answer).expect_err("refused");
        assert_eq!(refused.status, status, "byte {at}");
    }
}

#[test]
fn a_certificate_that_the_check_refuses_opens_nothing() {
    let setup = secured(Policy::Basic256Sha256, MessageSecurityMode::Sign);
    let mut pair = Pair::new(&setup);
    let settings = ServerSettings {
        handshakes: Pace::new(Limits::default().handshakes),
        limits: Limits::default(),
        identities: Arc::new(Identities::one(identity(2048))),
        policies: arc_swap::ArcSwap::from_pointee(SECURED.to_vec()),
        check: Arc::new(Check(Some(StatusCode::BadCertificateTimeInvalid))),
    };
    pair.server = ServerChannel::new(Arc::new(settings), 7, None, pair.now);
    let mut out = Writer::new();
    pair.client.hello("opc.tcp://plant:4840/x", &mut out);
    pair.serve(&out.buf).expect("fine");
    pair.client_takes().expect("fine");
    let refused = pair.renew().expect_err("refused");
    assert_eq!(refused.status, StatusCode::BadCertificateTimeInvalid);
    assert_eq!(refused.detail.as_deref(), Some("told to refuse"));
}

#[test]
fn the_mode_must_fit_the_policy_and_a_renewal_the_channel() {
    for (policy, mode) in [
        (Policy::None, MessageSecurityMode::Sign),
        (Policy::None, MessageSecurityMode::SignAndEncrypt),
        (Policy::Basic256Sha256, MessageSecurityMode::None),
    ] {
        let mut pair = Pair::new(&secured(policy, mode));
        let mut out = Writer::new();
        pair.client.hello("opc.tcp://plant:4840/x", &mut out);
        pair.serve(&out.buf).expect("fine");
        pair.client_takes().expect("fine");
        assert_eq!(
            pair.renew().expect_err("refused").status,
            StatusCode::BadSecurityModeRejected,
            "{policy:?} {mode:?}"
        );
    }
}

#[test]
fn small_buffers_in_hello_are_refused() {
    let mut pair = Pair::new(&Setup::default());
    let mut out = Writer::new();
    let hello = Hello {
        version: 0,
        receive_buffer: 100,
        send_buffer: 65_536,
        max_message: 0,
        max_chunks: 0,
        endpoint_url: "opc.tcp://plant:4840/x",
    };
    hello.write(&mut out);
    assert_eq!(pair.serve(&out.buf).expect_err("too small").status, StatusCode::BadConnectionRejected);
}

/// An open request whose additional header is this.
fn open_with(additional_header: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(b"OPNF");
    out.u32(0);
    out.u32(0);
    out.text(Policy::None.uri());
    out.bytes(None);
    out.bytes(None);
    out.u32(1);
    out.u32(1);
    out.node_id(NodeIdRef::numeric(0, 446));
    out.node_id(NodeIdRef::NULL);
    out.i64(0);
    out.u32(1);
    out.u32(0);
    out.string(None);
    out.u32(0);
    out.raw(additional_header);
    out.u32(0);
    out.i32(0);
    out.i32(1);
    out.bytes(None);
    out.u32(3_600_000);
    let size = out.mark();
    out.set_count(4, size);
    out.buf
}

#[test]
fn a_nest_in_the_additional_header_of_an_open_request_is_stepped_over_or_refused() {
    let object = |length: usize, body: &[u8]| {
        let mut out = Writer::new();
        out.node_id(NodeIdRef::numeric(0, 298));
        out.u8(1);
        out.count(length);
        out.raw(body);
        out.buf
    };
    let nest = [23, 1].repeat(29_000);
    let rank = [&[0xff; 20][..], &i32::MAX.to_le_bytes()].concat();
    for (case, header, status) in [
        ("a nest of DataValues", object(nest.len(), &nest), None),
        ("an Argument of rank 2^31", object(rank.len(), &rank), None),
        ("a body of 2 GiB that is not there", object(i32::MAX as usize, &nest), Some(StatusCode::BadDecodingError)),
        ("a body that runs into the request", object(nest.len() + 15, &nest), Some(StatusCode::BadDecodingError)),
    ] {
        let mut pair = Pair::new(&Setup::default());
        let mut out = Writer::new();
        pair.client.hello("opc.tcp://plant:4840/x", &mut out);
        pair.serve(&out.buf).expect("fine");
        assert_eq!(pair.serve(&open_with(&header)).err().map(|fatal| fatal.status), status, "{case}");
    }
}

#[test]
fn a_response_that_fails_half_way_leaves_nothing_behind() {
    let client = Limits { max_message: 8_192, receive_buffer: 8_192, ..Limits::default() };
    let mut pair = Pair::open(&Setup { client_limits: client, ..Setup::default() });
    let mut out = Writer::new();
    let now = pair.now;
    let refused = pair.server.respond(now, &mut out, 9, |out| {
        out.raw(&bytes(100));
        Err(StatusCode::BadTooManyOperations)
    });
    assert_eq!((refused, out.buf.len()), (Err(StatusCode::BadTooManyOperations), 0), "what failed leaves nothing");
}
