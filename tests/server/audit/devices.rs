//! Writes to a device are audited with what the device answered; and with Uncertain when nobody waited for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use opcell::testing::audit::{Filter, show};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;

use testkit::request::write;
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

const OBEYS: u8 = 0;
const REFUSES: u8 = 1;
const SILENT: u8 = 2;

/// A Modbus slave whose registers are all 3; the test chooses what it does with writes.
fn slave() -> (u16, Arc<AtomicU8>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mood = Arc::new(AtomicU8::new(OBEYS));
    let shared = Arc::clone(&mood);
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let mood = Arc::clone(&shared);
            std::thread::spawn(move || serve(socket, &mood));
        }
    });
    (port, mood)
}

fn serve(mut socket: TcpStream, mood: &AtomicU8) {
    let mut header = [0; 8];
    while socket.read_exact(&mut header).is_ok() {
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut rest = vec![0; length.saturating_sub(2)];
        if socket.read_exact(&mut rest).is_err() {
            return;
        }
        let function = header[7];
        let body = match (function, mood.load(Ordering::Relaxed)) {
            (3, _) => {
                let count = u16::from_be_bytes([rest[2], rest[3]]);
                let registers = (0..count).flat_map(|_| [0, 3]);
                let bytes = u8::try_from(count * 2).expect("a short answer");
                [function, bytes].into_iter().chain(registers).collect::<Vec<u8>>()
            }
            (_, OBEYS) => [&[function], &rest[..4]].concat(),
            (_, REFUSES) => vec![function | 0x80, 4],
            _ => continue,
        };
        let size = u16::try_from(body.len() + 1).expect("short").to_be_bytes();
        let answer = [&header[..4], &size, &header[6..7], &body].concat();
        if socket.write_all(&answer).is_err() {
            return;
        }
    }
}

#[test]
fn a_write_is_audited_with_the_answer_of_its_device() {
    let (port, mood) = slave();
    let cell = format!(
        "schema: 1\ncell: press\nconnections:\n  plc: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port}, \
         allow_write: true, timeout: 1s }}\nnodes:\n  Speed: {{ type: UInt16, source: {{ address: holding/1, write: true }}, poll: 100ms }}\n"
    );
    let server = TestServer::start(&cell);
    let state = server.dir().join("state");
    let speed = NodeIdRef::string(2, "Speed");
    let mut client = Session::open(server.address);
    until("the device is read", || client.read_value(speed).value == Some(Value::UInt16(3)));
    let mut seen = 0;
    let mut written = |status: Option<StatusCode>| {
        let mut texts: Vec<String> = Vec::new();
        until("the write is written down", || {
            texts.clear();
            let filter = Filter { kind: Some("write".to_owned()), since: None };
            show(&state, &filter, &mut |record, _| texts.push(record.text())).expect("it can be read");
            texts.len() > seen
        });
        seen = texts.len();
        let text = texts.pop().expect("a record");
        let status = status.unwrap_or(StatusCode::Uncertain);
        assert!(text.contains(&format!(" status={status} ")), "{text}");
        text
    };
    let done = client.write(speed, &Value::UInt16(7));
    assert_eq!(done, StatusCode::Good);
    let text = written(Some(done));
    assert!(text.ends_with(r#"node="ns=2;s=Speed" old=3 new=7"#), "{text}");

    mood.store(REFUSES, Ordering::Relaxed);
    let done = client.write(speed, &Value::UInt16(8));
    assert!(done.is_bad(), "{done}");
    written(Some(done));

    mood.store(SILENT, Ordering::Relaxed);
    client.send(write(&[(speed, None, &Value::UInt16(9))])).expect("sent");
    client.client.flush().expect("sent");
    drop(client);
    let text = written(None);
    assert!(text.ends_with("new=9"), "{text}");
}
