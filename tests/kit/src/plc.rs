//! An S7 PLC inside the test, which can lie: what it says to each request, and with which faults.
//!
//! Each byte of a block is made of its number and its own address, so that a value from the wrong place is recognised. The
//! first four bytes of DB 9 count the requests that read them, so that an old reply is recognised.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Number of an area in a request, and of its DB.
type Block = (u8, u16);

const DB: u8 = 0x84;
/// The DB whose first four bytes count.
pub const COUNTING: u16 = 9;

pub struct Plc {
    pub memory: Mutex<HashMap<Block, Vec<u8>>>,
    /// Longest PDU that it gives.
    pub pdu: Mutex<u16>,
    /// Blocks that answer each item with this code.
    pub codes: Mutex<HashMap<Block, u8>>,
    /// Bytes of peripheral inputs that have no module: a read of one of them is refused.
    pub holes: Mutex<Vec<u32>>,
    /// Each request is refused as a whole by this error.
    pub error: Mutex<Option<u16>>,
    /// The connection ends at the first read.
    pub hangs_up: AtomicBool,
    /// The connection is refused.
    pub refuses: AtomicBool,
    pub mute: AtomicBool,
    /// A PDU comes in packets of this many bytes.
    pub packet: Mutex<usize>,
    pub requests: AtomicU64,
    pub connections: AtomicU64,
    /// The function and the items of the requests that came, the last ones.
    pub asked: Mutex<Vec<Vec<Item>>>,
    counter: AtomicU32,
}

/// An item of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub size: u8,
    pub count: u16,
    pub db: u16,
    pub area: u8,
    /// Bit address, or number of a timer or counter.
    pub address: u32,
}

/// The byte at this address of a DB.
pub fn mark(db: u16, at: u32) -> u8 {
    let mixed = (at ^ u32::from(db) << 16).wrapping_mul(0x9e37_79b1);
    mixed.to_be_bytes()[0]
}

/// Four bytes from this address on, as a number.
pub fn marked(db: u16, at: u32) -> u32 {
    u32::from_be_bytes([mark(db, at), mark(db, at + 1), mark(db, at + 2), mark(db, at + 3)])
}

impl Plc {
    /// DB 1, 9 and 10 of 8,000 bytes, and 256 bytes of the other areas.
    pub fn new() -> Arc<Plc> {
        let block = |db: u16| ((DB, db), (0..8_000).map(|at| mark(db, at)).collect::<Vec<u8>>());
        let area = |area: u8| ((area, 0), vec![0; 256]);
        let mut memory: HashMap<Block, Vec<u8>> = [1, COUNTING, 10].into_iter().map(block).collect();
        memory.extend([0x80, 0x81, 0x82, 0x83, 0x1c, 0x1d].map(area));
        Arc::new(Plc {
            memory: Mutex::new(memory),
            pdu: Mutex::new(480),
            codes: Mutex::default(),
            holes: Mutex::default(),
            error: Mutex::default(),
            hangs_up: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            packet: Mutex::new(usize::MAX),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            asked: Mutex::default(),
            counter: AtomicU32::new(0),
        })
    }

    pub fn set(&self, db: u16, at: usize, bytes: &[u8]) {
        let mut memory = self.memory.lock().expect("lock");
        memory.get_mut(&(DB, db)).expect("a DB")[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn bytes(&self, db: u16, at: usize, count: usize) -> Vec<u8> {
        self.memory.lock().expect("lock")[&(DB, db)][at..at + count].to_vec()
    }

    /// The items of the requests since the last call.
    pub fn take_asked(&self) -> Vec<Vec<Item>> {
        std::mem::take(&mut *self.asked.lock().expect("lock"))
    }

    /// Serves on a port until the guard is dropped.
    pub async fn listen(self: &Arc<Plc>, faults: Faults) -> Listening {
        self.listen_on(0, faults).await
    }

    pub async fn listen_on(self: &Arc<Plc>, port: u16, faults: Faults) -> Listening {
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
        let (mut bytes, mut chunk, mut before) = (Vec::new(), [0; 2_048], Vec::new());
        loop {
            while let Some(length) = bytes.get(2..4).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]]))) {
                if length > bytes.len() {
                    break;
                }
                let packet: Vec<u8> = bytes.drain(..length).collect();
                let Some(reply) = self.reply(&packet) else { return };
                if reply.is_empty() {
                    continue;
                }
                let is_faulted = dice.u32(0..1_000) < faults.per_mille && reply[5] == 0xf0;
                let sent = match is_faulted {
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

    /// The packets of a reply; none when it is silent, `None` when it ends the connection.
    fn reply(&self, packet: &[u8]) -> Option<Vec<u8>> {
        if packet[5] == 0xe0 {
            if self.refuses.load(Ordering::Relaxed) {
                return Some(vec![3, 0, 0, 11, 6, 0x80, 0, 1, 0, 2, 0]);
            }
            return Some(vec![3, 0, 0, 14, 9, 0xd0, 0, 1, 0, 2, 0, 0xc0, 1, 10]);
        }
        let pdu = &packet[7..];
        if pdu[10] == 0xf0 {
            let given = (*self.pdu.lock().expect("lock")).to_be_bytes();
            let answer = [&[0x32, 3, 0, 0, pdu[4], pdu[5], 0, 8, 0, 0, 0, 0, 0xf0, 0, 0, 1, 0, 1], &given[..]].concat();
            return Some(packets(&answer, usize::MAX));
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.hangs_up.load(Ordering::Relaxed) {
            return None;
        }
        if self.mute.load(Ordering::Relaxed) {
            return Some(Vec::new());
        }
        if let Some(error) = *self.error.lock().expect("lock") {
            let [class, code] = error.to_be_bytes();
            return Some(packets(&[0x32, 2, 0, 0, pdu[4], pdu[5], 0, 0, 0, 0, class, code], usize::MAX));
        }
        let items = items_of(pdu);
        let mut asked = self.asked.lock().expect("lock");
        if asked.len() < 10_000 {
            asked.push(items.clone());
        }
        drop(asked);
        let data = match pdu[10] {
            4 => self.read(&items),
            _ => self.write(&items, &pdu[12 + items.len() * 12..]),
        };
        let length = u16::try_from(data.len()).expect("short").to_be_bytes();
        let count = u8::try_from(items.len()).expect("few");
        let head = [0x32, 3, 0, 0, pdu[4], pdu[5], 0, 2, length[0], length[1], 0, 0, pdu[10], count];
        let answer = [&head[..], &data].concat();
        assert!(answer.len() <= usize::from(*self.pdu.lock().expect("lock")), "the reply fits the PDU");
        Some(packets(&answer, *self.packet.lock().expect("lock")))
    }

    fn read(&self, items: &[Item]) -> Vec<u8> {
        let mut data = Vec::new();
        for item in items {
            if data.len() % 2 == 1 {
                data.push(0);
            }
            match self.item(item) {
                Ok(bytes) => {
                    let is_element = matches!(item.area, 0x1c | 0x1d);
                    let length = u16::try_from(bytes.len()).expect("short") * if is_element { 1 } else { 8 };
                    data.extend([0xff, if is_element { 9 } else { 4 }]);
                    data.extend(length.to_be_bytes());
                    data.extend(bytes);
                }
                Err(code) => data.extend([code, 0, 0, 0]),
            }
        }
        data
    }

    fn item(&self, item: &Item) -> Result<Vec<u8>, u8> {
        let block = (item.area, item.db);
        if let Some(code) = self.codes.lock().expect("lock").get(&block) {
            return Err(*code);
        }
        let is_element = matches!(item.area, 0x1c | 0x1d);
        let (first, count) = match is_element {
            true => (item.address as usize * 2, usize::from(item.count) * 2),
            false => (item.address as usize / 8, usize::from(item.count)),
        };
        let holes = self.holes.lock().expect("lock");
        if item.area == 0x80 && holes.iter().any(|hole| (first..first + count).contains(&(*hole as usize))) {
            return Err(1);
        }
        let mut memory = self.memory.lock().expect("lock");
        let bytes = memory.get_mut(&block).ok_or(0x0a_u8)?;
        if block == (DB, COUNTING) && first < 4 {
            let next = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
            bytes[..4].copy_from_slice(&next.to_be_bytes());
        }
        bytes.get(first..first + count).map(<[u8]>::to_vec).ok_or(5)
    }

    fn write(&self, items: &[Item], mut data: &[u8]) -> Vec<u8> {
        let mut codes = Vec::new();
        for item in items {
            let bits = usize::from(u16::from_be_bytes([data[2], data[3]]));
            let length = bits.div_ceil(8);
            let value = &data[4..4 + length];
            codes.push(self.put(item, value));
            data = data.get(4 + length.next_multiple_of(2)..).unwrap_or(&[]);
        }
        codes
    }

    fn put(&self, item: &Item, value: &[u8]) -> u8 {
        let block = (item.area, item.db);
        if let Some(code) = self.codes.lock().expect("lock").get(&block) {
            return *code;
        }
        let mut memory = self.memory.lock().expect("lock");
        let Some(bytes) = memory.get_mut(&block) else { return 0x0a };
        let first = item.address as usize / 8;
        let Some(place) = bytes.get_mut(first..first + value.len()) else { return 5 };
        match item.size {
            1 => {
                let mask = 1 << (item.address % 8);
                place[0] = if value[0] == 1 { place[0] | mask } else { place[0] & !mask };
            }
            _ => place.copy_from_slice(value),
        }
        0xff
    }
}

fn items_of(pdu: &[u8]) -> Vec<Item> {
    let item = |bytes: &[u8]| Item {
        size: bytes[3],
        count: u16::from_be_bytes([bytes[4], bytes[5]]),
        db: u16::from_be_bytes([bytes[6], bytes[7]]),
        area: bytes[8],
        address: u32::from_be_bytes([0, bytes[9], bytes[10], bytes[11]]),
    };
    pdu[12..].chunks_exact(12).take(usize::from(pdu[11])).map(item).collect()
}

/// A PDU in packets of data of at most `most` bytes.
fn packets(pdu: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = pdu;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(most));
        let [high, low] = u16::try_from(now.len() + 7).expect("short").to_be_bytes();
        out.extend([3, 0, high, low, 2, 0xf0, if later.is_empty() { 0x80 } else { 0 }]);
        out.extend(now);
        rest = later;
    }
    out
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

/// Faults of replies, and how often (in a thousand).
#[derive(Clone)]
pub struct Faults {
    pub seed: Arc<AtomicU64>,
    pub per_mille: u32,
    pub timeout: Duration,
}

impl Faults {
    pub fn none() -> Faults {
        Faults { seed: Arc::default(), per_mille: 0, timeout: Duration::ZERO }
    }

    pub fn some(seed: u64, per_mille: u32, timeout: Duration) -> Faults {
        Faults { seed: Arc::new(AtomicU64::new(seed)), per_mille, timeout }
    }
}

/// One of delay, halves, silence, end, garbage before, the reply before again, twice, later than the time-out, another
/// reference, fewer bytes than asked, cut off, another number of items, a push that was not asked for.
async fn fault(
    stream: &mut TcpStream,
    mut reply: Vec<u8>,
    before: &[u8],
    faults: &Faults,
    dice: &mut fastrand::Rng,
) -> bool {
    match dice.u32(0..13) {
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
        8 => reply[11] = reply[11].wrapping_add(dice.u8(1..)),
        9 => {
            // Less data, with lengths of packet and PDU that fit.
            let less = 2.min(reply.len() - 21);
            reply.truncate(reply.len() - less);
            let [high, low] = u16::try_from(reply.len()).expect("short").to_be_bytes();
            (reply[2], reply[3]) = (high, low);
            let [high, low] = u16::try_from(reply.len() - 21).expect("short").to_be_bytes();
            (reply[15], reply[16]) = (high, low);
        }
        10 => reply.truncate(dice.usize(1..reply.len())),
        11 => reply[20] = reply[20].wrapping_add(1),
        _ => {
            let push = [3, 0, 0, 19, 2, 0xf0, 0x80, 0x32, 7, 0, 0, reply[11], reply[12], 0, 0, 0, 0, 1, 2];
            reply.splice(0..0, push);
        }
    }
    stream.write_all(&reply).await.is_ok()
}
