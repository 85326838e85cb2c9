//! Read and Write (Part 4 §5.11.2 and §5.11.4, 1.05).

use opcua::StatusCode;

use super::message::{Fault, Head, READ, Response, WRITE, exactly, results};
use crate::stack::codec::{DataValue, Decode, QualifiedNameRef, Reader, Writer};
use crate::value::Value;

/// AttributeIds (Part 6 §A.1, 1.05).
pub(super) const NODE_CLASS: u32 = 2;
pub(super) const BROWSE_NAME: u32 = 3;
pub(super) const DESCRIPTION: u32 = 5;
pub(super) const VALUE: u32 = 13;
pub(super) const DATA_TYPE: u32 = 14;
pub(super) const VALUE_RANK: u32 = 15;
pub(super) const ARRAY_DIMENSIONS: u32 = 16;
pub(super) const USER_ACCESS_LEVEL: u32 = 18;

const SOURCE_TIMES: i32 = 0;

/// One attribute of a node, whose id is encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub node: &'a [u8],
    pub id: u32,
}

pub(super) fn write_read<'a>(out: &mut Writer, head: Head<'_>, nodes: impl Iterator<Item = Attribute<'a>>) {
    head.write(READ, out);
    // The values as the server has them now, not older ones.
    out.f64(0.0);
    out.i32(SOURCE_TIMES);
    let count = out.reserve_count();
    let mut written = 0;
    for Attribute { node, id } in nodes {
        out.raw(node);
        out.u32(id);
        out.string(None);
        out.qualified_name(QualifiedNameRef { namespace: 0, name: None });
        written += 1;
    }
    out.set_count(count, written);
}

pub(super) fn read_values(body: &[u8], expected: usize) -> Result<Vec<DataValue>, Fault> {
    let mut reader = Response::read(body)?.body(READ)?;
    let count = exactly(reader.count(1)?, expected)?;
    reader.forgive_texts();
    Ok((0..count).map(|_| read_value(&mut reader)).collect::<Result<_, _>>()?)
}

/// A DataValue. A text that is not UTF-8 is the fault of its tag alone, not of the message.
pub(super) fn read_value(reader: &mut Reader<'_>) -> Decode<DataValue> {
    let value = reader.data_value()?;
    Ok(match reader.take_broken() {
        true => DataValue { value: None, status: Some(StatusCode::BadDataEncodingInvalid), ..value },
        false => value,
    })
}

/// A write of the Value alone: no status, no time. `range`: the elements, where they are not all of an array.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub node: &'a [u8],
    pub range: Option<&'a str>,
    pub value: &'a Value,
}

pub(super) fn write_write(out: &mut Writer, head: Head<'_>, change: &Change<'_>) {
    head.write(WRITE, out);
    out.count(1);
    out.raw(change.node);
    out.u32(VALUE);
    out.string(change.range);
    out.u8(0x01);
    out.variant(change.value);
}

pub(super) fn read_written(body: &[u8]) -> Result<StatusCode, Fault> {
    let mut reader = Response::read(body)?.body(WRITE)?;
    Ok(results(&mut reader, 1)?[0])
}
