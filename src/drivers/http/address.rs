//! Urls, addresses and targets of writes. Pure.

use std::ops::Range;

use super::settings::{HttpSettings, Method};

/// Something that is wrong in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: Range<usize>,
    pub message: String,
    pub help: String,
}

/// The server of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Server {
    pub is_tls: bool,
    pub host: String,
    pub port: u16,
    /// Path of the url, without a slash at its end.
    pub base: String,
}

impl Server {
    pub(super) fn parse(url: &str) -> Result<Server, Fault> {
        let fault = |message: String| Fault {
            at: 0..url.len(),
            message,
            help: "write http://HOST, or https://HOST:PORT".to_owned(),
        };
        let (is_tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(fault(format!("`{url}` is not http(s)"))),
        };
        if url.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(fault(format!("`{}` has a blank or a control character", url.escape_debug())));
        }
        let (place, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains(['?', '#']) {
            let help = "write the query in the address of a tag: `/status?unit=3`".to_owned();
            return Err(Fault { help, ..fault("a url has no query here".to_owned()) });
        }
        if place.contains('@') {
            let help = "write `user` and `password` as keys".to_owned();
            return Err(Fault { help, ..fault("a user inside the url".to_owned()) });
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let number = port.parse::<u16>().ok().filter(|port| *port > 0);
                (host, number.ok_or_else(|| fault(format!("`{port}` is no TCP port")))?)
            }
            _ => (place, if is_tls { 443 } else { 80 }),
        };
        if host.is_empty() {
            return Err(fault(format!("`{url}` names no host")));
        }
        Ok(Server { is_tls, host: host.to_owned(), port, base: path.trim_end_matches('/').to_owned() })
    }

    /// The name for the Host header.
    pub(super) fn authority(&self) -> String {
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The host without the brackets of an IPv6 address.
    pub(super) fn plain_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// The target of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub method: Method,
    pub path: String,
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Target, Fault> {
        let fault = |message: String, help: String| Fault { at: 0..text.len(), message, help };
        let (method, path) = match text.split_once(' ') {
            Some(parts) => parts,
            None => {
                let path = if text.starts_with('/') { text } else { "/PATH" };
                return Err(fault("a write needs its method".to_owned(), format!("write the method: PUT {path}")));
            }
        };
        let method = match method {
            "PUT" => Method::Put,
            "POST" => Method::Post,
            other => {
                let help = format!("write PUT {0} or POST {0}", path.trim());
                return Err(fault(format!("`{other}` writes nothing"), help));
            }
        };
        check_path(path.trim()).map_err(|no| fault(no.message, no.help))?;
        Ok(Target { method, path: path.trim().to_owned() })
    }
}

/// A path with its query, as a request line has it.
pub(super) fn check_path(path: &str) -> Result<(), Fault> {
    let fault = |at: Range<usize>, message: String, help: &str| Err(Fault { at, message, help: help.to_owned() });
    if !path.starts_with('/') {
        return fault(0..path.len(), format!("`{path}` is no path"), &format!("a path begins with `/`: /{path}"));
    }
    if let Some(at) = path.find(|c: char| !c.is_ascii_graphic()) {
        let sign = path[at..].chars().next().unwrap_or(' ');
        let help = "write it with percent: %20 for a blank";
        return fault(at..at + sign.len_utf8(), format!("`{}` cannot be in a path", sign.escape_debug()), help);
    }
    match path.find('#') {
        Some(at) => fault(at..at + 1, "a part after `#` never reaches the server".to_owned(), "delete it"),
        None => Ok(()),
    }
}

/// An address: a path, or a name of `requests`. Without settings any name is taken.
pub(super) fn check_address(text: &str, settings: Option<&HttpSettings>) -> Result<(), Fault> {
    if text.starts_with('/') {
        return check_path(text);
    }
    let Some(settings) = settings.filter(|settings| !settings.requests.contains_key(text)) else {
        return if text.trim().is_empty() { check_path(text) } else { Ok(()) };
    };
    let names: Vec<&str> = settings.requests.keys().map(String::as_str).collect();
    let known = if names.is_empty() { String::new() } else { format!("; requests: {}", names.join(", ")) };
    Err(Fault {
        at: 0..text.len(),
        message: format!("`{text}` is no path, and no request of this connection"),
        help: format!("a path begins with `/`: /{text}{known}"),
    })
}
