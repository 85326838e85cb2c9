//! Statuses of CIP, as statuses of tags and in words.

use opcua::StatusCode;

use super::cip::Code;

/// The PLC's number for a fault that only the extended status explains.
const EXTENDED: u8 = 0xff;

/// Status of a tag whose read or write is answered with this code.
pub(crate) fn status(code: Code) -> StatusCode {
    match (code.general, code.extended) {
        // No such tag, member or element, or another type there.
        (0x04 | 0x05 | 0x08 | 0x09 | 0x13..=0x16 | 0x20 | 0x26, _) | (EXTENDED, 0x2104 | 0x2105 | 0x2107) => {
            StatusCode::BadConfigurationError
        }
        (0x0f, _) | (EXTENDED, 0x2101 | 0x2106) => StatusCode::BadUserAccessDenied,
        (0x02 | 0x03, _) => StatusCode::BadResourceUnavailable,
        _ => StatusCode::BadDeviceFailure,
    }
}

/// The code in numbers.
pub(crate) fn number(code: Code) -> String {
    match code.extended {
        0 => format!("status {:#04x}", code.general),
        extended => format!("status {:#04x}/{extended:#06x}", code.general),
    }
}

/// The code in words, with the address.
pub(crate) fn item(address: &str, code: Code) -> String {
    let number = number(code);
    let words = match (code.general, code.extended) {
        (0x04 | 0x05 | 0x16, _) => "the PLC has no such tag or member, or its External Access is None",
        (0x08, _) => "the PLC does not support this service here",
        (0x0f, _) => "the PLC allows no access; look at External Access of the tag",
        (0x02 | 0x03, _) => "the PLC is busy",
        (0x0c..=0x10, _) => "the PLC reports a fault, or is in the wrong state",
        (0x13 | 0x14 | 0x15 | 0x20 | 0x26, _) => "the PLC refuses the form of the request",
        (EXTENDED, 0x2101) => "the PLC is in RUN by its key switch, and takes no write",
        (EXTENDED, 0x2104 | 0x2105) => "the array ends before; no such element",
        (EXTENDED, 0x2106) => "the PLC does not let it be changed",
        (EXTENDED, 0x2107) => "the PLC has another type there",
        _ => "the PLC refuses it",
    };
    format!("{address}: {words} ({number})")
}

/// The code of a whole request in words.
pub(crate) fn request(code: Code) -> String {
    format!("the PLC refuses the request ({})", number(code))
}
