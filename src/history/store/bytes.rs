//! Small numbers in few bytes. What is read comes from a disk and may be anything.

use super::trouble::{Damage, Intact};

/// Seven bits a byte, the lowest first; the high bit says that more follow.
pub(crate) fn put_var(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Small magnitudes of either sign become small numbers.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, number: i64) {
    put_var(out, zigzag(number));
}

pub(crate) fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// A double without the low bytes that are zero: singles and small integers take few.
pub(crate) fn put_f64(out: &mut Vec<u8>, number: f64) {
    let bytes = number.to_bits().to_be_bytes();
    let length = 8 - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    out.push(length.to_le_bytes()[0]);
    out.extend_from_slice(&bytes[..length]);
}

/// Reads front to back; every read may find that the bytes are at their end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Intact<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Damage("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Intact<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Intact<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("`take` gave as many bytes as it was asked for"))
    }

    pub(crate) fn var(&mut self) -> Intact<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damage("a number does not end"))
    }

    /// A count or length that must not be larger than `most`.
    pub(crate) fn count(&mut self, most: usize) -> Intact<usize> {
        usize::try_from(self.var()?).ok().filter(|count| *count <= most).ok_or(Damage("a length is too large"))
    }

    pub(crate) fn zigzag(&mut self) -> Intact<i64> {
        Ok(unzigzag(self.var()?))
    }

    pub(crate) fn f64(&mut self) -> Intact<f64> {
        let length = self.count(8)?;
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(self.take(length)?);
        Ok(f64::from_bits(u64::from_be_bytes(bytes)))
    }

    pub(crate) fn i64(&mut self) -> Intact<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Intact<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn text(&mut self) -> Intact<&'a str> {
        let length = self.count(self.rest.len())?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Damage("a text is not UTF-8"))
    }
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_var(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes packed with LZ4, their length first.
pub(crate) fn put_packed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_var(out, bytes.len() as u64);
    let start = out.len();
    out.resize(start + lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
    let length = lz4_flex::block::compress_into(bytes, &mut out[start..]).expect("there is room for the worst case");
    out.truncate(start + length);
}

/// The whole rest of the input, unpacked. LZ4 packs at most 255 bytes into one, so a stated length is held against that.
pub(crate) fn unpacked(input: &mut Input<'_>) -> Intact<Vec<u8>> {
    let most = input.rest.len().saturating_mul(255);
    let length = input.count(most)?;
    let packed = input.take(input.rest.len())?;
    let mut bytes = vec![0; length];
    match lz4_flex::block::decompress_into(packed, &mut bytes) {
        Ok(found) if found == length => Ok(bytes),
        Ok(_) | Err(_) => Err(Damage("it does not unpack")),
    }
}

/// CRC32 over all parts.
pub(crate) fn crc(numbers: &[i64], bytes: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    numbers.iter().for_each(|number| hasher.update(&number.to_le_bytes()));
    bytes.iter().for_each(|bytes| hasher.update(bytes));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_their_bytes() {
        for number in [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_zigzag(&mut out, number);
            assert_eq!(Input::new(&out).zigzag(), Ok(number));
        }
        for number in [0.0, -0.0, 1.0, 0.1, f64::MAX, f64::INFINITY, f64::from(0.1f32)] {
            let mut out = Vec::new();
            put_f64(&mut out, number);
            assert_eq!(Input::new(&out).f64().map(f64::to_bits), Ok(number.to_bits()));
        }
    }

    #[test]
    fn a_stated_length_is_not_allocated_before_it_is_believable() {
        let mut out = Vec::new();
        put_var(&mut out, u64::MAX / 2);
        out.extend([0; 16]);
        assert!(unpacked(&mut Input::new(&out)).is_err());
    }
}
