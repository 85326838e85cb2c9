//! Numbers of tags are given to other tags over many reloads: no client ever gets the value of another node.

use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::{ExtensionObject, MonitoringMode, StatusCode};
use testkit::request::{delete_items, modify_items, parameters, set_mode};
use testkit::server::TestServer;
use testkit::ua::Session;

/// Reloads in CI; `OPCELL_RELOADS` for more.
const RELOADS: usize = 60;
const NODES: u32 = 60;

/// About half of the nodes, each with a value of its own.
fn cell(rng: &mut Rng) -> String {
    let nodes = (0..NODES).filter(|_| rng.bool());
    let nodes: String = nodes.map(|n| format!("  N{n}: {{ type: Int32, value: {} }}\n", n * 1_000)).collect();
    format!("schema: 1\ncell: press\nnamespace: urn:test:press\nnodes:\n  Z: {{ type: Int32, value: 1 }}\n{nodes}")
}

fn own(n: u32) -> Option<Value> {
    i32::try_from(n * 1_000).ok().map(Value::Int32)
}

/// A client that reads, and makes, modifies, disables and deletes items until it is told to end.
fn client(address: std::net::SocketAddr, seed: u64, is_over: &AtomicBool) -> usize {
    let (mut client, mut rng) = (Session::open(address), Rng::with_seed(seed));
    let subscription = client.subscribe(20.0, 10_000, 2);
    let names: Vec<String> = (0..NODES).map(|n| format!("N{n}")).collect();
    let nodes: Vec<NodeIdRef<'_>> = names.iter().map(|name| NodeIdRef::string(2, name)).collect();
    let mut items: Vec<(u32, u32)> = Vec::new();
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let wanted: Vec<_> = nodes.iter().map(|node| (*node, 13)).collect();
        for (n, value) in (0..).zip(client.read(&wanted)) {
            let is_gone = value.status == Some(StatusCode::BadNodeIdUnknown);
            assert!(is_gone || value.value == own(n), "N{n} reads {value:?}");
        }
        let some: Vec<u32> = (0..10).map(|_| rng.u32(..NODES)).collect();
        let wanted: Vec<_> = some.iter().map(|n| (nodes[*n as usize], *n)).collect();
        let made = client.monitor(subscription, &wanted, 0.0, 5);
        items.extend(made.iter().zip(&some).filter(|(made, _)| made.0.is_good()).map(|(made, n)| (made.1, *n)));
        if !items.is_empty() {
            let (id, n) = items[rng.usize(..items.len())];
            client.ask(modify_items(subscription, vec![(id, parameters(n, 0.0, 5, ExtensionObject::null()))]));
            client.ask(set_mode(subscription, MonitoringMode::Disabled, &[id]));
            client.ask(set_mode(subscription, MonitoringMode::Reporting, &[id]));
        }
        while items.len() > 80 {
            let (id, _) = items.swap_remove(rng.usize(..items.len()));
            client.ask(delete_items(subscription, &[id]));
        }
        for (n, value) in client.publish(&[]).expect("a message").data {
            let is_bad = value.status.is_some_and(|status| status.is_bad());
            assert!(is_bad || value.value == own(n), "the item of N{n} has {value:?}");
            count += 1;
        }
    }
    client.close();
    count
}

#[test]
fn no_client_gets_the_value_of_another_node() {
    let reloads = std::env::var("OPCELL_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(RELOADS);
    let mut rng = Rng::with_seed(3);
    let server = TestServer::start(&cell(&mut rng));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|seed| {
                scope.spawn({
                    let (address, over) = (server.address, &is_over);
                    move || client(address, seed, over)
                })
            })
            .collect();
        for _ in 0..reloads {
            let report = server.reload(&cell(&mut rng)).report;
            assert_ne!(report.result, ReloadResult::Refused, "{report:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().expect("every value is the node's own") > 0);
        }
    });
}
