//! Discovery service set (Part 4 §5.5, 1.05): FindServers and GetEndpoints, open to all clients over policy None.
//!
//! Endpoints carry the URL that the client dialled, so that NAT, containers and several names just work; the list
//! for one URL is the same in GetEndpoints and CreateSession.

use opcua::StatusCode;

use super::Visit;
use crate::model::Roles;
use crate::stack::codec::{LocalizedTextRef, Reader, Writer};
use crate::stack::crypto::{Identity, MessageSecurityMode, Policy};
use crate::ua::application::PRODUCT_URI;
use crate::ua::server::Server;

const TRANSPORT_PROFILE: &str = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary";

pub(crate) fn find_servers(visit: &Visit<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let server = visit.server;
    let url = reader.text()?;
    for _ in 0..reader.count(4)? {
        reader.string()?;
    }
    let count = reader.count(4)?;
    let mut is_wanted = count == 0;
    for _ in 0..count {
        is_wanted |= reader.text()? == server.application.uri;
    }
    visit.request.head.write(w);
    w.count(usize::from(is_wanted));
    if is_wanted {
        write_application(server, &urls(server, url), w);
    }
    Ok(())
}

pub(crate) fn get_endpoints(visit: &Visit<'_>, reader: &mut Reader<'_>, w: &mut Writer) -> Result<(), StatusCode> {
    let server = visit.server;
    let url = reader.text()?;
    for _ in 0..reader.count(4)? {
        reader.string()?;
    }
    let count = reader.count(4)?;
    let mut is_wanted = count == 0;
    for _ in 0..count {
        is_wanted |= reader.text()? == TRANSPORT_PROFILE;
    }
    visit.request.head.write(w);
    if is_wanted {
        write_endpoints(server, server.channels.identities.newest().as_deref(), url, w);
    } else {
        w.count(0);
    }
    Ok(())
}

/// The URLs of this server for a client that dialled `url`: that one to the letter, for some clients connect a second
/// time when they get another one (open62541's does for a `/` at the end).
fn urls(server: &Server, url: &str) -> Vec<String> {
    let dialled = dialled(url);
    let port = dialled.as_ref().and_then(|dialled| dialled.port).unwrap_or(server.application.port);
    let path = dialled.as_ref().map_or("", |dialled| dialled.path);
    let mut urls = vec![match &dialled {
        Some(dialled) => dialled.url(),
        None => format!("opc.tcp://{}:{port}", server.application.host),
    }];
    let is_told = |name: &str| dialled.as_ref().is_some_and(|dialled| dialled.host == name);
    for name in server.world().plan.advertise.iter().filter(|name| !is_told(name)) {
        let other = format!("opc.tcp://{name}:{port}{path}");
        if !urls.contains(&other) {
            urls.push(other);
        }
    }
    urls
}

/// An endpoint URL that may be repeated.
#[derive(Debug, PartialEq)]
struct Dialled<'a> {
    host: &'a str,
    port: Option<u16>,
    path: &'a str,
}

impl Dialled<'_> {
    fn url(&self) -> String {
        let port = self.port.map_or_else(String::new, |port| format!(":{port}"));
        format!("opc.tcp://{}{port}{}", self.host, self.path)
    }
}

/// Longest URL that is repeated, in bytes (Part 6 §7.1.2.3, 1.05: EndpointUrl of Hello).
const LONGEST_URL: usize = 4_096;

/// Takes an endpoint URL apart. An invalid host or port is never repeated, and neither is a path with odd
/// characters, nor the suffix `/discovery`: it leads to discovery only, and AVEVA's clients refuse it in an endpoint.
fn dialled(url: &str) -> Option<Dialled<'_>> {
    let rest = url.strip_prefix("opc.tcp://").filter(|_| url.len() <= LONGEST_URL)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (authority, None),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%');
    let is_path = path.chars().all(|c| is_plain(c) || matches!(c, '/' | '~' | '+' | '=' | '@' | ','));
    let path = if is_path { path.strip_suffix("/discovery").unwrap_or(path) } else { "" };
    let is_host =
        !host.is_empty() && host.len() <= 255 && host.chars().all(is_plain) && host != "0.0.0.0" && host != "[::]";
    is_host.then_some(Dialled { host, port, path })
}

/// An ApplicationDescription (Part 4 §7.2, 1.05).
fn write_application(server: &Server, urls: &[String], w: &mut Writer) {
    w.text(&server.application.uri);
    w.text(PRODUCT_URI);
    w.localized_text(LocalizedTextRef { locale: None, text: Some(&server.application.name) });
    w.i32(0); // Server
    w.string(None);
    w.string(None);
    w.count(urls.len());
    urls.iter().for_each(|url| w.text(url));
}

/// All endpoints for the URL that the client dialled, as an array of EndpointDescription (Part 4 §7.14, 1.05), with
/// the certificate `own`.
pub(crate) fn write_endpoints(server: &Server, own: Option<&Identity>, url: &str, w: &mut Writer) {
    let urls = urls(server, url);
    let kinds = kinds(server);
    w.count(urls.len() * kinds.len());
    for url in &urls {
        for kind in &kinds {
            write_endpoint(server, url, &urls, own, *kind, w);
        }
    }
}

/// Security of the channels to an endpoint.
#[derive(Debug, Clone, Copy)]
struct EndpointKind {
    policy: Policy,
    mode: MessageSecurityMode,
    /// SecurityLevel: more is stronger.
    level: u8,
}

/// Policy, mode and security level of each endpoint; clients that choose by level take the strongest.
fn kinds(server: &Server) -> Vec<EndpointKind> {
    let kind = |policy, mode, level| EndpointKind { policy, mode, level };
    let mut kinds = Vec::new();
    if server.world().plan.security.allow_unsecured {
        kinds.push(kind(Policy::None, MessageSecurityMode::None, 0));
    }
    for policy in server.channels.policies.load().iter() {
        let base = match policy {
            Policy::None => continue,
            Policy::Aes128_Sha256_RsaOaep => 50,
            Policy::Basic256Sha256 => 60,
            Policy::Aes256_Sha256_RsaPss => 70,
        };
        kinds.push(kind(*policy, MessageSecurityMode::Sign, base));
        kinds.push(kind(*policy, MessageSecurityMode::SignAndEncrypt, base + 100));
    }
    kinds
}

fn write_endpoint(
    server: &Server,
    url: &str,
    urls: &[String],
    own: Option<&Identity>,
    kind: EndpointKind,
    w: &mut Writer,
) {
    w.text(url);
    write_application(server, urls, w);
    w.bytes(own.map(Identity::chain));
    w.i32(kind.mode as i32);
    w.text(kind.policy.uri());
    write_token_policies(server, kind.policy, w);
    w.text(TRANSPORT_PROFILE);
    w.u8(kind.level);
}

/// The policy that protects user secrets on an endpoint: always one that encrypts.
pub(crate) fn token_policy(server: &Server, endpoint: Policy) -> Option<Policy> {
    if endpoint != Policy::None {
        return Some(endpoint);
    }
    server.channels.policies.load().iter().copied().find(|policy| *policy != Policy::None)
}

pub(crate) const ANONYMOUS: &str = "anonymous";
pub(crate) const USER_NAME: &str = "username";
pub(crate) const CERTIFICATE: &str = "certificate";

/// UserTokenPolicies (Part 4 §7.42, 1.05): the kinds of login that are offered.
fn write_token_policies(server: &Server, endpoint: Policy, w: &mut Writer) {
    let mut offered: Vec<(&str, i32)> = Vec::new();
    if server.users.accounts().anonymous != Roles::NONE {
        offered.push((ANONYMOUS, 0));
    }
    let protection = token_policy(server, endpoint).map(Policy::uri);
    if protection.is_some() {
        offered.push((USER_NAME, 1));
        offered.push((CERTIFICATE, 2));
    }
    w.count(offered.len());
    for (name, kind) in offered {
        w.text(name);
        w.i32(kind);
        w.string(None);
        w.string(None);
        w.string(protection.filter(|_| kind != 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_was_dialled_is_taken_apart_and_nothing_else_is_repeated() {
        for (url, expected) in [
            ("opc.tcp://plc-server:4840", Some(("plc-server", Some(4840), ""))),
            ("opc.tcp://plc-server:4840/", Some(("plc-server", Some(4840), "/"))),
            ("opc.tcp://10.0.0.5:48010/path/x", Some(("10.0.0.5", Some(48_010), "/path/x"))),
            ("opc.tcp://[fe80::1]:4840", Some(("[fe80::1]", Some(4840), ""))),
            ("opc.tcp://[fe80::1]", Some(("[fe80::1]", None, ""))),
            ("opc.tcp://Host/Line_3", Some(("Host", None, "/Line_3"))),
            ("opc.tcp://0.0.0.0:4840", None),
            ("opc.tcp://:4840", None),
            ("opc.tcp://a b:4840", None),
            ("opc.tcp://host:4840/discovery", Some(("host", Some(4840), ""))),
            ("opc.tcp://host:4840/line/discovery", Some(("host", Some(4840), "/line"))),
            ("opc.tcp://host:4840/a b", Some(("host", Some(4840), ""))),
            ("opc.tcp://host:4840/<script>", Some(("host", Some(4840), ""))),
            ("opc.tcp://host:4840?x", Some(("host", Some(4840), ""))),
            ("opc.tcp://host:99999", None),
            ("http://host:4840", None),
            ("", None),
        ] {
            let expected = expected.map(|(host, port, path)| Dialled { host, port, path });
            assert_eq!(dialled(url), expected, "{url}");
        }
        assert_eq!(dialled(&format!("opc.tcp://host:4840/{}", "x".repeat(LONGEST_URL))), None);
    }
}
