//! A TCP relay that a test can cut: what a pulled cable between client and server looks like, with both still up.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::until;

/// Forwards every connection to one address until it is cut; new ones are taken at once.
pub struct Relay {
    pub address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    muted: Arc<Muted>,
}

/// Bytes of the server are swallowed while `is_on`.
#[derive(Default)]
struct Muted {
    is_on: AtomicBool,
    bytes: AtomicUsize,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let muted: Arc<Muted> = Arc::default();
        let (kept, swallows) = (Arc::clone(&open), Arc::clone(&muted));
        // Ends with the test's process; nobody waits for it.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                forward(&client, &server, Arc::default());
                forward(&server, &client, Arc::clone(&swallows));
                kept.lock().expect("no panic").extend([client, server]);
            }
        });
        Relay { address, open, muted }
    }

    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.address)
    }

    /// From now on nothing of the server arrives.
    pub fn mute(&self) {
        self.muted.bytes.store(0, Ordering::SeqCst);
        self.muted.is_on.store(true, Ordering::SeqCst);
    }

    /// Waits until the server has said something that nobody heard.
    pub fn wait_for_loss(&self) {
        until("the server says something that is lost", || self.muted.bytes.load(Ordering::SeqCst) > 0);
    }

    /// Cuts every connection; returns their number. New ones are forwarded again.
    pub fn cut(&self) -> usize {
        let mut open = self.open.lock().expect("no panic");
        let count = open.len() / 2;
        for stream in open.drain(..) {
            // One side may have gone before.
            drop(stream.shutdown(Shutdown::Both));
        }
        self.muted.is_on.store(false, Ordering::SeqCst);
        count
    }
}

fn forward(from: &TcpStream, to: &TcpStream, muted: Arc<Muted>) {
    let (mut from, mut to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(count) = from.read(&mut buffer) {
            if muted.is_on.load(Ordering::SeqCst) {
                muted.bytes.fetch_add(count, Ordering::SeqCst);
            } else if count == 0 || to.write_all(&buffer[..count]).is_err() {
                break;
            }
            if count == 0 {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
    });
}
