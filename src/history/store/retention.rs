//! Old data goes: by the age that its class keeps, then by the bytes that the store may take.
//!
//! A clock that jumps ahead must not empty the store: ages count only once it has run steadily for an hour.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::house::remove;
use super::shared::Shared;
use super::shelf::Volume;
use crate::history::Fault;
use crate::value::UaTime;

/// For so long the clock must have run as a stopwatch does.
const STEADY: Duration = Duration::from_secs(3600);
/// What a clock may be set by.
const JUMP: i64 = 60 * 10_000_000;

/// Compares the wall clock with a stopwatch.
#[derive(Debug, Default)]
pub struct Steadiness {
    began: Option<(Instant, UaTime)>,
    before: Option<(Instant, UaTime)>,
}

impl Steadiness {
    /// The clock has run steadily for an hour.
    pub fn is_steady(&mut self, at: Instant, now: UaTime) -> bool {
        let jumped = self.before.is_none_or(|(then, clock)| {
            let passed = i64::try_from((at - then).as_nanos() / 100).unwrap_or(i64::MAX);
            (now.0 - clock.0 - passed).abs() > JUMP
        });
        if jumped {
            self.began = Some((at, now));
        }
        self.before = Some((at, now));
        self.began.is_some_and(|(then, _)| at - then >= STEADY)
    }
}

/// Lets go what is too old or too much.
pub fn retire(shared: &Shared, now: UaTime) -> Result<(), Fault> {
    if shared.trusts_clock(now) {
        by_age(shared, now)?;
        let floors = shared.floors.read();
        shared.meta.lock().retire(|archive| floors.floor(archive, now))?;
    }
    by_size(shared)
}

/// Files of which all is older than anything keeps.
fn by_age(shared: &Shared, now: UaTime) -> Result<(), Fault> {
    let Some(longest) = shared.longest_keep() else { return Ok(()) };
    let floor = now.0.saturating_sub(longest);
    for volume in shared.shelf.volumes() {
        if volume.key().end() < floor {
            log::info!("{}: older than anything is kept", volume.path.display());
            let_go(shared, &volume)?;
        }
    }
    Ok(())
}

/// The oldest files, until the rest fits.
fn by_size(shared: &Shared) -> Result<(), Fault> {
    use super::settings::OnFull;
    let mut bytes = shared.measure();
    if shared.settings.on_full == OnFull::Stop {
        shared.is_full.store(bytes > shared.settings.max_size, Ordering::Release);
        return Ok(());
    }
    let mut volumes = shared.shelf.volumes();
    volumes.sort_by_key(|volume| volume.key().end());
    for volume in volumes {
        if bytes <= shared.settings.max_size {
            break;
        }
        log::info!("{}: let go because the history takes more than it may", volume.path.display());
        let_go(shared, &volume)?;
        bytes = shared.measure();
    }
    Ok(())
}

fn let_go(shared: &Shared, volume: &Arc<Volume>) -> Result<(), Fault> {
    shared.forget_book(volume.name);
    shared.shelf.replace(volume, None);
    shared.retired.fetch_max(volume.key().end(), Ordering::AcqRel);
    remove(&volume.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_is_trusted_again_after_an_hour() {
        let (start, clock) = (Instant::now(), UaTime(134_081_568_000_000_000));
        let mut steadiness = Steadiness::default();
        // Minutes of the stopwatch, minutes that the clock is ahead, trusted.
        for (minute, ahead, trusted) in [
            (0u64, 0i64, false),
            (30, 0, false),
            (61, 0, true),
            (62, 500_000, false),
            (120, 500_000, false),
            (122, 500_000, true),
            (123, 0, false),
        ] {
            let at = start + Duration::from_secs(minute * 60);
            let now = UaTime(clock.0 + (minute.cast_signed() + ahead) * 600_000_000);
            assert_eq!(steadiness.is_steady(at, now), trusted, "minute {minute}");
        }
    }
}
