//! RSA keys: signing, verifying, and encryption in blocks. Costs milliseconds with a private key: run it in the pool.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
    RsaEncoding, VerificationAlgorithm,
};
use opcua::StatusCode;

use super::certificate;
use super::policy::{OaepScheme, Policy, SignatureScheme};

/// The code of every failed check of a signature, a padding or a cipher text, so that a peer learns nothing from it.
const REFUSED: StatusCode = StatusCode::BadSecurityChecksFailed;

/// An application's own certificate with its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate as it is sent: DER, followed by its issuers if it has any.
    chain: Vec<u8>,
    thumbprint: [u8; 20],
    key: PrivateKey,
}

impl Identity {
    /// Refuses bytes that are no certificate and a key that does not belong to it.
    pub fn new(chain: Vec<u8>, key: PrivateKey) -> Result<Identity, &'static str> {
        let leaf = certificate::leaf(&chain).ok_or("the certificate is not DER")?;
        let public = PublicKey::of_certificate(leaf).ok_or("the certificate has no RSA key of 2048 to 4096 bits")?;
        let proof = key.sign(Policy::Basic256Sha256, &[leaf]);
        if public.verify(Policy::Basic256Sha256, &[leaf], &proof).is_err() {
            return Err("the key does not belong to the certificate");
        }
        Ok(Identity { thumbprint: super::thumbprint(leaf), chain, key })
    }

    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    pub fn leaf(&self) -> &[u8] {
        certificate::leaf(&self.chain).expect("checked when it was made")
    }

    pub fn thumbprint(&self) -> &[u8; 20] {
        &self.thumbprint
    }

    pub fn key(&self) -> &PrivateKey {
        &self.key
    }
}

/// An RSA private key, ready to sign and to decrypt.
pub struct PrivateKey {
    signing: KeyPair,
    decrypting: OaepPrivateDecryptingKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} bits)", self.bits())
    }
}

impl PrivateKey {
    /// From PKCS#8 DER; keys under 2048 bits are refused.
    pub fn from_pkcs8(der: &[u8]) -> Option<PrivateKey> {
        let signing = KeyPair::from_pkcs8(der).ok()?;
        let decrypting = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(der).ok()?).ok()?;
        Some(PrivateKey { signing, decrypting })
    }

    pub fn bits(&self) -> usize {
        self.decrypting.key_size_bits()
    }

    /// Bytes of a signature, and of an encrypted block.
    pub fn size(&self) -> usize {
        self.decrypting.key_size_bytes()
    }

    /// Bytes of plain text in one encrypted block (RFC 8017 §7.1.1).
    pub fn plain_block(&self, policy: Policy) -> usize {
        let hash = match policy.row().encryption {
            OaepScheme::Sha1 => 20,
            OaepScheme::Sha256 => 32,
        };
        self.size() - 2 * hash - 2
    }

    /// Signs the parts one after the other.
    pub fn sign(&self, policy: Policy, parts: &[&[u8]]) -> Vec<u8> {
        let encoding: &'static dyn RsaEncoding = match policy.row().signature {
            SignatureScheme::Pkcs1Sha256 => &RSA_PKCS1_SHA256,
            SignatureScheme::PssSha256 => &RSA_PSS_SHA256,
        };
        let mut signature = vec![0; self.size()];
        self.signing
            .sign(encoding, &SystemRandom::new(), &parts.concat(), &mut signature)
            .expect("a key of 2048 bits or more signs SHA-256");
        signature
    }

    /// Decrypts whole blocks. All of them whatever one is like: the time does not tell which of them was wrong.
    pub fn decrypt(&self, policy: Policy, cipher_text: &[u8]) -> Result<Vec<u8>, StatusCode> {
        let size = self.size();
        if cipher_text.is_empty() || !cipher_text.len().is_multiple_of(size) {
            return Err(REFUSED);
        }
        let mut plain = Vec::with_capacity(cipher_text.len());
        let mut block = vec![0; self.decrypting.min_output_size().max(size)];
        let mut is_whole = true;
        for cipher in cipher_text.chunks_exact(size) {
            match self.decrypting.decrypt(oaep(policy), cipher, &mut block, None) {
                Ok(part) => plain.extend_from_slice(part),
                Err(_) => is_whole = false,
            }
        }
        if is_whole { Ok(plain) } else { Err(REFUSED) }
    }
}

fn oaep(policy: Policy) -> &'static OaepAlgorithm {
    match policy.row().encryption {
        OaepScheme::Sha1 => &OAEP_SHA1_MGF1SHA1,
        OaepScheme::Sha256 => &OAEP_SHA256_MGF1SHA256,
    }
}

/// A peer's RSA public key. Cloning it is cheap, and clones share what was computed for it.
#[derive(Clone)]
pub struct PublicKey(Arc<Forms>);

/// The key as each operation wants it.
struct Forms {
    spki: Box<[u8]>,
    modulus: Box<[u8]>,
    encrypting: OaepPublicEncryptingKey,
    pkcs1: OnceLock<Option<ParsedPublicKey>>,
    pss: OnceLock<Option<ParsedPublicKey>>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits)", self.bits())
    }
}

impl PublicKey {
    /// The RSA key of a certificate in DER.
    pub fn of_certificate(certificate: &[u8]) -> Option<PublicKey> {
        PublicKey::from_spki(certificate::subject_public_key_info(certificate)?)
    }

    /// From a SubjectPublicKeyInfo; anything but RSA of 2048 bits or more is refused.
    pub fn from_spki(der: &[u8]) -> Option<PublicKey> {
        let encrypting = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(der).ok()?).ok()?;
        let modulus = certificate::modulus(der).filter(|modulus| modulus.len() == encrypting.key_size_bytes())?.into();
        let (pkcs1, pss) = (OnceLock::new(), OnceLock::new());
        Some(PublicKey(Arc::new(Forms { spki: der.into(), modulus, encrypting, pkcs1, pss })))
    }

    pub fn bits(&self) -> usize {
        self.0.encrypting.key_size_bits()
    }

    pub fn size(&self) -> usize {
        self.0.encrypting.key_size_bytes()
    }

    /// Verifies a signature over the parts one after the other. Bytes that are no number of the key's cost as much as any
    /// other wrong signature: what a peer's message decrypts to must not show in the time.
    pub fn verify(&self, policy: Policy, parts: &[&[u8]], signature: &[u8]) -> Result<(), StatusCode> {
        let Forms { spki, modulus, pkcs1, pss, .. } = &*self.0;
        let (form, algorithm): (_, &'static dyn VerificationAlgorithm) = match policy.row().signature {
            SignatureScheme::Pkcs1Sha256 => (pkcs1, &RSA_PKCS1_2048_8192_SHA256),
            SignatureScheme::PssSha256 => (pss, &RSA_PSS_2048_8192_SHA256),
        };
        let key = form.get_or_init(|| ParsedPublicKey::new(algorithm, spki).ok()).as_ref().ok_or(REFUSED)?;
        let is_number = signature.len() == modulus.len() && *signature < **modulus;
        // Ones, for zeros would be refused before any work.
        let decoy = if is_number { Vec::new() } else { vec![1; modulus.len()] };
        let verified = key.verify_sig(&parts.concat(), if is_number { signature } else { &decoy });
        if verified.is_ok() && is_number { Ok(()) } else { Err(REFUSED) }
    }

    /// Bytes of plain text in one block.
    pub fn plain_block(&self, policy: Policy) -> usize {
        self.0.encrypting.max_plaintext_size(oaep(policy))
    }

    /// Encrypts in blocks; the last may be short.
    pub fn encrypt(&self, policy: Policy, plain: &[u8]) -> Result<Vec<u8>, StatusCode> {
        let mut cipher_text = Vec::with_capacity(plain.len().div_ceil(self.plain_block(policy)) * self.size());
        let mut block = vec![0; self.size()];
        for part in plain.chunks(self.plain_block(policy)) {
            cipher_text.extend_from_slice(
                self.0.encrypting.encrypt(oaep(policy), part, &mut block, None).map_err(|_| REFUSED)?,
            );
        }
        Ok(cipher_text)
    }
}
