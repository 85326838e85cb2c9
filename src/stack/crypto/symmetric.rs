//! The keys of one token and one direction: HMAC-SHA256 and AES-CBC without padding, in place.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use opcua::StatusCode;

use super::policy::{MessageSecurityMode, Policy};

/// Bytes of a cipher block.
pub(crate) const BLOCK: usize = 16;
/// Bytes of a symmetric signature.
pub(crate) const SIGNATURE: usize = 32;

/// Signs and encrypts what we send.
pub(crate) struct Sealing {
    signing: hmac::Key,
    cipher: Option<EncryptingKey>,
    iv: [u8; BLOCK],
}

/// Decrypts and verifies what we receive.
pub(crate) struct Opening {
    signing: hmac::Key,
    cipher: Option<DecryptingKey>,
    iv: [u8; BLOCK],
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing")
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening")
    }
}

/// Keys from the nonces (Part 6 §6.7.6, 1.05): what a peer sends is keyed by the other's nonce as secret and its own
/// as seed. `None` for policy None. The mode is Sign or SignAndEncrypt.
pub(crate) fn derive_keys(
    policy: Policy,
    mode: MessageSecurityMode,
    own_nonce: &[u8],
    peer_nonce: &[u8],
) -> Option<(Sealing, Opening)> {
    if policy == Policy::None {
        return None;
    }
    let encrypts = mode == MessageSecurityMode::SignAndEncrypt;
    let sending = Material::derive(policy, peer_nonce, own_nonce);
    let receiving = Material::derive(policy, own_nonce, peer_nonce);
    let sealing = Sealing {
        signing: sending.signing_key(),
        cipher: encrypts.then(|| EncryptingKey::cbc(sending.cipher_key()).expect("AES takes CBC")),
        iv: sending.iv(),
    };
    let opening = Opening {
        signing: receiving.signing_key(),
        cipher: encrypts.then(|| DecryptingKey::cbc(receiving.cipher_key()).expect("AES takes CBC")),
        iv: receiving.iv(),
    };
    Some((sealing, opening))
}

/// Signing key, encrypting key and initialization vector, in a row.
struct Material {
    bytes: Vec<u8>,
    signing: usize,
    encrypting: usize,
}

impl Material {
    fn derive(policy: Policy, secret: &[u8], seed: &[u8]) -> Material {
        let row = policy.row();
        let bytes = p_sha256(secret, seed, row.signing_key + row.encrypting_key + BLOCK);
        Material { bytes, signing: row.signing_key, encrypting: row.encrypting_key }
    }

    fn signing_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.bytes[..self.signing])
    }

    fn cipher_key(&self) -> UnboundCipherKey {
        let key = &self.bytes[self.signing..self.signing + self.encrypting];
        let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
        UnboundCipherKey::new(algorithm, key).expect("the table's key lengths are those of AES")
    }

    fn iv(&self) -> [u8; BLOCK] {
        self.bytes[self.signing + self.encrypting..].try_into().expect("a block is left for it")
    }
}

/// P_SHA256 of TLS 1.2 (RFC 5246 §5).
fn p_sha256(secret: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut output = Vec::with_capacity(length + SIGNATURE);
    let mut a = hmac::sign(&key, seed);
    while output.len() < length {
        let mut context = hmac::Context::with_key(&key);
        context.update(a.as_ref());
        context.update(seed);
        output.extend_from_slice(context.sign().as_ref());
        a = hmac::sign(&key, a.as_ref());
    }
    output.truncate(length);
    output
}

impl Sealing {
    pub(crate) fn encrypts(&self) -> bool {
        self.cipher.is_some()
    }

    /// Writes the signature of all before it into the last bytes of `chunk`.
    pub(crate) fn sign(&self, chunk: &mut [u8]) {
        let (signed, signature) = chunk.split_at_mut(chunk.len() - SIGNATURE);
        signature.copy_from_slice(hmac::sign(&self.signing, signed).as_ref());
    }

    /// Encrypts whole blocks in place; does nothing when the mode is Sign.
    pub(crate) fn encrypt(&self, blocks: &mut [u8]) -> Result<(), StatusCode> {
        let Some(cipher) = &self.cipher else { return Ok(()) };
        cipher
            .less_safe_encrypt(blocks, EncryptionContext::Iv128(FixedLength::from(self.iv)))
            .map(drop)
            .map_err(|_| StatusCode::BadInternalError)
    }
}

impl Opening {
    pub(crate) fn encrypts(&self) -> bool {
        self.cipher.is_some()
    }

    /// Decrypts whole blocks in place; does nothing when the mode is Sign.
    pub(crate) fn decrypt(&self, blocks: &mut [u8]) -> Result<(), StatusCode> {
        let Some(cipher) = &self.cipher else { return Ok(()) };
        cipher
            .decrypt(blocks, DecryptionContext::Iv128(FixedLength::from(self.iv)))
            .map(drop)
            .map_err(|_| StatusCode::BadSecurityChecksFailed)
    }

    /// Checks the signature at the end of `chunk`, in constant time.
    pub(crate) fn verify(&self, chunk: &[u8]) -> Result<(), StatusCode> {
        let end = chunk.len().checked_sub(SIGNATURE).ok_or(StatusCode::BadSecurityChecksFailed)?;
        hmac::verify(&self.signing, &chunk[..end], &chunk[end..]).map_err(|_| StatusCode::BadSecurityChecksFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn the_key_derivation_gives_the_bytes_that_another_implementation_gives() {
        // The TLS 1.2 P_SHA256 vector that circulates among implementers, recomputed with Python's hmac.
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = [b"test label".as_slice(), &hex("a0ba9f936cda311827a6f796ffd5198c")].concat();
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a\
                        6b301791e90d35c9c9a46b4e14baf9af";
        assert_eq!(p_sha256(&secret, &seed, 48), hex(expected));
    }

    #[test]
    fn each_side_opens_what_the_other_seals_and_not_its_own() {
        let (server, client) = ([1; 32], [2; 32]);
        for policy in [Policy::Basic256Sha256, Policy::Aes128_Sha256_RsaOaep, Policy::Aes256_Sha256_RsaPss] {
            let mode = MessageSecurityMode::SignAndEncrypt;
            let (sealing, own_opening) = derive_keys(policy, mode, &server, &client).expect("it has keys");
            let (_, opening) = derive_keys(policy, mode, &client, &server).expect("it has keys");
            let mut chunk = [7; 96];
            sealing.sign(&mut chunk);
            assert_eq!(opening.verify(&chunk), Ok(()));
            assert!(own_opening.verify(&chunk).is_err());
            let plain = chunk;
            sealing.encrypt(&mut chunk).expect("whole blocks");
            assert_ne!(plain, chunk);
            opening.decrypt(&mut chunk).expect("whole blocks");
            assert_eq!(plain, chunk);
            assert!(opening.decrypt(&mut chunk[..17]).is_err(), "no whole blocks");
        }
    }
}
