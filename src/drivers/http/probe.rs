//! `opcell probe` of a web server: each step of the way from its name to answers. Nothing but GET is ever sent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::time::timeout;

use super::Http;
use super::client::{Client, Content, Header, Sent};
use super::settings::Method;
use crate::drivers::driver::ConnectionOf;
use crate::drivers::reading::Way;
use crate::drivers::tls::Reached;
use crate::drivers::way::{Dial, since};

/// Paths that are asked for.
const MOST_PATHS: usize = 10;

/// A request of the cell that only reads.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    address: String,
    path: String,
}

/// The requests that the cell's tags need and that change nothing at the server; that of the url where there is none.
fn requests(connection: ConnectionOf<'_, Http>) -> Vec<Asked> {
    let requests = &connection.settings.requests;
    let asked = |address: &String| {
        let named = requests.get(address);
        let is_get = named.is_none_or(|of| of.method.unwrap_or(Method::Get) == Method::Get && of.body.is_none());
        let path = named.map_or(address, |of| &of.path);
        (is_get && path.starts_with('/')).then(|| Asked { address: address.clone(), path: path.clone() })
    };
    let all: BTreeSet<Asked> = connection.plan.points.iter().filter_map(|point| asked(&point.address)).collect();
    let first = Asked { address: String::new(), path: String::new() };
    if all.is_empty() { vec![first] } else { all.into_iter().take(MOST_PATHS).collect() }
}

pub(super) async fn probe(connection: ConnectionOf<'_, Http>) -> Way {
    let mut way = Way::default();
    let settings = connection.settings;
    let within = connection.plan.timeout.max(Duration::from_secs(1));
    let mut client = Client::new(settings, within);
    let server = client.server().clone();
    let (host, is_hidden) = (server.plain_host(), settings.hides_url);
    let dial = Dial { what: "server", host, port: server.port, key: "url", is_hidden, within };
    let stream = match dial.reach(&mut way).await {
        Ok(stream) => stream,
        Err(why) => return way.fails(why),
    };
    if !server.is_tls {
        // Some devices take one connection at a time.
        drop(stream);
    } else {
        let began = Instant::now();
        let reached = Reached { what: "server", host, is_hidden };
        let Ok(looked) = timeout(within, client.files().look(reached, stream)).await else {
            return way.fails("the server does not answer to TLS; is it the port of http?");
        };
        if let Some(certificate) = looked.certificate.filter(|_| !is_hidden) {
            way.certificate(&certificate);
        }
        match looked.outcome {
            Ok(version) => way.step("TLS", format!("{version} in {}", since(began))),
            Err(error) => return way.fails(error.to_string()),
        }
    }
    for Asked { address, path } in requests(connection) {
        let headers = settings.requests.get(&address).map(|of| Header::all(of.headers.iter())).unwrap_or_default();
        let path = if path.is_empty() && server.base.is_empty() { "/".to_owned() } else { path };
        let sent = Sent { method: Method::Get, path: path.clone(), headers, body: Vec::new() };
        match timeout(within, client.connect()).await {
            Err(_) => return way.fails(format!("no connection within {} ms", within.as_millis())),
            Ok(Err(error)) => return way.fails(error.to_string()),
            Ok(Ok(())) => {}
        }
        let began = Instant::now();
        let answered = match client.exchange(&sent).await {
            Ok(answered) => answered,
            Err(error) => return way.fails(format!("GET {path}: {error}")),
        };
        let size = match &answered.body {
            Content::Whole(body) => format!("{} bytes", body.len()),
            Content::TooLong => "more than 4 MiB".to_owned(),
        };
        let name = if is_hidden { "GET".to_owned() } else { format!("GET {path}") };
        way.step(&name, format!("{}, {size}, round trip {}", answered.status, since(began)));
        if let Some(why) = refusal(answered.status, settings.user.is_some()) {
            // The paths after it have the same fate, or another one that is seen by another probe.
            return way.fails(format!("GET {path}: {why}"));
        }
    }
    way
}

/// Why an answer is of no use, and what to do.
fn refusal(status: StatusCode, has_user: bool) -> Option<String> {
    let why = match status {
        StatusCode::UNAUTHORIZED if has_user => "the server refuses the user; check `user` and `password`",
        StatusCode::UNAUTHORIZED => "the server wants a user; write `user` and `password`, or a header in `headers`",
        StatusCode::FORBIDDEN => {
            "the server forbids it to this user; give the user the right there, or write another one"
        }
        StatusCode::NOT_FOUND => "there is nothing; correct the path in the address of the tag, or `url`",
        StatusCode::METHOD_NOT_ALLOWED => "the server takes no GET there; name a request in `requests`",
        StatusCode::TOO_MANY_REQUESTS => "the server is asked too often; write a longer `poll`",
        status if status.is_server_error() => "the server has a fault; see its log",
        status if status.is_redirection() => "the server sends to another place; write that in `url`",
        status if status.is_success() => return None,
        _ => "the server refuses the request",
    };
    Some(format!("{why} ({status})"))
}
