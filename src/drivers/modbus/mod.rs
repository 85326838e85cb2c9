//! Modbus: TCP, RTU and ASCII frames, over a socket or a serial line.
//!
//! RTU and ASCII frames carry no transaction id, so a late reply looks like the answer to the next request; the
//! master here drains the line before it asks and drops the link after a time-out where ids cannot tell.

mod address;
mod point;
mod settings;

pub use address::{Address, Area};
pub use settings::{
    Defaults, Parity, RawNumber, RawType, RegisterPoint, RtuSettings, SerialFraming, TcpFraming, TcpSettings, WordOrder,
};

use super::{ConnectionPlan, PointError, PointPlan, PollPlan, Reading};

pub(super) fn check_point(defaults: &Defaults, point: &PointPlan) -> Result<Reading, PointError> {
    let register = point::Register::new(defaults, point)?;
    Ok(Reading { spellings: register.spellings(), wants_quotes: address::wants_quotes(&point.address) })
}

pub(super) fn poll_plan(connection: &ConnectionPlan) -> PollPlan {
    let tags = connection.points.iter().filter(|point| point.read).count();
    PollPlan { connection: connection.ix, tags, requests: tags, worst_scan: std::time::Duration::ZERO, load: 0.0 }
}
