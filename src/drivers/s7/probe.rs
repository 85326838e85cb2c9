//! One look at a PLC: the bytes of an address in every type, for commissioning.

use std::sync::Arc;
use std::time::Duration;

use super::S7;
use super::address::{Address, Letter};
use super::client::Client;
use super::pdu::Place;
use super::point::Variable;
use super::raw_type::RawType;
use super::settings::S7Point;
use super::value::kind_of;
use crate::drivers::driver::{ConnectionOf, PointOf};
use crate::drivers::plan::{ConnectionPlan, PointPlan, PointSettings};
use crate::drivers::poll::Poll;
use crate::drivers::reading::{ProbeError, ProbeLine};
use crate::model::TagId;
use crate::value::Value;

/// Bytes that are looked at: the longest type of fixed length is DTL, and a STRING is shown in part.
const LOOK: [u16; 6] = [64, 12, 8, 4, 2, 1];

/// Reads 64 bytes from an address on, or as many as there are, and returns the keys to write and the value for each type.
pub(super) async fn probe(connection: ConnectionOf<'_, S7>, address: &str) -> Result<Vec<ProbeLine>, ProbeError> {
    let failed = |text: String| ProbeError::Failed(text);
    let place = Address::parse(address).map_err(|error| failed(format!("{}; {}", error.message, error.help)))?;
    let (name, timeout) = (&connection.plan.name, connection.plan.timeout);
    // The points of the cell are not asked for.
    let alone = ConnectionPlan { points: Arc::default(), ..connection.plan.clone() };
    let mut client = Client::new(&[ConnectionOf { plan: &alone, ..connection }]);
    tokio::time::timeout(timeout.max(Duration::from_secs(1)), client.connect())
        .await
        .map_err(|_| failed(format!("{name}: no connection within {} ms", timeout.as_millis())))?
        .map_err(|error| failed(error.to_string()))?;
    let pdu = client.pdu();
    let answer = read(&mut client, place).await;
    client.disconnect().await;
    let data = answer.map_err(failed)?;
    let mut lines = vec![line("address", place.to_string()), line("PDU", format!("{pdu} bytes"))];
    let bytes: Vec<String> = data.iter().take(12).map(|byte| format!("{byte:02X}")).collect();
    lines.push(line("bytes", bytes.join(" ")));
    lines.extend(types(connection, place, &data));
    Ok(lines)
}

fn line(keys: &str, value: String) -> ProbeLine {
    ProbeLine { keys: keys.to_owned(), value }
}

async fn read(client: &mut Client, place: Address) -> Result<Vec<u8>, String> {
    let counts: &[u16] = if place.area.has_elements() { &[1] } else { &LOOK };
    let mut why = String::new();
    for count in counts {
        let Address { area, db, start, .. } = place;
        match client.read_raw(Place { area, db, start, count: *count }).await {
            Ok(Ok(data)) => return Ok(data),
            Ok(Err(text)) => why = text,
            Err(error) => return Err(format!("{place}: {error}")),
        }
    }
    Err(why)
}

/// The address with the letter of each type, and its value.
fn types(connection: ConnectionOf<'_, S7>, place: Address, data: &[u8]) -> Vec<ProbeLine> {
    let mut lines = Vec::new();
    for (name, raw) in RawType::ALL {
        let is_bit = raw == RawType::Bool;
        let address = match raw {
            _ if place.area.has_elements() => place,
            RawType::Bool => Address { letter: Letter::Bit, bit: place.bit, ..place },
            raw if raw.is_date() => place.with(Letter::Byte),
            raw => place.with(raw.size().map_or(Letter::Byte, Letter::of_bytes)),
        };
        // A bit is shown where one was named.
        if is_bit != (place.letter == Letter::Bit) {
            continue;
        }
        if let Some(text) = show(connection, address, raw, data) {
            lines.push(line(&format!("{address}, raw_type: {name}"), text));
        }
    }
    lines
}

fn show(connection: ConnectionOf<'_, S7>, address: Address, raw: RawType, data: &[u8]) -> Option<String> {
    let is_number = raw.number().is_some();
    let keys =
        S7Point { raw_type: (raw != RawType::Bool).then_some(raw), invalid: None, nan: raw.is_float().then_some(true) };
    let room = u32::try_from(data.len()).ok()?;
    let length = match raw {
        RawType::String => room.checked_sub(2)?,
        RawType::Wstring => room.checked_sub(4)? / 2,
        _ => room,
    };
    let plan = PointPlan {
        tag: TagId(0),
        address: address.to_string(),
        words: Vec::new(),
        exponent: None,
        settings: PointSettings::of(keys),
        kind: kind_of(raw),
        elements: 1,
        is_array: false,
        length: Some(length),
        poll: Duration::from_secs(1),
        read: true,
        write: false,
        write_every: None,
        enumeration: None,
        has_scale: is_number,
        is_gone: false,
        structure: None,
    };
    let variable = Variable::new(connection.settings, PointOf::new(&plan)).ok()?;
    match variable.decode(data) {
        Ok(Value::ByteString(bytes)) => {
            Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" "))
        }
        Ok(Value::DateTime(time)) => Some(super::time::shown(time)),
        Ok(value) => Some(value.shown()),
        Err(_) if raw.is_text() || raw.is_date() => None,
        Err(bad) => Some(format!("{}: {}", bad.status, bad.why)),
    }
}
