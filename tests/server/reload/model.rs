//! Random reloads beside random subscriptions: the last notification of an item is always what Read says, whatever came
//! between, and no notification comes twice.

use std::collections::BTreeMap;

use fastrand::Rng;
use opcell::testing::control::ReloadResult;
use opcell::testing::stack::codec::{DataValue, NodeIdRef};
use opcell::value::Value;
use opcua::{AttributeId, MonitoringMode, StatusCode};
use testkit::request::{create_items, delete_items, item, set_mode};
use testkit::server::TestServer;
use testkit::ua::Session;

use super::cells::RandomCell;

/// Steps in CI; `OPCELL_STEPS` for more.
const STEPS: usize = 120;
const SEMANTICS_CHANGED: u32 = 0x4000;

fn steps() -> usize {
    std::env::var("OPCELL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS)
}

/// A monitored item, and what its client knows.
struct Item {
    path: String,
    id: u32,
    is_reporting: bool,
    last: Option<DataValue>,
}

/// A value without the bit that a client hears only once, and without times.
fn told(value: &DataValue) -> (StatusCode, Value) {
    let status = value.status.unwrap_or(StatusCode::Good);
    (StatusCode::from(status.bits() & !(SEMANTICS_CHANGED | 0x0480)), value.value.clone().unwrap_or_default())
}

struct Bench {
    server: TestServer,
    client: Session,
    subscription: u32,
    items: BTreeMap<u32, Item>,
    next: u32,
    rng: Rng,
}

impl Bench {
    fn path(&mut self) -> String {
        let name = |rng: &mut Rng| format!("N{}", rng.u8(..5));
        match self.rng.u8(..4) {
            0 => format!("{}.{}", name(&mut self.rng), name(&mut self.rng)),
            1 => "Motor1.Speed".to_owned(),
            _ => name(&mut self.rng),
        }
    }

    fn add(&mut self) {
        let path = self.path();
        let wanted = item(NodeIdRef::string(2, &path), AttributeId::Value as u32, self.next, 0.0, 10);
        let made = self.client.ask(create_items(self.subscription, vec![wanted])).results.expect("results");
        if made[0].status_code.is_good() {
            let new = Item { path, id: made[0].monitored_item_id, is_reporting: true, last: None };
            self.items.insert(self.next, new);
        }
        self.next += 1;
    }

    fn step(&mut self, cell: &mut RandomCell) {
        match self.rng.u8(..10) {
            0..=3 => {
                for _ in 0..self.rng.u8(1..4) {
                    cell.change();
                }
                let report = self.server.reload(&cell.text()).report;
                assert_ne!(report.result, ReloadResult::Refused, "{report:?}");
            }
            4..=6 => self.add(),
            7 => {
                let Some(handle) = self.any() else { return };
                let id = self.items[&handle].id;
                self.client.ask(delete_items(self.subscription, &[id]));
                self.items.remove(&handle);
            }
            8 => {
                let Some(handle) = self.any() else { return };
                let item = self.items.get_mut(&handle).expect("it was just found");
                item.is_reporting ^= true;
                item.last = None;
                let mode = if item.is_reporting { MonitoringMode::Reporting } else { MonitoringMode::Disabled };
                let id = item.id;
                self.client.ask(set_mode(self.subscription, mode, &[id]));
            }
            _ => {
                let (path, number) = (self.path(), i32::from(self.rng.u8(..9)));
                // Many are no memory tags, or of another type.
                self.client.write(NodeIdRef::string(2, &path), &Value::Int32(number));
            }
        }
    }

    fn any(&mut self) -> Option<u32> {
        let handles: Vec<u32> = self.items.keys().copied().collect();
        (!handles.is_empty()).then(|| handles[self.rng.usize(..handles.len())])
    }

    /// Takes all that waits, and holds it against what Read says.
    fn check(&mut self, step: usize) {
        loop {
            let publication = self.client.publish(&[]).expect("a message");
            if publication.data.is_empty() {
                break;
            }
            for (handle, value) in publication.data {
                let Some(item) = self.items.get_mut(&handle) else { continue };
                let is_announced = value.status.is_some_and(|status| status.bits() & SEMANTICS_CHANGED != 0);
                let is_double = item.last.as_ref().is_some_and(|last| told(last) == told(&value));
                assert!(!is_double || is_announced, "step {step}: {} says {:?} twice", item.path, told(&value));
                item.last = Some(value);
            }
        }
        for item in self.items.values().filter(|item| item.is_reporting) {
            let now = self.client.read_value(NodeIdRef::string(2, &item.path));
            let (last, mut now) = (item.last.as_ref().map(told), told(&now));
            if now.0 == StatusCode::BadAttributeIdInvalid {
                // The Variable is gone, and a folder has its id.
                now.0 = StatusCode::BadNodeIdUnknown;
            }
            assert_eq!(last, Some(now), "step {step}: {}", item.path);
        }
    }
}

#[test]
fn the_last_notification_is_what_read_says_over_random_reloads() {
    let seed = std::env::var("OPCELL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let mut cell = RandomCell::without_devices(seed);
    let server = TestServer::start(&cell.text());
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(10.0, 1_000, 2);
    let rng = Rng::with_seed(seed);
    let mut bench = Bench { server, client, subscription, items: BTreeMap::new(), next: 1, rng };
    for step in 0..steps() {
        bench.step(&mut cell);
        bench.check(step);
    }
}
