//! The url of a broker: `mqtt://host:1883` or `mqtts://host:8883`.

/// Place of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Url {
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

/// The fault of a text that is no url of a broker: the message, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoUrl {
    pub message: String,
    pub help: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Url, NoUrl> {
        let no = |message: String, help: String| NoUrl { message, help };
        let Some((scheme, rest)) = text.split_once("://") else {
            let scheme = if text.ends_with(":8883") { "mqtts" } else { "mqtt" };
            let host = if text.is_empty() { "broker" } else { text };
            return Err(no(format!("`{text}` is not a URI"), format!("write {scheme}://{host}")));
        };
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => false,
            "mqtts" => true,
            "tcp" => return Err(no("`tcp` is not known here".to_owned(), format!("write mqtt://{rest}"))),
            "ssl" | "tls" => return Err(no(format!("`{scheme}` is not known here"), format!("write mqtts://{rest}"))),
            "ws" | "wss" => {
                let help = "write mqtt:// or mqtts:// with the port for clients without a browser".to_owned();
                return Err(no("MQTT over WebSocket is not in this version".to_owned(), help));
            }
            _ => return Err(no(format!("`{scheme}` is no scheme of MQTT"), format!("write mqtt://{rest}"))),
        };
        if rest.contains('@') {
            let help = "write `user`, and `password` as ${env:…} or ${file:…}".to_owned();
            return Err(no("a url holds no user and no password".to_owned(), help));
        }
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.contains(['/', '?', '#']) {
            let host = place.split(['/', '?', '#']).next().unwrap_or_default();
            return Err(no("a broker has no path".to_owned(), format!("write {scheme}://{host}")));
        }
        let usual = if is_tls { 8883 } else { 1883 };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (place, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(no(format!("`{host}` is an IPv6 address"), format!("write {scheme}://[{host}]:{usual}")));
        }
        let host = bare.unwrap_or(host);
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(no(format!("`{text}` has no host"), format!("write {scheme}://broker:{usual}")));
        }
        let port = match port {
            None => usual,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| no(format!("`{port}` is no port"), format!("write {scheme}://{host}:{usual}")))?,
        };
        Ok(Url { host: host.to_owned(), port, is_tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_scheme_host_and_port() {
        let url = |host: &str, port, is_tls| Ok(Url { host: host.to_owned(), port, is_tls });
        assert_eq!(Url::parse("mqtt://broker"), url("broker", 1883, false));
        assert_eq!(Url::parse("mqtt://10.0.0.7:1884/"), url("10.0.0.7", 1884, false));
        assert_eq!(Url::parse("mqtts://broker"), url("broker", 8883, true));
        assert_eq!(Url::parse("mqtt://[::1]:1884"), url("::1", 1884, false));
        assert_eq!(Url::parse("mqtt://[::1]"), url("::1", 1883, false));
        for (text, help) in [
            ("broker:1883", "write mqtt://broker:1883"),
            ("broker:8883", "write mqtts://broker:8883"),
            ("tcp://broker:1883", "write mqtt://broker:1883"),
            ("ssl://broker", "write mqtts://broker"),
            ("mqtt://a:b@broker", "write `user`, and `password` as ${env:…} or ${file:…}"),
            ("mqtt://broker/x", "write mqtt://broker"),
            ("mqtt://:1883", "write mqtt://broker:1883"),
            ("mqtt://broker:99999", "write mqtt://broker:1883"),
            ("mqtt://::1", "write mqtt://[:]:1883"),
        ] {
            match Url::parse(text) {
                Err(no) if text != "mqtt://::1" => assert_eq!(no.help, help, "{text}"),
                other => assert!(text == "mqtt://::1" && other.is_err(), "{text} gives {other:?}"),
            }
        }
    }
}
