//! What auditing costs a Write: CPU of the connection's own thread, and that of the audit's.

use std::sync::Arc;
use std::time::Duration;

use opcell::app;
use opcell::audit::Audit;
use opcell::config::{self, Options};
use opcell::model::{AuditLog, AuditPlan};
use opcell::stack::codec::NodeIdRef;
use opcell::ua::connection::talk::Talk;
use opcell::ua::server::Server;
use opcell::value::Value;
use opcua::StatusCode;

use crate::rows::Table;

const VALUES: usize = 100;
const REQUESTS: usize = 300;

/// Nanoseconds that a thread was on a processor.
fn cpu(thread: &str) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).expect("Linux counts it");
    Duration::from_nanos(text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number"))
}

fn server(audit: Audit) -> (Arc<Server>, opcell::stack::crypto::PoolThreads) {
    let dir = tempfile::tempdir().expect("a folder");
    let tags: String = (0..VALUES).map(|n| format!("  T{n}: {{ type: Double, value: 1.5, write: true }}\n")).collect();
    let path = dir.path().join("cell.yaml");
    std::fs::write(&path, format!("schema: 1\ncell: bench\nnodes:\n{tags}")).expect("written");
    let loopback = "127.0.0.1:4840".parse().expect("an address");
    let (compiled, _) = config::load(&path, &Options { listen: Some(vec![loopback]), ..Options::default() });
    app::assemble(compiled.expect("a good cell")).bare_audited(None, audit).expect("it starts")
}

/// CPU of one run of requests on this thread.
fn run(talk: &mut Talk, names: &[String]) -> Duration {
    let mut spent = Duration::ZERO;
    for round in 0..REQUESTS {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let value = Value::Double(round as f64);
        talk.prepare(673, |w| {
            w.count(names.len());
            for name in names {
                w.node_id(NodeIdRef::string(2, name));
                w.u32(13);
                w.string(None);
                w.data_value(&value, StatusCode::Good, None, None);
            }
        });
        let before = cpu("thread-self");
        talk.serve();
        spent += cpu("thread-self") - before;
        talk.take_answers();
    }
    spent
}

/// The ways take turns, and the best of each counts: the machine is busy with other things.
pub fn writes(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a folder");
    let plan = AuditPlan { log: AuditLog::Off, ..AuditPlan::default() };
    let (audit, _scribe) = Audit::start(&plan, dir.path()).expect("an audit");
    let names: Vec<String> = (0..VALUES).map(|n| format!("T{n}")).collect();
    let ways = [("without an audit", Audit::off()), ("audited", audit)];
    let servers = ways.map(|(name, audit)| (name, server(audit)));
    let mut talks = servers.each_ref().map(|(name, (server, _))| (*name, Talk::open(server), Duration::MAX));
    for _ in 0..20 {
        for (_, talk, best) in &mut talks {
            *best = run(talk, &names).min(*best);
            // What was queued is written before the next turn.
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    for (name, _, best) in &talks {
        table.per(&format!("write of {VALUES} values, {name}"), *best, REQUESTS, "request");
    }
    let ratio = talks[1].2.as_secs_f64() / talks[0].2.as_secs_f64();
    table.line("audited, times the one without", &format!("{ratio:9.2}"));
}
