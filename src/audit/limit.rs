//! How many records strangers may cause: so many a minute and address, so many an hour in all, so that nobody fills the
//! disk or pushes old evidence out. What is left out is counted, and told once a minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const A_MINUTE: u32 = 20;
const AN_HOUR: u32 = 100;
/// Of all addresses together, an hour.
const ALL_AN_HOUR: u32 = 1_200;
/// The first of an address in its hour, which no other address can use up: two refusals with their certificates.
const FIRST: u32 = 4;
/// Addresses that are told apart; all others count as one.
const ADDRESSES: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, Copy)]
struct Seen {
    minute: (Instant, u32),
    hour: (Instant, u32),
    left_out: u64,
}

/// What was left out in the last minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    pub records: u64,
    pub addresses: usize,
    /// Who caused most of them; `None`: several that are not told apart.
    pub most: Option<IpAddr>,
}

#[derive(Debug, Default)]
pub struct Limiter {
    seen: HashMap<Option<IpAddr>, Seen>,
    hour: Option<(Instant, u32)>,
    reported: Option<Instant>,
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

impl Limiter {
    /// Whether one more record that this peer causes is kept.
    pub fn admits(&mut self, peer: Option<IpAddr>, now: Instant) -> bool {
        let mut key = peer.map(network);
        if self.seen.len() >= ADDRESSES && !self.seen.contains_key(&key) {
            self.seen.retain(|_, seen| seen.left_out > 0 || now.saturating_duration_since(seen.hour.0) < HOUR);
            if self.seen.len() >= ADDRESSES {
                key = None;
            }
        }
        let begun = |(since, count): (Instant, u32), span| match now.saturating_duration_since(since) < span {
            true => (since, count),
            false => (now, 0),
        };
        let all = begun(self.hour.unwrap_or((now, 0)), HOUR);
        let seen = self.seen.entry(key).or_insert(Seen { minute: (now, 0), hour: (now, 0), left_out: 0 });
        (seen.minute, seen.hour) = (begun(seen.minute, MINUTE), begun(seen.hour, HOUR));
        let is_shared_left = all.1 < ALL_AN_HOUR || seen.hour.1 < FIRST;
        let admits = seen.minute.1 < A_MINUTE && seen.hour.1 < AN_HOUR && is_shared_left;
        let count = u32::from(admits);
        seen.minute.1 += count;
        seen.hour.1 += count;
        seen.left_out += u64::from(!admits);
        self.hour = Some((all.0, all.1 + count));
        admits
    }

    /// What was left out and not told yet; at most once a minute, unless it is `last`.
    pub fn take_left_out(&mut self, now: Instant, is_last: bool) -> Option<LeftOut> {
        let is_early = self.reported.is_some_and(|reported| now.saturating_duration_since(reported) < MINUTE);
        if is_early && !is_last {
            return None;
        }
        let of: Vec<(Option<IpAddr>, u64)> =
            self.seen.iter().filter(|(_, seen)| seen.left_out > 0).map(|(peer, seen)| (*peer, seen.left_out)).collect();
        let (most, _) = *of.iter().max_by_key(|(_, count)| *count)?;
        self.reported = Some(now);
        self.seen.values_mut().for_each(|seen| seen.left_out = 0);
        Some(LeftOut { records: of.iter().map(|(_, count)| count).sum(), addresses: of.len(), most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_records_a_minute_and_takes_none_from_another() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let peer = |last| Some(IpAddr::from([10, 0, 0, last]));
        let mut told = |peer, at| (0..100).filter(|_| limiter.admits(peer, at)).count();
        assert_eq!((told(peer(1), start), told(peer(1), start), told(peer(2), start)), (20, 0, 20));
        assert_eq!(told(peer(1), start + MINUTE), 20);
        let left_out = limiter.take_left_out(start + MINUTE, false).expect("some were left out");
        assert_eq!(left_out, LeftOut { records: 340, addresses: 2, most: peer(1) });
        assert_eq!(limiter.take_left_out(start + MINUTE, true), None);
        let mut told = |peer, at| (0..100).filter(|_| limiter.admits(peer, at)).count();
        let of_an_hour: usize = (2..60).map(|minute| told(peer(1), start + MINUTE * minute)).sum();
        assert_eq!(of_an_hour + 40, AN_HOUR as usize);
        assert_eq!(told(peer(1), start + HOUR), 20, "the next hour");
    }

    #[test]
    fn who_uses_up_what_all_may_cause_does_not_hide_another() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let mut told = |last: u8, minute: u32| {
            let (peer, now) = (Some(IpAddr::from([10, 0, 0, last])), start + MINUTE * minute);
            (0..100).filter(|_| limiter.admits(peer, now)).count()
        };
        let of_twelve: usize = (0..5).map(|minute| (0..12).map(|peer| told(peer, minute)).sum::<usize>()).sum();
        assert_eq!(of_twelve, ALL_AN_HOUR as usize);
        assert_eq!([told(1, 5), told(200, 5), told(200, 6)], [0, FIRST as usize, 0]);
    }

    #[test]
    fn many_addresses_together_stay_bounded_in_records_and_memory() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let told = (0..50_000u32).filter(|n| limiter.admits(Some(IpAddr::from(n.to_be_bytes())), start)).count();
        // The addresses that are told apart, and the minute of all others.
        assert_eq!(told, ADDRESSES + A_MINUTE as usize);
        assert!(limiter.seen.len() <= ADDRESSES + 1);
        let six = |n: u128| Some(IpAddr::V6((0x2001_0db8_u128 << 96 | n).into()));
        let mut limiter = Limiter::default();
        assert_eq!((0..100).filter(|n| limiter.admits(six(*n), start)).count(), 20, "one network of IPv6");
    }
}
