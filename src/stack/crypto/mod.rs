//! Cryptography of the secure channel and of user tokens: one table of security policies, and the few
//! operations that it asks for. All of it is aws-lc-rs; nothing else in the stack names that crate.

mod asymmetric;
pub(crate) mod certificate;
mod digest;
mod fair;
mod identities;
mod policy;
mod pool;
mod secret;
mod summary;
mod symmetric;
#[cfg(test)]
pub(crate) mod testing;

pub use asymmetric::Identity;
pub(crate) use asymmetric::{PrivateKey, PublicKey};
pub use digest::{MacKey, sha256};
pub use fair::Lane;
pub(crate) use fair::QueueLimits;
pub use identities::Identities;
pub use policy::{MessageSecurityMode, Policy};
pub(crate) use pool::CryptoPool;
pub use pool::PoolThreads;
pub use secret::{decrypt_secret, encrypt_secret};
pub(crate) use summary::Summary;
pub(crate) use symmetric::{BLOCK, Opening, SIGNATURE, Sealing, derive_keys};

/// Random bytes for nonces and tokens.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

pub(crate) fn fill_random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the system's random source answers");
}

/// Compares in a time that does not depend on where the bytes differ.
pub(crate) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// SHA-1 of a DER certificate, as certificates are named in the protocol (Part 6 §6.7.2.3, 1.05).
pub fn thumbprint(certificate: &[u8]) -> [u8; 20] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    digest.as_ref().try_into().expect("SHA-1 gives 20 bytes")
}
