//! A link as a driver opens it, by one of the two contracts.

use std::time::Duration;

use futures_util::future::BoxFuture;
use opcua::StatusCode;
use tokio::time::timeout;

use super::contract::{Exponent, LinkError};
use super::feed::Feed;
use super::poll::{AnyPoll, Planned, Poll};
use super::push::{AnyPush, Push};
use super::reading::PointError;
use crate::value::Value;

/// An opened driver: it asks, or its device sends by itself.
pub struct Link(pub(super) Way);

pub(super) enum Way {
    Poll(Box<dyn AnyPoll>),
    Push {
        push: Box<dyn AnyPush>,
        /// A write without an answer ends the link after this time.
        write_within: Duration,
    },
}

impl Link {
    pub fn poll<P: Poll>(driver: P) -> Link {
        Link(Way::Poll(Box::new(Planned::new(driver))))
    }

    pub fn push<P: Push>(driver: P) -> Link {
        Link(Way::Push { push: Box::new(driver), write_within: Duration::MAX })
    }

    /// Limits the time of one write of a pushing driver. A polling driver limits each request itself.
    pub(super) fn limit_writes(&mut self, limit: Duration) {
        if let Way::Push { write_within, .. } = &mut self.0 {
            *write_within = limit;
        }
    }
}

/// A link, and the points that its driver refuses: they are neither read nor written.
pub(super) struct Opened {
    pub link: Link,
    pub refused: Vec<(u32, PointError)>,
}

impl Way {
    pub(crate) fn connect(&mut self) -> BoxFuture<'_, Result<(), LinkError>> {
        match self {
            Way::Poll(poll) => poll.connect(),
            Way::Push { push, .. } => push.connect(),
        }
    }

    /// Time that `connect` may take at least.
    pub(crate) fn connect_within(&self) -> Duration {
        match self {
            Way::Poll(_) => Duration::ZERO,
            Way::Push { push, .. } => push.connect_within(),
        }
    }

    pub(crate) fn write<'a>(
        &'a mut self,
        point: u32,
        value: &'a Value,
        first: u32,
        feed: &'a Feed,
    ) -> BoxFuture<'a, Result<StatusCode, LinkError>> {
        match self {
            Way::Poll(poll) => poll.write(point, value, first),
            Way::Push { push, write_within: limit } => {
                let limit = *limit;
                Box::pin(async move {
                    let late = |_| LinkError::Timeout { waited_ms: limit.as_millis(), usable: false };
                    timeout(limit, push.write(point, value, first, feed)).await.map_err(late)?
                })
            }
        }
    }

    pub(crate) fn rewrite(&mut self, point: u32) -> BoxFuture<'_, Result<StatusCode, LinkError>> {
        match self {
            Way::Poll(poll) => poll.rewrite(point),
            Way::Push { .. } => Box::pin(async { Ok(StatusCode::GoodNoData) }),
        }
    }

    pub(crate) fn exponent(&mut self, point: u32) -> BoxFuture<'_, Result<Exponent, LinkError>> {
        match self {
            Way::Poll(poll) => poll.exponent(point),
            Way::Push { .. } => Box::pin(async { Ok(Exponent::Unknown(StatusCode::BadConfigurationError)) }),
        }
    }

    pub(crate) fn disconnect(&mut self) -> BoxFuture<'_, ()> {
        match self {
            Way::Poll(poll) => poll.disconnect(),
            Way::Push { push, .. } => push.disconnect(),
        }
    }

    pub(crate) fn remark(&mut self) -> Option<String> {
        match self {
            Way::Poll(poll) => poll.remark(),
            Way::Push { push, .. } => push.remark(),
        }
    }

    /// Takes over the connection of another driver; false when it cannot.
    pub(crate) fn adopt(&mut self, old: &mut Way) -> bool {
        match (self, old) {
            (Way::Poll(new), Way::Poll(old)) => new.adopt(&mut **old),
            (Way::Push { push: new, .. }, Way::Push { push: old, .. }) => new.adopt(&mut **old),
            _ => false,
        }
    }
}
