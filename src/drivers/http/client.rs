//! One connection to a web server, and one request after the other on it.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::address::Server;
use super::auth::{Challenge, Login, Scheme};
use super::settings::{HttpSettings, Method};
use crate::drivers::contract::LinkError;
use crate::drivers::tls::{Reached, TlsFiles};
use crate::value::Hidden;

/// Longest answer that is read.
const LONGEST: usize = 4 << 20;

/// Redirects that one request follows.
const REDIRECTS: usize = 3;

/// A request as it is sent; the path is below that of the url.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub method: Method,
    pub path: String,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub name: HeaderName,
    /// Marked as sensitive, so that no log shows it.
    pub value: HeaderValue,
}

impl Header {
    /// The headers of a map; config has refused those that are none.
    pub(super) fn all<'h>(of: impl Iterator<Item = (&'h String, &'h Hidden<String>)>) -> Vec<Header> {
        let header = |(name, value): (&String, &Hidden<String>)| {
            let mut value = HeaderValue::try_from(value.0.as_str()).ok()?;
            value.set_sensitive(true);
            Some(Header { name: HeaderName::try_from(name.as_str()).ok()?, value })
        };
        of.filter_map(header).collect()
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Content,
}

/// The body of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Whole(Vec<u8>),
    /// More than 4 MiB: it was not read to its end, and the connection is closed.
    TooLong,
}

pub(super) struct Client {
    server: Server,
    files: TlsFiles,
    hides_url: bool,
    login: Option<Login>,
    scheme: Scheme,
    headers: Vec<Header>,
    timeout: Duration,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes; it ends with the sender.
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    pub(super) fn new(settings: &HttpSettings, timeout: Duration) -> Client {
        // Config has refused another url, and opens none.
        let nowhere = Server { is_tls: false, host: String::new(), port: 80, base: String::new() };
        let password = settings.password.clone().unwrap_or_default();
        Client {
            server: Server::parse(&settings.url).unwrap_or(nowhere),
            login: settings.user.clone().map(|user| Login { user, password }),
            scheme: Scheme::default(),
            headers: Header::all(settings.headers.iter()),
            files: settings.tls(),
            hides_url: settings.hides_url,
            timeout,
            open: None,
        }
    }

    pub(super) fn is_same_place(&self, other: &Client) -> bool {
        self.files == other.files && self.server == other.server && self.login == other.login
    }

    /// Takes the open connection of another client of the same server.
    pub(super) fn take_over(&mut self, old: &mut Client) {
        (self.open, self.scheme) = (old.open.take(), old.scheme.clone());
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// The files of TLS, for a look at the server.
    pub(super) fn files(&self) -> &TlsFiles {
        &self.files
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) async fn connect(&mut self) -> Result<(), LinkError> {
        self.open = None;
        let place = (self.server.plain_host(), self.server.port);
        let stream = TcpStream::connect(place).await.map_err(|error| LinkError::Lost(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| LinkError::Lost(error.to_string()))?;
        self.open = Some(match self.server.is_tls {
            true => {
                let server = Reached { what: "server", host: self.server.plain_host(), is_hidden: self.hides_url };
                speak(self.files.connect(server, stream).await?).await?
            }
            false => speak(stream).await?,
        });
        Ok(())
    }

    /// Sends a request and takes its answer. After a time-out, and after an answer that is no HTTP, the connection is closed: a late
    /// answer must not be taken for that of the next request.
    pub(super) async fn exchange(&mut self, sent: &Sent) -> Result<Answered, LinkError> {
        let limit = self.timeout;
        match timeout(limit, self.follow(sent)).await {
            Ok(Ok(answered)) => {
                if answered.body == Content::TooLong {
                    self.open = None;
                }
                Ok(answered)
            }
            Ok(Err(error)) => {
                self.open = None;
                Err(error)
            }
            Err(_) => {
                self.open = None;
                Err(LinkError::Timeout { waited_ms: limit.as_millis(), usable: false })
            }
        }
    }

    /// Follows redirects on the same server, and answers one challenge.
    async fn follow(&mut self, sent: &Sent) -> Result<Answered, LinkError> {
        let mut path = format!("{}{}", self.server.base, sent.path);
        let mut has_answered = false;
        let mut redirects = 0;
        loop {
            let answered = self.once(sent, &path).await?;
            if answered.status == StatusCode::UNAUTHORIZED && !has_answered && self.login.is_some() {
                let mut challenges = answered.headers.get_all(WWW_AUTHENTICATE).iter();
                let challenge = challenges.find_map(|header| Challenge::parse(header.to_str().ok()?));
                if let Some(challenge) = challenge {
                    self.scheme = Scheme::Digest(challenge);
                    has_answered = true;
                    continue;
                }
            }
            // A write is never sent twice.
            let is_read = sent.method == Method::Get;
            let target = location(&answered, &self.server).filter(|_| is_read && redirects < REDIRECTS);
            match target {
                Some(target) => {
                    path = target;
                    redirects += 1;
                }
                None => return Ok(answered),
            }
        }
    }

    async fn once(&mut self, sent: &Sent, path: &str) -> Result<Answered, LinkError> {
        let mut request = Request::builder().method(sent.method.name()).uri(path);
        let own =
            [(HOST, self.server.authority()), (USER_AGENT, concat!("opcell/", env!("CARGO_PKG_VERSION")).to_owned())];
        for (name, value) in own {
            request = request.header(name, value);
        }
        if let Some(login) = &self.login {
            let mut value = HeaderValue::try_from(login.header(&mut self.scheme, sent.method, path))
                .map_err(|_| LinkError::Lost("the user name cannot be sent".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        for Header { name, value } in self.headers.iter().chain(&sent.headers) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(sent.body.clone())));
        let request = request.map_err(|error| LinkError::Lost(error.to_string()))?;
        if self.open.as_ref().is_none_or(|open| open.sender.is_closed()) {
            return Err(LinkError::Closed { sent: false });
        }
        let Some(open) = &mut self.open else { return Err(LinkError::Closed { sent: false }) };
        open.sender.ready().await.map_err(|_| LinkError::Closed { sent: false })?;
        let response = open.sender.send_request(request).await.map_err(|error| fault(&error))?;
        let (head, body) = response.into_parts();
        let body = read(body).await?;
        Ok(Answered { status: head.status, headers: head.headers, body })
    }
}

async fn speak<S>(stream: S) -> Result<Open, LinkError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| LinkError::Lost(error.to_string()))?;
    // Its errors are those of the requests.
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok(Open { sender, task })
}

/// The whole body, as long as it is not too long.
async fn read(mut body: Incoming) -> Result<Content, LinkError> {
    let expected = body.size_hint().lower();
    if expected > LONGEST as u64 {
        return Ok(Content::TooLong);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| fault(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > LONGEST {
            return Ok(Content::TooLong);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Content::Whole(whole))
}

fn fault(error: &hyper::Error) -> LinkError {
    if error.is_parse() || error.is_parse_status() {
        return LinkError::Garbage { text: format!("answers with something that is no HTTP ({error})"), usable: false };
    }
    if error.is_closed() || error.is_canceled() {
        return LinkError::Closed { sent: true };
    }
    LinkError::Lost(format!("the connection broke inside an answer ({error})"))
}

/// The path to which an answer leads, on the same server.
fn location(answered: &Answered, server: &Server) -> Option<String> {
    let leads = matches!(answered.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let target = answered.headers.get(hyper::header::LOCATION).filter(|_| leads)?.to_str().ok()?;
    if target.starts_with('/') && !target.starts_with("//") {
        return Some(target.split('#').next().unwrap_or_default().to_owned());
    }
    let rest = target.split_once("://").map(|(_, rest)| rest)?;
    let other = Server::parse(&target[..target.len() - rest.len() + rest.find('/').unwrap_or(rest.len())]).ok()?;
    let is_same = (other.is_tls, &other.host, other.port) == (server.is_tls, &server.host, server.port);
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    is_same.then(|| path.split('#').next().unwrap_or_default().to_owned())
}
