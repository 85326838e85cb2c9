//! Links with a scripted protocol and a clock of the test's own: no socket, and an hour passes in a blink.

mod changing;
mod endings;
mod faults;
mod plans;
mod pushing;
mod quiet;

use std::collections::HashMap;

use opcua::StatusCode;
use parking_lot::Mutex;

use super::*;
use crate::drivers::contract::{Answer, Refusal};
use crate::drivers::links::Links;
use crate::drivers::modbus::{Tcp, TcpSettings};
use crate::drivers::plan::Settings;
use crate::drivers::poll::{Ask, Poll, Round};
use crate::model::{AccessIx, Cell, Connection, ConnectionIx, DataType, NodeIx, Origin, Plant, Shape, Tag, TagId};
use crate::tags::{RawSample, Write};
use crate::value::{BuiltIn, Value};

const POLL: Duration = Duration::from_millis(100);
const STALE: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(80);
const LONGEST: Duration = Duration::from_secs(30);

/// Behaviour of a device at one point.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Answer,
    AnswerAfter(Duration),
    Silent,
    /// The link must be opened again.
    Garble,
    Refuse(Refusal),
    Lose,
    /// Closes the connection after each answer.
    AnswerOnce,
    /// Closes the connection in place of an answer.
    Close,
    Panic,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Connect,
    Read(u32),
    Write(u32),
}

/// The devices of a link: the behaviour of each point, and the times of the requests.
#[derive(Debug)]
struct Script {
    reachable: Mutex<bool>,
    /// How long it takes to connect.
    dial: Mutex<Duration>,
    /// By the number of the tag; the others answer.
    does: Mutex<HashMap<u32, Does>>,
    /// How long a write takes.
    writing: Mutex<Duration>,
    /// The device's answer to a write.
    written: Mutex<StatusCode>,
    /// Does a new driver take over the connection; `None`: it panics.
    adopts: Mutex<Option<bool>>,
    /// The connection over which each tag was read last, counted by the script.
    sockets: Mutex<HashMap<u32, u32>>,
    /// An `AnswerOnce` has not answered yet on this connection.
    is_fresh: Mutex<bool>,
    diary: Mutex<Vec<(Instant, Event)>>,
}

impl Script {
    fn note(&self, event: Event) {
        self.diary.lock().push((Instant::now(), event));
    }

    fn times(&self, event: Event) -> Vec<Instant> {
        self.diary.lock().iter().filter(|(_, seen)| *seen == event).map(|(at, _)| *at).collect()
    }

    fn set(&self, tag: u32, does: Does) {
        self.does.lock().insert(tag, does);
    }

    fn new(reachable: bool) -> Arc<Script> {
        Arc::new(Script {
            reachable: Mutex::new(reachable),
            dial: Mutex::default(),
            does: Mutex::default(),
            writing: Mutex::default(),
            written: Mutex::new(StatusCode::Good),
            adopts: Mutex::new(Some(true)),
            sockets: Mutex::default(),
            is_fresh: Mutex::default(),
            diary: Mutex::default(),
        })
    }
}

/// Makes drivers that follow the script.
fn scripted(script: &Arc<Script>) -> Make {
    let script = Arc::clone(script);
    Arc::new(move |plans: &[ConnectionPlan]| -> Opened {
        let of_device = |(device, plan): (usize, &ConnectionPlan)| {
            plan.points.iter().map(|point| Place { device, tag: point.tag }).collect::<Vec<_>>()
        };
        let places = plans.iter().enumerate().flat_map(of_device).collect();
        let scripted = Scripted { script: Arc::clone(&script), places, socket: 0 };
        Opened { link: crate::drivers::link::Link::poll(scripted), refused: Vec::new() }
    })
}

/// Settings of a connection; those to one host share a link.
fn settings(host: u32, unit: u32) -> Settings {
    let text = format!(r#"{{"host": "host{host}", "unit_id": {unit}}}"#);
    Settings::of::<Tcp>(serde_json::from_str::<TcpSettings>(&text).expect("settings"))
}

/// One block a point; the device of a point is its connection.
struct Scripted {
    script: Arc<Script>,
    places: Vec<Place>,
    /// The number of its connection; 0 while there is none.
    socket: u32,
}

struct Place {
    device: usize,
    tag: TagId,
}

impl Poll for Scripted {
    /// The point that is read.
    type Request = u32;

    fn plan(&self, points: &[u32]) -> Vec<Ask<u32>> {
        let device = |point: u32| self.places[point as usize].device;
        points.iter().map(|point| Ask { device: device(*point), points: vec![*point], request: *point }).collect()
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.script.note(Event::Connect);
        let dial = *self.script.dial.lock();
        tokio::time::sleep(dial).await;
        *self.script.is_fresh.lock() = true;
        self.socket = u32::try_from(self.script.times(Event::Connect).len()).expect("few");
        match *self.script.reachable.lock() {
            true => Ok(()),
            false => Err(LinkError::Lost("no route".into())),
        }
    }

    async fn read(&mut self, point: &u32, _: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        let tag = self.places[*point as usize].tag;
        self.script.note(Event::Read(tag.0));
        self.script.sockets.lock().insert(tag.0, self.socket);
        assert!(self.socket > 0, "it is read over an open connection");
        let does = self.script.does.lock().get(&tag.0).copied().unwrap_or(Does::Answer);
        match does {
            Does::Answer => tokio::time::sleep(Duration::from_millis(1)).await,
            Does::AnswerAfter(wait) => tokio::time::sleep(wait).await,
            Does::Silent => {
                tokio::time::sleep(TIMEOUT).await;
                return Err(LinkError::Timeout { waited_ms: TIMEOUT.as_millis(), usable: true });
            }
            Does::Garble => {
                tokio::time::sleep(TIMEOUT).await;
                return Err(LinkError::Garbage { text: "no reply to this".into(), usable: false });
            }
            Does::Refuse(why) => return Ok(Answer::Refused { why, text: "no".into() }),
            Does::AnswerOnce => {
                if !std::mem::take(&mut *self.script.is_fresh.lock()) {
                    return Err(LinkError::Closed { sent: false });
                }
            }
            Does::Close => return Err(LinkError::Closed { sent: true }),
            Does::Lose => return Err(LinkError::Lost("hung up".into())),
            Does::Panic => panic!("a bug of the driver, on purpose"),
        }
        out.push((tag, RawSample::from(Ok(Value::UInt16(7)))));
        Ok(Answer::Samples)
    }

    async fn write(&mut self, point: u32, _: &Value, _: u32) -> Result<StatusCode, LinkError> {
        self.script.note(Event::Write(self.places[point as usize].tag.0));
        let writing = *self.script.writing.lock();
        tokio::time::sleep(writing).await;
        Ok(*self.script.written.lock())
    }

    async fn disconnect(&mut self) {
        self.socket = 0;
    }

    fn adopt(&mut self, old: &mut Scripted) -> bool {
        let adopts = self.script.adopts.lock().expect("a bug of the driver, on purpose");
        if adopts {
            self.socket = std::mem::take(&mut old.socket);
        }
        adopts
    }
}

fn tag(connection: u32, poll: Duration) -> Tag {
    Tag {
        cell: 0,
        node: NodeIx(0),
        shape: Shape {
            data_type: DataType::BuiltIn(BuiltIn::UInt16),
            dimensions: vec![],
            length: None,
            unit: None,
            range: None,
        },
        origin: Origin::Device { connection: ConnectionIx(connection), read: true, write: true, on_stop: None },
        scale: None,
        wraps: false,
        deadband: 0.0,
        poll,
        stale_after: STALE,
        enabled: true,
        access: AccessIx(0),
        history: None,
    }
}

fn point(tag: u32, poll: Duration) -> PointPlan {
    PointPlan { kind: BuiltIn::UInt16, poll, ..PointPlan::sample(tag) }
}

/// A running link with a connection for each list, and in it a point for each period.
struct Rig {
    plant: Arc<Plant>,
    tags: Arc<TagStore>,
    script: Arc<Script>,
    health: Arc<health::Link>,
    links: Links,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn start(devices: &[&[Duration]], reachable: bool) -> Rig {
        let mut plant = Plant::default();
        let mut plans = Vec::new();
        for (ix, periods) in (0..).zip(devices) {
            let mut points = Vec::new();
            for poll in *periods {
                points.push(point(plant.tags.next().0, *poll));
                plant.tags.push(tag(ix, *poll));
            }
            let name = format!("device{ix}");
            plant.connections.push(Connection {
                cell: 0,
                name: name.clone(),
                description: String::new(),
                driver: "simulator",
                enabled: true,
                allow_write: true,
                timeout: TIMEOUT,
                retries: 0,
                reconnect_max: LONGEST,
            });
            plans.push(ConnectionPlan {
                ix: ConnectionIx(ix),
                name,
                cell: "bench".into(),
                settings: settings(0, ix),
                timeout: TIMEOUT,
                retries: 0,
                reconnect_max: LONGEST,
                enabled: true,
                is_scan: false,
                browses: Default::default(),
                points: points.into(),
            });
        }
        let name = "bench".to_owned();
        let nodes = vec![crate::model::Node {
            name: name.as_str().into(),
            id: crate::model::NodeName::Path,
            parent: None,
            kind: crate::model::NodeKind::Folder,
            display_name: None,
            description: None,
            access: AccessIx(0),
        }];
        plant.cells.push(Cell { name, namespace: "urn:bench".into(), nodes, ..Cell::default() });
        Rig::run(plant, plans, reachable)
    }

    fn run(plant: Plant, plans: Vec<ConnectionPlan>, reachable: bool) -> Rig {
        let script = Script::new(reachable);
        let plant = Arc::new(plant);
        let tags = Arc::new(TagStore::new(&plant));
        let Linked { links, health, task } = link(plans, &plant, &tags, scripted(&script));
        Rig { plant, tags, script, health, links, task }
    }

    fn status(&self, tag: u32) -> StatusCode {
        self.tags.with(TagId(tag), |sample| sample.status)
    }

    async fn write(&self, tag: u32) -> StatusCode {
        let write = Write { tag: TagId(tag), value: Value::UInt16(1), first: None, revision: 0 };
        let connection = self.plant.tag(TagId(tag)).connection().expect("a device's");
        let answer = self.tags.enqueue(connection, vec![write], Duration::from_secs(2)).expect("a place");
        answer.await.expect("an answer")[0]
    }

    async fn end(self) {
        self.links.stop();
        self.task.await.expect("the link ends in good order");
    }
}

/// One link with its task.
struct Linked {
    links: Links,
    health: Arc<health::Link>,
    task: tokio::task::JoinHandle<()>,
}

/// Starts the link of connections that share one.
fn link(plans: Vec<ConnectionPlan>, plant: &Arc<Plant>, tags: &Arc<TagStore>, make: Make) -> Linked {
    let mut links = Links::with_drivers(tags, mpsc::unbounded_channel().0, make);
    let mut task = None;
    let mut spawn = |_: String, of_link| task = Some(tokio::spawn(of_link));
    let health = links.apply(plans, plant, &mut spawn).remove(0);
    Linked { links, health, task: task.expect("one link") }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn the_back_off_doubles_up_to_its_longest_and_begins_anew_after_ten_good_seconds() {
    let rig = Rig::start(&[&[POLL]], false);
    pass(Duration::from_secs(200)).await;
    assert_eq!(rig.status(0), StatusCode::BadNotConnected);
    let waits = gaps(&rig.script.times(Event::Connect));
    for (wait, seconds) in waits.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
        let share = wait.as_secs_f64() / seconds;
        assert!((0.79..1.21).contains(&share), "{wait:?} instead of {seconds} s");
    }
    assert!(waits.len() >= 9, "{waits:?}");
    assert!(waits.iter().any(|wait| wait.as_millis() % 500 != 0), "there is jitter: {waits:?}");

    *rig.script.reachable.lock() = true;
    pass(Duration::from_secs(60)).await;
    assert_eq!(rig.status(0), StatusCode::Good);
    *rig.script.reachable.lock() = false;
    rig.script.set(0, Does::Lose);
    let before = rig.script.times(Event::Connect).len();
    pass(Duration::from_secs(3)).await;
    let after = rig.script.times(Event::Connect).len() - before;
    assert!((2..=4).contains(&after), "the first attempts come soon again: {after}");
    assert_eq!(rig.status(0), StatusCode::BadNoCommunication);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn each_class_is_scanned_at_its_own_period_and_a_late_scan_is_skipped_and_counted() {
    let second = Duration::from_secs(1);
    let rig = Rig::start(&[&[POLL, second]], true);
    pass(Duration::from_secs(10)).await;
    let count = |point| rig.script.times(Event::Read(point)).len();
    assert!((99..=102).contains(&count(0)), "{}", count(0));
    assert!((10..=11).contains(&count(1)), "{}", count(1));
    assert_eq!(rig.health.snapshot().overruns, 0);

    rig.script.set(0, Does::AnswerAfter(Duration::from_millis(250)));
    let (fast, slow) = (count(0), count(1));
    pass(Duration::from_secs(30)).await;
    let (fast, slow) = (count(0) - fast, count(1) - slow);
    assert!((98..=102).contains(&fast), "every third of 300 scans: {fast}");
    assert!((29..=31).contains(&slow), "the slow class is not starved: {slow}");
    let overruns = rig.health.snapshot().overruns;
    assert!((195..=205).contains(&overruns), "{overruns} skipped");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_device_is_asked_less_and_less_often_and_its_neighbour_stays_good() {
    let rig = Rig::start(&[&[POLL, POLL], &[POLL]], true);
    pass(Duration::from_secs(1)).await;
    rig.script.set(0, Does::Silent);
    rig.script.set(1, Does::Silent);
    let began = Instant::now();
    pass(Duration::from_secs(160)).await;
    let mut asked = [rig.script.times(Event::Read(0)), rig.script.times(Event::Read(1))].concat();
    asked.retain(|at| *at >= began);
    asked.sort_unstable();
    let waits: Vec<u64> = gaps(&asked).iter().map(|gap| (gap.as_secs_f64() / 10.0).round() as u64 * 10).collect();
    assert_eq!(waits, [0, 0, 10, 20, 40, 80]);
    assert_eq!(rig.health.snapshot().demoted, 1);
    assert!(rig.script.times(Event::Read(2)).len() > 1_580, "the neighbour is asked as ever");
    assert_eq!((rig.status(0), rig.status(2)), (StatusCode::BadTimeout, StatusCode::Good));
    assert_eq!(rig.script.times(Event::Connect).len(), 1, "the link stays");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_while_a_link_is_opened_anew_and_is_refused_at_once_when_nobody_is_there() {
    let rig = Rig::start(&[&[POLL, Duration::from_secs(1)]], true);
    pass(Duration::from_secs(1)).await;
    *rig.script.dial.lock() = Duration::from_millis(300);
    rig.script.set(0, Does::Garble);
    let connects = rig.script.times(Event::Connect).len();
    while rig.script.times(Event::Connect).len() == connects {
        pass(Duration::from_millis(1)).await;
    }
    assert_eq!(rig.write(1).await, StatusCode::Good, "while it is being opened again");

    *rig.script.dial.lock() = Duration::ZERO;
    *rig.script.reachable.lock() = false;
    rig.script.set(0, Does::Lose);
    pass(Duration::from_secs(60)).await;
    let (asked, writes) = (Instant::now(), rig.script.times(Event::Write(1)).len());
    assert_eq!(rig.write(1).await, StatusCode::BadNoCommunication);
    assert!(asked.elapsed() < Duration::from_millis(1), "at once");
    assert_eq!(rig.script.times(Event::Write(1)).len(), writes, "nothing was sent");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_one_request_at_most() {
    let rig = Rig::start(&[&[POLL; 40]], true);
    pass(Duration::from_secs(1)).await;
    for point in 0..40 {
        rig.script.set(point, Does::AnswerAfter(Duration::from_millis(50)));
    }
    pass(Duration::from_secs(5)).await;
    let asked = Instant::now();
    assert_eq!(rig.write(3).await, StatusCode::Good);
    assert!(asked.elapsed() <= Duration::from_millis(50), "{:?} for a scan of 2 s", asked.elapsed());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_link_only_and_that_starts_again_after_a_back_off() {
    let (broken, sound) = (Rig::start(&[&[POLL, POLL]], true), Rig::start(&[&[POLL]], true));
    pass(Duration::from_secs(1)).await;
    broken.script.set(1, Does::Panic);
    pass(Duration::from_millis(150)).await;
    let began = Instant::now();
    for tag in [0, 1] {
        assert_eq!(broken.status(tag), StatusCode::BadInternalError, "at once, whatever stale_after is");
        assert!(broken.tags.with(TagId(tag), |sample| sample.value.is_null()));
    }
    assert_eq!(broken.write(0).await, StatusCode::BadInternalError);
    assert_eq!(broken.health.snapshot().last_error, "the driver panicked");
    pass(Duration::from_secs(60)).await;
    let waits = gaps(&broken.script.times(Event::Connect));
    assert!(waits[2] > waits[1] && waits[3] > waits[2], "the back-off grows: {waits:?}");
    assert!(waits.len() < 8, "{waits:?}");
    assert!(sound.script.times(Event::Read(0)).iter().filter(|at| **at >= began).count() >= 599);
    assert_eq!((sound.status(0), broken.status(1)), (StatusCode::Good, StatusCode::BadInternalError));

    broken.script.set(1, Does::Answer);
    pass(LONGEST * 2).await;
    assert_eq!([broken.status(0), broken.status(1)], [StatusCode::Good; 2]);
    broken.end().await;
    sound.end().await;
}
