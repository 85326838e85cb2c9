//! Connections that a client has switched off, or on, for maintenance: as if their key `enabled` had changed.
//!
//! The file wins at a start, and when its key changes; until then a reload leaves a switched connection as it is.

use std::collections::HashMap;
use std::sync::Arc;

use opcua::StatusCode;
use tokio::sync::mpsc;

use super::difference::{Changes, Made, Running};
use super::server_file::{self, Compared};
use super::{Engine, Examined, Reloader};
use crate::model::{ConnectionIx, Plant, ServerPlan};
use crate::ua::switches::Switch;

/// A connection whose state is not that of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Switched {
    file: bool,
    now: bool,
}

/// By connection.
pub(super) type AllSwitched = HashMap<ConnectionIx, Switched>;

impl Made {
    /// Leaves switched connections as they are, where the file says the same as before; returns those.
    pub(super) fn keep(&mut self, switched: &AllSwitched) -> AllSwitched {
        let is_same = |plant: &Plant, ix: ConnectionIx, of: Switched| {
            plant.connections.get(ix).is_some_and(|connection| connection.enabled == of.file)
        };
        let all = switched.iter().map(|(ix, of)| (*ix, *of));
        let kept: AllSwitched = all.filter(|(ix, of)| is_same(&self.plant, *ix, *of)).collect();
        kept.iter().for_each(|(ix, of)| self.set(*ix, of.now));
        kept
    }
}

impl Engine {
    /// The running revision with one connection switched; `None` where it is so already.
    pub(super) fn switched(&self, connection: ConnectionIx, on: bool) -> Result<Option<Examined>, StatusCode> {
        let world = self.server.world();
        let present = world.plant.connections.get(connection).ok_or(StatusCode::BadNodeIdUnknown)?;
        if present.enabled == on {
            return Ok(None);
        }
        let mut switched = self.switched.clone();
        let file = switched.get(&connection).map_or(present.enabled, |of| of.file);
        if file == on {
            switched.remove(&connection);
        } else {
            switched.insert(connection, Switched { file, now: on });
        }
        let plant = Plant { revision: world.revision() + 1, ..Plant::clone(&world.plant) };
        let mut made = Made { plant, drivers: self.drivers.clone() };
        made.set(connection, on);
        let accounts = self.server.users.accounts();
        let plan = ServerPlan { accounts: (*accounts).clone(), ..ServerPlan::clone(&world.plan) };
        let Compared { plan, changes: server } = server_file::compare(&world.plan, &accounts, plan, &self.keys.started);
        let Made { plant, drivers } = made;
        let old = Running { plant: &world.plant, drivers: &self.drivers };
        let changes = Changes::between(old, Running { plant: &plant, drivers: &drivers });
        let (numbers, role_numbers) = (self.numbers.clone(), self.role_numbers.clone());
        Ok(Some(Examined { plant, drivers, plan, numbers, role_numbers, changes, server, switched }))
    }
}

impl Examined {
    /// `press/plc1`.
    pub(super) fn connection_name(&self, connection: ConnectionIx) -> String {
        let Some(of) = self.plant.connections.get(connection) else { return String::new() };
        let cell = self.plant.cells.get(usize::from(of.cell)).map_or("", |cell| cell.name.as_str());
        format!("{cell}/{}", of.name)
    }
}

/// Switches connections as clients ask for it, one after the other.
pub(in crate::app) async fn switch_connections(mut asked: mpsc::Receiver<Switch>, reloader: Arc<Reloader>) {
    while let Some(Switch { connection, on, reply }) = asked.recv().await {
        let status = reloader.switch(connection, on).await;
        // A client that has gone needs no answer.
        drop(reply.send(vec![status]));
    }
}
