//! SHA-256 and HMAC-SHA256 of a few parts, one after the other.

use std::fmt;

use aws_lc_rs::{digest, hmac};

pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// A key that authenticates what only its owner may have written.
pub struct MacKey(hmac::Key);

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

impl MacKey {
    pub fn new(secret: &[u8]) -> MacKey {
        MacKey(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        hmac::sign(&self.0, bytes).as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
    }

    /// In a time that does not depend on where the signature differs.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, bytes, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// FIPS 180-4's `abc`, and test case 2 of RFC 4231.
    #[test]
    fn known_answers_come_out() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((hex(&sha256(&[b"abc"])), hex(&sha256(&[b"a", b"", b"bc"]))), (abc.to_owned(), abc.to_owned()));
        let key = MacKey::new(b"Jefe");
        let signed = key.sign(b"what do ya want for nothing?");
        assert_eq!(hex(&signed), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(key.verifies(b"what do ya want for nothing?", &signed));
        assert!(!key.verifies(b"what do ya want for nothing!", &signed));
    }
}
