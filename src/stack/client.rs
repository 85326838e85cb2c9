//! A plain blocking client for tests, benchmarks and the health check: connect, open, ask, answer. It reads the clock
//! and owns a socket, which the channel below it does not.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use opcua::StatusCode;

use super::channel::{ClientChannel, ClientEvent, ClientSettings};
use super::codec::Writer;
use super::transport::{Fatal, Input};

/// One connection with its channel.
pub struct Client {
    stream: TcpStream,
    channel: ClientChannel,
    input: Input,
    out: Writer,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The server's Error message, or what of its bytes could not be taken.
    #[error("the channel broke: {0}")]
    Channel(#[from] Fatal),
    /// Nothing was sent.
    #[error("the request cannot be sent: {0}")]
    Unsent(StatusCode),
    #[error("the server gave up on the response: {0}")]
    Aborted(StatusCode),
}

/// A message of the server.
enum Step {
    Opened,
    Acknowledged,
    Nothing,
}

impl Client {
    /// Connects and opens a channel. `timeout` bounds the connecting and later each wait for bytes.
    pub fn connect(
        address: SocketAddr,
        endpoint_url: &str,
        settings: ClientSettings,
        timeout: Duration,
    ) -> Result<Client, ClientError> {
        Client::over(TcpStream::connect_timeout(&address, timeout)?, endpoint_url, settings, timeout)
    }

    /// The same over a connection that the caller made.
    pub fn over(
        stream: TcpStream,
        endpoint_url: &str,
        settings: ClientSettings,
        timeout: Duration,
    ) -> Result<Client, ClientError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let channel = ClientChannel::new(settings);
        let mut client = Client { stream, channel, input: Input::default(), out: Writer::new() };
        client.channel.hello(endpoint_url, &mut client.out);
        client.flush()?;
        while !matches!(client.step()?, Step::Acknowledged) {}
        client.renew()?;
        Ok(client)
    }

    /// Asks for a new token and waits for it. No response may be outstanding: it would be lost.
    pub fn renew(&mut self) -> Result<(), ClientError> {
        self.channel.open(&mut self.out)?;
        self.flush()?;
        while !matches!(self.step()?, Step::Opened) {}
        Ok(())
    }

    pub fn channel(&self) -> &ClientChannel {
        &self.channel
    }

    /// Puts a request into the send buffer and tells its id; `flush` sends it. A token that is due is renewed on the way.
    pub fn send(&mut self, body: impl FnOnce(&mut Writer)) -> Result<u32, ClientError> {
        let now = Instant::now();
        if !self.channel.is_opening() && self.channel.renew_at().is_some_and(|due| now >= due) {
            self.channel.open(&mut self.out)?;
        }
        let sent = self.channel.request(now, &mut self.out, |out| {
            body(out);
            Ok(())
        });
        sent.map_err(ClientError::Unsent)
    }

    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.stream.write_all(&self.out.buf)?;
        self.out.rewind(0);
        Ok(())
    }

    /// Waits for the next response and hands its id and body, type id first, to `read`.
    pub fn receive<T>(&mut self, read: impl FnOnce(u32, &[u8]) -> T) -> Result<T, ClientError> {
        loop {
            match self.channel.receive(Instant::now(), &mut self.input)? {
                Some(ClientEvent::Response { request_id, body }) => return Ok(read(request_id, body)),
                Some(ClientEvent::Aborted { status, .. }) => return Err(ClientError::Aborted(status)),
                Some(ClientEvent::Acknowledged | ClientEvent::Opened) => {}
                None => self.fill()?,
            }
        }
    }

    /// One request and its response.
    pub fn call(&mut self, body: impl FnOnce(&mut Writer)) -> Result<Vec<u8>, ClientError> {
        let request = self.send(body)?;
        self.flush()?;
        loop {
            if let Some(body) = self.receive(|id, body| (id == request).then(|| body.to_vec()))? {
                return Ok(body);
            }
        }
    }

    /// Sends bytes as they are, for what a well-behaved client would not.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.flush()?;
        Ok(self.stream.write_all(bytes)?)
    }

    /// The bytes that a request would be sent as, without sending them.
    pub fn seal(&mut self, body: impl FnOnce(&mut Writer)) -> Result<Vec<u8>, ClientError> {
        self.flush()?;
        self.send(body)?;
        Ok(std::mem::take(&mut self.out.buf))
    }

    /// Closes the channel; the server closes the connection.
    pub fn close(mut self) -> Result<(), ClientError> {
        self.channel.close(Instant::now(), &mut self.out).map_err(ClientError::Unsent)?;
        self.flush()
    }

    fn step(&mut self) -> Result<Step, ClientError> {
        let step = match self.channel.receive(Instant::now(), &mut self.input)? {
            Some(ClientEvent::Acknowledged) => Step::Acknowledged,
            Some(ClientEvent::Opened) => Step::Opened,
            Some(ClientEvent::Response { .. } | ClientEvent::Aborted { .. }) => Step::Nothing,
            None => {
                self.fill()?;
                Step::Nothing
            }
        };
        Ok(step)
    }

    fn fill(&mut self) -> Result<(), ClientError> {
        const READ: usize = 64 * 1024;
        let room = self.input.room();
        let start = room.len();
        room.resize(start + READ, 0);
        let read = self.stream.read(&mut room[start..]);
        room.truncate(start + read.as_ref().map_or(0, |count| *count));
        match read? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::stack::channel::{Caller, CertificateCheck, Event, Pace, Refusal, Seen, ServerChannel, ServerSettings};
    use crate::stack::crypto::{MessageSecurityMode, Policy};
    use crate::stack::transport::Limits;

    struct Everybody;

    impl CertificateCheck for Everybody {
        fn check_client(&self, _: &[u8], _: &Caller) -> Result<Seen, Refusal> {
            Ok(Seen::default())
        }
    }

    /// Echoes requests on one connection until the client closes.
    fn echo(listener: &TcpListener) -> io::Result<()> {
        let (mut stream, address) = listener.accept()?;
        let settings = ServerSettings {
            handshakes: Pace::new(Limits::default().handshakes),
            limits: Limits::default(),
            identities: Arc::default(),
            policies: Default::default(),
            check: Arc::new(Everybody),
        };
        let mut channel = ServerChannel::new(Arc::new(settings), 1, Some(address), Instant::now());
        let (mut input, mut out, mut bytes) = (Input::default(), Writer::new(), [0; 4096]);
        loop {
            let count = stream.read(&mut bytes)?;
            input.room().extend_from_slice(&bytes[..count]);
            while let Some(event) = channel.receive(Instant::now(), &mut input, &mut out).map_err(io::Error::other)? {
                match event {
                    Event::Hello { .. } => {}
                    Event::Open(job) => {
                        let outcome = job.run(Instant::now());
                        channel.opened(Instant::now(), outcome, &mut out).map_err(io::Error::other)?;
                    }
                    Event::Request { request_id, body } => channel
                        .respond(Instant::now(), &mut out, request_id, |out| {
                            out.raw(body);
                            Ok(())
                        })
                        .map_err(|status| io::Error::other(status.to_string()))?,
                    Event::Closed => return Ok(()),
                }
            }
            stream.write_all(&out.buf)?;
            out.rewind(0);
        }
    }

    #[test]
    fn requests_go_over_a_real_connection_one_by_one_and_in_flight() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let server = std::thread::spawn(move || echo(&listener));
        let settings = ClientSettings {
            limits: Limits::default(),
            policy: Policy::None,
            mode: MessageSecurityMode::None,
            identity: None,
            server: None,
            lifetime: Duration::from_secs(3600),
        };
        let mut client =
            Client::connect(address, "opc.tcp://localhost", settings, Duration::from_secs(10)).expect("it opens");
        assert_eq!(client.call(|out| out.raw(b"one")).expect("echo"), b"one");
        client.renew().expect("renewed");
        let sent: Vec<u32> = (0..50u8).map(|number| client.send(|out| out.u8(number)).expect("sent")).collect();
        client.flush().expect("sent");
        for (number, request) in (0..50u8).zip(sent) {
            assert!(client.receive(|id, body| id == request && body == [number]).expect("echo"));
        }
        client.close().expect("closed");
        server.join().expect("no panic").expect("the server saw the close");
    }
}
