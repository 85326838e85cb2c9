//! `url:` of a connection: `opc.tcp://HOST:PORT/PATH`.

use std::net::{IpAddr, SocketAddr};

/// The standard's own port.
const PORT: u16 = 4840;
/// Bytes of an EndpointUrl, at most (Part 6 §7.1.2.3, 1.05).
const MAX_URL: usize = 4096;
const FORM: &str = "write opc.tcp://HOST:4840, and after it the path of the endpoint if it has one";

/// A place to dial, and the text that the server is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// Without brackets.
    pub host: String,
    pub port: u16,
    /// As it was written, the port included.
    pub text: String,
}

/// A mistake in a URL, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub message: String,
    pub help: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Url, Fault> {
        let refused = |message: String| Fault { message, help: FORM.to_owned() };
        let Some((scheme, rest)) = text.split_once("://") else {
            let help = if text.is_empty() { FORM.to_owned() } else { format!("write opc.tcp://{text}") };
            return Err(Fault { message: format!("`{text}` is not opc.tcp://"), help });
        };
        if !scheme.eq_ignore_ascii_case("opc.tcp") {
            return Err(refused(format!("`{text}` is not opc.tcp://")));
        }
        if text.len() > MAX_URL || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refused(format!("`{text}` is no URL")));
        }
        let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if place.contains('@') {
            let help = "write the name into `user` and the password into `password`".to_owned();
            return Err(Fault { message: format!("`{text}` names a user"), help });
        }
        let (host, port) = split_port(place).ok_or_else(|| refused(format!("`{text}` has no host with a port")))?;
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Ok(Url { text: format!("opc.tcp://{shown}:{port}{path}"), host: host.to_owned(), port })
    }

    /// Whether a server that listens there, by these names, is the one that is meant: as far as that can be told without a
    /// look at the network.
    pub(super) fn leads_to(&self, listen: &[SocketAddr], names: &[String]) -> bool {
        let host = if self.host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { &self.host };
        let is_place = |listen: &SocketAddr| match host.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => listen.ip().is_loopback() || listen.ip().is_unspecified(),
            Ok(address) => address == listen.ip(),
            Err(_) => names.iter().any(|name| name.eq_ignore_ascii_case(host)),
        };
        listen.iter().any(|listen| listen.port() == self.port && is_place(listen))
    }

    /// Host and port as a key: case does not matter, and this host has three names.
    pub(super) fn place(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        let host = match host.as_str() {
            "localhost" | "::1" => "127.0.0.1",
            host => host,
        };
        format!("{host}:{}", self.port)
    }
}

/// Host and port; an IPv6 address has brackets.
fn split_port(place: &str) -> Option<(&str, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")))
        }
        None => place.split_once(':').map_or((place, Some("")), |(host, port)| (host, Some(port))),
    };
    let port = match port? {
        "" => PORT,
        digits => digits.parse().ok().filter(|port| *port != 0)?,
    };
    let is_host = !host.is_empty() && !host.contains(['\\', '"', '\'', '?', '#', ',']);
    is_host.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_host_and_port_or_says_what_to_write() {
        for (text, host, port, whole) in [
            ("opc.tcp://plc1", "plc1", 4840, "opc.tcp://plc1:4840"),
            ("opc.tcp://10.0.0.5:48010/a/b", "10.0.0.5", 48010, "opc.tcp://10.0.0.5:48010/a/b"),
            ("OPC.TCP://[fe80::1]:4841", "fe80::1", 4841, "opc.tcp://[fe80::1]:4841"),
            ("opc.tcp://x/", "x", 4840, "opc.tcp://x:4840/"),
        ] {
            let url = Url { host: host.into(), port, text: whole.into() };
            assert_eq!(Url::parse(text), Ok(url), "{text}");
        }
        for (text, word) in [
            ("", "is not opc.tcp://"),
            ("plc1:4840", "is not opc.tcp://"),
            ("http://plc1", "is not opc.tcp://"),
            ("opc.tcp://", "no host"),
            ("opc.tcp://plc1:0", "no host"),
            ("opc.tcp://plc1:70000", "no host"),
            ("opc.tcp://[x]:1", "no host"),
            ("opc.tcp://a:b@plc1", "names a user"),
            ("opc.tcp://plc 1", "no URL"),
        ] {
            let fault = Url::parse(text).expect_err(text);
            assert!(fault.message.contains(word), "{text}: {fault:?}");
        }
        assert_eq!(Url::parse("opc.tcp://LOCALHOST").map(|url| url.place()), Ok("127.0.0.1:4840".to_owned()));
    }

    #[test]
    fn a_url_that_leads_to_the_server_itself_is_seen() {
        let names = ["Press.plant".to_owned()];
        for (listen, url, wanted) in [
            ("127.0.0.1:4840", "opc.tcp://localhost", true),
            ("0.0.0.0:4840", "opc.tcp://127.0.0.2:4840/a", true),
            ("[::]:4840", "opc.tcp://[::1]", true),
            ("10.0.0.5:4841", "opc.tcp://10.0.0.5:4841", true),
            ("0.0.0.0:4841", "opc.tcp://press.PLANT:4841", true),
            ("127.0.0.1:4841", "opc.tcp://localhost", false),
            ("10.0.0.5:4840", "opc.tcp://localhost", false),
            ("0.0.0.0:4840", "opc.tcp://10.0.0.6", false),
            ("0.0.0.0:4840", "opc.tcp://plc1", false),
        ] {
            let listen = [listen.parse().expect("an address")];
            let url_of = Url::parse(url).expect("a URL");
            assert_eq!(url_of.leads_to(&listen, &names), wanted, "{url} of a server at {listen:?}");
        }
    }
}
