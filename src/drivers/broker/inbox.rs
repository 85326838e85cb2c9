//! Bytes from a broker, cut into packets. A message that is too large is skipped while it comes, and never kept.

use std::ops::Range;

use super::packet::{Packet, Version};
use super::wire::Malformed;

/// Longest packet that is no message; the answer to a subscription of eight filters is short.
const LONGEST_ANSWER: usize = 64 << 10;
/// Bytes of a message in addition to its content: a topic, and properties.
const HEAD: usize = 128 << 10;
/// Bytes that stay reserved while nothing comes.
const KEPT: usize = 16 << 10;
/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;

/// Received bytes that are no packet yet.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Packets before this place were taken.
    taken: usize,
    /// Bytes of a message that are still to be skipped.
    skips: usize,
    /// Largest content of a message.
    max_message: usize,
}

/// A packet in the inbox, until the next one is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Whole {
        first: u8,
        body: Range<usize>,
    },
    /// A message that is skipped: its topic and its id.
    Oversized {
        topic: Range<usize>,
        qos: u8,
        id: u16,
        size: usize,
    },
}

impl Inbox {
    pub(super) fn new(max_message: usize) -> Inbox {
        Inbox { bytes: Vec::new(), taken: 0, skips: 0, max_message }
    }

    pub(super) fn get(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// A place to read into.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
            if self.bytes.capacity() > KEPT * 4 {
                self.bytes.shrink_to(KEPT);
            }
        } else if self.taken > CHUNK {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.reserve(CHUNK);
        &mut self.bytes
    }

    /// The next packet, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let skipped = self.skips.min(self.bytes.len() - self.taken);
        self.skips -= skipped;
        self.taken += skipped;
        let rest = &self.bytes[self.taken..];
        let Some((first, header, length)) = head(rest)? else { return Ok(None) };
        let is_message = first >> 4 == 3;
        if !is_message && length > LONGEST_ANSWER {
            return Err(Malformed("an answer is too long"));
        }
        if is_message && length > self.max_message.saturating_add(HEAD) {
            return self.skip(first, header, length);
        }
        if rest.len() < header + length {
            return Ok(None);
        }
        let start = self.taken + header;
        self.taken = start + length;
        Ok(Some(Frame::Whole { first, body: start..start + length }))
    }

    /// Skips a message as soon as its topic and its id are there.
    fn skip(&mut self, first: u8, header: usize, length: usize) -> Result<Option<Frame>, Malformed> {
        let rest = &self.bytes[self.taken + header..];
        let Some([high, low]) = rest.first_chunk::<2>() else { return Ok(None) };
        let topic = 2..2 + usize::from(u16::from_be_bytes([*high, *low]));
        let qos = first >> 1 & 3;
        let end = topic.end + if qos > 0 { 2 } else { 0 };
        if end > length || qos == 3 {
            return Err(Malformed("a message ends too early"));
        }
        let Some(start) = rest.get(..end) else { return Ok(None) };
        let id = if qos > 0 { u16::from_be_bytes([start[end - 2], start[end - 1]]) } else { 0 };
        if qos > 0 && id == 0 || std::str::from_utf8(&start[topic.clone()]).is_err() {
            return Err(Malformed("a message has a broken topic or id"));
        }
        let from = self.taken + header;
        self.taken = from + end;
        self.skips = length - end;
        Ok(Some(Frame::Oversized { topic: from + topic.start..from + topic.end, qos, id, size: length - end }))
    }

    /// Bytes that are kept now.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.bytes.capacity()
    }
}

/// First byte, bytes of the header, and length of the body of the packet that begins here.
type Head = (u8, usize, usize);

fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0;
    for (at, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((*first, at + 2, length)));
        }
    }
    if rest.len() >= 4 { Err(Malformed("a length has more than 4 bytes")) } else { Ok(None) }
}

/// Reads bytes as packets of both versions, in pieces.
pub(super) fn fuzz(bytes: &[u8]) {
    for version in [Version::V311, Version::V5] {
        let mut inbox = Inbox::new(1_000);
        'pieces: for piece in bytes.chunks(1 + bytes.len() / 3) {
            inbox.space().extend_from_slice(piece);
            loop {
                match inbox.next() {
                    Ok(Some(Frame::Whole { first, body })) => {
                        drop(Packet::read(first, inbox.get(body), version));
                    }
                    Ok(Some(Frame::Oversized { topic, .. })) => {
                        std::str::from_utf8(inbox.get(topic)).expect("a topic is text");
                    }
                    Ok(None) => break,
                    Err(_) => break 'pieces,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packet::Publish;
    use super::super::write::{Outgoing, Writer};
    use super::*;

    fn message(writer: Writer, topic: &str, payload: &[u8], qos: u8) -> Vec<u8> {
        let mut out = Vec::new();
        writer.publish(&mut out, Outgoing { topic, payload, qos, retain: qos == 1, id: 7 });
        out
    }

    #[test]
    fn a_message_that_is_too_large_is_skipped_and_never_kept() {
        let mut stream = message(Writer(Version::V311), "big", &[1; 3 << 20], 1);
        stream.extend(message(Writer(Version::V311), "next", b"x", 0));
        let mut inbox = Inbox::new(1_000);
        let (mut frames, mut most) = (Vec::new(), 0);
        for piece in stream.chunks(1_500) {
            inbox.space().extend_from_slice(piece);
            while let Some(frame) = inbox.next().expect("right packets") {
                frames.push(match frame {
                    Frame::Oversized { topic, qos, id, size } => {
                        format!("{} {qos} {id} {size}", String::from_utf8_lossy(inbox.get(topic)))
                    }
                    Frame::Whole { first, body } => {
                        format!("{:?}", Packet::read(first, inbox.get(body), Version::V311).expect("a packet"))
                    }
                });
            }
            most = most.max(inbox.held());
        }
        let next = Packet::Publish(Publish { topic: "next", id: 0, qos: 0, retained: false, payload: b"x" });
        assert_eq!(frames, ["big 1 7 3145728".to_owned(), format!("{next:?}")]);
        assert!(most < 100_000, "{most} bytes were kept");
    }

    proptest! {
        #[test]
        fn messages_of_any_size_survive_any_cut(
            all in proptest::collection::vec((0u8..3, ".{1,30}", proptest::collection::vec(any::<u8>(), 0..400)), 1..12),
            cut in 1usize..200,
            is_five in any::<bool>(),
        ) {
            let version = if is_five { Version::V5 } else { Version::V311 };
            let stream: Vec<u8> =
                all.iter().flat_map(|(qos, topic, payload)| message(Writer(version), topic, payload, *qos)).collect();
            let (mut inbox, mut count) = (Inbox::new(1_000), 0);
            for piece in stream.chunks(cut) {
                inbox.space().extend_from_slice(piece);
                while let Some(frame) = inbox.next().expect("right packets") {
                    let Frame::Whole { first, body } = frame else { panic!("none is too large") };
                    let (qos, topic, payload) = &all[count];
                    let id = if *qos > 0 { 7 } else { 0 };
                    let sent = Publish { topic, id, qos: *qos, retained: *qos == 1, payload };
                    prop_assert_eq!(Packet::read(first, inbox.get(body), version), Ok(Packet::Publish(sent)));
                    count += 1;
                }
            }
            prop_assert_eq!(count, all.len());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&bytes);
        }
    }
}
