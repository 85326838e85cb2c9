//! `host:` of a connection: a name or an IP address, and nothing else.

use std::net::{IpAddr, Ipv6Addr};

use serde::de::{Deserialize, Deserializer, Error};

/// Reads a host. A text that is no host is refused with `the fault | the remedy`. An empty text passes: it also replaces a
/// missing key, which the cell's compiler reports.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let host = String::deserialize(from)?;
    match fault(&host).filter(|_| !host.is_empty()) {
        None => Ok(host),
        Some(text) => Err(D::Error::custom(text)),
    }
}

/// Names of one host compare equal: case does not matter, and this host has three names.
pub(crate) fn plain_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "localhost" | "::1" | "[::1]" => "127.0.0.1".to_owned(),
        _ => host,
    }
}

fn fault(host: &str) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    if host.trim().is_empty() {
        return Some("`host` is blank | write the name or the IP address of the device".to_owned());
    }
    let (scheme, rest) = host.split_once("://").map_or((None, host), |(scheme, rest)| (Some(scheme), rest));
    let rest = rest.split('/').next().unwrap_or(rest);
    if scheme.is_some() || host.contains('/') {
        let help = parts(rest).unwrap_or_else(|| format!("write `host: {rest}`"));
        let what = if scheme.is_some() { "a URL" } else { "no host name" };
        return Some(format!("`{host}` is {what} | {help}"));
    }
    if let Some(help) = parts(host) {
        return Some(format!("`{host}` holds a port | {help}"));
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return Some(format!("`{host}` has brackets | write `host: \"{inner}\"`"));
    }
    let looks_numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if looks_numeric || host.contains(':') {
        return Some(format!("`{host}` is not an IP address | write four numbers of 0 to 255, as 192.168.0.10"));
    }
    if host.contains(char::is_whitespace) || host.contains(|c: char| c.is_control() || "@\\,;\"'".contains(c)) {
        return Some(format!("`{host}` is no host name | a host name has letters, digits, `-` and `.`"));
    }
    let labels = host.strip_suffix('.').unwrap_or(host).split('.');
    let impossible =
        |label: &str| label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-');
    if host.len() > 253 || labels.into_iter().any(impossible) {
        return Some(format!("`{host}` is no host name | its parts between dots have 1 to 63 letters"));
    }
    None
}

/// The right keys for `host:port`.
fn parts(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !plain.contains(':') || plain.parse::<Ipv6Addr>().is_ok() && plain != host;
    (is_host && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| format!("write `host: {plain}` and `port: {port}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_can_never_be_opened_is_refused_and_the_right_words_are_shown() {
        for good in ["10.0.0.5", "plc-1.press.local", "plc_1", "::1", "fe80::1", "localhost", "plc.", "3com.example"] {
            assert_eq!(fault(good), None, "{good}");
        }
        for (wrong, word) in [
            ("", "blank"),
            ("  ", "blank"),
            ("10.0.0.5:502", "write `host: 10.0.0.5` and `port: 502`"),
            ("plc1:1502", "write `host: plc1` and `port: 1502`"),
            ("[fe80::1]:502", "write `host: fe80::1` and `port: 502`"),
            ("[::1]", "brackets"),
            ("tcp://10.0.0.5:502", "write `host: 10.0.0.5` and `port: 502`"),
            ("http://plc1/index", "write `host: plc1`"),
            ("10.0.0.5/24", "write `host: 10.0.0.5`"),
            ("10.0.0.256", "not an IP address"),
            ("10.0.0", "not an IP address"),
            ("1.2.3.4.5", "not an IP address"),
            ("1:2:3", "not an IP address"),
            ("plc 1", "no host name"),
            ("user@plc", "no host name"),
            ("a..b", "no host name"),
            ("-plc", "no host name"),
        ] {
            assert!(fault(wrong).is_some_and(|text| text.contains(word)), "{wrong}: {:?}", fault(wrong));
        }
    }
}
