//! The end of a link: the writes that still wait, then the values of `on_stop`, then the connection is closed.
//!
//! An output is written even when the link is down at that moment: it is opened once more. The result of each one is
//! reported, so that an output that is still on is not taken for off.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::{Instant, timeout, timeout_at};

use super::state::LinkState;
use super::{CLOSE_WITHIN, Supervisor};
use crate::drivers::contract::{Exponent, LinkError};
use crate::drivers::link::Way;
use crate::health;
use crate::model::{ConnectionIx, TagId};
use crate::tags::{Write, WriteRequest};
use crate::value::{UaTime, Value};

/// From stop until all values are written, at the most: no output is given up while devices answer. A silent
/// device costs the time of one write.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Of that, for writes of clients that were accepted before the stop.
const CLIENTS_WITHIN: Duration = Duration::from_millis(500);

/// Report on one value of `on_stop`.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub tag: TagId,
    /// Cell and path of the tag, which may be gone.
    pub name: String,
    pub value: Value,
    /// Why it was not written.
    pub result: Result<(), String>,
}

impl Supervisor {
    /// Writes the values of `on_stop`, reports them, and closes the link. Plans that it does not follow yet count: tags that
    /// they leave out come first; a link that has no place in them leaves all others as they are.
    pub(super) async fn finish(&mut self) {
        self.state.requests.close();
        let deadline = Instant::now() + STOP_WITHIN;
        let update = self.newest();
        let health = Arc::clone(update.as_ref().map_or(&self.state.health, |update| &update.health));
        if let Some(update) = update.as_ref().filter(|update| update.connections.is_empty()) {
            self.state.refuse_writes(|write| LinkState::absent(&update.plant, write.tag));
            let outputs = self.leaving(update);
            self.write_outputs(outputs, deadline).await;
        } else {
            self.finish_clients().await;
            if let Some(update) = update {
                let outputs = self.leaving(&update);
                self.write_outputs(outputs, deadline).await;
                self.install(&update).await;
                self.finish_clients().await;
            }
            let written = self.write_outputs(self.state.on_stop(), deadline).await;
            if self.state.connected.is_some() {
                self.read_back(&written, deadline).await;
            }
        }
        self.close().await;
        health.lost(health::State::Stopped, false, UaTime::now());
    }

    async fn close(&mut self) {
        self.state.connected = None;
        drop(timeout(CLOSE_WITHIN, self.way.disconnect()).await);
    }

    /// Sends the writes of clients up to the first one that waits for newer plans. A closed link refuses them.
    async fn finish_clients(&mut self) {
        if self.state.connected.is_some() && timeout(CLIENTS_WITHIN, self.finish_requests()).await.is_err() {
            // A write that was interrupted leaves its reply on the line.
            self.close().await;
        }
        if self.state.connected.is_none() {
            self.state.refuse_writes(|_| StatusCode::BadShutdown);
        }
    }

    async fn finish_requests(&mut self) {
        while let Some(request) = self.state.requests.next_now() {
            if self.must_follow_first(&request) {
                self.state.requests.put_back(request);
                return;
            }
            if self.finish_request(request).await.is_err() {
                self.close().await;
                return;
            }
        }
    }

    async fn finish_request(&mut self, request: WriteRequest) -> Result<(), LinkError> {
        let mut statuses = Vec::new();
        for write in &request.writes {
            statuses.push(match self.state.refusal(write) {
                Some(code) => code,
                None => self.write_last(write).await?,
            });
        }
        drop(request.reply.send(statuses));
        Ok(())
    }

    async fn write_last(&mut self, write: &Write) -> Result<StatusCode, LinkError> {
        let point = self.state.places[&write.tag];
        let exponent = match self.state.needs_exponent(point, write) {
            true => match self.way.exponent(point).await? {
                Exponent::Power(exponent) => Some(exponent),
                Exponent::Unknown(code) => return Ok(code),
            },
            false => None,
        };
        match self.state.to_raw(write, exponent) {
            Ok(raw) => self.way.write(point, &raw, write.first.unwrap_or(0), &self.state.feed).await,
            Err(code) => Ok(code),
        }
    }

    /// Reads the written values, so that clients and history see the last state of the devices.
    async fn read_back(&mut self, written: &HashSet<TagId>, deadline: Instant) {
        let Way::Poll(poll) = &mut self.way else { return };
        self.state.schedule.read_again(written);
        while let Some(at) = self.state.schedule.next_again(Instant::now()) {
            let item = self.state.schedule.item(at);
            self.samples.clear();
            match timeout_at(deadline, poll.read(item.request, item.round, &mut self.samples)).await {
                Ok(Ok(answer)) => self.state.answer(at, answer, &self.samples, &mut |request| poll.split(request)),
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    fn is_silent(&self, tag: TagId) -> bool {
        let connection = self.state.plant.tag(tag).connection();
        let device = self.connections.iter().position(|plan| Some(plan.ix) == connection);
        device.is_some_and(|device| self.state.schedule.is_silent(device))
    }

    /// Writes each output and returns those that were written. A device that stays silent costs the time of one write, not
    /// that of each of its outputs.
    async fn write_outputs(&mut self, mut outputs: Vec<Write>, deadline: Instant) -> HashSet<TagId> {
        let mut written = HashSet::new();
        let mut failures = Failures::default();
        // Devices that answer do not wait for those that do not.
        outputs.sort_by_key(|write| self.is_silent(write.tag));
        for write in outputs {
            let device = self.state.plant.tag(write.tag).connection();
            let result = match failures.known(device) {
                Some(why) => Err(why),
                None if Instant::now() >= deadline => {
                    Err(format!("it was not asked: the {} s of the stop were over", STOP_WITHIN.as_secs()))
                }
                None => match timeout_at(deadline, self.write_output(&write)).await {
                    Ok(result) => result,
                    Err(_) => {
                        self.close().await;
                        Err(Failure::Silent(format!("not answered within the {} s of the stop", STOP_WITHIN.as_secs())))
                    }
                }
                .map_err(|failure| failures.note(device, failure)),
            };
            if result.is_ok() {
                written.insert(write.tag);
            }
            self.report(write, result);
        }
        written
    }

    /// One output. An output is a state and no command: when the connection breaks under it, it is written once more.
    async fn write_output(&mut self, write: &Write) -> Result<(), Failure> {
        let mut is_new = self.state.connected.is_none();
        loop {
            if self.state.connected.is_none() {
                self.close().await;
                self.way.connect().await.map_err(|error| Failure::Unreachable(error.to_string()))?;
                self.state.connected = Some(Instant::now());
            }
            let error = match self.write_last(write).await {
                Ok(status) if status.is_good() => return Ok(()),
                Ok(status) => return Err(Failure::Refused(status.to_string())),
                Err(error) => error,
            };
            self.state.connected = self.state.connected.filter(|_| error.is_usable());
            match error {
                LinkError::Closed { .. } | LinkError::Lost(_) if !is_new => is_new = true,
                error @ (LinkError::Closed { .. } | LinkError::Lost(_)) => {
                    return Err(Failure::Unreachable(error.to_string()));
                }
                error => return Err(Failure::Silent(error.to_string())),
            }
        }
    }
}

/// Failure of an output, by its effect on other outputs.
pub(super) enum Failure {
    Refused(String),
    /// The device did not answer; others on the link may.
    Silent(String),
    Unreachable(String),
}

/// Failures of outputs so far: they spare other outputs the same wait.
#[derive(Default)]
pub(super) struct Failures {
    silent: HashSet<Option<ConnectionIx>>,
    unreachable: Option<String>,
}

impl Failures {
    /// The reason not to try an output of this device.
    pub(super) fn known(&self, device: Option<ConnectionIx>) -> Option<String> {
        let silent = || self.silent.contains(&device).then(|| "the device does not answer".to_owned());
        self.unreachable.clone().or_else(silent)
    }

    /// Returns the reason for the report.
    pub(super) fn note(&mut self, device: Option<ConnectionIx>, failure: Failure) -> String {
        match failure {
            Failure::Refused(why) => why,
            Failure::Silent(why) => {
                self.silent.insert(device);
                why
            }
            Failure::Unreachable(why) => self.unreachable.insert(why).clone(),
        }
    }
}
