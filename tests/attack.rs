//! A stateful attack: many addresses flood the program with all that costs a server something, for a while, and at the
//! same time. A healthy client keeps its subscription, newcomers still get in, and the memory comes back.
//!
//! `OPCELL_ATTACK_SECONDS=60 cargo test --test attack -- --nocapture` attacks longer and prints the figures.
//!
//! A process of its own, because it measures the memory and the delays of the whole process.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opcell::testing::pki::{OwnCertificate, OwnRequest};
use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::client::ClientError;
use opcell::testing::stack::codec::Writer;
use opcell::testing::stack::crypto::{Identity, MessageSecurityMode, Policy};
use opcua::{BrowseDescription, BrowseDirection, BrowseRequest, BrowseResultMask, ObjectId, ObjectTypeId};
use socket2::{Domain, Socket, Type};

use testkit::request::{activate_session, anonymous, browse_of, create_session};
use testkit::target::Target;
use testkit::ua::{Session, secured, unsecured};

/// Memory that may remain of an attack: pieces between others that are in use.
const LEFT_KIB: u64 = 12 * 1024;
/// Threads of each kind of attack.
const EACH: usize = 3;
const URL: &str = "opc.tcp://127.0.0.1:4840";

/// An attacker's knowledge of the server, and its own identity.
struct Known {
    address: SocketAddr,
    server: Arc<Peer>,
    identity: Arc<Identity>,
}

/// A connection from any address of 127.0.0.0/8.
fn connect(address: SocketAddr, random: &mut fastrand::Rng) -> std::io::Result<TcpStream> {
    let from = Ipv4Addr::new(127, random.u8(1..), random.u8(..), random.u8(1..255));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
    socket.connect_timeout(&address.into(), Duration::from_secs(2))?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    socket.set_write_timeout(Some(Duration::from_millis(500)))?;
    Ok(socket.into())
}

/// A Browse of a hundred times the node of all types.
fn browse_much() -> BrowseRequest {
    let all = BrowseDescription {
        node_id: ObjectTypeId::BaseObjectType.into(),
        browse_direction: BrowseDirection::Both,
        include_subtypes: true,
        result_mask: BrowseResultMask::All as u32,
        ..BrowseDescription::default()
    };
    browse_of(vec![all; 100], 0)
}

fn hello() -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(b"HELF\x38\0\0\0");
    [0, 65_536, 65_536, 0, 0].into_iter().for_each(|number| out.u32(number));
    out.text(URL);
    out.buf
}

/// One act; connections in `held` stay open. The server may refuse, cut or ignore it: whatever happens is fine here.
type Attack = fn(&Known, &mut fastrand::Rng, &mut Vec<TcpStream>) -> Result<(), ClientError>;

const ATTACKS: [(&str, Attack); 9] = [
    ("connections that say nothing", |known, random, held| {
        held.push(connect(known.address, random)?);
        Ok(())
    }),
    ("Hello again and again", |known, random, held| {
        let mut stream = connect(known.address, random)?;
        (0..50).try_for_each(|_| stream.write_all(&hello()))?;
        held.push(stream);
        Ok(())
    }),
    ("half messages", |known, random, held| {
        let mut stream = connect(known.address, random)?;
        let mut bytes = hello();
        bytes.extend(b"OPNF\xf0\xff\0\0");
        bytes.extend(vec![0x41; random.usize(..5_000)]);
        stream.write_all(&bytes)?;
        held.push(stream);
        Ok(())
    }),
    ("claimed sizes of 4 GiB", |known, random, held| {
        for kind in [&b"HELF"[..], b"OPNF", b"MSGF", b"MSGC", b"CLOF"] {
            let mut stream = connect(known.address, random)?;
            stream.write_all(&[kind, &[0xff; 4], &[0; 600]].concat())?;
            held.push(stream);
        }
        Ok(())
    }),
    ("channels without a session", |known, random, _| {
        let session = Session::over(connect(known.address, random)?, unsecured())?;
        drop(session);
        Ok(())
    }),
    ("sessions that are never activated", |known, random, _| {
        let mut session = Session::over(connect(known.address, random)?, unsecured())?;
        for _ in 0..30 {
            session.try_call(create_session("urn:test:attacker", b"", URL, 3_600_000.0))?;
        }
        Ok(())
    }),
    ("64 KB nests", |known, random, _| {
        let mut session = Session::over(connect(known.address, random)?, unsecured())?;
        let nest = [&[25][..], &[0x40; 60_000]].concat();
        session.try_call_raw(ObjectId::CreateSessionRequest_Encoding_DefaultBinary, |w| w.raw(&nest))?;
        Ok(())
    }),
    ("secured channels of a stranger", |known, random, _| {
        let mode = MessageSecurityMode::SignAndEncrypt;
        let settings = secured(Policy::Basic256Sha256, mode, &known.identity, &known.server);
        Session::over(connect(known.address, random)?, settings).map(drop)
    }),
    ("readers that do not read", |known, random, held| {
        let stream = connect(known.address, random)?;
        held.push(stream.try_clone()?);
        let mut session = Session::over(stream, unsecured())?;
        let created = session.try_call(create_session("urn:test:slow", b"", URL, 60_000.0))?;
        if created.result.is_bad() {
            return Ok(());
        }
        session.keep_token(&created);
        session.try_call(activate_session(None, anonymous()))?;
        for _ in 0..500 {
            // The node of all types, and not one answer is read.
            session.send(browse_much())?;
        }
        session.client.flush()
    }),
];

fn attack(known: &Known, act: Attack, is_over: &AtomicBool, seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut held, mut acts) = (Vec::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        // Refused, cut, ignored: an attacker continues.
        drop(act(known, &mut random, &mut held));
        acts += 1;
        if held.len() > 40 {
            let mut oldest: TcpStream = held.swap_remove(random.usize(..20));
            drop(oldest.read(&mut [0; 100]));
        }
    }
    acts
}

/// Comes from 127.0.0.1 again and again, and wants no more than a session; how often it got one since then, and not.
fn come_in(address: SocketAddr, since: Instant, is_over: &AtomicBool) -> (usize, usize) {
    let (mut came_in, mut refused) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let read = || -> Result<(), ClientError> {
            let mut session = Session::connect(address, unsecured())?;
            session.try_call(create_session("urn:test:newcomer", b"", URL, 60_000.0)).map(drop)
        };
        let is_early = Instant::now() < since;
        match read() {
            _ if is_early => {}
            Ok(()) => came_in += 1,
            Err(_) => refused += 1,
        }
    }
    (came_in, refused)
}

fn stranger() -> Arc<Identity> {
    let dir = tempfile::tempdir().expect("a folder");
    let request = OwnRequest {
        application_uri: "urn:test:stranger".to_owned(),
        application_name: "stranger".to_owned(),
        names: vec![],
        auto_names: false,
        key_bits: 2_048,
        valid_for: Duration::from_hours(24),
        renew_before: Duration::ZERO,
    };
    OwnCertificate::load_or_make(dir.path(), &request).expect("a certificate").identity
}

#[test]
fn an_attack_from_many_addresses_does_not_disturb_a_healthy_client() {
    let seconds = std::env::var("OPCELL_ATTACK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let identity = stranger();
    let mut target = Target::start();
    let chain = std::fs::read(target.folder().join("pki/own/certificate.der")).expect("the server's certificate");
    let server = Arc::new(Peer::from_chain(Policy::Basic256Sha256, &chain).expect("it has a key"));
    let known = Known { address: target.address, server, identity };
    let is_over = AtomicBool::new(false);
    let counts: Vec<AtomicUsize> = ATTACKS.iter().map(|_| AtomicUsize::new(0)).collect();
    let (came_in, refused) = std::thread::scope(|scope| {
        for (at, (_, act)) in ATTACKS.iter().enumerate() {
            for n in 0..EACH {
                let (known, is_over, count) = (&known, &is_over, &counts[at]);
                let seed = (at * EACH + n) as u64;
                scope.spawn(move || count.fetch_add(attack(known, *act, is_over, seed), Ordering::Relaxed));
            }
        }
        let until = Instant::now() + Duration::from_secs(seconds);
        // Until then the places are not yet taken.
        let since = until - Duration::from_secs(seconds) / 2;
        let (known, is_over) = (&known, &is_over);
        let newcomer = scope.spawn(move || come_in(known.address, since, is_over));
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        is_over.store(true, Ordering::Relaxed);
        newcomer.join().expect("no panic")
    });
    let (_, during) = target.memory();
    let began = Instant::now();
    let (before, after) = loop {
        let (before, now) = target.memory();
        if now < before + LEFT_KIB || began.elapsed() > Duration::from_secs(60) {
            break (before, now);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let pauses = target.pauses();
    let at = |part: usize| pauses[(pauses.len() - 1) * part / 1_000];
    let told: String = ATTACKS
        .iter()
        .zip(&counts)
        .map(|((name, _), count)| format!("{:7} {name}\n", count.load(Ordering::Relaxed)))
        .collect();
    let figures = format!(
        "{told}newcomers: {came_in} came in, {refused} did not\n\
         KiB: {before} before, {during} at the end of the attack, {after} afterwards ({:?} later)\n\
         pauses of {} messages at 100 ms: half {:?}, 99 % {:?}, longest {:?}\n",
        began.elapsed(),
        pauses.len(),
        at(500),
        at(990),
        at(1_000)
    );
    std::io::stderr().write_all(figures.as_bytes()).expect("printed");
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) > 0), "an attack did not happen");
    // How many depends on how fast the attackers are here; that idle ones give way is held by a test of the listener.
    assert!(came_in * 20 > refused, "of others {came_in} came in and {refused} did not");
    assert!(after < before + LEFT_KIB, "{before} KiB became {after} KiB");
    assert!(at(1_000) < Duration::from_secs(3), "the healthy client heard nothing for {:?}", at(1_000));
}
