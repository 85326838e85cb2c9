//! Requests of a link: planned by what they ask for, sent one after the other, and read for all of their tags.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hyper::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER};
use opcua::StatusCode;
use tokio::time::Instant;

use super::address::Target;
use super::answer::{of_write, refusal};
use super::client::{Answered, Client, Content, Header, Sent};
use super::settings::{HttpPoint, HttpSettings, Method};
use crate::drivers::contract::{Answer, LinkError, Samples};
use crate::drivers::driver::{ConnectionOf, Driver, PointOf};
use crate::drivers::payload::{Body, Format, Outcome, PayloadPoint, Reader, members_of};
use crate::drivers::plan::PointPlan;
use crate::drivers::poll::{Ask, Poll, Round};
use crate::tags::RawSample;
use crate::value::{UaTime, Value};

/// Longest time for which a server can ask to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// Target of a request: the same for all of its tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// Place of the connection on the link.
    device: usize,
    address: String,
}

/// A planned request.
#[derive(Debug)]
pub(super) struct Get {
    key: Key,
    reader: Reader,
}

struct Point {
    plan: PointPlan,
    device: usize,
    format: Option<Format>,
    write: Option<Publish>,
}

struct Publish {
    target: Target,
    body: Body,
    is_json: bool,
}

/// State of what was asked before.
#[derive(Default)]
struct Before {
    etag: Option<hyper::header::HeaderValue>,
    modified: Option<hyper::header::HeaderValue>,
    /// The last answer with values, for one that says that nothing has changed.
    body: Vec<u8>,
    /// The server wants no request before this.
    pause: Option<Instant>,
}

pub(super) struct Poller {
    client: Client,
    settings: Vec<HttpSettings>,
    points: Vec<Point>,
    before: HashMap<Key, Before>,
}

impl Poller {
    pub(super) fn new<D>(connections: &[ConnectionOf<'_, D>]) -> Poller
    where
        D: Driver<Settings = HttpSettings, Point = HttpPoint>,
    {
        let point = |device: usize, settings: &HttpSettings, point: PointOf<'_, HttpPoint>| {
            let keys = point.keys.payload_keys();
            // A point that `check_point` refuses is never asked for or written.
            let is_right = super::check::point(settings, point).is_ok();
            let format = Format::of(point).ok().filter(|_| is_right);
            let publish = |format: &Format| {
                let target = Target::parse(point.keys.publish.as_deref()?).ok()?;
                let is_json = keys.json.is_some() || keys.body.is_some() || point.structure.is_some();
                Some(Publish { target, body: Body::of(&keys, point.plan, format).ok()??, is_json })
            };
            let write = format.as_ref().and_then(publish);
            Point { plan: point.plan.clone(), device, format, write }
        };
        let of = |(device, connection): (usize, &ConnectionOf<'_, D>)| {
            connection.points().map(|of| point(device, connection.settings, of)).collect::<Vec<_>>()
        };
        let longest = connections.iter().map(|connection| connection.plan.timeout).max().unwrap_or_default();
        Poller {
            client: Client::new(connections[0].settings, longest),
            settings: connections.iter().map(|connection| connection.settings.clone()).collect(),
            points: connections.iter().enumerate().flat_map(of).collect(),
            before: HashMap::new(),
        }
    }

    /// The request of an address.
    fn sent(&self, key: &Key) -> Sent {
        let named = self.settings[key.device].requests.get(&key.address);
        let Some(request) = named else {
            return Sent { method: Method::Get, path: key.address.clone(), headers: Vec::new(), body: Vec::new() };
        };
        let usual = if request.body.is_some() { Method::Post } else { Method::Get };
        let mut headers = Header::all(request.headers.iter());
        let is_typed = request.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if let Some(body) = &request.body
            && !is_typed
        {
            headers.push(content_type(body.trim_start().starts_with(['{', '['])));
        }
        Sent {
            method: request.method.unwrap_or(usual),
            path: request.path.clone(),
            headers,
            body: request.body.clone().unwrap_or_default().into_bytes(),
        }
    }

    /// All tags of a request with one status.
    fn all(&self, get: &Get, out: &mut Samples, sample: &RawSample) {
        out.extend(get.reader.points().map(|point| (self.points[point as usize].plan.tag, sample.clone())));
    }

    fn take(&mut self, get: &Get, answered: Answered, out: &mut Samples) {
        let what = get.key.address.as_str();
        let Answered { status, headers, body } = answered;
        let before = self.before.entry(get.key.clone()).or_default();
        before.pause = None;
        let body = match (status.as_u16(), body) {
            (304, _) if before.etag.is_some() || before.modified.is_some() => std::mem::take(&mut before.body),
            (_, body) => {
                if let Some(refused) = refusal(status, what) {
                    let asks_for_time = status.as_u16() == 429;
                    let pause = headers
                        .get(RETRY_AFTER)
                        .filter(|_| asks_for_time)
                        .and_then(|header| header.to_str().ok()?.trim().parse().ok());
                    let pause = pause.map(|seconds: u64| Duration::from_secs(seconds).min(LONGEST_PAUSE));
                    before.pause = pause.map(|pause| Instant::now() + pause);
                    let sample = RawSample::from(Err(refused.code)).because(&refused.why);
                    return self.all(get, out, &sample);
                }
                match body {
                    Content::Whole(body) => body,
                    Content::TooLong => {
                        let why = format!("{what}: the answer is longer than 4 MiB");
                        let sample = RawSample::from(Err(StatusCode::BadDataEncodingInvalid)).because(&why);
                        return self.all(get, out, &sample);
                    }
                }
            }
        };
        let points = &self.points;
        // Looked up once for all tags that miss something.
        let mut there: Option<String> = None;
        get.reader.read(what, &body, |point, outcome| {
            let sample = match outcome {
                Outcome::Found(found) => found.sample(),
                Outcome::Missing(path) => {
                    let there = there.get_or_insert_with(|| members_of(&body));
                    let why = format!("the answer of {what} has no {path}; it has {there}");
                    RawSample::from(Err(StatusCode::BadConfigurationError)).because(&why)
                }
            };
            out.push((points[point as usize].plan.tag, sample));
        });
        let before = self.before.entry(get.key.clone()).or_default();
        if status.as_u16() != 304 {
            (before.etag, before.modified) = (headers.get(ETAG).cloned(), headers.get(LAST_MODIFIED).cloned());
        }
        let is_kept = before.etag.is_some() || before.modified.is_some();
        before.body = if is_kept { body } else { Vec::new() };
    }
}

/// The type of what a request sends.
fn content_type(is_json: bool) -> Header {
    let value = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
    Header { name: hyper::header::CONTENT_TYPE, value: hyper::header::HeaderValue::from_static(value) }
}

impl Poll for Poller {
    type Request = Get;

    fn plan(&self, points: &[u32]) -> Vec<Ask<Get>> {
        let mut groups: BTreeMap<Key, Vec<u32>> = BTreeMap::new();
        for at in points {
            let point = &self.points[*at as usize];
            if point.format.is_some() {
                let key = Key { device: point.device, address: point.plan.address.clone() };
                groups.entry(key).or_default().push(*at);
            }
        }
        let ask = |(key, points): (Key, Vec<u32>)| {
            let mut reader = Reader::default();
            for point in &points {
                if let Some(format) = &self.points[*point as usize].format {
                    reader.add(*point, format.clone());
                }
            }
            Ask { device: key.device, points, request: Get { key, reader } }
        };
        groups.into_iter().map(ask).collect()
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        self.client.connect().await
    }

    async fn read(&mut self, get: &Get, _: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        let mut sent = self.sent(&get.key);
        if let Some(before) = self.before.get(&get.key) {
            if before.pause.is_some_and(|until| until > Instant::now()) {
                let why = format!("{}: the server wants to be asked later (HTTP 429)", get.key.address);
                let sample = RawSample::from(Err(StatusCode::BadResourceUnavailable)).because(&why);
                self.all(get, out, &sample);
                return Ok(Answer::Samples);
            }
            let is_get = sent.method == Method::Get;
            let known = [(IF_NONE_MATCH, &before.etag), (IF_MODIFIED_SINCE, &before.modified)];
            let known = known
                .into_iter()
                .filter(|_| is_get)
                .filter_map(|(name, value)| Some(Header { name, value: value.clone()? }));
            sent.headers.extend(known);
        }
        let answered = self.client.exchange(&sent).await?;
        self.take(get, answered, out);
        Ok(Answer::Samples)
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        let point = &self.points[point as usize];
        let Some(write) = point.write.as_ref() else { return Ok(StatusCode::BadNotWritable) };
        if first > 0 || point.plan.is_array && !matches!(value, Value::Array(_)) {
            return Ok(StatusCode::BadWriteNotSupported);
        }
        let body = match write.body.bytes(value, UaTime::now()) {
            Ok(body) => body,
            Err(status) => return Ok(status),
        };
        let Target { method, path } = write.target.clone();
        let sent = Sent { method, path, headers: vec![content_type(write.is_json)], body };
        let answered = self.client.exchange(&sent).await?;
        Ok(of_write(answered.status))
    }

    async fn disconnect(&mut self) {
        self.client.close();
    }

    /// The connection stays open; answers that have not changed are asked for again.
    fn adopt(&mut self, old: &mut Poller) -> bool {
        if !self.client.is_same_place(&old.client) {
            return false;
        }
        self.client.take_over(&mut old.client);
        true
    }
}
