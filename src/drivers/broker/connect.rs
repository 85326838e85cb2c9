//! The way to a broker: socket, login, and the words for its refusals.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::packet::Version;
use super::url::Url;
use crate::drivers::contract::LinkError;
use crate::drivers::tls::{self, Reached, TlsFiles};
use crate::value::Hidden;

/// A connection in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Everything that a session needs to know before it is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub(crate) url: Url,
    pub(crate) client_id: String,
    pub(crate) user: Option<String>,
    /// Keys whose text came from outside of the cell file: no message may show it.
    pub(crate) hidden: Vec<&'static str>,
    pub(crate) password: Option<Hidden<String>>,
    pub(crate) keep_alive: Duration,
    pub(crate) version: Version,
    /// Largest content of a message that is kept.
    pub(crate) max_message: usize,
    /// Longest wait for an answer.
    pub(crate) timeout: Duration,
    pub(crate) files: TlsFiles,
}

/// A message that the broker publishes when the session ends without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
}

impl Options {
    /// Opens the socket.
    pub(super) async fn open(&self) -> Result<Box<dyn Duplex>, LinkError> {
        let stream = TcpStream::connect((self.url.host.as_str(), self.url.port)).await.map_err(lost)?;
        // A write of a client does not wait for the next one.
        stream.set_nodelay(true).map_err(lost)?;
        if !self.url.is_tls {
            return Ok(Box::new(stream));
        }
        let server = Reached { what: "broker", host: &self.url.host, is_hidden: self.hides("url") };
        Ok(Box::new(self.files.connect(server, stream).await?))
    }

    pub(super) fn hides(&self, key: &str) -> bool {
        self.hidden.contains(&key)
    }

    /// The error for a login that was refused.
    pub(super) fn refused(&self, code: u8, reason: Option<&str>) -> LinkError {
        let reason = reason.map_or_else(String::new, |reason| format!(": {}", plain(reason)));
        let user = match &self.user {
            Some(_) if self.hides("user") => "the user".to_owned(),
            Some(user) => format!("user \"{user}\""),
            None => "a client without a user".to_owned(),
        };
        let denied = |why: &str| LinkError::Denied(format!("the broker refuses {user} ({why}){reason}"));
        let other = match self.version {
            Version::V311 => "5",
            Version::V5 => "3.1.1",
        };
        let lost = |why: String| LinkError::Lost(format!("the broker refuses the connection ({why}){reason}"));
        match (self.version, code) {
            (_, 1) | (Version::V5, 0x84) => lost(format!("it does not speak this version; try `version: {other}`")),
            (Version::V311, 2) | (Version::V5, 0x85) if self.hides("client_id") => {
                lost("the client id is not valid".to_owned())
            }
            (Version::V311, 2) | (Version::V5, 0x85) => {
                lost(format!("the client id `{}` is not valid", self.client_id))
            }
            (Version::V311, 3) | (Version::V5, 0x88) => lost("it is not available".to_owned()),
            (Version::V311, 4) | (Version::V5, 0x86) => denied("bad user name or password"),
            (Version::V311, 5) | (Version::V5, 0x87) => denied("not authorized"),
            (Version::V5, 0x8a) => denied("banned"),
            (Version::V5, 0x8c) => denied("bad authentication method"),
            (Version::V5, 0x89) => lost("it is busy".to_owned()),
            (Version::V5, 0x97 | 0x9f) => lost("too many connections".to_owned()),
            (Version::V5, 0x9c | 0x9d) => lost("another broker is to be used".to_owned()),
            (_, code) => lost(format!("code {code:#04x}")),
        }
    }
}

/// A text of the broker for a log line.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A failed socket.
pub(super) fn lost(error: std::io::Error) -> LinkError {
    tls::lost("broker", &error)
}
