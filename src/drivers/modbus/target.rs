//! The host or serial device of a Modbus link.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serial::SerialPortBuilderExt;

use super::choices::Parity;
use crate::drivers::contract::LinkError;
use crate::drivers::host::plain_host;

/// Where the frames go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Tcp { host: String, port: u16, shown: Option<String> },
    Serial { path: String, shown: Option<String>, baud: u32, data_bits: u8, parity: Parity, stop_bits: u8 },
}

/// The text that logs and clients may see.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp { shown: Some(shown), .. } | Target::Serial { shown: Some(shown), .. } => f.write_str(shown),
            Target::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Target::Serial { path, .. } => f.write_str(path),
        }
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Target {
    /// Whether an open connection to the one is a connection to the other, whatever the texts for logs are.
    pub(crate) fn is_same(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Tcp { host, port, .. }, Target::Tcp { host: other, port: at, .. }) => {
                plain_host(host) == plain_host(other) && port == at
            }
            (
                Target::Serial { path, shown: _, baud, data_bits, parity, stop_bits },
                Target::Serial { path: other, shown: _, baud: speed, data_bits: data, parity: check, stop_bits: stop },
            ) => (path, baud, data_bits, parity, stop_bits) == (other, speed, data, check, stop),
            _ => false,
        }
    }

    /// Time of this number of bytes on a serial line; none over TCP.
    pub(crate) fn line_time(&self, bytes: usize) -> Duration {
        match self {
            Target::Tcp { .. } => Duration::ZERO,
            Target::Serial { baud, data_bits, parity, stop_bits, .. } => {
                let bits = 1 + u32::from(*data_bits) + u32::from(*stop_bits) + u32::from(*parity != Parity::None);
                let count = u32::try_from(bytes).unwrap_or(u32::MAX);
                Duration::from_secs(1) * bits.saturating_mul(count) / (*baud).max(1)
            }
        }
    }

    /// Connects to the host, or opens the serial device.
    pub(crate) async fn open(&self) -> Result<Box<dyn Stream>, LinkError> {
        let lost = |error: std::io::Error| LinkError::Lost(format!("{self}: {error}"));
        match self {
            Target::Tcp { host, port, .. } => {
                let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await.map_err(lost)?;
                stream.set_nodelay(true).map_err(lost)?;
                Ok(Box::new(stream))
            }
            Target::Serial { path, baud, data_bits, parity, stop_bits, .. } => {
                let port = tokio_serial::new(path, *baud)
                    .data_bits(if *data_bits == 7 {
                        tokio_serial::DataBits::Seven
                    } else {
                        tokio_serial::DataBits::Eight
                    })
                    .stop_bits(if *stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One })
                    .parity(match parity {
                        Parity::None => tokio_serial::Parity::None,
                        Parity::Even => tokio_serial::Parity::Even,
                        Parity::Odd => tokio_serial::Parity::Odd,
                    })
                    .open_native_async()
                    .map_err(|error| LinkError::Lost(format!("{self}: {error}; {}", known_ports())))?;
                Ok(Box::new(port))
            }
        }
    }
}

fn known_ports() -> String {
    let names: Vec<String> = match tokio_serial::available_ports() {
        Ok(ports) => ports.into_iter().map(|port| port.port_name).collect(),
        Err(error) => return format!("the serial devices of this host cannot be listed: {error}"),
    };
    if names.is_empty() { "this host has no serial device".to_owned() } else { format!("known: {}", names.join(", ")) }
}
