//! Reports on the values of `on_stop`: each one is audited, and each one that was not written is an error.

use std::collections::HashSet;

use opcua::StatusCode;
use tokio::sync::mpsc;

use crate::audit::{Kind, Record, Who, value_text};
use crate::drivers::Output;
use crate::model::{Origin, Plant, TagId};
use crate::ua::server::Server;

/// Called when the links have ended; outputs of a link that did not end in time count as not written.
/// Returns how many outputs were written.
pub(crate) fn report(server: &Server, outputs: &mut mpsc::UnboundedReceiver<Output>) -> usize {
    let mut open = wanted(&server.world().plant);
    let mut written = 0;
    while let Ok(output) = outputs.try_recv() {
        open.remove(&output.tag);
        let value = value_text(&output.value);
        match output.result {
            Ok(()) => {
                written += 1;
                record(server, output.tag, StatusCode::Good, format!("on_stop: {value} was written"));
            }
            Err(why) => fail(server, output.tag, &format!("the on_stop value {value} was not written: {why}")),
        }
    }
    for tag in open {
        fail(server, tag, "its on_stop value may not be written: the link did not end in time");
    }
    match written {
        0 => {}
        1 => log::info!("1 on_stop value was written"),
        _ => log::info!("{written} on_stop values were written"),
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

fn fail(server: &Server, tag: TagId, why: &str) {
    log::error!("{}: {why}", server.world().plant.tag_name(tag));
    record(server, tag, StatusCode::BadNoCommunication, why.to_owned());
}

fn record(server: &Server, tag: TagId, status: StatusCode, message: String) {
    let node = server.world().plant.tag_name(tag);
    server.audit(Record { node, ..Record::new(Kind::OutputWritten, status, Who::default()).with(message) }, || None);
}
