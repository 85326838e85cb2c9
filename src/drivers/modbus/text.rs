//! Texts in registers: which bytes are letters, where the text ends, and in what encoding. Pure.
//!
//! A text ends at the first NUL; erased memory (FFh) and spaces at its end are no part of it. It is UTF-8 unless the
//! point says otherwise, and on reads Latin-1 where the bytes are not valid UTF-8.

use opcua::StatusCode;

use super::choices::Charset;

const NO_TEXT: StatusCode = StatusCode::BadDataEncodingInvalid;
const OUT: StatusCode = StatusCode::BadOutOfRange;

/// How the letters of a text lie in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lettering {
    /// `None`: UTF-8, or Latin-1 where the bytes are not valid.
    pub charset: Option<Charset>,
    /// One letter in the low byte of each register.
    pub one_each: bool,
    /// The cell defines how the letters lie, so nothing is guessed.
    pub is_said: bool,
}

impl Lettering {
    /// Registers of a text of at most `length` bytes.
    pub(crate) fn registers(self, length: usize) -> usize {
        if self.one_each { length } else { length.div_ceil(2) }
    }

    /// The text in these registers, bytes inside the words in their right order.
    pub(crate) fn read(self, words: &[u16], length: usize) -> Result<String, StatusCode> {
        let text = match self.charset {
            Some(Charset::Utf16) => utf16(words)?,
            charset => {
                let mut bytes = if self.one_each { low_bytes(words)? } else { self.bytes(words, length)? };
                if bytes.len() == length && charset != Some(Charset::Latin1) {
                    leave_out_cut_letter(&mut bytes, charset.is_some());
                }
                decode(charset, bytes)?
            }
        };
        Ok(text.trim_end_matches(' ').to_owned())
    }

    fn bytes(self, words: &[u16], length: usize) -> Result<Vec<u8>, StatusCode> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.truncate(length);
        if !self.is_said && looks_wide(&bytes) {
            return Err(NO_TEXT);
        }
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        let filling = bytes.iter().rev().take_while(|byte| **byte == 0xff).count();
        bytes.truncate(end - filling);
        Ok(bytes)
    }

    /// The registers that hold this text. A text that they could not give back is refused.
    pub(crate) fn write(self, text: &str, length: usize) -> Result<Vec<u16>, StatusCode> {
        let count = self.registers(length);
        if text.contains('\0') {
            return Err(OUT);
        }
        let mut words: Vec<u16> = match self.charset {
            Some(Charset::Utf16) if text.ends_with('\u{ffff}') => return Err(OUT),
            Some(Charset::Utf16) => text.encode_utf16().collect(),
            charset => {
                let bytes = encode(charset, text, self.one_each)?;
                if bytes.len() > length {
                    return Err(OUT);
                }
                match self.one_each {
                    true => bytes.into_iter().map(u16::from).collect(),
                    false => {
                        bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])).collect()
                    }
                }
            }
        };
        if words.len() > count {
            return Err(OUT);
        }
        words.resize(count, 0);
        Ok(words)
    }
}

/// The low byte of each register up to the end; a high byte that is not 0 belongs to another layout.
fn low_bytes(words: &[u16]) -> Result<Vec<u8>, StatusCode> {
    let end = words.iter().position(|word| *word == 0).unwrap_or(words.len());
    let words = &words[..end];
    let filling = words.iter().rev().take_while(|word| **word == 0xffff).count();
    words[..end - filling].iter().map(|word| u8::try_from(*word).map_err(|_| NO_TEXT)).collect()
}

fn utf16(words: &[u16]) -> Result<String, StatusCode> {
    let end = words.iter().position(|word| *word == 0).unwrap_or(words.len());
    let filling = words[..end].iter().rev().take_while(|word| **word == 0xffff).count();
    String::from_utf16(&words[..end - filling]).map_err(|_| NO_TEXT)
}

/// Leaves out the letter in whose middle a UTF-8 text ends at its `length`. One byte after nothing but ASCII may as well
/// be a letter of Latin-1, and stays unless the text is said to be UTF-8.
fn leave_out_cut_letter(bytes: &mut Vec<u8>, is_said: bool) {
    let Err(error) = std::str::from_utf8(bytes) else { return };
    let whole = error.valid_up_to();
    let is_latin = bytes.len() - whole == 1 && bytes[..whole].is_ascii() && !is_said;
    if error.error_len().is_none() && !is_latin {
        bytes.truncate(whole);
    }
}

fn decode(charset: Option<Charset>, bytes: Vec<u8>) -> Result<String, StatusCode> {
    let latin = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
    match charset {
        Some(Charset::Latin1) => Ok(latin(&bytes)),
        Some(Charset::Utf8) => String::from_utf8(bytes).map_err(|_| NO_TEXT),
        _ => Ok(String::from_utf8(bytes).unwrap_or_else(|error| latin(error.as_bytes()))),
    }
}

fn encode(charset: Option<Charset>, text: &str, one_each: bool) -> Result<Vec<u8>, StatusCode> {
    if charset != Some(Charset::Latin1) {
        return Ok(text.as_bytes().to_vec());
    }
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    let bytes = bytes.map_err(|_| OUT)?;
    // It would be read back as erased memory.
    let ends_as_filling = bytes.last() == Some(&0xff) && !one_each;
    if ends_as_filling { Err(OUT) } else { Ok(bytes) }
}

/// One letter a register, or UTF-16, without the key that says so: every other byte is NUL from the first register on.
/// Taken for a text of two letters a register it would be blank, or cut after its first letter.
fn looks_wide(bytes: &[u8]) -> bool {
    let byte = |at: usize| bytes.get(at).copied();
    let is_letter = |byte: Option<u8>| byte.is_some_and(|byte| byte != 0 && byte != 0xff);
    let high_first = byte(0) == Some(0) && is_letter(byte(1)) && byte(2).is_none_or(|byte| byte == 0);
    let low_first = is_letter(byte(0)) && byte(1) == Some(0) && is_letter(byte(2)) && byte(3) == Some(0);
    high_first || low_first
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Lettering = Lettering { charset: None, one_each: false, is_said: false };
    const UTF8: Lettering = Lettering { charset: Some(Charset::Utf8), one_each: false, is_said: true };
    const LATIN: Lettering = Lettering { charset: Some(Charset::Latin1), one_each: false, is_said: true };
    const WIDE: Lettering = Lettering { charset: Some(Charset::Utf16), one_each: false, is_said: true };
    const ONE: Lettering = Lettering { charset: None, one_each: true, is_said: true };

    #[test]
    fn registers_become_the_text_that_is_meant_or_none() {
        let bad = || Err(NO_TEXT);
        let text = |text: &str| Ok(text.to_owned());
        #[rustfmt::skip]
        let cases = [
            (DEFAULT, &[0x4142, 0xffff, 0xffff][..], text("AB")),
            (DEFAULT, &[0x41ff, 0xffff, 0xffff], text("A")),
            (DEFAULT, &[0xffff, 0xffff, 0xffff], text("")),
            (DEFAULT, &[0x4120, 0x20ff, 0xffff], text("A")),
            (DEFAULT, &[0xd66c, 0, 0], text("Öl")),
            (DEFAULT, &[0xc396, 0x6c00, 0], text("Öl")),
            (DEFAULT, &[0x0041, 0x0042, 0], bad()),
            (DEFAULT, &[0x4100, 0x4200, 0], bad()),
            (DEFAULT, &[0x0041, 0, 0], bad()),
            (DEFAULT, &[0x0065, 0x6c6c, 0x6f00], text("")),
            (DEFAULT, &[0, 0, 0], text("")),
            (UTF8, &[0x0041, 0x0042, 0], text("")),
            (UTF8, &[0xd66c, 0, 0], bad()),
            (LATIN, &[0xc396, 0, 0], text("Ã\u{96}")),
            (LATIN, &[0xd66c, 0xffff, 0xffff], text("Öl")),
            (WIDE, &[0x00d6, 0x006c, 0x20ac], text("Öl€")),
            (WIDE, &[0x0041, 0xffff, 0xffff], text("A")),
            (WIDE, &[0xd83d, 0xde00, 0], text("😀")),
            (WIDE, &[0xd83d, 0x0041, 0], bad()),
            (ONE, &[0x0041, 0x0020, 0], text("A")),
            (ONE, &[0x0041, 0xffff, 0xffff], text("A")),
            (ONE, &[0x4142, 0, 0], bad()),
        ];
        for (lettering, words, wanted) in cases {
            assert_eq!(lettering.read(words, 6), wanted, "{lettering:?} {words:x?}");
        }
        assert_eq!(DEFAULT.read(&[0x4142, 0x43ff, 0xffff], 3), text("ABC"));
        // "éé", "A€" and "AÖ" cut by the length; "AÉ" and "Aâ" of Latin-1.
        for (lettering, words, length, wanted) in [
            (DEFAULT, [0xc3a9, 0xc3a9, 0], 3, "é"),
            (UTF8, [0xc3a9, 0xc3a9, 0], 3, "é"),
            (DEFAULT, [0x41e2, 0x82ac, 0], 3, "A"),
            (UTF8, [0x41c3, 0x9600, 0], 2, "A"),
            (DEFAULT, [0x41c9, 0, 0], 2, "AÉ"),
            (DEFAULT, [0x41e2, 0, 0], 3, "Aâ"),
            (LATIN, [0xc3a9, 0xc3a9, 0], 3, "Ã©Ã"),
        ] {
            assert_eq!(lettering.read(&words, length), text(wanted), "{lettering:?} {words:x?}");
        }
    }

    #[test]
    fn a_text_comes_back_as_it_was_written_or_is_refused() {
        #[rustfmt::skip]
        let cases = [
            (DEFAULT, "Öl", 3, Some(&[0xc396, 0x6c00][..])),
            (DEFAULT, "Öl", 2, None),
            (DEFAULT, "a\0b", 8, None),
            (LATIN, "Öl", 2, Some(&[0xd66c])),
            (LATIN, "€", 8, None),
            (LATIN, "aÿ", 8, None),
            (LATIN, "ÿa", 3, Some(&[0xff61, 0])),
            (WIDE, "Öl", 4, Some(&[0xd6, 0x6c])),
            (WIDE, "😀", 2, None),
            (WIDE, "a\u{ffff}", 8, None),
            (ONE, "AB", 3, Some(&[0x41, 0x42, 0])),
            (ONE, "ABCD", 3, None),
            (Lettering { charset: Some(Charset::Latin1), ..ONE }, "ÿ", 1, Some(&[0xff])),
        ];
        for (lettering, text, length, words) in cases {
            let written = lettering.write(text, length);
            assert_eq!(written.as_deref().ok(), words, "{lettering:?} {text:?}");
            if let Ok(written) = written {
                assert_eq!(lettering.read(&written, length), Ok(text.to_owned()), "{lettering:?} {text:?}");
            }
        }
    }
}
