//! Frames: the parts of a column that decode alone.

use super::super::settings::FRAME;
use super::super::trouble::Intact;

/// Count of numbers in each frame of a column of `count` numbers.
pub(crate) fn frame_counts(count: usize) -> impl Iterator<Item = usize> {
    (0..count.div_ceil(FRAME)).map(move |frame| FRAME.min(count - frame * FRAME))
}

/// A column whose frames are decoded one by one.
pub(crate) trait Pages: Send {
    /// Adds the numbers of a frame.
    fn frame(&mut self, bytes: &[u8], frame: usize, count: usize, out: &mut Vec<u64>) -> Intact<()>;
}
