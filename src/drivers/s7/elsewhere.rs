//! Addresses as other products write them, with the way in which they are written here.

use std::ops::Range;

use super::address::{Address, FORMS};
use crate::drivers::reading::PointError;

impl Address {
    /// Reads an address. The finding for another product's has the right one.
    pub(crate) fn parse(text: &str) -> Result<Address, PointError> {
        Address::of(text)?.ok_or_else(|| unknown(text))
    }
}

fn unknown(text: &str) -> PointError {
    if let Some(symbol) = symbol(text) {
        let help = "S7 knows only addresses, and optimised blocks have none";
        let message = format!("`{}` is a symbol", &text[symbol.clone()]);
        return PointError::new(symbol, message, help);
    }
    let help = hint(text).unwrap_or_else(|| FORMS.to_owned());
    PointError::new(0..text.len(), format!("`{text}` is not an S7 address"), &help)
}

/// Letter here, and the key that belongs to it, of other products' words for a width or a type.
const WORDS: [(&[&str], &str, &str); 10] = [
    (&["X", "BOOL", "BIT"], "X", ""),
    (&["B", "BYTE", "C", "CHAR", "USINT", "SINT"], "B", ""),
    (&["W", "WORD", "I", "INT", "UINT"], "W", ""),
    (&["D", "DW", "DWORD", "DI", "DINT", "UDINT", "R", "REAL"], "D", ""),
    (&["LR", "LREAL", "LI", "LINT", "ULINT", "LWORD"], "L", ""),
    (&["S", "STRING"], "B", "string"),
    (&["DT"], "B", "`raw_type: dt`"),
    (&["DTL"], "B", "`raw_type: dtl`"),
    (&["TIME"], "D", "`raw_type: time`"),
    (&["DATE"], "W", "`raw_type: date`"),
];

/// The right spelling, if the text is another product's: `DB1,REAL4`, `DB1.R4`, `DB1,X0.1`, `DB1.STRING40.20`,
/// `P#DB1.DBX0.0`, `DB1.DBD4:REAL`.
fn hint(text: &str) -> Option<String> {
    let upper = text.trim().to_ascii_uppercase();
    let plain = upper.strip_prefix('%').unwrap_or(&upper);
    if let Some(pointer) = plain.strip_prefix("P#") {
        let place = pointer.split(' ').next()?;
        Address::of(place).ok()??;
        let byte = place.replacen("DBX", "DBB", 1);
        let byte = byte.rsplit_once('.').map_or(byte.as_str(), |(byte, _)| byte);
        return Some(format!("write `{place}`, or `{byte}` where a longer value begins"));
    }
    if let Some((place, _)) = plain.split_once(':') {
        return Address::of(place).ok()?.map(|address| format!("write `{address}`"));
    }
    let rest = plain.strip_prefix("DB")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (db, rest) = rest.split_at(digits);
    let rest = rest.strip_prefix([',', '.', ':'])?;
    let (word, place) = rest.split_at(rest.find(|c: char| c.is_ascii_digit())?);
    let (byte, more) = place.split_once('.').map_or((place, None), |(byte, more)| (byte, Some(more)));
    let is_number = |text: &str| !text.is_empty() && text.len() < 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(db) || !is_number(byte) || !more.is_none_or(is_number) {
        return None;
    }
    let (_, letter, key) = WORDS.iter().find(|(words, ..)| words.contains(&word))?;
    let address = format!("`DB{db}.DB{letter}{byte}`");
    Some(match (*letter, *key, more) {
        ("X", _, bit) => format!("write `DB{db}.DBX{byte}.{}`", bit.unwrap_or("0")),
        (_, "string", Some(length)) => format!("write {address} with `length: {length}`"),
        (_, "string", None) => format!("write {address} with `length`"),
        (_, "", _) => format!("write {address}"),
        (_, key, _) => format!("write {address} with {key}"),
    })
}

/// The part of a text that is a name of the PLC's program, as in `DB1.Speed` or `"Motor".Speed`.
fn symbol(text: &str) -> Option<Range<usize>> {
    if text.starts_with('"') && text.len() > 2 {
        return Some(0..text.len());
    }
    let start = text.starts_with('%').into();
    let rest = text.get(start..)?;
    let upper = rest.to_ascii_uppercase();
    let digits = upper.strip_prefix("DB")?.bytes().take_while(u8::is_ascii_digit).count();
    let at = start + 2 + digits + 1;
    let name = text.get(at..)?;
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '"' || c == '_') && text[..at].ends_with('.');
    (digits > 0 && is_name && hint(text).is_none()).then_some(at..text.len())
}

/// Examples for the reference: the spelling elsewhere, and here.
pub(super) const EXAMPLES: [(&str, &str); 7] = [
    ("DB1,REAL4", "`DB1.DBD4`"),
    ("DB1.R4", "`DB1.DBD4`"),
    ("DB1,INT6", "`DB1.DBW6`"),
    ("DB1,X0.1", "`DB1.DBX0.1`"),
    ("DB1.STRING40.20", "`DB1.DBB40` with `length: 20`"),
    ("DB1.DBD4:REAL", "`DB1.DBD4`"),
    ("P#DB1.DBX0.0", "`DB1.DBX0.0`, or `DB1.DBB0` where a longer value begins"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_product_is_rewritten() {
        for (text, here) in EXAMPLES {
            assert_eq!(hint(text).as_deref(), Some(format!("write {here}").as_str()), "{text}");
        }
        for (text, here) in [
            ("db1,lreal8", "write `DB1.DBL8`"),
            ("DB1,DTL20", "write `DB1.DBB20` with `raw_type: dtl`"),
            ("DB2,S0", "write `DB2.DBB0` with `length`"),
            ("P#DB1.DBX4.0 BYTE 10", "write `DB1.DBX4.0`, or `DB1.DBB4` where a longer value begins"),
        ] {
            assert_eq!(hint(text).as_deref(), Some(here), "{text}");
        }
        for none in ["DB1,FOO4", "DB1", "P#", "X", "DB,REAL4", "DB1,REAL", "DB1,REAL4.x", "P#Motor"] {
            assert_eq!(hint(none), None, "{none}");
        }
    }
}
