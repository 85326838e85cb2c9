//! The address in an endpoint's URL, as far as it can be proved which one a client came to.

use std::net::{IpAddr, SocketAddr};

/// `opc.tcp://host:port`; what follows is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `None` for a host name, which means every address of this host.
    pub address: Option<IpAddr>,
    pub port: u16,
}

const PORT: u16 = 4840;

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Option<Endpoint> {
        let rest = url.strip_prefix("opc.tcp://")?;
        let place = rest.split('/').next().filter(|place| !place.is_empty())?;
        let (host, port) = match place.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, port.strip_prefix(':'))
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(PORT), |port| port.parse().ok())?;
        let is_name =
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if address.is_none() && !is_name { None } else { Some(Endpoint { address, port }) }
    }

    /// Whether a connection whose near end this is came to the endpoint. What the client says it dialled is no proof.
    pub(crate) fn is_at(&self, near: SocketAddr) -> bool {
        self.port == near.port() && self.address.is_none_or(|address| address == near.ip().to_canonical())
    }

    /// Whether something that listens there can be it; port 0 is one that is not known yet.
    pub(crate) fn may_be(&self, listen: SocketAddr) -> bool {
        let is_address =
            listen.ip().is_unspecified() || self.address.is_none_or(|address| address == listen.ip().to_canonical());
        is_address && (listen.port() == 0 || listen.port() == self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_where_the_connection_ends_not_what_the_client_says() {
        //   url, near end, is at
        for (url, near, is_at) in [
            ("opc.tcp://10.0.0.1:4840", "10.0.0.1:4840", true),
            ("opc.tcp://10.0.0.1", "10.0.0.1:4840", true),
            ("opc.tcp://10.0.0.1:4840/path", "[::ffff:10.0.0.1]:4840", true),
            ("opc.tcp://10.0.0.1:4840", "10.0.0.2:4840", false),
            ("opc.tcp://10.0.0.1:4841", "10.0.0.1:4840", false),
            ("opc.tcp://[fd00::1]:4840", "[fd00::1]:4840", true),
            ("opc.tcp://cell:4840", "10.0.0.2:4840", true),
            ("opc.tcp://cell:4841", "10.0.0.2:4840", false),
        ] {
            let endpoint = Endpoint::parse(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(endpoint.is_at(near.parse().expect("an address")), is_at, "{url} at {near}");
        }
        for url in
            ["", "cell:4840", "http://cell", "opc.tcp://", "opc.tcp://cell:x", "opc.tcp://[fd00::1", "opc.tcp://a b"]
        {
            assert_eq!(Endpoint::parse(url), None, "{url}");
        }
    }

    #[test]
    fn an_endpoint_that_nobody_listens_at_is_found() {
        for (url, listen, may_be) in [
            ("opc.tcp://10.0.0.1:4840", "0.0.0.0:4840", true),
            ("opc.tcp://10.0.0.1:4840", "10.0.0.2:4840", false),
            ("opc.tcp://10.0.0.1:4841", "0.0.0.0:4840", false),
            ("opc.tcp://10.0.0.1:4841", "0.0.0.0:0", true),
        ] {
            let endpoint = Endpoint::parse(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(endpoint.may_be(listen.parse().expect("an address")), may_be, "{url} at {listen}");
        }
    }
}
