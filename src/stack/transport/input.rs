//! Received bytes that are not yet decoded. The buffer grows with received bytes, never with announced ones.

use std::ops::Range;

use opcua::StatusCode;

use super::{Fatal, HEADER, Header};

/// Read at least so much at a time.
const READ: usize = 8 * 1024;
/// An assembled message that was larger gives its memory back.
const KEEP: usize = 1 << 20;

/// The connection's one input buffer, and the one message that is being put together from chunks.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    assembled: Vec<u8>,
}

/// A whole frame that lies in the input until the next call of `room`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    range: Range<usize>,
}

impl Input {
    /// The buffer to append received bytes to. Call it only when `receive` found nothing more to do: the buffer then
    /// holds less than one frame, so it never exceeds the receive buffer by more than what one read brings.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve(READ);
        &mut self.bytes
    }

    /// Bytes received and not yet taken out as a frame.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next whole frame. What its header states is held against `limit` before anything else.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<Frame>, Fatal> {
        let Some(header) = self.bytes[self.start..].first_chunk::<HEADER>() else { return Ok(None) };
        let header = Header::parse(header)?;
        if header.size > limit {
            return Err(Fatal::new(StatusCode::BadTcpMessageTooLarge, "larger than the receive buffer"));
        }
        if self.waiting() < header.size {
            return Ok(None);
        }
        let range = self.start..self.start + header.size;
        self.start = range.end;
        Ok(Some(Frame { header, range }))
    }

    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        &self.bytes[frame.range.clone()]
    }

    pub fn bytes_mut(&mut self, frame: &Frame) -> &mut [u8] {
        &mut self.bytes[frame.range.clone()]
    }

    /// Part of a frame; `part` counts from the frame's first byte.
    pub fn part(&self, frame: &Frame, part: Range<usize>) -> &[u8] {
        &self.bytes(frame)[part]
    }

    /// Bytes of the message in assembly.
    pub fn assembled(&self) -> &[u8] {
        &self.assembled
    }

    pub(in crate::stack) fn assemble(&mut self, frame: &Frame, part: Range<usize>) {
        let at = frame.range.start;
        self.assembled.extend_from_slice(&self.bytes[at + part.start..at + part.end]);
    }

    pub(in crate::stack) fn clear_assembly(&mut self) {
        self.assembled.clear();
        if self.assembled.capacity() > KEEP {
            self.assembled = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_size_above_the_limit_is_refused_before_anything_is_allocated() {
        for size in [8193u32, 1 << 20, u32::MAX] {
            let mut input = Input::default();
            input.room().extend_from_slice(&[b"MSGF".as_slice(), &size.to_le_bytes()].concat());
            let refused = input.next_frame(8192).expect_err("too large");
            assert_eq!(refused.status, StatusCode::BadTcpMessageTooLarge);
            assert!(input.bytes.capacity() <= 2 * READ);
        }
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let stream = [b"MSGF\x0a\0\0\0ab".as_slice(), b"HELF\x08\0\0\0", b"MSGC\x09\0\0\0c"].concat();
        for cut in 1..stream.len() {
            let mut input = Input::default();
            let mut bodies = Vec::new();
            for part in stream.chunks(cut) {
                input.room().extend_from_slice(part);
                while let Some(frame) = input.next_frame(64).expect("well formed") {
                    bodies.push(input.bytes(&frame)[HEADER..].to_vec());
                }
            }
            assert_eq!(bodies, [b"ab".to_vec(), Vec::new(), b"c".to_vec()], "cut at {cut}");
            assert_eq!(input.waiting(), 0);
        }
    }

    #[test]
    fn headers_that_say_nonsense_are_refused() {
        for header in [*b"XYZF\x08\0\0\0", *b"MSGX\x08\0\0\0", *b"OPNC\x08\0\0\0", *b"MSGF\x07\0\0\0", [0; 8]] {
            let refused = Header::parse(&header).expect_err("nonsense");
            assert_eq!(refused.status, StatusCode::BadTcpMessageTypeInvalid, "{header:?}");
        }
    }
}
