//! Writes of the master: which function a device takes is found out at its first write and remembered.
//!
//! FC 5 and 6, or FC 15 and 16; FC 22, or a read and a write of the register. Between that read and that write another
//! master may change the register; this one may not, since it owns the link.

use std::slice;

use opcua::StatusCode;

use super::Master;
use crate::drivers::contract::LinkError;
use crate::drivers::modbus::address::Area;
use crate::drivers::modbus::choices::{MaskWrite, WriteFunction};
use crate::drivers::modbus::pdu::Request;
use crate::drivers::modbus::point::Register;
use crate::drivers::modbus::raw::Change;
use crate::drivers::modbus::wire::Outcome;

/// Functions that a device has shown to take or to refuse.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Habits {
    /// The function for several works for one coil; false: that for one works.
    coil: Option<bool>,
    /// The same for one register.
    word: Option<bool>,
    /// It has FC 22.
    mask: Option<bool>,
    /// The function for one got no answer, and the link was closed before the other could be tried.
    many_next: bool,
}

/// One write in either function.
struct Either<'a> {
    one: Request<'a>,
    several: Request<'a>,
    is_coil: bool,
}

/// A change of some bits of a register, as FC 22 has it.
#[derive(Debug, Clone, Copy)]
struct Mask {
    /// Bits that stay.
    and: u16,
    /// Values of the other bits.
    or: u16,
}

impl Mask {
    fn applied(self, old: u16) -> u16 {
        old & self.and | self.or & !self.and
    }
}

impl Habits {
    fn known(&mut self, is_coil: bool) -> &mut Option<bool> {
        if is_coil { &mut self.coil } else { &mut self.word }
    }

    /// The function to try first: the known one of this kind, else that of the other kind.
    fn several_first(&mut self, is_coil: bool) -> bool {
        let other = *self.known(!is_coil) == Some(true);
        (*self.known(is_coil)).unwrap_or(other || self.many_next)
    }
}

/// The device does it, or has accepted it and is not done yet.
fn is_taken(outcome: &Result<Outcome, LinkError>) -> bool {
    matches!(outcome, Ok(Outcome::Written | Outcome::Data | Outcome::Exception(5)))
}

/// Another function may work: after any exception but "busy", and after silence on a usable link.
fn is_refused(outcome: &Result<Outcome, LinkError>) -> bool {
    match outcome {
        Ok(Outcome::Exception(code)) => !matches!(code, 5 | 6),
        Ok(_) => false,
        Err(error) => error.is_usable() && matches!(error, LinkError::Timeout { .. }),
    }
}

/// No answer came, and some devices close the connection instead of one.
fn is_silence(outcome: &Result<Outcome, LinkError>) -> bool {
    matches!(outcome, Err(LinkError::Timeout { .. } | LinkError::Closed { sent: true }))
}

/// The more specific one of two refusals; an error of the link comes first.
fn telling(first: Result<Outcome, LinkError>, second: Result<Outcome, LinkError>) -> Result<Outcome, LinkError> {
    match (first, second) {
        (_, Err(error)) => Err(error),
        (Ok(Outcome::Exception(1)) | Err(_), second) => second,
        (first, _) => first,
    }
}

impl Master {
    pub(super) async fn change(
        &mut self,
        device: usize,
        register: &Register,
        change: &Change,
    ) -> Result<StatusCode, LinkError> {
        let function = register.write_function;
        let outcome = match change {
            Change::Bits { start, bits } => self.write_bits(device, function, *start, bits).await?,
            Change::Words { start, words } => self.write_words(device, function, *start, words).await?,
            Change::Mask { at, and, or } => {
                self.write_masked(device, register, *at, Mask { and: *and, or: *or }).await?
            }
        };
        Ok(written(outcome))
    }

    async fn write_bits(
        &mut self,
        device: usize,
        function: WriteFunction,
        start: u16,
        bits: &[bool],
    ) -> Result<Outcome, LinkError> {
        let several = Request::WriteCoils { start, bits };
        if bits.len() > 1 && function != WriteFunction::Single {
            return self.ask(device, several).await;
        }
        let each = (start..).zip(bits).map(|(at, on)| Either {
            one: Request::WriteCoil { at, on: *on },
            several: Request::WriteCoils { start: at, bits: slice::from_ref(on) },
            is_coil: true,
        });
        self.write_each(device, function, each).await
    }

    async fn write_words(
        &mut self,
        device: usize,
        function: WriteFunction,
        start: u16,
        words: &[u16],
    ) -> Result<Outcome, LinkError> {
        let several = Request::WriteRegisters { start, words };
        if words.len() > 1 && function != WriteFunction::Single {
            return self.ask(device, several).await;
        }
        let each = (start..).zip(words).map(|(at, word)| Either {
            one: Request::WriteRegister { at, word: *word },
            several: Request::WriteRegisters { start: at, words: slice::from_ref(word) },
            is_coil: false,
        });
        self.write_each(device, function, each).await
    }

    /// One after the other, up to the first that the device does not take.
    async fn write_each<'a>(
        &mut self,
        device: usize,
        function: WriteFunction,
        writes: impl Iterator<Item = Either<'a>>,
    ) -> Result<Outcome, LinkError> {
        let mut last = Outcome::Written;
        for write in writes {
            last = self.write_one(device, function, write).await?;
            if !is_taken(&Ok(last)) {
                break;
            }
        }
        Ok(last)
    }

    /// One coil or register, by the function that the device takes.
    async fn write_one(
        &mut self,
        device: usize,
        function: WriteFunction,
        write: Either<'_>,
    ) -> Result<Outcome, LinkError> {
        match function {
            WriteFunction::Single => return self.ask(device, write.one).await,
            WriteFunction::Multiple => return self.ask(device, write.several).await,
            WriteFunction::Auto => {}
        }
        let several = self.habits(device).several_first(write.is_coil);
        let (first, second) = if several { (write.several, write.one) } else { (write.one, write.several) };
        let outcome = self.ask(device, first).await;
        if is_taken(&outcome) {
            *self.habits(device).known(write.is_coil) = Some(several);
            return outcome;
        }
        let is_known = self.habits(device).known(write.is_coil).is_some();
        if !is_refused(&outcome) || is_known && !matches!(outcome, Ok(Outcome::Exception(1))) {
            let habits = self.habits(device);
            if is_silence(&outcome) && !is_known {
                habits.many_next = !several;
            }
            return outcome;
        }
        let other = self.ask(device, second).await;
        if is_taken(&other) {
            *self.habits(device).known(write.is_coil) = Some(!several);
            return other;
        }
        telling(outcome, other)
    }

    /// Some bits of a register; the others stay.
    async fn write_masked(
        &mut self,
        device: usize,
        register: &Register,
        at: u16,
        mask: Mask,
    ) -> Result<Outcome, LinkError> {
        let known = self.habits(device).mask;
        if register.mask_write == MaskWrite::Never || known == Some(false) {
            return self.read_and_write(device, register, at, mask).await;
        }
        let outcome = self.ask(device, Request::Mask { at, and: mask.and, or: mask.or }).await;
        if is_taken(&outcome) {
            self.habits(device).mask = Some(true);
            return outcome;
        }
        if !is_refused(&outcome) || known == Some(true) && !matches!(outcome, Ok(Outcome::Exception(1))) {
            if is_silence(&outcome) && known.is_none() {
                self.habits(device).mask = Some(false);
            }
            return outcome;
        }
        let other = self.read_and_write(device, register, at, mask).await;
        if is_taken(&other) {
            self.habits(device).mask = Some(false);
            return other;
        }
        telling(outcome, other)
    }

    async fn read_and_write(
        &mut self,
        device: usize,
        register: &Register,
        at: u16,
        mask: Mask,
    ) -> Result<Outcome, LinkError> {
        let read = Request::Read { area: Area::Holding, start: at, count: 1 };
        match self.ask(device, read).await? {
            Outcome::Data => {
                let old = u16::from_be_bytes([self.reply()[0], self.reply()[1]]);
                self.write_words(device, register.write_function, at, &[mask.applied(old)]).await
            }
            outcome => Ok(outcome),
        }
    }
}

/// The status of a client's write.
fn written(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Written | Outcome::Data => StatusCode::Good,
        Outcome::Exception(1) => StatusCode::BadNotSupported,
        Outcome::Exception(2) => StatusCode::BadConfigurationError,
        Outcome::Exception(3) => StatusCode::BadOutOfRange,
        Outcome::Exception(5) => StatusCode::GoodCompletesAsynchronously,
        Outcome::Exception(6) => StatusCode::BadResourceUnavailable,
        Outcome::Exception(10 | 11) => StatusCode::BadTimeout,
        Outcome::Exception(_) => StatusCode::BadDeviceFailure,
    }
}
