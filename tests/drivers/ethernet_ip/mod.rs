//! The driver of EtherNet/IP.

mod access;
mod browse;
mod example;
mod faults;
mod link;
mod mirror;
mod peers;
mod values;

use opcell::testing::model::TagId;
use testkit::plant::Bench;

/// A cell whose nodes these are, at a PLC on this port; the poll period is 50 ms.
fn cell(port: u16, more: &str, nodes: &str) -> String {
    let nodes: String = nodes.trim().lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!(
        "schema: 1
cell: press
connections:
  plc: {{ driver: ethernet-ip, host: 127.0.0.1, port: {port}, timeout: 300ms, retries: 0, reconnect_max: 100ms, allow_write: true{more} }}
defaults: {{ connection: plc, poll: 50ms, stale_after: 300ms }}
nodes:
{nodes}"
    )
}

fn start(port: u16, nodes: &str) -> Bench {
    Bench::of_cell(&cell(port, "", nodes))
}

fn why(bench: &Bench, tag: u32) -> String {
    bench.tags.reason(TagId(tag)).map_or(String::new(), |why| why.to_string())
}
