//! The route from the network module to the CPU: pairs of a port and a link address. Pure.

use std::fmt;

/// A route; without pairs the device itself is the CPU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Route(Vec<Hop>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Hop {
    port: u16,
    link: Link,
}

/// An address on the port: the slot of a backplane, or a host in the network of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    Number(u8),
    Text(String),
}

/// Fault of a route in words, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub message: String,
    pub help: String,
}

/// Bytes of a route are counted in one byte, in words.
const LONGEST: usize = 255 * 2;
/// Ports from here on are written in two bytes more.
const EXTENDED: u16 = 15;
const HAS_TEXT: u8 = 0x10;

impl Route {
    pub(crate) fn slot(slot: u8) -> Route {
        Route(vec![Hop { port: 1, link: Link::Number(slot) }])
    }

    /// Reads `1,0,2,192.168.5.2,1,0` or `none`.
    pub(crate) fn parse(text: &str) -> Result<Route, Fault> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(Route::default());
        }
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if !parts.len().is_multiple_of(2) {
            let message = format!("`{text}` has an odd number of parts ({})", parts.len());
            return Err(fault(message, "write pairs of port and link, as 1,0; or none for a CPU without a backplane"));
        }
        let route = Route(parts.chunks_exact(2).map(|pair| hop(pair[0], pair[1])).collect::<Result<_, Fault>>()?);
        if route.bytes().len() > LONGEST {
            return Err(fault(format!("`{text}` is too long"), "write at most as many pairs as there are networks"));
        }
        Ok(route)
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments of a request, without their length.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for Hop { port, link } in &self.0 {
            let flag = if matches!(link, Link::Text(_)) { HAS_TEXT } else { 0 };
            let small = u8::try_from(*port).ok().filter(|_| *port < EXTENDED);
            out.push(small.unwrap_or(15) | flag);
            if let Link::Text(text) = link {
                out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            }
            if small.is_none() {
                out.extend(port.to_le_bytes());
            }
            match link {
                Link::Number(number) => out.push(*number),
                Link::Text(text) => out.extend(text.as_bytes()),
            }
            if !out.len().is_multiple_of(2) {
                out.push(0);
            }
        }
        out
    }
}

fn fault(message: String, help: &str) -> Fault {
    Fault { message, help: help.to_owned() }
}

fn hop(port: &str, link: &str) -> Result<Hop, Fault> {
    let number = port.parse::<u16>().ok().filter(|port| *port > 0);
    let Some(number) = number else {
        return Err(fault(format!("`{port}` is no port"), "1 is the backplane, 2 and more are networks"));
    };
    let link = match link.parse::<u64>() {
        Ok(slot) => Link::Number(u8::try_from(slot).map_err(|_| {
            fault(
                format!("link {link} is out of range 0..255"),
                "write the slot, or the IP address in the network of the port",
            )
        })?),
        Err(_) => {
            let is_host = !link.is_empty()
                && link.len() < 64
                && link.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'));
            if !is_host {
                let help = "write a slot, as 0, or an IP address, as 192.168.5.2";
                return Err(fault(format!("`{link}` is no link address"), help));
            }
            Link::Text(link.to_owned())
        }
    };
    Ok(Hop { port: number, link })
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, Hop { port, link }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match link {
                Link::Number(number) => write!(f, "{comma}{port},{number}")?,
                Link::Text(text) => write!(f, "{comma}{port},{text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_the_bytes_of_port_segments() {
        for (text, shown, wanted) in [
            ("none", "none", vec![]),
            ("1,0", "1,0", vec![1, 0]),
            ("1, 5 ,2,3", "1,5,2,3", vec![1, 5, 2, 3]),
            ("18,1", "18,1", vec![15, 18, 0, 1]),
            ("2,10.0.0.5,1,0", "2,10.0.0.5,1,0", [&[0x12, 8][..], b"10.0.0.5", &[1, 0]].concat()),
            ("2,10.0.0.15", "2,10.0.0.15", [&[0x12, 9][..], b"10.0.0.15", &[0]].concat()),
        ] {
            let route = Route::parse(text).expect(text);
            assert_eq!((route.to_string().as_str(), route.bytes()), (shown, wanted), "{text}");
        }
        assert_eq!(Route::slot(3), Route::parse("1,3").expect("a route"));
    }

    #[test]
    fn a_wrong_route_is_refused_in_words() {
        for (text, words) in [
            ("1", "odd number of parts"),
            ("1,0,2", "odd number of parts"),
            ("", "odd number of parts"),
            ("0,1", "`0` is no port"),
            ("a,1", "`a` is no port"),
            ("1,256", "out of range 0..255"),
            ("2,10 0", "is no link address"),
            ("1,", "is no link address"),
        ] {
            let fault = Route::parse(text).expect_err(text);
            assert!(fault.message.contains(words), "{text}: {}", fault.message);
        }
    }
}
