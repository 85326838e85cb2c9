//! A small plant for driver tests: connections with points, their tags, and the tasks of their links.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcell::testing::config::{self, Memory, Options, Shown};
use opcell::testing::drivers::modbus::{self, RawType, RegisterPoint, RtuSettings, TcpFraming, TcpSettings, WordOrder};
use opcell::testing::drivers::{self, ConnectionPlan, Links, PointPlan, PointSettings, Settings};
use opcell::testing::health;
use opcell::testing::model::{
    AccessIx, Cell, Connection, ConnectionIx, DataType, Node, NodeIx, NodeKind, NodeName, Origin, Plant, Scale, Shape,
    Tag, TagId,
};
use opcell::testing::tags::{TagStore, Written};
use opcell::value::{BuiltIn, Sample, UaTime, Value};
use opcua::StatusCode;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::until::until_async;

/// A tag as a test describes it.
#[derive(Clone)]
pub struct Point {
    pub address: String,
    /// The words of one value, most significant first.
    pub words: Vec<String>,
    pub kind: BuiltIn,
    pub register: RegisterPoint,
    pub elements: Option<u32>,
    pub length: Option<u32>,
    pub scale: Option<Scale>,
    pub exponent: Option<String>,
    pub read: bool,
    pub on_stop: Option<Value>,
    pub range: Option<(f64, f64)>,
    pub write_every: Option<Duration>,
    /// In place of that of the connection.
    pub poll: Option<Duration>,
    pub deadband: f64,
}

pub fn point(address: &str, kind: BuiltIn) -> Point {
    Point {
        address: address.to_owned(),
        words: Vec::new(),
        write_every: None,
        poll: None,
        deadband: 0.0,
        kind,
        register: RegisterPoint::default(),
        elements: None,
        length: None,
        scale: None,
        exponent: None,
        read: true,
        on_stop: None,
        range: None,
    }
}

impl Point {
    pub fn raw(mut self, raw: RawType) -> Point {
        self.register.raw_type = Some(raw);
        self
    }

    pub fn order(mut self, order: WordOrder, swap: bool) -> Point {
        (self.register.word_order, self.register.swap_bytes) = (Some(order), Some(swap));
        self
    }

    pub fn array(mut self, elements: u32) -> Point {
        self.elements = Some(elements);
        self
    }

    pub fn length(mut self, length: u32) -> Point {
        self.length = Some(length);
        self
    }

    pub fn scale(mut self, scale: Scale) -> Point {
        self.scale = Some(scale);
        self
    }

    pub fn exponent(mut self, address: &str) -> Point {
        self.exponent = Some(address.to_owned());
        self
    }
}

/// One connection of a test.
pub struct Line {
    pub settings: Settings,
    pub points: Vec<Point>,
    pub timeout: Duration,
    pub retries: u32,
    pub poll: Duration,
    pub stale_after: Duration,
    pub reconnect_max: Duration,
}

impl Line {
    pub fn new(settings: Settings, points: Vec<Point>) -> Line {
        Line {
            settings,
            points,
            timeout: Duration::from_millis(300),
            retries: 0,
            poll: Duration::from_millis(50),
            stale_after: Duration::from_millis(300),
            reconnect_max: Duration::from_millis(100),
        }
    }
}

pub fn tcp(port: u16) -> TcpSettings {
    let text = format!(r#"{{"host": "127.0.0.1", "port": {port}}}"#);
    serde_json::from_str(&text).expect("settings")
}

pub fn tcp_unit(port: u16, unit_id: u8, framing: TcpFraming) -> Settings {
    Settings::of::<modbus::Tcp>(TcpSettings { unit_id, framing, ..tcp(port) })
}

pub fn serial(path: &str, more: &str) -> RtuSettings {
    let text = format!(r#"{{"serial": "{path}", "parity": "none", "baud": 115200{more}}}"#);
    serde_json::from_str(&text).expect("settings")
}

/// Running links over a tag store.
pub struct Bench {
    pub plant: Arc<Plant>,
    pub tags: Arc<TagStore>,
    pub links: Vec<Arc<health::Link>>,
    running: Links,
    tasks: Vec<JoinHandle<()>>,
    outputs: mpsc::UnboundedReceiver<drivers::Output>,
}

impl Bench {
    pub fn start(lines: Vec<Line>) -> Bench {
        let (plant, plans) = assemble(lines);
        Bench::of(plant, plans)
    }

    /// The links of a cell, from the text of its file.
    pub fn of_cell(text: &str) -> Bench {
        let (plant, plans) = compiled(text);
        Bench::of(plant, plans)
    }

    /// The links of a cell file, with the files that it names.
    pub fn of_file(file: &Path) -> Bench {
        let (plant, plans) = compiled_file(file);
        Bench::of(plant, plans)
    }

    /// Brings the running links to another state of a cell file, with the same tags in the same places.
    pub fn change_file(&mut self, file: &Path, revision: u32) {
        let (plant, plans) = compiled_file(file);
        self.apply(plant, plans, revision);
    }

    /// Brings the running links to another text of the cell, with the same tags in the same places.
    pub fn change_cell(&mut self, text: &str, revision: u32) {
        let (plant, plans) = compiled(text);
        self.apply(plant, plans, revision);
    }

    /// The tag of this path.
    pub fn tag(&self, path: &str) -> u32 {
        let plant = &self.plant;
        let is_named = |tag: &TagId| plant.tag_name(*tag).split_once(": ").is_some_and(|(_, name)| name == path);
        (0..).map(TagId).take_while(|tag| plant.tags.get(*tag).is_some()).find(is_named).expect(path).0
    }

    fn of(plant: Plant, plans: Vec<ConnectionPlan>) -> Bench {
        let plant = Arc::new(plant);
        let tags = Arc::new(TagStore::new(&plant));
        let mut tasks = Vec::new();
        let mut spawn = |_: String, task: futures_util::future::BoxFuture<'static, ()>| tasks.push(tokio::spawn(task));
        let (report, outputs) = mpsc::unbounded_channel();
        let mut running = Links::new(&tags, report);
        let links = running.apply(plans, &plant, &mut spawn);
        Bench { plant, tags, links, running, tasks, outputs }
    }

    /// Brings the running links to other lines. Equal tags and connections keep their numbers, as the places in the lists.
    pub fn change(&mut self, lines: Vec<Line>, revision: u32) {
        let (plant, plans) = assemble(lines);
        self.apply(plant, plans, revision);
    }

    fn apply(&mut self, mut plant: Plant, plans: Vec<ConnectionPlan>, revision: u32) {
        plant.revision = revision;
        self.plant = Arc::new(plant);
        let tasks = &mut self.tasks;
        let mut spawn = |_: String, task: futures_util::future::BoxFuture<'static, ()>| tasks.push(tokio::spawn(task));
        self.links = self.running.apply(plans, &self.plant, &mut spawn);
    }

    pub fn sample(&self, tag: u32) -> Sample {
        self.tags.with(TagId(tag), Clone::clone)
    }

    /// Waits until the claim holds.
    pub async fn until(&self, tag: u32, what: &str, claim: impl Fn(&Sample) -> bool) -> Sample {
        until_async(&format!("tag {tag} is {what}"), || Some(self.sample(tag)).filter(&claim)).await
    }

    pub async fn until_status(&self, tag: u32, status: StatusCode) -> Sample {
        self.until(tag, &status.to_string(), |sample| sample.status == status).await
    }

    /// A client's write with the device's answer.
    pub async fn write(&self, tag: u32, value: &Value) -> StatusCode {
        match self.tags.write_now(&self.plant, TagId(tag), value, None, UaTime::now()) {
            Written::Done(status) => status,
            Written::Device { connection, write } => {
                match self.tags.enqueue(connection, vec![write], Duration::from_secs(2)) {
                    Ok(answer) => answer.await.expect("an answer")[0],
                    Err(status) => status,
                }
            }
        }
    }

    /// Stops the links; returns the outcome of each value of `on_stop`.
    pub async fn stop(mut self) -> Vec<drivers::Output> {
        self.running.stop();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(5), task).await.expect("a link stops").expect("no panic");
        }
        std::iter::from_fn(|| self.outputs.try_recv().ok()).collect()
    }
}

/// A good cell file.
fn compiled_file(file: &Path) -> (Plant, Vec<ConnectionPlan>) {
    let (compiled, report) = config::load(file, &Options::default());
    let compiled = compiled.unwrap_or_else(|| panic!("the cell is good, but:\n{}", report.render(Shown::Some)));
    (compiled.plant, compiled.drivers)
}

/// A cell as its file says it, without findings.
fn compiled(text: &str) -> (Plant, Vec<ConnectionPlan>) {
    let mut files = Memory::default();
    files.files.insert("cell.yaml".into(), text.as_bytes().to_vec());
    let (compiled, report) = config::load_from(&files, Path::new("cell.yaml"), &Options::default());
    let compiled = compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::All)));
    (compiled.plant, compiled.drivers)
}

/// The compiled plant and what the drivers get of it; tags count through all lines.
pub fn assemble(lines: Vec<Line>) -> (Plant, Vec<ConnectionPlan>) {
    let mut plant = Plant::default();
    let mut cell = Cell { name: "bench".into(), namespace: "urn:bench".into(), nodes: vec![], ..Cell::default() };
    cell.nodes.push(node("bench", None, NodeKind::Folder));
    let mut plans = Vec::new();
    for (ix, line) in (0..).zip(lines) {
        let ix = ConnectionIx(ix);
        let mut points = Vec::new();
        for point in &line.points {
            let tag = plant.tags.next();
            let node_ix = NodeIx(u32::try_from(cell.nodes.len()).expect("few tags"));
            cell.nodes.push(node(&point.address, Some(NodeIx(0)), NodeKind::Variable(tag)));
            plant.tags.push(tag_of(point, &line, ix, node_ix));
            points.push(plan_of(point, &line, tag));
        }
        plant.connections.push(Connection {
            cell: 0,
            name: format!("line{}", ix.0),
            description: String::new(),
            driver: "modbus-tcp",
            enabled: true,
            allow_write: true,
            timeout: line.timeout,
            retries: line.retries,
            reconnect_max: line.reconnect_max,
        });
        plans.push(ConnectionPlan {
            ix,
            name: format!("line{}", ix.0),
            cell: "bench".into(),
            settings: line.settings,
            timeout: line.timeout,
            retries: line.retries,
            reconnect_max: line.reconnect_max,
            enabled: true,
            is_scan: false,
            browses: Default::default(),
            points: points.into(),
        });
    }
    plant.cells.push(cell);
    (plant, plans)
}

fn node(name: &str, parent: Option<NodeIx>, kind: NodeKind) -> Node {
    Node {
        name: name.into(),
        id: NodeName::Path,
        parent,
        kind,
        display_name: None,
        description: None,
        access: AccessIx(0),
    }
}

fn tag_of(point: &Point, line: &Line, connection: ConnectionIx, node: NodeIx) -> Tag {
    Tag {
        cell: 0,
        node,
        shape: Shape {
            data_type: DataType::BuiltIn(point.kind),
            dimensions: point.elements.into_iter().collect(),
            length: point.length,
            unit: None,
            range: point.range,
        },
        origin: Origin::Device {
            connection,
            read: point.read,
            write: is_writable(point),
            on_stop: point.on_stop.clone(),
        },
        scale: point.scale,
        wraps: false,
        deadband: point.deadband,
        poll: point.poll.unwrap_or(line.poll),
        stale_after: line.stale_after,
        enabled: true,
        access: AccessIx(0),
        history: None,
    }
}

fn plan_of(point: &Point, line: &Line, tag: TagId) -> PointPlan {
    PointPlan {
        tag,
        address: point.address.clone(),
        words: point.words.clone(),
        exponent: point.exponent.clone(),
        settings: PointSettings::of(point.register.clone()),
        kind: point.kind,
        elements: point.elements.unwrap_or(1) as usize,
        is_array: point.elements.is_some(),
        length: point.length,
        poll: point.poll.unwrap_or(line.poll),
        read: point.read,
        write: is_writable(point),
        write_every: point.write_every,
        enumeration: None,
        has_scale: point.scale.is_some() || point.exponent.is_some(),
        is_gone: false,
        structure: None,
    }
}

fn is_writable(point: &Point) -> bool {
    point.address.starts_with("holding") || point.address.starts_with("coil") || point.address.starts_with('4')
}
