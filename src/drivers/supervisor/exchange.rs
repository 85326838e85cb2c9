//! One request of a write: asked once, on a connection that is opened again where the device had closed it.

use opcua::StatusCode;

use super::state::miss_of;
use super::{Opening, Stopped, Supervisor};
use crate::drivers::contract::{Exponent, LinkError};
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
    /// One request for a point, sent again only when nothing of it had gone out.
    pub(super) async fn exchange(&mut self, point: u32, ask: Ask<'_>) -> Result<Told, Stopped> {
        let device = self.state.device_of(self.state.points[point as usize].tag);
        // Its close may be on the way, and whether a write was sent in vain can't be known.
        if self.state.hangs_up
            && self.state.asked > 0
            && let Opening::Failed(error) = self.reopen().await?
        {
            self.state.count(device, &error);
            return Ok(Told::Written(Written { status: StatusCode::BadNoCommunication, error: Some(error) }));
        }
        let mut may_reopen = true;
        loop {
            self.state.ask(device);
            let (way, feed) = (&mut self.way, self.state.feed.clone());
            let sent = async {
                Ok(match &ask {
                    Ask::Exponent => match way.exponent(point).await? {
                        Exponent::Power(power) => Told::Exponent(power),
                        Exponent::Unknown(code) => Told::Written(code.into()),
                    },
                    Ask::Value(value, first) => Told::Written(way.write(point, value, *first, &feed).await?.into()),
                    Ask::Again => Told::Written(way.rewrite(point).await?.into()),
                })
            };
            let sent = self.state.alongside(sent).await?;
            self.state.remark(self.way.remark());
            let mut error = match sent {
                Ok(told) => return Ok(told),
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
            return Ok(Told::Written(Written { status, error: (!is_usable).then_some(error) }));
        }
    }
}
