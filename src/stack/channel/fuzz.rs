//! Any bytes at a channel, and chunks that are right but for what the bytes do to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{ClientChannel, ClientEvent, ClientSettings};
use super::conversation::{Complete, Conversation, Negotiated};
use super::open::{AsymmetricHeader, fuzz_unpad};
use super::opn::{OpenRequest, OpenResponse};
use super::sequence::{Sequence, Sequences};
use super::server::{Event, ServerChannel, ServerSettings};
use super::token::{Role, Token};
use super::{Caller, CertificateCheck, Pace, Refusal, Seen};
use crate::stack::codec::Writer;
use crate::stack::crypto::{MessageSecurityMode, Policy, derive_keys};
use crate::stack::transport::{ChunkKind, Fatal, FrameKind, Input, LEAST_BUFFER, Limits};

struct Everybody;

impl CertificateCheck for Everybody {
    fn check_client(&self, _: &[u8], _: &Caller) -> Result<Seen, Refusal> {
        Ok(Seen::default())
    }
}

/// A server's channel that takes any bytes: as they come, after Hello, and on an open channel.
pub fn fuzz(bytes: &[u8]) {
    let Some((&stage, bytes)) = bytes.split_first() else { return };
    drop((AsymmetricHeader::read(bytes), OpenRequest::read(bytes), OpenResponse::read(bytes)));
    fuzz_unpad(bytes);
    let now = Instant::now();
    let mut server = server(now);
    let (mut input, mut out) = (Input::default(), Writer::new());
    let (mut client, mut to_client) = (client(), Input::default());
    let mut greeting = Writer::new();
    if stage & 1 != 0 {
        client.hello("opc.tcp://fuzz", &mut greeting);
        serve(now, &mut server, &mut input, &greeting.buf, &mut out).expect("Hello is fine");
        hear(now, &mut client, &mut to_client, &mut out);
    }
    if stage & 3 == 3 {
        greeting.rewind(0);
        client.open(&mut greeting).expect("no key is needed");
        serve(now, &mut server, &mut input, &greeting.buf, &mut out).expect("the open request is fine");
        hear(now, &mut client, &mut to_client, &mut out);
        server.set_authenticated(stage & 4 != 0);
    }
    let cut = usize::from(stage >> 3) * 100 + 1;
    for part in bytes.chunks(cut) {
        if serve(now, &mut server, &mut input, part, &mut out).is_err() {
            break;
        }
        assert!(input.waiting() <= Limits::default().receive_buffer as usize + cut);
        assert!(input.assembled().len() <= Limits::default().max_message as usize);
    }
    if stage & 3 == 3 {
        hear(now, &mut client, &mut to_client, &mut out);
    }
}

/// A client's channel that takes any bytes: before the server's Acknowledge, after it, and on an open channel.
pub fn fuzz_client(bytes: &[u8]) {
    let Some((&stage, bytes)) = bytes.split_first() else { return };
    let now = Instant::now();
    let (mut server, mut client) = (server(now), client());
    let (mut input, mut to_client, mut out, mut sent) =
        (Input::default(), Input::default(), Writer::new(), Writer::new());
    client.hello("opc.tcp://fuzz", &mut sent);
    if stage & 1 != 0 {
        serve(now, &mut server, &mut input, &sent.buf, &mut out).expect("Hello is fine");
        hear(now, &mut client, &mut to_client, &mut out);
        sent.rewind(0);
        client.open(&mut sent).expect("no key is needed");
    }
    if stage & 3 == 3 {
        serve(now, &mut server, &mut input, &sent.buf, &mut out).expect("the open request is fine");
        hear(now, &mut client, &mut to_client, &mut out);
    }
    let cut = usize::from(stage >> 3) * 100 + 1;
    for part in bytes.chunks(cut) {
        to_client.room().extend_from_slice(part);
        loop {
            match client.receive(now, &mut to_client) {
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(_) => return,
            }
        }
        assert!(to_client.waiting() <= Limits::default().receive_buffer as usize + cut);
        assert!(to_client.assembled().len() <= Limits::default().max_message as usize);
    }
}

fn server(now: Instant) -> ServerChannel {
    let settings = ServerSettings {
        handshakes: Pace::new(Limits::default().handshakes),
        limits: Limits::default(),
        identities: Arc::default(),
        policies: arc_swap::ArcSwap::from_pointee(vec![Policy::Basic256Sha256]),
        check: Arc::new(Everybody),
    };
    ServerChannel::new(Arc::new(settings), 1, None, now)
}

fn client() -> ClientChannel {
    ClientChannel::new(ClientSettings {
        limits: Limits::default(),
        policy: Policy::None,
        mode: MessageSecurityMode::None,
        identity: None,
        server: None,
        lifetime: Duration::from_secs(60),
    })
}

/// Serves the bytes as a connection does; requests are echoed.
fn serve(
    now: Instant,
    server: &mut ServerChannel,
    input: &mut Input,
    bytes: &[u8],
    out: &mut Writer,
) -> Result<(), Fatal> {
    input.room().extend_from_slice(bytes);
    while let Some(event) = server.receive(now, input, out)? {
        match event {
            Event::Open(job) => server.opened(now, job.run(now), out)?,
            Event::Request { request_id, body } => {
                let before = out.mark();
                let answered = server.respond(now, out, request_id, |out| {
                    out.raw(body);
                    Ok(())
                });
                // The bytes may hold a Hello with narrow limits.
                if let Err(status) = answered {
                    assert_eq!((status, out.mark()), (opcua::StatusCode::BadResponseTooLarge, before));
                }
            }
            Event::Hello { .. } | Event::Closed => {}
        }
    }
    Ok(())
}

/// A client understands every message of the server, whatever caused it.
fn hear(now: Instant, client: &mut ClientChannel, input: &mut Input, out: &mut Writer) {
    input.room().append(&mut out.buf);
    loop {
        match client.receive(now, input) {
            Ok(Some(
                ClientEvent::Acknowledged
                | ClientEvent::Opened
                | ClientEvent::Response { .. }
                | ClientEvent::Aborted { .. },
            )) => {}
            // An Error message, or the renewal that the bytes asked for and the client did not.
            Ok(None) | Err(_) => return,
        }
    }
}

/// Two ends of a conversation with keys of their own. The bytes are commands: messages that must arrive as they were
/// sent, and damage that must be refused.
pub fn fuzz_chunks(bytes: &[u8]) {
    let Some((&kind, commands)) = bytes.split_first() else { return };
    let policy = Policy::ALL[usize::from(kind & 3)];
    let mode = if kind & 4 == 0 { MessageSecurityMode::Sign } else { MessageSecurityMode::SignAndEncrypt };
    let now = Instant::now();
    let mut sender = conversation(now, policy, mode, End { role: Role::Client, own: [1; 32], peer: [2; 32] });
    let mut receiver = conversation(now, policy, mode, End { role: Role::Server, own: [2; 32], peer: [1; 32] });
    for command in commands.chunks(4) {
        let &[op, low, high, at] = command else { return };
        let body: Vec<u8> = (0..usize::from(low) | usize::from(high) << 8).map(|byte| byte.to_le_bytes()[0]).collect();
        let mut out = Writer::new();
        let sent = sender.send(now, &mut out, FrameKind::Message, 5, |out| {
            out.raw(&body);
            Ok(())
        });
        sent.expect("no limit is set");
        let position = (usize::from(at) << 8 | usize::from(op)) % out.buf.len();
        let is_damaged = op & 3 == 3;
        if is_damaged {
            out.buf[position] ^= 1 << (op >> 5);
        }
        let taken = take_all(now, &mut receiver, &out.buf);
        if !is_damaged {
            assert_eq!(taken, Ok(Some(body)), "an undamaged message arrives");
        } else {
            let is_whole = matches!(taken, Ok(Some(_)));
            assert!(policy == Policy::None || !is_whole, "damage at {position} is found");
            return;
        }
    }
}

/// The message in these bytes; `None` when it is not whole.
fn take_all(now: Instant, receiver: &mut Conversation, bytes: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
    let mut input = Input::default();
    input.room().extend_from_slice(bytes);
    while let Some(frame) = input.next_frame(LEAST_BUFFER as usize)? {
        let is_last = frame.header.chunk != ChunkKind::Intermediate;
        match receiver.take(now, &mut input, &frame, u32::MAX)? {
            Some(Complete::InPlace { part, .. }) => return Ok(Some(input.part(&frame, part).to_vec())),
            Some(Complete::Assembled { .. }) => return Ok(Some(input.assembled().to_vec())),
            Some(Complete::Aborted { .. }) => return Ok(None),
            None => assert!(!is_last, "a last chunk ends its message"),
        }
    }
    Ok(None)
}

/// One end of a conversation, with its nonce and its peer's.
struct End {
    role: Role,
    own: [u8; 32],
    peer: [u8; 32],
}

fn conversation(now: Instant, policy: Policy, mode: MessageSecurityMode, end: End) -> Conversation {
    let End { role, own, peer } = end;
    let sizes = Negotiated {
        receive_buffer: LEAST_BUFFER as usize,
        send_buffer: LEAST_BUFFER as usize,
        max_message: 0,
        max_chunks: 100,
        peer_max_message: 0,
        peer_max_chunks: 0,
    };
    let lifetime = Duration::from_secs(60);
    let token = Token { id: 1, lifetime, created: now, keys: derive_keys(policy, mode, &own, &peer) };
    let numbers = Sequences { received: Sequence::new(true), sent: Sequence::new(true) };
    Conversation::new(role, 1, sizes, token, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_and_commands_break_no_rule() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..3_000 {
            let mut bytes = vec![0; random.usize(1..200)];
            random.fill(&mut bytes);
            fuzz(&bytes);
            fuzz_chunks(&bytes);
        }
    }
}
