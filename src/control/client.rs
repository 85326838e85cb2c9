//! The command line's side: asks the server whose state folder this is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{DEADLINE, MOST_ANSWERED, Request, Response, socket_of};
use crate::model::SIMULATE_FOLDER;

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("no server runs with the state folder {}; start one: opcell run", .0.display())]
    NoServer(PathBuf),
    #[error("{} may be asked only by the user that the server runs as", .0.display())]
    NotAllowed(PathBuf),
    #[error("the server at {} does not answer: {source}", path.display())]
    Broken { path: PathBuf, source: io::Error },
    #[error("the server at {} answers what this opcell does not know; are both of one version?", .0.display())]
    Foreign(PathBuf),
    #[error("{0}")]
    Refused(String),
}

/// One request and its answer. Where no server runs with this state folder, a simulated one below it is asked.
pub fn ask(state_dir: &Path, request: &Request) -> Result<Response, AskError> {
    match ask_at(state_dir, request) {
        Err(AskError::NoServer(_)) => match ask_at(&state_dir.join(SIMULATE_FOLDER), request) {
            Err(AskError::NoServer(_)) => Err(AskError::NoServer(state_dir.to_owned())),
            answer => answer,
        },
        answer => answer,
    }
}

fn ask_at(state_dir: &Path, request: &Request) -> Result<Response, AskError> {
    let path = socket_of(state_dir);
    let line = exchange(&path, request).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NoServer(state_dir.to_owned()),
        io::ErrorKind::PermissionDenied => AskError::NotAllowed(path.clone()),
        _ => AskError::Broken { path: path.clone(), source },
    })?;
    match serde_json::from_str(&line) {
        Ok(Response::Error(text)) => Err(AskError::Refused(text)),
        Ok(response) => Ok(response),
        Err(_) => Err(AskError::Foreign(path)),
    }
}

fn exchange(path: &Path, request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(request.patience())?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut asked = serde_json::to_vec(request)?;
    asked.push(b'\n');
    stream.write_all(&asked)?;
    let mut line = String::new();
    BufReader::new(stream.take(MOST_ANSWERED)).read_line(&mut line)?;
    Ok(line)
}
