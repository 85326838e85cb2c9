//! One look at a device: its registers in every type and order, for commissioning.

use std::time::Duration;

use super::address::Address;
use super::choices::WordOrder;
use super::line::Slave;
use super::master::{Master, Raw};
use super::pdu::exception_text;
use super::point::Register;
use super::raw_type::RawType;
use super::settings::{Defaults, RegisterPoint};
use crate::drivers::contract::LinkError;
use crate::drivers::driver::PointOf;
use crate::drivers::plan::PointSettings;
use crate::drivers::plan::{ConnectionPlan, PointPlan};
use crate::drivers::poll::Poll;
use crate::drivers::reading::{ProbeError, ProbeLine};
use crate::model::TagId;
use crate::value::{BuiltIn, Value};

const ORDERS: [(&str, WordOrder, bool); 4] = [
    ("", WordOrder::HighFirst, false),
    ("word_order: low-first", WordOrder::LowFirst, false),
    ("swap_bytes: true", WordOrder::HighFirst, true),
    ("word_order: low-first, swap_bytes: true", WordOrder::LowFirst, true),
];

/// Reads four registers (or 16 bits) from an address on, once, and returns the keys to write and the value for each type and
/// order. Where fewer exist it takes fewer.
pub(crate) async fn probe(slave: Slave<'_>, address: &str) -> Result<Vec<ProbeLine>, ProbeError> {
    let failed = |text: String| ProbeError::Failed(text);
    let place = Address::parse(address).map_err(|error| failed(format!("{}; {}", error.message, error.help)))?;
    let (name, timeout, defaults) = (&slave.plan.name, slave.plan.timeout, slave.line.defaults.clone());
    // The points of the cell are not asked for.
    let alone = ConnectionPlan { points: Default::default(), ..slave.plan.clone() };
    let mut master = Master::new(vec![Slave { line: slave.line, plan: &alone }]);
    tokio::time::timeout(timeout.max(Duration::from_secs(1)), master.connect())
        .await
        .map_err(|_| failed(format!("{name}: no connection within {} ms", timeout.as_millis())))?
        .map_err(|error| failed(error.to_string()))?;
    let answer = read(&mut master, place).await;
    master.disconnect().await;
    let (data, count) = answer.map_err(failed)?;
    let mut lines = vec![line("address", format!("{place} = {}", place.modicon()))];
    match place.area.is_bits() {
        true => lines.extend(bits(&data, count)),
        false => lines.extend(registers(&defaults, place, &data, count)),
    }
    Ok(lines)
}

fn line(keys: &str, value: String) -> ProbeLine {
    ProbeLine { keys: keys.to_owned(), value }
}

async fn read(master: &mut Master, place: Address) -> Result<(Vec<u8>, u16), String> {
    let most = if place.area.is_bits() { 16 } else { 4 };
    let mut count = most.min(u16::MAX - place.start).max(1);
    loop {
        match master.read_raw(place.area, place.start, count).await {
            Ok(Raw::Data(data)) => return Ok((data.to_vec(), count)),
            // Where their map ends some devices answer with fewer registers than asked.
            Err(error @ LinkError::Garbage { .. }) if count > 1 && error.is_usable() => count /= 2,
            Ok(Raw::Exception(2 | 3)) if count > 1 => count /= 2,
            Err(error) => return Err(format!("{place}: {error}")),
            Ok(Raw::Exception(code)) => return Err(format!("{place}: the device answers {}", exception_text(code))),
        }
    }
}

fn bits(data: &[u8], count: u16) -> Vec<ProbeLine> {
    let bit = |at: u16| data.get(usize::from(at / 8)).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
    let all: String = (0..count).map(|at| if bit(at) { '1' } else { '0' }).collect();
    vec![line("bool", bit(0).to_string()), line(&format!("{count} bits, this one first"), all)]
}

fn registers(defaults: &Defaults, place: Address, data: &[u8], count: u16) -> Vec<ProbeLine> {
    let words: Vec<String> = data.chunks_exact(2).map(|pair| format!("{:02X}{:02X}", pair[0], pair[1])).collect();
    let mut lines = vec![line("registers", words.join(" "))];
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
            if let Some(text) = show(defaults, place, data, settings, raw, count) {
                let keys =
                    if order.is_empty() { format!("raw_type: {name}") } else { format!("raw_type: {name}, {order}") };
                lines.push(line(&keys, text));
            }
        }
    }
    lines
}

fn show(
    defaults: &Defaults,
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
        settings: PointSettings::of(settings),
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
        is_gone: false,
        structure: None,
    };
    let register = Register::new(defaults, PointOf::new(&point)).ok()?;
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
