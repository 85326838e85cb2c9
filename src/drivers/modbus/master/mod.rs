//! The Modbus master of one link: it sends the supervisor's requests.
//!
//! Writes are in `change`, values with an exponent in `exponent`, and values whose parts come in several requests in
//! `gather`.

mod change;
mod exponent;
mod gather;

use std::collections::HashMap;

use opcua::StatusCode;

use crate::drivers::batch::{self, Block, Limits};
use crate::drivers::contract::{Answer, Exponent, LinkError, Refusal, Samples};
use crate::drivers::modbus::address::Area;
use crate::drivers::modbus::line::Slave;
use crate::drivers::modbus::pdu::{Request, exception_text};
use crate::drivers::modbus::point::{MAX_READ_BITS, Register};
use crate::drivers::modbus::raw::Change;
use crate::drivers::modbus::settings::Defaults;
use crate::drivers::modbus::structure::Structure;
use crate::drivers::modbus::wire::{Manner, Outcome, Wire};
use crate::drivers::poll::{Ask, Poll, Round};
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::Value;
use change::Habits;
use gather::Gathered;

/// The exponent's own request failed.
const UNREAD: Result<i8, StatusCode> = Err(StatusCode::BadCommunicationError);

pub(crate) struct Master {
    pub(super) wire: Wire,
    devices: Vec<Device>,
    pub(super) points: Vec<Point>,
    /// A part of the present write was sent.
    wrote: bool,
}

/// One connection on the link.
struct Device {
    defaults: Defaults,
    manner: Manner,
    habits: Habits,
}

pub(super) struct Point {
    pub(super) tag: TagId,
    pub(super) device: u8,
    /// `None`: refused by `check_point`, or a structure.
    pub(super) register: Option<Register>,
    pub(super) structure: Option<Structure>,
    /// The power of ten of this scan, or why there is none.
    pub(super) exponent: Result<i8, StatusCode>,
    /// The parts of a value that comes in several requests; its exponent is one of them.
    pub(super) gathered: Option<Gathered>,
    /// The value to write again, as it was last read or written; `None` without `write_every` or a usable value.
    held: Option<Vec<Change>>,
    has_write_every: bool,
}

impl Point {
    /// Keeps the registers of a value that was read, if it is one.
    pub(super) fn hold(&mut self, sample: &RawSample, data: &[u8], base: u16) {
        if self.has_write_every {
            let register = self.register.as_ref().filter(|_| sample.value().is_ok());
            self.held = register.and_then(|register| register.unchanged(data, base));
        }
    }
}

impl Master {
    /// A master for connections that share a link.
    pub(crate) fn new(slaves: Vec<Slave<'_>>) -> Master {
        let first = &slaves.first().expect("a link has a connection").line;
        let wire = Wire::new(first.target.clone(), first.framing, first.echo);
        let mut master = Master { wire, devices: Vec::new(), points: Vec::new(), wrote: false };
        for (device, slave) in (0..).zip(slaves) {
            for point in slave.points() {
                let structure = point.structure.is_some().then(|| Structure::new(&slave.line.defaults, point).ok());
                let register = match structure {
                    None => Register::new(&slave.line.defaults, point).ok(),
                    Some(_) => None,
                };
                let gathered = register.as_ref().and_then(Register::gathered);
                master.points.push(Point {
                    tag: point.tag,
                    device,
                    register,
                    structure: structure.flatten(),
                    exponent: UNREAD,
                    gathered,
                    held: None,
                    has_write_every: point.write_every.is_some(),
                });
            }
            let manner = Manner {
                unit: slave.line.defaults.unit_id,
                timeout: slave.plan.timeout,
                pause: slave.line.pause,
                grow: 0,
            };
            master.devices.push(Device { defaults: slave.line.defaults, manner, habits: Habits::default() });
        }
        master
    }

    pub(super) fn limits(&self, space: u32) -> Limits {
        let defaults = &self.devices[(space >> 8) as usize].defaults;
        match area_of(space).is_bits() {
            true => Limits { max: MAX_READ_BITS.into(), gap: u32::from(defaults.max_gap) * 16 },
            false => Limits { max: defaults.max_registers.into(), gap: defaults.max_gap.into() },
        }
    }

    /// The values of a reply, with the exponents that were read last.
    pub(super) fn take_values(&mut self, block: &Block, out: &mut Samples) {
        let base = low(block.start);
        for span in block.spans.iter().filter(|span| span.id & 1 == 0) {
            let point = &mut self.points[(span.id >> 1) as usize];
            if let Some(structure) = &point.structure {
                out.push((point.tag, RawSample::from(Ok(structure.decode(&self.wire.reply, base)))));
                continue;
            }
            let Some(register) = point.register.as_ref().filter(|_| point.gathered.is_none()) else { continue };
            let value = match (register.exponent, point.exponent) {
                (Some(_), Err(code)) => Err(code),
                _ => register.decode(&self.wire.reply, base),
            };
            let sample = RawSample::from(value).scaled(point.exponent.ok());
            point.hold(&sample, &self.wire.reply, base);
            out.push((point.tag, sample));
        }
    }

    async fn read_block(&mut self, block: &Block, round: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        // An exponent of an earlier scan must not scale a value of this one.
        for span in block.spans.iter().filter(|span| span.id & 1 == 1) {
            self.points[(span.id >> 1) as usize].exponent = UNREAD;
        }
        let mut begin = out.len();
        let mut exception = match self.ask((block.space >> 8) as usize, request_of(block)).await? {
            Outcome::Exception(code) => Some(code),
            Outcome::Data | Outcome::Written => {
                self.take_exponents(block);
                self.take_parts(block, round, out);
                begin = out.len();
                self.take_values(block, out);
                None
            }
        };
        let torn = self.torn(block);
        if exception.is_none() && !torn.is_empty() {
            exception = self.settle(block, &torn, begin, out).await?;
        }
        Ok(match exception {
            Some(code) => Answer::Refused { why: refusal(code), text: exception_text(code).to_owned() },
            None => Answer::Samples,
        })
    }

    pub(super) async fn ask(&mut self, device: usize, request: Request<'_>) -> Result<Outcome, LinkError> {
        let Device { defaults, manner, .. } = &self.devices[device];
        let grow = match request {
            Request::Read { area, count, .. } if !area.is_bits() => {
                defaults.max_gap.min(defaults.max_registers.saturating_sub(count))
            }
            _ => defaults.max_gap,
        };
        let outcome = self.wire.exchange(Manner { grow, ..*manner }, request).await;
        match outcome {
            // Half of the write is done: it must not be sent from its beginning.
            Err(LinkError::Closed { sent: false }) => Err(LinkError::Closed { sent: self.wrote }),
            outcome => {
                self.wrote |= !matches!(request, Request::Read { .. });
                outcome
            }
        }
    }

    /// Takes what another master of the link knew: the habits of its units, and the parts and values of points that are
    /// still read in the same way.
    fn learn_from(&mut self, old: &mut Master) {
        for device in &mut self.devices {
            let before = old.devices.iter_mut().find(|before| before.manner.unit == device.manner.unit);
            if let Some(before) = before {
                device.habits = before.habits;
            }
        }
        let mut points: HashMap<TagId, &mut Point> = old.points.iter_mut().map(|point| (point.tag, point)).collect();
        for point in &mut self.points {
            let Some(before) = points.get_mut(&point.tag) else { continue };
            let unit = self.devices[usize::from(point.device)].manner.unit;
            let is_same = point.register == before.register && point.structure == before.structure;
            if unit != old.devices[usize::from(before.device)].manner.unit || !is_same {
                continue;
            }
            point.exponent = before.exponent;
            point.gathered = before.gathered.take();
            point.held = before.held.take().filter(|_| point.has_write_every);
        }
    }

    pub(super) fn habits(&mut self, device: usize) -> &mut Habits {
        &mut self.devices[device].habits
    }

    /// The data of the last reply.
    pub(super) fn reply(&self) -> &[u8] {
        &self.wire.reply
    }

    /// Reads raw registers or bits, for `probe`.
    pub(crate) async fn read_raw(&mut self, area: Area, start: u16, count: u16) -> Result<Raw<'_>, LinkError> {
        Ok(match self.ask(0, Request::Read { area, start, count }).await? {
            Outcome::Exception(code) => Raw::Exception(code),
            Outcome::Data | Outcome::Written => Raw::Data(&self.wire.reply),
        })
    }
}

/// The reply to a raw read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    Data(&'a [u8]),
    Exception(u8),
}

fn area_of(space: u32) -> Area {
    match space & 0xff {
        0 => Area::Coil,
        1 => Area::Discrete,
        2 => Area::Input,
        _ => Area::Holding,
    }
}

/// The request that reads a block.
pub(crate) fn request_of(block: &Block) -> Request<'static> {
    Request::Read { area: area_of(block.space), start: low(block.start), count: low(block.count) }
}

fn low(number: u32) -> u16 {
    u16::try_from(number).expect("addresses end at 65535")
}

/// The block with the device that answers it and the points that lie in it.
fn ask_for(block: Block) -> Ask<Block> {
    let points = block.spans.iter().map(|span| span.id >> 1).collect();
    Ask { device: (block.space >> 8) as usize, points, request: block }
}

impl Poll for Master {
    /// Registers or bits that one request reads. The id of a span is its point times two, plus one for the exponent that
    /// accompanies the point.
    type Request = Block;

    fn plan(&self, points: &[u32]) -> Vec<Ask<Block>> {
        let mut spans = Vec::with_capacity(points.len());
        points.iter().for_each(|point| self.spans(*point, &mut spans));
        let blocks = batch::plan(spans, |space| self.limits(space));
        let mut blocks: Vec<Block> = blocks.into_iter().map(|block| self.with_parts(block)).collect();
        blocks.sort_by_key(|block| !block.spans.iter().any(|span| span.id & 1 == 1));
        blocks.into_iter().map(ask_for).collect()
    }

    fn split(&self, block: &Block) -> Option<[Ask<Block>; 2]> {
        let (low, high) = batch::halves(block)?;
        Some([ask_for(low), ask_for(high)])
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.forget_parts();
        self.wire.connect().await
    }

    async fn read(&mut self, block: &Block, round: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        self.wrote = false;
        self.read_block(block, round, out).await
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        self.wrote = false;
        let at = point as usize;
        let point = &self.points[at];
        let device = usize::from(point.device);
        let encoded = match (&point.register, &point.structure) {
            (Some(register), _) => register.encode(value, first).map(|changes| (changes, register.clone())),
            (None, Some(of)) => of.encode(value, first).map(|changes| (changes, of.register().clone())),
            (None, None) => Err(StatusCode::BadConfigurationError),
        };
        let (changes, register) = match encoded {
            Ok(encoded) => encoded,
            Err(code) => return Ok(code),
        };
        self.forget_written(device, &changes);
        for change in &changes {
            let status = self.change(device, &register, change).await?;
            if !status.is_good() {
                return Ok(status);
            }
        }
        let point = &mut self.points[at];
        // The rest of an array comes with the read after the write.
        point.held = (point.has_write_every && register.is_whole(value)).then_some(changes);
        Ok(StatusCode::Good)
    }

    async fn rewrite(&mut self, point: u32) -> Result<StatusCode, LinkError> {
        self.wrote = false;
        let point = &self.points[point as usize];
        let (device, register, held) = (usize::from(point.device), point.register.clone(), point.held.clone());
        let (Some(register), Some(changes)) = (register, held) else { return Ok(StatusCode::GoodNoData) };
        for change in &changes {
            let status = self.change(device, &register, change).await?;
            if !status.is_good() {
                return Ok(status);
            }
        }
        Ok(StatusCode::Good)
    }

    async fn exponent(&mut self, point: u32) -> Result<Exponent, LinkError> {
        self.wrote = false;
        let device = usize::from(self.points[point as usize].device);
        self.read_exponents(device, &[point]).await?;
        Ok(self.points[point as usize].exponent.map_or_else(Exponent::Unknown, Exponent::Power))
    }

    async fn disconnect(&mut self) {
        self.wire.disconnect().await;
    }

    fn remark(&mut self) -> Option<String> {
        self.wire.remark.take()
    }

    fn adopt(&mut self, old: &mut Master) -> bool {
        let is_same = self.wire.adopt(&mut old.wire);
        if is_same {
            self.learn_from(old);
        }
        is_same
    }
}

fn refusal(code: u8) -> Refusal {
    match code {
        1 => Refusal::Unsupported,
        2 | 3 => Refusal::Block,
        5 | 6 => Refusal::Busy,
        10 | 11 => Refusal::Unreachable,
        _ => Refusal::Failure,
    }
}
