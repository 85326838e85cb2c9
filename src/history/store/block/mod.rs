//! Up to 4,096 samples of one archive as bytes, in frames of 256 that decode alone.
//!
//! ```text
//! index  flags, then a frame each: first time, last time, summary (its length first)
//! data   kind · statuses (runs) · gaps (runs) · server times less source times · values
//! ```
//! The source times are a row of their own that the tags of a poll group share: with jittering clocks they need more
//! than half of the bytes of a sample. docs/formats/history.md has every byte.

mod frames;
mod line;
mod numbers;
mod other;
mod summary;
#[cfg(test)]
mod tests;
mod times;

pub(crate) use frames::frame_counts;
pub(crate) use other::{MOST_BYTES, weight};
pub(crate) use times::{Times, encode_times};

use numbers::{Column, Width, encode as encode_numbers};
use other::{Others, encode_values};

use super::bytes::{Input, put_var, put_zigzag};
use super::rows::{Cells, Kind, OTHER, Rows, number};
use super::settings::{BLOCK, FRAME};
use super::trouble::{Damage, Intact};
use crate::history::Summary;

/// The same instant comes several times: the block is read as a whole.
const VERSIONS: u8 = 1;
/// Frames of fewer samples have no summary: it would cost more than it saves.
const LEAST_SUMMARY: usize = 128;

/// A block in its encoded form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Encoded {
    pub first: i64,
    pub last: i64,
    pub count: usize,
    /// Oldest and newest commit.
    pub seqs: (u64, u64),
    pub index: Vec<u8>,
    pub data: Vec<u8>,
}

/// Encodes rows in time order: at least one, at most `BLOCK`.
pub(crate) fn encode(rows: &Rows) -> Encoded {
    let least = rows.seqs.iter().copied().min().unwrap_or(rows.seq);
    let most = rows.seqs.iter().copied().max().unwrap_or(rows.seq);
    Encoded {
        first: rows.times[0],
        last: rows.times[rows.len() - 1],
        count: rows.len(),
        seqs: (least, most),
        index: encode_index(rows),
        data: encode_data(rows),
    }
}

fn encode_index(rows: &Rows) -> Vec<u8> {
    let is_strict = rows.times.windows(2).all(|pair| pair[0] < pair[1]);
    let mut out = vec![if is_strict { 0 } else { VERSIONS }];
    let mut before = rows.times[0];
    let (mut start, mut numbers, mut written) = (0, Vec::with_capacity(FRAME), Vec::new());
    for count in frame_counts(rows.len()) {
        let times = &rows.times[start..start + count];
        put_zigzag(&mut out, times[0].wrapping_sub(before));
        put_var(&mut out, times[count - 1].wrapping_sub(times[0]).cast_unsigned());
        before = times[count - 1];
        written.clear();
        if is_strict
            && numbers_of(rows, start, count, &mut numbers)
            && let Some(summary) = summary::summarize(times, &numbers)
        {
            summary::put(&mut written, &summary);
        }
        put_var(&mut out, written.len() as u64);
        out.extend_from_slice(&written);
        start += count;
    }
    out
}

/// Numbers of a frame; false when it has none to summarize, or too few.
fn numbers_of(rows: &Rows, start: usize, count: usize, numbers: &mut Vec<f64>) -> bool {
    let Cells::Bits { kind, bits, absent } = &rows.cells else { return false };
    let is_good = rows.statuses.is_empty() || rows.statuses[start..start + count].iter().all(|status| *status == 0);
    let has_gaps = !absent.is_empty() && absent[start..start + count].contains(&true);
    if count < LEAST_SUMMARY || !is_good || has_gaps {
        return false;
    }
    numbers.clear();
    numbers.extend(bits[start..start + count].iter().map(|bits| number(*kind, *bits)));
    true
}

fn encode_data(rows: &Rows) -> Vec<u8> {
    let mut out = Vec::new();
    let kind = match &rows.cells {
        Cells::Bits { kind, .. } => *kind,
        Cells::Values(_) => OTHER,
    };
    out.push(kind);
    let mut section = Vec::new();
    if rows.statuses.iter().any(|status| *status != 0) {
        for run in rows.statuses.chunk_by(|a, b| a == b) {
            put_var(&mut section, run.len() as u64);
            put_var(&mut section, u64::from(run[0]));
        }
    }
    put_section(&mut out, &mut section);
    let absent: &[bool] = if let Cells::Bits { absent, .. } = &rows.cells { absent } else { &[] };
    if absent.contains(&true) {
        section.push(u8::from(absent[0]));
        absent.chunk_by(|a, b| a == b).for_each(|run| put_var(&mut section, run.len() as u64));
    }
    put_section(&mut out, &mut section);
    let deltas = rows.servers.iter().zip(&rows.times).map(|(server, time)| server.wrapping_sub(*time).cast_unsigned());
    encode_numbers(&mut section, Width::I64, &deltas.collect::<Vec<u64>>());
    put_section(&mut out, &mut section);
    match &rows.cells {
        Cells::Bits { kind, bits, absent } => {
            encode_numbers(&mut out, Width::of(*kind), &without_gaps(bits, absent));
        }
        Cells::Values(values) => encode_values(&mut out, values),
    }
    out
}

/// Puts the value before into each gap, which needs the fewest bytes.
fn without_gaps<'b>(bits: &'b [u64], absent: &[bool]) -> std::borrow::Cow<'b, [u64]> {
    if !absent.contains(&true) {
        return bits.into();
    }
    let mut before = bits.iter().zip(absent).find(|(_, absent)| !**absent).map_or(0, |(bits, _)| *bits);
    let fill = |(bits, absent): (&u64, &bool)| {
        if !absent {
            before = *bits;
        }
        before
    };
    bits.iter().zip(absent).map(fill).collect::<Vec<u64>>().into()
}

fn put_section(out: &mut Vec<u8>, section: &mut Vec<u8>) {
    put_var(out, section.len() as u64);
    out.append(section);
}

/// A frame as the index describes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub first: i64,
    pub last: i64,
    pub count: usize,
    /// Position of its summary in the index.
    summary: Option<(usize, usize)>,
}

impl Frame {
    /// The same frame with other edges and no summary.
    pub(crate) fn spanning(self, first: i64, last: i64) -> Frame {
        Frame { first, last, summary: None, ..self }
    }
}

/// The index of a block: its frames, without their data.
#[derive(Debug)]
pub(crate) struct Index {
    pub frames: Vec<Frame>,
    pub has_versions: bool,
}

impl Index {
    pub(crate) fn read(bytes: &[u8], first: i64, count: usize) -> Intact<Index> {
        if count == 0 || count > BLOCK {
            return Err(Damage("its count of samples is out of range"));
        }
        let mut input = Input::new(bytes);
        let flags = input.byte()?;
        let mut before = first;
        let mut frames = Vec::with_capacity(count.div_ceil(FRAME));
        for count in frame_counts(count) {
            let first = before.wrapping_add(input.zigzag()?);
            let last = first.wrapping_add(input.var()?.cast_signed());
            let length = input.count(input.rest().len())?;
            let at = bytes.len() - input.rest().len();
            input.take(length)?;
            if first < before || last < first {
                return Err(Damage("times go back"));
            }
            frames.push(Frame { first, last, count, summary: (length > 0).then_some((at, at + length)) });
            before = last;
        }
        Ok(Index { frames, has_versions: flags & VERSIONS != 0 })
    }

    /// The summary of a frame, out of the bytes that the index was read from.
    pub(crate) fn summary(&self, bytes: &[u8], frame: usize) -> Intact<Option<Summary>> {
        let Some(found) = self.frames.get(frame) else { return Ok(None) };
        let Some((from, to)) = found.summary else { return Ok(None) };
        let count = u32::try_from(found.count).map_err(|_| Damage("its count of samples is out of range"))?;
        summary::take(&mut Input::new(&bytes[from..to]), found.first, found.last, count).map(Some)
    }
}

enum Values {
    Numbers(Kind, Column),
    Others(Others),
}

/// The data of a block, opened; its frames are decoded one by one.
pub(crate) struct Data {
    /// Empty when all are Good.
    statuses: Vec<u32>,
    /// Empty when none is.
    absent: Vec<bool>,
    servers: Column,
    values: Values,
}

impl Data {
    pub(crate) fn open(bytes: &[u8], count: usize) -> Intact<Data> {
        if count == 0 || count > BLOCK {
            return Err(Damage("its count of samples is out of range"));
        }
        let mut input = Input::new(bytes);
        let kind = input.byte()?;
        let statuses = open_statuses(&mut Input::new(take_section(&mut input)?), count)?;
        let absent = open_absent(&mut Input::new(take_section(&mut input)?), count)?;
        let length = input.count(input.rest().len())?;
        let at = bytes.len() - input.rest().len();
        let servers = Column::open(bytes, at, at + length, Width::I64, count)?;
        let (start, end) = (at + length, bytes.len());
        let values = if kind == OTHER {
            Values::Others(Others::open(bytes, start, end, count)?)
        } else {
            Values::Numbers(kind, Column::open(bytes, start, end, Width::of(kind), count)?)
        };
        Ok(Data { statuses, absent, servers, values })
    }

    /// The samples of a frame; `bytes` are those that the data was opened in, `times` the frame's times.
    pub(crate) fn frame(&mut self, bytes: &[u8], frame: usize, times: Vec<i64>) -> Intact<Rows> {
        let count = times.len();
        let mut deltas = Vec::with_capacity(count);
        self.servers.frame(bytes, frame, count, &mut deltas)?;
        let servers = deltas.iter().zip(&times).map(|(delta, time)| time.wrapping_add(delta.cast_signed())).collect();
        let cells = match &mut self.values {
            Values::Numbers(kind, column) => {
                let mut bits = Vec::with_capacity(count);
                column.frame(bytes, frame, count, &mut bits)?;
                Cells::Bits { kind: *kind, bits, absent: part(&self.absent, frame, count) }
            }
            Values::Others(others) => {
                let mut values = Vec::with_capacity(count);
                others.frame(bytes, frame, count, &mut values)?;
                Cells::Values(values)
            }
        };
        let statuses = part(&self.statuses, frame, count);
        Ok(Rows { times, servers, statuses, seqs: Vec::new(), seq: 0, cells })
    }
}

fn part<T: Copy + Default + PartialEq>(column: &[T], frame: usize, count: usize) -> Vec<T> {
    let start = frame * FRAME;
    let part = column.get(start..start + count).unwrap_or_default();
    if part.iter().all(|one| *one == T::default()) { Vec::new() } else { part.to_vec() }
}

fn take_section<'a>(input: &mut Input<'a>) -> Intact<&'a [u8]> {
    let length = input.count(input.rest().len())?;
    input.take(length)
}

fn open_statuses(input: &mut Input<'_>, count: usize) -> Intact<Vec<u32>> {
    let mut statuses = Vec::new();
    while !input.is_at_end() {
        let length = input.count(count - statuses.len())?;
        let status = u32::try_from(input.var()?).map_err(|_| Damage("a status is out of range"))?;
        statuses.resize(statuses.len() + length, status);
    }
    if statuses.is_empty() || statuses.len() == count { Ok(statuses) } else { Err(Damage("runs are too short")) }
}

fn open_absent(input: &mut Input<'_>, count: usize) -> Intact<Vec<bool>> {
    if input.is_at_end() {
        return Ok(Vec::new());
    }
    let mut is_absent = input.byte()? != 0;
    let mut absent = Vec::with_capacity(count);
    while !input.is_at_end() {
        let length = input.count(count - absent.len())?;
        absent.resize(absent.len() + length, is_absent);
        is_absent = !is_absent;
    }
    if absent.len() == count { Ok(absent) } else { Err(Damage("runs are too short")) }
}

/// Blocks of several kinds, for the fuzzer: a byte for the count of samples, then one part.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    use crate::value::Value;
    let mut seeds = Vec::new();
    for count in [18, 35, 290, 1004] {
        let n = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9) % 5000;
        let texts = (0..count).map(|at| Value::text(["idle", "running", "fault"][at % 3])).collect();
        let bits = |kind: Kind, of: &dyn Fn(u64) -> u64| Cells::Bits {
            kind,
            bits: (0..count).map(|at| of(n(at))).collect(),
            absent: (0..count).map(|at| at % 90 == 3).collect(),
        };
        let floats = |n: u64| (n as f64 * 0.37).to_bits();
        for cells in [bits(11, &floats), bits(6, &|n| n), bits(1, &|n| n / 4000), Cells::Values(texts)] {
            let rows = Rows {
                times: (0..count).map(|at| 1 + at as i64 * 10_000_000 + n(at).cast_signed()).collect(),
                servers: (0..count).map(|at| at as i64 * 10_000_000 + 5000).collect(),
                statuses: (0..count).map(|at| if at % 100 == 7 { 0x800a_0000 } else { 0 }).collect(),
                seqs: (0..count).map(|at| 5 + at as u64 / 10).collect(),
                seq: 0,
                cells,
            };
            let encoded = encode(&rows);
            let byte = (count / 17).to_le_bytes()[0];
            for part in [encoded.index, encoded.data, encode_times(&rows.times, &rows.seqs)] {
                seeds.push([vec![byte], part].concat());
            }
        }
    }
    seeds
}

/// Decodes whatever the bytes say, for the fuzzer: an index, data, times.
pub(crate) fn decode_all(bytes: &[u8], count: usize) -> Intact<usize> {
    let count = count % BLOCK + 1;
    let mut decoded = 0;
    if let Ok(index) = Index::read(bytes, 0, count) {
        for frame in 0..index.frames.len() {
            decoded += usize::from(index.summary(bytes, frame)?.is_some());
        }
    }
    let mut times = Times::open(bytes, count)?;
    for (frame, count) in frame_counts(count).enumerate() {
        let (mut column, mut seqs) = (Vec::new(), Vec::new());
        times.frame(bytes, frame, count, &mut column)?;
        times.seqs(bytes, frame, count, &mut seqs)?;
        decoded += column.len();
    }
    Ok(decoded)
}

/// The same for data.
pub(crate) fn decode_data(bytes: &[u8], count: usize) -> Intact<usize> {
    let count = count % BLOCK + 1;
    let mut data = Data::open(bytes, count)?;
    let mut decoded = 0;
    for (frame, count) in frame_counts(count).enumerate() {
        decoded += data.frame(bytes, frame, vec![0; count])?.len();
    }
    Ok(decoded)
}
