//! Values that a register scales by a power of ten: both belong to one moment of the device.
//!
//! Value and exponent are read by one request whenever both fit into one, whatever lies between them. Where they don't,
//! or the device refuses the long read, the exponent is read before the value and again after it; a value counts only
//! when the exponent stayed the same. A device that changes its exponent twice within three requests is not noticed.

use opcua::StatusCode;

use super::{Master, request_of};
use crate::drivers::batch::{Block, Span};
use crate::drivers::contract::{LinkError, Samples};
use crate::drivers::modbus::address::Address;
use crate::drivers::modbus::pdu::Request;
use crate::drivers::modbus::wire::Outcome;
use crate::tags::RawSample;

/// Powers of ten beyond these are no scale factor of any device.
pub(super) const EXPONENTS: std::ops::RangeInclusive<i16> = -30..=30;
/// Reads of a value whose exponent changes meanwhile, before the value is given up.
const TRIES: usize = 3;

impl Master {
    /// Where a point and its exponent lie: one span over both, or one each.
    pub(super) fn spans(&self, point: u32, out: &mut Vec<Span>) {
        if self.points.get(point as usize).is_some_and(|point| point.gathered.is_some()) {
            return out.extend(self.gathered_spans(point));
        }
        let Some((value, exponent)) = self.parts(point) else { return };
        match (exponent, self.joint(point)) {
            (_, Some(joint)) => out.push(joint),
            (Some(exponent), None) => out.extend([value, exponent]),
            (None, None) => out.push(value),
        }
    }

    /// A block as it was planned, with the value's and the exponent's spans apart again.
    pub(super) fn with_parts(&self, mut block: Block) -> Block {
        let parts = |span: &Span| match (self.joint(span.id >> 1), self.parts(span.id >> 1)) {
            (Some(joint), Some((value, Some(exponent)))) if *span == joint => vec![value, exponent],
            _ => vec![*span],
        };
        block.spans = block.spans.iter().flat_map(parts).collect();
        block.spans.sort_unstable();
        block
    }

    fn parts(&self, point: u32) -> Option<(Span, Option<Span>)> {
        let point_at = self.points.get(point as usize).filter(|point| point.gathered.is_none())?;
        if let Some(structure) = &point_at.structure {
            let (area, start) = (structure.address.area as u32, structure.address.start.into());
            let space = u32::from(point_at.device) << 8 | area;
            return Some((Span { space, start, count: structure.count.into(), id: point * 2 }, None));
        }
        let register = point_at.register.as_ref()?;
        let span = |address: Address, count: u16, id: u32| Span {
            space: u32::from(point_at.device) << 8 | address.area as u32,
            start: address.start.into(),
            count: count.into(),
            id,
        };
        let exponent = register.exponent.map(|exponent| span(exponent, 1, point * 2 + 1));
        Some((span(register.address, register.count(), point * 2), exponent))
    }

    /// The registers from the first of the two to the last, when one request may read them.
    fn joint(&self, point: u32) -> Option<Span> {
        let (value, exponent) = self.parts(point)?;
        let exponent = exponent.filter(|exponent| exponent.space == value.space)?;
        let start = value.start.min(exponent.start);
        let count = value.end().max(exponent.end()) - start;
        (count <= self.limits(value.space).max).then_some(Span { start, count, ..value })
    }

    /// Takes the exponents of a reply, before the values that they scale.
    pub(super) fn take_exponents(&mut self, block: &Block) {
        for span in block.spans.iter().filter(|span| span.id & 1 == 1) {
            let at = (span.start - block.start) as usize * 2;
            let exponent = exponent_of(self.wire.reply.get(at..at + 2));
            self.points[(span.id >> 1) as usize].exponent = exponent;
        }
    }

    /// Points of a block whose exponent another request brings.
    pub(super) fn torn(&self, block: &Block) -> Vec<u32> {
        let has_exponent = |point: u32| {
            self.points
                .get(point as usize)
                .filter(|point| point.gathered.is_none())
                .and_then(|point| point.register.as_ref())
                .is_some_and(|r| r.exponent.is_some())
        };
        let is_here = |point: u32| block.spans.iter().any(|span| span.id == point * 2 + 1);
        let values = block.spans.iter().filter(|span| span.id & 1 == 0).map(|span| span.id >> 1);
        values.filter(|point| has_exponent(*point) && !is_here(*point)).collect()
    }

    /// Reads the exponents of these points again, and the block, until they stay the same; a point whose exponent never
    /// does has no value. The block's samples begin at `begin`. Returns the exception that a repeated read of it gets.
    pub(super) async fn settle(
        &mut self,
        block: &Block,
        torn: &[u32],
        begin: usize,
        out: &mut Samples,
    ) -> Result<Option<u8>, LinkError> {
        let device = (block.space >> 8) as usize;
        for left in (0..TRIES).rev() {
            let before = self.exponents(torn);
            self.read_exponents(device, torn).await?;
            if before == self.exponents(torn) {
                return Ok(None);
            }
            if left > 0 {
                if let Outcome::Exception(code) = self.ask(device, request_of(block)).await? {
                    return Ok(Some(code));
                }
                out.truncate(begin);
                self.take_values(block, out);
            }
        }
        let tags: Vec<_> = torn.iter().map(|point| self.points[*point as usize].tag).collect();
        for (_, sample) in out[begin..].iter_mut().filter(|(tag, _)| tags.contains(tag)) {
            *sample = RawSample::from(Err(StatusCode::BadCommunicationError));
        }
        Ok(None)
    }

    fn exponents(&self, points: &[u32]) -> Vec<Result<i8, StatusCode>> {
        points.iter().map(|point| self.points[*point as usize].exponent).collect()
    }

    /// One request for each different place.
    pub(super) async fn read_exponents(&mut self, device: usize, points: &[u32]) -> Result<(), LinkError> {
        let mut read: Vec<(Address, Result<i8, StatusCode>)> = Vec::new();
        for point in points {
            let place = self.points[*point as usize].register.as_ref().and_then(|register| register.exponent);
            let Some(place) = place else { continue };
            let known = read.iter().find(|(at, _)| *at == place).map(|(_, exponent)| *exponent);
            let exponent = match known {
                Some(exponent) => exponent,
                None => {
                    let request = Request::Read { area: place.area, start: place.start, count: 1 };
                    let exponent = match self.ask(device, request).await? {
                        Outcome::Data => exponent_of(self.wire.reply.get(..2)),
                        _ => Err(StatusCode::BadCommunicationError),
                    };
                    read.push((place, exponent));
                    exponent
                }
            };
            self.points[*point as usize].exponent = exponent;
        }
        Ok(())
    }
}

fn exponent_of(pair: Option<&[u8]>) -> Result<i8, StatusCode> {
    let word = pair.map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let exponent = word.filter(|word| EXPONENTS.contains(word)).and_then(|word| i8::try_from(word).ok());
    exponent.ok_or(StatusCode::BadSensorFailure)
}
