//! Passwords of user tokens in the legacy format (Part 4 §7.40.2.2, 1.05): length, secret, server nonce, encrypted
//! block by block with the server's public key.

use opcua::StatusCode;

use super::asymmetric::{PrivateKey, PublicKey};
use super::constant_time_eq;
use super::policy::Policy;

/// Cipher text of more blocks than this is no password, and each block costs a private-key operation.
const MAX_BLOCKS: usize = 8;

/// The secret of a token, if it was encrypted for this key and this nonce. Every failure looks the same.
pub fn decrypt_secret(
    key: &PrivateKey,
    policy: Policy,
    cipher_text: &[u8],
    nonce: &[u8],
) -> Result<Vec<u8>, StatusCode> {
    const REFUSED: StatusCode = StatusCode::BadIdentityTokenInvalid;
    if policy == Policy::None || cipher_text.len() > MAX_BLOCKS * key.size() {
        return Err(REFUSED);
    }
    let plain = key.decrypt(policy, cipher_text).map_err(|_| REFUSED)?;
    let (length, rest) = plain.split_first_chunk::<4>().ok_or(REFUSED)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| REFUSED)?;
    // What follows the stated length is padding of the last block.
    let data = rest.get(..length).ok_or(REFUSED)?;
    let end = length.checked_sub(nonce.len()).ok_or(REFUSED)?;
    if !constant_time_eq(&data[end..], nonce) {
        return Err(REFUSED);
    }
    Ok(data[..end].to_vec())
}

/// The client's side of it.
pub fn encrypt_secret(key: &PublicKey, policy: Policy, secret: &[u8], nonce: &[u8]) -> Result<Vec<u8>, StatusCode> {
    let length = u32::try_from(secret.len() + nonce.len()).map_err(|_| StatusCode::BadEncodingLimitsExceeded)?;
    key.encrypt(policy, &[&length.to_le_bytes(), secret, nonce].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::crypto::testing::identity;

    const SECURED: [Policy; 3] = [Policy::Basic256Sha256, Policy::Aes128_Sha256_RsaOaep, Policy::Aes256_Sha256_RsaPss];

    #[test]
    fn a_password_comes_back_with_every_policy_and_key_and_length() {
        for policy in SECURED {
            for bits in [2048, 3072, 4096] {
                let identity = identity(bits);
                let public = PublicKey::of_certificate(identity.leaf()).expect("it has a key");
                for password in ["", "x", &"p".repeat(64), &"long ".repeat(100)] {
                    let nonce = [9; 32];
                    let sent = encrypt_secret(&public, policy, password.as_bytes(), &nonce).expect("it encrypts");
                    let got = decrypt_secret(identity.key(), policy, &sent, &nonce);
                    assert_eq!(got, Ok(password.as_bytes().to_vec()), "{policy:?} {bits} {}", password.len());
                }
            }
        }
    }

    #[test]
    fn whatever_is_wrong_with_a_secret_has_the_same_status() {
        let identity = identity(2048);
        let public = PublicKey::of_certificate(identity.leaf()).expect("it has a key");
        let policy = Policy::Basic256Sha256;
        let nonce = [9; 32];
        let good = encrypt_secret(&public, policy, b"secret", &nonce).expect("it encrypts");
        let plain = |bytes: &[u8]| public.encrypt(policy, bytes).expect("it encrypts");
        let mut changed = good.clone();
        changed[100] ^= 1;
        for (case, policy, sent, nonce) in [
            ("another nonce", policy, good.clone(), [8; 32].as_slice()),
            ("a longer nonce", policy, good.clone(), [9; 40].as_slice()),
            ("another policy", Policy::Aes256_Sha256_RsaPss, good.clone(), nonce.as_slice()),
            ("no policy", Policy::None, b"secret".to_vec(), &nonce),
            ("a changed bit", policy, changed, &nonce),
            ("cut", policy, good[..200].to_vec(), &nonce),
            ("nothing", policy, Vec::new(), &nonce),
            ("a length beyond the end", policy, plain(&[0xff; 40]), &nonce),
            ("a length without room for the nonce", policy, plain(&[3, 0, 0, 0, 1, 2, 3]), &nonce),
            ("no length", policy, plain(&[1, 2]), &nonce),
            ("too many blocks", policy, good.repeat(9), &nonce),
        ] {
            let refused = decrypt_secret(identity.key(), policy, &sent, nonce);
            assert_eq!(refused, Err(StatusCode::BadIdentityTokenInvalid), "{case}");
        }
    }
}
