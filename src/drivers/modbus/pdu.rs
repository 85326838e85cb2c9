//! Requests and replies as every framing carries them (MODBUS Application Protocol V1.1b3, §6).
//!
//! The length of a right reply is known before it comes, so no memory is allocated by a device's word.

use super::address::Area;

/// Longest PDU (§4.1): 256 bytes of a serial frame less unit id and check sum.
pub(crate) const MAX_PDU: usize = 253;

/// One request. Its maker has checked the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    Read {
        area: Area,
        start: u16,
        count: u16,
    },
    WriteCoil {
        at: u16,
        on: bool,
    },
    WriteRegister {
        at: u16,
        word: u16,
    },
    WriteCoils {
        start: u16,
        bits: &'a [bool],
    },
    WriteRegisters {
        start: u16,
        words: &'a [u16],
    },
    /// Register = (register AND `and`) OR (`or` AND NOT `and`).
    Mask {
        at: u16,
        and: u16,
        or: u16,
    },
    /// Writes first, then reads.
    ReadWrite {
        start: u16,
        count: u16,
        to: u16,
        words: &'a [u16],
    },
}

/// Reply of a device; the data of a read is without its byte count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    Data(&'a [u8]),
    Written,
    /// The device refused, with this exception code.
    Exception(u8),
}

impl Request<'_> {
    pub(crate) fn function(&self) -> u8 {
        match self {
            Request::Read { area: Area::Coil, .. } => 1,
            Request::Read { area: Area::Discrete, .. } => 2,
            Request::Read { area: Area::Holding, .. } => 3,
            Request::Read { area: Area::Input, .. } => 4,
            Request::WriteCoil { .. } => 5,
            Request::WriteRegister { .. } => 6,
            Request::WriteCoils { .. } => 15,
            Request::WriteRegisters { .. } => 16,
            Request::Mask { .. } => 22,
            Request::ReadWrite { .. } => 23,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.function());
        match *self {
            Request::Read { start, count, .. } => put(out, &[start, count]),
            Request::WriteCoil { at, on } => put(out, &[at, if on { 0xff00 } else { 0 }]),
            Request::WriteRegister { at, word } => put(out, &[at, word]),
            Request::Mask { at, and, or } => put(out, &[at, and, or]),
            Request::WriteCoils { start, bits } => {
                put(out, &[start, short(bits.len())]);
                out.push(byte(bits.len().div_ceil(8)));
                out.extend(
                    bits.chunks(8)
                        .map(|eight| eight.iter().enumerate().fold(0, |byte, (at, on)| byte | u8::from(*on) << at)),
                );
            }
            Request::WriteRegisters { start, words } => {
                put(out, &[start, short(words.len())]);
                out.push(byte(words.len() * 2));
                put(out, words);
            }
            Request::ReadWrite { start, count, to, words } => {
                put(out, &[start, count, to, short(words.len())]);
                out.push(byte(words.len() * 2));
                put(out, words);
            }
        }
    }

    /// Where the request begins.
    pub(crate) fn place(&self) -> (Area, u16) {
        match *self {
            Request::Read { area, start, .. } => (area, start),
            Request::WriteCoil { at: start, .. } | Request::WriteCoils { start, .. } => (Area::Coil, start),
            Request::WriteRegister { at: start, .. }
            | Request::WriteRegisters { start, .. }
            | Request::Mask { at: start, .. }
            | Request::ReadWrite { start, .. } => (Area::Holding, start),
        }
    }

    /// Bytes of a right reply's PDU; an exception has 2.
    pub(crate) fn reply_length(&self) -> usize {
        match *self {
            Request::Read { area, count, .. } if area.is_bits() => 2 + usize::from(count).div_ceil(8),
            Request::Read { count, .. } | Request::ReadWrite { count, .. } => 2 + usize::from(count) * 2,
            Request::Mask { .. } => 7,
            _ => 5,
        }
    }

    /// A right reply could be the request itself, byte for byte: on a line that echoes it says nothing.
    pub(crate) fn is_its_own_reply(&self) -> bool {
        match *self {
            Request::WriteCoil { .. } | Request::WriteRegister { .. } | Request::Mask { .. } => true,
            Request::Read { start, .. } => self.reply_length() == 5 && start >> 8 == 3,
            _ => false,
        }
    }

    /// The reply to this very request, or `None`: another function, length, byte count or echo.
    pub(crate) fn reply<'a>(&self, pdu: &'a [u8]) -> Option<Reply<'a>> {
        let (first, rest) = pdu.split_first()?;
        if *first == self.function() | 0x80 {
            return match rest {
                [code] if *code != 0 => Some(Reply::Exception(*code)),
                _ => None,
            };
        }
        if *first != self.function() || pdu.len() != self.reply_length() {
            return None;
        }
        match *self {
            Request::Read { .. } | Request::ReadWrite { .. } => {
                let (length, data) = rest.split_first()?;
                (usize::from(*length) == data.len()).then_some(Reply::Data(data))
            }
            Request::WriteCoils { start, bits } => echo(rest, &[start, short(bits.len())]),
            Request::WriteRegisters { start, words } => echo(rest, &[start, short(words.len())]),
            Request::WriteCoil { at, on } => echo(rest, &[at, if on { 0xff00 } else { 0 }]),
            Request::WriteRegister { at, word } => echo(rest, &[at, word]),
            Request::Mask { at, and, or } => echo(rest, &[at, and, or]),
        }
    }
}

fn put(out: &mut Vec<u8>, words: &[u16]) {
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

fn echo<'a>(rest: &[u8], words: &[u16]) -> Option<Reply<'a>> {
    rest.iter().copied().eq(words.iter().flat_map(|word| word.to_be_bytes())).then_some(Reply::Written)
}

fn short(count: usize) -> u16 {
    u16::try_from(count).expect("counts are within one request")
}

fn byte(count: usize) -> u8 {
    u8::try_from(count).expect("counts are within one request")
}

/// The exception's name as the specification has it (§7), for logs and `probe`.
pub(crate) fn exception_text(code: u8) -> &'static str {
    match code {
        1 => "exception 1, illegal function",
        2 => "exception 2, illegal data address",
        3 => "exception 3, illegal data value",
        4 => "exception 4, server device failure",
        5 => "exception 5, acknowledge",
        6 => "exception 6, server device busy",
        7 => "exception 7, negative acknowledge",
        8 => "exception 8, memory parity error",
        10 => "exception 10, gateway path unavailable",
        11 => "exception 11, gateway target device failed to respond",
        _ => "an exception of its own",
    }
}
