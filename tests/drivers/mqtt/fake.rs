//! A broker that does wrong on purpose.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The answer to a packet, by its first byte and its body.
pub(crate) type Answers = dyn Fn(u8, &[u8]) -> Vec<u8> + Send + Sync;

/// Takes any number of connections; sends to the newest.
pub(crate) struct Fake {
    pub port: u16,
    newest: Arc<Mutex<Option<TcpStream>>>,
    subscribed: Arc<AtomicUsize>,
}

/// The right answer to each packet.
pub(crate) fn right(first: u8, body: &[u8]) -> Vec<u8> {
    match first >> 4 {
        1 => vec![0x20, 2, 0, 0],
        3 if first & 6 == 2 => {
            let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
            vec![0x40, 2, body[at], body[at + 1]]
        }
        8 => {
            let count = filters(body).len();
            let mut out = vec![0x90, u8::try_from(count + 2).expect("few"), body[0], body[1]];
            out.extend(vec![1; count]);
            out
        }
        10 => vec![0xb0, 2, body[0], body[1]],
        12 => vec![0xd0, 0],
        _ => Vec::new(),
    }
}

/// The filters of a SUBSCRIBE.
pub(crate) fn filters(body: &[u8]) -> Vec<String> {
    let (mut at, mut found) = (2, Vec::new());
    while at < body.len() {
        let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
        found.push(String::from_utf8_lossy(&body[at + 2..at + 2 + length]).into_owned());
        at += length + 3;
    }
    found
}

/// A message at QoS 0.
pub(crate) fn message(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(payload);
    packet(0x30, &body)
}

/// A message at QoS 1 or 2.
pub(crate) fn numbered(topic: &str, qos: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(&id.to_be_bytes());
    body.extend_from_slice(payload);
    packet(0x30 | qos << 1, &body)
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

impl Fake {
    pub(crate) fn start(answers: impl Fn(u8, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let newest: Arc<Mutex<Option<TcpStream>>> = Arc::default();
        let subscribed: Arc<AtomicUsize> = Arc::default();
        let (answers, kept, count): (Arc<Answers>, _, _) =
            (Arc::new(answers), Arc::clone(&newest), Arc::clone(&subscribed));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *kept.lock().expect("no panic") = Some(stream.try_clone().expect("a handle"));
                let (answers, count) = (Arc::clone(&answers), Arc::clone(&count));
                std::thread::spawn(move || serve(stream, &*answers, &count));
            }
        });
        Fake { port, newest, subscribed }
    }

    /// Sends these bytes on the newest connection.
    pub(crate) fn send(&self, bytes: &[u8]) {
        if let Some(stream) = &mut *self.newest.lock().expect("no panic") {
            // The client may have gone.
            drop(stream.write_all(bytes));
        }
    }

    /// Cuts the newest connection.
    pub(crate) fn cut(&self) {
        if let Some(stream) = self.newest.lock().expect("no panic").take() {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }

    /// SUBSCRIBE packets so far.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscribed.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answers: &Answers, count: &AtomicUsize) -> Option<()> {
    loop {
        let mut first = [0; 1];
        stream.read_exact(&mut first).ok()?;
        let (mut length, mut shift, mut byte) = (0, 0, [0x80]);
        while byte[0] & 0x80 != 0 {
            stream.read_exact(&mut byte).ok()?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        stream.write_all(&answers(first[0], &body)).ok()?;
        if first[0] >> 4 == 8 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}
