//! The compiled cell: plain immutable data with indices. Nothing here does I/O or reads a clock.
//!
//! `config` makes it, all other modules only read it. A `TagId` counts over all cells of the server, so a value is
//! one array access away wherever it is needed.

mod access;
mod alarm;
mod audit;
mod change;
mod compare;
mod count;
mod derived;
mod diff;
mod endpoint;
mod history;
mod identity;
mod ix;
mod network;
mod node;
mod numbered;
mod own_roles;
mod period;
mod publish;
mod renumber;
mod server;
mod server_keys;
mod size;
mod structure;
mod subject;
mod tag;
mod tree;

pub(crate) use access::{Access, MOST_ROLES, OwnRoles, ROLES};
pub use access::{Role, Roles};
pub(crate) use alarm::{Alarm, AlarmClass, AlarmForm, AlarmLimit, AlarmLimits, AlarmMessage, AlarmTexts, MessagePart};
pub use audit::{AuditLog, AuditPlan};
pub(crate) use change::{Change, Difference, Effect, SourceDifferences, Texts};
pub(crate) use compare::has_same_types;
pub(crate) use count::count;
pub use derived::{Derivation, Formula};
pub(crate) use diff::{CellChange, NodeChange, diff};
pub(crate) use endpoint::Endpoint;
pub(crate) use history::{HistoryClass, HistoryDeadband, HistoryPartition, HistoryPlan};
pub(crate) use identity::Identifier;
pub use ix::{AccessIx, ConnectionIx, NodeIx, TagId};
pub(crate) use ix::{AlarmIx, EnumIx, FlagsIx, HistoryIx, ObjectTypeIx, StructIx};
pub(crate) use network::Network;
pub use node::{Cell, Node, NodeKind, NodeName};
pub(crate) use node::{EnumType, FlagsType, ObjectType, StructField, StructType, Text};
pub(crate) use numbered::{Number, Numbered};
pub(crate) use own_roles::{RoleNumbers, RoleRenumbering};
pub(crate) use period::Period;
pub(crate) use publish::{JsonFormat, Publish, PublishFormat, SparkplugFormat, TopicTemplate};
pub(crate) use renumber::{Left, Numbers, Renumbering};
pub use server::{Accounts, User};
pub(crate) use server::{
    Application, CertificatePlan, Limits, Policy, RoleRule, SIMULATE_FOLDER, Security, ServerPlan, Suppressed,
};
pub(crate) use server_keys::Before;
pub use server_keys::{SERVER_KEYS, ServerKey, Takes};
pub(crate) use size::Size;
pub(crate) use subject::Subject;
pub(crate) use tag::Unit;
pub use tag::{DataType, Origin, Scale, Shape, Tag};

use std::collections::HashMap;
use std::time::Duration;

/// All cells of one server.
#[derive(Debug, Clone, Default)]
pub struct Plant {
    /// Counts the plants that a server has had, from 1; 0 before it is used.
    pub revision: u32,
    pub cells: Vec<Cell>,
    pub tags: Numbered<TagId, Tag>,
    /// The tags of the parts of each structure tag that shows them.
    pub parts: HashMap<TagId, Box<[TagId]>>,
    pub connections: Numbered<ConnectionIx, Connection>,
    /// Alarms of all cells.
    pub(crate) alarms: Numbered<AlarmIx, Alarm>,
    /// Indexed by `AccessIx`; equal rules are stored once.
    pub access: Vec<Access>,
    /// Indexed by `HistoryIx`: the classes of all cells.
    pub history: Vec<HistoryClass>,
    /// Publishers of all cells, in the order of the files.
    pub(crate) publishers: Vec<Publish>,
    /// Derived tags: each comes after the ones that it uses.
    pub derived: Vec<TagId>,
    /// The simulator replaces every driver.
    pub simulated: bool,
}

/// One entry of `connections:`; the settings of its driver are in `drivers::ConnectionPlan`.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    pub cell: u16,
    pub name: String,
    pub description: String,
    pub driver: &'static str,
    pub enabled: bool,
    pub allow_write: bool,
    pub timeout: Duration,
    /// Repeats of a read without reply.
    pub retries: u32,
    pub reconnect_max: Duration,
}

impl Plant {
    pub fn rule(&self, ix: AccessIx) -> Access {
        match ix {
            AccessIx::ADMINISTRATORS => Access::ADMINISTRATORS,
            AccessIx::ENCRYPTED => Access { encrypted: true, ..Access::OPEN },
            AccessIx(at) => self.access.get(usize::from(at)).copied().unwrap_or(Access::ADMINISTRATORS),
        }
    }

    pub fn tag(&self, id: TagId) -> &Tag {
        &self.tags[id]
    }

    /// The cell and path of a tag, as `filling-cell-3: Filler.Tank.Level`; for logs and findings.
    pub fn tag_name(&self, id: TagId) -> String {
        let tag = self.tag(id);
        let cell = &self.cells[usize::from(tag.cell)];
        format!("{}: {}", cell.name, cell.path(tag.node))
    }
}
