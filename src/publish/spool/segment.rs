//! Files of the buffer: records one after the other, each with its length and checksum.
//!
//! ```text
//! file:   "OPCSPL2\n"  record*
//! record: length of content (4 bytes, little endian) | CRC-32 of the content (4) | content
//! content: destination (8) | meaning (8) | length of the topic (2) | topic | payload
//! ```
//!
//! A record is whole or it is none: reading ends at the first one whose length or checksum is wrong, and what follows in this
//! file is not used.

use crate::publish::fingerprint::Fingerprint;

/// First bytes of each file.
pub(super) const MAGIC: &[u8; 8] = b"OPCSPL2\n";
/// Bytes of a record in addition to topic and payload.
pub(super) const OVERHEAD: usize = 26;
/// Largest content; a length above it is no length.
const LARGEST: usize = 32 << 20;

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The broker and the format that it is for.
    pub destination: Fingerprint,
    /// The type, the unit and the texts that its value has.
    pub meaning: Fingerprint,
    pub topic: String,
    pub payload: Vec<u8>,
}

impl Record {
    /// Bytes in a file.
    pub(super) fn size(&self) -> usize {
        OVERHEAD + self.topic.len() + self.payload.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let content = out.len() + 8;
        out.extend_from_slice(&[0; 8]);
        for fingerprint in [self.destination, self.meaning] {
            out.extend_from_slice(&fingerprint.0.to_le_bytes());
        }
        out.extend_from_slice(&u16::try_from(self.topic.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&self.payload);
        let length = u32::try_from(out.len() - content).unwrap_or(u32::MAX);
        let sum = crc32fast::hash(&out[content..]);
        out[content - 8..content - 4].copy_from_slice(&length.to_le_bytes());
        out[content - 4..content].copy_from_slice(&sum.to_le_bytes());
    }

    fn read(content: &[u8]) -> Option<Record> {
        let (destination, rest) = content.split_first_chunk::<8>()?;
        let (meaning, rest) = rest.split_first_chunk::<8>()?;
        let [destination, meaning] = [destination, meaning].map(|bytes| Fingerprint(u64::from_le_bytes(*bytes)));
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (topic, payload) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let topic = String::from_utf8(topic.to_vec()).ok()?;
        Some(Record { destination, meaning, topic, payload: payload.to_vec() })
    }
}

/// The whole records of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub records: Vec<Record>,
    /// Bytes that are whole records, with the first bytes of the file.
    pub whole: usize,
    /// Bytes follow that are none.
    pub is_damaged: bool,
}

/// Reads the bytes of a file, whatever they are.
pub(super) fn read(bytes: &[u8]) -> Content {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Content { is_damaged: !bytes.is_empty(), ..Content::default() };
    };
    let mut content = Content { whole: MAGIC.len(), ..Content::default() };
    while let Some((record, size)) = next(rest) {
        content.records.push(record);
        content.whole += size;
        rest = &rest[size..];
    }
    content.is_damaged = !rest.is_empty();
    content
}

/// The first record, and its size in the file.
fn next(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= LARGEST)?;
    let content = rest.get(..length)?;
    if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((Record::read(content)?, 8 + length))
}
