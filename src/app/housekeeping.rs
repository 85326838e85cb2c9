//! Work of each second: overdue sessions end, expired Publish requests are refused, and a connection that was lost or is
//! back raises an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::health::{self, State};
use crate::logging;
use crate::model::ConnectionIx;
use crate::stack::codec::NodeIdRef;
use crate::ua::events::{Event, Fields, kinds};
use crate::ua::server::{OwnEvent, Server};
use crate::ua::session::Ending;
use crate::ua::space::Field;
use crate::ua::world::World;
use crate::value::{UaTime, Value};

/// A device that fell silent is urgent; that it is back is good to know.
const SEVERITY_LOST: u16 = 700;
const SEVERITY_BACK: u16 = 100;

pub(crate) async fn run(server: Arc<Server>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut states: BTreeMap<ConnectionIx, State> = BTreeMap::new();
    loop {
        tick.tick().await;
        logging::flush(false);
        let now = Instant::now();
        end_overdue_sessions(&server, now);
        wake_overdue_publishers(&server, now);
        if server.memory.take_short() {
            // One a second while it lasts: others need not wait for many that end.
            server.reclaim_memory();
        }
        report_connections(&server, &mut states);
    }
}

fn end_overdue_sessions(server: &Server, now: Instant) {
    for session in server.sessions.take_overdue(&server.world().limits, now) {
        let line = format_args!(
            "session {} `{}` of {} ends: no request within its timeout",
            session.id, session.name, session.peer
        );
        logging::limited(log::Level::Info, "session silent", Some(session.peer), line);
        server.totals.session_timeouts.fetch_add(1, Ordering::Relaxed);
        // Its subscriptions wait for a transfer until their lifetime is over.
        server.end_session(&session, false, &Ending::Timeout);
    }
}

fn wake_overdue_publishers(server: &Server, now: Instant) {
    for session in server.sessions.all() {
        let is_overdue = {
            let state = session.lock();
            state.publish.iter().any(|request| request.expires.is_some_and(|expires| expires <= now))
        };
        if is_overdue {
            session.wake();
        }
    }
}

/// Raises a DeviceFailureEvent when a connection is lost or its device falls silent, and when it is back (Part 5
/// §6.4.30, 1.05).
fn report_connections(server: &Server, known: &mut BTreeMap<ConnectionIx, State>) {
    let world = server.world();
    for link in &world.links {
        for ix in &link.connections {
            let Some(now) = link.of(*ix) else { continue };
            let was_up = known.insert(*ix, now.state).map_or(now.state, |known| known) == State::Connected;
            if was_up != (now.state == State::Connected) {
                report_connection(server, &world, *ix, &now);
            }
        }
    }
    known.retain(|ix, _| world.link_of(ix.0).is_some());
}

fn report_connection(server: &Server, world: &World, ix: ConnectionIx, now: &health::Snapshot) {
    let (space, plant) = (&world.space, &world.plant);
    let connection = &plant.connections[ix];
    let path = format!("@connections.{}", connection.name);
    let cell = &plant.cells[usize::from(connection.cell)];
    let index = space.namespaces().iter().position(|uri| *uri == cell.namespace);
    let index = index.and_then(|index| u16::try_from(index).ok()).unwrap_or_default();
    let Some(source) = space.find(NodeIdRef::string(index, &path)) else { return };
    let Some(kind) = space.standard_node(kinds::DEVICE_FAILURE) else { return };
    let message = match now.state {
        State::Connected => format!("{} is connected", connection.name),
        State::Silent => format!("{} is silent: {}", connection.name, now.last_error),
        _ => format!("{} is lost: {}", connection.name, now.last_error),
    };
    let event = Event {
        id: server.next_event_id(),
        kind,
        source,
        source_name: connection.name.clone(),
        time: UaTime::now(),
        message,
        severity: if now.state == State::Connected { SEVERITY_BACK } else { SEVERITY_LOST },
        fields: Fields::default(),
        per_viewer: None,
    };
    server.raise(world, &event);
}

/// Reports to clients with an event view that the server is about to stop (Part 5 §6.4.31, 1.05).
pub(crate) fn announce_shutdown(server: &Server, reason: &str) {
    let fields = Fields::default().with(Field::SystemState, Value::Int32(server.status.state()));
    let (message, severity) = (reason.to_owned(), SEVERITY_LOST);
    server.raise_own(OwnEvent { kind: kinds::SYSTEM_STATUS_CHANGE, message, severity, fields, per_viewer: None });
}
