//! One row of the journal as bytes: a batch of samples, or an edit.
//!
//! ```text
//! samples  count, then a row each: flags, archive (delta), time (delta), server time, status, value
//! flags    1 same time as the row before · 2 server time = source time · 4 Good · the kind from bit 3 on
//! ```
//! All of it packed with LZ4.

use opcua::StatusCode;

use super::bytes::{Input, put_packed, put_text, put_var, put_zigzag, unpacked};
use super::rows::{Kind, NULL, OTHER, pack, unpack, width};
use super::tombstone::Tombstone;
use super::trouble::{Damage, Intact};
use crate::history::{ArchiveId, Modification, Row, Span, UpdateKind};
use crate::stack::codec::{Reader, Writer};
use crate::value::{Sample, UaTime, Value};

const SAME_TIME: u8 = 1;
const SERVER_EQUAL: u8 = 2;
const GOOD: u8 = 4;

/// Bytes of samples in one journal row, about.
pub(crate) const BATCH: usize = 16 << 20;

/// An edit of one archive, as the journal keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EditRecord {
    pub archive: ArchiveId,
    /// Samples that are put in.
    pub put: Vec<Sample>,
    /// Spans that are cleared, first and last inside.
    pub cleared: Vec<(i64, i64)>,
    /// Entries for the log of modified values.
    pub log: Vec<Modification>,
    /// A span whose log is deleted.
    pub forget: Option<Span>,
}

impl EditRecord {
    pub(crate) fn new(archive: ArchiveId) -> EditRecord {
        EditRecord { archive, put: Vec::new(), cleared: Vec::new(), log: Vec::new(), forget: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.cleared.is_empty() && self.log.is_empty() && self.forget.is_none()
    }

    pub(crate) fn tombstones(&self, seq: u64) -> impl Iterator<Item = Tombstone> {
        self.cleared.iter().map(move |(first, last)| Tombstone { first: *first, last: *last, seq })
    }
}

/// The journal's `kind` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Content {
    Samples = 0,
    Edit = 1,
}

/// Writes rows, each as its difference to the one before.
#[derive(Debug, Default)]
struct Packer {
    archive: i64,
    time: i64,
}

impl Packer {
    fn put(&mut self, out: &mut Vec<u8>, archive: ArchiveId, sample: &Sample) {
        let packed = pack(&sample.value);
        let time = sample.source_time.0;
        let kind = packed.map_or(OTHER, |(kind, _)| kind);
        let is_good = sample.status.bits() == 0;
        let flags = if time == self.time { SAME_TIME } else { 0 }
            | if sample.server_time == sample.source_time { SERVER_EQUAL } else { 0 }
            | if is_good { GOOD } else { 0 };
        out.push(flags | kind << 3);
        put_zigzag(out, i64::from(archive.0) - self.archive);
        if flags & SAME_TIME == 0 {
            put_zigzag(out, time.wrapping_sub(self.time));
        }
        if flags & SERVER_EQUAL == 0 {
            put_zigzag(out, sample.server_time.0.wrapping_sub(time));
        }
        if !is_good {
            out.extend_from_slice(&sample.status.bits().to_le_bytes());
        }
        match packed {
            Some((kind, bits)) => out.extend_from_slice(&bits.to_le_bytes()[..width(kind).unwrap_or(0)]),
            None => put_value(out, &sample.value),
        }
        self.archive = i64::from(archive.0);
        self.time = time;
    }

    fn take(&mut self, input: &mut Input<'_>) -> Intact<Row> {
        let flags = input.byte()?;
        let archive = self.archive.wrapping_add(input.zigzag()?);
        let id = u32::try_from(archive).map_err(|_| Damage("an archive's number is out of range"))?;
        self.archive = archive;
        if flags & SAME_TIME == 0 {
            self.time = self.time.wrapping_add(input.zigzag()?);
        }
        let server = if flags & SERVER_EQUAL == 0 { self.time.wrapping_add(input.zigzag()?) } else { self.time };
        let status = if flags & GOOD == 0 { input.u32()? } else { 0 };
        let sample = Sample {
            value: take_value(input, flags >> 3)?,
            status: StatusCode::from(status),
            source_time: UaTime(self.time),
            server_time: UaTime(server),
        };
        Ok(Row { archive: ArchiveId(id), sample })
    }
}

/// A value of the kind OTHER: its length, then an encoded Variant.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut writer = Writer::new();
    writer.variant(value);
    put_var(out, writer.buf.len() as u64);
    out.extend_from_slice(&writer.buf);
}

pub(crate) fn take_variant(input: &mut Input<'_>) -> Intact<Value> {
    let length = input.count(input.rest().len())?;
    Reader::new(input.take(length)?).variant().map_err(|_| Damage("a value does not decode"))
}

fn take_value(input: &mut Input<'_>, kind: Kind) -> Intact<Value> {
    match kind {
        NULL => Ok(Value::Null),
        OTHER => take_variant(input),
        _ => {
            let width = width(kind).ok_or(Damage("a value is of an unknown type"))?;
            let mut bytes = [0; 8];
            bytes[..width].copy_from_slice(input.take(width)?);
            Ok(unpack(kind, u64::from_le_bytes(bytes)))
        }
    }
}

/// Rows into packed batches of bounded size, each with its number of rows.
pub(crate) fn encode_samples<'r>(rows: impl Iterator<Item = &'r Row>, raw: &mut Vec<u8>) -> Vec<(Vec<u8>, usize)> {
    let mut rows = rows.peekable();
    let mut batches = Vec::new();
    while rows.peek().is_some() {
        raw.clear();
        let mut packer = Packer::default();
        let mut count = 0;
        while raw.len() < BATCH
            && let Some(row) = rows.next()
        {
            packer.put(raw, row.archive, &row.sample);
            count += 1;
        }
        let mut batch = Vec::new();
        put_var(&mut batch, count as u64);
        put_packed(&mut batch, raw);
        batches.push((batch, count));
    }
    batches
}

/// Hands each row of a batch to `take`.
pub(crate) fn decode_samples(batch: &[u8], take: &mut dyn FnMut(Row)) -> Intact<()> {
    let mut input = Input::new(batch);
    let count = input.count(usize::MAX)?;
    let raw = unpacked(&mut input)?;
    let mut input = Input::new(&raw);
    let mut packer = Packer::default();
    for _ in 0..count {
        take(packer.take(&mut input)?);
    }
    if input.is_at_end() { Ok(()) } else { Err(Damage("more follows than was counted")) }
}

pub(crate) fn encode_edit(edit: &EditRecord) -> Vec<u8> {
    let mut raw = Vec::new();
    put_var(&mut raw, u64::from(edit.archive.0));
    put_var(&mut raw, edit.put.len() as u64);
    let mut packer = Packer::default();
    edit.put.iter().for_each(|sample| packer.put(&mut raw, edit.archive, sample));
    put_var(&mut raw, edit.cleared.len() as u64);
    for (first, last) in &edit.cleared {
        raw.extend_from_slice(&first.to_le_bytes());
        raw.extend_from_slice(&last.to_le_bytes());
    }
    put_var(&mut raw, edit.log.len() as u64);
    for entry in &edit.log {
        put_modification(&mut raw, entry);
    }
    raw.push(u8::from(edit.forget.is_some()));
    if let Some(span) = edit.forget {
        raw.extend_from_slice(&span.first.0.to_le_bytes());
        raw.extend_from_slice(&span.last.0.to_le_bytes());
    }
    let mut batch = Vec::new();
    put_packed(&mut batch, &raw);
    batch
}

pub(crate) fn decode_edit(batch: &[u8]) -> Intact<EditRecord> {
    let raw = unpacked(&mut Input::new(batch))?;
    let mut input = Input::new(&raw);
    let archive = u32::try_from(input.var()?).map_err(|_| Damage("an archive's number is out of range"))?;
    let mut edit = EditRecord::new(ArchiveId(archive));
    let mut packer = Packer::default();
    for _ in 0..input.count(raw.len())? {
        edit.put.push(packer.take(&mut input)?.sample);
    }
    for _ in 0..input.count(raw.len() / 16)? {
        edit.cleared.push((input.i64()?, input.i64()?));
    }
    for _ in 0..input.count(raw.len())? {
        edit.log.push(take_modification(&mut input)?);
    }
    if input.byte()? != 0 {
        edit.forget = Some(Span { first: UaTime(input.i64()?), last: UaTime(input.i64()?) });
    }
    if input.is_at_end() { Ok(edit) } else { Err(Damage("more follows than was counted")) }
}

/// A modification as the journal and `meta.db` keep it.
pub(crate) fn put_modification(out: &mut Vec<u8>, entry: &Modification) {
    out.push(entry.kind as u8);
    out.extend_from_slice(&entry.time.0.to_le_bytes());
    put_text(out, &entry.user);
    Packer::default().put(out, ArchiveId(0), &entry.sample);
}

pub(crate) fn take_modification(input: &mut Input<'_>) -> Intact<Modification> {
    let kind = match input.byte()? {
        1 => UpdateKind::Insert,
        2 => UpdateKind::Replace,
        3 => UpdateKind::Update,
        4 => UpdateKind::Delete,
        _ => return Err(Damage("an unknown kind of modification")),
    };
    let time = UaTime(input.i64()?);
    let user = input.text()?.to_owned();
    let sample = Packer::default().take(input)?.sample;
    Ok(Modification { sample, time, kind, user })
}

/// Batches for the fuzzer, after the byte that counts a block's samples.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sample = |n: i64, value: Value| Sample {
        value,
        status: StatusCode::Good,
        source_time: UaTime(1_000_000 + n / 3),
        server_time: UaTime(1_000_000 + n / 2),
    };
    let values = [Value::Double(0.1), Value::Boolean(true), Value::text("running"), Value::Null];
    let samples: Vec<Sample> = (0..40).zip(values.iter().cycle()).map(|(n, value)| sample(n, value.clone())).collect();
    let rows: Vec<Row> =
        samples.iter().zip(0..).map(|(s, n)| Row { archive: ArchiveId(n % 7), sample: s.clone() }).collect();
    let log = samples.iter().take(2).map(|sample| Modification {
        sample: sample.clone(),
        time: UaTime(5),
        kind: UpdateKind::Replace,
        user: "ann".to_owned(),
    });
    let edit = EditRecord {
        cleared: vec![(1, 2)],
        log: log.collect(),
        forget: Some(Span::ALL),
        put: samples,
        ..EditRecord::new(ArchiveId(3))
    };
    let batches = encode_samples(rows.iter(), &mut Vec::new()).into_iter().map(|(batch, _)| batch);
    batches.chain([encode_edit(&edit)]).map(|batch| [vec![0], batch].concat()).collect()
}
