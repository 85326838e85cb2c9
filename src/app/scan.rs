//! One scan of devices without a server: the values of tags, as `opcell read` shows them. Nothing is ever written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::tasks::Tasks;
use crate::config::Compiled;
use crate::drivers::Links;
use crate::model::{Connection, ConnectionIx, Origin, Plant, Tag, TagId};
use crate::tags::TagStore;
use crate::ua::reason;
use crate::value::{Sample, Value};

/// For links to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Time between two looks at the tags.
const LOOK: Duration = Duration::from_millis(10);

/// The state of one tag after the scan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scanned {
    /// `CELL:PATH`.
    pub tag: String,
    /// The last value as the device has it, before scale and type; `None` where none came.
    pub raw: Option<Value>,
    pub sample: Sample,
    /// Why there is no good value; empty for a Good one.
    pub why: String,
}

/// Reads tags once: opens their connections, waits until each tag has a first answer, at most for this time, and closes them.
pub(crate) fn scan(compiled: Compiled, wanted: &[TagId], wait: Duration) -> std::io::Result<Vec<Scanned>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(run(compiled, wanted, wait)))
}

/// Only these tags and their connections, and nothing that is ever written.
fn only(compiled: Compiled, wanted: &HashSet<TagId>) -> Compiled {
    let Compiled { mut plant, server, mut drivers, named } = compiled;
    let in_use: HashSet<ConnectionIx> = wanted.iter().filter_map(|id| plant.tag(*id).connection()).collect();
    let without_output = |tag: &Tag| match tag.origin.clone() {
        Origin::Device { connection, read, write, .. } => Origin::Device { connection, read, write, on_stop: None },
        other @ (Origin::Memory { .. } | Origin::Derived(_) | Origin::Part { .. }) => other,
    };
    let tags: Vec<(TagId, Tag)> =
        plant.tags.iter().map(|(id, tag)| (id, Tag { origin: without_output(tag), ..tag.clone() })).collect();
    tags.into_iter().for_each(|(id, tag)| plant.tags.put(id, tag));
    let connections: Vec<(ConnectionIx, Connection)> =
        plant.connections.iter().map(|(ix, of)| (ix, of.clone())).collect();
    for (ix, of) in connections {
        let enabled = of.enabled && in_use.contains(&ix);
        plant.connections.put(ix, Connection { enabled, ..of });
    }
    for plan in &mut drivers {
        plan.enabled &= in_use.contains(&plan.ix);
        plan.is_scan = true;
        let points = Arc::make_mut(&mut plan.points);
        points.retain(|point| wanted.contains(&point.tag));
        points.iter_mut().for_each(|point| point.write_every = None);
    }
    Compiled { plant, server, drivers, named }
}

async fn run(compiled: Compiled, wanted: &[TagId], wait: Duration) -> Vec<Scanned> {
    let until = Instant::now() + wait;
    let Compiled { plant, drivers, .. } = only(compiled, &wanted.iter().copied().collect());
    let plant = Arc::new(Plant { revision: 1, ..plant });
    let raws: Arc<Mutex<HashMap<TagId, Value>>> = Arc::default();
    let kept = Arc::clone(&raws);
    let tags = Arc::new(TagStore::new(&plant).with_tap(Box::new(move |tag, sample| {
        if let Ok(value) = sample.value() {
            kept.lock().insert(tag, value.clone());
        }
    })));
    let (report, _outputs) = mpsc::unbounded_channel();
    let mut links = Links::new(&tags, report);
    let tasks = Tasks::default();
    let health = links.apply(drivers, &plant, &mut |name, task| tasks.spawn(name, task));
    let waits = |tag: &TagId| tags.with(*tag, |sample| sample.status == StatusCode::BadWaitingForInitialData);
    let is_read = |tag: &TagId| matches!(plant.tag(*tag).origin, Origin::Device { read: true, .. });
    while Instant::now() < until && wanted.iter().any(|tag| is_read(tag) && waits(tag)) {
        tokio::time::sleep(LOOK).await;
    }
    let raws = std::mem::take(&mut *raws.lock());
    let scanned = |id: &TagId| {
        let tag = plant.tag(*id);
        let cell = &plant.cells[usize::from(tag.cell)];
        Scanned {
            tag: format!("{}:{}", cell.name, cell.path(tag.node)),
            raw: raws.get(id).cloned(),
            sample: tags.with(*id, Sample::clone),
            why: reason::of_tag(&plant, &tags, &health, *id),
        }
    };
    let all = wanted.iter().map(scanned).collect();
    links.stop();
    tasks.join_named("link", Instant::now() + CLOSE_WITHIN).await;
    all
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;
    use crate::config::{self, Options, Shown};

    /// Reads one tag of a broker that refuses everybody; the reason, and what the broker was sent.
    fn refused(driver: &str, keys: &str, address: &str) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut bytes = vec![0; 4_096];
                let count = stream.read(&mut bytes).unwrap_or(0);
                kept.lock().extend_from_slice(&bytes[..count]);
                // Not authorized; the client may be gone.
                drop(stream.write_all(&[0x20, 2, 0, 5]));
            }
        });
        let mut files = config::Memory::default();
        files.variables.insert("SECRET".into(), "hush-hush".into());
        let cell = format!(
            "schema: 1\ncell: a\nconnections:\n  mq: {{ driver: {driver}, url: \"mqtt://127.0.0.1:{port}\", {keys} }}\n\
             nodes:\n  V: {{ type: Double, source: {{ connection: mq, address: \"{address}\" }} }}\n"
        );
        files.files.insert("a.yaml".into(), cell.into());
        let (compiled, report) = config::load_from(&files, Path::new("a.yaml"), &Options::default());
        let compiled = compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::All)));
        let tags: Vec<TagId> = compiled.plant.tags.iter().map(|(id, _)| id).collect();
        let scanned = scan(compiled, &tags, Duration::from_secs(20)).expect("a runtime");
        let heard = String::from_utf8_lossy(&heard.lock()).into_owned();
        (scanned[0].why.clone(), heard)
    }

    #[test]
    fn a_name_from_outside_of_the_cell_file_is_not_told() {
        for (driver, address) in [("mqtt", "t"), ("sparkplug", "g/n:m")] {
            let (why, heard) = refused(driver, "user: opcell", address);
            assert!(why.contains("the broker refuses user \"opcell\" (not authorized)"), "{driver}: {why}");
            assert!(heard.contains("opcell"));
            let (why, heard) = refused(driver, "user: \"${env:SECRET}\"", address);
            assert!(why.contains("the broker refuses the user (not authorized)"), "{driver}: {why}");
            assert!(!why.contains("hush") && heard.contains("hush-hush"), "{driver}: {why}");
        }
    }

    #[test]
    fn a_scan_is_another_client_than_the_server_and_has_no_will() {
        for (driver, address) in [("mqtt", "t"), ("sparkplug", "g/n:m")] {
            for keys in ["keep_alive: 30s", "client_id: line3"] {
                let (_, heard) = refused(driver, keys, address);
                assert!(heard.contains("MQTT"), "{driver}: {heard:?}");
                for known in ["opcell-a-mq", "line3", "STATE"] {
                    assert!(!heard.contains(known), "{driver} {keys}: {heard:?}");
                }
            }
        }
    }
}
