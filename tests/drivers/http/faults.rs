//! A server that cuts, delays, repeats and garbles its answers: no value of another request, and none of another time, is ever Good.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcell::value::Value;
use testkit::plant::Bench;
use testkit::until;

use super::cell;

/// Exchanges in CI; `OPCELL_EXCHANGES` sets another number.
const EXCHANGES: u64 = 2_000;

struct Liar {
    port: u16,
    /// Requests that came.
    count: Arc<AtomicU64>,
}

/// The right answer to a path holds the path's own number and the number of the request.
fn right(path: &str, number: u64) -> String {
    let own: String = path.chars().filter(char::is_ascii_digit).collect();
    format!("{{\"own\": {own}, \"n\": {number}}}")
}

fn whole(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

impl Liar {
    fn start() -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let count: Arc<AtomicU64> = Arc::default();
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, &counted));
            }
        });
        Liar { port, count }
    }
}

/// Answers requests until a fault ends the connection.
fn serve(mut stream: TcpStream, count: &AtomicU64) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let path = line.split(' ').nth(1)?.to_owned();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
        }
        let number = count.fetch_add(1, Ordering::Relaxed);
        let answer = whole(&right(&path, number));
        let cut = answer.len() / 2;
        match fastrand::u32(..100) {
            0 => return None,
            1 => {
                stream.write_all(&answer.as_bytes()[..cut]).ok()?;
                return None;
            }
            2 => {
                // It comes after the driver has given up.
                std::thread::sleep(Duration::from_millis(250));
                stream.write_all(answer.as_bytes()).ok()?;
            }
            3 => {
                stream.write_all(answer.repeat(2).as_bytes()).ok()?;
            }
            4 => {
                stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").ok()?;
                return None;
            }
            5 => {
                stream.write_all(&answer.as_bytes()[..cut]).ok()?;
                std::thread::sleep(Duration::from_millis(20));
                stream.write_all(&answer.as_bytes()[cut..]).ok()?;
            }
            6 => {
                let short = format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{}", right(&path, number));
                stream.write_all(short.as_bytes()).ok()?;
                return None;
            }
            7 => {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
                stream.write_all(answer.as_bytes()).ok()?;
            }
            _ => stream.write_all(answer.as_bytes()).ok()?,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_makes_a_wrong_value_good() {
    let exchanges = std::env::var("OPCELL_EXCHANGES").map_or(EXCHANGES, |text| text.parse().expect("a number"));
    let liar = Liar::start();
    let nodes: String = (1..=4)
        .map(|n| {
            format!(
                "Own{n}: {{ type: Int32, source: {{ address: /{n}, json: /own }} }}\n\
                 N{n}: {{ type: Int64, source: {{ address: /{n}, json: /n }} }}\n"
            )
        })
        .collect();
    let text =
        cell(liar.port, "", &nodes).replace("poll: 50ms", "poll: 1ms").replace("timeout: 300ms", "timeout: 200ms");
    let bench = Bench::of_cell(&text);
    let (mut last, mut seen) = ([0_i64; 4], 0_u64);
    let mut wanted = 0;
    while wanted < exchanges {
        wanted = (wanted + EXCHANGES).min(exchanges);
        until("the next exchanges", || {
            for (n, last) in (1..).zip(&mut last) {
                let own = bench.sample(bench.tag(&format!("Own{n}")));
                if own.status.is_good() {
                    assert_eq!(own.value, Value::Int32(n), "a value of another request");
                }
                let number = bench.sample(bench.tag(&format!("N{n}")));
                if let (true, Value::Int64(number)) = (number.status.is_good(), number.value) {
                    assert!(number >= *last, "an older answer after a newer one");
                    seen += u64::from(number > *last);
                    *last = number;
                }
            }
            liar.count.load(Ordering::Relaxed) >= wanted
        });
    }
    assert!(seen > exchanges / 10, "{seen} of {exchanges}");
    bench.stop().await;
}
