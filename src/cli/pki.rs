//! `opcell pki`: what the certificate folders hold, and who is trusted.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Answer, Global, server_plan};
use crate::control::{self, Request, Response};
use crate::model::{Network, Period};
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
    /// Take a client off the list of refusals
    Reject {
        #[command(flatten)]
        one: One,
    },
    /// Take a client's trust away: its channels are cut, and no window lets it in again
    Revoke {
        #[command(flatten)]
        one: One,
    },
    /// Trust unknown clients on first use for a while, as 10min; 0s closes the window
    Window {
        /// How long, as 10min; at most 1h
        span: Period,
        /// Only clients of this network, as 10.1.0.0/16
        #[arg(long, value_name = "CIDR")]
        from: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Write the server's own certificate to a file, for clients that want it
    Export {
        /// File to write, as server.der or server.pem; it must not be there yet
        file: PathBuf,
        #[command(flatten)]
        place: Place,
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
    | PkiVerb::Revoke { one: One { place, .. } }
    | PkiVerb::Window { place, .. }
    | PkiVerb::Export { place, .. }
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
        PkiVerb::Revoke { one } => pki::revoke(&dir, &one.which),
        PkiVerb::Export { file, .. } => pki::export(&dir, file),
        PkiVerb::Window { span, from, place } => return window(*span, from.as_deref(), place, global),
        PkiVerb::Show { one } => pki::show(&dir, &one.which),
    };
    match done {
        Ok(out) => Answer { out, ..Answer::default() },
        Err(error) => Answer::failed(&error.to_string()),
    }
}

/// Asks the running server: a window is open in its memory alone, and closes when it stops.
fn window(span: Period, from: Option<&str>, place: &Place, global: &Global) -> Answer {
    let seconds = span.0.as_secs();
    if seconds > pki::LONGEST_WINDOW {
        return Answer::failed("a window is open for 1h at most; open it again when it has closed");
    }
    if let Some(text) = from.filter(|text| Network::parse(text).is_none()) {
        return Answer::failed(&format!("`{text}` is not a network; write 10.1.0.0/16"));
    }
    let dir = match &global.state_dir {
        Some(dir) => dir.clone(),
        None => match server_plan(place.path.as_deref(), global, "--state-dir DIR") {
            Ok(plan) => plan.state_dir,
            Err(answer) => return answer,
        },
    };
    let request = Request::PkiWindow { seconds, from: from.map(str::to_owned) };
    match control::ask(&dir, &request) {
        Ok(Response::Done(text)) => Answer { out: text + "\n", ..Answer::default() },
        Ok(Response::Status(_)) => Answer::failed("the server answered another question"),
        Ok(Response::Error(error)) => Answer::failed(&error),
        Err(error) => Answer::failed(&error.to_string()),
    }
}
