//! Endpoints of a server (Part 4 §5.5.4 and §7.14, 1.05), and the choice of one.

use opcua::StatusCode;

use super::message::{Fault, GET_ENDPOINTS, Head, Response};
use super::settings::PolicyChoice;
use crate::stack::codec::{Decode, Reader, Writer};
use crate::stack::crypto::{MessageSecurityMode, Policy};

/// Endpoints that are looked at; more are no server's.
const MOST_ENDPOINTS: usize = 200;
/// User token policies of one endpoint that are looked at.
const MOST_TOKENS: usize = 50;

/// An endpoint as far as it matters here. Its URL is left out: the dialled one is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `None`: a policy that this client has not.
    pub policy: Option<Policy>,
    pub mode: Option<MessageSecurityMode>,
    /// DER, leaf first; empty without one.
    pub certificate: Vec<u8>,
    /// ApplicationUri of the server.
    pub application_uri: String,
    pub tokens: Vec<TokenPolicy>,
    /// `level` of the server, for endpoints that are equally strong.
    level: u8,
    transport: String,
}

/// A way in which a user may prove an identity (Part 4 §7.43, 1.05).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenPolicy {
    pub id: String,
    pub kind: i32,
    /// Empty: that of the endpoint.
    pub policy_uri: String,
}

/// Kinds of identity tokens.
pub(super) const ANONYMOUS: i32 = 0;
pub(super) const USER_NAME: i32 = 1;
pub(super) const CERTIFICATE: i32 = 2;

const BINARY: &str = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary";

pub(super) fn write_get_endpoints(out: &mut Writer, head: Head<'_>, url: &str) {
    head.write(GET_ENDPOINTS, out);
    out.text(url);
    out.null_array();
    out.null_array();
}

pub(super) fn read_get_endpoints(body: &[u8]) -> Result<Vec<Endpoint>, Fault> {
    let mut reader = Response::read(body)?.body(GET_ENDPOINTS)?;
    Ok(read_endpoints(&mut reader)?)
}

/// A list of EndpointDescriptions.
pub(super) fn read_endpoints(reader: &mut Reader<'_>) -> Decode<Vec<Endpoint>> {
    let count = reader.count(30)?;
    if count > MOST_ENDPOINTS {
        return Err(StatusCode::BadEncodingLimitsExceeded);
    }
    (0..count).map(|_| read_endpoint(reader)).collect()
}

fn read_endpoint(reader: &mut Reader<'_>) -> Decode<Endpoint> {
    reader.string()?;
    let application_uri = reader.text()?;
    reader.charge(application_uri.len())?;
    reader.string()?;
    reader.localized_text()?;
    reader.i32()?;
    reader.string()?;
    reader.string()?;
    for _ in 0..reader.count(4)? {
        reader.string()?;
    }
    let certificate = reader.bytes()?.unwrap_or_default();
    reader.charge(certificate.len())?;
    let mode = MessageSecurityMode::from_wire(reader.i32()?);
    let policy = Policy::from_uri(reader.text()?);
    let count = reader.count(20)?;
    if count > MOST_TOKENS {
        return Err(StatusCode::BadEncodingLimitsExceeded);
    }
    let tokens = (0..count).map(|_| read_token(reader)).collect::<Decode<Vec<TokenPolicy>>>()?;
    let transport = reader.text()?;
    reader.charge(transport.len())?;
    Ok(Endpoint {
        policy,
        mode,
        certificate: certificate.to_vec(),
        application_uri: application_uri.to_owned(),
        tokens,
        level: reader.u8()?,
        transport: transport.to_owned(),
    })
}

fn read_token(reader: &mut Reader<'_>) -> Decode<TokenPolicy> {
    let id = reader.text()?;
    let kind = reader.i32()?;
    reader.string()?;
    reader.string()?;
    let policy_uri = reader.text()?;
    reader.charge(id.len() + policy_uri.len())?;
    Ok(TokenPolicy { id: id.to_owned(), kind, policy_uri: policy_uri.to_owned() })
}

impl Endpoint {
    /// Policy and mode that fit each other, over a transport that this client speaks.
    fn security(&self) -> Option<(Policy, MessageSecurityMode)> {
        let (policy, mode) = (self.policy?, self.mode?);
        let fits = (policy == Policy::None) == (mode == MessageSecurityMode::None);
        let is_binary = self.transport.is_empty() || self.transport == BINARY;
        (fits && is_binary && (policy == Policy::None || !self.certificate.is_empty())).then_some((policy, mode))
    }

    /// The strongest is the greatest: SignAndEncrypt before Sign, then the policy, then the server's own order.
    fn strength(&self) -> Option<impl Ord + use<>> {
        let (policy, mode) = self.security()?;
        Some((mode, rank(policy), self.level))
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy.unwrap_or(Policy::None)
    }

    pub(super) fn mode(&self) -> MessageSecurityMode {
        self.mode.unwrap_or(MessageSecurityMode::None)
    }

    /// Whether this one protects less than another.
    pub(super) fn is_weaker_than(&self, other: &Endpoint) -> bool {
        let of = |endpoint: &Endpoint| endpoint.security().map(|(policy, mode)| (mode, rank(policy)));
        of(self) < of(other)
    }
}

/// Order of the policies: the newer padding and signatures of Aes256 before the longer key of Basic256Sha256.
fn rank(policy: Policy) -> u8 {
    match policy {
        Policy::None => 0,
        Policy::Aes128_Sha256_RsaOaep => 1,
        Policy::Basic256Sha256 => 2,
        Policy::Aes256_Sha256_RsaPss => 3,
    }
}

/// Wishes about the protection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub policy: PolicyChoice,
    pub allow_unsecured: bool,
}

/// The strongest endpoint that may be used, or why there is none.
pub(super) fn choose(endpoints: Vec<Endpoint>, wish: Wish) -> Result<Endpoint, String> {
    let wanted = wish.policy.policy();
    let mut offered: Vec<&'static str> = Vec::new();
    for (policy, _) in endpoints.iter().filter_map(Endpoint::security) {
        if !offered.contains(&policy.name()) {
            offered.push(policy.name());
        }
    }
    let is_allowed = |endpoint: &Endpoint| {
        let policy = endpoint.security().map(|(policy, _)| policy);
        policy.is_some_and(|policy| {
            wanted.is_none_or(|wanted| wanted == policy) && (policy != Policy::None || wish.allow_unsecured)
        })
    };
    let best = endpoints.into_iter().filter(is_allowed).max_by_key(Endpoint::strength);
    best.ok_or_else(|| match (offered.as_slice(), wanted) {
        ([], _) => "the server offers no endpoint of opc.tcp with a policy that is known here".to_owned(),
        (["None"], None) => {
            "the server offers no protection; write `allow_unsecured: true` if the network may be trusted".to_owned()
        }
        (offered, wanted) => {
            let wanted = wanted.map_or("auto", Policy::name);
            format!("the server does not offer `policy: {wanted}`; it offers {}", offered.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(policy: Policy, mode: MessageSecurityMode) -> Endpoint {
        Endpoint {
            policy: Some(policy),
            mode: Some(mode),
            certificate: vec![1],
            application_uri: "urn:x".into(),
            tokens: Vec::new(),
            level: 0,
            transport: BINARY.into(),
        }
    }

    #[test]
    fn the_strongest_endpoint_that_may_be_used_is_chosen() {
        use MessageSecurityMode::{None as Open, Sign, SignAndEncrypt};
        let all = vec![
            endpoint(Policy::None, Open),
            endpoint(Policy::Aes256_Sha256_RsaPss, Sign),
            endpoint(Policy::Basic256Sha256, SignAndEncrypt),
            endpoint(Policy::Aes128_Sha256_RsaOaep, SignAndEncrypt),
            endpoint(Policy::Aes256_Sha256_RsaPss, Open),
        ];
        let open = vec![endpoint(Policy::None, Open)];
        for (endpoints, policy, allow_unsecured, chosen) in [
            (&all, PolicyChoice::Auto, false, Ok((Policy::Basic256Sha256, SignAndEncrypt))),
            (&all, PolicyChoice::Auto, true, Ok((Policy::Basic256Sha256, SignAndEncrypt))),
            (&all, PolicyChoice::Aes256_Sha256_RsaPss, false, Ok((Policy::Aes256_Sha256_RsaPss, Sign))),
            (&all, PolicyChoice::None, true, Ok((Policy::None, Open))),
            (&all, PolicyChoice::None, false, Err("does not offer")),
            (&open, PolicyChoice::Auto, true, Ok((Policy::None, Open))),
            (&open, PolicyChoice::Auto, false, Err("allow_unsecured: true")),
            (&open, PolicyChoice::Basic256Sha256, true, Err("it offers None")),
            (&Vec::new(), PolicyChoice::Auto, true, Err("no endpoint")),
        ] {
            let got = choose(endpoints.clone(), Wish { policy, allow_unsecured });
            match (got, chosen) {
                (Ok(got), Ok(wanted)) => assert_eq!((got.policy(), got.mode()), wanted),
                (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{got}"),
                (got, wanted) => panic!("{got:?}, not {wanted:?}"),
            }
        }
    }
}
