//! Writes of clients: each once, with the device's answer.

use std::collections::HashSet;

use opcua::StatusCode;
use tokio::time::Instant;

use super::exchange::{Ask, Reply, Written};
use super::state::LinkState;
use super::{Stopped, Supervisor};
use crate::drivers::contract::LinkError;
use crate::model::{Origin, TagId};
use crate::tags::{Miss, Stamp, Write, WriteRequest, raw_of};
use crate::value::Value;

impl Supervisor {
    /// All writes of a request, each once. A request that waits for newer plans is put back. Returns the error that ends
    /// the link.
    pub(super) async fn write(&mut self, request: WriteRequest) -> Result<Option<LinkError>, Stopped> {
        if self.must_follow_first(&request) {
            self.state.requests.put_back(request);
            return Ok(None);
        }
        let mut statuses = Vec::with_capacity(request.writes.len());
        let mut broken = None;
        let mut done = HashSet::new();
        for write in &request.writes {
            if broken.is_some() {
                statuses.push(StatusCode::BadNoCommunication);
                continue;
            }
            if Instant::now() >= request.expires {
                statuses.push(StatusCode::BadTimeout);
                continue;
            }
            let written = self.write_one(write).await?;
            if written.status.is_good() {
                done.insert(self.state.read_tag(write.tag));
            }
            statuses.push(written.status);
            broken = written.error;
        }
        // Clients see the device's own value at once, not a poll later.
        if !done.is_empty() {
            self.state.schedule.read_again(&done);
        }
        // The client may have given up waiting.
        drop(request.reply.send(statuses));
        Ok(broken)
    }

    /// Whether a write of the request was checked against plans that the link does not follow yet: the present ones may
    /// have another register for its tag. A client can only have seen plans that were handed to all links before, so the
    /// update is there.
    pub(super) fn must_follow_first(&self, request: &WriteRequest) -> bool {
        request.writes.iter().any(|write| self.state.is_ahead(write)) && self.has_update()
    }

    async fn write_one(&mut self, write: &Write) -> Result<Written, Stopped> {
        match self.state.refusal(write) {
            Some(code) => Ok(code.into()),
            None => self.write_value(write).await,
        }
    }

    /// A write of one of the points, whatever became of its tag meanwhile.
    pub(super) async fn write_value(&mut self, write: &Write) -> Result<Written, Stopped> {
        let point = self.state.places[&write.tag];
        let raw = match self.raw_of(point, write).await? {
            Raw::Value(raw) => raw,
            Raw::None(written) => return Ok(written),
        };
        let written = match self.exchange(point, Ask::Value(&raw, write.first.unwrap_or(0))).await? {
            Reply::Written(written) => written,
            Reply::Exponent(_) => StatusCode::BadInternalError.into(),
        };
        if written.status.is_good() && !self.state.points[point as usize].read && write.first.is_none() {
            self.state.tags.show_written(&self.state.plant, write.tag, &write.value, Stamp::now());
        }
        Ok(written)
    }

    /// The raw value of a write, with the exponent that the device has now.
    async fn raw_of(&mut self, point: u32, write: &Write) -> Result<Raw, Stopped> {
        let mut exponent = None;
        if self.state.needs_exponent(point, write) {
            match self.exchange(point, Ask::Exponent).await? {
                Reply::Exponent(power) => exponent = Some(power),
                Reply::Written(written) => return Ok(Raw::None(written)),
            }
        }
        Ok(match self.state.to_raw(write, exponent) {
            Ok(raw) => Raw::Value(raw),
            Err(code) => Raw::None(code.into()),
        })
    }
}

impl LinkState {
    /// The tag that is read: of a part of a structure, the structure.
    fn read_tag(&self, tag: TagId) -> TagId {
        match self.plant.tag(tag).origin {
            Origin::Part { of, .. } => of,
            Origin::Device { .. } | Origin::Memory { .. } | Origin::Derived(_) => tag,
        }
    }

    /// The write was checked against newer plans than those of the points.
    fn is_ahead(&self, write: &Write) -> bool {
        write.revision > self.plant.revision
    }

    /// Why a client's write is not sent by the present plans.
    pub(super) fn refusal(&self, write: &Write) -> Option<StatusCode> {
        if self.is_ahead(write) {
            return Some(StatusCode::BadInvalidState);
        }
        match self.places.contains_key(&write.tag) {
            false => Some(LinkState::absent(&self.plant, write.tag)),
            true => self.tags.is_outdated(write).then_some(StatusCode::BadInvalidState),
        }
    }

    /// The value as the device wants it: scale and exponent undone, whole numbers where there is neither.
    pub(crate) fn to_raw(&self, write: &Write, exponent: Option<i8>) -> Result<Value, StatusCode> {
        raw_of(&self.plant, self.plant.tag(write.tag), &write.value, exponent)
    }

    /// Whether the raw value depends on the exponent that the device has now. Zero does not.
    pub(crate) fn needs_exponent(&self, point: u32, write: &Write) -> bool {
        let raw = |power| self.to_raw(write, Some(power));
        self.points[point as usize].exponent.is_some() && raw(0) != raw(1)
    }

    /// Refuses a write of which nothing was sent; BadTimeout would mean that its outcome is unknown.
    pub(crate) fn refuse(&self, request: WriteRequest) {
        let code = match self.why {
            Miss::Silent | Miss::Garbage | Miss::Busy => StatusCode::BadNoCommunication,
            why => why.code(),
        };
        let statuses = vec![code; request.writes.len()];
        drop(request.reply.send(statuses));
    }

    pub(crate) fn refuse_writes(&mut self, why: impl Fn(&Write) -> StatusCode) {
        while let Some(request) = self.requests.next_now() {
            let statuses = request.writes.iter().map(&why).collect();
            drop(request.reply.send(statuses));
        }
    }
}

/// The raw value of a write, or the end of the write.
enum Raw {
    Value(Value),
    None(Written),
}
