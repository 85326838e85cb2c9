//! What auditing costs a Write on the connection's own task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcell::testing::app;
use opcell::testing::audit::Audit;
use opcell::testing::config::{self, Options};
use opcell::testing::model::{AuditLog, AuditPlan};
use opcell::testing::stack::codec::NodeIdRef;
use opcell::testing::ua::connection::loopback::LoopbackClient;
use opcell::testing::ua::server::Server;
use opcell::value::Value;
use opcua::StatusCode;

use crate::rows::Table;

const VALUES: usize = 100;
const REQUESTS: usize = 300;

fn server(audit: Audit) -> (Arc<Server>, opcell::testing::stack::crypto::PoolThreads) {
    let dir = tempfile::tempdir().expect("a folder");
    let tags: String = (0..VALUES).map(|n| format!("  T{n}: {{ type: Double, value: 1.5, write: true }}\n")).collect();
    let path = dir.path().join("cell.yaml");
    std::fs::write(&path, format!("schema: 1\ncell: bench\nnodes:\n{tags}")).expect("written");
    let loopback = "127.0.0.1:4840".parse().expect("an address");
    let (compiled, _) = config::load(&path, &Options { listen: Some(vec![loopback]), ..Options::default() });
    app::assemble(compiled.expect("a good cell")).bare_audited(None, audit).expect("it starts")
}

/// How long each request took.
fn run(talk: &mut LoopbackClient, names: &[String], took: &mut Vec<Duration>) {
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
        let before = Instant::now();
        talk.serve();
        took.push(before.elapsed());
        talk.take_answers();
    }
}

/// The ways take turns, and the median counts: the machine is busy with other things.
pub fn writes(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a folder");
    let plan = AuditPlan { log: AuditLog::Off, ..AuditPlan::default() };
    let (audit, _scribe) = Audit::start(&plan, dir.path()).expect("an audit");
    let names: Vec<String> = (0..VALUES).map(|n| format!("T{n}")).collect();
    let ways = [("without an audit", Audit::off()), ("audited", audit)];
    let servers = ways.map(|(name, audit)| (name, server(audit)));
    let mut talks = servers.each_ref().map(|(name, (server, _))| (*name, LoopbackClient::open(server), Vec::new()));
    for _ in 0..20 {
        for (_, talk, took) in &mut talks {
            run(talk, &names, took);
            // What was queued is written before the next turn.
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    let medians = talks.each_mut().map(|(name, _, took)| {
        took.sort_unstable();
        let median = took[took.len() / 2];
        table.per(&format!("write of {VALUES} values, {name}"), median, 1, "request");
        median.as_secs_f64()
    });
    table.line("audited, times the one without", &format!("{:9.2}", medians[1] / medians[0]));
}
