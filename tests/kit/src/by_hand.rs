//! Structures of history written field by field, for what the `opcua` types cannot hold: times before 1601, and
//! enumerations that do not exist. Only hostile clients send them.

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::{Sample, Value};
use opcua::{ExtensionObject, ObjectId, Variant};

use crate::history::Processed;
use crate::request::{encode, raw_structure};

pub fn raw_or_modified(is_modified: bool, start: i64, end: i64, count: u32, bounds: bool) -> ExtensionObject {
    raw_structure(ObjectId::ReadRawModifiedDetails_Encoding_DefaultBinary, |w| {
        w.bool(is_modified);
        w.i64(start);
        w.i64(end);
        w.u32(count);
        w.bool(bounds);
    })
}

pub fn at_time(times: &[i64], simple_bounds: bool) -> ExtensionObject {
    raw_structure(ObjectId::ReadAtTimeDetails_Encoding_DefaultBinary, |w| {
        w.count(times.len());
        times.iter().for_each(|time| w.i64(*time));
        w.bool(simple_bounds);
    })
}

pub fn processed(asked: Processed<'_>) -> ExtensionObject {
    raw_structure(ObjectId::ReadProcessedDetails_Encoding_DefaultBinary, |w| {
        w.i64(asked.start);
        w.i64(asked.end);
        w.f64(asked.interval);
        w.count(asked.aggregates.len());
        asked.aggregates.iter().for_each(|number| w.node_id(NodeIdRef::numeric(0, *number)));
        w.bool(asked.defaults);
        w.bool(false);
        w.u8(asked.percent.0);
        w.u8(asked.percent.1);
        w.bool(false);
    })
}

pub fn update_data(id: NodeIdRef<'_>, perform: i32, samples: &[Sample]) -> ExtensionObject {
    update(ObjectId::UpdateDataDetails_Encoding_DefaultBinary, id, perform, samples)
}

pub fn update_structure(id: NodeIdRef<'_>, perform: i32, samples: &[Sample]) -> ExtensionObject {
    update(ObjectId::UpdateStructureDataDetails_Encoding_DefaultBinary, id, perform, samples)
}

fn update(encoding: ObjectId, id: NodeIdRef<'_>, perform: i32, samples: &[Sample]) -> ExtensionObject {
    raw_structure(encoding, |w| {
        w.node_id(id);
        w.i32(perform);
        w.count(samples.len());
        for sample in samples {
            w.data_value(&sample.value, sample.status, Some(sample.source_time), Some(sample.server_time));
        }
    })
}

pub fn delete_span(id: NodeIdRef<'_>, is_modified: bool, start: i64, end: i64) -> ExtensionObject {
    raw_structure(ObjectId::DeleteRawModifiedDetails_Encoding_DefaultBinary, |w| {
        w.node_id(id);
        w.bool(is_modified);
        w.i64(start);
        w.i64(end);
    })
}

pub fn delete_at(id: NodeIdRef<'_>, times: &[i64]) -> ExtensionObject {
    raw_structure(ObjectId::DeleteAtTimeDetails_Encoding_DefaultBinary, |w| {
        w.node_id(id);
        w.count(times.len());
        times.iter().for_each(|time| w.i64(*time));
    })
}

/// An Annotation as a value.
pub fn annotation(message: &str, user: &str, time: i64) -> Value {
    let annotation = raw_structure(ObjectId::Annotation_Encoding_DefaultBinary, |w| {
        w.text(message);
        w.text(user);
        w.i64(time);
    });
    let mut bytes = Vec::new();
    encode(&Variant::from(annotation), &mut bytes);
    Value::Wire(bytes.into())
}
