//! The S7 client of one link: it plans the supervisor's requests and sends them.
//!
//! Requests of the plan are packed in `pack`, items that the PLC refuses are cut in `cuts`, and writes are in `change`.

mod change;
mod cuts;
mod pack;

use std::time::Duration;

use opcua::StatusCode;

use super::address::{Address, Area};
use super::bad::Bad;
use super::pdu::{self, ItemReply, Place};
use super::point::Variable;
use super::settings::S7Settings;
use super::structure::Structure;
use super::value::Change;
use super::wire::{Target, Wire};
use super::{S7, words};
use crate::drivers::batch::{self, Block, Limits, Span};
use crate::drivers::contract::{Answer, LinkError, Refusal, Samples};
use crate::drivers::driver::ConnectionOf;
use crate::drivers::poll::{Ask, Poll, Round};
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::Value;
use cuts::Cuts;
pub(crate) use pack::{Request, bytes_of};

pub(crate) struct Client {
    wire: Wire,
    devices: Vec<Device>,
    points: Vec<Point>,
    cuts: Cuts,
    /// A part of the present write was sent.
    wrote: bool,
    places: Vec<Place>,
    /// The PLC's answers to the items of the last read.
    items: Vec<ItemReply>,
    /// The bytes of a value that is longer than a PDU.
    long: Vec<u8>,
}

/// One connection on the link.
struct Device {
    timeout: Duration,
    max_gap: u32,
}

struct Point {
    tag: TagId,
    device: u16,
    /// `None`: refused by `check_point`.
    place: Option<Placed>,
    /// The value to write again, as it was last read or written; `None` without `write_every` or a usable value.
    held: Option<Vec<Change>>,
    has_write_every: bool,
}

/// A value of the PLC's memory.
#[derive(Debug, Clone, PartialEq)]
enum Placed {
    Variable(Variable),
    Structure(Structure),
}

impl Placed {
    fn address(&self) -> Address {
        match self {
            Placed::Variable(variable) => variable.address,
            Placed::Structure(of) => of.address,
        }
    }

    fn count(&self) -> u32 {
        match self {
            Placed::Variable(variable) => variable.count(),
            Placed::Structure(of) => of.count,
        }
    }
}

/// The PLC's answer to a request as a whole.
enum Whole {
    Taken,
    Refused(u16),
}

impl Client {
    /// A client for connections that share a link.
    pub(crate) fn new(connections: &[ConnectionOf<'_, S7>]) -> Client {
        let first = connections.first().expect("a link has a connection").settings;
        let pdu = connections.iter().map(|connection| connection.settings.pdu).min().unwrap_or(first.pdu);
        let mut client = Client {
            wire: Wire::new(Target::new(first), pdu),
            devices: Vec::new(),
            points: Vec::new(),
            cuts: Cuts::default(),
            wrote: false,
            places: Vec::new(),
            items: Vec::new(),
            long: Vec::new(),
        };
        for (device, connection) in (0..).zip(connections) {
            client.add(device, *connection);
        }
        client
    }

    fn add(&mut self, device: u16, connection: ConnectionOf<'_, S7>) {
        let settings: &S7Settings = connection.settings;
        self.points.extend(connection.points().map(|point| Point {
            tag: point.tag,
            device,
            place: match point.structure {
                None => Variable::new(settings, point).ok().map(Placed::Variable),
                Some(_) => Structure::new(settings, point).ok().map(Placed::Structure),
            },
            held: None,
            has_write_every: point.write_every.is_some(),
        }));
        self.devices.push(Device { timeout: connection.plan.timeout, max_gap: settings.max_gap.into() });
    }

    pub(crate) fn pdu(&self) -> u16 {
        self.wire.pdu()
    }

    fn limits(&self, space: u32) -> Limits {
        let longest = u32::try_from(pdu::longest_read(self.wire.pdu())).unwrap_or(u32::MAX);
        let gap = self.devices[device_of(space)].max_gap;
        match area_of(space) {
            area if area.has_elements() => Limits { max: longest / 2, gap: gap / 2 },
            // A module that is absent there would spoil the whole block.
            area if area.is_peripheral() => Limits { max: longest, gap: 0 },
            _ => Limits { max: longest, gap },
        }
    }

    fn span(&self, id: u32) -> Option<Span> {
        let point = self.points.get(id as usize)?;
        let place = point.place.as_ref()?;
        let address = place.address();
        let space = space_of(point.device, address);
        Some(Span { space, start: address.start, count: place.count(), id })
    }

    /// One exchange that reads these blocks; the answers are in `items`.
    async fn ask<'a>(&mut self, device: usize, blocks: impl Iterator<Item = &'a Block>) -> Result<Whole, LinkError> {
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        places.extend(blocks.map(place_of));
        let asked = self.ask_places(device, &places).await;
        self.places = places;
        asked
    }

    async fn ask_places(&mut self, device: usize, places: &[Place]) -> Result<Whole, LinkError> {
        let within = self.devices[device].timeout;
        let exchanged = self.wire.exchange(within, |out, reference| pdu::read(out, reference, places)).await;
        let reply = match exchanged {
            Err(LinkError::Closed { sent: false }) => return Err(LinkError::Closed { sent: self.wrote }),
            reply => reply?,
        };
        if reply.error != 0 {
            return Ok(Whole::Refused(reply.error));
        }
        match pdu::read_items(self.wire.reply(), &reply, places, &mut self.items) {
            Some(()) => Ok(Whole::Taken),
            None => Err(misfit()),
        }
    }

    /// The values of a block in the last reply, or in `long`.
    fn take(&mut self, block: &Block, from: From, out: &mut Samples) {
        let data = match from {
            From::Item(at) => match &self.items[at] {
                Ok(range) => &self.wire.reply()[range.clone()],
                Err(_) => return,
            },
            From::Long => &self.long[..],
        };
        let unit = if area_of(block.space).has_elements() { 2 } else { 1 };
        for span in &block.spans {
            let point = &mut self.points[span.id as usize];
            let at = (span.start - block.start) as usize * unit;
            let data = data.get(at..).unwrap_or_default();
            let variable = match &point.place {
                Some(Placed::Variable(variable)) => variable,
                Some(Placed::Structure(of)) => {
                    out.push((point.tag, RawSample::from(Ok(of.decode(data)))));
                    continue;
                }
                None => continue,
            };
            let value = variable.decode(data);
            if point.has_write_every {
                point.held = value.is_ok().then(|| variable.unchanged(data)).flatten();
            }
            out.push((point.tag, sample(variable.address, value)));
        }
    }

    /// The same reason for all points of a block.
    fn spoil(&self, block: &Block, code: u8, out: &mut Samples) {
        for span in &block.spans {
            let point = &self.points[span.id as usize];
            let Some(place) = &point.place else { continue };
            out.push((point.tag, bad(words::status_of_item(code), &words::item(place.address(), code))));
        }
    }

    /// A value that is longer than a PDU, in several requests; the code of an item that is refused.
    async fn ask_long(&mut self, device: usize, block: &Block) -> Result<Result<Option<u8>, u16>, LinkError> {
        self.long.clear();
        let limits = self.limits(block.space);
        let mut done = 0;
        while done < block.count {
            let count = limits.max.min(block.count - done);
            let part = Block { start: block.start + done, count, spans: Vec::new(), ..*block };
            if let Whole::Refused(error) = self.ask(device, std::iter::once(&part)).await? {
                return Ok(Err(error));
            }
            match self.items.first() {
                Some(Ok(range)) => self.long.extend_from_slice(&self.wire.reply()[range.clone()]),
                Some(Err(code)) => return Ok(Ok(Some(*code))),
                None => return Err(misfit()),
            }
            done += count;
        }
        Ok(Ok(None))
    }

    /// The request is refused as a whole: by a PLC that allows nothing, or because of one of its items.
    fn refused(&self, request: &Request, error: u16, out: &mut Samples) -> Answer {
        let text = words::request(error);
        let status = words::status_of_request(error);
        if status != StatusCode::BadUserAccessDenied {
            return Answer::Refused { why: Refusal::Block, text };
        }
        out.clear();
        let points = request.points();
        out.extend(points.map(|point| (self.points[point as usize].tag, bad(status, &text))));
        Answer::Samples
    }

    /// Reads raw bytes, for `probe`.
    pub(crate) async fn read_raw(&mut self, place: Place) -> Result<Result<Vec<u8>, String>, LinkError> {
        let address = Address {
            area: place.area,
            db: place.db,
            letter: super::address::Letter::Byte,
            start: place.start,
            bit: 0,
        };
        Ok(match self.ask_places(0, &[place]).await? {
            Whole::Refused(error) => Err(words::request(error)),
            Whole::Taken => match self.items.first() {
                Some(Ok(range)) => Ok(self.wire.reply()[range.clone()].to_vec()),
                Some(Err(code)) => Err(words::item(address, *code)),
                None => return Err(misfit()),
            },
        })
    }
}

/// Where the bytes of a block are.
#[derive(Clone, Copy)]
enum From {
    Item(usize),
    Long,
}

/// A reply with the right reference that does not fit its request.
fn misfit() -> LinkError {
    LinkError::Garbage { text: "answers with other items or lengths than it was asked for".to_owned(), usable: true }
}

fn sample(address: Address, value: Result<Value, Bad>) -> RawSample {
    match value {
        Ok(value) => RawSample::from(Ok(value)),
        Err(error) => bad(error.status, &format!("{address}: {}", error.why)),
    }
}

fn bad(status: StatusCode, why: &str) -> RawSample {
    RawSample::from(Err(status)).because(why)
}

/// Number of a space of the block planner: connection (13 bits), area (3) and DB (16).
fn space_of(device: u16, address: Address) -> u32 {
    u32::from(device) << 19 | (address.area as u32) << 16 | u32::from(address.db)
}

fn device_of(space: u32) -> usize {
    (space >> 19) as usize
}

fn area_of(space: u32) -> Area {
    Area::ALL[(space >> 16 & 7) as usize]
}

fn db_of(space: u32) -> u16 {
    u16::try_from(space & 0xffff).expect("16 bits")
}

/// The place that a block reads.
pub(crate) fn place_of(block: &Block) -> Place {
    let count = u16::try_from(block.count).unwrap_or(u16::MAX);
    Place { area: area_of(block.space), db: db_of(block.space), start: block.start, count }
}

impl Poll for Client {
    /// Blocks of bytes that one PDU reads, or one value that is longer.
    type Request = Request;

    fn plan(&self, points: &[u32]) -> Vec<Ask<Request>> {
        let spans = points.iter().filter_map(|point| self.span(*point)).collect();
        let blocks = batch::plan(spans, |space| self.limits(space));
        pack::pack(blocks, self.wire.pdu()).into_iter().map(Request::ask).collect()
    }

    fn split(&self, request: &Request) -> Option<[Ask<Request>; 2]> {
        request.halves().map(|halves| halves.map(Request::ask))
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.wire.connect().await
    }

    fn wants_plan(&mut self) -> bool {
        self.wire.takes_new_pdu()
    }

    async fn read(&mut self, request: &Request, _: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        self.wrote = false;
        let error = match self.cuts.knows(request) {
            true => self.read_cut(request, out).await?,
            false => self.read_whole(request, out).await?,
        };
        Ok(error.map_or(Answer::Samples, |error| self.refused(request, error, out)))
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        let at = point as usize;
        let point = &self.points[at];
        let device = usize::from(point.device);
        let variable = match point.place.clone() {
            Some(Placed::Variable(variable)) => variable,
            Some(Placed::Structure(of)) => return self.change_structure(device, &of, value, first).await,
            None => return Ok(StatusCode::BadConfigurationError),
        };
        let changes = match variable.encode(value, first) {
            Ok(changes) => changes,
            Err(code) => return Ok(code),
        };
        let status = self.change(device, &variable, &changes).await?;
        if status.is_good() {
            let point = &mut self.points[at];
            // The rest of an array comes with the read after the write.
            point.held = (point.has_write_every && variable.is_whole(value)).then_some(changes);
        }
        Ok(status)
    }

    async fn rewrite(&mut self, point: u32) -> Result<StatusCode, LinkError> {
        let point = &self.points[point as usize];
        let (device, place, held) = (usize::from(point.device), point.place.clone(), point.held.clone());
        let (Some(Placed::Variable(variable)), Some(changes)) = (place, held) else {
            return Ok(StatusCode::GoodNoData);
        };
        self.change(device, &variable, &changes).await
    }

    async fn disconnect(&mut self) {
        self.wire.disconnect().await;
    }

    fn adopt(&mut self, old: &mut Client) -> bool {
        let is_same = self.wire.adopt(&mut old.wire);
        if is_same {
            let mut before: std::collections::HashMap<TagId, &mut Point> =
                old.points.iter_mut().map(|point| (point.tag, point)).collect();
            for point in self.points.iter_mut().filter(|point| point.has_write_every) {
                let same = before.get_mut(&point.tag).filter(|before| before.place == point.place);
                point.held = same.and_then(|before| before.held.take());
            }
        }
        is_same
    }
}
