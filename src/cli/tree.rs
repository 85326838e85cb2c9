//! `opcell tree`: the address space as text, with NodeIds, addresses and poll periods.

use std::path::PathBuf;

use clap::Args;

use super::{Answer, Global, findings_text, path_or_default};
use crate::config::{self, Shown};

#[derive(Debug, Args)]
pub struct TreeArgs {
    /// Cell file, server file or folder (default: ./address-space)
    pub path: Option<PathBuf>,
}

pub(crate) fn tree(args: &TreeArgs, global: &Global) -> Answer {
    let path = match path_or_default(args.path.as_deref()) {
        Ok(path) => path,
        Err(answer) => return answer,
    };
    let (compiled, report) = config::load(&path, &global.options());
    let err = findings_text(&report, Shown::Some);
    match compiled {
        Some(compiled) => Answer { out: compiled.tree(), err, code: 0 },
        None => Answer { err, code: 2, ..Answer::default() },
    }
}
