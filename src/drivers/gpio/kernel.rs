//! The kernel's side of a chip, as the driver uses it. Tests have a chip of their own.

use opcua::StatusCode;

use super::wiring::Wiring;
use crate::tags::RawSample;
use crate::value::UaTime;

/// A chip. All but `ready` may wait for a slow bus.
pub(super) trait Chip: Send + Sync + Sized + 'static {
    type Line: Line;

    /// Opens the chip of this device or label, in the context of a runtime.
    fn open(name: &str) -> Result<Self, Fault>;

    /// Its device, as `gpiochip0`.
    fn device(&self) -> String;

    fn list(&self) -> Result<Vec<Info>, Fault>;

    /// Takes a line for this program.
    fn request(&self, offset: u32, wiring: &Wiring) -> Result<Self::Line, Fault>;

    /// Lines that may have edges, as soon as there are some. Dropping it loses none.
    fn ready(&self) -> impl Future<Output = Result<Vec<u32>, Fault>> + Send;
}

/// A line that is taken; it is released when it is dropped.
pub(super) trait Line: Send + Sync + 'static {
    /// True is the active level. May wait for a slow bus.
    fn level(&self) -> Result<bool, Fault>;

    /// May wait for a slow bus.
    fn set(&self, level: bool) -> Result<(), Fault>;

    /// Takes the edges that wait. Never waits itself.
    fn edges(&self, out: &mut Vec<Edge>) -> Result<(), Fault>;
}

/// A line as a chip describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Info {
    pub offset: u32,
    /// Empty for a line without a name.
    pub name: String,
    /// The program or driver that has it, if it says so.
    pub consumer: String,
    pub is_used: bool,
    pub is_output: bool,
}

/// An edge with the kernel's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    /// To the active level.
    pub is_rising: bool,
    pub time: UaTime,
    /// Counts the edges of a line, from 1.
    pub number: u32,
}

/// Failure of a line, or of its chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: StatusCode,
    pub text: String,
    pub of: Of,
}

/// The part that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Line,
    /// The chip has gone, or was never there.
    Chip,
    /// The server may not open it.
    Right,
}

impl Fault {
    pub(super) fn line(code: StatusCode, text: impl Into<String>) -> Fault {
        Fault { code, text: text.into(), of: Of::Line }
    }

    pub(super) fn chip(text: impl Into<String>) -> Fault {
        Fault { code: StatusCode::BadNoCommunication, text: text.into(), of: Of::Chip }
    }

    pub(super) fn sample(&self, address: &str) -> RawSample {
        RawSample::from(Err(self.code)).because(&format!("{address}: {}", self.text))
    }
}
