//! The listening sockets: bound early, served last; each connection is its own task.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::StartError;
use super::tasks::Tasks;
use crate::logging;
use crate::stack::channel::{Pace, neighbourhood};
use crate::stack::transport::Rate;
use crate::ua::connection::{self, ConnectionSlot};
use crate::ua::server::Server;

pub(crate) struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Bound {
    pub(crate) async fn open(addresses: &[SocketAddr]) -> Result<Bound, StartError> {
        let mut bound = Bound { listeners: Vec::new(), addresses: Vec::new() };
        for address in addresses {
            let failed = |source| StartError::Listen { address: *address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            bound.addresses.push(listener.local_addr().map_err(failed)?);
            bound.listeners.push(listener);
        }
        Ok(bound)
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From here on clients are answered.
    pub(crate) fn serve(self, server: &Arc<Server>, tasks: &mut Tasks, stop: &watch::Receiver<bool>) {
        let places = Arc::new(Places::new(server.limits.new_connections));
        for (listener, address) in self.listeners.into_iter().zip(self.addresses) {
            let accept = accept(listener, Arc::clone(server), tasks.clone(), stop.clone(), Arc::clone(&places));
            tasks.spawn(format!("listener {address}"), Box::pin(accept));
        }
    }
}

/// The connections, in the order of arrival.
struct Places {
    taken: Mutex<Vec<Taken>>,
    pace: Pace,
}

/// A place that a connection has: the network it comes from, and its slot.
struct Taken {
    host: IpAddr,
    slot: Arc<ConnectionSlot>,
}

/// One connection's place; it is free again when this is dropped.
struct Place {
    places: Arc<Places>,
    slot: Arc<ConnectionSlot>,
}

impl Places {
    fn new(rate: Rate) -> Places {
        Places { taken: Mutex::default(), pace: Pace::new(rate) }
    }

    /// A place for a new connection within the rate limit of its address. When all places are taken, a connection
    /// without a session is closed: the oldest one of the address that has most of them. So a flood takes only its
    /// own places, and a connection with a session keeps its place.
    fn take(self: &Arc<Places>, address: IpAddr, most: usize, most_of_address: usize) -> Option<Place> {
        let host = neighbourhood(address);
        if !self.pace.take(host, std::time::Instant::now()) {
            return None;
        }
        let mut taken = self.taken.lock();
        let own = taken.iter().filter(|place| place.host == host).count();
        let is_full = taken.len() >= most;
        if is_full || own >= most_of_address {
            let leaver = if own >= most_of_address { oldest_idle(&taken, host) } else { most_idle(&taken) };
            taken.remove(leaver?).slot.give_up();
        }
        let slot = Arc::new(ConnectionSlot::default());
        taken.push(Taken { host, slot: Arc::clone(&slot) });
        Some(Place { places: Arc::clone(self), slot })
    }
}

fn oldest_idle(taken: &[Taken], host: IpAddr) -> Option<usize> {
    taken.iter().position(|place| place.host == host && !place.slot.is_in_use())
}

fn most_idle(taken: &[Taken]) -> Option<usize> {
    let mut idle: HashMap<IpAddr, usize> = HashMap::new();
    let idle_places = taken.iter().filter(|place| !place.slot.is_in_use());
    idle_places.for_each(|place| *idle.entry(place.host).or_default() += 1);
    let most = idle.values().max().copied()?;
    taken.iter().position(|place| !place.slot.is_in_use() && idle.get(&place.host) == Some(&most))
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().retain(|place| !Arc::ptr_eq(&place.slot, &self.slot));
    }
}

async fn accept(
    listener: TcpListener,
    server: Arc<Server>,
    tasks: Tasks,
    mut stop: watch::Receiver<bool>,
    places: Arc<Places>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((socket, peer)) => admit(socket, peer, &server, &tasks, &stop, &places),
            Err(error) => {
                // Out of file descriptors: the next attempt would fail at once as well.
                let level = log::Level::Warn;
                logging::limited(level, "not accepted", None, format_args!("a connection cannot be accepted: {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

fn admit(
    socket: TcpStream,
    peer: SocketAddr,
    server: &Arc<Server>,
    tasks: &Tasks,
    stop: &watch::Receiver<bool>,
    places: &Arc<Places>,
) {
    let world = server.world();
    if !world.plan.admits(peer.ip()) {
        let line = format_args!("{peer} is refused: its address is not in `networks` of the server file");
        logging::limited(log::Level::Warn, "address not in networks", Some(peer.ip()), line);
        return;
    }
    let limits = &world.limits;
    let Some(place) = places.take(peer.ip(), limits.connections, limits.connections_per_address) else {
        let line = format_args!("{peer} is refused: too many connections");
        logging::limited(log::Level::Warn, "too many connections", Some(peer.ip()), line);
        return;
    };
    let (server, stop) = (Arc::clone(server), stop.clone());
    let task = async move {
        connection::serve(server, socket, peer, Arc::clone(&place.slot), stop).await;
        drop(place);
    };
    tasks.spawn(format!("client {peer}"), Box::pin(task));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_takes_its_own_places_and_a_connection_with_a_session_keeps_its_place() {
        let places = Arc::new(Places::new(Rate { per_second: 1_000, at_once: 1_000 }));
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut held = Vec::new();
        let mut take = |from: u8| {
            let place = places.take(address(from), 10, 8);
            place.map(|place| {
                held.push(place);
                Arc::clone(&held.last().expect("just added").slot)
            })
        };
        let works = |slot: &Arc<ConnectionSlot>| slot.set_in_use(true);
        let worker = take(1).expect("a place");
        works(&worker);
        let calm = take(2).expect("a place");
        let flood: Vec<_> = (0..20).map(|_| take(3).expect("its own oldest goes")).collect();
        let is_in = |slot: &Arc<ConnectionSlot>| places.taken.lock().iter().any(|taken| Arc::ptr_eq(&taken.slot, slot));
        assert!(is_in(&worker) && is_in(&calm));
        assert_eq!(flood.iter().filter(|slot| is_in(slot)).count(), 8);
        assert!(is_in(&flood[19]) && !is_in(&flood[0]), "the oldest goes first");
        let newcomer = take(4).expect("one of the flood goes");
        assert!(is_in(&newcomer) && is_in(&calm) && places.taken.lock().len() == 10);
        places.taken.lock().iter().for_each(|taken| works(&taken.slot));
        assert!(take(5).is_none(), "everybody works");
        drop(held);
        assert!(places.taken.lock().is_empty());
    }
}
