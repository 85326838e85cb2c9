//! The lines of a link: requested, watched for edges, and read again each second.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::check;
use super::kernel::{Chip, Edge, Fault, Info, Line, Of};
use super::settings::{GpioPoint, GpioSettings};
use super::table::{Needed, Wish, resolve};
use super::watch::{Seen, Watch};
use super::wiring::{Edges, Wiring};
use crate::drivers::contract::LinkError;
use crate::drivers::driver::{ConnectionOf, Driver};
use crate::drivers::feed::Feed;
use crate::drivers::plan::PointPlan;
use crate::drivers::push::Push;
use crate::drivers::worker::{Late, Workers};
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::{BuiltIn, UaTime, Value};

/// Time between two looks at the levels: outputs and lost edges are seen by no event.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Time until a level that differs from the edges is looked at again.
const DOUBT: Duration = Duration::from_millis(50);

/// InfoType DataValue with Overflow (Part 4 §7.39, 1.05).
const OVERFLOW: u32 = 0x0480;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Open,
    Look,
    Write,
    Close,
}

pub(super) struct Point {
    plan: PointPlan,
    keys: GpioPoint,
}

/// A line that is taken.
struct Held<L> {
    line: Arc<L>,
    needed: Needed,
    watch: Watch,
    /// It could not be read.
    fault: Option<Fault>,
}

pub(super) struct Listener<C: Chip> {
    name: String,
    timeout: Duration,
    points: Vec<Point>,
    wishes: Vec<Wish>,
    chip: Option<Arc<C>>,
    infos: Vec<Info>,
    lines: BTreeMap<u32, Held<C::Line>>,
    /// Lines that were taken before: `on_start` is not for them, unless the chip is a new one.
    begun: HashSet<u32>,
    has_gone: AtomicBool,
    /// Why points have no line.
    faults: HashMap<u32, Fault>,
    counts: HashMap<TagId, u64>,
    /// Time of the next look at all levels.
    next: Instant,
    /// Points that came while their lines were taken already.
    fresh: Vec<u32>,
    /// Since when an earlier look has not returned.
    waiting: Option<Instant>,
    workers: Workers<Call>,
}

/// A line that was looked at.
struct Looked<L> {
    offset: u32,
    /// A line that was taken now.
    line: Option<L>,
    level: Result<bool, Fault>,
}

impl<C: Chip> Listener<C> {
    pub(super) fn new<D>(connection: ConnectionOf<'_, D>) -> Listener<C>
    where
        D: Driver<Settings = GpioSettings, Point = GpioPoint>,
    {
        let is_scan = connection.plan.is_scan;
        let mut wishes = Vec::new();
        for (at, point) in (0..).zip(connection.points()) {
            // A point that `check_point` refuses is neither read nor written.
            let Ok(address) = check::point(point).and_then(|_| Address::parse(&point.address)) else { continue };
            // A scan takes no line away from its direction.
            let mut wiring = Wiring { is_as_is: is_scan, ..Wiring::of(point) };
            if is_scan {
                (wiring.is_output, wiring.edges) = (false, Edges::default());
            }
            wishes.push(Wish { point: at, address, wiring });
        }
        Listener {
            name: connection.settings.chip.clone(),
            timeout: connection.plan.timeout,
            points: connection.points().map(|of| Point { plan: of.plan.clone(), keys: of.keys.clone() }).collect(),
            wishes,
            chip: None,
            infos: Vec::new(),
            lines: BTreeMap::new(),
            begun: HashSet::new(),
            has_gone: AtomicBool::new(false),
            faults: HashMap::new(),
            counts: HashMap::new(),
            next: Instant::now(),
            fresh: Vec::new(),
            waiting: None,
            workers: Workers::new("gpio"),
        }
    }

    fn late(&self) -> LinkError {
        LinkError::Timeout { waited_ms: self.timeout.as_millis(), usable: false }
    }

    fn lost(&self, fault: &Fault) -> LinkError {
        self.has_gone.fetch_or(fault.of == Of::Chip, Ordering::Relaxed);
        LinkError::Lost(format!("{}: {}", self.name, fault.text))
    }

    /// Takes the lines that are missing, and compares all levels with what the edges said.
    async fn look(&mut self, feed: &Feed) -> Result<(), LinkError> {
        let Some(chip) = self.chip.clone() else { return Err(LinkError::Lost("it is not open".to_owned())) };
        let resolved = resolve(&self.wishes, &chip.device(), &self.infos);
        let mut faults: HashMap<u32, Fault> = resolved.faults.into_iter().collect();
        let mut needed = resolved.lines;
        let is_kept =
            |offset: &u32, held: &Held<C::Line>| needed.get(offset).is_some_and(|one| one.wiring == held.needed.wiring);
        let (kept, released): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.lines).into_iter().partition(|(offset, held)| is_kept(offset, held));
        self.lines = kept;
        let held: Vec<(u32, Arc<C::Line>)> =
            self.lines.iter().map(|(at, held)| (*at, Arc::clone(&held.line))).collect();
        let missing: Vec<(u32, Wiring)> = needed
            .iter()
            .filter(|(offset, _)| !self.lines.contains_key(offset))
            .map(|(offset, needed)| {
                let on_start = needed.wiring.on_start.filter(|_| !self.begun.contains(offset));
                (*offset, Wiring { on_start, ..needed.wiring.clone() })
            })
            .collect();
        let released: Vec<Arc<C::Line>> = released.into_values().map(|held| held.line).collect();
        let call = move || {
            drop(released);
            look_at(&*chip, held, missing)
        };
        let looked = match self.workers.call(Call::Look, self.timeout, call).await {
            Ok(looked) => looked,
            Err(Late::Running) => return Err(self.late()),
            // The one before was interrupted by a write, and still runs.
            Err(Late::Refused) => {
                let since = *self.waiting.get_or_insert_with(Instant::now);
                self.next = Instant::now() + DOUBT;
                return if since.elapsed() > self.timeout { Err(self.late()) } else { Ok(()) };
            }
        };
        self.waiting = None;
        self.next = Instant::now() + LOOK_EVERY;
        for Looked { offset, line, level } in looked {
            let Some(needed) = needed.remove(&offset) else { continue };
            if let Some(line) = line {
                self.begun.insert(offset);
                let watch = Watch::new(needed.wiring.edges);
                let held = Held { line: Arc::new(line), needed, watch, fault: None };
                self.lines.insert(offset, held);
            } else if let Some(held) = self.lines.get_mut(&offset) {
                held.needed = needed;
            } else if let Err(fault) = &level {
                faults.extend(needed.points.iter().map(|point| (*point, fault.clone())));
            }
            if let Some(fault) = level.as_ref().err().filter(|fault| fault.of != Of::Line) {
                return Err(self.lost(fault));
            }
            self.compare(offset, level, feed)?;
        }
        for (point, fault) in &faults {
            if self.faults.get(point) != Some(fault) {
                feed.sample(*point, fault.sample(&self.points[*point as usize].plan.address));
            }
        }
        self.faults = faults;
        Ok(())
    }

    /// Takes a level that was read, unless edges came meanwhile.
    fn compare(&mut self, offset: u32, level: Result<bool, Fault>, feed: &Feed) -> Result<(), LinkError> {
        if self.drain(offset, feed)? > 0 {
            return Ok(());
        }
        let Some(held) = self.lines.get_mut(&offset) else { return Ok(()) };
        match level {
            Ok(level) => {
                held.fault = None;
                let seen = held.watch.read(level);
                if held.watch.is_in_doubt() {
                    self.next = self.next.min(Instant::now() + DOUBT);
                }
                if let Some(seen) = seen {
                    self.show(offset, seen, feed);
                }
            }
            Err(fault) => {
                held.watch.forget();
                if held.fault.as_ref() != Some(&fault) {
                    for point in &held.needed.points {
                        feed.sample(*point, fault.sample(&self.points[*point as usize].plan.address));
                    }
                    held.fault = Some(fault);
                }
            }
        }
        Ok(())
    }

    /// Takes the edges of a line that wait; says how many there were.
    fn drain(&mut self, offset: u32, feed: &Feed) -> Result<usize, LinkError> {
        let Some(held) = self.lines.get_mut(&offset) else { return Ok(0) };
        let mut edges: Vec<Edge> = Vec::new();
        let ended = held.line.edges(&mut edges);
        let seen: Vec<Seen> = edges.into_iter().map(|edge| held.watch.edge(edge)).collect();
        if !seen.is_empty() {
            held.fault = None;
        }
        for seen in &seen {
            self.show(offset, *seen, feed);
        }
        if seen.iter().any(|seen| seen.has_gap) {
            // The level is read again.
            self.next = Instant::now();
        }
        ended.map_err(|fault| self.lost(&fault))?;
        Ok(seen.len())
    }

    /// Feeds a change to the points of a line.
    fn show(&mut self, offset: u32, seen: Seen, feed: &Feed) {
        let Some(held) = self.lines.get(&offset) else { return };
        let time = seen.time.unwrap_or_else(UaTime::now);
        for at in &held.needed.points {
            let point = &self.points[*at as usize];
            let value = match point.keys.count {
                Some(kind) => {
                    let count = self.counts.entry(point.plan.tag).or_default();
                    *count = count.saturating_add(seen.count(kind));
                    if seen.time.is_some() && seen.count(kind) == 0 {
                        continue;
                    }
                    Value::UInt64(*count)
                }
                None => value_of(&point.plan, seen.level),
            };
            let mut sample = RawSample::from(Ok(value)).at(time);
            if seen.has_gap {
                sample.add_info_bits(OVERFLOW);
            }
            feed.sample(*at, sample);
        }
    }

    /// Gives points that came later the level that holds now.
    fn greet(&mut self, feed: &Feed) {
        for at in std::mem::take(&mut self.fresh) {
            let Some(held) = self.lines.values().find(|held| held.needed.points.contains(&at)) else { continue };
            let Some(level) = held.watch.level() else { continue };
            let point = &self.points[at as usize];
            let value = match point.keys.count {
                Some(_) => Value::UInt64(*self.counts.entry(point.plan.tag).or_default()),
                None => value_of(&point.plan, level),
            };
            // Edges before it came are not counted, so a count begins now.
            let time = held.watch.time().filter(|_| point.keys.count.is_none()).unwrap_or_else(UaTime::now);
            feed.sample(at, RawSample::from(Ok(value)).at(time));
        }
    }

    fn line_of(&self, point: u32) -> Option<u32> {
        self.lines.iter().find(|(_, held)| held.needed.points.contains(&point)).map(|(offset, _)| *offset)
    }
}

/// Requests lines and reads levels, on a thread that may wait.
fn look_at<C: Chip>(chip: &C, held: Vec<(u32, Arc<C::Line>)>, missing: Vec<(u32, Wiring)>) -> Vec<Looked<C::Line>> {
    let read = |(offset, line): (u32, Arc<C::Line>)| Looked { offset, line: None, level: line.level() };
    let mut looked: Vec<Looked<C::Line>> = held.into_iter().map(read).collect();
    for (offset, wiring) in missing {
        looked.push(match chip.request(offset, &wiring) {
            Ok(line) => Looked { offset, level: line.level(), line: Some(line) },
            Err(fault) => Looked { offset, level: Err(fault), line: None },
        });
    }
    looked
}

fn value_of(plan: &PointPlan, level: bool) -> Value {
    match plan.kind == BuiltIn::Boolean && !plan.has_scale {
        true => Value::Boolean(level),
        false => Value::Byte(level.into()),
    }
}

/// The level that a value means.
fn level_of(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(level) => Some(*level),
        value if value.as_f64() == Some(0.0) => Some(false),
        value if value.as_f64() == Some(1.0) => Some(true),
        _ => None,
    }
}

impl<C: Chip> Push for Listener<C> {
    async fn connect(&mut self) -> Result<(), LinkError> {
        let (name, runtime) = (self.name.clone(), tokio::runtime::Handle::current());
        let open = move || {
            // The chip's edges are reported by the runtime.
            let _context = runtime.enter();
            let chip = C::open(&name)?;
            let infos = chip.list()?;
            Ok::<_, Fault>((chip, infos))
        };
        match self.workers.call(Call::Open, self.timeout, open).await {
            Ok(Ok((chip, infos))) => {
                (self.chip, self.infos) = (Some(Arc::new(chip)), infos);
                self.next = Instant::now();
                if self.has_gone.swap(false, Ordering::Relaxed) {
                    self.begun.clear();
                }
                Ok(())
            }
            Ok(Err(fault)) if fault.of == Of::Right => Err(LinkError::Denied(fault.text)),
            Ok(Err(fault)) => {
                self.has_gone.fetch_or(fault.of == Of::Chip, Ordering::Relaxed);
                Err(LinkError::Lost(fault.text))
            }
            Err(_) => Err(self.late()),
        }
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        self.greet(feed);
        loop {
            if Instant::now() >= self.next
                && let Err(error) = self.look(feed).await
            {
                return error;
            }
            let Some(chip) = self.chip.clone() else { return LinkError::Lost("it is not open".to_owned()) };
            match timeout_at(self.next, chip.ready()).await {
                Err(_) => {}
                Ok(Err(fault)) => return self.lost(&fault),
                Ok(Ok(offsets)) => {
                    for offset in offsets {
                        if let Err(error) = self.drain(offset, feed) {
                            return error;
                        }
                    }
                }
            }
            // A line that never rests must not hold up other tasks.
            tokio::task::yield_now().await;
        }
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32, feed: &Feed) -> Result<StatusCode, LinkError> {
        if first > 0 {
            return Ok(StatusCode::BadWriteNotSupported);
        }
        let Some(level) = level_of(value) else { return Ok(StatusCode::BadOutOfRange) };
        if self.line_of(point).is_none() {
            self.look(feed).await?;
        }
        let held = self.line_of(point).and_then(|offset| Some((offset, self.lines.get(&offset)?)));
        let Some((offset, held)) = held.filter(|(_, held)| held.needed.wiring.is_output) else {
            let is_output = self.points.get(point as usize).is_some_and(|point| point.plan.write);
            let other = if is_output { StatusCode::BadResourceUnavailable } else { StatusCode::BadNotWritable };
            return Ok(self.faults.get(&point).map_or(other, |fault| fault.code));
        };
        let line = Arc::clone(&held.line);
        let set = move || {
            line.set(level)?;
            line.level()
        };
        match self.workers.call(Call::Write, self.timeout, set).await {
            Ok(Ok(now)) => {
                self.compare(offset, Ok(now), feed)?;
                Ok(if now == level { StatusCode::Good } else { StatusCode::BadDeviceFailure })
            }
            Ok(Err(fault)) if fault.of == Of::Line => Ok(fault.code),
            Ok(Err(fault)) => Err(self.lost(&fault)),
            Err(Late::Running) => Err(self.late()),
            Err(Late::Refused) => Ok(StatusCode::BadResourceUnavailable),
        }
    }

    async fn disconnect(&mut self) {
        let lines: Vec<Arc<C::Line>> = std::mem::take(&mut self.lines).into_values().map(|held| held.line).collect();
        let chip = self.chip.take();
        (self.faults, self.waiting) = (HashMap::new(), None);
        let close = move || {
            drop(lines);
            drop(chip);
        };
        drop(self.workers.call(Call::Close, self.timeout, close).await);
    }

    /// The chip stays open and each line that is wired as before stays taken: an output keeps its level.
    fn adopt(&mut self, old: &mut Listener<C>) -> bool {
        if self.name != old.name {
            return false;
        }
        let before: HashMap<TagId, &Point> = old.points.iter().map(|point| (point.plan.tag, point)).collect();
        let is_new = |point: &Point| {
            let same = before.get(&point.plan.tag).filter(|old| old.plan == point.plan);
            same.is_none()
        };
        self.fresh = (0..).zip(&self.points).filter(|(_, point)| is_new(point)).map(|(at, _)| at).collect();
        (self.chip, self.infos) = (old.chip.take(), std::mem::take(&mut old.infos));
        self.begun = std::mem::take(&mut old.begun);
        self.has_gone = AtomicBool::new(old.has_gone.load(Ordering::Relaxed));
        let is_same = |tag: &TagId| self.points.iter().any(|point| point.plan.tag == *tag && !is_new(point));
        self.counts = std::mem::take(&mut old.counts).into_iter().filter(|(tag, _)| is_same(tag)).collect();
        std::mem::swap(&mut self.workers, &mut old.workers);
        let device = self.chip.as_ref().map(|chip| chip.device()).unwrap_or_default();
        let mut resolved = resolve(&self.wishes, &device, &self.infos);
        self.lines = std::mem::take(&mut old.lines);
        // Edges that wait are those of the new points, too. A line that is wired otherwise is released by the next look.
        for (offset, held) in &mut self.lines {
            let points = resolved.lines.remove(offset).filter(|needed| needed.wiring == held.needed.wiring);
            held.needed.points = points.map(|needed| needed.points).unwrap_or_default();
        }
        self.next = Instant::now();
        true
    }
}
