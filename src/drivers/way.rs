//! The first steps of `opcell probe` on the way to a device: its name, its port, its certificate.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::reading::Way;
use crate::stack::crypto::Summary;
use crate::value::{UaTime, time_to_text};

/// Seconds of a day, and days before its end at which a certificate is worth a word.
const DAY: i64 = 86_400;
const SOON: i64 = 30;

/// Where a device is dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dial<'a> {
    /// Kind of the device, as "broker".
    pub what: &'static str,
    pub host: &'a str,
    pub port: u16,
    /// The key of the settings that says where it is.
    pub key: &'static str,
    /// The host came from outside of the cell file: no message may show it.
    pub is_hidden: bool,
    pub within: Duration,
}

/// Milliseconds since a moment, as text.
pub(crate) fn since(began: Instant) -> String {
    let micros = began.elapsed().as_micros();
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}

impl Dial<'_> {
    fn host(&self) -> String {
        if self.is_hidden { format!("the host of `{}`", self.key) } else { format!("`{}`", self.host) }
    }

    fn shown(&self, address: SocketAddr) -> String {
        if self.is_hidden { format!("port {} of {}", self.port, self.host()) } else { address.to_string() }
    }

    /// Resolves the name and opens a connection; the steps go into `way`, the error says why it ends.
    pub(crate) async fn reach(self, way: &mut Way) -> Result<TcpStream, String> {
        let addresses = self.resolve(way).await?;
        let mut why = format!("{} has no address", self.host());
        for address in addresses {
            let began = Instant::now();
            match timeout(self.within, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    way.step("TCP", format!("{} in {}", self.shown(address), since(began)));
                    return Ok(stream);
                }
                Ok(Err(error)) => why = self.refused(address, &error),
                Err(_) => {
                    let limit = self.within.as_millis();
                    let place = self.shown(address);
                    why = format!(
                        "{place} does not answer within {limit} ms; check cable, route and firewall, or raise `timeout`"
                    );
                }
            }
        }
        Err(why)
    }

    async fn resolve(self, way: &mut Way) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let began = Instant::now();
        let found = timeout(self.within, lookup_host((self.host, self.port))).await;
        let help = format!("correct `{}`, ask the DNS server for it, or write an IP address", self.key);
        let addresses: Vec<SocketAddr> = match found {
            Err(_) => return Err(format!("the name of {} is not resolved in time; {help}", self.host())),
            Ok(Err(error)) => {
                let said = if self.is_hidden { String::new() } else { format!(" ({error})") };
                return Err(format!("the name of {} is not known here{said}; {help}", self.host()));
            }
            Ok(Ok(found)) => found.collect(),
        };
        if !self.is_hidden {
            let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            way.step("name", format!("{} is {} in {}", self.host(), all.join(", "), since(began)));
        }
        Ok(addresses)
    }

    fn refused(&self, address: SocketAddr, error: &std::io::Error) -> String {
        let place = self.shown(address);
        match error.kind() {
            ErrorKind::ConnectionRefused => {
                let Dial { what, key, .. } = self;
                format!("nothing listens on {place}; check the port in `{key}`, and whether the {what} runs")
            }
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                format!("there is no way to {place} ({error}); check cable, address and route")
            }
            _ => format!("{place} cannot be reached ({error})"),
        }
    }
}

impl Way {
    /// Shows a certificate of a peer.
    pub(crate) fn certificate(&mut self, der: &[u8]) {
        let Some(summary) = Summary::of(der) else {
            return self.step("certificate", "it cannot be read");
        };
        let Summary { subject, issuer, names, not_before, not_after } = summary;
        let names = if names.is_empty() { String::new() } else { format!("; names {}", names.join(", ")) };
        self.step("certificate", format!("{subject}{names}"));
        self.step("signed by", if issuer == subject { "itself".to_owned() } else { issuer });
        let now = UaTime::now().unix_seconds();
        let text = |unix: i64| {
            let seconds = u64::try_from(unix).unwrap_or(0);
            time_to_text(UaTime::from_unix(Duration::from_secs(seconds)))
        };
        let days = (not_after - now) / DAY;
        let said = match now {
            now if now < not_before => format!("not before {}: is the clock of this host right?", text(not_before)),
            now if now > not_after => format!("it ended on {}", text(not_after)),
            _ if days < SOON => format!("until {}, which is in {days} days: renew it soon", text(not_after)),
            _ => format!("until {}", text(not_after)),
        };
        self.step("valid", said);
    }
}
