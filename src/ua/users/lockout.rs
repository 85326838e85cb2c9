//! Delays for guessed passwords: after a few wrong ones each further attempt has to wait twice as long, up to a bound.
//!
//! The count is for a user name together with its origin, so that no client locks out another: an
//! address for unsecured connections, the application's certificate for secured ones (Part 4 §5.7.3.1, 1.05, names
//! both). One origin that tries many names is slowed as a whole, except for names that logged in from there before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::stack::channel::neighbourhood;

/// Wrong passwords that cost nothing: people mistype.
const FREE: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// Wrong passwords are forgotten after this time without another.
const MEMORY: Duration = Duration::from_hours(1);
/// Wrong passwords of one origin, whatever the names, before it is slowed as a whole; one more each `REFILL`.
const ORIGIN_ROOM: u32 = 30;
const REFILL: Duration = Duration::from_secs(2);
/// Names and origins that are remembered; above that number the oldest are removed.
const MOST: usize = 10_000;

/// The origin of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A network of 64 bits of IPv6, or one address of IPv4.
    Address(IpAddr),
    /// SHA-1 of the trusted certificate of the application.
    Application([u8; 20]),
}

impl Origin {
    pub fn address(address: IpAddr) -> Origin {
        Origin::Address(neighbourhood(address))
    }
}

/// An attempt that has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub left: Duration,
    /// Not only this name: too many wrong passwords came from this origin.
    pub is_origin: bool,
}

/// A name that is locked out from one origin from now on, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Begins,
    /// The right password came after these wrong ones.
    Ends {
        wrong: u32,
    },
}

/// Names as a keyed hash: what people type as their name may be a password, and is not kept.
type Name = u64;

#[derive(Debug, Default)]
pub(crate) struct Lockout {
    names: HashMap<(Name, Origin), Tally>,
    origins: HashMap<Origin, Bucket>,
    hasher: foldhash::fast::RandomState,
}

#[derive(Debug)]
struct Tally {
    wrong: u32,
    last: Instant,
    /// It logged in from there.
    is_known: bool,
}

#[derive(Debug)]
struct Bucket {
    wrong: u32,
    since: Instant,
}

impl Tally {
    fn wait_until(&self) -> Option<Instant> {
        let over = self.wrong.checked_sub(FREE)?;
        let wait = FIRST_WAIT.saturating_mul(1u32.checked_shl(over).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
        Some(self.last + wait)
    }
}

impl Bucket {
    /// Forgives wrong passwords as time passes.
    fn forgive(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let forgiven = u32::try_from(passed.as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
        self.wrong = self.wrong.saturating_sub(forgiven);
        self.since = if self.wrong == 0 { now } else { self.since + REFILL * forgiven };
    }
}

impl Lockout {
    fn name(&self, name: &str) -> Name {
        std::hash::BuildHasher::hash_one(&self.hasher, name)
    }

    /// Whether an attempt may be made now. A right password that comes too early is not even looked at.
    pub(crate) fn check(&mut self, name: &str, origin: Origin, now: Instant) -> Result<(), Wait> {
        let key = (self.name(name), origin);
        let tally = self.names.get(&key);
        if let Some(until) = tally.and_then(Tally::wait_until).filter(|until| *until > now) {
            return Err(Wait { left: until - now, is_origin: false });
        }
        if tally.is_some_and(|tally| tally.is_known) {
            return Ok(());
        }
        let Some(bucket) = self.origins.get_mut(&origin) else { return Ok(()) };
        bucket.forgive(now);
        match bucket.wrong >= ORIGIN_ROOM {
            true => Err(Wait { left: (bucket.since + REFILL).saturating_duration_since(now), is_origin: true }),
            false => Ok(()),
        }
    }

    /// Counts a wrong password; gives the turn when further attempts have to wait from here on.
    pub(crate) fn wrong(&mut self, name: &str, origin: Origin, now: Instant) -> Option<Turn> {
        let key = (self.name(name), origin);
        make_room(&mut self.names, &key, |tally| (tally.is_known, tally.last));
        let tally = self.names.entry(key).or_insert(Tally { wrong: 0, last: now, is_known: false });
        if now.saturating_duration_since(tally.last) > MEMORY {
            tally.wrong = 0;
        }
        (tally.wrong, tally.last) = (tally.wrong.saturating_add(1), now);
        let wrong = tally.wrong;
        make_room(&mut self.origins, &origin, |bucket| (false, bucket.since));
        let bucket = self.origins.entry(origin).or_insert(Bucket { wrong: 0, since: now });
        bucket.forgive(now);
        bucket.wrong = bucket.wrong.saturating_add(1).min(ORIGIN_ROOM);
        (wrong == FREE).then_some(Turn::Begins)
    }

    /// Forgets the wrong passwords of a name that got a new one, from all origins.
    pub(crate) fn forget(&mut self, name: &str) {
        let name = self.name(name);
        self.names.retain(|(of, _), _| *of != name);
    }

    /// Notes a right password; gives the turn when attempts had to wait until now.
    pub(crate) fn right(&mut self, name: &str, origin: Origin, now: Instant) -> Option<Turn> {
        let key = (self.name(name), origin);
        make_room(&mut self.names, &key, |tally| (tally.is_known, tally.last));
        let before = self.names.insert(key, Tally { wrong: 0, last: now, is_known: true })?;
        let is_recent = now.saturating_duration_since(before.last) <= MEMORY;
        (before.wrong >= FREE && is_recent).then_some(Turn::Ends { wrong: before.wrong })
    }
}

/// Removes the tenth that was quiet the longest from a full map; names that logged in are removed last.
fn make_room<K: Copy + Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    new: &K,
    rank: impl Fn(&V) -> (bool, Instant),
) {
    if map.len() < MOST || map.contains_key(new) {
        return;
    }
    let mut ranks: Vec<(bool, Instant)> = map.values().map(&rank).collect();
    let tenth = ranks.len() / 10;
    let (_, limit, _) = ranks.select_nth_unstable(tenth);
    let limit = *limit;
    map.retain(|_, value| rank(value) > limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(last: u8) -> Origin {
        Origin::address(IpAddr::from([10, 0, 0, last]))
    }

    /// Makes attempts with a wrong password as early as they are let, and returns how many were made in that time.
    fn guesses(
        lockout: &mut Lockout,
        name: impl Fn(u32) -> String,
        from: Origin,
        start: Instant,
        span: Duration,
    ) -> u32 {
        let (mut now, mut made) = (start, 0);
        while now < start + span {
            match lockout.check(&name(made), from, now) {
                Ok(()) => {
                    lockout.wrong(&name(made), from, now);
                    made += 1;
                }
                Err(wait) => now += wait.left.max(Duration::from_millis(1)),
            }
        }
        made
    }

    #[test]
    fn guessing_one_name_is_held_to_few_attempts_a_day() {
        let mut lockout = Lockout::default();
        let made = guesses(&mut lockout, |_| "opal".into(), origin(1), Instant::now(), Duration::from_hours(24));
        assert!((200..320).contains(&made), "{made}");
    }

    #[test]
    fn an_origin_that_tries_many_names_is_slowed_as_a_whole() {
        let mut lockout = Lockout::default();
        let made = guesses(&mut lockout, |n| format!("user {n}"), origin(1), Instant::now(), Duration::from_mins(10));
        assert!((320..=340).contains(&made), "{made}");
    }

    #[test]
    fn each_lockout_begins_once_and_ends_with_the_right_password() {
        let mut lockout = Lockout::default();
        let start = Instant::now();
        let turns: Vec<_> = (0..9).map(|_| lockout.wrong("opal", origin(1), start)).collect();
        assert_eq!((turns[4], turns.iter().flatten().count()), (Some(Turn::Begins), 1));
        assert_eq!(lockout.right("eva", origin(1), start), None);
        assert_eq!(lockout.right("opal", origin(1), start), Some(Turn::Ends { wrong: 9 }));
        assert_eq!(lockout.right("opal", origin(1), start), None);
    }

    #[test]
    fn no_client_locks_out_another() {
        let mut lockout = Lockout::default();
        let start = Instant::now();
        lockout.right("eva", origin(1), start);
        guesses(&mut lockout, |_| "opal".into(), origin(1), start, Duration::from_mins(10));
        guesses(&mut lockout, |n| format!("user {n}"), origin(1), start, Duration::from_mins(10));
        let now = start + Duration::from_mins(10);
        let application = Origin::Application([7; 20]);
        for (name, from, may) in [
            ("opal", origin(1), false),
            ("opal", origin(2), true),
            ("opal", application, true),
            ("eva", origin(1), true),
            ("new", origin(1), false),
            ("new", origin(2), true),
        ] {
            assert_eq!(lockout.check(name, from, now).is_ok(), may, "{name} from {from:?}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_costs_nothing_and_a_right_password_clears_the_rest() {
        let mut lockout = Lockout::default();
        let now = Instant::now();
        for _ in 0..4 {
            assert!(lockout.check("opal", origin(1), now).is_ok());
            lockout.wrong("opal", origin(1), now);
        }
        lockout.right("opal", origin(1), now);
        for _ in 0..5 {
            assert!(lockout.check("opal", origin(1), now).is_ok());
            lockout.wrong("opal", origin(1), now);
        }
        let wait = lockout.check("opal", origin(1), now);
        assert_eq!(wait, Err(Wait { left: FIRST_WAIT, is_origin: false }));
        assert!(lockout.check("opal", origin(1), now + FIRST_WAIT).is_ok());
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_names_that_logged_in() {
        let mut lockout = Lockout::default();
        let start = Instant::now();
        lockout.right("eva", origin(1), start);
        for n in 0..30_000u32 {
            let from = Origin::Address(IpAddr::from(n.to_be_bytes()));
            lockout.wrong("opal", from, start + Duration::from_millis(u64::from(n)));
        }
        assert!(lockout.names.len() <= MOST && lockout.origins.len() <= MOST);
        let key = (lockout.name("eva"), origin(1));
        assert!(lockout.names.get(&key).is_some_and(|tally| tally.is_known));
    }
}
