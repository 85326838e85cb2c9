//! Links whose driver pushes, with a clock of the test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::drivers::feed::Feed;
use crate::drivers::link::Link;
use crate::drivers::push::Push;
use crate::tags::{Stamp, Turn, Watch, Watcher};
use crate::value::{Moment, Sample};

#[derive(Clone, Copy)]
enum Ends {
    /// Feeds a sample and panics.
    Panic,
    /// The link ends at once with an error that is no loss.
    Garbage,
    Timeout,
}

struct Pushing {
    ends: Ends,
    connects: Arc<AtomicU32>,
}

impl Push for Pushing {
    async fn connect(&mut self) -> Result<(), LinkError> {
        let count = self.connects.fetch_add(1, Ordering::Relaxed);
        // A task that never waits would hold the only thread of the test.
        if count > 10_000 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        match self.ends {
            Ends::Panic => {
                feed.sample(0, RawSample::from(Ok(Value::UInt16(7))));
                panic!("a bug of the driver, on purpose");
            }
            Ends::Garbage => LinkError::Garbage { text: "no message of the protocol".into(), usable: false },
            Ends::Timeout => LinkError::Timeout { waited_ms: 0, usable: false },
        }
    }

    async fn write(&mut self, _: u32, _: &Value, _: u32, _: &Feed) -> Result<StatusCode, LinkError> {
        Ok(StatusCode::Good)
    }

    async fn disconnect(&mut self) {}
}

#[derive(Default)]
struct Seen(Mutex<Vec<StatusCode>>);

impl Watcher for Seen {
    fn offer(&self, _: u32, sample: &Sample, _: Moment) {
        self.0.lock().push(sample.status);
    }
}

/// A connection with one tag.
fn plan() -> ConnectionPlan {
    ConnectionPlan {
        ix: ConnectionIx(0),
        name: "device0".into(),
        cell: "bench".into(),
        settings: settings(0, 0),
        timeout: TIMEOUT,
        retries: 0,
        reconnect_max: LONGEST,
        enabled: true,
        is_scan: false,
        browses: Default::default(),
        points: vec![point(0, Duration::ZERO)].into(),
    }
}

fn start(ends: Ends) -> (Rig, Arc<AtomicU32>, Arc<Seen>) {
    let mut rig = Rig::start(&[&[Duration::ZERO]], true);
    rig.task.abort();
    let connects = Arc::new(AtomicU32::new(0));
    let of_link = Arc::clone(&connects);
    let make = move |_: &[ConnectionPlan]| -> Opened {
        Opened { link: Link::push(Pushing { ends, connects: Arc::clone(&of_link) }), refused: Vec::new() }
    };
    let tags = Arc::new(TagStore::new(&rig.plant));
    let seen = Arc::new(Seen::default());
    tags.watch(TagId(0), Watch { watcher: Arc::clone(&seen) as Arc<dyn Watcher>, key: 0, every: false });
    let linked = link(vec![plan()], &rig.plant, &tags, Arc::new(make));
    rig.tags = tags;
    (rig.links, rig.health, rig.task) = (linked.links, linked.health, linked.task);
    (rig, connects, seen)
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_no_sample_of_before_makes_a_tag_good() {
    let (rig, _, seen) = start(Ends::Panic);
    pass(Duration::from_millis(200)).await;
    let seen = std::mem::take(&mut *seen.0.lock());
    let panicked = seen.iter().position(|status| *status == StatusCode::BadInternalError).expect("it panicked");
    assert!(seen[panicked..].iter().all(|status| status.is_bad()), "{seen:?}");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pushing_link_that_breaks_at_once_backs_off_whatever_its_error() {
    for ends in [Ends::Garbage, Ends::Timeout] {
        let (rig, connects, _) = start(ends);
        pass(Duration::from_secs(10)).await;
        let count = connects.load(Ordering::Relaxed);
        rig.task.abort();
        assert!(count < 12, "{count} connections in 10 s");
    }
}

/// A link whose peer had closed it when the first write came, and that is sound from then on.
struct ClosedOnce {
    connects: Arc<AtomicU32>,
    writes: Arc<AtomicU32>,
}

impl Push for ClosedOnce {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn run(&mut self, _: &Feed) -> LinkError {
        std::future::pending().await
    }

    async fn write(&mut self, _: u32, _: &Value, _: u32, _: &Feed) -> Result<StatusCode, LinkError> {
        match self.writes.fetch_add(1, Ordering::Relaxed) {
            0 => Err(LinkError::Closed { sent: false }),
            _ => Ok(StatusCode::Good),
        }
    }

    async fn disconnect(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_pushing_link_is_not_opened_again_for_each_write() {
    let mut rig = Rig::start(&[&[Duration::ZERO]], true);
    rig.task.abort();
    let (connects, writes) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (of_link, written) = (Arc::clone(&connects), Arc::clone(&writes));
    let make = move |_: &[ConnectionPlan]| -> Opened {
        let closed = ClosedOnce { connects: Arc::clone(&of_link), writes: Arc::clone(&written) };
        Opened { link: Link::push(closed), refused: Vec::new() }
    };
    rig.tags = Arc::new(TagStore::new(&rig.plant));
    let linked = link(vec![plan()], &rig.plant, &rig.tags, Arc::new(make));
    (rig.links, rig.task) = (linked.links, linked.task);
    pass(Duration::from_millis(100)).await;
    for _ in 0..5 {
        assert_eq!(rig.write(0).await, StatusCode::Good);
        pass(Duration::from_secs(1)).await;
    }
    rig.end().await;
    assert_eq!(connects.load(Ordering::Relaxed), 2, "opened, and once more when it was found closed");
}

/// Feeds each point its own number every 10 ms, over a connection that a newer driver takes over.
struct Steady {
    tags: Vec<u32>,
    connects: Arc<AtomicU32>,
    is_open: bool,
}

impl Push for Steady {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        self.is_open = true;
        Ok(())
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        assert!(self.is_open, "it runs over an open connection");
        loop {
            for (point, tag) in (0..).zip(&self.tags) {
                feed.sample(point, RawSample::from(Ok(Value::UInt16(u16::try_from(*tag).expect("few")))));
            }
            pass(Duration::from_millis(10)).await;
        }
    }

    async fn write(&mut self, _: u32, _: &Value, _: u32, _: &Feed) -> Result<StatusCode, LinkError> {
        Ok(StatusCode::Good)
    }

    async fn disconnect(&mut self) {
        self.is_open = false;
    }

    fn adopt(&mut self, old: &mut Steady) -> bool {
        self.is_open = old.is_open;
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_pushing_link_takes_other_points_without_a_new_connection_and_mixes_no_values() {
    use super::plans::{TAGS, dev, plans_of, plant_of, pt};
    let site = |tags: &[u32]| vec![Some(dev(0, &tags.iter().map(|tag| pt(*tag, Duration::ZERO)).collect::<Vec<_>>()))];
    let all: Vec<u32> = (0..TAGS).collect();
    let tags = Arc::new(TagStore::new(&plant_of(&site(&all), 0)));
    let connects = Arc::new(AtomicU32::new(0));
    let of_link = Arc::clone(&connects);
    let make: Make = Arc::new(move |plans: &[ConnectionPlan]| {
        let tags = plans.iter().flat_map(|plan| plan.points.iter().map(|point| point.tag.0)).collect();
        let steady = Steady { tags, connects: Arc::clone(&of_link), is_open: false };
        Opened { link: Link::push(steady), refused: Vec::new() }
    });
    let mut links = Links::with_drivers(&tags, mpsc::unbounded_channel().0, make);
    let mut tasks = Vec::new();
    let seen = Arc::new(Seen::default());
    tags.watch(TagId(5), Watch { watcher: Arc::clone(&seen) as Arc<dyn Watcher>, key: 0, every: false });
    for n in 0..40_u32 {
        let now: Vec<u32> = [5, 9, 2, 7].into_iter().skip(usize::from(n % 4 == 1)).chain([n % 3 + 10, 5]).collect();
        let mut now: Vec<u32> = now.into_iter().filter(|tag| n % 5 != 0 || *tag != 2).collect();
        now.dedup();
        let mut once = HashSet::new();
        now.retain(|tag| once.insert(*tag));
        let plant = Arc::new(plant_of(&site(&now), n + 1));
        links.apply(plans_of(&site(&now)), &plant, &mut |_, task| tasks.push(tokio::spawn(task)));
        pass(Duration::from_millis(35)).await;
        for tag in now {
            let value = tags.with(TagId(tag), |sample| (sample.status, sample.value.clone()));
            assert_eq!(value, (StatusCode::Good, Value::UInt16(u16::try_from(tag).expect("few"))));
        }
    }
    assert_eq!(connects.load(Ordering::Relaxed), 1);
    assert_eq!(*seen.0.lock(), [StatusCode::BadWaitingForInitialData, StatusCode::Good], "no swap is seen at it");
    links.stop();
    for task in tasks {
        task.await.expect("the link ends in good order");
    }
}

/// Sends each value once a connection, and notes the addresses that are written; a write takes 50 ms.
struct Once {
    addresses: Vec<String>,
    connects: Arc<AtomicU32>,
    written: Arc<Mutex<Vec<String>>>,
    is_sent: bool,
}

impl Once {
    fn make(connects: &Arc<AtomicU32>, written: &Arc<Mutex<Vec<String>>>) -> Make {
        let (connects, written) = (Arc::clone(connects), Arc::clone(written));
        Arc::new(move |plans: &[ConnectionPlan]| {
            let addresses =
                plans.iter().flat_map(|plan| plan.points.iter().map(|point| point.address.clone())).collect();
            let (connects, written) = (Arc::clone(&connects), Arc::clone(&written));
            Opened { link: Link::push(Once { addresses, connects, written, is_sent: false }), refused: Vec::new() }
        })
    }
}

impl Push for Once {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        self.is_sent = false;
        Ok(())
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        if !std::mem::replace(&mut self.is_sent, true) {
            (0..).zip(&self.addresses).for_each(|(point, _)| feed.sample(point, RawSample::from(Ok(Value::UInt16(7)))));
        }
        std::future::pending().await
    }

    async fn write(&mut self, point: u32, _: &Value, _: u32, _: &Feed) -> Result<StatusCode, LinkError> {
        pass(Duration::from_millis(50)).await;
        self.written.lock().push(self.addresses[point as usize].clone());
        Ok(StatusCode::Good)
    }

    async fn disconnect(&mut self) {}

    fn adopt(&mut self, old: &mut Once) -> bool {
        self.is_sent = old.is_sent;
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_begins_again_gets_the_value_that_its_device_sends_once() {
    use super::plans::{dev, plans_of, plant_of, pt};
    let site = vec![Some(dev(0, &[pt(0, Duration::ZERO), pt(1, Duration::ZERO)]))];
    let (connects, written) = (Arc::default(), Arc::default());
    let tags = Arc::new(TagStore::new(&plant_of(&site, 0)));
    let mut links = Links::with_drivers(&tags, mpsc::unbounded_channel().0, Once::make(&connects, &written));
    let mut tasks = Vec::new();
    for revision in 0..4 {
        let plant = Arc::new(plant_of(&site, revision));
        if revision == 2 {
            tags.turn(&plant, TagId(1), Turn::Begin, None, Stamp::now());
        }
        links.apply(plans_of(&site), &plant, &mut |_, task| tasks.push(tokio::spawn(task)));
        pass(Duration::from_millis(100)).await;
        for tag in [0, 1] {
            let sample = tags.with(TagId(tag), Clone::clone);
            assert_eq!((sample.status, sample.value), (StatusCode::Good, Value::UInt16(7)), "tag {tag} of {revision}");
        }
    }
    assert_eq!(connects.load(Ordering::Relaxed), 2, "opened again for the tag that begins again, and for nothing else");
    links.stop();
    for task in tasks {
        task.await.expect("the link ends in good order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_by_the_new_plan_goes_to_the_new_address_also_when_the_link_ends() {
    use super::plans::{Pt, dev, plans_of, plant_of, pt};
    let site = |address: &str| vec![Some(dev(0, &[Pt { address: address.into(), ..pt(0, Duration::ZERO) }]))];
    let write = |revision| Write { tag: TagId(0), value: Value::UInt16(1), first: None, revision };
    for is_stopped in [false, true] {
        let (connects, written) = (Arc::default(), Arc::default());
        let tags = Arc::new(TagStore::new(&plant_of(&site("old"), 0)));
        let mut links = Links::with_drivers(&tags, mpsc::unbounded_channel().0, Once::make(&connects, &written));
        let mut tasks = Vec::new();
        let mut apply = |address, revision| {
            let plant = Arc::new(plant_of(&site(address), revision));
            links.apply(plans_of(&site(address)), &plant, &mut |_, task| tasks.push(tokio::spawn(task)));
        };
        let send =
            |revision| tags.enqueue(ConnectionIx(0), vec![write(revision)], Duration::from_secs(2)).expect("a place");
        apply("old", 0);
        pass(Duration::from_millis(100)).await;
        let before = send(0);
        pass(Duration::from_millis(20)).await;
        // The first one is under way.
        apply("new", 1);
        let after = send(1);
        if is_stopped {
            links.stop();
        }
        assert_eq!(before.await.expect("an answer"), [StatusCode::Good]);
        assert_eq!(after.await.expect("an answer"), [StatusCode::Good], "stopped: {is_stopped}");
        assert_eq!(*written.lock(), ["old", "new"], "stopped: {is_stopped}");
        links.stop();
        for task in tasks {
            task.await.expect("the link ends in good order");
        }
    }
}
