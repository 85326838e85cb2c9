//! `opcell reload`: a running server reads its files again.

use std::path::PathBuf;

use clap::Args;

use super::{Answer, Global, state_dir};
use crate::control::{self, ReloadResult, Request, Response};

#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// Cell file, server file or folder that the server runs with (default: ./address-space)
    pub path: Option<PathBuf>,
    /// Only print what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Exit code 0: applied or unchanged; 1: no server, or it failed; 2: the files have mistakes.
pub(crate) fn reload(args: &ReloadArgs, global: &Global) -> Answer {
    let dir = match state_dir(args.path.as_deref(), global) {
        Ok(dir) => dir,
        Err(answer) => return answer,
    };
    match control::ask(&dir, &Request::Reload { dry_run: args.dry_run }) {
        Ok(Response::Reloaded { report, text }) => {
            let code = if report.result == ReloadResult::Refused { 2 } else { 0 };
            let (out, err) = match (args.json, code) {
                (true, _) => (format!("{:#}\n", serde_json::json!(report)), String::new()),
                (false, 0) => (text, String::new()),
                (false, _) => (String::new(), text),
            };
            Answer { out, err, code }
        }
        Ok(_) => Answer::failed("the server answered another question"),
        Err(error) => Answer::failed(&error.to_string()),
    }
}
