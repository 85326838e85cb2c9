//! Addresses: `DB10.DBD4`, `M10.3`, `IW64`, `PIW256`, `T5`, in upper or lower case, with or without TIA's `%`.
//!
//! German mnemonics (E, A, Z, PE, PA) and the V of LOGO and S7-200, which is DB1, name the same places.

use std::fmt;
use std::ops::Range;

use crate::drivers::reading::PointError;

/// A memory of the PLC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Area {
    Db,
    Memory,
    Inputs,
    Outputs,
    PeripheralInputs,
    PeripheralOutputs,
    Timers,
    Counters,
}

/// Width of an address, as its letter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    Bit,
    Byte,
    Word,
    Double,
    Long,
    /// A timer or a counter.
    Element,
    /// Fits every type: it replaces an address that was refused, while the rest of the point is checked.
    Any,
}

/// A place in a PLC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub area: Area,
    /// Number of the DB; 0 for other areas.
    pub db: u16,
    pub letter: Letter,
    /// Byte, or number of the timer or counter.
    pub start: u32,
    pub bit: u8,
}

/// Text of an address with `Letter::Any`. No address of a PLC is written so.
pub(crate) const STAND_IN: &str = "\u{0}any";

/// Bit addresses have 24 bits.
pub(crate) const LAST_BYTE: u32 = (1 << 21) - 1;

/// The longer names first: `PI` is no `P`, and `PIW` no bit memory.
const AREAS: [(&str, Area); 12] = [
    ("PI", Area::PeripheralInputs),
    ("PE", Area::PeripheralInputs),
    ("PQ", Area::PeripheralOutputs),
    ("PA", Area::PeripheralOutputs),
    ("M", Area::Memory),
    ("I", Area::Inputs),
    ("E", Area::Inputs),
    ("Q", Area::Outputs),
    ("A", Area::Outputs),
    ("T", Area::Timers),
    ("C", Area::Counters),
    ("Z", Area::Counters),
];

pub(super) const FORMS: &str = "write DB10.DBD4, M10.3, MW20, IW64, Q0.1, PIW256, T5 or C3";

impl Area {
    /// In the order of their numbers.
    pub(crate) const ALL: [Area; 8] = [
        Area::Db,
        Area::Memory,
        Area::Inputs,
        Area::Outputs,
        Area::PeripheralInputs,
        Area::PeripheralOutputs,
        Area::Timers,
        Area::Counters,
    ];

    /// Number in a request, and whether it counts timers or counters.
    pub(crate) fn number(self) -> u8 {
        match self {
            Area::PeripheralInputs | Area::PeripheralOutputs => 0x80,
            Area::Inputs => 0x81,
            Area::Outputs => 0x82,
            Area::Memory => 0x83,
            Area::Db => 0x84,
            Area::Counters => 0x1c,
            Area::Timers => 0x1d,
        }
    }

    /// Timers and counters have numbers of their own and no bytes.
    pub(crate) fn has_elements(self) -> bool {
        matches!(self, Area::Timers | Area::Counters)
    }

    pub(crate) fn is_peripheral(self) -> bool {
        matches!(self, Area::PeripheralInputs | Area::PeripheralOutputs)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Area::Db => "DB",
            Area::Memory => "M",
            Area::Inputs => "I",
            Area::Outputs => "Q",
            Area::PeripheralInputs => "PI",
            Area::PeripheralOutputs => "PQ",
            Area::Timers => "T",
            Area::Counters => "C",
        }
    }
}

impl Letter {
    /// Bytes of an address of this width; `None` for a bit.
    pub(crate) fn bytes(self) -> Option<u32> {
        Some(match self {
            Letter::Byte => 1,
            Letter::Word | Letter::Element => 2,
            Letter::Double => 4,
            Letter::Long => 8,
            Letter::Bit | Letter::Any => return None,
        })
    }

    /// The letter for this number of bytes; a byte where there is none.
    pub(crate) fn of_bytes(bytes: u32) -> Letter {
        match bytes {
            2 => Letter::Word,
            4 => Letter::Double,
            8 => Letter::Long,
            _ => Letter::Byte,
        }
    }

    fn of(letter: char) -> Option<Letter> {
        Some(match letter {
            'X' => Letter::Bit,
            'B' => Letter::Byte,
            'W' => Letter::Word,
            'D' => Letter::Double,
            'L' => Letter::Long,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Letter::Bit => "X",
            Letter::Byte => "B",
            Letter::Word => "W",
            Letter::Double => "D",
            Letter::Long => "L",
            Letter::Element | Letter::Any => "",
        }
    }
}

impl Address {
    /// `None` for a text of another form; `Address::parse` says which one it is.
    pub(super) fn of(text: &str) -> Result<Option<Address>, PointError> {
        if text == STAND_IN {
            return Ok(Some(Address { area: Area::Db, db: 1, letter: Letter::Any, start: 0, bit: 0 }));
        }
        let upper = text.to_ascii_uppercase();
        let body = upper.strip_prefix('%').unwrap_or(&upper);
        Parser { text: &upper, at: text.len() - body.len() }.address()
    }

    /// The same place with another width.
    pub(crate) fn with(self, letter: Letter) -> Address {
        Address { letter, bit: 0, ..self }
    }

    /// The letters in front of the byte, as `DBW` or `MW`.
    pub(crate) fn prefix(&self) -> String {
        format!("{}{}", self.area.name(), self.letter.name())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { area, db, letter, start, bit } = self;
        match (area, letter) {
            (Area::Db, Letter::Bit) => write!(f, "DB{db}.DBX{start}.{bit}"),
            (Area::Db, letter) => write!(f, "DB{db}.DB{}{start}", letter.name()),
            (area, Letter::Bit) => write!(f, "{}{start}.{bit}", area.name()),
            (area, letter) => write!(f, "{}{}{start}", area.name(), letter.name()),
        }
    }
}

/// The rest of a text, in capitals.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The next digits.
    fn digits(&self) -> Range<usize> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at..self.at + count
    }

    /// `None`: this is no address of S7.
    fn address(mut self) -> Result<Option<Address>, PointError> {
        let is_db =
            |rest: &str| rest.strip_prefix("DB").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_db(self.rest()) {
            return self.in_db();
        }
        if self.rest().starts_with('V') {
            self.at += 1;
            return self.place(Area::Db, 1, "V");
        }
        let Some((name, area)) = AREAS.iter().find(|(name, _)| self.rest().starts_with(name)).copied() else {
            return Ok(None);
        };
        self.at += name.len();
        match area.has_elements() {
            true => self.element(area),
            false => self.place(area, 0, name),
        }
    }

    fn in_db(mut self) -> Result<Option<Address>, PointError> {
        self.at += 2;
        let digits = self.digits();
        let shown = &self.text[digits.clone()];
        let Some(db) = shown.parse::<u16>().ok().filter(|db| *db > 0) else {
            let message = format!("`{shown}` is no number of a DB");
            return Err(PointError::new(digits, message, "a DB has a number from 1 to 65535"));
        };
        self.at = digits.end;
        let is_open = |rest: &str| rest.strip_prefix('.').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        if self.rest().is_empty() || is_open(self.rest()) {
            let byte = self.rest().trim_start_matches('.').parse::<u32>().unwrap_or(0);
            let help = format!("DB{db}.DBX{byte}.0, DBB{byte}, DBW{byte}, DBD{byte}");
            return Err(PointError::new(0..self.text.len(), format!("where in DB{db}?"), &help));
        }
        if !self.rest().starts_with(".DB") {
            return Ok(None);
        }
        self.at += 3;
        self.place(Area::Db, db, "DB")
    }

    fn element(self, area: Area) -> Result<Option<Address>, PointError> {
        let digits = self.digits();
        if digits.is_empty() || digits.end != self.text.len() {
            return Ok(None);
        }
        let start = self.text[digits.clone()].parse::<u16>();
        let start = start.map_err(|_| PointError::new(digits, "timers and counters end at 65535".to_owned(), FORMS))?;
        Ok(Some(Address { area, db: 0, letter: Letter::Element, start: start.into(), bit: 0 }))
    }

    /// Letter, byte and bit.
    fn place(mut self, area: Area, db: u16, name: &str) -> Result<Option<Address>, PointError> {
        let letter_at = self.at;
        let letter = self.rest().chars().next().and_then(Letter::of);
        self.at += usize::from(letter.is_some());
        let digits = self.digits();
        if digits.is_empty() || letter.is_none() && name == "DB" {
            return Ok(None);
        }
        let Some(start) = self.text[digits.clone()].parse().ok().filter(|byte| *byte <= LAST_BYTE) else {
            let message = format!("byte `{}` is out of range 0..{LAST_BYTE}", &self.text[digits.clone()]);
            return Err(PointError::new(digits, message, "count the bytes from the beginning of the block"));
        };
        self.at = digits.end;
        let bit = match self.rest() {
            "" => None,
            rest => match rest.strip_prefix('.') {
                Some(bit) if !bit.is_empty() && bit.bytes().all(|b| b.is_ascii_digit()) => Some(bit),
                _ => return Ok(None),
            },
        };
        let of = |letter| Address { area, db, letter, start, bit: 0 };
        let marked = self.at..self.text.len();
        if area.is_peripheral() && matches!(letter, None | Some(Letter::Bit)) {
            let message = format!("`{}` has no bits", area.name());
            let help = format!("write {0}B{start}, {0}W{start} or {0}D{start}", area.name());
            return Err(PointError::new(letter_at..self.text.len(), message, &help));
        }
        match (letter, bit) {
            (None | Some(Letter::Bit), Some(bit)) => {
                let bit = self.bit(of(Letter::Bit), bit)?;
                Ok(Some(Address { bit, ..of(Letter::Bit) }))
            }
            (Some(Letter::Bit), None) => {
                let message = format!("a bit needs its number: {} to .7", of(Letter::Bit));
                let help = format!("write {}, or {} for the byte", of(Letter::Bit), of(Letter::Byte));
                Err(PointError::new(0..self.text.len(), message, &help))
            }
            (None, None) => {
                let shown = format!("{name}{start}");
                let help = format!("{shown}.0, {name}B{start}, {name}W{start}, {name}D{start}");
                Err(PointError::new(0..self.text.len(), format!("where in {shown}?"), &help))
            }
            (Some(letter), Some(bit)) => {
                let message = format!("{name}{} has no bit", letter.name());
                let bit = bit.parse().ok().filter(|bit| *bit < 8).unwrap_or(0);
                let help = format!("a bit is {}", Address { bit, ..of(Letter::Bit) });
                Err(PointError::new(marked, message, &help))
            }
            (Some(letter), None) => Ok(Some(of(letter))),
        }
    }

    fn bit(&self, place: Address, bit: &str) -> Result<u8, PointError> {
        let number = bit.parse::<u32>().unwrap_or(u32::MAX);
        if let Some(bit) = u8::try_from(number).ok().filter(|bit| *bit < 8) {
            return Ok(bit);
        }
        let at = self.at + 1..self.text.len();
        let message = format!("bit {bit}: a byte has bits 0 to 7");
        let byte = place.start.saturating_add(number / 8);
        let help = match byte <= LAST_BYTE {
            true => {
                let bit = u8::try_from(number % 8).unwrap_or(0);
                format!("did you mean {}?", Address { start: byte, bit, ..place })
            }
            false => "write .0 to .7".to_owned(),
        };
        Err(PointError::new(at, message, &help))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_spelling_names_its_place() {
        for (text, place) in [
            ("DB10.DBX0.3", "DB10.DBX0.3"),
            ("db10.dbx0.3", "DB10.DBX0.3"),
            ("%DB10.DBW4", "DB10.DBW4"),
            ("DB10.DBB4", "DB10.DBB4"),
            ("DB65535.DBD2097151", "DB65535.DBD2097151"),
            ("DB10.DBL4", "DB10.DBL4"),
            ("M10.3", "M10.3"),
            ("MX10.3", "M10.3"),
            ("MB10", "MB10"),
            ("ML32", "ML32"),
            ("I0.0", "I0.0"),
            ("E0.0", "I0.0"),
            ("EW64", "IW64"),
            ("Q0.1", "Q0.1"),
            ("ab4", "QB4"),
            ("PIW256", "PIW256"),
            ("PEW256", "PIW256"),
            ("PAD8", "PQD8"),
            ("T5", "T5"),
            ("C3", "C3"),
            ("Z3", "C3"),
            ("V0.3", "DB1.DBX0.3"),
            ("VW10", "DB1.DBW10"),
            ("VD20", "DB1.DBD20"),
        ] {
            let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(address.to_string(), place, "{text}");
            assert_eq!(Address::parse(&address.to_string()), Ok(address), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_is_marked_at_its_wrong_part() {
        #[rustfmt::skip]
        let cases = [
            ("DB10.DBD0.3", 9..11, "DBD has no bit", "a bit is DB10.DBX0.3"),
            ("%DB10.DBD0.3", 10..12, "DBD has no bit", "a bit is DB10.DBX0.3"),
            ("MW4.12", 3..6, "MW has no bit", "a bit is M4.0"),
            ("DB10.DBX0", 0..9, "a bit needs its number: DB10.DBX0.0 to .7", "write DB10.DBX0.0, or DB10.DBB0 for the byte"),
            ("DB10.DBX0.8", 10..11, "bit 8: a byte has bits 0 to 7", "did you mean DB10.DBX1.0?"),
            ("M10.15", 4..6, "bit 15: a byte has bits 0 to 7", "did you mean M11.7?"),
            ("DB10.0", 0..6, "where in DB10?", "DB10.DBX0.0, DBB0, DBW0, DBD0"),
            ("DB10", 0..4, "where in DB10?", "DB10.DBX0.0, DBB0, DBW0, DBD0"),
            ("M10", 0..3, "where in M10?", "M10.0, MB10, MW10, MD10"),
            ("E10", 0..3, "where in E10?", "E10.0, EB10, EW10, ED10"),
            ("DB0.DBW0", 2..3, "`0` is no number of a DB", "a DB has a number from 1 to 65535"),
            ("DB70000.DBW0", 2..7, "`70000` is no number of a DB", "a DB has a number from 1 to 65535"),
            ("DB1.DBW9999999", 7..14, "byte `9999999` is out of range 0..2097151", "count the bytes from the beginning of the block"),
            ("PI0.0", 2..5, "`PI` has no bits", "write PIB0, PIW0 or PID0"),
            ("DB1.Speed", 4..9, "`Speed` is a symbol", "S7 knows only addresses, and optimised blocks have none"),
            ("DB1,REAL4", 0..9, "`DB1,REAL4` is not an S7 address", "write `DB1.DBD4`"),
            ("XY", 0..2, "`XY` is not an S7 address", FORMS),
            ("T5.1", 0..4, "`T5.1` is not an S7 address", FORMS),
            ("DB1.DBZ4", 4..8, "`DBZ4` is a symbol", "S7 knows only addresses, and optimised blocks have none"),
            ("", 0..0, "`` is not an S7 address", FORMS),
            ("ü", 0..2, "`ü` is not an S7 address", FORMS),
        ];
        for (text, at, message, help) in cases {
            let error = Address::parse(text).expect_err(text);
            assert_eq!((error.at, &*error.message, &*error.help), (at, message, help), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_has_its_fault_inside_of_it(text in "[%DdBbXWPIQMTCVZ0-9.,:#é ]{0,16}") {
            match Address::parse(&text) {
                Ok(address) => prop_assert_eq!(Address::parse(&address.to_string()), Ok(address)),
                Err(error) => prop_assert!(text.get(error.at.clone()).is_some(), "{:?}", error),
            }
        }
    }
}
