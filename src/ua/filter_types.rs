//! The kinds of filter that a monitored item may have, by the Default Binary encoding of each.

use opcua::ObjectId;

pub(crate) const DATA_CHANGE_FILTER: u32 = ObjectId::DataChangeFilter_Encoding_DefaultBinary as u32;
pub(crate) const EVENT_FILTER: u32 = ObjectId::EventFilter_Encoding_DefaultBinary as u32;
pub(crate) const AGGREGATE_FILTER: u32 = ObjectId::AggregateFilter_Encoding_DefaultBinary as u32;
