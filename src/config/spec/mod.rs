//! One struct for each mapping of a file; the doc comments are the reference, the schema and the help lines.
//!
//! `x-also` holds the names of a key in other products. `Raw` fields are read by a later step and give editors their
//! shape by `schema_with`. No flatten, no untagged: they would lose places.

mod access;
mod alarm;
mod audit;
mod cell;
mod history;
mod node;
mod publish;
mod server;
mod structure;
mod values;

pub(crate) use access::Access;
pub(crate) use alarm::{Alarm, Class as AlarmClass, Limit, Limits, OnBad};
pub(crate) use audit::{Audit, AuditFormat};
pub(crate) use cell::{CellFile, Connection, Defaults, IncludedFile, ObjectType, Param, ParamType};
pub(crate) use history::{HistoryClass, HistoryStore, OnFull, Partition, Record};
pub(crate) use node::{Browse, NodeSpec, Scale, SourceSpec};
pub(crate) use publish::{Format as PublishFormat, Publish};
pub(crate) use server::{KeySize, LogLevel, OwnRole, Security, ServerFile, ServerLimits, Suppress, User};
pub(crate) use structure::StructField;
pub(crate) use values::{Deadband, Span};

use schemars::SchemaGenerator;

/// Words of schema 1 that this version of opcell doesn't have yet, by struct; empty: in any.
const LATER: [(&str, &[&str]); 6] = [
    ("CellFile", &["tests", "nodesets", "alarm_groups", "event_history"]),
    ("IncludedFile", &["tests", "nodesets", "alarm_groups", "event_history"]),
    ("ObjectType", &["methods", "alarms", "events"]),
    ("NodeSpec", &["events", "methods", "properties"]),
    ("Alarm", &["group", "rate", "setpoint", "suppress_when"]),
    ("ServerFile", &["web", "reverse_connect", "discovery"]),
];

/// Whether the key is a word of the schema that a later version brings.
pub(crate) fn is_later(owner: &str, key: &str) -> bool {
    LATER.iter().any(|(name, words)| *name == owner && words.contains(&key))
}

/// Puts every struct of this room into the generator, in the order of the reference.
pub(crate) fn each_root(generator: &mut SchemaGenerator) {
    generator.subschema_for::<CellFile>();
    generator.subschema_for::<IncludedFile>();
    generator.subschema_for::<ServerFile>();
}
