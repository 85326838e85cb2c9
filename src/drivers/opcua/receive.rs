//! Responses, each handled by the purpose of its request.

use std::time::Instant;

use opcua::StatusCode;

use super::attributes::read_values;
use super::client::{Client, Fed, not_connected};
use super::items::{MadeItem, read_deleted, read_items, read_subscription, read_transferred};
use super::message::{DELETE_ITEMS, DELETE_SUBSCRIPTIONS, Fault, Service};
use super::pending::Purpose;
use super::publish::{Acknowledgement, Arrived, Said, read_published, read_republished};
use super::resolve::{Ask, Resolver};
use super::sample::sample;
use super::session::{Facts, Held, ItemState, Last, Limits, Session, garbage, is_session_gone, is_too_much};
use super::setup::FACTS;
use super::view::read_translated;
use crate::drivers::contract::LinkError;
use crate::stack::codec::DataValue;
use crate::tags::RawSample;
use crate::value::{Elements, Value};

/// Messages after which a value that was read is believed, though no notification told it.
const MESSAGES: u8 = 2;
/// Acknowledgements that wait for the next Publish request.
const MOST_RECEIVED: usize = 10_000;

/// Bytes of messages that are taken at once.
const SLICE: usize = 256 * 1024;

/// Body of a response, or why the server gave up on it.
type Body<'a> = Result<&'a [u8], StatusCode>;

fn read<T>(body: Body<'_>, read: impl FnOnce(&[u8]) -> Result<T, Fault>) -> Result<T, Fault> {
    body.map_err(Fault::Refused).and_then(read)
}

impl Client {
    pub(super) fn answered(&mut self, purpose: Purpose, body: Body<'_>) -> Result<(), LinkError> {
        match purpose {
            Purpose::Asked => Ok(()),
            Purpose::Publish { generation } => self.published(generation, body),
            Purpose::Republish { subscription, sequence } => self.republished(subscription, sequence, body),
            Purpose::Alive => match read(body, |body| read_values(body, 1)) {
                // Any answer is a sign of life.
                Ok(_) => Ok(()),
                Err(Fault::Refused(code)) if !is_session_gone(code) => Ok(()),
                Err(fault) => self.refused("Read", fault),
            },
            Purpose::Facts => match read(body, |body| read_values(body, FACTS.len())) {
                Ok(values) => self.facts(&values),
                Err(fault) => self.refused("Read", fault),
            },
            Purpose::Transfer(places) => {
                self.transferred(&places, read(body, |body| read_transferred(body, places.len())))
            }
            Purpose::Translate(asks) => self.translated(asks, body),
            Purpose::Subscription(place) => match read(body, read_subscription) {
                Ok(made) => {
                    let now = Instant::now();
                    let session = self.session.as_mut().ok_or_else(not_connected)?;
                    session.subscriptions[place].made(made, now);
                    Ok(())
                }
                Err(fault) => self.refused("CreateSubscription", fault),
            },
            Purpose::Items(places) => self.items(places, body),
            Purpose::DeleteItems(count) => self.deleted(DELETE_ITEMS, count, body),
            Purpose::DeleteSubscriptions(count) => self.deleted(DELETE_SUBSCRIPTIONS, count, body),
            Purpose::Values(places) => self.values(places, body),
        }
    }

    /// A service that fails for all: the session, or the link, is of no use.
    fn refused(&mut self, service: &str, fault: Fault) -> Result<(), LinkError> {
        match fault {
            Fault::Garbage(code) => Err(garbage(service, code)),
            Fault::Refused(code) => {
                if is_session_gone(code) {
                    // Its subscriptions may be there yet.
                    return Err(LinkError::Lost(format!("the server closed the session ({code})")));
                }
                Err(LinkError::Lost(format!("the server refuses {service} ({code})")))
            }
        }
    }

    pub(super) fn facts(&mut self, values: &[DataValue]) -> Result<(), LinkError> {
        let [namespaces, started, reads, translates, items] = values else {
            return Err(garbage("Read", StatusCode::BadUnknownResponse));
        };
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        let started = match started.value {
            Some(Value::DateTime(time)) => Some(time),
            _ => None,
        };
        let is_other = session.started.is_some() && session.started != started;
        if is_other && !session.is_heir {
            // The number of the session may be another client's by now.
            self.forget_session();
            return Err(LinkError::Lost("the server was started again".to_owned()));
        }
        if session.is_heir && (is_other || started.is_none()) {
            // Subscriptions with these numbers may be another client's.
            session.is_heir = false;
            session.forget_all();
        }
        session.started = started;
        session.limits = Limits {
            read: session.limits.read.min(Limits::of(reads)),
            translate: session.limits.translate.min(Limits::of(translates)),
            items: session.limits.items.min(Limits::of(items)),
        };
        let names = match &namespaces.value {
            Some(Value::Array(array)) => match &array.elements {
                Elements::String(names) => names.iter().map(|name| name.to_string()).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        session.resolver = Resolver::new(names);
        session.facts = Facts::Known;
        Ok(())
    }

    fn transferred(&mut self, places: &[usize], answer: Result<Vec<StatusCode>, Fault>) -> Result<(), LinkError> {
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        match answer {
            Ok(all) => {
                for (place, status) in places.iter().zip(all) {
                    if status.is_bad() {
                        session.forget(*place);
                    }
                }
                Ok(())
            }
            Err(Fault::Refused(code)) if !is_session_gone(code) => {
                places.iter().for_each(|place| session.forget(*place));
                Ok(())
            }
            Err(fault) => self.refused("TransferSubscriptions", fault),
        }
    }

    fn translated(&mut self, asks: Vec<Ask>, body: Body<'_>) -> Result<(), LinkError> {
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        match read(body, |body| read_translated(body, asks.len(), &session.resolver.namespaces)) {
            Ok(all) => {
                asks.iter().zip(all).for_each(|(ask, targets)| session.resolver.answered(ask, targets));
                Ok(())
            }
            Err(Fault::Refused(code)) if !is_session_gone(code) => {
                let purpose = Purpose::Translate(asks.clone());
                if is_too_much(code) && self.make_smaller(purpose) {
                    return Ok(());
                }
                let session = self.session.as_mut().ok_or_else(not_connected)?;
                session.resolver.refused(&asks, code);
                Ok(())
            }
            Err(fault) => self.refused("TranslateBrowsePathsToNodeIds", fault),
        }
    }

    fn items(&mut self, places: Vec<u32>, body: Body<'_>) -> Result<(), LinkError> {
        match read(body, |body| read_items(body, places.len())) {
            Ok(all) => {
                places.iter().zip(all).for_each(|(place, made)| self.item(*place, made));
                Ok(())
            }
            Err(Fault::Refused(code)) if code == StatusCode::BadSubscriptionIdInvalid => {
                let session = self.session.as_mut().ok_or_else(not_connected)?;
                if let Some(place) = places.first() {
                    let subscription = session.items[*place as usize].subscription;
                    session.forget(subscription);
                }
                Ok(())
            }
            Err(Fault::Refused(code)) if is_too_much(code) => {
                let count = places.len();
                match self.make_smaller(Purpose::Items(places)) {
                    true => Ok(()),
                    false => Err(LinkError::Lost(format!("the server refuses {count} item ({code})"))),
                }
            }
            Err(fault) => self.refused("CreateMonitoredItems", fault),
        }
    }

    fn item(&mut self, place: u32, made: MadeItem) {
        let Some(session) = &mut self.session else { return };
        let item = &mut session.items[place as usize];
        if !made.status.is_bad() {
            item.state = ItemState::Live(made.id);
            return;
        }
        item.state = if item.point.is_some() { ItemState::Refused } else { ItemState::Gone };
        let Some(at) = item.point else { return };
        let plan = &self.points[at as usize].plan;
        let why = format!("{}: the server answers {}", plan.address, made.status);
        self.samples.push_back(Fed { point: at, sample: RawSample::from(Err(made.status)).because(&why) });
    }

    fn deleted(&mut self, service: Service, count: usize, body: Body<'_>) -> Result<(), LinkError> {
        match read(body, |body| read_deleted(body, service, count)) {
            Err(Fault::Garbage(code)) => Err(garbage("a delete request", code)),
            Err(Fault::Refused(code)) if is_session_gone(code) => {
                self.refused("a delete request", Fault::Refused(code))
            }
            // It is gone already.
            Ok(()) | Err(Fault::Refused(_)) => Ok(()),
        }
    }

    fn values(&mut self, places: Vec<u32>, body: Body<'_>) -> Result<(), LinkError> {
        match read(body, |body| read_values(body, places.len())) {
            Ok(values) => {
                let reads = places.into_iter().zip(values);
                self.arrived.extend(reads.map(|(place, value)| Arrived::Read { place, value }));
                Ok(())
            }
            Err(Fault::Refused(code)) if is_too_much(code) => match self.make_smaller(Purpose::Values(places)) {
                true => Ok(()),
                false => Err(LinkError::Lost(format!("the server refuses to read one node ({code})"))),
            },
            Err(fault) => self.refused("Read", fault),
        }
    }

    /// A value that was read after the link was lost. One that differs from the last is told by a notification too, which
    /// may be on its way with others before it: it keeps its place in their order.
    fn value(&mut self, place: u32, value: DataValue) {
        let Some(session) = &mut self.session else { return };
        let epoch = session.epoch;
        let item = &mut session.items[place as usize];
        if item.fed == epoch || item.point.is_none() {
            return;
        }
        if item.last.as_ref().is_none_or(|last| last.is(&value)) {
            self.take(place as usize, value);
        } else {
            item.held = Some(Held { value, messages: MESSAGES });
        }
    }

    /// Feeds a value of an item, unless it is the one that was fed last on this connection.
    fn take(&mut self, place: usize, value: DataValue) {
        let Some(session) = &mut self.session else { return };
        let item = &mut session.items[place];
        let Some(at) = item.point else { return };
        if item.fed == session.epoch && item.last.as_ref().is_some_and(|last| last.is(&value)) {
            return;
        }
        item.last = Some(Last::of(&value));
        (item.fed, item.held) = (session.epoch, None);
        let sample = sample(&self.points[at as usize].plan, value);
        self.samples.push_back(Fed { point: at, sample });
    }

    fn published(&mut self, generation: u32, body: Body<'_>) -> Result<(), LinkError> {
        let published = match body.map_err(Fault::Refused).and_then(read_published) {
            Ok(published) => published,
            Err(Fault::Garbage(code)) => return Err(garbage("Publish", code)),
            Err(Fault::Refused(code)) => return self.publish_refused(generation, code),
        };
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        let id = published.subscription;
        let Some(place) = session.place_of(id) else {
            // Made by a request whose answer was lost, or deleted since.
            if !session.useless.contains(&id) && session.useless.len() < session.subscriptions.len() + 8 {
                session.useless.push(id);
                self.is_settled = false;
            }
            return Ok(());
        };
        session.subscriptions[place].heard = Instant::now();
        let message = published.message;
        if message.is_keep_alive {
            session.subscriptions[place].keep_alive(message.sequence);
        } else {
            if session.received.len() < MOST_RECEIVED {
                session.received.push(Acknowledgement { subscription: id, sequence: message.sequence });
            }
            let arrived = &mut self.arrived;
            session.subscriptions[place]
                .message(message.sequence, message.bytes, &mut |_, bytes| arrived.push_back(Arrived::of(place, bytes)));
        }
        if !published.has_more {
            self.arrived.push_back(Arrived::End { place });
        }
        Ok(())
    }

    fn publish_refused(&mut self, generation: u32, code: StatusCode) -> Result<(), LinkError> {
        let outstanding = self.requests.publishes;
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        match code {
            StatusCode::BadTooManyPublishRequests if outstanding > 0 => {
                session.publishes = outstanding;
                Ok(())
            }
            StatusCode::BadNoSubscription => {
                if session.generation == generation {
                    session.forget_all();
                    self.is_settled = false;
                }
                Ok(())
            }
            // It waited too long at the server.
            StatusCode::BadTimeout => Ok(()),
            code => self.refused("Publish", Fault::Refused(code)),
        }
    }

    fn republished(&mut self, id: u32, sequence: u32, body: Body<'_>) -> Result<(), LinkError> {
        let session = self.session.as_mut().ok_or_else(not_connected)?;
        let Some(place) = session.place_of(id) else { return Ok(()) };
        let arrived = &mut self.arrived;
        let mut take = |_: u32, bytes: &[u8]| arrived.push_back(Arrived::of(place, bytes));
        match body.map_err(Fault::Refused).and_then(read_republished) {
            Ok(message) => {
                if session.received.len() < MOST_RECEIVED {
                    session.received.push(Acknowledgement { subscription: id, sequence: message.sequence });
                }
                let one = &mut session.subscriptions[place];
                one.republished(message.sequence, message.bytes, &mut take);
            }
            Err(Fault::Refused(code)) if !is_session_gone(code) => {
                if code == StatusCode::BadSubscriptionIdInvalid {
                    session.forget(place);
                    self.is_settled = false;
                    return Ok(());
                }
                session.subscriptions[place].unavailable(sequence, &mut take);
            }
            Err(fault) => return self.refused("Republish", fault),
        }
        self.tell_lost(place);
        Ok(())
    }

    fn tell_lost(&mut self, place: usize) {
        let lost = self.session.as_mut().map_or(0, |session| session.subscriptions[place].take_lost());
        if lost > 0 {
            self.note(format!("{lost} messages of the server are lost: it did not keep them while the link was down"));
        }
    }

    /// Takes what arrived, at most `most` values or about `SLICE` bytes; true if there is more.
    pub(super) fn take_some(&mut self, most: usize) -> Result<bool, LinkError> {
        let mut bytes = 0;
        for _ in 0..most {
            let Some(first) = self.arrived.pop_front() else { return Ok(false) };
            match first {
                Arrived::Read { place, value } => self.value(place, value),
                Arrived::End { place } => self.release_held(place),
                Arrived::Message { place, mut notifications } => {
                    let start = notifications.position();
                    // A message with a fault is not put back.
                    let said = notifications.next().map_err(|code| garbage("Publish", code))?;
                    bytes += notifications.position() - start;
                    if let Some(said) = said {
                        self.arrived.push_front(Arrived::Message { place, notifications });
                        self.notified(place, said);
                    }
                }
            }
            if bytes > SLICE {
                break;
            }
        }
        Ok(!self.arrived.is_empty())
    }

    fn notified(&mut self, place: usize, said: Said) {
        match said {
            Said::Value { handle, value } => {
                if let Some(at) = self.session.as_ref().and_then(|session| session.place_of_handle(handle)) {
                    self.take(at, value);
                }
            }
            Said::Ended(code) => {
                let is_end = code.is_bad() || code == StatusCode::GoodSubscriptionTransferred;
                if let (true, Some(session)) = (is_end, &mut self.session) {
                    session.forget(place);
                    self.unread_of(place);
                    self.is_settled = false;
                }
            }
        }
    }

    /// The items of a subscription are read once it was made again.
    fn unread_of(&mut self, place: usize) {
        let Some(Session { items, .. }) = &self.session else { return };
        let of = (0..).zip(items).filter(|(_, item)| item.subscription == place).map(|(at, _)| at);
        self.unread = of.collect();
    }

    /// Values that were read and that no notification told.
    fn release_held(&mut self, place: usize) {
        let Some(session) = &mut self.session else { return };
        let mut due = Vec::new();
        for (at, item) in session.items.iter_mut().enumerate().filter(|(_, item)| item.subscription == place) {
            let Some(held) = &mut item.held else { continue };
            held.messages = held.messages.saturating_sub(1);
            if held.messages == 0 {
                due.extend(item.held.take().map(|held| Due { at, value: held.value }));
            }
        }
        for Due { at, value } in due {
            self.take(at, value);
        }
    }
}

struct Due {
    at: usize,
    value: DataValue,
}
