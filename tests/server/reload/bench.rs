//! A client with items on two tags of a cell that is reloaded.

use opcell::testing::control::ReloadReport;
use opcell::testing::stack::codec::{DataValue, NodeIdRef};
use opcell::value::Value;
use opcua::{MonitoredItemCreateRequest, StatusCode};
use testkit::request::create_items;
use testkit::server::TestServer;
use testkit::ua::Session;

pub(super) const SEMANTICS_CHANGED: u32 = 0x4000;

/// The tag that stays as it is next to the one that changes.
const STAYS: &str = "Stays: { type: Int32, value: 7, write: true }";

pub(super) fn cell(nodes: &str) -> String {
    let head = "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n  sim: { driver: simulator }\n\
                types:\n  enums:\n    Mode: { 0: Off, 1: On }\n    Other: { 0: Off, 1: Running }\n";
    format!("{head}nodes:\n  {STAYS}\n{nodes}")
}

pub(super) fn tag(path: &str) -> NodeIdRef<'_> {
    NodeIdRef::string(2, path)
}

/// A client with an item on the tag that stays (handle 1) and on the value of `T` (handle 2).
pub(super) struct Bench {
    pub server: TestServer,
    pub client: Session,
    pub subscription: u32,
    pub items: Vec<u32>,
}

impl Bench {
    pub fn start(nodes: &str) -> Bench {
        let server = TestServer::start(&cell(nodes));
        let mut client = Session::open(server.address);
        let subscription = client.subscribe(20.0, 1_000, 2);
        let made = client.monitor(subscription, &[(tag("Stays"), 1), (tag("T"), 2)], 0.0, 10);
        assert!(made.iter().all(|(status, _)| status.is_good()), "{made:?}");
        let mut bench = Bench { server, client, subscription, items: made.into_iter().map(|(_, id)| id).collect() };
        let first = bench.heard();
        assert_eq!(first.iter().map(|(handle, _)| *handle).collect::<Vec<_>>(), [1, 2], "{first:?}");
        bench
    }

    /// What comes until the first keep-alive: client handles with their values.
    pub fn heard(&mut self) -> Vec<(u32, DataValue)> {
        let mut all = Vec::new();
        loop {
            let publication = self.client.publish(&[]).expect("a message");
            if publication.data.is_empty() {
                return all;
            }
            all.extend(publication.data);
        }
    }

    pub fn reload(&mut self, nodes: &str) -> ReloadReport {
        self.server.reload(&cell(nodes)).report
    }

    /// Adds an item; its id.
    pub fn add(&mut self, wanted: MonitoredItemCreateRequest) -> u32 {
        let made = self.client.ask(create_items(self.subscription, vec![wanted])).results.expect("results");
        assert_eq!(made[0].status_code, StatusCode::Good);
        made[0].monitored_item_id
    }

    /// What an item says until the first keep-alive, as values with their status.
    pub fn heard_of(&mut self, wanted: u32) -> Vec<(Value, StatusCode)> {
        let heard = self.heard().into_iter().filter(|(handle, _)| *handle == wanted);
        heard.map(|(_, value)| (value.value.unwrap_or_default(), value.status.unwrap_or(StatusCode::Good))).collect()
    }
}
