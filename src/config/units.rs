//! Engineering units: what a cell file writes, as EUInformation says it.
//!
//! `units.txt` holds code, symbol and name of UNECE Recommendation 20; the UnitId is the code's characters as a
//! big-endian number (Part 8 §5.6.4.3, 1.05). Some symbols belong to several codes; `PREFERRED` says which is meant.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::Unit;

const TABLE: &str = include_str!("units.txt");

/// Symbols that several codes share, and what people write instead of the table's symbol.
#[rustfmt::skip]
const PREFERRED: [(&str, &str); 48] = [
    ("%", "P1"), ("percent", "P1"), ("rpm", "RPM"), ("1/min", "RPM"), ("degC", "CEL"), ("C", "CEL"), ("degF", "FAH"),
    ("m3", "MTQ"), ("m2", "MTK"), ("m3/h", "MQH"), ("m3/s", "MQS"), ("m3/min", "G53"), ("l", "LTR"), ("L", "LTR"),
    ("l/min", "L2"), ("L/min", "L2"), ("l/h", "E32"), ("L/h", "E32"), ("l/s", "G51"), ("g", "GRM"), ("kg", "KGM"),
    ("t", "TNE"), ("s", "SEC"), ("min", "MIN"), ("h", "HUR"), ("d", "DAY"), ("m", "MTR"), ("mm", "MMT"), ("A", "AMP"),
    ("V", "VLT"), ("W", "WTT"), ("kW", "KWT"), ("kWh", "KWH"), ("Nm", "NU"), ("N.m", "NU"), ("ohm", "OHM"),
    ("um", "4H"), ("us", "B98"), ("deg", "DD"), ("°", "DD"), ("K", "KEL"), ("bar", "BAR"), ("mbar", "MBR"),
    ("Hz", "HTZ"), ("pcs", "H87"), ("piece", "H87"), ("Pa", "PAL"), ("pH", "Q30"),
];

/// Lines of the table by code, symbol and name; of equal symbols the first code.
static INDEX: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let mut index = HashMap::new();
    for column in 0..3 {
        for line in TABLE.lines() {
            if let Some(word) = line.split('\t').nth(column).filter(|word| !word.is_empty()) {
                index.entry(word).or_insert(line);
            }
        }
    }
    index
});

/// The unit that a symbol, a name or a code means.
pub fn find(text: &str) -> Option<Unit> {
    let preferred = PREFERRED.iter().find(|(word, _)| *word == text).map(|(_, code)| *code);
    let line = INDEX.get(preferred.unwrap_or(text))?;
    let mut columns = line.split('\t');
    let (code, symbol, name) = (columns.next()?, columns.next()?, columns.next()?);
    let id = code.bytes().fold(0, |id, byte| id << 8 | i32::from(byte));
    let symbol = if symbol.is_empty() { text } else { symbol };
    Some(Unit { id, symbol: symbol.to_owned(), name: name.to_owned() })
}

/// A unit that is not in the table, shown as it was given.
pub fn unknown(text: &str) -> Unit {
    Unit { id: -1, symbol: text.to_owned(), name: text.to_owned() }
}

/// Symbols and names, for suggestions.
pub fn words() -> impl Iterator<Item = &'static str> {
    TABLE.lines().flat_map(|line| line.split('\t').skip(1)).filter(|word| word.len() > 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_found_by_symbol_name_and_code() {
        for (text, id, name) in [
            ("°C", 4_408_652, "degree Celsius"),
            ("CEL", 4_408_652, "degree Celsius"),
            ("degree Celsius", 4_408_652, "degree Celsius"),
            ("rpm", 5_394_509, "revolutions per minute"),
            ("%", 20_529, "percent"),
            ("percent", 20_529, "percent"),
            ("kg", 4_933_453, "kilogram"),
            ("m³/h", 5_067_080, "cubic metre per hour"),
            ("m3/h", 5_067_080, "cubic metre per hour"),
        ] {
            let unit = find(text).unwrap_or_else(|| panic!("no unit {text}"));
            assert_eq!((unit.id, unit.name.as_str()), (id, name), "{text}");
        }
        assert_eq!(find("parsnips"), None);
    }

    #[test]
    fn every_preferred_word_leads_to_a_unit() {
        for (word, _) in PREFERRED {
            assert!(find(word).is_some(), "{word}");
        }
    }
}
