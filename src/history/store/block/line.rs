//! Numbers that go along a straight line: source times of a poll, whatever its jitter, and counts of commits.
//!
//! A frame is its first number, the step from one to the next, and what each is off that line, in as few bits as the
//! largest needs. That is as small as pco's answer for jitter of a clock, and takes a tenth of the time to read.
//!
//! ```text
//! the length of each frame, then a frame each: first, step, least offset, bits an offset, offsets
//! ```

use super::super::bytes::{Input, put_var, put_zigzag};
use super::super::settings::FRAME;
use super::super::trouble::{Damage, Intact};
use super::frames::{Pages, frame_counts};

/// Wider offsets are no line.
const MOST_BITS: u32 = 56;

/// Writes a column, or `None` when it is no line.
pub(crate) fn encode(column: &[u64]) -> Option<Vec<u8>> {
    let mut frames = Vec::new();
    for frame in column.chunks(FRAME) {
        frames.push(encode_frame(frame)?);
    }
    let mut out = Vec::new();
    frames.iter().for_each(|frame| put_var(&mut out, frame.len() as u64));
    frames.iter().for_each(|frame| out.extend_from_slice(frame));
    Some(out)
}

fn encode_frame(frame: &[u64]) -> Option<Vec<u8>> {
    let first = frame[0].cast_signed();
    let last = frame[frame.len() - 1].cast_signed();
    let steps = i64::try_from(frame.len() - 1).ok()?;
    let step = if steps == 0 { 0 } else { last.wrapping_sub(first) / steps };
    let offset = |(number, at): (&u64, i64)| number.cast_signed().wrapping_sub(on_line(first, step, at));
    let offsets: Vec<i64> = frame.iter().zip(0..).map(offset).collect();
    let least = offsets.iter().copied().min()?;
    let most = offsets.iter().copied().max()?;
    let bits = u64::BITS - most.wrapping_sub(least).cast_unsigned().leading_zeros();
    if bits > MOST_BITS {
        return None;
    }
    let mut out = Vec::with_capacity(32 + frame.len() * bits as usize / 8);
    put_zigzag(&mut out, first);
    put_zigzag(&mut out, step);
    put_zigzag(&mut out, least);
    out.push(bits.to_le_bytes()[0]);
    let (mut held, mut filled) = (0u128, 0);
    for offset in offsets {
        held |= u128::from(offset.wrapping_sub(least).cast_unsigned()) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(held.to_le_bytes()[0]);
            held >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(held.to_le_bytes()[0]);
    }
    Some(out)
}

fn on_line(first: i64, step: i64, at: i64) -> i64 {
    first.wrapping_add(step.wrapping_mul(at))
}

/// A column in the bytes of a block.
pub(crate) struct Line {
    /// Where each frame begins and ends.
    edges: Vec<usize>,
}

impl Line {
    /// Reads the lengths of the frames; the input ends at `end` of the block's bytes.
    pub(crate) fn open(input: &mut Input<'_>, end: usize, count: usize) -> Intact<Line> {
        let mut lengths = Vec::new();
        for _ in frame_counts(count) {
            lengths.push(input.count(input.rest().len())?);
        }
        let mut at = end - input.rest().len();
        let mut edges = vec![at];
        for length in lengths {
            at += length;
            edges.push(at);
        }
        Ok(Line { edges })
    }
}

impl Pages for Line {
    fn frame(&mut self, bytes: &[u8], frame: usize, count: usize, out: &mut Vec<u64>) -> Intact<()> {
        let (from, to) = match self.edges.get(frame..frame + 2) {
            Some(&[from, to]) => (from, to),
            _ => return Err(Damage("a frame is missing")),
        };
        let mut input = Input::new(bytes.get(from..to).ok_or(Damage("a frame is missing"))?);
        let (first, step, least) = (input.zigzag()?, input.zigzag()?, input.zigzag()?);
        let bits = usize::from(input.byte()?);
        let packed = input.rest();
        if bits > MOST_BITS as usize || packed.len() != (bits * count).div_ceil(8) {
            return Err(Damage("offsets are missing"));
        }
        let mask = (1u64 << bits) - 1;
        out.reserve(count);
        let mut line = first.wrapping_add(least);
        for at in 0..count {
            let place = at * bits;
            let offset = word(packed, place / 8) >> (place % 8) & mask;
            out.push(line.cast_unsigned().wrapping_add(offset));
            line = line.wrapping_add(step);
        }
        Ok(())
    }
}

/// Eight bytes from `at` on; bytes after the end are zeros.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    if let Some(&[a, b, c, d, e, f, g, h]) = bytes.get(at..at + 8) {
        return u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    }
    let mut word = [0; 8];
    for (byte, found) in word.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *byte = *found;
    }
    u64::from_le_bytes(word)
}
