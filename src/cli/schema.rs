//! `opcell schema`: the JSON Schema that editors complete from.

use clap::{Args, ValueEnum};

use super::Answer;
use crate::config;

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which file the schema is for
    #[arg(value_enum, default_value_t = Which::Cell)]
    pub which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    Cell,
    Server,
}

pub fn schema(args: &SchemaArgs) -> Answer {
    Answer { out: format!("{:#}\n", config::schema(args.which == Which::Server)), ..Answer::default() }
}
