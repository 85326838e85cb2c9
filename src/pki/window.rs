//! Trust on first use, for a while: the operator opens a window, and unknown clients are admitted and
//! pinned. Revoked certificates stay refused.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::certificate::Certificate;
use super::path::{Demand, Finding, Step, validate};
use super::rejected::{self, stem};
use super::text::printable;
use super::{Pki, PkiError};
use crate::logging;
use crate::model::Network;
use crate::stack::channel::Caller;

/// Seconds; a longer one would be forgotten open.
pub(crate) const LONGEST_WINDOW: u64 = 3_600;

/// Clients that one window lets in.
const MOST: u32 = 20;

#[derive(Debug)]
pub(super) struct Window {
    until: Instant,
    from: Option<Network>,
    left: u32,
}

impl Pki {
    /// Opens the window for `span`, or closes it.
    pub fn open_window(&self, span: Duration, from: Option<Network>) {
        let mut window = self.window.lock();
        if span.is_zero() {
            *window = None;
            log::warn!("the window for unknown clients is closed");
            return;
        }
        // Who was revoked a moment ago must stay out.
        if let Err(error) = self.reload() {
            log::warn!("certificates stay as they were: {error}");
        }
        *window = Some(Window { until: Instant::now() + span, from, left: MOST });
        let from = from.map_or("any address".to_owned(), |from| format!("{}/{}", from.address, from.bits));
        log::warn!("unknown clients from {from} are trusted on first use, for {} s", span.as_secs());
    }

    /// Whether the window lets this caller in; takes one of its places.
    fn window_takes(&self, caller: &Caller) -> bool {
        let mut window = self.window.lock();
        let Some(open) = window.as_mut() else { return false };
        if Instant::now() >= open.until || open.left == 0 {
            log::warn!("the window for unknown clients is closed");
            *window = None;
            return false;
        }
        let address = caller.address.map(|address| address.ip());
        let fits = open.from.is_none_or(|from| address.is_some_and(|address| from.holds(address)));
        open.left -= u32::from(fits);
        fits
    }

    /// Pins a client that only lacks trust, while the window is open. Its file is written before it is let in, so that
    /// no reading of the folders forgets it.
    pub(super) fn admit(
        &self,
        chain: &[u8],
        caller: &Caller,
        leaf: &Arc<Certificate>,
        finding: &Finding,
        demand: Demand,
    ) -> bool {
        if finding.step != Step::Trust {
            return false;
        }
        let mut store = self.store.load().as_ref().clone();
        store.trusted.insert(leaf.thumbprint, Arc::clone(leaf));
        if validate(&store, chain, demand).is_err() || !self.window_takes(caller) {
            return false;
        }
        if let Err(error) = pin(&self.dir, leaf) {
            logging::limited(log::Level::Error, "certificate not written", None, format_args!("{error}"));
            return false;
        }
        self.store.store(Arc::new(store));
        let from = rejected::from(caller.address);
        let (short, name) = (leaf.short(), printable(leaf.name()));
        log::warn!(
            "certificate {short} `{name}` of the client at {from} is trusted from now on: the window is open; to take it back: {}",
            self.command("revoke", &short)
        );
        true
    }
}

fn pin(dir: &Path, certificate: &Certificate) -> Result<(), PkiError> {
    let file = stem(&dir.join("trusted"), certificate).with_extension("der");
    super::folders::write(&file, &certificate.der).map_err(PkiError::io(&file))
}
