//! Data that the steps of a cell's compilation share: its names, and the settings that a level of nodes inherits.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::config::at::At;
use crate::config::source::Ix;
use crate::config::spec::{NodeSpec, ParamType};
use crate::config::template::{Env, Piece};
use crate::drivers::{About, Start};
use crate::model::{Access, ConnectionIx, DataType, EnumIx, HistoryIx, NodeIx, NodeName, ObjectTypeIx, Period, TagId};

/// A connection as nodes refer to it; without `ix` it had findings of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionRef {
    pub key: Ix,
    /// Its mapping.
    pub node: Ix,
    pub ix: Option<ConnectionIx>,
    /// Its driver; for a misspelt name the driver that is meant.
    pub driver: Option<&'static About>,
    pub allow_write: bool,
}

/// Names of one cell.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub index: u16,
    pub connections: HashMap<String, ConnectionRef>,
    /// Enumerations by name; `None`: it had findings.
    pub enums: HashMap<String, Option<EnumIx>>,
    /// Option sets and structures by name; `None`: it had findings.
    pub data: HashMap<String, Option<DataType>>,
    pub types: HashMap<String, TypeEntry>,
    pub history: Classes,
    /// Names of history classes that are not known, each reported once.
    pub no_history: HashSet<String>,
    /// Pinned NodeIds, and the place of each.
    pub pinned: HashMap<NodeName, Ix>,
    /// Folders that mirror a device.
    pub mirrors: Vec<MirrorFolder>,
    /// Formulas, which are compiled when all names are known.
    pub formulas: Vec<PendingFormula>,
}

/// A folder that mirrors a device, whose nodes come after all of the file's.
#[derive(Debug)]
pub(super) struct MirrorFolder {
    pub node: NodeIx,
    pub connection: ConnectionIx,
    pub write: bool,
    pub depth: u8,
    pub inherited: Inherited,
    pub start: Start,
}

/// A formula that waits for the names of its cell.
#[derive(Debug)]
pub(super) struct PendingFormula {
    pub tag: TagId,
    pub node: NodeIx,
    /// Its text.
    pub at: Ix,
    /// The text of the file, and where it has the parts of the formula if it is a template.
    pub template: Ix,
    pub origins: Vec<Piece>,
}

/// Settings that a node inherits.
#[derive(Debug, Clone)]
pub(super) struct Inherited {
    /// Name of the connection and its place.
    pub connection: Option<At<String>>,
    pub poll: Duration,
    /// With its place; `None`: 3 polls, at least 5 s.
    pub stale_after: Option<At<Period>>,
    pub enabled: bool,
    pub access: Access,
    /// Name of the history class and its place.
    pub history: Option<At<String>>,
}

/// Classes of a cell by name, and where each is defined; `None`: it had findings, or is built in and unused.
pub(super) type Classes = HashMap<String, (Option<Ix>, Option<HistoryIx>)>;

/// An object type as `of:` refers to it; without `spec` it had findings of its own.
#[derive(Debug, Clone)]
pub(super) struct TypeEntry {
    pub key: Ix,
    pub ix: ObjectTypeIx,
    pub children: Option<Ix>,
    /// Place of `connection:` in the type.
    pub connection: Option<Ix>,
    pub params: Vec<Parameter>,
    /// Names of the types that its children are instances of.
    pub uses: Vec<(String, Ix)>,
}

/// A parameter of a type.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub name: String,
    pub kind: ParamType,
    pub default: Option<String>,
}

/// Where nodes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    Cell,
    /// As instance declarations of this type.
    Type(ObjectTypeIx),
}

/// Data that all nodes of a level share.
#[derive(Clone)]
pub(super) struct Walk<'e> {
    pub into: Into,
    pub parent: Option<NodeIx>,
    /// Levels above, in the file and through types.
    pub depth: u8,
    pub env: &'e Env,
    /// The instance whose template is walked, and how a finding names it.
    pub instance: Option<(Ix, String)>,
    /// The node that copies hang below, and the word between.
    pub hang: (Ix, &'static str),
    pub inherited: Inherited,
}

/// A node's keys; `is_whole`: all of them were understood, so that what is not there was not written.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub spec: &'a NodeSpec,
    pub own: Ix,
    /// The node as the file has it, of which `own` is a copy with parameters put in; else `own`.
    pub template: Ix,
    pub is_whole: bool,
}
