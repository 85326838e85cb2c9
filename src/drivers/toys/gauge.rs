//! A toy that is polled: it asks a gauge for a few names by one line, and the gauge answers with as many numbers.
//!
//! The gauge greets with the number of names that it takes in one request, as a PLC negotiates the size of a PDU.

use opcua::StatusCode;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::drivers::contract::{Answer, LinkError, Samples};
use crate::drivers::driver::{ConnectionOf, Driver, NoKeys, PointOf};
use crate::drivers::link::Link;
use crate::drivers::poll::{Ask, Poll, Round};
use crate::drivers::reading::{PointError, ProbeError, ProbeLine, Reading};
use crate::model::TagId;
use crate::tags::RawSample;
use crate::value::Value;

/// A gauge on the network.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Settings {
    /// TCP port on this host.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// The driver of gauges.
#[derive(Debug)]
pub(crate) struct Gauge;

impl Driver for Gauge {
    const NAME: &'static str = "toy-gauge";
    const ABOUT: &'static str = "a toy that is polled";

    type Settings = Settings;
    type Point = NoKeys;

    fn stand_in() -> Settings {
        Settings { port: 1 }
    }

    fn check_address(text: &str) -> Result<(), PointError> {
        if text.chars().all(char::is_alphanumeric) {
            return Ok(());
        }
        let message = format!("`{text}` is not a name of a gauge");
        Err(PointError::new(0..text.len(), message, "write letters and digits"))
    }

    fn check_point(_: &Settings, point: PointOf<'_, NoKeys>) -> Result<Reading, PointError> {
        Gauge::check_address(&point.address).map(|()| Reading::default())
    }

    fn open(connections: &[ConnectionOf<'_, Gauge>]) -> Link {
        let connection = connections[0];
        let points = connection.points().map(|point| (point.tag, point.address.clone())).collect();
        Link::poll(Asker { port: connection.settings.port, points, stream: None, most: 1, has_new_limit: false })
    }

    fn probe<'a>(
        connection: ConnectionOf<'a, Gauge>,
        address: &'a str,
    ) -> futures_util::future::BoxFuture<'a, Result<Vec<ProbeLine>, ProbeError>> {
        Box::pin(async move {
            let failed = |error: LinkError| ProbeError::Failed(error.to_string());
            let (port, points) = (connection.settings.port, vec![(TagId(0), address.to_owned())]);
            let mut asker = Asker { port, points, stream: None, most: 1, has_new_limit: false };
            asker.connect().await.map_err(failed)?;
            let value = asker.ask(&format!("read {address}")).await.map_err(failed)?;
            Ok(vec![ProbeLine { keys: "number".to_owned(), value }])
        })
    }
}

struct Asker {
    port: u16,
    points: Vec<(TagId, String)>,
    stream: Option<BufStream<TcpStream>>,
    /// Names that the gauge takes in one request.
    most: usize,
    has_new_limit: bool,
}

fn lost(error: &std::io::Error) -> LinkError {
    LinkError::Lost(error.to_string())
}

impl Asker {
    async fn ask(&mut self, line: &str) -> Result<String, LinkError> {
        let stream = self.stream.as_mut().ok_or_else(|| LinkError::Lost("not connected".to_owned()))?;
        let mut reply = String::new();
        let exchange = async {
            stream.write_all(format!("{line}\n").as_bytes()).await?;
            stream.flush().await?;
            stream.read_line(&mut reply).await
        };
        match exchange.await {
            Ok(0) => Err(LinkError::Closed { sent: true }),
            Ok(_) => Ok(reply.trim_end().to_owned()),
            Err(error) => Err(lost(&error)),
        }
    }
}

impl Poll for Asker {
    type Request = Vec<u32>;

    fn plan(&self, points: &[u32]) -> Vec<Ask<Vec<u32>>> {
        let ask = |points: &[u32]| Ask { device: 0, points: points.to_vec(), request: points.to_vec() };
        points.chunks(self.most).map(ask).collect()
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.map_err(|error| lost(&error))?;
        let stream = self.stream.insert(BufStream::new(stream));
        let mut greeting = String::new();
        stream.read_line(&mut greeting).await.map_err(|error| lost(&error))?;
        let most = greeting.trim_end().strip_prefix("most ").and_then(|most| most.parse().ok()).unwrap_or(1);
        self.has_new_limit = most != self.most;
        self.most = most;
        Ok(())
    }

    fn wants_plan(&mut self) -> bool {
        std::mem::take(&mut self.has_new_limit)
    }

    async fn read(&mut self, points: &Vec<u32>, _: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        let names: Vec<&str> = points.iter().map(|point| self.points[*point as usize].1.as_str()).collect();
        let reply = self.ask(&format!("read {}", names.join(" "))).await?;
        for (point, number) in points.iter().zip(reply.split(' ')) {
            let value = number.parse().map(Value::Double).map_err(|_| StatusCode::BadConfigurationError);
            out.push((self.points[*point as usize].0, RawSample::from(value)));
        }
        Ok(Answer::Samples)
    }

    async fn write(&mut self, point: u32, value: &Value, _: u32) -> Result<StatusCode, LinkError> {
        let Value::Double(number) = value else { return Ok(StatusCode::BadTypeMismatch) };
        let line = format!("set {} {number}", self.points[point as usize].1);
        Ok(if self.ask(&line).await? == "ok" { StatusCode::Good } else { StatusCode::BadOutOfRange })
    }

    async fn disconnect(&mut self) {
        self.stream = None;
    }

    fn adopt(&mut self, old: &mut Asker) -> bool {
        if self.port == old.port {
            (self.stream, self.most) = (old.stream.take(), old.most);
        }
        self.port == old.port
    }
}
