//! Addresses of coils and registers.
//!
//! The base is in the spelling, never in a switch: `holding/70` counts from 0 as the protocol does, `40071` counts
//! from 1 as Modicon's manuals do, and both are the same register.

use std::fmt;
use std::ops::Range;

use super::super::PointError;

/// The four tables of a device (MODBUS Application Protocol V1.1b3, §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Area {
    Coil,
    Discrete,
    Input,
    Holding,
}

const AREAS: [(&str, Area, char); 4] = [
    ("coil", Area::Coil, '0'),
    ("discrete", Area::Discrete, '1'),
    ("input", Area::Input, '3'),
    ("holding", Area::Holding, '4'),
];

/// Other products' words for the tables.
const ALSO: [(&str, &str); 14] = [
    ("co", "coil"),
    ("coils", "coil"),
    ("di", "discrete"),
    ("contact", "discrete"),
    ("discrete_input", "discrete"),
    ("discrete-input", "discrete"),
    ("ir", "input"),
    ("input_register", "input"),
    ("input-register", "input"),
    ("hr", "holding"),
    ("holding_register", "holding"),
    ("holding-register", "holding"),
    ("register", "holding"),
    ("4x", "holding"),
];

const FORMS: &str = "write coil/N, discrete/N, input/N or holding/N counted from 0, or Modicon's 40001 counted from 1";

impl Area {
    pub(crate) fn name(self) -> &'static str {
        AREAS[self as usize].0
    }

    /// Coils and discrete inputs: one bit an address.
    pub(crate) fn is_bits(self) -> bool {
        matches!(self, Area::Coil | Area::Discrete)
    }

    pub(crate) fn is_writable(self) -> bool {
        matches!(self, Area::Coil | Area::Holding)
    }
}

/// Bits of a value after byte and word order, from the lowest to the highest; the same twice for one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits {
    pub first: u8,
    pub last: u8,
}

impl Bits {
    /// Several bits make a number; one is true or false.
    pub(crate) fn is_number(self) -> bool {
        self.first < self.last
    }

    /// The bits in their places.
    pub(crate) fn mask(self) -> u64 {
        u64::MAX >> (63 - (self.last - self.first)) << self.first
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_number() {
            true => write!(f, ".{}..{}", self.first, self.last),
            false => write!(f, ".{}", self.first),
        }
    }
}

/// A place in a device, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub area: Area,
    pub start: u16,
    pub bits: Option<Bits>,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Address, PointError> {
        let (place, bits) = match text.split_once('.') {
            None => (text, None),
            Some((place, bits)) => (place, Some(parse_bits(bits, place.len() + 1)?)),
        };
        let (area, start) = match place.split_once('/') {
            Some((area, number)) => {
                let at = area.len() + 1..place.len();
                (parse_area(area)?, parse_number(number, at)?)
            }
            None => parse_modicon(place)?,
        };
        if area.is_bits() && bits.is_some() {
            let message = format!("a {} is one bit and has no `.BIT`", area.name());
            return Err(PointError::new(place.len()..text.len(), message, "leave the bit out"));
        }
        Ok(Address { area, start, bits })
    }

    /// As Modicon's manuals count: table digit, then the number from 1 in four digits, or in five where it needs them.
    pub(crate) fn modicon(&self) -> String {
        let (digit, number) = (AREAS[self.area as usize].2, u32::from(self.start) + 1);
        let bits = self.bits.map_or(String::new(), |bits| bits.to_string());
        match number {
            ..=9_999 => format!("{digit}{number:04}{bits}"),
            _ => format!("{digit}{number:05}{bits}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.area.name(), self.start)?;
        self.bits.map_or(Ok(()), |bits| bits.fmt(f))
    }
}

/// Without quotes another YAML reader sees a number: octal `00033`, or `450200.10` that loses its last 0.
pub(crate) fn wants_quotes(text: &str) -> bool {
    !text.contains('/') && !text.contains("..") && (text.starts_with('0') || text.contains('.'))
}

fn parse_area(word: &str) -> Result<Area, PointError> {
    if let Some((_, area, _)) = AREAS.iter().find(|(name, ..)| *name == word) {
        return Ok(*area);
    }
    let lower = word.to_ascii_lowercase();
    let meant = ALSO.iter().find(|(also, _)| *also == lower).map(|(_, name)| *name).or_else(|| {
        let near = AREAS.iter().map(|(name, ..)| (strsim::osa_distance(name, &lower), *name)).min();
        near.filter(|(distance, _)| *distance <= 3).map(|(_, name)| name)
    });
    let message = format!("`{word}` is no table of a Modbus device");
    let help = meant.map_or(FORMS.to_owned(), |name| format!("did you mean `{name}`?"));
    Err(PointError::new(0..word.len(), message, &help))
}

fn parse_number(text: &str, at: Range<usize>) -> Result<u16, PointError> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        let message = format!("`{text}` is not a number");
        return Err(PointError::new(at, message, "write a decimal number, or hexadecimal as 0x5B00"));
    }
    u16::from_str_radix(digits, radix).map_err(|_| {
        let help = "addresses end at 65535; 400001 without a table counts from 1 as Modicon does";
        PointError::new(at, format!("`{text}` is out of range 0..65535"), help)
    })
}

/// `4`, or `4..7`; the spellings of other products are named with the right one.
fn parse_bits(text: &str, offset: usize) -> Result<Bits, PointError> {
    let split = ["..", "-", ":"].into_iter().find_map(|dots| text.split_once(dots).map(|parts| (dots, parts)));
    let Some((dots, (low, high))) = split else {
        let bit = parse_bit(text, offset)?;
        return Ok(Bits { first: bit, last: bit });
    };
    let (first, last) = (parse_bit(low, offset)?, parse_bit(high, offset + low.len() + dots.len())?);
    let help = match first.cmp(&last) {
        _ if dots != ".." => format!("write `.{}..{}`", first.min(last), first.max(last)),
        std::cmp::Ordering::Less => return Ok(Bits { first, last }),
        std::cmp::Ordering::Equal => format!("write `.{first}`"),
        std::cmp::Ordering::Greater => format!("write `.{last}..{first}`"),
    };
    let message = format!("`{text}` is not a row of bits, the lowest first");
    Err(PointError::new(offset..offset + text.len(), message, &help))
}

fn parse_bit(text: &str, offset: usize) -> Result<u8, PointError> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|bit| plain && *bit < 64).ok_or_else(|| {
        let message = format!("`{text}` is not a bit");
        PointError::new(offset..offset + text.len(), message, "bits count from 0, as in holding/7.15")
    })
}

fn parse_modicon(text: &str) -> Result<(Area, u16), PointError> {
    let whole = 0..text.len();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(other_notation(text));
    }
    if !(5..=6).contains(&text.len()) {
        let message = format!("`{text}` has {} digits, and Modicon's addresses have 5 or 6", text.len());
        return Err(PointError::new(whole, message, FORMS));
    }
    let Some((_, area, _)) = AREAS.iter().find(|(.., digit)| text.starts_with(*digit)) else {
        let message = format!("`{}` is no table of a Modbus device", &text[..1]);
        return Err(PointError::new(0..1, message, "0 coil, 1 discrete input, 3 input register, 4 holding register"));
    };
    match text[1..].parse::<u32>() {
        Ok(number @ 1..=65_536) => Ok((*area, u16::try_from(number - 1).expect("1..=65536 minus one"))),
        _ => {
            let message = format!("`{}` is out of range, Modicon's addresses count from 1 to 65536", &text[1..]);
            Err(PointError::new(1..text.len(), message, FORMS))
        }
    }
}

/// Says how the address is written here when it looks like another product's, as `hr:100` or `HR100`.
fn other_notation(text: &str) -> PointError {
    let message = format!("`{text}` is not a Modbus address");
    let split = text.find(|c: char| c.is_ascii_digit() || c == ':').unwrap_or(text.len());
    let word = text[..split].to_ascii_lowercase();
    let number = text[split..].trim_start_matches(':');
    let known = AREAS.iter().map(|(name, ..)| (*name, *name)).chain(ALSO).find(|(also, _)| *also == word);
    let counts = number.parse::<u16>().is_ok();
    let help = match known {
        Some((_, name)) if counts => format!("write `{name}/{number}`"),
        _ => FORMS.to_owned(),
    };
    PointError::new(0..text.len(), message, &help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_place() {
        for (text, place, modicon) in [
            ("holding/70", "holding/70", "40071"),
            ("40071", "holding/70", "40071"),
            ("400071", "holding/70", "40071"),
            ("30021", "input/20", "30021"),
            ("00033", "coil/32", "00033"),
            ("10001", "discrete/0", "10001"),
            ("holding/0x5B00", "holding/23296", "423297"),
            ("465536", "holding/65535", "465536"),
            ("holding/40071", "holding/40071", "440072"),
            ("holding/108.19", "holding/108.19", "40109.19"),
            ("450200.10", "holding/50199.10", "450200.10"),
            ("holding/10.4..7", "holding/10.4..7", "40011.4..7"),
            ("40011.8..15", "holding/10.8..15", "40011.8..15"),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.to_string(), address.modicon()), (place.to_owned(), modicon.to_owned()), "{text}");
            assert_eq!(Address::parse(&address.modicon()), Ok(address), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_is_marked_at_its_wrong_part() {
        #[rustfmt::skip]
        let cases = [
            ("holdin/100", 0..6, "`holdin` is no table of a Modbus device", "did you mean `holding`?"),
            ("hr/100", 0..2, "`hr` is no table of a Modbus device", "did you mean `holding`?"),
            ("holding/", 8..8, "`` is not a number", "write a decimal number, or hexadecimal as 0x5B00"),
            ("holding/1x", 8..10, "`1x` is not a number", "write a decimal number, or hexadecimal as 0x5B00"),
            ("holding/70.", 11..11, "`` is not a bit", "bits count from 0, as in holding/7.15"),
            ("holding/70.64", 11..13, "`64` is not a bit", "bits count from 0, as in holding/7.15"),
            ("holding/7.7..4", 10..14, "`7..4` is not a row of bits, the lowest first", "write `.4..7`"),
            ("holding/7.4..4", 10..14, "`4..4` is not a row of bits, the lowest first", "write `.4`"),
            ("holding/7.4-7", 10..13, "`4-7` is not a row of bits, the lowest first", "write `.4..7`"),
            ("holding/7.4..x", 13..14, "`x` is not a bit", "bits count from 0, as in holding/7.15"),
            ("coil/7.1", 6..8, "a coil is one bit and has no `.BIT`", "leave the bit out"),
            ("40000", 1..5, "`0000` is out of range, Modicon's addresses count from 1 to 65536", FORMS),
            ("25000", 0..1, "`2` is no table of a Modbus device", "0 coil, 1 discrete input, 3 input register, 4 holding register"),
            ("33", 0..2, "`33` has 2 digits, and Modicon's addresses have 5 or 6", FORMS),
            ("hr:100", 0..6, "`hr:100` is not a Modbus address", "write `holding/100`"),
            ("HR100", 0..5, "`HR100` is not a Modbus address", "write `holding/100`"),
            ("%MW100", 0..6, "`%MW100` is not a Modbus address", FORMS),
            ("", 0..0, "`` is not a Modbus address", FORMS),
            ("ü", 0..2, "`ü` is not a Modbus address", FORMS),
        ];
        for (text, at, message, help) in cases {
            let error = Address::parse(text).expect_err(text);
            assert_eq!((error.at, &*error.message, &*error.help), (at, message, help), "{text}");
        }
    }
}
