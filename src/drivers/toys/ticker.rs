//! A toy whose device sends by itself: lines of a name, a number (or `null`), a status and a time.
//!
//! `burst NAME COUNT` makes the driver feed that many samples without a pause, and `panic` makes it panic.
//!
//! Its structs have the names of those of the simulator and of Modbus, on purpose.

use std::collections::HashMap;

use opcua::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::drivers::contract::LinkError;
use crate::drivers::driver::{ConnectionOf, Delivery, Driver, PointOf};
use crate::drivers::feed::Feed;
use crate::drivers::keys::point_keys;
use crate::drivers::link::Link;
use crate::drivers::push::Push;
use crate::drivers::reading::{PointError, Reading};
use crate::tags::RawSample;
use crate::value::{UaTime, Value};

/// A ticker on the network.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Settings {
    /// TCP port on this host.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Number that the ticker asks for (default none).
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub pin: Option<String>,
}

/// Keys of a tick in addition to its name.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct RegisterPoint {
    /// Changes the sign of the number (default false).
    #[serde(default)]
    pub negate: bool,
}

point_keys!(RegisterPoint { negate });

/// The driver of tickers.
#[derive(Debug)]
pub(crate) struct Ticker;

impl Driver for Ticker {
    const NAME: &'static str = "toy-ticker";
    const ABOUT: &'static str = "a toy whose device sends by itself";
    const DELIVERY: Delivery = Delivery::Pushed;

    type Settings = Settings;
    type Point = RegisterPoint;

    fn stand_in() -> Settings {
        Settings { port: 1, pin: None }
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        if text.contains(' ') {
            return Err(PointError::new(0..text.len(), format!("`{text}` is not a name"), "write it without spaces"));
        }
        Ok(())
    }

    fn check_point(_: &Settings, point: PointOf<'_, RegisterPoint>) -> Result<Reading, PointError> {
        Ticker::check_address(&point.address).map(|()| Reading::default())
    }

    fn open(connections: &[ConnectionOf<'_, Ticker>]) -> Link {
        let connection = connections[0];
        let listened =
            |(at, point): (u32, PointOf<'_, RegisterPoint>)| (point.address.clone(), (at, point.keys.negate));
        Link::push(Listener {
            settings: connection.settings.clone(),
            names: (0..).zip(connection.points()).map(listened).collect(),
            stream: None,
            received: Vec::new(),
        })
    }
}

struct Listener {
    settings: Settings,
    /// Point and whether its sign changes, by the name of the tick.
    names: HashMap<String, (u32, bool)>,
    stream: Option<TcpStream>,
    /// Bytes that are no whole line yet: what was received survives an interrupted `run`.
    received: Vec<u8>,
}

fn lost(error: &std::io::Error) -> LinkError {
    LinkError::Lost(error.to_string())
}

impl Listener {
    async fn send(&mut self, line: String) -> Result<(), LinkError> {
        let stream = self.stream.as_mut().ok_or_else(|| LinkError::Lost("not connected".to_owned()))?;
        stream.write_all(line.as_bytes()).await.map_err(|error| lost(&error))
    }

    async fn line(&mut self) -> Result<String, LinkError> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let stream = self.stream.as_mut().ok_or_else(|| LinkError::Lost("not connected".to_owned()))?;
            if stream.read_buf(&mut self.received).await.map_err(|error| lost(&error))? == 0 {
                return Err(LinkError::Closed { sent: true });
            }
        }
    }

    /// Feeds the sample, or the samples, of a line; other lines are ignored.
    fn feed(&self, line: &str, feed: &Feed) {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["burst", name, count] = words[..] {
            let (Some((point, _)), Ok(count)) = (self.names.get(name), count.parse::<u32>()) else { return };
            (0..count).for_each(|n| feed.sample(*point, RawSample::from(Ok(Value::Double(n.into())))));
            return;
        }
        let [name, number, status, time] = words[..] else { return };
        let Some((point, negate)) = self.names.get(name) else { return };
        let (Ok(status), Ok(time)) = (u32::from_str_radix(status, 16), time.parse()) else { return };
        let value = match number.parse::<f64>() {
            Ok(number) if *negate => Value::Double(-number),
            Ok(number) => Value::Double(number),
            Err(_) => Value::Null,
        };
        feed.sample(*point, RawSample::new(value, StatusCode::from(status)).at(UaTime(time)));
    }
}

impl Push for Listener {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.received.clear();
        let stream = TcpStream::connect(("127.0.0.1", self.settings.port)).await.map_err(|error| lost(&error))?;
        self.stream = Some(stream);
        let pin = self.settings.pin.clone().unwrap_or_default();
        self.send(format!("hello {pin}\n")).await?;
        match self.line().await?.as_str() {
            "welcome" => Ok(()),
            answer => Err(LinkError::Denied(format!("the ticker answers `{answer}`; check `pin`"))),
        }
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        loop {
            match self.line().await {
                Ok(line) if line == "panic" => panic!("a bug of the toy, on purpose"),
                Ok(line) => self.feed(&line, feed),
                Err(error) => return error,
            }
        }
    }

    async fn write(&mut self, point: u32, value: &Value, _: u32, feed: &Feed) -> Result<StatusCode, LinkError> {
        let name = self.names.iter().find(|(_, (at, _))| *at == point).map(|(name, _)| name.clone());
        let (Some(name), Value::Double(number)) = (name, value) else { return Ok(StatusCode::BadTypeMismatch) };
        self.send(format!("set {name} {number}\n")).await?;
        loop {
            match self.line().await?.as_str() {
                "ok" => return Ok(StatusCode::Good),
                "no" => return Ok(StatusCode::BadOutOfRange),
                line => self.feed(line, feed),
            }
        }
    }

    async fn disconnect(&mut self) {
        self.stream = None;
    }

    fn adopt(&mut self, old: &mut Listener) -> bool {
        if self.settings != old.settings {
            return false;
        }
        self.stream = old.stream.take();
        self.received = std::mem::take(&mut old.received);
        true
    }
}
