//! A link to a chip of the tests.

use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;

use super::super::driver::Gpio;
use super::super::kernel::Fault;
use super::super::listener::Listener;
use super::super::settings::{Count, GpioPoint, GpioSettings};
use super::chip::{Board, TestChip};
use crate::drivers::contract::LinkError;
use crate::drivers::driver::ConnectionOf;
use crate::drivers::feed::Feed;
use crate::drivers::plan::{ConnectionPlan, PointPlan, PointSettings, Settings};
use crate::drivers::push::Push;
use crate::model::ConnectionIx;
use crate::value::{BuiltIn, Value};

const OVERFLOW: u32 = 0x0480;

struct Stage {
    link: Listener<TestChip>,
    feed: Feed,
}

fn input(tag: u32, address: &str) -> PointPlan {
    PointPlan {
        address: address.to_owned(),
        kind: BuiltIn::Boolean,
        write: false,
        settings: PointSettings::of(GpioPoint::default()),
        ..PointPlan::sample(tag)
    }
}

fn output(tag: u32, address: &str) -> PointPlan {
    PointPlan { write: true, ..input(tag, address) }
}

fn counter(tag: u32, address: &str, count: Count) -> PointPlan {
    let keys = GpioPoint { count: Some(count), ..GpioPoint::default() };
    PointPlan { kind: BuiltIn::UInt32, settings: PointSettings::of(keys), ..input(tag, address) }
}

fn listener(chip: &str, points: Vec<PointPlan>) -> Listener<TestChip> {
    let plan = ConnectionPlan {
        ix: ConnectionIx(0),
        name: "pins".to_owned(),
        cell: "c".to_owned(),
        settings: Settings::of::<Gpio>(GpioSettings { chip: chip.to_owned() }),
        timeout: Duration::from_secs(20),
        retries: 0,
        reconnect_max: Duration::from_secs(1),
        enabled: true,
        is_scan: false,
        browses: Arc::default(),
        points: Arc::new(points),
    };
    let settings = plan.settings.get::<Gpio>().expect("of this driver");
    Listener::new(ConnectionOf::<Gpio> { plan: &plan, settings, application: None })
}

impl Stage {
    async fn open(chip: &str, points: Vec<PointPlan>) -> Stage {
        let feed = Feed::new(points.len());
        let mut link = listener(chip, points);
        link.connect().await.expect("a chip");
        Stage { link, feed }
    }

    /// Samples until there are as many as wanted: the point, its value or code, and whether edges are missing before it.
    async fn samples(&mut self, count: usize) -> Vec<(u32, String, bool)> {
        let mut all = Vec::new();
        let limit = tokio::time::Instant::now() + Duration::from_secs(20);
        while all.len() < count {
            // It is interrupted again and again, as by writes.
            let run = tokio::time::timeout(Duration::from_millis(5), self.link.run(&self.feed));
            if let Ok(error) = run.await {
                all.push((u32::MAX, error.to_string(), false));
            }
            self.feed.drain(|point, sample| {
                let shown = sample.value().map_or_else(|code| code.to_string(), |value| value.shown());
                all.push((point, shown, sample.status().bits() & OVERFLOW == OVERFLOW));
            });
            assert!(tokio::time::Instant::now() < limit, "{count} are wanted, these came: {all:?}");
        }
        all
    }
}

impl Stage {
    /// Takes samples until this one is the last.
    async fn until(&mut self, wanted: &(u32, String, bool)) {
        while self.samples(1).await.last() != Some(wanted) {}
    }
}

fn good(point: u32, shown: &str) -> (u32, String, bool) {
    (point, shown.to_owned(), false)
}

#[tokio::test]
async fn a_gap_is_marked_and_the_level_is_read_again() {
    let board = Board::new("gap");
    let points = vec![input(0, "line/PUMP"), counter(1, "line/1", Count::Both)];
    let mut stage = Stage::open("gap", points).await;
    assert_eq!(stage.samples(2).await, [good(0, "false"), good(1, "0")]);
    board.pull(1, true, true);
    assert_eq!(stage.samples(2).await, [good(0, "true"), good(1, "1")]);
    board.pull(1, false, true);
    board.pull(1, true, true);
    board.pull(1, false, true);
    board.state.lock().edges[1].drain(..2);
    assert_eq!(stage.samples(2).await, [(0, "false".to_owned(), true), (1, "4".to_owned(), true)]);
    // No edge came at all: the look finds the level.
    board.pull(1, true, false);
    assert_eq!(stage.samples(2).await, [(0, "true".to_owned(), true), (1, "5".to_owned(), true)]);
}

#[tokio::test]
async fn faults_of_a_line_are_its_own_and_end() {
    let board = Board::new("faults");
    let busy = Fault::line(StatusCode::BadResourceUnavailable, "`other` has this line");
    board.state.lock().faults.insert(1, busy);
    let points = vec![input(0, "line/0"), input(1, "line/1"), input(2, "line/NONE"), output(3, "line/2")];
    let mut stage = Stage::open("faults", points).await;
    let mut first = stage.samples(4).await;
    first.sort();
    let wanted =
        [good(0, "false"), good(1, "BadResourceUnavailable"), good(2, "BadConfigurationError"), good(3, "false")];
    assert_eq!(first, wanted);
    board.state.lock().faults.clear();
    assert_eq!(stage.samples(1).await, [good(1, "false")], "it is tried again");
    board.state.lock().faults.insert(0, Fault::line(StatusCode::BadDeviceFailure, "input/output error"));
    assert_eq!(stage.samples(1).await, [good(0, "BadDeviceFailure")]);
    board.state.lock().faults.clear();
    assert_eq!(stage.samples(1).await, [good(0, "false")], "the same level is shown again");
    board.state.lock().faults.insert(0, Fault::chip("the chip has gone"));
    assert_eq!(stage.samples(1).await, [good(u32::MAX, "faults: the chip has gone")]);
    stage.link.disconnect().await;
    assert_eq!(board.state.lock().held, [false; 4], "all lines are released");
}

#[tokio::test]
async fn a_write_is_answered_with_the_level_of_the_line() {
    let board = Board::new("write");
    let points = vec![output(0, "line/2"), output(1, "line/3"), input(2, "line/1")];
    let mut stage = Stage::open("write", points).await;
    let (link, feed) = (&mut stage.link, &stage.feed);
    // Before the first look, as for a value of `on_stop`.
    assert_eq!(link.write(0, &Value::Boolean(true), 0, feed).await, Ok(StatusCode::Good));
    assert!(board.state.lock().levels[2]);
    assert_eq!(link.write(0, &Value::Double(0.5), 0, feed).await, Ok(StatusCode::BadOutOfRange));
    assert_eq!(link.write(0, &Value::Double(0.0), 0, feed).await, Ok(StatusCode::Good));
    assert_eq!(link.write(1, &Value::Boolean(true), 0, feed).await, Ok(StatusCode::BadDeviceFailure));
    assert_eq!(link.write(2, &Value::Boolean(true), 0, feed).await, Ok(StatusCode::BadNotWritable));
    board.state.lock().faults.insert(2, Fault::line(StatusCode::BadDeviceFailure, "input/output error"));
    assert_eq!(link.write(0, &Value::Boolean(true), 0, feed).await, Ok(StatusCode::BadDeviceFailure));
    board.state.lock().faults.insert(2, Fault::chip("the chip has gone"));
    let lost = link.write(0, &Value::Boolean(true), 0, feed).await;
    assert_eq!(lost, Err(LinkError::Lost("write: the chip has gone".to_owned())));
}

#[tokio::test]
async fn the_level_at_the_start_is_not_set_again_after_a_lost_link() {
    let board = Board::new("start");
    let keys = GpioPoint { on_start: Some(true), ..GpioPoint::default() };
    let points = vec![PointPlan { settings: PointSettings::of(keys), ..output(0, "line/2") }];
    let mut stage = Stage::open("start", points).await;
    assert_eq!(stage.samples(1).await, [good(0, "true")]);
    assert_eq!(stage.link.write(0, &Value::Boolean(false), 0, &stage.feed).await, Ok(StatusCode::Good));
    // As after a time-out: the chip was there all the time.
    stage.link.disconnect().await;
    stage.link.connect().await.expect("a chip");
    stage.until(&good(0, "false")).await;
    board.state.lock().faults.insert(2, Fault::chip("the chip has gone"));
    stage.until(&good(u32::MAX, "start: the chip has gone")).await;
    board.state.lock().faults.clear();
    stage.link.disconnect().await;
    stage.link.connect().await.expect("a chip");
    // A chip that comes back begins again.
    stage.until(&good(0, "true")).await;
    let mut levels: Vec<Option<bool>> = board.state.lock().requests.iter().map(|(_, wiring)| wiring.on_start).collect();
    levels.dedup();
    assert_eq!(levels, [Some(true), None, Some(true)]);
}

#[tokio::test]
async fn lines_that_are_wired_as_before_stay_taken() {
    let board = Board::new("adopt");
    let points = vec![input(0, "line/0"), counter(1, "line/1", Count::Rising), output(2, "line/2")];
    let mut old = Stage::open("adopt", points).await;
    old.samples(3).await;
    assert_eq!(old.link.write(2, &Value::Boolean(true), 0, &old.feed).await, Ok(StatusCode::Good));
    board.pull(1, true, true);
    old.samples(1).await;
    // Tag 0 goes to another line, tag 3 is new at a line that is taken, tags 1 and 2 move to other places.
    let points = vec![
        output(2, "line/2"),
        counter(1, "line/1", Count::Rising),
        counter(3, "line/1", Count::Rising),
        input(0, "line/3"),
    ];
    let mut link = listener("adopt", points);
    // An edge comes while neither runs.
    board.pull(1, false, false);
    board.pull(1, true, true);
    assert!(link.adopt(&mut old.link));
    let mut new = Stage { link, feed: Feed::new(4) };
    let mut samples = new.samples(4).await;
    samples.sort();
    let wanted = [good(1, "2"), good(2, "0"), good(2, "1"), good(3, "false")];
    assert_eq!(samples, wanted, "a count goes on, and a new one begins");
    let requests: Vec<u32> = board.state.lock().requests.iter().map(|(line, _)| *line).collect();
    assert_eq!(requests, [0, 1, 2, 3], "no line is taken twice");
    assert_eq!(board.state.lock().held, [false, true, true, true]);
    assert!(board.state.lock().levels[2], "the output keeps its level");
    assert!(!listener("other", Vec::new()).adopt(&mut new.link), "another chip");
}

#[tokio::test]
async fn a_chip_that_is_absent_says_so() {
    let mut link = listener("absent", vec![input(0, "line/0")]);
    assert_eq!(link.connect().await, Err(LinkError::Lost("no such chip `absent`".to_owned())));
}
