//! One request of a write: asked once, on a connection that is opened again where the device had closed it.

use opcua::StatusCode;

use super::state::miss_of;
use super::{Opening, Stopped, Supervisor};
use crate::drivers::contract::{Exponent, LinkError};
use crate::value::Value;

/// One step of a write.
pub(super) enum Ask<'a> {
    Exponent,
    Value(&'a Value, u32),
    /// Writes the last value again.
    Again,
}

/// The device's answer.
pub(super) enum Reply {
    Exponent(i8),
    Written(Written),
}

/// The status for the client, and the error that ends the link.
pub(super) struct Written {
    pub status: StatusCode,
    pub error: Option<LinkError>,
}

impl From<StatusCode> for Written {
    fn from(status: StatusCode) -> Written {
        Written { status, error: None }
    }
}

impl Supervisor {
    /// One request for a point, sent again only when no part of it was sent.
    pub(super) async fn exchange(&mut self, point: u32, ask: Ask<'_>) -> Result<Reply, Stopped> {
        let device = self.state.device_of(self.state.points[point as usize].tag);
        // Its close may be on the way, and then no one could know whether the device got the write.
        if self.state.hangs_up
            && self.state.asked > 0
            && let Opening::Failed(error) = self.reopen().await?
        {
            self.state.count(device, &error);
            return Ok(Reply::Written(Written { status: StatusCode::BadNoCommunication, error: Some(error) }));
        }
        let mut may_reopen = true;
        loop {
            self.state.ask(device);
            let (way, feed) = (&mut self.way, self.state.feed.clone());
            let sent = async {
                Ok(match &ask {
                    Ask::Exponent => match way.exponent(point).await? {
                        Exponent::Power(power) => Reply::Exponent(power),
                        Exponent::Unknown(code) => Reply::Written(code.into()),
                    },
                    Ask::Value(value, first) => Reply::Written(way.write(point, value, *first, &feed).await?.into()),
                    Ask::Again => Reply::Written(way.rewrite(point).await?.into()),
                })
            };
            let sent = self.state.alongside(sent).await?;
            self.state.remark(self.way.remark());
            let mut error = match sent {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            // Nothing of it was sent.
            if matches!(error, LinkError::Closed { sent: false }) && std::mem::take(&mut may_reopen) {
                match self.reopen().await? {
                    Opening::Done => continue,
                    Opening::Failed(failed) => error = failed,
                }
            }
            self.state.count(device, &error);
            let (status, is_usable) = (miss_of(&error).code(), error.is_usable());
            return Ok(Reply::Written(Written { status, error: (!is_usable).then_some(error) }));
        }
    }
}
