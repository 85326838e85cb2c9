//! The memory that all sessions together make the server hold is bounded by one key, whether their clients are there or
//! not.
//!
//! `OPCELL_MEMORY_SECONDS=600 cargo test --test session_memory -- --nocapture` watches longer and prints the figures.

use std::time::{Duration, Instant};

use opcell::testing::stack::codec::NodeIdRef;
use opcua::StatusCode;

use testkit::program::{Serving, folder};
use testkit::request::delete_subscriptions;
use testkit::steps;
use testkit::ua::Session;
use testkit::until;

const BOUND_KIB: u64 = 32 * 1024;
/// Allocations are larger than what is asked for, and leave pieces between them.
const SLACK_KIB: u64 = BOUND_KIB / 2 + 12 * 1024;
const SESSIONS: usize = 100;

fn cell() -> String {
    let mut text =
        "schema: 1\ncell: press\nconnections:\n  sim: { driver: simulator }\ndefaults: { poll: 50ms }\nnodes:\n"
            .to_owned();
    for n in 0..5 {
        text += &format!("  T{n}: {{ type: UInt32, source: \"counter(every=50ms)\" }}\n");
    }
    let long = "x".repeat(4_000);
    text + &format!("  Text: {{ type: String, source: \"text([{long}a, {long}b, {long}c], every=50ms)\" }}\n")
}

fn resident(server: &Serving) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// Takes what the server gives: items on moving tags with long queues that nobody reads, triggering links, items on
/// events, and continuation points.
fn take(session: &mut Session) -> Vec<StatusCode> {
    let mut statuses = Vec::new();
    let subscription = session.subscribe(3_600_000.0, 1000, 10);
    take_links(session);
    let filter = steps::event_filter(&["Message", "SourceName"], None);
    let events: Vec<_> = (0..200).map(|handle| (steps::Id::Number(0, 2253), handle)).collect();
    let made = steps::monitor_with(session, subscription, &events, (0.0, 1_000), (12, filter));
    statuses.extend(made.into_iter().map(|made| made.status));
    for _ in 0..20 {
        steps::browse(session, &[steps::Id::Number(0, 2253)], steps::HIERARCHICAL, 1);
    }
    for name in ["T0", "T1", "T2", "T3", "T4", "Text"] {
        let items: Vec<_> = (0..1_000).map(|handle| (NodeIdRef::string(2, name), handle)).collect();
        statuses.extend(session.monitor(subscription, &items, 0.0, 1_000).into_iter().map(|made| made.0));
    }
    statuses
}

/// Links between items on a constant, as many as are taken.
fn take_links(session: &mut Session) {
    let subscription = session.subscribe(3_600_000.0, 1000, 10);
    let items: Vec<_> = (0..1_000).map(|handle| (NodeIdRef::string(2, "T0"), handle)).collect();
    let made: Vec<u32> = session.monitor(subscription, &items, 0.0, 1).into_iter().map(|made| made.1).collect();
    for trigger in made.iter().filter(|id| **id != 0).take(20) {
        steps::set_triggering(session, subscription, *trigger, &made);
    }
    session.ask(delete_subscriptions(&[subscription]));
}

#[test]
#[expect(clippy::print_stdout, reason = "figures of a measurement")]
fn an_item_takes_less_than_a_kilobyte() {
    let server = "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer]\nsecurity: { allow_unsecured: true }\n\
                  limits: { session_memory: 4GiB }\n";
    let mut cell = "schema: 1\ncell: press\nnodes:\n".to_owned();
    (0..100).for_each(|n| cell += &format!("  T{n}: {{ type: UInt32, value: {n} }}\n"));
    let dir = folder(&[("cell.yaml", &cell), ("server.yaml", server)]);
    let serving = Serving::logging(dir.path(), "error");
    let mut session = Session::open(serving.address);
    let subscription = session.subscribe(3_600_000.0, 1000, 10);
    let before = resident(&serving);
    let mut made = 0;
    for n in 0..100 {
        let name = format!("T{n}");
        let items: Vec<_> = (0..1_000).map(|handle| (NodeIdRef::string(2, &name), handle)).collect();
        made += session.monitor(subscription, &items, 0.0, 1).iter().filter(|made| made.0.is_good()).count() as u64;
    }
    assert_eq!(made, 100_000);
    let bytes = (resident(&serving) - before) * 1024 / made;
    println!("{bytes} bytes an item, its value and the lists that it is in included");
    assert!(bytes < 1_024, "{bytes} bytes an item");
}

#[test]
#[expect(clippy::print_stdout, reason = "figures of a measurement")]
fn sessions_hold_no_more_than_the_key_says() {
    let server = "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer]\nsecurity: { allow_unsecured: true }\n\
                  limits: { session_memory: 32MiB }\n";
    let dir = folder(&[("cell.yaml", &cell()), ("server.yaml", server)]);
    let serving = Serving::logging(dir.path(), "error");
    until("it polls", || {
        let mut session = Session::open(serving.address);
        let value = session.read_value(NodeIdRef::string(2, "T0"));
        session.close();
        value.value
    });
    let before = resident(&serving);
    let mut statuses = Vec::new();
    let mut alive = Vec::new();
    for n in 0..SESSIONS {
        let mut session = Session::open(serving.address);
        statuses.extend(take(&mut session));
        // Every other one is cut.
        if n % 2 == 0 {
            alive.push(session);
        }
    }
    let refused = statuses.iter().filter(|status| **status == StatusCode::BadTooManyMonitoredItems).count();
    let made = statuses.iter().filter(|status| status.is_good()).count();
    assert_eq!(refused + made, statuses.len(), "an item is made, or refused by the status for it");
    let seconds = std::env::var("OPCELL_MEMORY_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let began = Instant::now();
    let mut peak = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        peak = resident(&serving).max(peak);
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{before} KiB before, {peak} KiB at most with {made} items; {refused} were refused");
    assert!(refused > 0, "the bound was never reached");
    assert!(peak - before < BOUND_KIB + SLACK_KIB, "{before} KiB before, {peak} KiB at most");
    // Others are served: a newcomer has an item, for which a session without a connection ends. Those that are there
    // may have used up everything, so they go.
    drop(alive);
    let mut newcomer = Session::open(serving.address);
    let subscription = newcomer.subscribe(50.0, 1000, 10);
    until("a newcomer has an item", || {
        let made = newcomer.monitor(subscription, &[(NodeIdRef::string(2, "T0"), 1)], 0.0, 1);
        made[0].0.is_good().then_some(())
    });
    assert!(!newcomer.next_data().data.is_empty());
}
