//! DataValues on their way into a response: straight from the archive's page into the buffer, until the node's share
//! of the response is used up.

use opcua::StatusCode;

use crate::model::Shape;
use crate::stack::codec::{Timestamps, Writer};
use crate::value::{BuiltIn, IndexRange, Sample, UaTime, Value};

/// Values of unknown size that are taken from the archive at once: each may be large.
const FEW: usize = 16;

/// Room for the values of one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub values: usize,
    /// The response must not grow beyond this.
    pub end: usize,
}

/// The DataValue array of one HistoryData.
pub(crate) struct Values<'w> {
    pub w: &'w mut Writer,
    count_at: usize,
    count: usize,
    most: usize,
    /// The response must not grow beyond this.
    end: usize,
    timestamps: Timestamps,
    range: Option<&'w IndexRange>,
    /// Bytes of one DataValue where all are of one size.
    size: Option<usize>,
}

impl<'w> Values<'w> {
    /// `size`: bytes of one DataValue where all are of one size.
    pub(crate) fn new(
        w: &'w mut Writer,
        room: Room,
        timestamps: Timestamps,
        range: Option<&'w IndexRange>,
        size: Option<usize>,
    ) -> Values<'w> {
        let count_at = w.reserve_count();
        Values { w, count_at, count: 0, most: room.values, end: room.end, timestamps, range, size }
    }

    /// Values that are worth fetching next; 0 when nothing more has room.
    pub(crate) fn wanted(&self) -> usize {
        let left = self.most - self.count;
        let bytes = self.end.saturating_sub(self.w.mark());
        match self.size {
            Some(size) => left.min(bytes / size),
            None if bytes == 0 => 0,
            None => left.min(FEW),
        }
    }

    /// Adds all of them, or none when the response would grow too large.
    pub(crate) fn push_all(&mut self, samples: &[Sample]) -> bool {
        self.push_all_before(samples, 0)
    }

    /// The same, when this many more bytes will follow the values.
    pub(crate) fn push_all_before(&mut self, samples: &[Sample], bytes: usize) -> bool {
        let mark = self.w.mark();
        match self.range {
            None => {
                self.w.buf.reserve(self.size.unwrap_or(0) * samples.len() + bytes);
                samples.iter().for_each(|sample| self.write(&sample.value, sample.status, sample));
            }
            Some(range) => samples.iter().for_each(|sample| self.write_part(range, sample)),
        }
        if self.w.mark() + bytes > self.end {
            self.w.rewind(mark);
            return false;
        }
        self.end -= bytes;
        self.count += samples.len();
        true
    }

    #[inline]
    fn write(&mut self, value: &Value, status: StatusCode, sample: &Sample) {
        let source = self.timestamps.source().then_some(sample.source_time);
        let server = self.timestamps.server().then_some(sample.server_time);
        let is_plain = status == StatusCode::Good && self.w.plain_data_value(value, source, server);
        if !is_plain {
            self.w.data_value(value, status, source, server);
        }
    }

    fn write_part(&mut self, range: &IndexRange, sample: &Sample) {
        if sample.status.is_bad() {
            return self.write(&Value::Null, sample.status, sample);
        }
        match range.apply(&sample.value) {
            Ok(part) => self.write(&part, sample.status, sample),
            Err(status) => self.write(&Value::Null, status, sample),
        }
    }

    /// Says that there is no bound (Part 11 §4.6, 1.05: a null value with the time that was asked for).
    pub(crate) fn push_missing_bound(&mut self, at: UaTime) {
        let status = StatusCode::BadBoundNotFound;
        let missing = Sample { value: Value::Null, status, source_time: at, server_time: at };
        self.write(&Value::Null, status, &missing);
        self.count += 1;
    }

    /// The number of values, and the writer after them.
    pub(crate) fn finish(self) -> (usize, &'w mut Writer) {
        self.w.set_count(self.count_at, self.count);
        (self.count, self.w)
    }
}

/// Bytes of a DataValue of this shape: mask, encoding byte, value, status and times. A Bad one takes less. `None` where
/// values differ in size.
pub(crate) fn size_of_data_value(shape: &Shape, timestamps: Timestamps) -> Option<usize> {
    let kind: BuiltIn = shape.data_type.wire();
    let times = 8 * (usize::from(timestamps.source()) + usize::from(timestamps.server()));
    let head = if shape.is_scalar() { 0 } else { 8 + 4 * shape.dimensions.len() };
    Some(6 + head + kind.fixed_size()? * shape.element_count() + times)
}
