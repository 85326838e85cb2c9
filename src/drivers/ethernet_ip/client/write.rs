//! Writes: with the type last read, single bits as bits, and values that are longer than a packet in parts.

use opcua::StatusCode;

use super::Client;
use crate::drivers::contract::LinkError;
use crate::drivers::ethernet_ip::change::Change;
use crate::drivers::ethernet_ip::cip::{self, Code};
use crate::drivers::ethernet_ip::words;
use crate::value::Value;

/// Parts of a value begin at places that this divides.
const STEP: usize = 8;

impl Client {
    pub(super) async fn write_point(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        let at = point as usize;
        let Some(variable) = self.points[at].variable.clone() else { return Ok(StatusCode::BadConfigurationError) };
        let is_learned = self.points[at].learned.is_some();
        if !is_learned {
            let mut samples = Vec::new();
            if let Some(code) = self.read_points(self.points[at].device, &[point], &mut samples).await? {
                return Ok(words::status(code));
            }
            // A value that is none, as NaN, has a type all the same.
            if self.points[at].learned.is_none() {
                let status = samples.first().map_or(StatusCode::BadConfigurationError, |(_, sample)| sample.status());
                return Ok(if status.is_bad() { status } else { StatusCode::BadConfigurationError });
            }
        }
        let Some(form) = self.points[at].learned.as_ref().map(|learned| learned.form) else {
            return Ok(StatusCode::BadConfigurationError);
        };
        let changes = match variable.encode(form, value, first) {
            Ok(changes) => changes,
            Err(status) => return Ok(status),
        };
        let status = self.change(at, &changes).await?;
        if status.is_good() {
            let is_whole = match value {
                Value::Array(array) => first == 0 && array.elements.len() == usize::from(variable.elements),
                _ => !variable.is_array,
            };
            let point = &mut self.points[at];
            // The rest of an array comes with the read after the write.
            point.held = (point.has_write_every && is_whole).then_some(changes);
        }
        Ok(status)
    }

    /// Sends the changes of a point; the first answer that is not "done" counts.
    pub(super) async fn change(&mut self, at: usize, changes: &[Change]) -> Result<StatusCode, LinkError> {
        let Some(head) = self.points[at].learned.as_ref().map(|learned| learned.head.clone()) else {
            return Ok(StatusCode::GoodNoData);
        };
        for change in changes {
            let status = match change {
                Change::Bits { path, size, set, keep } => {
                    let build = |out: &mut Vec<u8>| {
                        cip::begin(out, cip::CHANGE_BITS, path);
                        out.extend(u16::try_from(*size).unwrap_or(0).to_le_bytes());
                        out.extend(&set.to_le_bytes()[..*size]);
                        out.extend(&keep.to_le_bytes()[..*size]);
                    };
                    let code = self.send(at, cip::CHANGE_BITS, build).await?;
                    // Without this service a bit could only be written with all others, as they were a moment ago.
                    if code.general == cip::NO_SERVICE { StatusCode::BadNotWritable } else { self.answer(at, code) }
                }
                Change::Elements { path, count, data, offset } => {
                    let whole = Elements { path, head: &head, count: *count, data, offset: *offset };
                    self.change_elements(at, &whole).await?
                }
            };
            if !status.is_good() {
                return Ok(status);
            }
        }
        Ok(StatusCode::Good)
    }

    async fn change_elements(&mut self, at: usize, whole: &Elements<'_>) -> Result<StatusCode, LinkError> {
        let Elements { path, head, count, data, offset } = *whole;
        let fixed = 2 + path.len() + head.len() + 2;
        let room = self.wire.room().request;
        if offset == 0 && fixed + data.len() <= room {
            let build = |out: &mut Vec<u8>| {
                cip::begin(out, cip::WRITE, path);
                out.extend(head);
                out.extend(count.to_le_bytes());
                out.extend(data);
            };
            let code = self.send(at, cip::WRITE, build).await?;
            return Ok(self.answer(at, code));
        }
        let most = room.saturating_sub(fixed + 4) / STEP * STEP;
        if most == 0 {
            return Ok(StatusCode::BadRequestTooLarge);
        }
        let mut place = offset;
        for part in data.chunks(most) {
            let from = u32::try_from(place).unwrap_or(u32::MAX);
            let build = |out: &mut Vec<u8>| {
                cip::begin(out, cip::WRITE_PART, path);
                out.extend(head);
                out.extend(count.to_le_bytes());
                out.extend(from.to_le_bytes());
                out.extend(part);
            };
            let code = self.send(at, cip::WRITE_PART, build).await?;
            let status = self.answer(at, code);
            if !status.is_good() {
                return Ok(status);
            }
            place += part.len();
        }
        Ok(StatusCode::Good)
    }

    async fn send(&mut self, at: usize, service: u8, build: impl FnOnce(&mut Vec<u8>)) -> Result<Code, LinkError> {
        let reply = self.exchange(self.points[at].device, service, build).await?;
        self.wrote = true;
        Ok(reply.code)
    }

    fn answer(&mut self, at: usize, code: Code) -> StatusCode {
        if code.general == cip::DONE {
            return StatusCode::Good;
        }
        // Another type since a download, maybe: the next write reads it first.
        if words::status(code) == StatusCode::BadConfigurationError {
            self.points[at].forget();
        }
        words::status(code)
    }
}

/// Elements as they are written.
struct Elements<'a> {
    path: &'a [u8],
    head: &'a [u8],
    count: u16,
    data: &'a [u8],
    /// The first byte of the data in the value.
    offset: usize,
}
