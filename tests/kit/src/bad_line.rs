//! A line between master and slave that does to replies what bad lines do: it echoes, repeats, delays past a time-out
//! or a new connection, merges, damages and loses.
//!
//! Delayed replies keep their order: a second copy or a late reply comes no later than with the reply after it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcell::testing::drivers::modbus::Framing;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use crate::slave::{Slave, request, wrap};

/// Properties of a line, and how often it misbehaves (in a thousand replies).
#[derive(Clone)]
pub struct Line {
    pub framing: Framing,
    pub per_mille: u32,
    pub timeout: Duration,
    /// It sends back requests.
    pub echo: bool,
    /// The connection may be reset; a serial line has none.
    pub resets: bool,
    pub requests: Arc<AtomicU64>,
}

/// State that outlives a connection.
struct State {
    slave: DuplexStream,
    /// Bytes of the master that are no whole request yet.
    asked: Vec<u8>,
    held: VecDeque<(Instant, Vec<u8>)>,
    /// Requests that the slave has not answered yet; a refusal waits for them, since a device keeps the order.
    outstanding: usize,
    refusals: Vec<Vec<u8>>,
    last: Vec<u8>,
    dice: fastrand::Rng,
}

enum End {
    Closed,
    Reset,
}

impl Line {
    pub fn new(framing: Framing, timeout: Duration) -> Line {
        Line { framing, per_mille: 200, timeout, echo: false, resets: true, requests: Arc::default() }
    }

    fn state(&self, slave: &Arc<Slave>, seed: u64) -> (State, impl Future<Output = ()> + Send + use<>) {
        let (near, far) = tokio::io::duplex(4_096);
        let (slave, framing) = (Arc::clone(slave), self.framing);
        let state = State {
            slave: near,
            asked: Vec::new(),
            held: VecDeque::new(),
            outstanding: 0,
            refusals: Vec::new(),
            last: Vec::new(),
            dice: fastrand::Rng::with_seed(seed),
        };
        (state, async move { slave.serve(far, framing).await })
    }

    /// The line on a stream that stays.
    pub async fn on<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S, slave: Arc<Slave>, seed: u64) {
        let (mut state, serve) = self.state(&slave, seed);
        tokio::join!(serve, self.relay(&mut stream, &mut state));
    }

    /// The line behind a port, one connection at a time, as a serial server has it.
    pub async fn listen(self, slave: Arc<Slave>, seed: u64) -> (u16, tokio::task::JoinHandle<((), ())>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (mut state, serve) = self.state(&slave, seed);
        let serving = async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                state.asked.clear();
                if let End::Reset = self.relay(&mut stream, &mut state).await {
                    // The peer learns of it by an error instead of an end.
                    drop(stream.set_zero_linger());
                }
            }
        };
        (port, tokio::spawn(async move { tokio::join!(serve, serving) }))
    }

    async fn relay<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S, state: &mut State) -> End {
        let (mut up, mut down) = ([0; 512], [0; 1_024]);
        loop {
            let due = state.held.front().map_or_else(|| Instant::now() + Duration::from_secs(3_600), |(due, _)| *due);
            let replies = tokio::select! {
                biased;
                read = stream.read(&mut up) => match read {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(count) => {
                        if self.echo && stream.write_all(&up[..count]).await.is_err() {
                            return End::Closed;
                        }
                        state.asked.extend_from_slice(&up[..count]);
                        self.take_requests(state).await;
                        vec![]
                    }
                },
                read = state.slave.read(&mut down) => match read {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(count) => {
                        state.outstanding = state.outstanding.saturating_sub(1);
                        vec![down[..count].to_vec()]
                    }
                },
                () = sleep_until(due) => {
                    let bytes = state.held.pop_front().map(|(_, bytes)| bytes).unwrap_or_default();
                    if stream.write_all(&bytes).await.is_err() {
                        return End::Closed;
                    }
                    continue;
                }
            };
            let refusals = if state.outstanding == 0 { std::mem::take(&mut state.refusals) } else { vec![] };
            for reply in replies.into_iter().chain(refusals) {
                if let Some(end) = self.pass(stream, state, reply).await {
                    return end;
                }
            }
        }
    }

    /// Hands requests on; loses some, and refuses some writes in the device's place.
    async fn take_requests(&self, state: &mut State) {
        while let Some((unit, pdu, head, used)) = request(self.framing, &state.asked) {
            let bytes: Vec<u8> = state.asked.drain(..used).collect();
            self.requests.fetch_add(1, Ordering::Relaxed);
            let is_write = matches!(pdu[0], 5 | 6 | 15 | 16 | 22);
            match state.dice.u32(0..100) {
                0..20 if is_write => state.refusals.push(wrap(self.framing, &head, unit, &[pdu[0] | 0x80, 2])),
                20..25 if is_write => {}
                25 => {}
                _ => {
                    state.outstanding += 1;
                    drop(state.slave.write_all(&bytes).await);
                }
            }
        }
    }

    /// A reply on its way, maybe with mischief; what was held before it goes first, in the same segment.
    async fn pass<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        state: &mut State,
        reply: Vec<u8>,
    ) -> Option<End> {
        let now = Instant::now();
        let does = state.dice.u32(0..1_000) < self.per_mille;
        let what = if does { state.dice.u32(0..8) } else { 99 };
        if what == 0 {
            let late = self.timeout + self.timeout * state.dice.u32(10..80) / 100;
            // A reply before this one comes no second time after it.
            state.last.clone_from(&reply);
            state.held.push_back((now + late, reply));
            return None;
        }
        if what == 1 && self.resets {
            let later = self.timeout * state.dice.u32(0..60) / 100;
            state.last.clone_from(&reply);
            state.held.push_back((now + later, reply));
            return Some(End::Reset);
        }
        let mut bytes: Vec<u8> = state.held.drain(..).flat_map(|(_, bytes)| bytes).collect();
        match what {
            2 => bytes.extend([&reply[..], &reply[..]].concat()),
            3 => {
                bytes.extend(&reply);
                let later = Duration::from_millis(state.dice.u64(0..7));
                state.held.push_back((now + later, reply.clone()));
            }
            4 => {}
            5 => {
                let middle = state.dice.usize(1..reply.len());
                bytes.extend([&reply[..middle], &state.last[..], &reply[middle..]].concat());
            }
            6 if self.framing != Framing::Tcp => {
                let mut damaged = reply.clone();
                let at = state.dice.usize(0..damaged.len());
                damaged[at] ^= 1 << state.dice.u32(0..8);
                bytes.extend(damaged);
            }
            7 => bytes.extend(&reply[..state.dice.usize(1..reply.len())]),
            _ => bytes.extend(&reply),
        }
        state.last = reply;
        // Half a frame on a TCP stream is followed by nothing that would make sense.
        let is_cut = what == 7 && self.framing == Framing::Tcp && self.resets;
        match stream.write_all(&bytes).await {
            Ok(()) if is_cut => Some(End::Reset),
            Ok(()) => None,
            Err(_) => Some(End::Closed),
        }
    }
}
