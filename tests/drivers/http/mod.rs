//! The driver of HTTP: against Python's HTTP server, and against a server that lies.

mod faults;
mod peer;
mod probe;
mod structures;

use testkit::plant::Bench;

/// A cell whose nodes these are, at a server on this port; the poll period is 50 ms.
fn cell(port: u16, more: &str, nodes: &str) -> String {
    let nodes: String = nodes.trim().lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!(
        "schema: 1
cell: oven
connections:
  oven: {{ driver: http, url: \"http://127.0.0.1:{port}\", timeout: 300ms, retries: 0, reconnect_max: 100ms, allow_write: true{more} }}
defaults: {{ connection: oven, poll: 50ms, stale_after: 500ms }}
nodes:
{nodes}"
    )
}

fn start(port: u16, nodes: &str) -> Bench {
    Bench::of_cell(&cell(port, "", nodes))
}
