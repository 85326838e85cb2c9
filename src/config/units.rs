//! Engineering units: from the text in a cell file to EUInformation.
//!
//! `units.txt` holds code, symbol and name of UNECE Recommendation 20; the UnitId is the code's characters as a
//! big-endian number (Part 8 §5.6.4.3, 1.05). A text is looked for as an alias, a symbol, a name, and a code, in this
//! order: `KW` is a kilowatt in capitals, and not the code of kilogram per millimetre.

mod fold;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::Unit;
use fold::{fold, loose, singular, stem};

const TABLE: &str = include_str!("units.txt");

/// Spellings that people use for a code: symbols that several codes share, and spellings that the table lacks.
#[rustfmt::skip]
const ALIASES: [(&str, &[&str]); 63] = [
    ("P1", &["%", "percent", "pct", "%RH", "% r.H."]), ("59", &["ppmv"]), ("Q30", &["pH", "PH"]), ("C62", &["count", "counts"]),
    ("H87", &["pcs", "pc", "pce", "Stk", "Stück"]),
    ("RPM", &["rpm", "1/min", "r/min", "rev/min", "U/min", "upm", "min-1 (rpm)", "revs/min"]), ("RPS", &["rps", "rev/s", "U/s"]),
    ("CEL", &["degC", "C", "Celsius", "centigrade"]), ("FAH", &["degF", "Fahrenheit"]), ("KEL", &["K", "degK"]),
    ("MTR", &["m"]), ("MMT", &["mm"]), ("4H", &["um", "micron", "microns"]), ("SMI", &["mi", "mile", "miles"]),
    ("MTK", &["m2", "sqm", "qm"]), ("MTQ", &["m3", "cbm"]), ("CMQ", &["ccm", "cc"]), ("LTR", &["l", "L"]),
    ("MQH", &["m3/h"]), ("MQS", &["m3/s"]), ("G53", &["m3/min"]), ("L2", &["l/min", "lpm"]), ("E32", &["l/h"]), ("G51", &["l/s"]),
    ("NM3", &["Nm3", "m3 (N)"]), ("Q40", &["Nm3/h", "m3(N)/h"]), ("2L", &["cfm", "CFM"]), ("G2", &["gpm", "GPM", "gal/min"]),
    ("GLL", &["gal", "gallon", "gallons"]), ("KMH", &["kph", "kmh"]), ("HM", &["mph", "mi/h"]), ("KNT", &["kt", "kts", "knots"]),
    ("GRM", &["g"]), ("KGM", &["kg", "kilo"]), ("TNE", &["t", "ton", "tons", "tonne"]), ("LBR", &["lbs"]),
    ("SEC", &["s", "sec", "secs", "second", "seconds"]), ("MIN", &["min", "mins", "minute", "minutes"]), ("HUR", &["h", "hr", "hrs"]), ("DAY", &["d"]), ("B98", &["us", "usec"]),
    ("C26", &["msec"]), ("HTZ", &["Hz"]), ("AMP", &["A", "amp", "amps"]), ("VLT", &["V", "Vac", "Vdc", "VAC", "VDC"]),
    ("OHM", &["ohm", "ohms", "Ω"]), ("WTT", &["W"]), ("MAW", &["MW"]), ("D44", &["VAr", "VAR"]), ("KVR", &["kvar", "kVAr", "kVAR"]),
    ("MAR", &["Mvar", "MVAr", "MVAR"]), ("K3", &["kVArh", "kVARh"]), ("PAL", &["Pa"]), ("BAR", &["bar"]), ("MBR", &["mbar"]),
    ("PS", &["psi", "PSI", "lbf/in2"]), ("64", &["psig"]), ("80", &["psia"]), ("HP", &["mmWS", "mmWC"]), ("N12", &["PS"]),
    ("BHP", &["hp"]), ("NU", &["N m"]), ("DD", &["deg", "°", "degree", "degrees"]),
];

/// Symbols of the table that are another code's: it calls the megavar `kvar`, too.
const SYMBOLS: [(&str, &str); 2] = [("MAR", "Mvar"), ("64", "psig")];

type Lines = Vec<&'static str>;

/// Lines of the table by each way to name them.
#[derive(Default)]
struct Index {
    codes: HashMap<&'static str, &'static str>,
    /// Aliases and symbols, folded.
    symbols: HashMap<String, &'static str>,
    names: HashMap<String, &'static str>,
    /// Aliases and symbols without dots and blanks.
    loose: HashMap<String, Lines>,
    /// The same in lower case.
    lower: HashMap<String, Lines>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index::default();
    for line in TABLE.lines() {
        index.codes.insert(columns(line).0, line);
    }
    for (code, words) in ALIASES {
        let line = index.codes.get(code).expect("an alias leads to a code of the table");
        for word in words {
            index.symbols.entry(fold(word)).or_insert(line);
        }
    }
    for line in TABLE.lines() {
        let (_, symbol, name) = columns(line);
        if !symbol.is_empty() {
            index.symbols.entry(fold(symbol)).or_insert(line);
        }
        index.names.entry(singular(name)).or_insert(line);
    }
    for (word, line) in &index.symbols {
        for (key, lines) in [(loose(word), &mut index.loose), (loose(word).to_lowercase(), &mut index.lower)] {
            let lines: &mut Lines = lines.entry(key).or_default();
            if !lines.contains(line) {
                lines.push(line);
            }
        }
    }
    index
});

fn columns(line: &'static str) -> (&'static str, &'static str, &'static str) {
    let mut columns = line.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    (next(), next(), next())
}

/// The unit that a symbol, a name or a code means.
pub(crate) fn find(text: &str) -> Option<Unit> {
    let line = line_of(text.trim())?;
    let (code, symbol, name) = columns(line);
    let id = code.bytes().fold(0, |id, byte| id << 8 | i32::from(byte));
    let own = SYMBOLS.iter().find(|(known, _)| *known == code).map(|(_, symbol)| *symbol);
    let symbol = own.unwrap_or(if symbol.is_empty() { text } else { symbol });
    Some(Unit { id, symbol: symbol.to_owned(), name: name.to_owned() })
}

fn line_of(text: &str) -> Option<&'static str> {
    let folded = fold(text);
    if let Some(line) = INDEX.symbols.get(&folded).or_else(|| INDEX.names.get(&singular(&folded))) {
        return Some(line);
    }
    for key in [loose(&folded), loose(&fold::spelled(&folded))] {
        if let Some([line]) = INDEX.loose.get(&key).map(Vec::as_slice) {
            return Some(line);
        }
    }
    // A code is one only where it is no symbol in another case: `KWT`, and not `KW`.
    let code = INDEX.codes.get(text).copied();
    match (code, in_any_case(&folded)) {
        (code, []) => code,
        (Some(code), lines) if lines.contains(&code) => Some(code),
        (_, [line]) if !is_other_prefix(&folded, line) => Some(line),
        _ => None,
    }
}

/// `mWh` is no spelling of `MW·h`: the letter case of a prefix is a factor of a thousand millions.
fn is_other_prefix(text: &str, line: &'static str) -> bool {
    let (_, symbol, name) = columns(line);
    let has_prefix = ["milli", "mega", "pico", "peta"].iter().any(|prefix| name.to_lowercase().starts_with(prefix));
    has_prefix && text.chars().next() != symbol.chars().next()
}

fn in_any_case(folded: &str) -> &'static [&'static str] {
    let keys = [loose(folded), loose(&fold::spelled(folded))];
    let found = keys.iter().find_map(|key| INDEX.lower.get(&key.to_lowercase()));
    found.map_or(&[], Vec::as_slice)
}

/// A unit that is not in the table, shown as it was given.
pub(crate) fn unknown(text: &str) -> Unit {
    Unit { id: -1, symbol: text.to_owned(), name: text.to_owned() }
}

/// The text to write instead of one that is no unit. A symbol of other letters is mostly another quantity, so symbols are
/// suggested by letter case alone, and names only where all the nearest measure the same.
pub(crate) fn hint(text: &str) -> String {
    let folded = fold(text.trim());
    let mut symbols: Vec<&str> = in_any_case(&folded).iter().map(|line| columns(line).1).collect();
    symbols.sort_unstable();
    if !symbols.is_empty() {
        let shown: Vec<String> = symbols.iter().map(|symbol| format!("`{symbol}`")).collect();
        return format!("did you mean {}?", shown.join(" or "));
    }
    let wrong = singular(&folded);
    let most = wrong.chars().count() / 4;
    if most == 0 {
        return String::new();
    }
    let distance = |name: &str| strsim::osa_distance(&wrong, &singular(name));
    let all: Vec<(usize, &str)> =
        TABLE.lines().map(|line| columns(line).2).map(|name| (distance(name), name)).collect();
    let least = all.iter().map(|(distance, _)| *distance).min().unwrap_or(usize::MAX);
    let mut nearest = all.iter().filter(|(distance, _)| *distance == least && least <= most).map(|(_, name)| *name);
    match nearest.next() {
        Some(name) if nearest.all(|other| stem(other) == stem(name)) => format!("did you mean `{name}`?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
