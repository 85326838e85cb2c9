//! One request of a write: asked once, on a connection that is opened again where the device had closed it.

use opcua::StatusCode;

use super::{Link, Stopped, miss_of};
use crate::drivers::LinkError;
use crate::tags::Write;
use crate::value::Value;

/// What a write asks of the device.
pub(super) enum Ask<'a> {
    Exponent,
    Value(&'a Value, u32),
    /// What was last read or written.
    Again,
}

/// The device's answer.
pub(super) enum Told {
    Exponent(Result<i8, StatusCode>),
    Status(StatusCode),
}

/// The status for the client; the error is that of a link that is not worth keeping.
pub(super) type Failed = (StatusCode, Option<LinkError>);

impl Link {
    /// The raw value of a write, with the exponent that the device has now.
    pub(super) async fn raw_of(&mut self, point: u32, write: &Write) -> Result<Result<Value, Failed>, Stopped> {
        let mut exponent = None;
        if self.state.needs_exponent(point, write) {
            match self.exchange(point, Ask::Exponent).await? {
                Ok(Told::Exponent(Ok(power))) => exponent = Some(power),
                Ok(Told::Exponent(Err(code)) | Told::Status(code)) => return Ok(Err((code, None))),
                Err(failed) => return Ok(Err(failed)),
            }
        }
        Ok(self.state.tags.to_raw(write.tag, &write.value, exponent).map_err(|code| (code, None)))
    }

    /// One request for a point, sent again only when nothing of it had gone out.
    pub(super) async fn exchange(&mut self, point: u32, ask: Ask<'_>) -> Result<Result<Told, Failed>, Stopped> {
        let device = self.state.device_of(self.state.points[point as usize].tag);
        // Its close may be on the way, and whether a write was sent in vain can't be known.
        if self.state.hangs_up
            && self.state.asked > 0
            && let Err(error) = self.reopen().await?
        {
            self.state.count(device, &error);
            return Ok(Err((StatusCode::BadNoCommunication, Some(error))));
        }
        let mut may_reopen = true;
        loop {
            self.state.ask(device);
            let protocol = &mut self.protocol;
            let sent = async {
                match &ask {
                    Ask::Exponent => protocol.exponent(point).await.map(Told::Exponent),
                    Ask::Value(value, first) => protocol.write(point, value, *first).await.map(Told::Status),
                    Ask::Again => protocol.rewrite(point).await.map(Told::Status),
                }
            };
            let sent = self.state.alongside(sent).await?;
            self.state.remark(self.protocol.remark());
            let mut error = match sent {
                Ok(told) => return Ok(Ok(told)),
                Err(error) => error,
            };
            // Nothing of it was sent.
            if matches!(error, LinkError::Closed { sent: false }) && std::mem::take(&mut may_reopen) {
                match self.reopen().await? {
                    Ok(()) => continue,
                    Err(failed) => error = failed,
                }
            }
            self.state.count(device, &error);
            return Ok(Err((miss_of(&error).code(), (!error.is_usable()).then_some(error))));
        }
    }
}
