//! A column of source times and of the commits they came with. Tags that are polled together share one.

use super::super::bytes::{Input, put_var};
use super::super::trouble::{Damage, Intact};
use super::numbers::{Column, Width, encode_line};

/// Writes times, and commits unless there are none to tell apart.
pub(crate) fn encode_times(times: &[i64], seqs: &[u64]) -> Vec<u8> {
    let mut column = Vec::new();
    let bits: Vec<u64> = times.iter().map(|time| time.cast_unsigned()).collect();
    encode_line(&mut column, Width::I64, &bits);
    let mut out = Vec::new();
    put_var(&mut out, column.len() as u64);
    out.extend_from_slice(&column);
    if !seqs.is_empty() {
        encode_line(&mut out, Width::U64, seqs);
    }
    out
}

pub(crate) struct Times {
    times: Column,
    seqs: Option<Column>,
}

impl Times {
    pub(crate) fn open(bytes: &[u8], count: usize) -> Intact<Times> {
        let mut input = Input::new(bytes);
        let length = input.count(input.rest().len())?;
        let at = bytes.len() - input.rest().len();
        let times = Column::open(bytes, at, at + length, Width::I64, count)?;
        let has_seqs = at + length < bytes.len();
        let open_seqs = || Column::open(bytes, at + length, bytes.len(), Width::U64, count);
        Ok(Times { times, seqs: if has_seqs { Some(open_seqs()?) } else { None } })
    }

    /// Times of a frame; they never go back.
    pub(crate) fn frame(&mut self, bytes: &[u8], frame: usize, count: usize, out: &mut Vec<i64>) -> Intact<()> {
        let mut bits = Vec::with_capacity(count);
        self.times.frame(bytes, frame, count, &mut bits)?;
        out.extend(bits.iter().map(|bits| bits.cast_signed()));
        if out.is_sorted() { Ok(()) } else { Err(Damage("times go back")) }
    }

    pub(crate) fn seqs(&mut self, bytes: &[u8], frame: usize, count: usize, out: &mut Vec<u64>) -> Intact<()> {
        match &mut self.seqs {
            Some(seqs) => seqs.frame(bytes, frame, count, out),
            None => Ok(()),
        }
    }
}
