//! Bytes that are written as text: hexadecimal and base64.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

use super::fault::{Fault, start_of};
use super::keys::Encoding;

/// Base64 with or without padding: devices do both.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn base64(text: &str) -> Result<Vec<u8>, Fault> {
    LENIENT.decode(text.trim()).map_err(|_| Fault::unreadable(format!("is no base64: `{}`", start_of(text))))
}

fn hex(text: &str) -> Result<Vec<u8>, Fault> {
    let text = text.trim();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.ok_or_else(|| Fault::unreadable(format!("is no row of hexadecimal bytes: `{}`", start_of(text))))
}

impl Encoding {
    pub(super) fn decode(self, text: &str) -> Result<Vec<u8>, Fault> {
        match self {
            Encoding::Hex => hex(text),
            Encoding::Base64 => base64(text),
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Encoding::Base64 => general_purpose::STANDARD.encode(bytes),
            Encoding::Hex => bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(hex_digit).collect(),
        }
    }
}

fn hex_digit(nibble: u8) -> Option<char> {
    char::from_digit(nibble.into(), 16)
}
