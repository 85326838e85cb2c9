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
