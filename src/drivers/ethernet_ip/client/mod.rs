//! The client of one link: it plans the supervisor's requests and sends them.
//!
//! Reads are in `read`, writes in `write`. The PLC's types are learned from its replies, and replies are planned by what the
//! tags of the cell suggest until then.

mod pack;
mod read;
mod text;
mod write;

use std::collections::HashMap;
use std::time::Duration;

use opcua::StatusCode;

use super::change::{Change, Form, Packed};
use super::cip::{self, Code, Reply};
use super::plc_type::PlcType;
use super::point::Variable;
use super::wire::{Target, Wire};
use super::{EthernetIpDriver, words};
use crate::drivers::contract::{Answer, LinkError, Refusal, Samples};
use crate::drivers::driver::ConnectionOf;
use crate::drivers::poll::{Ask, Poll, Round};
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::Value;
use pack::{Item, pack};

pub(crate) struct Client {
    wire: Wire,
    /// Time for a reply, of each connection on the link.
    timeouts: Vec<Duration>,
    points: Vec<Point>,
    /// Letters in DATA of each structure that was looked at; `None`: it is no text.
    texts: HashMap<Structure, Option<usize>>,
    /// A part of the present write was sent.
    wrote: bool,
    /// Replies to the services of the last batch.
    replies: Vec<Reply>,
}

/// A structure as it is known by its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Structure {
    handle: u16,
    size: usize,
}

struct Point {
    tag: TagId,
    device: usize,
    /// `None`: refused by `check_point`.
    variable: Option<Variable>,
    /// Whether an array of BOOL is packed, once that is known.
    shape: Shape,
    /// The PLC's type and form of the value, as last read.
    learned: Option<Learned>,
    /// The value to write again, as it was last read or written; `None` without `write_every` or a usable value.
    held: Option<Vec<Change>>,
    has_write_every: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// To be asked for.
    Unknown,
    Plain,
    Packed(Packed),
}

#[derive(Debug, Clone)]
struct Learned {
    /// The type in the PLC's own bytes.
    head: Vec<u8>,
    form: Form,
    /// Bytes of the value with its type.
    bytes: usize,
}

/// Points that are read by one request of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub device: usize,
    pub points: Vec<u32>,
}

impl Request {
    fn ask(self) -> Ask<Request> {
        Ask { device: self.device, points: self.points.clone(), request: self }
    }
}

impl Point {
    /// Path and number of elements of a read.
    fn asks(&self) -> Option<Asks<'_>> {
        let variable = self.variable.as_ref()?;
        Some(match &self.shape {
            Shape::Packed(packed) => Asks { path: &packed.path, elements: packed.words },
            _ => Asks { path: &variable.path, elements: variable.elements },
        })
    }

    /// Bytes of the value in a reply, as last seen or as the tag's type suggests.
    fn bytes(&self) -> usize {
        let likely = || self.variable.as_ref().map_or(0, Variable::likely_size);
        self.learned.as_ref().map_or_else(likely, |learned| learned.bytes)
    }

    fn address(&self) -> &str {
        self.variable.as_ref().map_or("", |variable| &variable.address.text)
    }

    fn forget(&mut self) {
        let may_be_packed = self.variable.as_ref().is_some_and(Variable::may_be_packed);
        self.shape = if may_be_packed { Shape::Unknown } else { Shape::Plain };
        self.learned = None;
        self.held = None;
    }
}

#[derive(Clone, Copy)]
struct Asks<'a> {
    path: &'a [u8],
    elements: u16,
}

impl Client {
    /// A client for connections that share a link.
    pub(crate) fn new(connections: &[ConnectionOf<'_, EthernetIpDriver>]) -> Client {
        let first = connections.first().expect("a link has a connection").settings;
        let mut points = Vec::new();
        for (device, connection) in connections.iter().enumerate() {
            points.extend(connection.points().map(|point| {
                let mut made = Point {
                    tag: point.tag,
                    device,
                    variable: Variable::new(point).ok(),
                    shape: Shape::Plain,
                    learned: None,
                    held: None,
                    has_write_every: point.write_every.is_some(),
                };
                made.forget();
                made
            }));
        }
        Client {
            wire: Wire::new(Target::new(first)),
            timeouts: connections.iter().map(|connection| connection.plan.timeout).collect(),
            points,
            texts: HashMap::new(),
            wrote: false,
            replies: Vec::new(),
        }
    }

    /// Requests on the wire: several for a value that is longer than a packet.
    pub(crate) fn exchanges(&self, request: &Request) -> usize {
        let long = |id: &u32| self.points[*id as usize].bytes().div_ceil(self.wire.room().reply).max(1);
        match &request.points[..] {
            [one] => long(one),
            _ => 1,
        }
    }

    /// Reads its points one after the other, until one of them has a value; for `probe`. The text says why there is none.
    pub(crate) async fn look(&mut self, points: u32) -> Result<Vec<Result<Looked, String>>, LinkError> {
        let mut why = String::new();
        for id in 0..points {
            let mut samples = Vec::new();
            if let Some(code) = self.read_points(0, &[id], &mut samples).await? {
                why = words::request(code);
                continue;
            }
            let learned = self.points[id as usize].learned.as_ref();
            for (_, sample) in &samples {
                match (sample.value(), learned) {
                    (Ok(value), Some(learned)) => {
                        return Ok(vec![Ok(Looked { of: learned.form.of, shown: value.shown() })]);
                    }
                    _ if why.is_empty() => why = sample.reason().map_or(String::new(), ToString::to_string),
                    _ => {}
                }
            }
        }
        Ok(vec![Err(why)])
    }

    fn item(&self, id: u32) -> Option<Item> {
        let point = self.points.get(id as usize)?;
        Some(Item::new(id, point.asks()?.path, point.bytes()))
    }

    /// One request outside of a batch.
    async fn exchange(
        &mut self,
        device: usize,
        service: u8,
        build: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Reply, LinkError> {
        let within = self.timeouts[device];
        match self.wire.exchange(within, service, build).await {
            // Half of a write is done: it must not be sent from its beginning.
            Err(LinkError::Closed { sent: false }) => Err(LinkError::Closed { sent: self.wrote }),
            reply => reply,
        }
    }

    /// One exchange for several reads; their replies are in `replies`. `Err` is the code by which the PLC refuses all.
    async fn exchange_batch(&mut self, device: usize, services: &[Vec<u8>]) -> Result<Result<(), Code>, LinkError> {
        if let [service] = services {
            let of = service.first().copied().unwrap_or(0);
            let reply = self.exchange(device, of, |out| out.extend(service)).await?;
            self.replies.clear();
            self.replies.push(reply);
            return Ok(Ok(()));
        }
        let parts = services.iter().map(|service| &service[..]);
        let reply = self.exchange(device, cip::BATCH, |out| cip::batch(out, parts)).await?;
        if !cip::has_replies(&reply) {
            return Ok(Err(reply.code));
        }
        let taken = cip::replies(self.wire.reply(), &reply, services.len(), &mut self.replies);
        let fits = self.replies.iter().zip(services).all(|(reply, service)| Some(&reply.service) == service.first());
        match taken.filter(|()| fits) {
            Some(()) => Ok(Ok(())),
            None => Err(misfit()),
        }
    }

    /// Any request, for listings: its code and the bytes of its reply.
    pub(crate) async fn ask(&mut self, service: u8, build: impl FnOnce(&mut Vec<u8>)) -> Result<Told, LinkError> {
        let reply = self.exchange(0, service, build).await?;
        Ok(Told { code: reply.code, data: self.wire.reply()[reply.data].to_vec() })
    }
}

/// A value as it is shown, with its type in the PLC.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    pub of: PlcType,
    pub shown: String,
}

/// The PLC's answer to a request of a listing.
#[derive(Debug)]
pub(crate) struct Told {
    pub code: Code,
    pub data: Vec<u8>,
}

/// A reply with the right number that does not fit its request.
fn misfit() -> LinkError {
    LinkError::Garbage { text: "answers with other services or lengths than it was asked for".to_owned(), usable: true }
}

fn bad(status: StatusCode, why: &str) -> RawSample {
    RawSample::from(Err(status)).because(why)
}

impl Poll for Client {
    /// Tags that one batch reads, or one value that is longer than a packet.
    type Request = Request;

    fn plan(&self, points: &[u32]) -> Vec<Ask<Request>> {
        let mut asks = Vec::new();
        for device in 0..self.timeouts.len() {
            let of_device =
                points.iter().filter(|id| self.points.get(**id as usize).is_some_and(|p| p.device == device));
            // By the tags' own types alone: a plan is the same each time.
            let item = |id: &u32| {
                let variable = self.points.get(*id as usize)?.variable.as_ref()?;
                Some(Item::new(*id, &variable.path, variable.likely_size()))
            };
            let batches = pack(of_device.filter_map(item), self.wire.room());
            let request = |batch: Vec<Item>| Request { device, points: batch.iter().map(|item| item.id).collect() };
            asks.extend(batches.into_iter().map(|batch| request(batch).ask()));
        }
        asks
    }

    fn split(&self, request: &Request) -> Option<[Ask<Request>; 2]> {
        let middle = request.points.len() / 2;
        let half = |points: &[u32]| Request { device: request.device, points: points.to_vec() }.ask();
        (middle > 0).then(|| [half(&request.points[..middle]), half(&request.points[middle..])])
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.texts.clear();
        self.wire.connect().await
    }

    fn wants_plan(&mut self) -> bool {
        self.wire.takes_new_room()
    }

    async fn read(&mut self, request: &Request, _: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        self.wrote = false;
        let refused = self.read_points(request.device, &request.points, out).await?;
        Ok(refused.map_or(Answer::Samples, |code| {
            let why =
                if words::status(code) == StatusCode::BadResourceUnavailable { Refusal::Busy } else { Refusal::Block };
            Answer::Refused { why, text: words::request(code) }
        }))
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        self.wrote = false;
        self.write_point(point, value, first).await
    }

    async fn rewrite(&mut self, point: u32) -> Result<StatusCode, LinkError> {
        self.wrote = false;
        let at = point as usize;
        let Some(changes) = self.points[at].held.clone() else { return Ok(StatusCode::GoodNoData) };
        self.change(at, &changes).await
    }

    async fn disconnect(&mut self) {
        self.wire.disconnect().await;
    }

    fn adopt(&mut self, old: &mut Client) -> bool {
        let is_same = self.wire.adopt(&mut old.wire);
        if is_same {
            std::mem::swap(&mut self.texts, &mut old.texts);
            let mut before: HashMap<TagId, &mut Point> =
                old.points.iter_mut().map(|point| (point.tag, point)).collect();
            for point in &mut self.points {
                let same = before.get_mut(&point.tag).filter(|before| before.variable == point.variable);
                let Some(before) = same else { continue };
                point.shape = before.shape.clone();
                point.learned = before.learned.take();
                point.held = before.held.take().filter(|_| point.has_write_every);
            }
        }
        is_same
    }
}
