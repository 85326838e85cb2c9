//! Reports on the values of `on_stop`: each one is audited, and each one that was not written is an error.

use std::collections::HashSet;

use opcua::StatusCode;
use tokio::sync::mpsc;

use crate::audit::{Kind, Record, Who, value_text};
use crate::drivers::Output;
use crate::model::{Origin, Plant, TagId};
use crate::ua::server::Server;

/// Outputs whose reports were audited.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    tags: HashSet<TagId>,
    written: usize,
}

/// Audits the reports that have come. Those on tags that newer plans leave out come while the server runs.
pub(crate) fn audit(server: &Server, outputs: &mut mpsc::UnboundedReceiver<Output>) -> Reported {
    let mut reported = Reported::default();
    while let Ok(output) = outputs.try_recv() {
        reported.tags.insert(output.tag);
        let value = value_text(&output.value);
        match output.result {
            Ok(()) => {
                reported.written += 1;
                record(server, output.name, StatusCode::Good, format!("on_stop: {value} was written"));
            }
            Err(why) => fail(server, output.name, &format!("the on_stop value {value} was not written: {why}")),
        }
    }
    match reported.written {
        0 => {}
        1 => log::info!("1 on_stop value was written"),
        written => log::info!("{written} on_stop values were written"),
    }
    reported
}

/// Called when the links have ended; outputs of a link that did not end in time count as not written.
/// Returns how many outputs were written.
pub(crate) fn report(server: &Server, outputs: &mut mpsc::UnboundedReceiver<Output>) -> usize {
    let Reported { tags, written } = audit(server, outputs);
    let plant = &server.world().plant;
    for tag in wanted(plant).difference(&tags) {
        let why = "its on_stop value may not be written: the link did not end in time";
        fail(server, plant.tag_name(*tag), why);
    }
    written
}

/// Outputs that the devices must be left with.
fn wanted(plant: &Plant) -> HashSet<TagId> {
    let is_output = |tag: &crate::model::Tag| {
        let is_open = tag.connection().is_some_and(|at| plant.connections[at].enabled);
        tag.enabled && is_open && matches!(tag.origin, Origin::Device { write: true, on_stop: Some(_), .. })
    };
    plant.tags.iter().filter(|(_, tag)| is_output(tag)).map(|(id, _)| id).collect()
}

fn fail(server: &Server, name: String, why: &str) {
    log::error!("{name}: {why}");
    record(server, name, StatusCode::BadNoCommunication, why.to_owned());
}

fn record(server: &Server, node: String, status: StatusCode, message: String) {
    server.audit(Record { node, ..Record::new(Kind::OutputWritten, status, Who::default()).with(message) }, || None);
}
