//! A column of numbers in frames that decode alone.
//!
//! ```text
//! 0  one number for all
//! 1  runs: their count, then length and number of each
//! 2  few numbers: each as its difference to the one before
//! 3  few floats that are decimals: the power of ten, then integers as in 2
//! 4  pco: header and chunk's metadata, then a page a frame
//! 5  a line and what each number is off it
//! ```

use pco::data_types::Number as PcoNumber;
use pco::wrapped::{ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, PagingSpec};

use super::super::bytes::{Input, put_f64, put_var, put_zigzag};
use super::super::rows::Kind;
use super::super::settings::FRAME;
use super::super::trouble::{Damage, Intact};
use super::frames::{Pages, frame_counts};
use super::line::{self, Line};

const SAME: u8 = 0;
const RUNS: u8 = 1;
const FEW: u8 = 2;
const DECIMALS: u8 = 3;
const PCO: u8 = 4;
const LINE: u8 = 5;

/// With at most this many bits an offset a line is as small as pco gets at the jitter of a clock, so pco is not tried.
const GOOD_LINE: usize = 20;

/// Below this count of numbers pco's metadata costs more than it saves.
const FEW_NUMBERS: usize = 64;
/// Measured: higher levels take more time for less than a hundredth of the bytes.
const LEVEL: usize = 4;

/// How the bits of a column are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Width {
    pub(crate) fn of(kind: Kind) -> Width {
        match kind {
            1 | 3 | 5 => Width::U16,
            2 | 4 => Width::I16,
            6 => Width::I32,
            7 => Width::U32,
            9 => Width::U64,
            10 => Width::F32,
            11 => Width::F64,
            _ => Width::I64,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Width::F32 | Width::F64)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the bits of an f32 were widened")]
    fn float(self, bits: u64) -> f64 {
        if self == Width::F32 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits) }
    }

    /// The bits whose value is this decimal.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the caller checks the range")]
    fn decimal(self, number: i64, scale: f64) -> u64 {
        let value = number as f64 / scale;
        if self == Width::F32 { u64::from((value as f32).to_bits()) } else { value.to_bits() }
    }
}

/// Numbers between the widened bits of a row and their own type.
trait Bits: PcoNumber + Default {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! bits {
    ($($number:ty: $of:expr, $bits:expr;)*) => {$(
        impl Bits for $number {
            #[inline]
            fn of(bits: u64) -> Self {
                ($of)(bits)
            }

            #[inline]
            fn bits(self) -> u64 {
                ($bits)(self)
            }
        }
    )*};
}

bits! {
    u16: |bits| bits as u16, u64::from;
    i16: |bits| bits as i16, |v| i64::from(v).cast_unsigned();
    u32: |bits| bits as u32, u64::from;
    i32: |bits| bits as i32, |v| i64::from(v).cast_unsigned();
    u64: |bits| bits, |v| v;
    i64: u64::cast_signed, i64::cast_unsigned;
    f32: |bits| f32::from_bits(bits as u32), |v: f32| u64::from(v.to_bits());
    f64: f64::from_bits, f64::to_bits;
}

/// Writes a column; it is not empty.
pub(crate) fn encode(out: &mut Vec<u8>, width: Width, column: &[u64]) {
    let runs = 1 + column.windows(2).filter(|pair| pair[0] != pair[1]).count();
    if runs == 1 {
        out.push(SAME);
        put(out, width, column[0], 0);
    } else if runs * 8 <= column.len() {
        encode_runs(out, width, column, runs);
    } else if column.len() < FEW_NUMBERS {
        encode_few(out, width, column);
    } else {
        out.push(PCO);
        match width {
            Width::U16 => encode_pco::<u16>(out, width, column),
            Width::I16 => encode_pco::<i16>(out, width, column),
            Width::U32 => encode_pco::<u32>(out, width, column),
            Width::I32 => encode_pco::<i32>(out, width, column),
            Width::U64 => encode_pco::<u64>(out, width, column),
            Width::I64 => encode_pco::<i64>(out, width, column),
            Width::F32 => encode_pco::<f32>(out, width, column),
            Width::F64 => encode_pco::<f64>(out, width, column),
        }
    }
}

/// Writes a column that probably goes along a line: as such, or as `encode` does where that is smaller.
pub(crate) fn encode_line(out: &mut Vec<u8>, width: Width, column: &[u64]) {
    let is_constant = column.iter().all(|number| *number == column[0]);
    let Some(line) = line::encode(column).filter(|_| !is_constant) else { return encode(out, width, column) };
    let is_good = column.len() >= FEW_NUMBERS && line.len() * 8 <= column.len() * GOOD_LINE;
    let mut other = Vec::new();
    if !is_good {
        encode(&mut other, width, column);
    }
    if is_good || line.len() < other.len() {
        out.push(LINE);
        out.extend_from_slice(&line);
    } else {
        out.append(&mut other);
    }
}

fn put(out: &mut Vec<u8>, width: Width, bits: u64, before: u64) {
    match width {
        Width::F32 => put_f64(out, f64::from_bits((bits ^ before) << 32)),
        Width::F64 => put_f64(out, f64::from_bits(bits ^ before)),
        _ => put_zigzag(out, bits.wrapping_sub(before).cast_signed()),
    }
}

fn take(input: &mut Input<'_>, width: Width, before: u64) -> Intact<u64> {
    Ok(match width {
        Width::F32 => input.f64()?.to_bits() >> 32 ^ before,
        Width::F64 => input.f64()?.to_bits() ^ before,
        _ => before.wrapping_add(input.zigzag()?.cast_unsigned()),
    })
}

fn encode_runs(out: &mut Vec<u8>, width: Width, column: &[u64], runs: usize) {
    out.push(RUNS);
    put_var(out, runs as u64);
    let mut before = 0;
    for run in column.chunk_by(|a, b| a == b) {
        put_var(out, run.len() as u64);
        put(out, width, run[0], before);
        before = run[0];
    }
}

fn encode_few(out: &mut Vec<u8>, width: Width, column: &[u64]) {
    if width.is_float()
        && let Some((power, integers)) = decimals(width, column)
    {
        out.extend([DECIMALS, power]);
        let mut before = 0;
        for integer in integers {
            put_zigzag(out, integer - before);
            before = integer;
        }
        return;
    }
    out.push(FEW);
    let mut before = 0;
    for bits in column {
        put(out, width, *bits, before);
        before = *bits;
    }
}

/// The power of ten by which all floats of a column are integers, and those; measured values mostly are decimals.
#[expect(clippy::cast_possible_truncation, reason = "the bound is checked before")]
fn decimals(width: Width, column: &[u64]) -> Option<(u8, Vec<i64>)> {
    const LARGEST: f64 = (1u64 << 50) as f64;
    let scaled = |power: u8| {
        let scale = 10f64.powi(i32::from(power));
        let integer = |bits: &u64| {
            let number = (width.float(*bits) * scale).round();
            let exact = number.abs() <= LARGEST && width.decimal(number as i64, scale) == *bits;
            exact.then_some(number as i64)
        };
        column.iter().map(integer).collect::<Option<Vec<i64>>>().map(|integers| (power, integers))
    };
    (0..=4).find_map(scaled)
}

/// The differences of neighbours are smaller than the numbers are apart.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn is_smooth(width: Width, column: &[u64]) -> bool {
    let number = |bits: &u64| if width.is_float() { width.float(*bits) } else { bits.cast_signed() as f64 };
    let mean = column.iter().map(number).sum::<f64>() / column.len() as f64;
    let spread: f64 = column.iter().map(|bits| (number(bits) - mean).abs()).sum();
    let steps: f64 = column.windows(2).map(|pair| (number(&pair[1]) - number(&pair[0])).abs()).sum();
    // Noise that is independent from sample to sample has steps larger than its spread.
    steps < spread
}

fn encode_pco<N: Bits>(out: &mut Vec<u8>, width: Width, column: &[u64]) {
    let numbers: Vec<N> = column.iter().map(|bits| N::of(*bits)).collect();
    let paging = PagingSpec::Exact(frame_counts(numbers.len()).collect());
    // pco would find it out by trying, which takes longer than all the rest.
    let delta = if is_smooth(width, column) { DeltaSpec::TryConsecutive(1) } else { DeltaSpec::NoOp };
    let config = ChunkConfig::default().with_compression_level(LEVEL).with_paging_spec(paging).with_delta_spec(delta);
    let file = FileCompressor::default();
    let mut chunk =
        file.chunk_compressor(&numbers, &config).expect("a column has numbers, and fewer than pco can take");
    let mut head = Vec::new();
    file.write_header(&mut head).expect("memory takes every write");
    chunk.write_meta(&mut head).expect("memory takes every write");
    put_var(out, head.len() as u64);
    let pages = chunk.n_per_page().len();
    let mut body = Vec::new();
    for page in 0..pages {
        let before = body.len();
        chunk.write_page(page, &mut body).expect("memory takes every write");
        put_var(out, (body.len() - before) as u64);
    }
    out.extend_from_slice(&head);
    out.extend_from_slice(&body);
}

/// A column in the bytes of a block.
pub(crate) enum Column {
    Same(u64),
    List(Vec<u64>),
    Pages(Box<dyn Pages>),
}

struct PcoPages<N: Bits> {
    chunk: ChunkDecompressor<N>,
    /// Where each page begins and ends.
    edges: Vec<usize>,
    numbers: Vec<N>,
}

impl<N: Bits> Pages for PcoPages<N> {
    fn frame(&mut self, bytes: &[u8], frame: usize, count: usize, out: &mut Vec<u64>) -> Intact<()> {
        let (from, to) = match self.edges.get(frame..frame + 2) {
            Some(&[from, to]) => (from, to),
            _ => return Err(Damage("a frame is missing")),
        };
        let page = bytes.get(from..to).ok_or(Damage("a frame is missing"))?;
        self.numbers.resize(count, N::default());
        let decompressor = self.chunk.page_decompressor(page, count);
        let progress = decompressor.and_then(|mut page| page.read(&mut self.numbers));
        match progress {
            Ok(progress) if progress.n_processed == count => {}
            Ok(_) | Err(_) => return Err(Damage("numbers do not decode")),
        }
        out.extend(self.numbers.iter().map(|number| number.bits()));
        Ok(())
    }
}

impl Column {
    /// Reads a column of `count` numbers that begins at `start` of `bytes`; pages are left as they are.
    pub(crate) fn open(bytes: &[u8], start: usize, end: usize, width: Width, count: usize) -> Intact<Column> {
        let mut input = Input::new(bytes.get(start..end).ok_or(Damage("a column is missing"))?);
        match input.byte()? {
            SAME => Ok(Column::Same(take(&mut input, width, 0)?)),
            RUNS => open_runs(&mut input, width, count).map(Column::List),
            FEW => {
                let mut before = 0;
                let mut next = || -> Intact<u64> {
                    before = take(&mut input, width, before)?;
                    Ok(before)
                };
                (0..count).map(|_| next()).collect::<Intact<_>>().map(Column::List)
            }
            DECIMALS => open_decimals(&mut input, width, count).map(Column::List),
            LINE => Ok(Column::Pages(Box::new(Line::open(&mut input, end, count)?))),
            PCO => match width {
                Width::U16 => open_pco::<u16>(&mut input, end, count),
                Width::I16 => open_pco::<i16>(&mut input, end, count),
                Width::U32 => open_pco::<u32>(&mut input, end, count),
                Width::I32 => open_pco::<i32>(&mut input, end, count),
                Width::U64 => open_pco::<u64>(&mut input, end, count),
                Width::I64 => open_pco::<i64>(&mut input, end, count),
                Width::F32 => open_pco::<f32>(&mut input, end, count),
                Width::F64 => open_pco::<f64>(&mut input, end, count),
            },
            _ => Err(Damage("an unknown form of column")),
        }
    }

    /// Adds the `count` numbers of a frame; `bytes` are those that the column was opened in.
    pub(crate) fn frame(&mut self, bytes: &[u8], frame: usize, count: usize, out: &mut Vec<u64>) -> Intact<()> {
        match self {
            Column::Same(bits) => out.resize(out.len() + count, *bits),
            Column::List(list) => {
                let start = frame * FRAME;
                out.extend_from_slice(list.get(start..start + count).ok_or(Damage("a frame is missing"))?);
            }
            Column::Pages(pages) => pages.frame(bytes, frame, count, out)?,
        }
        Ok(())
    }
}

fn open_runs(input: &mut Input<'_>, width: Width, count: usize) -> Intact<Vec<u64>> {
    let mut list = Vec::with_capacity(count);
    let mut before = 0;
    for _ in 0..input.count(count)? {
        let length = input.count(count - list.len())?;
        before = take(input, width, before)?;
        list.resize(list.len() + length, before);
    }
    if list.len() == count { Ok(list) } else { Err(Damage("runs are too short")) }
}

fn open_decimals(input: &mut Input<'_>, width: Width, count: usize) -> Intact<Vec<u64>> {
    let scale = 10f64.powi(i32::from(input.byte()?.min(9)));
    let mut number = 0i64;
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        number = number.wrapping_add(input.zigzag()?);
        list.push(width.decimal(number, scale));
    }
    Ok(list)
}

fn open_pco<N: Bits + Send>(input: &mut Input<'_>, end: usize, count: usize) -> Intact<Column> {
    let head = input.count(input.rest().len())?;
    let mut lengths = Vec::new();
    for _ in frame_counts(count) {
        lengths.push(input.count(input.rest().len())?);
    }
    let mut at = end - input.rest().len() + head;
    let mut edges = vec![at];
    for length in lengths {
        at += length;
        edges.push(at);
    }
    let head = input.take(head)?;
    let chunk = FileDecompressor::new(head).and_then(|(file, rest)| Ok(file.chunk_decompressor::<N, _>(rest)?.0));
    let chunk = chunk.map_err(|_| Damage("a column's head does not decode"))?;
    Ok(Column::Pages(Box::new(PcoPages { chunk, edges, numbers: Vec::new() })))
}
