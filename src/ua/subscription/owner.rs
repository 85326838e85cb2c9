//! A session as its subscriptions see it.

use std::fmt::Debug;

use tokio::time::Instant;

use super::LastStatusChange;
use crate::ua::limits::Limits;

/// The session that a subscription belongs to. Its methods take the session's lock: call them without a
/// subscription's, for the order is session, then subscription.
pub trait Owner: Debug + Send + Sync {
    fn id(&self) -> u32;

    /// Notifies the connection that a message waits for one of the session's Publish requests.
    fn wake(&self);

    fn has_publish_requests(&self) -> bool;

    /// When it lost its connection; `None` while it has one.
    fn alone_since(&self) -> Option<Instant>;

    /// A subscription is no longer its own; the client gets `last` with its next Publish request.
    fn lose(&self, subscription: u32, last: Option<LastStatusChange>, limits: &Limits);
}
