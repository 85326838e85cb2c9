//! `opcell probe` of a broker: each step of the way from its name to a session.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::connect::Options;
use super::packet::Version;
use super::session::Session;
use crate::drivers::contract::LinkError;
use crate::drivers::reading::Way;
use crate::drivers::tls::Reached;
use crate::drivers::way::{Dial, since};

impl Options {
    /// Looks at the way to the broker, and logs in at its end. The client id is one that no other client has.
    pub(crate) async fn probe(&self) -> Way {
        let mut way = Way::default();
        let within = self.timeout.max(Duration::from_secs(1));
        let (host, is_hidden) = (self.url.host.as_str(), self.hides("url"));
        let dial = Dial { what: "broker", host, port: self.url.port, key: "url", is_hidden, within };
        let stream = match dial.reach(&mut way).await {
            Ok(stream) => stream,
            Err(why) => return way.fails(why),
        };
        if !self.url.is_tls {
            drop(stream);
        } else {
            let began = Instant::now();
            let looked = timeout(within, self.files.look(Reached { what: "broker", host, is_hidden }, stream)).await;
            let Ok(looked) = looked else {
                let why = "the broker does not answer to TLS; is it the port of mqtt without TLS?";
                return way.fails(why);
            };
            if let Some(certificate) = looked.certificate.filter(|_| !is_hidden) {
                way.certificate(&certificate);
            }
            match looked.outcome {
                Ok(version) => way.step("TLS", format!("{version} in {}", since(began))),
                Err(error) => return way.fails(error.to_string()),
            }
        }
        let began = Instant::now();
        let session = match timeout(within, Session::open(self, None)).await {
            Err(_) => {
                let tls = if self.url.is_tls { "" } else { "; if it expects TLS, write mqtts://" };
                return way.fails(format!("no answer to CONNECT within {} ms{tls}", within.as_millis()));
            }
            Ok(Err(error @ LinkError::Denied(_))) => return way.fails(error.to_string()),
            Ok(Err(error)) => {
                let tls = if self.url.is_tls { "" } else { "; if the broker expects TLS, write mqtts://" };
                return way.fails(format!("{error}{tls}"));
            }
            Ok(Ok(session)) => session,
        };
        let version = match self.version {
            Version::V311 => "MQTT 3.1.1",
            Version::V5 => "MQTT 5",
        };
        let user = match &self.user {
            Some(_) if self.hides("user") => "the user is accepted".to_owned(),
            Some(user) => format!("user \"{user}\" is accepted"),
            None => "a client without a user is accepted".to_owned(),
        };
        way.step("login", format!("{version}, {user}, round trip {}", since(began)));
        let facts = session.facts();
        let retain = if facts.has_retain { "retained messages" } else { "no retained messages" };
        way.step("broker", format!("QoS up to {}, {retain}", facts.max_qos));
        drop(timeout(within, session.close()).await);
        way
    }
}
