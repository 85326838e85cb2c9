//! The contract of a driver whose device sends by itself: it feeds samples as they come.

use std::any::Any;
use std::time::Duration;

use futures_util::future::BoxFuture;
use opcua::StatusCode;

use super::contract::LinkError;
use super::feed::Feed;
use crate::value::Value;

/// One link to a device, a broker or a server that sends values without being asked for each. Nothing here connects
/// again or logs: the supervisor does.
///
/// Points are indices into those of all connections that the link was opened with, in their order.
pub trait Push: Send + 'static {
    /// Opens the link and asks for the present values of all points that are read: until a point's first sample its tag
    /// shows that it waits. The samples may come before `connect` returns. A future that is dropped leaves the link closed.
    fn connect(&mut self) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Time that `connect` may take, where the connection's `timeout` is shorter: a protocol with several exchanges and
    /// private keys takes slow devices seconds.
    fn connect_within(&self) -> Duration {
        Duration::ZERO
    }

    /// Feeds the samples that come, and returns what ended the link. The supervisor drops the future for each write and
    /// calls `run` again: nothing that was received may be lost by that. A source that cannot be interrupted runs in a
    /// task or thread of the driver's own, with a clone of the feed; it ends in `disconnect`, and when the driver is
    /// dropped.
    fn run(&mut self, feed: &Feed) -> impl Future<Output = LinkError> + Send;

    /// Writes one point from element `first` on; the status is the device's, or GoodCompletesAsynchronously where the
    /// protocol has no answer. Never repeated. Samples that come meanwhile may be fed. The supervisor ends a write 1 s after
    /// the connection's `timeout`, and then opens the link again; a driver that can tell late answers apart returns a
    /// usable `Timeout` earlier.
    fn write(
        &mut self,
        point: u32,
        value: &Value,
        first: u32,
        feed: &Feed,
    ) -> impl Future<Output = Result<StatusCode, LinkError>> + Send;

    /// Closes the link; the caller bounds it.
    fn disconnect(&mut self) -> impl Future<Output = ()> + Send;

    /// A new remark about the link, to be logged once.
    fn remark(&mut self) -> Option<String> {
        None
    }

    /// Takes over from the driver that ran with other points, while neither runs: its open connection, and all that it has
    /// received or learned. Points are found by their tags; for the new ones it asks in the next `run`. That has a new feed:
    /// the old one takes samples no longer. False: the link is closed, and opened again by this one.
    fn adopt(&mut self, _old: &mut Self) -> bool
    where
        Self: Sized,
    {
        false
    }
}

/// A pushing driver as the supervisor sees it.
pub(super) trait AnyPush: Send {
    fn connect(&mut self) -> BoxFuture<'_, Result<(), LinkError>>;
    fn connect_within(&self) -> Duration;
    fn run<'a>(&'a mut self, feed: &'a Feed) -> BoxFuture<'a, LinkError>;
    fn write<'a>(
        &'a mut self,
        point: u32,
        value: &'a Value,
        first: u32,
        feed: &'a Feed,
    ) -> BoxFuture<'a, Result<StatusCode, LinkError>>;
    fn disconnect(&mut self) -> BoxFuture<'_, ()>;
    fn remark(&mut self) -> Option<String>;
    /// False also where the other is a driver of another kind.
    fn adopt(&mut self, old: &mut dyn AnyPush) -> bool;
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<P: Push> AnyPush for P {
    fn connect(&mut self) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(Push::connect(self))
    }

    fn connect_within(&self) -> Duration {
        Push::connect_within(self)
    }

    fn run<'a>(&'a mut self, feed: &'a Feed) -> BoxFuture<'a, LinkError> {
        Box::pin(Push::run(self, feed))
    }

    fn write<'a>(
        &'a mut self,
        point: u32,
        value: &'a Value,
        first: u32,
        feed: &'a Feed,
    ) -> BoxFuture<'a, Result<StatusCode, LinkError>> {
        Box::pin(Push::write(self, point, value, first, feed))
    }

    fn disconnect(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(Push::disconnect(self))
    }

    fn remark(&mut self) -> Option<String> {
        Push::remark(self)
    }

    fn adopt(&mut self, old: &mut dyn AnyPush) -> bool {
        old.as_any().downcast_mut::<P>().is_some_and(|old| Push::adopt(self, old))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
