//! Keeps the own certificate good while the server runs: what is put into `own/` is taken at once, and what nears its
//! end is renewed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::{Change, Occasion, OwnCertificate, OwnRequest, files};
use crate::pki::certificate::Certificate;
use crate::pki::text::when;
use crate::stack::crypto::{Identities, Identity};
use crate::value::UaTime;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Time before the end of the certificate from which a warning is logged each day.
const WARN_BEFORE: i64 = 30 * DAY;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Certificates that the server answers to at once.
const MOST_KNOWN: usize = 16;

/// Size, inode and time of the files in `own`.
type Fingerprint = [Option<(u64, u64, i64, i64)>; 2];

/// The certificate that is wanted; a reload of the server file may change it.
#[derive(Debug, Clone)]
pub struct Wanted {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    request: OwnRequest,
    /// The keeper has not looked at the request yet.
    change: Option<Change>,
}

impl Wanted {
    /// The keeper takes it at its next look, within a second.
    pub fn replace(&self, request: OwnRequest) {
        let mut state = self.state.lock();
        let before = &state.request;
        let has_other_key = request.key_bits != before.key_bits;
        let has_other_content = has_other_key
            || request.valid_for != before.valid_for
            || request.auto_names != before.auto_names
            || !has_same_names(&request, before);
        let change = Change { has_other_key, has_other_content };
        state.change = Some(state.change.map_or(change, |waiting| waiting.and(change)));
        state.request = request;
    }

    /// Whether a certificate can be made of it; the error says why not.
    pub fn check(request: &OwnRequest) -> Result<(), String> {
        super::params(request).map(drop).map_err(|error| error.to_string())
    }
}

fn has_same_names(one: &OwnRequest, other: &OwnRequest) -> bool {
    let sorted = |request: &OwnRequest| -> BTreeSet<String> {
        request.names.iter().map(|name| name.to_ascii_lowercase()).collect()
    };
    sorted(one) == sorted(other)
}

/// Told the time, so that years can pass in a test.
pub struct Keeper {
    dir: PathBuf,
    wanted: Wanted,
    identities: Arc<Identities>,
    known: Fingerprint,
    looked: Option<i64>,
    warned: Option<i64>,
}

impl Keeper {
    /// `identities`: what the server answers to, as it was loaded.
    pub fn new(dir: PathBuf, request: OwnRequest, identities: Arc<Identities>) -> Keeper {
        let known = [files::certificate_path(&dir), files::key_path(&dir)].map(fingerprint);
        let wanted = Wanted { state: Arc::new(Mutex::new(State { request, change: None })) };
        Keeper { dir, wanted, identities, known, looked: None, warned: None }
    }

    /// The place of another request.
    pub fn wanted(&self) -> Wanted {
        self.wanted.clone()
    }

    /// Never returns; its owner drops it. Cancel-safe.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keeper = Some(self);
        while let Some(mut at_work) = keeper.take() {
            tick.tick().await;
            let looked = tokio::task::spawn_blocking(move || {
                at_work.look(UaTime::now().unix_seconds());
                at_work
            });
            match looked.await {
                Ok(back) => keeper = Some(back),
                Err(error) => log::error!("the own certificate is no longer looked after: {error}"),
            }
        }
        std::future::pending().await
    }

    /// Reads the files again when they have changed, and each hour; renews what is due. Whatever is wrong with them,
    /// the server goes on with what it has.
    pub fn look(&mut self, now: i64) {
        let found = self.fingerprint();
        let is_due = self.looked.is_none_or(|at| !(0..HOUR).contains(&(now - at)));
        let (request, change) = {
            let mut state = self.wanted.state.lock();
            (state.request.clone(), state.change.take())
        };
        if found == self.known && !is_due && change.is_none() {
            return;
        }
        self.looked = Some(now);
        // As it was before they are read: what is written meanwhile is seen the next time.
        self.known = found;
        let occasion = change.map_or(Occasion::Running, Occasion::Changed);
        match OwnCertificate::at(&self.dir, &request, now, occasion) {
            Ok(own) => self.take(&own, now),
            Err(error) => log::error!("the own certificate stays as it was: {error}"),
        }
    }

    fn take(&mut self, own: &OwnCertificate, now: i64) {
        let newest = self.identities.newest();
        if newest.is_none_or(|newest| newest.chain() != own.identity.chain()) {
            let (short, end) = (own.certificate.short(), when(own.certificate.not_after));
            log::warn!(
                "the server's certificate is {short} from now on, until {end}; open channels keep the one before"
            );
            self.warned = None;
        }
        let mut identities = own.identities();
        // Those of an earlier key are no longer in the folder: clients may know them for as long as the server runs.
        let is_known = |old: &Arc<Identity>| identities.iter().any(|own| own.thumbprint() == old.thumbprint());
        let of_old_key: Vec<_> = self.identities.all().into_iter().filter(|old| !is_known(old)).collect();
        identities.extend(of_old_key.into_iter().filter(|old| is_valid(old, now)));
        identities.truncate(MOST_KNOWN);
        self.identities.replace(identities);
        self.warn_of_end(&own.certificate, now);
    }

    fn warn_of_end(&mut self, certificate: &Certificate, now: i64) {
        let is_told = self.warned.is_some_and(|at| (0..DAY).contains(&(now - at)));
        if certificate.not_after - now <= WARN_BEFORE && !is_told {
            self.warned = Some(now);
            let path = files::certificate_path(&self.dir);
            let remedy = match certificate.is_self_signed() {
                true => "it is renewed `renew_before` its end".to_owned(),
                false => {
                    let dir = super::super::quoted(&self.dir);
                    format!(
                        "for a new one: opcell pki request --pki-dir {dir}, then opcell pki install CERTIFICATE --pki-dir {dir}"
                    )
                }
            };
            log::warn!("{} ends at {}; clients refuse it then; {remedy}", path.display(), when(certificate.not_after));
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        [files::certificate_path(&self.dir), files::key_path(&self.dir)].map(fingerprint)
    }
}

fn is_valid(identity: &Identity, now: i64) -> bool {
    Certificate::parse(identity.leaf()).is_some_and(|certificate| certificate.is_valid_at(now))
}

fn fingerprint(path: PathBuf) -> Option<(u64, u64, i64, i64)> {
    let data = fs::metadata(path).ok()?;
    Some((data.len(), data.ino(), data.mtime(), data.mtime_nsec()))
}
