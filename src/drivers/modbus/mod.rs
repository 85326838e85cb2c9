//! Modbus: TCP, RTU and ASCII frames, over a socket or a serial line.
//!
//! RTU and ASCII frames carry no transaction id, so a reply that is late, comes twice or is an echo looks like the
//! answer to another request; `belief` decides which request a reply belongs to.

mod address;
mod belief;
mod check;
mod choices;
mod driver;
mod frame;
mod line;
mod master;
mod notes;
mod pdu;
mod point;
mod probe;
mod raw;
mod raw_type;
mod settings;
mod structure;
mod target;
mod text;
mod wire;

pub(crate) use address::Area;
pub use choices::{Charset, MaskWrite, TcpFraming, WordOrder, WriteFunction};
pub use driver::{Rtu, Tcp};
pub(crate) use frame::{Asked, Found};
pub use frame::{Framing, crc, lrc};
pub(crate) use pdu::Request;
pub use raw_type::RawType;
pub use settings::{RegisterPoint, RtuSettings, TcpSettings};

/// Feeds bytes to the parsers of all framings as if they were a device's reply; for fuzzing.
pub fn fuzz_reply(bytes: &[u8]) {
    let words = [1, 2];
    let bits = [true; 9];
    for request in [
        Request::Read { area: Area::Holding, start: 7, count: 3 },
        Request::Read { area: Area::Coil, start: 7, count: 11 },
        Request::WriteCoil { at: 1, on: true },
        Request::WriteRegister { at: 1, word: 2 },
        Request::WriteRegisters { start: 1, words: &words },
        Request::WriteCoils { start: 1, bits: &bits },
        Request::Mask { at: 4, and: 0xf2, or: 0x25 },
        Request::ReadWrite { start: 3, count: 6, to: 14, words: &words },
    ] {
        for framing in [Framing::Tcp, Framing::Rtu, Framing::Ascii] {
            let mut scratch = Vec::new();
            let asked = Asked { transaction: 0x0102, unit: 1, lenient: true, request };
            match frame::find(framing, &asked, bytes, &mut scratch) {
                Found::Reply { pdu, used } => {
                    assert!(used <= bytes.len(), "no more is used than came");
                    let frame = if framing == Framing::Ascii { &scratch[..] } else { bytes };
                    assert!(request.reply(&frame[pdu]).is_some(), "what was found answers the request");
                }
                Found::More { used, .. } | Found::Misfit { used, .. } => {
                    assert!(used <= bytes.len(), "no more is used than came")
                }
                Found::Broken => assert_eq!(framing, Framing::Tcp, "only Modbus TCP loses its step"),
            }
        }
    }
}
