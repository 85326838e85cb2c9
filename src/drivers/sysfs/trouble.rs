//! Reasons why a file gives no value or takes none, as statuses and words.

use std::io;

use opcua::StatusCode;
use rustix::io::Errno;

use crate::drivers::system::said_by_system;
use crate::tags::RawSample;

/// Failure of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub code: StatusCode,
    /// The reason, after the name of the file.
    pub text: String,
    /// The file is not there: the device may have gone, or come back with another number.
    pub is_absent: bool,
}

impl Trouble {
    pub(super) fn new(code: StatusCode, text: impl Into<String>) -> Trouble {
        Trouble { code, text: text.into(), is_absent: false }
    }

    pub(super) fn absent(text: impl Into<String>) -> Trouble {
        Trouble { is_absent: true, ..Trouble::new(StatusCode::BadConfigurationError, text) }
    }

    /// A failed read.
    pub(super) fn of_read(error: &io::Error) -> Trouble {
        let said = said_by_system(error);
        match errno(error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::NXIO) => Trouble::absent(said),
            Some(Errno::NODATA | Errno::IO | Errno::REMOTEIO | Errno::TIMEDOUT | Errno::AGAIN) => {
                Trouble::new(StatusCode::BadSensorFailure, said)
            }
            Some(Errno::BUSY) => Trouble::new(StatusCode::BadResourceUnavailable, said),
            Some(Errno::ACCESS | Errno::PERM) => Trouble::new(StatusCode::BadUserAccessDenied, said),
            Some(Errno::XDEV | Errno::LOOP) => Trouble::outside(),
            Some(Errno::ISDIR | Errno::NAMETOOLONG | Errno::INVAL) => {
                Trouble::new(StatusCode::BadConfigurationError, said)
            }
            _ => Trouble::new(StatusCode::BadDeviceFailure, said),
        }
    }

    /// A failed write.
    pub(super) fn of_write(error: &io::Error) -> Trouble {
        let said = said_by_system(error);
        match errno(error) {
            Some(Errno::INVAL | Errno::RANGE | Errno::DOM | Errno::OVERFLOW | Errno::FBIG) => {
                Trouble::new(StatusCode::BadOutOfRange, said)
            }
            Some(Errno::ROFS) => Trouble::new(StatusCode::BadNotWritable, said),
            Some(Errno::IO | Errno::REMOTEIO | Errno::NODATA | Errno::NOSPC) => {
                Trouble::new(StatusCode::BadDeviceFailure, said)
            }
            Some(Errno::TIMEDOUT) => Trouble::new(StatusCode::BadTimeout, said),
            Some(Errno::AGAIN) => Trouble::new(StatusCode::BadResourceUnavailable, said),
            _ => Trouble::of_read(error),
        }
    }

    fn outside() -> Trouble {
        Trouble::new(StatusCode::BadConfigurationError, "a link in its path leads out of `root`")
    }

    /// The sample of a tag, with the name of its address.
    pub(super) fn sample(&self, address: &str) -> RawSample {
        RawSample::from(Err(self.code)).because(&format!("{address}: {}", self.text))
    }
}

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}
