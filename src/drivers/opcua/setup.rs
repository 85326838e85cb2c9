//! Requests that are due on an open session: from its facts to its monitored items, Publish, and signs of life.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attributes::{Attribute, VALUE, write_read};
use super::client::{Client, Fed, KEEP_ALIVE, LOOK_AGAIN, QUIET, SURVIVES, Unsent, not_connected};
use super::items::{NewItem, Wanted, write_delete_items, write_items, write_subscription, write_transfer};
use super::login::millis;
use super::message::Head;
use super::pending::Purpose;
use super::publish::{Acknowledgement, write_publish, write_republish};
use super::resolve::Resolution;
use super::session::{Facts, Item, ItemState, Last, is_too_much};
use super::subscription::Subscription;
use super::view::{BrowsePath, write_translate};
use crate::drivers::contract::LinkError;
use crate::stack::codec::{NodeIdRef, Writer};
use crate::tags::RawSample;

/// Nodes of the Server object: namespaces, start, and the limits of Read, Translate and CreateMonitoredItems.
pub(super) const FACTS: [u32; 5] = [2255, 2257, 11705, 11712, 11714];
/// State of the server.
const STATE: u32 = 2259;
/// Publish requests that wait at the server, for each subscription.
const PUBLISHES: usize = 2;
/// Messages that are not taken yet, while a write waits; then no more are asked for.
const MOST_ARRIVED: usize = 64;
/// Longest time without a look at what is due.
const IDLE: Duration = Duration::from_secs(1);

pub(super) fn standard(id: u32) -> Vec<u8> {
    let mut out = Writer::new();
    out.node_id(NodeIdRef::numeric(0, id));
    out.buf
}

impl Client {
    /// Sends what is due; gives the time of the next look.
    pub(super) fn advance(&mut self, now: Instant) -> Result<Instant, LinkError> {
        if self.requests.first_end().is_some_and(|end| now >= end) {
            let waited = now.saturating_duration_since(self.line.as_ref().map_or(now, |line| line.heard));
            return Err(LinkError::Lost(format!("the server does not answer, for {} ms", waited.as_millis())));
        }
        if now >= self.look_again {
            self.look_for_absent(now);
        }
        if !self.is_settled && !self.requests.is_setting_up() {
            self.set_up(now)?;
        }
        self.ask_for_missing()?;
        self.publish()?;
        let alive = self.stay_alive(now)?;
        let patience = self.patience();
        let renewal = self.line.as_mut().ok_or_else(not_connected)?.keep_open(now, patience)?;
        let ends = [renewal, self.requests.first_end(), Some(alive), Some(self.look_again), Some(now + IDLE)];
        Ok(ends.into_iter().flatten().min().unwrap_or(now + IDLE))
    }

    /// Nodes that were absent may be there by now.
    pub(super) fn look_for_absent(&mut self, now: Instant) {
        self.look_again = now + LOOK_AGAIN;
        let Some(session) = &mut self.session else { return };
        let mut is_any = false;
        for item in &mut session.items {
            let Some(at) = item.point else { continue };
            item.state = match item.state {
                ItemState::Refused => ItemState::New,
                ItemState::Live(id) if item.last.as_ref().is_some_and(Last::has_no_node) => ItemState::Stale(id),
                _ => continue,
            };
            // Its path may lead to another node.
            let point = &mut self.points[at as usize];
            (point.resolution, point.node_type, is_any) = (None, None, true);
        }
        for point in self.points.iter_mut().filter(|point| matches!(point.resolution, Some(Resolution::Absent { .. })))
        {
            (point.resolution, is_any) = (None, true);
        }
        if is_any {
            // There may be new namespaces too.
            session.facts = Facts::Unknown;
            self.is_settled = false;
        }
    }

    /// The next step of the setup.
    fn set_up(&mut self, now: Instant) -> Result<(), LinkError> {
        loop {
            match self.next_step(now)? {
                Step::Sent => return Ok(()),
                Step::Done => {
                    self.is_settled = true;
                    return Ok(());
                }
                Step::Unsent(unsent) => self.not_sent(unsent)?,
            }
        }
    }

    fn next_step(&mut self, now: Instant) -> Result<Step, LinkError> {
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        if session.facts == Facts::Unknown {
            return Ok(self.ask_facts());
        }
        if std::mem::take(&mut session.is_heir) {
            return Ok(self.transfer());
        }
        if let Some(step) = self.resolve() {
            return Ok(step);
        }
        self.make_items(now);
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        if !session.useless.is_empty() {
            let ids = std::mem::take(&mut session.useless);
            return Ok(self.delete_subscriptions(ids).into());
        }
        if let Some(step) = self.subscribe() {
            return Ok(step);
        }
        if let Some(step) = self.create_items() {
            return Ok(step);
        }
        if let Some(step) = self.delete_items() {
            return Ok(step);
        }
        if let Some(step) = self.leave_empty() {
            return Ok(step);
        }
        Ok(self.read_again().unwrap_or(Step::Done))
    }

    fn ask_facts(&mut self) -> Step {
        let nodes = FACTS.map(standard);
        let patience = self.patience();
        let sent = self.send(Purpose::Facts, Some(patience), |out, head| {
            write_read(out, head, nodes.iter().map(|node| Attribute { node, id: VALUE }));
            Ok(())
        });
        sent.into()
    }

    fn transfer(&mut self) -> Step {
        let Some(session) = &self.session else { return Step::Done };
        let made = session.subscriptions.iter().enumerate().filter_map(|(place, one)| Some((place, one.made?.id)));
        let (places, ids): (Vec<usize>, Vec<u32>) = made.unzip();
        let patience = self.patience();
        let sent = self.send(Purpose::Transfer(places), Some(patience), |out, head| {
            write_transfer(out, head, &ids);
            Ok(())
        });
        sent.into()
    }

    /// Finds the nodes of points; asks the server where it must.
    fn resolve(&mut self) -> Option<Step> {
        let session = self.session.as_mut()?;
        for (at, point) in (0..).zip(&mut self.points) {
            let (None, Some(address)) = (&point.resolution, &point.address) else { continue };
            point.resolution = session.resolver.resolve(address);
            if let Some(Resolution::Absent { status, why }) = &point.resolution
                && point.plan.read
            {
                let why = format!("{}: {why}", point.plan.address);
                self.samples.push_back(Fed { point: at, sample: RawSample::from(Err(*status)).because(&why) });
            }
        }
        let asks = session.resolver.take(session.limits.translate);
        if asks.is_empty() {
            return None;
        }
        let patience = self.patience();
        let paths = asks.clone();
        let sent = self.send(Purpose::Translate(asks), Some(patience), |out, head| {
            write_translate(out, head, paths.iter().map(|ask| BrowsePath { start: &ask.start, names: &ask.names }));
            Ok(())
        });
        Some(sent.into())
    }

    /// An item for each point that is read and has a node, and a subscription for each interval. One that monitors another
    /// node than its point has now is left.
    pub(super) fn make_items(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        for (at, point) in (0..).zip(&mut self.points) {
            if let Some(item) = point.item.and_then(|item| session.items.get_mut(item as usize)) {
                if point.resolution.is_none() || point.node() == Some(&*item.node) {
                    continue;
                }
                item.leave();
                point.item = None;
            }
            let Some(Resolution::Node(node)) = &point.resolution else { continue };
            if !point.is_read() {
                continue;
            }
            let node = Arc::clone(node);
            let known = session.subscriptions.iter().position(|one| one.every == point.every);
            let subscription = known.unwrap_or_else(|| {
                session.subscriptions.push(Subscription::new(point.every, now));
                session.subscriptions.len() - 1
            });
            point.item = u32::try_from(session.items.len()).ok();
            session.items.push(Item {
                point: Some(at),
                node,
                subscription,
                state: ItemState::New,
                last: None,
                fed: session.epoch.wrapping_sub(1),
                held: None,
            });
        }
    }

    /// Makes the subscriptions that have items.
    fn subscribe(&mut self) -> Option<Step> {
        let session = self.session.as_ref()?;
        let has_items =
            |place: usize| session.items.iter().any(|item| item.subscription == place && item.state == ItemState::New);
        let place = (0..session.subscriptions.len())
            .find(|place| session.subscriptions[*place].made.is_none() && has_items(*place))?;
        let wanted = Wanted::new(session.subscriptions[place].every, KEEP_ALIVE, SURVIVES);
        let patience = self.patience();
        let sent = self.send(Purpose::Subscription(place), Some(patience), |out, head| {
            write_subscription(out, head, wanted);
            Ok(())
        });
        Some(sent.into())
    }

    fn create_items(&mut self) -> Option<Step> {
        let patience = self.patience();
        let session = self.session.as_mut()?;
        let is_new = |item: &Item| item.state == ItemState::New && item.point.is_some();
        let subscription = session.items.iter().find(|item| is_new(item))?.subscription;
        let id = session.subscriptions[subscription].made?.id;
        let most = session.limits.items;
        let mut places = Vec::new();
        let all = (0..).zip(&mut session.items);
        for (place, item) in all.filter(|(_, item)| is_new(item) && item.subscription == subscription).take(most) {
            item.state = ItemState::Asked;
            places.push(place);
        }
        let mut body = Writer::new();
        let session = self.session.as_ref()?;
        let new = places.iter().filter_map(|place| {
            let item = &session.items[*place as usize];
            let point = &self.points[item.point? as usize];
            Some(NewItem {
                node: &item.node,
                handle: session.handle(*place),
                sampling: point.plan.poll,
                queue: point.queue,
            })
        });
        let head = Head { token: &session.token, handle: 0, hint: patience };
        write_items(&mut body, head, id, new);
        let sent = self.send(Purpose::Items(places), Some(patience), |out, _| {
            out.raw(&body.buf);
            Ok(())
        });
        Some(sent.into())
    }

    /// Deletes the items of points that are gone, and those that are to be made again.
    pub(super) fn delete_items(&mut self) -> Option<Step> {
        let session = self.session.as_mut()?;
        let is_useless = |item: &Item| match item.state {
            ItemState::Live(_) => item.point.is_none(),
            ItemState::Stale(_) => true,
            _ => false,
        };
        let subscription = session.items.iter().find(|item| is_useless(item))?.subscription;
        let mut ids = Vec::new();
        let most = session.limits.items;
        let all = session.items.iter_mut().filter(|item| is_useless(item) && item.subscription == subscription);
        for item in all.take(most) {
            ids.extend(item.id());
            item.state = if item.point.is_some() { ItemState::New } else { ItemState::Gone };
        }
        let made = session.subscriptions[subscription].made?;
        let patience = self.patience();
        let sent = self.send(Purpose::DeleteItems(ids.len()), Some(patience), |out, head| {
            write_delete_items(out, head, made.id, &ids);
            Ok(())
        });
        Some(sent.into())
    }

    /// Deletes a subscription that has no items any longer.
    fn leave_empty(&mut self) -> Option<Step> {
        let session = self.session.as_mut()?;
        let has_items =
            |place: usize| session.items.iter().any(|item| item.subscription == place && item.state != ItemState::Gone);
        let place = (0..session.subscriptions.len())
            .find(|place| session.subscriptions[*place].made.is_some() && !has_items(*place))?;
        let id = session.subscriptions[place].made?.id;
        session.forget(place);
        Some(self.delete_subscriptions(vec![id]).into())
    }

    /// Reads the items that were there before the link was lost.
    fn read_again(&mut self) -> Option<Step> {
        let session = self.session.as_ref()?;
        let mut places = Vec::new();
        while places.len() < session.limits.read {
            let Some(place) = self.unread.pop_front() else { break };
            let item = session.items.get(place as usize);
            let is_live = item.is_some_and(|item| matches!(item.state, ItemState::Live(_)) && item.point.is_some());
            if is_live {
                places.push(place);
            }
        }
        if places.is_empty() {
            return None;
        }
        let nodes: Vec<Vec<u8>> = places.iter().map(|place| session.items[*place as usize].node.to_vec()).collect();
        let patience = self.patience();
        let sent = self.send(Purpose::Values(places), Some(patience), |out, head| {
            write_read(out, head, nodes.iter().map(|node| Attribute { node, id: VALUE }));
            Ok(())
        });
        Some(sent.into())
    }

    /// Messages that did not arrive are asked for again.
    fn ask_for_missing(&mut self) -> Result<(), LinkError> {
        let patience = self.patience();
        let count = self.session.as_ref().map_or(0, |session| session.subscriptions.len());
        for place in 0..count {
            let one = self.session.as_mut().and_then(|session| {
                let one = &mut session.subscriptions[place];
                let sequence = one.missing()?;
                Some(Acknowledgement { subscription: one.made?.id, sequence })
            });
            let Some(one) = one else { continue };
            let purpose = Purpose::Republish { subscription: one.subscription, sequence: one.sequence };
            let sent = self.send(purpose, Some(patience), |out, head| {
                write_republish(out, head, one);
                Ok(())
            });
            sent.map_err(|unsent| LinkError::Lost(format!("Republish cannot be sent ({})", unsent.code)))?;
        }
        Ok(())
    }

    /// Publish requests wait at the server, so that it can send at any time.
    fn publish(&mut self) -> Result<(), LinkError> {
        let Some(session) = &self.session else { return Ok(()) };
        if self.arrived.len() > MOST_ARRIVED {
            return Ok(());
        }
        let made = session.subscriptions.iter().filter(|one| one.made.is_some()).count();
        // A message that waits for an earlier one is kept here; more of them would only grow.
        let is_held = session.subscriptions.iter().any(Subscription::is_waiting);
        let wanted = if is_held { made } else { (made * PUBLISHES).min(session.publishes) };
        while self.requests.publishes < wanted {
            let Some(session) = &mut self.session else { return Ok(()) };
            let (received, generation) = (std::mem::take(&mut session.received), session.generation);
            let sent = self.send(Purpose::Publish { generation }, None, |out, head| {
                write_publish(out, head, &received);
                Ok(())
            });
            sent.map_err(|unsent| LinkError::Lost(format!("Publish cannot be sent ({})", unsent.code)))?;
        }
        Ok(())
    }

    /// A server that is silent is asked for its state; one whose subscription is silent has lost it.
    fn stay_alive(&mut self, now: Instant) -> Result<Instant, LinkError> {
        let timeout = self.config.timeout;
        let session = self.session.as_ref().ok_or_else(not_connected)?;
        let shortest = millis(1.0);
        let quiet = if session.timeout.is_zero() { QUIET } else { QUIET.min(session.timeout / 3).max(shortest) };
        let mut next = now + IDLE;
        for one in session.subscriptions.iter() {
            let Some(made) = one.made else { continue };
            let end = one.heard + made.keep_alive * 2 + timeout + QUIET;
            if now >= end {
                let silent = now.saturating_duration_since(one.heard);
                let text = format!("a subscription is silent, for {} ms", silent.as_millis());
                return Err(LinkError::Lost(text));
            }
            next = next.min(end);
        }
        let heard = self.line.as_ref().ok_or_else(not_connected)?.heard;
        let due = heard + quiet;
        if now < due || self.requests.has_question() {
            return Ok(next.min(due.max(now + shortest)));
        }
        let node = standard(STATE);
        let sent = self.send(Purpose::Alive, Some(timeout), |out, head| {
            write_read(out, head, std::iter::once(Attribute { node: &node, id: VALUE }));
            Ok(())
        });
        sent.map_err(|unsent| LinkError::Lost(format!("Read cannot be sent ({})", unsent.code)))?;
        Ok(next.min(now + timeout))
    }

    /// A request that is too large for the server is made smaller; any other that cannot be sent ends the link.
    pub(super) fn not_sent(&mut self, unsent: Unsent) -> Result<(), LinkError> {
        let Unsent { purpose, code } = unsent;
        if is_too_much(code) && self.make_smaller(purpose) {
            return Ok(());
        }
        Err(LinkError::Lost(format!("a request cannot be sent ({code})")))
    }

    /// Puts back what a request was about, and halves the next ones; false when it cannot be smaller.
    pub(super) fn make_smaller(&mut self, purpose: Purpose) -> bool {
        let Some(session) = &mut self.session else { return false };
        let halved = |count: usize| (count > 1).then_some(count / 2);
        match purpose {
            Purpose::Translate(asks) => {
                let Some(half) = halved(asks.len()) else { return false };
                session.limits.translate = half;
                session.resolver.put_back(asks);
            }
            Purpose::Items(places) => {
                let Some(half) = halved(places.len()) else { return false };
                session.limits.items = half;
                places.iter().for_each(|place| session.items[*place as usize].state = ItemState::New);
            }
            Purpose::Values(places) => {
                let Some(half) = halved(places.len()) else { return false };
                session.limits.read = half;
                places.into_iter().rev().for_each(|place| self.unread.push_front(place));
            }
            _ => return false,
        }
        self.is_settled = false;
        true
    }
}

/// A step of the setup.
pub(super) enum Step {
    Sent,
    Done,
    Unsent(Unsent),
}

impl From<Result<u32, Unsent>> for Step {
    fn from(sent: Result<u32, Unsent>) -> Step {
        match sent {
            Ok(_) => Step::Sent,
            Err(unsent) => Step::Unsent(unsent),
        }
    }
}
