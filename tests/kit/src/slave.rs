//! A Modbus slave inside the test, and a proxy of faults in front of it.
//!
//! Each register holds a value made of its own address, so that a value from the wrong place is recognised.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opcell::testing::drivers::modbus::{Framing, crc, lrc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;

/// A slave: its registers, its faults, and the requests that it got.
pub struct Slave {
    pub words: Mutex<Vec<u16>>,
    pub bits: Mutex<Vec<bool>>,
    /// Units that stay silent.
    pub silent_units: Mutex<HashSet<u8>>,
    /// Units for which a gateway answers exception 11.
    pub unreachable_units: Mutex<HashSet<u8>>,
    /// Registers that don't exist.
    pub missing: Mutex<HashSet<u16>>,
    /// Functions that are answered by exception 1.
    pub lacks: Mutex<HashSet<u8>>,
    /// Functions that are answered by this exception, or by silence.
    pub refuses: Mutex<HashMap<u8, Option<u8>>>,
    /// More registers than this are answered by exception 3.
    pub longest: Mutex<u16>,
    /// Every request is answered by this exception.
    pub exception: Mutex<Option<u8>>,
    pub asked: Mutex<Vec<(u8, u8)>>,
    pub requests: AtomicU64,
    /// Connections that were accepted.
    pub connections: AtomicU64,
    pub mute: AtomicBool,
    /// Sees each request before it is answered, may change the registers, and says what becomes of it.
    pub script: Mutex<Option<Script>>,
}

pub type Script = Box<dyn FnMut(&[u8], &mut Vec<u16>) -> Does + Send>;

/// The fate of a request.
pub enum Does {
    Answer,
    Nothing,
    Exception(u8),
}

/// The register's own address and a sum over it.
pub fn mark(address: u16) -> u16 {
    let crc = crc(&(address / 2).to_be_bytes());
    if address.is_multiple_of(2) { address / 2 } else { crc }
}

/// The value of two registers from an even address on.
pub fn marked(address: u16) -> u32 {
    u32::from(mark(address)) << 16 | u32::from(mark(address + 1))
}

impl Slave {
    pub fn new() -> Arc<Slave> {
        Arc::new(Slave {
            words: Mutex::new((0..=u16::MAX).map(mark).collect()),
            bits: Mutex::new(vec![false; 65_536]),
            silent_units: Mutex::default(),
            unreachable_units: Mutex::default(),
            missing: Mutex::default(),
            lacks: Mutex::default(),
            refuses: Mutex::default(),
            longest: Mutex::new(125),
            exception: Mutex::new(None),
            asked: Mutex::default(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            mute: AtomicBool::new(false),
            script: Mutex::default(),
        })
    }

    pub fn answer(&self, unit: u8, pdu: &[u8]) -> Option<Vec<u8>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.mute.load(Ordering::Relaxed) || self.silent_units.lock().expect("lock").contains(&unit) {
            return None;
        }
        if let Some(script) = &mut *self.script.lock().expect("lock") {
            match script(pdu, &mut self.words.lock().expect("lock")) {
                Does::Answer => {}
                Does::Nothing => return None,
                Does::Exception(code) => return Some(vec![pdu[0] | 0x80, code]),
            }
        }
        if let Ok(mut asked) = self.asked.lock()
            && asked.len() < 10_000
        {
            asked.push((unit, pdu[0]));
        }
        let of_function = self.refuses.lock().expect("lock").get(&pdu[0]).copied();
        if of_function == Some(None) {
            return None;
        }
        let refused =
            match (self.unreachable_units.lock().expect("lock").contains(&unit), *self.exception.lock().expect("lock"))
            {
                (true, _) => Some(11),
                (_, Some(code)) => Some(code),
                _ if of_function.is_some() => of_function.flatten(),
                _ if self.lacks.lock().expect("lock").contains(&pdu[0]) => Some(1),
                _ => None,
            };
        Some(match refused.map_or_else(|| self.reply(pdu), Err) {
            Ok(reply) => reply,
            Err(code) => vec![pdu[0] | 0x80, code],
        })
    }

    fn reply(&self, pdu: &[u8]) -> Result<Vec<u8>, u8> {
        let word = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
        let (start, second) = (usize::from(word(1)), word(3));
        let mut words = self.words.lock().expect("lock");
        let mut bits = self.bits.lock().expect("lock");
        let mut reply = vec![pdu[0]];
        match pdu[0] {
            1 | 2 => {
                let chosen = bits.get(start..start + usize::from(second)).ok_or(2_u8)?;
                reply.push(u8::try_from(chosen.len().div_ceil(8)).map_err(|_| 3_u8)?);
                for eight in chosen.chunks(8) {
                    reply.push(eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
                }
            }
            3 | 4 => {
                if second > *self.longest.lock().expect("lock") {
                    return Err(3);
                }
                let missing = self.missing.lock().expect("lock");
                if (start..start + usize::from(second)).any(|at| at > 65_535 || missing.contains(&(at as u16))) {
                    return Err(2);
                }
                reply.push(u8::try_from(second * 2).map_err(|_| 3_u8)?);
                reply.extend(words[start..start + usize::from(second)].iter().flat_map(|word| word.to_be_bytes()));
            }
            5 => {
                bits[start] = second == 0xff00;
                reply.extend(&pdu[1..5]);
            }
            6 => {
                words[start] = second;
                reply.extend(&pdu[1..5]);
            }
            15 => {
                for at in 0..usize::from(second) {
                    bits[start + at] = pdu[6 + at / 8] >> (at % 8) & 1 == 1;
                }
                reply.extend(&pdu[1..5]);
            }
            16 => {
                for at in 0..usize::from(second) {
                    words[start + at] = word(6 + at * 2);
                }
                reply.extend(&pdu[1..5]);
            }
            22 => {
                let (and, or) = (second, word(5));
                words[start] = words[start] & and | or & !and;
                reply.extend(&pdu[1..7]);
            }
            _ => return Err(1),
        }
        Ok(reply)
    }

    /// Answers requests until the stream ends.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, framing: Framing) {
        let mut bytes = Vec::new();
        let mut chunk = [0; 512];
        loop {
            while let Some((unit, pdu, frame_head, used)) = request(framing, &bytes) {
                if let Some(reply) = self.answer(unit, &pdu) {
                    let frame = wrap(framing, &frame_head, unit, &reply);
                    if stream.write_all(&frame).await.is_err() {
                        return;
                    }
                }
                bytes.drain(..used);
            }
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// Serves every connection on a port of its own until the guard is dropped.
    pub async fn listen(self: &Arc<Slave>, framing: Framing, faults: Faults) -> Listening {
        self.listen_on(0, framing, faults).await
    }

    pub async fn listen_on(self: &Arc<Slave>, port: u16, framing: Framing, faults: Faults) -> Listening {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let slave = Arc::clone(self);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                slave.connections.fetch_add(1, Ordering::Relaxed);
                let slave = Arc::clone(&slave);
                let faults = faults.clone();
                connections.spawn(async move { behind(stream, slave, framing, faults).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Listening { port, task }
    }
}

pub struct Listening {
    pub port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The slave behind a proxy of faults, on any stream.
pub async fn behind<S>(stream: S, slave: Arc<Slave>, framing: Framing, faults: Faults)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (inner, outer) = tokio::io::duplex(4_096);
    tokio::join!(slave.serve(inner, framing), proxy(stream, outer, framing, faults));
}

/// The faults that the proxy adds to replies, and how often (in a thousand).
#[derive(Clone)]
pub struct Faults {
    pub seed: Arc<AtomicU64>,
    pub per_mille: u32,
    pub timeout: Duration,
    /// A socket may be reset; a serial line cannot.
    pub resets: bool,
}

impl Faults {
    pub fn none() -> Faults {
        Faults { seed: Arc::default(), per_mille: 0, timeout: Duration::ZERO, resets: false }
    }

    pub fn some(seed: u64, per_mille: u32, timeout: Duration) -> Faults {
        Faults { seed: Arc::new(AtomicU64::new(seed)), per_mille, timeout, resets: true }
    }
}

/// Passes requests on and replies back, some of them spoilt. Returns when one side ends or a fault resets.
async fn proxy<S>(mut client: S, mut slave: DuplexStream, framing: Framing, faults: Faults)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut dice = fastrand::Rng::with_seed(faults.seed.fetch_add(1, Ordering::Relaxed));
    let (mut up, mut down) = ([0; 512], [0; 1_024]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => if slave.write_all(&up[..count]).await.is_err() { return },
            },
            read = slave.read(&mut down) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let spoil = dice.u32(0..1_000) < faults.per_mille;
                    let reply = down[..count].to_vec();
                    let passed = match spoil {
                        false => client.write_all(&reply).await.is_ok(),
                        true => fault(&mut client, reply, framing, &faults, &mut dice).await,
                    };
                    if !passed {
                        return;
                    }
                }
            },
        }
    }
}

/// One of delay, split, drop, reset, garbage, flipped bit, late reply, wrong unit, wrong length, cut off, doubled
/// header.
async fn fault<S>(
    client: &mut S,
    mut reply: Vec<u8>,
    framing: Framing,
    faults: &Faults,
    dice: &mut fastrand::Rng,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match dice.u32(0..10) {
        0 => tokio::time::sleep(faults.timeout / 3).await,
        1 => {
            let middle = dice.usize(1..reply.len());
            if client.write_all(&reply[..middle]).await.is_err() {
                return false;
            }
            tokio::time::sleep(faults.timeout / 4).await;
            reply.drain(..middle);
        }
        2 => return true,
        3 => return !faults.resets,
        4 => {
            let garbage: Vec<u8> = (0..dice.usize(1..40)).map(|_| dice.u8(..)).collect();
            reply.splice(0..0, garbage);
        }
        5 => {
            let at = dice.usize(0..reply.len());
            reply[at] ^= 1 << dice.u32(0..8);
            // The transaction alone protects Modbus TCP's data: a bit flipped there is TCP's to find.
            if framing == Framing::Tcp && at > 8 {
                reply.truncate(at);
            }
        }
        6 => tokio::time::sleep(faults.timeout + faults.timeout * dice.u32(10..80) / 100).await,
        7 => rewrap(&mut reply, framing, |unit, _| *unit = unit.wrapping_add(1)),
        8 => rewrap(&mut reply, framing, |_, pdu| {
            let longer = dice.bool();
            if longer {
                pdu.extend([1, 2])
            } else {
                pdu.truncate(pdu.len().saturating_sub(2).max(1))
            }
            let length = pdu.len().saturating_sub(2);
            if let (true, Some(count)) = (dice.bool(), pdu.get_mut(1)) {
                *count = u8::try_from(length).unwrap_or(255);
            }
        }),
        _ => reply.truncate(dice.usize(1..reply.len())),
    }
    client.write_all(&reply).await.is_ok()
}

/// Takes a reply apart, changes it and puts it together with right sums.
fn rewrap(reply: &mut Vec<u8>, framing: Framing, change: impl FnOnce(&mut u8, &mut Vec<u8>)) {
    let (head, mut unit, mut pdu) = match framing {
        Framing::Tcp => (reply[..2].to_vec(), reply[6], reply[7..].to_vec()),
        Framing::Rtu => (vec![], reply[0], reply[1..reply.len() - 2].to_vec()),
        Framing::Ascii => {
            let body = from_hex(&reply[1..reply.len() - 2]);
            (vec![], body[0], body[1..body.len() - 1].to_vec())
        }
    };
    change(&mut unit, &mut pdu);
    *reply = wrap(framing, &head, unit, &pdu);
}

fn from_hex(text: &[u8]) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).unwrap_or(0) as u8;
    text.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

pub fn wrap(framing: Framing, head: &[u8], unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut body = vec![unit];
    body.extend(pdu);
    match framing {
        Framing::Tcp => {
            let mut frame = head.to_vec();
            frame.extend([0, 0]);
            frame.extend((body.len() as u16).to_be_bytes());
            frame.extend(body);
            frame
        }
        Framing::Rtu => {
            body.extend(crc(&body).to_le_bytes());
            body
        }
        Framing::Ascii => {
            body.push(lrc(&body));
            let mut text = b":".to_vec();
            text.extend(body.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()));
            text.extend(b"\r\n");
            text
        }
    }
}

/// A whole request: unit, PDU, transaction and the bytes it took.
pub fn request(framing: Framing, bytes: &[u8]) -> Option<(u8, Vec<u8>, Vec<u8>, usize)> {
    match framing {
        Framing::Tcp => {
            let length = usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]));
            let body = bytes.get(6..6 + length)?;
            Some((body[0], body[1..].to_vec(), bytes[..2].to_vec(), 6 + length))
        }
        Framing::Rtu => {
            let length = match bytes.get(1)? {
                15 | 16 => 7 + usize::from(*bytes.get(6)?),
                22 => 8,
                _ => 6,
            };
            let frame = bytes.get(..length + 2)?;
            Some((frame[0], frame[1..length].to_vec(), vec![], length + 2))
        }
        Framing::Ascii => {
            let end = bytes.iter().position(|byte| *byte == b'\n')?;
            let body = from_hex(bytes.get(1..end - 1)?);
            Some((body[0], body[1..body.len() - 1].to_vec(), vec![], end + 1))
        }
    }
}
