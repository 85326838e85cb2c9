//! Structures that may be texts: those with a DINT called LEN and letters called DATA.
//!
//! A structure has a handle in its values and no name. Whether it is a text, and how many letters it has, is found by reading its
//! members by their names, once for each structure.

use opcua::StatusCode;

use super::{Client, Structure, bad};
use crate::drivers::contract::LinkError;
use crate::drivers::ethernet_ip::cip::{self, Code};
use crate::drivers::ethernet_ip::path;
use crate::drivers::ethernet_ip::plc_type::PlcType;
use crate::drivers::ethernet_ip::value::TEXT_HEAD;
use crate::drivers::ethernet_ip::words;
use crate::drivers::number::Number;
use crate::tags::RawSample;

/// A structure ends at a place that four divides, so up to three bytes may follow the letters.
const FILLING: usize = 3;

impl Client {
    /// Finds out whether the structure of a point is a text. Returns the reason why that is not known.
    pub(super) async fn look_at(&mut self, id: u32) -> Result<Option<RawSample>, LinkError> {
        let device = self.points[id as usize].device;
        let Some(Found { structure, element }) = self.structure(id, device).await? else {
            let why = format!("{}: its type in the PLC cannot be read", self.points[id as usize].address());
            return Ok(Some(bad(StatusCode::BadConfigurationError, &why)));
        };
        if self.texts.contains_key(&structure) {
            return Ok(None);
        }
        let Some(most) = structure.size.checked_sub(TEXT_HEAD).filter(|most| *most > 0) else {
            self.texts.insert(structure, None);
            return Ok(None);
        };
        let mut services = vec![member(&element, "LEN", None)];
        let lengths: Vec<usize> = (most.saturating_sub(FILLING).max(1)..=most).collect();
        services.extend(lengths.iter().map(|length| member(&element, "DATA", u32::try_from(length - 1).ok())));
        let types = match self.types(device, &services).await? {
            Ok(types) => types,
            Err(code) => {
                let why = words::item(self.points[id as usize].address(), code);
                return Ok(Some(bad(words::status(code), &why)));
            }
        };
        // Not known for now: the PLC was busy, or the like.
        let unknown = |of: &Result<PlcType, Code>| {
            of.err().filter(|code| words::status(*code) != StatusCode::BadConfigurationError)
        };
        if let Some(code) = types.iter().find_map(unknown) {
            let why = words::item(self.points[id as usize].address(), code);
            return Ok(Some(bad(words::status(code), &why)));
        }
        let has_length = matches!(types[0], Ok(PlcType::Number(Number::Int32)));
        let is_letter = |of: &Result<PlcType, Code>| matches!(of, Ok(PlcType::Number(Number::Int8 | Number::Uint8)));
        let capacity = lengths.iter().zip(&types[1..]).rfind(|(_, of)| is_letter(of)).map(|(length, _)| *length);
        self.texts.insert(structure, capacity.filter(|_| has_length));
        Ok(None)
    }

    /// The structure of which a point's elements are, and the path of the first of them.
    async fn structure(&mut self, id: u32, device: usize) -> Result<Option<Found>, LinkError> {
        let point = &self.points[id as usize];
        let Some(variable) = &point.variable else { return Ok(None) };
        let mut element = variable.path.clone();
        if variable.is_array && variable.address.last_element().is_none() {
            path::element(&mut element, 0);
        }
        let path = element.clone();
        let reply = self.exchange(device, cip::READ, |out| cip::read(out, &path, 1)).await?;
        let mut data = self.wire.reply()[reply.data].to_vec();
        let mut code = reply.code.general;
        // A structure that is longer than a packet comes in parts.
        while code == cip::PARTIAL && data.len() < 1 << 16 {
            let offset = u32::try_from(data.len().saturating_sub(4)).unwrap_or(u32::MAX);
            let reply = self.exchange(device, cip::READ_PART, |out| cip::read_part(out, &path, 1, offset)).await?;
            let Some(more) = self.wire.reply()[reply.data].get(4..).filter(|more| !more.is_empty()) else { break };
            data.extend(more);
            code = reply.code.general;
        }
        let typed = PlcType::read(&data).filter(|_| code == cip::DONE);
        Ok(typed.and_then(|typed| match typed.of {
            PlcType::Structure(handle) => {
                Some(Found { structure: Structure { handle, size: typed.data.len() }, element })
            }
            _ => None,
        }))
    }

    /// The types of one element of each service, or the codes by which the PLC refuses them.
    async fn types(
        &mut self,
        device: usize,
        services: &[Vec<u8>],
    ) -> Result<Result<Vec<Result<PlcType, Code>>, Code>, LinkError> {
        if let Err(code) = self.exchange_batch(device, services).await? {
            return Ok(Err(code));
        }
        let of = |reply: &cip::Reply| match reply.code.general {
            cip::DONE => {
                let typed = PlcType::read(&self.wire.reply()[reply.data.clone()]);
                typed.map(|typed| typed.of).ok_or(reply.code)
            }
            _ => Err(reply.code),
        };
        Ok(Ok(self.replies.iter().map(of).collect()))
    }
}

struct Found {
    structure: Structure,
    element: Vec<u8>,
}

/// A read of one member, or of one of its elements.
fn member(element: &[u8], name: &str, index: Option<u32>) -> Vec<u8> {
    let mut way = element.to_vec();
    if path::symbol(&mut way, name).is_some()
        && let Some(index) = index
    {
        path::element(&mut way, index);
    }
    let mut service = Vec::new();
    cip::read(&mut service, &way, 1);
    service
}
