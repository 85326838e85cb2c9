//! Fairness: one client calls each service with its most operations, and ends sessions, subscriptions and items at
//! their limits, while another one publishes each 50 ms, reads and connects. The longest gap of the other is printed
//! for each service.
//!
//! `OPCELL_FAIR_MS=100 cargo test --release --test fairness -- --nocapture` holds it to another bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;

use opcua::{
    BrowsePath, ExtensionObject, ModifySubscriptionRequest, MonitoringMode, NodeId, ObjectId, QualifiedName,
    RegisterNodesRequest, RelativePath, RelativePathElement, UnregisterNodesRequest,
};
use testkit::request::{
    browse, delete_items, delete_subscriptions, modify_items, parameters, set_mode, text_id, translate, write,
};
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::{steps, until};

/// Most operations of a request, and tags of the cell.
const MOST: usize = 10_000;
const TAGS: usize = 10_000;
/// Items of a subscription that ends.
const MANY: usize = 100_000;
const PERIOD_MS: u64 = 50;

fn cell() -> String {
    let mut text = "schema: 1\ncell: press\nconnections:\n  sim: { driver: simulator }\nnodes:\n  Beat: { type: UInt32, \
                    source: \"counter(every=50ms)\", poll: 50ms }\n  Hot: { type: UInt32, source: \"counter(every=50ms)\", \
                    poll: 50ms }\n  All:\n    children:\n"
        .to_owned();
    for n in 0..TAGS {
        text += &format!("      T{n}: {{ type: Int32, value: {n}, write: true }}\n");
    }
    text
}

/// The healthy client: the longest time, in microseconds, that it waited for anything since it was last asked.
struct Healthy {
    worst: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Healthy {
    fn start(address: SocketAddr) -> Healthy {
        let (worst, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let note = |worst: &AtomicU64, took: Duration| {
            worst.fetch_max(u64::try_from(took.as_micros()).expect("short"), Ordering::Relaxed);
        };
        let mut listening = Session::open(address);
        let subscription = listening.subscribe(PERIOD_MS as f64, 10_000, 10);
        listening.monitor(subscription, &[(NodeIdRef::string(2, "Beat"), 1)], 0.0, 10);
        (0..5).for_each(|_| listening.ask_publish(&[]));
        let (seen, ends) = (Arc::clone(&worst), Arc::clone(&stop));
        let publishing = std::thread::spawn(move || {
            let mut last = Instant::now();
            while !ends.load(Ordering::Relaxed) {
                let publication = listening.published().expect("a message");
                listening.ask_publish(&[(publication.subscription, publication.sequence)]);
                if !publication.data.is_empty() {
                    note(&seen, last.elapsed().saturating_sub(Duration::from_millis(PERIOD_MS)));
                    last = Instant::now();
                }
            }
        });
        let (seen, ends) = (Arc::clone(&worst), Arc::clone(&stop));
        let reading = std::thread::spawn(move || {
            let mut session = Session::open(address);
            while !ends.load(Ordering::Relaxed) {
                let began = Instant::now();
                session.read_value(NodeIdRef::numeric(0, 2259));
                note(&seen, began.elapsed());
                let began = Instant::now();
                let other = Session::open(address);
                note(&seen, began.elapsed());
                other.close();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Healthy { worst, stop, threads: vec![publishing, reading] }
    }

    /// The longest gap since the last call.
    fn worst(&self) -> Duration {
        // A gap that has begun ends with the next message.
        std::thread::sleep(Duration::from_millis(2 * PERIOD_MS));
        Duration::from_micros(self.worst.swap(0, Ordering::Relaxed))
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("the healthy client is well"));
    }
}

fn tag_names() -> Vec<String> {
    (0..TAGS).map(|n| format!("All.T{n}")).collect()
}

/// Items of many tags, at most 1,000 on each.
fn items(session: &mut Session, subscription: u32, count: usize, names: &[String]) -> Vec<u32> {
    let mut ids = Vec::new();
    for first in (0..count).step_by(MOST) {
        let of = |n: usize| (NodeIdRef::string(2, &names[n % names.len()]), u32::try_from(n).expect("few"));
        let wanted: Vec<_> = (first..(first + MOST).min(count)).map(of).collect();
        ids.extend(session.monitor(subscription, &wanted, 0.0, 1).into_iter().map(|made| made.1));
    }
    ids
}

fn views(session: &mut Session, names: &[String], hold: &mut dyn FnMut(&'static str)) {
    let nodes: Vec<_> = names.iter().map(|name| (NodeIdRef::string(2, name), 13)).collect();
    session.read(&nodes);
    hold("Read");
    let arrays: Vec<_> = (0..MOST).map(|n| (NodeIdRef::numeric(0, [3707, 2290][n % 2]), 13)).collect();
    session.read(&arrays);
    hold("Read of diagnostics");
    let value = Value::Int32(7);
    session.call(write(&names.iter().map(|name| (NodeIdRef::string(2, name), None, &value)).collect::<Vec<_>>()));
    hold("Write");
    session.call(browse(&[ObjectId::Server; MOST], NodeId::null(), 0));
    hold("Browse");
    let last = format!("T{}", TAGS - 1);
    let step = RelativePathElement {
        include_subtypes: true,
        target_name: QualifiedName::new(2, last),
        ..RelativePathElement::default()
    };
    let path = BrowsePath { starting_node: text_id("All"), relative_path: RelativePath { elements: Some(vec![step]) } };
    session.call(translate(vec![path; MOST]));
    hold("TranslateBrowsePathsToNodeIds");
    let nodes: Vec<NodeId> = names.iter().map(|name| text_id(name)).collect();
    session.call(RegisterNodesRequest { nodes_to_register: Some(nodes.clone()), ..Default::default() });
    hold("RegisterNodes");
    session.call(UnregisterNodesRequest { nodes_to_unregister: Some(nodes), ..Default::default() });
    hold("UnregisterNodes");
}

fn many_items(session: &mut Session, names: &[String], hold: &mut dyn FnMut(&'static str)) {
    let subscription = session.subscribe(1000.0, 1000, 10);
    let made = items(session, subscription, MOST, names);
    hold("CreateMonitoredItems");
    let changed = made.iter().map(|id| (*id, parameters(*id, 5_000.0, 10, ExtensionObject::null()))).collect();
    session.call(modify_items(subscription, changed));
    hold("ModifyMonitoredItems");
    for mode in [MonitoringMode::Disabled, MonitoringMode::Sampling, MonitoringMode::Reporting] {
        session.call(set_mode(subscription, mode, &made));
    }
    hold("SetMonitoringMode");
    for trigger in &made[..50] {
        steps::set_triggering(session, subscription, *trigger, &made);
    }
    hold("SetTriggering");
    session.call(delete_items(subscription, &made));
    hold("DeleteMonitoredItems");
    items(session, subscription, MANY, names);
    hold("CreateMonitoredItems, many");
    session.ask(delete_subscriptions(&[subscription]));
    hold("DeleteSubscriptions with many items");
}

fn hot_items(session: &mut Session, hold: &mut dyn FnMut(&'static str)) {
    // All on one tag that moves, as many as a session may have.
    let hot = vec!["Hot".to_owned()];
    let subscription = session.subscribe(50.0, 1000, 10);
    items(session, subscription, MOST, &hot);
    hold("items on one tag");
    session.ask(delete_subscriptions(&[subscription]));
    hold("DeleteSubscriptions with items on one tag");
    let events = session.subscribe(1000.0, 1000, 10);
    for _ in 0..3 {
        let filter = steps::event_filter(&["Message"], None);
        let nodes: Vec<_> = (0..1_000).map(|handle| (steps::Id::Number(0, 2253), handle)).collect();
        steps::monitor_with(session, events, &nodes, (0.0, 10), (12, filter));
    }
    hold("event items");
    let live: Vec<_> =
        (0..5_000).map(|handle| (NodeIdRef::numeric(0, [3707, 2290][handle as usize % 2]), handle)).collect();
    let looking = session.subscribe(50.0, 1000, 10);
    session.monitor(looking, &live, 50.0, 1);
    hold("items on diagnostics");
}

#[test]
#[expect(clippy::print_stdout, reason = "figures of a measurement")]
fn the_largest_request_of_each_service_delays_no_other_client() {
    let bound = std::env::var("OPCELL_FAIR_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(250);
    let server = TestServer::start(&cell());
    let names = tag_names();
    let mut session = Session::open(server.address);
    let healthy = Healthy::start(server.address);
    let mut told: Vec<(&str, Duration)> = vec![("idle", healthy.worst())];
    let mut hold = |name: &'static str| told.push((name, healthy.worst()));

    views(&mut session, &names, &mut hold);
    many_items(&mut session, &names, &mut hold);
    hot_items(&mut session, &mut hold);
    session.close();
    hold("CloseSession");
    // A session that is cut, with many items: its lifetime ends.
    let mut cut = Session::open(server.address);
    let subscription = cut.subscribe(50.0, 1000, 10);
    items(&mut cut, subscription, MANY, &names);
    // Only now: making the items takes longer than this lifetime on a busy machine.
    cut.ask(ModifySubscriptionRequest {
        subscription_id: subscription,
        requested_publishing_interval: 50.0,
        requested_lifetime_count: 6,
        requested_max_keep_alive_count: 2,
        ..ModifySubscriptionRequest::default()
    });
    drop(cut);
    // The memory of what has ended is given back.
    until("items go", || server.server.totals.monitored_items.load(Ordering::Relaxed) <= 10);
    hold("a lifetime that ends");
    healthy.end();
    for (name, gap) in &told {
        println!("{name:<45} {:>6.1} ms", gap.as_secs_f64() * 1000.0);
    }
    let bad: Vec<_> = told.iter().filter(|(_, gap)| *gap > Duration::from_millis(bound)).collect();
    assert!(bad.is_empty(), "others waited too long: {bad:?}");
}
