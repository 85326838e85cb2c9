//! One revision of everything that the files of a server decide. A reload swaps it as a whole.
//!
//! A request takes the world once, and runs on it from its first to its last operation. Values are not here: they are in the
//! tag store, by the numbers of the plant's tags.

use std::sync::Arc;

use crate::health;
use crate::history::Archives;
use crate::model::{ConnectionIx, Plant, ServerPlan};
use crate::ua::limits::Limits;
use crate::ua::space::Space;

pub struct World {
    pub plan: Arc<ServerPlan>,
    pub limits: Limits,
    pub plant: Arc<Plant>,
    pub space: Arc<Space>,
    /// `None`: no tag has a history class.
    pub archives: Option<Arc<Archives>>,
    /// One for each link; each knows which connections it serves.
    pub links: Vec<Arc<health::Link>>,
}

/// The part of a revision that the server file decides, with its limits.
pub(crate) struct Rules {
    pub plan: Arc<ServerPlan>,
    pub limits: Limits,
}

impl World {
    pub(crate) fn new(
        rules: Rules,
        plant: Arc<Plant>,
        mut space: Space,
        archives: Option<Arc<Archives>>,
        links: Vec<Arc<health::Link>>,
    ) -> World {
        if let Some(archives) = &archives {
            space.keep_history(archives.tags().map(|(tag, _)| tag));
        }
        let Rules { plan, limits } = rules;
        World { plan, limits, plant, space: Arc::new(space), archives, links }
    }

    /// Counts from 1.
    pub fn revision(&self) -> u32 {
        self.plant.revision
    }

    /// The link that serves a connection.
    pub(crate) fn link_of(&self, connection: u32) -> Option<&Arc<health::Link>> {
        self.links.iter().find(|link| link.connections.contains(&ConnectionIx(connection)))
    }
}
