//! `opcell schema`: the JSON Schema that editors complete from.

use clap::{Args, ValueEnum};

use super::Answer;
use crate::config;

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Kind of file that the schema describes
    #[arg(value_enum, default_value_t = Which::Cell)]
    pub which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    Cell,
    /// File that a cell file includes
    Included,
    Server,
}

pub(crate) fn schema(args: &SchemaArgs) -> Answer {
    let which = match args.which {
        Which::Cell => config::Which::Cell,
        Which::Included => config::Which::Included,
        Which::Server => config::Which::Server,
    };
    Answer { out: format!("{:#}\n", config::schema(which)), ..Answer::default() }
}
