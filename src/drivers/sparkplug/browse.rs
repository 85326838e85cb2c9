//! A listing of edge nodes: one collection of births, over a session of its own.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::Sparkplug;
use super::address::{Address, NodeId};
use super::births::{Birth, Scope};
use super::host::{Kind, Topic};
use super::listener::rebirth;
use super::proto::Payload;
use crate::drivers::broker::{Filters, Incoming, Session, is_refusal};
use crate::drivers::driver::ConnectionOf;
use crate::drivers::listing::{Listing, Start};
use crate::drivers::reading::ProbeError;

/// After the last birth another one may come within this time: an edge node takes its time for its devices.
const QUIET: Duration = Duration::from_secs(2);
/// A collection takes no longer.
const WITHIN: Duration = Duration::from_secs(12);
/// Edge nodes and devices.
const MOST_PARTS: usize = 10_000;
/// Bytes of all births.
const MOST_BYTES: usize = 256 << 20;

/// An edge node itself, or a device of it.
type Place = (NodeId, Option<String>);

pub(super) async fn browse(connection: ConnectionOf<'_, Sparkplug>, start: &Start) -> Result<Listing, ProbeError> {
    let failed = |text: String| ProbeError::Failed(text);
    let scope = Scope::of(start).map_err(|error| failed(format!("{}; {}", error.message, error.help)))?;
    let options = connection.settings.session().options(connection.plan);
    let within = options.timeout.max(Duration::from_secs(1));
    let opened = timeout(within, Session::open(&options, None)).await;
    let mut session = opened
        .map_err(|_| failed(format!("no session within {} ms", within.as_millis())))?
        .map_err(|error| failed(error.to_string()))?;
    let collected = collect(&mut session, connection, &scope).await;
    drop(timeout(within, session.close()).await);
    let births = collected?;
    let mut listing = Listing::default();
    for ((id, device), bytes) in &births {
        let Ok(payload) = Payload::read(bytes) else { continue };
        Birth { id, device: device.as_deref(), payload: &payload }.list(&scope, start, &mut listing);
    }
    match births.is_empty() {
        true => Err(failed("no edge node was born, though each was asked: does one publish there?".to_owned())),
        false => Ok(listing),
    }
}

/// The groups that are subscribed, and the nodes that are known before one of them is heard.
struct Known {
    filters: BTreeMap<String, u8>,
    nodes: HashSet<NodeId>,
}

impl Known {
    fn new(connection: ConnectionOf<'_, Sparkplug>, scope: &Scope) -> Known {
        let addresses = connection.plan.points.iter().filter_map(|point| Address::parse(&point.address).ok());
        let mut nodes: HashSet<NodeId> =
            addresses.map(|address| address.node).filter(|node| scope.has_node(node)).collect();
        nodes.extend(scope.node_id());
        let group = scope.group.as_deref().unwrap_or("+");
        let filter = match &scope.node {
            Some(node) => format!("{}/{group}/+/{node}/#", super::host::NAMESPACE),
            None => format!("{}/{group}/#", super::host::NAMESPACE),
        };
        Known { filters: BTreeMap::from([(filter, 0)]), nodes }
    }
}

async fn collect(
    session: &mut Session,
    connection: ConnectionOf<'_, Sparkplug>,
    scope: &Scope,
) -> Result<BTreeMap<Place, Vec<u8>>, ProbeError> {
    let Known { filters: wanted, nodes } = Known::new(connection, scope);
    let mut filters = Filters::default();
    filters.begin(wanted);
    filters.send(session);
    let (mut births, mut bytes): (BTreeMap<Place, Vec<u8>>, usize) = (BTreeMap::new(), 0);
    let (mut asked, mut to_ask) = (HashSet::new(), nodes);
    let mut is_subscribed = false;
    let end = Instant::now() + WITHIN.max(connection.plan.timeout);
    let mut until = end;
    loop {
        if is_subscribed {
            for id in to_ask.drain() {
                if asked.len() < MOST_PARTS && asked.insert(id.clone()) {
                    let (topic, payload) = rebirth(&id);
                    session.publish(&topic, &payload, 0, false);
                }
            }
        }
        let incoming = match timeout_at(until, session.next()).await {
            Err(_) => return Ok(births),
            Ok(incoming) => incoming.map_err(|error| ProbeError::Failed(error.to_string()))?,
        };
        match incoming {
            Incoming::Message { topic, payload, .. } => {
                let Some(Topic { id, kind, device }) = Topic::read(topic).filter(|of| scope.has_node(&of.id)) else {
                    continue;
                };
                let is_birth = matches!(kind, Kind::NodeBirth | Kind::DeviceBirth);
                if !asked.contains(&id) {
                    // It was there before: its devices come with its next birth.
                    to_ask.insert(id.clone());
                }
                if is_birth && scope.has(&id, device) && births.len() < MOST_PARTS && bytes < MOST_BYTES {
                    bytes += payload.len();
                    births.insert((id, device.map(str::to_owned)), payload.to_vec());
                    until = end.min(Instant::now() + QUIET);
                }
            }
            Incoming::Oversized { .. } => {}
            Incoming::Answer(answer) => {
                let codes = filters.answered(&answer).unwrap_or_default();
                if let Some(refused) = codes.iter().find(|one| is_refusal(one.code)) {
                    let why = format!("the broker refuses the subscription to {} (not authorized)", refused.filter);
                    return Err(ProbeError::Failed(why));
                }
                is_subscribed = true;
            }
        }
    }
}
