//! Discovery service set (Part 4 §5.5, 1.05): FindServers and GetEndpoints, open to everybody over policy None.
//!
//! Endpoints carry the host that the client dialled, so that NAT, containers and several names just work; the list
//! for one URL is the same in GetEndpoints and CreateSession.

use std::borrow::Cow;

use opcua::StatusCode;

use super::{RequestHeader, Service, write_header};
use crate::model::Roles;
use crate::stack::codec::{LocalizedTextRef, Reader, Writer};
use crate::stack::crypto::{Identity, MessageSecurityMode, Policy};
use crate::ua::server::Server;

const TRANSPORT_PROFILE: &str = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary";
pub const PRODUCT_URI: &str = "urn:opcell";

pub fn find_servers(
    server: &Server,
    header: &RequestHeader<'_>,
    reader: &mut Reader<'_>,
    w: &mut Writer,
) -> Result<(), StatusCode> {
    let url = reader.text()?;
    for _ in 0..reader.count(4)? {
        reader.string()?;
    }
    let count = reader.count(4)?;
    let mut is_wanted = count == 0;
    for _ in 0..count {
        is_wanted |= reader.text()? == server.application.uri;
    }
    write_header(w, Service::FindServers, header.handle);
    w.count(usize::from(is_wanted));
    if is_wanted {
        write_application(server, &urls(server, url), w);
    }
    Ok(())
}

pub fn get_endpoints(
    server: &Server,
    header: &RequestHeader<'_>,
    reader: &mut Reader<'_>,
    w: &mut Writer,
) -> Result<(), StatusCode> {
    let url = reader.text()?;
    for _ in 0..reader.count(4)? {
        reader.string()?;
    }
    let count = reader.count(4)?;
    let mut is_wanted = count == 0;
    for _ in 0..count {
        is_wanted |= reader.text()? == TRANSPORT_PROFILE;
    }
    write_header(w, Service::GetEndpoints, header.handle);
    if is_wanted {
        write_endpoints(server, server.channels.identities.newest().as_deref(), url, w);
    } else {
        w.count(0);
    }
    Ok(())
}

/// The URLs of this server for a client that dialled `url`.
fn urls(server: &Server, url: &str) -> Vec<String> {
    let dialled = dialled(url);
    let (host, port) = match &dialled {
        Some((host, port)) => (Cow::Borrowed(*host), port.unwrap_or(server.application.port)),
        None => (Cow::Borrowed(server.application.host.as_str()), server.application.port),
    };
    let mut urls = vec![format!("opc.tcp://{host}:{port}")];
    for name in &server.plan.advertise {
        let other = format!("opc.tcp://{name}:{port}");
        if !urls.contains(&other) {
            urls.push(other);
        }
    }
    urls
}

/// Host and port of an endpoint URL; nothing that is not a plain name or address is repeated to anybody.
fn dialled(url: &str) -> Option<(&str, Option<u16>)> {
    let rest = url.strip_prefix("opc.tcp://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (authority, None),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%');
    let is_host =
        !host.is_empty() && host.len() <= 255 && host.chars().all(is_plain) && host != "0.0.0.0" && host != "[::]";
    is_host.then_some((host, port))
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
pub fn write_endpoints(server: &Server, own: Option<&Identity>, url: &str, w: &mut Writer) {
    let urls = urls(server, url);
    let kinds = kinds(server);
    w.count(urls.len() * kinds.len());
    for url in &urls {
        for kind in &kinds {
            write_endpoint(server, (url, &urls), own, *kind, w);
        }
    }
}

/// Policy, mode and security level of each endpoint; clients that choose by level take the strongest.
fn kinds(server: &Server) -> Vec<(Policy, MessageSecurityMode, u8)> {
    let mut kinds = Vec::new();
    if server.plan.security.allow_unsecured {
        kinds.push((Policy::None, MessageSecurityMode::None, 0));
    }
    for policy in &server.channels.policies {
        let base = match policy {
            Policy::None => continue,
            Policy::Aes128_Sha256_RsaOaep => 50,
            Policy::Basic256Sha256 => 60,
            Policy::Aes256_Sha256_RsaPss => 70,
        };
        kinds.push((*policy, MessageSecurityMode::Sign, base));
        kinds.push((*policy, MessageSecurityMode::SignAndEncrypt, base + 100));
    }
    kinds
}

fn write_endpoint(
    server: &Server,
    (url, urls): (&str, &[String]),
    own: Option<&Identity>,
    (policy, mode, level): (Policy, MessageSecurityMode, u8),
    w: &mut Writer,
) {
    w.text(url);
    write_application(server, urls, w);
    w.bytes(own.map(Identity::chain));
    w.i32(mode as i32);
    w.text(policy.uri());
    write_token_policies(server, policy, w);
    w.text(TRANSPORT_PROFILE);
    w.u8(level);
}

/// The policy that protects user secrets on an endpoint: always one that encrypts.
pub fn token_policy(server: &Server, endpoint: Policy) -> Option<Policy> {
    if endpoint != Policy::None {
        return Some(endpoint);
    }
    server.channels.policies.iter().copied().find(|policy| *policy != Policy::None)
}

pub const ANONYMOUS: &str = "anonymous";
pub const USER_NAME: &str = "username";
pub const CERTIFICATE: &str = "certificate";

/// UserTokenPolicies (Part 4 §7.42, 1.05): what somebody could log in with here.
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
    fn the_host_that_was_dialled_is_found_and_nothing_else_is_repeated() {
        for (url, expected) in [
            ("opc.tcp://plc-server:4840", Some(("plc-server", Some(4840)))),
            ("opc.tcp://10.0.0.5:48010/path/x", Some(("10.0.0.5", Some(48_010)))),
            ("opc.tcp://[fe80::1]:4840", Some(("[fe80::1]", Some(4840)))),
            ("opc.tcp://[fe80::1]", Some(("[fe80::1]", None))),
            ("opc.tcp://host", Some(("host", None))),
            ("opc.tcp://0.0.0.0:4840", None),
            ("opc.tcp://:4840", None),
            ("opc.tcp://a b:4840", None),
            ("opc.tcp://host:99999", None),
            ("http://host:4840", None),
            ("", None),
        ] {
            assert_eq!(dialled(url), expected, "{url}");
        }
    }
}
