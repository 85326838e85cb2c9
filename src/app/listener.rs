//! The listening sockets: taken early, served last; each connection a task of its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::StartError;
use super::tasks::Tasks;
use crate::model::Network;
use crate::stack::channel::{Pace, neighbourhood};
use crate::stack::transport::Rate;
use crate::ua::connection;
use crate::ua::server::Server;

pub struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Bound {
    pub async fn open(addresses: &[SocketAddr]) -> Result<Bound, StartError> {
        let mut bound = Bound { listeners: Vec::new(), addresses: Vec::new() };
        for address in addresses {
            let failed = |source| StartError::Listen { address: *address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            bound.addresses.push(listener.local_addr().map_err(failed)?);
            bound.listeners.push(listener);
        }
        Ok(bound)
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From here on clients are answered.
    pub fn serve(self, server: &Arc<Server>, tasks: &mut Tasks, stop: &watch::Receiver<bool>) {
        let places = Arc::new(Places::new(server.limits.new_connections));
        for (listener, address) in self.listeners.into_iter().zip(self.addresses) {
            let accept = accept(listener, Arc::clone(server), tasks.clone(), stop.clone(), Arc::clone(&places));
            tasks.spawn(format!("listener {address}"), Box::pin(accept));
        }
    }
}

/// Connections by address; IPv6 by the network of one host.
struct Places {
    taken: Mutex<HashMap<IpAddr, usize>>,
    pace: Pace,
}

/// One connection's place; it is free again when this is dropped.
struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    fn new(rate: Rate) -> Places {
        Places { taken: Mutex::default(), pace: Pace::new(rate) }
    }

    fn take(self: &Arc<Places>, address: IpAddr, server: &Server) -> Option<Place> {
        let address = neighbourhood(address);
        if !self.pace.take(address, std::time::Instant::now()) {
            return None;
        }
        let mut taken = self.taken.lock();
        let total: usize = taken.values().sum();
        let own = taken.entry(address).or_default();
        if total >= server.limits.connections || *own >= server.limits.connections_per_address {
            return None;
        }
        *own += 1;
        Some(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(own) = taken.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.address);
            }
        }
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
                log::warn!("a connection could not be accepted: {error}");
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
    if !is_allowed(peer.ip(), &server.plan.networks) {
        log::debug!("{peer} is not in `networks` and is not answered");
        return;
    }
    let Some(place) = places.take(peer.ip(), server) else {
        log::debug!("{peer} is turned away: too many connections");
        return;
    };
    let (server, stop) = (Arc::clone(server), stop.clone());
    let task = async move {
        connection::serve(server, socket, peer, stop).await;
        drop(place);
    };
    tasks.spawn(format!("client {peer}"), Box::pin(task));
}

fn is_allowed(peer: IpAddr, networks: &[Network]) -> bool {
    networks.is_empty() || networks.iter().any(|network| network.holds(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_networks_may_connect() {
        let networks = ["10.1.0.0/16", "fd00::/8"].map(|text| Network::parse(text).expect("a network"));
        for (peer, allowed) in
            [("10.1.2.3", true), ("10.2.0.1", false), ("::ffff:10.1.9.9", true), ("fd12::1", true), ("fe80::1", false)]
        {
            assert_eq!(is_allowed(peer.parse().expect("an address"), &networks), allowed, "{peer}");
        }
        assert!(is_allowed("192.0.2.1".parse().expect("an address"), &[]));
    }
}
