//! The table of security policies (Part 7 §6.6, 1.04). All differences between policies are here.

use std::ops::RangeInclusive;

/// Policies on SHA-1 or with keys under 2048 bits (Basic128Rsa15, Basic256) are deprecated and not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(non_camel_case_types, reason = "the names of the specification")]
pub enum Policy {
    None,
    Basic256Sha256,
    Aes128_Sha256_RsaOaep,
    Aes256_Sha256_RsaPss,
}

/// MessageSecurityMode (Part 4 §7.20, 1.05); the number goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageSecurityMode {
    None = 1,
    Sign = 2,
    SignAndEncrypt = 3,
}

impl MessageSecurityMode {
    pub fn from_wire(number: i32) -> Option<MessageSecurityMode> {
        Some(match number {
            1 => MessageSecurityMode::None,
            2 => MessageSecurityMode::Sign,
            3 => MessageSecurityMode::SignAndEncrypt,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureScheme {
    Pkcs1Sha256,
    PssSha256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OaepScheme {
    Sha1,
    Sha256,
}

/// One row; lengths in bytes.
#[derive(Debug)]
pub(super) struct Row {
    policy: Policy,
    name: &'static str,
    uri: &'static str,
    pub(super) signature: SignatureScheme,
    pub(super) encryption: OaepScheme,
    pub(super) signing_key: usize,
    pub(super) encrypting_key: usize,
    nonce: usize,
    legacy_sequence_numbers: bool,
}

/// RSA keys that each of the three policies takes.
const KEY_BITS: RangeInclusive<usize> = 2048..=4096;

static ROWS: [Row; 4] = [
    Row {
        policy: Policy::None,
        name: "None",
        uri: "http://opcfoundation.org/UA/SecurityPolicy#None",
        signature: SignatureScheme::Pkcs1Sha256,
        encryption: OaepScheme::Sha1,
        signing_key: 0,
        encrypting_key: 0,
        nonce: 0,
        legacy_sequence_numbers: true,
    },
    Row {
        policy: Policy::Basic256Sha256,
        name: "Basic256Sha256",
        uri: "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
        signature: SignatureScheme::Pkcs1Sha256,
        encryption: OaepScheme::Sha1,
        signing_key: 32,
        encrypting_key: 32,
        nonce: 32,
        legacy_sequence_numbers: true,
    },
    Row {
        policy: Policy::Aes128_Sha256_RsaOaep,
        name: "Aes128_Sha256_RsaOaep",
        uri: "http://opcfoundation.org/UA/SecurityPolicy#Aes128_Sha256_RsaOaep",
        signature: SignatureScheme::Pkcs1Sha256,
        encryption: OaepScheme::Sha1,
        signing_key: 32,
        encrypting_key: 16,
        nonce: 32,
        legacy_sequence_numbers: true,
    },
    Row {
        policy: Policy::Aes256_Sha256_RsaPss,
        name: "Aes256_Sha256_RsaPss",
        uri: "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss",
        signature: SignatureScheme::PssSha256,
        encryption: OaepScheme::Sha256,
        signing_key: 32,
        encrypting_key: 32,
        nonce: 32,
        legacy_sequence_numbers: true,
    },
];

impl Policy {
    pub const ALL: [Policy; 4] =
        [Policy::None, Policy::Basic256Sha256, Policy::Aes128_Sha256_RsaOaep, Policy::Aes256_Sha256_RsaPss];

    pub(super) fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    pub fn from_uri(uri: &str) -> Option<Policy> {
        ROWS.iter().find(|row| row.uri == uri).map(|row| row.policy)
    }

    pub fn uri(self) -> &'static str {
        self.row().uri
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Length of the nonces of OpenSecureChannel.
    pub fn nonce_length(self) -> usize {
        self.row().nonce
    }

    /// Where sequence numbers wrap (Part 6 §6.7.2.4, 1.05).
    pub fn legacy_sequence_numbers(self) -> bool {
        self.row().legacy_sequence_numbers
    }

    /// Whether the policy allows an RSA key of this size.
    pub fn takes_key(self, bits: usize) -> bool {
        KEY_BITS.contains(&bits)
    }

    /// The `algorithm` of a SignatureData; none for policy None.
    pub fn signature_uri(self) -> Option<&'static str> {
        if self == Policy::None {
            return None;
        }
        Some(match self.row().signature {
            SignatureScheme::Pkcs1Sha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            SignatureScheme::PssSha256 => "http://opcfoundation.org/UA/security/rsa-pss-sha2-256",
        })
    }

    /// The `encryptionAlgorithm` of a user token; none for policy None.
    pub fn encryption_uri(self) -> Option<&'static str> {
        if self == Policy::None {
            return None;
        }
        Some(match self.row().encryption {
            OaepScheme::Sha1 => "http://www.w3.org/2001/04/xmlenc#rsa-oaep",
            OaepScheme::Sha256 => "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_is_found_by_its_uri_and_deprecated_ones_are_not() {
        for policy in Policy::ALL {
            assert_eq!(policy.row().policy, policy);
            assert_eq!(Policy::from_uri(policy.uri()), Some(policy));
        }
        for uri in ["", "http://opcfoundation.org/UA/SecurityPolicy#Basic256", "None"] {
            assert_eq!(Policy::from_uri(uri), None, "{uri}");
        }
    }
}
