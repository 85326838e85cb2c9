//! Codes of a PLC, as statuses and in words.

use opcua::StatusCode;

use super::address::{Address, Area};

/// Remedy for a PLC that refuses every access.
pub(crate) const PUT_GET: &str = "PUT/GET is off: allow it under Protection, or read the PLC through its own OPC UA server \
                                  (driver opcua)";

/// Code of an item: no access to the object.
const DENIED: u8 = 3;
const FAULT: u8 = 1;
const BEYOND: u8 = 5;
const NOT_SUPPORTED: u8 = 6;
const INCONSISTENT: u8 = 7;
const ABSENT: u8 = 0x0a;

/// Error of a whole request: this service is not available here.
pub(crate) const NOT_AVAILABLE: u16 = 0x8104;

/// Status of a tag whose item has this code.
pub(crate) fn status_of_item(code: u8) -> StatusCode {
    match code {
        BEYOND | NOT_SUPPORTED | INCONSISTENT | ABSENT => StatusCode::BadConfigurationError,
        DENIED => StatusCode::BadUserAccessDenied,
        _ => StatusCode::BadDeviceFailure,
    }
}

/// The code of an item in words, with the address.
pub(crate) fn item(address: Address, code: u8) -> String {
    let db = address.db;
    match (code, address.area) {
        (BEYOND | ABSENT, Area::Db) => {
            format!("{address}: DB{db} is absent, shorter, or has optimised access (code {code:#04x})")
        }
        (BEYOND | ABSENT, _) => format!("{address}: the PLC has no such address (code {code:#04x})"),
        (NOT_SUPPORTED, _) => format!("{address}: the PLC does not support this type here (code 0x06)"),
        (INCONSISTENT, _) => format!("{address}: the PLC has another type here (code 0x07)"),
        (DENIED, _) => format!("{address}: the PLC allows no access (code 0x03); {PUT_GET}"),
        (FAULT, _) => format!("{address}: the PLC reports a hardware fault (code 0x01)"),
        _ => format!("{address}: the PLC answers code {code:#04x}"),
    }
}

/// Status of a write that is refused as a whole.
pub(crate) fn status_of_request(error: u16) -> StatusCode {
    match error {
        NOT_AVAILABLE | 0xd241 => StatusCode::BadUserAccessDenied,
        // Class 0x82: the object is not defined; the server of python-snap7 says 0x8404 for one that is absent.
        0x8200..=0x82ff | 0x8404 => StatusCode::BadConfigurationError,
        _ => StatusCode::BadDeviceFailure,
    }
}

/// The error of a whole request in words.
pub(crate) fn request(error: u16) -> String {
    match error {
        NOT_AVAILABLE => format!("the PLC refuses the request (error 0x8104); {PUT_GET}"),
        0x8500 => "the PLC refuses the length of the request (error 0x8500); write a smaller `pdu`".to_owned(),
        0xd241 => format!("the PLC's protection level refuses the request (error 0xd241); {PUT_GET}"),
        error => format!("the PLC refuses the request (error {error:#06x})"),
    }
}
