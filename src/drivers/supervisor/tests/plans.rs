//! Plans of a scripted site, to be changed while its links run; and random sequences of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::drivers::links::compare_links;
use crate::model::{Node, NodeKind, NodeName};

/// Tags of all sites.
pub(super) const TAGS: u32 = 16;

/// A connection as a test describes it; its number is its place.
#[derive(Debug, Clone)]
pub(super) struct Dev {
    pub host: u32,
    pub unit: u32,
    pub timeout: Duration,
    pub enabled: bool,
    pub points: Vec<Pt>,
}

#[derive(Debug, Clone)]
pub(super) struct Pt {
    pub tag: u32,
    pub poll: Duration,
    pub address: String,
    pub on_stop: bool,
}

pub(super) fn pt(tag: u32, poll: Duration) -> Pt {
    Pt { tag, poll, address: format!("p{tag}"), on_stop: false }
}

pub(super) fn dev(host: u32, points: &[Pt]) -> Dev {
    Dev { host, unit: 1, timeout: TIMEOUT, enabled: true, points: points.to_vec() }
}

/// Running links of a site.
pub(super) struct Site {
    pub plant: Arc<Plant>,
    pub tags: Arc<TagStore>,
    pub script: Arc<Script>,
    pub links: Links,
    pub health: Vec<Arc<health::Link>>,
    pub tasks: Vec<tokio::task::JoinHandle<()>>,
    pub outputs: mpsc::UnboundedReceiver<Output>,
}

fn node(name: &str) -> Node {
    let (id, kind) = (NodeName::Path, NodeKind::Folder);
    Node { name: name.into(), id, parent: None, kind, display_name: None, description: None, access: AccessIx(0) }
}

pub(super) fn plans_of(devices: &[Option<Dev>]) -> Vec<ConnectionPlan> {
    let plan = |(ix, dev): (u32, &Option<Dev>)| {
        let dev = dev.as_ref()?;
        let of = |pt: &Pt| PointPlan { address: pt.address.clone(), ..point(pt.tag, pt.poll) };
        Some(ConnectionPlan {
            ix: ConnectionIx(ix),
            name: format!("device{ix}"),
            cell: "bench".into(),
            settings: settings(dev.host, dev.unit),
            timeout: dev.timeout,
            retries: 0,
            reconnect_max: LONGEST,
            enabled: dev.enabled,
            is_scan: false,
            browses: Default::default(),
            points: dev.points.iter().map(of).collect::<Vec<_>>().into(),
        })
    };
    (0..).zip(devices).filter_map(plan).collect()
}

pub(super) fn plant_of(devices: &[Option<Dev>], revision: u32) -> Plant {
    let mut plant = Plant { revision, ..Plant::default() };
    for (ix, dev) in (0..).zip(devices).filter_map(|(ix, dev)| Some((ix, dev.as_ref()?))) {
        plant.connections.put(
            ConnectionIx(ix),
            Connection {
                cell: 0,
                name: format!("device{ix}"),
                description: String::new(),
                driver: "modbus-tcp",
                enabled: dev.enabled,
                allow_write: true,
                timeout: dev.timeout,
                retries: 0,
                reconnect_max: LONGEST,
            },
        );
        for pt in &dev.points {
            let mut tag = tag(ix, pt.poll);
            if let Origin::Device { on_stop, .. } = &mut tag.origin {
                *on_stop = pt.on_stop.then_some(Value::UInt16(0));
            }
            plant.tags.put(TagId(pt.tag), tag);
        }
    }
    let (name, nodes) = ("bench".to_owned(), vec![node("bench")]);
    plant.cells.push(Cell { name, namespace: "urn:bench".into(), nodes, ..Cell::default() });
    plant
}

impl Site {
    pub(super) fn start(devices: &[Dev], reachable: bool) -> Site {
        // The store has a slot for each tag that the test will use.
        let all = (0..TAGS).map(|tag| pt(tag, POLL)).collect::<Vec<_>>();
        let tags = Arc::new(TagStore::new(&plant_of(&[Some(dev(0, &all))], 0)));
        let script = Script::new(reachable);
        let (report, outputs) = mpsc::unbounded_channel();
        let links = Links::with_drivers(&tags, report, scripted(&script));
        let (plant, health, tasks) = (Arc::default(), Vec::new(), Vec::new());
        let mut site = Site { plant, tags, script, links, health, tasks, outputs };
        site.change(devices);
        site
    }

    pub(super) fn change(&mut self, devices: &[Dev]) {
        self.change_to(&devices.iter().cloned().map(Some).collect::<Vec<_>>());
    }

    pub(super) fn change_to(&mut self, devices: &[Option<Dev>]) {
        self.plant = Arc::new(plant_of(devices, self.plant.revision + 1));
        let tasks = &mut self.tasks;
        let mut spawn = |_: String, task| tasks.push(tokio::spawn(task));
        self.health = self.links.apply(plans_of(devices), &self.plant, &mut spawn);
    }

    pub(super) fn connects(&self) -> usize {
        self.script.times(Event::Connect).len()
    }

    pub(super) fn reads(&self, tag: u32) -> Vec<Instant> {
        self.script.times(Event::Read(tag))
    }

    pub(super) fn status(&self, tag: u32) -> StatusCode {
        self.tags.with(TagId(tag), |sample| sample.status)
    }

    pub(super) fn claimed(&self) -> BTreeSet<u32> {
        (0..TAGS).filter(|tag| self.tags.is_claimed(TagId(*tag))).collect()
    }

    /// Hands over a write that was checked against the present plant.
    pub(super) fn send(&self, connection: u32, tag: u32) -> Result<Answers, StatusCode> {
        let write = Write { tag: TagId(tag), value: Value::UInt16(1), first: None, revision: self.plant.revision };
        self.tags.enqueue(ConnectionIx(connection), vec![write], Duration::from_secs(2))
    }

    /// Tags of the reports on outputs, with their results.
    pub(super) fn reports(&mut self) -> Vec<(u32, bool)> {
        let next = || self.outputs.try_recv().ok().map(|output| (output.tag.0, output.result.is_ok()));
        std::iter::from_fn(next).collect()
    }

    pub(super) async fn end(mut self) -> Vec<(u32, bool)> {
        self.links.stop();
        for task in std::mem::take(&mut self.tasks) {
            task.await.expect("the link ends in good order");
        }
        assert!(self.claimed().is_empty(), "{:?}", self.claimed());
        self.reports()
    }
}

pub(super) type Answers = tokio::sync::oneshot::Receiver<Vec<StatusCode>>;

/// Random sites of four connections on two hosts; each connection has its own four tags.
fn site() -> impl Strategy<Value = Vec<Option<Dev>>> {
    let points = prop::collection::vec(prop::option::of(0..2_u32), 4);
    let dev = (0..2_u32, 0..2_u32, prop::bool::weighted(0.8), points);
    prop::collection::vec(prop::option::weighted(0.8, dev), 4).prop_map(|devices| {
        let of = |(ix, dev): (u32, Option<_>)| {
            let (host, unit, enabled, points): (u32, u32, bool, Vec<Option<u32>>) = dev?;
            let pt = |(at, version): (u32, Option<u32>)| {
                let tag = ix * 4 + at;
                Some(Pt { address: format!("p{tag}v{}", version?), ..pt(tag, POLL) })
            };
            let points = (0..).zip(points).filter_map(pt).collect();
            Some(Dev { host, unit, timeout: TIMEOUT, enabled, points })
        };
        (0..).zip(devices).map(of).collect()
    })
}

async fn follow(sites: Vec<Vec<Option<Dev>>>) -> Result<(), TestCaseError> {
    let mut bench = Site::start(&[], true);
    let mut before: Vec<Option<Dev>> = Vec::new();
    for site in sites {
        let (connects, sockets) = (bench.connects(), bench.script.sockets.lock().clone());
        let changes = compare_links(&plans_of(&before), &plans_of(&site));
        bench.change_to(&site);
        pass(POLL * 3).await;
        let on: Vec<(u32, &Dev)> = (0..).zip(&site).filter_map(|(ix, dev)| Some((ix, dev.as_ref()?))).collect();
        let on: Vec<(u32, &Dev)> = on.into_iter().filter(|(_, dev)| dev.enabled).collect();
        let hosts: BTreeSet<u32> = on.iter().map(|(_, dev)| dev.host).collect();
        let is_kept = |ix: u32| changes.kept.contains(&ConnectionIx(ix));
        let stays = |host: &u32| on.iter().any(|(ix, dev)| dev.host == *host && is_kept(*ix));
        let opened = hosts.iter().filter(|host| !stays(host)).count();
        prop_assert_eq!(bench.connects() - connects, opened, "{:?}", changes);
        // Exactly the plan's points are polled.
        bench.script.diary.lock().retain(|(_, event)| *event == Event::Connect);
        pass(POLL * 2).await;
        let read = |tag: &u32| !bench.reads(*tag).is_empty();
        let wanted: BTreeSet<u32> = on.iter().flat_map(|(_, dev)| dev.points.iter().map(|pt| pt.tag)).collect();
        prop_assert_eq!(&(0..TAGS).filter(read).collect::<BTreeSet<_>>(), &wanted);
        prop_assert_eq!(&bench.claimed(), &wanted);
        // The connection of an untouched tag is the one before exactly when the comparison says so.
        let now = bench.script.sockets.lock().clone();
        let was_on = |ix: u32| before.get(ix as usize).and_then(Option::as_ref).filter(|dev| dev.enabled);
        for (ix, dev) in &on {
            let Some(old) = was_on(*ix) else {
                prop_assert!(changes.added.contains(&ConnectionIx(*ix)));
                continue;
            };
            let both = dev.points.iter().filter(|pt| old.points.iter().any(|old| old.tag == pt.tag));
            for pt in both {
                prop_assert_eq!(sockets[&pt.tag] == now[&pt.tag], is_kept(*ix), "{} {:?}", ix, changes);
            }
        }
        before = site;
    }
    bench.end().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn links_do_what_the_comparison_of_the_plans_says(sites in prop::collection::vec(site(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(follow(sites))?;
    }
}
