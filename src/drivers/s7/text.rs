//! Texts of a PLC: STRING and WSTRING with their headers, and arrays of CHAR. Pure.
//!
//! A STRING begins with two bytes: the most characters that it may have, and those that it has. WSTRING has two words.

use opcua::StatusCode;

use super::bad::Bad;

const OUT: StatusCode = StatusCode::BadOutOfRange;

/// The characters of a STRING; its header is believed within `length`.
pub(crate) fn read_string(bytes: &[u8], length: u32) -> Result<String, Bad> {
    let [most, count, letters @ ..] = bytes else { return Err(Bad::short()) };
    let (most, count) = (u32::from(*most), u32::from(*count));
    check_header("STRING", Header { most, count }, length)?;
    Ok(narrow(letters.get(..count as usize).ok_or_else(Bad::short)?))
}

pub(crate) fn read_wstring(bytes: &[u8], length: u32) -> Result<String, Bad> {
    let [a, b, c, d, letters @ ..] = bytes else { return Err(Bad::short()) };
    let (most, count) = (u32::from(u16::from_be_bytes([*a, *b])), u32::from(u16::from_be_bytes([*c, *d])));
    check_header("WSTRING", Header { most, count }, length)?;
    let letters = letters.get(..count as usize * 2).ok_or_else(Bad::short)?;
    let units: Vec<u16> = letters.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).map_err(|_| Bad::encoding("the WSTRING holds half of a character".to_owned()))
}

/// An array of CHAR: the text ends at the first NUL; spaces at its end fill it.
pub(crate) fn read_chars(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    narrow(&bytes[..end]).trim_end_matches(' ').to_owned()
}

struct Header {
    most: u32,
    count: u32,
}

fn check_header(name: &str, header: Header, length: u32) -> Result<(), Bad> {
    let Header { most, count } = header;
    if count > most {
        return Err(Bad::encoding(format!("the header of the {name} says {count} characters, at most {most}")));
    }
    if count > length {
        return Err(Bad::encoding(format!("the {name} has {count} characters, `length` says {length}")));
    }
    Ok(())
}

/// Latin-1 unless the bytes are valid UTF-8.
fn narrow(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Latin-1, as the PLC has it. A text that would be read back as another one is refused.
fn latin(text: &str) -> Result<Vec<u8>, StatusCode> {
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    bytes.ok().filter(|bytes| narrow(bytes) == text).ok_or(OUT)
}

/// The bytes of a STRING from its second header byte on; `most` is the PLC's own longest length.
pub(crate) fn write_string(text: &str, most: u32) -> Result<Vec<u8>, StatusCode> {
    let letters = latin(text)?;
    let count = u8::try_from(letters.len()).ok().filter(|count| u32::from(*count) <= most).ok_or(OUT)?;
    Ok([&[count], &letters[..]].concat())
}

/// The bytes of a WSTRING from its second header word on.
pub(crate) fn write_wstring(text: &str, most: u32) -> Result<Vec<u8>, StatusCode> {
    let letters: Vec<u16> = text.encode_utf16().collect();
    let count = u16::try_from(letters.len()).ok().filter(|count| u32::from(*count) <= most).ok_or(OUT)?;
    Ok(std::iter::once(count).chain(letters).flat_map(u16::to_be_bytes).collect())
}

/// An array of CHAR, filled with NUL.
pub(crate) fn write_chars(text: &str, length: u32) -> Result<Vec<u8>, StatusCode> {
    let mut bytes = latin(text)?;
    // Blanks at the end are read back as none.
    if bytes.len() > length as usize || bytes.contains(&0) || bytes.last() == Some(&b' ') {
        return Err(OUT);
    }
    bytes.resize(length as usize, 0);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_string_is_believed_within_the_length() {
        let text = |text: &str| Ok(text.to_owned());
        for (bytes, length, wanted) in [
            (&b"\x14\x03abc...."[..], 20, text("abc")),
            (b"\x00\x00", 20, text("")),
            (b"\xfe\x03abc", 20, text("abc")),
            (b"\x14\x02\xd6l", 20, text("Öl")),
            (b"\x14\x03\xc3\x96l", 20, text("Öl")),
            (b"\x02\x03abc", 20, Err("the header of the STRING says 3 characters, at most 2")),
            (b"\x14\x03abc", 2, Err("the STRING has 3 characters, `length` says 2")),
            (b"\x14\x04abc", 20, Err("the reply is too short")),
            (b"\x14", 20, Err("the reply is too short")),
        ] {
            let read = read_string(bytes, length).map_err(|bad| bad.why.into_owned());
            assert_eq!(read, wanted.map_err(str::to_owned), "{bytes:?}");
        }
        let wide = read_wstring(&[0, 10, 0, 2, 0x20, 0xac, 0, 0x6c], 10).map_err(|bad| bad.why.into_owned());
        assert_eq!(wide, Ok("€l".to_owned()));
        assert!(read_wstring(&[0, 10, 0, 1, 0xd8, 0x3d], 10).is_err());
        assert_eq!(read_chars(b"ab  \0zz"), "ab");
    }

    #[test]
    fn a_text_comes_back_as_it_was_written_or_is_refused() {
        for (text, most, bytes) in [
            ("abc", 20, Some(&b"\x03abc"[..])),
            ("", 20, Some(b"\x00")),
            ("Öl", 2, Some(b"\x02\xd6l")),
            ("abc", 2, None),
            ("€", 20, None),
            // These bytes would be read as UTF-8.
            ("Ã–", 20, None),
            ("Ã\u{96}", 20, None),
        ] {
            assert_eq!(write_string(text, most).ok().as_deref(), bytes, "{text}");
        }
        assert_eq!(write_wstring("€", 4).ok(), Some(vec![0, 1, 0x20, 0xac]));
        assert_eq!(write_wstring("abcde", 4), Err(OUT));
        assert_eq!(write_chars("ab", 4).ok(), Some(vec![97, 98, 0, 0]));
        assert_eq!(write_chars("a\0b", 4), Err(OUT));
        assert_eq!(write_chars("abcde", 4), Err(OUT));
    }
}
