//! Other settings for a running audit: its files are opened or closed, and both are recorded.
//!
//! A file or log that is switched on is opened before the record of the change is written. One that is switched off is
//! closed after the record is written to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::recover::Opened;
use super::trail::{Bounds, Trail};
use super::{Audit, AuditError};
use crate::model::{AuditLog, AuditPlan};

/// Time for which a change waits for the one before.
const PATIENCE: Duration = Duration::from_secs(5);

/// A change that the audit's thread has to make.
#[derive(Debug)]
pub(crate) struct Change {
    pub plan: AuditPlan,
    /// Files that are new; the thread takes them first.
    pub trails: Option<Vec<Trail>>,
}

/// Settings whose files are open.
#[derive(Debug)]
pub(crate) struct Prepared {
    plan: AuditPlan,
    opened: Vec<Opened>,
}

/// Bounds of each of the two chains: each has one half, which the other can never take.
pub(super) fn bounds(plan: &AuditPlan) -> Bounds {
    Bounds { keep: plan.keep, max_size: plan.max_size / 2, max_file: plan.max_file }
}

impl Audit {
    /// Opens files that other settings need. Nothing changes yet.
    pub(crate) fn prepare(&self, plan: &AuditPlan, state_dir: &Path) -> Result<Prepared, AuditError> {
        let mut opened = Vec::new();
        if let Some(shared) = &self.shared
            && plan.file
            && !shared.plan.load().file
        {
            let (until, mut state) = (Instant::now() + PATIENCE, shared.state.lock());
            while state.change.is_some() {
                if shared.done.wait_until(&mut state, until).timed_out() {
                    return Err(AuditError::Busy);
                }
            }
            drop(state);
            opened.extend(Trail::open(state_dir, bounds(plan))?);
        }
        Ok(Prepared { plan: plan.clone(), opened })
    }

    /// Makes prepared settings those that hold. `record` records the change: once before what is switched off is gone, and
    /// once after what is switched on is there.
    pub(crate) fn take(&self, prepared: Prepared, record: impl Fn(String)) {
        let Some(shared) = &self.shared else { return };
        let Prepared { plan, opened } = prepared;
        let before = AuditPlan::clone(&shared.plan.load());
        let Some(message) = difference(&before, &plan) else { return };
        let gains = plan.file && !before.file || plan.log != AuditLog::Off && before.log == AuditLog::Off;
        let loses = before.file && !plan.file || before.log != AuditLog::Off && plan.log == AuditLog::Off;
        if loses || !gains {
            record(message.clone());
        }
        let (mut trails, mut told) = (Vec::new(), Vec::new());
        for Opened { trail, told: records } in opened {
            trails.push(trail);
            told.extend(records);
        }
        shared.plan.store(Arc::new(plan.clone()));
        {
            let mut state = shared.state.lock();
            let trails = Some(trails).filter(|trails| !trails.is_empty());
            let waiting = state.change.take().and_then(|change| change.trails);
            state.change = Some(Change { plan, trails: trails.or(waiting) });
        }
        shared.wake.notify_one();
        told.into_iter().for_each(|record| self.tell(record));
        if gains {
            record(message);
        }
    }
}

/// The keys that differ, in words; `None` where none does.
fn difference(old: &AuditPlan, new: &AuditPlan) -> Option<String> {
    let on = |is_on: bool| if is_on { "on" } else { "off" };
    let log = |log: AuditLog| match log {
        AuditLog::Text => "text",
        AuditLog::Json => "json",
        AuditLog::Off => "off",
    };
    let mut parts = Vec::new();
    let mut part = |key: &str, before: String, after: String| {
        if before != after {
            parts.push(format!("{key} {before} -> {after}"));
        }
    };
    part("log", log(old.log).to_owned(), log(new.log).to_owned());
    part("file", on(old.file).to_owned(), on(new.file).to_owned());
    part("writes", on(old.writes).to_owned(), on(new.writes).to_owned());
    part("keep", format!("{} s", old.keep.as_secs()), format!("{} s", new.keep.as_secs()));
    part("max_size", format!("{} bytes", old.max_size), format!("{} bytes", new.max_size));
    part("max_file", format!("{} bytes", old.max_file), format!("{} bytes", new.max_file));
    (!parts.is_empty()).then(|| parts.join(", "))
}
