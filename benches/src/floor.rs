//! The floor: the same sockets and channels without a server behind them.
//!
//! `canned` answers every Read with bytes made once; `bare` parses the request, looks each NodeId up in a hash map and
//! encodes a live value. What our server takes beyond `bare` is the price of being one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use opcell::testing::stack::channel::{
    Caller, CertificateCheck, Event, Pace, Refusal, Seen, ServerChannel, ServerSettings,
};
use opcell::testing::stack::codec::{IdRef, Reader, Writer};
use opcell::testing::stack::transport::{Input, Limits};
use opcell::value::{UaTime, Value};
use opcua::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Canned,
    Bare,
}

struct Nobody;

impl CertificateCheck for Nobody {
    fn check_client(&self, _: &[u8], _: &Caller) -> Result<Seen, Refusal> {
        let status = StatusCode::BadSecurityChecksFailed;
        Err(Refusal { status, code: status, rule: "the floor has no security".to_owned() })
    }
}

/// Serves until it is killed.
pub async fn run(kind: Kind, tags: usize, say: impl FnOnce(SocketAddr)) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(listener.local_addr()?);
    let settings = Arc::new(ServerSettings {
        handshakes: Pace::new(Limits::default().handshakes),
        limits: Limits::default(),
        identities: Arc::default(),
        policies: Default::default(),
        check: Arc::new(Nobody),
    });
    let values: Arc<HashMap<String, f64>> =
        Arc::new((0..tags).zip(0u32..).map(|(n, value)| (crate::cell::tag(n), f64::from(value))).collect());
    loop {
        let (socket, _) = listener.accept().await?;
        let (settings, values) = (Arc::clone(&settings), Arc::clone(&values));
        tokio::spawn(async move { drop(serve(socket, settings, kind, &values).await) });
    }
}

async fn serve(
    mut socket: TcpStream,
    settings: Arc<ServerSettings>,
    kind: Kind,
    values: &HashMap<String, f64>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut channel = ServerChannel::new(settings, 1, None, Instant::now());
    channel.set_authenticated(true);
    let (mut input, mut out) = (Input::default(), Writer::new());
    let mut canned: HashMap<usize, Vec<u8>> = HashMap::new();
    loop {
        let now = Instant::now();
        match channel.receive(now, &mut input, &mut out) {
            Ok(None) => {
                socket.write_all(&out.buf).await?;
                out.buf.clear();
                if socket.read_buf(input.room()).await? == 0 {
                    return Ok(());
                }
            }
            Ok(Some(Event::Open(job))) => {
                let opened = job.run(now);
                drop(channel.opened(now, opened, &mut out));
            }
            Ok(Some(Event::Request { request_id, body })) => {
                let answered = channel.respond(now, &mut out, request_id, |w| match kind {
                    Kind::Bare => bare(body, values, w),
                    Kind::Canned => {
                        let bytes = canned.entry(body.len()).or_insert_with(|| {
                            let mut once = Writer::new();
                            // A malformed Read is answered by what was written of it: this is no server.
                            bare(body, values, &mut once).unwrap_or_default();
                            once.buf
                        });
                        w.raw(bytes);
                        Ok(())
                    }
                });
                if answered.is_err() {
                    return Ok(());
                }
            }
            Ok(Some(Event::Hello { .. })) => {}
            Ok(Some(Event::Closed)) | Err(_) => {
                socket.write_all(&out.buf).await?;
                return Ok(());
            }
        }
    }
}

/// A Read of Values by string ids; any other request gets an empty answer.
fn bare(body: &[u8], values: &HashMap<String, f64>, w: &mut Writer) -> Result<(), StatusCode> {
    let mut reader = Reader::new(body);
    reader.node_id()?;
    reader.node_id()?;
    reader.time()?;
    let handle = reader.u32()?;
    reader.u32()?;
    reader.string()?;
    reader.u32()?;
    reader.extension_object()?;
    reader.f64()?;
    reader.i32()?;
    let count = reader.count(16)?;
    let now = UaTime::now();
    w.node_id(opcell::testing::stack::codec::NodeIdRef::numeric(0, 634));
    w.time(now);
    w.u32(handle);
    w.u32(0);
    w.u8(0);
    w.null_array();
    w.null_extension_object();
    w.count(count);
    for _ in 0..count {
        let id = reader.node_id()?;
        reader.u32()?;
        reader.string()?;
        reader.qualified_name()?;
        let value = if let IdRef::String(text) = id.id { values.get(text).copied() } else { None };
        match value {
            Some(value) => w.data_value(&Value::Double(value), StatusCode::Good, Some(now), Some(now)),
            None => w.data_value(&Value::Null, StatusCode::BadNodeIdUnknown, None, Some(now)),
        }
    }
    w.null_array();
    Ok(())
}
