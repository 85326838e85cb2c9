//! Whether the time of a refusal tells what was wrong: the classes of wrong input in random order, each time measured
//! around the work alone, then Welch's t-test between each class and the first, on all times and on the fastest nine
//! tenths. Below 4.5 there is no evidence of a difference (the bound of the method dudect, Reparaz et al. 2017).

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcell::testing::model::{Accounts, Roles, User};
use opcell::testing::pki::{OwnCertificate, OwnRequest};
use opcell::testing::stack::channel::{
    Caller, CertificateCheck, ClientChannel, ClientSettings, Event, OpenJob, Pace, Peer, Refusal, Seen, ServerChannel,
    ServerSettings,
};
use opcell::testing::stack::codec::Writer;
use opcell::testing::stack::crypto::{
    Identities, Identity, MessageSecurityMode, Policy, decrypt_secret, encrypt_secret,
};
use opcell::testing::stack::transport::{Input, Limits};
use opcell::testing::ua::users::{Origin, Users, hash_password};
use opcell::value::Hidden;

use crate::rows::Table;

const POLICIES: [Policy; 3] = [Policy::Basic256Sha256, Policy::Aes128_Sha256_RsaOaep, Policy::Aes256_Sha256_RsaPss];

/// `TIMING_SAMPLES` sets how many refusals of each class are measured (10,000; passwords a fiftieth of it).
pub fn run(table: &mut Table) {
    let samples = std::env::var("TIMING_SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let [server, victim, other] = ["urn:server", "urn:victim", "urn:other"].map(identity);
    for policy in POLICIES {
        open_requests(table, policy, (&server, &victim, &other), samples);
        secrets(table, policy, &server, samples);
    }
    passwords(table, &server, samples / 50);
}

fn identity(uri: &str) -> Arc<Identity> {
    let dir = tempfile::tempdir().expect("a folder");
    let request = OwnRequest {
        application_uri: uri.to_owned(),
        application_name: uri.to_owned(),
        names: vec!["localhost".to_owned()],
        auto_names: false,
        key_bits: 2_048,
        valid_for: Duration::from_hours(24),
        renew_before: Duration::ZERO,
    };
    OwnCertificate::load_or_make(dir.path(), &request).expect("a certificate").identity
}

/// One kind of wrong input: `prepare` is not measured, what it returns is.
struct Class<'a> {
    name: &'static str,
    prepare: Box<dyn FnMut() -> Box<dyn FnOnce() + 'a> + 'a>,
}

fn compare(table: &mut Table, title: &str, classes: &mut [Class<'_>], samples: usize) {
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(samples); classes.len()];
    let warm_up = samples / 20 + 1;
    for n in 0..(samples + warm_up) * classes.len() {
        let at = fastrand::usize(..classes.len());
        let work = (classes[at].prepare)();
        let began = Instant::now();
        work();
        let took = began.elapsed().as_secs_f64() * 1e9;
        if n >= warm_up * classes.len() {
            times[at].push(took);
        }
    }
    for (class, of_class) in classes.iter().zip(&times).skip(1) {
        let all = welch(&times[0], of_class);
        let fast = welch(&fastest(&times[0]), &fastest(of_class));
        let difference = mean(&fastest(of_class)) - mean(&fastest(&times[0]));
        let verdict = if all.abs().max(fast.abs()) < 4.5 { "no difference found" } else { "DIFFERENT" };
        let figure = format!("t {all:6.2} / {fast:6.2}, {difference:8.0} ns of {:9.0}; {verdict}", mean(&times[0]));
        table.line(&format!("{title}: {} / {}", class.name, classes[0].name), &figure);
    }
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}

fn fastest(times: &[f64]) -> Vec<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.truncate(times.len() * 9 / 10);
    sorted
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    let spread = |times: &[f64]| {
        let middle = mean(times);
        times.iter().map(|time| (time - middle).powi(2)).sum::<f64>() / (times.len() - 1) as f64 / times.len() as f64
    };
    (mean(a) - mean(b)) / (spread(a) + spread(b)).sqrt()
}

struct Everybody;

impl CertificateCheck for Everybody {
    fn check_client(&self, _: &[u8], _: &Caller) -> Result<Seen, Refusal> {
        Ok(Seen::default())
    }
}

/// The bytes of Hello and of an open request.
fn opening(policy: Policy, server: &Identity, client: &Arc<Identity>) -> (Vec<u8>, Vec<u8>) {
    let mut channel = ClientChannel::new(ClientSettings {
        limits: Limits::default(),
        policy,
        mode: MessageSecurityMode::SignAndEncrypt,
        identity: Some(Arc::clone(client)),
        server: Some(Arc::new(Peer::from_chain(policy, server.chain()).expect("it has a key"))),
        lifetime: Duration::from_secs(600),
    });
    let (mut hello, mut open, mut answer) = (Writer::new(), Writer::new(), Writer::new());
    channel.hello("opc.tcp://timing", &mut hello);
    let mut input = Input::default();
    input.room().extend_from_slice(&hello.buf);
    let mut serving = serving(policy, None);
    let now = Instant::now();
    assert!(matches!(serving.receive(now, &mut input, &mut answer), Ok(Some(Event::Hello { .. }))));
    let mut heard = Input::default();
    heard.room().extend_from_slice(&answer.buf);
    assert!(channel.receive(now, &mut heard).is_ok());
    channel.open(&mut open).expect("it opens");
    (hello.buf, open.buf)
}

fn serving(policy: Policy, identity: Option<Arc<Identity>>) -> ServerChannel {
    let identities = Arc::new(identity.map_or_else(Identities::default, Identities::one));
    let settings = ServerSettings {
        limits: Limits::default(),
        identities,
        policies: Arc::new(vec![policy]).into(),
        check: Arc::new(Everybody),
        handshakes: Pace::new(Limits::default().handshakes),
    };
    ServerChannel::new(Arc::new(settings), 1, None, Instant::now())
}

/// The server's job for an open request.
fn job(policy: Policy, server: &Arc<Identity>, hello: &[u8], open: &[u8]) -> OpenJob {
    let mut channel = serving(policy, Some(Arc::clone(server)));
    let (mut input, mut out) = (Input::default(), Writer::new());
    input.room().extend_from_slice(hello);
    input.room().extend_from_slice(open);
    let now = Instant::now();
    assert!(matches!(channel.receive(now, &mut input, &mut out), Ok(Some(Event::Hello { .. }))));
    match channel.receive(now, &mut input, &mut out) {
        Ok(Some(Event::Open(job))) => job,
        _ => panic!("an open request that looks right"),
    }
}

fn open_requests(
    table: &mut Table,
    policy: Policy,
    (server, victim, other): (&Arc<Identity>, &Arc<Identity>, &Arc<Identity>),
    samples: usize,
) {
    let (hello, open) = opening(policy, server, victim);
    let (_, foreign) = opening(policy, server, other);
    let size = server.key().size();
    let head = open.len() - blocks(&open, server) * size;
    let foreign_head = foreign.len() - blocks(&foreign, server) * size;
    let whole = |head: &[u8], tail: &[u8]| {
        let mut chunk = [head, tail].concat();
        let length = u32::try_from(chunk.len()).expect("small").to_le_bytes();
        chunk[4..8].copy_from_slice(&length);
        chunk
    };
    // The right padding all over, signed by somebody else than the header says.
    let wrong_signature = whole(&open[..head], &foreign[foreign_head..]);
    let spoil = |block: usize| {
        let mut chunk = wrong_signature.clone();
        let start = head + block * size;
        chunk[start + size / 2] ^= 1;
        chunk
    };
    let last = blocks(&open, server) - 1;
    let (first_wrong, last_wrong) = (spoil(0), spoil(last));
    let class = |name, chunk: &Vec<u8>| {
        let (chunk, hello, server) = (chunk.clone(), hello.clone(), Arc::clone(server));
        let prepare = move || {
            let job = job(policy, &server, &hello, &chunk);
            let work = move || assert!(black_box(job.run(Instant::now())).is_err());
            Box::new(work) as Box<dyn FnOnce()>
        };
        Class { name, prepare: Box::new(prepare) }
    };
    let mut classes = [
        class("wrong signature", &wrong_signature),
        class("wrong padding, first block", &first_wrong),
        class("wrong padding, last block", &last_wrong),
    ];
    compare(table, &format!("OPN {}", policy.name()), &mut classes, samples);
}

/// Encrypted blocks of an open request: what its header leaves.
fn blocks(open: &[u8], server: &Identity) -> usize {
    let length = |at: usize| u32::from_le_bytes(open[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut at = 12;
    for _ in 0..3 {
        at += 4 + length(at);
    }
    (open.len() - at) / server.key().size()
}

const NONCE: [u8; 32] = [9; 32];

/// Encrypted passwords that are refused, by what is wrong with them.
fn wrong_secrets(policy: Policy, server: &Identity) -> [(&'static str, Vec<u8>); 3] {
    let key = Peer::from_chain(policy, server.chain()).expect("it has a key").key;
    let other_nonce = encrypt_secret(&key, policy, b"correct horse", &[8; 32]).expect("it encrypts");
    let beyond = key.encrypt(policy, &[0xff; 60]).expect("it encrypts");
    let mut padding = other_nonce.clone();
    padding[100] ^= 1;
    [("wrong nonce", other_nonce), ("wrong padding", padding), ("wrong length", beyond)]
}

fn secrets(table: &mut Table, policy: Policy, server: &Arc<Identity>, samples: usize) {
    let mut classes = wrong_secrets(policy, server).map(|(name, secret)| {
        let prepare = move || {
            let (secret, server) = (secret.clone(), Arc::clone(server));
            let work = move || assert!(black_box(decrypt_secret(server.key(), policy, &secret, &NONCE)).is_err());
            Box::new(work) as Box<dyn FnOnce()>
        };
        Class { name, prepare: Box::new(prepare) }
    });
    compare(table, &format!("secret {}", policy.name()), &mut classes, samples);
}

/// The whole check of a user token, Argon2 included, as the server runs it.
fn passwords(table: &mut Table, server: &Arc<Identity>, samples: usize) {
    let policy = Policy::Basic256Sha256;
    let key = Peer::from_chain(policy, server.chain()).expect("it has a key").key;
    let hash = hash_password(b"correct horse").expect("a hash");
    let user = User { password_hash: Some(Hidden(hash)), certificate: None, roles: Roles::NONE };
    let accounts = Accounts { users: BTreeMap::from([("opal".to_owned(), user)]), ..Accounts::default() };
    let users = Arc::new(Users::new(accounts, Box::new(|_| Vec::new())));
    let wrong = encrypt_secret(&key, policy, b"incorrect hors", &NONCE).expect("it encrypts");
    let [(_, other_nonce), (_, padding), (_, length)] = wrong_secrets(policy, server);
    let class = |name: &'static str, user: &'static str, secret: &Vec<u8>| {
        let (secret, users, server) = (secret.clone(), Arc::clone(&users), Arc::clone(server));
        let prepare = move || {
            let (secret, users, server) = (secret.clone(), Arc::clone(&users), Arc::clone(&server));
            // Each from an address of its own: waiting is not what is measured.
            let origin = Origin::address(IpAddr::from(fastrand::u32(..).to_be_bytes()));
            let work = move || {
                let password = decrypt_secret(server.key(), policy, &secret, &NONCE).ok();
                assert!(black_box(users.check_password(user, password.as_deref(), origin)).outcome.is_err());
            };
            Box::new(work) as Box<dyn FnOnce()>
        };
        Class { name, prepare: Box::new(prepare) }
    };
    let mut classes = [
        class("wrong password", "opal", &wrong),
        class("unknown user", "nobody", &wrong),
        class("wrong padding", "opal", &padding),
        class("wrong nonce", "opal", &other_nonce),
        class("wrong length", "opal", &length),
    ];
    compare(table, "user token", &mut classes, samples);
}
