//! A client's channel against a server's, in memory, under a clock that the test owns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::*;
use crate::stack::codec::Writer;
use crate::stack::crypto::Identities;
use crate::stack::crypto::testing::identity;
use crate::stack::transport::{Fatal, Hello, Input, Limits};

const SECURED: [Policy; 3] = [Policy::Basic256Sha256, Policy::Aes128_Sha256_RsaOaep, Policy::Aes256_Sha256_RsaPss];
const MODES: [MessageSecurityMode; 2] = [MessageSecurityMode::Sign, MessageSecurityMode::SignAndEncrypt];

/// Refuses when told to, and counts nothing.
struct Check(Option<StatusCode>);

impl CertificateCheck for Check {
    fn check_client(&self, _: &[u8], _: &Caller) -> Result<Seen, Refusal> {
        self.0.map_or_else(
            || Ok(Seen::default()),
            |status| Err(Refusal { status, code: status, rule: "told to refuse".into() }),
        )
    }
}

/// Both ends and the bytes between them.
struct Pair {
    now: Instant,
    server: ServerChannel,
    client: ClientChannel,
    to_server: Input,
    to_client: Input,
    answer: Writer,
}

#[derive(Clone)]
struct Setup {
    policy: Policy,
    mode: MessageSecurityMode,
    client_bits: usize,
    server_bits: usize,
    client_limits: Limits,
    server_limits: Limits,
    lifetime: Duration,
    /// Where the client is, for the pace.
    address: Option<std::net::SocketAddr>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            policy: Policy::None,
            mode: MessageSecurityMode::None,
            client_bits: 2048,
            server_bits: 2048,
            client_limits: Limits::default(),
            server_limits: Limits::default(),
            lifetime: Duration::from_secs(3600),
            address: None,
        }
    }
}

fn secured(policy: Policy, mode: MessageSecurityMode) -> Setup {
    Setup { policy, mode, ..Setup::default() }
}

impl Pair {
    fn new(setup: &Setup) -> Pair {
        let now = Instant::now();
        let settings = ServerSettings {
            handshakes: Pace::new(setup.server_limits.handshakes),
            limits: setup.server_limits.clone(),
            identities: Arc::new(Identities::one(identity(setup.server_bits))),
            policies: arc_swap::ArcSwap::from_pointee(SECURED.to_vec()),
            check: Arc::new(Check(None)),
        };
        let server = Peer::from_chain(setup.policy, identity(setup.server_bits).chain()).map(Arc::new);
        let client = ClientSettings {
            limits: setup.client_limits.clone(),
            policy: setup.policy,
            mode: setup.mode,
            identity: Some(identity(setup.client_bits)),
            server,
            lifetime: setup.lifetime,
        };
        Pair {
            now,
            server: ServerChannel::new(Arc::new(settings), 7, setup.address, now),
            client: ClientChannel::new(client),
            to_server: Input::default(),
            to_client: Input::default(),
            answer: Writer::new(),
        }
    }

    fn open(setup: &Setup) -> Pair {
        let mut pair = Pair::new(setup);
        let mut out = Writer::new();
        pair.client.hello("opc.tcp://plant:4840/x", &mut out);
        pair.serve(&out.buf).expect("Hello is fine");
        pair.client_takes().expect("Acknowledge is fine");
        pair.renew().expect("the channel opens");
        pair.server.set_authenticated(true);
        pair
    }

    /// Opens or renews.
    fn renew(&mut self) -> Result<(), Fatal> {
        let mut out = Writer::new();
        self.client.open(&mut out)?;
        self.serve(&out.buf)?;
        self.client_takes().map(drop)
    }

    /// Hands bytes to the server, which echoes requests; its output stays in `answer`.
    fn serve(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fatal> {
        self.to_server.room().extend_from_slice(bytes);
        let mut requests = Vec::new();
        while let Some(event) = self.server.receive(self.now, &mut self.to_server, &mut self.answer)? {
            match event {
                Event::Hello { endpoint_url } => assert_eq!(endpoint_url, "opc.tcp://plant:4840/x"),
                Event::Open(job) => {
                    let outcome = job.run(self.now);
                    self.server.opened(self.now, outcome, &mut self.answer)?;
                }
                Event::Request { request_id, body } => {
                    requests.push(body.to_vec());
                    let echoed = self.server.respond(self.now, &mut self.answer, request_id, |out| {
                        out.raw(body);
                        Ok(())
                    });
                    if let Err(status) = echoed {
                        let fault = self.server.respond(self.now, &mut self.answer, request_id, |out| {
                            out.status(status);
                            Ok(())
                        });
                        fault.expect("a fault is small");
                    }
                }
                Event::Closed => requests.push(b"closed".to_vec()),
            }
        }
        Ok(requests)
    }

    /// Hands the server's output to the client.
    fn client_takes(&mut self) -> Result<Vec<(u32, Vec<u8>)>, Fatal> {
        self.to_client.room().append(&mut self.answer.buf);
        let mut responses = Vec::new();
        while let Some(event) = self.client.receive(self.now, &mut self.to_client)? {
            match event {
                ClientEvent::Acknowledged | ClientEvent::Opened => {}
                ClientEvent::Response { request_id, body } => responses.push((request_id, body.to_vec())),
                ClientEvent::Aborted { request_id, status } => {
                    responses.push((request_id, status.bits().to_le_bytes().to_vec()));
                }
            }
        }
        Ok(responses)
    }

    fn request(&mut self, body: &[u8]) -> Writer {
        let mut out = Writer::new();
        self.client
            .request(self.now, &mut out, |out| {
                out.raw(body);
                Ok(())
            })
            .expect("the channel is open");
        out
    }

    /// One request to the server and its echo back.
    fn round_trip(&mut self, body: &[u8]) -> Result<Vec<u8>, Fatal> {
        let out = self.request(body);
        assert_eq!(self.serve(&out.buf)?, [body.to_vec()]);
        let mut responses = self.client_takes()?;
        assert_eq!(responses.len(), 1);
        Ok(responses.remove(0).1)
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|number| u8::try_from(number % 251).expect("below 251")).collect()
}

/// Sizes around each edge of a chunk, a block and a message of several chunks.
fn check_round_trips(setup: &Setup) {
    let mut pair = Pair::open(setup);
    let buffer = setup.server_limits.receive_buffer as usize;
    let edges = (0..20).chain(buffer - 90..buffer + 2).chain([2 * buffer, 3 * buffer - 77, 200_000]);
    for count in edges {
        let body = bytes(count);
        assert_eq!(pair.round_trip(&body), Ok(body), "{count} bytes with {:?} {:?}", setup.policy, setup.mode);
    }
}

fn small_buffers() -> Limits {
    Limits { receive_buffer: 8192, send_buffer: 8192, ..Limits::default() }
}

#[test]
fn messages_of_every_size_pass_without_security() {
    check_round_trips(&Setup { client_limits: small_buffers(), server_limits: small_buffers(), ..Setup::default() });
}

#[test]
fn messages_of_every_size_pass_with_each_policy_and_mode() {
    for policy in SECURED {
        for mode in MODES {
            check_round_trips(&Setup {
                client_limits: small_buffers(),
                server_limits: small_buffers(),
                ..secured(policy, mode)
            });
        }
    }
}

#[test]
fn keys_of_all_sizes_open_channels_with_each_other() {
    for policy in SECURED {
        for client_bits in [2048, 3072, 4096] {
            for server_bits in [2048, 3072, 4096] {
                let setup = Setup { client_bits, server_bits, ..secured(policy, MessageSecurityMode::SignAndEncrypt) };
                let mut pair = Pair::open(&setup);
                assert_eq!(pair.round_trip(b"hello"), Ok(b"hello".to_vec()), "{policy:?} {client_bits} {server_bits}");
                let security = pair.server.security().expect("it is open");
                let peer = security.peer.as_ref().expect("the client has a certificate");
                assert_eq!(peer.chain, identity(client_bits).chain());
            }
        }
    }
}

#[test]
fn requests_that_arrive_together_are_answered_in_one_buffer() {
    let mut pair = Pair::open(&secured(Policy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt));
    let together = [pair.request(b"one"), pair.request(b"two"), pair.request(b"three")].map(|out| out.buf).concat();
    assert_eq!(pair.serve(&together).expect("fine").len(), 3);
    let answers = pair.client_takes().expect("fine");
    assert_eq!(
        answers.iter().map(|(_, body)| body.as_slice()).collect::<Vec<_>>(),
        [b"one".as_slice(), b"two", b"three"]
    );
    assert_eq!(answers[2].0, answers[0].0 + 2);
}

#[test]
fn buffers_stay_as_large_as_the_largest_message_made_them() {
    let mut pair = Pair::open(&secured(Policy::Aes128_Sha256_RsaOaep, MessageSecurityMode::SignAndEncrypt));
    let request = |pair: &mut Pair, size| {
        let out = pair.request(&bytes(size));
        pair.serve(&out.buf).expect("fine");
        let capacity = (pair.to_server.room().capacity(), pair.answer.buf.capacity());
        pair.answer.rewind(0);
        capacity
    };
    let before = request(&mut pair, 60_000);
    for size in (0..500).map(|number| number * 100) {
        assert_eq!(request(&mut pair, size), before, "{size} bytes");
    }
}

#[test]
fn a_close_ends_the_channel_without_an_answer() {
    let mut pair = Pair::open(&secured(Policy::Basic256Sha256, MessageSecurityMode::Sign));
    let mut out = Writer::new();
    pair.client.close(pair.now, &mut out).expect("it is open");
    assert_eq!(pair.serve(&out.buf).expect("fine"), [b"closed".to_vec()]);
    assert!(pair.answer.buf.is_empty());
    assert_eq!(pair.server.next_deadline(), None);
}

#[test]
fn a_token_ends_after_its_lifetime_in_milliseconds_and_a_quarter() {
    let limits = Limits { channel_lifetime: Duration::from_millis(200)..=Duration::from_secs(1), ..Limits::default() };
    for (after, ends) in [(199, false), (250, false), (251, true), (6000, true)] {
        let mut pair = Pair::open(&Setup {
            server_limits: limits.clone(),
            lifetime: Duration::from_millis(200),
            ..secured(Policy::Aes128_Sha256_RsaOaep, MessageSecurityMode::SignAndEncrypt)
        });
        assert_eq!(pair.server.next_deadline(), Some(pair.now + Duration::from_millis(250)));
        pair.now += Duration::from_millis(after);
        let out = pair.request(b"late");
        let refused = pair.serve(&out.buf).err().map(|fatal| fatal.status);
        assert_eq!(refused, ends.then_some(StatusCode::BadSecureChannelTokenUnknown), "after {after} ms");
    }
}

#[test]
fn a_channel_that_is_not_renewed_is_closed_at_its_deadline() {
    let mut pair = Pair::open(&Setup::default());
    let deadline = pair.server.next_deadline().expect("it is open");
    assert_eq!(deadline, pair.now + Duration::from_secs(4500));
    let mut out = Writer::new();
    assert_eq!(pair.server.check_deadline(deadline, &mut out), Ok(()));
    let late = pair.server.check_deadline(deadline + Duration::from_millis(1), &mut out).expect_err("it is late");
    assert_eq!(late.status, StatusCode::BadSecureChannelTokenUnknown);
    assert_eq!(&out.buf[..4], b"ERRF");
}

#[test]
fn the_old_token_holds_until_the_new_one_is_used() {
    for setup in [Setup::default(), secured(Policy::Aes256_Sha256_RsaPss, MessageSecurityMode::SignAndEncrypt)] {
        let mut pair = Pair::open(&setup);
        let mut renewal = Writer::new();
        pair.client.open(&mut renewal).expect("it is open");
        let before = pair.request(b"sent before the client saw the new token");
        pair.serve(&renewal.buf).expect("renewed");
        pair.client_takes().expect("renewed");
        pair.serve(&before.buf).expect("the old token holds");
        assert_eq!(pair.answer.buf[12], 1, "the server answers with the old token");
        pair.client_takes().expect("the client takes the old token");
        let after = pair.request(b"after");
        assert_eq!(pair.serve(&after.buf).expect("the new token holds"), [b"after".to_vec()]);
        assert_eq!(pair.answer.buf[12], 2, "from now on with the new one");
        pair.client_takes().expect("and the client takes that");
        assert!(pair.round_trip(b"on").is_ok());
    }
}

#[test]
fn the_server_moves_to_the_new_token_when_the_old_one_ends() {
    let mut pair = Pair::open(&Setup { lifetime: Duration::from_secs(60), ..Setup::default() });
    pair.now += Duration::from_secs(59);
    let mut renewal = Writer::new();
    pair.client.open(&mut renewal).expect("it is open");
    let late = pair.request(b"sent with the old token");
    pair.serve(&renewal.buf).expect("renewed");
    pair.client_takes().expect("renewed");
    pair.now += Duration::from_secs(2);
    pair.serve(&late.buf).expect("the old token is taken for 25 % longer");
    assert_eq!(pair.answer.buf[12], 2, "but not sent with");
    pair.client_takes().expect("fine");
    assert!(pair.round_trip(b"on").is_ok());
}

#[test]
fn many_renewals_keep_the_channel() {
    let mut pair = Pair::open(&secured(Policy::Basic256Sha256, MessageSecurityMode::Sign));
    for round in 0..5 {
        pair.now += Duration::from_secs(2700);
        pair.renew().expect("renewed");
        if round % 2 == 0 {
            assert!(pair.round_trip(b"x").is_ok());
        }
    }
}

#[test]
fn a_channel_with_a_session_is_not_renewed_as_often_as_it_likes() {
    let address = Some(([10, 0, 0, 1], 50_000).into());
    let mut pair =
        Pair::open(&Setup { address, ..secured(Policy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt) });
    // Opening took the first of its 20.
    let renewed = (0..100).take_while(|_| pair.renew().is_ok()).count();
    assert_eq!(renewed, 19);
    let mut pair =
        Pair::open(&Setup { address, ..secured(Policy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt) });
    for _ in 0..100 {
        pair.now += Duration::from_secs(1);
        pair.renew().expect("once a second is not too often");
    }
}

mod hostile;
