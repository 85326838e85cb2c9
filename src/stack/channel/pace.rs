//! How often one address may ask for something that costs: a bucket that fills with time and that each time empties by
//! one (a token bucket).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::stack::transport::Rate;

/// Addresses that are counted apart; beyond them the rest share one bucket.
const ADDRESSES: usize = 4_096;
/// Whose bucket that is.
const REST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Whose share an address uses: an IPv4 address its own; IPv6 addresses that differ in the last 64 bits share one, as
/// the owner of one has them all.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

/// The unused part of a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: Instant) -> Bucket {
        Bucket { left: f64::from(rate.at_once), at: now }
    }

    /// Takes one; false when there is none.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        *self = self.filled(rate, now);
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }

    fn filled(self, rate: Rate, now: Instant) -> Bucket {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate.per_second);
        Bucket { left: (self.left + gained).min(f64::from(rate.at_once)), at: now.max(self.at) }
    }
}

impl Pace {
    pub fn new(rate: Rate) -> Pace {
        Pace { rate, buckets: Mutex::default() }
    }

    /// Takes one of this address's; false when there is none. `address`: whose share it is, see `neighbourhood`.
    pub fn take(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        let address = if buckets.contains_key(&address) { address } else { self.room_for(&mut buckets, address, now) };
        buckets.entry(address).or_insert(Bucket::full(self.rate, now)).take(self.rate, now)
    }

    /// A full bucket need not be remembered.
    fn room_for(&self, buckets: &mut HashMap<IpAddr, Bucket>, address: IpAddr, now: Instant) -> IpAddr {
        if buckets.len() >= ADDRESSES {
            buckets.retain(|_, bucket| bucket.filled(self.rate, now).left < f64::from(self.rate.at_once));
        }
        if buckets.len() >= ADDRESSES { REST } else { address }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_has_its_burst_then_its_rate_and_takes_none_from_another() {
        let pace = Pace::new(Rate { per_second: 50, at_once: 100 });
        let start = Instant::now();
        let took = |address: [u8; 4], at: u64| {
            let now = start + Duration::from_millis(at);
            (0..1_000).filter(|_| pace.take(address.into(), now)).count()
        };
        let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        for (address, at, taken) in
            [(a, 0, 100), (a, 0, 0), (b, 0, 100), (a, 20, 1), (a, 1_020, 50), (b, 60_000, 100), (a, 60_000, 100)]
        {
            assert_eq!(took(address, at), taken, "{address:?} at {at} ms");
        }
    }

    #[test]
    fn ten_thousand_addresses_are_bounded_and_forgotten_when_they_are_quiet() {
        let pace = Pace::new(Rate { per_second: 50, at_once: 100 });
        let start = Instant::now();
        let taken = (1..=10_000u32).filter(|n| pace.take(IpAddr::from(n.to_be_bytes()), start)).count();
        assert_eq!(taken, ADDRESSES + 100, "the rest share one bucket");
        assert!(pace.buckets.lock().len() <= ADDRESSES + 1);
        assert!(pace.take(IpAddr::from([203, 0, 113, 1]), start + Duration::from_secs(2)));
        assert!(pace.buckets.lock().len() <= 2);
    }

    #[test]
    fn addresses_of_one_host_share_what_it_may_have() {
        for (address, share) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            let [address, share] = [address, share].map(|text| text.parse().expect("an address"));
            assert_eq!(neighbourhood(address), share);
        }
    }
}
