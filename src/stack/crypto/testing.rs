//! Identities for tests, one a key size, made once. Their certificates hold a key and nothing else.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;

use super::{Identity, PrivateKey};

static IDENTITIES: LazyLock<[Arc<Identity>; 3]> =
    LazyLock::new(|| [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096].map(|size| Arc::new(make(size))));

/// An identity with a key of 2048, 3072 or 4096 bits.
pub(crate) fn identity(bits: usize) -> Arc<Identity> {
    IDENTITIES.iter().find(|identity| identity.key().bits() == bits).cloned().expect("one of the three sizes")
}

fn make(size: KeySize) -> Identity {
    let pair = KeyPair::generate(size).expect("keys are made");
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("a key has DER");
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("a key has DER");
    let key = PrivateKey::from_pkcs8(private.as_ref()).expect("a key of 2048 bits or more");
    Identity::new(certificate_with(public.as_ref()), key).expect("they belong together")
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("small").to_be_bytes();
    [&[tag, 0x82, high, low], content].concat()
}

/// Serial number, four empty fields, and the key.
fn certificate_with(spki: &[u8]) -> Vec<u8> {
    let empty = tlv(0x30, &[]);
    tlv(0x30, &tlv(0x30, &[&tlv(0x02, &[1]), &empty, &empty, &empty, &empty, spki].map(<[u8]>::to_vec).concat()))
}
