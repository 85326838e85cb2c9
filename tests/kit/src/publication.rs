//! A PublishResponse, taken apart.

use opcell::testing::stack::codec::{DataValue, ExtensionRef, Reader};
use opcell::value::Value;
use opcua::{ObjectId, StatusCode};

const DATA_CHANGE: u32 = ObjectId::DataChangeNotification_Encoding_DefaultBinary as u32;
const EVENTS: u32 = ObjectId::EventNotificationList_Encoding_DefaultBinary as u32;
const STATUS_CHANGE: u32 = ObjectId::StatusChangeNotification_Encoding_DefaultBinary as u32;

/// A PublishResponse, taken apart.
#[derive(Debug, Default)]
pub struct Publication {
    pub subscription: u32,
    pub available: Vec<u32>,
    pub more: bool,
    pub sequence: u32,
    /// Client handle and value.
    pub data: Vec<(u32, DataValue)>,
    pub events: Vec<(u32, Vec<Value>)>,
    pub status_change: Option<StatusCode>,
    pub results: Vec<StatusCode>,
}

impl Publication {
    pub fn read(reader: &mut Reader<'_>) -> Publication {
        let mut publication = Publication { subscription: reader.u32().expect("a subscription"), ..Default::default() };
        let count = reader.count(4).expect("sequence numbers");
        publication.available = (0..count).map(|_| reader.u32().expect("a number")).collect();
        publication.more = reader.bool().expect("more");
        publication.read_message(reader);
        let count = reader.count(4).expect("results");
        publication.results = (0..count).map(|_| reader.status().expect("a status")).collect();
        publication
    }

    /// A NotificationMessage, as Republish sends it alone.
    pub fn read_message(&mut self, reader: &mut Reader<'_>) {
        self.sequence = reader.u32().expect("a sequence number");
        reader.time().expect("a publish time");
        for _ in 0..reader.count(3).expect("parts") {
            let part = reader.extension_object().expect("a notification");
            self.read_part(part);
        }
    }

    fn read_part(&mut self, part: ExtensionRef<'_>) {
        let mut body = Reader::new(part.body.expect("a body"));
        match part.type_id.standard() {
            Some(DATA_CHANGE) => {
                for _ in 0..body.count(5).expect("items") {
                    let handle = body.u32().expect("a handle");
                    self.data.push((handle, body.data_value().expect("a value")));
                }
            }
            Some(EVENTS) => {
                for _ in 0..body.count(8).expect("events") {
                    let handle = body.u32().expect("a handle");
                    let count = body.count(1).expect("fields");
                    self.events.push((handle, (0..count).map(|_| body.variant().expect("a field")).collect()));
                }
            }
            Some(STATUS_CHANGE) => self.status_change = Some(body.status().expect("a status")),
            other => panic!("an unknown notification {other:?}"),
        }
    }
}
