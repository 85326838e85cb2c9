//! What a session costs from connect to close, and how much of that is RSA's own.
//!
//! RSA is measured between the sessions, so that both see the same machine, and as CPU time: how long it took would
//! count whatever else runs here.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcell::testing::stack::channel::Peer;
use opcell::testing::stack::crypto::Identity;

use crate::cell;
use crate::process::{ServerProcess, own_cpu};
use crate::rows::{POLICY, Table, activate, client_identity, secure_settings, server};
use testkit::ua::{self, Session};

/// Sessions that are measured, and that go before.
const UNSECURED: usize = 2_000;
const SECURED: usize = 600;
const WARM_UP: usize = 50;
/// An address may open 100 channels at once and 50 a second more; the sessions take turns among so many.
const ADDRESSES: u8 = 20;
/// What the server may spend beside RSA.
const BUDGET: f64 = 300.0;

/// A client's end of a connection, at an address of its own.
pub struct Dialler {
    runtime: tokio::runtime::Runtime,
    /// How its connections end.
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Orderly,
    /// By a reset: of many connections, no port waits for its last packet.
    Abrupt,
}

impl Dialler {
    pub fn new(end: End) -> Dialler {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        Dialler { runtime, end }
    }

    pub fn dial(&self, from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
        let stream = self.runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((from, 0).into())?;
            if self.end == End::Abrupt {
                socket.set_zero_linger()?;
            }
            socket.connect(to).await?.into_std()
        })?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// CPU time of RSA for one session, by what it is for.
#[derive(Default)]
struct Rsa {
    decrypting: Duration,
    signing: Duration,
    verifying: Duration,
    encrypting: Duration,
    /// What it costs to look at the clock, which each of the others holds once.
    looking: Duration,
}

/// The keys of both sides, and what one session has the server do with them.
struct Work<'a> {
    server: &'a Identity,
    client: &'a Peer,
    /// An open request's sealed part, and a signature of the client's.
    sealed: Vec<u8>,
    signed: [u8; 256],
    signature: Vec<u8>,
    /// An open response's part that is sealed, its signature included.
    open: Vec<u8>,
}

impl Work<'_> {
    /// Two blocks, two signatures, two verifications, two blocks.
    fn run(&self, spent: &mut Rsa) {
        timed(&mut spent.decrypting, || self.server.key().decrypt(POLICY, &self.sealed).expect("ours"));
        timed(&mut spent.signing, || [(); 2].map(|()| self.server.key().sign(POLICY, &[&self.signed])));
        timed(&mut spent.verifying, || {
            [(); 2].map(|()| self.client.key.verify(POLICY, &[&self.signed], &self.signature).expect("the client's"))
        });
        timed(&mut spent.looking, || ());
        timed(&mut spent.encrypting, || self.client.key.encrypt(POLICY, &self.open).expect("two blocks"));
    }
}

fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) {
    let before = own_cpu();
    drop(work());
    *spent += own_cpu() - before;
}

pub fn run(table: &mut Table) {
    let (dir, ours) = server(&cell::memory(100));
    let dialler = Dialler::new(End::Orderly);
    unsecured(table, &ours, &dialler);
    let identity = client_identity(dir.path());
    wait_for_trust(&ours, dir.path(), &identity);
    secured(table, &ours, &dialler, (dir.path(), &identity));
}

fn unsecured(table: &mut Table, ours: &ServerProcess, dialler: &Dialler) {
    let session = |number: usize| {
        let stream = dialler.dial(address(number), ours.address).expect("a connection");
        let mut session = Session::over(stream, ua::unsecured()).expect("a channel");
        session.create("urn:test:client", b"").good();
        session.activate_anonymous().good();
        session.close();
    };
    (0..WARM_UP).for_each(session);
    let before = ours.cpu();
    (0..UNSECURED).for_each(session);
    let work = format!("session, None: connect to close, {UNSECURED} of them");
    table.per(&work, ours.cpu() - before, UNSECURED, "session");
}

fn secured(table: &mut Table, ours: &ServerProcess, dialler: &Dialler, (dir, identity): (&Path, &Arc<Identity>)) {
    // The same kind of key as the server's, which is not read here.
    let client = Peer::from_chain(POLICY, identity.chain()).expect("its own certificate");
    let signed = [7; 256];
    let work = Work {
        server: identity,
        client: &client,
        sealed: client.key.encrypt(POLICY, &[7; 400]).expect("two blocks"),
        signed,
        signature: identity.key().sign(POLICY, &[&signed]),
        open: vec![7; 400],
    };
    let (mut rsa, mut spent) = (Rsa::default(), Duration::ZERO);
    for number in 0..WARM_UP + SECURED {
        if number == WARM_UP {
            (rsa, spent) = (Rsa::default(), Duration::ZERO);
        }
        let before = ours.cpu();
        let stream = dialler.dial(address(number), ours.address).expect("a connection");
        let mut session = Session::over(stream, secure_settings(dir, identity)).expect("a channel");
        session.create("urn:opcell:bench", identity.chain()).good();
        activate(&mut session, dir, identity);
        session.close();
        spent += ours.cpu() - before;
        work.run(&mut rsa);
    }
    tell(table, spent, &rsa);
}

fn tell(table: &mut Table, spent: Duration, rsa: &Rsa) {
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / SECURED as f64;
    let of = |part: Duration| each(part.saturating_sub(rsa.looking));
    let [decrypting, signing, verifying, encrypting] =
        [rsa.decrypting, rsa.signing, rsa.verifying, rsa.encrypting].map(of);
    let all = decrypting + signing + verifying + encrypting;
    table.per(&format!("session, Basic256Sha256 (2048 bit), {SECURED} of them"), spent, SECURED, "session");
    let line = |table: &mut Table, work: &str, figure: f64| table.line(work, &format!("{figure:9.3} µs/session"));
    line(table, "  RSA's own, private: two blocks decrypted", decrypting);
    line(table, "                      two signatures", signing);
    line(table, "             public:  two verifications", verifying);
    line(table, "                      two blocks encrypted", encrypting);
    line(table, "             in all", all);
    line(table, &format!("  beside RSA, at most {BUDGET:.0} µs"), each(spent) - all);
}

/// The folder is watched: a certificate that was just put there is not yet known.
fn wait_for_trust(ours: &ServerProcess, dir: &Path, identity: &Arc<Identity>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = Session::connect(ours.address, secure_settings(dir, identity)) {
        assert!(Instant::now() < deadline, "{error}");
        // Each attempt counts against the pace of this address.
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn address(number: usize) -> Ipv4Addr {
    let last = u8::try_from(number % usize::from(ADDRESSES)).expect("few addresses");
    Ipv4Addr::new(127, 0, 1, 1 + last)
}
