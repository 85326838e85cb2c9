//! Fairness: one client calls each service with its most operations, and ends sessions, subscriptions and items at their
//! limits, while another one publishes each 50 ms, reads and connects. The longest gap of the other is told a service.
//!
//! `OPCELL_FAIR_MS=100 cargo test --release --test fairness -- --nocapture` holds it to another bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opcell::stack::codec::{NodeIdRef, QualifiedNameRef, Writer};
use opcell::value::Value;

use testkit::server::TestServer;
use testkit::steps;
use testkit::ua::Session;

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

    /// What it waited since the last call.
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

fn ids_body(w: &mut Writer, subscription: u32, ids: &[u32]) {
    w.u32(subscription);
    w.count(ids.len());
    ids.iter().for_each(|id| w.u32(*id));
}

fn views(session: &mut Session, names: &[String], hold: &mut dyn FnMut(&'static str)) {
    let nodes: Vec<_> = names.iter().map(|name| (NodeIdRef::string(2, name), 13)).collect();
    session.read(&nodes);
    hold("Read");
    let arrays: Vec<_> = (0..MOST).map(|n| (NodeIdRef::numeric(0, [3707, 2290][n % 2]), 13)).collect();
    session.read(&arrays);
    hold("Read of diagnostics");
    session.call(673, |w| {
        w.count(MOST);
        for name in names {
            w.node_id(NodeIdRef::string(2, name));
            w.u32(13);
            w.string(None);
            w.data_value(&Value::Int32(7), opcua::StatusCode::Good, None, None);
        }
    });
    hold("Write");
    session.call(527, |w| {
        w.node_id(NodeIdRef::NULL);
        w.raw(&[0; 12]);
        w.u32(0);
        w.count(MOST);
        for _ in 0..MOST {
            w.node_id(NodeIdRef::numeric(0, 2253));
            w.i32(0);
            w.node_id(NodeIdRef::NULL);
            w.bool(true);
            w.u32(0);
            w.u32(63);
        }
    });
    hold("Browse");
    session.call(554, |w| {
        w.count(MOST);
        let last = format!("T{}", TAGS - 1);
        for _ in 0..MOST {
            w.node_id(NodeIdRef::string(2, "All"));
            w.count(1);
            w.node_id(NodeIdRef::NULL);
            w.bool(false);
            w.bool(true);
            w.qualified_name(QualifiedNameRef { namespace: 2, name: Some(&last) });
        }
    });
    hold("TranslateBrowsePathsToNodeIds");
    for (name, service) in [("RegisterNodes", 560), ("UnregisterNodes", 566)] {
        session.call(service, |w| {
            w.count(MOST);
            names.iter().for_each(|name| w.node_id(NodeIdRef::string(2, name)));
        });
        hold(name);
    }
}

fn many_items(session: &mut Session, names: &[String], hold: &mut dyn FnMut(&'static str)) {
    let subscription = session.subscribe(1000.0, 1000, 10);
    let made = items(session, subscription, MOST, names);
    hold("CreateMonitoredItems");
    session.call(763, |w| {
        w.u32(subscription);
        w.i32(2);
        w.count(made.len());
        for id in &made {
            w.u32(*id);
            w.u32(*id);
            w.f64(5000.0);
            w.null_extension_object();
            w.u32(10);
            w.bool(true);
        }
    });
    hold("ModifyMonitoredItems");
    for mode in [0, 1, 2] {
        session.call(769, |w| {
            w.u32(subscription);
            w.i32(mode);
            w.count(made.len());
            made.iter().for_each(|id| w.u32(*id));
        });
    }
    hold("SetMonitoringMode");
    for trigger in &made[..50] {
        steps::set_triggering(session, subscription, *trigger, &made);
    }
    hold("SetTriggering");
    session.call(781, |w| ids_body(w, subscription, &made));
    hold("DeleteMonitoredItems");
    items(session, subscription, MANY, names);
    hold("CreateMonitoredItems, many");
    session.call(847, |w| {
        w.count(1);
        w.u32(subscription);
    });
    hold("DeleteSubscriptions with many items");
}

fn hot_items(session: &mut Session, hold: &mut dyn FnMut(&'static str)) {
    // All on one tag that moves, as many as a session may have.
    let hot = vec!["Hot".to_owned()];
    let subscription = session.subscribe(50.0, 1000, 10);
    items(session, subscription, MOST, &hot);
    hold("items on one tag");
    session.call(847, |w| {
        w.count(1);
        w.u32(subscription);
    });
    hold("DeleteSubscriptions with items on one tag");
    let events = session.subscribe(1000.0, 1000, 10);
    for _ in 0..3 {
        let filter = |w: &mut Writer| steps::event_filter(w, &["Message"], None);
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
fn the_largest_request_of_each_service_stops_nobody() {
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
    let subscription = cut.subscribe(50.0, 6, 2);
    items(&mut cut, subscription, MANY, &names);
    drop(cut);
    std::thread::sleep(Duration::from_millis(500));
    hold("a lifetime that ends");
    // The memory of what has ended is given back.
    let began = Instant::now();
    while server.server.monitored_items.load(Ordering::Relaxed) > 10 {
        assert!(began.elapsed() < Duration::from_secs(10), "items stay");
        std::thread::sleep(Duration::from_millis(10));
    }
    healthy.end();
    for (name, gap) in &told {
        println!("{name:<45} {:>6.1} ms", gap.as_secs_f64() * 1000.0);
    }
    let bad: Vec<_> = told.iter().filter(|(_, gap)| *gap > Duration::from_millis(bound)).collect();
    assert!(bad.is_empty(), "others waited too long: {bad:?}");
}
