//! Decides which request a reply belongs to, on a line whose frames carry no id.
//!
//! RTU and ASCII frames (on a serial line or over TCP), and Modbus TCP devices that answer with transaction id 0, give
//! a reply only three marks: unit, function and length; the reply to a write also repeats its place. A line like that
//! may do four things to a reply, and each has one rule here:
//!
//! - **Late.** A request without its reply stays *outstanding*, also over a new connection. A device answers in the order
//!   of the requests. So a request for which an outstanding reply could be taken is sent only after another request was
//!   answered whose reply looks like no outstanding one.
//! - **Twice.** A reply may come again within `REPEAT_WITHIN`, and no later than with the reply to the next request. So
//!   two requests in a row never look alike: the second reads one register more, within `max_gap`. Where that is not
//!   allowed a question comes first, and where the device never answers one the line rests and is drained.
//! - **Echo.** An adaptor may send back each request. Whether it does is learned from a request whose echo cannot be
//!   its reply. A write of one coil or register, whose reply *is* its echo, is sent only when that is known. From then on
//!   the exact bytes of the request are cut off before a reply is looked for.
//! - **Refusals.** An exception looks the same for every request of its function. It ends the oldest outstanding
//!   request of that function; the last request stays outstanding when it was not the only one. A gateway's own
//!   exceptions (10 and 11) end none: the device may still answer.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::drivers::modbus::address::Area;
use crate::drivers::modbus::choices::EchoSetting;
use crate::drivers::modbus::pdu::Request;
use crate::drivers::modbus::point::{MAX_READ_BITS, MAX_READ_REGISTERS};

/// Outstanding requests of one unit that are remembered; the oldest is forgotten. Below the number of different
/// questions, so that there always is one that looks like none of them.
const MAX_OUTSTANDING: usize = 90;
/// A reply comes a second time within this, plus twice its time on a serial line.
const REPEAT_WITHIN: Duration = Duration::from_millis(25);
/// Longer reads of a place that stayed without a reply, when none ever had one, after which the device is taken for one
/// that does not answer them. A bad line alone seldom causes this number.
const FAILURES: u8 = 8;
/// After a refusal a longer read is tried again after this.
const FIXED_FOR: Duration = Duration::from_secs(600);
/// An adaptor is not exchanged within this time.
const ADAPTOR_KEPT: Duration = Duration::from_secs(10);
/// No reply comes later than this.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The marks of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    unit: u8,
    function: u8,
    length: usize,
    /// The part of a write that its reply repeats.
    place: [u16; 3],
}

impl Look {
    fn of(unit: u8, request: &Request<'_>) -> Look {
        let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let place = match *request {
            Request::Read { .. } | Request::ReadWrite { .. } => [0; 3],
            Request::WriteCoil { at, on } => [at, u16::from(on), 0],
            Request::WriteRegister { at, word } => [at, word, 0],
            Request::WriteCoils { start, bits } => [start, count(bits.len()), 0],
            Request::WriteRegisters { start, words } => [start, count(words.len()), 0],
            Request::Mask { at, and, or } => [at, and, or],
        };
        Look { unit, function: request.function(), length: request.reply_length(), place }
    }

    fn exception(unit: u8, function: u8) -> Look {
        Look { unit, function: function | 0x80, length: 2, place: [0; 3] }
    }
}

/// A reply that may come again.
#[derive(Debug)]
struct Answered {
    look: Look,
    /// Until when a second one is expected.
    until: Instant,
    /// The next request was answered.
    passed: bool,
}

/// Whether the line sends back each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    Unknown,
    Present,
    Absent,
}

/// The next step towards the reply to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask, and read this number of registers or bits more than wanted.
    Ask { more: u16 },
    /// Ask this first; its reply can be taken for nothing else.
    Question(Request<'static>),
    /// Rest until then, drain the line, and ask.
    Rest(Instant),
}

#[derive(Debug)]
pub(crate) struct Belief {
    setting: EchoSetting,
    pub echo: Echo,
    /// The frames carry an id of their own.
    pub has_ids: bool,
    /// In the order in which they were asked, and when.
    outstanding: Vec<(Look, Instant)>,
    answered: Vec<Answered>,
    /// Places where a longer read was tried.
    places: HashMap<(u8, Area, u16), Place>,
}

/// How longer reads of a place ended.
#[derive(Debug, Default)]
struct Place {
    has_worked: bool,
    failures: u8,
    refused: Option<Instant>,
    /// The device's map ends here.
    is_end: bool,
}

impl Place {
    /// The device leaves longer reads without a reply.
    fn is_mute(&self) -> bool {
        !self.has_worked && self.failures >= FAILURES
    }

    fn is_fixed(&self, now: Instant) -> bool {
        self.is_mute() || self.is_end || self.refused.is_some_and(|at| now.saturating_duration_since(at) < FIXED_FOR)
    }
}

impl Belief {
    pub(crate) fn new(setting: EchoSetting, has_ids: bool) -> Belief {
        let mut belief = Belief {
            setting,
            echo: Echo::Unknown,
            has_ids,
            outstanding: Vec::new(),
            answered: Vec::new(),
            places: HashMap::new(),
        };
        belief.forget_echo();
        belief
    }

    /// A new connection may lead to another adaptor, unless the last reply came just before. Requests stay outstanding,
    /// and second copies stay possible: they may wait in a buffer for this connection.
    pub(crate) fn connected(&mut self, last_reply: Option<Instant>) {
        let now = Instant::now();
        let is_recent = last_reply.is_some_and(|at| now.saturating_duration_since(at) < ADAPTOR_KEPT);
        if !is_recent && !self.has_ids {
            self.forget_echo();
        }
        self.answered.retain(|answered| !answered.passed || now < answered.until);
        self.outstanding.extend(self.answered.drain(..).map(|answered| (answered.look, now)));
    }

    fn forget_echo(&mut self) {
        self.echo = match self.setting {
            EchoSetting::Auto => Echo::Unknown,
            EchoSetting::Present => Echo::Present,
            EchoSetting::Absent => Echo::Absent,
        };
    }

    /// The line was seen to echo, or not to.
    pub(crate) fn learn(&mut self, echo: Echo) {
        if self.setting == EchoSetting::Auto {
            self.echo = echo;
        }
    }

    /// Whether the exact bytes of this request are cut off when they come back.
    pub(crate) fn cuts_echo_of(&self, request: &Request<'_>) -> bool {
        match self.setting {
            EchoSetting::Absent => false,
            EchoSetting::Present => true,
            EchoSetting::Auto => self.echo == Echo::Present || !request.is_its_own_reply(),
        }
    }

    /// The next step towards an unambiguous reply to this request; `grow` is how much longer a read may be made.
    pub(crate) fn next(&mut self, unit: u8, request: &Request<'_>, grow: u16, now: Instant) -> Next {
        self.answered.retain(|answered| !answered.passed || now < answered.until);
        self.outstanding.retain(|(_, at)| now.saturating_duration_since(*at) < FORGOTTEN_AFTER);
        if self.is_free(unit, request) {
            return Next::Ask { more: 0 };
        }
        let longer = self.longer(unit, request, grow, now).find(|(_, read)| self.is_free(unit, read));
        if let Some((more, _)) = longer {
            return Next::Ask { more };
        }
        let look = Look::of(unit, request);
        let is_outstanding = !self.has_ids && self.is_outstanding(&look);
        let (area, start) = request.place();
        let is_mute = self.places.get(&(unit, area, start)).is_some_and(Place::is_mute);
        // The copy of an exception would be a refusal too many, never a wrong value: time is enough.
        let may_rest = |answered: &Answered| answered.passed || answered.look != look || is_mute;
        let can_rest = !is_outstanding && !self.hides_in_echo(request) && self.repeats(unit, request).all(may_rest);
        match self.repeats(unit, request).map(|answered| answered.until).max() {
            Some(until) if can_rest => Next::Rest(until),
            _ => Next::Question(self.question(unit, request)),
        }
    }

    /// The request is sent: it is outstanding until it is answered.
    pub(crate) fn sent(&mut self, unit: u8, request: &Request<'_>, now: Instant) {
        let of_unit = |sent: &&(Look, Instant)| sent.0.unit == unit;
        if self.outstanding.iter().filter(of_unit).count() >= MAX_OUTSTANDING
            && let Some(oldest) = self.outstanding.iter().position(|sent| sent.0.unit == unit)
        {
            self.outstanding.remove(oldest);
        }
        self.outstanding.push((Look::of(unit, request), now));
    }

    /// The reply of the last request arrived: earlier requests of the unit are no longer outstanding.
    pub(crate) fn replied(&mut self, unit: u8, request: &Request<'_>, line_time: Duration, now: Instant) {
        self.outstanding.retain(|(sent, _)| sent.unit != unit);
        self.pass(Look::of(unit, request), line_time, now);
    }

    /// An exception has come, of the request that was sent last or of an older one of its function.
    pub(crate) fn refused(&mut self, unit: u8, request: &Request<'_>, code: u8, line_time: Duration, now: Instant) {
        let function = request.function();
        if is_of_gateway(code) {
            self.pass(Look::exception(unit, function), line_time, now);
            return;
        }
        let oldest =
            self.outstanding.iter().position(|(sent, _)| sent.unit == unit && sent.function & 0x7f == function);
        if let Some(oldest) = oldest {
            let mut at = 0;
            self.outstanding.retain(|(sent, _)| {
                at += 1;
                sent.unit != unit || at - 1 > oldest
            });
        }
        self.pass(Look::exception(unit, function), line_time, now);
        let until = now + REPEAT_WITHIN + 2 * line_time;
        self.answered.push(Answered { look: Look::of(unit, request), until, passed: false });
    }

    /// How a longer read than wanted ended; a device that refuses it is asked only for the wanted registers.
    pub(crate) fn tried_longer(&mut self, unit: u8, request: &Request<'_>, outcome: Longer, now: Instant) {
        let (area, start) = request.place();
        let place = self.places.entry((unit, area, start)).or_default();
        match outcome {
            Longer::Answered => place.has_worked = true,
            Longer::Failed => place.failures = place.failures.saturating_add(1),
            Longer::Refused => place.refused = Some(now),
            Longer::Short => place.is_end = true,
        }
    }

    /// An older request than the last one is outstanding, with a reply of the same look.
    pub(crate) fn is_outstanding_twice(&self, unit: u8, request: &Request<'_>) -> bool {
        let look = Look::of(unit, request);
        self.outstanding.iter().filter(|(sent, _)| *sent == look).count() > 1
    }

    /// No reply that may still come can be taken for this request's.
    fn is_free(&self, unit: u8, request: &Request<'_>) -> bool {
        let look = Look::of(unit, request);
        let is_ambiguous =
            !self.has_ids && (self.is_outstanding(&look) || self.repeats(unit, request).next().is_some());
        !is_ambiguous && !self.hides_in_echo(request)
    }

    fn is_outstanding(&self, look: &Look) -> bool {
        let exception = Look::exception(look.unit, look.function);
        self.outstanding.iter().any(|(sent, _)| sent == look || *sent == exception)
    }

    /// Whether the line echoes is not known, and the echo of this request could be taken for its reply.
    fn hides_in_echo(&self, request: &Request<'_>) -> bool {
        self.echo == Echo::Unknown && request.is_its_own_reply()
    }

    /// Replies whose second copy could be taken for this request's.
    fn repeats(&self, unit: u8, request: &Request<'_>) -> impl Iterator<Item = &Answered> {
        let (look, exception) = (Look::of(unit, request), Look::exception(unit, request.function()));
        let has_ids = self.has_ids;
        self.answered.iter().filter(move |answered| !has_ids && (answered.look == look || answered.look == exception))
    }

    fn pass(&mut self, look: Look, line_time: Duration, now: Instant) {
        self.answered.iter_mut().for_each(|answered| answered.passed = true);
        self.answered.retain(|answered| now < answered.until);
        self.answered.push(Answered { look, until: now + REPEAT_WITHIN + 2 * line_time, passed: false });
    }

    /// The same read with more at its end: how much more, and the read.
    fn longer(
        &self,
        unit: u8,
        request: &Request<'_>,
        grow: u16,
        now: Instant,
    ) -> impl Iterator<Item = (u16, Request<'static>)> + use<> {
        let (area, start, count) = match *request {
            Request::Read { area, start, count } => (area, start, count),
            _ => (Area::Holding, 0, u16::MAX),
        };
        let is_fixed = self.places.get(&(unit, area, start)).is_some_and(|place| place.is_fixed(now));
        let (step, most) = step_and_most(area);
        let grow = if is_fixed || count > most { 0 } else { grow };
        (1..=grow)
            .map(move |n| (n * step, count.saturating_add(n * step)))
            .take_while(move |(_, count)| fits(start, *count, most))
            .map(move |(more, count)| (more, Request::Read { area, start, count }))
    }

    /// A read near the request's place whose reply looks like nothing that may still come, short ones first.
    fn question(&self, unit: u8, request: &Request<'_>) -> Request<'static> {
        let (area, start) = request.place();
        let (step, most) = step_and_most(area);
        let read = |n: u16| {
            let count = (1 + n * step).min(most);
            let last = u32::from(u16::MAX) + 1 - u32::from(count);
            let start = start.min(u16::try_from(last).unwrap_or(u16::MAX));
            Request::Read { area, start, count }
        };
        let look = Look::of(unit, request);
        let is_clear =
            |read: &Request<'_>| self.is_free(unit, read) && !read.is_its_own_reply() && Look::of(unit, read) != look;
        (0..=100).map(read).find(|read| is_clear(read)).unwrap_or_else(|| read(100))
    }
}

/// How a read that was made longer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Longer {
    Answered,
    Failed,
    Refused,
    /// Answered with less than was asked for.
    Short,
}

/// Exceptions of a gateway that has no answer of the device.
pub(crate) fn is_of_gateway(code: u8) -> bool {
    matches!(code, 10 | 11)
}

/// The step that makes a reply one register or byte longer, and the longest read.
fn step_and_most(area: Area) -> (u16, u16) {
    if area.is_bits() { (8, MAX_READ_BITS) } else { (1, MAX_READ_REGISTERS) }
}

fn fits(start: u16, count: u16, most: u16) -> bool {
    count <= most && u32::from(start) + u32::from(count) <= u32::from(u16::MAX) + 1
}

#[cfg(test)]
mod tests;
