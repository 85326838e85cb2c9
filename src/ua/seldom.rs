//! Log lines that a peer can cause: so many a minute and address, the rest at level debug.
//!
//! Whoever floods hides only what is told of the own address.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const LINES: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are counted at once; beyond them nothing is told.
const ADDRESSES: usize = 1_000;

#[derive(Debug, Default)]
pub struct Seldom {
    told: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Seldom {
    /// Logs at `level`, or at debug when enough was told of this address.
    pub fn tell(&self, level: log::Level, peer: IpAddr, line: fmt::Arguments<'_>) {
        match self.count(peer, Instant::now()) {
            Some(LINES) => log::log!(target: "client", level, "{line} (further lines about {peer} follow in a minute)"),
            Some(_) => log::log!(target: "client", level, "{line}"),
            None => log::debug!(target: "client", "{line}"),
        }
    }

    /// The number of this line in its minute, unless that is too many.
    fn count(&self, peer: IpAddr, now: Instant) -> Option<u32> {
        let mut told = self.told.lock();
        if told.len() >= ADDRESSES && !told.contains_key(&peer) {
            told.retain(|_, (since, _)| now.saturating_duration_since(*since) < MINUTE);
            if told.len() >= ADDRESSES {
                return None;
            }
        }
        let (since, lines) = told.entry(peer).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= MINUTE {
            (*since, *lines) = (now, 0);
        }
        *lines = lines.saturating_add(1);
        (*lines <= LINES).then_some(*lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_ten_lines_a_minute_and_takes_none_from_another() {
        let seldom = Seldom::default();
        let start = Instant::now();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let told = |peer, at| (0..100).filter(|_| seldom.count(peer, at).is_some()).count();
        assert_eq!((told(a, start), told(a, start), told(b, start)), (10, 0, 10));
        assert_eq!(told(a, start + MINUTE), 10);
        for n in 0..5_000u32 {
            seldom.count(IpAddr::from(n.to_be_bytes()), start);
        }
        assert!(seldom.told.lock().len() <= ADDRESSES);
    }
}
