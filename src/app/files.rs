//! The limit of open files of this process: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files in addition to connections: history, links, certificates.
const OTHERS: u64 = 256;

/// Takes what the system lets us have, and says when that is too little.
pub(crate) fn raise_limit(connections: usize) {
    let wanted = connections as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let granted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum }) {
        log::warn!("the limit of open files stays at {}: {error}", current.unwrap_or(0));
    } else if granted < wanted {
        log::warn!(
            "{granted} files may be open, {connections} connections may need {wanted}: set LimitNOFILE={wanted}"
        );
    }
}
