//! `opcell pki`: what the certificate folders hold, and who is trusted.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Answer, Global, server_plan};
use crate::app::own_request;
use crate::control::{self, Request, Response};
use crate::model::{Network, Period};
use crate::pki::{self, Form, PkiError};
use crate::value::UaTime;

#[derive(Debug, Args)]
pub struct PkiArgs {
    #[command(subcommand)]
    pub verb: PkiVerb,
}

/// WHICH is a part of a certificate's name, its file, or the beginning of its thumbprint.
#[derive(Debug, Subcommand)]
pub enum PkiVerb {
    /// List every certificate: folder, thumbprint, name, end of validity
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Trust a client that was refused; a running server sees it at once
    Trust {
        #[command(flatten)]
        one: One,
    },
    /// Remove a client from the list of refusals
    Reject {
        #[command(flatten)]
        one: One,
    },
    /// Revoke a client: its channels are closed, and no window admits it again
    Revoke {
        #[command(flatten)]
        one: One,
    },
    /// Trust unknown clients on first use for some time (10min); 0s closes the window
    Window {
        /// Duration (10min); at most 1h
        span: Period,
        /// Only clients of this network (10.1.0.0/16)
        #[arg(long, value_name = "CIDR")]
        from: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Write a signing request for the plant's CA; makes the server's key when there is none
    Request {
        /// File to write (server.csr); it must not exist yet (default: the terminal)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Write DER instead of PEM
        #[arg(long, requires = "out")]
        der: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Install the certificate that the CA has issued; a running server uses it at once
    Install {
        /// The certificate, and those of its issuers, in one file or in several, PEM or DER
        #[arg(required = true, value_name = "CERTIFICATE")]
        files: Vec<PathBuf>,
        /// Cell file, server file or folder with the `pki_dir` (default: ./address-space)
        #[arg(long, value_name = "PATH")]
        cell: Option<PathBuf>,
    },
    /// Write the server's own certificate to a file, for clients that need it
    Export {
        /// File to write (server.der or server.pem); it must not exist yet
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Show one certificate, and why it was refused
    Show {
        #[command(flatten)]
        one: One,
    },
}

#[derive(Debug, Args)]
pub struct Place {
    /// Cell file, server file or folder with the `pki_dir` (default: ./address-space)
    pub path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct One {
    /// Part of the certificate's name, its file, or the beginning of its thumbprint
    pub which: String,
    #[command(flatten)]
    pub place: Place,
}

impl PkiVerb {
    /// The cell file, server file or folder.
    fn path(&self) -> Option<&Path> {
        match self {
            PkiVerb::List { place }
            | PkiVerb::Trust { one: One { place, .. } }
            | PkiVerb::Reject { one: One { place, .. } }
            | PkiVerb::Revoke { one: One { place, .. } }
            | PkiVerb::Window { place, .. }
            | PkiVerb::Request { place, .. }
            | PkiVerb::Export { place, .. }
            | PkiVerb::Show { one: One { place, .. } } => place.path.as_deref(),
            PkiVerb::Install { cell, .. } => cell.as_deref(),
        }
    }
}

pub(crate) fn pki(args: &PkiArgs, global: &Global) -> Answer {
    let path = args.verb.path();
    let in_folder = |work: &dyn Fn(&Path) -> Result<String, PkiError>| match folder(path, global) {
        Ok(dir) => told(work(&dir)),
        Err(answer) => answer,
    };
    match &args.verb {
        PkiVerb::List { .. } => in_folder(&pki::list),
        PkiVerb::Trust { one } => in_folder(&|dir| pki::trust(dir, &one.which)),
        PkiVerb::Reject { one } => in_folder(&|dir| pki::reject(dir, &one.which)),
        PkiVerb::Revoke { one } => in_folder(&|dir| pki::revoke(dir, &one.which)),
        PkiVerb::Export { file, .. } => in_folder(&|dir| pki::export(dir, file)),
        PkiVerb::Show { one } => in_folder(&|dir| pki::show(dir, &one.which)),
        PkiVerb::Window { span, from, place } => window(*span, from.as_deref(), place, global),
        PkiVerb::Request { out, der, .. } => request(out.as_deref(), *der, path, global),
        PkiVerb::Install { files, .. } => install(files, path, global),
    }
}

fn told(done: Result<String, PkiError>) -> Answer {
    match done {
        Ok(out) => Answer { out, ..Answer::default() },
        Err(error) => Answer::failed(&error.to_string()),
    }
}

fn folder(path: Option<&Path>, global: &Global) -> Result<PathBuf, Answer> {
    match &global.pki_dir {
        Some(dir) => Ok(dir.clone()),
        None => server_plan(path, global, "--pki-dir DIR").map(|plan| plan.pki_dir),
    }
}

/// The content of the certificate comes from the files, so they are needed whatever the folder is.
fn request(out: Option<&Path>, der: bool, path: Option<&Path>, global: &Global) -> Answer {
    let plan = match server_plan(path, global, "") {
        Ok(plan) => plan,
        Err(answer) => return answer,
    };
    let form = if der { Form::Der } else { Form::Pem };
    let made = match pki::request(&plan.pki_dir, &own_request(&plan), form) {
        Ok(made) => made,
        Err(error) => return Answer::failed(&error.to_string()),
    };
    let Some(file) = out else {
        return Answer { out: String::from_utf8_lossy(&made).into_owned(), ..Answer::default() };
    };
    let written = File::options().write(true).create_new(true).open(file).and_then(|mut to| to.write_all(&made));
    match written {
        Ok(()) => {
            let out = format!(
                "the request is in {}; have the CA sign it, then: opcell pki install CERTIFICATE\n",
                file.display()
            );
            Answer { out, ..Answer::default() }
        }
        Err(error) => Answer::failed(&format!("{}: {error}", file.display())),
    }
}

fn install(files: &[PathBuf], path: Option<&Path>, global: &Global) -> Answer {
    match server_plan(path, global, "--cell PATH") {
        Ok(plan) => told(pki::install(&plan.pki_dir, &own_request(&plan), files, UaTime::now().unix_seconds())),
        Err(answer) => answer,
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
        Ok(Response::Status(_) | Response::Reloaded { .. }) => Answer::failed("the server answered another question"),
        Ok(Response::Error(error)) => Answer::failed(&error),
        Err(error) => Answer::failed(&error.to_string()),
    }
}
