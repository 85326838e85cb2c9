//! The S7 driver.

mod access;
mod example;
mod faults;
mod link;
mod peers;
mod structures;
mod values;

use testkit::plant::Bench;

/// A cell whose nodes these are, at a PLC on this port; the poll period is 50 ms.
fn cell(port: u16, more: &str, nodes: &str) -> String {
    let nodes: String = nodes.trim().lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!(
        "schema: 1
cell: press
connections:
  plc: {{ driver: s7, host: 127.0.0.1, port: {port}, timeout: 300ms, retries: 0, reconnect_max: 100ms, allow_write: true{more} }}
defaults: {{ connection: plc, poll: 50ms, stale_after: 300ms }}
nodes:
{nodes}"
    )
}

fn start(port: u16, nodes: &str) -> Bench {
    Bench::of_cell(&cell(port, "", nodes))
}
