//! States of alarms over a restart: saved within a second of a change, and at the stop.

use std::collections::BTreeMap;

use crate::alarms::Kept;
use crate::logging;
use crate::model::{AlarmIx, Identifier, Plant};
use crate::state::{State, StateError};
use crate::ua::server::Server;
use crate::value::Moment;

pub(crate) struct AlarmStates {
    /// Those of the last save, or of the run before.
    states: BTreeMap<String, Kept>,
    is_due: bool,
    has_failed: bool,
}

impl AlarmStates {
    pub(crate) fn read(state: &State) -> Result<AlarmStates, StateError> {
        Ok(AlarmStates { states: state.alarms()?, is_due: false, has_failed: false })
    }

    /// The state of an alarm that begins.
    pub(crate) fn of(&self, plant: &Plant, alarm: AlarmIx) -> Option<Kept> {
        self.states.get(&key(plant, alarm)?).cloned()
    }

    /// Drops the state of an alarm that has left its cell.
    pub(crate) fn forget(&mut self, plant: &Plant, alarm: AlarmIx) {
        if let Some(key) = key(plant, alarm) {
            self.states.remove(&key);
        }
    }

    /// Writes all states if one changed. A disk fault is logged once, until a write succeeds again.
    pub(crate) fn save(&mut self, state: &State, plant: &Plant, server: &Server) {
        if let Some(kept) = server.conditions.take_kept(Moment::now()) {
            self.states = kept.into_iter().filter_map(|(alarm, kept)| Some((key(plant, alarm)?, kept))).collect();
            self.is_due = true;
        }
        if !self.is_due {
            return;
        }
        match state.save_alarms(&self.states) {
            Ok(()) => {
                self.is_due = false;
                if self.has_failed {
                    let line = format_args!("states of alarms are saved again");
                    logging::limited(log::Level::Info, "alarm states saved", None, line);
                }
                self.has_failed = false;
            }
            Err(error) => {
                if !self.has_failed {
                    let line = format_args!("states of alarms cannot be saved: {error}");
                    logging::limited(log::Level::Error, "alarm states not saved", None, line);
                }
                self.has_failed = true;
            }
        }
    }
}

/// An alarm by the NodeId of its tag and its name.
fn key(plant: &Plant, alarm: AlarmIx) -> Option<String> {
    let rule = plant.alarms.get(alarm)?;
    let tag = plant.tags.get(rule.tag)?;
    let cell = &plant.cells[usize::from(tag.cell)];
    let name = &rule.name;
    Some(match cell.identifier(tag.node) {
        Identifier::Text(text) => format!("{}|{text}|{name}", cell.namespace),
        Identifier::Numeric(number) => format!("{}||{number}|{name}", cell.namespace),
    })
}
