//! Registers to raw values and back. Pure.

use opcua::StatusCode;

use super::address::{Address, Area, Bits};
use super::point::Register;
use super::raw_type::RawType;
use crate::drivers::number::{Takes, whole};
use crate::value::{Elements, Value};

/// A change of a device; one request each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Bits {
        start: u16,
        bits: Vec<bool>,
    },
    Words {
        start: u16,
        words: Vec<u16>,
    },
    /// Only the bits outside `and` change, to those of `or`.
    Mask {
        at: u16,
        and: u16,
        or: u16,
    },
}

impl Change {
    /// It writes one of these registers or bits.
    pub(crate) fn touches(&self, place: Address, count: u16) -> bool {
        let (start, length) = match self {
            Change::Bits { start, bits } => (*start, bits.len()),
            Change::Words { start, words } => (*start, words.len()),
            Change::Mask { at, .. } => (*at, 1),
        };
        let area = if matches!(self, Change::Bits { .. }) { Area::Coil } else { Area::Holding };
        let (mine, its) = (usize::from(start), usize::from(place.start));
        area as u8 == place.area as u8 && mine < its + usize::from(count) && its < mine + length
    }
}

impl Register {
    /// The value in the reply's data, whose first register or bit has the address `base`.
    pub(crate) fn decode(&self, data: &[u8], base: u16) -> Result<Value, StatusCode> {
        if !self.is_array {
            return self.element(data, base, 0);
        }
        let mut values = Vec::with_capacity(self.elements);
        for at in 0..self.elements {
            values.push(self.element(data, base, at)?);
        }
        let kind = values.first().and_then(Value::built_in).ok_or(StatusCode::BadDecodingError)?;
        Elements::collect(kind, values.into_iter()).map(Value::array).ok_or(StatusCode::BadDecodingError)
    }

    fn element(&self, data: &[u8], base: u16, at: usize) -> Result<Value, StatusCode> {
        let first = usize::from(self.address.start - base) + at * usize::from(self.width);
        let width = usize::from(self.width);
        if self.address.area.is_bits() {
            let bits = (0..width).rev().try_fold(0_u64, |number, bit| {
                let byte = data.get((first + bit) / 8).ok_or(StatusCode::BadDecodingError)?;
                Ok::<u64, StatusCode>(number << 1 | u64::from(byte >> ((first + bit) % 8) & 1))
            })?;
            return self.number(bits);
        }
        let data = data.get(first * 2..(first + width) * 2).ok_or(StatusCode::BadDecodingError)?;
        match self.raw {
            RawType::Text => self.lettering.read(&self.words_of(data), self.length).map(|text| Value::text(&text)),
            RawType::Bytes => Ok(Value::ByteString(self.bytes(data).into())),
            _ => self.number(self.assemble(data)),
        }
    }

    /// The words, byte order undone.
    fn words_of(&self, data: &[u8]) -> Vec<u16> {
        data.chunks_exact(2).map(|pair| self.swapped(u16::from_be_bytes([pair[0], pair[1]]))).collect()
    }

    /// The words of one number, byte and word order undone.
    fn assemble(&self, data: &[u8]) -> u64 {
        let words = data.chunks_exact(2).map(|pair| u64::from(self.swapped(u16::from_be_bytes([pair[0], pair[1]]))));
        match self.low_word_first {
            false => words.fold(0, |number, word| number << 16 | word),
            true => words.rev().fold(0, |number, word| number << 16 | word),
        }
    }

    fn number(&self, raw: u64) -> Result<Value, StatusCode> {
        let number = self.raw.number();
        let is_no_number =
            !self.nan && number.and_then(|number| number.float(raw)).is_some_and(|number| !number.is_finite());
        if is_no_number || self.is_invalid(raw) {
            return Err(StatusCode::BadSensorFailure);
        }
        if let Some(bits) = self.address.bits {
            let number = (raw & bits.mask()) >> bits.first;
            return Ok(if bits.is_number() { Value::UInt64(number) } else { Value::Boolean(number == 1) });
        }
        match number {
            Some(number) => number.value(raw),
            None if self.raw == RawType::Bool => Ok(Value::Boolean(raw & 1 == 1)),
            None => Err(StatusCode::BadDecodingError),
        }
    }

    fn is_invalid(&self, raw: u64) -> bool {
        self.raw.number().is_some_and(|number| self.invalid.has(number, raw))
    }

    fn bytes(&self, data: &[u8]) -> Vec<u8> {
        let mut bytes = data.to_vec();
        if self.swap_bytes {
            bytes.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        bytes.truncate(self.length);
        bytes
    }

    /// The changes that write `value`, from element `first` on. A number that does not fit is BadOutOfRange.
    pub(crate) fn encode(&self, value: &Value, first: u32) -> Result<Vec<Change>, StatusCode> {
        let start = usize::from(self.address.start) + first as usize * usize::from(self.width);
        let start = u16::try_from(start).map_err(|_| StatusCode::BadIndexRangeNoData)?;
        let elements = match value {
            Value::Array(array) => (0..array.elements.len()).filter_map(|at| array.elements.get(at)).collect(),
            value => vec![value.clone()],
        };
        if first as usize + elements.len() > self.elements {
            return Err(StatusCode::BadIndexRangeNoData);
        }
        if self.address.area.is_bits() {
            let mut bits = Vec::new();
            for element in &elements {
                let raw = self.raw_bits(element)?;
                bits.extend((0..self.width).map(|bit| raw >> bit & 1 == 1));
            }
            return Ok(vec![Change::Bits { start, bits }]);
        }
        if let Some(bits) = self.address.bits {
            return Ok(vec![self.bits_change(bits, elements.first().unwrap_or(&Value::Null))?]);
        }
        if self.raw.bits() == 8 {
            return (start..).zip(&elements).map(|(at, element)| self.byte_change(at, element)).collect();
        }
        let mut words = Vec::new();
        for element in &elements {
            self.put_words(element, &mut words)?;
        }
        match self.words.is_empty() {
            true => Ok(vec![Change::Words { start, words }]),
            false => Ok(runs(&self.words, &words)),
        }
    }

    /// The value is not a part of an array.
    pub(crate) fn is_whole(&self, value: &Value) -> bool {
        match value {
            Value::Array(array) => array.elements.len() == self.elements,
            _ => !self.is_array,
        }
    }

    /// The changes that leave the point as it is in the reply's data, whose first register or bit has the address `base`.
    pub(crate) fn unchanged(&self, data: &[u8], base: u16) -> Option<Vec<Change>> {
        let (start, first) = (self.address.start, usize::from(self.address.start - base));
        let units = first..first + usize::from(self.count());
        if self.address.area.is_bits() {
            let bits: Option<Vec<bool>> = units.map(|at| Some(data.get(at / 8)? >> (at % 8) & 1 == 1)).collect();
            return Some(vec![Change::Bits { start, bits: bits? }]);
        }
        let words = data.get(units.start * 2..units.end * 2)?.chunks_exact(2);
        let words: Vec<u16> = words.map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        if let Some(bits) = self.address.bits {
            let (at, mask) = self.word_of(bits);
            let word = words.get(usize::from(at - start))?;
            return Some(vec![Change::Mask { at, and: !mask, or: word & mask }]);
        }
        if self.raw.bits() == 8 {
            let mask = self.swapped(0xff);
            let byte = |(at, word): (u16, &u16)| Change::Mask { at, and: !mask, or: word & mask };
            return Some((start..).zip(&words).map(byte).collect());
        }
        Some(if self.words.is_empty() { vec![Change::Words { start, words }] } else { runs(&self.words, &words) })
    }

    /// Where the bits lie, and which bits of that register they are.
    fn word_of(&self, bits: Bits) -> (u16, u16) {
        let word = u16::from(bits.first / 16);
        let at = self.address.start + if self.low_word_first { word } else { self.width - 1 - word };
        (at, self.swapped(low_word(bits.mask() >> (16 * word))))
    }

    fn put_words(&self, element: &Value, words: &mut Vec<u16>) -> Result<(), StatusCode> {
        let bytes: &[u8] = match element {
            Value::String(text) => {
                let letters = self.lettering.write(text, self.length)?;
                words.extend(letters.into_iter().map(|word| self.swapped(word)));
                return Ok(());
            }
            Value::ByteString(bytes) => bytes,
            number => {
                let raw = self.raw_bits(number)?;
                let shifts = (0..self.width).map(|at| if self.low_word_first { at } else { self.width - 1 - at });
                words.extend(shifts.map(|at| self.swapped(low_word(raw >> (16 * at)))));
                return Ok(());
            }
        };
        if bytes.len() > self.length {
            return Err(StatusCode::BadOutOfRange);
        }
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let word = |at: usize| self.swapped(u16::from_be_bytes([byte(at * 2), byte(at * 2 + 1)]));
        words.extend((0..usize::from(self.width)).map(word));
        Ok(())
    }

    fn swapped(&self, word: u16) -> u16 {
        if self.swap_bytes { word.swap_bytes() } else { word }
    }

    /// The bits lie in one word: a point whose bits do not is not writable.
    fn bits_change(&self, bits: Bits, value: &Value) -> Result<Change, StatusCode> {
        let number = whole(value)?;
        let most = bits.mask() >> bits.first;
        let number = u64::try_from(number).ok().filter(|number| *number <= most).ok_or(OUT)?;
        let (at, mask) = self.word_of(bits);
        let raw = (number << bits.first) >> (16 * u16::from(bits.first / 16));
        Ok(Change::Mask { at, and: !mask, or: self.swapped(low_word(raw)) })
    }

    fn byte_change(&self, at: u16, value: &Value) -> Result<Change, StatusCode> {
        let raw = low_word(self.raw_bits(value)?) & 0xff;
        Ok(Change::Mask { at, and: !self.swapped(0xff), or: self.swapped(raw) })
    }

    /// The number as the raw type has it, in the low bits.
    fn raw_bits(&self, value: &Value) -> Result<u64, StatusCode> {
        // It would be read back as no value.
        self.any_bits(value).and_then(|bits| if self.is_invalid(bits) { Err(OUT) } else { Ok(bits) })
    }

    fn any_bits(&self, value: &Value) -> Result<u64, StatusCode> {
        match (self.raw.number(), self.raw) {
            (Some(number), _) => number.bits_of(value, Takes { nan: self.nan, is_integer: self.is_integer }),
            (None, RawType::Bool) => match whole(value)? {
                on @ (0 | 1) => Ok(u64::from(on == 1)),
                _ => Err(OUT),
            },
            (None, _) => Err(OUT),
        }
    }
}

const OUT: StatusCode = StatusCode::BadOutOfRange;

/// Words at their places, those that lie side by side in one change.
fn runs(places: &[Address], words: &[u16]) -> Vec<Change> {
    let mut all: Vec<(u16, u16)> = places.iter().map(|place| place.start).zip(words.iter().copied()).collect();
    all.sort_unstable();
    let mut changes: Vec<Change> = Vec::new();
    for (at, word) in all {
        match changes.last_mut() {
            Some(Change::Words { start, words }) if usize::from(at - *start) == words.len() => words.push(word),
            _ => changes.push(Change::Words { start: at, words: vec![word] }),
        }
    }
    changes
}

fn low_word(number: u64) -> u16 {
    u16::try_from(number & 0xffff).expect("16 bits")
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::super::choices::{MaskWrite, WriteFunction};
    use super::super::text::Lettering;
    use super::*;
    use crate::drivers::invalid::{Invalid, RawNumber};

    fn register(address: &str, raw: RawType, low_word_first: bool, swap_bytes: bool) -> Register {
        let width = u16::try_from(raw.bits().div_ceil(16)).expect("few");
        let mut invalid = Invalid::default();
        if let Some(number) = raw.number() {
            invalid.add(&RawNumber("-32768".into()), number);
        }
        Register {
            address: Address::parse(address).expect(address),
            raw,
            low_word_first,
            swap_bytes,
            elements: 1,
            is_array: false,
            is_integer: false,
            words: Vec::new(),
            width: if width == 0 { 3 } else { width },
            length: 5,
            lettering: Lettering::default(),
            invalid,
            nan: false,
            split: false,
            write_function: WriteFunction::Auto,
            mask_write: MaskWrite::Auto,
            exponent: None,
        }
    }

    fn data(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn registers_become_values_or_say_why_not() {
        let sensor = Err(StatusCode::BadSensorFailure);
        let coding = Err(StatusCode::BadDataEncodingInvalid);
        #[rustfmt::skip]
        let cases = [
            ("holding/0", RawType::Int8, false, false, &[0x01ff_u16][..], Ok(Value::SByte(-1))),
            ("holding/0", RawType::Uint8, false, true, &[0x01ff], Ok(Value::Byte(1))),
            ("holding/0", RawType::Int16, false, false, &[0x8000], sensor.clone()),
            ("holding/0", RawType::Float32, false, false, &[0x7fc0, 0], sensor.clone()),
            ("holding/0", RawType::Uint32, true, false, &[0x5678, 0x1234], Ok(Value::UInt32(0x1234_5678))),
            ("holding/0", RawType::Uint32, true, true, &[0x7856, 0x3412], Ok(Value::UInt32(0x1234_5678))),
            ("holding/0.19", RawType::Uint32, false, false, &[0x0008, 0], Ok(Value::Boolean(true))),
            ("holding/0.19", RawType::Uint32, true, false, &[0, 0x0008], Ok(Value::Boolean(true))),
            ("holding/0.0", RawType::Uint16, false, true, &[0x0100], Ok(Value::Boolean(true))),
            ("holding/0", RawType::Float32, false, false, &[0xff80, 0], sensor.clone()),
            ("holding/0", RawType::Float64, false, false, &[0x7ff0, 0, 0, 0], sensor.clone()),
            ("holding/0.4..7", RawType::Uint16, false, false, &[0x0512], Ok(Value::UInt64(1))),
            ("holding/0.8..15", RawType::Uint16, false, false, &[0x0512], Ok(Value::UInt64(5))),
            ("holding/0.8..15", RawType::Uint16, false, true, &[0x1205], Ok(Value::UInt64(5))),
            ("holding/0.12..19", RawType::Uint32, true, false, &[0xA000, 0x0005], Ok(Value::UInt64(0x5A))),
            ("holding/0.0..63", RawType::Uint64, false, false, &[1, 2, 3, 4], Ok(Value::UInt64(0x0001_0002_0003_0004))),
            ("holding/0", RawType::Bcd16, false, false, &[0x9876], Ok(Value::UInt16(9876))),
            ("holding/0", RawType::Bcd16, false, false, &[0x98a6], coding.clone()),
            ("holding/0", RawType::Bcd32, false, false, &[0x0012, 0x3456], Ok(Value::UInt32(123_456))),
            ("holding/0", RawType::Text, false, false, &[0x4142, 0x2020, 0x2020], Ok(Value::text("AB"))),
            ("holding/0", RawType::Text, false, true, &[0x4241, 0x0043, 0x4443], Ok(Value::text("ABC"))),
            ("holding/0", RawType::Text, false, false, &[0x46fc, 0, 0], Ok(Value::text("Fü"))),
            ("holding/0", RawType::Int16, false, false, &[], Err(StatusCode::BadDecodingError)),
        ];
        for (address, raw, low, swap, words, value) in cases {
            let read = register(address, raw, low, swap).decode(&data(words), 0);
            assert_eq!(read, value, "{address} {raw:?} low {low} swap {swap} {words:x?}");
        }
    }

    #[test]
    fn values_become_changes_or_are_refused_when_they_do_not_fit() {
        let words = |words: &[u16]| Ok(vec![Change::Words { start: 0, words: words.to_vec() }]);
        let mask = |at, and, or| Ok(vec![Change::Mask { at, and, or }]);
        let out = Err(StatusCode::BadOutOfRange);
        #[rustfmt::skip]
        let cases = [
            ("holding/0", RawType::Int16, false, false, Value::Double(-2.5), words(&[0xfffd])),
            ("holding/0", RawType::Int16, false, false, Value::Double(32_768.0), out.clone()),
            ("holding/0", RawType::Uint16, false, false, Value::Int32(-1), out.clone()),
            ("holding/0", RawType::Uint16, false, false, Value::Double(f64::NAN), out.clone()),
            ("holding/0", RawType::Uint32, true, true, Value::UInt32(0x1234_5678), words(&[0x7856, 0x3412])),
            ("holding/0", RawType::Bcd16, false, false, Value::UInt16(9_999), words(&[0x9999])),
            ("holding/0", RawType::Bcd16, false, false, Value::UInt16(10_000), out.clone()),
            ("holding/0", RawType::Int8, false, false, Value::SByte(-1), mask(0, 0xff00, 0x00ff)),
            ("holding/0", RawType::Uint8, false, true, Value::Byte(1), mask(0, 0x00ff, 0x0100)),
            ("holding/0.19", RawType::Uint32, false, false, Value::Boolean(true), mask(0, 0xfff7, 8)),
            ("holding/0.19", RawType::Uint32, true, false, Value::Boolean(false), mask(1, 0xfff7, 0)),
            ("holding/0.4..7", RawType::Uint16, false, false, Value::Int32(2), mask(0, 0xff0f, 0x0020)),
            ("holding/0.4..7", RawType::Uint16, false, false, Value::Int32(16), out.clone()),
            ("holding/0.4..7", RawType::Uint16, false, false, Value::Int32(-1), out.clone()),
            ("holding/0.8..11", RawType::Uint16, false, true, Value::Byte(5), mask(0, 0xfff0, 0x0005)),
            ("holding/0.16..19", RawType::Uint32, false, false, Value::Byte(9), mask(0, 0xfff0, 9)),
            ("holding/0", RawType::Float32, false, false, Value::Double(1e300), out.clone()),
            ("holding/0", RawType::Float32, false, false, Value::Float(f32::NAN), out.clone()),
            ("holding/0", RawType::Float64, false, false, Value::Double(f64::INFINITY), out.clone()),
            ("holding/0", RawType::Text, false, false, Value::text("A\0B"), out.clone()),
            ("holding/0", RawType::Text, false, false, Value::text("ABC"), words(&[0x4142, 0x4300, 0])),
            ("holding/0", RawType::Text, false, false, Value::text("ABCDEF"), out.clone()),
        ];
        for (address, raw, low, swap, value, changes) in cases {
            assert_eq!(register(address, raw, low, swap).encode(&value, 0), changes, "{address} {raw:?} {value:?}");
        }
    }

    #[test]
    fn words_that_lie_apart_are_written_where_they_lie_and_neighbours_together() {
        let at = |text: &str| Address::parse(text).expect(text);
        let mut split = register("holding/690", RawType::Int32, false, false);
        split.words = vec![at("holding/690"), at("holding/625")];
        let change = |start, words: &[u16]| Change::Words { start, words: words.to_vec() };
        let both = vec![change(625, &[0x63c0]), change(690, &[0xffff])];
        assert_eq!(split.encode(&Value::Int32(-40_000), 0), Ok(both));
        split.words = vec![at("holding/8"), at("holding/7")];
        assert_eq!(split.encode(&Value::Int32(-40_000), 0), Ok(vec![change(7, &[0x63c0, 0xffff])]));
    }

    #[test]
    fn an_integer_that_a_float_register_lacks_and_a_sentinel_are_not_written() {
        let mut float = register("holding/0", RawType::Float32, false, false);
        for (value, is_integer, fits) in [
            (Value::Int64(16_777_216), true, true),
            (Value::Int64(16_777_217), true, false),
            (Value::Double(16_777_217.5), true, false),
            (Value::Double(0.7), true, true),
            (Value::Double(16_777_217.0), false, true),
        ] {
            float.is_integer = is_integer;
            assert_eq!(float.encode(&value, 0).is_ok(), fits, "{value:?}");
        }
        let double = register("holding/0", RawType::Float64, false, false);
        for (value, fits) in [(1_i64 << 53, true), ((1 << 53) + 1, false)] {
            assert_eq!(double.encode(&Value::Int64(value), 0).is_ok(), fits, "{value}");
        }
        let sentinel = register("holding/0", RawType::Int16, false, false);
        for (value, fits) in [(-32_768.0, false), (-32_767.6, false), (-32_767.0, true)] {
            assert_eq!(sentinel.encode(&Value::Double(value), 0).is_ok(), fits, "{value}");
        }
    }
}
