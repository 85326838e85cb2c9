//! One address floods with handshakes; another one connects as if nobody were there. What is counted is work, not time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use opcell::testing::stack::channel::{ClientChannel, ClientEvent, ClientSettings};
use opcell::testing::stack::codec::{NodeIdRef, Writer};
use opcell::testing::stack::crypto::{Lane, MessageSecurityMode::SignAndEncrypt, Policy, encrypt_secret};
use opcell::testing::stack::transport::{Fatal, Input, Rate};
use opcua::{ObjectId, StatusCode};

use testkit::interop::{Field, Holder, PASSWORD};
use testkit::login::Login;
use testkit::request::{activate_session, close_session, create_session, user_name};
use testkit::ua;
use testkit::ua::{Session, secured};
use testkit::until::until_within;

const POLICY: Policy = Policy::Basic256Sha256;

/// A connection from another address of this host.
fn dial(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(to).await
    })?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ua::TIMEOUT))?;
    Ok(stream)
}

/// Hello and an open request of this client; what comes of it.
fn open(stream: &mut TcpStream, settings: ClientSettings) -> Result<(), Fatal> {
    let lost =
        |error: std::io::Error| Fatal::new(StatusCode::BadConnectionClosed, "lost").with_detail(error.to_string());
    let (mut channel, mut input, mut out) = (ClientChannel::new(settings), Input::default(), Writer::new());
    channel.hello("opc.tcp://127.0.0.1:4840", &mut out);
    stream.write_all(&out.buf).map_err(lost)?;
    loop {
        let event = channel.receive(Instant::now(), &mut input)?;
        match event {
            Some(ClientEvent::Acknowledged) => {
                let mut out = Writer::new();
                channel.open(&mut out)?;
                stream.write_all(&out.buf).map_err(lost)?;
            }
            Some(_) => return Ok(()),
            None => {
                let mut bytes = [0; 8192];
                let count = stream.read(&mut bytes).map_err(lost)?;
                if count == 0 {
                    return Err(Fatal::new(StatusCode::BadConnectionClosed, "closed"));
                }
                input.room().extend_from_slice(&bytes[..count]);
            }
        }
    }
}

#[test]
fn a_flood_is_limited_before_any_key_is_used_and_others_are_not() {
    let field = Field::shrunk("urn:test:raw", |_, wire| wire.handshakes = Rate { per_second: 1, at_once: 5 });
    let (server, flooder) = (&field.server().server, Ipv4Addr::new(127, 0, 0, 2));
    let stranger = Holder::of("urn:test:stranger");
    let mut said = Vec::new();
    let began = Instant::now();
    for client in [&field.client, &stranger] {
        for _ in 0..10 {
            let settings = secured(POLICY, SignAndEncrypt, &client.identity, &field.peer());
            let mut stream = dial(flooder, field.server().address).expect("a connection");
            said.push(open(&mut stream, settings).map_err(|fatal| fatal.status));
        }
    }
    let passed = 5 + began.elapsed().as_secs();
    let busy = said.iter().filter(|said| **said == Err(StatusCode::BadTcpServerTooBusy)).count();
    assert!(busy as u64 >= 20 - passed, "{said:?}");
    assert_eq!(said[..5], [Ok(()); 5], "its burst");
    assert!(server.crypto.begun(Lane::Handshake) <= passed, "no key was touched for the rest");
    Login { client: &field.client, mode: SignAndEncrypt, user: None }.open(&field);
}

#[test]
fn a_flood_of_handshakes_delays_another_address_by_a_job_or_two() {
    const FLOODERS: usize = 24;
    let field = Field::shrunk("urn:test:raw", |limits, wire| {
        wire.handshakes = Rate { per_second: 100_000, at_once: 100_000 };
        limits.new_connections = wire.handshakes;
    });
    let (server, address, stop) = (&field.server().server, field.server().address, AtomicBool::new(false));
    let peer = field.peer();
    std::thread::scope(|scope| {
        // However slow the flooders' own keys are, jobs of their address wait all the time.
        scope.spawn(|| {
            let sign = || {
                let (identity, crypto) = (field.client.identity.clone(), server.crypto.clone());
                let job = move || identity.key().sign(POLICY, &[b"flood"]).len();
                async move { crypto.run(Lane::Handshake, Ipv4Addr::new(127, 0, 0, 2).into(), job).await.is_ok() }
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let mut jobs: FuturesUnordered<_> = (0..FLOODERS).map(|_| sign()).collect();
                while !stop.load(Ordering::Relaxed) {
                    jobs.next().await.expect("one comes for each that ends");
                    jobs.push(sign());
                }
            });
        });
        for _ in 0..FLOODERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let settings = secured(POLICY, SignAndEncrypt, &field.client.identity, &peer);
                    if let Ok(mut stream) = dial(Ipv4Addr::new(127, 0, 0, 2), address) {
                        let opened = open(&mut stream, settings).map_err(|fatal| fatal.status);
                        assert!(matches!(opened, Ok(()) | Err(StatusCode::BadTcpServerTooBusy)), "{opened:?}");
                    }
                }
            });
        }
        let served = || server.crypto.begun(Lane::Handshake);
        until_within(Duration::from_secs(30), "the flood", || served() >= 100);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut waits: Vec<u64> = (0..51)
            .map(|_| {
                let (crypto, pool) = (server.crypto.clone(), server.crypto.clone());
                let before = served();
                let at_its_turn =
                    crypto.run(Lane::Handshake, Ipv4Addr::LOCALHOST.into(), move || pool.begun(Lane::Handshake));
                runtime.block_on(at_its_turn).expect("it runs") - before
            })
            .collect();
        let mut session = Login { client: &field.client, mode: SignAndEncrypt, user: None }.open(&field);
        assert_eq!(session.read(&[(NodeIdRef::numeric(0, 2259), 13)]).len(), 1);
        session.close();
        stop.store(true, Ordering::Relaxed);
        // One whose turn it was, and its own. Between the two looks at the counter this thread may have to wait for a
        // processor, so it is the middle that counts.
        waits.sort_unstable();
        assert!(waits[25] <= 3, "jobs that ran before its own: {waits:?}");
        assert!(waits[50] <= 100, "a client was not served while the flood lasted: {waits:?}");
    });
}

#[test]
fn a_channel_whose_session_has_ended_has_unauthenticated_limits_again() {
    let field = Field::open("urn:test:raw");
    let mut session = Login { client: &field.client, mode: SignAndEncrypt, user: None }.open(&field);
    let large = |session: &mut Session| {
        session.try_call_raw(ObjectId::ReadRequest_Encoding_DefaultBinary, |w| w.raw(&[0; 100_000]))
    };
    assert!(large(&mut session).is_ok_and(|answer| answer.result.is_bad()), "it is read, and makes no sense");
    session.ask(close_session(true));
    large(&mut session).expect_err("more than 64 KiB without a session");
}

/// One attempt to come in with a password; who is refused comes again, as clients do.
fn come_in(field: &Field) -> Option<Session> {
    let (client, peer) = (&field.client, field.peer());
    let settings = secured(POLICY, SignAndEncrypt, &client.identity, &peer);
    let mut session = Session::connect(field.server().address, settings).ok()?;
    let request = create_session(&client.uri, client.identity.leaf(), "opc.tcp://127.0.0.1", 60_000.0);
    let created = session.try_call(request);
    let created = created.ok().filter(|created| created.result.is_good())?;
    session.keep_token(&created);
    let nonce = session.server_nonce.clone();
    let signature = client.identity.key().sign(POLICY, &[peer.leaf(), &nonce]);
    let secret = encrypt_secret(&peer.key, POLICY, PASSWORD.as_bytes(), &nonce).expect("it encrypts");
    let token = user_name("opal", &secret, POLICY.encryption_uri());
    let signature = (POLICY.signature_uri().expect("it signs"), &signature[..]);
    let activated = session.try_call(activate_session(Some(signature), token));
    activated.ok().filter(|activated| activated.result.is_good()).map(|_| session)
}

#[test]
fn a_site_with_one_address_that_reconnects_all_at_once_gets_in() {
    const CLIENTS: usize = 60;
    // Fewer sessions may wait than come, as a large site is more than 20 clients.
    let field = Field::shrunk("urn:test:raw", |limits, _| limits.pending_sessions = 4);
    let (began, passwords) = (Instant::now(), || field.server().server.crypto.begun(Lane::Password));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        if let Some(session) = come_in(&field) {
                            return session;
                        }
                        assert!(began.elapsed() < Duration::from_secs(100), "never in");
                        std::thread::sleep(Duration::from_millis(300));
                    }
                })
            })
            .collect();
        let sessions: Vec<Session> = clients.into_iter().map(|client| client.join().expect("it came in")).collect();
        assert_eq!(sessions.len(), CLIENTS);
    });
    let looked_at = passwords();
    assert!(looked_at <= CLIENTS as u64 * 3 / 2, "{looked_at} passwords were looked at for {CLIENTS} clients");
}
