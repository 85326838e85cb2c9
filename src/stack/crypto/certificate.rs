//! The DER that a channel needs: where a certificate ends, and which key it holds. Trust is decided elsewhere.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const EXPLICIT_VERSION: u8 = 0xa0;

/// One element: its tag, its content, the bytes of the whole, and what follows.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, after) = bytes.split_first()?;
    let (&first, after) = after.split_first()?;
    let (length, header) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let digits = after.get(..count)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), 2 + count)
        }
        _ => return None,
    };
    let whole = bytes.get(..header + length)?;
    Some(Element { tag, content: &whole[header..], whole, rest: &bytes[header + length..] })
}

fn expect(tag: u8, bytes: &[u8]) -> Option<Element<'_>> {
    element(bytes).filter(|element| element.tag == tag)
}

/// The first certificate of a chain: DER certificates in a row (Part 6 §6.2.6, 1.05).
pub(crate) fn leaf(chain: &[u8]) -> Option<&[u8]> {
    expect(SEQUENCE, chain).map(|element| element.whole)
}

/// The certificates of a chain, leaf first; at most `most`, and `None` when bytes are left that are no certificate.
pub(crate) fn split_chain(chain: &[u8], most: usize) -> Option<Vec<&[u8]>> {
    let mut rest = chain;
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        if certificates.len() == most {
            return None;
        }
        let element = expect(SEQUENCE, rest)?;
        certificates.push(element.whole);
        rest = element.rest;
    }
    Some(certificates)
}

/// The modulus of the RSA key in a SubjectPublicKeyInfo, without leading zeros (RFC 3279 §2.3.1).
pub(crate) fn modulus(spki: &[u8]) -> Option<&[u8]> {
    let key =
        expect(BIT_STRING, expect(SEQUENCE, expect(SEQUENCE, spki)?.content)?.rest)?.content.strip_prefix(&[0])?;
    let number = expect(INTEGER, expect(SEQUENCE, key)?.content)?.content;
    Some(&number[number.iter().take_while(|byte| **byte == 0).count()..])
}

/// The SubjectPublicKeyInfo, which follows version, serial number, algorithm, issuer, validity and subject (RFC 5280 §4.1).
pub(crate) fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let outer = expect(SEQUENCE, certificate)?;
    let mut rest = expect(SEQUENCE, outer.content)?.content;
    if let Some(version) = expect(EXPLICIT_VERSION, rest) {
        rest = version.rest;
    }
    rest = expect(INTEGER, rest)?.rest;
    for _ in ["signature", "issuer", "validity", "subject"] {
        rest = expect(SEQUENCE, rest)?.rest;
    }
    Some(expect(SEQUENCE, rest)?.whole)
}
