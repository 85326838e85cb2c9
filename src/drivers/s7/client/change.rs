//! Writes: bits as bits, texts with the longest length that the PLC has, and values that are longer than a PDU in parts.

use opcua::StatusCode;

use super::{Client, Whole, misfit};
use crate::drivers::contract::LinkError;
use crate::drivers::s7::address::Address;
use crate::drivers::s7::pdu::{self, MOST_ITEMS, Place, Put, Write};
use crate::drivers::s7::point::Variable;
use crate::drivers::s7::raw_type::RawType;
use crate::drivers::s7::structure::{Structure, joined};
use crate::drivers::s7::value::{Change, header_size, most_of};
use crate::drivers::s7::words;
use crate::value::Value;

impl Client {
    /// Writes the changes of a point; the first answer that is not "done" counts.
    pub(super) async fn change(
        &mut self,
        device: usize,
        variable: &Variable,
        changes: &[Change],
    ) -> Result<StatusCode, LinkError> {
        self.wrote = false;
        let mut plain = Vec::with_capacity(changes.len());
        for change in changes {
            match self.plain(device, variable, change).await? {
                Ok(change) => plain.push(change),
                Err(status) => return Ok(status),
            }
        }
        self.send(device, variable.address, &plain).await
    }

    /// Writes a structure: all of its fields in one request where that takes them.
    pub(super) async fn change_structure(
        &mut self,
        device: usize,
        of: &Structure,
        value: &Value,
        first: u32,
    ) -> Result<StatusCode, LinkError> {
        self.wrote = false;
        let changes = match of.encode(value, first) {
            Ok(changes) => changes,
            Err(code) => return Ok(code),
        };
        let mut plain = Vec::with_capacity(changes.len());
        for (field, change) in &changes {
            match self.plain(device, &of.fields[*field], change).await? {
                Ok(change) => plain.push(change),
                Err(status) => return Ok(status),
            }
        }
        self.send(device, of.address, &joined(plain)).await
    }

    /// A change without a text.
    async fn plain(
        &mut self,
        device: usize,
        variable: &Variable,
        change: &Change,
    ) -> Result<Result<Change, StatusCode>, LinkError> {
        match change {
            Change::Text { start, text } => self.within_header(device, variable, *start, text).await,
            change => Ok(Ok(change.clone())),
        }
    }

    async fn send(&mut self, device: usize, address: Address, plain: &[Change]) -> Result<StatusCode, LinkError> {
        let items = self.items_of(address, plain);
        let mut rest = &items[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest, self.wire.pdu()));
            match self.write_items(device, now).await? {
                StatusCode::Good => rest = later,
                status => return Ok(status),
            }
        }
        Ok(StatusCode::Good)
    }

    /// The bytes of a text within the longest length that the PLC has, which is asked for: letters beyond it would lie in the
    /// next variable. A header that was never set gets the longest length too.
    async fn within_header(
        &mut self,
        device: usize,
        variable: &Variable,
        start: u32,
        text: &str,
    ) -> Result<Result<Change, StatusCode>, LinkError> {
        let (area, db, count) = (variable.address.area, variable.address.db, header_size(variable.raw));
        match self.ask_places(device, &[Place { area, db, start, count }]).await? {
            Whole::Refused(error) => return Ok(Err(words::status_of_request(error))),
            Whole::Taken => {}
        }
        let header = match self.items.first() {
            Some(Ok(range)) => &self.wire.reply()[range.clone()],
            Some(Err(code)) => return Ok(Err(words::status_of_item(*code))),
            None => return Err(misfit()),
        };
        let most = most_of(variable.raw, header).ok_or_else(misfit)?;
        let is_set = most > 0;
        let most = if is_set { most } else { variable.length };
        let bytes = match variable.text_bytes(text, most) {
            Ok(bytes) => bytes,
            Err(status) => return Ok(Err(status)),
        };
        let first_half = u32::from(count / 2);
        if is_set {
            return Ok(Ok(Change::Bytes { start: start + first_half, bytes }));
        }
        let longest: Vec<u8> = match variable.raw {
            RawType::Wstring => u16::try_from(most).unwrap_or(u16::MAX).to_be_bytes().to_vec(),
            _ => vec![u8::try_from(most).unwrap_or(u8::MAX)],
        };
        Ok(Ok(Change::Bytes { start, bytes: [longest, bytes].concat() }))
    }

    /// One item a bit or part; the parts of a long value from its end, so that a text's new length comes last.
    fn items_of<'a>(&self, address: Address, changes: &'a [Change]) -> Vec<Write<'a>> {
        let (area, db) = (address.area, address.db);
        let longest = pdu::longest_write(self.wire.pdu());
        let mut items = Vec::new();
        for change in changes {
            match change {
                Change::Bit { byte, bit, on } => {
                    let place = Place { area, db, start: *byte, count: 1 };
                    items.push(Write { place, bit: *bit, put: Put::Bit(*on) });
                }
                Change::Bytes { start, bytes } => {
                    let parts = (0_u32..).step_by(longest).zip(bytes.chunks(longest));
                    let parts: Vec<Write<'a>> = parts
                        .map(|(at, bytes)| {
                            let count = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
                            let place = Place { area, db, start: start + at, count };
                            Write { place, bit: 0, put: Put::Bytes(bytes) }
                        })
                        .collect();
                    items.extend(parts.into_iter().rev());
                }
                // Turned into bytes before.
                Change::Text { .. } => {}
            }
        }
        items
    }

    async fn write_items(&mut self, device: usize, items: &[Write<'_>]) -> Result<StatusCode, LinkError> {
        let within = self.devices[device].timeout;
        let exchanged = self.wire.exchange(within, |out, reference| pdu::write(out, reference, items)).await;
        let reply = match exchanged {
            // Half of the write is done: it must not be sent from its beginning.
            Err(LinkError::Closed { sent: false }) => return Err(LinkError::Closed { sent: self.wrote }),
            reply => reply?,
        };
        self.wrote = true;
        if reply.error != 0 {
            return Ok(words::status_of_request(reply.error));
        }
        let code = pdu::write_code(self.wire.reply(), &reply, items.len()).ok_or_else(misfit)?;
        Ok(code.map_or_else(words::status_of_item, |()| StatusCode::Good))
    }
}

/// How many of the items one request takes; at least one.
fn fitting(items: &[Write<'_>], pdu: u16) -> usize {
    let mut room = pdu::write_room(pdu);
    let fits = |item: &&Write<'_>| {
        let size = pdu::write_size(item.place.bytes());
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    };
    items.iter().take(MOST_ITEMS).take_while(fits).count().max(1)
}
