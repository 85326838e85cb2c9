//! Frames around a PDU: Modbus TCP's header, RTU's check sum, ASCII's hexadecimal text.
//!
//! `find` looks for the one reply that may follow a request, and steps over everything else. RTU has no start mark,
//! so a frame counts only with the right unit, function, length and CRC.

use std::ops::Range;

use crate::drivers::modbus::pdu::{MAX_PDU, Request};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    Tcp,
    Rtu,
    Ascii,
}

/// Where a reply is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub transaction: u16,
    pub unit: u8,
    /// Only this request can be meant: transaction id 0 and unit id 0 are taken for its own (Modbus TCP).
    pub lenient: bool,
    pub request: Request<'a>,
}

/// Result of `find` for the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The reply's PDU, in the bytes for TCP and RTU, decoded in `scratch` for ASCII; `used` bytes are done with.
    Reply { pdu: Range<usize>, used: usize },
    /// Not yet; `used` bytes can be forgotten, and `garbage` when they were no stale reply.
    More { used: usize, garbage: bool },
    /// The transaction was answered, by something that does not fit; the right reply will not come (Modbus TCP).
    Misfit { used: usize, why: Misfit },
    /// The stream is out of step for good: in front of a reply or after it lies no header (Modbus TCP).
    Broken,
}

/// Longest frame of any framing: ASCII writes two characters a byte.
pub(crate) const MAX_FRAME: usize = 1 + 2 * (MAX_PDU + 2) + 2;

pub(crate) fn encode(framing: Framing, asked: &Asked<'_>, out: &mut Vec<u8>) {
    out.clear();
    match framing {
        Framing::Tcp => {
            out.extend(asked.transaction.to_be_bytes());
            out.extend([0, 0, 0, 0, asked.unit]);
            asked.request.encode(out);
            let length = u16::try_from(out.len() - 6).expect("a PDU has at most 253 bytes");
            out[4..6].copy_from_slice(&length.to_be_bytes());
        }
        Framing::Rtu => {
            out.push(asked.unit);
            asked.request.encode(out);
            out.extend(crc(out).to_le_bytes());
        }
        Framing::Ascii => {
            let mut frame = vec![asked.unit];
            asked.request.encode(&mut frame);
            frame.push(lrc(&frame));
            out.push(b':');
            out.extend(frame.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
            out.extend(b"\r\n");
        }
    }
}

/// Looks for the reply to `asked` in the bytes received so far.
pub(crate) fn find(framing: Framing, asked: &Asked<'_>, bytes: &[u8], scratch: &mut Vec<u8>) -> Found {
    match framing {
        Framing::Tcp => find_tcp(asked, bytes),
        Framing::Rtu => find_rtu(asked, bytes),
        Framing::Ascii => find_ascii(asked, bytes, scratch),
    }
}

/// Header: transaction, protocol 0, length of unit and PDU, unit (MODBUS Messaging on TCP/IP V1.0b, §3.1.3).
fn find_tcp(asked: &Asked<'_>, bytes: &[u8]) -> Found {
    let mut used = 0;
    while let Some(header) = bytes.get(used..used + 7) {
        if !may_be_header(header) {
            return Found::Broken;
        }
        let end = used + 6 + usize::from(u16::from_be_bytes([header[4], header[5]]));
        if bytes.len() < end {
            break;
        }
        let pdu = used + 7..end;
        let is_own = header[..2] == asked.transaction.to_be_bytes();
        if is_own || asked.lenient && header[..2] == [0, 0] {
            let is_unit = header[6] == asked.unit || asked.lenient && header[6] == 0;
            if is_unit && asked.request.reply(&bytes[pdu.clone()]).is_some() {
                // A reply that another one was written into is as long as it says, but ends in its middle.
                return if may_be_header(&bytes[end..]) { Found::Reply { pdu, used: end } } else { Found::Broken };
            }
            if is_own {
                return Found::Misfit { used: end, why: difference(asked, header[6], &bytes[pdu]) };
            }
        }
        used = end;
    }
    Found::More { used, garbage: false }
}

/// Whether a frame may begin so, as far as it has come: protocol 0, and a length that a frame can have.
fn may_be_header(bytes: &[u8]) -> bool {
    let has_protocol = bytes.iter().skip(2).take(2).all(|byte| *byte == 0);
    let has_length = match bytes.get(4..6) {
        Some(length) => (3..=MAX_PDU + 1).contains(&usize::from(u16::from_be_bytes([length[0], length[1]]))),
        None => bytes.get(4).is_none_or(|high| *high == 0),
    };
    has_protocol && has_length
}

/// Transaction and unit ids of the whole frames in these bytes (Modbus TCP).
pub(crate) fn ids(bytes: &[u8]) -> impl Iterator<Item = (u16, u8)> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let header = rest.get(..7)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        rest = rest.get(6 + length..)?;
        Some((u16::from_be_bytes([header[0], header[1]]), header[6]))
    })
}

/// Forgets whole frames, and keeps the part of one that has come (Modbus TCP).
pub(crate) fn skip_whole(bytes: &mut Vec<u8>) {
    let mut used = 0;
    while let Some(length) = bytes.get(used + 4..used + 6) {
        let end = used + 6 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        if end > bytes.len() || !may_be_header(&bytes[used..]) {
            break;
        }
        used = end;
    }
    bytes.drain(..used);
}

/// The difference between a reply and its request; its text is for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    #[error("answers with transaction id {came}, asked with {asked}")]
    Transaction { came: u16, asked: u16 },
    #[error("answers with unit id {came}, asked with {asked}")]
    Unit { came: u8, asked: u8 },
    #[error("answers with function {came}, asked with {asked}")]
    Function { came: u8, asked: u8 },
    /// Bytes of data, without function and byte count.
    #[error("answers with {came} bytes of data, asked for {asked}")]
    Length { came: usize, asked: usize },
    #[error("answers with another byte count, place or value than it was asked with")]
    Content,
    #[error("answers with a wrong check sum")]
    Sum,
    #[error("answers with an incomplete frame")]
    Incomplete,
}

impl Misfit {
    /// The device gives less than was asked for, as some do where their map ends.
    pub(crate) fn is_short(self) -> bool {
        matches!(self, Misfit::Length { came, asked } if came < asked)
    }
}

pub(crate) fn misfit(framing: Framing, asked: &Asked<'_>, bytes: &[u8]) -> Misfit {
    let mut scratch = Vec::new();
    let (body, has_sum) = match framing {
        Framing::Tcp => return Misfit::Incomplete,
        Framing::Rtu => {
            let (body, sum) = bytes.split_at(bytes.len().saturating_sub(2));
            (body, crc(body).to_le_bytes() == sum)
        }
        Framing::Ascii => {
            let text = bytes.strip_prefix(b":").unwrap_or(bytes);
            let text = text.strip_suffix(b"\r\n").unwrap_or(text);
            let is_text = from_hex(text, &mut scratch);
            let Some((sum, body)) = scratch.split_last() else { return Misfit::Incomplete };
            (body, is_text && lrc(body) == *sum)
        }
    };
    match body {
        [unit, pdu @ ..] if has_sum && !pdu.is_empty() => difference(asked, *unit, pdu),
        _ if body.len() < 1 + asked.request.reply_length() => Misfit::Incomplete,
        _ => Misfit::Sum,
    }
}

fn difference(asked: &Asked<'_>, unit: u8, pdu: &[u8]) -> Misfit {
    let (function, wanted) = (pdu.first().copied().unwrap_or(0), asked.request.function());
    let (length, whole) = (pdu.len(), asked.request.reply_length());
    if unit != asked.unit {
        Misfit::Unit { came: unit, asked: asked.unit }
    } else if function & 0x7f != wanted {
        Misfit::Function { came: function, asked: wanted }
    } else if length != whole {
        Misfit::Length { came: length.saturating_sub(2), asked: whole - 2 }
    } else {
        Misfit::Content
    }
}

fn find_rtu(asked: &Asked<'_>, bytes: &[u8]) -> Found {
    let function = asked.request.function();
    let whole = 1 + asked.request.reply_length() + 2;
    let mut used = 0;
    while used < bytes.len() {
        let rest = &bytes[used..];
        let wanted = match rest {
            [unit, ..] if *unit != asked.unit => 0,
            [_] => return Found::More { used, garbage: used > 0 },
            [_, first, ..] if *first == function => whole,
            [_, first, ..] if *first == function | 0x80 => 5,
            _ => 0,
        };
        if wanted > rest.len() {
            return Found::More { used, garbage: used > 0 };
        }
        if wanted > 0 && is_rtu_frame(asked, &rest[..wanted]) {
            return Found::Reply { pdu: used + 1..used + wanted - 2, used: used + wanted };
        }
        used += 1;
    }
    Found::More { used, garbage: used > 0 }
}

fn is_rtu_frame(asked: &Asked<'_>, frame: &[u8]) -> bool {
    let (body, sum) = frame.split_at(frame.len() - 2);
    crc(body).to_le_bytes() == sum && asked.request.reply(&body[1..]).is_some()
}

fn find_ascii(asked: &Asked<'_>, bytes: &[u8], scratch: &mut Vec<u8>) -> Found {
    let mut used = 0;
    let mut garbage = false;
    loop {
        let Some(colon) = bytes[used..].iter().position(|byte| *byte == b':') else {
            return Found::More { used: bytes.len(), garbage: garbage || used < bytes.len() };
        };
        garbage |= colon > 0;
        let start = used + colon + 1;
        // A colon inside a frame starts a new one: the first was cut off.
        let Some(length) = bytes[start..].iter().position(|byte| matches!(byte, b'\n' | b':')) else {
            let endless = bytes.len() - start > MAX_FRAME;
            let used = if endless { bytes.len() } else { start - 1 };
            return Found::More { used, garbage: garbage || endless };
        };
        let end = start + length;
        if bytes[end] == b':' {
            (used, garbage) = (end, true);
            continue;
        }
        if is_ascii_frame(asked, &bytes[start..end], scratch) {
            return Found::Reply { pdu: 1..scratch.len() - 1, used: end + 1 };
        }
        (used, garbage) = (end + 1, true);
    }
}

fn is_ascii_frame(asked: &Asked<'_>, text: &[u8], scratch: &mut Vec<u8>) -> bool {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if !from_hex(text, scratch) {
        return false;
    }
    let Some((sum, body)) = scratch.split_last() else { return false };
    lrc(body) == *sum && body.first() == Some(&asked.unit) && asked.request.reply(&body[1..]).is_some()
}

/// Turns hexadecimal text into bytes; false where it is none.
fn from_hex(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    if !text.len().is_multiple_of(2) || text.len() > MAX_FRAME {
        return false;
    }
    text.chunks_exact(2).all(|pair| match (digit(pair[0]), digit(pair[1])) {
        (Some(high), Some(low)) => {
            out.push(high << 4 | low);
            true
        }
        _ => false,
    })
}

/// CRC-16 of serial frames, sent low byte first (MODBUS over Serial Line V1.02, §6.2.2).
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |sum, byte| (sum >> 8) ^ CRC_TABLE[usize::from((sum ^ u16::from(*byte)) & 0xff)])
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut at: u16 = 0;
    while at < 256 {
        let mut sum = at;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xa001 } else { sum >> 1 };
            bit += 1;
        }
        table[at as usize] = sum;
        at += 1;
    }
    table
};

/// The two's complement of the sum of all bytes (§6.2.1).
pub fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

fn hex(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble)]
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
