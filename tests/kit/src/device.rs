//! A Modbus device behind a port that answers as a test wants it: what it says to each request, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opcell::testing::drivers::modbus::Framing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::slave::{Slave, request, wrap};

/// A request as the device got it, and the right reply to it.
pub struct Heard {
    pub bytes: Vec<u8>,
    pub unit: u8,
    pub pdu: Vec<u8>,
    pub head: Vec<u8>,
    pub reply: Vec<u8>,
}

/// Bytes that go out, each after a while.
pub type Says = Vec<(Duration, Vec<u8>)>;

pub fn now(bytes: Vec<u8>) -> (Duration, Vec<u8>) {
    (Duration::ZERO, bytes)
}

/// A device behind a port; counts its connections.
pub struct Device {
    pub port: u16,
    pub opened: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// Ends the connection, in the place of bytes.
pub const CLOSE: &[u8] = b"close";

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub async fn device(
    framing: Framing,
    slave: &Arc<Slave>,
    says: impl Fn(&Heard) -> Says + Send + Sync + 'static,
) -> Device {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let opened = Arc::new(AtomicUsize::new(0));
    let (slave, count) = (Arc::clone(slave), Arc::clone(&opened));
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            count.fetch_add(1, Ordering::Relaxed);
            let (mut bytes, mut chunk) = (Vec::new(), [0; 512]);
            'open: while let Ok(got @ 1..) = stream.read(&mut chunk).await {
                bytes.extend_from_slice(&chunk[..got]);
                while let Some((unit, pdu, head, used)) = request(framing, &bytes) {
                    let own: Vec<u8> = bytes.drain(..used).collect();
                    let reply = slave.answer(unit, &pdu).unwrap_or_default();
                    let reply = wrap(framing, &head, unit, &reply);
                    for (wait, out) in says(&Heard { bytes: own, unit, pdu, head, reply }) {
                        tokio::time::sleep(wait).await;
                        if out == CLOSE {
                            break 'open;
                        }
                        drop(stream.write_all(&out).await);
                    }
                }
            }
        }
    });
    Device { port, opened, task }
}
