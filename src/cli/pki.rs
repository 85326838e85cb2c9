//! `opcell pki`: what the certificate folders hold, and who is trusted.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Answer, Global, server_plan};
use crate::pki;

#[derive(Debug, Args)]
pub struct PkiArgs {
    #[command(subcommand)]
    pub verb: PkiVerb,
}

/// WHICH is a part of a certificate's name, its file, or the beginning of its thumbprint.
#[derive(Debug, Subcommand)]
pub enum PkiVerb {
    /// Every certificate: folder, thumbprint, name, end of validity
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Let a client in that was refused; a running server sees it at once
    Trust {
        #[command(flatten)]
        one: One,
    },
    /// Take a client's trust away
    Reject {
        #[command(flatten)]
        one: One,
    },
    /// What one certificate says, and why it was refused
    Show {
        #[command(flatten)]
        one: One,
    },
}

#[derive(Debug, Args)]
pub struct Place {
    /// Cell file, server file or folder whose `pki_dir` is meant (default: ./address-space)
    pub path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct One {
    /// Part of the certificate's name, its file, or the beginning of its thumbprint
    pub which: String,
    #[command(flatten)]
    pub place: Place,
}

pub fn pki(args: &PkiArgs, global: &Global) -> Answer {
    let (PkiVerb::List { place }
    | PkiVerb::Trust { one: One { place, .. } }
    | PkiVerb::Reject { one: One { place, .. } }
    | PkiVerb::Show { one: One { place, .. } }) = &args.verb;
    let dir = match &global.pki_dir {
        Some(dir) => dir.clone(),
        None => match server_plan(place.path.as_deref(), global, "--pki-dir DIR") {
            Ok(plan) => plan.pki_dir,
            Err(answer) => return answer,
        },
    };
    let done = match &args.verb {
        PkiVerb::List { .. } => pki::list(&dir),
        PkiVerb::Trust { one } => pki::trust(&dir, &one.which),
        PkiVerb::Reject { one } => pki::reject(&dir, &one.which),
        PkiVerb::Show { one } => pki::show(&dir, &one.which),
    };
    match done {
        Ok(out) => Answer { out, ..Answer::default() },
        Err(error) => Answer::failed(&error.to_string()),
    }
}
