//! `opcell probe` of a server: each step of the way from its name to an active session.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::OpcUaClient;
use super::attributes::{Attribute, VALUE, read_values, write_read};
use super::client::Client;
use super::discovery::{ANONYMOUS, CERTIFICATE, Endpoint, USER_NAME};
use super::open::client_of;
use super::setup::standard;
use crate::drivers::contract::LinkError;
use crate::drivers::driver::ConnectionOf;
use crate::drivers::push::Push;
use crate::drivers::reading::Way;
use crate::drivers::way::{Dial, since};
use crate::stack::crypto::{Policy, certificate};
use crate::value::{Value, is_plain};

/// State, ProductName and SoftwareVersion of the server.
const SERVER: [u32; 3] = [2259, 2261, 2264];
/// Time to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// Letters of what a server says of itself.
const MOST_SAID: usize = 100;

pub(super) async fn probe(connection: ConnectionOf<'_, OpcUaClient>) -> Way {
    let mut way = Way::default();
    let mut client = client_of(&[connection], Vec::new());
    let within = connection.plan.timeout.max(Duration::from_secs(1));
    let url = client.config.url.clone();
    let is_hidden = connection.settings.hides_url;
    let dial = Dial { what: "server", host: &url.host, port: url.port, key: "url", is_hidden, within };
    if let Err(why) = dial.reach(&mut way).await {
        return way.fails(why);
    }
    let began = Instant::now();
    let endpoints = match timeout(client.connect_within(), client.endpoints()).await {
        Ok(Ok(endpoints)) => endpoints,
        Ok(Err(error)) => return way.fails(format!("no list of endpoints: {error}; is it a server of OPC UA?")),
        Err(_) => return way.fails("no list of endpoints came; is it a server of OPC UA?"),
    };
    way.step("endpoints", format!("{} in {}", endpoints.len(), since(began)));
    for endpoint in &endpoints {
        way.step("offered", shown(endpoint));
    }
    let chosen = match super::discovery::choose(endpoints, client.config.wish()) {
        Ok(chosen) => chosen,
        Err(why) => return way.fails(why),
    };
    way.step("chosen", format!("{} {:?}", chosen.policy().name(), chosen.mode()));
    if let Some(leaf) = certificate::leaf(&chosen.certificate).filter(|_| !is_hidden) {
        way.certificate(leaf);
    }
    if chosen.policy() != Policy::None {
        match client.trusted(&chosen) {
            Ok(_) => way.step("trust", "the certificate is trusted here"),
            Err(error) => {
                let help = "if the certificate is the server's: opcell pki trust WHICH, with its name or the beginning of its thumbprint";
                return way.fails(format!("the server's certificate is refused: {error}; {help}"));
            }
        }
    }
    let began = Instant::now();
    match timeout(client.connect_within(), client.connect()).await {
        Ok(Ok(())) => {}
        Ok(Err(LinkError::Denied(why))) => {
            return way.fails(format!("{why}; check `user` and `password`, or `user_certificate`"));
        }
        Ok(Err(error)) => return way.fails(error.to_string()),
        Err(_) => return way.fails("no session came in time"),
    }
    let user = match client.config.user() {
        super::login::User::Name { .. } => "the user is accepted",
        super::login::User::Certificate(_) => "the user's certificate is accepted",
        super::login::User::Anonymous => "an anonymous user is accepted",
    };
    way.step("session", format!("{user}, in {}", since(began)));
    let failure = look(&mut client, &mut way).await.err();
    drop(timeout(GOODBYE, client.disconnect()).await);
    Way { failure, ..way }
}

/// One Read: the round trip, and what the server says of itself.
async fn look(client: &mut Client, way: &mut Way) -> Result<(), String> {
    let nodes = SERVER.map(standard);
    let (began, limit) = (Instant::now(), client.patience());
    let asked = client.ask(limit, |out, head| {
        write_read(out, head, nodes.iter().map(|node| Attribute { node, id: VALUE }));
        Ok(())
    });
    let body = asked.await.map_err(|error| error.to_string())?.map_err(|code| format!("the server answers {code}"))?;
    way.step("round trip", since(began));
    let values = read_values(&body, nodes.len()).map_err(|fault| format!("the server answers {}", fault.code()))?;
    let mut said = String::new();
    for value in values[1..].iter().filter_map(|read| read.value.as_ref()) {
        if let Value::String(text) = value {
            let text: String = text.chars().filter(|letter| is_plain(*letter)).take(MOST_SAID).collect();
            write!(said, "{}{text}", if said.is_empty() { "" } else { " " }).expect("a String takes all");
        }
    }
    if !said.trim().is_empty() {
        way.step("server", said);
    }
    let state = values[0].value.as_ref().and_then(Value::as_integer);
    match state {
        Some(0) => Ok(()),
        Some(state) => Err(format!("the server is not running: its state is {state} (ServerStatus.State)")),
        None => Ok(()),
    }
}

/// Policy, mode and users of an endpoint.
fn shown(endpoint: &Endpoint) -> String {
    let policy = endpoint.policy.map_or("a policy that is not known here", Policy::name);
    let mode = endpoint.mode.map_or_else(|| "?".to_owned(), |mode| format!("{mode:?}"));
    let kinds = [(ANONYMOUS, "anonymous"), (USER_NAME, "user name"), (CERTIFICATE, "certificate")];
    let users = kinds.iter().filter(|(kind, _)| endpoint.tokens.iter().any(|token| token.kind == *kind));
    let users: Vec<&str> = users.map(|(_, name)| *name).collect();
    format!("{policy} {mode}; users: {}", if users.is_empty() { "none".to_owned() } else { users.join(", ") })
}
