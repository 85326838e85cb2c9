//! Target and framing of a connection, for TCP and serial lines alike.

use std::time::Duration;

use super::choices::{EchoSetting, SerialFraming, TcpFraming};
use super::frame::Framing;
use super::settings::RegisterPoint;
use super::settings::{Defaults, RtuSettings, TcpSettings};
use super::target::Target;
use crate::drivers::driver::PointOf;
use crate::drivers::host::plain_host;
use crate::drivers::plan::ConnectionPlan;
use crate::drivers::reading::LinkKey;

/// A connection's target, and the defaults of its points.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub target: Target,
    pub framing: Framing,
    /// Rest between two exchanges.
    pub pause: Duration,
    pub echo: EchoSetting,
    pub defaults: Defaults,
}

/// A connection with its line.
#[derive(Debug, Clone)]
pub(crate) struct Slave<'a> {
    pub line: Line,
    pub plan: &'a ConnectionPlan,
}

impl<'a> Slave<'a> {
    pub(crate) fn points(&self) -> impl Iterator<Item = PointOf<'a, RegisterPoint>> + use<'a> {
        self.plan.points.iter().map(PointOf::new)
    }
}

impl From<&TcpSettings> for Line {
    fn from(tcp: &TcpSettings) -> Line {
        let framing = match tcp.framing {
            TcpFraming::Tcp => Framing::Tcp,
            TcpFraming::Rtu => Framing::Rtu,
            TcpFraming::Ascii => Framing::Ascii,
        };
        let target = Target::Tcp { host: tcp.host.clone(), port: tcp.port, shown: tcp.shown.clone() };
        Line { target, framing, pause: tcp.pause.0, echo: tcp.echo, defaults: tcp.defaults() }
    }
}

impl From<&RtuSettings> for Line {
    fn from(line: &RtuSettings) -> Line {
        let (framing, bits) = match line.framing {
            SerialFraming::Rtu => (Framing::Rtu, 8),
            SerialFraming::Ascii => (Framing::Ascii, 7),
        };
        let target = Target::Serial {
            path: line.serial.clone(),
            shown: line.shown.clone(),
            baud: line.baud,
            data_bits: line.data_bits.unwrap_or(bits),
            parity: line.parity,
            stop_bits: line.stop_bits,
        };
        // 3.5 characters, and at least 1.75 ms (MODBUS over Serial Line V1.02, §2.5.1.1).
        let shortest = (target.line_time(7) / 2).max(Duration::from_micros(1_750));
        let pause = line.pause.map_or(shortest, |pause| pause.0);
        Line { target, framing, pause, echo: line.echo, defaults: line.defaults() }
    }
}

impl Line {
    /// Connections with the same host, port and framing share a link, and so do those on one serial port: that has one
    /// speed and one framing, those of the first connection.
    pub(crate) fn link_key(&self) -> LinkKey {
        LinkKey(match &self.target {
            Target::Tcp { host, port, .. } => format!("{}:{port} {:?}", plain_host(host), self.framing),
            Target::Serial { path, .. } => path.clone(),
        })
    }
}
