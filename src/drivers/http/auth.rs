//! Basic and Digest authentication (RFC 7617, RFC 7616).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};

use super::settings::Method;
use crate::value::Hidden;

/// A user with the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub user: String,
    pub password: Hidden<String>,
}

/// Scheme that a server asked for, so that the next request need not be refused first.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) enum Scheme {
    #[default]
    Basic,
    Digest(Challenge),
}

/// The parameters of a Digest challenge.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    has_quality: bool,
    algorithm: Option<String>,
    count: u32,
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Basic => "Basic",
            Scheme::Digest(_) => "Digest",
        })
    }
}

impl Login {
    /// The header for a request.
    pub(super) fn header(&self, scheme: &mut Scheme, method: Method, path: &str) -> String {
        match scheme {
            Scheme::Basic => {
                let pair = format!("{}:{}", self.user, self.password.0);
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
            Scheme::Digest(challenge) => {
                challenge.count += 1;
                let client = format!("{:016x}", fastrand::u64(..));
                challenge.header(self, method, path, &client)
            }
        }
    }
}

impl Challenge {
    /// The challenge of a `WWW-Authenticate` header; `None` for another scheme, or an algorithm other than MD5.
    pub(super) fn parse(header: &str) -> Option<Challenge> {
        let rest = header.trim().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("digest "))?.1;
        let mut challenge = Challenge {
            realm: String::new(),
            nonce: String::new(),
            opaque: None,
            has_quality: false,
            algorithm: None,
            count: 0,
        };
        let mut has_nonce = false;
        for (key, value) in parameters(rest) {
            match key.to_ascii_lowercase().as_str() {
                "realm" => challenge.realm = value,
                "nonce" => (challenge.nonce, has_nonce) = (value, true),
                "opaque" => challenge.opaque = Some(value),
                "qop" => challenge.has_quality = value.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")),
                "algorithm" => challenge.algorithm = Some(value),
                _ => {}
            }
        }
        let is_md5 = challenge.algorithm.as_ref().is_none_or(|name| name.eq_ignore_ascii_case("md5"));
        (has_nonce && is_md5).then_some(challenge)
    }

    fn header(&self, login: &Login, method: Method, path: &str, client: &str) -> String {
        let Challenge { realm, nonce, opaque, has_quality, algorithm, count } = self;
        let one = md5(&format!("{}:{realm}:{}", login.user, login.password.0));
        let two = md5(&format!("{}:{path}", method.name()));
        let answer = match has_quality {
            true => md5(&format!("{one}:{nonce}:{count:08x}:{client}:auth:{two}")),
            false => md5(&format!("{one}:{nonce}:{two}")),
        };
        let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut header = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{path}\", response=\"{answer}\"",
            quote(&login.user),
            quote(realm),
            quote(nonce)
        );
        if *has_quality {
            header.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{client}\""));
        }
        if let Some(opaque) = opaque {
            header.push_str(&format!(", opaque=\"{}\"", quote(opaque)));
        }
        if let Some(algorithm) = algorithm {
            header.push_str(&format!(", algorithm={algorithm}"));
        }
        header
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `key=value, key="value"`; what is no parameter is left out.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (mut value, mut end, mut is_escaped) = (String::new(), quoted.len(), false);
                for (at, sign) in quoted.char_indices() {
                    match sign {
                        _ if is_escaped => {
                            value.push(sign);
                            is_escaped = false;
                        }
                        '\\' => is_escaped = true,
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        sign => value.push(sign),
                    }
                }
                (value, &quoted[end..])
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        all.push((key.trim().trim_start_matches(',').trim().to_owned(), value));
        rest = next.trim_start_matches([',', ' ']);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_standard() {
        // The example of RFC 2617 §3.5.
        let header = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let mut challenge = Challenge::parse(header).expect("a challenge");
        challenge.count = 1;
        let login = Login { user: "Mufasa".to_owned(), password: Hidden("Circle Of Life".to_owned()) };
        let answer = challenge.header(&login, Method::Get, "/dir/index.html", "0a4f113b");
        assert!(answer.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{answer}");
        assert!(
            answer.contains("qop=auth, nc=00000001") && answer.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"")
        );
        for no in ["Basic realm=\"x\"", "Digest realm=\"x\"", "Digest nonce=\"1\", algorithm=SHA-512-256", "", "Digest"]
        {
            assert!(Challenge::parse(no).is_none(), "{no}");
        }
    }

    #[test]
    fn basic_is_the_pair_in_base64() {
        let login = Login { user: "Aladdin".to_owned(), password: Hidden("open sesame".to_owned()) };
        assert_eq!(login.header(&mut Scheme::Basic, Method::Get, "/"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
