//! The sockets of a Logix PLC inside the test: sessions, connections of CIP, and faults of replies.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::logix::Logix;
use crate::plc::Faults;

pub struct Listening {
    pub port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection of CIP: the client's number and the size of its messages.
#[derive(Default)]
struct Connection {
    client: u32,
    size: usize,
}

const SESSION: u32 = 0x1122_3344;
const OWN: u32 = 0x0a0b_0c0d;

impl Logix {
    /// Serves on a port until the guard is dropped.
    pub async fn listen(self: &Arc<Logix>, faults: Faults) -> Listening {
        self.listen_on(0, faults).await
    }

    pub async fn listen_on(self: &Arc<Logix>, port: u16, faults: Faults) -> Listening {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plc = Arc::clone(self);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                plc.connections.fetch_add(1, Ordering::Relaxed);
                let (plc, faults) = (Arc::clone(&plc), faults.clone());
                connections.spawn(async move { plc.serve(stream, faults).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Listening { port, task }
    }

    async fn serve(&self, mut stream: TcpStream, faults: Faults) {
        let mut dice = fastrand::Rng::with_seed(faults.seed.fetch_add(1, Ordering::Relaxed));
        let (mut bytes, mut chunk, mut before) = (Vec::new(), [0; 4_096], Vec::new());
        let mut connection = Connection::default();
        loop {
            while bytes.len() >= 24 {
                let length = 24 + usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
                if bytes.len() < length {
                    break;
                }
                let frame: Vec<u8> = bytes.drain(..length).collect();
                let Some(reply) = self.frame(&frame, &mut connection) else { return };
                if reply.is_empty() {
                    continue;
                }
                let is_data = matches!(reply[0], 0x6f | 0x70);
                let sent = match is_data && dice.u32(0..1_000) < faults.per_mille {
                    false => stream.write_all(&reply).await.is_ok(),
                    true => fault(&mut stream, reply.clone(), &before, &faults, &mut dice).await,
                };
                if !sent {
                    return;
                }
                before = reply;
            }
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// The reply to a frame; empty for none, `None` when it ends the connection.
    fn frame(&self, frame: &[u8], connection: &mut Connection) -> Option<Vec<u8>> {
        let message = match frame[0] {
            0x65 => return Some(framed(frame, SESSION, &[1, 0, 0, 0])),
            0x6f => &frame[40..],
            0x70 => &frame[46..],
            _ => return None,
        };
        assert_eq!(frame[4..8], SESSION.to_le_bytes(), "its own session");
        let is_of_manager = message[2..6] == [0x20, 6, 0x24, 1];
        if frame[0] == 0x6f && is_of_manager && matches!(message[0], 0x54 | 0x5b | 0x4e) {
            if self.ignores_open.load(Ordering::Relaxed) {
                return Some(Vec::new());
            }
            let reply = self.open(message, connection);
            return Some(framed(frame, SESSION, &unconnected(&reply)));
        }
        if self.has_no_cpu.load(Ordering::Relaxed) {
            return Some(framed(frame, SESSION, &unconnected(&[0xd2, 0, 1, 1, 0x12, 3, 1])));
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.mute.load(Ordering::Relaxed) {
            return Some(Vec::new());
        }
        let is_sent_on = frame[0] == 0x6f && is_of_manager && message[0] == 0x52;
        let request = match is_sent_on {
            true => &message[10..10 + usize::from(u16::from_le_bytes([message[8], message[9]]))],
            false => message,
        };
        let most = if frame[0] == 0x70 { connection.size - 2 } else { 500 };
        assert!(message.len() <= most, "{} bytes in a message of {most}", message.len());
        let mut asked = self.asked.lock().expect("lock");
        if asked.len() < 10_000 {
            asked.push(request.to_vec());
        }
        drop(asked);
        let reply = self.answer(request, most);
        assert!(reply.len() <= most, "a reply of {} bytes in {most}", reply.len());
        Some(match frame[0] {
            0x6f => framed(frame, SESSION, &unconnected(&reply)),
            _ => framed(frame, SESSION, &connected(connection.client, &frame[44..46], &reply)),
        })
    }

    fn open(&self, message: &[u8], connection: &mut Connection) -> Vec<u8> {
        if self.has_no_cpu.load(Ordering::Relaxed) {
            return vec![message[0] | 0x80, 0, 1, 1, 0x12, 3];
        }
        if message[0] == 0x4e {
            return vec![0xce, 0, 0, 0];
        }
        let is_large = message[0] == 0x5b;
        let at = 34;
        let size = match is_large {
            true => usize::from(u16::from_le_bytes([message[at - 2], message[at - 1]])),
            false => usize::from(u16::from_le_bytes([message[at - 2], message[at - 1]]) & 511),
        };
        let most = usize::from(*self.largest.lock().expect("lock"));
        if size > most {
            return vec![message[0] | 0x80, 0, if is_large { 8 } else { 1 }, 0];
        }
        let own = &message[12..16];
        *connection = Connection { client: u32::from_le_bytes([own[0], own[1], own[2], own[3]]), size };
        let head = [message[0] | 0x80, 0, 0, 0];
        [&head[..], &OWN.to_le_bytes(), own, &message[16..24], &[0; 10]].concat()
    }
}

fn framed(request: &[u8], session: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_le_bytes();
    [&request[..2], &length, &session.to_le_bytes(), &[0; 4], &request[12..24], payload].concat()
}

fn unconnected(reply: &[u8]) -> Vec<u8> {
    let length = u16::try_from(reply.len()).expect("short").to_le_bytes();
    [&[0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0xb2, 0], &length[..], reply].concat()
}

fn connected(client: u32, sequence: &[u8], reply: &[u8]) -> Vec<u8> {
    let length = u16::try_from(reply.len() + 2).expect("short").to_le_bytes();
    let head = [&[0, 0, 0, 0, 0, 0, 2, 0, 0xa1, 0, 4, 0][..], &client.to_le_bytes(), &[0xb1, 0], &length].concat();
    [&head[..], sequence, reply].concat()
}

/// Sets the lengths of a frame whose last item has changed its length.
fn fix_lengths(reply: &mut [u8]) {
    let at = if reply[0] == 0x6f { 38 } else { 42 };
    let whole = u16::try_from(reply.len() - 24).expect("short").to_le_bytes();
    let item = u16::try_from(reply.len() - at - 2).expect("short").to_le_bytes();
    reply[2..4].copy_from_slice(&whole);
    reply[at..at + 2].copy_from_slice(&item);
}

/// One of delay, halves, silence, end, garbage before, the reply before again, twice, later than the time-out, another request's
/// number, fewer bytes, cut off, another session, a frame that was not asked for, another service, another number of replies,
/// another connection.
async fn fault(
    stream: &mut TcpStream,
    mut reply: Vec<u8>,
    before: &[u8],
    faults: &Faults,
    dice: &mut fastrand::Rng,
) -> bool {
    let is_connected = reply[0] == 0x70;
    let start = if is_connected { 46 } else { 40 };
    match dice.u32(0..16) {
        0 => tokio::time::sleep(faults.timeout / 3).await,
        1 => {
            let middle = dice.usize(1..reply.len());
            if stream.write_all(&reply[..middle]).await.is_err() {
                return false;
            }
            tokio::time::sleep(faults.timeout * dice.u32(1..12) / 10).await;
            reply.drain(..middle);
        }
        2 => return true,
        3 => return false,
        4 => {
            let garbage: Vec<u8> = (0..dice.usize(1..40)).map(|_| dice.u8(..)).collect();
            reply.splice(0..0, garbage);
        }
        5 => reply = before.to_vec(),
        6 => reply.extend(reply.clone()),
        7 => tokio::time::sleep(faults.timeout * dice.u32(11..18) / 10).await,
        8 => {
            let at = if is_connected { 44 } else { 12 };
            reply[at] = reply[at].wrapping_add(dice.u8(1..));
        }
        9 => {
            let less = dice.usize(1..3).min(reply.len() - start - 4);
            reply.truncate(reply.len() - less);
            fix_lengths(&mut reply);
        }
        10 => reply.truncate(dice.usize(1..reply.len())),
        11 => reply[4] = reply[4].wrapping_add(1),
        12 => {
            let mut other = reply.clone();
            let at = if is_connected { 44 } else { 13 };
            other[at] = other[at].wrapping_add(7);
            reply.splice(0..0, other);
        }
        13 => reply[start] ^= 1,
        14 => {
            if reply[start] == 0x8a {
                reply[start + 4] = reply[start + 4].wrapping_add(1);
            }
        }
        _ => {
            if is_connected {
                reply[36] = reply[36].wrapping_add(1);
            }
        }
    }
    stream.write_all(&reply).await.is_ok()
}
