//! How many records strangers may cause: a number a minute and an hour for each address, and an hour for all together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses that are counted apart; all others count as one.
const ADDRESSES: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The bounds of a budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub a_minute: u32,
    pub an_hour: u32,
    /// Of all addresses together.
    pub all_an_hour: u32,
    /// The first of an address in its hour, which no other address can use up.
    pub first: u32,
}

#[derive(Debug)]
pub(crate) struct Budget {
    most: Most,
    seen: HashMap<Option<IpAddr>, Seen>,
    hour: Option<(Instant, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    minute: (Instant, u32),
    hour: (Instant, u32),
}

/// A record that may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Ordinary,
    /// One of the first of its address in this hour.
    First,
}

/// The network of an address: a host with IPv6 has 2^64 addresses.
pub(crate) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

impl Budget {
    pub(crate) fn new(most: Most) -> Budget {
        Budget { most, seen: HashMap::new(), hour: None }
    }

    /// Takes a place for one more record of this network; `None`: it has used up what it may cause.
    pub(crate) fn take(&mut self, network: Option<IpAddr>, now: Instant) -> Option<Place> {
        let mut key = network;
        if self.seen.len() >= ADDRESSES && !self.seen.contains_key(&key) {
            self.seen.retain(|_, seen| now.saturating_duration_since(seen.hour.0) < HOUR);
            if self.seen.len() >= ADDRESSES {
                key = None;
            }
        }
        let begun = |(since, count): (Instant, u32), span| match now.saturating_duration_since(since) < span {
            true => (since, count),
            false => (now, 0),
        };
        let all = begun(self.hour.unwrap_or((now, 0)), HOUR);
        let seen = self.seen.entry(key).or_insert(Seen { minute: (now, 0), hour: (now, 0) });
        (seen.minute, seen.hour) = (begun(seen.minute, MINUTE), begun(seen.hour, HOUR));
        let is_first = seen.hour.1 < self.most.first;
        let is_own_left = seen.minute.1 < self.most.a_minute && seen.hour.1 < self.most.an_hour;
        self.hour = Some(all);
        if !is_own_left || !is_first && all.1 >= self.most.all_an_hour {
            return None;
        }
        seen.minute.1 += 1;
        seen.hour.1 += 1;
        if is_first {
            return Some(Place::First);
        }
        self.hour = Some((all.0, all.1 + 1));
        Some(Place::Ordinary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { a_minute: 20, an_hour: 100, all_an_hour: 1_200, first: 4 };

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn an_address_gets_its_records_a_minute_and_takes_none_from_another() {
        let mut budget = Budget::new(MOST);
        let start = Instant::now();
        let mut taken = |peer, at| (0..100).filter(|_| budget.take(peer, at).is_some()).count();
        assert_eq!((taken(peer(1), start), taken(peer(1), start), taken(peer(2), start)), (20, 0, 20));
        assert_eq!(taken(peer(1), start + MINUTE), 20);
        let of_an_hour: usize = (2..60).map(|minute| taken(peer(1), start + MINUTE * minute)).sum();
        assert_eq!(of_an_hour + 40, 100);
        assert_eq!(taken(peer(1), start + HOUR), 20, "the next hour");
    }

    #[test]
    fn an_address_that_uses_up_the_budget_of_all_does_not_hide_another() {
        let mut budget = Budget::new(MOST);
        let start = Instant::now();
        let mut taken = |last: u8, minute: u32| {
            (0..100).filter(|_| budget.take(peer(last), start + MINUTE * minute).is_some()).count()
        };
        let of_many: usize = (0..5).map(|minute| (0..13).map(|peer| taken(peer, minute)).sum::<usize>()).sum();
        assert_eq!(of_many, 1_200 + 13 * 4);
        assert_eq!([taken(1, 5), taken(200, 5), taken(200, 6)], [0, 4, 0]);
    }

    #[test]
    fn many_addresses_together_stay_bounded_in_records_and_memory() {
        let mut budget = Budget::new(MOST);
        let start = Instant::now();
        let taken =
            (0..50_000u32).filter(|n| budget.take(Some(IpAddr::from(n.to_be_bytes())), start).is_some()).count();
        // The addresses that are counted apart, and the minute of all others.
        assert_eq!(taken, ADDRESSES + 20);
        assert!(budget.seen.len() <= ADDRESSES + 1);
        let six = |n: u128| Some(network(IpAddr::V6((0x2001_0db8_u128 << 96 | n).into())));
        let mut budget = Budget::new(MOST);
        assert_eq!((0..100).filter(|n| budget.take(six(*n), start).is_some()).count(), 20, "one network of IPv6");
    }
}
