//! Requests of a link: one a device or file, each on a thread that may wait.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use parking_lot::Mutex;

use super::address::{Address, Content, Place};
use super::check;
use super::device::{Device, Order};
use super::file::Folder;
use super::settings::Settings;
use super::trouble::Trouble;
use super::value::text_of;
use crate::drivers::contract::{Answer, LinkError, Samples};
use crate::drivers::driver::{ConnectionOf, Driver, NoKeys};
use crate::drivers::payload::Want;
use crate::drivers::plan::PointPlan;
use crate::drivers::poll::{Ask, Poll, Round};
use crate::drivers::worker::{Late, Workers};
use crate::tags::RawSample;
use crate::value::Value;

/// Place of calls about the root itself.
const ROOT: Place = Place::File(String::new());

pub(super) struct Point {
    pub plan: PointPlan,
    pub address: Address,
    pub want: Want,
}

/// A planned request: all of a device, or a file.
#[derive(Debug)]
pub(super) struct Look {
    place: Place,
    points: Vec<u32>,
}

pub(super) struct Poller {
    root: PathBuf,
    timeout: Duration,
    /// `None` for a point that is refused.
    points: Vec<Option<Arc<Point>>>,
    opened: Option<Arc<Folder>>,
    order: Order,
    devices: HashMap<Place, Arc<Mutex<Device>>>,
    workers: Workers<Place>,
}

/// Results of a request, and whether the root is where it was.
struct Read {
    values: Vec<Result<Value, Trouble>>,
    is_there: bool,
}

impl Poller {
    pub(super) fn new<D>(connection: ConnectionOf<'_, D>) -> Poller
    where
        D: Driver<Settings = Settings, Point = NoKeys>,
    {
        let points = connection.points().map(|point| {
            // A point that `check_point` refuses is never asked for or written.
            let address = check::point(point).ok().and_then(|_| Address::parse(&point.address).ok())?;
            Some(Arc::new(Point { plan: point.plan.clone(), address, want: Want::of(point.plan) }))
        });
        Poller {
            root: PathBuf::from(&connection.settings.root),
            timeout: connection.plan.timeout,
            points: points.collect(),
            opened: None,
            order: Order::default(),
            devices: HashMap::new(),
            workers: Workers::new("sysfs"),
        }
    }

    fn device(&mut self, place: &Place) -> Arc<Mutex<Device>> {
        let new = || Arc::new(Mutex::new(Device::new(place.clone(), Arc::clone(&self.order))));
        Arc::clone(self.devices.entry(place.clone()).or_insert_with(new))
    }

    fn lost(&self, why: &str) -> LinkError {
        LinkError::Lost(format!("{}: {why}", self.root.display()))
    }

    fn root(&self) -> Result<Arc<Folder>, LinkError> {
        self.opened.clone().ok_or_else(|| self.lost("it is not open"))
    }
}

impl Poll for Poller {
    type Request = Look;

    fn plan(&self, points: &[u32]) -> Vec<Ask<Look>> {
        let mut places: BTreeMap<&Place, Vec<u32>> = BTreeMap::new();
        for at in points {
            if let Some(point) = &self.points[*at as usize] {
                places.entry(&point.address.place).or_default().push(*at);
            }
        }
        let ask = |(place, points): (&Place, Vec<u32>)| Ask {
            device: 0,
            points: points.clone(),
            request: Look { place: place.clone(), points },
        };
        places.into_iter().map(ask).collect()
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        let path = self.root.clone();
        let opened = self.workers.call(ROOT, self.timeout, move || Folder::root(&path)).await;
        match opened {
            Ok(Ok(root)) => {
                self.opened = Some(Arc::new(root));
                Ok(())
            }
            Ok(Err(trouble)) => Err(self.lost(&trouble.text)),
            Err(_) => Err(LinkError::Timeout { waited_ms: self.timeout.as_millis(), usable: false }),
        }
    }

    async fn read(&mut self, look: &Look, _: Round, out: &mut Samples) -> Result<Answer, LinkError> {
        let root = self.root()?;
        let points: Vec<Arc<Point>> = look.points.iter().filter_map(|at| self.points[*at as usize].clone()).collect();
        let (device, path, wanted) = (self.device(&look.place), self.root.clone(), points.clone());
        let call = move || {
            // A call that was given up may still have it.
            let mut device = device.try_lock()?;
            let values = device.read(&root, wanted.iter().map(|point| (&point.address, &point.want)));
            let is_absent = values.iter().any(|value| value.as_ref().is_err_and(|trouble| trouble.is_absent));
            Some(Read { values, is_there: !is_absent || root.is_at(&path) })
        };
        let read = self.workers.call(look.place.clone(), self.timeout, call).await;
        let mut sample = |point: &Point, sample: RawSample| out.push((point.plan.tag, sample));
        match read {
            Ok(Some(Read { is_there: false, .. })) => return Err(self.lost("it has gone")),
            Ok(Some(read)) => {
                for (point, value) in points.iter().zip(read.values) {
                    let value = value.map(|value| RawSample::from(Ok(value)));
                    sample(point, value.unwrap_or_else(|trouble| trouble.sample(&point.plan.address)));
                }
            }
            Ok(None) | Err(Late::Running | Late::Refused) => {
                let text = format!("the kernel has not answered within {} ms", self.timeout.as_millis());
                let late = Trouble::new(StatusCode::BadTimeout, text);
                points.iter().for_each(|point| sample(point, late.sample(&point.plan.address)));
            }
        }
        Ok(Answer::Samples)
    }

    async fn write(&mut self, point: u32, value: &Value, first: u32) -> Result<StatusCode, LinkError> {
        let root = self.root()?;
        let Some(point) = self.points[point as usize].clone() else { return Ok(StatusCode::BadNotWritable) };
        let Content::Plain { file, is_whole } = &point.address.content else { return Ok(StatusCode::BadNotWritable) };
        if first > 0 {
            return Ok(StatusCode::BadWriteNotSupported);
        }
        let text = match text_of(value, *is_whole && point.plan.has_scale) {
            Ok(text) => text,
            Err(status) => return Ok(status),
        };
        let (device, file) = (self.device(&point.address.place), file.clone());
        let call = move || Some(device.try_lock()?.write(&root, &file, &text));
        Ok(match self.workers.call(point.address.place.clone(), self.timeout, call).await {
            Ok(Some(Ok(()))) => StatusCode::Good,
            Ok(Some(Err(trouble))) => trouble.code,
            Ok(None) | Err(Late::Refused) => StatusCode::BadResourceUnavailable,
            Err(Late::Running) => StatusCode::BadTimeout,
        })
    }

    async fn disconnect(&mut self) {
        self.opened = None;
        self.devices.clear();
    }

    /// The root stays open, and each device that was found.
    fn adopt(&mut self, old: &mut Poller) -> bool {
        if self.root != old.root {
            return false;
        }
        self.opened = old.opened.take();
        std::mem::swap(&mut self.order, &mut old.order);
        let is_asked_for = |place: &Place| self.points.iter().flatten().any(|point| point.address.place == *place);
        old.devices.retain(|place, _| is_asked_for(place));
        std::mem::swap(&mut self.devices, &mut old.devices);
        std::mem::swap(&mut self.workers, &mut old.workers);
        true
    }
}
