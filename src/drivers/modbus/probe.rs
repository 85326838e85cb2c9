//! One look at a device: what its registers say in every type and order, for commissioning.

use super::address::Address;
use super::master::{Master, defaults};
use super::pdu::exception_text;
use super::point::Register;
use super::settings::{RawType, RegisterPoint, WordOrder};
use crate::drivers::{ConnectionPlan, LinkError, PointPlan, PointSettings, Protocol};
use crate::model::TagId;
use crate::value::{BuiltIn, Value};

const ORDERS: [(&str, WordOrder, bool); 4] = [
    ("", WordOrder::HighFirst, false),
    ("word_order: low-first", WordOrder::LowFirst, false),
    ("swap_bytes: true", WordOrder::HighFirst, true),
    ("word_order: low-first, swap_bytes: true", WordOrder::LowFirst, true),
];

/// Reads four registers (or 16 bits) from an address on, once, and says what they are in each type and order:
/// the keys to write, and the value. Where fewer exist it takes fewer.
pub async fn probe(connection: &ConnectionPlan, address: &str) -> Result<Vec<(String, String)>, String> {
    let place = Address::parse(address).map_err(|error| format!("{}; {}", error.message, error.help))?;
    let alone = ConnectionPlan { points: Vec::new(), ..connection.clone() };
    let Some((mut master, _)) = Master::new(std::slice::from_ref(&alone)) else {
        return Err(format!("{} is no Modbus connection", connection.name));
    };
    tokio::time::timeout(connection.timeout.max(std::time::Duration::from_secs(1)), master.connect())
        .await
        .map_err(|_| format!("{}: no connection within {} ms", connection.name, connection.timeout.as_millis()))?
        .map_err(|error| error.to_string())?;
    let answer = read(&mut master, place).await;
    master.disconnect().await;
    let (data, count) = answer?;
    let mut lines = vec![("address".to_owned(), format!("{place} = {}", place.modicon()))];
    match place.area.is_bits() {
        true => lines.extend(bits(&data, count)),
        false => lines.extend(registers(connection, place, &data, count)),
    }
    Ok(lines)
}

async fn read(master: &mut Master, place: Address) -> Result<(Vec<u8>, u16), String> {
    let most = if place.area.is_bits() { 16 } else { 4 };
    let mut count = most.min(u16::MAX - place.start).max(1);
    loop {
        match master.read_raw(place.area, place.start, count).await {
            Ok(Ok(data)) => return Ok((data.to_vec(), count)),
            // Where their map ends some devices answer with fewer registers than asked.
            Err(error @ LinkError::Garbage { .. }) if count > 1 && error.is_usable() => count /= 2,
            Ok(Err(2 | 3)) if count > 1 => count /= 2,
            Err(error) => return Err(format!("{place}: {error}")),
            Ok(Err(code)) => return Err(format!("{place}: the device answers {}", exception_text(code))),
        }
    }
}

fn bits(data: &[u8], count: u16) -> Vec<(String, String)> {
    let bit = |at: u16| data.get(usize::from(at / 8)).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
    let all: String = (0..count).map(|at| if bit(at) { '1' } else { '0' }).collect();
    vec![("bool".to_owned(), bit(0).to_string()), (format!("{count} bits, this one first"), all)]
}

fn registers(connection: &ConnectionPlan, place: Address, data: &[u8], count: u16) -> Vec<(String, String)> {
    let words: Vec<String> = data.chunks_exact(2).map(|pair| format!("{:02X}{:02X}", pair[0], pair[1])).collect();
    let mut lines = vec![("registers".to_owned(), words.join(" "))];
    for (name, raw) in RawType::ALL {
        if raw == RawType::Bool {
            continue;
        }
        for (order, word_order, swap_bytes) in ORDERS {
            let words = raw.bits().div_ceil(16);
            let plain = words <= 1 && word_order == WordOrder::LowFirst;
            if plain || words > u32::from(count) {
                continue;
            }
            let settings = RegisterPoint {
                raw_type: Some(raw),
                word_order: Some(word_order),
                swap_bytes: Some(swap_bytes),
                invalid: Some(Vec::new()),
                nan: Some(matches!(raw, RawType::Float32 | RawType::Float64)),
                ..RegisterPoint::default()
            };
            if let Some(text) = show(connection, place, data, settings, raw, count) {
                let keys =
                    if order.is_empty() { format!("raw_type: {name}") } else { format!("raw_type: {name}, {order}") };
                lines.push((keys, text));
            }
        }
    }
    lines
}

fn show(
    connection: &ConnectionPlan,
    place: Address,
    data: &[u8],
    settings: RegisterPoint,
    raw: RawType,
    count: u16,
) -> Option<String> {
    let kind = match raw {
        RawType::Text => BuiltIn::String,
        RawType::Bytes => BuiltIn::ByteString,
        _ => BuiltIn::Double,
    };
    let point = PointPlan {
        tag: TagId(0),
        address: Address { bits: None, ..place }.to_string(),
        words: Vec::new(),
        exponent: None,
        settings: PointSettings::Modbus(settings),
        kind,
        elements: 1,
        is_array: false,
        length: Some(u32::from(count) * 2),
        poll: std::time::Duration::from_secs(1),
        read: true,
        write: false,
        write_every: None,
        enumeration: None,
        has_scale: true,
    };
    let register = Register::new(&defaults(&connection.settings)?, &point).ok()?;
    Some(match register.decode(data, place.start) {
        Ok(value) => text_of(&value),
        Err(code) => code.to_string(),
    })
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::ByteString(bytes) => bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" "),
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        value => value.as_integer().map_or_else(|| format!("{value:?}"), |number| number.to_string()),
    }
}
