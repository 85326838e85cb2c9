//! The contract of a polling driver: it plans requests, and the supervisor decides when each is sent.

use std::any::Any;
use std::fmt::Debug;

use futures_util::future::BoxFuture;
use opcua::StatusCode;

use super::contract::{Answer, Exponent, LinkError, Samples};
use crate::value::Value;

/// One physical link: a socket or a serial line, maybe with several devices. One task owns it, so there are no locks.
/// Nothing here repeats a request, connects again or logs: the supervisor does.
///
/// Points are indices into those of all connections that the link was opened with, in their order.
pub trait Poll: Send + 'static {
    /// One request, in the protocol's own terms.
    type Request: Debug + Send + Sync;

    /// Groups points into requests. Pure, and the same each time until `wants_plan`.
    fn plan(&self, points: &[u32]) -> Vec<Ask<Self::Request>>;

    /// Two requests in place of one that the device refuses as a whole; `None` where it cannot be cut.
    fn split(&self, _request: &Self::Request) -> Option<[Ask<Self::Request>; 2]> {
        None
    }

    /// Opens the link. A future that is dropped leaves it closed.
    fn connect(&mut self) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// True once after a `connect` that negotiated limits on which the plan depends, as the size of a PDU.
    fn wants_plan(&mut self) -> bool {
        false
    }

    /// Sends one request and takes its reply. After its future was dropped the caller disconnects: a late reply must
    /// never be taken for that of the next request.
    fn read(
        &mut self,
        request: &Self::Request,
        round: Round,
        out: &mut Samples,
    ) -> impl Future<Output = Result<Answer, LinkError>> + Send;

    /// Writes one point from element `first` on; the status is the device's. Never repeated after it was sent, but a
    /// driver may try another function of the protocol while it doesn't know which one the device has.
    fn write(
        &mut self,
        point: u32,
        value: &Value,
        first: u32,
    ) -> impl Future<Output = Result<StatusCode, LinkError>> + Send;

    /// Writes again exactly what was last read from a point with `write_every` or written to it, in the device's own form;
    /// GoodNoData when nothing is known that may be written.
    fn rewrite(&mut self, _point: u32) -> impl Future<Output = Result<StatusCode, LinkError>> + Send {
        async { Ok(StatusCode::GoodNoData) }
    }

    /// The power of ten by which the device scales the point at this moment; asked right before a write.
    fn exponent(&mut self, _point: u32) -> impl Future<Output = Result<Exponent, LinkError>> + Send {
        async { Ok(Exponent::Unknown(StatusCode::BadConfigurationError)) }
    }

    /// Closes the link; the caller bounds it.
    fn disconnect(&mut self) -> impl Future<Output = ()> + Send;

    /// A new remark about the link, to be logged once.
    fn remark(&mut self) -> Option<String> {
        None
    }

    /// Takes over from the driver that ran with other points, between two requests: its open connection, and all that it has
    /// learned about the device. Points are found by their tags. False: the link is closed, and opened again by this one.
    fn adopt(&mut self, _old: &mut Self) -> bool
    where
        Self: Sized,
    {
        false
    }
}

/// A planned request and its points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<R> {
    /// The device that answers it, as an index into the link's connections.
    pub device: usize,
    /// Points that get their value, or a part of one, from the reply.
    pub points: Vec<u32>,
    pub request: R,
}

/// The reading of a class of points to which a request belongs: values of different rounds never meet in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Each round has its own.
    pub number: u64,
    /// Reads out of turn, as after a write; scans continue next to them.
    pub is_extra: bool,
}

/// A request of the link by its number; the supervisor plans with these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestIx(pub(super) u32);

/// A polling driver as the supervisor sees it, whatever its requests are.
pub(super) trait AnyPoll: Send {
    fn plan(&mut self, points: &[u32]) -> Vec<Ask<RequestIx>>;
    fn split(&mut self, request: RequestIx) -> Option<[Ask<RequestIx>; 2]>;
    /// Drops all requests, so that everything can be planned again.
    fn forget_plan(&mut self);
    fn wants_plan(&mut self) -> bool;
    fn connect(&mut self) -> BoxFuture<'_, Result<(), LinkError>>;
    fn read<'a>(
        &'a mut self,
        request: RequestIx,
        round: Round,
        out: &'a mut Samples,
    ) -> BoxFuture<'a, Result<Answer, LinkError>>;
    fn write<'a>(
        &'a mut self,
        point: u32,
        value: &'a Value,
        first: u32,
    ) -> BoxFuture<'a, Result<StatusCode, LinkError>>;
    fn rewrite(&mut self, point: u32) -> BoxFuture<'_, Result<StatusCode, LinkError>>;
    fn exponent(&mut self, point: u32) -> BoxFuture<'_, Result<Exponent, LinkError>>;
    fn disconnect(&mut self) -> BoxFuture<'_, ()>;
    fn remark(&mut self) -> Option<String>;
    /// False also where the other is a driver of another kind.
    fn adopt(&mut self, old: &mut dyn AnyPoll) -> bool;
    fn as_any(&mut self) -> &mut dyn Any;
}

/// A polling driver with its requests: they stay typed here, and have numbers outside.
pub(super) struct Planned<P: Poll> {
    poll: P,
    requests: Vec<P::Request>,
}

impl<P: Poll> Planned<P> {
    pub(crate) fn new(poll: P) -> Planned<P> {
        Planned { poll, requests: Vec::new() }
    }

    fn number(&mut self, ask: Ask<P::Request>) -> Ask<RequestIx> {
        let request = RequestIx(u32::try_from(self.requests.len()).expect("fewer requests than points, twice"));
        self.requests.push(ask.request);
        Ask { device: ask.device, points: ask.points, request }
    }
}

impl<P: Poll> AnyPoll for Planned<P> {
    fn plan(&mut self, points: &[u32]) -> Vec<Ask<RequestIx>> {
        let asks = self.poll.plan(points);
        asks.into_iter().map(|ask| self.number(ask)).collect()
    }

    fn split(&mut self, request: RequestIx) -> Option<[Ask<RequestIx>; 2]> {
        let halves = self.poll.split(&self.requests[request.0 as usize])?;
        Some(halves.map(|half| self.number(half)))
    }

    fn forget_plan(&mut self) {
        self.requests.clear();
    }

    fn wants_plan(&mut self) -> bool {
        self.poll.wants_plan()
    }

    fn connect(&mut self) -> BoxFuture<'_, Result<(), LinkError>> {
        Box::pin(self.poll.connect())
    }

    fn read<'a>(
        &'a mut self,
        request: RequestIx,
        round: Round,
        out: &'a mut Samples,
    ) -> BoxFuture<'a, Result<Answer, LinkError>> {
        Box::pin(self.poll.read(&self.requests[request.0 as usize], round, out))
    }

    fn write<'a>(
        &'a mut self,
        point: u32,
        value: &'a Value,
        first: u32,
    ) -> BoxFuture<'a, Result<StatusCode, LinkError>> {
        Box::pin(self.poll.write(point, value, first))
    }

    fn rewrite(&mut self, point: u32) -> BoxFuture<'_, Result<StatusCode, LinkError>> {
        Box::pin(self.poll.rewrite(point))
    }

    fn exponent(&mut self, point: u32) -> BoxFuture<'_, Result<Exponent, LinkError>> {
        Box::pin(self.poll.exponent(point))
    }

    fn disconnect(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.poll.disconnect())
    }

    fn remark(&mut self) -> Option<String> {
        self.poll.remark()
    }

    fn adopt(&mut self, old: &mut dyn AnyPoll) -> bool {
        old.as_any().downcast_mut::<Planned<P>>().is_some_and(|old| self.poll.adopt(&mut old.poll))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
