//! A queue that serves addresses in turns. It knows nothing of threads.
//!
//! ```text
//! Known      ▷ address ▷ address        renewals, sessions that are active: first, but not more than 4 in a row
//! Handshake  ▷ address ▷ address ▷ …    new channels and sessions
//! Password   ▷ address                  one at a time
//! ```
//! Within a lane the addresses take turns, one job each. When all places are taken, the address that waits with most
//! jobs gives its latest one up to an address that waits with fewer.

use std::collections::VecDeque;
use std::net::IpAddr;

use hashbrown::HashMap;

/// The purpose of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Renewals of open channels, and sessions that are active.
    Known,
    /// New channels and sessions.
    Handshake,
    /// Argon2, which takes long on purpose.
    Password,
}

/// Known jobs that go before a waiting other one.
const IN_A_ROW: u32 = 4;

#[derive(Debug)]
pub(crate) struct Fair<T> {
    lanes: [Turns<T>; 3],
    /// Jobs that may wait: of one address, and of all.
    most: QueueLimits,
    waiting: usize,
    known_in_a_row: u32,
    passwords_running: usize,
    /// Which of the two slower lanes had the last turn.
    last: Lane,
}

/// Outcome of adding a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed<T> {
    Waits,
    /// It waits in the place of this one.
    Instead(T),
    /// There is no place for it.
    Full(T),
}

#[derive(Debug)]
struct Turns<T> {
    /// Addresses with jobs, in the order of their turns.
    order: VecDeque<IpAddr>,
    jobs: HashMap<IpAddr, VecDeque<T>>,
}

impl<T> Turns<T> {
    fn new() -> Turns<T> {
        Turns { order: VecDeque::new(), jobs: HashMap::new() }
    }

    fn push(&mut self, address: IpAddr, job: T) {
        let jobs = self.jobs.entry(address).or_default();
        if jobs.is_empty() {
            self.order.push_back(address);
        }
        jobs.push_back(job);
    }

    fn pop(&mut self) -> Option<T> {
        let address = self.order.pop_front()?;
        let jobs = self.jobs.get_mut(&address)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.jobs.remove(&address);
        } else {
            self.order.push_back(address);
        }
        job
    }

    /// The latest job of an address.
    fn take_back(&mut self, address: IpAddr) -> Option<T> {
        let jobs = self.jobs.get_mut(&address)?;
        let job = jobs.pop_back();
        if jobs.is_empty() {
            self.jobs.remove(&address);
            self.order.retain(|other| *other != address);
        }
        job
    }

    fn count(&self, address: IpAddr) -> usize {
        self.jobs.get(&address).map_or(0, VecDeque::len)
    }
}

/// Jobs that may wait.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Jobs of one address.
    pub of_address: usize,
    pub in_all: usize,
}

impl<T> Fair<T> {
    pub(crate) fn new(most: QueueLimits) -> Fair<T> {
        Fair {
            lanes: [Turns::new(), Turns::new(), Turns::new()],
            most,
            waiting: 0,
            known_in_a_row: 0,
            passwords_running: 0,
            last: Lane::Password,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// `Known` jobs have places of their own: clients with a session are not pushed out by new ones.
    pub(crate) fn push(&mut self, lane: Lane, address: IpAddr, job: T) -> Pushed<T> {
        let own = self.count(lane, address);
        if own >= self.most.of_address {
            return Pushed::Full(job);
        }
        let mut out = None;
        if self.places_taken(lane) >= self.most.in_all {
            let Some((lane, heaviest)) =
                self.heaviest(lane).filter(|(_, heaviest)| self.count(lane, *heaviest) > own + 1)
            else {
                return Pushed::Full(job);
            };
            out = self.lanes[lane as usize].take_back(heaviest);
            self.waiting -= usize::from(out.is_some());
        }
        self.lanes[lane as usize].push(address, job);
        self.waiting += 1;
        out.map_or(Pushed::Waits, Pushed::Instead)
    }

    /// The next job, if one may run now. `done` must be told when a Password has been run.
    pub(crate) fn pop(&mut self) -> Option<(Lane, T)> {
        let lane = self.next_lane()?;
        let job = self.lanes[lane as usize].pop()?;
        self.waiting -= 1;
        match lane {
            Lane::Known => self.known_in_a_row += 1,
            Lane::Handshake | Lane::Password => (self.known_in_a_row, self.last) = (0, lane),
        }
        self.passwords_running += usize::from(lane == Lane::Password);
        Some((lane, job))
    }

    pub(crate) fn done(&mut self, lane: Lane) {
        self.passwords_running -= usize::from(lane == Lane::Password);
    }

    fn next_lane(&self) -> Option<Lane> {
        let has = |lane: Lane| !self.lanes[lane as usize].order.is_empty();
        let may_password = has(Lane::Password) && self.passwords_running == 0;
        let slower = match (has(Lane::Handshake), may_password) {
            (true, true) if self.last == Lane::Handshake => Some(Lane::Password),
            (true, _) => Some(Lane::Handshake),
            (false, true) => Some(Lane::Password),
            (false, false) => None,
        };
        match slower {
            Some(slower) if !has(Lane::Known) || self.known_in_a_row >= IN_A_ROW => Some(slower),
            _ => has(Lane::Known).then_some(Lane::Known),
        }
    }

    /// Lanes that share their places with this one.
    fn sharing(lane: Lane) -> &'static [Lane] {
        match lane {
            Lane::Known => &[Lane::Known],
            Lane::Handshake | Lane::Password => &[Lane::Handshake, Lane::Password],
        }
    }

    fn count(&self, lane: Lane, address: IpAddr) -> usize {
        Fair::<T>::sharing(lane).iter().map(|lane| self.lanes[*lane as usize].count(address)).sum()
    }

    fn places_taken(&self, lane: Lane) -> usize {
        let count = |lane: &Lane| self.lanes[*lane as usize].jobs.values().map(VecDeque::len).sum::<usize>();
        Fair::<T>::sharing(lane).iter().map(count).sum()
    }

    /// The address with most jobs, and the lane where it has one to give up.
    fn heaviest(&self, lane: Lane) -> Option<(Lane, IpAddr)> {
        let lanes = Fair::<T>::sharing(lane).iter().rev();
        let all = lanes.flat_map(|lane| self.lanes[*lane as usize].order.iter().map(|address| (*lane, *address)));
        all.max_by_key(|(lane, address)| self.count(*lane, *address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn addresses_take_turns_and_a_flood_delays_another_by_one_job() {
        let mut fair = Fair::new(QueueLimits { of_address: 32, in_all: 256 });
        for number in 0..32 {
            assert_eq!(fair.push(Lane::Handshake, address(2), (2, number)), Pushed::Waits);
        }
        assert_eq!(fair.push(Lane::Handshake, address(2), (2, 32)), Pushed::Full((2, 32)));
        fair.push(Lane::Handshake, address(1), (1, 0));
        let order: Vec<_> = std::iter::from_fn(|| fair.pop()).map(|(_, (address, _))| address).take(3).collect();
        assert_eq!(order, [2, 1, 2]);
    }

    #[test]
    fn passwords_run_one_at_a_time_and_take_turns_with_handshakes() {
        use Lane::{Handshake, Known, Password};
        let mut fair = Fair::new(QueueLimits { of_address: 32, in_all: 256 });
        for lane in [Password, Password, Handshake, Handshake, Handshake] {
            fair.push(lane, address(1), lane);
        }
        let mut next = || fair.pop().map(|(lane, _)| lane);
        assert_eq!(
            [next(), next(), next(), next()],
            [Some(Handshake), Some(Password), Some(Handshake), Some(Handshake)]
        );
        assert_eq!(next(), None, "the other password waits for the first");
        fair.done(Password);
        assert_eq!(fair.pop(), Some((Password, Password)));
        for _ in 0..10 {
            fair.push(Known, address(3), Known);
        }
        fair.push(Handshake, address(1), Handshake);
        let order: Vec<_> = std::iter::from_fn(|| fair.pop()).map(|(lane, _)| lane).take(6).collect();
        assert_eq!(order, [Known, Known, Known, Known, Handshake, Known], "who is in goes first, but not for ever");
    }

    #[test]
    fn many_addresses_that_flood_leave_places_for_one_that_does_not() {
        let mut fair = Fair::new(QueueLimits { of_address: 8, in_all: 64 });
        for number in 0..16 {
            for job in 0..8 {
                fair.push(Lane::Handshake, address(number), (number, job));
            }
        }
        let newcomer = fair.push(Lane::Handshake, address(255), (255, 0));
        assert!(matches!(newcomer, Pushed::Instead(_)), "{newcomer:?}");
        assert_eq!(fair.push(Lane::Known, address(9), (9, 9)), Pushed::Waits, "who is in has places of their own");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Lane, u8),
        Pop,
        Done,
    }

    fn step() -> impl Strategy<Value = Step> {
        let lane = prop_oneof![Just(Lane::Known), Just(Lane::Handshake), Just(Lane::Password)];
        prop_oneof![
            3 => (lane, 0u8..6).prop_map(|(lane, from)| Step::Push(lane, from)),
            2 => Just(Step::Pop),
            1 => Just(Step::Done),
        ]
    }

    proptest! {
        /// Against a plain list of what waits: nothing is lost or served twice, bounds hold, each address is served in
        /// its order, never two passwords at once, and nobody waits while an address of the lane is served twice.
        #[test]
        fn it_does_what_a_plain_list_says(steps in prop::collection::vec(step(), 0..400)) {
            const MOST: QueueLimits = QueueLimits { of_address: 4, in_all: 12 };
            let mut fair = Fair::new(MOST);
            let mut list: Vec<(Lane, u8, usize)> = Vec::new();
            let mut passwords = 0;
            // For each waiting address of a lane: who was served since it began to wait.
            let mut passed: Vec<((Lane, u8), Vec<u8>)> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(lane, from) => {
                        let job = (lane, from, number);
                        match fair.push(lane, address(from), job) {
                            Pushed::Waits => {}
                            Pushed::Instead(out) => {
                                let at = list.iter().position(|other| *other == out).expect("it waited");
                                list.remove(at);
                                prop_assert!(!list[at..].iter().any(|(lane, from, _)| (*lane, *from) == (out.0, out.1)), "the latest goes");
                            }
                            Pushed::Full(back) => {
                                prop_assert_eq!(back, job);
                                continue;
                            }
                        }
                        if !list.iter().any(|(other, by, _)| (*other, *by) == (lane, from)) {
                            passed.push(((lane, from), Vec::new()));
                        }
                        list.push(job);
                    }
                    Step::Pop => match fair.pop() {
                        Some((lane, job)) => {
                            let first = list.iter().position(|(other, from, _)| (*other, *from) == (lane, job.1)).expect("it waited");
                            prop_assert_eq!(list.remove(first), job, "the first of its address");
                            passwords += usize::from(lane == Lane::Password);
                            prop_assert!(passwords <= 1);
                            for ((waiting, from), since) in &mut passed {
                                if *waiting == lane && *from != job.1 {
                                    prop_assert!(!since.contains(&job.1), "{} was passed twice by {}", from, job.1);
                                    since.push(job.1);
                                }
                            }
                            passed.iter_mut().filter(|(who, _)| *who == (lane, job.1)).for_each(|(_, since)| since.clear());
                        }
                        None => prop_assert!(list.iter().all(|(lane, ..)| *lane == Lane::Password && passwords == 1)),
                    },
                    Step::Done if passwords == 1 => {
                        fair.done(Lane::Password);
                        passwords = 0;
                    }
                    Step::Done => {}
                }
                passed.retain(|(who, _)| list.iter().any(|(lane, from, _)| (*lane, *from) == *who));
                prop_assert_eq!(fair.is_empty(), list.is_empty());
                let shared = list.iter().filter(|(lane, ..)| *lane != Lane::Known).count();
                prop_assert!(shared <= MOST.in_all && list.len() - shared <= MOST.in_all);
            }
        }
    }
}
